/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One trial of an operation: inputs on the host, what it must answer, and its execution
 * through the front door, with guards around everything.
 *
 *     trial_open       shape, kind, dtypes
 *     op->make         inputs, weights and, evaluated in double, the answers
 *     trial_bind       weights onto a place
 *     trial_run        any number of times: other threads, other rows, other views
 *     trial_unbind, trial_close
 *
 * A trial has `items`: rows, or sequences of rows, that no result may mix. trial_run can
 * be given any choice of them in any order; so one description serves the comparison with
 * f64 and the test that rows do not depend on each other.
 */
#ifndef CPV_TESTS_COMPUTE_TRIAL_H
#define CPV_TESTS_COMPUTE_TRIAL_H

#include "tests/unit/compute/compare.h"
#include "tests/unit/compute/inputs.h"
#include "tests/unit/compute/place.h"

enum { TRIAL_IN = 6, TRIAL_OUT = 3, TRIAL_WEIGHTS = 4, TRIAL_SHAPE = 6 };

struct op_case;

struct operand {
    int64_t rows, cols;
    bool shared;           /* the same for any choice of items */
    const int32_t *length; /* [items] rows of each; NULL: one */
    float *f;              /* one of the two */
    int32_t *i;
};

struct trial_weight {
    struct cpv_weight_params p; /* sources are plain */
    float *w, *bias, *a, *b; /* as the device keeps them: w of i8 is rounded; or NULL */
    float *tie; /* i8: [out, in], by how much w may be otherwise; NULL: is f32 anyway */
    cpv_weight *on; /* the place it is bound to */
};

struct answer {
    int64_t rows, cols;
    const int32_t *length; /* as of operands; NULL: `each` rows an item */
    int64_t each;
    double *want, *mags, *slack; /* floating point; slack may be NULL */
    int32_t *ids;                /* or integers */
};

struct result {
    int64_t rows, cols;
    float *f;
    int32_t *i;
};

struct trial {
    const struct op_case *op;
    int64_t s[TRIAL_SHAPE];
    enum input_kind kind;
    cpv_dtype weights, values;
    uint64_t seed;
    uint32_t stream; /* the next */
    cpv_arena *mem;
    int items;
    const int32_t *length[2]; /* rows[0], rows[1] of a run; NULL: none */
    int shared_rows; /* length[1] is of so many sequences that all items share; 0: no */
    struct operand in[TRIAL_IN];
    struct trial_weight w[TRIAL_WEIGHTS];
    struct answer out[TRIAL_OUT];
    int n_in, n_w, n_out;
    double terms; /* of the longest sum */
    size_t peak;  /* bytes of arena that the last run took, from its first operand on */
};

/* What run() of an operation gets, and fills in. */
struct run {
    cpv_compute *c;
    const struct trial *t;
    int items;
    const int32_t *order; /* [items] of the trial, which they are */
    cpv_tensor in[TRIAL_IN];
    cpv_rows rows[2];
    const int32_t *length[2]; /* host, of the chosen items */
    cpv_kv *kv;               /* closed by trial_run */
    cpv_tensor out[TRIAL_OUT];
};

struct trial_how {
    int context;          /* of place_context */
    const int32_t *order; /* NULL: all items as they are */
    int items;            /* with order */
    bool views;           /* operands are columns and rows of wider tensors full of NaN */
};

/* All of it fails the test where something is wrong. */
void trial_open(struct trial *t, const struct op_case *op, const int64_t *shape,
                enum input_kind kind, struct place_dtypes dtypes, uint64_t seed);
void trial_close(struct trial *t);
void trial_bind(struct trial *t, struct place *p);
void trial_unbind(struct trial *t);
/* Results live as long as the trial. */
void trial_run(struct trial *t, struct place *p, struct trial_how how,
               struct result out[TRIAL_OUT]);

/* The same on a device without data, which the trial is bound to: t->peak is foretold. */
void trial_foretell(struct trial *t, struct place *dry, struct trial_how how);

/* ---- for op->make ---- */

void *trial_alloc(struct trial *t, int64_t count, size_t size); /* cleared */
/* Values of the trial's kind, or of another. */
struct operand *trial_values(struct trial *t, int64_t rows, int64_t cols);
struct operand *trial_values_of(struct trial *t, int64_t rows, int64_t cols,
                                enum input_kind kind);
struct operand *trial_ids(struct trial *t, int64_t rows, int64_t cols, int32_t below);
/* n lengths of 1 ... most (of `least` if that is lower), and their sum. */
const int32_t *trial_lengths(struct trial *t, int n, int32_t least, int32_t most,
                             int64_t *total);
/* Normal values at `scale`. */
struct trial_weight *trial_matrix(struct trial *t, int64_t out, int64_t in, unsigned use,
                                  double scale, bool bias, int rank);
/*
 * A row as it is in symmetric 8 bits: scale = largest magnitude / 127, to the nearest
 * multiple, ties to even; all NaN if anything in it is not finite. tie[i] is the scale
 * where the quotient is so close to a tie that its rounding decides, else 0.
 */
void trial_eight(const float *x, int64_t n, float *to, float *tie);
/* Floating-point answers, or integer ones. */
struct answer *trial_answer(struct trial *t, int64_t rows, int64_t cols);
struct answer *trial_answer_ids(struct trial *t, int64_t rows, int64_t cols);

#endif
