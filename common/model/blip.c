/* SPDX-License-Identifier: Apache-2.0 */
/* The network. */
#include "common/model/blip.h"

#include "common/base/sys.h"
#include "common/model/blip_impl.h"

void blip_remember(cpv_compute *c, const cpv_blip *m, cpv_tensor states, cpv_kv *memory)
{
    for (int i = 0; i < m->config.text.layers; i++) {
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        cpv_cross_attn_fill(c, &m->layer[i].cross, states, memory, i);
        cpv_compute_rewind(c, mark);
    }
}

cpv_tensor blip_decode(cpv_compute *c, const cpv_blip *m, cpv_tensor ids, cpv_rows rows,
                       cpv_kv *history, cpv_slots slots, const cpv_kv *memory,
                       cpv_slots memories)
{
    cpv_tensor at = cpv_kv_extend(c, history, rows, slots);
    cpv_tensor x = cpv_embed(c, ids, m->words, 1, m->positions, at, 0);

    x = cpv_layer_norm(c, x, m->embed_norm);
    for (int i = 0; i < m->config.text.layers; i++) {
        const struct blip_layer *l = &m->layer[i];
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        x = cpv_self_attn_step(c, &l->self, x, rows, history, i, slots, x);
        x = cpv_layer_norm(c, x, l->self_norm);
        x = cpv_cross_attn(c, &l->cross, x, rows, memory, i, memories, x);
        x = cpv_layer_norm(c, x, l->cross_norm);
        x = cpv_mlp(c, &l->mlp, x, x);
        x = cpv_layer_norm(c, x, l->norm);
        x = cpv_compute_keep(c, mark, x);
    }
    return x;
}

cpv_tensor blip_logits(cpv_compute *c, const cpv_blip *m, cpv_tensor x)
{
    x = cpv_linear(c, x, m->transform, m->config.text.act);
    x = cpv_layer_norm(c, x, m->transform_norm);
    return cpv_logits(c, x, m->head);
}

/* ---- for tests ---- */

/* Ample: a test does not ask for the least. */
static size_t ample(const cpv_blip *m, int tokens)
{
    const struct cpv_blip_config *k = &m->config;
    size_t vision = (size_t)k->vision.width * 8 + (size_t)k->vision.ffn;
    size_t text = (size_t)k->text.width * 16 + (size_t)k->text.ffn;
    size_t pixels = 3 * (size_t)k->vision.image * (size_t)k->vision.image;

    return sizeof(float) * ((size_t)(k->vision.tokens + 64) * (vision + text) * 2 +
                            (size_t)(tokens + 64) * text * (size_t)k->text.layers +
                            (size_t)tokens * (size_t)k->text.vocab + 3 * pixels) +
           (64u << 20);
}

static cpv_tensor look(cpv_compute *c, const cpv_blip *m, const float *pixels)
{
    int64_t side = m->config.vision.image;

    return cpv_vit_encode(c, &m->vision, cpv_put(c, 1, 3 * side * side, pixels));
}

int cpv_blip_states(const cpv_blip *m, const float *pixels, float *states,
                    struct cpv_err *err)
{
    struct cpv_compute_params params = {.arena = ample(m, 0)};
    cpv_compute *c = NULL;
    int rc = cpv_compute_open(&c, m->device, &params, err);

    if (!rc) {
        cpv_get(c, look(c, m, pixels), states);
        rc = cpv_compute_sync(c, err);
    }
    cpv_compute_close(&c);
    return rc;
}

static void force(cpv_compute *c, const cpv_blip *m, const float *pixels,
                  const int32_t *ids, int n, cpv_kv *history, cpv_kv *memory,
                  float *logits)
{
    const int32_t first = 0;
    cpv_slots slot = cpv_slots_put(c, &first, 1);
    cpv_tensor x = look(c, m, pixels);

    cpv_kv_extend(c, memory, cpv_rows_equal(c, m->config.vision.tokens, 1), slot);
    blip_remember(c, m, x, memory);
    x = blip_decode(c, m, cpv_put_i32(c, n, 1, ids), cpv_rows_equal(c, n, 1), history,
                    slot, memory, slot);
    cpv_get(c, blip_logits(c, m, x), logits);
}

int cpv_blip_logits(const cpv_blip *m, const float *pixels, const int32_t *ids, int n,
                    float *logits, struct cpv_err *err)
{
    struct cpv_kv_params kept = {.layers = m->config.text.layers,
                                 .slots = 1,
                                 .capacity = n,
                                 .width = m->config.text.width};
    struct cpv_compute_params params = {.arena = ample(m, n)};
    cpv_kv *history = NULL, *memory = NULL;
    cpv_compute *c = NULL;
    int rc = cpv_compute_open(&c, m->device, &params, err);

    if (!rc)
        rc = cpv_kv_open(&history, m->device, &kept, err);
    kept.fixed = true;
    kept.capacity = m->config.vision.tokens;
    if (!rc)
        rc = cpv_kv_open(&memory, m->device, &kept, err);
    if (!rc) {
        force(c, m, pixels, ids, n, history, memory, logits);
        rc = cpv_compute_sync(c, err);
    }
    cpv_kv_close(&memory);
    cpv_kv_close(&history);
    cpv_compute_close(&c);
    return rc;
}

/* ---- life ---- */

void cpv_blip_close(cpv_blip **m)
{
    if (!*m)
        return;
    cpv_params_close(&(*m)->params);
    cpv_wordpiece_close(&(*m)->tokenizer);
    cpv_free((*m)->vision.layer);
    cpv_free((*m)->layer);
    cpv_free((*m)->folder);
    cpv_free(*m);
    *m = NULL;
}

const struct cpv_blip_config *cpv_blip_config(const cpv_blip *m)
{
    return &m->config;
}

const struct cpv_pixels_config *cpv_blip_pixels(const cpv_blip *m)
{
    return &m->pixels;
}

size_t cpv_blip_bytes(const cpv_blip *m)
{
    return cpv_params_bytes(m->params);
}

struct cpv_search cpv_blip_search(const cpv_blip *m)
{
    struct cpv_search s = {.beams = 1, .length_penalty = 1, .forced_eos = -1};

    s.eos = m->config.text.sep;
    return s;
}
