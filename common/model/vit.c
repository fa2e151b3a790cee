/* SPDX-License-Identifier: Apache-2.0 */
#include "common/model/vit.h"

cpv_tensor cpv_vit_encode(cpv_compute *c, const struct cpv_vit *vit, cpv_tensor pixels)
{
    cpv_rows rows = cpv_rows_equal(c, vit->tokens, (int32_t)pixels.rows);
    cpv_tensor x = cpv_patch_embed(c, pixels, &vit->patches);

    for (int i = 0; i < vit->layers; i++) {
        const struct cpv_vit_layer *l = &vit->layer[i];
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        x = cpv_self_attn(c, &l->attn, cpv_layer_norm(c, x, l->attn_norm), rows, false,
                          x);
        x = cpv_mlp(c, &l->mlp, cpv_layer_norm(c, x, l->mlp_norm), x);
        x = cpv_compute_keep(c, mark, x);
    }
    return cpv_layer_norm(c, x, vit->norm);
}
