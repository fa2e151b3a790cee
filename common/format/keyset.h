/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys came before? A set of 64-bit hashes, 16 bytes a key. Two of a million
 * different keys share a hash with a chance of 3 in 10^8.
 */
#ifndef CPV_FORMAT_KEYSET_H
#define CPV_FORMAT_KEYSET_H

#include <stdbool.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise. */
struct cpv_keyset {
    uint64_t *slots;
    size_t capacity, count;
};

/* *fresh: the key was not in there yet. */
CPV_MUST_CHECK int cpv_keyset_add(struct cpv_keyset *set, struct cpv_bytes key,
                                  bool *fresh, struct cpv_err *err);
void cpv_keyset_release(struct cpv_keyset *set);

#ifdef __cplusplus
}
#endif
#endif
