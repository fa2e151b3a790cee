/* SPDX-License-Identifier: Apache-2.0 */
#include "common/model/vit.h"

/* The first n layers, of all tokens. */
static cpv_tensor layers(cpv_compute *c, const struct cpv_vit *vit, cpv_tensor pixels,
                         cpv_rows rows, int n)
{
    cpv_tensor x = cpv_patch_embed(c, pixels, &vit->patches);

    if (vit->pre.w)
        x = cpv_layer_norm(c, x, vit->pre);
    for (int i = 0; i < n; i++) {
        const struct cpv_vit_layer *l = &vit->layer[i];
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        x = cpv_self_attn(c, &l->attn, cpv_layer_norm(c, x, l->attn_norm), rows, false,
                          x);
        x = cpv_mlp(c, &l->mlp, cpv_layer_norm(c, x, l->mlp_norm), x);
        x = cpv_compute_keep(c, mark, x);
    }
    return x;
}

cpv_tensor cpv_vit_encode(cpv_compute *c, const struct cpv_vit *vit, cpv_tensor pixels)
{
    cpv_rows rows = cpv_rows_equal(c, vit->tokens, (int32_t)pixels.rows);
    cpv_tensor x = layers(c, vit, pixels, rows, vit->layers);

    return cpv_layer_norm(c, x, vit->norm);
}

/* residual + out(attention(class tokens of x, x)) */
static cpv_tensor class_attn(cpv_compute *c, const struct cpv_cross_attn *a, cpv_tensor x,
                             cpv_rows rows, cpv_tensor first, cpv_tensor residual)
{
    struct cpv_heads heads = {.count = a->heads};
    cpv_tensor none = {0}, both = cpv_linear(c, x, a->kv, CPV_IDENTITY);
    cpv_tensor q = cpv_linear(c, cpv_gather(c, x, first), a->q, CPV_IDENTITY);
    int64_t width = both.cols / 2;

    x = cpv_cross_attention(c, q, cpv_rows_equal(c, 1, rows.count),
                            cpv_columns(both, 0, width), cpv_columns(both, width, width),
                            rows, none, heads);
    return cpv_linear_add(c, x, a->out, residual);
}

cpv_tensor cpv_vit_class(cpv_compute *c, const struct cpv_vit *vit, cpv_tensor pixels)
{
    const struct cpv_vit_layer *l = &vit->layer[vit->layers - 1];
    cpv_rows rows = cpv_rows_equal(c, vit->tokens, (int32_t)pixels.rows);
    cpv_tensor x = layers(c, vit, pixels, rows, vit->layers - 1);
    /* The class token is the first of its image. */
    cpv_tensor first =
        cpv_is(x) ? cpv_put_i32(c, rows.count, 1, rows.offset) : (cpv_tensor){0};

    x = class_attn(c, &vit->last, cpv_layer_norm(c, x, l->attn_norm), rows, first,
                   cpv_gather(c, x, first));
    x = cpv_mlp(c, &l->mlp, cpv_layer_norm(c, x, l->mlp_norm), x);
    return cpv_layer_norm(c, x, vit->norm);
}
