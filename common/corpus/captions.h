/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The captions of a sample, and which of them a trainer may draw from.
 *
 * For each language L the JSON of a sample has up to four lists (schemas/
 * sample.schema.json): captions-L (originals), generated-captions-L, and, one entry for
 * each original and then for each generated one, similarities-L and flags-L. A caption's
 * `place` counts through both: originals from 0, the generated ones behind them.
 *
 * Sets in the reference's layout (capivara export --reference-layout, CAPIVARA's own) are
 * understood too: there captions-L already ends with the generated ones, which stand in
 * generated-captions-L once more, and similarities-L has one number for each of
 * captions-L. That tail is not counted twice.
 *
 * Strategies (facts: arXiv 2310.13683 and its trainer; there by `captions-pt` always,
 * here by each language's own lists):
 *
 *     none        the originals
 *     first       the originals and the first `keep` generated captions
 *     all         the originals and every generated caption
 *     rank        of both together the `keep` of highest similarity; of equal ones the
 *                 lower place; those without a number come last
 *     threshold   of both together those with similarity >= `threshold`; one without a
 *                 number is none of them
 *
 * `originals` says how many of captions-L, from the first, count as originals at all, in
 * every strategy (the reference: 2 for pt, 1 otherwise; its rank and threshold: all).
 * Captions that are null, or have nothing but white space, are never chosen and take no
 * room of `keep`, but keep their places.
 */
#ifndef CPV_CORPUS_CAPTIONS_H
#define CPV_CORPUS_CAPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/format/json.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_LANGUAGE_MAX = 64 }; /* bytes of L */

/* ---- lists ---- */

/* The lists of one language, borrowed from the JSON. NULL where there is none. */
struct cpv_caption_lists {
    json_t *originals, *generated, *flags, *similarities;
    uint32_t n_originals; /* without the tail of the reference's layout */
    uint32_t n_generated;
    bool extended; /* the reference's layout: originals end with the generated ones */
};

/* Does this language have a list of captions? */
bool cpv_captions_has(const json_t *sample, const char *lang);

/* Every language that has a list of captions, in the order of the sample's keys. Names
 * are views of those keys. CPV_E_MEMORY only. */
CPV_MUST_CHECK int cpv_captions_languages(const json_t *sample, cpv_arena *mem,
                                          const char ***langs, size_t *n,
                                          struct cpv_err *err);

/*
 * Find the lists of a language. A list of null counts as none. `key` names the sample in
 * errors. CPV_E_CORRUPT where a list is no list, or flags and similarities have not one
 * entry for each caption.
 */
CPV_MUST_CHECK int cpv_captions_find(json_t *sample, const char *lang, const char *key,
                                     struct cpv_caption_lists *out, struct cpv_err *err);

/* The text at a place: empty (size 0) for null and for white space alone. A view. */
struct cpv_bytes cpv_captions_text(const struct cpv_caption_lists *l, uint32_t place);
/* The similarity at a place; NaN: not known. */
double cpv_captions_similarity(const struct cpv_caption_lists *l, uint32_t place);

/* ---- choice ---- */

typedef enum cpv_caption_strategy {
    CPV_CAPTIONS_NONE,
    CPV_CAPTIONS_FIRST,
    CPV_CAPTIONS_ALL,
    CPV_CAPTIONS_RANK,
    CPV_CAPTIONS_THRESHOLD
} cpv_caption_strategy;

/* The words "none", "first", "all", "rank", "threshold", ending with NULL: for options.
 */
extern const char *const cpv_caption_strategies[];

struct cpv_caption_choice {
    cpv_caption_strategy strategy;
    uint32_t originals; /* the first so many count; 0: all */
    uint32_t keep;      /* FIRST: generated captions; RANK: captions in all */
    double threshold;   /* THRESHOLD */
};

struct cpv_caption {
    struct cpv_bytes text; /* a view into the JSON: good while that lives */
    double similarity;     /* NaN: not known */
    uint32_t place;
};

/* For qsort: highest similarity first, of equal ones the lower place, NaN last. */
int cpv_caption_compare(const void *a, const void *b);

/*
 * The captions of one language that the strategy leaves, in order of place, *at in mem.
 * *n 0: there is none, and the sample is to be passed over for this language; that is no
 * error. A pure function of its arguments.
 *
 * CPV_E_CORRUPT as cpv_captions_find; CPV_E_INPUT where rank or threshold meets captions
 * without a list of similarities (the score stage has not been there).
 */
CPV_MUST_CHECK int cpv_captions_choose(json_t *sample, const char *lang, const char *key,
                                       const struct cpv_caption_choice *choice,
                                       cpv_arena *mem, struct cpv_caption **at, size_t *n,
                                       struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
