/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of training share: a batch, a throw of dice, a weight with a pair. */
#ifndef CPV_TESTS_COMPUTE_TRAIN_CASE_H
#define CPV_TESTS_COMPUTE_TRAIN_CASE_H

#include "tests/unit/base/unit.h"

#include "tests/unit/compute/slope.h"

enum { SEQUENCES = 5, ROWS = 26, WIDTH = 70 };

static const int32_t LENGTH[SEQUENCES] = {3, 0, 1, 20, 2};
static const struct cpv_dice DICE = {.seed = 0x123456789abcULL, .step = 7, .first = 4};

static inline struct cpv_draw draw_of(const struct cpv_dice *dice, float p,
                                      uint32_t operation)
{
    struct cpv_draw d = {.first = (uint32_t)dice->first,
                         .below = (uint32_t)((double)p * 0x1p32),
                         .scale = 1 / (1 - p)};

    cpv_dice_key(d.key, dice->seed, dice->step, operation);
    return d;
}

enum { OUT = 21, IN = 13, RANK = 3 };

/* w[1] of in[4], in[2], in[3]. */
static inline void pair_make(struct slope *s)
{
    struct cpv_weight_params p = {.name = "pair",
                                  .out = OUT,
                                  .in = IN,
                                  .use = CPV_USE_LINEAR,
                                  .train = CPV_TRAIN_LORA | CPV_TRAIN_MATRIX,
                                  .matrix = {.plain = s->in[4].f},
                                  .lora = {RANK, 0.5F, s->in[2].f, s->in[3].f}};
    struct cpv_err err = {0};

    assert_ok(cpv_weight_create(&s->w[1], s->place->device, &p, &err));
}

enum { HEADS = 3 };

#endif
