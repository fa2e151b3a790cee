/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on rows: norms, element by element, choosing, and rows by number. */
#include "common/compute/backend.h"

static bool is_float(cpv_tensor t)
{
    return t.data && (t.dtype == CPV_F32 || t.dtype == CPV_BF16 || t.dtype == CPV_F16);
}

static bool same_shape(cpv_tensor a, cpv_tensor b)
{
    return a.rows == b.rows && a.cols == b.cols && a.dtype == b.dtype;
}

/* The one input of most of these; false, and the context has failed, if it is no good. */
static bool good(cpv_compute *c, const struct cpv_op *op, cpv_tensor x)
{
    if (!c->err.code && !is_float(x))
        cpv_compute_refuse(c, op, "an operand is missing or not of floating point");
    return !c->err.code;
}

cpv_tensor cpv_layernorm(cpv_compute *c, cpv_tensor x, const cpv_weight *w, float eps)
{
    struct cpv_op op = {.kind = CPV_OP_LAYERNORM};

    op.layernorm.x = x;
    op.layernorm.w = w;
    op.layernorm.eps = eps;
    if (!good(c, &op, x) || !cpv_weight_fits(c, &op, w, CPV_USE_NORM, 1, x.cols))
        return (cpv_tensor){0};
    op.layernorm.out = cpv_compute_alloc(c, x.rows, x.cols, x.dtype);
    if (cpv_tape_runs(c)) {
        op.layernorm.mean = cpv_compute_alloc(c, x.rows, 1, CPV_F32);
        op.layernorm.rstd = cpv_compute_alloc(c, x.rows, 1, CPV_F32);
    }
    cpv_compute_run(c, &op);
    return op.layernorm.out;
}

cpv_tensor cpv_unary(cpv_compute *c, cpv_tensor x, cpv_unary_kind kind)
{
    struct cpv_op op = {.kind = CPV_OP_UNARY};

    op.unary.x = x;
    op.unary.kind = kind;
    if (!good(c, &op, x))
        return (cpv_tensor){0};
    op.unary.out = cpv_compute_alloc(c, x.rows, x.cols, x.dtype);
    cpv_compute_run(c, &op);
    return op.unary.out;
}

cpv_tensor cpv_add(cpv_compute *c, cpv_tensor a, cpv_tensor b)
{
    struct cpv_op op = {.kind = CPV_OP_ADD};

    op.add.a = a;
    op.add.b = b;
    if (!good(c, &op, a) || !good(c, &op, b))
        return (cpv_tensor){0};
    if (!same_shape(a, b)) {
        cpv_compute_refuse(c, &op, "shapes or dtypes differ");
        return (cpv_tensor){0};
    }
    op.add.out = cpv_compute_alloc(c, a.rows, a.cols, a.dtype);
    cpv_compute_run(c, &op);
    return op.add.out;
}

cpv_tensor cpv_softmax(cpv_compute *c, cpv_tensor x)
{
    struct cpv_op op = {.kind = CPV_OP_SOFTMAX};

    op.softmax.x = x;
    if (!good(c, &op, x))
        return (cpv_tensor){0};
    op.softmax.out = cpv_compute_alloc(c, x.rows, x.cols, x.dtype);
    cpv_compute_run(c, &op);
    return op.softmax.out;
}

cpv_tensor cpv_l2norm(cpv_compute *c, cpv_tensor x, float eps)
{
    struct cpv_op op = {.kind = CPV_OP_L2NORM};

    op.l2norm.x = x;
    op.l2norm.eps = eps;
    if (!good(c, &op, x))
        return (cpv_tensor){0};
    op.l2norm.out = cpv_compute_alloc(c, x.rows, x.cols, x.dtype);
    cpv_compute_run(c, &op);
    return op.l2norm.out;
}

cpv_tensor cpv_similarity(cpv_compute *c, cpv_tensor a, cpv_tensor b, float scale)
{
    struct cpv_op op = {.kind = CPV_OP_SIMILARITY};

    op.similarity.a = a;
    op.similarity.b = b;
    op.similarity.scale = scale;
    if (!good(c, &op, a) || !good(c, &op, b))
        return (cpv_tensor){0};
    if (a.cols != b.cols || a.dtype != b.dtype) {
        cpv_compute_refuse(c, &op, "rows of different kinds");
        return (cpv_tensor){0};
    }
    op.similarity.out = cpv_compute_alloc(c, a.rows, b.rows, CPV_F32);
    cpv_compute_run(c, &op);
    return op.similarity.out;
}

cpv_tensor cpv_gather(cpv_compute *c, cpv_tensor x, cpv_tensor index)
{
    struct cpv_op op = {.kind = CPV_OP_GATHER};

    op.gather.x = x;
    op.gather.index = index;
    if (!good(c, &op, x))
        return (cpv_tensor){0};
    if (!index.data || index.dtype != CPV_I32 || index.cols != 1) {
        cpv_compute_refuse(c, &op, "the index is a column of i32");
        return (cpv_tensor){0};
    }
    op.gather.out = cpv_compute_alloc(c, index.rows, x.cols, x.dtype);
    cpv_compute_run(c, &op);
    return op.gather.out;
}

cpv_tensor cpv_argmax(cpv_compute *c, cpv_tensor x)
{
    struct cpv_op op = {.kind = CPV_OP_ARGMAX};

    op.argmax.x = x;
    if (!good(c, &op, x))
        return (cpv_tensor){0};
    op.argmax.out = cpv_compute_alloc(c, x.rows, 1, CPV_I32);
    cpv_compute_run(c, &op);
    return op.argmax.out;
}

struct cpv_top cpv_topk(cpv_compute *c, cpv_tensor x, int k)
{
    struct cpv_op op = {.kind = CPV_OP_TOPK};
    struct cpv_top top = {0};

    op.topk.x = x;
    if (!good(c, &op, x))
        return top;
    if (k < 1 || k > CPV_TOPK_MAX || k > x.cols) {
        cpv_compute_refuse(c, &op, "k is %d, expected 1 to %d and no more than columns",
                           k, (int)CPV_TOPK_MAX);
        return top;
    }
    op.topk.ids = cpv_compute_alloc(c, x.rows, k, CPV_I32);
    op.topk.values = cpv_compute_alloc(c, x.rows, k, CPV_F32);
    op.topk.lse = cpv_compute_alloc(c, x.rows, 1, CPV_F32);
    cpv_compute_run(c, &op);
    top.ids = op.topk.ids;
    top.values = op.topk.values;
    top.lse = op.topk.lse;
    return top;
}
