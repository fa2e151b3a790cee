/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that work on one operation together: the caller and threads - 1 others, which
 * wait between operations. Work is a count of equal items; each thread takes one run of
 * them. What an item computes does not depend on who does it.
 */
#ifndef CPV_COMPUTE_CPU_TEAM_H
#define CPV_COMPUTE_CPU_TEAM_H

#include <stdint.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_team cpv_team;
/* Items first ... end - 1, by thread `who` of 0 ... threads - 1. */
typedef void cpv_team_fn(void *arg, int64_t first, int64_t end, int who);

CPV_MUST_CHECK int cpv_team_open(cpv_team **out, int threads, struct cpv_err *err);
void cpv_team_close(cpv_team **team);

/* Returns when all n items are done. Not from inside an item. */
void cpv_team_run(cpv_team *team, int64_t n, cpv_team_fn *fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
