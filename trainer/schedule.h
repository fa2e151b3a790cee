/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The learning rate of a step (the reference's CosineWarmupLR: CAPIVARA,
 * utils/scheduler.py): from `lowest` up to `highest` in `warmup` steps, then down to
 * `lowest` again at `steps`, along half a cosine or a line, or not at all.
 */
#ifndef CPV_TRAINER_SCHEDULE_H
#define CPV_TRAINER_SCHEDULE_H

#include <stdint.h>

#include "trainer/settings.h"

struct schedule {
    enum schedule_name kind;
    double highest, lowest;
    uint64_t warmup, steps;
};

/* Of step number `step`, from 0; the first one has `lowest` where there is a warm-up. */
double schedule_rate(const struct schedule *s, uint64_t step);

#endif
