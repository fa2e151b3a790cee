/* SPDX-License-Identifier: Apache-2.0 */
/*
 * act(x W^T + b + LoRA) + residual. The product takes the bias, the residual and simple
 * activations with it where cuBLASLt can; LoRA is two thin products, of which the second
 * adds to the result; what is left is done by one kernel, in place. Each of these steps
 * rounds to the dtype of the result, as PyTorch's do.
 */
#include "common/compute/cuda/internal.h"

#include <cuda_runtime_api.h>

/* x, or an aligned copy: there is one plan, and so one order of sums, for all. */
int cpv_cuda_line_up(cpv_compute *c, cpv_tensor *x, void *room, struct cpv_err *err)
{
    struct cpv_op_copy copy = {.out = *x, .x = *x};
    int e;

    if (cpv_cuda_is_aligned(*x))
        return CPV_OK;
    copy.out.data = room;
    copy.out.stride = cpv_cuda_padded(x->cols, x->dtype);
    *x = copy.out;
    e = cpv_cuda_copy(cpv_cuda_context_of(c)->stream, &copy);
    return e ? cpv_cuda_fail(err, e, cpv_cuda_device_of(c->device)->index, "copy")
             : CPV_OK;
}

/* For the same reason, a residual that is less aligned than the result is copied there.
 */
static int bring_residual(cpv_compute *c, cpv_tensor *residual, cpv_tensor out,
                          struct cpv_err *err)
{
    struct cpv_op_copy copy = {.out = out, .x = *residual};
    int e;

    if (!cpv_is(*residual) || cpv_cuda_is_aligned(*residual) || !cpv_cuda_is_aligned(out))
        return CPV_OK;
    *residual = out;
    e = cpv_cuda_copy(cpv_cuda_context_of(c)->stream, &copy);
    return e ? cpv_cuda_fail(err, e, cpv_cuda_device_of(c->device)->index, "copy")
             : CPV_OK;
}

/* out += scale * (x A^T) B^T */
static int add_lora(cpv_compute *c, const struct cpv_op_linear *op, cpv_tensor x,
                    void *room, struct cpv_err *err)
{
    struct cpv_cuda_weight *w = op->w->impl;
    cpv_tensor u = {.data = room,
                    .rows = x.rows,
                    .cols = op->w->lora_rank,
                    .stride = cpv_cuda_padded(op->w->lora_rank, x.dtype),
                    .dtype = x.dtype};
    struct cpv_cuda_product down = {.matrix = &w->a, .x = x, .out = u, .alpha = 1};
    struct cpv_cuda_product up = {.matrix = &w->b,
                                  .x = u,
                                  .out = op->out,
                                  .add = op->out,
                                  .alpha = op->w->lora_scale};
    int rc = cpv_cuda_multiply(c, &down, err);

    return rc ? rc : cpv_cuda_multiply(c, &up, err);
}

int cpv_cuda_linear(cpv_compute *c, const struct cpv_op *o, void *scratch,
                    struct cpv_err *err)
{
    const struct cpv_op_linear *op = &o->linear;
    struct cpv_cuda_linear_room room = cpv_cuda_linear_room(op);
    struct cpv_cuda_weight *w = op->w->impl;
    bool has_lora = op->w->lora_rank > 0, plain = op->act == CPV_IDENTITY;
    struct cpv_cuda_product p = {
        .matrix = &w->matrix, .x = op->x, .out = op->out, .alpha = 1};
    cpv_tensor residual = op->residual;
    const float *bias;
    int e, rc;

    rc = cpv_cuda_line_up(c, &p.x, (char *)scratch + room.x, err);
    if (!rc && plain)
        rc = bring_residual(c, &residual, op->out, err);
    if (rc)
        return rc;
    p.bias = op->out.dtype == CPV_F32 ? w->bias : w->bias_half;
    if (plain) { /* else it comes after the activation */
        p.add = residual;
        residual = (cpv_tensor){0};
    } else if (!has_lora && !cpv_is(residual)) {
        p.act = op->act;
    }
    rc = cpv_cuda_multiply(c, &p, err);
    if (!rc && has_lora)
        rc = add_lora(c, op, p.x, (char *)scratch + room.lora, err);
    bias = p.bias_done ? NULL : w->bias;
    if (rc || (!bias && !cpv_is(residual) && (plain || p.act_done)))
        return rc;
    e = cpv_cuda_epilogue(cpv_cuda_context_of(c)->stream, op->out, bias,
                          p.act_done ? CPV_IDENTITY : op->act, residual);
    return e ? cpv_cuda_fail(err, e, cpv_cuda_device_of(c->device)->index,
                             "start a kernel")
             : CPV_OK;
}
