/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a corpus: CORPUS/index.sqlite, schemas/index.sql.
 *
 *     open_write, update, close      takes in what is new, drops what is gone
 *     open_read, find, close         looks up keys
 *
 *  (1) The index is never the only copy of anything, and no stage needs it. One
 *      that is damaged, foreign or of another version is set aside and made anew.
 *  (2) What update leaves is a function of shards and records alone: the same as
 *      after deleting the file and starting over, whatever the order in which parts
 *      came and however often it was killed.
 *  (3) One writer: `CORPUS/.index.lock`. Readers may look while it writes. Never
 *      write to it over a network file system.
 *  (4) A part is taken in whole or not at all. One whose shard is not what its
 *      record says is left out and counted as bad, never fatal.
 *
 * close makes the file openable with immutable=1 unless a reader is in the way.
 * A handle belongs to one thread, and to the process that opened it.
 */
#ifndef CPV_CORPUS_INDEX_H
#define CPV_CORPUS_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/corpus/record.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_index cpv_index;

/* What an update did. */
struct cpv_index_counts {
    uint32_t added; /* parts taken in, new or anew */
    uint32_t unchanged;
    uint32_t removed; /* parts that are no longer there */
    uint32_t bad;     /* parts left out; each was a warning to the log */
    uint64_t samples; /* rows of `samples` written */
};

/*
 * For writing. fresh: delete what is there first. wait_ms: how long to wait for
 * another writer; then CPV_E_BUSY. `log` (may be NULL) gets warnings; it outlives
 * the handle.
 */
CPV_MUST_CHECK int cpv_index_open_write(cpv_index **out, const char *corpus, bool fresh,
                                        int wait_ms, cpv_log *log, struct cpv_err *err);
/* For writing, but in memory only and empty: where no file can be written. */
CPV_MUST_CHECK int cpv_index_open_memory(cpv_index **out, const char *corpus,
                                         cpv_log *log, struct cpv_err *err);
/* For reading. CPV_E_ABSENT: there is none; CPV_E_CORRUPT: not one of ours. */
CPV_MUST_CHECK int cpv_index_open_read(cpv_index **out, const char *corpus,
                                       struct cpv_err *err);
/* NULL inside is fine. */
void cpv_index_close(cpv_index **x);

/* Make it equal to the corpus. Looks at cpv_stop_requested between parts. */
CPV_MUST_CHECK int cpv_index_update(cpv_index *x, struct cpv_index_counts *counts,
                                    struct cpv_err *err);
/* Compact it and leave WAL mode; CPV_E_BUSY if a reader is in the way. */
CPV_MUST_CHECK int cpv_index_finish(cpv_index *x, struct cpv_err *err);

/* Where a sample lies. */
struct cpv_index_place {
    const char *column;
    uint32_t part, revision, pos;
};

/* Every sample of that key, sorted by column and part; in mem. *n may be 0. */
CPV_MUST_CHECK int cpv_index_find(cpv_index *x, const char *key, cpv_arena *mem,
                                  struct cpv_index_place **out, uint32_t *n,
                                  struct cpv_err *err);

/* Sums over the parts of a column; zeros for one that is not there. */
struct cpv_index_totals {
    uint64_t parts, samples, failed, transient, bytes;
};
CPV_MUST_CHECK int cpv_index_totals(cpv_index *x, const char *column,
                                    struct cpv_index_totals *out, struct cpv_err *err);
/* Why rows failed, the most frequent first; in mem. */
CPV_MUST_CHECK int cpv_index_reasons(cpv_index *x, const char *column, cpv_arena *mem,
                                     struct cpv_status_count **out, uint32_t *n,
                                     struct cpv_err *err);
/* The statistics file of each part that has one. */
typedef void cpv_index_stats_fn(void *ctx, uint32_t part, struct cpv_bytes json);
CPV_MUST_CHECK int cpv_index_stats(cpv_index *x, const char *column,
                                   cpv_index_stats_fn *visit, void *ctx,
                                   struct cpv_err *err);

/* The deterministic tables as SQL text, rows sorted by their keys, piece by piece. */
typedef int cpv_index_sink(void *ctx, struct cpv_bytes text, struct cpv_err *err);
CPV_MUST_CHECK int cpv_index_dump(cpv_index *x, cpv_index_sink *sink, void *ctx,
                                  struct cpv_err *err);

/* Called with one line for each difference. */
typedef void cpv_index_problem(void *ctx, const char *line);

/*
 * Compare with what an update would make of the corpus, part by part in memory, and
 * run SQLite's own check of the file. The return value is about whether this could be
 * done; what differs goes to `problem`. A part that an update has yet to take in, or to
 * drop, is no problem: *behind counts them. So are parts whose shards are bad.
 */
CPV_MUST_CHECK int cpv_index_check(cpv_index *x, cpv_index_problem *problem, void *ctx,
                                   uint32_t *behind, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
