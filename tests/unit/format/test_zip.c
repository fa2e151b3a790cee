/* SPDX-License-Identifier: Apache-2.0 */
/* ZIP archives: what is read, and what is refused. */
#include "checkpoint_unit.h"

#include "common/format/zip.h"

static const struct zip_entry entries[] = {
    {"archive/data.pkl", "pickle", 6, 0},
    {"archive/data/1", "one", 3, 41},
    {"archive/data/0", "", 0, 7},
    {"archive/data/10", "ten", 3, 0},
};

enum { N = sizeof entries / sizeof entries[0] };

static int read_zip(struct cpv_zip *z, struct cpv_bytes b, cpv_arena *mem,
                    struct cpv_err *err)
{
    return cpv_zip_read(z, b, "t", mem, err);
}

/* Of bytes that may be changed: the message that they are refused with. */
static void assert_refused(const struct cpv_buf *b, const char *says)
{
    struct cpv_bytes own = exact(b->data, b->size);
    struct cpv_err err = {0};
    struct cpv_zip z;
    cpv_arena *mem;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_int_equal(read_zip(&z, own, mem, &err), CPV_E_INPUT);
    assert_says(&err, says);
    assert_says(&err, "'t'");
    cpv_arena_close(&mem);
    exact_end(&own);
}

static void entries_are_found_by_name(void **state)
{
    (void)state;
    for (int zip64 = 0; zip64 < 2; zip64++)
        for (int comment = 0; comment < 2; comment++) {
            struct cpv_buf b = {0};
            struct cpv_err err = {0};
            struct cpv_zip z;
            struct cpv_bytes own;
            cpv_arena *mem;

            make_zip(&b, entries, N, zip64);
            if (comment) { /* which may hold what looks like an end */
                b.data[b.size - 2] = 30;
                ADD(&b, "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0 and so on");
                b.size -= 2;
            }
            own = exact(b.data, b.size);
            assert_ok(cpv_arena_open(&mem, 0, &err));
            assert_ok(read_zip(&z, own, mem, &err));
            assert_int_equal(z.count, N);
            for (size_t i = 0; i < N; i++) {
                const struct cpv_zip_entry *e =
                    cpv_zip_find(&z, cpv_bytes_str(entries[i].name));

                assert_non_null(e);
                assert_int_equal(e->data.size, entries[i].size);
                assert_memory_equal(e->data.data, entries[i].data, entries[i].size);
            }
            assert_null(cpv_zip_find(&z, cpv_bytes_str("archive/data/2")));
            assert_null(cpv_zip_find(&z, cpv_bytes_str("archive/data/")));
            cpv_arena_close(&mem);
            exact_end(&own);
            cpv_buf_release(&b);
        }
}

static void an_empty_archive_has_no_entries(void **state)
{
    struct cpv_buf b = {0};
    struct cpv_err err = {0};
    struct cpv_zip z;
    cpv_arena *mem;

    (void)state;
    make_zip(&b, entries, 0, false);
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(read_zip(&z, cpv_buf_view(&b), mem, &err));
    assert_int_equal(z.count, 0);
    assert_null(cpv_zip_find(&z, cpv_bytes_str("a")));
    cpv_arena_close(&mem);
    cpv_buf_release(&b);
}

static void put_u16(struct cpv_buf *b, size_t at, unsigned v)
{
    b->data[at] = (uint8_t)v;
    b->data[at + 1] = (uint8_t)(v >> 8);
}

static void put_u32(struct cpv_buf *b, size_t at, uint32_t v)
{
    put_u16(b, at, v & 0xFFFF);
    put_u16(b, at + 2, v >> 16);
}

/* The first record of the central directory, and the end record. */
static size_t directory_of(const struct cpv_buf *b)
{
    return cpv_load_u32(b->data + (b->size - 22) + 16);
}

/* One field of an archive of one entry changed: offset from the record's beginning. */
static void a_wrong_field_is_refused(void **state)
{
    static const struct {
        enum { LOCAL, CENTRAL, END } record;
        unsigned at, width;
        uint32_t value;
        const char *says;
    } wrong[] = {
        {LOCAL, 0, 4, 0, "no local header where the directory says"},
        {LOCAL, 26, 2, 3, "its local header has another name"},
        {LOCAL, 26, 2, 60000, "its data is not inside the file"},
        {LOCAL, 28, 2, 60000, "its data is not inside the file"},
        {CENTRAL, 0, 4, 0, "no entry of the directory"},
        {CENTRAL, 8, 2, 1, "encrypted"},
        {CENTRAL, 10, 2, 8, "compressed, expected stored"},
        {CENTRAL, 20, 4, 5, "two different sizes"},
        {CENTRAL, 24, 4, 1000, "two different sizes"},
        {CENTRAL, 24, 4, UINT32_MAX, "its ZIP64 field is too short"},
        {CENTRAL, 28, 2, 60000, "no entry of the directory"},
        {CENTRAL, 30, 2, 60000, "no entry of the directory"},
        {CENTRAL, 42, 4, 1000, "no local header where the directory says"},
        {CENTRAL, 42, 4, UINT32_MAX, "its ZIP64 field is too short"},
        {END, 0, 4, 0, "no end of a ZIP archive, probably cut short"},
        {END, 4, 2, 1, "an archive in several parts"},
        {END, 8, 2, 2, "an archive in several parts"},
        {END, 12, 4, 1000, "the central directory is not inside the file"},
        {END, 16, 4, UINT32_MAX, "the central directory is not inside the file"},
        {END, 16, 4, 0, "no entry of the directory"},
        {END, 20, 2, 1, "no end of a ZIP archive"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct cpv_buf b = {0};
        size_t at = wrong[i].at;

        make_zip(&b, entries, 1, false);
        at += wrong[i].record == LOCAL     ? 0
              : wrong[i].record == CENTRAL ? directory_of(&b)
                                           : b.size - 22;
        if (wrong[i].width == 2)
            put_u16(&b, at, wrong[i].value);
        else
            put_u32(&b, at, wrong[i].value);
        assert_refused(&b, wrong[i].says);
        cpv_buf_release(&b);
    }
}

static void more_entries_than_fit_are_refused(void **state)
{
    struct cpv_buf b = {0};

    (void)state;
    make_zip(&b, entries, N, true);
    memset(b.data + b.size - 22 - 20 - 56 + 24, 0xFF, 16); /* both counts */
    assert_refused(&b, "more entries than the central directory has room for");
    cpv_buf_release(&b);
    make_zip(&b, entries, N, true);
    memset(b.data + b.size - 22 - 20 + 8, 0xFF, 8); /* the locator's offset */
    assert_refused(&b, "no ZIP64 end record where its locator says");
    cpv_buf_release(&b);
}

static void entries_that_share_bytes_or_names_are_refused(void **state)
{
    struct zip_entry twice[] = {{"a", "1", 1, 0}, {"a", "2", 1, 0}};
    struct zip_entry hidden[] = {{"a", "", 0, 0}, {"a", "2", 1, 0}};
    struct cpv_buf b = {0};
    uint32_t at;

    (void)state;
    make_zip(&b, twice, 2, false);
    assert_refused(&b, "'t' entry 'a': the name occurs twice");
    cpv_buf_release(&b);
    /* The first one's data ends inside the second's header. */
    twice[1].name = "b";
    make_zip(&b, twice, 2, false);
    put_u32(&b, directory_of(&b) + 20, 2);
    put_u32(&b, directory_of(&b) + 24, 2);
    assert_refused(&b, "'t' entry 'b': overlaps the one before it");
    cpv_buf_release(&b);
    /* Two records of the directory for one local header. */
    make_zip(&b, hidden + 1, 1, false);
    at = (uint32_t)directory_of(&b);
    {
        struct cpv_buf copy = {0};

        cpv_buf_add(&copy, b.data, b.size - 22);
        cpv_buf_add(&copy, b.data + at, b.size - 22 - at);
        cpv_buf_add(&copy, b.data + b.size - 22, 22);
        put_u16(&copy, copy.size - 22 + 8, 2);
        put_u16(&copy, copy.size - 22 + 10, 2);
        put_u32(&copy, copy.size - 22 + 12, (uint32_t)(2 * (b.size - 22 - at)));
        assert_refused(&copy, "overlaps the one before it");
        cpv_buf_release(&copy);
    }
    cpv_buf_release(&b);
}

static void an_archive_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (int zip64 = 0; zip64 < 2; zip64++) {
        struct cpv_buf b = {0};
        size_t all;

        make_zip(&b, entries, N, zip64);
        all = b.size;
        for (b.size = 0; b.size < all; b.size++)
            assert_refused(&b, "no end of a ZIP archive");
        cpv_buf_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_by_name),
        cmocka_unit_test(an_empty_archive_has_no_entries),
        cmocka_unit_test(a_wrong_field_is_refused),
        cmocka_unit_test(more_entries_than_fit_are_refused),
        cmocka_unit_test(entries_that_share_bytes_or_names_are_refused),
        cmocka_unit_test(an_archive_cut_anywhere_is_refused),
    };

    return cmocka_run_group_tests_name("zip", tests, NULL, NULL);
}
