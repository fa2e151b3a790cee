/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IEEE 754 binary16: a sign, 5 bits of exponent (bias 15), 10 of fraction; subnormals are
 * fraction * 2^-24. By integers alone, so that the same number gives the same bits on
 * every machine.
 */
#ifndef CPV_FORMAT_HALF_H
#define CPV_FORMAT_HALF_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Exact. A NaN is made quiet, as the processor does it. */
static inline float cpv_half_value(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7FFF, bits;
    float v;

    if (rest < 0x0400) {
        v = (float)rest * 0x1p-24f;
        memcpy(&bits, &v, sizeof bits);
        bits |= sign;
    } else if (rest < 0x7C00) {
        bits = sign | ((rest << 13) + ((127u - 15u) << 23));
    } else {
        bits = sign | 0x7F800000 | (rest & 0x3FF) << 13 | (rest > 0x7C00 ? 0x400000 : 0);
    }
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The nearest, of two equally near the even one; from 65520 on infinity. A NaN stays
 * one, quiet. */
static inline uint16_t cpv_half_of(float v)
{
    uint32_t bits, sign, size, shift, low, odd;

    memcpy(&bits, &v, sizeof bits);
    sign = bits >> 16 & 0x8000;
    size = bits & 0x7FFFFFFF;
    if (size > 0x7F800000)
        return (uint16_t)(sign | 0x7E00 | (size >> 13 & 0x3FF));
    if (size >= 0x477FF000)
        return (uint16_t)(sign | 0x7C00);
    if (size >= 0x38800000) { /* 2^-14: normal; a carry goes into the exponent */
        odd = size >> 13 & 1;
        return (uint16_t)(sign | (size - ((127u - 15u) << 23) + 0xFFF + odd) >> 13);
    }
    if (size < 0x33000000) /* below half of the smallest */
        return (uint16_t)sign;
    shift = 126 - (size >> 23);
    low = (size & 0x7FFFFF) | 0x800000;
    odd = low >> shift & 1;
    return (uint16_t)(sign | (low + (1u << (shift - 1)) - 1 + odd) >> shift);
}

#ifdef __cplusplus
}
#endif
#endif
