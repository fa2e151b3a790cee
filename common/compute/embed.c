/* SPDX-License-Identifier: Apache-2.0 */
/* From ids and pixels to tokens. */
#include "common/compute/backend.h"

static bool is_column(cpv_tensor t)
{
    return t.data && t.dtype == CPV_I32 && t.cols == 1;
}

cpv_tensor cpv_embed(cpv_compute *c, cpv_tensor ids, const cpv_weight *table, float scale,
                     const cpv_weight *positions, cpv_tensor at, int32_t offset)
{
    struct cpv_op op = {.kind = CPV_OP_EMBED};
    struct cpv_op_embed *e = &op.embed;

    e->ids = ids;
    e->at = at;
    e->table = table;
    e->positions = positions;
    e->scale = scale;
    e->offset = offset;
    if (c->err.code || !cpv_weight_fits(c, &op, table, CPV_USE_TABLE, 0, 0))
        return (cpv_tensor){0};
    if (positions && !cpv_weight_fits(c, &op, positions, CPV_USE_TABLE, 0, table->in))
        return (cpv_tensor){0};
    if (!is_column(ids) || (positions && (!is_column(at) || at.rows != ids.rows))) {
        cpv_compute_refuse(c, &op, "ids and positions are columns of i32");
        return (cpv_tensor){0};
    }
    e->out = cpv_compute_alloc(c, ids.rows, table->in, c->device->values);
    cpv_compute_run(c, &op);
    return e->out;
}

cpv_tensor cpv_positions(cpv_compute *c, cpv_rows rows)
{
    struct cpv_op op = {.kind = CPV_OP_POSITIONS};

    op.positions.rows = rows;
    op.positions.out = cpv_compute_alloc(c, rows.total, 1, CPV_I32);
    cpv_compute_run(c, &op);
    return op.positions.out;
}

static cpv_tensor patches(cpv_compute *c, cpv_tensor pixels, const struct cpv_patches *p)
{
    struct cpv_op op = {.kind = CPV_OP_PATCHES};
    int64_t grid;

    op.patches.x = pixels;
    op.patches.channels = p->channels;
    op.patches.size = p->size;
    op.patches.patch = p->patch;
    if (c->err.code)
        return (cpv_tensor){0};
    if (p->channels < 1 || p->patch < 1 || p->size < p->patch || p->size % p->patch ||
        !pixels.data || pixels.dtype != c->device->values ||
        pixels.cols != (int64_t)p->channels * p->size * p->size) {
        cpv_compute_refuse(c, &op, "expected %d planes of %d x %d in patches of %d",
                           p->channels, p->size, p->size, p->patch);
        return (cpv_tensor){0};
    }
    grid = p->size / p->patch;
    op.patches.out =
        cpv_compute_alloc(c, pixels.rows * grid * grid,
                          (int64_t)p->channels * p->patch * p->patch, pixels.dtype);
    cpv_compute_run(c, &op);
    return op.patches.out;
}

cpv_tensor cpv_patch_embed(cpv_compute *c, cpv_tensor pixels, const struct cpv_patches *p)
{
    struct cpv_op op = {.kind = CPV_OP_TOKENS};
    cpv_tensor x = patches(c, pixels, p);
    int64_t each, tokens;

    x = cpv_linear(c, x, p->projection, CPV_IDENTITY);
    if (c->err.code || (!p->class_token && !p->positions))
        return x;
    each = x.rows / pixels.rows;
    tokens = each + (p->class_token ? 1 : 0);
    op.tokens.x = x;
    op.tokens.first = p->class_token;
    op.tokens.positions = p->positions;
    op.tokens.each = (int32_t)each;
    if (p->class_token &&
        !cpv_weight_fits(c, &op, p->class_token, CPV_USE_TABLE, 1, x.cols))
        return (cpv_tensor){0};
    if (p->positions &&
        !cpv_weight_fits(c, &op, p->positions, CPV_USE_TABLE, tokens, x.cols))
        return (cpv_tensor){0};
    op.tokens.out = cpv_compute_alloc(c, pixels.rows * tokens, x.cols, x.dtype);
    cpv_compute_run(c, &op);
    return op.tokens.out;
}
