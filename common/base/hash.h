/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests: SHA-256 names contents (libcrypto), XXH64 checks frames (libxxhash),
 * CRC-32C checks members and journal records (our own: SSE4.2 or a table).
 */
#ifndef CPV_BASE_HASH_H
#define CPV_BASE_HASH_H

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_SHA256_SIZE = 32, CPV_SHA256_HEX = 65 };

typedef struct cpv_sha256 cpv_sha256; /* a digest under way */

CPV_MUST_CHECK int cpv_sha256_open(cpv_sha256 **out, struct cpv_err *err);
void cpv_sha256_add(cpv_sha256 *h, const void *data, size_t n);
/* The digest of all that was added; h may be used again from the start. */
void cpv_sha256_take(cpv_sha256 *h, uint8_t out[CPV_SHA256_SIZE]);
void cpv_sha256_close(cpv_sha256 **h);

/* In one go. */
void cpv_sha256_of(uint8_t out[CPV_SHA256_SIZE], struct cpv_bytes data);
/* MD5, for verifying published hash columns only. */
void cpv_md5_of(uint8_t out[16], struct cpv_bytes data);

/* What git calls a blob of this content: SHA-1 of "blob SIZE", a zero byte, the bytes. */
void cpv_git_blob_of(uint8_t out[20], struct cpv_bytes data);

uint64_t cpv_xxh64(const void *data, size_t n, uint64_t seed);

/* CRC-32C (Castagnoli, as in iSCSI) of more data; start with crc 0. */
uint32_t cpv_crc32c(uint32_t crc, const void *data, size_t n);

#ifdef __cplusplus
}
#endif
#endif
