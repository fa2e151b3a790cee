/* SPDX-License-Identifier: Apache-2.0 */
/* Row by row: layer norm, activations, sums, softmax, norms, rows by number. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/ops.h"

/* ---- layer norm: [rows, channels, bias] ---- */

static const float norm_eps = 1e-5F;

static void norm_row(struct answer *a, const float *x, const struct trial_weight *w,
                     int64_t row, int64_t d)
{
    double mean = 0, var = 0, rstd;

    for (int64_t k = 0; k < d; k++)
        mean += (double)x[k];
    mean /= (double)d;
    for (int64_t k = 0; k < d; k++)
        var += ((double)x[k] - mean) * ((double)x[k] - mean);
    rstd = 1 / sqrt(var / (double)d + (double)norm_eps);
    for (int64_t k = 0; k < d; k++) {
        double z = ((double)x[k] - mean) * rstd, gain = (double)w->w[k];
        double bias = w->bias ? (double)w->bias[k] : 0;

        a->want[row * d + k] = z * gain + bias;
        /* The mean is rounded against its own size; what that does to the variance
         * moves z in proportion. */
        a->mags[row * d + k] =
            (fabs((double)x[k]) + fabs(mean)) * rstd * (1 + fabs(z)) * fabs(gain) +
            fabs(z * gain) + fabs(bias);
    }
}

static void make_layernorm(struct trial *t)
{
    int64_t n = t->s[0], d = t->s[1];
    const struct operand *x = trial_values(t, n, d);
    const struct trial_weight *w = trial_matrix(t, 1, d, CPV_USE_NORM, 0.3, t->s[2], 0);
    struct answer *a = trial_answer(t, n, d);

    t->items = (int)n;
    t->terms = (double)d;
    for (int64_t i = 0; i < n; i++)
        norm_row(a, x->f + i * d, w, i, d);
}

static void run_layernorm(struct run *r)
{
    r->out[0] = cpv_layernorm(r->c, r->in[0], r->t->w[0].on, norm_eps);
}

/* ---- unary: [rows, channels, kind] ---- */

static void make_unary(struct trial *t)
{
    int64_t n = t->s[0], d = t->s[1];
    const struct operand *x = trial_values(t, n, d);
    struct answer *a = trial_answer(t, n, d);
    cpv_unary_kind kind = (cpv_unary_kind)t->s[2];

    t->items = (int)n;
    if (t->kind == INPUT_NORMAL) /* wide enough for tails and saturation */
        for (int64_t i = 0; i < n * d; i++)
            x->f[i] = input_round(t->values, (double)x->f[i] * (i % 4 ? 3 : 20));
    if (kind == CPV_EXP && t->values == CPV_F16) /* which ends at 65504 */
        for (int64_t i = 0; i < n * d; i++)
            if (isfinite(x->f[i]) && x->f[i] > 11)
                x->f[i] = 11;
    for (int64_t i = 0; i < n * d; i++) {
        double z = (double)x->f[i];

        a->want[i] = op_act(kind, z);
        a->mags[i] = kind == CPV_EXP        ? exp(z) * (1 + (isfinite(z) ? fabs(z) : 0))
                     : kind == CPV_IDENTITY ? 0
                     : kind == CPV_RELU     ? 0
                                            : op_act_mag(kind, z, 0);
    }
}

static void run_unary(struct run *r)
{
    r->out[0] = cpv_unary(r->c, r->in[0], (cpv_unary_kind)r->t->s[2]);
}

/* ---- add: [rows, channels] ---- */

static void make_add(struct trial *t)
{
    int64_t n = t->s[0], d = t->s[1];
    const struct operand *a = trial_values(t, n, d), *b = trial_values(t, n, d);
    struct answer *o = trial_answer(t, n, d);

    t->items = (int)n;
    for (int64_t i = 0; i < n * d; i++)
        o->want[i] = (double)a->f[i] + (double)b->f[i];
}

static void run_add(struct run *r)
{
    r->out[0] = cpv_add(r->c, r->in[0], r->in[1]);
}

/* ---- softmax: [rows, columns] ---- */

static void softmax_row(struct answer *a, const float *x, int64_t row, int64_t d)
{
    double top = -INFINITY, sum = 0;

    for (int64_t k = 0; k < d; k++)
        top = fmax(top, (double)x[k]);
    for (int64_t k = 0; k < d; k++)
        sum += exp((double)x[k] - top);
    for (int64_t k = 0; k < d; k++) {
        double below = top - (double)x[k], p = exp(-below) / sum;

        a->want[row * d + k] = p;
        /* x - top is rounded against its size, which exp turns into a factor. */
        a->mags[row * d + k] = p > 0 ? p * (1 + below) : 0;
    }
}

static void make_softmax(struct trial *t)
{
    int64_t n = t->s[0], d = t->s[1];
    const struct operand *x = trial_values(t, n, d);
    struct answer *a = trial_answer(t, n, d);

    t->items = (int)n;
    t->terms = (double)d;
    if (t->kind == INPUT_NORMAL)
        for (int64_t i = 0; i < n * d; i++)
            x->f[i] = input_round(t->values, 4 * (double)x->f[i]);
    if (t->kind == INPUT_INF) /* and a row of -Inf only */
        for (int64_t k = 0; k < d; k++)
            x->f[k] = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        softmax_row(a, x->f + i * d, i, d);
}

static void run_softmax(struct run *r)
{
    r->out[0] = cpv_softmax(r->c, r->in[0]);
}

/* ---- l2norm: [rows, channels] ---- */

static void make_l2norm(struct trial *t)
{
    int64_t n = t->s[0], d = t->s[1];
    const struct operand *x = trial_values(t, n, d);
    struct answer *a = trial_answer(t, n, d);

    t->items = (int)n;
    t->terms = (double)d;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;

        for (int64_t k = 0; k < d; k++)
            sum += (double)x->f[i * d + k] * (double)x->f[i * d + k];
        for (int64_t k = 0; k < d; k++) {
            double norm = isnan(sum) ? sum : fmax(sqrt(sum), (double)1e-12F);

            a->want[i * d + k] = (double)x->f[i * d + k] / norm;
            a->mags[i * d + k] = fabs(a->want[i * d + k]);
        }
    }
}

static void run_l2norm(struct run *r)
{
    r->out[0] = cpv_l2norm(r->c, r->in[0], 1e-12F);
}

/* ---- gather: [rows of the result, channels, rows of x] ---- */

static void make_gather(struct trial *t)
{
    int64_t n = t->s[0], d = t->s[1], m = t->s[2];
    struct operand *x = trial_values(t, m, d);
    const struct operand *index = trial_ids(t, n, 1, (int32_t)m);
    struct answer *a = trial_answer(t, n, d);

    x->shared = true;
    t->items = (int)n;
    for (int64_t i = 0; i < n * d; i++)
        a->want[i] = (double)x->f[index->i[i / d] * d + i % d];
}

static void run_gather(struct run *r)
{
    r->out[0] = cpv_gather(r->c, r->in[0], r->in[1]);
}

static const int64_t row_shapes[][TRIAL_SHAPE] = {
    {1, 1, 1}, {3, 2, 1}, {7, 15, 0}, {2, 33, 1}, {70, 130, 1}, {4, 1027, 1}, {0}};
static const int64_t unary_shapes[][TRIAL_SHAPE] = {
    {1, 1, CPV_GELU},        {3, 5, CPV_IDENTITY},
    {9, 33, CPV_RELU},       {40, 67, CPV_GELU},
    {9, 130, CPV_GELU_TANH}, {9, 31, CPV_QUICK_GELU},
    {17, 65, CPV_SILU},      {33, 17, CPV_TANH},
    {5, 259, CPV_EXP},       {0}};
static const int64_t gather_shapes[][TRIAL_SHAPE] = {
    {1, 1, 1}, {5, 33, 3}, {70, 130, 9}, {3, 1, 300}, {0}};

#define ROWS(name_, kind_, kinds_, shapes_, ...)                                         \
    {                                                                                    \
        .name = #name_, .needs = {kind_, CPV_OP_COUNT}, .kinds = (kinds_),               \
        .floats_only = true, .shapes = (shapes_), .batch = {__VA_ARGS__},                \
        .make = make_##name_, .run = run_##name_                                         \
    }

const struct op_case ops_rows[] = {
    ROWS(layernorm, CPV_OP_LAYERNORM, INPUT_ALL, row_shapes, 1000, 133, 1),
    ROWS(unary, CPV_OP_UNARY, INPUT_ALL, unary_shapes, 1000, 37, CPV_GELU),
    ROWS(add, CPV_OP_ADD, INPUT_ALL, row_shapes, 1000, 35),
    ROWS(softmax, CPV_OP_SOFTMAX, INPUT_ALL, row_shapes, 1000, 67),
    ROWS(l2norm, CPV_OP_L2NORM, INPUT_ALL, row_shapes, 1000, 67),
    ROWS(gather, CPV_OP_GATHER, INPUT_ALL, gather_shapes, 1000, 17, 40),
    {.name = NULL},
};
