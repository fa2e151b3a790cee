/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retrieval on held-out sets while training: original captions of each language against
 * all images, whose vectors are made (or read) once.
 *
 *     validate_open, validate_run ..., validate_close
 */
#ifndef CPV_TRAINER_VALIDATE_H
#define CPV_TRAINER_VALIDATE_H

#include "common/model/recall.h"
#include "trainer/data.h"
#include "trainer/settings.h"

typedef struct validate validate;

struct validate_params {
    const struct settings *set;
    const cpv_clip *model;
    int threads;
    cpv_log *log;
};

struct validate_result {
    const char *const *language; /* n of them */
    const struct cpv_recall *recall;
    size_t n;
    double mean_recall; /* mean over languages */
};

CPV_MUST_CHECK int validate_open(validate **out, const struct validate_params *params,
                                 struct cpv_err *err);
void validate_close(validate **v);
uint32_t validate_images(const validate *v);

/* With the weights as they are now. The result is valid until the next call. */
CPV_MUST_CHECK int validate_run(validate *v, struct validate_result *out,
                                struct cpv_err *err);

/*
 * The value of a metric: "mean_recall", "pt.mean_recall", "pt.text_to_image.r1", ...r5,
 * ...r10, "pt.image_to_text.mean_recall", ...; false if there is no such. "loss" is the
 * trainer's own.
 */
bool validate_metric(const struct validate_result *r, const char *name, double *value);

#endif
