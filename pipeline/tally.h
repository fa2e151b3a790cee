/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often each of many whole numbers came: exact below a limit, so that quantiles are
 * exact, in memory that does not grow. What is at or above the limit is counted together.
 */
#ifndef CPV_PIPELINE_TALLY_H
#define CPV_PIPELINE_TALLY_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"

enum { CPV_TALLY_END = 0x7FFFFFFF }; /* an edge above everything */

struct cpv_tally {
    uint64_t n, sum; /* sum: of the numbers themselves, those above the limit too */
    uint64_t least, most;
    uint32_t limit;
    uint64_t *at; /* [limit + 1], in the arena; the last: at or above the limit */
};

CPV_MUST_CHECK int cpv_tally_init(struct cpv_tally *t, uint32_t limit, cpv_arena *mem,
                                  struct cpv_err *err);
void cpv_tally_add(struct cpv_tally *t, uint64_t v);
/*
 * The least v that at least a share q (0 to 1) of the numbers do not exceed; the limit
 * stands for all above it. 0 of none.
 */
uint64_t cpv_tally_quantile(const struct cpv_tally *t, double q);
/* How many v have first <= v < end; both at most the limit, or `end` CPV_TALLY_END. */
uint64_t cpv_tally_between(const struct cpv_tally *t, uint32_t first, uint32_t end);
double cpv_tally_mean(const struct cpv_tally *t); /* 0 of none */

#endif
