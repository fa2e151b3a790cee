/* SPDX-License-Identifier: Apache-2.0 */
/* --parts in all its spellings. */
#include "tests/unit/base/unit.h"

#include "common/stage/internal.h"

/* The numbers that a selection gives, as text; or the error. */
static const char *numbers(const char *text, uint32_t n_parts, char out[1024])
{
    struct cpv_err err = {0};
    cpv_select *s;
    uint32_t part;
    int rc = cpv_select_open(&s, text, &err);

    out[0] = '\0';
    if (rc) {
        (void)snprintf(out, 1024, "%s", err.text);
        return out;
    }
    while ((rc = cpv_select_next(s, n_parts, &part, &err)) > 0)
        (void)snprintf(out + strlen(out), 1024 - strlen(out), "%u ", part);
    if (rc < 0)
        (void)snprintf(out + strlen(out), 1024 - strlen(out), "%s", err.text);
    cpv_select_close(&s);
    return out;
}

#define EXPECTED "'--parts': expected all, env, - or a list such as 3,7,9-12, got "

static void lists(void **state)
{
    char out[1024];

    (void)state;
    assert_string_equal(numbers("all", 3, out), "0 1 2 ");
    assert_string_equal(numbers("all", 0, out), "");
    assert_string_equal(numbers("3,7,9-12", 13, out), "3 7 9 10 11 12 ");
    assert_string_equal(numbers("5-5", 13, out), "5 ");
    assert_string_equal(numbers("2,0,2", 3, out), "2 0 2 ");
    assert_string_equal(numbers("1,3", 3, out),
                        "1 part 3 does not exist: there are 3 parts");
    assert_string_equal(numbers("", 3, out), EXPECTED "''");
    assert_string_equal(numbers("1,", 3, out), EXPECTED "'1,'");
    assert_string_equal(numbers("4-2", 9, out), EXPECTED "'4-2'");
    assert_string_equal(numbers("-3", 9, out), EXPECTED "'-3'");
    assert_string_equal(numbers("1 2", 9, out), EXPECTED "'1 2'");
    assert_string_equal(numbers("99999999999999999999", 9, out),
                        EXPECTED "'99999999999999999999'");
}

static void environment(void **state)
{
    char out[1024];

    (void)state;
    unsetenv("SLURM_ARRAY_TASK_ID");
    unsetenv("JOB_COMPLETION_INDEX");
    assert_string_equal(numbers("env", 9, out),
                        "'--parts env': neither SLURM_ARRAY_TASK_ID nor "
                        "JOB_COMPLETION_INDEX is set");
    setenv("JOB_COMPLETION_INDEX", "4", 1);
    assert_string_equal(numbers("env", 9, out), "4 ");
    setenv("SLURM_ARRAY_TASK_ID", "x", 1);
    assert_string_equal(numbers("env", 9, out),
                        "'SLURM_ARRAY_TASK_ID': expected a part number, got 'x'");
}

static void standard_input(void **state)
{
    static const char text[] = "4\n\n1,2\r\n7-8";
    char out[1024];
    int pipe_fd[2];

    (void)state;
    assert_int_equal(pipe(pipe_fd), 0);
    assert_int_equal(write(pipe_fd[1], text, sizeof text - 1), sizeof text - 1);
    close(pipe_fd[1]);
    assert_int_equal(dup2(pipe_fd[0], STDIN_FILENO), STDIN_FILENO);
    assert_string_equal(numbers("-", 9, out), "4 1 2 7 8 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(environment),
        cmocka_unit_test(standard_input),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
