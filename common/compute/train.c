/* SPDX-License-Identifier: Apache-2.0 */
/* The front door to what training needs: dropout, the loss, the optimizer. */
#include "common/compute/train.h"

#include "common/compute/backend.h"

static bool is_values(const cpv_compute *c, cpv_tensor t)
{
    return t.data && t.dtype == c->device->values;
}

/* ---- operations of the tape ---- */

cpv_tensor cpv_mean(cpv_compute *c, cpv_tensor x, cpv_rows rows)
{
    struct cpv_op op = {.kind = CPV_OP_MEAN};

    op.mean.x = x;
    op.mean.rows = rows;
    if (c->err.code)
        return (cpv_tensor){0};
    if (!is_values(c, x) || x.rows != rows.total) {
        cpv_compute_refuse(c, &op, "x must have the %d rows of its batch", rows.total);
        return (cpv_tensor){0};
    }
    op.mean.out = cpv_compute_alloc(c, rows.count, x.cols, x.dtype);
    cpv_compute_run(c, &op);
    return op.mean.out;
}

/* False, and the context has failed, if it is no way to throw dice. */
static bool draw(cpv_compute *c, const struct cpv_op *op, struct cpv_draw *to,
                 cpv_rows rows, float p, const struct cpv_dice *dice, uint32_t operation)
{
    if (c->err.code)
        return false;
    if (!(p >= 0 && p < 1) || !dice)
        cpv_compute_refuse(c, op, "a probability of %g", (double)p);
    else if (dice->first < 0 || dice->first > (int64_t)UINT32_MAX - rows.count)
        cpv_compute_refuse(c, op, "sample %lld of a batch", (long long)dice->first);
    if (c->err.code)
        return false;
    cpv_dice_key(to->key, dice->seed, dice->step, operation);
    to->first = (uint32_t)dice->first;
    to->below = (uint32_t)((double)p * 0x1p32);
    to->scale = 1 / (1 - p);
    return true;
}

cpv_tensor cpv_dropout(cpv_compute *c, cpv_tensor x, cpv_rows rows, float p,
                       const struct cpv_dice *dice, uint32_t operation)
{
    struct cpv_op op = {.kind = CPV_OP_DROPOUT};

    op.dropout.x = x;
    op.dropout.rows = rows;
    if (c->err.code || p == 0)
        return x;
    if (!is_values(c, x) || x.rows != rows.total) {
        cpv_compute_refuse(c, &op, "x must have the %d rows of its batch", rows.total);
        return (cpv_tensor){0};
    }
    if (!draw(c, &op, &op.dropout.drop, rows, p, dice, operation))
        return (cpv_tensor){0};
    op.dropout.out = cpv_compute_alloc(c, x.rows, x.cols, x.dtype);
    cpv_compute_run(c, &op);
    return op.dropout.out;
}

cpv_tensor cpv_self_attention_dropout(cpv_compute *c, cpv_tensor q, cpv_tensor k,
                                      cpv_tensor v, cpv_rows rows, struct cpv_heads heads,
                                      float p, const struct cpv_dice *dice,
                                      uint32_t operation)
{
    struct cpv_op op = {.kind = CPV_OP_ATTENTION};

    if (c->err.code || p == 0)
        return cpv_self_attention(c, q, k, v, rows, heads);
    op.attention.q = q;
    op.attention.k = k;
    op.attention.v = v;
    op.attention.rows = op.attention.kv_rows = rows;
    if (!c->device->like->drops)
        cpv_compute_refuse(c, &op, "device '%s' does not have dropout of attention",
                           c->device->like->name);
    if (!draw(c, &op, &op.attention.drop, rows, p, dice, operation))
        return (cpv_tensor){0};
    return cpv_attention_packed(c, &op, heads);
}

/* ---- the loss ---- */

struct cpv_contrastive cpv_contrastive(cpv_compute *c, cpv_tensor image, cpv_tensor text,
                                       const cpv_weight *scale)
{
    struct cpv_op op = {.kind = CPV_OP_CONTRASTIVE};
    struct cpv_op_contrastive *l = &op.contrastive;
    struct cpv_contrastive none = {{0}, {0}}, got;

    l->image = image;
    l->text = text;
    l->scale = scale;
    if (c->err.code || !cpv_weight_fits(c, &op, scale, CPV_USE_TABLE, 1, 1))
        return none;
    if (!image.data || !text.data || image.dtype != CPV_F32 || text.dtype != CPV_F32 ||
        image.rows != text.rows || image.cols != text.cols || text.rows > INT32_MAX) {
        cpv_compute_refuse(c, &op, "images and texts are f32, pair by pair");
        return none;
    }
    l->dscale = scale->grad[CPV_PARAM_MATRIX];
    got.figures = l->figures = cpv_compute_alloc(c, 1, CPV_LOSS_FIGURES, CPV_F32);
    got.dtext = l->dtext = cpv_compute_alloc(c, text.rows, text.cols, CPV_F32);
    cpv_compute_run_aside(c, &op);
    return got;
}

/* ---- the optimizer ---- */

cpv_tensor cpv_zeros(cpv_compute *c, int64_t rows, int64_t cols)
{
    struct cpv_op op = {.kind = CPV_OP_FILL};

    op.fill.out = cpv_compute_alloc(c, rows, cols, CPV_F32);
    cpv_compute_run_aside(c, &op);
    return op.fill.out;
}

/* The master; no tensor, and the context has failed, if it is not trained. */
static cpv_tensor trained(cpv_compute *c, const cpv_weight *w, cpv_param which)
{
    if (!c->err.code && (!w || w->device != c->device || !w->param[which].data))
        cpv_compute_fail(c, CPV_E_BUG, "part %d of weight '%s' is not trained here",
                         (int)which, w ? w->name : "?");
    return c->err.code ? (cpv_tensor){0} : w->param[which];
}

static bool alike(cpv_tensor a, cpv_tensor b)
{
    return a.rows == b.rows && a.cols == b.cols && a.stride == a.cols &&
           a.dtype == CPV_F32;
}

void cpv_adam(cpv_compute *c, const cpv_weight *w, cpv_param which, cpv_tensor m,
              cpv_tensor v, const struct cpv_adam *how)
{
    struct cpv_op op = {.kind = CPV_OP_ADAM};

    op.adam.param = trained(c, w, which);
    op.adam.m = m;
    op.adam.v = v;
    op.adam.how = *how;
    if (c->err.code)
        return;
    op.adam.grad = w->grad[which];
    if (!m.data || !v.data || !alike(m, op.adam.param) || !alike(v, op.adam.param))
        cpv_compute_refuse(c, &op, "moments are f32, like their parameter");
    else if (how->t < 1)
        cpv_compute_refuse(c, &op, "step %lld: they count from 1", (long long)how->t);
    cpv_compute_run_aside(c, &op);
}

void cpv_weight_clear(cpv_compute *c, const cpv_weight *w)
{
    struct cpv_op op = {.kind = CPV_OP_FILL};

    for (int i = 0; i < CPV_PARAM_COUNT; i++) {
        op.fill.out = w->grad[i];
        if (op.fill.out.data)
            cpv_compute_run_aside(c, &op);
    }
}

void cpv_weight_clamp(cpv_compute *c, const cpv_weight *w, cpv_param which, float low,
                      float high)
{
    struct cpv_op op = {.kind = CPV_OP_CLAMP};

    op.clamp.x = trained(c, w, which);
    op.clamp.low = low;
    op.clamp.high = high;
    cpv_compute_run_aside(c, &op);
}

void cpv_weight_set(cpv_compute *c, const cpv_weight *w, cpv_param which,
                    const float *from)
{
    cpv_tensor to = trained(c, w, which);

    if (to.data && !c->device->backend->blind)
        c->device->backend->copy_in(c, to, from, &c->err);
}

cpv_tensor cpv_weight_grad_square(cpv_compute *c, const cpv_weight *w, cpv_param which)
{
    struct cpv_op op = {.kind = CPV_OP_SQUARES};

    if (!trained(c, w, which).data)
        return (cpv_tensor){0};
    op.squares.x = w->grad[which];
    op.squares.out = cpv_compute_alloc(c, 1, 1, CPV_F32);
    cpv_compute_run_aside(c, &op);
    return op.squares.out;
}

void cpv_weight_grad_scale(cpv_compute *c, const cpv_weight *w, cpv_param which,
                           float factor)
{
    struct cpv_op op = {.kind = CPV_OP_SCALE};

    if (!trained(c, w, which).data)
        return;
    op.scale.out = op.scale.x = w->grad[which];
    op.scale.by = factor;
    cpv_compute_run_aside(c, &op);
}
