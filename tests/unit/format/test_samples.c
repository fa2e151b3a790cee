/* SPDX-License-Identifier: Apache-2.0 */
/* Any tar as samples: the rules of grouping, and files that break off or go wrong. */
#include "shard_fixture.h"

#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

static struct cpv_err err;

/* "key(ext=data,ext=data) ..." of all samples; at the end "!" and the error if any. */
static struct cpv_buf describe(cpv_samples *s)
{
    struct cpv_sample sample;
    struct cpv_buf b = {0};
    int got;

    while ((got = cpv_samples_next(s, &sample, &err)) == 1) {
        cpv_buf_printf(&b, "%s%s(", b.size ? " " : "", sample.key);
        for (size_t i = 0; i < sample.n_members; i++)
            cpv_buf_printf(&b, "%s%s=%.*s", i ? "," : "", sample.members[i].ext,
                           (int)sample.members[i].data.size,
                           (const char *)sample.members[i].data.data);
        cpv_buf_str(&b, ")");
    }
    if (got < 0)
        cpv_buf_printf(&b, "%s!%s", b.size ? " " : "", err.text);
    /* What came out once stays so. */
    assert_int_equal(cpv_samples_next(s, &sample, NULL), got);
    (void)cpv_buf_cstr(&b);
    return b;
}

static struct cpv_samples_report
gives(struct cpv_buf *tar, const struct cpv_samples_params *params, const char *expected)
{
    struct cpv_samples_report report;
    struct cpv_buf got;
    cpv_samples *s;

    assert_ok(cpv_samples_open_bytes(&s, cpv_buf_view(tar), "t.tar", params, &err));
    got = describe(s);
    assert_string_equal((char *)got.data, expected);
    report = *cpv_samples_report(s);
    cpv_buf_release(&got);
    cpv_samples_close(&s);
    assert_null(s);
    return report;
}

static void keys_and_extensions(void **state)
{
    struct cpv_buf t = {0};
    struct cpv_samples_report r;

    (void)state;
    tar_add(&t, "sub/", '5', "", 0);
    tar_text(&t, "./a.JPG", "1");
    tar_text(&t, "a.seg.png", "2");
    tar_text(&t, "sub/a.jpg", "3");
    tar_text(&t, "sub.d/b.x.jpg", "4");
    tar_text(&t, "__meta__", "5");
    tar_text(&t, "__meta__/c.jpg", "6");
    tar_text(&t, ".hidden.jpg", "7");
    tar_text(&t, "sub/._a.jpg", "8");
    tar_text(&t, "README", "9");
    tar_text(&t, "d.", "10");
    tar_add(&t, "e.jpg", '2', "", 0);
    tar_text(&t, "__f.jpg", "11");
    tar_add(&t, "g.jpg", '\0', "12", 2);
    tar_end(&t);
    r = gives(&t, NULL,
              "a(jpg=1,seg.png=2) sub/a(jpg=3) sub.d/b(x.jpg=4) __f(jpg=11) g(jpg=12)");
    assert_true(r.samples == 5 && r.members == 6 && r.skipped == 8);
    assert_false(r.unclosed || r.trailing || r.truncated);
    assert_true(r.tar_bytes == t.size);
    cpv_buf_release(&t);
}

/* What is skipped does not end a sample, however large it is. */
static void skipped_members_lie_between(void **state)
{
    struct cpv_buf t = {0};
    char *big = calloc(1, 100000);

    (void)state;
    tar_text(&t, "a.jpg", "1");
    tar_add(&t, "__big__", '0', big, 100000);
    tar_text(&t, "a.txt", "2");
    tar_add(&t, "__big__", '0', big, 5000);
    tar_end(&t);
    (void)gives(&t, NULL, "a(jpg=1,txt=2)");
    cpv_buf_release(&t);
    free(big);
}

static void repeats(void **state)
{
    struct cpv_samples_params params = {.repeats = true};
    struct cpv_samples_report r;
    struct cpv_buf t = {0};

    (void)state;
    tar_text(&t, "a.jpg", "1");
    tar_text(&t, "b.jpg", "2");
    tar_text(&t, "a.txt", "3");
    tar_text(&t, "c.jpg", "4");
    tar_end(&t);
    (void)gives(
        &t, NULL,
        "a(jpg=1) b(jpg=2) !'t.tar': 'a.txt', at byte 2048 of the tar: a sample of "
        "that key came before");
    r = gives(&t, &params, "a(jpg=1) b(jpg=2) c(jpg=4)");
    assert_int_equal(r.duplicates, 1);
    cpv_buf_clear(&t);
    tar_text(&t, "a.jpg", "1");
    tar_text(&t, "a.JPG", "2");
    tar_end(&t);
    (void)gives(&t, NULL,
                "!'t.tar': 'a.JPG' twice in one sample, at byte 1536 of the tar");
    cpv_buf_release(&t);
}

static void pax_and_gnu_names(void **state)
{
    char longer[300], record[400], expected[600];
    struct cpv_buf t = {0};

    (void)state;
    memset(longer, 'n', 250);
    memcpy(longer + 250, ".jpg", 5);
    (void)snprintf(record, sizeof record, "264 path=%s\n", longer);
    tar_add(&t, "././@PaxHeader", 'x', record, strlen(record));
    tar_text(&t, "short.jpg", "1");
    tar_text(&t, "b.jpg", "2");
    longer[0] = 'm';
    tar_add(&t, "././@LongLink", 'L', longer, strlen(longer) + 1);
    tar_add(&t, "././@LongLink", 'K', "elsewhere", 10);
    tar_text(&t, "short.jpg", "3");
    tar_end(&t);
    (void)snprintf(expected, sizeof expected, "n%.249s(jpg=1) b(jpg=2) m%.249s(jpg=3)",
                   longer + 1, longer + 1);
    (void)gives(&t, NULL, expected);
    cpv_buf_release(&t);
}

static void pax_sizes_and_global_headers(void **state)
{
    struct cpv_buf t = {0};

    (void)state;
    tar_add(&t, "g", 'g', "16 comment=hello\n", 17);
    t.size -= 512; /* its record says 16 but is 17: not used */
    t.size -= 512;
    tar_add(&t, "g", 'g', "17 comment=hello\n", 17);
    tar_add(&t, "x", 'x', "10 size=5\n", 10);
    tar_text(&t, "a.txt", "");
    cpv_buf_str(&t, "12345");
    tar_pad(&t);
    tar_text(&t, "b.txt", "6");
    tar_end(&t);
    (void)gives(&t, NULL, "a(txt=12345) b(txt=6)");
    cpv_buf_release(&t);
}

static void sparse_files_are_skipped(void **state)
{
    struct cpv_samples_report r;
    struct cpv_buf t = {0};
    size_t at;

    (void)state;
    at = t.size;
    tar_add(&t, "a.jpg", 'S', "", 0);
    t.data[at + 482] = 1; /* one more header block, which has no successor */
    tar_resum(t.data + at);
    for (int i = 0; i < 512; i++)
        cpv_buf_byte(&t, 0);
    tar_add(&t, "x", 'x', "22 GNU.sparse.major=1\n", 22);
    tar_text(&t, "b.jpg", "data");
    tar_text(&t, "c.jpg", "1");
    tar_end(&t);
    r = gives(&t, NULL, "c(jpg=1)");
    assert_int_equal(r.skipped, 2);
    cpv_buf_release(&t);
}

static void ends_of_all_kinds(void **state)
{
    struct cpv_samples_report r;
    struct cpv_buf t = {0};

    (void)state;
    tar_text(&t, "a.jpg", "1");
    r = gives(&t, NULL, "a(jpg=1)");
    assert_true(r.unclosed && !r.trailing && !r.truncated);
    t.size = 512 + 1; /* even the padding is missing */
    r = gives(&t, NULL, "a(jpg=1)");
    assert_true(r.unclosed);
    tar_pad(&t);
    tar_end(&t);
    r = gives(&t, NULL, "a(jpg=1)");
    assert_false(r.unclosed);
    while (t.size < 10240)
        cpv_buf_byte(&t, 0);
    r = gives(&t, NULL, "a(jpg=1)");
    assert_false(r.trailing);
    cpv_buf_str(&t, "garbage");
    r = gives(&t, NULL, "a(jpg=1)");
    assert_true(r.trailing);
    assert_int_equal(r.trailing_at, 10240);
    cpv_buf_clear(&t);
    tar_end(&t);
    (void)gives(&t, NULL, "");
    cpv_buf_release(&t);
}

static void what_is_no_tar(void **state)
{
    struct cpv_buf t = {0};

    (void)state;
    (void)gives(&t, NULL,
                "!'t.tar': an empty file instead of a tar, at byte 0 of the tar");
    for (int i = 0; i < 100; i++)
        cpv_buf_str(&t, "not a tar ");
    (void)gives(&t, NULL, "!'t.tar': no tar header at byte 0 of the tar");
    cpv_buf_clear(&t);
    tar_text(&t, "a.jpg", "1");
    tar_text(&t, "b.jpg", "1");
    t.data[1024] ^= 1;
    (void)gives(&t, NULL,
                "!'t.tar': a tar header with a wrong checksum at byte 1024 of the tar");
    t.data[1024] ^= 1;
    memcpy(t.data + 1024 + 124, "-0000000001", 11);
    tar_resum(t.data + 1024);
    (void)gives(&t, NULL, "!'t.tar': a size that is no number at byte 1024 of the tar");
    memset(t.data + 1024 + 124, 0xff, 12);
    tar_resum(t.data + 1024);
    (void)gives(&t, NULL, "!'t.tar': a negative size at byte 1024 of the tar");
    memcpy(t.data + 1024 + 124, "77777777777", 12);
    tar_resum(t.data + 1024);
    (void)gives(&t, NULL,
                "a(jpg=1) !'t.tar': 'b.jpg', at byte 1536 of the tar: a sample of more "
                "than 536870912 bytes");
    cpv_buf_clear(&t);
    tar_add(&t, "x", 'x', "9 path\n", 7);
    tar_text(&t, "b.jpg", "1");
    (void)gives(&t, NULL,
                "!'t.tar': a PAX record of a wrong length at byte 512 of the tar");
    cpv_buf_release(&t);
}

static void names_cannot_break_a_message(void **state)
{
    struct cpv_buf t = {0};

    (void)state;
    tar_text(&t, "a\n'b.jpg", "1");
    tar_text(&t, "c.jpg", "2");
    tar_text(&t, "a\n'b.txt", "1");
    (void)gives(
        &t, NULL,
        "a\n'b(jpg=1) c(jpg=2) !'t.tar': 'a\?\?b.txt', at byte 2048 of the tar: a "
        "sample of that key came before");
    cpv_buf_release(&t);
}

/* Cut at every byte: an error in plain reading, and in salvage only whole samples. */
static void salvage_of_every_length(void **state)
{
    struct cpv_samples_params salvage = {.salvage = true};
    struct cpv_samples_report r;
    struct cpv_buf t = {0}, part = {0}, got;
    cpv_samples *s;
    size_t end;

    (void)state;
    for (int i = 0; i < 3; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "%d.jpg", i);
        tar_text(&t, name, "picture");
        (void)snprintf(name, sizeof name, "%d.txt", i);
        tar_text(&t, name, "text");
    }
    end = t.size;
    tar_end(&t);
    for (size_t n = 1; n < t.size; n++) {
        part = (struct cpv_buf){.data = t.data, .size = n};
        assert_ok(
            cpv_samples_open_bytes(&s, cpv_buf_view(&part), "t.tar", &salvage, &err));
        got = describe(s);
        r = *cpv_samples_report(s);
        assert_true(strncmp("0(jpg=picture,txt=text) 1(jpg=picture,txt=text) "
                            "2(jpg=picture,txt=text)",
                            (char *)got.data, got.size) == 0 ||
                    r.unclosed);
        /* Cut between members no one can know whether more was to come. */
        assert_true(r.samples >= n / 2048 - (n % 2048 > 0 && n % 2048 < 512 && n > 2048));
        assert_true(n >= end || r.truncated || r.unclosed);
        assert_true(!r.truncated || r.truncated_at == n);
        cpv_buf_release(&got);
        cpv_samples_close(&s);
    }
    part.size = 512 + 3;
    (void)gives(&part, NULL,
                "!'t.tar': cut off inside of '0.jpg', at byte 515 of the tar");
    part.size = 100;
    (void)gives(&part, NULL,
                "!'t.tar': cut off inside of 'a tar header', at byte 100 of the tar");
    cpv_buf_release(&t);
}

static void a_sample_may_be_larger_than_any_block(void **state)
{
    enum { BIG = 9 << 20 };
    struct cpv_samples_params params = {.max_bytes = (size_t)BIG + 2048};
    uint8_t *big = malloc(BIG);
    struct cpv_sample sample;
    struct cpv_buf t = {0};
    cpv_samples *s;

    (void)state;
    for (size_t i = 0; i < BIG; i++)
        big[i] = (uint8_t)(i * 2654435761u >> 13);
    tar_text(&t, "a.txt", "small");
    tar_add(&t, "b.bin", '0', big, BIG);
    tar_text(&t, "b.txt", "after");
    tar_text(&t, "c.txt", "last");
    tar_end(&t);
    spill("big.tar", cpv_buf_view(&t));
    for (int mode = 0; mode < 2; mode++) {
        if (mode)
            assert_ok(cpv_samples_open(&s, "big.tar", &params, &err));
        else
            assert_ok(cpv_samples_open_bytes(&s, cpv_buf_view(&t), "t", &params, &err));
        assert_int_equal(cpv_samples_next(s, &sample, &err), 1);
        assert_int_equal(cpv_samples_next(s, &sample, &err), 1);
        assert_int_equal(sample.n_members, 2);
        assert_int_equal(sample.members[0].data.size, BIG);
        assert_memory_equal(sample.members[0].data.data, big, BIG);
        assert_memory_equal(sample.members[1].data.data, "after", 5);
        assert_int_equal(cpv_samples_next(s, &sample, &err), 1);
        assert_int_equal(cpv_samples_next(s, &sample, &err), 0);
        cpv_samples_close(&s);
    }
    params.max_bytes = BIG;
    (void)gives(
        &t, &params,
        "a(txt=small) !'t.tar': 'b.bin', at byte 1536 of the tar: a sample of more "
        "than 9437184 bytes");
    cpv_buf_release(&t);
    free(big);
}

/* ---- files ---- */

static void assert_all(const char *path, int ahead, uint32_t n)
{
    struct cpv_samples_params params = {.read_ahead = ahead};
    struct cpv_sample sample;
    cpv_samples *s;
    int got;

    assert_ok(cpv_samples_open(&s, path, &params, &err));
    for (uint32_t i = 0; (got = cpv_samples_next(s, &sample, &err)) == 1; i++) {
        assert_int_equal(sample.number, i);
        assert_fixture(&sample, i, fixture_size(i));
    }
    assert_int_equal(got, 0);
    assert_int_equal(cpv_samples_report(s)->samples, n);
    assert_false(cpv_samples_report(s)->trailing);
    cpv_samples_close(&s);
}

static void our_shards_in_all_wrappings(void **state)
{
    enum { N = 1000 };
    static const char *const paths[] = {"w.tar.zst", "w.tar", "w.tar.gz", "w1.tar.zst"};
    struct cpv_buf shard, tar = {0};
    struct cpv_shard_info info;
    size_t n;
    gzFile gz;

    (void)state;
    make_shard("w.tar.zst", N, 0, NULL, &info);
    shard = slurp("w.tar.zst");
    n = ZSTD_decompress(cpv_buf_reserve(&tar, info.tar_bytes), info.tar_bytes, shard.data,
                        shard.size);
    tar.size = n;
    spill("w.tar", cpv_buf_view(&tar));
    assert_non_null(gz = gzopen("w.tar.gz", "wb1"));
    assert_int_equal(gzwrite(gz, tar.data, (unsigned)n), (int)n);
    assert_int_equal(gzclose(gz), Z_OK);
    cpv_buf_clear(&shard); /* one frame, no seek table */
    (void)cpv_buf_reserve(&shard, ZSTD_compressBound(n));
    shard.size = ZSTD_compress(shard.data, ZSTD_compressBound(n), tar.data, n, 1);
    spill("w1.tar.zst", cpv_buf_view(&shard));
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        for (int ahead = 0; ahead <= 4; ahead += 2)
            assert_all(paths[i], ahead, N);
    cpv_buf_release(&shard);
    cpv_buf_release(&tar);
}

static void closing_in_the_middle_stops_the_thread(void **state)
{
    struct cpv_samples_params params = {.read_ahead = 3};
    struct cpv_sample sample;
    cpv_samples *s;

    (void)state;
    make_shard("middle.tar.zst", 1000, 3000, NULL, NULL);
    for (int n = 0; n < 200; n += 20) {
        assert_ok(cpv_samples_open(&s, "middle.tar.zst", &params, &err));
        for (int i = 0; i < n; i++)
            assert_int_equal(cpv_samples_next(s, &sample, &err), 1);
        cpv_samples_close(&s);
    }
}

/* A shard cut off anywhere has no seek table: what is complete is salvaged. */
static void a_cut_shard_is_salvaged(void **state)
{
    struct cpv_samples_params salvage = {.salvage = true, .read_ahead = 1};
    struct cpv_samples_report r;
    struct cpv_sample sample;
    struct cpv_buf file;
    cpv_samples *s;
    int got;

    (void)state;
    make_shard("whole.tar.zst", 200, 2000, NULL, NULL);
    file = slurp("whole.tar.zst");
    for (size_t n = 4000; n < file.size; n += 4001) {
        spill("cut.tar.zst", cpv_bytes_of(file.data, n));
        assert_ok(cpv_samples_open(&s, "cut.tar.zst", &salvage, &err));
        while ((got = cpv_samples_next(s, &sample, &err)) == 1)
            assert_fixture(&sample, (uint32_t)sample.number, 2000);
        assert_int_equal(got, 0);
        r = *cpv_samples_report(s);
        assert_true(r.truncated || r.trailing || r.samples == 200);
        assert_non_null(strstr(r.why, "cut.tar.zst"));
        cpv_samples_close(&s);
        assert_ok(cpv_samples_open(&s, "cut.tar.zst", NULL, &err));
        while ((got = cpv_samples_next(s, &sample, &err)) == 1)
            ;
        assert_true(got == CPV_E_INPUT || r.samples == 200);
        cpv_samples_close(&s);
    }
    cpv_buf_release(&file);
}

static void a_missing_file(void **state)
{
    cpv_samples *s;

    (void)state;
    assert_int_equal(cpv_samples_open(&s, "nowhere.tar", NULL, &err), CPV_E_ABSENT);
    assert_null(s);
    assert_string_equal(err.text, "cannot open 'nowhere.tar': No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_extensions),
        cmocka_unit_test(skipped_members_lie_between),
        cmocka_unit_test(repeats),
        cmocka_unit_test(pax_and_gnu_names),
        cmocka_unit_test(pax_sizes_and_global_headers),
        cmocka_unit_test(sparse_files_are_skipped),
        cmocka_unit_test(ends_of_all_kinds),
        cmocka_unit_test(what_is_no_tar),
        cmocka_unit_test(names_cannot_break_a_message),
        cmocka_unit_test(salvage_of_every_length),
        cmocka_unit_test(a_sample_may_be_larger_than_any_block),
        cmocka_unit_test(our_shards_in_all_wrappings),
        cmocka_unit_test(closing_in_the_middle_stops_the_thread),
        cmocka_unit_test(a_cut_shard_is_salvaged),
        cmocka_unit_test(a_missing_file),
    };

    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
