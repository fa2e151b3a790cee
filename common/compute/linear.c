/* SPDX-License-Identifier: Apache-2.0 */
/* Products with a weight. */
#include "common/compute/backend.h"

static bool is_values(const cpv_compute *c, cpv_tensor t)
{
    return t.data && (t.dtype == c->device->values || t.dtype == CPV_F32);
}

static cpv_tensor linear(cpv_compute *c, cpv_tensor x, const cpv_weight *w,
                         cpv_unary_kind act, cpv_tensor residual, bool add,
                         cpv_dtype dtype)
{
    struct cpv_op op = {.kind = CPV_OP_LINEAR};
    struct cpv_op_linear *l = &op.linear;

    l->x = x;
    l->residual = residual;
    l->w = w;
    l->act = act;
    if (c->err.code)
        return (cpv_tensor){0};
    if (!x.data || x.dtype != c->device->values)
        cpv_compute_refuse(c, &op, "x must be there, in %s",
                           cpv_dtype_name(c->device->values));
    else if (!cpv_weight_fits(c, &op, w, CPV_USE_LINEAR, 0, x.cols))
        ;
    else if (add && (!is_values(c, residual) || residual.dtype != dtype ||
                     residual.rows != x.rows || residual.cols != w->out))
        cpv_compute_refuse(c, &op, "the residual does not fit");
    if (c->err.code)
        return (cpv_tensor){0};
    l->out = cpv_compute_alloc(c, x.rows, w->out, dtype);
    cpv_compute_run(c, &op);
    return l->out;
}

cpv_tensor cpv_linear(cpv_compute *c, cpv_tensor x, const cpv_weight *w,
                      cpv_unary_kind act)
{
    cpv_tensor none = {0};
    cpv_tensor y;

    /* Backward wants what went into the activation, so it must exist. */
    if (act != CPV_IDENTITY && cpv_tape_runs(c)) {
        y = linear(c, x, w, CPV_IDENTITY, none, false, c->device->values);
        return cpv_unary(c, y, act);
    }
    return linear(c, x, w, act, none, false, c->device->values);
}

cpv_tensor cpv_linear_add(cpv_compute *c, cpv_tensor x, const cpv_weight *w,
                          cpv_tensor residual)
{
    return linear(c, x, w, CPV_IDENTITY, residual, true, c->device->values);
}

cpv_tensor cpv_logits(cpv_compute *c, cpv_tensor x, const cpv_weight *w)
{
    cpv_tensor none = {0};

    return linear(c, x, w, CPV_IDENTITY, none, false, CPV_F32);
}
