/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Added tokens: "</s>", "[MASK]" and the like, which are one token wherever they stand in
 * a text, and cut it. Of several that begin at one place the longest is taken; of several
 * places the first.
 *
 *     add ..., then walk over texts:
 *
 *     struct cpv_added_walk w = cpv_added_walk(&added, text);
 *     while ((what = cpv_added_next(&w)) != CPV_ADDED_END)
 *         ... w.segment or w.token
 *
 * The texts of tokens belong to the caller and must outlive the list. After the last add
 * any number of threads may walk.
 */
#ifndef CPV_TEXT_ADDED_H
#define CPV_TEXT_ADDED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_ADDED_MAX = 4096 };

struct cpv_added_token {
    struct cpv_bytes text;
    int32_t id;
    bool special;        /* left out of decoded text */
    bool lstrip, rstrip; /* blanks before, after it in the text belong to it */
};

struct cpv_added {
    struct cpv_added_token *list;
    size_t count, capacity;
    bool first[256]; /* bytes with which a token begins */
};

/* A token with that text is replaced. An empty text is passed over. */
CPV_MUST_CHECK int cpv_added_add(struct cpv_added *a, const struct cpv_added_token *token,
                                 struct cpv_err *err);
void cpv_added_release(struct cpv_added *a);
const struct cpv_added_token *cpv_added_by_text(const struct cpv_added *a,
                                                struct cpv_bytes text); /* or NULL */
const struct cpv_added_token *cpv_added_by_id(const struct cpv_added *a, int32_t id);

enum cpv_added_what { CPV_ADDED_END, CPV_ADDED_SEGMENT, CPV_ADDED_TOKEN };

struct cpv_added_walk {
    const struct cpv_added *added;
    struct cpv_bytes text;
    size_t at;
    const struct cpv_added_token *pending; /* found behind the segment */
    bool strip;                            /* blanks in front of what comes next */
    struct cpv_bytes segment;              /* never empty */
    const struct cpv_added_token *token;
};

struct cpv_added_walk cpv_added_walk(const struct cpv_added *a, struct cpv_bytes text);
enum cpv_added_what cpv_added_next(struct cpv_added_walk *w);

#ifdef __cplusplus
}
#endif
#endif
