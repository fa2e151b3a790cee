/* SPDX-License-Identifier: Apache-2.0 */
/* See tally.h. */
#include "pipeline/tally.h"

#include <math.h>
#include <string.h>

int cpv_tally_init(struct cpv_tally *t, uint32_t limit, cpv_arena *mem,
                   struct cpv_err *err)
{
    memset(t, 0, sizeof *t);
    t->limit = limit;
    t->least = UINT64_MAX;
    t->at = cpv_arena_calloc(mem, (size_t)limit + 1, sizeof *t->at);
    return t->at ? CPV_OK : cpv_fail_memory(err);
}

void cpv_tally_add(struct cpv_tally *t, uint64_t v)
{
    t->n++;
    t->sum += v;
    t->least = v < t->least ? v : t->least;
    t->most = v > t->most ? v : t->most;
    t->at[v < t->limit ? v : t->limit]++;
}

uint64_t cpv_tally_quantile(const struct cpv_tally *t, double q)
{
    uint64_t wanted = (uint64_t)ceil(q * (double)t->n), so_far = 0;

    if (t->n == 0)
        return 0;
    if (wanted == 0)
        wanted = 1;
    for (uint32_t v = 0; v < t->limit; v++) {
        so_far += t->at[v];
        if (so_far >= wanted)
            return v;
    }
    return t->limit;
}

uint64_t cpv_tally_between(const struct cpv_tally *t, uint32_t first, uint32_t end)
{
    uint64_t n = 0;

    for (uint32_t v = first; v <= t->limit && v < end; v++)
        n += t->at[v];
    return n;
}

double cpv_tally_mean(const struct cpv_tally *t)
{
    return t->n ? (double)t->sum / (double)t->n : 0;
}
