/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checked sizes. Every size that is computed from a file, an option or a count
 * goes through these: false means that the result does not fit, and *out is
 * then unspecified.
 */
#ifndef CPV_BASE_SIZE_H
#define CPV_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool cpv_size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool cpv_size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool cpv_u64_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Is [at, at + len) inside [0, whole)? No overflow for any arguments. */
static inline bool cpv_range_in(uint64_t at, uint64_t len, uint64_t whole)
{
    return at <= whole && len <= whole - at;
}

#define CPV_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
