/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captions and samples that a training set leaves out. In this order:
 *
 *     min_original     the sample goes if the first of captions-L has a similarity below
 *                      the limit, or none (CC3M-filtered: pt=0.2)
 *     drop_flags       captions go that have one of these words in flags-L
 *     min_similarity   captions go whose similarity is below the limit, or not known
 *     keep_top         of what is left the so many of highest similarity stay; of equal
 *                      ones the lower place; one that says nothing is none of them
 *     require          the sample goes if a language of these has no caption (left)
 *
 * The sample goes, too, if captions were left out of it and no language has any left.
 *
 * `originals` says whether min_similarity and keep_top judge originals and generated
 * captions together (true, as the reference's filter-by-threshold and -ranking do), or
 * the generated ones only, every original staying.
 *
 * Limits are by language (limits.h). A number without a language is for every language
 * that has similarities in the sample; one with it demands them. What leaves captions-L
 * or generated-captions-L leaves similarities-L and flags-L as well, so that places
 * agree.
 */
#ifndef CPV_CORPUS_FILTER_H
#define CPV_CORPUS_FILTER_H

#include "common/corpus/captions.h"
#include "common/corpus/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_filter {
    struct cpv_texts drop_flags, require;
    struct cpv_limits min_original, min_similarity, keep_top;
    bool originals;
};

/* Samples left out, and captions left out of those that stay. Added to. */
struct cpv_filter_counts {
    uint64_t below_original, no_caption; /* samples */
    uint64_t flagged, below, outranked;  /* captions */
};

/* Does it leave out anything at all? */
bool cpv_filter_is_on(const struct cpv_filter *f);

/*
 * Filter the object `sample` in place. *keep false: the sample goes, as it is then must
 * not be used. *changed: captions were left out. counts may be NULL; mem is for scratch.
 * CPV_E_CORRUPT where lists of a language do not agree, CPV_E_INPUT where there are
 * captions but no similarities to judge by.
 */
CPV_MUST_CHECK int cpv_filter_sample(const struct cpv_filter *f, json_t *sample,
                                     const char *key, cpv_arena *mem, bool *keep,
                                     bool *changed, struct cpv_filter_counts *counts,
                                     struct cpv_err *err);

/* The same for a JSON's text: *json is replaced by text in mem, or stays as it is, to the
 * byte, if no caption was left out. */
CPV_MUST_CHECK int cpv_filter_text(const struct cpv_filter *f, const char *key,
                                   struct cpv_bytes *json, cpv_arena *mem, bool *keep,
                                   struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
