/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a corpus is, for `capivara status`: sums from the index, plans from the stages'
 * own --dry-run, leftovers from the folders, rates from the statistics files.
 */
#ifndef CPV_PIPELINE_STATUS_H
#define CPV_PIPELINE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/log.h"
#include "common/corpus/index.h"
#include "pipeline/setup.h"
#include "pipeline/stages.h"

struct cpv_count_bytes {
    uint64_t files, bytes;
};

struct cpv_status_column {
    const char *name;            /* "fetch" */
    const struct cpv_step *step; /* NULL: a column that the configuration does not have */
    struct cpv_index_totals done; /* parts that count */
    struct cpv_status_count *reasons;
    uint32_t n_reasons;

    bool planned; /* the next ones are known */
    uint64_t parts, fresh, stale,
        waiting; /* all; new; to be made anew; input not there */
    uint64_t rows_left;
    uint32_t *left; /* numbers of parts that still need work, ascending */
    size_t n_left;
    uint64_t said;   /* parts, as the column's last run said; 0: unknown. Looked at only
                        where nothing could be asked */
    int plan_status; /* exit status of the stage when asked; 0: well */

    double rate; /* rows/s of the last parts; 0: unknown */
    struct cpv_count_bytes superseded, orphans, drafts, journals, spent, gone;
    uint64_t held; /* temporary files that a live process is writing */
};

struct cpv_status {
    const char *corpus;
    struct cpv_status_column *at;
    size_t n;
    uint64_t bytes, disk_free; /* of all files of the columns; of the disk */
};

/* setup->config may be NULL: then nothing is planned. In mem. */
CPV_MUST_CHECK int cpv_status_gather(struct cpv_status *out, const char *corpus,
                                     const struct cpv_setup *setup, cpv_arena *mem,
                                     cpv_log *log, struct cpv_err *err);

#endif
