/* SPDX-License-Identifier: Apache-2.0 */
/* Tar headers: ours to the byte, and those of others, sound and not. */
#include "shard_fixture.h"

#include "common/base/hash.h"

static void our_header_is_what_the_format_says(void **state)
{
    uint8_t h[512];

    (void)state;
    cpv_tar_write(h, "000000012", "clip.npy", 01234567);
    assert_string_equal((char *)h, "000000012.clip.npy");
    assert_memory_equal(h + 100,
                        "0000444\0"
                        "0000000\0"
                        "0000000\0"
                        "00001234567\0"
                        "00000000000\0",
                        48);
    assert_int_equal(h[156], '0');
    assert_memory_equal(h + 257,
                        "ustar\0"
                        "00",
                        8);
    assert_memory_equal(h + 329,
                        "0000000\0"
                        "0000000\0",
                        16);
    assert_true(cpv_tar_is_zero(h + 345, 512 - 345));
    assert_int_equal(h[154], 0);
    assert_int_equal(h[155], ' ');
}

static void our_header_reads_back(void **state)
{
    static const uint64_t sizes[] = {0, 1, 511, 512, 077777777777};
    struct cpv_tar_head head;
    uint8_t h[512];

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cpv_tar_write(h, "k", "jpg", sizes[i]);
        assert_null(cpv_tar_read(&head, h));
        assert_int_equal(head.kind, CPV_TAR_FILE);
        assert_true(head.size == sizes[i]);
        assert_string_equal(head.name, "k.jpg");
    }
}

static void a_flip_of_any_bit_is_seen(void **state)
{
    struct cpv_tar_head head;
    uint8_t h[512];

    (void)state;
    for (unsigned bit = 0; bit < 512 * 8; bit++) {
        cpv_tar_write(h, "k", "jpg", 12345);
        h[bit / 8] ^= (uint8_t)(1u << bit % 8);
        /* The checksum itself may be written in several ways. */
        if (bit / 8 < 148 || bit / 8 > 155)
            assert_non_null(cpv_tar_read(&head, h));
        else
            (void)cpv_tar_read(&head, h);
    }
}

/* What reading a header with these 12 bytes of size gives. */
static const char *size_of(const char field[12], uint64_t *size)
{
    struct cpv_tar_head head;
    const char *why;
    uint8_t h[512];

    cpv_tar_write(h, "k", "jpg", 0);
    memcpy(h + 124, field, 12);
    tar_resum(h);
    why = cpv_tar_read(&head, h);
    *size = head.size;
    return why;
}

static void sizes_in_every_spelling(void **state)
{
    uint64_t n;

    (void)state;
    assert_null(size_of("       1750 ", &n));
    assert_int_equal(n, 01750);
    assert_null(size_of("\0\0\0\0\0\0\0\0\0\0\0\0", &n));
    assert_int_equal(n, 0);
    assert_null(size_of("777777777777", &n)); /* all twelve */
    assert_true(n == 0777777777777);
    assert_null(size_of("\x80\0\0\0\0\0\0\x02\0\0\0\x05", &n));
    assert_true(n == 0x200000005);
    assert_non_null(size_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", &n));
    assert_non_null(size_of("\x80\0\0\x7f\xff\xff\xff\xff\xff\xff\xff\xff", &n));
    assert_non_null(size_of("0000000000x\0", &n));
    assert_non_null(size_of("-0000000001\0", &n));
    assert_non_null(size_of("00000000009\0", &n));
}

static void signed_checksums_are_taken(void **state)
{
    struct cpv_tar_head head;
    uint8_t h[512];
    int sum = 0;
    char text[8];

    (void)state;
    cpv_tar_write(h, "k", "jpg", 1);
    h[0] = 0xe4; /* a name in Latin-1 */
    memset(h + 148, ' ', 8);
    for (unsigned i = 0; i < 512; i++)
        sum += (int8_t)h[i];
    (void)snprintf(text, sizeof text, "%06o", (unsigned)sum);
    memcpy(h + 148, text, 7);
    assert_null(cpv_tar_read(&head, h));
    h[148] ^= 1;
    assert_non_null(cpv_tar_read(&head, h));
}

static void only_posix_headers_have_a_prefix(void **state)
{
    struct cpv_tar_head head;
    uint8_t h[512];

    (void)state;
    cpv_tar_write(h, "k", "jpg", 1);
    memcpy(h + 345, "folder/sub", 10);
    tar_resum(h);
    assert_null(cpv_tar_read(&head, h));
    assert_string_equal(head.name, "folder/sub/k.jpg");
    memcpy(h + 257, "ustar  ", 8);
    tar_resum(h);
    assert_null(cpv_tar_read(&head, h));
    assert_string_equal(head.name, "k.jpg");
}

static void the_longest_name_fits(void **state)
{
    struct cpv_tar_head head;
    uint8_t h[512];

    (void)state;
    cpv_tar_write(h, "k", "jpg", 1);
    memset(h, 'n', 100);
    memset(h + 345, 'p', 155);
    tar_resum(h);
    assert_null(cpv_tar_read(&head, h));
    assert_int_equal(strlen(head.name), 256);
}

static void folders_of_old_are_no_files(void **state)
{
    struct cpv_buf b = {0};
    struct cpv_tar_head head;

    (void)state;
    tar_add(&b, "a/", '\0', "", 0);
    assert_null(cpv_tar_read(&head, b.data));
    assert_int_equal(head.kind, CPV_TAR_OTHER);
    cpv_buf_release(&b);
}

static const char *pax(struct cpv_tar_pax *p, const char *text)
{
    return cpv_tar_read_pax(p, cpv_bytes_str(text));
}

static void pax_records(void **state)
{
    struct cpv_tar_pax p = {0};

    (void)state;
    assert_null(pax(&p, "11 path=a=\n10 size=9\n20 mtime=1.23456789\n"));
    assert_int_equal(p.path.size, 2);
    assert_memory_equal(p.path.data, "a=", 2);
    assert_true(p.has_size && p.size == 9 && !p.sparse);
    assert_null(pax(&p, "8 path=\n"));
    assert_null(p.path.data);
    assert_null(pax(&p, "8 size=\n"));
    assert_false(p.has_size);
    assert_null(pax(&p, "22 GNU.sparse.major=1\n"));
    assert_true(p.sparse);
    assert_null(pax(&p, ""));
}

static void bad_pax_records(void **state)
{
    static const char *const bad[] = {"path=a\n",
                                      "10 path=a",
                                      "99 path=a\n",
                                      "8 path=a\n",
                                      "0 path=a\n",
                                      "-10 path=a\n",
                                      "10path=a\n",
                                      "10 pathxa\n",
                                      "10 size=x\n",
                                      "11 size=-1\n",
                                      "3 =\n",
                                      "99999999999999999999 a=b\n",
                                      "10 path=abc\n",
                                      "4 a\n",
                                      "10 path=a\n10",
                                      "1 ",
                                      "36 size=11111111111111111111111111\n"};
    struct cpv_tar_pax p;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        p = (struct cpv_tar_pax){0};
        if (!pax(&p, bad[i]))
            fail_msg("taken: %s", bad[i]);
    }
    p = (struct cpv_tar_pax){0};
    assert_non_null(cpv_tar_read_pax(&p, cpv_bytes_of("12 path=a\0b\n", 12)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_header_is_what_the_format_says),
        cmocka_unit_test(our_header_reads_back),
        cmocka_unit_test(a_flip_of_any_bit_is_seen),
        cmocka_unit_test(sizes_in_every_spelling),
        cmocka_unit_test(signed_checksums_are_taken),
        cmocka_unit_test(only_posix_headers_have_a_prefix),
        cmocka_unit_test(the_longest_name_fits),
        cmocka_unit_test(folders_of_old_are_no_files),
        cmocka_unit_test(pax_records),
        cmocka_unit_test(bad_pax_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
