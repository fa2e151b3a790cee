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

/* What all layers of a run share; it lies in the context's host arena, because a segment
 * is run again on the way back. */
struct run {
    const cpv_clip *m;
    struct cpv_clip_how how;
    cpv_rows rows;
};

struct segment {
    const struct run *run;
    const struct clip_layer *layer;
};

/* The mean of each sequence: attention that has no preference. */
static cpv_tensor mean(cpv_compute *c, const cpv_clip *m, cpv_tensor x, cpv_rows rows)
{
    struct cpv_heads heads = {.count = m->config.text.heads};
    size_t n = (size_t)rows.count * (size_t)m->config.text.width;
    float *zeros = cpv_calloc(n ? n : 1, sizeof *zeros);
    cpv_tensor none = {0}, q = none;

    if (!zeros)
        cpv_compute_fail(c, CPV_E_MEMORY, "out of memory");
    else
        q = cpv_put(c, rows.count, m->config.text.width, zeros);
    cpv_free(zeros);
    return cpv_cross_attention(c, q, cpv_rows_equal(c, 1, rows.count), x, x, rows, none,
                               heads);
}

static cpv_tensor attention(cpv_compute *c, const struct segment *s, cpv_tensor x)
{
    const struct clip_layer *l = s->layer;
    struct cpv_heads heads = {.count = s->run->m->config.text.heads};
    cpv_tensor q, k, v;

    if (l->qkv) {
        cpv_tensor all = cpv_linear(c, x, l->qkv, CPV_IDENTITY);
        int64_t width = all.cols / 3;

        q = cpv_columns(all, 0, width);
        k = cpv_columns(all, width, width);
        v = cpv_columns(all, 2 * width, width);
    } else {
        q = cpv_linear(c, x, l->product[CLIP_Q].w, CPV_IDENTITY);
        k = cpv_linear(c, x, l->product[CLIP_K].w, CPV_IDENTITY);
        v = cpv_linear(c, x, l->product[CLIP_V].w, CPV_IDENTITY);
    }
    return cpv_self_attention(c, q, k, v, s->run->rows, heads);
}

static cpv_tensor text_layer(cpv_compute *c, void *arg, cpv_tensor x)
{
    const struct segment *s = arg;
    const struct clip_layer *l = s->layer;
    cpv_tensor y = attention(c, s, x);

    y = cpv_linear_add(c, y, l->product[CLIP_OUT].w, x);
    x = cpv_layer_norm(c, y, l->attn_norm);
    y = cpv_linear(c, x, l->product[CLIP_FC1].w, s->run->m->config.text.act);
    y = cpv_linear_add(c, y, l->product[CLIP_FC2].w, x);
    return cpv_layer_norm(c, y, l->norm);
}

static cpv_tensor embed(cpv_compute *c, const struct run *r, cpv_tensor ids)
{
    const struct clip_text *t = &r->m->text;
    cpv_tensor x = cpv_embed(c, ids, t->words, 1, t->positions, cpv_positions(c, r->rows),
                             CPV_XLMR_PAD + 1);

    return cpv_layer_norm(c, x, t->embed_norm);
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
    *r = (struct run){.m = m, .rows = rows};
    if (how)
        r->how = *how;
    x = embed(c, r, ids);
    for (int i = 0; i < layers; i++) {
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        s[i] = (struct segment){r, &m->text.layer[i]};
        x = r->how.checkpointing ? cpv_segment(c, text_layer, &s[i], x)
                                 : text_layer(c, &s[i], x);
        x = cpv_compute_keep(c, mark, x);
    }
    return project(c, &m->text, mean(c, m, x, rows));
}

/* ---- the factor of similarities ---- */

const cpv_weight *cpv_clip_logit_scale(const cpv_clip *m)
{
    return m->logit_scale;
}

int cpv_clip_scale(const cpv_clip *m, float *scale, struct cpv_err *err)
{
    struct cpv_compute_params params = {.arena = 1 << 16};
    float log_scale = m->scale;
    cpv_compute *c = NULL;
    int rc = CPV_OK;

    if (m->train.logit_scale) {
        rc = cpv_compute_open(&c, m->device, &params, err);
        if (!rc) {
            cpv_get(c, cpv_weight_param(m->logit_scale, CPV_PARAM_MATRIX), &log_scale);
            rc = cpv_compute_sync(c, err);
        }
        cpv_compute_close(&c);
    }
    *scale = expf(log_scale);
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

cpv_device *cpv_clip_device(const cpv_clip *m)
{
    return m->device;
}

const char *cpv_clip_path(const cpv_clip *m)
{
    return m->path;
}
