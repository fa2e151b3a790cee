/* SPDX-License-Identifier: Apache-2.0 */
/* Which captions of a sample a trainer may draw from: every strategy, every language. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/corpus/captions.h"

/* Places chosen are written as digits; letters of captions are a, b, c ... by place. */
static const char SAMPLE[] =
    "{\"captions-en\":[\"a\"],\"generated-captions-en\":[\"b\",\"c\"],"
    "\"similarities-en\":[0.3,0.1,0.2],"
    "\"captions-pt\":[\"a\",\"b\"],\"generated-captions-pt\":[\"c\",\"d\",\"e\",\"f\"],"
    "\"similarities-pt\":[0.25,0.30,0.10,0.30,null,0.25],"
    "\"captions-xh\":[\"a\",\"b\"],"
    "\"captions-hi\":[null,\" \"],\"generated-captions-hi\":[\"\",\"d\",\"e\",null],"
    "\"similarities-hi\":[0.9,0.9,0.9,0.1,0.2,null],\"n\":1}";

static void chosen(const char *json, const char *lang, struct cpv_caption_choice choice,
                   const char *wanted)
{
    struct cpv_caption *at;
    struct cpv_err err = {0};
    char got[32] = "";
    cpv_arena *mem;
    json_t *root;
    size_t n;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_json_parse(cpv_bytes_str(json), "k", &root, &err));
    assert_ok(cpv_captions_choose(root, lang, "k", &choice, mem, &at, &n, &err));
    assert_true(n < sizeof got);
    for (size_t i = 0; i < n; i++) {
        got[i] = (char)('0' + at[i].place);
        assert_int_equal(at[i].text.size, 1);
        assert_int_equal(*(const char *)(const void *)at[i].text.data,
                         'a' + (int)at[i].place);
    }
    if (strcmp(got, wanted) != 0)
        fail_msg("%s, strategy %s: places '%s', expected '%s'", lang,
                 cpv_caption_strategies[choice.strategy], got, wanted);
    json_decref(root);
    cpv_arena_close(&mem);
}

static void fails(const char *json, cpv_caption_strategy strategy, int code,
                  const char *wanted)
{
    const struct cpv_caption_choice choice = {.strategy = strategy, .keep = 1};
    struct cpv_caption *at;
    struct cpv_err err = {0};
    cpv_arena *mem;
    json_t *root;
    size_t n;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_json_parse(cpv_bytes_str(json), "k", &root, &err));
    assert_int_equal(cpv_captions_choose(root, "pt", "k", &choice, mem, &at, &n, &err),
                     code);
    if (!strstr(err.text, wanted))
        fail_msg("'%s' has not '%s'", err.text, wanted);
    json_decref(root);
    cpv_arena_close(&mem);
}

#define CHOICE(...) ((struct cpv_caption_choice){.strategy = __VA_ARGS__})

static void none_first_all(void **state)
{
    (void)state;
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_NONE), "01");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_NONE, .originals = 1), "0");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_NONE, .originals = 9), "01");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_FIRST, .keep = 3), "01234");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_FIRST, .originals = 1, .keep = 1), "02");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_FIRST, .keep = 0), "01");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_FIRST, .keep = 99), "012345");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_ALL), "012345");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_ALL, .originals = 1), "02345");
    /* A language that has no generated ones, and one that is not there. */
    chosen(SAMPLE, "xh", CHOICE(CPV_CAPTIONS_ALL), "01");
    chosen(SAMPLE, "de", CHOICE(CPV_CAPTIONS_ALL), "");
    chosen(SAMPLE, "de", CHOICE(CPV_CAPTIONS_RANK, .keep = 5), "");
}

static void rank(void **state)
{
    (void)state;
    /* Of 0.30 0.30 | 0.25 0.25 | 0.10 | null. */
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_RANK, .keep = 1), "1");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_RANK, .keep = 2), "13");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_RANK, .keep = 3), "013");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_RANK, .keep = 5), "01235");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_RANK, .keep = 6), "012345");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_RANK, .keep = 2, .originals = 1), "03");
    /* Each language by its own numbers. */
    chosen(SAMPLE, "en", CHOICE(CPV_CAPTIONS_RANK, .keep = 2), "02");
}

static void threshold(void **state)
{
    (void)state;
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_THRESHOLD, .threshold = 0.25), "0135");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_THRESHOLD, .threshold = 0.26), "13");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_THRESHOLD, .threshold = 0.5), "");
    chosen(SAMPLE, "pt", CHOICE(CPV_CAPTIONS_THRESHOLD, .threshold = -1), "01235");
    chosen(SAMPLE, "pt",
           CHOICE(CPV_CAPTIONS_THRESHOLD, .originals = 1, .threshold = 0.26), "3");
    chosen(SAMPLE, "en", CHOICE(CPV_CAPTIONS_THRESHOLD, .threshold = 0.15), "02");
}

/* null and white space are no captions: places stay, and room goes to others. */
static void nothing_said(void **state)
{
    (void)state;
    chosen(SAMPLE, "hi", CHOICE(CPV_CAPTIONS_NONE), "");
    chosen(SAMPLE, "hi", CHOICE(CPV_CAPTIONS_FIRST, .keep = 1), "3");
    chosen(SAMPLE, "hi", CHOICE(CPV_CAPTIONS_RANK, .keep = 1), "4");
    chosen(SAMPLE, "hi", CHOICE(CPV_CAPTIONS_THRESHOLD, .threshold = 0.15), "4");
}

/* captions-pt ends with the generated ones: they are counted once. */
static void reference_layout(void **state)
{
    static const char extended[] =
        "{\"captions-pt\":[\"a\",\"b\",\"c\",\"d\"],"
        "\"generated-captions-pt\":[\"c\",\"d\"],\"similarities-pt\":[0.1,0.2,0.3,0.4]}";
    /* The same words, but one number for each: no such layout. */
    static const char plain[] =
        "{\"captions-pt\":[\"a\"],\"generated-captions-pt\":[\"b\"],"
        "\"similarities-pt\":[0.1,0.2]}";

    (void)state;
    chosen(extended, "pt", CHOICE(CPV_CAPTIONS_NONE), "01");
    chosen(extended, "pt", CHOICE(CPV_CAPTIONS_FIRST, .keep = 1), "012");
    chosen(extended, "pt", CHOICE(CPV_CAPTIONS_ALL), "0123");
    chosen(extended, "pt", CHOICE(CPV_CAPTIONS_RANK, .keep = 3), "123");
    chosen(plain, "pt", CHOICE(CPV_CAPTIONS_NONE), "0");
    chosen(plain, "pt", CHOICE(CPV_CAPTIONS_RANK, .keep = 1), "1");
}

static void similarities_are_numbers(void **state)
{
    struct cpv_caption_choice choice = {.strategy = CPV_CAPTIONS_ALL};
    struct cpv_caption *at;
    struct cpv_err err = {0};
    cpv_arena *mem;
    json_t *root;
    size_t n;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_json_parse(cpv_bytes_str(SAMPLE), "k", &root, &err));
    assert_ok(cpv_captions_choose(root, "pt", "k", &choice, mem, &at, &n, &err));
    assert_int_equal(n, 6);
    assert_true(at[1].similarity == 0.30);
    assert_true(isnan(at[4].similarity));
    assert_ok(cpv_captions_choose(root, "xh", "k", &choice, mem, &at, &n, &err));
    assert_true(isnan(at[0].similarity));
    assert_true(cpv_captions_has(root, "hi"));
    assert_false(cpv_captions_has(root, "de"));
    json_decref(root);
    cpv_arena_close(&mem);
}

static void faults(void **state)
{
    (void)state;
    fails("{\"captions-pt\":\"a\"}", CPV_CAPTIONS_ALL, CPV_E_CORRUPT,
          "'k': 'captions-pt' is no list");
    fails("{\"captions-pt\":[\"a\"],\"similarities-pt\":[1,2]}", CPV_CAPTIONS_ALL,
          CPV_E_CORRUPT,
          "'k': 'similarities-pt' has not one number for each of 1 captions");
    fails("{\"captions-pt\":[\"a\"],\"flags-pt\":[]}", CPV_CAPTIONS_ALL, CPV_E_CORRUPT,
          "'k': 'flags-pt' has not one string for each of 1 captions");
    fails("{\"captions-pt\":[\"a\"]}", CPV_CAPTIONS_RANK, CPV_E_INPUT,
          "no 'similarities-pt' to choose by");
    fails("{\"captions-pt\":[\"a\"]}", CPV_CAPTIONS_THRESHOLD, CPV_E_INPUT,
          "no 'similarities-pt' to choose by");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_first_all),   cmocka_unit_test(rank),
        cmocka_unit_test(threshold),        cmocka_unit_test(nothing_said),
        cmocka_unit_test(reference_layout), cmocka_unit_test(similarities_are_numbers),
        cmocka_unit_test(faults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
