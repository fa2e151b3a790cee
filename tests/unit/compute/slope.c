/* SPDX-License-Identifier: Apache-2.0 */
/* slope.h */
#include "tests/unit/base/unit.h"

#include "tests/unit/compute/slope.h"

void slope_open(struct slope *s, struct place *p)
{
    struct cpv_err err = {0};

    memset(s, 0, sizeof *s);
    s->place = p;
    assert_ok(cpv_arena_open(&s->mem, 0, &err));
}

void slope_fill(struct slope *s, struct slope_input *in, int64_t rows, int64_t cols)
{
    *in = (struct slope_input){.rows = rows, .cols = cols};
    in->f = cpv_arena_calloc(s->mem, (size_t)(rows * cols), sizeof *in->f);
    in->d = cpv_arena_calloc(s->mem, (size_t)(rows * cols), sizeof *in->d);
    assert_true(in->f && in->d);
    input_fill(in->f, rows, cols, INPUT_NORMAL, CPV_F32, 11, s->stream++);
    for (int64_t i = 0; i < rows * cols; i++)
        in->d[i] = (double)in->f[i];
}

static double loss(const struct slope *s, double *y)
{
    double sum = 0;

    s->eval(s, y);
    for (int64_t i = 0; i < s->dy.rows * s->dy.cols; i++)
        sum += s->dy.d[i] * y[i];
    return sum;
}

static double *differences(const struct slope *s, const struct slope_input *in)
{
    size_t n = (size_t)(in->rows * in->cols);
    double *y = cpv_arena_calloc(s->mem, (size_t)(s->dy.rows * s->dy.cols), sizeof *y);
    double *to = cpv_arena_calloc(s->mem, n, sizeof *to);
    const double step = 1e-5;

    assert_true(y && to);
    for (size_t i = 0; i < n; i++) {
        double was = in->d[i], up;

        in->d[i] = was + step;
        up = loss(s, y);
        in->d[i] = was - step;
        to[i] = (up - loss(s, y)) / (2 * step);
        in->d[i] = was;
    }
    return to;
}

/* The gradients of all inputs, with so many threads. */
static void pass(struct slope *s, int context, float *got[SLOPE_INPUTS])
{
    cpv_compute *c = place_context(s->place, context);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    cpv_tensor t[SLOPE_INPUTS] = {{0}}, y;
    struct cpv_err err = {0};

    if (s->make)
        s->make(s);
    cpv_tape_clear(c);
    cpv_tape_start(c);
    for (int i = 0; i < SLOPE_INPUTS; i++) {
        if (!s->in[i].f || s->in[i].weight)
            continue;
        t[i] = cpv_put(c, s->in[i].rows, s->in[i].cols, s->in[i].f);
        if (!s->in[i].constant)
            t[i] = cpv_watch(c, t[i]);
    }
    y = s->run(s, c, t);
    cpv_tape_stop(c);
    cpv_backward(c, y, cpv_put(c, s->dy.rows, s->dy.cols, s->dy.f));
    if (cpv_compute_failed(c) && cpv_compute_sync(c, &err))
        fail_msg("%s", err.text);
    for (int i = 0; i < SLOPE_INPUTS; i++) {
        const struct slope_input *in = &s->in[i];

        if (!in->f || in->constant)
            continue;
        got[i] = cpv_arena_calloc(s->mem, (size_t)(in->rows * in->cols), sizeof *got[i]);
        assert_non_null(got[i]);
        assert_true(cpv_get(c,
                            in->weight ? cpv_weight_grad(s->w[in->weight], in->which)
                                       : cpv_grad(c, t[i]),
                            got[i]));
    }
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
    for (int i = 0; i <= SLOPE_INPUTS; i++)
        cpv_weight_close(&s->w[i]);
}

void slope_check(struct slope *s, const char *what)
{
    struct tolerance tol = {.top = 2e-6 + 24 * input_unit(CPV_F32)};
    float *got[PLACE_CONTEXTS][SLOPE_INPUTS];
    char text[400];

    for (int k = 0; k < PLACE_CONTEXTS; k++)
        pass(s, k, got[k]);
    for (int i = 0; i < SLOPE_INPUTS; i++) {
        const struct slope_input *in = &s->in[i];
        size_t n = (size_t)(in->rows * in->cols);

        if (!in->f || in->constant)
            continue;
        if (!compare_f64(got[0][i], n, differences(s, in), n, &tol, (size_t)in->cols,
                         NULL, text, sizeof text))
            fail_msg("%s, %s: gradient of input %d: %s", s->place->text, what, i, text);
        for (int k = 1; k < PLACE_CONTEXTS; k++)
            if (!compare_bits(got[k][i], n, got[0][i], n, 0, text, sizeof text))
                fail_msg("%s, %s: input %d, %d threads: %s", s->place->text, what, i,
                         place_threads(k), text);
    }
    cpv_arena_close(&s->mem);
}
