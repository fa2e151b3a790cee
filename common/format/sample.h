/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sample as it travels between files and stages: a key and its members, each
 * an extension ("jpg", "json", "clip.npy") with bytes. Views only; whoever hands
 * one out says how long it lives.
 */
#ifndef CPV_FORMAT_SAMPLE_H
#define CPV_FORMAT_SAMPLE_H

#include <string.h>

#include "common/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_member {
    const char *ext; /* what follows the first dot of the file's name, lower case */
    struct cpv_bytes data;
};

struct cpv_sample {
    const char *key;
    const struct cpv_member *members;
    size_t n_members;
    uint64_t number; /* counted from 0 in its file */
};

/* The member of that extension, or NULL. */
static inline const struct cpv_member *cpv_sample_member(const struct cpv_sample *s,
                                                         const char *ext)
{
    for (size_t i = 0; i < s->n_members; i++)
        if (strcmp(s->members[i].ext, ext) == 0)
            return &s->members[i];
    return NULL;
}

#ifdef __cplusplus
}
#endif
#endif
