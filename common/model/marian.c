/* SPDX-License-Identifier: Apache-2.0 */
/* The network. */
#include "common/model/marian.h"

#include <math.h>

#include "common/base/sys.h"
#include "common/model/marian_impl.h"

static float scale_of(const cpv_marian *m)
{
    return m->config.scale_embedding ? sqrtf((float)m->config.d_model) : 1;
}

cpv_tensor marian_encode(cpv_compute *c, const cpv_marian *m, cpv_tensor ids,
                         cpv_rows rows)
{
    cpv_tensor at = cpv_positions(c, rows);
    cpv_tensor x = cpv_embed(c, ids, m->source, scale_of(m), m->source_positions, at, 0);

    for (int i = 0; i < m->config.encoder_layers; i++) {
        const struct marian_encoder_layer *l = &m->encoder[i];
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        x = cpv_self_attn(c, &l->self, x, rows, false, x);
        x = cpv_layer_norm(c, x, l->self_norm);
        x = cpv_mlp(c, &l->mlp, x, x);
        x = cpv_layer_norm(c, x, l->norm);
        x = cpv_compute_keep(c, mark, x);
    }
    return x;
}

void marian_remember(cpv_compute *c, const cpv_marian *m, cpv_tensor encoded,
                     cpv_kv *memory)
{
    for (int i = 0; i < m->config.decoder_layers; i++) {
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        cpv_cross_attn_fill(c, &m->decoder[i].cross, encoded, memory, i);
        cpv_compute_rewind(c, mark);
    }
}

cpv_tensor marian_decode(cpv_compute *c, const cpv_marian *m, cpv_tensor ids,
                         cpv_rows rows, cpv_kv *history, cpv_slots slots,
                         const cpv_kv *memory, cpv_slots memories)
{
    cpv_tensor at = cpv_kv_extend(c, history, rows, slots);
    cpv_tensor x = cpv_embed(c, ids, m->target, scale_of(m), m->target_positions, at, 0);

    for (int i = 0; i < m->config.decoder_layers; i++) {
        const struct marian_decoder_layer *l = &m->decoder[i];
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

/* ---- teacher forcing ---- */

static void force(cpv_compute *c, const cpv_marian *m, struct cpv_sentence source,
                  struct cpv_sentence target, cpv_kv *history, cpv_kv *memory,
                  float *logits)
{
    const int32_t first = 0;
    cpv_rows in = cpv_rows_put(c, &source.n, 1), out = cpv_rows_put(c, &target.n, 1);
    cpv_slots slot = cpv_slots_put(c, &first, 1);
    cpv_tensor x = marian_encode(c, m, cpv_put_i32(c, source.n, 1, source.ids), in);

    cpv_kv_extend(c, memory, in, slot);
    marian_remember(c, m, x, memory);
    x = marian_decode(c, m, cpv_put_i32(c, target.n, 1, target.ids), out, history, slot,
                      memory, slot);
    cpv_get(c, cpv_logits(c, x, m->head), logits);
}

int cpv_marian_logits(const cpv_marian *m, struct cpv_sentence source,
                      struct cpv_sentence target, float *logits, struct cpv_err *err)
{
    const struct cpv_marian_config *k = &m->config;
    struct cpv_kv_params kept = {.layers = k->decoder_layers,
                                 .slots = 1,
                                 .capacity = source.n > target.n ? source.n : target.n,
                                 .width = k->d_model};
    /* Ample: a test does not ask for the least. */
    size_t row = (size_t)(k->d_model * 16 + k->encoder_ffn + k->decoder_ffn) *
                 (size_t)(k->encoder_layers + k->decoder_layers + 1) * sizeof(float);
    struct cpv_compute_params params = {
        .arena = ((size_t)source.n + (size_t)target.n + 64) * row +
                 (size_t)target.n * (size_t)k->target_vocab * sizeof(float) +
                 (64u << 20)};
    cpv_kv *history = NULL, *memory = NULL;
    cpv_compute *c = NULL;
    int rc = cpv_compute_open(&c, m->device, &params, err);

    if (!rc)
        rc = cpv_kv_open(&history, m->device, &kept, err);
    kept.fixed = true;
    if (!rc)
        rc = cpv_kv_open(&memory, m->device, &kept, err);
    if (!rc) {
        force(c, m, source, target, history, memory, logits);
        rc = cpv_compute_sync(c, err);
    }
    cpv_kv_close(&memory);
    cpv_kv_close(&history);
    cpv_compute_close(&c);
    return rc;
}

/* ---- life ---- */

void cpv_marian_close(cpv_marian **m)
{
    if (!*m)
        return;
    cpv_params_close(&(*m)->params);
    cpv_free((*m)->encoder);
    cpv_free((*m)->decoder);
    cpv_free((*m)->folder);
    cpv_free(*m);
    *m = NULL;
}

const struct cpv_marian_config *cpv_marian_config(const cpv_marian *m)
{
    return &m->config;
}

size_t cpv_marian_bytes(const cpv_marian *m)
{
    return cpv_params_bytes(m->params);
}
