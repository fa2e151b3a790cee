/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over packed sequences and over slots. */
#include <math.h>

#include <string.h>

#include "common/compute/backend.h"

/* What all forms have in common; sets heads, scale, and the output. */
static bool prepare(cpv_compute *c, struct cpv_op *op, struct cpv_heads heads,
                    int64_t width)
{
    struct cpv_op_attention *a = &op->attention;

    if (c->err.code)
        return false;
    a->heads = heads.count;
    a->causal = heads.causal;
    if (!a->q.data || a->q.dtype != c->device->values || a->q.rows != a->rows.total)
        cpv_compute_refuse(c, op, "q must have the %d rows of its batch, in %s",
                           a->rows.total, cpv_dtype_name(c->device->values));
    else if (heads.count < 1 || a->q.cols % heads.count || a->q.cols / heads.count > 256)
        cpv_compute_refuse(c, op, "%d heads", heads.count);
    else if (width != a->q.cols)
        cpv_compute_refuse(c, op, "queries of %lld channels, keys of %lld",
                           (long long)a->q.cols, (long long)width);
    if (c->err.code)
        return false;
    a->scale =
        heads.scale != 0 ? heads.scale : 1 / sqrtf((float)(a->q.cols / heads.count));
    a->out = cpv_compute_alloc(c, a->q.rows, a->q.cols, a->q.dtype);
    if (cpv_tape_runs(c))
        a->lse = cpv_compute_alloc(c, a->q.rows, heads.count, CPV_F32);
    return !c->err.code;
}

cpv_tensor cpv_attention_packed(cpv_compute *c, struct cpv_op *op, struct cpv_heads heads)
{
    struct cpv_op_attention *a = &op->attention;

    if (c->err.code)
        return (cpv_tensor){0};
    if (!a->k.data || !a->v.data || a->k.dtype != a->q.dtype ||
        a->v.dtype != a->q.dtype || a->k.rows != a->kv_rows.total ||
        a->v.rows != a->k.rows || a->v.cols != a->k.cols || a->v.stride != a->k.stride)
        cpv_compute_refuse(c, op, "keys and values do not fit their batch of %d rows",
                           a->kv_rows.total);
    a->longest_kv = a->kv_rows.longest;
    if (!prepare(c, op, heads, a->k.cols))
        return (cpv_tensor){0};
    cpv_compute_run(c, op);
    return a->out;
}

cpv_tensor cpv_self_attention(cpv_compute *c, cpv_tensor q, cpv_tensor k, cpv_tensor v,
                              cpv_rows rows, struct cpv_heads heads)
{
    struct cpv_op op = {.kind = CPV_OP_ATTENTION};

    op.attention.q = q;
    op.attention.k = k;
    op.attention.v = v;
    op.attention.rows = op.attention.kv_rows = rows;
    return cpv_attention_packed(c, &op, heads);
}

cpv_tensor cpv_cross_attention(cpv_compute *c, cpv_tensor q, cpv_rows rows, cpv_tensor k,
                               cpv_tensor v, cpv_rows kv_rows, cpv_tensor source,
                               struct cpv_heads heads)
{
    struct cpv_op op = {.kind = CPV_OP_ATTENTION};
    struct cpv_op_attention *a = &op.attention;

    a->q = q;
    a->k = k;
    a->v = v;
    a->source = source;
    a->rows = rows;
    a->kv_rows = kv_rows;
    if (!c->err.code && source.data &&
        (source.dtype != CPV_I32 || source.cols != 1 || source.rows != rows.count))
        cpv_compute_refuse(c, &op, "source is a column of %d i32", rows.count);
    if (!c->err.code && heads.causal)
        cpv_compute_refuse(c, &op, "another sequence's keys have no order");
    if (!c->err.code && !source.data && rows.count != kv_rows.count)
        cpv_compute_refuse(c, &op, "%d sequences look at %d", rows.count, kv_rows.count);
    return cpv_attention_packed(c, &op, heads);
}

cpv_tensor cpv_attend(cpv_compute *c, cpv_tensor q, cpv_rows rows, const cpv_kv *kv,
                      int layer, cpv_slots slots, struct cpv_heads heads)
{
    struct cpv_op op = {.kind = CPV_OP_ATTENTION};
    struct cpv_op_attention *a = &op.attention;

    a->q = q;
    a->rows = rows;
    a->kv = kv;
    a->layer = layer;
    a->slots = slots;
    if (c->err.code)
        return (cpv_tensor){0};
    if (layer < 0 || layer >= kv->p.layers || kv->device != c->device)
        cpv_compute_refuse(c, &op, "layer %d of a cache of %d", layer, kv->p.layers);
    if (slots.count != rows.count)
        cpv_compute_refuse(c, &op, "%d slots for %d sequences", slots.count, rows.count);
    for (int32_t i = 0; i < rows.count && !c->err.code; i++) {
        int32_t slot = slots.host[i], length = cpv_kv_length(kv, slot);

        if (length < 1)
            cpv_compute_refuse(c, &op, "sequence %d looks at slot %d, which is empty", i,
                               slot);
        else if (length > a->longest_kv)
            a->longest_kv = length;
    }
    if (!prepare(c, &op, heads, kv->p.width))
        return (cpv_tensor){0};
    cpv_compute_run(c, &op);
    return a->out;
}
