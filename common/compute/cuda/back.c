/* SPDX-License-Identifier: Apache-2.0 */
/* Backward: gradients of inputs and weights are added to, in an order that shapes fix. */
#include "common/compute/cuda/internal.h"

#include <cuda_runtime_api.h>

static cpv_stream stream_of(const cpv_compute *c)
{
    return cpv_cuda_context_of(c)->stream;
}

static int done(const cpv_compute *c, int e, struct cpv_err *err)
{
    return e ? cpv_cuda_fail(err, e, cpv_cuda_device_of(c->device)->index,
                             "start a kernel")
             : CPV_OK;
}

static int add_to(cpv_compute *c, cpv_tensor to, cpv_tensor from, struct cpv_err *err)
{
    struct cpv_op_add add = {.out = to, .a = to, .b = from};

    return cpv_is(to) ? done(c, cpv_cuda_add(stream_of(c), &add), err) : CPV_OK;
}

int cpv_cuda_add_back(cpv_compute *c, const struct cpv_op *op, const struct cpv_op *grad,
                      void *scratch, struct cpv_err *err)
{
    int rc = add_to(c, grad->add.a, grad->add.out, err);

    (void)op;
    (void)scratch;
    return rc ? rc : add_to(c, grad->add.b, grad->add.out, err);
}

int cpv_cuda_unary_backward(cpv_compute *c, const struct cpv_op *op,
                            const struct cpv_op *grad, void *scratch, struct cpv_err *err)
{
    (void)scratch;
    if (!cpv_is(grad->unary.x))
        return CPV_OK;
    return done(c, cpv_cuda_unary_back(stream_of(c), &op->unary, &grad->unary), err);
}

int cpv_cuda_layernorm_backward(cpv_compute *c, const struct cpv_op *op,
                                const struct cpv_op *grad, void *scratch,
                                struct cpv_err *err)
{
    const cpv_weight *w = op->layernorm.w;

    (void)scratch;
    return done(c,
                cpv_cuda_layernorm_back(stream_of(c), &op->layernorm, &grad->layernorm,
                                        cpv_cuda_weight_of(w)->matrix.t.data,
                                        w->grad[CPV_PARAM_MATRIX].data,
                                        w->grad[CPV_PARAM_BIAS].data),
                err);
}

/* ---- linear ---- */

static int multiply_add(cpv_compute *c, cpv_cuda_form form, struct cpv_cuda_matrix *m,
                        cpv_tensor x, cpv_tensor y, float alpha, cpv_tensor to,
                        struct cpv_err *err)
{
    struct cpv_cuda_product p = {
        .form = form, .matrix = m, .x = x, .y = y, .out = to, .add = to, .alpha = alpha};

    return cpv_is(to) ? cpv_cuda_multiply(c, &p, err) : CPV_OK;
}

/* [rows, rank] in scratch. */
static cpv_tensor thin(const cpv_tensor like, int rank, void *room)
{
    cpv_tensor t = like;

    t.data = room;
    t.cols = rank;
    t.stride = cpv_cuda_padded(rank, like.dtype);
    return t;
}

/* u = dy B: dA += s u^T x, dx += s u A. v = x A^T: dB += s dy^T v. */
static int lora_back(cpv_compute *c, const cpv_weight *w, cpv_tensor x, cpv_tensor dy,
                     cpv_tensor dx, void *room, struct cpv_err *err)
{
    struct cpv_cuda_weight *p = w->impl;
    cpv_tensor t = thin(x, w->lora_rank, room);
    struct cpv_cuda_product u = {
        .form = CPV_CUDA_BACK, .matrix = &p->b, .y = dy, .out = t, .alpha = 1};
    struct cpv_cuda_product v = {
        .form = CPV_CUDA_FORWARD, .matrix = &p->a, .x = x, .out = t, .alpha = 1};
    cpv_tensor da = w->grad[CPV_PARAM_LORA_A], db = w->grad[CPV_PARAM_LORA_B];
    int rc = CPV_OK;

    if (cpv_is(da) || cpv_is(dx))
        rc = cpv_cuda_multiply(c, &u, err);
    if (!rc)
        rc = multiply_add(c, CPV_CUDA_OUTER, &p->a, x, t, w->lora_scale, da, err);
    if (!rc)
        rc = multiply_add(c, CPV_CUDA_BACK, &p->a, x, t, w->lora_scale, dx, err);
    if (!rc && cpv_is(db))
        rc = cpv_cuda_multiply(c, &v, err);
    return rc ? rc
              : multiply_add(c, CPV_CUDA_OUTER, &p->b, t, dy, w->lora_scale, db, err);
}

static int bias_back(cpv_compute *c, const cpv_weight *w, cpv_tensor dy,
                     struct cpv_err *err)
{
    float *to = w->grad[CPV_PARAM_BIAS].data;

    return to ? done(c, cpv_cuda_column_sums(stream_of(c), to, dy), err) : CPV_OK;
}

int cpv_cuda_linear_back(cpv_compute *c, const struct cpv_op *op,
                         const struct cpv_op *grad, void *scratch, struct cpv_err *err)
{
    const cpv_weight *w = op->linear.w;
    struct cpv_cuda_weight *p = w->impl;
    struct cpv_cuda_back_room room = cpv_cuda_back_room(&op->linear, &grad->linear);
    cpv_tensor x = op->linear.x, dy = grad->linear.out, dx = grad->linear.x;
    int rc;

    rc = add_to(c, grad->linear.residual, dy, err);
    if (!rc)
        rc = bias_back(c, w, dy, err);
    if (!rc)
        rc = cpv_cuda_line_up(c, &x, (char *)scratch + room.x, err);
    if (!rc)
        rc = cpv_cuda_line_up(c, &dy, (char *)scratch + room.dy, err);
    if (!rc)
        rc = multiply_add(c, CPV_CUDA_BACK, &p->matrix, x, dy, 1, dx, err);
    if (!rc)
        rc = multiply_add(c, CPV_CUDA_OUTER, &p->matrix, x, dy, 1,
                          w->grad[CPV_PARAM_MATRIX], err);
    if (!rc && w->lora_rank)
        rc = lora_back(c, w, x, dy, dx, (char *)scratch + room.lora, err);
    return rc;
}
