/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of `capivara verify` on one shard, and on all of them together. */
#ifndef CPV_PIPELINE_VERIFY_H
#define CPV_PIPELINE_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

struct cpv_verify_job {
    const char *path;   /* of the shard */
    const char *record; /* NULL: a shard on its own */
    const char *corpus, *column;
    uint32_t part, revision;
    bool quick;

    /* Results. */
    bool done;
    struct cpv_buf lines; /* one for each problem, ready to print */
    uint64_t problems, samples, bytes;
    bool has_keys;         /* the next three are known */
    uint64_t keys;         /* hash of all keys in order */
    uint8_t tar[32];       /* digest of the tar */
    uint8_t made_from[32]; /* tar digest of the fetch part that it was made from; or 0 */
};

void cpv_verify_shard(struct cpv_verify_job *job);

/* Columns of one corpus must have the same keys in the same order, part by part, but for
 * samples that failed in a column and stand so in its record. */
void cpv_verify_columns(const struct cpv_verify_job *jobs, size_t n,
                        void (*problem)(void *ctx, const char *line), void *ctx);

#endif
