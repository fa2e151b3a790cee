/* SPDX-License-Identifier: Apache-2.0 */
/* Without branches in the loops, so that compilers make vectors of them. */
#include "common/compute/cuda/half.h"

#include <string.h>

#include "common/base/half.h"

static uint32_t bits_of(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

static uint16_t to_bf16(uint32_t u)
{
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    uint32_t nan = u >> 16 | 0x40; /* quiet, whatever is cut off */

    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

static uint32_t from_f16(uint16_t h)
{
    uint32_t sign = (h & 0x8000u) << 16, a = h & 0x7fffu;
    uint32_t normal = (a << 13) + (112u << 23);
    uint32_t tiny = bits_of((float)a * 0x1p-24f);
    uint32_t special = a << 13 | 0x7f800000u;

    return sign | (a >= 0x7c00u ? special : a < 0x400u ? tiny : normal);
}

void cpv_half_from_f32(cpv_dtype dtype, void *to, const void *f32, size_t n)
{
    const uint32_t *u = f32;
    uint16_t *h = to;

    if (dtype == CPV_BF16)
        for (size_t i = 0; i < n; i++)
            h[i] = to_bf16(u[i]);
    else if (dtype == CPV_F16)
        for (size_t i = 0; i < n; i++)
            h[i] = cpv_half_of(float_of(u[i]));
    else
        memcpy(to, f32, n * 4);
}

void cpv_half_to_f32(cpv_dtype dtype, void *f32, const void *from, size_t n)
{
    const uint16_t *h = from;
    uint32_t *u = f32;

    if (dtype == CPV_BF16)
        for (size_t i = 0; i < n; i++)
            u[i] = (uint32_t)h[i] << 16;
    else if (dtype == CPV_F16)
        for (size_t i = 0; i < n; i++)
            u[i] = from_f16(h[i]);
    else
        memcpy(f32, from, n * 4);
}
