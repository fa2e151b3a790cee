/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of the family: finding and running them.
 *
 * A child runs in a process group of its own, so that a Ctrl-C reaches it once, from
 * us. When we are asked to stop it gets SIGTERM and we wait; when we die, whatever
 * kills us, the kernel sends it SIGTERM.
 */
#ifndef CPV_PIPELINE_SPAWN_H
#define CPV_PIPELINE_SPAWN_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"

/* Beside our own executable, else on the PATH; NULL if there is none. In mem. */
char *cpv_program_find(const char *name, cpv_arena *mem);

/* Become `path`; returns only if that fails. */
int cpv_program_become(const char *path, char *const *argv, struct cpv_err *err);

struct cpv_spawn {
    const char *path;
    char *const *argv;   /* ends with NULL */
    struct cpv_buf *out; /* gets standard output; NULL: it is ours (see silent) */
    bool silent;         /* standard output and error go nowhere, unless `out` takes the
                            first */
    bool mute_out;       /* standard output goes nowhere */
};

/*
 * Run it to its end. *status: its exit status; of one that a signal killed 75 (to be
 * run again) or, for signals that speak of a mistake in it, 70; *signal then names it,
 * else 0.
 */
CPV_MUST_CHECK int cpv_program_run(const struct cpv_spawn *s, int *status, int *signal,
                                   struct cpv_err *err);

#endif
