/* SPDX-License-Identifier: Apache-2.0 */
/* Between clip.c (the towers), clip_config.c, clip_load.c, clip_work.c and clip_save.c;
 * nobody else's. */
#ifndef CPV_MODEL_CLIP_IMPL_H
#define CPV_MODEL_CLIP_IMPL_H

#include "common/base/arena.h"
#include "common/model/arch.h"
#include "common/model/bind.h"
#include "common/model/clip.h"
#include "common/model/layers.h"
#include "common/model/params.h"
#include "common/model/peft.h"
#include "common/model/vit.h"
#include "common/text/xlmr_text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Products of a text layer, in the order of their bits in enum cpv_clip_target. */
enum { CLIP_Q, CLIP_K, CLIP_V, CLIP_OUT, CLIP_FC1, CLIP_FC2, CLIP_PRODUCTS };

/* A product, which may have a pair of its own to be trained. */
struct clip_product {
    const cpv_weight *w;
    bool pair;
};

struct clip_layer {
    const cpv_weight *qkv; /* NULL: three of their own, to be trained */
    struct clip_product product[CLIP_PRODUCTS]; /* with qkv: from CLIP_OUT on */
    struct cpv_layer_norm attn_norm, norm;
};

struct clip_text {
    const cpv_weight *words;
    const cpv_weight *positions; /* the type's row is in them, */
    const cpv_weight *type;      /* unless it is trained; else NULL */
    struct cpv_layer_norm embed_norm;
    struct clip_layer *layer;
    const cpv_weight *proj[2]; /* the second NULL: one matrix */
};

struct cpv_clip {
    cpv_device *device;
    struct cpv_clip_config config;
    struct cpv_pixels_config pixels;
    struct cpv_arch_model arch;
    /* As it was opened; strings and `train` are in mem. */
    struct cpv_clip_params params;
    struct cpv_clip_train train; /* all zeros: to embed */
    bool adapter_projects;       /* the projection is the adapter's, */
    bool adapter_scale;          /* and so is logit_scale */
    const char *path;            /* of the model */
    const char *tokenizer_path;
    cpv_arena *mem;
    cpv_checkpoint *file; /* stays open: the table of words may be read from it */
    cpv_params *weights;
    cpv_xlmr_text *tokenizer; /* NULL on a dry device, and without the text tower */
    struct cpv_vit vision;
    cpv_unary_kind act; /* of the image tower */
    const cpv_weight *vision_proj;
    struct clip_text text;
    const cpv_weight *logit_scale;
    float scale; /* the checkpoint's logit_scale */
    struct cpv_clip_param *trained;
    int n_trained;
};

/* From the folder's configurations, or the preset. */
CPV_MUST_CHECK int clip_configure(cpv_clip *m, struct cpv_err *err);
/* Weights of the towers that are wanted. */
CPV_MUST_CHECK int clip_load(cpv_clip *m, struct cpv_err *err);

void clip_load_image(const struct cpv_bind *b, cpv_clip *m);

struct cpv_peft_shape clip_shape(const struct cpv_clip_config *k);
/* The pair's share of row `at` of a matrix of `in` columns is added. */
void clip_add_pair(float *row, const struct cpv_lora *p, int64_t at, int64_t in);
/* logit_scale as it is now. */
CPV_MUST_CHECK int clip_log_scale(const cpv_clip *m, float *scale, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
