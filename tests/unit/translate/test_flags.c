/* SPDX-License-Identifier: Apache-2.0 */
/* Each flag: texts that earn it, and texts that only just do not. */
#include "tests/unit/base/unit.h"

#include "stages/translate/translate.h"

static unsigned flags(const char *lang, const char *source, const char *target)
{
    return translate_flags(cpv_bytes_str(source), cpv_bytes_str(target), lang);
}

static void is(const char *lang, const char *source, const char *target, unsigned wanted)
{
    unsigned got = flags(lang, source, target);

    if (got != wanted)
        fail_msg("%s '%s' -> '%s': flags %#x, expected %#x", lang, source, target, got,
                 wanted);
}

static void empty(void **state)
{
    (void)state;
    is("pt", "a dog", "", CPV_FLAG_EMPTY);
    is("pt", "a dog", " \t\n ", CPV_FLAG_EMPTY);
    is("pt", "a dog", ".", 0);
    /* Nothing comes of nothing. */
    is("pt", "", "", 0);
    is("pt", "  ", "", 0);
    is("pt", "", "um cachorro", 0);
}

static void copied(void **state)
{
    (void)state;
    is("pt", "a black dog", "a black dog", CPV_FLAG_COPIED);
    is("pt", "A black  dog ", "a BLACK dog", CPV_FLAG_COPIED);
    is("pt", "a black dog", "a black dog.", 0);
    is("pt", "a black dog", "a black dog a", 0);
    is("pt", "a black dog", "um black dog", 0);
    /* Two words may be a name. */
    is("pt", "Rio Branco", "Rio Branco", 0);
    is("en", "", "", 0);
}

static void script(void **state)
{
    static const char hindi[] =
        "\xe0\xa4\x8f\xe0\xa4\x95 \xe0\xa4\x95\xe0\xa5\x81\xe0\xa4\xa4"
        "\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa4\xbe";                             /* ek kutta */
    static const char mixed[] = "\xe0\xa4\x8f\xe0\xa4\x95\xe0\xa4\x8f dog"; /* 3 and 3 */
    static const char less[] = "\xe0\xa4\x8f\xe0\xa4\x95 dog";              /* 2 and 3 */
    static const char russian[] =
        "\xd1\x81\xd0\xbe\xd0\xb1\xd0\xb0\xd0\xba\xd0\xb0"; /* sobaka */

    (void)state;
    is("hi", "a dog", hindi, 0);
    is("hi", "a dog", "ek kutta", CPV_FLAG_SCRIPT);
    is("hi", "a dog", russian, CPV_FLAG_SCRIPT);
    is("hi", "a dog", mixed, 0);
    is("hi", "a dog", less, CPV_FLAG_SCRIPT);
    is("hi-IN", "a dog", "ek kutta", CPV_FLAG_SCRIPT);
    is("hi_Deva", "a dog", hindi, 0);
    is("pt", "a dog", hindi, CPV_FLAG_SCRIPT);
    is("pt-BR", "a dog", hindi, CPV_FLAG_SCRIPT);
    is("pt", "a dog", "um c\xc3\xa3o", 0);
    is("xh", "a dog", "inja", 0);
    is("xh", "a dog", russian, CPV_FLAG_SCRIPT);
    is("ru", "a dog", russian, 0);
    /* Fewer than four letters say nothing; figures are of no script. */
    is("hi", "a dog", "TV", 0);
    is("hi", "a dog", "dog", 0);
    is("hi", "a dog", "1234 5678", 0);
    /* Languages that we know nothing of. */
    is("xx", "a dog", hindi, 0);
    is("", "a dog", hindi, 0);
    is("h", "a dog", "ek kutta", 0);
    is("hin", "a dog", "ek kutta", 0);
}

static void loop(void **state)
{
    static const char source[] = "a dog and a cat and a bird sit on a red sofa";

    (void)state;
    is("pt", source, "um um um um gato sentado no sofa vermelho", CPV_FLAG_LOOP);
    is("pt", source, "um um um gato sentado no sofa vermelho", 0);
    is("pt", source, "o gato o gato O Gato o gato no sofa", CPV_FLAG_LOOP);
    is("pt", source, "o gato o gato o gato o sofa", 0);
    is("pt", source, "a b c a b c a b c a b c", CPV_FLAG_LOOP);
    is("pt", source, "a b c a b c a b c a b", 0);
    is("pt", source, "a b c d a b c d a b c d a b c d", CPV_FLAG_LOOP);
    is("pt", source, "a b c d a b c d a b c d a b c", 0);
    is("pt", source, "a b c d e a b c d e a b c d e a b c d e", 0);
    is("pt", source, "um gato e um gato", 0);
}

static void ratio(void **state)
{
    (void)state;
    /* 12 characters: 36 are a translation, 37 are not. */
    is("pt", "twelve chars", "abcdefghijklmnopqrstuvwxyzabcdefghij", 0);
    is("pt", "twelve chars", "abcdefghijklmnopqrstuvwxyzabcdefghijk", CPV_FLAG_RATIO);
    is("pt", "eleven char", "abcdefghijklmnopqrstuvwxyzabcdefghijk", 0);
    /* 15: 3 are one, 2 are not. */
    is("pt", "fifteen letters", "abc", 0);
    is("pt", "fifteen letters", "ab", CPV_FLAG_RATIO);
    is("pt", "fourteen chars", "ab", CPV_FLAG_RATIO);
    is("pt", "eleven char", "a", 0);
    /* Characters, not bytes: 13 of 3 bytes each. */
    is("hi", "twelve chars",
       "\xe0\xa4\x95\xe0\xa4\x95\xe0\xa4\x95\xe0\xa4\x95\xe0\xa4\x95\xe0\xa4\x95\xe0\xa4"
       "\x95"
       "\xe0\xa4\x95\xe0\xa4\x95\xe0\xa4\x95\xe0\xa4\x95\xe0\xa4\x95\xe0\xa4\x95",
       0);
}

static void several(void **state)
{
    (void)state;
    is("hi", "a dog", "la la la la la", CPV_FLAG_SCRIPT | CPV_FLAG_LOOP);
    is("hi", "red red red red", "red red red red",
       CPV_FLAG_COPIED | CPV_FLAG_SCRIPT | CPV_FLAG_LOOP);
}

/* Bytes that are no text, and texts of more words than are looked at. */
static void any_bytes(void **state)
{
    static const char *const bad[] = {"\xff\xfe\xf0", "\xe0\xa4", "\xf0\x9f\x98", "\xc3",
                                      "\x80\x80\x80 \xf8\xff"};
    char *many = malloc(20001);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        /* In memory of its size, so that a sanitizer sees a byte too far. */
        size_t n = strlen(bad[i]);
        void *copy = malloc(n);

        assert_non_null(copy);
        memcpy(copy, bad[i], n);
        assert_int_equal(
            translate_flags(cpv_bytes_of(copy, n), cpv_bytes_of(copy, n), "hi"), 0);
        free(copy);
    }
    assert_non_null(many);
    for (int i = 0; i < 10000; i++)
        memcpy(many + 2 * i, "a ", 2);
    assert_int_equal(
        translate_flags(cpv_bytes_of(many, 20000), cpv_bytes_of(many, 20000), "pt"),
        CPV_FLAG_COPIED | CPV_FLAG_LOOP);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),     cmocka_unit_test(copied), cmocka_unit_test(script),
        cmocka_unit_test(loop),      cmocka_unit_test(ratio),  cmocka_unit_test(several),
        cmocka_unit_test(any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
