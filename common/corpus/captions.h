/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which captions of a sample may be chosen: the strategies of the reference's trainer
 * (CAPIVARA, utils/dataset/load_datasets_open_clip.py), for any language.
 *
 * A sample's JSON has `captions-L` (originals), `generated-captions-L`, and
 * `similarities-L` of both, originals first. null and empty captions are none.
 */
#ifndef CPV_CORPUS_CAPTIONS_H
#define CPV_CORPUS_CAPTIONS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/error.h"

enum cpv_captions_kind {
    CPV_CAPTIONS_ORIGINAL,  /* originals only */
    CPV_CAPTIONS_FIRST,     /* and the first `first` generated ones */
    CPV_CAPTIONS_ALL,       /* and all generated ones */
    CPV_CAPTIONS_RANK,      /* of all, the `keep` of highest similarity; ties by place */
    CPV_CAPTIONS_THRESHOLD, /* of all, those of at least `threshold` */
};

struct cpv_captions_how {
    enum cpv_captions_kind kind;
    size_t first, keep;
    double threshold;
    size_t originals; /* that count, from the first on; 0: all */
};

struct cpv_caption {
    const char *text;  /* the JSON's */
    size_t index;      /* in the originals, or behind them all, in the generated ones */
    double similarity; /* NAN: not known */
};

/*
 * Those of language `lang`, in their own order, in mem. None may be left: then *n is 0
 * and *why, never NULL, says in a few words what was lacking. CPV_E_MEMORY only.
 */
CPV_MUST_CHECK int cpv_captions_choose(const json_t *sample, const char *lang,
                                       const struct cpv_captions_how *how, cpv_arena *mem,
                                       struct cpv_caption **out, size_t *n,
                                       const char **why, struct cpv_err *err);

#endif
