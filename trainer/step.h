/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step: the pairs of a batch through the towers, the loss, backward, the optimizer.
 *
 *     step_open(&s, params)        takes an arena of the size that a dry run of the
 *                                  largest batches of the whole training tells
 *     step_run(s, number, &figures)   ...
 *     step_close(&s)
 *
 * A batch that is worked on in parts (micro_batch) has the loss of the whole: all texts
 * are embedded first, the loss and the gradient of every embedding are those of the
 * batch, then each part is embedded again, recorded, and gets its share of the gradient
 * (Gao et al. 2021, GradCache). Dropout draws the same both times.
 *
 * All of it is a function of (settings, data, parameters, moments, number): neither
 * threads nor what was done before change a bit.
 */
#ifndef CPV_TRAINER_STEP_H
#define CPV_TRAINER_STEP_H

#include "trainer/data.h"
#include "trainer/schedule.h"

typedef struct step step;

struct step_params {
    const struct settings *set;
    cpv_clip *model;
    const data *data;
    struct data_draw draw;
    struct schedule schedule;
    uint64_t first, steps; /* of the run: whose batches are looked at beforehand */
    int threads;
    cpv_log *log;
};

struct step_figures {
    double loss, texts, images; /* of the batch: CPV_LOSS ... */
    double rate, scale;         /* learning rate; exp(logit_scale) behind the step */
    uint64_t pairs, tokens;
    uint64_t broken; /* pictures that could not be read, left out of the batch */
};

CPV_MUST_CHECK int step_open(step **out, const struct step_params *params,
                             struct cpv_err *err);
void step_close(step **s);

/* Bytes of the arena, and of the moments in it. */
size_t step_bytes(const step *s);
cpv_compute *step_compute(const step *s);
/* The most tokens of a batch. */
int64_t step_tokens(const step *s);

/* A loss that is no number ends the training: CPV_E_INPUT. */
CPV_MUST_CHECK int step_run(step *s, uint64_t number, struct step_figures *out,
                            struct cpv_err *err);

/* ---- for checkpoints: what is trained, and what the optimizer knows of it ---- */

enum step_kind { STEP_PARAM, STEP_MEAN, STEP_SQUARE, STEP_KINDS };

int step_params_count(const step *s);
const struct cpv_clip_param *step_param(const step *s, int i);
/* rows * cols values of parameter i. */
CPV_MUST_CHECK int step_get(step *s, int i, enum step_kind kind, float *to,
                            struct cpv_err *err);
CPV_MUST_CHECK int step_set(step *s, int i, enum step_kind kind, const float *from,
                            struct cpv_err *err);

#endif
