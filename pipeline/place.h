/* SPDX-License-Identifier: Apache-2.0 */
/* What a path on the command line means: a corpus, a column of one, or a file; and
 * every file in a column's folder with what it is there for. */
#ifndef CPV_PIPELINE_PLACE_H
#define CPV_PIPELINE_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"

struct cpv_place {
    const char *corpus; /* NULL: the path is no folder */
    const char *column; /* "fetch", "shards/train"; NULL: the whole corpus */
};

/* A folder is a column if it holds pinned settings, else a corpus if it has a
 * configuration or a column; any other folder is CPV_E_INPUT. In mem. */
CPV_MUST_CHECK int cpv_place_find(struct cpv_place *out, const char *path, cpv_arena *mem,
                                  struct cpv_err *err);

/* The columns that a place means: its one, or all; sorted. */
CPV_MUST_CHECK int cpv_place_columns(const struct cpv_place *place, cpv_arena *mem,
                                     const char ***names, uint32_t *n,
                                     struct cpv_err *err);

typedef enum cpv_file_kind {
    CPV_KIND_SHARD, /* of a part that counts; likewise the next two */
    CPV_KIND_RECORD,
    CPV_KIND_STATS,
    CPV_KIND_SUPERSEDED, /* shard, record or statistics of a revision that was replaced */
    CPV_KIND_ORPHAN,     /* a shard or statistics without a record: a commit cut short */
    CPV_KIND_DRAFT,      /* a temporary file */
    CPV_KIND_JOURNAL,    /* of a part that is not committed */
    CPV_KIND_SPENT,      /* a journal of a part that is */
    CPV_KIND_GONE,       /* a counting record whose shard is not there any more, and its
                            statistics */
    CPV_KIND_OTHER       /* settings, plans, and what is not ours */
} cpv_file_kind;

struct cpv_file {
    const char *path, *name;
    cpv_file_kind kind;
    uint64_t bytes;
    int64_t age_s; /* since it was last changed or renamed */
    uint32_t part, revision;
};

/* Regular files of CORPUS/COLUMN, sorted by name; an absent folder has none. In mem. */
CPV_MUST_CHECK int cpv_place_files(const char *corpus, const char *column, cpv_arena *mem,
                                   struct cpv_file **out, size_t *n, struct cpv_err *err);

/* Is a temporary file being written by a live process? */
bool cpv_file_held(const char *path);

#endif
