/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Draws of whole numbers, and the streams of the demo: one for each purpose, so
 * that, say, another size of picture leaves the objects as they are. A held-out scene
 * has the stream after its purpose's.
 */
#ifndef CPV_DEMO_DICE_H
#define CPV_DEMO_DICE_H

#include <stdbool.h>

#include "common/base/rng.h"

enum {
    CPV_DICE_SCENE = 0x5ce0,
    CPV_DICE_SIZE = 0x5ce2,
    CPV_DICE_PIXELS = 0x5ce4,
    CPV_DICE_CAPTION = 0x5ce6,
    CPV_DICE_FILE = 0x5ce8,
    CPV_DICE_LISTS = 0x5cea
};

/* lo .. hi, both possible; hi >= lo. */
static inline int cpv_dice_between(struct cpv_rng *r, int lo, int hi)
{
    return lo + (int)cpv_rng_below(r, (uint64_t)(hi - lo) + 1);
}

static inline bool cpv_dice_percent(struct cpv_rng *r, int percent)
{
    return (int)cpv_rng_below(r, 100) < percent;
}

/* An index, with the chance of its weight; the weights have a sum of 100. */
static inline int cpv_dice_weighed(struct cpv_rng *r, const uint8_t *weight)
{
    int at = (int)cpv_rng_below(r, 100), i = 0;

    while (at >= weight[i])
        at -= weight[i++];
    return i;
}

#endif
