/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The function that the device probe evaluates on both sides: 32-bit integers
 * only, so that the two must agree to the bit. It is the finaliser of MurmurHash3
 * (Austin Appleby, public domain): every bit of the input reaches every bit of
 * the output, so a wrong address or a lost write cannot go unseen.
 */
#ifndef CPV_COMPUTE_MIX_H
#define CPV_COMPUTE_MIX_H

#include <stdint.h>

#ifdef __CUDACC__
#define CPV_BOTH __host__ __device__
#else
#define CPV_BOTH
#endif

CPV_BOTH static inline uint32_t cpv_mix32(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    x ^= x >> 16;
    return x;
}

#endif
