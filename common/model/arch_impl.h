/* SPDX-License-Identifier: Apache-2.0 */
/* Inside arch: words for the tables of arch_*.c, and limits of sizes. */
#ifndef CPV_MODEL_ARCH_IMPL_H
#define CPV_MODEL_ARCH_IMPL_H

#include "common/base/size.h"
#include "common/model/arch.h"

/* Beyond these no model of today comes near; they keep products small. */
enum { ARCH_WIDTH_MAX = 1 << 16, ARCH_LAYERS_MAX = 512, ARCH_VOCAB_MAX = 1 << 24 };

#define LINEAR(id, name, count, ...)                                                     \
    {                                                                                    \
        name, NULL, CPV_ARCH_LINEAR, CPV_ARCH_NEEDED, id, count, 0, {__VA_ARGS__}, NULL, \
            NULL                                                                         \
    }
#define MATRIX(id, name, count, ...)                                                     \
    {                                                                                    \
        name, NULL, CPV_ARCH_MATRIX, CPV_ARCH_NEEDED, id, count, 0, {__VA_ARGS__}, NULL, \
            NULL                                                                         \
    }
#define NORM(id, name, count, ...)                                                       \
    {                                                                                    \
        name, NULL, CPV_ARCH_NORM, CPV_ARCH_NEEDED, id, count, 0, {__VA_ARGS__}, NULL,   \
            NULL                                                                         \
    }
#define TENSOR(id, name, count, ...)                                                     \
    {                                                                                    \
        name, NULL, CPV_ARCH_TENSOR, CPV_ARCH_NEEDED, id, count, 0, {__VA_ARGS__}, NULL, \
            NULL                                                                         \
    }
/* Not used; any shape but that of the twin, if there is one, is fine. */
#define IGNORED(name, count, twin, note, ...)                                            \
    {                                                                                    \
        name, NULL, CPV_ARCH_TENSOR, CPV_ARCH_IGNORED, 0, count, 0, {__VA_ARGS__}, twin, \
            note                                                                         \
    }

/* A width that heads divide, else a mistake at `key`. */
void arch_heads(const struct cpv_hf_object *o, const char *key, uint64_t width,
                uint64_t heads);
uint64_t arch_size(const struct cpv_hf_object *o, const char *key, int64_t def,
                   int64_t max);

/* The vision tower of BLIP and BLIP-2: its sizes, and its entries for a table. */
struct arch_vit_defaults {
    int64_t width, ffn, layers, heads, image, patch;
};
void arch_vit_read(struct cpv_arch_model *m, const struct cpv_hf_object *config,
                   const struct arch_vit_defaults *def);

#define VIT_ENTRIES                                                                      \
    TENSOR(CPV_VIT_CLASS, "vision_model.embeddings.class_embedding", 0, CPV_DIM_1,       \
           CPV_DIM_1, CPV_VIT_WIDTH),                                                    \
        TENSOR(CPV_VIT_POS, "vision_model.embeddings.position_embedding", 0, CPV_DIM_1,  \
               CPV_VIT_TOKENS, CPV_VIT_WIDTH),                                           \
        LINEAR(CPV_VIT_CONV, "vision_model.embeddings.patch_embedding", 0,               \
               CPV_VIT_WIDTH, CPV_DIM_3, CPV_VIT_PATCH, CPV_VIT_PATCH),                  \
        NORM(CPV_VIT_NORM1, "vision_model.encoder.layers.*.layer_norm1", CPV_VIT_LAYERS, \
             CPV_VIT_WIDTH),                                                             \
        LINEAR(CPV_VIT_ATTN, "vision_model.encoder.layers.*.self_attn.qkv",              \
               CPV_VIT_LAYERS, CPV_VIT_QKV, CPV_VIT_WIDTH),                              \
        LINEAR(CPV_VIT_PROJ, "vision_model.encoder.layers.*.self_attn.projection",       \
               CPV_VIT_LAYERS, CPV_VIT_WIDTH, CPV_VIT_WIDTH),                            \
        NORM(CPV_VIT_NORM2, "vision_model.encoder.layers.*.layer_norm2", CPV_VIT_LAYERS, \
             CPV_VIT_WIDTH),                                                             \
        LINEAR(CPV_VIT_FC1, "vision_model.encoder.layers.*.mlp.fc1", CPV_VIT_LAYERS,     \
               CPV_VIT_FFN, CPV_VIT_WIDTH),                                              \
        LINEAR(CPV_VIT_FC2, "vision_model.encoder.layers.*.mlp.fc2", CPV_VIT_LAYERS,     \
               CPV_VIT_WIDTH, CPV_VIT_FFN),                                              \
        NORM(CPV_VIT_POST_NORM, "vision_model.post_layernorm", 0, CPV_VIT_WIDTH)

#endif
