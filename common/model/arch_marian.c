/* SPDX-License-Identifier: Apache-2.0 */
/* Marian, as OPUS-MT's models are published (MarianMTModel). */
#include "common/model/arch_impl.h"

#define ENC "model.encoder.layers.*."
#define DEC "model.decoder.layers.*."
#define D   CPV_MARIAN_WIDTH
#define NE  CPV_MARIAN_ENC_LAYERS
#define ND  CPV_MARIAN_DEC_LAYERS
#define FE  CPV_MARIAN_ENC_FFN
#define FD  CPV_MARIAN_DEC_FFN

static const char ALIAS[] = "an alias of the shared embedding";
static const char TIED[] =
    "the head is tied to the embedding, the stored one is not used";

static const struct cpv_arch_entry ENTRIES[] = {
    /* safetensors keep one name of tensors that share memory, not always the same. */
    {"model.shared",
     "model.encoder.embed_tokens",
     CPV_ARCH_MATRIX,
     CPV_ARCH_NEEDED,
     CPV_MARIAN_EMBED,
     CPV_MARIAN_IS_SHARED,
     0,
     {CPV_MARIAN_VOCAB, D},
     NULL,
     NULL},
    MATRIX(CPV_MARIAN_ENC_EMBED, "model.encoder.embed_tokens", CPV_MARIAN_IS_SPLIT,
           CPV_MARIAN_VOCAB, D),
    MATRIX(CPV_MARIAN_DEC_EMBED, "model.decoder.embed_tokens", CPV_MARIAN_IS_SPLIT,
           CPV_MARIAN_DEC_VOCAB, D),
    IGNORED("model.encoder.embed_tokens.weight", CPV_MARIAN_IS_SHARED,
            "model.shared.weight", ALIAS, CPV_MARIAN_VOCAB, D),
    IGNORED("model.decoder.embed_tokens.weight", CPV_MARIAN_IS_SHARED,
            "model.shared.weight", ALIAS, CPV_MARIAN_VOCAB, D),
    MATRIX(CPV_MARIAN_HEAD, "lm_head", CPV_MARIAN_IS_UNTIED, CPV_MARIAN_DEC_VOCAB, D),
    IGNORED("lm_head.weight", CPV_MARIAN_IS_TIED, "model.shared.weight", TIED,
            CPV_MARIAN_DEC_VOCAB, D),
    {"final_logits_bias",
     NULL,
     CPV_ARCH_TENSOR,
     CPV_ARCH_OPTIONAL,
     CPV_MARIAN_HEAD_BIAS,
     0,
     0,
     {CPV_DIM_1, CPV_MARIAN_DEC_VOCAB},
     NULL,
     NULL},
    {"model.encoder.embed_positions",
     NULL,
     CPV_ARCH_MATRIX,
     CPV_ARCH_OPTIONAL,
     CPV_MARIAN_ENC_POS,
     0,
     0,
     {CPV_MARIAN_POSITIONS, D},
     NULL,
     NULL},
    {"model.decoder.embed_positions",
     NULL,
     CPV_ARCH_MATRIX,
     CPV_ARCH_OPTIONAL,
     CPV_MARIAN_DEC_POS,
     0,
     0,
     {CPV_MARIAN_POSITIONS, D},
     NULL,
     NULL},

    LINEAR(CPV_MARIAN_ENC_Q, ENC "self_attn.q_proj", NE, D, D),
    LINEAR(CPV_MARIAN_ENC_K, ENC "self_attn.k_proj", NE, D, D),
    LINEAR(CPV_MARIAN_ENC_V, ENC "self_attn.v_proj", NE, D, D),
    LINEAR(CPV_MARIAN_ENC_OUT, ENC "self_attn.out_proj", NE, D, D),
    NORM(CPV_MARIAN_ENC_ATTN_NORM, ENC "self_attn_layer_norm", NE, D),
    LINEAR(CPV_MARIAN_ENC_FC1, ENC "fc1", NE, FE, D),
    LINEAR(CPV_MARIAN_ENC_FC2, ENC "fc2", NE, D, FE),
    NORM(CPV_MARIAN_ENC_NORM, ENC "final_layer_norm", NE, D),

    LINEAR(CPV_MARIAN_DEC_Q, DEC "self_attn.q_proj", ND, D, D),
    LINEAR(CPV_MARIAN_DEC_K, DEC "self_attn.k_proj", ND, D, D),
    LINEAR(CPV_MARIAN_DEC_V, DEC "self_attn.v_proj", ND, D, D),
    LINEAR(CPV_MARIAN_DEC_OUT, DEC "self_attn.out_proj", ND, D, D),
    NORM(CPV_MARIAN_DEC_ATTN_NORM, DEC "self_attn_layer_norm", ND, D),
    LINEAR(CPV_MARIAN_CROSS_Q, DEC "encoder_attn.q_proj", ND, D, D),
    LINEAR(CPV_MARIAN_CROSS_K, DEC "encoder_attn.k_proj", ND, D, D),
    LINEAR(CPV_MARIAN_CROSS_V, DEC "encoder_attn.v_proj", ND, D, D),
    LINEAR(CPV_MARIAN_CROSS_OUT, DEC "encoder_attn.out_proj", ND, D, D),
    NORM(CPV_MARIAN_CROSS_NORM, DEC "encoder_attn_layer_norm", ND, D),
    LINEAR(CPV_MARIAN_DEC_FC1, DEC "fc1", ND, FD, D),
    LINEAR(CPV_MARIAN_DEC_FC2, DEC "fc2", ND, D, FD),
    NORM(CPV_MARIAN_DEC_NORM, DEC "final_layer_norm", ND, D),
};

/* Defaults: MarianConfig. Sizes that decide what the model is must be said. */
static void read(struct cpv_arch_model *m, const struct cpv_hf_object *c,
                 const struct cpv_hf_object *text)
{
    uint64_t *d = m->dim;
    bool shared = cpv_hf_bool(c, "share_encoder_decoder_embeddings", true);
    bool tied = cpv_hf_bool(c, "tie_word_embeddings", true);

    (void)text;
    d[CPV_MARIAN_WIDTH] = arch_size(c, "d_model", CPV_HF_NEEDED, ARCH_WIDTH_MAX);
    d[CPV_MARIAN_ENC_LAYERS] = arch_size(c, "encoder_layers", 12, ARCH_LAYERS_MAX);
    d[CPV_MARIAN_DEC_LAYERS] = arch_size(c, "decoder_layers", 12, ARCH_LAYERS_MAX);
    d[CPV_MARIAN_ENC_HEADS] = arch_size(c, "encoder_attention_heads", 16, 1024);
    d[CPV_MARIAN_DEC_HEADS] = arch_size(c, "decoder_attention_heads", 16, 1024);
    d[CPV_MARIAN_ENC_FFN] = arch_size(c, "encoder_ffn_dim", 4096, ARCH_WIDTH_MAX);
    d[CPV_MARIAN_DEC_FFN] = arch_size(c, "decoder_ffn_dim", 4096, ARCH_WIDTH_MAX);
    d[CPV_MARIAN_VOCAB] = arch_size(c, "vocab_size", CPV_HF_NEEDED, ARCH_VOCAB_MAX);
    d[CPV_MARIAN_DEC_VOCAB] =
        arch_size(c, "decoder_vocab_size", (int64_t)d[CPV_MARIAN_VOCAB], ARCH_VOCAB_MAX);
    d[CPV_MARIAN_POSITIONS] = arch_size(c, "max_position_embeddings", 1024, 1 << 20);
    d[CPV_MARIAN_IS_SHARED] = shared;
    d[CPV_MARIAN_IS_SPLIT] = !shared;
    d[CPV_MARIAN_IS_TIED] = tied;
    d[CPV_MARIAN_IS_UNTIED] = !tied;
    if (shared && d[CPV_MARIAN_VOCAB] != d[CPV_MARIAN_DEC_VOCAB])
        cpv_hf_mistake(c, "decoder_vocab_size",
                       "%llu, as vocab_size: one embedding is "
                       "shared",
                       (unsigned long long)d[CPV_MARIAN_VOCAB]);
    arch_heads(c, "encoder_attention_heads", d[CPV_MARIAN_WIDTH],
               d[CPV_MARIAN_ENC_HEADS]);
    arch_heads(c, "decoder_attention_heads", d[CPV_MARIAN_WIDTH],
               d[CPV_MARIAN_DEC_HEADS]);
}

static const char *const PREFIXES[] = {"", NULL};

const struct cpv_arch cpv_arch_marian = {
    .name = "marian",
    .what = "Marian translation",
    .entries = ENTRIES,
    .n_entries = CPV_COUNT(ENTRIES),
    .anchor = "final_logits_bias",
    .prefixes = PREFIXES,
    .read = read,
};
