/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration and weights of a Marian folder. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/sys.h"
#include "common/format/hf_config.h"
#include "common/model/bind.h"
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

/* Sizes are those of the table of tensors (arch_marian.c), which has checked them. */
static void take_sizes(const struct cpv_arch_model *a, struct cpv_marian_config *k)
{
    k->d_model = (int)a->dim[CPV_MARIAN_WIDTH];
    k->encoder_layers = (int)a->dim[CPV_MARIAN_ENC_LAYERS];
    k->decoder_layers = (int)a->dim[CPV_MARIAN_DEC_LAYERS];
    k->encoder_heads = (int)a->dim[CPV_MARIAN_ENC_HEADS];
    k->decoder_heads = (int)a->dim[CPV_MARIAN_DEC_HEADS];
    k->encoder_ffn = (int)a->dim[CPV_MARIAN_ENC_FFN];
    k->decoder_ffn = (int)a->dim[CPV_MARIAN_DEC_FFN];
    k->vocab = (int)a->dim[CPV_MARIAN_VOCAB];
    k->target_vocab = (int)a->dim[CPV_MARIAN_DEC_VOCAB];
    k->positions = (int)a->dim[CPV_MARIAN_POSITIONS];
    k->shared_embeddings = a->dim[CPV_MARIAN_IS_SHARED];
    k->tied_head = a->dim[CPV_MARIAN_IS_TIED];
}

static void read_rest(const struct cpv_hf_object *o, struct cpv_marian_config *k)
{
    k->scale_embedding = cpv_hf_bool(o, "scale_embedding", false);
    k->act = act_of[cpv_hf_word(o, "activation_function", acts, 3)];
    k->eos = (int32_t)cpv_hf_int(o, "eos_token_id", 0, 0, INT32_MAX);
    k->pad = (int32_t)cpv_hf_int(o, "pad_token_id", k->target_vocab - 1, 0, INT32_MAX);
    k->decoder_start =
        (int32_t)cpv_hf_int(o, "decoder_start_token_id", k->pad, 0, INT32_MAX);
    if (k->eos >= k->target_vocab || k->eos >= k->vocab)
        cpv_hf_mistake(o, "eos_token_id", "less than the vocabulary, %d",
                       k->target_vocab);
    if (k->decoder_start >= k->target_vocab)
        cpv_hf_mistake(o, "decoder_start_token_id", "less than the vocabulary, %d",
                       k->target_vocab);
    if (cpv_hf_bool(o, "normalize_before", false))
        cpv_hf_mistake(o, "normalize_before", "false: this is a post-norm model");
}

typedef int read_fn(const struct cpv_hf_object *o, cpv_marian *m, struct cpv_err *err);

static int read_config(const struct cpv_hf_object *o, cpv_marian *m, struct cpv_err *err)
{
    struct cpv_marian_config *k = &m->config;
    int rc = cpv_arch_read(&m->arch, &cpv_arch_marian, o, NULL, err);

    if (rc)
        return rc;
    m->arch.config = "config.json"; /* its own goes with the file */
    take_sizes(&m->arch, k);
    read_rest(o, k);
    k->search.eos = k->eos;
    read_generation(o, k);
    return CPV_OK;
}

static int read_other(const struct cpv_hf_object *o, cpv_marian *m, struct cpv_err *err)
{
    (void)err;
    read_generation(o, &m->config);
    return CPV_OK;
}

/* The one file must be there, the other may. */
static int read_file(cpv_marian *m, const char *name, bool optional, read_fn *read,
                     struct cpv_err *err)
{
    cpv_hf_config *file = NULL;
    struct cpv_hf_object root;
    char path[4096];
    int rc;

    snprintf(path, sizeof path, "%s/%s", m->folder, name);
    rc = cpv_hf_config_open(&file, path, err);
    if (rc == CPV_E_ABSENT && optional)
        return CPV_OK;
    if (rc)
        return rc;
    root = cpv_hf_config_root(file);
    rc = read(&root, m, err);
    if (!rc)
        rc = cpv_hf_config_check(file, err);
    cpv_hf_config_close(&file);
    return rc;
}

static int configure(cpv_marian *m, struct cpv_err *err)
{
    struct cpv_marian_config *k = &m->config;
    int rc;

    k->max_length = 512;
    k->search = (struct cpv_search){.beams = 1, .length_penalty = 1, .forced_eos = -1};
    rc = read_file(m, "config.json", false, read_config, err);
    if (!rc)
        rc = read_file(m, "generation_config.json", true, read_other, err);
    for (int i = 0; i < k->search.bad_count && !rc; i++)
        if (k->search.bad[i] < 0 || k->search.bad[i] >= k->target_vocab)
            rc = cpv_fail(err, CPV_E_INPUT, "'%s': bad_words_ids: no token %d", m->folder,
                          k->search.bad[i]);
    if (!rc && k->max_length > k->positions)
        k->max_length = k->positions;
    return rc;
}

/* ---- weights ---- */

static const float EPS = 1e-5f; /* nn.LayerNorm's default */

static struct cpv_layer_norm norm(const struct cpv_bind *b, uint64_t layer, uint8_t id)
{
    struct cpv_layer_norm n = {cpv_bind_norm(b, layer, id), EPS};

    return n;
}

static void load_encoder(const struct cpv_bind *b, cpv_marian *m, uint64_t i)
{
    static const uint8_t qkv[] = {CPV_MARIAN_ENC_Q, CPV_MARIAN_ENC_K, CPV_MARIAN_ENC_V};
    struct marian_encoder_layer *l = &m->encoder[i];

    l->self.heads = m->config.encoder_heads;
    l->self.qkv = cpv_bind_fused(b, i, qkv, 3);
    l->self.out = cpv_bind_linear(b, i, CPV_MARIAN_ENC_OUT);
    l->self_norm = norm(b, i, CPV_MARIAN_ENC_ATTN_NORM);
    l->mlp.act = m->config.act;
    l->mlp.in = cpv_bind_linear(b, i, CPV_MARIAN_ENC_FC1);
    l->mlp.out = cpv_bind_linear(b, i, CPV_MARIAN_ENC_FC2);
    l->norm = norm(b, i, CPV_MARIAN_ENC_NORM);
}

static void load_decoder(const struct cpv_bind *b, cpv_marian *m, uint64_t i)
{
    static const uint8_t qkv[] = {CPV_MARIAN_DEC_Q, CPV_MARIAN_DEC_K, CPV_MARIAN_DEC_V};
    static const uint8_t kv[] = {CPV_MARIAN_CROSS_K, CPV_MARIAN_CROSS_V};
    struct marian_decoder_layer *l = &m->decoder[i];

    l->self.heads = l->cross.heads = m->config.decoder_heads;
    l->self.qkv = cpv_bind_fused(b, i, qkv, 3);
    l->self.out = cpv_bind_linear(b, i, CPV_MARIAN_DEC_OUT);
    l->self_norm = norm(b, i, CPV_MARIAN_DEC_ATTN_NORM);
    l->cross.q = cpv_bind_linear(b, i, CPV_MARIAN_CROSS_Q);
    l->cross.kv = cpv_bind_fused(b, i, kv, 2);
    l->cross.out = cpv_bind_linear(b, i, CPV_MARIAN_CROSS_OUT);
    l->cross_norm = norm(b, i, CPV_MARIAN_CROSS_NORM);
    l->mlp.act = m->config.act;
    l->mlp.in = cpv_bind_linear(b, i, CPV_MARIAN_DEC_FC1);
    l->mlp.out = cpv_bind_linear(b, i, CPV_MARIAN_DEC_FC2);
    l->norm = norm(b, i, CPV_MARIAN_DEC_NORM);
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

static const cpv_weight *load_positions(const struct cpv_bind *b, cpv_marian *m,
                                        uint8_t id)
{
    int64_t n = m->config.positions, d = m->config.d_model;
    struct sinusoids s = {d};
    struct cpv_weight_params w = {.name = "positions",
                                  .out = n,
                                  .in = d,
                                  .use = CPV_USE_TABLE,
                                  .matrix = {.rows = sinusoid_rows, .arg = &s}};

    if (cpv_bind_has(b, 0, id))
        return cpv_bind_table(b, 0, id);
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

static const cpv_weight *load_table(const struct cpv_bind *b, const cpv_marian *m,
                                    uint8_t id, int64_t rows, unsigned use)
{
    const struct cpv_marian_config *k = &m->config;
    struct head_bias bias = {NULL, k};
    const struct cpv_ckpt_tensor *t = cpv_bind_tensor(b, 0, id);
    struct cpv_weight_params w = {
        .out = rows,
        .in = k->d_model,
        .use = use,
        .matrix = {.rows = cpv_params_rows, .arg = (void *)(uintptr_t)t}};

    if (use & CPV_USE_LINEAR) {
        if (cpv_bind_has(b, 0, CPV_MARIAN_HEAD_BIAS))
            bias.stored = cpv_bind_tensor(b, 0, CPV_MARIAN_HEAD_BIAS);
        w.bias.rows = bias_row;
        w.bias.arg = &bias;
    }
    if (!t)
        return NULL;
    w.name = t->name;
    return cpv_params_make(m->params, &w, &t, 1);
}

static void load_tables(const struct cpv_bind *b, cpv_marian *m)
{
    const struct cpv_marian_config *k = &m->config;
    bool one = k->shared_embeddings;
    unsigned tied = k->tied_head ? CPV_USE_TABLE | CPV_USE_LINEAR : CPV_USE_TABLE;

    m->target = load_table(b, m, one ? CPV_MARIAN_EMBED : CPV_MARIAN_DEC_EMBED,
                           k->target_vocab, tied);
    m->source =
        one ? m->target : load_table(b, m, CPV_MARIAN_ENC_EMBED, k->vocab, CPV_USE_TABLE);
    m->head = k->tied_head
                  ? m->target
                  : load_table(b, m, CPV_MARIAN_HEAD, k->target_vocab, CPV_USE_LINEAR);
    m->source_positions = load_positions(b, m, CPV_MARIAN_ENC_POS);
    m->target_positions = load_positions(b, m, CPV_MARIAN_DEC_POS);
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
        struct cpv_bind b = {m->params, &m->arch};

        cpv_arch_prefix(&m->arch, file);
        load_tables(&b, m);
        for (int i = 0; i < k->encoder_layers; i++)
            load_encoder(&b, m, (uint64_t)i);
        for (int i = 0; i < k->decoder_layers; i++)
            load_decoder(&b, m, (uint64_t)i);
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
