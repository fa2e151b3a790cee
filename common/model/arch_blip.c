/* SPDX-License-Identifier: Apache-2.0 */
/* BLIP captioning (BlipForConditionalGeneration), and the vision tower that BLIP-2 has
 * too, with other sizes. */
#include "common/model/arch_impl.h"

#define BERT  "text_decoder.bert."
#define LAYER BERT "encoder.layer.*."
#define CLS   "text_decoder.cls.predictions."
#define D     CPV_BLIP_WIDTH
#define N     CPV_BLIP_LAYERS
#define F     CPV_BLIP_FFN
#define M     CPV_VIT_WIDTH /* of the memory that cross-attention reads */

static const struct cpv_arch_entry ENTRIES[] = {
    VIT_ENTRIES,
    MATRIX(CPV_BLIP_EMBED, BERT "embeddings.word_embeddings", 0, CPV_BLIP_VOCAB, D),
    MATRIX(CPV_BLIP_POS, BERT "embeddings.position_embeddings", 0, CPV_BLIP_POSITIONS, D),
    IGNORED(BERT "embeddings.position_ids", 0, NULL, "numbers from 0 on", CPV_DIM_END),
    NORM(CPV_BLIP_EMBED_NORM, BERT "embeddings.LayerNorm", 0, D),
    LINEAR(CPV_BLIP_Q, LAYER "attention.self.query", N, D, D),
    LINEAR(CPV_BLIP_K, LAYER "attention.self.key", N, D, D),
    LINEAR(CPV_BLIP_V, LAYER "attention.self.value", N, D, D),
    LINEAR(CPV_BLIP_OUT, LAYER "attention.output.dense", N, D, D),
    NORM(CPV_BLIP_ATTN_NORM, LAYER "attention.output.LayerNorm", N, D),
    LINEAR(CPV_BLIP_CROSS_Q, LAYER "crossattention.self.query", N, D, D),
    LINEAR(CPV_BLIP_CROSS_K, LAYER "crossattention.self.key", N, D, M),
    LINEAR(CPV_BLIP_CROSS_V, LAYER "crossattention.self.value", N, D, M),
    LINEAR(CPV_BLIP_CROSS_OUT, LAYER "crossattention.output.dense", N, D, D),
    NORM(CPV_BLIP_CROSS_NORM, LAYER "crossattention.output.LayerNorm", N, D),
    LINEAR(CPV_BLIP_FC1, LAYER "intermediate.dense", N, F, D),
    LINEAR(CPV_BLIP_FC2, LAYER "output.dense", N, D, F),
    NORM(CPV_BLIP_NORM, LAYER "output.LayerNorm", N, D),
    LINEAR(CPV_BLIP_TRANSFORM, CLS "transform.dense", 0, D, D),
    NORM(CPV_BLIP_TRANSFORM_NORM, CLS "transform.LayerNorm", 0, D),
    {CLS "decoder",
     NULL,
     CPV_ARCH_MATRIX,
     CPV_ARCH_OPTIONAL, /* the embedding without it */
     CPV_BLIP_HEAD,
     0,
     0,
     {CPV_BLIP_VOCAB, D},
     NULL,
     NULL},
    {CLS "bias",
     CLS "decoder.bias",
     CPV_ARCH_TENSOR,
     CPV_ARCH_NEEDED,
     CPV_BLIP_HEAD_BIAS,
     0,
     0,
     {CPV_BLIP_VOCAB},
     NULL,
     NULL},
    IGNORED(CLS "decoder.bias", 0, CLS "bias", "a copy of the head's bias",
            CPV_BLIP_VOCAB),
};

uint64_t arch_size(const struct cpv_hf_object *o, const char *key, int64_t def,
                   int64_t max)
{
    return (uint64_t)cpv_hf_int(o, key, def, 1, max);
}

void arch_heads(const struct cpv_hf_object *o, const char *key, uint64_t width,
                uint64_t heads)
{
    if (heads == 0 || width % heads != 0)
        cpv_hf_mistake(o, key, "a number that divides the width %llu",
                       (unsigned long long)width);
}

void arch_vit_read(struct cpv_arch_model *m, const struct cpv_hf_object *config,
                   const struct arch_vit_defaults *def)
{
    struct cpv_hf_object v = cpv_hf_object(config, "vision_config");
    uint64_t *d = m->dim, grid;

    d[CPV_VIT_WIDTH] = arch_size(&v, "hidden_size", def->width, ARCH_WIDTH_MAX);
    d[CPV_VIT_LAYERS] = arch_size(&v, "num_hidden_layers", def->layers, ARCH_LAYERS_MAX);
    d[CPV_VIT_HEADS] = arch_size(&v, "num_attention_heads", def->heads, 1024);
    d[CPV_VIT_FFN] = arch_size(&v, "intermediate_size", def->ffn, ARCH_WIDTH_MAX);
    d[CPV_VIT_IMAGE] = arch_size(&v, "image_size", def->image, 1 << 14);
    d[CPV_VIT_PATCH] = arch_size(&v, "patch_size", def->patch, 1 << 10);
    grid = d[CPV_VIT_PATCH] ? d[CPV_VIT_IMAGE] / d[CPV_VIT_PATCH] : 0;
    d[CPV_VIT_TOKENS] = grid * grid + 1;
    d[CPV_VIT_QKV] = 3 * d[CPV_VIT_WIDTH];
    if (grid == 0)
        cpv_hf_mistake(&v, "patch_size", "at most image_size");
    arch_heads(&v, "num_attention_heads", d[CPV_VIT_WIDTH], d[CPV_VIT_HEADS]);
}

/* Defaults: BlipVisionConfig and BlipTextConfig, but for the heads of the text, which
 * the hub's configurations corrected from 8 to 12 and always say. */
static void read(struct cpv_arch_model *m, const struct cpv_hf_object *c,
                 const struct cpv_hf_object *text)
{
    static const struct arch_vit_defaults VIT = {768, 3072, 12, 12, 384, 16};
    struct cpv_hf_object t = cpv_hf_object(c, "text_config");
    uint64_t *d = m->dim;

    (void)text;
    arch_vit_read(m, c, &VIT);
    d[CPV_BLIP_WIDTH] = arch_size(&t, "hidden_size", 768, ARCH_WIDTH_MAX);
    d[CPV_BLIP_LAYERS] = arch_size(&t, "num_hidden_layers", 12, ARCH_LAYERS_MAX);
    d[CPV_BLIP_HEADS] = arch_size(&t, "num_attention_heads", 12, 1024);
    d[CPV_BLIP_FFN] = arch_size(&t, "intermediate_size", 3072, ARCH_WIDTH_MAX);
    d[CPV_BLIP_VOCAB] = arch_size(&t, "vocab_size", 30524, ARCH_VOCAB_MAX);
    d[CPV_BLIP_POSITIONS] = arch_size(&t, "max_position_embeddings", 512, 1 << 20);
    arch_heads(&t, "num_attention_heads", d[CPV_BLIP_WIDTH], d[CPV_BLIP_HEADS]);
}

static const char *const PREFIXES[] = {"", NULL};

const struct cpv_arch cpv_arch_blip = {
    .name = "blip",
    .what = "BLIP captioning",
    .entries = ENTRIES,
    .n_entries = CPV_COUNT(ENTRIES),
    .anchor = "vision_model.embeddings.class_embedding",
    .prefixes = PREFIXES,
    .read = read,
};
