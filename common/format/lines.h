/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a text input, or the records of a CSV: cut, numbered and hashed,
 * not yet looked into. Internal to rows and plan: both must cut alike.
 */
#ifndef CPV_FORMAT_LINES_H
#define CPV_FORMAT_LINES_H

#include "common/base/hash.h"
#include "common/format/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpv_record_flaw {
    CPV_RECORD_FINE,
    CPV_RECORD_LONG,  /* more than max_line bytes; size is 0 */
    CPV_RECORD_NUL,   /* a NUL byte in it */
    CPV_RECORD_OPEN,  /* csv: a quotation mark that is not closed in reach */
    CPV_RECORD_QUOTE, /* csv: a quotation mark that may not stand there */
} cpv_record_flaw;

struct cpv_record {
    const uint8_t *data; /* without terminator; valid until the next call */
    size_t size;
    uint64_t offset;      /* in decompressed bytes, and behind a byte order mark */
    uint64_t line;        /* from 1: the first of its lines */
    cpv_record_flaw flaw; /* then it is one line only, also in a CSV */
};

struct cpv_lines {
    cpv_stream *stream;
    const char *path;
    uint8_t *buf;
    size_t capacity, at, end; /* buf[at, end) is not yet handed out */
    uint64_t base;            /* offset of buf[0] in the stream */
    uint64_t line;            /* of the next record */
    size_t max_line;
    bool csv;
    bool skip_blank; /* lines of white space only are no records */
    bool eof;
    /* Records go into this digest, each followed by LF; NULL: none. */
    cpv_sha256 *digest;
    const uint8_t *run, *run_end; /* bytes of buf that are yet to be hashed */
};

/* Skips a byte order mark. */
CPV_MUST_CHECK int cpv_lines_open(struct cpv_lines *l, const char *path, size_t max_line,
                                  struct cpv_err *err);
/* 1: a record. 0: the end. Below 0: an error. */
CPV_MUST_CHECK int cpv_lines_next(struct cpv_lines *l, struct cpv_record *out,
                                  struct cpv_err *err);
/* The next record begins at `offset` and is line `line`. */
CPV_MUST_CHECK int cpv_lines_seek(struct cpv_lines *l, uint64_t offset, uint64_t line,
                                  struct cpv_err *err);
/* The digest of the records since the last time. */
void cpv_lines_digest(struct cpv_lines *l, uint8_t out[CPV_SHA256_SIZE]);
void cpv_lines_close(struct cpv_lines *l); /* a zeroed one is fine */

#ifdef __cplusplus
}
#endif
#endif
