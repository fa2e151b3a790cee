/* SPDX-License-Identifier: Apache-2.0 */
/* What training needs besides: means, dropout, the loss, the optimizer. */
#include <math.h>
#include <string.h>

#include "common/compute/ref/ref.h"

/* ---- a mean for each sequence ---- */

REF_RUN(mean)
{
    const struct cpv_op_mean *m = &op->mean;

    (void)c;
    (void)scratch;
    (void)err;
    for (int32_t i = 0; i < m->rows.count; i++) {
        int32_t first = m->rows.offset[i], end = m->rows.offset[i + 1];

        for (int64_t j = 0; j < m->out.cols; j++) {
            double sum = 0;

            for (int32_t t = first; t < end; t++)
                sum += cpv_f32(m->x, t)[j];
            cpv_f32(m->out, i)[j] = end > first ? (float)(sum / (end - first)) : 0;
        }
    }
    return CPV_OK;
}

REF_BACK(mean)
{
    const cpv_rows *rows = &op->mean.rows;
    cpv_tensor dy = grad->mean.out, dx = grad->mean.x;

    (void)c;
    (void)scratch;
    (void)err;
    for (int32_t i = 0; dx.data && i < rows->count; i++)
        for (int32_t t = rows->offset[i]; t < rows->offset[i + 1]; t++)
            for (int64_t j = 0; j < dx.cols; j++)
                cpv_f32(dx, t)[j] += (float)((double)cpv_f32(dy, i)[j] /
                                             (rows->offset[i + 1] - rows->offset[i]));
    return CPV_OK;
}

/* ---- dropout ---- */

/* to = x * what is drawn at its place, or that added to it */
static void drop(const struct cpv_op_dropout *d, cpv_tensor to, cpv_tensor x, bool add)
{
    for (int32_t i = 0; i < d->rows.count; i++)
        for (int32_t t = d->rows.offset[i]; t < d->rows.offset[i + 1]; t++)
            for (int64_t j = 0; j < x.cols; j++) {
                uint32_t at = (uint32_t)(t - d->rows.offset[i]);
                float by = cpv_draw_at(&d->drop, (uint32_t)i, at, 0, (uint32_t)j);
                float y = by > 0 ? by * cpv_f32(x, t)[j] : 0;

                cpv_f32(to, t)[j] = add ? cpv_f32(to, t)[j] + y : y;
            }
}

REF_RUN(dropout)
{
    (void)c;
    (void)scratch;
    (void)err;
    drop(&op->dropout, op->dropout.out, op->dropout.x, false);
    return CPV_OK;
}

REF_BACK(dropout)
{
    (void)c;
    (void)scratch;
    (void)err;
    if (grad->dropout.x.data)
        drop(&op->dropout, grad->dropout.x, grad->dropout.out, true);
    return CPV_OK;
}

/* ---- the loss ---- */

/* Scratch: similarities [n, n], then sums by rows and by columns. */
size_t ref_contrastive_scratch(const struct cpv_op *op)
{
    size_t n = (size_t)op->contrastive.text.rows;

    return (n * n + 2 * n) * sizeof(double);
}

static void similarities(const struct cpv_op_contrastive *l, double scale, double *s)
{
    for (int64_t i = 0; i < l->image.rows; i++)
        for (int64_t j = 0; j < l->text.rows; j++) {
            double sum = 0;

            for (int64_t k = 0; k < l->text.cols; k++)
                sum += (double)cpv_f32(l->image, i)[k] * cpv_f32(l->text, j)[k];
            *s++ = scale * sum;
        }
}

/* The log of the sum of exponentials of a line of n numbers; is the own one the largest,
 * and of equals the first? */
static double line(const double *s, int64_t step, int64_t n, int64_t own, double *right)
{
    double most = -INFINITY, sum = 0;
    bool first = !isnan(s[own * step]);

    for (int64_t j = 0; j < n; j++) {
        double x = s[j * step];

        if (x > most || isnan(x))
            most = x;
        first = first && !(j < own ? x >= s[own * step] : x > s[own * step]);
    }
    for (int64_t j = 0; j < n; j++)
        sum += exp(s[j * step] - most);
    *right += first ? 1 : 0;
    return most + log(sum);
}

REF_RUN(contrastive)
{
    const struct cpv_op_contrastive *l = &op->contrastive;
    int64_t n = l->text.rows;
    double scale = exp((double)ref_table_at(l->scale, 0, 0)), along = 0;
    double *s = scratch, *by_row = s + n * n, *by_col = by_row + n;
    double loss = 0, texts = 0, images = 0;

    (void)c;
    (void)err;
    similarities(l, scale, s);
    for (int64_t i = 0; i < n; i++) {
        by_row[i] = line(s + i * n, 1, n, i, &images);
        by_col[i] = line(s + i, n, n, i, &texts);
        loss += (by_row[i] + by_col[i]) / 2 - s[i * n + i];
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double *x = &s[i * n + j], at = *x;

            *x = (exp(at - by_row[i]) + exp(at - by_col[j]) - (i == j ? 2 : 0)) /
                 (2 * (double)n);
            along += *x * at;
        }
    for (int64_t j = 0; j < n; j++)
        for (int64_t k = 0; k < l->text.cols; k++) {
            double sum = 0;

            for (int64_t i = 0; i < n; i++)
                sum += s[i * n + j] * cpv_f32(l->image, i)[k];
            cpv_f32(l->dtext, j)[k] = (float)(scale * sum);
        }
    if (l->dscale.data)
        *cpv_f32(l->dscale, 0) += (float)along;
    cpv_f32(l->figures, 0)[CPV_LOSS] = (float)(loss / (double)n);
    cpv_f32(l->figures, 0)[CPV_LOSS_TEXTS] = (float)(texts / (double)n);
    cpv_f32(l->figures, 0)[CPV_LOSS_IMAGES] = (float)(images / (double)n);
    return CPV_OK;
}

/* ---- the optimizer ---- */

/* As torch.optim.Adam, in the order of its operations: decay, moments, their debiasing,
 * the step. */
void ref_adam_some(const struct cpv_adam *h, float *param, const float *grad, float *m,
                   float *v, int64_t n)
{
    double unbias1 = 1 - pow(h->beta1, (double)h->t);
    double unbias2 = sqrt(1 - pow(h->beta2, (double)h->t));

    for (int64_t i = 0; i < n; i++) {
        double p = param[i], g = grad[i], first, second;

        if (h->decoupled)
            p *= 1 - h->lr * h->decay;
        else
            g += h->decay * p;
        first = m[i] + (g - m[i]) * (1 - h->beta1);
        second = h->beta2 * v[i] + (1 - h->beta2) * g * g;
        m[i] = (float)first;
        v[i] = (float)second;
        param[i] =
            (float)(p - h->lr / unbias1 * first / (sqrt(second) / unbias2 + h->eps));
    }
}

REF_RUN(adam)
{
    const struct cpv_op_adam *a = &op->adam;

    (void)c;
    (void)scratch;
    (void)err;
    ref_adam_some(&a->how, a->param.data, a->grad.data, a->m.data, a->v.data,
                  a->param.rows * a->param.cols);
    return CPV_OK;
}

REF_RUN(clamp)
{
    const struct cpv_op_clamp *l = &op->clamp;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < l->x.rows; i++)
        for (int64_t j = 0; j < l->x.cols; j++) {
            float *x = cpv_f32(l->x, i) + j;

            *x = *x < l->low ? l->low : *x > l->high ? l->high : *x;
        }
    return CPV_OK;
}

REF_RUN(scale)
{
    const struct cpv_op_scale *s = &op->scale;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < s->x.rows; i++)
        for (int64_t j = 0; j < s->x.cols; j++)
            cpv_f32(s->out, i)[j] = s->by * cpv_f32(s->x, i)[j];
    return CPV_OK;
}

REF_RUN(squares)
{
    cpv_tensor x = op->squares.x;
    double sum = 0;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < x.rows; i++)
        for (int64_t j = 0; j < x.cols; j++)
            sum += (double)cpv_f32(x, i)[j] * cpv_f32(x, i)[j];
    *cpv_f32(op->squares.out, 0) = (float)sum;
    return CPV_OK;
}
