/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tars that Python's tarfile and webdataset wrote (tests/fixtures/make_foreign_tars.py),
 * all of the same three samples. The folder is the argument.
 */
#include "shard_fixture.h"

static struct cpv_err err;
static const char *folder;

#define LONG_N "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

enum { CLOSED = 0, UNCLOSED = 2, TRAILING = 4, SPLIT = 8 };

static const struct {
    const char *name;
    unsigned how; /* SPLIT: the long name has a folder more */
    uint64_t skipped;
} tars[] = {
    {"pax.tar", CLOSED, 0},           {"gnu.tar", CLOSED, 0},
    {"ustar.tar", SPLIT, 0},          {"dot.tar", CLOSED, 1},
    {"unclosed.tar", UNCLOSED, 0},    {"webdataset.tar", CLOSED, 0},
    {"webdataset.tar.gz", CLOSED, 0}, {"webdataset.tar.zst", CLOSED, 0},
    {"garbage.tar", TRAILING, 0},
};

static void assert_member(const struct cpv_sample *s, const char *ext, const void *data,
                          size_t n)
{
    const struct cpv_member *m = cpv_sample_member(s, ext);

    assert_non_null(m);
    assert_int_equal(m->data.size, n);
    assert_memory_equal(m->data.data, data, n);
}

static void assert_samples(cpv_samples *s, unsigned how)
{
    static const uint8_t two[605] = "\xff\xd8two";
    struct cpv_sample x;

    assert_int_equal(cpv_samples_next(s, &x, &err), 1);
    assert_string_equal(x.key, "000000001");
    assert_int_equal(x.n_members, 3);
    assert_member(&x, "jpg", "\xff\xd8one", 5);
    assert_member(&x, "json", "{\"n\": 1}", 8);
    assert_member(&x, "txt", "um gato", 7);
    assert_int_equal(cpv_samples_next(s, &x, &err), 1);
    assert_string_equal(x.key, how & SPLIT ? "folder/" LONG_N "/" LONG_N
                                           : "folder/" LONG_N LONG_N);
    assert_member(&x, "jpg", two, sizeof two);
    assert_member(&x, "txt",
                  "dois c\xc3\xa3"
                  "es",
                  10);
    assert_int_equal(cpv_samples_next(s, &x, &err), 1);
    assert_string_equal(x.key, "c-3");
    assert_int_equal(x.n_members, 2);
    assert_member(&x, "seg.png", "\x89PNG", 4);
    assert_member(&x, "txt", "", 0);
    assert_string_equal(x.members[0].ext, "seg.png");
    assert_int_equal(cpv_samples_next(s, &x, &err), 0);
}

static void all_of_them(void **state)
{
    char path[512];
    cpv_samples *s;

    (void)state;
    for (size_t i = 0; i < sizeof tars / sizeof tars[0]; i++) {
        const struct cpv_samples_report *r;

        (void)snprintf(path, sizeof path, "%s/%s", folder, tars[i].name);
        assert_ok(cpv_samples_open(&s, path, NULL, &err));
        assert_samples(s, tars[i].how);
        r = cpv_samples_report(s);
        assert_int_equal(r->skipped, tars[i].skipped);
        assert_int_equal(r->unclosed, (tars[i].how & UNCLOSED) != 0);
        assert_int_equal(r->trailing, (tars[i].how & TRAILING) != 0);
        assert_false(r->truncated);
        cpv_samples_close(&s);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_of_them)};

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
