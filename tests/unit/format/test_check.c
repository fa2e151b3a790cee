/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verification: each single byte of a shard is changed in turn. The check must say
 * so, must name the member whose bytes were hit, and must not blame other frames;
 * readers must refuse or give what was written.
 */
#include "shard_fixture.h"

#include "common/base/hash.h"
#include "common/format/shard_check.h"
#include "common/format/shard_export.h"
#include "common/format/shard_index.h"

enum { SAMPLES = 10, PER_FRAME = 4, JPG = 300 };

static struct cpv_err err;

/* What a check reported. */
struct told {
    size_t n;
    struct {
        char where[32], member[128];
    } at[64];
};

static void note(void *ctx, const struct cpv_damage *d)
{
    struct told *t = ctx;

    assert_true(t->n < 64);
    assert_non_null(d->why);
    (void)snprintf(t->at[t->n].where, 32, "%s", d->where);
    (void)snprintf(t->at[t->n++].member, 128, "%s", d->member ? d->member : "");
}

static bool has(const struct told *t, const char *where, const char *member)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->at[i].where, where) == 0 && strcmp(t->at[i].member, member) == 0)
            return true;
    return false;
}

static void make_small(const char *path)
{
    struct cpv_shard_params params = {.frame_samples = PER_FRAME};

    make_shard(path, SAMPLES, JPG, &params, NULL);
}

static void a_sound_shard_is_sound(void **state)
{
    struct cpv_shard_info written, read;
    struct told told = {0};

    (void)state;
    make_shard("sound.tar.zst", 300, 0, NULL, &written);
    assert_ok(cpv_shard_verify("sound.tar.zst", note, &told, &read, &err));
    assert_int_equal(told.n, 0);
    assert_memory_equal(&read, &written, sizeof read);
    assert_ok(cpv_shard_verify("sound.tar.zst", NULL, NULL, NULL, &err));
}

/* Readers: an error, or exactly what was written. */
static void assert_reading_is_safe(const char *path)
{
    struct cpv_sample sample;
    cpv_samples *s;
    cpv_shard *r;
    cpv_arena *mem;
    uint32_t n = 0;
    int got;

    if (cpv_samples_open(&s, path, NULL, &err) == CPV_OK) {
        while ((got = cpv_samples_next(s, &sample, &err)) == 1)
            assert_fixture(&sample, n++, JPG);
        /* Cut between two frames, only the tar's end is missed: that is reported. */
        assert_true(got < 0 || n == SAMPLES || cpv_samples_report(s)->unclosed);
        cpv_samples_close(&s);
    }
    assert_ok(cpv_arena_open(&mem, 0, &err));
    if (cpv_shard_open(&r, path, &err) == CPV_OK) {
        assert_int_equal(cpv_shard_count(r), SAMPLES);
        for (uint32_t i = 0; i < SAMPLES; i++)
            if (cpv_shard_read(r, i, NULL, mem, &sample, &err) == CPV_OK)
                assert_fixture(&sample, i, JPG);
        cpv_shard_close(&r);
    }
    cpv_arena_close(&mem);
}

/* The frame of a file offset in the undamaged shard, or -1. */
static int64_t frame_at(const cpv_shard *s, size_t at)
{
    for (uint32_t f = 0; f <= cpv_shard_info(s)->frames; f++) {
        const struct cpv_frame_entry *e = cpv_shard_frame(s, f);

        if (at >= e->at && at < e->at + e->size)
            return f;
    }
    return -1;
}

/* Members named must lie in the frame that was hit. */
static void assert_only_of_frame(const struct told *t, const cpv_shard *s, int64_t frame)
{
    for (size_t i = 0; i < t->n; i++) {
        char key[128];
        uint32_t sample;

        if (!t->at[i].member[0])
            continue;
        (void)snprintf(key, sizeof key, "%s", t->at[i].member);
        *strchr(key, '.') = '\0';
        assert_true(cpv_shard_find(s, key, &sample));
        assert_int_equal(cpv_shard_entry(s, sample)->frame, frame);
    }
}

/* If the byte is one of a picture stored as it is, that picture must be named. */
static void assert_hit_is_named(const struct told *t, const struct cpv_buf *file,
                                size_t at, size_t *named)
{
    uint8_t jpg[FIXTURE_JPG_MAX];
    char name[32], where[32];

    for (uint32_t i = 0; i < SAMPLES; i++) {
        struct cpv_bytes data = fixture_jpg(jpg, i, JPG);
        const uint8_t *from = memmem(file->data, file->size, data.data, data.size);

        if (!from || at < (size_t)(from - file->data) ||
            at >= (size_t)(from - file->data) + JPG)
            continue;
        (void)snprintf(name, sizeof name, "%09u.jpg", i);
        (void)snprintf(where, sizeof where, "frame %u", i / PER_FRAME);
        assert_true(has(t, where, name));
        (*named)++;
    }
}

static void flip_every_byte(uint8_t bits, size_t step)
{
    struct cpv_buf file;
    char where[32];
    size_t named = 0;
    cpv_shard *s;

    file = slurp("small.tar.zst");
    assert_ok(cpv_shard_open(&s, "small.tar.zst", &err));
    for (size_t at = 0; at < file.size; at += step) {
        int64_t frame = frame_at(s, at);
        struct told told = {0};

        file.data[at] ^= bits;
        spill("flipped", cpv_buf_view(&file));
        file.data[at] ^= bits;
        assert_int_equal(cpv_shard_verify("flipped", note, &told, NULL, &err),
                         CPV_E_CORRUPT);
        if (frame >= 0) {
            (void)snprintf(where, sizeof where, "frame %d", (int)frame);
            assert_true(has(&told, where, ""));
            assert_only_of_frame(&told, s, frame);
            assert_hit_is_named(&told, &file, at, &named);
        } else {
            assert_true(has(&told, "seek table", "") || has(&told, "sample index", ""));
            assert_only_of_frame(&told, s, -1);
        }
        assert_reading_is_safe("flipped");
    }
    assert_true(named > 100 / step);
    cpv_shard_close(&s);
    cpv_buf_release(&file);
}

static void every_byte_counts(void **state)
{
    (void)state;
    make_small("small.tar.zst");
    flip_every_byte(0x01, 1);
    flip_every_byte(0x80, 3);
    flip_every_byte(0xff, 7);
}

static void every_length_counts(void **state)
{
    struct cpv_buf file;

    (void)state;
    make_small("length.tar.zst");
    file = slurp("length.tar.zst");
    for (size_t n = 0; n < file.size; n += 3) {
        struct told told = {0};

        spill("cut", cpv_bytes_of(file.data, n));
        assert_int_equal(cpv_shard_verify("cut", note, &told, NULL, &err),
                         n < 4 ? CPV_E_INPUT : CPV_E_CORRUPT);
        assert_reading_is_safe("cut");
    }
    cpv_buf_release(&file);
}

/* With the seek table gone the index still leads to a member that was hit. */
static void two_wounds(void **state)
{
    uint8_t jpg[FIXTURE_JPG_MAX];
    struct cpv_bytes data = fixture_jpg(jpg, 5, JPG);
    struct told told = {0};
    struct cpv_buf file;
    uint8_t *hit;

    (void)state;
    make_small("two.tar.zst");
    file = slurp("two.tar.zst");
    hit = memmem(file.data, file.size, data.data, data.size);
    assert_non_null(hit);
    hit[7] ^= 1;
    file.data[file.size - 1] ^= 1;
    spill("two", cpv_buf_view(&file));
    assert_int_equal(cpv_shard_verify("two", note, &told, NULL, &err), CPV_E_CORRUPT);
    assert_true(has(&told, "seek table", ""));
    assert_true(has(&told, "frame 1", "000000005.jpg"));
    assert_int_equal(told.n, 3);
    assert_string_equal(err.text, "'two': damaged: 2 structures, 1 members lost");
    cpv_buf_release(&file);
}

/* Read before the frame's own checksum comes into sight, only the member's CRC tells. */
static void a_read_from_the_middle_of_a_frame_is_checked(void **state)
{
    uint8_t jpg[FIXTURE_JPG_MAX];
    struct cpv_bytes data = fixture_jpg(jpg, 2, 4000);
    struct cpv_sample sample;
    struct cpv_buf file;
    cpv_arena *mem;
    cpv_shard *s;
    uint8_t *hit;

    (void)state;
    make_shard("middle.tar.zst", 64, 4000, NULL, NULL);
    file = slurp("middle.tar.zst");
    assert_true(file.size > 250000); /* more than the reader takes at once */
    assert_non_null(hit = memmem(file.data, file.size, data.data, data.size));
    hit[1000] ^= 1;
    spill("middle", cpv_buf_view(&file));
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_shard_open(&s, "middle", &err));
    assert_ok(cpv_shard_read(s, 1, NULL, mem, &sample, &err));
    assert_fixture(&sample, 1, 4000);
    assert_int_equal(cpv_shard_read(s, 2, NULL, mem, &sample, &err), CPV_E_CORRUPT);
    assert_string_equal(err.text, "'middle': '000000002.jpg' has a wrong checksum");
    assert_ok(cpv_shard_read(s, 2, "json", mem, &sample, &err));
    assert_int_equal(cpv_shard_read(s, 63, NULL, mem, &sample, &err), CPV_E_CORRUPT);
    cpv_shard_close(&s);
    cpv_arena_close(&mem);
    cpv_buf_release(&file);
}

static void a_file_that_never_was_one(void **state)
{
    struct told told = {0};

    (void)state;
    spill("text", cpv_bytes_str("This is not a shard, and never was, to be sure."));
    assert_int_equal(cpv_shard_verify("text", note, &told, NULL, &err), CPV_E_INPUT);
    assert_int_equal(cpv_shard_verify("nothing", note, &told, NULL, &err), CPV_E_ABSENT);
}

/* ---- export ---- */

static void assert_file(const char *path, const char *expected)
{
    struct cpv_buf b = slurp(path);

    assert_string_equal(cpv_buf_cstr(&b), expected);
    cpv_buf_release(&b);
}

static void exports_for_others(void **state)
{
    struct cpv_exported out[2];
    struct cpv_shard_info info;
    struct cpv_buf tar;
    uint8_t digest[32], md5[16];
    char text[400], hex[2][33];

    (void)state;
    make_shard("00000.tar.zst", 2, 100, NULL, &info);
    make_shard("00001.tar.zst", 1, 600, NULL, NULL);
    assert_ok(cpv_folder_make("plain", &err));
    assert_ok(cpv_shard_export_plain("00000.tar.zst", "plain", &out[0], &err));
    assert_ok(cpv_shard_export_plain("00001.tar.zst", "plain", &out[1], &err));
    assert_ok(cpv_shard_export_lists("plain", "demo", out, 2, &err));
    tar = slurp("plain/00000.tar");
    cpv_sha256_of(digest, cpv_buf_view(&tar));
    assert_memory_equal(digest, info.tar_sha256, 32);
    cpv_md5_of(md5, cpv_buf_view(&tar));
    assert_memory_equal(md5, out[0].md5, 16);
    assert_true(out[0].bytes == tar.size);
    cpv_buf_release(&tar);
    assert_file("plain/00000.idx",
                "v1.2 2\njpg 512 100 000000000.jpg json 1536 29 000000000.json\n"
                "jpg 2560 100 000000001.jpg json 3584 29 000000001.json\n");
    assert_file("plain/sizes.json", "{\n  \"00000.tar\": 2,\n  \"00001.tar\": 1\n}\n");
    cpv_hex(hex[0], out[0].md5, 16);
    cpv_hex(hex[1], out[1].md5, 16);
    (void)snprintf(text, sizeof text,
                   "{\n  \"__kind__\": \"wids-shard-index-v1\",\n  \"wids_version\": 1,\n"
                   "  \"shardlist\": [\n    {\"url\": \"00000.tar\", \"md5sum\": \"%s\", "
                   "\"nsamples\": 2, \"filesize\": 5120},\n    {\"url\": \"00001.tar\", "
                   "\"md5sum\": \"%s\", \"nsamples\": 1, \"filesize\": 3584}\n  ],\n"
                   "  \"name\": \"demo\"\n}\n",
                   hex[0], hex[1]);
    assert_file("plain/wids.json", text);
    /* Again: the same is there. Then another: refused, and kept. */
    assert_ok(cpv_shard_export_plain("00000.tar.zst", "plain", &out[0], &err));
    spill("plain/00000.tar", cpv_bytes_str("another"));
    assert_int_equal(cpv_shard_export_plain("00000.tar.zst", "plain", &out[0], &err),
                     CPV_E_INPUT);
    assert_file("plain/00000.tar", "another");
}

static void a_damaged_shard_is_not_exported(void **state)
{
    struct cpv_exported out;
    struct cpv_buf file;

    (void)state;
    make_small("damaged.tar.zst");
    file = slurp("damaged.tar.zst");
    file.data[700] ^= 1;
    spill("damaged2.tar.zst", cpv_buf_view(&file));
    assert_int_equal(cpv_shard_export_plain("damaged2.tar.zst", ".", &out, &err),
                     CPV_E_CORRUPT);
    assert_false(cpv_file_exists("damaged2.tar"));
    cpv_buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_shard_is_sound),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(every_length_counts),
        cmocka_unit_test(two_wounds),
        cmocka_unit_test(a_read_from_the_middle_of_a_frame_is_checked),
        cmocka_unit_test(a_file_that_never_was_one),
        cmocka_unit_test(exports_for_others),
        cmocka_unit_test(a_damaged_shard_is_not_exported),
    };

    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
