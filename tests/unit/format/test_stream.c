/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h: every kind of file gives the same bytes; damage is never silent. */
#include "tests/unit/format/input_unit.h"

#include <sys/stat.h>

#include "common/format/stream.h"

enum { SIZE = 700000 };

static uint8_t content[SIZE]; /* compressible, but no two stretches alike */

static void fill_content(void)
{
    uint32_t x = 1;

    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525 + 1013904223;
        content[i] = (uint8_t)("abcdefgh\n"[(x >> 24) % 9]);
    }
}

/* Everything from here on in reads of `step`; the code of the failure, or 0. */
static int read_rest(cpv_stream *s, size_t step, struct cpv_buf *out, struct cpv_err *err)
{
    for (;;) {
        uint8_t *to = cpv_buf_reserve(out, step);
        ssize_t got = cpv_stream_read(s, to, step, err);

        if (got <= 0)
            return (int)got;
        out->size += (size_t)got;
        assert_int_equal(cpv_stream_offset(s), out->size);
    }
}

static void expect_content(const char *path)
{
    static const size_t steps[] = {1 << 20, 65536, 4097, 7};
    struct cpv_err err = {0};

    for (size_t i = 0; i < 4; i++) {
        struct cpv_buf got = {0};
        cpv_stream *s;

        assert_ok(cpv_stream_open(&s, path, &err));
        assert_ok(read_rest(s, steps[i], &got, &err));
        assert_int_equal(got.size, SIZE);
        assert_memory_equal(got.data, content, SIZE);
        cpv_stream_close(&s);
        assert_null(s);
        cpv_buf_release(&got);
    }
}

static void plain_gzip_and_zstd_give_the_same_bytes(void **state)
{
    struct cpv_buf b = {0};

    (void)state;
    expect_content(make_file("plain.gz", content, SIZE)); /* the name says nothing */
    add_gzip(&b, content, SIZE);
    expect_content(make_file("a", b.data, b.size));
    cpv_buf_clear(&b);
    add_zstd(&b, content, SIZE);
    expect_content(make_file("b", b.data, b.size));
    cpv_buf_release(&b);
}

static void members_and_frames_follow_one_another(void **state)
{
    static const uint8_t skippable[] = {0x53, 0x2A, 0x4D, 0x18, 3,  0,
                                        0,    0,    'x',  'y',  'z'};
    static const uint8_t zeros[1024];
    struct cpv_buf b = {0};

    (void)state;
    add_gzip(&b, content, 1);
    add_gzip(&b, content + 1, 0);
    add_gzip(&b, content + 1, SIZE - 1);
    cpv_buf_add(&b, zeros, sizeof zeros); /* as tapes leave behind */
    expect_content(make_file("a", b.data, b.size));
    cpv_buf_clear(&b);
    cpv_buf_add(&b, skippable, sizeof skippable);
    add_zstd(&b, content, 300000);
    cpv_buf_add(&b, skippable, sizeof skippable);
    add_zstd(&b, content + 300000, 0);
    add_zstd(&b, content + 300000, SIZE - 300000);
    cpv_buf_add(&b, skippable, sizeof skippable);
    expect_content(make_file("b", b.data, b.size));
    cpv_buf_release(&b);
}

/* Read the file to its end: its code; what was read must be a prefix of content. */
static int try_file(const char *path, struct cpv_err *err)
{
    struct cpv_buf got = {0};
    cpv_stream *s;
    int rc = cpv_stream_open(&s, path, err);

    if (!rc)
        rc = read_rest(s, 1000, &got, err);
    if (rc && s) /* and it stays so */
        assert_int_equal(cpv_stream_read(s, got.data, 1, err), rc);
    assert_true(got.size <= SIZE);
    if (got.size)
        assert_memory_equal(got.data, content, got.size);
    cpv_stream_close(&s);
    cpv_buf_release(&got);
    return rc;
}

static void every_cut_is_noticed(void **state)
{
    struct cpv_err err = {0};

    (void)state;
    for (int zstd = 0; zstd < 2; zstd++) {
        struct cpv_buf b = {0};

        (zstd ? add_zstd : add_gzip)(&b, content, 3000);
        for (size_t n = zstd ? 4 : 2; n < b.size; n++) {
            if (try_file(make_file("cut", b.data, n), &err) != CPV_E_INPUT)
                fail_msg("%s cut to %zu bytes passes", zstd ? "zstd" : "gzip", n);
            assert_non_null(strstr(err.text, "'cut': cut off at byte "));
        }
        assert_int_equal(try_file(make_file("cut", b.data, b.size), &err), CPV_OK);
        cpv_buf_release(&b);
    }
}

static void every_flipped_byte_of_data_is_noticed(void **state)
{
    struct cpv_err err = {0};

    (void)state;
    for (int zstd = 0; zstd < 2; zstd++) {
        struct cpv_buf b = {0};
        int harmless = 0;

        (zstd ? add_zstd : add_gzip)(&b, content, 3000);
        for (size_t i = zstd ? 6 : 10; i < b.size; i++) { /* behind the header */
            struct cpv_buf got = {0};
            cpv_stream *s;
            int rc;

            b.data[i] ^= 0x10;
            rc = cpv_stream_open(&s, make_file("flip", b.data, b.size), &err);
            if (!rc)
                rc = read_rest(s, 1000, &got, &err);
            /* deflate has bits that mean nothing, and two ways to say the same */
            if (rc == CPV_OK) {
                assert_true(++harmless < 5);
                assert_int_equal(got.size, 3000);
                assert_memory_equal(got.data, content, 3000);
            } else if (rc != CPV_E_INPUT) {
                fail_msg("%s with byte %zu flipped: %d", zstd ? "zstd" : "gzip", i, rc);
            }
            cpv_stream_close(&s);
            cpv_buf_release(&got);
            b.data[i] ^= 0x10;
        }
        cpv_buf_release(&b);
    }
}

static void foreign_bytes_behind_are_refused(void **state)
{
    struct cpv_err err = {0};

    (void)state;
    for (int zstd = 0; zstd < 2; zstd++) {
        struct cpv_buf b = {0};

        (zstd ? add_zstd : add_gzip)(&b, content, 3000);
        cpv_buf_str(&b, "hello, what is this?");
        assert_int_equal(try_file(make_file("behind", b.data, b.size), &err),
                         CPV_E_INPUT);
        assert_non_null(strstr(err.text, "(3000 bytes decompressed)"));
        cpv_buf_release(&b);
    }
}

static void nothing_may_follow_padding(void **state)
{
    struct cpv_err err = {0};
    struct cpv_buf b = {0};

    (void)state;
    add_gzip(&b, content, 3000);
    cpv_buf_byte(&b, 0);
    assert_int_equal(try_file(make_file("padded", b.data, b.size), &err), CPV_OK);
    add_gzip(&b, content + 3000, 10);
    assert_int_equal(try_file(make_file("padded", b.data, b.size), &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, "foreign bytes behind it"));
    cpv_buf_release(&b);
}

static void seek_goes_anywhere(void **state)
{
    static const uint64_t to[] = {0,      699999, 5, 300000, 300000,
                                  299999, 700000, 1, 650000};
    struct cpv_buf gz = {0}, zst = {0};
    const char *paths[3];
    struct cpv_err err = {0};

    (void)state;
    add_gzip(&gz, content, 300000);
    add_gzip(&gz, content + 300000, SIZE - 300000);
    add_zstd(&zst, content, 300000);
    add_zstd(&zst, content + 300000, SIZE - 300000);
    paths[0] = make_file("a", content, SIZE);
    paths[1] = make_file("b", gz.data, gz.size);
    paths[2] = make_file("c", zst.data, zst.size);
    for (int p = 0; p < 3; p++) {
        cpv_stream *s;

        assert_ok(cpv_stream_open(&s, paths[p], &err));
        assert_int_equal(cpv_stream_seekable(s), p == 0);
        for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
            uint8_t got[100];
            size_t want = SIZE - to[i] < 100 ? (size_t)(SIZE - to[i]) : 100;

            assert_ok(cpv_stream_seek(s, to[i], &err));
            assert_int_equal(cpv_stream_offset(s), to[i]);
            assert_int_equal(cpv_stream_read(s, got, 100, &err), want);
            assert_memory_equal(got, content + to[i], want);
        }
        if (p)
            assert_int_equal(cpv_stream_seek(s, SIZE + 1, &err), CPV_E_INPUT);
        cpv_stream_close(&s);
    }
    cpv_buf_release(&gz);
    cpv_buf_release(&zst);
}

static void what_cannot_be_read_is_said(void **state)
{
    struct cpv_err err = {0};
    cpv_stream *s;

    (void)state;
    assert_int_equal(cpv_stream_open(&s, "nowhere", &err), CPV_E_ABSENT);
    assert_null(s);
    assert_non_null(strstr(err.text, "'nowhere'"));
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(cpv_stream_open(&s, "folder", &err), CPV_E_IO);
    assert_null(s);
}

static void a_pipe_is_read_once(void **state)
{
    struct cpv_err err = {0};
    struct cpv_buf b = {0};
    char path[40], got[10];
    cpv_stream *s;
    int ends[2];

    (void)state;
    add_gzip(&b, "through a pipe", 14);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], b.data, b.size), b.size);
    close(ends[1]);
    (void)snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    assert_ok(cpv_stream_open(&s, path, &err));
    assert_int_equal(cpv_stream_read(s, got, 7, &err), 7);
    assert_memory_equal(got, "through", 7);
    assert_ok(cpv_stream_seek(s, 10, &err));
    assert_int_equal(cpv_stream_read(s, got, 10, &err), 4);
    assert_memory_equal(got, "pipe", 4);
    assert_int_equal(cpv_stream_seek(s, 0, &err), CPV_E_INPUT);
    cpv_stream_close(&s);
    close(ends[0]);
    cpv_buf_release(&b);
}

static void an_empty_file_is_empty(void **state)
{
    struct cpv_err err = {0};

    (void)state;
    assert_int_equal(try_file(make_text("empty", ""), &err), CPV_OK);
    assert_int_equal(try_file(make_gzip("empty.gz", ""), &err), CPV_OK);
    assert_int_equal(try_file(make_zstd("empty.zst", ""), &err), CPV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_gzip_and_zstd_give_the_same_bytes),
        cmocka_unit_test(members_and_frames_follow_one_another),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(every_flipped_byte_of_data_is_noticed),
        cmocka_unit_test(foreign_bytes_behind_are_refused),
        cmocka_unit_test(nothing_may_follow_padding),
        cmocka_unit_test(seek_goes_anywhere),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(a_pipe_is_read_once),
        cmocka_unit_test(an_empty_file_is_empty),
    };

    fill_content();
    return cmocka_run_group_tests_name("stream", tests, enter_scratch, leave_scratch);
}
