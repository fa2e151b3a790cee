/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shard stage: the columns of a corpus become a packed training set.
 *
 *   columns.c  which columns: those named, or those that the configuration makes
 *   survey.c   which samples there are: all columns have them, the filters
 *              leave them, none came before
 *   pack.c     one output shard: its samples, read part by part, put in its order
 *
 * The order is a permutation of the survey that the seed names; output shard k takes
 * its k-th run of samples. Each is a pure function of the columns and the settings,
 * so shards are made in any order, by any number of threads or machines.
 */
#ifndef CPV_SHARD_PACK_H
#define CPV_SHARD_PACK_H

#include <pthread.h>

#include "common/corpus/column.h"
#include "common/corpus/filter.h"
#include "common/stage/stage.h"

enum { PACK_COLUMNS_MAX = 64 };

struct pack_settings {
    struct cpv_texts columns, drop_flags, require;
    struct cpv_texts min_original, min_similarity, keep_top; /* limits.h */
    int64_t samples_per_shard;
    bool shuffle, dedup_url, dedup_content, images, filter_originals;
};

extern const struct cpv_opt pack_options[], pack_filters[]; /* of struct pack_settings */

/* One column that is merged in. */
struct pack_column {
    const char *name;
    struct cpv_column parts;
    uint8_t digest[32]; /* of all its parts' tar digests */
};

/* Where a kept sample lies. */
struct pack_entry {
    uint32_t part;
    uint32_t pos; /* in the leading column's shard, or'ed with PACK_KEY_REPEATED */
};
#define PACK_KEY_REPEATED 0x80000000u /* its key stands in an earlier part, too */

struct pack_dropped {
    uint64_t url, content, missing;   /* samples */
    struct cpv_filter_counts filters; /* of all that are in every column */
};

struct pack {
    struct cpv_run *run;
    const struct pack_settings *set;
    struct cpv_filter filter;
    struct pack_column *columns; /* n_columns of them; the first one leads */
    size_t n_columns;
    struct pack_entry *entries; /* in packed order once the survey is done */
    uint32_t n_entries;
    struct pack_dropped dropped;
    pthread_mutex_t lock; /* guards cpv_run_next and first_err */
    struct cpv_err first_err;
};

/* columns: auto becomes the columns that the configuration makes. */
CPV_MUST_CHECK int pack_settle_columns(struct cpv_run *run, struct cpv_err *err);

/* Names and digests of the configured columns. CPV_E_ABSENT if one has no parts. */
CPV_MUST_CHECK int pack_find_columns(struct pack *p, struct cpv_err *err);

/* Fills entries, from the cache of an earlier survey if it is still true. */
CPV_MUST_CHECK int pack_survey(struct pack *p, struct cpv_err *err);

/* Make one output shard and commit it. Ends the part. */
CPV_MUST_CHECK int pack_part(struct pack *p, struct cpv_part **part, struct cpv_err *err);

#endif
