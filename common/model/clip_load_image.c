/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of the image tower. */
#include "common/model/clip_impl.h"

/* n rows from `first` on of the matrix that makes queries, keys and values. */
struct slice {
    const struct cpv_ckpt_tensor *matrix, *bias;
    int64_t first, n;
};

static int slice_rows(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct slice *s = arg;

    return cpv_checkpoint_rows_f32(s->matrix, (uint64_t)(s->first + first), (uint64_t)n,
                                   to, err);
}

static int slice_bias(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct slice *s = arg;

    (void)first;
    (void)n;
    return cpv_checkpoint_rows_f32(s->bias, (uint64_t)s->first, (uint64_t)s->n, to, err);
}

static const cpv_weight *attn_rows(const struct cpv_bind *b, uint64_t layer,
                                   int64_t first, int64_t n, bool last)
{
    struct slice s = {cpv_bind_tensor(b, layer, CPV_CLIP_V_ATTN),
                      cpv_bind_tensor(b, layer, CPV_CLIP_V_ATTN_BIAS), first, n};
    const struct cpv_ckpt_tensor *from[] = {s.matrix, s.bias};
    struct cpv_weight_params w = {.out = n,
                                  .use = CPV_USE_LINEAR,
                                  .matrix = {.rows = slice_rows, .arg = &s},
                                  .bias = {.rows = slice_bias, .arg = &s}};

    if (!s.matrix || !s.bias)
        return NULL;
    w.name = s.matrix->name;
    w.in = (int64_t)s.matrix->dim[1];
    return cpv_params_make(b->params, &w, from, last ? 2 : 0);
}

static int turned_rows(void *arg, int64_t first, int64_t n, float *to,
                       struct cpv_err *err)
{
    struct cpv_ckpt_tensor t = *(const struct cpv_ckpt_tensor *)arg;
    uint64_t dim = t.dim[0], stride = t.stride[0];

    t.dim[0] = t.dim[1];
    t.dim[1] = dim;
    t.stride[0] = t.stride[1];
    t.stride[1] = stride;
    t.contiguous = false;
    return cpv_checkpoint_rows_f32(&t, (uint64_t)first, (uint64_t)n, to, err);
}

/* visual.proj is stored [in, out]. */
static const cpv_weight *turned(const struct cpv_bind *b, uint8_t id)
{
    const struct cpv_ckpt_tensor *t = cpv_bind_tensor(b, 0, id);
    struct cpv_weight_params w = {
        .use = CPV_USE_LINEAR,
        .matrix = {.rows = turned_rows, .arg = (void *)(uintptr_t)t}};

    if (!t)
        return NULL;
    w.name = t->name;
    w.out = (int64_t)t->dim[1];
    w.in = (int64_t)t->dim[0];
    return cpv_params_make(b->params, &w, &t, 1);
}

static void load_block(const struct cpv_bind *b, cpv_clip *m, uint64_t i)
{
    const struct cpv_clip_config *k = &m->config;
    struct cpv_vit_layer *l = &m->vision.layer[i];
    int64_t width = k->vision.width;
    float eps = (float)k->vision.eps;

    l->attn_norm = (struct cpv_layer_norm){cpv_bind_norm(b, i, CPV_CLIP_V_NORM1), eps};
    l->attn.heads = k->vision.heads;
    if ((int)i < m->vision.layers - 1) {
        l->attn.qkv = attn_rows(b, i, 0, 3 * width, true);
        l->attn.out = cpv_bind_linear(b, i, CPV_CLIP_V_OUT);
    } else {
        m->vision.last.heads = k->vision.heads;
        m->vision.last.q = attn_rows(b, i, 0, width, false);
        m->vision.last.kv = attn_rows(b, i, width, 2 * width, true);
        m->vision.last.out = cpv_bind_linear(b, i, CPV_CLIP_V_OUT);
    }
    l->mlp_norm = (struct cpv_layer_norm){cpv_bind_norm(b, i, CPV_CLIP_V_NORM2), eps};
    l->mlp.act = m->act;
    l->mlp.in = cpv_bind_linear(b, i, CPV_CLIP_V_FC1);
    l->mlp.out = cpv_bind_linear(b, i, CPV_CLIP_V_FC2);
}

void clip_load_image(const struct cpv_bind *b, cpv_clip *m)
{
    const struct cpv_clip_config *k = &m->config;
    struct cpv_vit *v = &m->vision;
    float eps = (float)k->vision.eps;

    v->layers = k->vision.layers;
    v->tokens = k->vision.tokens;
    v->patches =
        (struct cpv_patches){.channels = 3,
                             .size = k->vision.image,
                             .patch = k->vision.patch,
                             .projection = cpv_bind_patches(b, 0, CPV_CLIP_V_CONV),
                             .class_token = cpv_bind_table(b, 0, CPV_CLIP_V_CLASS),
                             .positions = cpv_bind_table(b, 0, CPV_CLIP_V_POS)};
    v->pre = (struct cpv_layer_norm){cpv_bind_norm(b, 0, CPV_CLIP_V_PRE_NORM), eps};
    for (int i = 0; i < v->layers; i++)
        load_block(b, m, (uint64_t)i);
    v->norm = (struct cpv_layer_norm){cpv_bind_norm(b, 0, CPV_CLIP_V_POST_NORM), eps};
    m->vision_proj = turned(b, CPV_CLIP_V_PROJ);
}
