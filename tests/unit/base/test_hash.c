/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h: published test vectors, and the same in pieces. */
#include "tests/unit/base/unit.h"

#include "common/base/hash.h"

static void is_hex(const uint8_t *digest, size_t n, const char *expected)
{
    char text[CPV_SHA256_HEX];

    cpv_hex(text, digest, n);
    assert_string_equal(text, expected);
}

/* FIPS 180-4 examples. */
static void sha256_known_answers(void **state)
{
    uint8_t d[CPV_SHA256_SIZE];

    (void)state;
    cpv_sha256_of(d, cpv_bytes_str("abc"));
    is_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cpv_sha256_of(d, cpv_bytes_of(NULL, 0));
    is_hex(d, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void sha256_in_pieces_and_again(void **state)
{
    struct cpv_err err;
    uint8_t d[CPV_SHA256_SIZE];
    cpv_sha256 *h;

    (void)state;
    assert_ok(cpv_sha256_open(&h, &err));
    for (int round = 0; round < 2; round++) {
        cpv_sha256_add(h, "a", 1);
        cpv_sha256_add(h, NULL, 0);
        cpv_sha256_add(h, "bc", 2);
        cpv_sha256_take(h, d);
        is_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    cpv_sha256_close(&h);
    assert_null(h);
    cpv_sha256_close(&h);
}

/* RFC 1321. */
/* `printf hello | git hash-object --stdin`, and of nothing */
static void git_blob_known_answers(void **state)
{
    uint8_t d[20];
    char hex[41];

    (void)state;
    cpv_git_blob_of(d, cpv_bytes_str("hello"));
    cpv_hex(hex, d, sizeof d);
    assert_string_equal(hex, "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
    cpv_git_blob_of(d, cpv_bytes_of(NULL, 0));
    cpv_hex(hex, d, sizeof d);
    assert_string_equal(hex, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

static void md5_known_answers(void **state)
{
    uint8_t d[16];

    (void)state;
    cpv_md5_of(d, cpv_bytes_str("abc"));
    is_hex(d, 16, "900150983cd24fb0d6963f7d28e17f72");
    cpv_md5_of(d, cpv_bytes_of(NULL, 0));
    is_hex(d, 16, "d41d8cd98f00b204e9800998ecf8427e");
}

static void xxh64_known_answers(void **state)
{
    (void)state;
    assert_true(cpv_xxh64("", 0, 0) == 0xef46db3751d8e999u);
    assert_true(cpv_xxh64("abc", 3, 0) == 0x44bc2cf5ad770999u);
}

/* RFC 3720, B.4. */
static void crc32c_known_answers(void **state)
{
    uint8_t data[32];

    (void)state;
    memset(data, 0, 32);
    assert_int_equal(cpv_crc32c(0, data, 32), 0x8a9136aau);
    memset(data, 0xff, 32);
    assert_int_equal(cpv_crc32c(0, data, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        data[i] = (uint8_t)i;
    assert_int_equal(cpv_crc32c(0, data, 32), 0x46dd794eu);
    assert_int_equal(cpv_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(cpv_crc32c(0, NULL, 0), 0);
}

/* The definition, bit by bit, against whatever this machine uses. */
static uint32_t crc_by_definition(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;

    for (; n; p++, n--) {
        crc ^= *p;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

static void crc32c_of_any_length_and_in_pieces(void **state)
{
    uint8_t data[77];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof data; n++) {
        uint32_t whole = crc_by_definition(data, n);

        for (size_t cut = 0; cut <= n; cut++)
            assert_int_equal(cpv_crc32c(cpv_crc32c(0, data, cut), data + cut, n - cut),
                             whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_known_answers),
        cmocka_unit_test(sha256_in_pieces_and_again),
        cmocka_unit_test(md5_known_answers),
        cmocka_unit_test(git_blob_known_answers),
        cmocka_unit_test(xxh64_known_answers),
        cmocka_unit_test(crc32c_known_answers),
        cmocka_unit_test(crc32c_of_any_length_and_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
