/* SPDX-License-Identifier: Apache-2.0 */
/* Shards: written, read back in any order, and refused when they must be. */
#include "shard_fixture.h"

#include <zstd.h>

#include "common/base/hash.h"
#include "common/format/shard_index.h"

static struct cpv_err err;

static cpv_arena *open_arena(void)
{
    cpv_arena *a;

    assert_ok(cpv_arena_open(&a, 0, &err));
    return a;
}

static void all_samples_come_back_in_any_order(void **state)
{
    enum { N = 700 };
    struct cpv_shard_info info;
    struct cpv_sample sample;
    cpv_arena *mem = open_arena();
    cpv_shard *s;

    (void)state;
    make_shard("any.tar.zst", N, 0, NULL, &info);
    assert_int_equal(info.samples, N);
    assert_int_equal(info.members, 2 * N);
    assert_int_equal(info.frames, 11); /* 700 / 64, rounded up */
    assert_ok(cpv_shard_open(&s, "any.tar.zst", &err));
    assert_int_equal(cpv_shard_count(s), N);
    for (uint32_t k = 0; k < N; k++) {
        uint32_t i = k * 389 % N, found;
        char key[16];

        fixture_key(key, i);
        assert_true(cpv_shard_find(s, key, &found));
        assert_int_equal(found, i);
        assert_string_equal(cpv_shard_key(s, i), key);
        assert_ok(cpv_shard_read(s, i, NULL, mem, &sample, &err));
        assert_int_equal(sample.number, i);
        assert_fixture(&sample, i, fixture_size(i));
        cpv_arena_reset(mem);
    }
    cpv_shard_close(&s);
    cpv_arena_close(&mem);
}

static void one_member_alone(void **state)
{
    cpv_arena *mem = open_arena();
    struct cpv_sample sample;
    cpv_shard *s;
    uint32_t unused;

    (void)state;
    make_shard("one.tar.zst", 5, 100, NULL, NULL);
    assert_ok(cpv_shard_open(&s, "one.tar.zst", &err));
    assert_ok(cpv_shard_read(s, 3, "json", mem, &sample, &err));
    assert_int_equal(sample.n_members, 1);
    assert_string_equal(sample.members[0].ext, "json");
    assert_ptr_equal(cpv_sample_member(&sample, "json"), &sample.members[0]);
    assert_null(cpv_sample_member(&sample, "jpg"));
    assert_int_equal(cpv_shard_read(s, 3, "txt", mem, &sample, &err), CPV_E_ABSENT);
    assert_string_equal(err.text, "'one.tar.zst': '000000003' has no member 'txt'");
    assert_false(cpv_shard_find(s, "3", &unused));
    cpv_shard_close(&s);
    cpv_arena_close(&mem);
}

static void the_info_is_true(void **state)
{
    struct cpv_shard_params params = {.settings = {1, 2, 3}};
    struct cpv_shard_info info;
    struct cpv_buf file;
    uint8_t digest[32], *tar;
    const struct cpv_shard_info *read;
    cpv_shard *s;
    size_t n;

    (void)state;
    make_shard("info.tar.zst", 100, 0, &params, &info);
    file = slurp("info.tar.zst");
    assert_true(info.bytes == file.size);
    cpv_sha256_of(digest, cpv_buf_view(&file));
    assert_memory_equal(info.sha256, digest, 32);
    /* Several frames at once: ZSTD_decompress takes them all, skippable ones too. */
    tar = malloc(info.tar_bytes);
    n = ZSTD_decompress(tar, info.tar_bytes, file.data, file.size);
    assert_true(n == info.tar_bytes);
    cpv_sha256_of(digest, cpv_bytes_of(tar, n));
    assert_memory_equal(info.tar_sha256, digest, 32);
    assert_true(cpv_tar_is_zero(tar + n - 1024, 1024));
    assert_ok(cpv_shard_open(&s, "info.tar.zst", &err));
    read = cpv_shard_info(s);
    assert_memory_equal(read->tar_sha256, info.tar_sha256, 32);
    assert_memory_equal(read->settings, params.settings, 32);
    assert_true(read->bytes == info.bytes && read->tar_bytes == info.tar_bytes);
    assert_true(read->samples == 100 && read->members == 200 && read->frames == 2);
    cpv_shard_close(&s);
    cpv_buf_release(&file);
    free(tar);
}

/* Frames lie end to end, samples too, and where the entries say there are headers. */
static void entries_tile_the_tar(void **state)
{
    struct cpv_buf file;
    struct cpv_tar_head head;
    uint64_t at = 0, tar_at = 0;
    cpv_shard *s;

    (void)state;
    make_shard("tile.tar.zst", 300, 0, NULL, NULL);
    file = slurp("tile.tar.zst");
    assert_ok(cpv_shard_open(&s, "tile.tar.zst", &err));
    for (uint32_t f = 0; f <= cpv_shard_info(s)->frames; f++) {
        const struct cpv_frame_entry *e = cpv_shard_frame(s, f);
        uint8_t *raw = malloc(e->tar_size);
        uint32_t within = 0;

        assert_true(e->at == at && e->tar_at == tar_at);
        assert_int_equal(cpv_crc32c(0, file.data + at, e->size), e->crc32c);
        assert_int_equal(ZSTD_decompress(raw, e->tar_size, file.data + at, e->size),
                         e->tar_size);
        assert_int_equal((uint32_t)cpv_xxh64(raw, e->tar_size, 0), e->xxh);
        for (uint32_t i = e->first; i < e->first + e->samples; i++) {
            const struct cpv_sample_entry *x = cpv_shard_entry(s, i);

            assert_int_equal(x->frame, f);
            assert_int_equal(x->offset, within);
            assert_null(cpv_tar_read(&head, raw + x->offset));
            assert_memory_equal(head.name, x->key, strlen(x->key));
            assert_int_equal(x->members[0].offset, x->offset + 512);
            assert_int_equal(x->members[0].size, head.size);
            within += x->size;
        }
        at += e->size;
        tar_at += e->tar_size;
        free(raw);
    }
    assert_true(tar_at == cpv_shard_info(s)->tar_bytes);
    cpv_shard_close(&s);
    cpv_buf_release(&file);
}

static void frames_close_early_and_at_groups(void **state)
{
    struct cpv_shard_params params = {.frame_samples = 100, .frame_bytes = 64 << 10};
    cpv_shard *s;

    (void)state;
    make_shard("group.tar.zst", 600, 10, &params, NULL);
    assert_ok(cpv_shard_open(&s, "group.tar.zst", &err));
    /* A sample is 2048 tar bytes: 32 make 64 KiB. */
    assert_int_equal(cpv_shard_frame(s, 0)->samples, 32);
    cpv_shard_close(&s);
    params.frame_bytes = 0;
    make_shard("group2.tar.zst", 600, 10, &params, NULL);
    assert_ok(cpv_shard_open(&s, "group2.tar.zst", &err));
    assert_int_equal(cpv_shard_frame(s, 1)->samples, 100);
    assert_int_equal(cpv_shard_frame(s, 2)->samples, 56);
    assert_int_equal(cpv_shard_frame(s, 3)->first, 256);
    assert_int_equal(cpv_shard_frame(s, 6)->first, 512);
    cpv_shard_close(&s);
}

/* Each frame is what a fresh compressor makes of it: no state leaks from frame to
 * frame, or a part taken up in its middle would differ. */
static void the_same_samples_give_the_same_bytes(void **state)
{
    struct cpv_buf a, b;
    cpv_shard *s;
    ZSTD_CCtx *z;

    (void)state;
    make_shard("same1.tar.zst", 500, 3000, NULL, NULL);
    make_shard("same2.tar.zst", 500, 3000, NULL, NULL);
    a = slurp("same1.tar.zst");
    b = slurp("same2.tar.zst");
    assert_true(cpv_bytes_equal(cpv_buf_view(&a), cpv_buf_view(&b)));
    assert_ok(cpv_shard_open(&s, "same1.tar.zst", &err));
    for (uint32_t f = 0; f <= cpv_shard_info(s)->frames; f++) {
        const struct cpv_frame_entry *e = cpv_shard_frame(s, f);
        size_t bound = ZSTD_compressBound(e->tar_size), n;
        uint8_t *raw = malloc(e->tar_size), *packed = malloc(bound);

        assert_int_equal(ZSTD_decompress(raw, e->tar_size, a.data + e->at, e->size),
                         e->tar_size);
        z = ZSTD_createCCtx();
        (void)ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, 3);
        (void)ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, 21);
        (void)ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
        n = ZSTD_compress2(z, packed, bound, raw, e->tar_size);
        assert_int_equal(n, e->size);
        assert_memory_equal(packed, a.data + e->at, n);
        (void)ZSTD_freeCCtx(z);
        free(raw);
        free(packed);
    }
    cpv_shard_close(&s);
    cpv_buf_release(&a);
    cpv_buf_release(&b);
}

static void members_are_sorted(void **state)
{
    struct cpv_member m[3] = {{"txt", cpv_bytes_str("t")},
                              {"clip.npy", cpv_bytes_str("c")},
                              {"jpg", cpv_bytes_str("j")}};
    cpv_shard_writer *w;
    cpv_shard *s;

    (void)state;
    assert_ok(cpv_shard_create(&w, "sorted.tar.zst", NULL, &err));
    cpv_shard_put(w, "a", m, 3);
    cpv_shard_put(w, "b", m + 1, 1);
    assert_ok(cpv_shard_commit(&w, NULL, NULL, &err));
    assert_ok(cpv_shard_open(&s, "sorted.tar.zst", &err));
    assert_string_equal(cpv_shard_entry(s, 0)->members[0].ext, "clip.npy");
    assert_string_equal(cpv_shard_entry(s, 0)->members[1].ext, "jpg");
    assert_string_equal(cpv_shard_entry(s, 0)->members[2].ext, "txt");
    assert_int_equal(cpv_shard_entry(s, 1)->n_members, 1);
    cpv_shard_close(&s);
}

static void no_samples_at_all(void **state)
{
    struct cpv_shard_info info;
    uint32_t unused;
    cpv_shard *s;

    (void)state;
    make_shard("none.tar.zst", 0, 0, NULL, &info);
    assert_int_equal(info.tar_bytes, 1024);
    assert_ok(cpv_shard_open(&s, "none.tar.zst", &err));
    assert_int_equal(cpv_shard_count(s), 0);
    assert_int_equal(cpv_shard_info(s)->frames, 0);
    assert_false(cpv_shard_find(s, "a", &unused));
    cpv_shard_close(&s);
}

/* One put that must fail, and what commit says about it. */
static void assert_refused(const char *key, const struct cpv_member *m, size_t n,
                           const char *text)
{
    struct cpv_member good = {"jpg", {(const uint8_t *)"x", 1}};
    cpv_shard_writer *w;

    assert_ok(cpv_shard_create(&w, "refused.tar.zst", NULL, &err));
    cpv_shard_put(w, "before", &good, 1);
    assert_ok(cpv_shard_check_writer(w, &err));
    cpv_shard_put(w, key, m, n);
    assert_int_equal(cpv_shard_check_writer(w, &err), CPV_E_INPUT);
    cpv_shard_put(w, "after", &good, 1);
    assert_int_equal(cpv_shard_commit(&w, NULL, NULL, &err), CPV_E_INPUT);
    assert_string_equal(err.text, text);
    assert_null(w);
    assert_false(cpv_file_exists("refused.tar.zst"));
    assert_false(cpv_file_exists(".refused.tar.zst.tmp"));
}

static void bad_samples_are_refused(void **state)
{
    struct cpv_member m[2] = {{"jpg", cpv_bytes_str("x")}, {"jpg", cpv_bytes_str("y")}};
    char key[CPV_SHARD_KEY_MAX + 2];

    (void)state;
    assert_refused("a b", m, 1, "key 'a b': expected 1 to 80 of A-Z a-z 0-9 _ -");
    assert_refused("a/b", m, 1, "key 'a/b': expected 1 to 80 of A-Z a-z 0-9 _ -");
    assert_refused("", m, 1, "key '': expected 1 to 80 of A-Z a-z 0-9 _ -");
    assert_refused("a", m, 0, "key 'a': 0 members, expected 1 to 255");
    assert_refused("a", m, 2, "'a.jpg' twice in one sample");
    assert_refused("before", m, 1, "key 'before' twice in one shard");
    m[0].ext = "JPG";
    assert_refused("a", m, 1, "key 'a': bad extension 'JPG'");
    m[0].ext = "a..b";
    assert_refused("a", m, 1, "key 'a': bad extension 'a..b'");
    m[0].ext = "";
    assert_refused("a", m, 1, "key 'a': bad extension ''");
    m[0].ext = "jpg";
    m[0].data.size = (size_t)600 << 20; /* never touched */
    assert_refused("a", m, 1, "key 'a': a sample of more than 536870912 bytes");
    memset(key, 'k', sizeof key);
    key[CPV_SHARD_KEY_MAX] = '\0';
    assert_true(cpv_shard_key_ok(key));
    key[CPV_SHARD_KEY_MAX] = 'k';
    key[CPV_SHARD_KEY_MAX + 1] = '\0';
    assert_false(cpv_shard_key_ok(key));
    assert_true(cpv_shard_ext_ok("a2345678901234.npy"));
    assert_false(cpv_shard_ext_ok("a23456789012345.npy"));
    assert_false(cpv_shard_ext_ok(".npy"));
    assert_false(cpv_shard_ext_ok("npy."));
}

static void bad_parameters_are_refused(void **state)
{
    struct cpv_shard_params params = {.level = 99};
    cpv_shard_writer *w;

    (void)state;
    assert_int_equal(cpv_shard_create(&w, "p.tar.zst", &params, &err), CPV_E_USAGE);
    assert_null(w);
    params = (struct cpv_shard_params){.frame_bytes = (size_t)1 << 30};
    assert_int_equal(cpv_shard_create(&w, "p.tar.zst", &params, &err), CPV_E_USAGE);
}

static void two_writers_exclude_each_other(void **state)
{
    cpv_shard_writer *a, *b;

    (void)state;
    assert_ok(cpv_shard_create(&a, "busy.tar.zst", NULL, &err));
    assert_int_equal(cpv_shard_create(&b, "busy.tar.zst", NULL, &err), CPV_E_BUSY);
    assert_null(b);
    cpv_shard_discard(&a);
    assert_null(a);
    cpv_shard_discard(&a);
    assert_false(cpv_file_exists("busy.tar.zst"));
    assert_ok(cpv_shard_create(&b, "busy.tar.zst", NULL, &err));
    cpv_shard_discard(&b);
}

static void what_is_there_wins(void **state)
{
    struct cpv_shard_info first, second;
    struct cpv_buf before, after;
    cpv_shard_writer *w;
    bool existed = false;

    (void)state;
    make_shard("wins.tar.zst", 3, 50, NULL, &first);
    before = slurp("wins.tar.zst");
    assert_ok(cpv_shard_create(&w, "wins.tar.zst", NULL, &err));
    put_fixture(w, 9, 9);
    assert_ok(cpv_shard_commit(&w, &second, &existed, &err));
    assert_true(existed);
    assert_int_equal(second.samples, 1);
    after = slurp("wins.tar.zst");
    assert_true(cpv_bytes_equal(cpv_buf_view(&before), cpv_buf_view(&after)));
    cpv_buf_release(&before);
    cpv_buf_release(&after);
}

static void what_is_no_shard_is_refused(void **state)
{
    struct cpv_buf file, longer = {0};
    cpv_shard *s;

    (void)state;
    assert_int_equal(cpv_shard_open(&s, "absent.tar.zst", &err), CPV_E_ABSENT);
    assert_null(s);
    spill("text", cpv_bytes_str("This is a text of more than a few bytes, no shard."));
    assert_int_equal(cpv_shard_open(&s, "text", &err), CPV_E_INPUT);
    spill("tiny", cpv_bytes_str("x"));
    assert_int_equal(cpv_shard_open(&s, "tiny", &err), CPV_E_INPUT);
    make_shard("cut.tar.zst", 3, 50, NULL, NULL);
    file = slurp("cut.tar.zst");
    for (size_t n = 0; n < file.size; n++) {
        spill("cut", cpv_bytes_of(file.data, n));
        assert_int_not_equal(cpv_shard_open(&s, "cut", &err), CPV_OK);
        assert_null(s);
    }
    /* Something in front: the frames do not fill the file. */
    cpv_buf_byte(&longer, 0);
    cpv_buf_add(&longer, file.data, file.size);
    spill("longer", cpv_buf_view(&longer));
    assert_int_equal(cpv_shard_open(&s, "longer", &err), CPV_E_CORRUPT);
    cpv_buf_release(&file);
    cpv_buf_release(&longer);
}

/* An index with one key twice passes its checksum, but not the reader. */
static void a_key_twice_in_the_index_is_seen(void **state)
{
    struct cpv_buf file;
    uint8_t *index;
    size_t at = 0, n;
    cpv_shard *s;

    (void)state;
    make_shard("twice.tar.zst", 2, 50, NULL, NULL);
    file = slurp("twice.tar.zst");
    while (memcmp(file.data + at, CPV_INDEX_NAME, 8) != 0)
        at++;
    index = file.data + at;
    n = cpv_load_u32(index - 4);
    for (size_t i = 0; i + 9 < n; i++)
        if (memcmp(index + i, "000000001", 9) == 0)
            index[i + 8] = '0';
    at = cpv_crc32c(0, index, n - 4);
    for (unsigned i = 0; i < 4; i++)
        index[n - 4 + i] = (uint8_t)(at >> 8 * i);
    spill("twice", cpv_buf_view(&file));
    assert_int_equal(cpv_shard_open(&s, "twice", &err), CPV_E_CORRUPT);
    assert_string_equal(err.text, "'twice': sample index: key '000000000' twice");
    cpv_buf_release(&file);
}

static void names_fit_a_tar_header(void **state)
{
    char key[CPV_SHARD_KEY_MAX + 1], ext[CPV_SHARD_EXT_MAX + 1];
    struct cpv_member m = {ext, cpv_bytes_str("long")};
    struct cpv_sample sample;
    cpv_shard_writer *w;
    cpv_samples *s;

    (void)state;
    memset(key, 'k', sizeof key - 1);
    memset(ext, 'e', sizeof ext - 1);
    key[sizeof key - 1] = ext[sizeof ext - 1] = '\0';
    assert_ok(cpv_shard_create(&w, "long.tar.zst", NULL, &err));
    cpv_shard_put(w, key, &m, 1);
    assert_ok(cpv_shard_commit(&w, NULL, NULL, &err));
    assert_ok(cpv_samples_open(&s, "long.tar.zst", NULL, &err));
    assert_int_equal(cpv_samples_next(s, &sample, &err), 1);
    assert_string_equal(sample.key, key);
    assert_string_equal(sample.members[0].ext, ext);
    cpv_samples_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_samples_come_back_in_any_order),
        cmocka_unit_test(one_member_alone),
        cmocka_unit_test(the_info_is_true),
        cmocka_unit_test(entries_tile_the_tar),
        cmocka_unit_test(frames_close_early_and_at_groups),
        cmocka_unit_test(the_same_samples_give_the_same_bytes),
        cmocka_unit_test(members_are_sorted),
        cmocka_unit_test(no_samples_at_all),
        cmocka_unit_test(bad_samples_are_refused),
        cmocka_unit_test(bad_parameters_are_refused),
        cmocka_unit_test(two_writers_exclude_each_other),
        cmocka_unit_test(what_is_there_wins),
        cmocka_unit_test(what_is_no_shard_is_refused),
        cmocka_unit_test(a_key_twice_in_the_index_is_seen),
        cmocka_unit_test(names_fit_a_tar_header),
    };

    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
