/* SPDX-License-Identifier: Apache-2.0 */
/* Products with a weight. */
#include "common/compute/backend.h"
#include "common/compute/train.h"

static bool is_values(const cpv_compute *c, cpv_tensor t)
{
    return t.data && (t.dtype == c->device->values || t.dtype == CPV_F32);
}

/* What op has in it already is kept. */
static cpv_tensor linear(cpv_compute *c, struct cpv_op *op, cpv_tensor x,
                         const cpv_weight *w, bool add, cpv_dtype dtype)
{
    struct cpv_op_linear *l = &op->linear;
    cpv_tensor residual = l->residual;

    op->kind = CPV_OP_LINEAR;
    l->x = x;
    l->w = w;
    if (c->err.code)
        return (cpv_tensor){0};
    if (!x.data || x.dtype != c->device->values)
        cpv_compute_refuse(c, op, "x must be there, in %s",
                           cpv_dtype_name(c->device->values));
    else if (!cpv_weight_fits(c, op, w, CPV_USE_LINEAR, 0, x.cols))
        ;
    else if (add && (!is_values(c, residual) || residual.dtype != dtype ||
                     residual.rows != x.rows || residual.cols != w->out))
        cpv_compute_refuse(c, op, "the residual does not fit");
    if (c->err.code)
        return (cpv_tensor){0};
    l->out = cpv_compute_alloc(c, x.rows, w->out, dtype);
    cpv_compute_run(c, op);
    return l->out;
}

cpv_tensor cpv_linear(cpv_compute *c, cpv_tensor x, const cpv_weight *w,
                      cpv_unary_kind act)
{
    struct cpv_op op = {.kind = CPV_OP_LINEAR};
    /* Backward wants what went into the activation, so it must exist. */
    bool apart = act != CPV_IDENTITY && cpv_tape_runs(c);
    cpv_tensor y;

    op.linear.act = apart ? CPV_IDENTITY : act;
    y = linear(c, &op, x, w, false, c->device->values);
    return apart ? cpv_unary(c, y, act) : y;
}

cpv_tensor cpv_linear_add(cpv_compute *c, cpv_tensor x, const cpv_weight *w,
                          cpv_tensor residual)
{
    struct cpv_op op = {.kind = CPV_OP_LINEAR};

    op.linear.residual = residual;
    return linear(c, &op, x, w, true, c->device->values);
}

cpv_tensor cpv_logits(cpv_compute *c, cpv_tensor x, const cpv_weight *w)
{
    struct cpv_op op = {.kind = CPV_OP_LINEAR};

    return linear(c, &op, x, w, false, CPV_F32);
}

/* The same view of the same value? */
static bool is_same(cpv_tensor a, cpv_tensor b)
{
    return a.data == b.data && a.id == b.id && a.rows == b.rows && a.cols == b.cols &&
           a.stride == b.stride;
}

cpv_tensor cpv_linear_pair(cpv_compute *c, cpv_tensor x, cpv_tensor lora_x,
                           const cpv_weight *w)
{
    struct cpv_op op = {.kind = CPV_OP_LINEAR};

    if (!c->err.code && (!w || !w->lora_rank || is_same(lora_x, x)))
        return cpv_linear(c, x, w, CPV_IDENTITY);
    op.linear.lora_x = lora_x;
    op.linear.x = x;
    op.linear.w = w;
    if (!c->err.code && !c->device->like->lora_x)
        cpv_compute_refuse(c, &op, "device '%s' does not have an input of the pair's own",
                           c->device->like->name);
    if (!c->err.code && (!lora_x.data || lora_x.dtype != x.dtype ||
                         lora_x.rows != x.rows || lora_x.cols != x.cols))
        cpv_compute_refuse(c, &op, "the pair's input is like x");
    return linear(c, &op, x, w, false, c->device->values);
}
