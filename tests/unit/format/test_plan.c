/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h: parts cover all rows, digests follow content alone, caches are never trusted.
 */
#include "tests/unit/format/input_unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/format/plan.h"

static const char *const url_column[] = {"url"};

static struct cpv_plan *make(const struct cpv_rows_params *p, uint64_t per_part)
{
    struct cpv_err err = {0};
    struct cpv_plan *plan;

    assert_ok(cpv_plan_make(&plan, p, per_part, NULL, &err));
    return plan;
}

/* Everything that a row says, as text. */
static void show(struct cpv_buf *b, const struct cpv_row *row)
{
    cpv_buf_printf(b, "%llu %llu %s %s %s", (unsigned long long)row->number,
                   (unsigned long long)row->line, row->bad ? row->bad : "",
                   row->url ? row->url : "", row->file ? row->file : "");
    for (size_t i = 0; i < row->captions.count; i++)
        cpv_buf_printf(b, " [%s]", row->captions.at[i]);
    cpv_buf_byte(b, '\n');
}

static int drain(cpv_rows *r, struct cpv_buf *b, struct cpv_err *err)
{
    struct cpv_row row;
    cpv_arena *mem;
    int rc;

    assert_int_equal(cpv_arena_open(&mem, 0, NULL), 0);
    while ((rc = cpv_rows_next(r, mem, &row, err)) == 1)
        show(b, &row);
    cpv_arena_close(&mem);
    return rc;
}

/* Whatever the size of the parts and their order, they are the whole. */
static void expect_parts_are_the_whole(const struct cpv_rows_params *p)
{
    static const uint64_t sizes[] = {1, 2, 3, 7, 1000};
    struct cpv_buf whole = {0};
    struct cpv_err err = {0};
    cpv_rows *r;

    assert_ok(cpv_rows_open(&r, p, &err));
    assert_ok(drain(r, &whole, &err));
    cpv_rows_close(&r);
    for (size_t s = 0; s < 5; s++) {
        struct cpv_plan *plan = make(p, sizes[s]);
        struct cpv_buf opened = {0}, moved = {0};

        assert_int_equal(plan->n_parts, (plan->rows + sizes[s] - 1) / sizes[s]);
        r = NULL;
        for (uint32_t i = 0; i < plan->n_parts; i++) {
            const struct cpv_plan_part *part = &plan->parts[i];
            cpv_rows *one;

            assert_int_equal(part->row_begin, i * sizes[s]);
            assert_int_equal(part->row_end,
                             i + 1 == plan->n_parts ? plan->rows : (i + 1) * sizes[s]);
            assert_ok(cpv_rows_open_part(&one, p, plan, i, &err));
            assert_ok(drain(one, &opened, &err));
            cpv_rows_close(&one);
            if (!r) { /* one reader: the last part, then all of them in order */
                assert_ok(cpv_rows_open_part(&r, p, plan, plan->n_parts - 1, &err));
                assert_ok(drain(r, &moved, &err));
                cpv_buf_clear(&moved);
            }
            assert_ok(cpv_rows_move_part(r, plan, i, &err));
            assert_ok(drain(r, &moved, &err));
        }
        cpv_rows_close(&r);
        assert_string_equal(cpv_buf_cstr(&opened), cpv_buf_cstr(&whole));
        assert_string_equal(cpv_buf_cstr(&moved), cpv_buf_cstr(&whole));
        cpv_buf_release(&opened);
        cpv_buf_release(&moved);
        cpv_plan_close(&plan);
    }
    cpv_buf_release(&whole);
}

static void parts_are_the_whole_in_every_format(void **state)
{
    static const char tsv[] =
        "\xEF\xBB\xBFurl\tc\nu1\ta\nbad\nu2\tb\r\n\nu3\tc\nu4\td\nu5\te\n"
        "u6\tf\nu7\tg";
    struct cpv_rows_params p = {.format = CPV_ROWS_TSV, .captions = {url_column, 1}};

    (void)state;
    p.path = make_text("a", tsv);
    expect_parts_are_the_whole(&p);
    p.path = make_gzip("b", tsv);
    expect_parts_are_the_whole(&p);
    p.path = make_zstd("c", tsv);
    expect_parts_are_the_whole(&p);
    p.format = CPV_ROWS_CSV;
    p.path = make_text(
        "d", "url,c\nu1,\"a\n\nb\"\nu2,\"x\"y\n\"u3\",\"\"\"\r\n\"\r\nu4,\"open\nu5,z\n");
    expect_parts_are_the_whole(&p);
    p = (struct cpv_rows_params){.format = CPV_ROWS_TXT};
    p.path = make_text("e", "\n\nu1\n \nu2\r\n\t\nu3\n\n");
    expect_parts_are_the_whole(&p);
    p.path = make_text("f", "");
    expect_parts_are_the_whole(&p);
    p.format = CPV_ROWS_JSONL;
    p.path = make_text("g", "{\"url\":\"u1\"}\n\n{\n{\"url\":\"u2\"}\n");
    expect_parts_are_the_whole(&p);
    p.format = CPV_ROWS_COCO;
    p.path = make_text(
        "h", "{\"images\":[{\"id\":1,\"coco_url\":\"u1\"},{\"id\":2,\"coco_url\":"
             "\"u2\"},3],\"annotations\":[{\"image_id\":2,\"caption\":\"x\"},"
             "{\"image_id\":7,\"caption\":\"y\"}]}");
    expect_parts_are_the_whole(&p);
    assert_int_equal(mkdir("folder", 0700), 0);
    (void)make_text("folder/b.jpg", "");
    (void)make_text("folder/a.jpg", "");
    (void)make_text("folder/a.txt", "caption\n");
    p = (struct cpv_rows_params){.path = "folder"};
    expect_parts_are_the_whole(&p);
}

/* A file larger than the reader's window, lines of all lengths, CRLF here and there. */
static void parts_hold_across_windows(void **state)
{
    struct cpv_rows_params p = {.format = CPV_ROWS_TXT, .max_line = 3000};
    struct cpv_buf text = {0}, whole = {0}, parts = {0};
    struct cpv_err err = {0};
    struct cpv_plan *plan;
    uint32_t x = 7;
    cpv_rows *r;

    (void)state;
    for (int i = 0; i < 4000; i++) {
        x = x * 1664525 + 1013904223;
        for (uint32_t k = 0, n = x >> 20; k < n; k++) /* up to 4,095 bytes */
            cpv_buf_byte(&text, (uint8_t)('a' + (i + (int)k) % 26));
        cpv_buf_str(&text, x & 1024 ? "\r\n" : "\n");
    }
    p.path = make_file("wide", text.data, text.size);
    assert_true(text.size > 4 << 20);
    assert_ok(cpv_rows_open(&r, &p, &err));
    assert_ok(drain(r, &whole, &err));
    cpv_rows_close(&r);
    plan = make(&p, 97);
    assert_true(plan->bad > 500);
    for (uint32_t i = 0; i < plan->n_parts; i++) {
        assert_ok(cpv_rows_open_part(&r, &p, plan, i, &err));
        assert_ok(drain(r, &parts, &err));
        cpv_rows_close(&r);
    }
    assert_int_equal(parts.size, whole.size);
    assert_memory_equal(parts.data, whole.data, whole.size);
    cpv_plan_close(&plan);
    cpv_buf_release(&text);
    cpv_buf_release(&whole);
    cpv_buf_release(&parts);
}

/* SHA-256 of "u1\ta\nu2\tb\n" and "u3\tc\n", from sha256sum. */
static void the_digest_is_of_the_lines(void **state)
{
    static const char first[] =
        "940f4e7173086db3f9321115ed1ef7bfe12b0163ebae3c84654bf966498a5c47";
    static const char second[] =
        "9da8a740577f5aff59313cd7f2c5de8b0e98a822c4d1401316c6d1399f59b4c3";
    static const char *const texts[] = {"url\tc\nu1\ta\nu2\tb\nu3\tc\n",
                                        "url\tc\nu1\ta\nu2\tb\nu3\tc",
                                        "url\tc\r\nu1\ta\r\nu2\tb\r\nu3\tc\r\n"};
    struct cpv_rows_params p = {.format = CPV_ROWS_TSV};

    (void)state;
    for (int i = 0; i < 9; i++) {
        char hex[CPV_SHA256_HEX];
        struct cpv_plan *plan;

        p.path = i % 3 == 0   ? make_text("a", texts[i / 3])
                 : i % 3 == 1 ? make_gzip("a", texts[i / 3])
                              : make_zstd("a", texts[i / 3]);
        plan = make(&p, 2);
        assert_int_equal(plan->rows, 3);
        assert_int_equal(plan->n_parts, 2);
        cpv_hex(hex, plan->parts[0].sha256, 32);
        assert_string_equal(hex, first);
        cpv_hex(hex, plan->parts[1].sha256, 32);
        assert_string_equal(hex, second);
        cpv_plan_close(&plan);
    }
}

/* Of "u1\nu2\n": lines that are no rows leave no trace. */
static void blank_lines_are_in_no_digest(void **state)
{
    struct cpv_rows_params p = {.format = CPV_ROWS_TXT};
    struct cpv_plan *plan;
    char hex[CPV_SHA256_HEX];

    (void)state;
    p.path = make_text("a", "\nu1\n \t\n\nu2\n\n");
    plan = make(&p, 10);
    cpv_hex(hex, plan->parts[0].sha256, 32);
    assert_string_equal(
        hex, "9817499bfd92d44502b30a383f35ffa91dd38283d3f4dcc2354bb2a945152878");
    cpv_plan_close(&plan);
}

/* Also in the middle of a line that is too long for the window: all of it counts. */
static void a_change_in_a_long_line_counts(void **state)
{
    enum { SIZE = 5 << 20 };
    static const size_t places[] = {0, 2999, 3001, 1 << 20, (3 << 20) + 17, SIZE - 1};
    struct cpv_rows_params p = {.format = CPV_ROWS_TXT, .max_line = 3000};
    uint8_t first[CPV_SHA256_SIZE];
    struct cpv_buf b = {0};

    (void)state;
    for (size_t i = 0; i < 7; i++) {
        struct cpv_plan *plan;

        cpv_buf_clear(&b);
        memset(cpv_buf_reserve(&b, SIZE), 'a', SIZE);
        b.size = SIZE;
        if (i)
            b.data[places[i - 1]] = 'b';
        cpv_buf_str(&b, "\r\nu2\n");
        p.path = make_file("long", b.data, b.size);
        plan = make(&p, 10);
        assert_int_equal(plan->rows, 2);
        assert_int_equal(plan->bad, 1);
        if (i == 0)
            memcpy(first, plan->parts[0].sha256, sizeof first);
        else
            assert_memory_not_equal(first, plan->parts[0].sha256, sizeof first);
        cpv_plan_close(&plan);
    }
    b.data[SIZE - 1] = 'a'; /* LF for CRLF: the same */
    b.size = SIZE;
    cpv_buf_str(&b, "\nu2\n");
    p.path = make_file("long", b.data, b.size);
    {
        struct cpv_plan *plan = make(&p, 10);

        assert_memory_equal(first, plan->parts[0].sha256, sizeof first);
        cpv_plan_close(&plan);
    }
    cpv_buf_release(&b);
}

static void any_change_changes_its_part_alone(void **state)
{
    static const struct {
        cpv_rows_format format;
        const char *before, *after;
    } cases[] = {
        {CPV_ROWS_TSV, "url\tc\nu1\ta\nu2\tb\n", "url\tc\nu1\ta\nu2\tB\n"},
        {CPV_ROWS_TSV, "url\tc\nu1\ta\nu2\tb\n", "url\tc\nu1\ta\nu2\tb \n"},
        {CPV_ROWS_CSV, "url,c\nu1,a\nu2,b\n", "url,c\nu1,a\nu2,\"b\"\n"},
        {CPV_ROWS_JSONL, "{\"url\":\"a\"}\n{\"url\":\"b\"}\n",
         "{\"url\":\"a\"}\n{\"url\":\"c\"}\n"},
        {CPV_ROWS_COCO,
         "{\"images\":[{\"id\":1,\"coco_url\":\"a\"},{\"id\":2,\"coco_url\":\"b\"}],"
         "\"annotations\":[{\"image_id\":2,\"caption\":\"x\"}]}",
         "{\"images\":[{\"id\":1,\"coco_url\":\"a\"},{\"id\":2,\"coco_url\":\"b\"}],"
         "\"annotations\":[{\"image_id\":2,\"caption\":\"y\"}]}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cpv_rows_params p = {.format = cases[i].format};
        struct cpv_plan *before, *after;

        p.path = make_text("a", cases[i].before);
        before = make(&p, 1);
        p.path = make_text("a", cases[i].after);
        after = make(&p, 1);
        assert_int_equal(before->n_parts, 2);
        assert_int_equal(after->n_parts, 2);
        assert_memory_equal(before->parts[0].sha256, after->parts[0].sha256, 32);
        assert_memory_not_equal(before->parts[1].sha256, after->parts[1].sha256, 32);
        cpv_plan_close(&before);
        cpv_plan_close(&after);
    }
}

static void a_file_that_changed_since_is_noticed(void **state)
{
    static const char *const later[] = {"u1\nu2\nu3\nX4\nu5\n", "u1\nu2\nu3\n", "",
                                        "u1\nu2\nu3u4\nu5\nu6\n"};
    struct cpv_rows_params p = {.format = CPV_ROWS_TXT};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct cpv_err err = {0};
        struct cpv_buf b = {0};
        struct cpv_plan *plan;
        cpv_rows *r;

        p.path = make_text("a", "u1\nu2\nu3\nu4\nu5\n");
        plan = make(&p, 2);
        p.path = make_text("a", later[i]);
        assert_ok(cpv_rows_open_part(&r, &p, plan, 1, &err));
        assert_int_equal(drain(r, &b, &err), CPV_E_INPUT);
        assert_non_null(strstr(err.text, "changed since"));
        cpv_rows_close(&r);
        assert_int_equal(cpv_rows_open_part(&r, &p, plan, 3, &err), CPV_E_USAGE);
        assert_null(r);
        cpv_plan_close(&plan);
        cpv_buf_release(&b);
    }
}

static void bad_rows_are_counted(void **state)
{
    struct cpv_rows_params p = {
        .path = make_text("a.tsv", "url\tc\nu\ta\nu\nu\ta\tb\n\n\tno url\n")};
    struct cpv_plan *plan = make(&p, 10);

    (void)state;
    assert_int_equal(plan->rows, 5);
    assert_int_equal(plan->bad, 3); /* what is in the fields is not looked at */
    cpv_plan_close(&plan);
}

static void expect_equal(const struct cpv_plan *a, const struct cpv_plan *b)
{
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->bad, b->bad);
    assert_int_equal(a->n_parts, b->n_parts);
    for (uint32_t i = 0; i < a->n_parts; i++) {
        assert_int_equal(a->parts[i].row_begin, b->parts[i].row_begin);
        assert_int_equal(a->parts[i].row_end, b->parts[i].row_end);
        assert_int_equal(a->parts[i].offset, b->parts[i].offset);
        assert_int_equal(a->parts[i].line, b->parts[i].line);
        assert_memory_equal(a->parts[i].sha256, b->parts[i].sha256, 32);
    }
}

static int load(struct cpv_plan **out, const struct cpv_rows_params *p, uint64_t per_part)
{
    struct cpv_err err = {0};
    int rc = cpv_plan_load(out, "cache", p, per_part, &err);

    assert_true(rc == 0 || rc == 1);
    assert_int_equal(*out != NULL, rc);
    return rc;
}

static void a_cache_is_believed_only_if_it_is_right(void **state)
{
    struct cpv_rows_params p = {.path = make_text("a.tsv", "url\tc\nu\ta\nu\nu\tb\n")},
                           q = p;
    struct cpv_plan *plan = make(&p, 2), *got;
    struct cpv_err err = {0};
    struct cpv_buf file = {0};
    struct timespec times[2];
    struct stat st;

    (void)state;
    assert_int_equal(load(&got, &p, 2), 0); /* none yet */
    assert_ok(cpv_plan_save(plan, "cache", &p, 2, &err));
    assert_int_equal(load(&got, &p, 2), 1);
    expect_equal(plan, got);
    cpv_plan_close(&got);

    assert_int_equal(load(&got, &p, 3), 0); /* other parameters */
    assert_int_equal(load(&got, &p, 0), 0);
    q.header = CPV_ROWS_HEADER_YES;
    assert_int_equal(load(&got, &q, 2), 0);
    q = p;
    q.captions = (struct cpv_texts){url_column, 1};
    assert_int_equal(load(&got, &q, 2), 0);

    assert_ok(cpv_file_read("cache", 1 << 20, &file, &err)); /* damage, byte by byte */
    for (size_t i = 0; i < file.size; i++) {
        file.data[i] ^= 1;
        (void)make_file("cache", file.data, file.size);
        assert_int_equal(load(&got, &p, 2), 0);
        file.data[i] ^= 1;
        (void)make_file("cache", file.data, i);
        assert_int_equal(load(&got, &p, 2), 0);
    }
    (void)make_file("cache", file.data, file.size);
    assert_int_equal(load(&got, &p, 2), 1);
    cpv_plan_close(&got);
    (void)make_text("b.tsv",
                    "url\tc\nu\ta\nu\nu\tb\n"); /* another file of the same size */
    assert_int_equal(stat("a.tsv", &st), 0);
    times[0] = times[1] = st.st_mtim; /* ... and of the same time */
    assert_int_equal(utimensat(AT_FDCWD, "b.tsv", times, 0), 0);
    assert_int_equal(rename("b.tsv", "a.tsv"), 0);
    assert_int_equal(load(&got, &p, 2), 0);
    cpv_buf_release(&file);
    cpv_plan_close(&plan);
}

static void a_plan_of_what_changed_meanwhile_is_not_kept(void **state)
{
    struct cpv_rows_params p = {.path = make_text("a.txt", "u1\nu2\n")};
    struct cpv_plan *plan = make(&p, 2);
    struct cpv_err err = {0};

    (void)state;
    (void)make_text("a.txt", "u1\nu2\nu3\n");
    (void)remove("cache");
    assert_ok(cpv_plan_save(plan, "cache", &p, 2, &err));
    assert_false(cpv_file_exists("cache"));
    cpv_plan_close(&plan);
    p.path = "folder";
    plan = make(&p, 2);
    assert_ok(cpv_plan_save(plan, "cache", &p, 2, &err));
    assert_false(cpv_file_exists("cache"));
    cpv_plan_close(&plan);
}

static bool stop_at_once(void *payload, uint64_t rows, uint64_t bytes)
{
    *(uint64_t *)payload = rows + (bytes == 0);
    return false;
}

static void a_watch_can_stop_it(void **state)
{
    struct cpv_rows_params p = {.path = "wide", .format = CPV_ROWS_TXT};
    uint64_t seen = 0;
    struct cpv_plan_watch watch = {stop_at_once, &seen};
    struct cpv_err err = {0};
    struct cpv_plan *plan;

    (void)state;
    assert_int_equal(cpv_plan_make(&plan, &p, 10, &watch, &err), CPV_E_STOPPED);
    assert_null(plan);
    assert_true(seen > 100 && seen < 4000);
    assert_int_equal(cpv_plan_make(&plan, &p, 0, NULL, &err), CPV_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_the_whole_in_every_format),
        cmocka_unit_test(parts_hold_across_windows),
        cmocka_unit_test(the_digest_is_of_the_lines),
        cmocka_unit_test(blank_lines_are_in_no_digest),
        cmocka_unit_test(a_change_in_a_long_line_counts),
        cmocka_unit_test(any_change_changes_its_part_alone),
        cmocka_unit_test(a_file_that_changed_since_is_noticed),
        cmocka_unit_test(bad_rows_are_counted),
        cmocka_unit_test(a_cache_is_believed_only_if_it_is_right),
        cmocka_unit_test(a_plan_of_what_changed_meanwhile_is_not_kept),
        cmocka_unit_test(a_watch_can_stop_it),
    };

    return cmocka_run_group_tests_name("plan", tests, enter_scratch, leave_scratch);
}
