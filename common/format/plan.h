/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An input cut into parts of a fixed number of rows, the unit of commit and of
 * distribution: where each begins, and a digest of what it says.
 *
 * The digest is of content: of each row's bytes as they stand, without the line
 * terminator, each followed by one LF; for coco and folders, of a fixed
 * serialisation of the row. So compression and CRLF do not matter, and any other
 * change of a row does. A header is in no digest: columns are settings. For a
 * folder it covers names and captions, not the images' bytes.
 *
 * Making a plan reads the whole input once. A cache file spares the next process
 * that: it is believed only while the input's size, times, inode and the
 * parameters are those it was made from; a stale or damaged one is as good as
 * none. A reader of a part compares the digest as it goes: a file that changed
 * since is an error at the end of the part, never silence.
 */
#ifndef CPV_FORMAT_PLAN_H
#define CPV_FORMAT_PLAN_H

#include "common/base/hash.h"
#include "common/format/rows.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_plan_part {
    uint64_t row_begin, row_end; /* [begin, end) */
    uint64_t offset;             /* of its first row, in decompressed bytes; or 0 */
    uint64_t line;               /* of its first row; 0 where there are none */
    uint8_t sha256[CPV_SHA256_SIZE];
};

struct cpv_plan {
    uint64_t rows;
    uint64_t bad;     /* rows that cannot be taken apart: wrong number of fields, broken
                         quoting, NUL, too long; what is in the fields is not looked at */
    uint32_t n_parts; /* 0 for an empty input */
    struct cpv_plan_part *parts;
    bool keyed; /* the input could be told apart when the work began, by this: */
    uint8_t key[CPV_SHA256_SIZE];
};

/* Called every few MiB: false stops the work with CPV_E_STOPPED. */
struct cpv_plan_watch {
    bool (*go_on)(void *payload, uint64_t rows, uint64_t bytes);
    void *payload;
};

/* `watch` may be NULL. rows_per_part: 1 or more. */
CPV_MUST_CHECK int cpv_plan_make(struct cpv_plan **out,
                                 const struct cpv_rows_params *params,
                                 uint64_t rows_per_part,
                                 const struct cpv_plan_watch *watch, struct cpv_err *err);
void cpv_plan_close(struct cpv_plan **plan);

/* Nothing is saved for folders and pipes (nothing cheap says that they changed), nor if
 * the input is no longer that from which the plan was made. */
CPV_MUST_CHECK int cpv_plan_save(const struct cpv_plan *plan, const char *cache,
                                 const struct cpv_rows_params *params,
                                 uint64_t rows_per_part, struct cpv_err *err);
/* 1: *out is the plan. 0: there is none to be believed. Below 0: out of memory. */
CPV_MUST_CHECK int cpv_plan_load(struct cpv_plan **out, const char *cache,
                                 const struct cpv_rows_params *params,
                                 uint64_t rows_per_part, struct cpv_err *err);

/* A reader of the rows of one part, numbered as in the whole input. */
CPV_MUST_CHECK int cpv_rows_open_part(cpv_rows **out,
                                      const struct cpv_rows_params *params,
                                      const struct cpv_plan *plan, uint32_t part,
                                      struct cpv_err *err);
/* The same reader goes on with another part. Going forwards through a compressed
 * input decodes it once only, opening anew would each time. */
CPV_MUST_CHECK int cpv_rows_move_part(cpv_rows *r, const struct cpv_plan *plan,
                                      uint32_t part, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
