/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vision transformer (Dosovitskiy et al. 2021), pre-norm: the tower of BLIP, and in
 * other sizes that of BLIP-2 and CLIP. Who loads it fills the struct.
 */
#ifndef CPV_MODEL_VIT_H
#define CPV_MODEL_VIT_H

#include "common/model/layers.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_vit_layer {
    struct cpv_layer_norm attn_norm;
    struct cpv_self_attn attn;
    struct cpv_layer_norm mlp_norm;
    struct cpv_mlp mlp;
};

struct cpv_vit {
    struct cpv_patches patches;
    struct cpv_vit_layer *layer; /* layers of them */
    int layers;
    int tokens;                 /* of an image: patches, and the class token */
    struct cpv_layer_norm pre;  /* before the first layer (CLIP); w NULL: none */
    struct cpv_layer_norm norm; /* behind the last layer */
    /* Of cpv_vit_class: the last layer's attention, whose memory are the layer's own
     * tokens; layer[layers - 1].attn is not used then. */
    struct cpv_cross_attn last;
};

/* Pixels [n, 3 * size * size] to states [n * tokens, width]: all tokens of each image. */
cpv_tensor cpv_vit_encode(cpv_compute *c, const struct cpv_vit *vit, cpv_tensor pixels);
/* Pixels to the state of each image's class token, [n, width]: in the last layer nothing
 * is made of the other tokens but their keys and values. */
cpv_tensor cpv_vit_class(cpv_compute *c, const struct cpv_vit *vit, cpv_tensor pixels);

#ifdef __cplusplus
}
#endif
#endif
