/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit records: what a part was made from, what is in it, and every row that
 * failed with its reason. Written last; a part without one does not exist.
 *
 * The bytes (canonical JSON, schemas/record.schema.json) are a pure function of
 * the part: no time, host, path or count of attempts is in there; those go to
 * the stats file, which nothing needs.
 */
#ifndef CPV_CORPUS_RECORD_H
#define CPV_CORPUS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/format/shard.h"

/* One thing that a part was made from. */
struct cpv_record_input {
    const char *name;   /* "rows" for a list of the user's, else a column: "fetch" */
    uint8_t sha256[32]; /* of the rows' content, or of the column part's tar bytes */
};

struct cpv_failure {
    uint64_t row;       /* 0-based in the whole input */
    const char *key;    /* the key that the sample would have had */
    const char *status; /* "http_4xx", "decode", ...: a word of the stage's list */
    bool transient;     /* may succeed another time */
    const char *detail; /* "" or one line; deterministic */
};

struct cpv_record {
    const char *stage; /* the column's name: "fetch", "shards/train" */
    uint32_t part, revision;
    uint8_t settings[32];        /* SHA-256 of the settings file it was made with */
    uint64_t row_begin, row_end; /* of the input; [begin, end) */
    struct cpv_record_input *inputs;
    uint32_t n_inputs;
    struct cpv_shard_info shard;
    struct cpv_failure *failures; /* ascending by row */
    uint64_t n_failures;
};

/* Canonical bytes of a record, appended to out. */
CPV_MUST_CHECK int cpv_record_encode(const struct cpv_record *r, struct cpv_buf *out,
                                     struct cpv_err *err);
/* The reverse; strings in mem. `name` is for messages. */
CPV_MUST_CHECK int cpv_record_decode(struct cpv_bytes text, const char *name,
                                     cpv_arena *mem, struct cpv_record *out,
                                     struct cpv_err *err);
/* CPV_E_ABSENT if there is no such file. */
CPV_MUST_CHECK int cpv_record_read(const char *path, cpv_arena *mem,
                                   struct cpv_record *out, struct cpv_err *err);
/*
 * Commit it under `path` (file.h's guarantees). *existed: a record was there
 * already and stays.
 */
CPV_MUST_CHECK int cpv_record_commit(const char *path, const struct cpv_record *r,
                                     bool *existed, struct cpv_err *err);

/*
 * Rows of the samples 0 ... n - 1 of the part: those of its range that are left over when
 * the failures (ascending by row) are taken out, in order. `rows`: [n].
 */
void cpv_record_rows(const struct cpv_record *r, uint64_t *rows, uint32_t n);

/* Statuses with their counts, for tables and statistics; sorted by word. */
struct cpv_status_count {
    const char *status;
    uint64_t count, transient;
};
CPV_MUST_CHECK int cpv_record_statuses(const struct cpv_record *r, cpv_arena *mem,
                                       struct cpv_status_count **out, uint32_t *n,
                                       struct cpv_err *err);

#endif
