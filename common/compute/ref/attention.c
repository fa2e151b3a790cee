/* SPDX-License-Identifier: Apache-2.0 */
/* softmax(scale q k^T) v, for each head of each query. */
#include <math.h>

#include "common/compute/ref/ref.h"

/* Where the keys and values of one sequence are. */
struct keys {
    cpv_tensor k, v;
    int64_t first;        /* packed: row of the first */
    const int32_t *table; /* slots: whose row each position is */
    int64_t capacity;
    int32_t count;
};

static struct keys keys_of(const struct cpv_op_attention *a, int32_t sequence)
{
    struct keys s = {.k = a->k, .v = a->v};
    int32_t from;

    if (a->kv) {
        int32_t slot = a->slots.host[sequence];

        s.k = cpv_kv_layer(a->kv, a->layer, 0);
        s.v = cpv_kv_layer(a->kv, a->layer, 1);
        s.capacity = a->kv->p.capacity;
        s.table = a->kv->table + slot * s.capacity;
        s.count = a->kv->length[slot];
        return s;
    }
    from = a->source.data ? *cpv_i32(a->source, sequence) : sequence;
    s.first = a->kv_rows.offset[from];
    s.count = a->kv_rows.offset[from + 1] - a->kv_rows.offset[from];
    return s;
}

static int64_t row_of(const struct keys *s, int32_t t)
{
    return s->table ? s->table[t] * s->capacity + t : s->first + t;
}

/* Where a query is, of all; of its sequence; and the head. */
struct query {
    int64_t row;
    int32_t sequence, position;
    int head;
};

static void drop(const struct cpv_draw *draw, const struct query *q, int32_t seen,
                 double *p)
{
    for (int32_t t = 0; draw->below && t < seen; t++)
        p[t] *= cpv_draw_at(draw, (uint32_t)q->sequence, (uint32_t)q->position,
                            (uint32_t)q->head, (uint32_t)t);
}

/* One query, one head of d channels. Returns the log of the sum. */
static double look(const struct cpv_op_attention *a, const struct keys *s,
                   const struct query *at_query, int64_t d, int32_t seen, double *score)
{
    int64_t row = at_query->row, at = at_query->head * d;
    const float *q = cpv_f32(a->q, row) + at;
    float *out = cpv_f32(a->out, row) + at;
    double most = -INFINITY, sum = 0;

    for (int32_t t = 0; t < seen; t++) {
        const float *k = cpv_f32(s->k, row_of(s, t)) + at;

        score[t] = 0;
        for (int64_t j = 0; j < d; j++)
            score[t] += (double)q[j] * k[j];
        score[t] *= a->scale;
        if (score[t] > most || isnan(score[t]))
            most = score[t];
    }
    for (int32_t t = 0; t < seen; t++)
        sum += score[t] = exp(score[t] - most);
    drop(&a->drop, at_query, seen, score);
    for (int64_t j = 0; j < d; j++) {
        double v = 0;

        for (int32_t t = 0; t < seen; t++)
            v += score[t] * cpv_f32(s->v, row_of(s, t))[at + j];
        out[j] = seen > 0 ? (float)(v / sum) : 0;
    }
    return most + log(sum);
}

REF_RUN(attention)
{
    const struct cpv_op_attention *a = &op->attention;
    int64_t d = a->q.cols / a->heads;

    (void)c;
    (void)err;
    for (int32_t i = 0; i < a->rows.count; i++) {
        struct keys s = keys_of(a, i);
        int32_t n = a->rows.offset[i + 1] - a->rows.offset[i];

        for (int32_t j = 0; j < n; j++) {
            int32_t seen = a->causal ? s.count - n + j + 1 : s.count;
            int64_t row = a->rows.offset[i] + j;

            for (int h = 0; h < a->heads; h++) {
                struct query q = {row, i, j, h};
                double lse = look(a, &s, &q, d, seen < 0 ? 0 : seen, scratch);

                if (a->lse.data)
                    cpv_f32(a->lse, row)[h] = (float)lse;
            }
        }
    }
    return CPV_OK;
}
