/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a training set, whoever packed it: a folder of ours (CORPUS/shards/NAME:
 * of each part the revision that counts), any folder of tars, one tar, or a pattern as
 * "cc3m/{00000..00266}.tar".
 */
#ifndef CPV_CORPUS_PACKED_H
#define CPV_CORPUS_PACKED_H

#include "common/base/arena.h"
#include "common/base/error.h"

struct cpv_packed {
    const char **at; /* paths, in the set's order */
    size_t count;
};

/* In mem. CPV_E_INPUT if there is none. */
CPV_MUST_CHECK int cpv_packed_find(const char *set, cpv_arena *mem,
                                   struct cpv_packed *out, struct cpv_err *err);

/* The same of a folder, in which there may be none: count 0. */
CPV_MUST_CHECK int cpv_packed_folder(const char *folder, cpv_arena *mem,
                                     struct cpv_packed *out, struct cpv_err *err);

#endif
