/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rows.c, plan.c and the readers of single formats share. A reader fills a
 * cpv_row's raw parts; cleaning, checks and numbers are done in rows.c alone.
 */
#ifndef CPV_FORMAT_ROWS_INTERNAL_H
#define CPV_FORMAT_ROWS_INTERNAL_H

#include "common/format/lines.h"
#include "common/format/plan.h"
#include "common/format/rows.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_rows_ops {
    bool text; /* reads r->lines; the others hold their rows in memory */
    int (*open)(cpv_rows *r, struct cpv_err *err);
    /* 1, 0 or a code. Sets everything but `number`. */
    int (*next)(cpv_rows *r, cpv_arena *mem, struct cpv_row *out, struct cpv_err *err);
    /* text, for plans: can this record not be taken apart? NULL: only its flaw counts */
    bool (*torn)(const cpv_rows *r, const struct cpv_record *record);
    void (*close)(cpv_rows *r); /* what arena and lines do not hold; may be NULL */
};

extern const struct cpv_rows_ops cpv_rows_table, cpv_rows_jsonl, cpv_rows_coco,
    cpv_rows_folder;

struct cpv_rows {
    struct cpv_rows_params p; /* defaults filled in */
    cpv_rows_format format;
    const struct cpv_rows_ops *ops;
    cpv_arena *own; /* lives as long as the reader */
    struct cpv_lines lines;
    struct cpv_buf scratch;
    void *state;     /* of the format's reader */
    uint64_t number; /* of the next row */
    uint64_t end;    /* rows from here on are not ours */
    cpv_sha256 *sha; /* of a part's rows, compared at its end; NULL: whole input */
    uint8_t expected[CPV_SHA256_SIZE];
};

/* The raw parts of a row. data NULL: not there. */
struct cpv_row_parts {
    struct cpv_bytes url, file, hash;
    struct cpv_bytes *captions; /* one after another, empty ones too */
    size_t n_captions;
};

/* From raw parts: cleaned, checked, `bad` where nothing usable is left. */
int cpv_row_finish(cpv_rows *r, cpv_arena *mem, const struct cpv_row_parts *parts,
                   struct cpv_row *out, struct cpv_err *err);
/* out->bad = the text, behind "line N: " where there are lines. */
int cpv_row_bad(cpv_arena *mem, struct cpv_row *out, struct cpv_err *err, const char *fmt,
                ...) CPV_PRINTF(4, 5);
/* The reason of a record's flaw. */
int cpv_row_flaw(const cpv_rows *r, cpv_arena *mem, const struct cpv_record *record,
                 struct cpv_row *out, struct cpv_err *err);
/* Valid UTF-8, trimmed; `one_line`: runs of white space inside are one space. NULL
 * without memory. */
const char *cpv_row_text(cpv_rows *r, cpv_arena *mem, struct cpv_bytes s, bool one_line);
/* Valid UTF-8, otherwise as it is. */
const char *cpv_row_kept(cpv_rows *r, cpv_arena *mem, struct cpv_bytes s);
/* n texts, all but those that are empty. */
int cpv_row_captions(cpv_rows *r, cpv_arena *mem, const struct cpv_bytes *s, size_t n,
                     struct cpv_row *out, struct cpv_err *err);
/* A fixed serialisation of everything in a row but its number and line. */
void cpv_row_digest(cpv_sha256 *sha, const struct cpv_row *row);

/* "auto", "all", ... in a list of texts? */
bool cpv_rows_listed(const struct cpv_texts *list, const char *word);
/* A column's number from 1, or 0 if it is a name. */
size_t cpv_rows_number(const char *column);

/* The reader before it is opened for the whole or for a part. */
int cpv_rows_prepare(cpv_rows **out, const struct cpv_rows_params *params,
                     struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
