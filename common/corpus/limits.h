/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers by language, as settings say them: "0.2", "pt=0.2", or several: a number
 * without a language is for every language that no other one names.
 *
 * A model sees some languages less well than others, and similarities with it: one
 * number for all of them throws away a language that the model hardly knows.
 */
#ifndef CPV_CORPUS_LIMITS_H
#define CPV_CORPUS_LIMITS_H

#include "common/base/arena.h"
#include "common/base/cli.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_limit {
    const char *lang; /* NULL: every language that no other limit names */
    double value;
};

struct cpv_limits {
    struct cpv_limit *at;
    size_t count; /* 0: no limit at all */
};

/* Is a word of this form, its number finite? */
bool cpv_limit_ok(const char *word);

/* Words that are all of this form, no language twice. In mem. CPV_E_USAGE otherwise. */
CPV_MUST_CHECK int cpv_limits_parse(const struct cpv_texts *words, cpv_arena *mem,
                                    struct cpv_limits *out, struct cpv_err *err);

/* The one for a language; NULL: there is none. */
const struct cpv_limit *cpv_limits_find(const struct cpv_limits *l, const char *lang);

#ifdef __cplusplus
}
#endif
#endif
