/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures of the training set to unit vectors, through the locked image tower: read,
 * decoded and resized by several threads, then embedded together.
 */
#ifndef CPV_TRAINER_PICTURES_H
#define CPV_TRAINER_PICTURES_H

#include "trainer/data.h"

typedef struct pictures pictures;

struct pictures_params {
    const cpv_clip *model; /* with its image tower */
    const data *data;      /* opened with pixels */
    uint32_t most;         /* pictures of a call */
    int threads;
    int64_t max_pixels;
    cpv_log *log;
};

CPV_MUST_CHECK int pictures_open(pictures **out, const struct pictures_params *params,
                                 struct cpv_err *err);
void pictures_close(pictures **p);

/* good[i]: picture i could be read. `out` gets the vectors of those, one after another,
 * [.., dim]. A broken one is said the first few times. */
CPV_MUST_CHECK int pictures_embed(pictures *p, const uint32_t *sample, uint32_t n,
                                  bool *good, float *out, struct cpv_err *err);

#endif
