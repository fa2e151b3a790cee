/* SPDX-License-Identifier: Apache-2.0 */
/* trial.h: what a trial is made of. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/base/rng.h"
#include "tests/unit/compute/trial.h"

/* Streams of random numbers, below those that operands get one by one. */
enum { STREAM_LENGTHS = 1, STREAM_FIRST = 16 };

void trial_open(struct trial *t, const struct op_case *op, const int64_t *shape,
                enum input_kind kind, struct place_dtypes dtypes, uint64_t seed)
{
    struct cpv_err err = {0};

    memset(t, 0, sizeof *t);
    t->op = op;
    memcpy(t->s, shape, sizeof t->s);
    t->kind = kind;
    t->weights = dtypes.weights;
    t->values = dtypes.values;
    t->seed = seed;
    t->stream = STREAM_FIRST;
    t->terms = 1;
    assert_ok(cpv_arena_open(&t->mem, (size_t)1 << 20, &err));
}

void trial_close(struct trial *t)
{
    trial_unbind(t);
    cpv_arena_close(&t->mem);
}

void trial_bind(struct trial *t, struct place *p)
{
    struct cpv_err err = {0};

    trial_unbind(t);
    for (int i = 0; i < t->n_w; i++)
        assert_ok(cpv_weight_create(&t->w[i].on, p->device, &t->w[i].p, &err));
}

void trial_unbind(struct trial *t)
{
    for (int i = 0; i < t->n_w; i++)
        cpv_weight_close(&t->w[i].on);
}

void *trial_alloc(struct trial *t, int64_t count, size_t size)
{
    void *mem = cpv_arena_calloc(t->mem, count > 0 ? (size_t)count : 1, size);

    if (!mem)
        fail_msg("out of memory");
    return mem;
}

/* ---- operands ---- */

static struct operand *operand(struct trial *t, int64_t rows, int64_t cols)
{
    struct operand *o = &t->in[t->n_in++];

    assert_true(t->n_in <= TRIAL_IN);
    *o = (struct operand){.rows = rows, .cols = cols};
    return o;
}

struct operand *trial_values_of(struct trial *t, int64_t rows, int64_t cols,
                                enum input_kind kind)
{
    struct operand *o = operand(t, rows, cols);

    o->f = trial_alloc(t, rows * cols, sizeof *o->f);
    input_fill(o->f, rows, cols, kind, t->values, t->seed, t->stream++);
    return o;
}

struct operand *trial_values(struct trial *t, int64_t rows, int64_t cols)
{
    return trial_values_of(t, rows, cols, t->kind);
}

struct operand *trial_ids(struct trial *t, int64_t rows, int64_t cols, int32_t below)
{
    struct operand *o = operand(t, rows, cols);

    o->i = trial_alloc(t, rows * cols, sizeof *o->i);
    input_ids(o->i, (size_t)(rows * cols), below, t->seed, t->stream++);
    return o;
}

const int32_t *trial_lengths(struct trial *t, int n, int32_t least, int32_t most,
                             int64_t *total)
{
    int32_t *length = trial_alloc(t, n, sizeof *length);

    input_ids(length, (size_t)n, most - least + 1, t->seed, t->stream++);
    *total = 0;
    for (int i = 0; i < n; i++) {
        length[i] += least;
        *total += length[i];
    }
    /* Both ends of the range occur. */
    *total += most - length[n - 1];
    length[n - 1] = most;
    return length;
}

/* ---- weights ---- */

void trial_eight(const float *x, int64_t n, float *to, float *tie)
{
    float top = 0, scale;
    bool finite = true;

    for (int64_t k = 0; k < n; k++) {
        top = fmaxf(top, fabsf(x[k]));
        finite = finite && isfinite(x[k]);
    }
    scale = top > 0 ? top / 127 : 1;
    for (int64_t k = 0; k < n; k++) {
        double steps = (double)x[k] / (double)scale;

        to[k] = finite ? (float)nearbyint(steps) * scale : NAN;
        tie[k] = finite && fabs(fabs(steps - trunc(steps)) - 0.5) < 4e-5 ? scale : 0;
    }
}

static float *normal(struct trial *t, int64_t n, double scale, cpv_dtype dtype)
{
    float *to = trial_alloc(t, n, sizeof *to);
    struct cpv_rng r;

    cpv_rng_init(&r, t->seed, t->stream++, 2);
    for (int64_t i = 0; i < n; i++)
        to[i] = input_round(dtype, scale * cpv_rng_normal(&r));
    return to;
}

struct trial_weight *trial_matrix(struct trial *t, int64_t out, int64_t in, unsigned use,
                                  double scale, bool bias, int rank)
{
    struct trial_weight *w = &t->w[t->n_w++];
    bool norm = use & CPV_USE_NORM;
    cpv_dtype dtype = norm || t->weights == CPV_I8 ? CPV_F32 : t->weights;

    assert_true(t->n_w <= TRIAL_WEIGHTS);
    w->p = (struct cpv_weight_params){.name = "w", .out = out, .in = in, .use = use};
    w->w = normal(t, out * in, scale, dtype);
    w->p.matrix.plain = w->w;
    if (norm)
        for (int64_t i = 0; i < in; i++)
            w->w[i] += 1;
    if (bias) {
        w->bias = normal(t, norm ? in : out, 0.5, CPV_F32);
        w->p.bias.plain = w->bias;
    }
    if (rank > 0) {
        w->a = normal(t, rank * in, scale, dtype);
        w->b = normal(t, out * rank, scale, dtype);
        w->p.lora = (struct cpv_lora){rank, 0.75F, w->a, w->b};
    }
    if (t->weights == CPV_I8 && (use & CPV_USE_LINEAR)) {
        w->w = trial_alloc(t, out * in, sizeof *w->w);
        w->tie = trial_alloc(t, out * in, sizeof *w->tie);
        for (int64_t r = 0; r < out; r++)
            trial_eight(w->p.matrix.plain + r * in, in, w->w + r * in, w->tie + r * in);
    }
    return w;
}

/* ---- answers ---- */

static struct answer *answer(struct trial *t, int64_t rows, int64_t cols)
{
    struct answer *a = &t->out[t->n_out++];

    assert_true(t->n_out <= TRIAL_OUT);
    *a = (struct answer){.rows = rows, .cols = cols, .each = 1};
    return a;
}

struct answer *trial_answer(struct trial *t, int64_t rows, int64_t cols)
{
    struct answer *a = answer(t, rows, cols);

    a->want = trial_alloc(t, rows * cols, sizeof *a->want);
    a->mags = trial_alloc(t, rows * cols, sizeof *a->mags);
    return a;
}

struct answer *trial_answer_ids(struct trial *t, int64_t rows, int64_t cols)
{
    struct answer *a = answer(t, rows, cols);

    a->ids = trial_alloc(t, rows * cols, sizeof *a->ids);
    return a;
}
