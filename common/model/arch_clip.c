/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCLIP with a text tower of Hugging Face's (CustomTextCLIP with HFTextEncoder). */
#include <string.h>

#include "common/model/arch_impl.h"

#define BLOCK "visual.transformer.resblocks.*."
#define EMB   "text.transformer.embeddings."
#define LAYER "text.transformer.encoder.layer.*."
#define E     CPV_CLIP_EMBED_DIM
#define V     CPV_CLIP_V_WIDTH
#define NV    CPV_CLIP_V_LAYERS
#define FV    CPV_CLIP_V_FFN
#define T     CPV_CLIP_T_WIDTH
#define NT    CPV_CLIP_T_LAYERS
#define FT    CPV_CLIP_T_FFN

static const char POOLER[] = "the text is pooled by its mean";

static const struct cpv_arch_entry ENTRIES[] = {
    TENSOR(CPV_CLIP_SCALE, "logit_scale", 0, CPV_DIM_END),
    TENSOR(CPV_CLIP_V_CLASS, "visual.class_embedding", 0, V),
    TENSOR(CPV_CLIP_V_POS, "visual.positional_embedding", 0, CPV_CLIP_TOKENS, V),
    MATRIX(CPV_CLIP_V_CONV, "visual.conv1", 0, V, CPV_DIM_3, CPV_CLIP_PATCH,
           CPV_CLIP_PATCH),
    NORM(CPV_CLIP_V_PRE_NORM, "visual.ln_pre", 0, V),
    NORM(CPV_CLIP_V_NORM1, BLOCK "ln_1", NV, V),
    TENSOR(CPV_CLIP_V_ATTN, BLOCK "attn.in_proj_weight", NV, CPV_CLIP_V_QKV, V),
    TENSOR(CPV_CLIP_V_ATTN_BIAS, BLOCK "attn.in_proj_bias", NV, CPV_CLIP_V_QKV),
    LINEAR(CPV_CLIP_V_OUT, BLOCK "attn.out_proj", NV, V, V),
    NORM(CPV_CLIP_V_NORM2, BLOCK "ln_2", NV, V),
    LINEAR(CPV_CLIP_V_FC1, BLOCK "mlp.c_fc", NV, FV, V),
    LINEAR(CPV_CLIP_V_FC2, BLOCK "mlp.c_proj", NV, V, FV),
    NORM(CPV_CLIP_V_POST_NORM, "visual.ln_post", 0, V),
    TENSOR(CPV_CLIP_V_PROJ, "visual.proj", 0, V, E),

    MATRIX(CPV_CLIP_T_EMBED, EMB "word_embeddings", 0, CPV_CLIP_T_VOCAB, T),
    MATRIX(CPV_CLIP_T_POS, EMB "position_embeddings", 0, CPV_CLIP_T_POSITIONS, T),
    MATRIX(CPV_CLIP_T_TYPE, EMB "token_type_embeddings", 0, CPV_CLIP_T_TYPES, T),
    NORM(CPV_CLIP_T_EMBED_NORM, EMB "LayerNorm", 0, T),
    IGNORED(EMB "position_ids", 0, NULL, "numbers from 0 on", CPV_DIM_END),
    LINEAR(CPV_CLIP_T_Q, LAYER "attention.self.query", NT, T, T),
    LINEAR(CPV_CLIP_T_K, LAYER "attention.self.key", NT, T, T),
    LINEAR(CPV_CLIP_T_V, LAYER "attention.self.value", NT, T, T),
    LINEAR(CPV_CLIP_T_OUT, LAYER "attention.output.dense", NT, T, T),
    NORM(CPV_CLIP_T_ATTN_NORM, LAYER "attention.output.LayerNorm", NT, T),
    LINEAR(CPV_CLIP_T_FC1, LAYER "intermediate.dense", NT, FT, T),
    LINEAR(CPV_CLIP_T_FC2, LAYER "output.dense", NT, T, FT),
    NORM(CPV_CLIP_T_NORM, LAYER "output.LayerNorm", NT, T),
    IGNORED("text.transformer.pooler.dense.weight", 0, NULL, POOLER, CPV_DIM_END),
    IGNORED("text.transformer.pooler.dense.bias", 0, NULL, POOLER, CPV_DIM_END),
    MATRIX(CPV_CLIP_T_PROJ1, "text.proj.0", CPV_CLIP_T_IS_MLP, CPV_CLIP_T_HIDDEN, T),
    MATRIX(CPV_CLIP_T_PROJ2, "text.proj.2", CPV_CLIP_T_IS_MLP, E, CPV_CLIP_T_HIDDEN),
    MATRIX(CPV_CLIP_T_PROJ1, "text.proj", CPV_CLIP_T_IS_LINEAR, E, T),
};

/* Defaults: open_clip's CLIPVisionCfg. */
static void read_vision(struct cpv_arch_model *m, const struct cpv_hf_object *model)
{
    struct cpv_hf_object v = cpv_hf_object(model, "vision_cfg");
    uint64_t *d = m->dim, head = arch_size(&v, "head_width", 64, 4096), grid;

    d[CPV_CLIP_EMBED_DIM] = arch_size(model, "embed_dim", CPV_HF_NEEDED, ARCH_WIDTH_MAX);
    d[CPV_CLIP_IMAGE] = arch_size(&v, "image_size", 224, 1 << 14);
    d[CPV_CLIP_PATCH] = arch_size(&v, "patch_size", 16, 1 << 10);
    d[CPV_CLIP_V_WIDTH] = arch_size(&v, "width", 768, ARCH_WIDTH_MAX);
    d[CPV_CLIP_V_LAYERS] = arch_size(&v, "layers", 12, ARCH_LAYERS_MAX);
    d[CPV_CLIP_V_HEADS] = head ? d[CPV_CLIP_V_WIDTH] / head : 0;
    d[CPV_CLIP_V_FFN] = (uint64_t)((double)d[CPV_CLIP_V_WIDTH] *
                                   cpv_hf_real(&v, "mlp_ratio", 4.0, 0.1, 64));
    d[CPV_CLIP_V_QKV] = 3 * d[CPV_CLIP_V_WIDTH];
    grid = d[CPV_CLIP_PATCH] ? d[CPV_CLIP_IMAGE] / d[CPV_CLIP_PATCH] : 0;
    d[CPV_CLIP_TOKENS] = grid * grid + 1;
    if (grid == 0)
        cpv_hf_mistake(&v, "patch_size", "at most image_size");
    if (cpv_hf_has(&v, "timm_model_name"))
        cpv_hf_mistake(&v, "timm_model_name", "no tower of timm's");
    arch_heads(&v, "head_width", d[CPV_CLIP_V_WIDTH], d[CPV_CLIP_V_HEADS]);
}

static void read_projection(struct cpv_arch_model *m, const struct cpv_hf_object *model)
{
    static const char *const WORDS[] = {"mlp", "linear", NULL};
    struct cpv_hf_object t = cpv_hf_object(model, "text_cfg");
    /* `proj` was renamed `hf_proj_type`; absent it is an MLP, as newer files leave it. */
    const char *key = cpv_hf_has(&t, "proj") ? "proj" : "hf_proj_type";
    int word = cpv_hf_word(&t, key, WORDS, 0);
    uint64_t *d = m->dim;

    d[CPV_CLIP_T_IS_MLP] = word == 0;
    d[CPV_CLIP_T_IS_LINEAR] = word == 1;
    d[CPV_CLIP_T_HIDDEN] = (d[CPV_CLIP_T_WIDTH] + d[CPV_CLIP_EMBED_DIM]) / 2;
    if (!cpv_hf_has(&t, "hf_model_name"))
        cpv_hf_mistake(&t, "hf_model_name",
                       "a text tower of Hugging Face's, as xlm-roberta-base");
}

static void read(struct cpv_arch_model *m, const struct cpv_hf_object *c,
                 const struct cpv_hf_object *text)
{
    struct cpv_hf_object model = cpv_hf_object(c, "model_cfg");
    const char *type = cpv_hf_text(text, "model_type", "xlm-roberta");
    uint64_t *d = m->dim;

    read_vision(m, &model);
    d[CPV_CLIP_T_WIDTH] = arch_size(text, "hidden_size", CPV_HF_NEEDED, ARCH_WIDTH_MAX);
    d[CPV_CLIP_T_LAYERS] =
        arch_size(text, "num_hidden_layers", CPV_HF_NEEDED, ARCH_LAYERS_MAX);
    d[CPV_CLIP_T_HEADS] = arch_size(text, "num_attention_heads", CPV_HF_NEEDED, 1024);
    d[CPV_CLIP_T_FFN] =
        arch_size(text, "intermediate_size", CPV_HF_NEEDED, ARCH_WIDTH_MAX);
    d[CPV_CLIP_T_VOCAB] = arch_size(text, "vocab_size", CPV_HF_NEEDED, ARCH_VOCAB_MAX);
    d[CPV_CLIP_T_POSITIONS] =
        arch_size(text, "max_position_embeddings", CPV_HF_NEEDED, 1 << 20);
    d[CPV_CLIP_T_TYPES] = arch_size(text, "type_vocab_size", 1, 1 << 10);
    if (type && strcmp(type, "xlm-roberta") != 0)
        cpv_hf_mistake(text, "model_type", "'xlm-roberta' (found '%s')", type);
    arch_heads(text, "num_attention_heads", d[CPV_CLIP_T_WIDTH], d[CPV_CLIP_T_HEADS]);
    read_projection(m, &model);
}

/* Lightning with the reference's wrapper; DistributedDataParallel; a plain wrapper. */
static const char *const PREFIXES[] = {"", "model.model.", "module.", "model.", NULL};

const struct cpv_arch cpv_arch_clip = {
    .name = "open_clip",
    .what = "OpenCLIP with an XLM-R text tower",
    .entries = ENTRIES,
    .n_entries = CPV_COUNT(ENTRIES),
    .anchor = "visual.conv1.weight",
    .prefixes = PREFIXES,
    .read = read,
};
