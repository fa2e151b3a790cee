/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration and weights of a BLIP folder. */
#include <stdio.h>
#include <string.h>

#include "common/base/sys.h"
#include "common/format/hf_config.h"
#include "common/model/arch.h"
#include "common/model/blip_impl.h"

/* ---- configuration ---- */

static cpv_unary_kind read_act(const struct cpv_hf_object *o)
{
    static const char *const words[] = {
        "gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu", NULL};
    static const cpv_unary_kind act[] = {CPV_GELU,       CPV_GELU_TANH, CPV_GELU_TANH,
                                         CPV_QUICK_GELU, CPV_RELU,      CPV_SILU};

    return act[cpv_hf_word(o, "hidden_act", words, 0)];
}

static int32_t read_token(const struct cpv_hf_object *o, const char *key, int vocab,
                          int32_t def)
{
    int32_t id = (int32_t)cpv_hf_int(o, key, def, 0, INT32_MAX);

    if (id >= vocab)
        cpv_hf_mistake(o, key, "less than the vocabulary, %d", vocab);
    return id;
}

/* Defaults: BlipVisionConfig and BlipTextConfig; the sizes are arch_blip.c's. */
static void read_rest(const struct cpv_hf_object *root, struct cpv_blip_config *k)
{
    struct cpv_hf_object v = cpv_hf_object(root, "vision_config");
    struct cpv_hf_object t = cpv_hf_object(root, "text_config");

    k->vision.act = read_act(&v);
    k->vision.eps = cpv_hf_real(&v, "layer_norm_eps", 1e-5, 0, 1);
    if (k->vision.image % k->vision.patch)
        cpv_hf_mistake(&v, "image_size", "a multiple of patch_size, %d", k->vision.patch);
    k->text.act = read_act(&t);
    k->text.eps = cpv_hf_real(&t, "layer_norm_eps", 1e-12, 0, 1);
    k->text.bos = read_token(&t, "bos_token_id", k->text.vocab, 30522);
    k->text.sep = read_token(&t, "sep_token_id", k->text.vocab, 102);
    k->text.pad = read_token(&t, "pad_token_id", k->text.vocab, 0);
}

static void take_sizes(const uint64_t *d, struct cpv_blip_config *k)
{
    k->vision.width = (int)d[CPV_VIT_WIDTH];
    k->vision.ffn = (int)d[CPV_VIT_FFN];
    k->vision.layers = (int)d[CPV_VIT_LAYERS];
    k->vision.heads = (int)d[CPV_VIT_HEADS];
    k->vision.image = (int)d[CPV_VIT_IMAGE];
    k->vision.patch = (int)d[CPV_VIT_PATCH];
    k->vision.tokens = (int)d[CPV_VIT_TOKENS];
    k->text.width = (int)d[CPV_BLIP_WIDTH];
    k->text.ffn = (int)d[CPV_BLIP_FFN];
    k->text.layers = (int)d[CPV_BLIP_LAYERS];
    k->text.heads = (int)d[CPV_BLIP_HEADS];
    k->text.vocab = (int)d[CPV_BLIP_VOCAB];
    k->text.positions = (int)d[CPV_BLIP_POSITIONS];
}

static int configure(cpv_blip *m, struct cpv_err *err)
{
    struct cpv_arch_model arch;
    struct cpv_hf_object root;
    cpv_hf_config *file = NULL;
    char path[4096];
    int rc;

    snprintf(path, sizeof path, "%s/config.json", m->folder);
    rc = cpv_hf_config_open(&file, path, err);
    if (rc)
        return rc == CPV_E_ABSENT ? cpv_fail(err, CPV_E_INPUT, "'%s' is missing", path)
                                  : rc;
    root = cpv_hf_config_root(file);
    rc = cpv_arch_read(&arch, &cpv_arch_blip, &root, NULL, err);
    if (!rc) {
        take_sizes(arch.dim, &m->config);
        read_rest(&root, &m->config);
        rc = cpv_hf_config_check(file, err);
    }
    cpv_hf_config_close(&file);
    return rc;
}

/* ---- weights ---- */

static struct cpv_layer_norm norm(cpv_params *p, int64_t d, double eps, const char *at,
                                  const char *name)
{
    struct cpv_layer_norm n = {cpv_params_norm(p, d, "%s.%s", at, name), (float)eps};

    return n;
}

#define VISION "vision_model."

static void load_vision(cpv_blip *m)
{
    const struct cpv_blip_config *k = &m->config;
    int64_t d = k->vision.width, f = k->vision.ffn;
    struct cpv_vit *v = &m->vision;
    cpv_params *p = m->params;
    char at[64];

    v->layers = k->vision.layers;
    v->tokens = k->vision.tokens;
    v->patches = (struct cpv_patches){
        .channels = 3,
        .size = k->vision.image,
        .patch = k->vision.patch,
        .projection = cpv_params_patches(p, d, 3, k->vision.patch,
                                         VISION "embeddings.patch_embedding"),
        .class_token = cpv_params_table(p, 1, d, VISION "embeddings.class_embedding"),
        .positions = cpv_params_table(p, k->vision.tokens, d,
                                      VISION "embeddings.position_embedding")};
    for (int i = 0; i < v->layers; i++) {
        struct cpv_vit_layer *l = &v->layer[i];

        snprintf(at, sizeof at, VISION "encoder.layers.%d", i);
        l->attn_norm = norm(p, d, k->vision.eps, at, "layer_norm1");
        l->attn.heads = k->vision.heads;
        l->attn.qkv = cpv_params_linear(p, 3 * d, d, "%s.self_attn.qkv", at);
        l->attn.out = cpv_params_linear(p, d, d, "%s.self_attn.projection", at);
        l->mlp_norm = norm(p, d, k->vision.eps, at, "layer_norm2");
        l->mlp.act = k->vision.act;
        l->mlp.in = cpv_params_linear(p, f, d, "%s.mlp.fc1", at);
        l->mlp.out = cpv_params_linear(p, d, f, "%s.mlp.fc2", at);
    }
    v->norm = norm(p, d, k->vision.eps, "vision_model", "post_layernorm");
}

#define BERT "text_decoder.bert."
#define HEAD "text_decoder.cls.predictions."

static void load_layer(cpv_blip *m, int i)
{
    static const char *const qkv[] = {"query", "key", "value"};
    const struct cpv_blip_config *k = &m->config;
    int64_t d = k->text.width, f = k->text.ffn, memory = k->vision.width;
    struct blip_layer *l = &m->layer[i];
    double eps = k->text.eps;
    cpv_params *p = m->params;
    char at[64];

    snprintf(at, sizeof at, BERT "encoder.layer.%d", i);
    l->self.heads = l->cross.heads = k->text.heads;
    l->self.qkv = cpv_params_fused(p, d, d, qkv, 3, "%s.attention.self.", at);
    l->self.out = cpv_params_linear(p, d, d, "%s.attention.output.dense", at);
    l->self_norm = norm(p, d, eps, at, "attention.output.LayerNorm");
    l->cross.q = cpv_params_linear(p, d, d, "%s.crossattention.self.query", at);
    l->cross.kv =
        cpv_params_fused(p, d, memory, qkv + 1, 2, "%s.crossattention.self.", at);
    l->cross.out = cpv_params_linear(p, d, d, "%s.crossattention.output.dense", at);
    l->cross_norm = norm(p, d, eps, at, "crossattention.output.LayerNorm");
    l->mlp.act = k->text.act;
    l->mlp.in = cpv_params_linear(p, f, d, "%s.intermediate.dense", at);
    l->mlp.out = cpv_params_linear(p, d, f, "%s.output.dense", at);
    l->norm = norm(p, d, eps, at, "output.LayerNorm");
}

/* Scores of all words: a matrix that may be the embedding too, with a bias that stands by
 * itself; where it does not, the product has a copy. */
static const cpv_weight *load_head(cpv_blip *m, const char *matrix, unsigned use)
{
    int64_t vocab = m->config.text.vocab, d = m->config.text.width;
    cpv_params *p = m->params;
    const char *bias = cpv_params_has(p, HEAD "bias") ? HEAD "bias" : HEAD "decoder.bias";
    const struct cpv_ckpt_tensor *from[] = {
        cpv_params_matrix(p, vocab, d, "%s", matrix),
        cpv_params_tensor(p, (uint64_t)vocab, "%s", bias)};
    struct cpv_weight_params w = {
        .name = matrix,
        .out = vocab,
        .in = d,
        .use = use,
        .matrix = {.rows = cpv_params_rows, .arg = (void *)(uintptr_t)from[0]},
        .bias = {.rows = cpv_params_vector, .arg = (void *)(uintptr_t)from[1]}};

    return from[0] && from[1] ? cpv_params_make(p, &w, from, 2) : NULL;
}

/* The published files hold a head. transformers of today ties it to the embedding, and
 * what it saves has one of the two. */
static void load_words(cpv_blip *m)
{
    static const char words[] = BERT "embeddings.word_embeddings.weight";
    static const char head[] = HEAD "decoder.weight";
    bool tied = !cpv_params_has(m->params, "%s", head);

    if (tied)
        m->words = m->head = load_head(m, words, CPV_USE_TABLE | CPV_USE_LINEAR);
    else {
        m->words = cpv_params_table(m->params, m->config.text.vocab, m->config.text.width,
                                    "%s", words);
        m->head = load_head(m, head, CPV_USE_LINEAR);
    }
}

static void load_text(cpv_blip *m)
{
    const struct cpv_blip_config *k = &m->config;
    int64_t d = k->text.width;
    cpv_params *p = m->params;

    load_words(m);
    m->positions = cpv_params_table(p, k->text.positions, d,
                                    BERT "embeddings.position_embeddings.weight");
    m->embed_norm = norm(p, d, k->text.eps, BERT "embeddings", "LayerNorm");
    for (int i = 0; i < k->text.layers; i++)
        load_layer(m, i);
    m->transform = cpv_params_linear(p, d, d, HEAD "transform.dense");
    m->transform_norm = norm(p, d, k->text.eps, HEAD "transform", "LayerNorm");
}

static int load(cpv_blip *m, struct cpv_err *err)
{
    cpv_checkpoint *file = NULL;
    int rc = cpv_checkpoint_open(&file, m->folder, err);

    if (!rc)
        rc = cpv_params_open(&m->params, m->device, file, err);
    m->vision.layer =
        cpv_calloc((size_t)m->config.vision.layers, sizeof *m->vision.layer);
    m->layer = cpv_calloc((size_t)m->config.text.layers, sizeof *m->layer);
    if (!rc && (!m->vision.layer || !m->layer))
        rc = cpv_fail_memory(err);
    if (!rc) {
        load_vision(m);
        load_text(m);
        rc = cpv_params_check(m->params, err);
    }
    cpv_checkpoint_close(&file);
    return rc;
}

/* What is beside the weights; a dry model has no need of it. */
static int open_rest(cpv_blip *m, struct cpv_err *err)
{
    int rc = cpv_pixels_config_read(&m->pixels, m->folder, err);

    if (!rc && m->pixels.size != m->config.vision.image)
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s/preprocessor_config.json': size: expected %d as image_size of "
                      "config.json, found %d",
                      m->folder, m->config.vision.image, m->pixels.size);
    return rc ? rc : cpv_wordpiece_open(&m->tokenizer, m->folder, err);
}

int cpv_blip_open(cpv_blip **out, cpv_device *device, const char *folder,
                  struct cpv_err *err)
{
    cpv_blip *m = cpv_calloc(1, sizeof *m);
    int rc = CPV_OK;

    *out = NULL;
    if (!m)
        return cpv_fail_memory(err);
    m->device = device;
    m->folder = cpv_strdup(folder);
    if (!m->folder)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = configure(m, err);
    if (!rc && strcmp(cpv_device_name(device), "dry") != 0)
        rc = open_rest(m, err);
    if (!rc)
        rc = load(m, err);
    if (rc)
        cpv_blip_close(&m);
    *out = m;
    return rc;
}
