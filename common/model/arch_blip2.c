/* SPDX-License-Identifier: Apache-2.0 */
/* BLIP-2 with an OPT language model (Blip2ForConditionalGeneration). */
#include <string.h>

#include "common/model/arch_impl.h"

#define QF  "qformer.encoder.layer.*."
#define OPT "language_model.model.decoder."
#define OL  OPT "layers.*."
#define Q   CPV_BLIP2_Q_WIDTH
#define NQ  CPV_BLIP2_Q_LAYERS
#define FQ  CPV_BLIP2_Q_FFN
#define D   CPV_BLIP2_OPT_WIDTH
#define N   CPV_BLIP2_OPT_LAYERS
#define F   CPV_BLIP2_OPT_FFN
#define M   CPV_VIT_WIDTH

/* The Q-Former's cross-attention: not in every layer. */
#define CROSS(kind, id, name, ...)                                                       \
    {                                                                                    \
        QF "crossattention." name, NULL, kind, CPV_ARCH_NEEDED, id, NQ,                  \
            CPV_BLIP2_Q_EVERY, {__VA_ARGS__}, NULL, NULL                                 \
    }

static const struct cpv_arch_entry ENTRIES[] = {
    VIT_ENTRIES,

    TENSOR(CPV_BLIP2_QUERY, "query_tokens", 0, CPV_DIM_1, CPV_BLIP2_QUERIES, Q),
    NORM(CPV_BLIP2_QF_NORM, "qformer.layernorm", 0, Q),
    IGNORED("qformer.embeddings.position_ids", 0, NULL, "numbers from 0 on", CPV_DIM_END),
    LINEAR(CPV_BLIP2_QF_Q, QF "attention.attention.query", NQ, Q, Q),
    LINEAR(CPV_BLIP2_QF_K, QF "attention.attention.key", NQ, Q, Q),
    LINEAR(CPV_BLIP2_QF_V, QF "attention.attention.value", NQ, Q, Q),
    LINEAR(CPV_BLIP2_QF_OUT, QF "attention.output.dense", NQ, Q, Q),
    NORM(CPV_BLIP2_QF_ATTN_NORM, QF "attention.output.LayerNorm", NQ, Q),
    CROSS(CPV_ARCH_LINEAR, CPV_BLIP2_QF_CROSS_Q, "attention.query", Q, Q),
    CROSS(CPV_ARCH_LINEAR, CPV_BLIP2_QF_CROSS_K, "attention.key", Q, M),
    CROSS(CPV_ARCH_LINEAR, CPV_BLIP2_QF_CROSS_V, "attention.value", Q, M),
    CROSS(CPV_ARCH_LINEAR, CPV_BLIP2_QF_CROSS_OUT, "output.dense", Q, Q),
    CROSS(CPV_ARCH_NORM, CPV_BLIP2_QF_CROSS_NORM, "output.LayerNorm", Q),
    LINEAR(CPV_BLIP2_QF_FC1, QF "intermediate_query.dense", NQ, FQ, Q),
    LINEAR(CPV_BLIP2_QF_FC2, QF "output_query.dense", NQ, Q, FQ),
    NORM(CPV_BLIP2_QF_LAYER_NORM, QF "output_query.LayerNorm", NQ, Q),
    LINEAR(CPV_BLIP2_PROJECTION, "language_projection", 0, D, Q),

    {OPT "embed_tokens",
     "language_model.lm_head",
     CPV_ARCH_MATRIX,
     CPV_ARCH_NEEDED,
     CPV_BLIP2_EMBED,
     0,
     0,
     {CPV_BLIP2_VOCAB, D},
     NULL,
     NULL},
    IGNORED("language_model.lm_head.weight", 0, OPT "embed_tokens.weight",
            "the head is tied to the embedding, the stored one is not used",
            CPV_BLIP2_VOCAB, D),
    MATRIX(CPV_BLIP2_POS, OPT "embed_positions", 0, CPV_BLIP2_POSITIONS, D),
    LINEAR(CPV_BLIP2_Q, OL "self_attn.q_proj", N, D, D),
    LINEAR(CPV_BLIP2_K, OL "self_attn.k_proj", N, D, D),
    LINEAR(CPV_BLIP2_V, OL "self_attn.v_proj", N, D, D),
    LINEAR(CPV_BLIP2_OUT, OL "self_attn.out_proj", N, D, D),
    NORM(CPV_BLIP2_ATTN_NORM, OL "self_attn_layer_norm", N, D),
    LINEAR(CPV_BLIP2_FC1, OL "fc1", N, F, D),
    LINEAR(CPV_BLIP2_FC2, OL "fc2", N, D, F),
    NORM(CPV_BLIP2_NORM, OL "final_layer_norm", N, D),
    NORM(CPV_BLIP2_LAST_NORM, OPT "final_layer_norm", 0, D),
};

/* Blip2QFormerConfig */
static void read_qformer(struct cpv_arch_model *m, const struct cpv_hf_object *c)
{
    struct cpv_hf_object q = cpv_hf_object(c, "qformer_config");
    uint64_t *d = m->dim;

    d[CPV_BLIP2_Q_WIDTH] = arch_size(&q, "hidden_size", 768, ARCH_WIDTH_MAX);
    d[CPV_BLIP2_Q_LAYERS] = arch_size(&q, "num_hidden_layers", 12, ARCH_LAYERS_MAX);
    d[CPV_BLIP2_Q_HEADS] = arch_size(&q, "num_attention_heads", 12, 1024);
    d[CPV_BLIP2_Q_FFN] = arch_size(&q, "intermediate_size", 3072, ARCH_WIDTH_MAX);
    d[CPV_BLIP2_Q_EVERY] = arch_size(&q, "cross_attention_frequency", 2, 512);
    d[CPV_BLIP2_QUERIES] = arch_size(c, "num_query_tokens", 32, 1 << 14);
    arch_heads(&q, "num_attention_heads", d[CPV_BLIP2_Q_WIDTH], d[CPV_BLIP2_Q_HEADS]);
}

/* OPTConfig */
static void read_opt(struct cpv_arch_model *m, const struct cpv_hf_object *c)
{
    struct cpv_hf_object t = cpv_hf_object(c, "text_config");
    const char *type = cpv_hf_text(&t, "model_type", "opt");
    uint64_t *d = m->dim;

    d[CPV_BLIP2_OPT_WIDTH] = arch_size(&t, "hidden_size", 768, ARCH_WIDTH_MAX);
    d[CPV_BLIP2_OPT_LAYERS] = arch_size(&t, "num_hidden_layers", 12, ARCH_LAYERS_MAX);
    d[CPV_BLIP2_OPT_HEADS] = arch_size(&t, "num_attention_heads", 12, 1024);
    d[CPV_BLIP2_OPT_FFN] = arch_size(&t, "ffn_dim", 3072, ARCH_WIDTH_MAX);
    d[CPV_BLIP2_VOCAB] = arch_size(&t, "vocab_size", 50272, ARCH_VOCAB_MAX);
    /* The table has two rows more, for an offset that fairseq left. */
    d[CPV_BLIP2_POSITIONS] = arch_size(&t, "max_position_embeddings", 2048, 1 << 20) + 2;
    if (type && strcmp(type, "opt") != 0)
        cpv_hf_mistake(&t, "model_type", "'opt' (found '%s')", type);
    if (arch_size(&t, "word_embed_proj_dim", (int64_t)d[CPV_BLIP2_OPT_WIDTH],
                  ARCH_WIDTH_MAX) != d[CPV_BLIP2_OPT_WIDTH])
        cpv_hf_mistake(&t, "word_embed_proj_dim", "the hidden_size");
    arch_heads(&t, "num_attention_heads", d[CPV_BLIP2_OPT_WIDTH], d[CPV_BLIP2_OPT_HEADS]);
}

static void read(struct cpv_arch_model *m, const struct cpv_hf_object *c,
                 const struct cpv_hf_object *text)
{
    static const struct arch_vit_defaults VIT = {1408, 6144, 39, 16, 224, 14};

    (void)text;
    arch_vit_read(m, c, &VIT);
    read_qformer(m, c);
    read_opt(m, c);
}

static const char *const PREFIXES[] = {"", NULL};

const struct cpv_arch cpv_arch_blip2 = {
    .name = "blip-2",
    .what = "BLIP-2 captioning with OPT",
    .entries = ENTRIES,
    .n_entries = CPV_COUNT(ENTRIES),
    .anchor = "query_tokens",
    .prefixes = PREFIXES,
    .read = read,
};
