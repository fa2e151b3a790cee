/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers by language, as settings say them. */
#include "tests/unit/base/unit.h"

#include "common/corpus/limits.h"

static void words(void **state)
{
    static const char *const good[] = {"0.2", "-1", "pt=0.2", "pt-BR=5", "1e-2", "x=.5"};
    static const char *const bad[] = {"",      "=1",    "pt=",     "pt",  " 0.2",
                                      "pt= 1", "0x1",   "pt=inf",  "nan", "0.2 ",
                                      "1e999", "1.2.3", "pt=0.2=1"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!cpv_limit_ok(good[i]))
            fail_msg("'%s' is one", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (cpv_limit_ok(bad[i]))
            fail_msg("'%s' is none", bad[i]);
}

static void by_language(void **state)
{
    static const char *const at[] = {"pt=0.2", "0.1", "xh=-0.5"};
    static const char *const named[] = {"pt=0.2"};
    struct cpv_limits l;
    struct cpv_err err = {0};
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_limits_parse(&(struct cpv_texts){at, 3}, mem, &l, &err));
    assert_true(cpv_limits_find(&l, "pt")->value == 0.2);
    assert_true(cpv_limits_find(&l, "xh")->value == -0.5);
    assert_true(cpv_limits_find(&l, "p")->value == 0.1);
    assert_null(cpv_limits_find(&l, "hi")->lang);
    assert_ok(cpv_limits_parse(&(struct cpv_texts){named, 1}, mem, &l, &err));
    assert_null(cpv_limits_find(&l, "hi"));
    assert_string_equal(cpv_limits_find(&l, "pt")->lang, "pt");
    assert_ok(cpv_limits_parse(&(struct cpv_texts){NULL, 0}, mem, &l, &err));
    assert_null(cpv_limits_find(&l, "pt"));
    cpv_arena_close(&mem);
}

static void twice(void **state)
{
    static const char *const pt[] = {"pt=0.2", "hi=1", "pt=0.3"};
    static const char *const all[] = {"0.2", "0.3"};
    static const char *const none[] = {"pt:0.3"};
    struct cpv_limits l;
    struct cpv_err err = {0};
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_int_equal(cpv_limits_parse(&(struct cpv_texts){pt, 3}, mem, &l, &err),
                     CPV_E_USAGE);
    assert_non_null(strstr(err.text, "got 'pt=0.2' and 'pt=0.3'"));
    assert_int_equal(cpv_limits_parse(&(struct cpv_texts){all, 2}, mem, &l, &err),
                     CPV_E_USAGE);
    assert_int_equal(cpv_limits_parse(&(struct cpv_texts){none, 1}, mem, &l, &err),
                     CPV_E_USAGE);
    assert_non_null(strstr(err.text, "got 'pt:0.3'"));
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(by_language),
        cmocka_unit_test(twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
