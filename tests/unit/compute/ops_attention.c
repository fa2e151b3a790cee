/* SPDX-License-Identifier: Apache-2.0 */
/* Attention: packed and over slots. Items are whole sequences. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/ops.h"

/* ---- one query ---- */

static void attend_head(const struct op_attend *a, int h, double *want, double *mags)
{
    double top = -INFINITY, sum = 0, steep = 0;
    const int at = h * a->d;

    /* Twice over the keys rather than memory for their scores. */
    for (int pass = 0; pass < 2; pass++)
        for (int j = 0; j < a->keys; j++) {
            double s = 0, mag = 0, p;

            for (int i = 0; i < a->d; i++) {
                double v = (double)a->q[at + i] * (double)a->k[j][at + i];

                s += a->scale * v;
                mag += a->scale * fabs(v);
            }
            if (pass == 0) {
                top = fmax(top, s);
                steep = isfinite(mag) ? fmax(steep, mag) : steep;
                continue;
            }
            p = exp(s - top);
            sum += p;
            for (int i = 0; i < a->d; i++) {
                want[at + i] += p * (double)a->v[j][at + i];
                mags[at + i] += fabs(p * (double)a->v[j][at + i]);
            }
        }
    for (int i = 0; i < a->d; i++) {
        want[at + i] /= sum;
        /* A score's error, relative to what it was added up from, is a factor of p. */
        mags[at + i] *= (1 + 2 * steep) / sum;
    }
}

void op_attend(const struct op_attend *a, double *want, double *mags)
{
    for (int i = 0; i < a->heads * a->d; i++)
        want[i] = mags[i] = 0;
    for (int h = 0; h < a->heads && a->keys > 0; h++)
        attend_head(a, h, want, mags);
}

/* ---- trials: [sequences, heads, d, longest, causal, least] ---- */

struct packed {
    const float *q, *k, *v;
    int64_t stride;   /* of all three */
    int32_t n, keys;  /* rows of the sequence, and of what it looks at */
    int64_t from, at; /* first row of either */
};

static void sequence(struct trial *t, struct answer *a, const struct packed *s)
{
    int64_t w = t->s[1] * t->s[2];
    const float **k = trial_alloc(t, s->keys, sizeof *k);
    const float **v = trial_alloc(t, s->keys, sizeof *v);
    struct op_attend one = {.heads = (int)t->s[1], .d = (int)t->s[2], .k = k, .v = v};

    one.scale = 1 / sqrt((double)t->s[2]);
    for (int32_t j = 0; j < s->keys; j++) {
        k[j] = s->k + (s->at + j) * s->stride;
        v[j] = s->v + (s->at + j) * s->stride;
    }
    for (int32_t i = 0; i < s->n; i++) {
        int64_t row = s->from + i;

        one.q = s->q + row * s->stride;
        one.keys = t->s[4] ? s->keys - s->n + i + 1 : s->keys;
        op_attend(&one, a->want + row * w, a->mags + row * w);
    }
    t->terms = fmax(t->terms, (double)(s->keys + t->s[2]));
}

static struct cpv_heads heads_of(const struct run *r)
{
    return (struct cpv_heads){.count = (int)r->t->s[1], .causal = r->t->s[4]};
}

/* One tensor of queries, keys and values side by side, as a fused product makes it. */
static void make_self(struct trial *t)
{
    int n = (int)t->s[0];
    int64_t w = t->s[1] * t->s[2], total, row = 0;
    const int32_t *length =
        trial_lengths(t, n, (int32_t)t->s[5], (int32_t)t->s[3], &total);
    struct operand *qkv = trial_values(t, total, 3 * w);
    struct answer *a = trial_answer(t, total, w);

    t->items = n;
    t->length[0] = a->length = qkv->length = length;
    for (int i = 0; i < n; i++) {
        sequence(t, a,
                 &(struct packed){qkv->f, qkv->f + w, qkv->f + 2 * w, 3 * w, length[i],
                                  length[i], row, row});
        row += length[i];
    }
}

static void run_self(struct run *r)
{
    int64_t w = r->t->s[1] * r->t->s[2];

    r->out[0] =
        cpv_self_attention(r->c, cpv_columns(r->in[0], 0, w), cpv_columns(r->in[0], w, w),
                           cpv_columns(r->in[0], 2 * w, w), r->rows[0], heads_of(r));
}

/* Each sequence looks at one of its own, at least as long where it is causal. */
static void make_cross(struct trial *t)
{
    int n = (int)t->s[0];
    int64_t w = t->s[1] * t->s[2], total, keys = 0, row = 0, at = 0;
    const int32_t *length = trial_lengths(t, n, (int32_t)t->s[5], 4, &total);
    int32_t *kv = trial_alloc(t, n, sizeof *kv);
    struct operand *q, *k, *v;
    struct answer *a;

    for (int i = 0; i < n; i++) {
        kv[i] = 1 + (int32_t)((i * 7 + t->s[3] - 1) % t->s[3]);
        kv[i] += t->s[4] ? length[i] : 0;
        if (!t->s[4] && !t->s[5] && i % 3 == 2) /* nothing to look at */
            kv[i] = 0;
        keys += kv[i];
    }
    q = trial_values(t, total, w);
    k = trial_values(t, keys, w);
    v = trial_values(t, keys, w);
    a = trial_answer(t, total, w);
    t->items = n;
    t->length[0] = a->length = q->length = length;
    t->length[1] = k->length = v->length = kv;
    for (int i = 0; i < n; i++) {
        sequence(t, a, &(struct packed){q->f, k->f, v->f, w, length[i], kv[i], row, at});
        row += length[i];
        at += kv[i];
    }
}

static void run_cross(struct run *r)
{
    r->out[0] = cpv_cross_attention(r->c, r->in[0], r->rows[0], r->in[1], r->in[2],
                                    r->rows[1], (cpv_tensor){0}, heads_of(r));
}

/* The same from a cache: slots in falling order, the second of its two layers. */
static void run_slots(struct run *r)
{
    const struct trial *t = r->t;
    struct cpv_kv_params p = {
        .layers = 2, .slots = r->items + 1, .capacity = 1, .width = t->s[1] * t->s[2]};
    int32_t *slot = calloc((size_t)r->items, sizeof *slot);
    struct cpv_err err = {0};
    cpv_slots slots;

    for (int i = 0; i < r->items; i++) {
        slot[i] = r->items - i;
        p.capacity = r->length[1][i] > p.capacity ? r->length[1][i] : p.capacity;
    }
    p.fixed = !t->s[4];
    assert_ok(cpv_kv_open(&r->kv, cpv_compute_device(r->c), &p, &err));
    slots = cpv_slots_put(r->c, slot, r->items);
    (void)cpv_kv_extend(r->c, r->kv, r->rows[1], slots);
    cpv_kv_write(r->c, r->kv, 1, r->in[1], r->in[2]);
    cpv_kv_write(r->c, r->kv, 0, r->in[2], r->in[1]);
    r->out[0] = cpv_attend(r->c, r->in[0], r->rows[0], r->kv, 1, slots, heads_of(r));
    free(slot);
}

/* Few sequences of keys, looked at by many. */
static void make_source(struct trial *t)
{
    int n = (int)t->s[0], m = 5;
    int64_t w = t->s[1] * t->s[2], total, keys, row = 0, first[6] = {0};
    const int32_t *length = trial_lengths(t, n, (int32_t)t->s[5], 4, &total);
    const int32_t *kv = trial_lengths(t, m, 1, (int32_t)t->s[3], &keys);
    struct operand *q = trial_values(t, total, w), *k = trial_values(t, keys, w);
    struct operand *v = trial_values(t, keys, w), *source = trial_ids(t, n, 1, m);
    struct answer *a = trial_answer(t, total, w);

    t->items = n;
    t->length[0] = a->length = q->length = length;
    t->length[1] = kv;
    t->shared_rows = m;
    k->shared = v->shared = true;
    for (int i = 0; i < m; i++)
        first[i + 1] = first[i] + kv[i];
    for (int i = 0; i < n; i++) {
        int32_t s = source->i[i];

        sequence(t, a,
                 &(struct packed){q->f, k->f, v->f, w, length[i], kv[s], row, first[s]});
        row += length[i];
    }
}

static void run_source(struct run *r)
{
    r->out[0] = cpv_cross_attention(r->c, r->in[0], r->rows[0], r->in[1], r->in[2],
                                    r->rows[1], r->in[3], heads_of(r));
}

static const int64_t self_shapes[][TRIAL_SHAPE] = {
    {1, 1, 1, 1, 0, 1},   {3, 2, 5, 7, 0, 1},  {5, 3, 16, 17, 0, 0},
    {2, 1, 64, 70, 0, 9}, {3, 4, 33, 5, 0, 1}, {0}};
static const int64_t causal_shapes[][TRIAL_SHAPE] = {{1, 1, 1, 1, 1, 1},
                                                     {4, 2, 5, 9, 1, 0},
                                                     {3, 3, 16, 33, 1, 1},
                                                     {1, 1, 64, 130, 1, 130},
                                                     {0}};
static const int64_t cross_shapes[][TRIAL_SHAPE] = {{1, 1, 1, 1, 0, 4},
                                                    {5, 2, 7, 19, 0, 0},
                                                    {3, 3, 32, 67, 0, 1},
                                                    {2, 1, 65, 130, 0, 2},
                                                    {0}};
static const int64_t slot_shapes[][TRIAL_SHAPE] = {{1, 1, 1, 1, 1, 4},
                                                   {5, 2, 7, 19, 1, 0},
                                                   {3, 3, 32, 67, 1, 1},
                                                   {4, 2, 64, 9, 0, 1},
                                                   {0}};

#define ATTENTION(name_, make_, run_, shapes_, ...)                                      \
    {                                                                                    \
        .name = name_, .needs = {CPV_OP_ATTENTION, CPV_OP_COUNT},                        \
        .kinds = INPUT_ALL & ~INPUT_BIT(INPUT_HUGE), .floats_only = true,                \
        .shapes = shapes_, .batch = {__VA_ARGS__}, .make = make_, .run = run_            \
    }

const struct op_case ops_attention[] = {
    ATTENTION("self_attention", make_self, run_self, self_shapes, 1000, 2, 9, 4, 0, 1),
    ATTENTION("causal_attention", make_self, run_self, causal_shapes, 1000, 2, 9, 4, 1,
              1),
    ATTENTION("cross_attention", make_cross, run_cross, cross_shapes, 1000, 2, 9, 5, 0,
              1),
    ATTENTION("cross_source", make_source, run_source, cross_shapes, 1000, 2, 9, 11, 0,
              1),
    {.name = "slot_attention",
     .needs = {CPV_OP_ATTENTION, CPV_OP_KV_EXTEND, CPV_OP_KV_WRITE, CPV_OP_COUNT},
     .composite = true,
     .kinds = INPUT_ALL & ~INPUT_BIT(INPUT_HUGE),
     .floats_only = true,
     .shapes = slot_shapes,
     .batch = {1000, 2, 9, 5, 1, 1},
     .make = make_cross,
     .run = run_slots},
    {.name = NULL},
};
