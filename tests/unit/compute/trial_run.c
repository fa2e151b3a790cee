/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial.h: an operation through the front door, twice, between guards.
 *
 * Before and after every operand lies a tensor of sentinels. For the second time the
 * arena behind the operands is filled with a pattern that is NaN in every dtype: a result
 * that depends on memory that nobody wrote differs from the first; what lies behind the
 * outputs and the scratch, and between an output and the next boundary, must still hold
 * the pattern afterwards.
 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/ops.h"

enum { GUARD = 64, MARGIN = 1024, VIEW_LEFT = 3, VIEW_RIGHT = 5 };
#define PATTERN 0x7fc57fc5

struct guards {
    cpv_tensor at[2 * TRIAL_IN + 2];
    int n;
};

static void guard(cpv_compute *c, struct guards *g)
{
    int32_t sentinel[GUARD];

    for (int i = 0; i < GUARD; i++)
        sentinel[i] = PATTERN + i;
    g->at[g->n++] = cpv_put_i32(c, 1, GUARD, sentinel);
}

static void check_guards(cpv_compute *c, const struct trial *t, const struct guards *g)
{
    int32_t found[GUARD];

    for (int n = 0; n < g->n; n++) {
        assert_true(cpv_get_i32(c, g->at[n], found));
        for (int i = 0; i < GUARD; i++)
            if (found[i] != PATTERN + i)
                fail_msg("%s: wrote %d bytes into guard %d", t->op->name, 4 * i, n);
    }
}

/* ---- operands of the chosen items ---- */

struct chosen {
    int64_t rows, cols;
    float *f;
    int32_t *i;
};

static void choose(struct trial *t, const struct operand *o, const int32_t *order,
                   int items, struct chosen *to)
{
    int64_t *first = trial_alloc(t, t->items + 1, sizeof *first);
    size_t size = (size_t)o->cols * 4;
    const char *from = o->f ? (const char *)o->f : (const char *)o->i;
    char *mem = trial_alloc(t, 1 + o->rows * (items / (t->items + 1) + 1), size);

    *to = (struct chosen){.cols = o->cols};
    if (o->f)
        to->f = (float *)(void *)mem;
    else
        to->i = (int32_t *)(void *)mem;
    if (o->shared) {
        memcpy(mem, from, (size_t)o->rows * size);
        to->rows = o->rows;
        return;
    }
    for (int i = 0; i < t->items; i++)
        first[i + 1] = first[i] + (o->length ? o->length[i] : 1);
    assert_int_equal(first[t->items], o->rows);
    for (int i = 0; i < items; i++) {
        int64_t a = first[order[i]], n = first[order[i] + 1] - a;

        memcpy(mem + (size_t)to->rows * size, from + (size_t)a * size, (size_t)n * size);
        to->rows += n;
    }
}

/* As columns and rows of something wider, full of what must not be looked at. */
static cpv_tensor put(struct trial *t, cpv_compute *c, const struct chosen *o, bool view)
{
    int64_t rows = o->rows + 2, cols = o->cols + VIEW_LEFT + VIEW_RIGHT;
    cpv_tensor wide;

    if (!view)
        return o->f ? cpv_put(c, o->rows, o->cols, o->f)
                    : cpv_put_i32(c, o->rows, o->cols, o->i);
    if (o->f) {
        float *w = trial_alloc(t, rows * cols, sizeof *w);

        for (int64_t i = 0; i < rows * cols; i++)
            w[i] = NAN;
        for (int64_t r = 0; r < o->rows; r++)
            memcpy(w + (r + 1) * cols + VIEW_LEFT, o->f + r * o->cols,
                   (size_t)o->cols * sizeof *w);
        wide = cpv_put(c, rows, cols, w);
    } else {
        int32_t *w = trial_alloc(t, rows * cols, sizeof *w);

        for (int64_t i = 0; i < rows * cols; i++)
            w[i] = INT32_MIN / 2;
        for (int64_t r = 0; r < o->rows; r++)
            memcpy(w + (r + 1) * cols + VIEW_LEFT, o->i + r * o->cols,
                   (size_t)o->cols * sizeof *w);
        wide = cpv_put_i32(c, rows, cols, w);
    }
    return cpv_columns(cpv_row_range(wide, 1, o->rows), VIEW_LEFT, o->cols);
}

static void check_inputs(struct trial *t, cpv_compute *c, const struct run *r,
                         const struct chosen *in)
{
    char text[300];

    for (int k = 0; k < t->n_in; k++) {
        size_t n = (size_t)(in[k].rows * in[k].cols);
        void *now = trial_alloc(t, (int64_t)n, 4);

        if (in[k].f) {
            assert_true(cpv_get(c, r->in[k], now));
            if (!compare_bits(now, n, in[k].f, n, (size_t)in[k].cols, text, sizeof text))
                fail_msg("%s: operand %d was changed: %s", t->op->name, k, text);
        } else {
            assert_true(cpv_get_i32(c, r->in[k], now));
            if (!compare_i32(now, n, in[k].i, n, (size_t)in[k].cols, text, sizeof text))
                fail_msg("%s: operand %d was changed: %s", t->op->name, k, text);
        }
    }
}

/* ---- the arena behind the operands ---- */

static cpv_tensor words(cpv_compute *c, size_t from, size_t to)
{
    cpv_tensor t = {.data = c->base + from,
                    .rows = 1,
                    .cols = (int64_t)((to - from) / 4),
                    .stride = (int64_t)((to - from) / 4),
                    .dtype = CPV_I32};

    return t;
}

static void fill(struct trial *t, cpv_compute *c, size_t to)
{
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    int64_t n = (int64_t)((to - c->used) / 4);
    int32_t *pattern = trial_alloc(t, n, sizeof *pattern);

    for (int64_t i = 0; i < n; i++)
        pattern[i] = PATTERN;
    (void)cpv_put_i32(c, 1, n, pattern);
    cpv_compute_rewind(c, mark);
}

static void check_pattern(struct trial *t, cpv_compute *c, size_t from, size_t to,
                          const char *where)
{
    int32_t *found;

    from = (from + 3) & ~(size_t)3;
    if (from >= to)
        return;
    found = trial_alloc(t, (int64_t)((to - from) / 4), sizeof *found);
    assert_true(cpv_get_i32(c, words(c, from, to), found));
    for (size_t i = 0; i < (to - from) / 4; i++)
        if (found[i] != PATTERN)
            fail_msg("%s: wrote %zu bytes behind %s", t->op->name, 4 * i + 4, where);
}

static void check_behind(struct trial *t, cpv_compute *c, const struct run *r, size_t end)
{
    for (int k = 0; k < t->n_out && !t->op->composite; k++) {
        cpv_tensor o = r->out[k];
        size_t size = cpv_dtype_size(o.dtype), at;

        at = (size_t)((char *)o.data - c->base) + (size_t)(o.rows * o.stride) * size;
        check_pattern(t, c, at, (at + CPV_ALIGN - 1) & ~(size_t)(CPV_ALIGN - 1),
                      "an output");
    }
    check_pattern(t, c, end, end + MARGIN, "outputs and scratch");
}

/* ---- once and again ---- */

static void once(struct trial *t, struct run *r, struct result *out)
{
    struct cpv_err err = {0};

    t->op->run(r);
    for (int k = 0; k < t->n_out && !cpv_compute_failed(r->c); k++) {
        cpv_tensor o = r->out[k];

        out[k] = (struct result){.rows = o.rows, .cols = o.cols};
        if (!o.data)
            fail_msg("%s: output %d is missing", t->op->name, k);
        if (t->out[k].ids) {
            out[k].i = trial_alloc(t, o.rows * o.cols, sizeof *out[k].i);
            (void)cpv_get_i32(r->c, o, out[k].i);
        } else {
            out[k].f = trial_alloc(t, o.rows * o.cols, sizeof *out[k].f);
            (void)cpv_get(r->c, o, out[k].f);
        }
    }
    cpv_kv_close(&r->kv);
    if (cpv_compute_sync(r->c, &err))
        fail_msg("%s: %s", t->op->name, err.text);
}

static void check_same(const struct trial *t, const struct result *a,
                       const struct result *b)
{
    char text[300];

    for (int k = 0; k < t->n_out; k++) {
        size_t n = (size_t)(a[k].rows * a[k].cols);
        bool same =
            a[k].f
                ? compare_bits(b[k].f, n, a[k].f, n, (size_t)a[k].cols, text, sizeof text)
                : compare_i32(b[k].i, n, a[k].i, n, (size_t)a[k].cols, text, sizeof text);

        if (!same)
            fail_msg("%s: run twice, output %d: %s", t->op->name, k, text);
    }
}

static void set_rows(struct trial *t, struct run *r)
{
    for (int k = 0; k < 2; k++) {
        int32_t *length;

        if (!t->length[k])
            continue;
        if (k == 1 && t->shared_rows) {
            r->rows[k] = cpv_rows_put(r->c, t->length[k], t->shared_rows);
            continue;
        }
        length = trial_alloc(t, r->items, sizeof *length);
        for (int i = 0; i < r->items; i++)
            length[i] = t->length[k][r->order[i]];
        r->length[k] = length;
        r->rows[k] = cpv_rows_put(r->c, length, r->items);
    }
}

/* Operands, their rows and the guards around them. */
static void lay_out(struct trial *t, struct run *r, struct trial_how how,
                    struct chosen *in, struct guards *g)
{
    if (!how.order) {
        int32_t *order = trial_alloc(t, t->items, sizeof *order);

        for (int i = 0; i < t->items; i++)
            order[i] = i;
        how.order = order;
        r->items = t->items;
    }
    r->order = how.order;
    guard(r->c, g);
    for (int k = 0; k < t->n_in; k++) {
        choose(t, &t->in[k], r->order, r->items, &in[k]);
        r->in[k] = put(t, r->c, &in[k], how.views);
        guard(r->c, g);
    }
    set_rows(t, r);
    guard(r->c, g);
}

void trial_foretell(struct trial *t, struct place *dry, struct trial_how how)
{
    struct run r = {.c = place_context(dry, how.context), .t = t, .items = how.items};
    struct cpv_compute_mark begin = cpv_compute_mark(r.c);
    struct chosen in[TRIAL_IN];
    struct cpv_err err = {0};
    struct guards g = {.n = 0};

    lay_out(t, &r, how, in, &g);
    r.c->peak = r.c->used;
    t->op->run(&r);
    t->peak = r.c->peak - begin.used;
    cpv_kv_close(&r.kv);
    if (cpv_compute_sync(r.c, &err))
        fail_msg("%s: %s", dry->text, err.text);
    cpv_compute_rewind(r.c, begin);
}

void trial_run(struct trial *t, struct place *p, struct trial_how how,
               struct result out[TRIAL_OUT])
{
    struct run r = {.c = place_context(p, how.context), .t = t, .items = how.items};
    struct cpv_compute_mark begin = cpv_compute_mark(r.c), mark;
    struct chosen in[TRIAL_IN];
    struct result first[TRIAL_OUT];
    struct guards g = {.n = 0};
    size_t end;

    lay_out(t, &r, how, in, &g);
    mark = cpv_compute_mark(r.c);
    r.c->peak = r.c->used;
    once(t, &r, first);
    end = r.c->peak;
    t->peak = end - begin.used;
    cpv_compute_rewind(r.c, mark);
    fill(t, r.c, end + MARGIN);
    r.c->peak = r.c->used;
    once(t, &r, out);
    assert_int_equal(r.c->peak, end);
    check_same(t, first, out);
    check_behind(t, r.c, &r, end);
    check_guards(r.c, t, &g);
    check_inputs(t, r.c, &r, in);
    cpv_compute_rewind(r.c, begin);
}
