/* SPDX-License-Identifier: Apache-2.0 */
/* out = act(x W^T + b + s (x A^T) B^T) + residual, and back. */
#include <string.h>

#include "common/compute/ref/ref.h"

float ref_act(cpv_unary_kind kind, float x);

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* 8-bit weights meet a row that is quantised the same way: the sum is exact. */
static double dot_quantised(const struct ref_weight *r, int64_t row, const int8_t *q,
                            float scale, int64_t n)
{
    const int8_t *w = r->quantised + row * n;
    int64_t sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (int64_t)w[i] * q[i];
    return (double)sum * scale * r->scale[row];
}

/* What is needed besides: the row in 8 bits, and x A^T. */
static size_t row_scratch(const cpv_weight *w)
{
    return ((size_t)w->in + CPV_ALIGN - 1) / CPV_ALIGN * CPV_ALIGN +
           (size_t)w->lora_rank * sizeof(float);
}

size_t ref_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    (void)c;
    if (op->kind == CPV_OP_LINEAR)
        return row_scratch(op->linear.w);
    if (op->kind == CPV_OP_ATTENTION)
        return (size_t)op->attention.longest_kv * sizeof(double);
    if (op->kind == CPV_OP_CONTRASTIVE)
        return ref_contrastive_scratch(op);
    if (op->kind == CPV_OP_KV_FORK)
        return (size_t)op->kv_fork.dst.count * ((size_t)op->kv_fork.kv->p.capacity + 1) *
               sizeof(int32_t);
    return 0;
}

REF_RUN(linear)
{
    const struct cpv_op_linear *l = &op->linear;
    const cpv_weight *w = l->w;
    const struct ref_weight *r = w->impl;
    int8_t *q = scratch;
    float *xa = (float *)(void *)((char *)scratch + row_scratch(w)) - w->lora_rank;

    (void)c;
    (void)err;
    for (int64_t i = 0; i < l->x.rows; i++) {
        const float *x = cpv_f32(l->x, i);
        const float *pair_x = l->lora_x.data ? cpv_f32(l->lora_x, i) : x;
        float scale = r->quantised ? ref_quantise(x, w->in, q) : 0;

        for (int k = 0; k < w->lora_rank; k++)
            xa[k] = (float)dot(pair_x, r->a + k * w->in, w->in);
        for (int64_t j = 0; j < w->out; j++) {
            double sum = r->quantised ? dot_quantised(r, j, q, scale, w->in)
                                      : dot(x, r->matrix + j * w->in, w->in);

            if (w->lora_rank)
                sum += w->lora_scale * dot(xa, r->b + j * w->lora_rank, w->lora_rank);
            if (r->bias)
                sum += r->bias[j];
            sum = ref_act(l->act, (float)sum);
            if (l->residual.data)
                sum += cpv_f32(l->residual, i)[j];
            cpv_f32(l->out, i)[j] = (float)sum;
        }
    }
    return CPV_OK;
}

/* ---- back ---- */

/* scratch: x A^T [n, r] and dy B [n, r] */
size_t ref_scratch_back(const cpv_compute *c, const struct cpv_op *op,
                        const struct cpv_op *grad)
{
    (void)c;
    (void)grad;
    if (op->kind == CPV_OP_ATTENTION)
        return ref_attention_back_scratch(op);
    if (op->kind != CPV_OP_LINEAR)
        return 0;
    return 2 * (size_t)op->linear.x.rows * (size_t)op->linear.w->lora_rank *
           sizeof(float);
}

/* dx += dy W (unless dy is none) + s (dy B) A (unless dyb is) */
static void back_x(const cpv_weight *w, cpv_tensor dy, cpv_tensor dx, const float *dyb)
{
    const struct ref_weight *r = w->impl;

    for (int64_t i = 0; i < dx.rows; i++)
        for (int64_t k = 0; k < w->in; k++) {
            double sum = 0;

            for (int64_t j = 0; dy.data && j < w->out; j++)
                sum += (double)cpv_f32(dy, i)[j] * ref_table_at(w, j, k);
            for (int t = 0; dyb && t < w->lora_rank; t++)
                sum += (double)w->lora_scale * dyb[i * w->lora_rank + t] *
                       r->a[t * w->in + k];
            cpv_f32(dx, i)[k] += (float)sum;
        }
}

/* d[p, q] += scale * sum over i of u[i, p] v[i, q]: the gradient of a matrix. */
static void add_outer(cpv_tensor d, double scale, cpv_tensor u, cpv_tensor v)
{
    for (int64_t p = 0; p < d.rows; p++)
        for (int64_t q = 0; q < d.cols; q++) {
            double sum = 0;

            for (int64_t i = 0; i < u.rows; i++)
                sum += (double)cpv_f32(u, i)[p] * cpv_f32(v, i)[q];
            cpv_f32(d, p)[q] += (float)(scale * sum);
        }
}

static void back_lora(const cpv_weight *w, cpv_tensor x, cpv_tensor dy, cpv_tensor xa,
                      cpv_tensor dyb)
{
    const struct ref_weight *r = w->impl;

    for (int64_t i = 0; i < x.rows; i++)
        for (int t = 0; t < w->lora_rank; t++) {
            double sum = 0;

            for (int64_t j = 0; j < w->out; j++)
                sum += (double)cpv_f32(dy, i)[j] * r->b[j * w->lora_rank + t];
            cpv_f32(dyb, i)[t] = (float)sum;
            cpv_f32(xa, i)[t] = (float)dot(cpv_f32(x, i), r->a + t * w->in, w->in);
        }
    if (w->grad[CPV_PARAM_LORA_A].data)
        add_outer(w->grad[CPV_PARAM_LORA_A], w->lora_scale, dyb, x);
    if (w->grad[CPV_PARAM_LORA_B].data)
        add_outer(w->grad[CPV_PARAM_LORA_B], w->lora_scale, dy, xa);
}

REF_BACK(linear)
{
    const cpv_weight *w = op->linear.w;
    cpv_tensor x = op->linear.x, dy = grad->linear.out, dx = grad->linear.x;
    cpv_tensor pair_x = op->linear.lora_x, dpair_x = grad->linear.lora_x;
    cpv_tensor dr = grad->linear.residual;
    cpv_tensor xa = {scratch, x.rows, w->lora_rank, w->lora_rank, CPV_F32, 0}, dyb = xa;

    (void)c;
    (void)err;
    if (w->lora_rank) {
        dyb.data = (float *)scratch + x.rows * w->lora_rank;
        back_lora(w, pair_x.data ? pair_x : x, dy, xa, dyb);
    }
    if (dx.data)
        back_x(w, dy, dx, pair_x.data || !w->lora_rank ? NULL : dyb.data);
    if (dpair_x.data)
        back_x(w, (cpv_tensor){0}, dpair_x, dyb.data);
    if (w->grad[CPV_PARAM_MATRIX].data)
        add_outer(w->grad[CPV_PARAM_MATRIX], 1, dy, x);
    for (int64_t j = 0; w->grad[CPV_PARAM_BIAS].data && j < w->out; j++) {
        double sum = 0;

        for (int64_t i = 0; i < x.rows; i++)
            sum += cpv_f32(dy, i)[j];
        cpv_f32(w->grad[CPV_PARAM_BIAS], 0)[j] += (float)sum;
    }
    for (int64_t i = 0; dr.data && i < dr.rows; i++)
        for (int64_t j = 0; j < dr.cols; j++)
            cpv_f32(dr, i)[j] += cpv_f32(dy, i)[j];
    return CPV_OK;
}
