/* SPDX-License-Identifier: Apache-2.0 */
/* Names of parts, and which of their revisions count. */
#include "tests/unit/base/unit.h"

#include <sys/stat.h>

#include "common/corpus/column.h"

static void touch(const char *path)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fclose(f);
}

static void names_are_parsed(void **state)
{
    static const struct {
        const char *name;
        bool good;
        uint32_t part, revision;
        enum cpv_part_file file;
    } cases[] = {
        {"00000.tar.zst", true, 0, 0, CPV_FILE_SHARD},
        {"00012.r3.json", true, 12, 3, CPV_FILE_RECORD},
        {"00012.stats.json", true, 12, 0, CPV_FILE_STATS},
        {".00007.r1.journal", true, 7, 1, CPV_FILE_JOURNAL},
        {"00007.journal", false, 0, 0, 0},
        {".00000.tar.zst", false, 0, 0, 0},
        {"0012.json", false, 0, 0, 0},
        {"00012.r0.json", false, 0, 0, 0},
        {"00012.r.json", false, 0, 0, 0},
        {"00012.r1json", false, 0, 0, 0},
        {"99999999999999999999.json", false, 0, 0, 0},
        {"settings.yaml", false, 0, 0, 0},
        {"", false, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t part, revision;
        enum cpv_part_file file;
        bool good = cpv_column_parse_name(cases[i].name, &part, &revision, &file);

        assert_int_equal(good, cases[i].good);
        if (!good)
            continue;
        assert_int_equal(part, cases[i].part);
        assert_int_equal(revision, cases[i].revision);
        assert_int_equal(file, cases[i].file);
    }
}

static void paths_parse_back(void **state)
{
    cpv_arena *mem;
    struct cpv_err err;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    for (int f = CPV_FILE_SHARD; f <= CPV_FILE_JOURNAL; f++) {
        const char *path =
            cpv_column_path(mem, "c", "fetch", 42, 5, (enum cpv_part_file)f);
        uint32_t part, revision;
        enum cpv_part_file file;

        assert_non_null(path);
        assert_memory_equal(path, "c/fetch/", 8);
        assert_true(cpv_column_parse_name(path + 8, &part, &revision, &file));
        assert_int_equal(part, 42);
        assert_int_equal(revision, 5);
        assert_int_equal(file, f);
    }
    cpv_arena_close(&mem);
}

static void the_highest_revision_with_a_record_counts(void **state)
{
    struct cpv_column c;
    cpv_arena *mem;
    struct cpv_err err = {0};
    uint32_t revision;

    (void)state;
    assert_int_equal(mkdir("fetch", 0777), 0);
    touch("fetch/00001.tar.zst");
    touch("fetch/00001.json");
    touch("fetch/00001.r1.tar.zst");
    touch("fetch/00001.r1.json");
    touch("fetch/00001.r2.tar.zst"); /* cut off before its record */
    touch("fetch/00000.tar.zst");
    touch("fetch/00000.json");
    touch("fetch/00000.stats.json");
    touch("fetch/00003.tar.zst");
    touch("fetch/.00003.journal");
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_column_scan(".", "fetch", mem, &c, &err));
    assert_int_equal(c.count, 2);
    assert_int_equal(c.superseded, 1);
    assert_int_equal(c.orphans, 2);
    assert_true(cpv_column_find(&c, 0, &revision));
    assert_int_equal(revision, 0);
    assert_true(cpv_column_find(&c, 1, &revision));
    assert_int_equal(revision, 1);
    assert_false(cpv_column_find(&c, 3, &revision));
    assert_ok(cpv_column_scan(".", "nowhere", mem, &c, &err));
    assert_int_equal(c.count, 0);
    cpv_arena_close(&mem);
}

/* An input that became shorter: what lies beyond stays, does not count, and comes back.
 */
static void parts_beyond_the_column_do_not_count(void **state)
{
    struct cpv_column c;
    cpv_arena *mem;
    struct cpv_err err = {0};
    uint32_t revision;

    (void)state;
    assert_int_equal(mkdir("fetch", 0777), 0);
    for (int i = 0; i < 3; i++) {
        char name[64];

        (void)snprintf(name, sizeof name, "fetch/%05d.tar.zst", i);
        touch(name);
        (void)snprintf(name, sizeof name, "fetch/%05d.json", i);
        touch(name);
    }
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_column_set_parts(".", "fetch", 2, &err));
    assert_ok(cpv_column_scan(".", "fetch", mem, &c, &err));
    assert_int_equal(c.count, 2);
    assert_int_equal(c.beyond, 1);
    assert_int_equal(c.orphans, 0);
    assert_false(cpv_column_find(&c, 2, &revision));
    assert_true(cpv_column_find_any(&c, 2, &revision));
    assert_ok(cpv_column_set_parts(".", "fetch", 3, &err));
    assert_ok(cpv_column_scan(".", "fetch", mem, &c, &err));
    assert_int_equal(c.count, 3);
    assert_int_equal(c.beyond, 0);
    cpv_arena_close(&mem);
}

static void a_damaged_count_is_named(void **state)
{
    struct cpv_column c;
    cpv_arena *mem;
    struct cpv_err err = {0};
    FILE *f;

    (void)state;
    assert_int_equal(mkdir("fetch", 0777), 0);
    f = fopen("fetch/column.json", "w");
    fputs("{\"parts\":-1}", f);
    fclose(f);
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_int_equal(cpv_column_scan(".", "fetch", mem, &c, &err), CPV_E_CORRUPT);
    assert_string_equal(err.text,
                        "'./fetch/column.json': key 'parts': expected a number of "
                        "parts");
    cpv_arena_close(&mem);
}

static void columns_are_listed(void **state)
{
    const char **names;
    uint32_t n;
    cpv_arena *mem;
    struct cpv_err err = {0};

    (void)state;
    assert_int_equal(mkdir("shards", 0777) | mkdir("shards/train", 0777) |
                         mkdir("a", 0777) | mkdir("b", 0777),
                     0);
    touch("shards/train/settings.yaml");
    touch("b/settings.yaml");
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_columns_list(".", mem, &names, &n, &err));
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "b");
    assert_string_equal(names[1], "shards/train");
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_parsed),
        cmocka_unit_test(paths_parse_back),
        cmocka_unit_test_setup_teardown(the_highest_revision_with_a_record_counts,
                                        enter_scratch, leave_scratch),
        cmocka_unit_test_setup_teardown(parts_beyond_the_column_do_not_count,
                                        enter_scratch, leave_scratch),
        cmocka_unit_test_setup_teardown(a_damaged_count_is_named, enter_scratch,
                                        leave_scratch),
        cmocka_unit_test_setup_teardown(columns_are_listed, enter_scratch, leave_scratch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
