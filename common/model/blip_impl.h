/* SPDX-License-Identifier: Apache-2.0 */
/* Between blip.c (the network), blip_load.c and blip_write.c; nobody else's. */
#ifndef CPV_MODEL_BLIP_IMPL_H
#define CPV_MODEL_BLIP_IMPL_H

#include "common/model/arch.h"
#include "common/model/blip.h"
#include "common/model/layers.h"
#include "common/model/params.h"
#include "common/model/vit.h"
#include "common/text/wordpiece.h"

#ifdef __cplusplus
extern "C" {
#endif

struct blip_layer {
    struct cpv_self_attn self;
    struct cpv_layer_norm self_norm;
    struct cpv_cross_attn cross;
    struct cpv_layer_norm cross_norm;
    struct cpv_mlp mlp;
    struct cpv_layer_norm norm;
};

struct cpv_blip {
    cpv_device *device;
    struct cpv_blip_config config;
    struct cpv_pixels_config pixels;
    struct cpv_arch_model arch; /* its table of tensors */
    cpv_params *params;
    cpv_wordpiece *tokenizer; /* NULL on a dry device */
    char *folder;
    struct cpv_vit vision;
    const cpv_weight *words, *positions; /* tables [vocab, width], [positions, width] */
    struct cpv_layer_norm embed_norm;
    struct blip_layer *layer;
    const cpv_weight *transform; /* of the head */
    struct cpv_layer_norm transform_norm;
    const cpv_weight *head; /* [vocab, width] */
};

/* Vision states [tokens, vision.width] into the slots of the last extend of `memory`. */
void blip_remember(cpv_compute *c, const cpv_blip *m, cpv_tensor states, cpv_kv *memory);
/* New tokens of each sequence to hidden states [rows.total, text.width]. */
cpv_tensor blip_decode(cpv_compute *c, const cpv_blip *m, cpv_tensor ids, cpv_rows rows,
                       cpv_kv *history, cpv_slots slots, const cpv_kv *memory,
                       cpv_slots memories);
cpv_tensor blip_logits(cpv_compute *c, const cpv_blip *m, cpv_tensor x);

#ifdef __cplusplus
}
#endif
#endif
