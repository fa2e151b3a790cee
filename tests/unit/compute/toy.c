/* SPDX-License-Identifier: Apache-2.0 */
/* toy.h */
#include "tests/unit/compute/toy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/rng.h"

/* ---- weights ---- */

struct maker {
    struct toy *t;
    const char *wrong;
    uint32_t stream;
    struct cpv_err *err;
    int rc;
};

/* Rows of random numbers: what (stream, row) names, whoever asks. */
struct rows {
    uint32_t stream;
    int64_t cols;
    double scale, around;
};

static int draw_rows(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    const struct rows *s = arg;

    (void)err;
    for (int64_t i = 0; i < n; i++) {
        struct cpv_rng r;

        cpv_rng_init(&r, 4711, s->stream, (uint64_t)(first + i));
        for (int64_t k = 0; k < s->cols; k++)
            *to++ = (float)(s->around + s->scale * cpv_rng_normal(&r));
    }
    return CPV_OK;
}

static cpv_weight *make(struct maker *m, const char *part, int layer, const char *name,
                        int64_t out, int64_t in, unsigned use)
{
    char whole[48];
    bool norm = use == CPV_USE_NORM, table = use & CPV_USE_TABLE;
    struct rows matrix = {.stream = m->stream, .around = norm ? 1 : 0};
    struct rows bias = {.stream = m->stream + 1, .cols = norm ? in : out, .scale = 0.02};
    struct cpv_weight_params p = {.name = whole, .out = out, .use = use};
    cpv_weight *w = NULL;

    if (m->rc)
        return NULL;
    m->stream += 2;
    (void)snprintf(whole, sizeof whole, "%s.%d.%s", part, layer, name);
    p.in = in + (m->wrong && strcmp(m->wrong, whole) == 0 ? 1 : 0);
    matrix.cols = p.in;
    matrix.scale = norm ? 0.1 : table ? 1 : 1.6 / sqrt((double)in);
    p.matrix = (struct cpv_source){.rows = draw_rows, .arg = &matrix};
    if (!table)
        p.bias = (struct cpv_source){.rows = draw_rows, .arg = &bias};
    m->rc = cpv_weight_create(&w, m->t->device, &p, m->err);
    m->t->bytes += w ? cpv_weight_bytes(w) : 0;
    return w;
}

static void make_layer(struct maker *m, struct toy_layer *l, const char *part, int i)
{
    const int64_t d = TOY_WIDTH, h = TOY_INNER;
    bool decoder = strcmp(part, "dec") == 0;

    l->norm1 = make(m, part, i, "norm1", 1, d, CPV_USE_NORM);
    l->norm2 = make(m, part, i, "norm2", 1, d, CPV_USE_NORM);
    l->qkv = make(m, part, i, "qkv", 3 * d, d, CPV_USE_LINEAR);
    l->out = make(m, part, i, "out", d, d, CPV_USE_LINEAR);
    l->fc1 = make(m, part, i, "fc1", h, d, CPV_USE_LINEAR);
    l->fc2 = make(m, part, i, "fc2", d, h, CPV_USE_LINEAR);
    if (!decoder)
        return;
    l->norm3 = make(m, part, i, "norm3", 1, d, CPV_USE_NORM);
    l->cross_q = make(m, part, i, "cross_q", d, d, CPV_USE_LINEAR);
    l->cross_kv = make(m, part, i, "cross_kv", 2 * d, d, CPV_USE_LINEAR);
    l->cross_out = make(m, part, i, "cross_out", d, d, CPV_USE_LINEAR);
}

int toy_open(struct toy *t, cpv_device *device, const char *wrong, struct cpv_err *err)
{
    struct maker m = {.t = t, .wrong = wrong, .err = err};

    memset(t, 0, sizeof *t);
    t->device = device;
    t->words =
        make(&m, "toy", 0, "words", TOY_WORDS, TOY_WIDTH, CPV_USE_TABLE | CPV_USE_LINEAR);
    t->places = make(&m, "toy", 0, "places", TOY_LONGEST, TOY_WIDTH, CPV_USE_TABLE);
    t->last = make(&m, "enc", 0, "last", 1, TOY_WIDTH, CPV_USE_NORM);
    for (int i = 0; i < TOY_LAYERS; i++) {
        make_layer(&m, &t->enc[i], "enc", i);
        make_layer(&m, &t->dec[i], "dec", i);
    }
    if (m.rc)
        toy_close(t);
    return m.rc;
}

static void close_layer(struct toy_layer *l)
{
    cpv_weight **all[] = {&l->norm1,   &l->norm2,    &l->norm3,     &l->qkv, &l->out,
                          &l->cross_q, &l->cross_kv, &l->cross_out, &l->fc1, &l->fc2};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cpv_weight_close(all[i]);
}

void toy_close(struct toy *t)
{
    for (int i = 0; i < TOY_LAYERS; i++) {
        close_layer(&t->enc[i]);
        close_layer(&t->dec[i]);
    }
    cpv_weight_close(&t->words);
    cpv_weight_close(&t->places);
    cpv_weight_close(&t->last);
}

/* ---- forward ---- */

static const struct cpv_heads heads = {.count = TOY_HEADS};
static const struct cpv_heads causal = {.count = TOY_HEADS, .causal = true};

static cpv_tensor embed(const struct toy *t, cpv_compute *c, const int32_t *ids,
                        int64_t n, cpv_tensor at)
{
    return cpv_embed(c, cpv_put_i32(c, n, 1, ids), t->words, 0.3F, t->places, at, 0);
}

static cpv_tensor third(cpv_tensor qkv, int i)
{
    return cpv_columns(qkv, (int64_t)i * TOY_WIDTH, TOY_WIDTH);
}

cpv_tensor toy_encode(const struct toy *t, cpv_compute *c, const int32_t *ids,
                      cpv_rows rows)
{
    cpv_tensor x = embed(t, c, ids, rows.total, cpv_positions(c, rows)), h;

    for (int i = 0; i < TOY_LAYERS; i++) {
        const struct toy_layer *l = &t->enc[i];

        h = cpv_linear(c, cpv_layernorm(c, x, l->norm1, 1e-6F), l->qkv, CPV_IDENTITY);
        h = cpv_self_attention(c, third(h, 0), third(h, 1), third(h, 2), rows, heads);
        x = cpv_linear_add(c, h, l->out, x);
        h = cpv_linear(c, cpv_layernorm(c, x, l->norm2, 1e-6F), l->fc1, CPV_GELU);
        x = cpv_linear_add(c, h, l->fc2, x);
    }
    return cpv_layernorm(c, x, t->last, 1e-6F);
}

void toy_remember(const struct toy *t, cpv_compute *c, cpv_kv *memory, cpv_tensor x,
                  cpv_rows rows, cpv_slots slots)
{
    (void)cpv_kv_extend(c, memory, rows, slots);
    for (int i = 0; i < TOY_LAYERS; i++) {
        cpv_tensor kv = cpv_linear(c, x, t->dec[i].cross_kv, CPV_IDENTITY);

        cpv_kv_write(c, memory, i, third(kv, 0), third(kv, 1));
    }
}

/* What follows attention to itself, in both forms of the decoder. */
static cpv_tensor after_self(cpv_compute *c, const struct toy_layer *l, cpv_tensor h,
                             cpv_tensor x)
{
    return cpv_layernorm(c, cpv_linear_add(c, h, l->out, x), l->norm1, 1e-6F);
}

static cpv_tensor after_cross(cpv_compute *c, const struct toy_layer *l, cpv_tensor h,
                              cpv_tensor x)
{
    x = cpv_layernorm(c, cpv_linear_add(c, h, l->cross_out, x), l->norm2, 1e-6F);
    h = cpv_linear(c, x, l->fc1, CPV_RELU);
    return cpv_layernorm(c, cpv_linear_add(c, h, l->fc2, x), l->norm3, 1e-6F);
}

cpv_tensor toy_step(const struct toy *t, cpv_compute *c, cpv_kv *self,
                    const cpv_kv *memory, const int32_t *ids, cpv_rows rows,
                    cpv_slots slots)
{
    cpv_tensor at = cpv_kv_extend(c, self, rows, slots), h;
    cpv_tensor x = embed(t, c, ids, rows.total, at);

    for (int i = 0; i < TOY_LAYERS; i++) {
        const struct toy_layer *l = &t->dec[i];

        h = cpv_linear(c, x, l->qkv, CPV_IDENTITY);
        cpv_kv_write(c, self, i, third(h, 1), third(h, 2));
        h = cpv_attend(c, third(h, 0), rows, self, i, slots, causal);
        x = after_self(c, l, h, x);
        h = cpv_linear(c, x, l->cross_q, CPV_IDENTITY);
        h = cpv_attend(c, h, rows, memory, i, slots, heads);
        x = after_cross(c, l, h, x);
    }
    return cpv_logits(c, x, t->words);
}

cpv_tensor toy_full(const struct toy *t, cpv_compute *c, cpv_tensor encoded,
                    cpv_rows sources, const int32_t *ids, cpv_rows rows)
{
    cpv_tensor x = embed(t, c, ids, rows.total, cpv_positions(c, rows)), h, kv;
    const cpv_tensor none = {0};

    for (int i = 0; i < TOY_LAYERS; i++) {
        const struct toy_layer *l = &t->dec[i];

        h = cpv_linear(c, x, l->qkv, CPV_IDENTITY);
        h = cpv_self_attention(c, third(h, 0), third(h, 1), third(h, 2), rows, causal);
        x = after_self(c, l, h, x);
        h = cpv_linear(c, x, l->cross_q, CPV_IDENTITY);
        kv = cpv_linear(c, encoded, l->cross_kv, CPV_IDENTITY);
        h = cpv_cross_attention(c, h, rows, third(kv, 0), third(kv, 1), sources, none,
                                heads);
        x = after_cross(c, l, h, x);
    }
    return cpv_logits(c, x, t->words);
}
