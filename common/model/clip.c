/* SPDX-License-Identifier: Apache-2.0 */
/* The towers, and the life of a model. */
#include "common/model/clip.h"

#include <math.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/model/clip_impl.h"

/* ---- the image tower ---- */

cpv_tensor cpv_clip_image(cpv_compute *c, const cpv_clip *m, cpv_tensor pixels)
{
    cpv_tensor x = cpv_vit_class(c, &m->vision, pixels);

    return cpv_linear(c, x, m->vision_proj, CPV_IDENTITY);
}

/* ---- the text tower ---- */

/*
 * What all layers of a run share; it lies in the context's host arena, because a segment
 * is run again on the way back. With padding, `take` are the rows of real tokens among
 * the padded ones, and `spread` says which of the real ones each padded row is like.
 */
struct run {
    const cpv_clip *m;
    struct cpv_clip_how how;
    cpv_rows rows; /* of the tensors between the layers */
    cpv_rows real;
    cpv_tensor take, spread; /* no tensors: packed */
};

struct segment {
    const struct run *run;
    const struct clip_layer *layer;
    uint32_t operation; /* the first of the layer's own */
};

/* Places of dropout: numbers that never change, or a run could not go on where it was.
 * Of a layer 0 ... CLIP_PRODUCTS - 1 are the inputs of pairs. */
enum { AT_WEIGHTS = CLIP_PRODUCTS, AT_ATTN, AT_MLP, PLACES = 16, AT_EMBED = 0 };

static cpv_tensor drop(cpv_compute *c, const struct run *r, cpv_tensor x, float p,
                       uint32_t operation)
{
    return p > 0 ? cpv_dropout(c, x, r->rows, p, &r->how.dice, operation) : x;
}

static cpv_tensor product(cpv_compute *c, const struct segment *s, int which,
                          cpv_tensor x, cpv_unary_kind act)
{
    const struct clip_product *p = &s->layer->product[which];
    float lora = p->pair ? s->run->how.lora : 0;
    cpv_tensor y;

    if (!(lora > 0))
        return cpv_linear(c, x, p->w, act);
    y = drop(c, s->run, x, lora, s->operation + (uint32_t)which);
    y = cpv_linear_pair(c, x, y, p->w);
    return act == CPV_IDENTITY ? y : cpv_unary(c, y, act);
}

/* residual + dropout(product(x)) */
static cpv_tensor product_add(cpv_compute *c, const struct segment *s, int which,
                              cpv_tensor x, uint32_t place, cpv_tensor residual)
{
    const struct cpv_clip_how *how = &s->run->how;

    if (!(how->hidden > 0) && !(how->lora > 0))
        return cpv_linear_add(c, x, s->layer->product[which].w, residual);
    x = product(c, s, which, x, CPV_IDENTITY);
    return cpv_add(c, drop(c, s->run, x, how->hidden, s->operation + place), residual);
}

/* Padding is never looked at, and what it would see does not matter. */
static cpv_tensor look(cpv_compute *c, const struct segment *s, cpv_tensor q,
                       cpv_tensor k, cpv_tensor v)
{
    const struct run *r = s->run;
    struct cpv_heads heads = {.count = r->m->config.text.heads};
    bool padded = cpv_is(r->take), drops = r->how.attention > 0;
    cpv_tensor none = {0}, x;

    if (padded) {
        k = cpv_gather(c, k, r->take);
        v = cpv_gather(c, v, r->take);
    }
    if (padded && !drops)
        return cpv_cross_attention(c, q, r->rows, k, v, r->real, none, heads);
    if (!drops)
        return cpv_self_attention(c, q, k, v, r->real, heads);
    if (padded)
        q = cpv_gather(c, q, r->take);
    x = cpv_self_attention_dropout(c, q, k, v, r->real, heads, r->how.attention,
                                   &r->how.dice, s->operation + AT_WEIGHTS);
    return padded ? cpv_gather(c, x, r->spread) : x;
}

static cpv_tensor attention(cpv_compute *c, const struct segment *s, cpv_tensor x)
{
    cpv_tensor q, k, v;

    if (s->layer->qkv) {
        cpv_tensor all = cpv_linear(c, x, s->layer->qkv, CPV_IDENTITY);
        int64_t width = all.cols / 3;

        q = cpv_columns(all, 0, width);
        k = cpv_columns(all, width, width);
        v = cpv_columns(all, 2 * width, width);
    } else {
        q = product(c, s, CLIP_Q, x, CPV_IDENTITY);
        k = product(c, s, CLIP_K, x, CPV_IDENTITY);
        v = product(c, s, CLIP_V, x, CPV_IDENTITY);
    }
    return look(c, s, q, k, v);
}

static cpv_tensor text_layer(cpv_compute *c, void *arg, cpv_tensor x)
{
    const struct segment *s = arg;
    cpv_tensor y = attention(c, s, x);

    y = product_add(c, s, CLIP_OUT, y, AT_ATTN, x);
    x = cpv_layer_norm(c, y, s->layer->attn_norm);
    y = product(c, s, CLIP_FC1, x, s->run->m->config.text.act);
    y = product_add(c, s, CLIP_FC2, y, AT_MLP, x);
    return cpv_layer_norm(c, y, s->layer->norm);
}

/* Host copies of a padded batch; ids and positions as transformers have them. */
struct padded {
    int32_t *packed, *ids, *at, *take, *spread;
};

static void fill_padded(const struct run *r, const struct padded *p)
{
    int32_t pad_to = r->how.pad_to;

    for (int32_t i = 0; i < r->real.count; i++) {
        int32_t first = r->real.offset[i], n = r->real.offset[i + 1] - first;

        for (int32_t j = 0; j < pad_to; j++) {
            int32_t row = i * pad_to + j, real = first + (j < n ? j : 0);

            p->ids[row] = j < n ? p->packed[real] : CPV_XLMR_PAD;
            p->at[row] = j < n ? j : -1; /* the position of <pad> */
            p->spread[row] = real;
            if (j < n)
                p->take[real] = row;
        }
    }
}

/* What the reference's batches look like; *ids and *at become those of all rows. */
static void pad(cpv_compute *c, struct run *r, cpv_tensor *ids, cpv_tensor *at)
{
    int64_t real = r->real.total, all = (int64_t)r->real.count * r->how.pad_to;
    size_t room = real > 0 && all > 0 ? (size_t)(2 * real + 3 * all) : 1;
    int32_t *mem = cpv_calloc(room, sizeof *mem);
    struct padded p = {mem, mem + 2 * real, mem + 2 * real + all, mem + real,
                       mem + 2 * real + 2 * all};

    if (!mem)
        cpv_compute_fail(c, CPV_E_MEMORY, "out of memory");
    else if (r->real.longest > r->how.pad_to || all > INT32_MAX)
        cpv_compute_fail(c, CPV_E_BUG, "a text of %d tokens padded to %d",
                         r->real.longest, r->how.pad_to);
    else if (cpv_get_i32(c, *ids, p.packed)) {
        fill_padded(r, &p);
        r->rows = cpv_rows_equal(c, r->how.pad_to, r->real.count);
        *ids = cpv_put_i32(c, all, 1, p.ids);
        *at = cpv_put_i32(c, all, 1, p.at);
        r->take = cpv_put_i32(c, real, 1, p.take);
        r->spread = cpv_put_i32(c, all, 1, p.spread);
    }
    cpv_free(mem);
}

static cpv_tensor embed(cpv_compute *c, struct run *r, cpv_tensor ids)
{
    const struct clip_text *t = &r->m->text;
    cpv_tensor none = {0}, at = none, x;

    if (r->how.pad_to)
        pad(c, r, &ids, &at);
    else
        at = cpv_positions(c, r->rows);
    x = cpv_embed(c, ids, t->words, 1, t->positions, at, CPV_XLMR_PAD + 1);
    if (t->type) {
        struct cpv_compute_mark mark = cpv_compute_mark(c);
        int32_t *zeros = cpv_compute_host(c, (size_t)ids.rows * sizeof *zeros);

        if (!zeros)
            return none;
        memset(zeros, 0, (size_t)ids.rows * sizeof *zeros);
        x = cpv_add(
            c, x,
            cpv_embed(c, cpv_put_i32(c, ids.rows, 1, zeros), t->type, 1, NULL, none, 0));
        x = cpv_compute_keep(c, mark, x);
    }
    x = cpv_layer_norm(c, x, t->embed_norm);
    return drop(c, r, x, r->how.hidden, AT_EMBED);
}

static cpv_tensor project(cpv_compute *c, const struct clip_text *t, cpv_tensor x)
{
    if (!t->proj[1])
        return cpv_linear(c, x, t->proj[0], CPV_IDENTITY);
    x = cpv_linear(c, x, t->proj[0], CPV_GELU);
    return cpv_linear(c, x, t->proj[1], CPV_IDENTITY);
}

cpv_tensor cpv_clip_text(cpv_compute *c, const cpv_clip *m, cpv_tensor ids, cpv_rows rows,
                         const struct cpv_clip_how *how)
{
    int layers = m->config.text.layers;
    struct run *r = cpv_compute_host(c, sizeof *r);
    struct segment *s = cpv_compute_host(c, (size_t)layers * sizeof *s);
    cpv_tensor x;

    if (!r || !s)
        return (cpv_tensor){0};
    *r = (struct run){.m = m, .rows = rows, .real = rows};
    if (how)
        r->how = *how;
    x = embed(c, r, ids);
    for (int i = 0; i < layers; i++) {
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        s[i] = (struct segment){r, &m->text.layer[i], (uint32_t)(PLACES * (i + 1))};
        x = r->how.checkpointing ? cpv_segment(c, text_layer, &s[i], x)
                                 : text_layer(c, &s[i], x);
        x = cpv_compute_keep(c, mark, x);
    }
    if (cpv_is(r->take))
        x = cpv_gather(c, x, r->take);
    return project(c, &m->text, cpv_mean(c, x, rows));
}

/* ---- the factor of similarities ---- */

const cpv_weight *cpv_clip_logit_scale(const cpv_clip *m)
{
    return m->logit_scale;
}

int clip_log_scale(const cpv_clip *m, float *scale, struct cpv_err *err)
{
    struct cpv_compute_params params = {.arena = 1 << 16};
    cpv_compute *c = NULL;
    int rc;

    *scale = m->scale;
    if (!m->train.logit_scale)
        return CPV_OK;
    rc = cpv_compute_open(&c, m->device, &params, err);
    if (!rc) {
        cpv_get(c, cpv_weight_param(m->logit_scale, CPV_PARAM_MATRIX), scale);
        rc = cpv_compute_sync(c, err);
    }
    cpv_compute_close(&c);
    return rc;
}

int cpv_clip_scale(const cpv_clip *m, float *scale, struct cpv_err *err)
{
    int rc = clip_log_scale(m, scale, err);

    *scale = expf(*scale);
    return rc;
}

/* ---- life ---- */

static bool copy_text(cpv_clip *m, const char **to)
{
    if (*to)
        *to = cpv_arena_str(m->mem, cpv_bytes_str(*to));
    return *to;
}

static int copy_params(cpv_clip *m, const char *model, const struct cpv_clip_params *p,
                       struct cpv_err *err)
{
    m->params = *p;
    m->path = model;
    if (!copy_text(m, &m->path) ||
        (p->tokenizer && !copy_text(m, &m->params.tokenizer)) ||
        (p->adapter && !copy_text(m, &m->params.adapter)))
        return cpv_fail_memory(err);
    if (p->train) {
        m->train = *p->train;
        m->params.train = &m->train;
    }
    if (m->train.text && m->train.lora.rank)
        return cpv_fail(err, CPV_E_USAGE,
                        "either all of the text tower is trained, or LoRA pairs");
    if ((m->train.text || m->train.lora.rank || m->train.projection) && !p->text)
        return cpv_fail(err, CPV_E_BUG, "a text tower that is trained and not wanted");
    return CPV_OK;
}

/* Where the tokenizer is: as told, or in the folder. */
static int find_tokenizer(cpv_clip *m, struct cpv_err *err)
{
    static const char NAME[] = "sentencepiece.bpe.model";

    m->tokenizer_path = m->params.tokenizer;
    for (size_t i = 0; !m->tokenizer_path && i < 2; i++) {
        const char *path = i ? cpv_arena_printf(m->mem, "%s/%s", m->path, NAME)
                             : cpv_arena_printf(m->mem, "%s/text/%s", m->path, NAME);

        if (!path)
            return cpv_fail_memory(err);
        if (cpv_file_exists(path))
            m->tokenizer_path = path;
    }
    if (!m->tokenizer_path)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s' has no text/%s: expected XLM-R's tokenizer there, or by a "
                        "path of its own",
                        m->path, NAME);
    return CPV_OK;
}

static int open_tokenizer(cpv_clip *m, struct cpv_err *err)
{
    int rc = find_tokenizer(m, err);

    if (!rc)
        rc = cpv_xlmr_text_open(&m->tokenizer, m->tokenizer_path, err);
    if (!rc && cpv_xlmr_text_size(m->tokenizer) > m->config.text.vocab)
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s': %d tokens, expected at most the %d of the model '%s'",
                      m->tokenizer_path, cpv_xlmr_text_size(m->tokenizer),
                      m->config.text.vocab, m->path);
    return rc;
}

int cpv_clip_open(cpv_clip **out, cpv_device *device, const char *model,
                  const struct cpv_clip_params *params, struct cpv_err *err)
{
    cpv_clip *m = cpv_calloc(1, sizeof *m);
    bool dry = strcmp(cpv_device_name(device), "dry") == 0;
    int rc;

    *out = NULL;
    if (!m)
        return cpv_fail_memory(err);
    m->device = device;
    rc = cpv_arena_open(&m->mem, 0, err);
    if (!rc)
        rc = copy_params(m, model, params, err);
    if (!rc)
        rc = clip_configure(m, err);
    if (!rc && !dry && params->text)
        rc = open_tokenizer(m, err);
    if (!rc)
        rc = clip_load(m, err);
    if (rc)
        cpv_clip_close(&m);
    *out = m;
    return rc;
}

void cpv_clip_close(cpv_clip **m)
{
    if (!*m)
        return;
    cpv_params_close(&(*m)->weights);
    cpv_checkpoint_close(&(*m)->file);
    cpv_xlmr_text_close(&(*m)->tokenizer);
    cpv_arena_close(&(*m)->mem);
    cpv_free(*m);
    *m = NULL;
}

const struct cpv_clip_config *cpv_clip_config(const cpv_clip *m)
{
    return &m->config;
}

const struct cpv_pixels_config *cpv_clip_pixels(const cpv_clip *m)
{
    return &m->pixels;
}

size_t cpv_clip_bytes(const cpv_clip *m)
{
    return cpv_params_bytes(m->weights);
}

int cpv_clip_trained(const cpv_clip *m, const struct cpv_clip_param **list)
{
    *list = m->trained;
    return m->n_trained;
}

const struct cpv_clip_lora *cpv_clip_pairs(const cpv_clip *m)
{
    return &m->train.lora;
}

/* A "<pad>" in the text is masked by the reference, and the tokens behind it move up. */
int cpv_clip_encode(const cpv_clip *m, struct cpv_bytes caption, struct cpv_ids *ids,
                    struct cpv_err *err)
{
    size_t first = ids->count, n = first;
    int rc = cpv_xlmr_text_encode_caption(m->tokenizer, caption,
                                          (size_t)m->config.context, ids, err);

    for (size_t i = first; !rc && i < ids->count; i++)
        if (ids->data[i] != m->config.text.pad)
            ids->data[n++] = ids->data[i];
    if (!rc)
        ids->count = n;
    return rc;
}
