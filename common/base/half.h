/* SPDX-License-Identifier: Apache-2.0 */
/* f32 to IEEE binary16: to the nearest, ties to even; infinities and NaNs are kept. */
#ifndef CPV_BASE_HALF_H
#define CPV_BASE_HALF_H

#include <stdint.h>
#include <string.h>

/*
 * Without branches, so that compilers make vectors of loops. Below 2^-14, adding 1/2
 * lines up the fraction with the last place of a subnormal, and the addition rounds.
 */
static inline uint16_t cpv_half_of(float x)
{
    uint32_t u, sign, a, normal, tiny, inf, h;
    float t;

    memcpy(&u, &x, sizeof u);
    sign = u >> 16 & 0x8000u;
    a = u & 0x7fffffffu;
    normal = (a + 0xfffu + (a >> 13 & 1) - (112u << 23)) >> 13;
    memcpy(&t, &a, sizeof t);
    t += 0.5f;
    memcpy(&tiny, &t, sizeof tiny);
    tiny -= 0x3f000000u; /* the bits of 1/2 */
    inf = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
    h = a < 113u << 23 ? tiny : normal;
    /* 65520 and more round to infinity: */
    return (uint16_t)(sign | (a >= 0x477ff000u ? inf : h));
}

#endif
