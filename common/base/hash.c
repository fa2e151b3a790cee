/* SPDX-License-Identifier: Apache-2.0 */
/* See hash.h. */
#include "common/base/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include "common/base/sys.h"

struct cpv_sha256 {
    EVP_MD_CTX *ctx;
};

/* libcrypto fails here only on a broken installation or without memory. */
int cpv_sha256_open(cpv_sha256 **out, struct cpv_err *err)
{
    cpv_sha256 *h = cpv_calloc(1, sizeof *h);

    *out = NULL;
    if (!h)
        return cpv_fail_memory(err);
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1) {
        cpv_sha256_close(&h);
        return cpv_fail(err, CPV_E_MEMORY, "cannot start a SHA-256 digest");
    }
    *out = h;
    return CPV_OK;
}

void cpv_sha256_add(cpv_sha256 *h, const void *data, size_t n)
{
    if (n)
        (void)EVP_DigestUpdate(h->ctx, data, n);
}

void cpv_sha256_take(cpv_sha256 *h, uint8_t out[CPV_SHA256_SIZE])
{
    (void)EVP_DigestFinal_ex(h->ctx, out, NULL);
    (void)EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL);
}

void cpv_sha256_close(cpv_sha256 **hp)
{
    cpv_sha256 *h = *hp;

    *hp = NULL;
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    cpv_free(h);
}

void cpv_sha256_of(uint8_t out[CPV_SHA256_SIZE], struct cpv_bytes data)
{
    (void)EVP_Digest(data.data ? data.data : (const uint8_t *)"", data.size, out, NULL,
                     EVP_sha256(), NULL);
}

void cpv_md5_of(uint8_t out[16], struct cpv_bytes data)
{
    (void)EVP_Digest(data.data ? data.data : (const uint8_t *)"", data.size, out, NULL,
                     EVP_md5(), NULL);
}

uint64_t cpv_xxh64(const void *data, size_t n, uint64_t seed)
{
    return XXH64(data, n, seed);
}

/* The reflected polynomial of Castagnoli, one bit at a time: makes the table. */
static uint32_t crc_of_byte(uint32_t byte)
{
    for (int bit = 0; bit < 8; bit++)
        byte = byte & 1 ? byte >> 1 ^ 0x82f63b78u : byte >> 1;
    return byte;
}

static uint32_t crc_plain(uint32_t crc, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        crc = crc >> 8 ^ crc_of_byte((crc ^ p[i]) & 0xff);
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const uint8_t *p,
                                                            size_t n)
{
    uint64_t wide = crc;

    for (; n >= 8; p += 8, n -= 8)
        wide = __builtin_ia32_crc32di(wide, cpv_load_u64(p));
    crc = (uint32_t)wide;
    for (; n; p++, n--)
        crc = __builtin_ia32_crc32qi(crc, *p);
    return crc;
}
#endif

uint32_t cpv_crc32c(uint32_t crc, const void *data, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_sse42(~crc, data, n);
#endif
    return ~crc_plain(~crc, data, n);
}
