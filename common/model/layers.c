/* SPDX-License-Identifier: Apache-2.0 */
#include "common/model/layers.h"

/* Part i of n equal ones of the columns. */
static cpv_tensor part(cpv_tensor t, int i, int n)
{
    return cpv_columns(t, t.cols / n * i, t.cols / n);
}

cpv_tensor cpv_self_attn(cpv_compute *c, const struct cpv_self_attn *a, cpv_tensor x,
                         cpv_rows rows, bool causal, cpv_tensor residual)
{
    struct cpv_heads heads = {.count = a->heads, .causal = causal};
    cpv_tensor qkv = cpv_linear(c, x, a->qkv, CPV_IDENTITY);

    x = cpv_self_attention(c, part(qkv, 0, 3), part(qkv, 1, 3), part(qkv, 2, 3), rows,
                           heads);
    return cpv_linear_add(c, x, a->out, residual);
}

cpv_tensor cpv_self_attn_step(cpv_compute *c, const struct cpv_self_attn *a, cpv_tensor x,
                              cpv_rows rows, cpv_kv *kv, int layer, cpv_slots slots,
                              cpv_tensor residual)
{
    struct cpv_heads heads = {.count = a->heads, .causal = true};
    cpv_tensor qkv = cpv_linear(c, x, a->qkv, CPV_IDENTITY);

    cpv_kv_write(c, kv, layer, part(qkv, 1, 3), part(qkv, 2, 3));
    x = cpv_attend(c, part(qkv, 0, 3), rows, kv, layer, slots, heads);
    return cpv_linear_add(c, x, a->out, residual);
}

void cpv_cross_attn_fill(cpv_compute *c, const struct cpv_cross_attn *a,
                         cpv_tensor memory, cpv_kv *kv, int layer)
{
    cpv_tensor both = cpv_linear(c, memory, a->kv, CPV_IDENTITY);

    cpv_kv_write(c, kv, layer, part(both, 0, 2), part(both, 1, 2));
}

cpv_tensor cpv_cross_attn(cpv_compute *c, const struct cpv_cross_attn *a, cpv_tensor x,
                          cpv_rows rows, const cpv_kv *kv, int layer, cpv_slots slots,
                          cpv_tensor residual)
{
    struct cpv_heads heads = {.count = a->heads};

    x = cpv_linear(c, x, a->q, CPV_IDENTITY);
    x = cpv_attend(c, x, rows, kv, layer, slots, heads);
    return cpv_linear_add(c, x, a->out, residual);
}

cpv_tensor cpv_mlp(cpv_compute *c, const struct cpv_mlp *m, cpv_tensor x,
                   cpv_tensor residual)
{
    x = cpv_linear(c, x, m->in, m->act);
    return cpv_linear_add(c, x, m->out, residual);
}
