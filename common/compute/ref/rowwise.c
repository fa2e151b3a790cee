/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, element by element and as a whole. */
#include <math.h>
#include <string.h>

#include "common/compute/ref/ref.h"

float ref_act(cpv_unary_kind kind, float x);

/* ---- element by element ---- */

static double act(cpv_unary_kind kind, double x)
{
    switch (kind) {
    case CPV_RELU:
        return x < 0 ? 0 : x; /* NaN stays */
    case CPV_GELU:
        return x * (0.5 * erfc(-x * sqrt(0.5)));
    case CPV_GELU_TANH:
        return 0.5 * x *
               (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case CPV_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case CPV_SILU:
        return x / (1 + exp(-x));
    case CPV_TANH:
        return tanh(x);
    case CPV_EXP:
        return exp(x);
    default:
        return x;
    }
}

/* The derivative, by what the functions are. */
static double act_slope(cpv_unary_kind kind, double x)
{
    const double pi = 3.14159265358979323846;
    double s, t, u;

    switch (kind) {
    case CPV_RELU:
        return x > 0 ? 1 : 0;
    case CPV_GELU:
        return 0.5 * erfc(-x * sqrt(0.5)) + x * exp(-0.5 * x * x) / sqrt(2 * pi);
    case CPV_GELU_TANH:
        u = sqrt(2 / pi) * (x + 0.044715 * x * x * x);
        t = tanh(u);
        return 0.5 * (1 + t) +
               0.5 * x * (1 - t * t) * sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x);
    case CPV_QUICK_GELU:
        s = 1 / (1 + exp(-1.702 * x));
        return s + 1.702 * x * s * (1 - s);
    case CPV_SILU:
        s = 1 / (1 + exp(-x));
        return s + x * s * (1 - s);
    case CPV_TANH:
        t = tanh(x);
        return 1 - t * t;
    case CPV_EXP:
        return exp(x);
    default:
        return 1;
    }
}

float ref_act(cpv_unary_kind kind, float x)
{
    return (float)act(kind, x);
}

REF_RUN(unary)
{
    const struct cpv_op_unary *u = &op->unary;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < u->x.rows; i++)
        for (int64_t j = 0; j < u->x.cols; j++)
            cpv_f32(u->out, i)[j] = ref_act(u->kind, cpv_f32(u->x, i)[j]);
    return CPV_OK;
}

REF_BACK(unary)
{
    const struct cpv_op_unary *u = &op->unary;
    cpv_tensor dx = grad->unary.x;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; dx.data && i < u->x.rows; i++)
        for (int64_t j = 0; j < u->x.cols; j++)
            cpv_f32(dx, i)[j] += (float)(cpv_f32(grad->unary.out, i)[j] *
                                         act_slope(u->kind, cpv_f32(u->x, i)[j]));
    return CPV_OK;
}

REF_RUN(add)
{
    const struct cpv_op_add *a = &op->add;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < a->out.rows; i++)
        for (int64_t j = 0; j < a->out.cols; j++)
            cpv_f32(a->out, i)[j] = cpv_f32(a->a, i)[j] + cpv_f32(a->b, i)[j];
    return CPV_OK;
}

REF_BACK(add)
{
    cpv_tensor dy = grad->add.out, to[2] = {grad->add.a, grad->add.b};

    (void)c;
    (void)op;
    (void)scratch;
    (void)err;
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; to[k].data && i < dy.rows; i++)
            for (int64_t j = 0; j < dy.cols; j++)
                cpv_f32(to[k], i)[j] += cpv_f32(dy, i)[j];
    return CPV_OK;
}

REF_RUN(copy)
{
    const struct cpv_op_copy *o = &op->copy;
    size_t row = (size_t)o->x.cols * cpv_dtype_size(o->x.dtype);

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < o->x.rows; i++)
        memmove(cpv_f32(o->out, i), cpv_f32(o->x, i), row);
    return CPV_OK;
}

REF_RUN(fill)
{
    const struct cpv_op_fill *f = &op->fill;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < f->out.rows; i++)
        for (int64_t j = 0; j < f->out.cols; j++)
            cpv_f32(f->out, i)[j] = f->value;
    return CPV_OK;
}

/* ---- a row as a whole ---- */

static void moments(const float *x, int64_t n, double *mean, double *var)
{
    double sum = 0, squares = 0;

    for (int64_t j = 0; j < n; j++)
        sum += x[j];
    *mean = sum / (double)n;
    for (int64_t j = 0; j < n; j++)
        squares += (x[j] - *mean) * (x[j] - *mean);
    *var = squares / (double)n;
}

REF_RUN(layernorm)
{
    const struct cpv_op_layernorm *l = &op->layernorm;
    const struct ref_weight *r = l->w->impl;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < l->x.rows; i++) {
        const float *x = cpv_f32(l->x, i);
        double mean, var, rstd;

        moments(x, l->x.cols, &mean, &var);
        rstd = 1 / sqrt(var + l->eps);
        for (int64_t j = 0; j < l->x.cols; j++)
            cpv_f32(l->out, i)[j] =
                (float)((x[j] - mean) * rstd * r->matrix[j] + (r->bias ? r->bias[j] : 0));
        if (l->mean.data)
            *cpv_f32(l->mean, i) = (float)mean;
        if (l->rstd.data)
            *cpv_f32(l->rstd, i) = (float)rstd;
    }
    return CPV_OK;
}

/* With h = (x - mean) rstd and g = dy gain: dx = rstd (g - mean(g) - h mean(g h)). */
REF_BACK(layernorm)
{
    const struct cpv_op_layernorm *l = &op->layernorm;
    const struct ref_weight *r = l->w->impl;
    cpv_tensor dy = grad->layernorm.out, dx = grad->layernorm.x;
    cpv_tensor dgain = l->w->grad[CPV_PARAM_MATRIX], dbias = l->w->grad[CPV_PARAM_BIAS];
    int64_t n = l->x.cols;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < l->x.rows; i++) {
        const float *x = cpv_f32(l->x, i), *d = cpv_f32(dy, i);
        double mean = *cpv_f32(l->mean, i), rstd = *cpv_f32(l->rstd, i);
        double sum = 0, along = 0;

        for (int64_t j = 0; j < n; j++) {
            double h = (x[j] - mean) * rstd, g = (double)d[j] * r->matrix[j];

            sum += g;
            along += g * h;
            if (dgain.data)
                cpv_f32(dgain, 0)[j] += (float)(d[j] * h);
            if (dbias.data)
                cpv_f32(dbias, 0)[j] += d[j];
        }
        for (int64_t j = 0; dx.data && j < n; j++) {
            double h = (x[j] - mean) * rstd, g = (double)d[j] * r->matrix[j];

            cpv_f32(dx, i)[j] += (float)(rstd * (g - (sum + h * along) / (double)n));
        }
    }
    return CPV_OK;
}

/* The largest of a row; NaN if any is, so that it is seen in the result. */
static double largest(const float *x, int64_t n)
{
    double most = x[0];

    for (int64_t j = 1; j < n; j++)
        if (x[j] > most || isnan(x[j]))
            most = x[j];
    return most;
}

REF_RUN(softmax)
{
    const struct cpv_op_softmax *s = &op->softmax;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < s->x.rows; i++) {
        const float *x = cpv_f32(s->x, i);
        double most = largest(x, s->x.cols), sum = 0;

        for (int64_t j = 0; j < s->x.cols; j++)
            sum += exp(x[j] - most);
        for (int64_t j = 0; j < s->x.cols; j++)
            cpv_f32(s->out, i)[j] = (float)(exp(x[j] - most) / sum);
    }
    return CPV_OK;
}

/* dx = y (dy - sum(y dy)) */
REF_BACK(softmax)
{
    const struct cpv_op_softmax *s = &op->softmax;
    cpv_tensor dy = grad->softmax.out, dx = grad->softmax.x;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; dx.data && i < s->x.rows; i++) {
        const float *y = cpv_f32(s->out, i), *d = cpv_f32(dy, i);
        double mean = 0;

        for (int64_t j = 0; j < s->x.cols; j++)
            mean += (double)y[j] * d[j];
        for (int64_t j = 0; j < s->x.cols; j++)
            cpv_f32(dx, i)[j] += (float)(y[j] * (d[j] - mean));
    }
    return CPV_OK;
}

REF_RUN(l2norm)
{
    const struct cpv_op_l2norm *l = &op->l2norm;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < l->x.rows; i++) {
        const float *x = cpv_f32(l->x, i);
        double sum = 0, norm;

        for (int64_t j = 0; j < l->x.cols; j++)
            sum += (double)x[j] * x[j];
        norm = sqrt(sum);
        norm = norm < l->eps ? l->eps : norm;
        for (int64_t j = 0; j < l->x.cols; j++)
            cpv_f32(l->out, i)[j] = (float)(x[j] / norm);
    }
    return CPV_OK;
}

/* With y = x / n: dx = (dy - y (y dy)) / n, where n is the norm; dy / n where it is eps.
 */
REF_BACK(l2norm)
{
    const struct cpv_op_l2norm *l = &op->l2norm;
    cpv_tensor dy = grad->l2norm.out, dx = grad->l2norm.x;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; dx.data && i < l->x.rows; i++) {
        const float *x = cpv_f32(l->x, i), *d = cpv_f32(dy, i);
        double sum = 0, along = 0, norm;

        for (int64_t j = 0; j < l->x.cols; j++) {
            sum += (double)x[j] * x[j];
            along += (double)x[j] * d[j];
        }
        norm = sqrt(sum);
        if (norm < l->eps) {
            norm = l->eps;
            along = 0;
        }
        for (int64_t j = 0; j < l->x.cols; j++)
            cpv_f32(dx, i)[j] += (float)((d[j] - x[j] * along / (norm * norm)) / norm);
    }
    return CPV_OK;
}

REF_RUN(similarity)
{
    const struct cpv_op_similarity *s = &op->similarity;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < s->a.rows; i++)
        for (int64_t j = 0; j < s->b.rows; j++) {
            double sum = 0;

            for (int64_t k = 0; k < s->a.cols; k++)
                sum += (double)cpv_f32(s->a, i)[k] * cpv_f32(s->b, j)[k];
            cpv_f32(s->out, i)[j] = (float)(s->scale * sum);
        }
    return CPV_OK;
}

/* da += scale dy b, db += scale dy^T a */
REF_BACK(similarity)
{
    const struct cpv_op_similarity *s = &op->similarity;
    cpv_tensor dy = grad->similarity.out, da = grad->similarity.a;
    cpv_tensor db = grad->similarity.b;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; da.data && i < s->a.rows; i++)
        for (int64_t k = 0; k < s->a.cols; k++) {
            double sum = 0;

            for (int64_t j = 0; j < s->b.rows; j++)
                sum += (double)cpv_f32(dy, i)[j] * cpv_f32(s->b, j)[k];
            cpv_f32(da, i)[k] += (float)(s->scale * sum);
        }
    for (int64_t j = 0; db.data && j < s->b.rows; j++)
        for (int64_t k = 0; k < s->b.cols; k++) {
            double sum = 0;

            for (int64_t i = 0; i < s->a.rows; i++)
                sum += (double)cpv_f32(dy, i)[j] * cpv_f32(s->a, i)[k];
            cpv_f32(db, j)[k] += (float)(s->scale * sum);
        }
    return CPV_OK;
}

/* ---- choosing ---- */

/* Does x[j] come before the one chosen so far? NaN comes after every number. */
static bool beats(float x, float best)
{
    return x > best || (isnan(best) && !isnan(x));
}

REF_RUN(argmax)
{
    cpv_tensor x = op->argmax.x;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < x.rows; i++) {
        int32_t best = 0;

        for (int64_t j = 1; j < x.cols; j++)
            if (beats(cpv_f32(x, i)[j], cpv_f32(x, i)[best]))
                best = (int32_t)j;
        *cpv_i32(op->argmax.out, i) = best;
    }
    return CPV_OK;
}

/* A NaN is never among them: where there are fewer numbers, -Inf at place -1 follows. */
static void choose(const float *x, int64_t n, int64_t k, int32_t *ids, float *values)
{
    int64_t have = 0;

    for (int64_t j = 0; j < n; j++) {
        int64_t at = have;

        while (at > 0 && x[j] > values[at - 1])
            at--;
        if (at == k || isnan(x[j]))
            continue;
        have += have < k;
        memmove(ids + at + 1, ids + at, (size_t)(have - 1 - at) * sizeof *ids);
        memmove(values + at + 1, values + at, (size_t)(have - 1 - at) * sizeof *values);
        ids[at] = (int32_t)j;
        values[at] = x[j];
    }
    for (; have < k; have++) {
        ids[have] = -1;
        values[have] = -INFINITY;
    }
}

REF_RUN(topk)
{
    const struct cpv_op_topk *t = &op->topk;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < t->x.rows; i++) {
        const float *x = cpv_f32(t->x, i);
        double most = largest(x, t->x.cols), sum = 0;

        choose(x, t->x.cols, t->ids.cols, cpv_i32(t->ids, i), cpv_f32(t->values, i));
        for (int64_t j = 0; j < t->x.cols; j++)
            sum += exp(x[j] - most);
        *cpv_f32(t->lse, i) = isinf(most) ? (float)most : (float)(most + log(sum));
    }
    return CPV_OK;
}
