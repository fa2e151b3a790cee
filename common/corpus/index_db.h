/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the index only: the handle, and statements on it. */
#ifndef CPV_CORPUS_INDEX_DB_H
#define CPV_CORPUS_INDEX_DB_H

#include <sqlite3.h>

#include "common/corpus/index.h"

enum cpv_index_stmt {
    CPV_STMT_BEGIN,
    CPV_STMT_COMMIT,
    CPV_STMT_PART_KNOWN,
    CPV_STMT_PARTS,
    CPV_STMT_FIND,
    CPV_STMT_TOTALS,
    CPV_STMT_REASONS,
    CPV_STMT_STATS,
    CPV_STMT_PUT_PART,
    CPV_STMT_PUT_INPUT,
    CPV_STMT_PUT_FRAME,
    CPV_STMT_PUT_SAMPLE,
    CPV_STMT_PUT_FAILURE,
    CPV_STMT_PUT_SCORE,
    CPV_STMT_PUT_RUN,
    CPV_STMTS
};

struct cpv_index {
    sqlite3 *db;
    char *corpus, *path;
    int lock; /* of the one writer; -1 for readers */
    cpv_log *log;
    sqlite3_stmt *stmt[CPV_STMTS]; /* prepared at first use */
};

/* The tables that are a function of the corpus, and their keys. Ends with NULL. */
struct cpv_index_table {
    const char *name, *order;
};
extern const struct cpv_index_table cpv_index_tables[];

/* The statements of schemas/index.sql. */
extern const char cpv_index_schema[];

/* SQLite's last error as ours, "'PATH': WHAT: ..."; CORRUPT if the file is to blame. */
int cpv_index_fail(const cpv_index *x, struct cpv_err *err, const char *what);

/* Every statement of a text, results thrown away. */
CPV_MUST_CHECK int cpv_index_exec(cpv_index *x, const char *sql, struct cpv_err *err);

/* Reset and ready to be bound; earlier bindings stay. NULL: cpv_index_fail says why. */
sqlite3_stmt *cpv_index_stmt(cpv_index *x, enum cpv_index_stmt which);
/* Step a statement that gives no rows, and reset it. */
CPV_MUST_CHECK int cpv_index_run(cpv_index *x, sqlite3_stmt *s, struct cpv_err *err);

/* What is on disk of one part, read and checked. */
struct cpv_index_part {
    const char *column;
    uint32_t part, revision;
    uint8_t digest[32]; /* of the record file */
    struct cpv_record record;
    const char *shard; /* path */
    const char *stats; /* text; NULL if there is none */
};

/* Record and statistics; the shard is only looked at from outside (size). CPV_E_CORRUPT
 * or ABSENT: the part is bad. */
CPV_MUST_CHECK int cpv_index_load(const char *corpus, const char *column, uint32_t part,
                                  uint32_t revision, cpv_arena *mem,
                                  struct cpv_index_part *out, struct cpv_err *err);
/* Replace the rows of a part, in one transaction. *bad: its shard is not what the record
 * says, nothing was changed, err says why and the result is CPV_OK. */
CPV_MUST_CHECK int cpv_index_take(cpv_index *x, const struct cpv_index_part *p, bool *bad,
                                  struct cpv_err *err);
/* 1: the index has this very part. 0: not, or another revision. */
CPV_MUST_CHECK int cpv_index_knows(cpv_index *x, const struct cpv_index_part *p,
                                   struct cpv_err *err);

/* Set a damaged index aside and begin a new one. */
CPV_MUST_CHECK int cpv_index_renew(cpv_index *x, const char *why, struct cpv_err *err);

/* Every part in the index, sorted; in mem. */
struct cpv_index_at {
    const char *column;
    uint32_t part;
};
CPV_MUST_CHECK int cpv_index_list(cpv_index *x, cpv_arena *mem, struct cpv_index_at **out,
                                  uint32_t *n, struct cpv_err *err);

#endif
