/* SPDX-License-Identifier: Apache-2.0 */
/* Products: linear in all its forms, logits, similarity. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/ops.h"

/* ---- activations, as their definitions have it ---- */

static double sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

double op_act(cpv_unary_kind kind, double z)
{
    switch (kind) {
    case CPV_RELU:
        return isnan(z) ? z : z > 0 ? z : 0;
    case CPV_GELU:
        return z * 0.5 * erfc(-z / sqrt(2));
    case CPV_GELU_TANH:
        return 0.5 * z * (1 + tanh(sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
    case CPV_QUICK_GELU:
        return z * sigmoid(1.702 * z);
    case CPV_SILU:
        return z * sigmoid(z);
    case CPV_TANH:
        return tanh(z);
    case CPV_EXP:
        return exp(z);
    case CPV_IDENTITY:
    case CPV_UNARY_COUNT:
        break;
    }
    return z;
}

/*
 * No slope but that of exp is above 1.13. The gates are differences near -Inf: they are
 * right against |z|, not against their own value. exp is right against its value, and
 * moves with its argument's error.
 */
double op_act_mag(cpv_unary_kind kind, double z, double mag)
{
    if (kind == CPV_IDENTITY)
        return mag;
    if (kind == CPV_EXP)
        return exp(z) * (1 + mag);
    if (kind == CPV_TANH)
        return fmin(1, fabs(z)) + mag;
    return fabs(z) + 1.2 * mag;
}

/* ---- one element of a product ---- */

struct sum {
    double value, mag, slack;
};

static void add_lora(const struct trial_weight *w, const float *x, int64_t r,
                     struct sum *s)
{
    for (int j = 0; j < w->p.lora.rank; j++) {
        double h = 0, mag = 0, b = (double)w->b[r * w->p.lora.rank + j];

        for (int64_t k = 0; k < w->p.in; k++) {
            h += (double)x[k] * (double)w->a[j * w->p.in + k];
            mag += fabs((double)x[k] * (double)w->a[j * w->p.in + k]);
        }
        s->value += (double)w->p.lora.scale * b * h;
        s->mag += (double)w->p.lora.scale * fabs(b) * mag;
    }
}

/* x8: the row as the product sees it, which may be 8 bits; tie: see trial_eight. */
static struct sum product(const struct trial_weight *w, const float *x, const float *x8,
                          const float *tie, int64_t r)
{
    const float *row = w->w + r * w->p.in;
    struct sum s = {0};

    for (int64_t k = 0; k < w->p.in; k++) {
        double v = (double)x8[k] * (double)row[k];

        s.value += v;
        s.mag += fabs(v);
        if (w->tie)
            s.slack += (double)tie[k] * fabs((double)row[k]) +
                       (double)w->tie[r * w->p.in + k] * fabs((double)x8[k]);
    }
    if (w->bias) {
        s.value += (double)w->bias[r];
        s.mag += fabs((double)w->bias[r]);
    }
    add_lora(w, x, r, &s);
    return s;
}

/* ---- linear: [rows, in, out, activation, bias, rank] ---- */

static void make_linear(struct trial *t)
{
    int64_t n = t->s[0], in = t->s[1], out = t->s[2];
    const struct operand *x = trial_values(t, n, in);
    struct trial_weight *w =
        trial_matrix(t, out, in, CPV_USE_LINEAR, 1, t->s[4], (int)t->s[5]);
    cpv_unary_kind act = (cpv_unary_kind)t->s[3];
    struct answer *a = trial_answer(t, n, out);

    float *x8 = trial_alloc(t, in, sizeof *x8), *tie = trial_alloc(t, in, sizeof *tie);

    t->items = (int)n;
    t->terms = (double)in;
    a->slack = trial_alloc(t, n * out, sizeof *a->slack);
    for (int64_t i = 0; i < n * out; i++) {
        const float *row = x->f + i / out * in;
        struct sum s;

        if (w->tie && i % out == 0)
            trial_eight(row, in, x8, tie);
        s = product(w, row, w->tie ? x8 : row, tie, i % out);
        a->want[i] = op_act(act, s.value);
        a->mags[i] = op_act_mag(act, s.value, s.mag);
        a->slack[i] = 1.2 * s.slack;
    }
}

static void run_linear(struct run *r)
{
    r->out[0] = cpv_linear(r->c, r->in[0], r->t->w[0].on, (cpv_unary_kind)r->t->s[3]);
}

static void run_logits(struct run *r)
{
    r->out[0] = cpv_logits(r->c, r->in[0], r->t->w[0].on);
}

static void make_linear_add(struct trial *t)
{
    const struct operand *res;
    struct answer *a;

    make_linear(t);
    res = trial_values(t, t->s[0], t->s[2]);
    a = &t->out[0];
    for (int64_t i = 0; i < a->rows * a->cols; i++) {
        a->want[i] += (double)res->f[i];
        a->mags[i] += fabs((double)res->f[i]);
    }
}

static void run_linear_add(struct run *r)
{
    r->out[0] = cpv_linear_add(r->c, r->in[0], r->t->w[0].on, r->in[1]);
}

/* ---- similarity: [rows, rows of b, channels] ---- */

static void make_similarity(struct trial *t)
{
    int64_t n = t->s[0], m = t->s[1], d = t->s[2];
    const struct operand *a = trial_values(t, n, d);
    struct operand *b = trial_values_of(
        t, m, d, t->kind == INPUT_INF || t->kind == INPUT_NAN ? INPUT_NORMAL : t->kind);
    struct answer *o = trial_answer(t, n, m);

    b->shared = true;
    t->items = (int)n;
    t->terms = (double)d;
    for (int64_t i = 0; i < n * m; i++)
        for (int64_t k = 0; k < d; k++) {
            double v = 14.25 * (double)a->f[i / m * d + k] * (double)b->f[i % m * d + k];

            o->want[i] += v;
            o->mags[i] += fabs(v);
        }
}

static void run_similarity(struct run *r)
{
    r->out[0] = cpv_similarity(r->c, r->in[0], r->in[1], 14.25F);
}

/* Odd in every direction, one of everything, and beyond any tile. */
static const int64_t linear_shapes[][TRIAL_SHAPE] = {
    {1, 1, 1, CPV_IDENTITY, 0, 0},     {3, 5, 7, CPV_IDENTITY, 1, 0},
    {1, 64, 1, CPV_RELU, 1, 0},        {5, 1, 33, CPV_GELU, 1, 0},
    {17, 33, 65, CPV_GELU_TANH, 1, 0}, {2, 130, 16, CPV_QUICK_GELU, 0, 0},
    {7, 257, 31, CPV_SILU, 1, 0},      {9, 15, 129, CPV_TANH, 1, 0},
    {131, 70, 19, CPV_IDENTITY, 1, 0}, {0},
};
static const int64_t large_shapes[][TRIAL_SHAPE] = {{66, 1031, 301, CPV_IDENTITY, 1, 0},
                                                    {0}};
static const int64_t lora_shapes[][TRIAL_SHAPE] = {
    {1, 1, 1, CPV_IDENTITY, 0, 1},
    {5, 33, 18, CPV_IDENTITY, 1, 3},
    {19, 65, 67, CPV_GELU, 1, 8},
    {0},
};
static const int64_t plain_shapes[][TRIAL_SHAPE] = {
    {1, 1, 1, CPV_IDENTITY, 0, 0},
    {6, 37, 41, CPV_IDENTITY, 1, 0},
    {33, 96, 130, CPV_IDENTITY, 0, 0},
    {0},
};
static const int64_t similarity_shapes[][TRIAL_SHAPE] = {
    {1, 1, 1}, {3, 7, 5}, {34, 21, 67}, {5, 130, 512}, {0}};

const struct op_case ops_dense[] = {
    {.name = "linear",
     .needs = {CPV_OP_LINEAR, CPV_OP_COUNT},
     .kinds = INPUT_ALL,
     .shapes = linear_shapes,
     .batch = {1000, 67, 35, CPV_GELU, 1, 0},
     .make = make_linear,
     .run = run_linear},
    {.name = "linear_large",
     .needs = {CPV_OP_LINEAR, CPV_OP_COUNT},
     .kinds = INPUT_BIT(INPUT_NORMAL) | INPUT_BIT(INPUT_ALTERNATING),
     .shapes = large_shapes,
     .batch = {1000, 261, 17, CPV_IDENTITY, 0, 0},
     .make = make_linear,
     .run = run_linear},
    {.name = "linear_lora",
     .needs = {CPV_OP_LINEAR, CPV_OP_COUNT},
     .kinds = INPUT_ALL,
     .shapes = lora_shapes,
     .batch = {1000, 33, 20, CPV_IDENTITY, 1, 4},
     .make = make_linear,
     .run = run_linear},
    {.name = "linear_add",
     .needs = {CPV_OP_LINEAR, CPV_OP_COUNT},
     .kinds = INPUT_ALL,
     .shapes = plain_shapes,
     .batch = {1000, 40, 24, CPV_IDENTITY, 1, 0},
     .make = make_linear_add,
     .run = run_linear_add},
    {.name = "logits",
     .needs = {CPV_OP_LINEAR, CPV_OP_COUNT},
     .kinds = INPUT_ALL,
     .shapes = plain_shapes,
     .batch = {1000, 24, 99, CPV_IDENTITY, 1, 0},
     .make = make_linear,
     .run = run_logits},
    {.name = "similarity",
     .needs = {CPV_OP_SIMILARITY, CPV_OP_COUNT},
     .kinds = INPUT_ALL,
     .floats_only = true,
     .shapes = similarity_shapes,
     .batch = {1000, 13, 37},
     .make = make_similarity,
     .run = run_similarity},
    {.name = NULL},
};
