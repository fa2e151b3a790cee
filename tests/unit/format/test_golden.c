/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The golden files of schemas/shard-v1.md: small shards, sound (ok/) and damaged
 * (broken/), each with NAME.expect, which says what opening, verifying and reading
 * must give. The sound ones are also made anew and compared to the byte, if zstd is
 * of the version that made them; the digest of the tar must always agree.
 *
 *     test_golden FOLDER          the test
 *     test_golden --make FOLDER   writes the files (existing ones stay)
 */
#include "shard_fixture.h"

#include <zstd.h>

#include "common/base/hash.h"
#include "common/format/shard_check.h"
#include "common/format/shard_index.h"

enum { MADE_BY = 10504 }; /* ZSTD_versionNumber() */

static struct cpv_err err;
static const char *golden;

/* ---- the shards ---- */

/* The worked example of schemas/shard-v1.md. */
static void put_example(cpv_shard_writer *w)
{
    struct cpv_member m[2] = {{"txt", cpv_bytes_str("um gato\n")},
                              {"json", cpv_bytes_str("{}")}};

    cpv_shard_put(w, "cat_1", m, 2);
    cpv_shard_put(w, "dog-2", m, 1);
}

static void put_samples(cpv_shard_writer *w)
{
    for (uint32_t i = 0; i < 6; i++)
        put_fixture(w, i, 40 + i);
}

static void put_wide(cpv_shard_writer *w)
{
    char key[CPV_SHARD_KEY_MAX + 1];
    struct cpv_member m[3] = {{"a-b_c.0123456.789", cpv_bytes_str("")},
                              {"x", cpv_bytes_str("y")},
                              {"clip.npy", cpv_bytes_str("\x93NUMPY")}};

    memset(key, 'K', CPV_SHARD_KEY_MAX);
    key[CPV_SHARD_KEY_MAX] = '\0';
    cpv_shard_put(w, key, m, 3);
    cpv_shard_put(w, "-", m, 2);
    cpv_shard_put(w, "_", m + 2, 1);
}

static void put_none(cpv_shard_writer *w)
{
    (void)w;
}

static const struct {
    const char *name;
    void (*put)(cpv_shard_writer *w);
    struct cpv_shard_params params;
} shards[] = {
    {"example", put_example, {.settings = {0xca, 0xfe}}},
    {"frames", put_samples, {.frame_samples = 2}},
    {"empty", put_none, {.level = 3}},
    {"names", put_wide, {.frame_samples = 1}},
};

static void make_one(size_t i, const char *path, struct cpv_shard_info *info)
{
    cpv_shard_writer *w;
    bool existed;

    assert_ok(cpv_shard_create(&w, path, &shards[i].params, &err));
    shards[i].put(w);
    assert_ok(cpv_shard_commit(&w, info, &existed, &err));
}

/* ---- damage ---- */

/* Where `text` begins in the file, plus `off`. */
static uint8_t *find(struct cpv_buf *b, const char *text, long off)
{
    uint8_t *at = memmem(b->data, b->size, text, strlen(text));

    assert_non_null(at);
    return at + off;
}

static void resum_index(struct cpv_buf *b)
{
    uint8_t *index = find(b, CPV_INDEX_NAME, 0);
    size_t n = cpv_load_u32(index - 4);
    uint32_t crc = cpv_crc32c(0, index, n - 4);

    for (unsigned i = 0; i < 4; i++)
        index[n - 4 + i] = (uint8_t)(crc >> 8 * i);
}

static void cut_tail(struct cpv_buf *b)
{
    b->size -= 5;
}

static void cut_half(struct cpv_buf *b)
{
    b->size /= 2;
}

static void hurt_member(struct cpv_buf *b)
{
    uint8_t jpg[64];
    struct cpv_bytes data = fixture_jpg(jpg, 3, 43);
    uint8_t *at = memmem(b->data, b->size, data.data, data.size);

    assert_non_null(at);
    at[20] ^= 0x10;
}

static void hurt_frame_header(struct cpv_buf *b)
{
    b->data[0] ^= 1;
}

static void hurt_seek_size(struct cpv_buf *b)
{
    b->data[b->size - CPV_SEEK_TAIL - CPV_SEEK_ENTRY] ^= 4;
}

static void hurt_seek_checksum(struct cpv_buf *b)
{
    b->data[b->size - CPV_SEEK_TAIL - 2 * CPV_SEEK_ENTRY + 8] ^= 4;
}

static void hurt_index(struct cpv_buf *b)
{
    *find(b, CPV_INDEX_NAME, 40) ^= 1;
}

static void raise_version(struct cpv_buf *b)
{
    *find(b, CPV_INDEX_NAME, 8) = 2;
    resum_index(b);
}

/* Counts that would need terabytes, with a right checksum. */
static void claim_members(struct cpv_buf *b)
{
    memset(find(b, CPV_INDEX_NAME, 16), 0xff, 8);
    resum_index(b);
}

static void rename_key(struct cpv_buf *b)
{
    uint8_t *index = find(b, CPV_INDEX_NAME, 0), *end = b->data + b->size;
    uint8_t *key = memmem(index, (size_t)(end - index), "000000004", 9);

    assert_non_null(key);
    key[8] = '9';
    resum_index(b);
}

static void swap_frames(struct cpv_buf *b)
{
    uint8_t *seek = b->data + b->size - CPV_SEEK_TAIL - 5 * CPV_SEEK_ENTRY;
    size_t first = cpv_load_u32(seek), second = cpv_load_u32(seek + CPV_SEEK_ENTRY);
    struct cpv_buf copy = {0};

    cpv_buf_add(&copy, b->data, first + second);
    memcpy(b->data, copy.data + first, second);
    memcpy(b->data + second, copy.data, first);
    cpv_buf_release(&copy);
}

static void garbage_behind(struct cpv_buf *b)
{
    cpv_buf_str(b, "garbage");
}

static const struct {
    const char *name;
    void (*damage)(struct cpv_buf *b); /* of "frames" */
} breaks[] = {
    {"cut-tail", cut_tail},          {"cut-half", cut_half},
    {"member", hurt_member},         {"frame-header", hurt_frame_header},
    {"seek-size", hurt_seek_size},   {"seek-checksum", hurt_seek_checksum},
    {"index", hurt_index},           {"index-version", raise_version},
    {"index-counts", claim_members}, {"index-key", rename_key},
    {"frames-swapped", swap_frames}, {"garbage-behind", garbage_behind},
};

/* ---- what must come of it ---- */

static void note(void *ctx, const struct cpv_damage *d)
{
    cpv_buf_printf(ctx, "verify: %s%s%s: %s\n", d->where, d->member ? ", " : "",
                   d->member ? d->member : "", d->why);
}

static void describe_reading(struct cpv_buf *out, const char *path)
{
    struct cpv_sample sample;
    cpv_samples *s;
    int got = cpv_samples_open(&s, path, NULL, &err);

    while (got == CPV_OK && (got = cpv_samples_next(s, &sample, &err)) == 1) {
        uint32_t crc = 0;

        for (size_t i = 0; i < sample.n_members; i++)
            crc =
                cpv_crc32c(crc, sample.members[i].data.data, sample.members[i].data.size);
        cpv_buf_printf(out, "read: %s, %zu members, crc32c %08x\n", sample.key,
                       sample.n_members, crc);
        got = 0;
    }
    if (got < 0)
        cpv_buf_printf(out, "read: %d %s\n", got, err.text);
    else
        cpv_buf_printf(out, "read: end%s%s\n",
                       cpv_samples_report(s)->unclosed ? ", unclosed" : "",
                       cpv_samples_report(s)->trailing ? ", trailing bytes" : "");
    cpv_samples_close(&s);
}

/* In the file's own folder, so that messages have no other path. */
static struct cpv_buf describe(const char *path)
{
    struct cpv_buf out = {0};
    struct cpv_shard_info info;
    char hex[65];
    cpv_shard *s;
    int rc = cpv_shard_open(&s, path, &err);

    if (rc)
        cpv_buf_printf(&out, "open: %d %s\n", rc, err.text);
    else
        cpv_buf_printf(&out, "open: %u samples, %u members, %u frames\n",
                       cpv_shard_info(s)->samples, cpv_shard_info(s)->members,
                       cpv_shard_info(s)->frames);
    cpv_shard_close(&s);
    rc = cpv_shard_verify(path, note, &out, &info, &err);
    if (rc)
        cpv_buf_printf(&out, "verify: %d %s\n", rc, err.text);
    else {
        cpv_hex(hex, info.tar_sha256, 32);
        cpv_buf_printf(&out, "verify: sound, tar sha256 %s\n", hex);
    }
    describe_reading(&out, path);
    assert_non_null(cpv_buf_cstr(&out));
    return out;
}

static void assert_expected(const char *folder, const char *name)
{
    char path[512];
    struct cpv_buf got, expected;

    (void)snprintf(path, sizeof path, "%s/%s", golden, folder);
    assert_int_equal(chdir(path), 0);
    (void)snprintf(path, sizeof path, "%s.tar.zst", name);
    got = describe(path);
    (void)snprintf(path, sizeof path, "%s.expect", name);
    expected = slurp(path);
    assert_string_equal(cpv_buf_cstr(&got), cpv_buf_cstr(&expected));
    cpv_buf_release(&got);
    cpv_buf_release(&expected);
}

static void sound_files_are_as_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shards / sizeof shards[0]; i++)
        assert_expected("ok", shards[i].name);
}

static void broken_files_are_as_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++)
        assert_expected("broken", breaks[i].name);
}

static void sound_files_are_made_again(void **state)
{
    char path[512];
    void *scratch;

    (void)state;
    assert_int_equal(enter_scratch(&scratch), 0);
    for (size_t i = 0; i < sizeof shards / sizeof shards[0]; i++) {
        struct cpv_shard_info info, old;
        struct cpv_buf a, b;

        make_one(i, "again", &info);
        (void)snprintf(path, sizeof path, "%s/ok/%s.tar.zst", golden, shards[i].name);
        assert_ok(cpv_shard_verify(path, NULL, NULL, &old, &err));
        assert_memory_equal(old.tar_sha256, info.tar_sha256, 32);
        a = slurp("again");
        b = slurp(path);
        if (ZSTD_versionNumber() == MADE_BY)
            assert_true(cpv_bytes_equal(cpv_buf_view(&a), cpv_buf_view(&b)));
        cpv_buf_release(&a);
        cpv_buf_release(&b);
        assert_int_equal(unlink("again"), 0);
    }
    assert_int_equal(leave_scratch(&scratch), 0);
}

/* ---- making them ---- */

static void write_expect(const char *name)
{
    char path[128];
    struct cpv_buf got;

    (void)snprintf(path, sizeof path, "%s.tar.zst", name);
    got = describe(path);
    (void)snprintf(path, sizeof path, "%s.expect", name);
    spill(path, cpv_buf_view(&got));
    cpv_buf_release(&got);
}

static void make_all(void **state)
{
    char path[512];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/ok", golden);
    assert_ok(cpv_folder_make(path, &err));
    assert_int_equal(chdir(path), 0);
    for (size_t i = 0; i < sizeof shards / sizeof shards[0]; i++) {
        (void)snprintf(path, sizeof path, "%s.tar.zst", shards[i].name);
        make_one(i, path, NULL);
        write_expect(shards[i].name);
    }
    (void)snprintf(path, sizeof path, "%s/broken", golden);
    assert_ok(cpv_folder_make(path, &err));
    assert_int_equal(chdir(path), 0);
    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        struct cpv_buf b = slurp("../ok/frames.tar.zst");

        breaks[i].damage(&b);
        (void)snprintf(path, sizeof path, "%s.tar.zst", breaks[i].name);
        spill(path, cpv_buf_view(&b));
        cpv_buf_release(&b);
        write_expect(breaks[i].name);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_files_are_as_expected),
        cmocka_unit_test(broken_files_are_as_expected),
        cmocka_unit_test(sound_files_are_made_again),
    };
    const struct CMUnitTest making[] = {cmocka_unit_test(make_all)};
    bool make = argc == 3 && strcmp(argv[1], "--make") == 0;

    if (!make && argc != 2) {
        fprintf(stderr, "usage: %s [--make] FOLDER\n", argv[0]);
        return 2;
    }
    golden = argv[argc - 1]; /* absolute: the test changes folders */
    return make ? cmocka_run_group_tests(making, NULL, NULL)
                : cmocka_run_group_tests(tests, NULL, NULL);
}
