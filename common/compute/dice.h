/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers by place: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random
 * Numbers: As Easy as 1, 2, 3, SC 2011). The same function on every device, so that all
 * of them draw the same.
 *
 * A place is (seed, step, operation; sample, position, head, channel). The first three
 * make a key, once an operation; the others are counted:
 *
 *     key      the first two words of philox({step, step >> 32, operation, 0}, seed)
 *     number   word c % 64 / 16 of philox({sample, position, head, c / 64 * 16 + c % 16},
 *              key) for channel c
 *
 * so that a vector of neighbouring channels is one of neighbouring counters. `head` is 0
 * but in attention, where the channel is the key's number.
 */
#ifndef CPV_COMPUTE_DICE_H
#define CPV_COMPUTE_DICE_H

#include <stdint.h>

#include "common/compute/mix.h" /* CPV_BOTH */

#ifdef __cplusplus
extern "C" {
#endif

/* What is dropped: where the number is below `below`; the rest is multiplied. */
struct cpv_draw {
    uint32_t key[2];
    uint32_t first; /* sample of the first sequence of rows */
    uint32_t below; /* 0: nothing */
    float scale;    /* 1 / (1 - p) */
};

CPV_BOTH static inline void cpv_dice_philox(uint32_t x[4], const uint32_t key[2])
{
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * x[0], b = (uint64_t)0xCD9E8D57u * x[2];
        uint32_t x1 = x[1], x3 = x[3];

        x[0] = (uint32_t)(b >> 32) ^ x1 ^ k0;
        x[1] = (uint32_t)b;
        x[2] = (uint32_t)(a >> 32) ^ x3 ^ k1;
        x[3] = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

CPV_BOTH static inline void cpv_dice_key(uint32_t key[2], uint64_t seed, uint64_t step,
                                         uint32_t operation)
{
    uint32_t x[4] = {(uint32_t)step, (uint32_t)(step >> 32), operation, 0};
    uint32_t from[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};

    cpv_dice_philox(x, from);
    key[0] = x[0];
    key[1] = x[1];
}

CPV_BOTH static inline uint32_t cpv_dice_at(const uint32_t key[2], uint32_t sample,
                                            uint32_t position, uint32_t head,
                                            uint32_t channel)
{
    uint32_t x[4] = {sample, position, head, channel / 64 * 16 + channel % 16};

    cpv_dice_philox(x, key);
    return x[channel % 64 / 16];
}

/* What the value at that place is multiplied by: 0 or scale. */
CPV_BOTH static inline float cpv_draw_at(const struct cpv_draw *d, uint32_t sequence,
                                         uint32_t position, uint32_t head,
                                         uint32_t channel)
{
    return cpv_dice_at(d->key, d->first + sequence, position, head, channel) < d->below
               ? 0
               : d->scale;
}

#ifdef __cplusplus
}
#endif
#endif
