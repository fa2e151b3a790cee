/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One struct for each case of an operation: its shapes and kinds of input, how a trial of
 * it is made (with the answers, evaluated in double and independently of ref), and its
 * call through the front door. A new operation is tested by adding it here.
 */
#ifndef CPV_TESTS_COMPUTE_OPS_H
#define CPV_TESTS_COMPUTE_OPS_H

#include "tests/unit/compute/trial.h"

struct op_case {
    const char *name;
    cpv_op_kind needs[5]; /* what a backend must have; ends with CPV_OP_COUNT */
    unsigned kinds;       /* INPUT_BIT */
    bool composite;       /* of several: what lies behind an output has been scratch */
    bool floats_only;     /* its weights are f32 on any device: once a dtype of values */
    const int64_t (*shapes)[TRIAL_SHAPE]; /* ends with a first number of 0 */
    int64_t batch[TRIAL_SHAPE];           /* of the test of row invariance: 1,000 items */
    void (*make)(struct trial *t);
    void (*run)(struct run *r);
};

/* By file; each ends with a NULL name. */
extern const struct op_case ops_dense[];
extern const struct op_case ops_rows[];
extern const struct op_case ops_pick[];
extern const struct op_case ops_embed[];
extern const struct op_case ops_attention[];

/* All of them; false at the end. */
bool ops_at(int i, const struct op_case **op);

/*
 * How far a result may be from the evaluation in double: docs/numerics.md.
 *
 *     2^-24 * (rel * |want| + (flat + root * sqrt(terms)) * mags)
 *     (terms / 4 for the root where all terms are alike: their roundings are, too)
 *     + unit of the dtype of values, if that is not f32, * (|want| + inner * mags)
 */
struct op_tolerance {
    const char *name;
    double rel, flat, root, inner;
    const char *why;
};
const struct op_tolerance *op_tolerance(const char *name);
/* Of output k; of_ref: against another device's result rather than the exact one. */
struct tolerance op_allowed(const struct trial *t, int k, bool of_ref);

/* The activations in double, and the magnitude of what is rounded in them, given that of
 * their argument's own rounding. */
double op_act(cpv_unary_kind kind, double z);
double op_act_mag(cpv_unary_kind kind, double z, double mag);

/*
 * Attention of one query in double: heads of d channels over `keys` rows; k[j] and v[j]
 * point to them. mags as answers have them.
 */
struct op_attend {
    int heads, d, keys;
    double scale;
    const float *q;
    const float *const *k, *const *v;
};
void op_attend(const struct op_attend *a, double *want, double *mags);

#endif
