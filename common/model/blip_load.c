/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration and weights of a BLIP folder. */
#include <stdio.h>
#include <string.h>

#include "common/base/sys.h"
#include "common/format/hf_config.h"
#include "common/model/bind.h"
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
    rc = cpv_arch_read(&m->arch, &cpv_arch_blip, &root, NULL, err);
    if (!rc) {
        m->arch.config = "config.json"; /* its own goes with the file */
        take_sizes(m->arch.dim, &m->config);
        read_rest(&root, &m->config);
        rc = cpv_hf_config_check(file, err);
    }
    cpv_hf_config_close(&file);
    return rc;
}

/* ---- weights ---- */

static struct cpv_layer_norm norm(const struct cpv_bind *b, double eps, uint64_t layer,
                                  uint8_t id)
{
    struct cpv_layer_norm n = {cpv_bind_norm(b, layer, id), (float)eps};

    return n;
}

static void load_vision_layer(const struct cpv_bind *b, cpv_blip *m, uint64_t i)
{
    const struct cpv_blip_config *k = &m->config;
    struct cpv_vit_layer *l = &m->vision.layer[i];

    l->attn_norm = norm(b, k->vision.eps, i, CPV_VIT_NORM1);
    l->attn.heads = k->vision.heads;
    l->attn.qkv = cpv_bind_linear(b, i, CPV_VIT_ATTN);
    l->attn.out = cpv_bind_linear(b, i, CPV_VIT_PROJ);
    l->mlp_norm = norm(b, k->vision.eps, i, CPV_VIT_NORM2);
    l->mlp.act = k->vision.act;
    l->mlp.in = cpv_bind_linear(b, i, CPV_VIT_FC1);
    l->mlp.out = cpv_bind_linear(b, i, CPV_VIT_FC2);
}

static void load_vision(const struct cpv_bind *b, cpv_blip *m)
{
    const struct cpv_blip_config *k = &m->config;
    struct cpv_vit *v = &m->vision;

    v->layers = k->vision.layers;
    v->tokens = k->vision.tokens;
    v->patches = (struct cpv_patches){.channels = 3,
                                      .size = k->vision.image,
                                      .patch = k->vision.patch,
                                      .projection = cpv_bind_patches(b, 0, CPV_VIT_CONV),
                                      .class_token = cpv_bind_table(b, 0, CPV_VIT_CLASS),
                                      .positions = cpv_bind_table(b, 0, CPV_VIT_POS)};
    for (int i = 0; i < v->layers; i++)
        load_vision_layer(b, m, (uint64_t)i);
    v->norm = norm(b, k->vision.eps, 0, CPV_VIT_POST_NORM);
}

static void load_layer(const struct cpv_bind *b, cpv_blip *m, uint64_t i)
{
    static const uint8_t qkv[] = {CPV_BLIP_Q, CPV_BLIP_K, CPV_BLIP_V};
    static const uint8_t kv[] = {CPV_BLIP_CROSS_K, CPV_BLIP_CROSS_V};
    const struct cpv_blip_config *k = &m->config;
    struct blip_layer *l = &m->layer[i];

    l->self.heads = l->cross.heads = k->text.heads;
    l->self.qkv = cpv_bind_fused(b, i, qkv, 3);
    l->self.out = cpv_bind_linear(b, i, CPV_BLIP_OUT);
    l->self_norm = norm(b, k->text.eps, i, CPV_BLIP_ATTN_NORM);
    l->cross.q = cpv_bind_linear(b, i, CPV_BLIP_CROSS_Q);
    l->cross.kv = cpv_bind_fused(b, i, kv, 2);
    l->cross.out = cpv_bind_linear(b, i, CPV_BLIP_CROSS_OUT);
    l->cross_norm = norm(b, k->text.eps, i, CPV_BLIP_CROSS_NORM);
    l->mlp.act = k->text.act;
    l->mlp.in = cpv_bind_linear(b, i, CPV_BLIP_FC1);
    l->mlp.out = cpv_bind_linear(b, i, CPV_BLIP_FC2);
    l->norm = norm(b, k->text.eps, i, CPV_BLIP_NORM);
}

/* Scores of all words: a matrix that may be the embedding too, and a bias. */
static const cpv_weight *load_head(const struct cpv_bind *b, const cpv_blip *m,
                                   uint8_t matrix, unsigned use)
{
    const struct cpv_ckpt_tensor *from[] = {cpv_bind_tensor(b, 0, matrix),
                                            cpv_bind_tensor(b, 0, CPV_BLIP_HEAD_BIAS)};
    struct cpv_weight_params w = {
        .out = m->config.text.vocab,
        .in = m->config.text.width,
        .use = use,
        .matrix = {.rows = cpv_params_rows, .arg = (void *)(uintptr_t)from[0]},
        .bias = {.rows = cpv_params_vector, .arg = (void *)(uintptr_t)from[1]}};

    if (!from[0] || !from[1])
        return NULL;
    w.name = from[0]->name;
    return cpv_params_make(b->params, &w, from, 2);
}

/* The published files hold a head. transformers of today ties it to the embedding, and
 * what it saves has one of the two. */
static void load_words(const struct cpv_bind *b, cpv_blip *m)
{
    if (cpv_bind_has(b, 0, CPV_BLIP_HEAD)) {
        m->words = cpv_bind_table(b, 0, CPV_BLIP_EMBED);
        m->head = load_head(b, m, CPV_BLIP_HEAD, CPV_USE_LINEAR);
    } else {
        m->words = m->head =
            load_head(b, m, CPV_BLIP_EMBED, CPV_USE_TABLE | CPV_USE_LINEAR);
    }
}

static void load_text(const struct cpv_bind *b, cpv_blip *m)
{
    double eps = m->config.text.eps;

    load_words(b, m);
    m->positions = cpv_bind_table(b, 0, CPV_BLIP_POS);
    m->embed_norm = norm(b, eps, 0, CPV_BLIP_EMBED_NORM);
    for (int i = 0; i < m->config.text.layers; i++)
        load_layer(b, m, (uint64_t)i);
    m->transform = cpv_bind_linear(b, 0, CPV_BLIP_TRANSFORM);
    m->transform_norm = norm(b, eps, 0, CPV_BLIP_TRANSFORM_NORM);
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
        struct cpv_bind b = {m->params, &m->arch};

        cpv_arch_prefix(&m->arch, file);
        load_vision(&b, m);
        load_text(&b, m);
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
