/* SPDX-License-Identifier: Apache-2.0 */
/* See rng.h. */
#include "common/base/rng.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Ten rounds of two 32x32 multiplications; constants of the paper, section 3. */
void cpv_philox(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3];

    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)c0 * 0xd2511f53u, b = (uint64_t)c2 * 0xcd9e8d57u;

        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void cpv_rng_init(struct cpv_rng *r, uint64_t seed, uint32_t stream, uint64_t index)
{
    memset(r, 0, sizeof *r);
    r->key[0] = (uint32_t)seed;
    r->key[1] = (uint32_t)(seed >> 32);
    r->ctr[1] = stream;
    r->ctr[2] = (uint32_t)index;
    r->ctr[3] = (uint32_t)(index >> 32);
}

uint32_t cpv_rng_u32(struct cpv_rng *r)
{
    if (r->left == 0) {
        cpv_philox(r->key, r->ctr, r->out);
        r->ctr[0]++;
        r->left = 4;
    }
    return r->out[4 - r->left--];
}

/* The low half is drawn first. */
uint64_t cpv_rng_u64(struct cpv_rng *r)
{
    uint64_t low = cpv_rng_u32(r);

    return low | (uint64_t)cpv_rng_u32(r) << 32;
}

/*
 * Lemire, "Fast random integer generation in an interval" (2019): the high half of a
 * product, drawn again in the few cases that would favour some results.
 */
static uint32_t below_u32(struct cpv_rng *r, uint32_t n)
{
    uint64_t product = (uint64_t)cpv_rng_u32(r) * n;

    if ((uint32_t)product < n) {
        uint32_t unfair = (0u - n) % n;

        while ((uint32_t)product < unfair)
            product = (uint64_t)cpv_rng_u32(r) * n;
    }
    return (uint32_t)(product >> 32);
}

uint64_t cpv_rng_below(struct cpv_rng *r, uint64_t n)
{
    __extension__ typedef unsigned __int128 wide;
    wide product;

    assert(n > 0);
    if (n <= UINT32_MAX)
        return below_u32(r, (uint32_t)n);
    product = (wide)cpv_rng_u64(r) * n;
    if ((uint64_t)product < n) {
        uint64_t unfair = (0u - n) % n;

        while ((uint64_t)product < unfair)
            product = (wide)cpv_rng_u64(r) * n;
    }
    return (uint64_t)(product >> 64);
}

double cpv_rng_unit(struct cpv_rng *r)
{
    return (double)(cpv_rng_u64(r) >> 11) * 0x1p-53;
}

/* Box and Muller; 1 - u is in (0, 1], so the logarithm is finite. */
double cpv_rng_normal(struct cpv_rng *r)
{
    double radius, angle;

    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare;
    }
    radius = sqrt(-2 * log(1 - cpv_rng_unit(r)));
    angle = 6.283185307179586 * cpv_rng_unit(r);
    r->spare = radius * sin(angle);
    r->has_spare = 1;
    return radius * cos(angle);
}

/* Fisher and Yates, from the end. */
void cpv_rng_shuffle_u32(struct cpv_rng *r, uint32_t *v, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)cpv_rng_below(r, i);
        uint32_t t = v[k];

        v[k] = v[i - 1];
        v[i - 1] = t;
    }
}

void cpv_rng_permutation(uint32_t *out, uint32_t n, uint64_t seed, uint32_t stream,
                         uint64_t index)
{
    struct cpv_rng r;

    cpv_rng_init(&r, seed, stream, index);
    for (uint32_t i = 0; i < n; i++)
        out[i] = i;
    cpv_rng_shuffle_u32(&r, out, n);
}
