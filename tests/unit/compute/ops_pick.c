/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing: the largest, the k largest. Exact, ties and NaN included. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/ops.h"

/* Many ties: five values, both zeros among them. */
static void make_ties(const struct operand *x)
{
    static const float few[] = {0.0F, -0.0F, 1.5F, -2.0F, 1.5F};

    for (int64_t i = 0; i < x->rows * x->cols; i++)
        x->f[i] = few[(i * i + i / 3) % 5];
}

/* Does a stand before b, at a higher index? NaN before nothing. */
static bool before(double a, double b)
{
    return a > b || (isnan(b) && !isnan(a));
}

/* ---- argmax: [rows, columns, ties] ---- */

static void make_argmax(struct trial *t)
{
    int64_t n = t->s[0], d = t->s[1];
    const struct operand *x = trial_values(t, n, d);
    struct answer *a = trial_answer_ids(t, n, 1);

    t->items = (int)n;
    if (t->s[2] && t->kind == INPUT_NORMAL)
        make_ties(x);
    if (t->kind == INPUT_NAN && n > 3) /* a row without a number */
        for (int64_t k = 0; k < d; k++)
            x->f[3 * d + k] = NAN;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 1; k < d; k++)
            if (before((double)x->f[i * d + k], (double)x->f[i * d + a->ids[i]]))
                a->ids[i] = (int32_t)k;
}

static void run_argmax(struct run *r)
{
    r->out[0] = cpv_argmax(r->c, r->in[0]);
}

/* ---- topk: [rows, columns, ties, k] ---- */

static void topk_row(const float *x, int64_t d, int k, int32_t *ids, double *values)
{
    for (int j = 0; j < k; j++) {
        int32_t best = -1;

        for (int32_t i = 0; i < d; i++) {
            bool taken = false;

            for (int l = 0; l < j; l++)
                taken |= ids[l] == i;
            if (!taken && !isnan(x[i]) && (best < 0 || x[i] > x[best]))
                best = i;
        }
        ids[j] = best;
        values[j] = best < 0 ? -INFINITY : (double)x[best];
    }
}

static void log_sum(const float *x, int64_t d, double *want, double *mag)
{
    double top = -INFINITY, sum = 0;

    for (int64_t k = 0; k < d; k++)
        top = fmax(top, (double)x[k]);
    for (int64_t k = 0; k < d; k++)
        sum += isinf(top) && (double)x[k] == top ? 1 : exp((double)x[k] - top);
    *want = isinf(top) && !isnan(sum) ? top : top + log(sum);
    *mag = isfinite(*want) ? fabs(top) + fabs(log(sum)) + 1 : 0;
}

static void make_topk(struct trial *t)
{
    int64_t n = t->s[0], d = t->s[1], k = t->s[3];
    const struct operand *x = trial_values(t, n, d);
    struct answer *ids = trial_answer_ids(t, n, k);
    struct answer *values = trial_answer(t, n, k), *lse = trial_answer(t, n, 1);

    t->items = (int)n;
    t->terms = (double)d;
    if (t->s[2] && t->kind == INPUT_NORMAL)
        make_ties(x);
    if (t->kind == INPUT_INF) /* and a row of -Inf only */
        for (int64_t i = 0; i < d; i++)
            x->f[i] = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        topk_row(x->f + i * d, d, (int)k, ids->ids + i * k, values->want + i * k);
        log_sum(x->f + i * d, d, &lse->want[i], &lse->mags[i]);
    }
}

static void run_topk(struct run *r)
{
    struct cpv_top top = cpv_topk(r->c, r->in[0], (int)r->t->s[3]);

    r->out[0] = top.ids;
    r->out[1] = top.values;
    r->out[2] = top.lse;
}

static const int64_t argmax_shapes[][TRIAL_SHAPE] = {
    {1, 1, 0}, {5, 2, 1}, {7, 33, 1}, {9, 130, 0}, {6, 5003, 0}, {4, 1027, 1}, {0}};
static const int64_t topk_shapes[][TRIAL_SHAPE] = {
    {1, 1, 0, 1},     {5, 3, 1, 3},      {7, 33, 1, 4},     {4, 130, 0, 64},
    {6, 5003, 0, 4},  {3, 2051, 1, 17},  {3, 700, 0, 1},    {3, 130, 0, 65},
    {3, 256, 1, 256}, {2, 1500, 1, 204}, {2, 5003, 0, 256}, {0}};

const struct op_case ops_pick[] = {
    {.name = "argmax",
     .needs = {CPV_OP_ARGMAX, CPV_OP_COUNT},
     .kinds = INPUT_ALL,
     .floats_only = true,
     .shapes = argmax_shapes,
     .batch = {1000, 131, 1},
     .make = make_argmax,
     .run = run_argmax},
    {.name = "topk",
     .needs = {CPV_OP_TOPK, CPV_OP_COUNT},
     .kinds = INPUT_ALL,
     .floats_only = true,
     .shapes = topk_shapes,
     .batch = {1000, 131, 0, 5},
     .make = make_topk,
     .run = run_topk},
    {.name = NULL},
};
