/* SPDX-License-Identifier: Apache-2.0 */
/* Brace expansion; the cases agree with Python's braceexpand but where noted. */
#include "common/format/brace.h"
#include "tests/unit/base/unit.h"

static struct cpv_err err;

/* The expansion, joined by blanks; or "!" and the reason. */
static void assert_gives(const char *pattern, size_t max, const char *expected)
{
    struct cpv_texts texts = {0};
    struct cpv_buf got = {0};
    cpv_arena *mem;
    int rc;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    rc = cpv_brace_expand(pattern, max, mem, &texts, &err);
    if (rc) {
        assert_int_equal(rc, CPV_E_USAGE);
        cpv_buf_printf(&got, "!%s", err.text);
    }
    for (size_t i = 0; !rc && i < texts.count; i++)
        cpv_buf_printf(&got, "%s%s", i ? " " : "", texts.at[i]);
    assert_string_equal(cpv_buf_cstr(&got), expected);
    cpv_buf_release(&got);
    cpv_arena_close(&mem);
}

static void ranges(void **state)
{
    (void)state;
    assert_gives("{0..3}", 9, "0 1 2 3");
    assert_gives("cc/{00098..00101}.tar", 9,
                 "cc/00098.tar cc/00099.tar cc/00100.tar cc/00101.tar");
    assert_gives("{8..10}", 9, "8 9 10");
    assert_gives("{3..1}", 9, "3 2 1");
    assert_gives("{0..10..5}", 9, "0 5 10");
    assert_gives("{0..10..-5}", 9, "0 5 10");
    assert_gives("{08..10}", 9, "08 09 10");
    assert_gives("{8..010}", 9, "008 009 010");
    assert_gives("{-1..1}", 9, "-1 0 1");
    assert_gives("{-01..1}", 9, "-01 000 001");
    assert_gives("{5..5}", 9, "5");
}

static void choices(void **state)
{
    (void)state;
    assert_gives("a", 9, "a");
    assert_gives("", 9, "");
    assert_gives("{a,b}", 9, "a b");
    assert_gives("x{a,b}y", 9, "xay xby");
    assert_gives("{a,b}{c,d}", 9, "ac ad bc bd");
    assert_gives("{a,{b,c}d,}e", 9, "ae bde cde e");
    assert_gives("{a,{1..3}}", 9, "a 1 2 3");
    assert_gives("{train,val}-{0..1}", 9, "train-0 train-1 val-0 val-1");
}

static void braces_that_mean_nothing(void **state)
{
    (void)state;
    assert_gives("{}", 9, "{}");
    assert_gives("{a}", 9, "{a}");
    assert_gives("{{a,b}}", 9, "{a} {b}");
    assert_gives("\\{a,b\\}", 9, "{a,b}");
    assert_gives("{a\\,b,c}", 9, "a,b c");
    assert_gives("a\\\\b", 9, "a\\b");
}

static void refused(void **state)
{
    (void)state;
    assert_gives("{a,b", 9, "!'{a,b': braces without their partners");
    assert_gives("a}", 9, "!'a}': braces without their partners");
    assert_gives("{a,{b}", 9, "!'{a,{b}': braces without their partners");
    /* braceexpand gives letters; here that is a slip of the hand. */
    assert_gives("{a..c}", 9,
                 "!'{a..c}': a range goes from a number to a number, as {000..123}");
    assert_gives("{1..}", 9,
                 "!'{1..}': a range goes from a number to a number, as {000..123}");
    assert_gives("{1..2..0}", 9, "!'{1..2..0}': a range's step is a number, and not 0");
    assert_gives("{0..9}", 9, "!'{0..9}': stands for more than 9 paths");
    assert_gives("{0..8}", 9, "0 1 2 3 4 5 6 7 8");
    assert_gives("{0..3}{0..3}", 9, "!'{0..3}{0..3}': stands for more than 9 paths");
    assert_gives("{0..999999999999999}", 9,
                 "!'{0..999999999999999}': stands for more than 9 paths");
    assert_gives("{0..9999999999999999}", 9,
                 "!'{0..9999999999999999}': a range goes from a number to a number, as "
                 "{000..123}");
}

static void deep_nesting_ends(void **state)
{
    char pattern[402];
    struct cpv_texts texts;
    cpv_arena *mem;

    (void)state;
    memset(pattern, '{', 200);
    memset(pattern + 200, '}', 200);
    pattern[400] = '\0';
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_int_equal(cpv_brace_expand(pattern, 9, mem, &texts, &err), CPV_E_USAGE);
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(choices),
        cmocka_unit_test(braces_that_mean_nothing),
        cmocka_unit_test(refused),
        cmocka_unit_test(deep_nesting_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
