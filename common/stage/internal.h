/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of common/stage share: the options that every stage has, the
 * runner's state, the selection of parts. Nobody else includes this.
 */
#ifndef CPV_STAGE_INTERNAL_H
#define CPV_STAGE_INTERNAL_H

#include <pthread.h>

#include "common/corpus/column.h"
#include "common/stage/stage.h"

/* Options of every stage. */
struct cpv_shared {
    const char *corpus, *config, *base, *parts, *device, *instance;
    struct cpv_texts set;
    int64_t threads, seed, min_free;
    double max_transient, max_failed;
    bool dry_run, print_config, verbose, quiet, redo, accept_transient;
};

extern const struct cpv_opt cpv_shared_options[];

/* Why a part needs work, or does not. */
enum cpv_part_need {
    CPV_NEED_NOTHING,
    CPV_NEED_NEW,      /* no record */
    CPV_NEED_SETTINGS, /* made with other settings */
    CPV_NEED_INPUT,    /* made from inputs that have changed */
    CPV_NEED_FORCED,   /* asked for: a refetch */
    CPV_NEED_WAITS     /* its inputs are not there yet */
};
const char *cpv_part_need_name(enum cpv_part_need need);

/* ---- which parts (select.c) ---- */

typedef struct cpv_select cpv_select;

/* all | 3,7,9-12 | env | - */
CPV_MUST_CHECK int cpv_select_open(cpv_select **out, const char *text,
                                   struct cpv_err *err);
/* The next part number below n_parts: 1; 0 at the end; a number that is not there is
 * CPV_E_USAGE. */
CPV_MUST_CHECK int cpv_select_next(cpv_select *s, uint32_t n_parts, uint32_t *part,
                                   struct cpv_err *err);
/* Would next answer without waiting for somebody to type? */
bool cpv_select_ready(const cpv_select *s);
void cpv_select_close(cpv_select **s);

/* ---- state ---- */

struct cpv_run_state {
    struct cpv_shared shared;
    cpv_select *select;
    struct cpv_column column; /* as found at the start */
    uint8_t *taken;           /* by part: has this process claimed it before? */

    pthread_mutex_t lock; /* guards what follows */
    int64_t space_checked_ms;
    uint64_t committed, done_before, held, busy, waiting;
    uint64_t samples, failed;               /* of the parts committed now */
    uint64_t samples_before, failed_before; /* of those done before */
};

struct cpv_part_state {
    struct cpv_buf failures; /* struct cpv_failure, strings in the part's arena */
    double started;          /* seconds since 1970, for the statistics */
    char *shard_path, *record_path, *stats_path;
};

/* Look at a part: what does it need, and from which revision on? Fills `record`. */
CPV_MUST_CHECK int cpv_part_examine(struct cpv_run *run, uint32_t number, cpv_arena *mem,
                                    struct cpv_record *record, int *previous,
                                    enum cpv_part_need *need, struct cpv_err *err);

#endif
