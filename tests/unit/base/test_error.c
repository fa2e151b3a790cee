/* SPDX-License-Identifier: Apache-2.0 */
/* error.h: codes, texts that are cut and never overflow, exit statuses. */
#include "tests/unit/base/unit.h"

#include <errno.h>

static void fail_stores_code_and_text(void **state)
{
    struct cpv_err err = {0};

    (void)state;
    errno = EAGAIN;
    assert_int_equal(cpv_fail(&err, CPV_E_INPUT, "'%s' line %d", "a.tsv", 12),
                     CPV_E_INPUT);
    assert_int_equal(err.code, CPV_E_INPUT);
    assert_string_equal(err.text, "'a.tsv' line 12");
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(cpv_fail(NULL, CPV_E_BUG, "x"), CPV_E_BUG);
}

static void fail_may_quote_its_own_text(void **state)
{
    struct cpv_err err = {0};

    (void)state;
    (void)cpv_fail(&err, CPV_E_IO, "inner");
    (void)cpv_fail(&err, CPV_E_BUG, "outer: %s!", err.text);
    assert_string_equal(err.text, "outer: inner!");
}

static void sys_errors_choose_the_code(void **state)
{
    static const struct {
        int sys, code;
    } table[] = {{ENOSPC, CPV_E_SPACE},  {EDQUOT, CPV_E_SPACE},   {ENOMEM, CPV_E_MEMORY},
                 {ENOENT, CPV_E_ABSENT}, {ENOTDIR, CPV_E_ABSENT}, {EACCES, CPV_E_IO},
                 {EIO, CPV_E_IO}};
    struct cpv_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(cpv_fail_sys(&err, table[i].sys, "cannot open '%s'", "x"),
                         table[i].code);
        assert_int_equal(err.sys, table[i].sys);
    }
    assert_string_equal(err.text, "cannot open 'x': Input/output error");
}

static void long_texts_keep_the_reason(void **state)
{
    struct cpv_err err = {0};
    char path[2000];

    (void)state;
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    (void)cpv_fail_sys(&err, ENOSPC, "cannot write '%s'", path);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_non_null(strstr(err.text, ": No space left on device"));
    assert_int_equal(cpv_err_add(&err, "%s", path), CPV_E_SPACE);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void add_puts_a_prefix(void **state)
{
    struct cpv_err err = {0};

    (void)state;
    (void)cpv_fail(&err, CPV_E_CORRUPT, "bad frame");
    assert_int_equal(cpv_err_add(&err, "'%s'", "s.tar"), CPV_E_CORRUPT);
    assert_string_equal(err.text, "'s.tar': bad frame");
    assert_int_equal(cpv_err_add(NULL, "x"), 0);
}

static void exit_statuses_are_those_of_the_design(void **state)
{
    static const int table[][2] = {
        {CPV_OK, 0},        {CPV_E_USAGE, 2},    {CPV_E_INPUT, 65}, {CPV_E_CORRUPT, 65},
        {CPV_E_BUG, 70},    {CPV_E_IO, 74},      {CPV_E_SPACE, 74}, {CPV_E_MEMORY, 74},
        {CPV_E_ABSENT, 74}, {CPV_E_STOPPED, 75}, {CPV_E_BUSY, 75},  {CPV_E_SETTINGS, 78},
        {-999, 70}};

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(cpv_exit_status(table[i][0]), table[i][1]);
}

static void a_text_is_one_line_whatever_is_in_it(void **state)
{
    struct cpv_err err = {0};

    (void)state;
    (void)cpv_fail(&err, CPV_E_INPUT, "unknown key '%s'", "a\nb\tc\x7f\x01é");
    assert_string_equal(err.text, "unknown key 'a?b?c??é'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_one_line_whatever_is_in_it),
        cmocka_unit_test(fail_stores_code_and_text),
        cmocka_unit_test(fail_may_quote_its_own_text),
        cmocka_unit_test(sys_errors_choose_the_code),
        cmocka_unit_test(long_texts_keep_the_reason),
        cmocka_unit_test(add_puts_a_prefix),
        cmocka_unit_test(exit_statuses_are_those_of_the_design),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
