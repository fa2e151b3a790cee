/* SPDX-License-Identifier: Apache-2.0 */
/* The TSV of translations made elsewhere: what a row is, and which of two counts. */
#include "tests/unit/base/unit.h"

#include "stages/translate/translate.h"

static void put(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static imports *open_text(const char *text)
{
    struct cpv_err err = {0};
    imports *m;

    put("in.tsv", text, strlen(text));
    assert_ok(imports_open(&m, "in.tsv", &err));
    return m;
}

/* wanted NULL: there is none */
static void has(const imports *m, const char *key, uint64_t index, const char *wanted)
{
    struct cpv_bytes got = {0};
    bool found = imports_find(m, cpv_bytes_str(key), index, &got);

    if (found != (wanted != NULL) ||
        (wanted && !cpv_bytes_equal(got, cpv_bytes_str(wanted))))
        fail_msg("%s %llu: '%.*s', expected '%s'", key, (unsigned long long)index,
                 found ? (int)got.size : 4,
                 found ? (const char *)(const void *)got.data : "none",
                 wanted ? wanted : "none");
}

static void reports(const imports *m, uint64_t rows, uint64_t repeated, uint64_t bad,
                    uint64_t first_bad)
{
    const struct imports_report *r = imports_report(m);

    assert_int_equal(r->rows, rows);
    assert_int_equal(r->repeated, repeated);
    assert_int_equal(r->bad, bad);
    assert_int_equal(r->first_bad, first_bad);
}

static void rows(void **state)
{
    imports *m = open_text("key\tindex\ttext\n"
                           "000001\t0\tum gato\n"
                           "000001\t1\tdois gatos\r\n"
                           "000002\t0\t\n"
                           "000002\t9999999\tlonge\n"
                           "000003\t007\tsete");

    (void)state;
    reports(m, 5, 0, 0, 0);
    has(m, "000001", 0, "um gato");
    has(m, "000001", 1, "dois gatos");
    has(m, "000001", 2, NULL);
    has(m, "000002", 0, "");
    has(m, "000002", 9999999, "longe");
    has(m, "000003", 7, "sete");
    has(m, "000003", 0, NULL);
    has(m, "00000", 0, NULL);
    has(m, "", 0, NULL);
    has(m, "key", 0, NULL);
    imports_close(&m);
    assert_null(m);
    imports_close(&m);
}

static void bad_rows(void **state)
{
    imports *m = open_text("a\t0\tone\n"
                           "\n"                   /* 2: nothing */
                           "a 1 blanks\n"         /* 3 */
                           "a\t1\n"               /* 4: two fields */
                           "\t1\tno key\n"        /* 5 */
                           "a\t\tno index\n"      /* 6 */
                           "a\t-1\tnegative\n"    /* 7 */
                           "a\t1x\tno number\n"   /* 8 */
                           "a\t12345678\tlarge\n" /* 9 */
                           "a\t1\tfour\tfields\n" /* 10 */
                           "key\tindex\ttext\n"   /* 11: no header here */
                           "a\t1\ttwo\n");

    (void)state;
    reports(m, 2, 0, 10, 2);
    has(m, "a", 0, "one");
    has(m, "a", 1, "two");
    imports_close(&m);
}

static void first_counts(void **state)
{
    imports *m = open_text("a\t0\tfirst\nb\t0\tother\na\t0\tsecond\na\t00\tthird\n");

    (void)state;
    reports(m, 2, 2, 0, 0);
    has(m, "a", 0, "first");
    has(m, "b", 0, "other");
    imports_close(&m);
}

static void many(void **state)
{
    struct cpv_err err = {0};
    FILE *f = fopen("many.tsv", "wb");
    char key[16], text[32];
    imports *m;

    (void)state;
    assert_non_null(f);
    for (int i = 0; i < 20000; i++)
        fprintf(f, "%06d\t%d\ttext %d\n", i / 5, i % 5, i);
    assert_int_equal(fclose(f), 0);
    assert_ok(imports_open(&m, "many.tsv", &err));
    reports(m, 20000, 0, 0, 0);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "%06d", i / 5);
        snprintf(text, sizeof text, "text %d", i);
        has(m, key, (uint64_t)(i % 5), text);
    }
    has(m, "004000", 0, NULL);
    imports_close(&m);
}

/* The bytes of a text are the file's, whatever they are. */
static void any_bytes(void **state)
{
    static const char file[] = "a\t0\t\xff\0\x80 x\r\r\nb\t0\t\r";
    struct cpv_err err = {0};
    struct cpv_bytes got;
    imports *m;

    (void)state;
    put("bytes.tsv", file, sizeof file - 1);
    assert_ok(imports_open(&m, "bytes.tsv", &err));
    assert_true(imports_find(m, cpv_bytes_str("a"), 0, &got));
    assert_true(cpv_bytes_equal(got, cpv_bytes_of("\xff\0\x80 x\r", 6)));
    assert_true(imports_find(m, cpv_bytes_str("b"), 0, &got));
    assert_int_equal(got.size, 0);
    imports_close(&m);
}

static void refused(void **state)
{
    static const char *const none[] = {"", "\n", "key\tindex\ttext\n", "no rows\n\n"};
    struct cpv_err err = {0};
    imports *m;

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        put("none.tsv", none[i], strlen(none[i]));
        assert_int_equal(imports_open(&m, "none.tsv", &err), CPV_E_INPUT);
        assert_null(m);
        assert_string_equal(err.text, "'none.tsv' line 1: expected key, index and text, "
                                      "parted by tabs");
    }
    assert_int_not_equal(imports_open(&m, "not-there.tsv", &err), CPV_OK);
    assert_null(m);
    assert_non_null(strstr(err.text, "not-there.tsv"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),         cmocka_unit_test(bad_rows),
        cmocka_unit_test(first_counts), cmocka_unit_test(many),
        cmocka_unit_test(any_bytes),    cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
