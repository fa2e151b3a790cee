/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A training from its first step to its adapter, or from the last checkpoint on.
 */
#ifndef CPV_TRAINER_LOOP_H
#define CPV_TRAINER_LOOP_H

#include "trainer/settings.h"

/* CPV_E_STOPPED after a signal or stop_after, with a checkpoint made. */
CPV_MUST_CHECK int loop_run(const struct settings_table *table, const struct settings *s,
                            cpv_arena *mem, cpv_log *log, struct cpv_err *err);

#endif
