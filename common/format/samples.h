/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples one after the other, from any tar: our shards and what others write;
 * plain, .gz or .zst (told by content, not by name); ustar, PAX and GNU.
 *
 *     open, next ..., close
 *
 * Rules, those of webdataset except where they would lose data silently:
 *
 *  - key and extension part at the first dot of the file's basename; a folder
 *    stays in the key ("a/b.seg.png": "a/b", "seg.png"); a leading "./" does not.
 *    Extensions are lower-cased.
 *  - a sample is a run of members with equal keys. An extension twice in one
 *    sample, or a key that comes back later, is an error naming the member.
 *  - skipped and counted: what is no regular file, basenames that start with a
 *    dot or have none, and metadata (__name__ at the start of the path).
 *  - the end blocks may be missing and may be followed by zeros; anything else
 *    behind them is reported.
 */
#ifndef CPV_FORMAT_SAMPLES_H
#define CPV_FORMAT_SAMPLES_H

#include <stdbool.h>

#include "common/base/error.h"
#include "common/format/sample.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_samples cpv_samples;

struct cpv_samples_params {
    bool salvage;     /* a cut-off end yields what is complete, and is reported */
    bool repeats;     /* samples whose key came before are left out and counted */
    int read_ahead;   /* blocks decoded ahead: by a thread, by two from 4 on; 0: none */
    size_t max_bytes; /* of one sample, tar headers included; 0: 512 MiB */
};

struct cpv_samples_report {
    uint64_t samples, members; /* handed out */
    uint64_t skipped;          /* members that the rules leave out */
    uint64_t duplicates;       /* samples left out because their key came before */
    uint64_t dropped;          /* samples cut off by the end of the file (salvage) */
    uint64_t tar_bytes;        /* of the stream so far, decompressed */
    bool truncated;            /* the file ends inside of a member (salvage) */
    uint64_t truncated_at;     /* ... at this byte of the tar */
    bool unclosed;             /* the end blocks are missing */
    bool trailing;             /* something other than zeros follows the end blocks */
    uint64_t trailing_at;      /* ... at this byte of the tar */
    char why[512]; /* the decoder's words, where it was the one to find that out */
};

/* params may be NULL. */
CPV_MUST_CHECK int cpv_samples_open(cpv_samples **out, const char *path,
                                    const struct cpv_samples_params *params,
                                    struct cpv_err *err);
/* A plain tar in memory, which must outlive the handle; `name` is for messages. */
CPV_MUST_CHECK int cpv_samples_open_bytes(cpv_samples **out, struct cpv_bytes file,
                                          const char *name,
                                          const struct cpv_samples_params *params,
                                          struct cpv_err *err);

/* 1: a sample, valid until the next call. 0: the end. Below 0: an error, which stays. */
CPV_MUST_CHECK int cpv_samples_next(cpv_samples *s, struct cpv_sample *out,
                                    struct cpv_err *err);
/* Where the data of a member of that sample begins, in the (decompressed) tar. */
uint64_t cpv_samples_at(const cpv_samples *s, size_t member);
/* Complete once next has returned 0. */
const struct cpv_samples_report *cpv_samples_report(const cpv_samples *s);
void cpv_samples_close(cpv_samples **s);

#ifdef __cplusplus
}
#endif
#endif
