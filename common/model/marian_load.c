/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration and weights of a Marian folder. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/sys.h"
#include "common/format/hf_config.h"
#include "common/model/marian_impl.h"

static const char *const acts[] = {"swish", "silu", "relu", "gelu", NULL};
static const cpv_unary_kind act_of[] = {CPV_SILU, CPV_SILU, CPV_RELU, CPV_GELU};

/* ---- configuration ---- */

/* Keys of generation; `def` are those of config.json for generation_config.json. */
static void read_generation(const struct cpv_hf_object *o, struct cpv_marian_config *k)
{
    const json_t *bad = cpv_hf_json(o, "bad_words_ids");
    struct cpv_search *s = &k->search;

    s->beams = (int)cpv_hf_int(o, "num_beams", s->beams, 1, CPV_BEAMS_MAX);
    s->length_penalty =
        (float)cpv_hf_real(o, "length_penalty", (double)s->length_penalty, -10, 10);
    s->early_stopping = cpv_hf_bool(o, "early_stopping", s->early_stopping);
    s->forced_eos =
        (int32_t)cpv_hf_int(o, "forced_eos_token_id", s->forced_eos, 0, INT32_MAX);
    k->renormalize = cpv_hf_bool(o, "renormalize_logits", k->renormalize);
    k->max_length = (int)cpv_hf_int(o, "max_length", k->max_length, 2, 1 << 16);
    for (size_t i = 0; bad && i < json_array_size(bad); i++) {
        const json_t *word = json_array_get(bad, i);

        if (i == 0)
            s->bad_count = 0;
        if (json_array_size(word) != 1 || !json_is_integer(json_array_get(word, 0)) ||
            s->bad_count == CPV_BAD_MAX)
            cpv_hf_mistake(o, "bad_words_ids", "at most %d lists of one token each",
                           CPV_BAD_MAX);
        else
            s->bad[s->bad_count++] = (int32_t)json_integer_value(json_array_get(word, 0));
    }
}

static void read_sizes(const struct cpv_hf_object *o, struct cpv_marian_config *k)
{
    const int64_t most = 1 << 20;

    k->d_model = (int)cpv_hf_int(o, "d_model", CPV_HF_NEEDED, 1, 1 << 16);
    k->encoder_layers = (int)cpv_hf_int(o, "encoder_layers", CPV_HF_NEEDED, 1, 1000);
    k->decoder_layers = (int)cpv_hf_int(o, "decoder_layers", CPV_HF_NEEDED, 1, 1000);
    k->encoder_heads =
        (int)cpv_hf_int(o, "encoder_attention_heads", CPV_HF_NEEDED, 1, 1024);
    k->decoder_heads =
        (int)cpv_hf_int(o, "decoder_attention_heads", CPV_HF_NEEDED, 1, 1024);
    k->encoder_ffn = (int)cpv_hf_int(o, "encoder_ffn_dim", CPV_HF_NEEDED, 1, most);
    k->decoder_ffn = (int)cpv_hf_int(o, "decoder_ffn_dim", CPV_HF_NEEDED, 1, most);
    k->vocab = (int)cpv_hf_int(o, "vocab_size", CPV_HF_NEEDED, 1, 1 << 24);
    k->shared_embeddings = cpv_hf_bool(o, "share_encoder_decoder_embeddings", true);
    k->target_vocab = (int)cpv_hf_int(o, "decoder_vocab_size", k->vocab, 1, 1 << 24);
    k->positions = (int)cpv_hf_int(o, "max_position_embeddings", 1024, 1, 1 << 16);
    k->tied_head = cpv_hf_bool(o, "tie_word_embeddings", true);
    k->scale_embedding = cpv_hf_bool(o, "scale_embedding", false);
    k->act = act_of[cpv_hf_word(o, "activation_function", acts, 3)];
    k->eos = (int32_t)cpv_hf_int(o, "eos_token_id", 0, 0, INT32_MAX);
    k->pad = (int32_t)cpv_hf_int(o, "pad_token_id", k->target_vocab - 1, 0, INT32_MAX);
    k->decoder_start =
        (int32_t)cpv_hf_int(o, "decoder_start_token_id", k->pad, 0, INT32_MAX);
    if (k->shared_embeddings)
        k->target_vocab = k->vocab;
}

static void check_sizes(const struct cpv_hf_object *o, const struct cpv_marian_config *k)
{
    if (k->encoder_heads && k->d_model % k->encoder_heads)
        cpv_hf_mistake(o, "encoder_attention_heads", "a divisor of d_model, %d",
                       k->d_model);
    if (k->decoder_heads && k->d_model % k->decoder_heads)
        cpv_hf_mistake(o, "decoder_attention_heads", "a divisor of d_model, %d",
                       k->d_model);
    if (k->eos >= k->target_vocab || k->eos >= k->vocab)
        cpv_hf_mistake(o, "eos_token_id", "less than the vocabulary, %d",
                       k->target_vocab);
    if (k->decoder_start >= k->target_vocab)
        cpv_hf_mistake(o, "decoder_start_token_id", "less than the vocabulary, %d",
                       k->target_vocab);
    if (cpv_hf_bool(o, "normalize_before", false))
        cpv_hf_mistake(o, "normalize_before", "false: this is a post-norm model");
}

/* The one file must be there, the other may. */
static int read_file(const char *folder, const char *name, bool optional,
                     void (*read)(const struct cpv_hf_object *o,
                                  struct cpv_marian_config *k),
                     struct cpv_marian_config *k, struct cpv_err *err)
{
    cpv_hf_config *file = NULL;
    struct cpv_hf_object root;
    char path[4096];
    int rc;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    rc = cpv_hf_config_open(&file, path, err);
    if (rc == CPV_E_ABSENT && optional)
        return CPV_OK;
    if (rc)
        return rc;
    root = cpv_hf_config_root(file);
    read(&root, k);
    rc = cpv_hf_config_check(file, err);
    cpv_hf_config_close(&file);
    return rc;
}

static void read_config(const struct cpv_hf_object *o, struct cpv_marian_config *k)
{
    read_sizes(o, k);
    check_sizes(o, k);
    k->search.eos = k->eos;
    read_generation(o, k);
}

static int configure(cpv_marian *m, struct cpv_err *err)
{
    struct cpv_marian_config *k = &m->config;
    int rc;

    k->max_length = 512;
    k->search = (struct cpv_search){.beams = 1, .length_penalty = 1, .forced_eos = -1};
    rc = read_file(m->folder, "config.json", false, read_config, k, err);
    if (!rc)
        rc =
            read_file(m->folder, "generation_config.json", true, read_generation, k, err);
    for (int i = 0; i < k->search.bad_count && !rc; i++)
        if (k->search.bad[i] < 0 || k->search.bad[i] >= k->target_vocab)
            rc = cpv_fail(err, CPV_E_INPUT, "'%s': bad_words_ids: no token %d", m->folder,
                          k->search.bad[i]);
    if (!rc && k->max_length > k->positions)
        k->max_length = k->positions;
    return rc;
}

/* ---- weights ---- */

static const char *const qkv[] = {"q_proj", "k_proj", "v_proj"};

static const float EPS = 1e-5f; /* nn.LayerNorm's default */

static struct cpv_layer_norm norm(cpv_params *p, int64_t d, const char *layer,
                                  const char *name)
{
    struct cpv_layer_norm n = {cpv_params_norm(p, d, "%s.%s", layer, name), EPS};

    return n;
}

static struct cpv_self_attn self_attn(cpv_params *p, int64_t d, int heads,
                                      const char *layer)
{
    struct cpv_self_attn a = {.heads = heads};

    a.qkv = cpv_params_fused(p, d, d, qkv, 3, "%s.self_attn.", layer);
    a.out = cpv_params_linear(p, d, d, "%s.self_attn.out_proj", layer);
    return a;
}

static struct cpv_mlp mlp(cpv_params *p, int64_t d, int64_t f, cpv_unary_kind act,
                          const char *layer)
{
    struct cpv_mlp w = {.act = act};

    w.in = cpv_params_linear(p, f, d, "%s.fc1", layer);
    w.out = cpv_params_linear(p, d, f, "%s.fc2", layer);
    return w;
}

static void load_layers(cpv_marian *m)
{
    const struct cpv_marian_config *k = &m->config;
    cpv_params *p = m->params;
    int64_t d = k->d_model;
    char at[64];

    for (int i = 0; i < k->encoder_layers; i++) {
        struct marian_encoder_layer *l = &m->encoder[i];

        snprintf(at, sizeof at, "model.encoder.layers.%d", i);
        l->self = self_attn(p, d, k->encoder_heads, at);
        l->self_norm = norm(p, d, at, "self_attn_layer_norm");
        l->mlp = mlp(p, d, k->encoder_ffn, k->act, at);
        l->norm = norm(p, d, at, "final_layer_norm");
    }
    for (int i = 0; i < k->decoder_layers; i++) {
        struct marian_decoder_layer *l = &m->decoder[i];

        snprintf(at, sizeof at, "model.decoder.layers.%d", i);
        l->self = self_attn(p, d, k->decoder_heads, at);
        l->self_norm = norm(p, d, at, "self_attn_layer_norm");
        l->cross.heads = k->decoder_heads;
        l->cross.q = cpv_params_linear(p, d, d, "%s.encoder_attn.q_proj", at);
        l->cross.kv = cpv_params_fused(p, d, d, qkv + 1, 2, "%s.encoder_attn.", at);
        l->cross.out = cpv_params_linear(p, d, d, "%s.encoder_attn.out_proj", at);
        l->cross_norm = norm(p, d, at, "encoder_attn_layer_norm");
        l->mlp = mlp(p, d, k->decoder_ffn, k->act, at);
        l->norm = norm(p, d, at, "final_layer_norm");
    }
}

/* Position p, channel i of d: sines in the first half, cosines in the second. */
struct sinusoids {
    int64_t d;
};

static int sinusoid_rows(void *arg, int64_t first, int64_t n, float *to,
                         struct cpv_err *err)
{
    int64_t d = ((const struct sinusoids *)arg)->d, sines = (d + 1) / 2;

    (void)err;
    for (int64_t p = first; p < first + n; p++)
        for (int64_t i = 0; i < d; i++) {
            int64_t pair = i < sines ? i : i - sines;
            double angle = (double)p / pow(10000, 2 * (double)pair / (double)d);

            *to++ = (float)(i < sines ? sin(angle) : cos(angle));
        }
    return CPV_OK;
}

static const cpv_weight *load_positions(cpv_marian *m, const char *side)
{
    int64_t n = m->config.positions, d = m->config.d_model;
    struct sinusoids s = {d};
    struct cpv_weight_params w = {.name = "positions",
                                  .out = n,
                                  .in = d,
                                  .use = CPV_USE_TABLE,
                                  .matrix = {.rows = sinusoid_rows, .arg = &s}};

    if (cpv_params_has(m->params, "model.%s.embed_positions.weight", side))
        return cpv_params_table(m->params, n, d, "model.%s.embed_positions.weight", side);
    return cpv_params_make(m->params, &w, NULL, 0);
}

/*
 * The bias of the logits. With renormalize the bad ones are out of the sum from the
 * start; otherwise they count in it and the search passes over them.
 */
struct head_bias {
    const struct cpv_ckpt_tensor *stored; /* NULL: zeros */
    const struct cpv_marian_config *config;
};

static int bias_row(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct head_bias *b = arg;
    const struct cpv_search *s = &b->config->search;
    int rc = CPV_OK;

    (void)first;
    (void)n;
    if (b->stored)
        rc = cpv_checkpoint_rows_f32(b->stored, 0, b->stored->dim[0], to, err);
    else
        memset(to, 0, (size_t)b->config->target_vocab * sizeof *to);
    for (int i = 0; b->config->renormalize && i < s->bad_count; i++)
        to[s->bad[i]] = -INFINITY;
    return rc;
}

static const cpv_weight *load_table(cpv_marian *m, const char *name, int64_t rows,
                                    unsigned use)
{
    const struct cpv_marian_config *k = &m->config;
    struct head_bias bias = {NULL, k};
    const struct cpv_ckpt_tensor *t =
        cpv_params_matrix(m->params, rows, k->d_model, "%s", name);
    struct cpv_weight_params w = {
        .name = name,
        .out = rows,
        .in = k->d_model,
        .use = use,
        .matrix = {.rows = cpv_params_rows, .arg = (void *)(uintptr_t)t}};

    if (use & CPV_USE_LINEAR) {
        if (cpv_params_has(m->params, "final_logits_bias"))
            bias.stored =
                cpv_params_tensor(m->params, (uint64_t)rows, "final_logits_bias");
        w.bias.rows = bias_row;
        w.bias.arg = &bias;
    }
    return t ? cpv_params_make(m->params, &w, &t, 1) : NULL;
}

/* The first of these names that is stored. */
static const char *first_of(const cpv_params *p, const char *a, const char *b)
{
    return cpv_params_has(p, "%s", a) ? a : b;
}

static void load_tables(cpv_marian *m)
{
    const struct cpv_marian_config *k = &m->config;
    cpv_params *p = m->params;
    const char *shared = "model.shared.weight";
    const char *in = first_of(p, shared, "model.encoder.embed_tokens.weight");
    const char *out = first_of(p, shared, "model.decoder.embed_tokens.weight");
    unsigned tied = k->tied_head ? CPV_USE_TABLE | CPV_USE_LINEAR : CPV_USE_TABLE;

    if (!k->shared_embeddings) {
        in = "model.encoder.embed_tokens.weight";
        out = "model.decoder.embed_tokens.weight";
    }
    m->target = load_table(m, out, k->target_vocab, tied);
    m->source =
        k->shared_embeddings ? m->target : load_table(m, in, k->vocab, CPV_USE_TABLE);
    m->head = k->tied_head
                  ? m->target
                  : load_table(m, "lm_head.weight", k->target_vocab, CPV_USE_LINEAR);
    m->source_positions = load_positions(m, "encoder");
    m->target_positions = load_positions(m, "decoder");
}

static int load(cpv_marian *m, struct cpv_err *err)
{
    const struct cpv_marian_config *k = &m->config;
    cpv_checkpoint *file = NULL;
    int rc = cpv_checkpoint_open(&file, m->folder, err);

    if (!rc)
        rc = cpv_params_open(&m->params, m->device, file, err);
    m->encoder = cpv_calloc((size_t)k->encoder_layers, sizeof *m->encoder);
    m->decoder = cpv_calloc((size_t)k->decoder_layers, sizeof *m->decoder);
    if (!rc && (!m->encoder || !m->decoder))
        rc = cpv_fail_memory(err);
    if (!rc) {
        load_tables(m);
        load_layers(m);
        rc = cpv_params_check(m->params, err);
    }
    cpv_checkpoint_close(&file);
    return rc;
}

int cpv_marian_open(cpv_marian **out, cpv_device *device, const char *folder,
                    struct cpv_err *err)
{
    cpv_marian *m = cpv_calloc(1, sizeof *m);
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
    if (!rc)
        rc = load(m, err);
    if (rc)
        cpv_marian_close(&m);
    *out = m;
    return rc;
}
