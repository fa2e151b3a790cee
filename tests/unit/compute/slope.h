/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gradients of a small graph against central differences of its evaluation in double.
 *
 *     slope_open ... slope_input, slope_weight ... set run, eval, dy ... slope_check
 *
 * Step 1e-5: the difference's own error, its square times third derivatives, is below
 * 1e-9 of values near 1; roundings of the evaluation, 1e-16 / 1e-5, are less.
 */
#ifndef CPV_TESTS_COMPUTE_SLOPE_H
#define CPV_TESTS_COMPUTE_SLOPE_H

#include "common/compute/train.h"
#include "tests/unit/compute/compare.h"
#include "tests/unit/compute/inputs.h"
#include "tests/unit/compute/place.h"

enum { SLOPE_INPUTS = 5 };

struct slope_input {
    int64_t rows, cols;
    float *f;
    double *d;
    bool constant;
    /* A weight's part instead of a value: which weight, and which part of it. */
    int weight; /* from 1 on */
    cpv_param which;
};

struct slope {
    struct place *place;
    cpv_arena *mem;
    uint32_t stream;
    struct slope_input in[SLOPE_INPUTS], dy;
    cpv_weight *w[SLOPE_INPUTS + 1];
    /* Called before each pass; makes w. May be NULL. */
    void (*make)(struct slope *s);
    cpv_tensor (*run)(struct slope *s, cpv_compute *c, const cpv_tensor *in);
    void (*eval)(const struct slope *s, double *y);
    const void *arg;
};

void slope_open(struct slope *s, struct place *p);
/* Normal values. */
void slope_fill(struct slope *s, struct slope_input *in, int64_t rows, int64_t cols);
/* Every input's gradient, with 1, 2 and 7 threads; closes s. */
void slope_check(struct slope *s, const char *what);

#endif
