/* SPDX-License-Identifier: Apache-2.0 */
/* The index: a function of shards and records alone, whatever happened to it before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/corpus/column.h"
#include "common/corpus/index.h"

static const char SETTINGS[] = "fetch.image_size: 256\n";

/* ---- a corpus to work on ---- */

struct world {
    char dir[64];
    cpv_arena *mem;
    struct cpv_buf warnings;
    cpv_log *log;
};

static void keep_warning(void *ctx, cpv_log_level level, const char *line, size_t size)
{
    struct world *w = ctx;

    if (level <= CPV_LOG_WARNING)
        cpv_buf_add(&w->warnings, line, size);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct cpv_err err = {0};

    assert_non_null(w);
    (void)snprintf(w->dir, sizeof w->dir, "capivara-index-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(cpv_arena_open(&w->mem, 0, &err), CPV_OK);
    assert_int_equal(
        cpv_log_open_sink(&w->log, "test", CPV_LOG_INFO, keep_warning, w, &err), CPV_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    (void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    cpv_log_close(&w->log);
    cpv_arena_close(&w->mem);
    cpv_buf_release(&w->warnings);
    free(w);
    return 0;
}

static const char *path_of(struct world *w, const char *name)
{
    const char *path = cpv_arena_printf(w->mem, "%s/%s", w->dir, name);

    assert_non_null(path);
    return path;
}

static void add_column(struct world *w, const char *column)
{
    struct cpv_err err = {0};
    const char *settings = cpv_arena_printf(w->mem, "%s/settings.yaml", column);

    assert_int_equal(cpv_folder_make(path_of(w, column), &err), CPV_OK);
    assert_int_equal(
        cpv_file_replace(path_of(w, settings), cpv_bytes_str(SETTINGS), &err), CPV_OK);
}

/* `samples` samples, keys counted from part * 100000, and two failed rows. */
static void add_part(struct world *w, const char *column, uint32_t part,
                     uint32_t revision, uint32_t samples)
{
    struct cpv_failure failures[2] = {
        {part * 100000ull + samples, "gone", "http_404", false, ""},
        {part * 100000ull + samples + 1, "it's", "timeout", true, "after 10 s"}};
    struct cpv_record_input input = {"rows", {(uint8_t)part, 1, 2}};
    struct cpv_record r = {.stage = column, .part = part, .revision = revision};
    struct cpv_shard_params params = {.level = 1};
    struct cpv_err err = {0};
    cpv_shard_writer *writer = NULL;
    bool existed;

    add_column(w, column);
    cpv_sha256_of(r.settings, cpv_bytes_str(SETTINGS));
    memcpy(params.settings, r.settings, sizeof params.settings);
    assert_int_equal(cpv_shard_create(&writer,
                                      cpv_column_path(w->mem, w->dir, column, part,
                                                      revision, CPV_FILE_SHARD),
                                      &params, &err),
                     CPV_OK);
    for (uint32_t i = 0; i < samples; i++) {
        const char *json = strcmp(column, "score-pt") == 0
                               ? "{\"similarities-pt\":[0.25,null,-0.5]}"
                               : "{\"similarities-pt\":[1]}";
        struct cpv_member members[2] = {{"json", cpv_bytes_str(json)},
                                        {"jpg", cpv_bytes_str("not really")}};
        char key[32];

        (void)snprintf(key, sizeof key, "%09u", part * 100000 + i);
        cpv_shard_put(writer, key, members, i % 3 ? 2 : 1); /* some without an image */
    }
    assert_int_equal(cpv_shard_commit(&writer, &r.shard, &existed, &err), CPV_OK);
    r.row_begin = part * 100000ull;
    r.row_end = r.row_begin + samples + 2;
    r.inputs = &input;
    r.n_inputs = 1;
    r.failures = failures;
    r.n_failures = 2;
    assert_int_equal(cpv_record_commit(cpv_column_path(w->mem, w->dir, column, part,
                                                       revision, CPV_FILE_RECORD),
                                       &r, &existed, &err),
                     CPV_OK);
}

static void remove_part(struct world *w, const char *column, uint32_t part,
                        uint32_t revision)
{
    assert_int_equal(
        unlink(cpv_column_path(w->mem, w->dir, column, part, revision, CPV_FILE_RECORD)),
        0);
    assert_int_equal(
        unlink(cpv_column_path(w->mem, w->dir, column, part, revision, CPV_FILE_SHARD)),
        0);
}

static struct cpv_index_counts update(struct world *w, bool fresh)
{
    struct cpv_index_counts counts = {0};
    struct cpv_err err = {0};
    cpv_index *x = NULL;

    if (cpv_index_open_write(&x, w->dir, fresh, 0, w->log, &err) ||
        cpv_index_update(x, &counts, &err))
        fail_msg("%s", err.text);
    cpv_index_close(&x);
    assert_null(x);
    return counts;
}

static int into_buffer(void *ctx, struct cpv_bytes text, struct cpv_err *err)
{
    (void)err;
    cpv_buf_add(ctx, text.data, text.size);
    return CPV_OK;
}

/* The dump, in the world's arena. */
static const char *dump(struct world *w)
{
    struct cpv_buf text = {0};
    struct cpv_err err = {0};
    cpv_index *x = NULL;
    const char *copy;

    if (cpv_index_open_read(&x, w->dir, &err) ||
        cpv_index_dump(x, into_buffer, &text, &err))
        fail_msg("%s", err.text);
    cpv_index_close(&x);
    copy = cpv_arena_str(w->mem, cpv_buf_view(&text));
    cpv_buf_release(&text);
    assert_non_null(copy);
    return copy;
}

static void run_sql(struct world *w, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path_of(w, "index.sqlite"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void count_problem(void *ctx, const char *line)
{
    (void)line;
    ++*(int *)ctx;
}

static int problems(struct world *w, uint32_t *behind)
{
    struct cpv_err err = {0};
    cpv_index *x = NULL;
    int n = 0;

    if (cpv_index_open_read(&x, w->dir, &err) ||
        cpv_index_check(x, count_problem, &n, behind, &err))
        fail_msg("%s", err.text);
    cpv_index_close(&x);
    return n;
}

static bool warned(const struct world *w, const char *of)
{
    return w->warnings.size &&
           memmem(w->warnings.data, w->warnings.size, of, strlen(of)) != NULL;
}

/* ---- what it holds ---- */

static void test_incremental_equals_rebuilt(void **state)
{
    struct world *w = *state;
    struct cpv_index_counts c;
    const char *incremental;

    add_part(w, "fetch", 2, 0, 70);
    c = update(w, false);
    assert_int_equal(c.added, 1);
    assert_int_equal(c.samples, 70);
    add_part(w, "fetch", 0, 0, 300);
    add_part(w, "shards/train", 0, 0, 5);
    c = update(w, false);
    assert_int_equal(c.added, 2);
    assert_int_equal(c.unchanged, 1);
    add_part(w, "fetch", 1, 0, 0);
    c = update(w, false);
    assert_int_equal(c.added, 1);
    assert_int_equal(c.unchanged, 3);

    incremental = dump(w);
    assert_non_null(
        strstr(incremental, "INSERT INTO samples VALUES('fetch',2,69,'000200069'"));
    assert_non_null(strstr(incremental, "'it''s','timeout',1,'after 10 s'"));
    c = update(w, true);
    assert_int_equal(c.added, 4);
    assert_string_equal(incremental, dump(w));
    assert_int_equal(w->warnings.size, 0);
}

static void test_a_newer_revision_replaces_a_part(void **state)
{
    struct world *w = *state;
    const char *incremental;
    struct cpv_index_counts c;

    add_part(w, "fetch", 0, 0, 10);
    (void)update(w, false);
    add_part(w, "fetch", 0, 1, 7);
    c = update(w, false);
    assert_int_equal(c.added, 1);
    incremental = dump(w);
    assert_null(strstr(incremental, "'000000009'"));
    assert_non_null(strstr(incremental, "INSERT INTO parts VALUES('fetch',0,1,"));
    (void)update(w, true);
    assert_string_equal(incremental, dump(w));
    assert_int_equal(w->warnings.size, 0); /* replaced, not made anew as damaged */
}

static void test_what_a_sample_lacks_is_null(void **state)
{
    struct world *w = *state;
    const char *row, *end;

    add_part(w, "fetch", 2, 0, 10);
    (void)update(w, false);
    row = strstr(dump(w), "'fetch',2,2,'000200002',0,2,");
    assert_non_null(row);
    assert_non_null(end = strchr(row, '\n'));
    assert_null(memmem(row, (size_t)(end - row), "NULL", 4));
    assert_non_null(memmem(row, (size_t)(end - row), "'jpg'", 5));
    row = strstr(dump(w), "'fetch',2,3,'000200003',0,1,"); /* the next has no image */
    assert_non_null(row);
    assert_non_null(end = strchr(row, '\n'));
    assert_non_null(memmem(row, (size_t)(end - row), ",NULL,NULL,NULL,NULL);", 22));
}

static void test_a_record_that_does_not_fit_its_shard_is_bad(void **state)
{
    struct world *w = *state;
    struct cpv_buf text = {0};
    struct cpv_err err = {0};
    char *at;

    add_part(w, "fetch", 0, 0, 10);
    assert_int_equal(cpv_file_read(path_of(w, "fetch/00000.json"), 1 << 20, &text, &err),
                     CPV_OK);
    assert_non_null(cpv_buf_cstr(&text));
    assert_non_null(at = strstr((char *)text.data, "\"samples\":10"));
    at[11] = '1';
    assert_int_equal(
        cpv_file_replace(path_of(w, "fetch/00000.json"), cpv_buf_view(&text), &err),
        CPV_OK);
    cpv_buf_release(&text);
    assert_int_equal(update(w, false).bad, 1);
    assert_true(warned(w, "is not the shard of its record"));
}

static void test_parts_that_are_gone_leave(void **state)
{
    struct world *w = *state;
    const char *one;
    struct cpv_index_counts c;

    add_part(w, "fetch", 0, 0, 10);
    (void)update(w, false);
    one = dump(w);
    add_part(w, "fetch", 1, 0, 10);
    add_part(w, "shards/x", 0, 0, 3);
    (void)update(w, false);
    assert_string_not_equal(one, dump(w));
    remove_part(w, "fetch", 1, 0);
    remove_part(w, "shards/x", 0, 0);
    c = update(w, false);
    assert_int_equal(c.removed, 2);
    assert_int_equal(c.unchanged, 1);
    assert_string_equal(one, dump(w));
}

static void test_a_bad_shard_is_left_out(void **state)
{
    struct world *w = *state;
    const char *shard = path_of(w, "fetch/00001.tar.zst"), *one;
    struct cpv_index_counts c;

    add_part(w, "fetch", 0, 0, 10);
    (void)update(w, false);
    one = dump(w);
    add_part(w, "fetch", 1, 0, 10);
    (void)update(w, false);
    assert_int_equal(truncate(shard, 100), 0);
    c = update(w, false);
    assert_int_equal(c.bad, 1);
    assert_int_equal(c.unchanged, 1);
    assert_true(warned(w, "00001.tar.zst"));
    assert_string_equal(one, dump(w));
    assert_int_equal(unlink(shard), 0);
    assert_int_equal(update(w, true).bad, 1);
    assert_string_equal(one, dump(w));
}

static void test_a_record_of_another_part_is_bad(void **state)
{
    struct world *w = *state;

    add_part(w, "fetch", 0, 0, 10);
    assert_int_equal(
        rename(path_of(w, "fetch/00000.json"), path_of(w, "fetch/00007.json")), 0);
    assert_int_equal(
        rename(path_of(w, "fetch/00000.tar.zst"), path_of(w, "fetch/00007.tar.zst")), 0);
    assert_int_equal(update(w, false).bad, 1);
    assert_true(warned(w, "record of another part"));
}

static void test_find(void **state)
{
    struct world *w = *state;
    struct cpv_index_place *at = NULL;
    struct cpv_err err = {0};
    cpv_index *x = NULL;
    uint32_t n = 9;

    add_part(w, "fetch", 0, 0, 10);
    add_part(w, "fetch", 1, 0, 10);
    add_part(w, "shards/train", 1, 2, 4);
    (void)update(w, false);
    assert_int_equal(cpv_index_open_read(&x, w->dir, &err), CPV_OK);
    assert_int_equal(cpv_index_find(x, "000100003", w->mem, &at, &n, &err), CPV_OK);
    assert_int_equal(n, 2);
    assert_string_equal(at[0].column, "fetch");
    assert_int_equal(at[0].part, 1);
    assert_int_equal(at[0].pos, 3);
    assert_string_equal(at[1].column, "shards/train");
    assert_int_equal(at[1].revision, 2);
    assert_int_equal(cpv_index_find(x, "nobody", w->mem, &at, &n, &err), CPV_OK);
    assert_int_equal(n, 0);
    cpv_index_close(&x);
}

static void test_totals_and_reasons(void **state)
{
    struct world *w = *state;
    struct cpv_index_totals t;
    struct cpv_status_count *why = NULL;
    struct cpv_err err = {0};
    cpv_index *x = NULL;
    uint32_t n = 0;

    add_part(w, "fetch", 0, 0, 10);
    add_part(w, "fetch", 1, 0, 20);
    (void)update(w, false);
    assert_int_equal(cpv_index_open_read(&x, w->dir, &err), CPV_OK);
    assert_int_equal(cpv_index_totals(x, "fetch", &t, &err), CPV_OK);
    assert_int_equal(t.parts, 2);
    assert_int_equal(t.samples, 30);
    assert_int_equal(t.failed, 4);
    assert_int_equal(t.transient, 2);
    assert_int_equal(cpv_index_reasons(x, "fetch", w->mem, &why, &n, &err), CPV_OK);
    assert_int_equal(n, 2);
    assert_string_equal(why[0].status, "http_404");
    assert_int_equal(why[1].count, 2);
    assert_int_equal(why[1].transient, 2);
    assert_int_equal(cpv_index_totals(x, "nothing", &t, &err), CPV_OK);
    assert_int_equal(t.parts, 0);
    cpv_index_close(&x);
}

/* ---- what lies in its place ---- */

static void put_file(struct world *w, const char *name, const char *text, size_t n)
{
    struct cpv_err err = {0};

    assert_int_equal(cpv_file_replace(path_of(w, name), cpv_bytes_of(text, n), &err),
                     CPV_OK);
}

static void test_garbage_is_set_aside(void **state)
{
    struct world *w = *state;
    const char *good;

    add_part(w, "fetch", 0, 0, 10);
    (void)update(w, false);
    good = dump(w);
    put_file(w, "index.sqlite",
             "this is no database, but long enough for its header ....", 56);
    assert_int_equal(update(w, false).added, 1);
    assert_true(warned(w, "set aside"));
    assert_true(cpv_file_exists(path_of(w, "index.sqlite.damaged")));
    assert_string_equal(good, dump(w));
}

static void test_an_empty_file_is_no_damage(void **state)
{
    struct world *w = *state;

    add_part(w, "fetch", 0, 0, 10);
    put_file(w, "index.sqlite", "", 0);
    assert_int_equal(update(w, false).added, 1);
    assert_int_equal(w->warnings.size, 0);
}

static void test_a_foreign_database_is_set_aside(void **state)
{
    struct world *w = *state;

    add_part(w, "fetch", 0, 0, 10);
    run_sql(w, "CREATE TABLE precious(x); INSERT INTO precious VALUES(1)");
    assert_int_equal(update(w, false).added, 1);
    assert_true(warned(w, "not an index of ours"));
    assert_true(cpv_file_exists(path_of(w, "index.sqlite.damaged")));
}

static void test_another_version_is_made_anew(void **state)
{
    struct world *w = *state;
    const char *good;

    add_part(w, "fetch", 0, 0, 10);
    (void)update(w, false);
    good = dump(w);
    run_sql(w, "PRAGMA user_version = 7");
    assert_int_equal(update(w, false).added, 1);
    assert_false(cpv_file_exists(path_of(w, "index.sqlite.damaged")));
    assert_string_equal(good, dump(w));
}

/* Pages overwritten in the middle: noticed while it is being used, or not at all; what
 * update leaves is right if it says so. */
static void test_damaged_pages_are_replaced(void **state)
{
    struct world *w = *state;
    struct stat st;

    add_part(w, "fetch", 0, 0, 2000);
    (void)update(w, false);
    assert_int_equal(stat(path_of(w, "index.sqlite"), &st), 0);
    for (off_t at = 8192; at < st.st_size; at += 8192) {
        static const char JUNK[64] = "junk junk junk junk";
        int fd;

        fd = open(path_of(w, "index.sqlite"), O_WRONLY);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, JUNK, sizeof JUNK, at), sizeof JUNK);
        assert_int_equal(close(fd), 0);
    }
    add_part(w, "fetch", 1, 0, 2000);
    assert_int_equal(update(w, false).added, 2);
    assert_true(warned(w, "set aside"));
    {
        const char *now = dump(w);

        (void)update(w, true);
        assert_string_equal(now, dump(w));
    }
}

/* ---- at the same time, and cut short ---- */

static void test_one_writer(void **state)
{
    struct world *w = *state;
    struct cpv_err err = {0};
    cpv_index *a = NULL, *b = NULL;

    add_part(w, "fetch", 0, 0, 10);
    assert_int_equal(cpv_index_open_write(&a, w->dir, false, 0, NULL, &err), CPV_OK);
    assert_int_equal(cpv_index_open_write(&b, w->dir, false, 50, NULL, &err), CPV_E_BUSY);
    assert_null(b);
    cpv_index_close(&a);
    assert_int_equal(cpv_index_open_write(&b, w->dir, false, 0, NULL, &err), CPV_OK);
    cpv_index_close(&b);
}

static void test_readers_see_a_whole_state(void **state)
{
    struct world *w = *state;
    struct cpv_index_counts counts;
    struct cpv_index_totals t;
    struct cpv_err err = {0};
    cpv_index *writer = NULL, *reader = NULL;

    add_part(w, "fetch", 0, 0, 10);
    assert_int_equal(cpv_index_open_write(&writer, w->dir, false, 0, NULL, &err), CPV_OK);
    assert_int_equal(cpv_index_update(writer, &counts, &err), CPV_OK);
    assert_int_equal(cpv_index_open_read(&reader, w->dir, &err), CPV_OK);
    assert_int_equal(cpv_index_totals(reader, "fetch", &t, &err), CPV_OK);
    assert_int_equal(t.samples, 10);
    cpv_index_close(&writer); /* with a reader in the way */
    assert_int_equal(cpv_index_totals(reader, "fetch", &t, &err), CPV_OK);
    cpv_index_close(&reader);
}

static bool has_wal(struct world *w)
{
    return cpv_file_exists(path_of(w, "index.sqlite-wal")) ||
           cpv_file_exists(path_of(w, "index.sqlite-shm"));
}

static void test_finished_opens_immutable(void **state)
{
    struct world *w = *state;
    struct cpv_err err = {0};
    cpv_index *x = NULL;
    sqlite3 *db = NULL;
    const char *uri;

    add_part(w, "fetch", 0, 0, 10);
    (void)update(w, false);
    assert_int_equal(cpv_index_open_write(&x, w->dir, false, 0, NULL, &err), CPV_OK);
    assert_int_equal(cpv_index_finish(x, &err), CPV_OK);
    cpv_index_close(&x);
    assert_false(has_wal(w));
    uri = cpv_arena_printf(w->mem, "file:%s/index.sqlite?immutable=1", w->dir);
    assert_int_equal(
        sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT count(*) FROM samples", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* A child is killed at some point of an update, again and again. */
static void test_killed_while_filling(void **state)
{
    struct world *w = *state;
    const char *good;
    int killed = 0;

    for (uint32_t p = 0; p < 12; p++)
        add_part(w, "fetch", p, 0, 400);
    (void)update(w, true);
    good = dump(w);
    for (int i = 0; i < 25; i++) {
        struct timespec pause = {0, 1000000L + i * 900000L};
        int status;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            cpv_index *x = NULL;
            struct cpv_index_counts counts;

            if (cpv_index_open_write(&x, w->dir, i % 2, 0, NULL, NULL) == CPV_OK &&
                cpv_index_update(x, &counts, NULL) == CPV_OK)
                cpv_index_close(&x);
            _exit(0);
        }
        (void)nanosleep(&pause, NULL);
        (void)kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        killed += WIFSIGNALED(status);
        if (i % 5 == 0) {
            (void)update(w, false);
            assert_string_equal(good, dump(w));
        }
    }
    assert_true(killed > 0);
    (void)update(w, false);
    assert_string_equal(good, dump(w));
    assert_int_equal(w->warnings.size, 0);
}

/* ---- checking ---- */

static void test_check(void **state)
{
    struct world *w = *state;
    uint32_t behind = 9;

    add_part(w, "fetch", 0, 0, 100);
    add_part(w, "fetch", 1, 0, 100);
    (void)update(w, false);
    assert_int_equal(problems(w, &behind), 0);
    assert_int_equal(behind, 0);
    add_part(w, "fetch", 2, 0, 100);
    remove_part(w, "fetch", 0, 0);
    assert_int_equal(problems(w, &behind), 0);
    assert_int_equal(behind, 2);
    run_sql(w, "UPDATE samples SET image_at = 1 WHERE part = 1 AND pos = 7");
    assert_int_equal(problems(w, &behind), 1);
    run_sql(w, "DELETE FROM failures WHERE part = 1");
    assert_int_equal(problems(w, &behind), 2);
}

static void test_absent_and_strange(void **state)
{
    struct world *w = *state;
    struct cpv_err err = {0};
    cpv_index *x = NULL;

    assert_int_equal(cpv_index_open_read(&x, w->dir, &err), CPV_E_ABSENT);
    assert_null(x);
    run_sql(w, "CREATE TABLE t(x)");
    assert_int_equal(cpv_index_open_read(&x, w->dir, &err), CPV_E_CORRUPT);
    assert_null(x);
    assert_int_equal(
        cpv_index_open_write(&x, "/nonexistent/corpus", false, 0, NULL, &err),
        CPV_E_ABSENT);
    assert_null(x);
}

/* Those of columns of similarities, and what is null has none. */
static void similarities_are_rows(void **state)
{
    struct world *w = *state;
    const char *text;

    add_part(w, "fetch", 0, 0, 2);
    add_part(w, "score-pt", 0, 0, 2);
    (void)update(w, true);
    text = dump(w);
    assert_non_null(strstr(text, "'score-pt',0,0,0,0.25"));
    assert_non_null(strstr(text, "'score-pt',0,1,2,-0.5"));
    assert_null(strstr(text, "'score-pt',0,0,1,"));
    assert_null(strstr(text, "'fetch',0,0,0,1.0"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(similarities_are_rows),
        TEST(test_incremental_equals_rebuilt),
        TEST(test_a_newer_revision_replaces_a_part),
        TEST(test_what_a_sample_lacks_is_null),
        TEST(test_a_record_that_does_not_fit_its_shard_is_bad),
        TEST(test_parts_that_are_gone_leave),
        TEST(test_a_bad_shard_is_left_out),
        TEST(test_a_record_of_another_part_is_bad),
        TEST(test_find),
        TEST(test_totals_and_reasons),
        TEST(test_garbage_is_set_aside),
        TEST(test_an_empty_file_is_no_damage),
        TEST(test_a_foreign_database_is_set_aside),
        TEST(test_another_version_is_made_anew),
        TEST(test_damaged_pages_are_replaced),
        TEST(test_one_writer),
        TEST(test_readers_see_a_whole_state),
        TEST(test_finished_opens_immutable),
        TEST(test_killed_while_filling),
        TEST(test_check),
        TEST(test_absent_and_strange),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
