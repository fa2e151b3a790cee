/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers that depend on (seed, stream, index) and not on history: the same on
 * any machine, for any number of threads, in any order. Philox4x32-10 (Salmon et al.,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 *     cpv_rng_init(&r, seed, CPV_STREAM_OF_MINE, row);     then draw
 *
 * Stream numbers are the caller's: one for each purpose, so that purposes never share
 * numbers. A stream holds 2^34 words; after that it repeats.
 */
#ifndef CPV_BASE_RNG_H
#define CPV_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void cpv_philox(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]);

struct cpv_rng {
    uint32_t key[2]; /* the seed */
    uint32_t ctr[4]; /* block, stream, index low, index high */
    uint32_t out[4]; /* the words of the block before ctr[0] */
    unsigned left;   /* of them, not drawn yet */
    double spare;    /* the second of a pair of normals */
    int has_spare;
};

void cpv_rng_init(struct cpv_rng *r, uint64_t seed, uint32_t stream, uint64_t index);

uint32_t cpv_rng_u32(struct cpv_rng *r);
uint64_t cpv_rng_u64(struct cpv_rng *r);
/* 0 ... n - 1, each with the same chance; n is at least 1. */
uint64_t cpv_rng_below(struct cpv_rng *r, uint64_t n);
double cpv_rng_unit(struct cpv_rng *r); /* [0, 1), a multiple of 2^-53 */
/* Mean 0, deviation 1. Goes through log and cos of libm: the same only with that. */
double cpv_rng_normal(struct cpv_rng *r);

void cpv_rng_shuffle_u32(struct cpv_rng *r, uint32_t *v, size_t n);
/* 0 ... n - 1 in an order that (seed, stream, index) names. */
void cpv_rng_permutation(uint32_t *out, uint32_t n, uint64_t seed, uint32_t stream,
                         uint64_t index);

#ifdef __cplusplus
}
#endif
#endif
