/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pieces that transformers are made of, shared by all models. Norms are the model's
 * to place: pre-norm and post-norm differ in nothing else.
 */
#ifndef CPV_MODEL_LAYERS_H
#define CPV_MODEL_LAYERS_H

#include "common/compute/compute.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_layer_norm {
    const cpv_weight *w;
    float eps;
};

/* Self-attention: one product makes queries, keys and values, in this order. */
struct cpv_self_attn {
    const cpv_weight *qkv, *out; /* [3 h, h], [h, h] */
    int heads;
};

/* Attention to a memory, whose keys and values one product makes. */
struct cpv_cross_attn {
    const cpv_weight *q, *kv, *out; /* [h, h], [2 h, memory], [h, h] */
    int heads;
};

struct cpv_mlp {
    const cpv_weight *in, *out; /* [f, h], [h, f] */
    cpv_unary_kind act;
};

static inline cpv_tensor cpv_layer_norm(cpv_compute *c, cpv_tensor x,
                                        struct cpv_layer_norm n)
{
    return cpv_layernorm(c, x, n.w, n.eps);
}

/* residual + out(attention(x)): whole sequences, in both directions or causal. */
cpv_tensor cpv_self_attn(cpv_compute *c, const struct cpv_self_attn *a, cpv_tensor x,
                         cpv_rows rows, bool causal, cpv_tensor residual);
/* The same while decoding: the new rows are written to their slots and see what these
 * hold. */
cpv_tensor cpv_self_attn_step(cpv_compute *c, const struct cpv_self_attn *a, cpv_tensor x,
                              cpv_rows rows, cpv_kv *kv, int layer, cpv_slots slots,
                              cpv_tensor residual);
/* Keys and values of a memory, into the slots of the last extend. */
void cpv_cross_attn_fill(cpv_compute *c, const struct cpv_cross_attn *a,
                         cpv_tensor memory, cpv_kv *kv, int layer);
/* residual + out(attention(x, memory)) */
cpv_tensor cpv_cross_attn(cpv_compute *c, const struct cpv_cross_attn *a, cpv_tensor x,
                          cpv_rows rows, const cpv_kv *kv, int layer, cpv_slots slots,
                          cpv_tensor residual);
/* residual + out(act(in(x))) */
cpv_tensor cpv_mlp(cpv_compute *c, const struct cpv_mlp *m, cpv_tensor x,
                   cpv_tensor residual);

#ifdef __cplusplus
}
#endif
#endif
