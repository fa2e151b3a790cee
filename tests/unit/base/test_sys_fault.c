/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault table replaces that of sys.c in a program that links the static library,
 * and files keep their promises when each call, each allocation and each kill strikes.
 */
#include "tests/unit/base/unit.h"

#include <signal.h>
#include <sys/wait.h>

#include "common/base/arena.h"
#include "common/base/cli.h"
#include "common/base/file.h"
#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "tests/crash/sys_fault.h"

enum { MANY = 200 };

static const char content[] = "every byte or none";

/* Drafts a file, folder and all, and a small one that is replaced. */
static int work(struct cpv_err *err)
{
    cpv_draft *d = NULL;
    int rc = cpv_folder_make("f/g", err);

    if (!rc)
        rc = cpv_draft_open(&d, "f/g/file", err);
    if (rc)
        return rc;
    cpv_draft_write(d, content, 10);
    cpv_draft_write(d, content + 10, sizeof content - 1 - 10);
    if ((rc = cpv_draft_commit(&d, NULL, err)))
        return rc;
    return cpv_file_replace("f/small", cpv_bytes_str("new"), err);
}

static void start_over(void)
{
    assert_int_equal(shell("rm -rf f && mkdir f && printf old > f/small"), 0);
}

static bool holds(const char *path, const char *text)
{
    struct cpv_buf b = {0};
    bool same;

    if (cpv_file_read(path, 1000, &b, NULL)) {
        cpv_buf_release(&b);
        return false;
    }
    same = cpv_bytes_equal(cpv_buf_view(&b), cpv_bytes_str(text));
    cpv_buf_release(&b);
    return same;
}

/* Nothing half done is ever seen, and running again finishes it. */
static void check_and_finish(void)
{
    struct cpv_err err;

    cpv_fault_arm(0, CPV_FAULT_NONE, true);
    assert_true(!cpv_file_exists("f/g/file") || holds("f/g/file", content));
    assert_true(holds("f/small", "old") || holds("f/small", "new"));
    assert_ok(work(&err));
    assert_true(holds("f/g/file", content));
    assert_true(holds("f/small", "new"));
    assert_false(cpv_file_exists("f/g/.file.tmp"));
    assert_false(cpv_file_exists("f/.small.tmp"));
}

static void the_fault_table_is_the_one_in_use(void **state)
{
    struct cpv_err err;

    (void)state;
    start_over();
    cpv_fault_arm(0, CPV_FAULT_NONE, true);
    assert_ok(work(&err));
    assert_true(cpv_fault_calls() > 15);
    assert_true(cpv_fault_allocs() > 4);
    assert_null(cpv_fault_hit());
    cpv_fault_arm(1, CPV_FAULT_ALLOC, true);
    assert_null(cpv_alloc(8));
    assert_string_equal(cpv_fault_hit(), "alloc");
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;

    for (int fd = 3; fd < 64; fd++)
        n += lseek(fd, 0, SEEK_CUR) >= 0;
    return n;
}

static void each_call_fails(cpv_fault_kind kind, int code, bool once)
{
    unsigned before = open_descriptors();
    unsigned long k;

    for (k = 1; k < MANY; k++) {
        struct cpv_err err = {0};
        int rc;

        start_over();
        cpv_fault_arm(k, kind, once);
        rc = work(&err);
        if (!cpv_fault_hit())
            break;
        if (rc) {
            assert_int_equal(rc, code);
            assert_int_equal(err.code, code);
            assert_true(strlen(err.text) > 0);
        }
        /* A failure before the rename gives the space back; unless unlink fails too. */
        if (rc && once)
            assert_false(cpv_file_exists("f/g/.file.tmp") &&
                         !cpv_file_exists("f/g/file") &&
                         strcmp(cpv_fault_hit(), "fstat") != 0 &&
                         strcmp(cpv_fault_hit(), "stat") != 0);
        if (rc && once && strcmp(cpv_fault_hit(), "fstat") != 0 &&
            strcmp(cpv_fault_hit(), "stat") != 0)
            assert_false(cpv_file_exists("f/.small.tmp"));
        assert_int_equal(open_descriptors(), before);
        check_and_finish();
    }
    assert_true(k > 15 && k < MANY);
}

static void each_call_fails_with_an_io_error(void **state)
{
    (void)state;
    each_call_fails(CPV_FAULT_EIO, CPV_E_IO, true);
    each_call_fails(CPV_FAULT_EIO, CPV_E_IO, false);
}

static void each_call_fails_with_a_full_disk(void **state)
{
    (void)state;
    each_call_fails(CPV_FAULT_ENOSPC, CPV_E_SPACE, true);
    each_call_fails(CPV_FAULT_ENOSPC, CPV_E_SPACE, false);
}

/*
 * Content durable, then the name, then the folder. Once the name is taken, a failure
 * touches the temporary name no more: it may be another process's by then.
 */
static void the_order_of_calls_of_a_draft(void **state)
{
    static const char *const order[] = {
        "open",  "fstat",      "stat", "fstat", "ftruncate", "write", "write",
        "fsync", "rename_new", "open", "fsync", "close",     "close"};

    (void)state;
    for (unsigned long k = 1; k <= CPV_COUNT(order) + 1; k++) {
        struct cpv_err err;
        cpv_draft *d;
        int rc;

        start_over();
        cpv_fault_arm(k, CPV_FAULT_EIO, true);
        rc = cpv_draft_open(&d, "f/file", &err);
        if (!rc) {
            cpv_draft_write(d, "one", 3);
            cpv_draft_write(d, "two", 3);
            rc = cpv_draft_commit(&d, NULL, &err);
        }
        if (k > CPV_COUNT(order)) {
            assert_null(cpv_fault_hit());
            break;
        }
        assert_string_equal(cpv_fault_hit(), order[k - 1]);
        if (k > 9)
            assert_int_equal(cpv_fault_calls(), k == 10 ? 11 : 13);
    }
}

/* A draft that replaces: the old file or the new one, whichever call fails. */
static void a_replaced_file_is_old_or_new(void **state)
{
    unsigned long k;

    (void)state;
    start_over();
    for (k = 1; k < MANY; k++) {
        struct cpv_err err = {0};
        cpv_draft *d;
        int rc;

        cpv_fault_arm(0, CPV_FAULT_NONE, true);
        assert_ok(cpv_file_replace("f/small", cpv_bytes_str("old"), &err));
        cpv_fault_arm(k, CPV_FAULT_EIO, true);
        rc = cpv_draft_open(&d, "f/small", &err);
        if (!rc) {
            cpv_draft_write(d, "new", 3);
            rc = cpv_draft_replace(&d, &err);
        }
        if (!cpv_fault_hit())
            break;
        cpv_fault_arm(0, CPV_FAULT_NONE, true);
        assert_true(rc == CPV_OK || rc == CPV_E_IO);
        assert_true(holds("f/small", "new") || (rc && holds("f/small", "old")));
    }
    cpv_fault_arm(0, CPV_FAULT_NONE, true);
    assert_true(k > 10 && k < MANY);
    assert_true(holds("f/small", "new"));
    assert_false(cpv_file_exists("f/.small.tmp"));
}

static void short_writes_are_continued(void **state)
{
    struct cpv_err err;

    (void)state;
    start_over();
    cpv_fault_arm(1, CPV_FAULT_SHORT, false);
    assert_ok(work(&err));
    assert_string_equal(cpv_fault_hit(), "write");
    assert_true(holds("f/g/file", content));
    assert_true(holds("f/small", "new"));
}

static void each_allocation_fails(void **state)
{
    unsigned long k;

    (void)state;
    for (k = 1; k < MANY; k++) {
        struct cpv_err err = {0};
        int rc;

        start_over();
        cpv_fault_arm(k, CPV_FAULT_ALLOC, true);
        rc = work(&err);
        if (!cpv_fault_hit())
            break;
        assert_int_equal(rc, CPV_E_MEMORY);
        assert_string_equal(err.text, "out of memory");
        check_and_finish();
    }
    assert_true(k > 4 && k < MANY);
}

static void a_kill_at_each_call(void **state)
{
    unsigned long k;
    int status = 0;

    (void)state;
    for (k = 1; k < MANY; k++) {
        pid_t child;

        start_over();
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct cpv_err err;

            cpv_fault_arm(k, CPV_FAULT_KILL, true);
            _exit(work(&err) ? 1 : 0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status))
            break;
        assert_int_equal(WTERMSIG(status), SIGKILL);
        check_and_finish();
    }
    assert_true(k > 15 && k < MANY);
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void stop_worker(void *arg, int worker)
{
    (void)arg;
    (void)worker;
}

/* Constructors of base: each allocation fails once, nothing leaks (ASan), all say so. */
static void constructors_without_memory(void **state)
{
    struct cpv_err err;
    cpv_arena *arena;
    cpv_queue *queue;
    cpv_pool *pool;

    (void)state;
    for (unsigned long k = 1; k <= 2; k++) {
        cpv_fault_arm(k, CPV_FAULT_ALLOC, true);
        assert_int_equal(cpv_queue_open(&queue, 4, &err), CPV_E_MEMORY);
        assert_null(queue);
    }
    cpv_fault_arm(1, CPV_FAULT_ALLOC, true);
    assert_int_equal(cpv_pool_open(&pool, "p", 1, 0, stop_worker, NULL, &err),
                     CPV_E_MEMORY);
    cpv_fault_arm(1, CPV_FAULT_ALLOC, true);
    assert_int_equal(cpv_arena_open(&arena, 0, &err), CPV_E_MEMORY);
    assert_ok(cpv_arena_open(&arena, 0, &err));
    cpv_fault_arm(1, CPV_FAULT_ALLOC, true);
    assert_null(cpv_arena_alloc(arena, 1));
    assert_non_null(cpv_arena_alloc(arena, 1));
    cpv_arena_close(&arena);
}

struct fields {
    struct cpv_texts list;
    const char *text;
};

/* All of cli.h in a row; the arena is small, so that it asks for blocks often. */
static int use_options(struct cpv_err *err)
{
    static const struct cpv_opt opts[] = {
        {.name = "list",
         .key = "list",
         .kind = CPV_OPT_LIST,
         .fallback = "[a, \"b\"]",
         .help = "Words."},
        {.name = "text", .kind = CPV_OPT_TEXT, .offset = offsetof(struct fields, text)},
        {.kind = CPV_OPT_END}};
    char *words[] = {(char *)"p", (char *)"--list=x,y", (char *)"--text", (char *)"t"};
    struct fields f;
    const struct cpv_opt_group group = {"G", "s", opts, &f};
    const struct cpv_program p = {"p", "1", "tests", "[options]", "Text.", &group, 1};
    struct cpv_buf b = {0};
    struct cpv_cli cli;
    cpv_arena *mem;
    int rc = cpv_arena_open(&mem, 32, err);

    if (rc)
        return rc;
    if (!(rc = cpv_opts_defaults(&p, mem, err)) &&
        !(rc = cpv_cli_parse(&p, 4, words, mem, &cli, err)) &&
        !(rc = cpv_cli_apply(&cli, mem, err))) {
        cpv_opts_value(&group, &opts[0], &b);
        cpv_program_help(&p, &b);
        cpv_program_man(&p, "1", &b);
        cpv_program_completion(&p, &b);
        rc = b.failed ? cpv_fail_memory(err) : CPV_OK;
        if (!rc && !cpv_opts_nearest_key(&p, "s.lost", mem))
            rc = cpv_fail_memory(err);
    }
    cpv_buf_release(&b);
    cpv_arena_close(&mem);
    return rc;
}

static void options_without_memory(void **state)
{
    unsigned long k;

    (void)state;
    for (k = 1; k < MANY; k++) {
        struct cpv_err err = {0};
        int rc;

        cpv_fault_arm(k, CPV_FAULT_ALLOC, true);
        rc = use_options(&err);
        if (!cpv_fault_hit())
            break;
        assert_int_equal(rc, CPV_E_MEMORY);
        assert_string_equal(err.text, "out of memory");
    }
    assert_true(k > 20 && k < MANY);
}

/* The same faults by environment, as the crash tests use them. */
static int run_self(const char *self, const char *settings)
{
    char command[4200];
    int status;

    (void)snprintf(command, sizeof command, "%s CPV_FAULT_COUNT=count exec '%s' work",
                   settings, self);
    status = shell(command);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static char self[4096]; /* of this program */

static void faults_by_environment(void **state)
{
    (void)state;
    start_over();
    assert_int_equal(run_self(self, "CPV_FAULT_KIND=none"), 0);
    assert_int_equal(shell("grep -qx 'hit -' count && grep -qE '^calls [0-9]{2}$' count"),
                     0);
    start_over();
    assert_int_equal(run_self(self, "CPV_FAULT_AT=3 CPV_FAULT_KIND=ENOSPC"), 74);
    assert_int_equal(shell("grep -qE '^hit [a-z]+$' count"), 0);
    start_over();
    assert_int_equal(run_self(self, "CPV_FAULT_AT=3 CPV_FAULT_KIND=kill"), 128 + SIGKILL);
    start_over();
    assert_int_equal(run_self(self, "CPV_FAULT_AT=1 CPV_FAULT_KIND=alloc"), 74);
    assert_int_equal(run_self(self, "CPV_FAULT_AT=x CPV_FAULT_KIND=kill 2>&-"), 70);
    assert_int_equal(run_self(self, "CPV_FAULT_AT=1 CPV_FAULT_KIND=EPERM 2>&-"), 70);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fault_table_is_the_one_in_use),
        cmocka_unit_test(each_call_fails_with_an_io_error),
        cmocka_unit_test(each_call_fails_with_a_full_disk),
        cmocka_unit_test(the_order_of_calls_of_a_draft),
        cmocka_unit_test(a_replaced_file_is_old_or_new),
        cmocka_unit_test(short_writes_are_continued),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(a_kill_at_each_call),
        cmocka_unit_test(constructors_without_memory),
        cmocka_unit_test(options_without_memory),
        cmocka_unit_test(faults_by_environment),
    };
    struct cpv_err err;

    if (argc == 2 && strcmp(argv[1], "work") == 0)
        return cpv_exit_status(work(&err));
    if (!realpath("/proc/self/exe", self))
        return 70;
    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
