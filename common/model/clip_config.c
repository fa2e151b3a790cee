/* SPDX-License-Identifier: Apache-2.0 */
/* What an OpenCLIP model's configurations say beside the sizes (arch_clip.c), and what
 * they say that is not done here. Keys and defaults: open_clip 3.3.0 model.py,
 * hf_model.py, tokenizer.py; transformers 4.57 configuration_xlm_roberta.py. */
#include <string.h>

#include "common/model/clip_impl.h"

static void take_sizes(const uint64_t *d, struct cpv_clip_config *k)
{
    k->dim = (int)d[CPV_CLIP_EMBED_DIM];
    k->vision.width = (int)d[CPV_CLIP_V_WIDTH];
    k->vision.ffn = (int)d[CPV_CLIP_V_FFN];
    k->vision.layers = (int)d[CPV_CLIP_V_LAYERS];
    k->vision.heads = (int)d[CPV_CLIP_V_HEADS];
    k->vision.image = (int)d[CPV_CLIP_IMAGE];
    k->vision.patch = (int)d[CPV_CLIP_PATCH];
    k->vision.tokens = (int)d[CPV_CLIP_TOKENS];
    k->text.width = (int)d[CPV_CLIP_T_WIDTH];
    k->text.ffn = (int)d[CPV_CLIP_T_FFN];
    k->text.layers = (int)d[CPV_CLIP_T_LAYERS];
    k->text.heads = (int)d[CPV_CLIP_T_HEADS];
    k->text.vocab = (int)d[CPV_CLIP_T_VOCAB];
    k->text.positions = (int)d[CPV_CLIP_T_POSITIONS];
    k->text.hidden = d[CPV_CLIP_T_IS_MLP] ? (int)d[CPV_CLIP_T_HIDDEN] : 0;
}

/* Keys that change the network when they are set to anything but nothing. */
static void refuse_set(const struct cpv_hf_object *o, const char *const *keys)
{
    for (; *keys; keys++) {
        const json_t *v = cpv_hf_json(o, *keys);

        if (v && !json_is_false(v) && !(json_is_number(v) && !(json_number_value(v) > 0)))
            cpv_hf_mistake(o, *keys, "nothing: a tower without it");
    }
}

static cpv_unary_kind read_vision(const struct cpv_hf_object *model,
                                  struct cpv_clip_config *k)
{
    static const char *const SET[] = {
        "ls_init_value", "attentional_pool", "no_ln_pre",  "act_kwargs",
        "norm_kwargs",   "qk_norm",          "scale_fc",   "scaled_cosine_attn",
        "scale_heads",   "scale_attn_inner", "scale_attn", NULL};
    static const char *const POSITIONS[] = {"learnable", "sin_cos_2d", NULL};
    static const char *const POOLS[] = {"tok", NULL};
    static const char *const BLOCKS[] = {"default", NULL};
    struct cpv_hf_object v = cpv_hf_object(model, "vision_cfg");

    refuse_set(&v, SET);
    (void)cpv_hf_word(&v, "pos_embed_type", POSITIONS, 0); /* stored either way */
    (void)cpv_hf_word(&v, "pool_type", POOLS, 0);
    (void)cpv_hf_word(&v, "block_type", BLOCKS, 0);
    k->vision.eps = 1e-5; /* nn.LayerNorm's */
    if (k->vision.image % k->vision.patch)
        cpv_hf_mistake(&v, "image_size", "a multiple of patch_size, %d", k->vision.patch);
    return cpv_hf_bool(model, "quick_gelu", false) ? CPV_QUICK_GELU : CPV_GELU;
}

static void read_tokens(const struct cpv_hf_object *text, struct cpv_clip_config *k)
{
    static const struct {
        const char *key;
        int32_t id;
    } IDS[] = {{"bos_token_id", CPV_XLMR_BOS},
               {"pad_token_id", CPV_XLMR_PAD},
               {"eos_token_id", CPV_XLMR_EOS}};

    /* The tokenizer's numbers are fixed, and positions are counted by pad. */
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++)
        if (cpv_hf_int(text, IDS[i].key, IDS[i].id, INT32_MIN, INT32_MAX) != IDS[i].id)
            cpv_hf_mistake(text, IDS[i].key, "%d, as XLM-R numbers it", IDS[i].id);
    k->text.bos = CPV_XLMR_BOS;
    k->text.eos = CPV_XLMR_EOS;
    k->text.pad = CPV_XLMR_PAD;
}

/* Of text/config.json. */
static void read_text(const struct cpv_hf_object *text, struct cpv_clip_config *k)
{
    static const char *const ACTS[] = {"gelu", "gelu_new", "gelu_pytorch_tanh",
                                       "relu", "silu",     NULL};
    static const cpv_unary_kind ACT[] = {CPV_GELU, CPV_GELU_TANH, CPV_GELU_TANH, CPV_RELU,
                                         CPV_SILU};
    static const char *const POSITIONS[] = {"absolute", NULL};

    k->text.act = ACT[cpv_hf_word(text, "hidden_act", ACTS, 0)];
    k->text.eps = cpv_hf_real(text, "layer_norm_eps", 1e-12, 0, 1);
    k->text.dropout = cpv_hf_real(text, "hidden_dropout_prob", 0.1, 0, 0.999);
    k->text.attention_dropout =
        cpv_hf_real(text, "attention_probs_dropout_prob", 0.1, 0, 0.999);
    (void)cpv_hf_word(text, "position_embedding_type", POSITIONS, 0);
    if (cpv_hf_bool(text, "is_decoder", false))
        cpv_hf_mistake(text, "is_decoder", "false");
    read_tokens(text, k);
}

/* Of text_cfg in open_clip_config.json. */
static void read_text_cfg(const struct cpv_hf_object *model, struct cpv_clip_config *k)
{
    static const char *const POOLERS[] = {"mean_pooler", NULL};
    static const char *const CLEANS[] = {"whitespace", NULL};
    static const char *const MODES[] = {"", NULL};
    struct cpv_hf_object t = cpv_hf_object(model, "text_cfg");
    struct cpv_hf_object how = cpv_hf_object(&t, "tokenizer_kwargs");
    const char *key = cpv_hf_has(&t, "pooler_type") ? "pooler_type" : "hf_pooler_type";

    (void)cpv_hf_word(&t, key, POOLERS, 0);
    (void)cpv_hf_word(&t, "tokenizer_mode", MODES, 0);
    (void)cpv_hf_word(&how, "clean", CLEANS, 0);
    if (cpv_hf_bool(&how, "strip_sep_token", false))
        cpv_hf_mistake(&how, "strip_sep_token", "false");
    /* A position is an index plus 2, behind that of <pad>. */
    k->context = (int)cpv_hf_int(&t, "context_length", CPV_XLMR_CONTEXT, 2, 1 << 20);
    if (k->context > k->text.positions - CPV_XLMR_PAD - 1)
        cpv_hf_mistake(&t, "context_length",
                       "at most %d, as the text tower has max_position_embeddings %d",
                       k->text.positions - CPV_XLMR_PAD - 1, k->text.positions);
}

int clip_configure(cpv_clip *m, struct cpv_err *err)
{
    struct cpv_hf_object model, pixels;
    struct cpv_arch_files f;
    int rc = cpv_arch_files_open(&f, m->path, err);

    if (rc)
        return rc;
    rc = cpv_arch_read(&m->arch, &cpv_arch_clip, &f.root, &f.text, err);
    if (!rc) {
        m->arch.config = "open_clip_config.json"; /* its own goes with the file */
        take_sizes(m->arch.dim, &m->config);
        model = cpv_hf_object(&f.root, "model_cfg");
        pixels = cpv_hf_object(&f.root, "preprocess_cfg");
        m->act = read_vision(&model, &m->config);
        read_text_cfg(&model, &m->config);
        read_text(&f.text, &m->config);
        cpv_pixels_config_clip(&m->pixels, &pixels, m->config.vision.image);
        rc = cpv_hf_config_check(f.file, err);
    }
    if (!rc && f.text_file)
        rc = cpv_hf_config_check(f.text_file, err);
    cpv_arch_files_close(&f);
    return rc;
}
