/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the columns of a corpus lie, and which parts of one are there.
 *
 * A column is a folder: `fetch`, `caption`, `translate-pt`, `shards/NAME`. Part N
 * of revision R is
 *
 *     00012.tar.zst     00012.json     00012.stats.json           R = 0
 *     00012.r1.tar.zst  00012.r1.json  00012.r1.stats.json        R = 1, ...
 *
 * A part counts when its record (.json) is there; of several revisions the
 * highest with a record counts (docs/architecture.md). A shard without a record
 * was never committed.
 */
#ifndef CPV_CORPUS_COLUMN_H
#define CPV_CORPUS_COLUMN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"

enum { CPV_PARTS_MAX = 100000, CPV_REVISIONS_MAX = 9999 };

/* What a part's file is for. */
enum cpv_part_file { CPV_FILE_SHARD, CPV_FILE_RECORD, CPV_FILE_STATS, CPV_FILE_JOURNAL };

/* CORPUS/COLUMN/NNNNN[.rR]SUFFIX in mem; NULL when out of memory. */
char *cpv_column_path(cpv_arena *mem, const char *corpus, const char *column,
                      uint32_t part, uint32_t revision, enum cpv_part_file file);

struct cpv_column_part {
    uint32_t part, revision; /* the highest revision with a record */
};

/* What the folder holds, sorted by part; `at` in the caller's arena. Behind the `count`
 * parts that count come those that are `beyond`. */
struct cpv_column {
    struct cpv_column_part *at;
    uint32_t count;
    uint32_t superseded; /* revisions that a higher one has replaced */
    uint32_t orphans;    /* shards without a record: unfinished commits */
    uint32_t beyond;     /* parts that the column no longer has: see set_parts */
    uint32_t parts;      /* as set_parts said; UINT32_MAX: it did not */
};

/* An absent folder is an empty column. Foreign names are ignored. */
CPV_MUST_CHECK int cpv_column_scan(const char *corpus, const char *column, cpv_arena *mem,
                                   struct cpv_column *out, struct cpv_err *err);
/*
 * Say how many parts the column has now (COLUMN/column.json): an input that became
 * shorter, or larger parts, leave committed ones behind that are no part of it any
 * more. Those stay where they are but do not count, until there are as many again.
 */
CPV_MUST_CHECK int cpv_column_set_parts(const char *corpus, const char *column,
                                        uint32_t n_parts, struct cpv_err *err);
/* Up to 64 letters, digits, - and _: the NAME of shards/NAME. */
bool cpv_column_name_is_plain(const char *name);

/* The counting revision of one part; false if there is none. */
bool cpv_column_find(const struct cpv_column *c, uint32_t part, uint32_t *revision);
/* The same, those beyond too. */
bool cpv_column_find_any(const struct cpv_column *c, uint32_t part, uint32_t *revision);

/* The parts and revision that a file name of a column means; false for other names. */
bool cpv_column_parse_name(const char *name, uint32_t *part, uint32_t *revision,
                           enum cpv_part_file *file);

/*
 * Remove what a killed run left in a column and nobody needs: temporary files that no
 * live process holds, journals of revisions that have a record. Never an error: what
 * cannot be removed now stays for the next time.
 */
void cpv_column_sweep(const char *corpus, const char *column);

/*
 * Every column folder under CORPUS that has at least a settings file, as
 * "fetch", "shards/train", sorted. `*names` and strings in mem.
 */
CPV_MUST_CHECK int cpv_columns_list(const char *corpus, cpv_arena *mem,
                                    const char ***names, uint32_t *count,
                                    struct cpv_err *err);

#endif
