/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back through a product. dx is one with the packed weight across; gradients of LoRA are
 * sums of outer products, which read x and dy where they lie; that of a whole matrix is a
 * product again, with x packed into scratch first. Sums over rows run in their order, and
 * threads divide rows or columns of results, so that any number gives the same bits.
 */
#include <string.h>

#include "common/compute/cpu/cpu.h"

enum { ROWS = 16 }; /* that stay with one thread */

struct back {
    const cpv_compute *c;
    const struct cpv_gemm_kernels *k;
    const cpv_weight *w;
    cpv_tensor x, pair_x, dy; /* what the matrix and what the pair saw */
    size_t rows, in, out, r;
    int64_t step; /* columns of an item */
};

/* Where in the scratch what is. */
struct layout {
    size_t plain, matrix; /* 8 bits: the matrix as floats, packed across */
    size_t inputs;        /* x, packed across */
    size_t small;         /* B or A, packed */
    size_t dyb, xa, dbt, total;
};

static size_t piece(struct layout *l, size_t bytes)
{
    size_t at = l->total;

    l->total += cpu_aligned(bytes);
    return at;
}

static struct layout layout_of(const cpv_compute *c, const struct cpv_op *op)
{
    const struct cpv_gemm_kernels *k = &cpu_k(c)->gemm;
    const cpv_weight *w = op->linear.w;
    size_t rows = (size_t)op->linear.x.rows, in = (size_t)w->in, out = (size_t)w->out;
    size_t r = (size_t)w->lora_rank, down = r ? k->packed_bytes(r, out) : 0;
    size_t up = r ? k->packed_bytes(in, r) : 0;
    bool s8 = c->device->weights == CPV_I8 && !(w->train & CPV_TRAIN_MATRIX);
    struct layout l = {0};

    l.plain = piece(&l, s8 ? out * in * sizeof(float) : 0);
    l.matrix = piece(&l, s8 ? k->packed_bytes(in, out) : 0);
    l.inputs = piece(&l, w->grad[CPV_PARAM_MATRIX].data ? k->packed_bytes(in, rows) : 0);
    l.small = piece(&l, down > up ? down : up);
    l.dyb = piece(&l, rows * r * sizeof(float));
    l.xa = piece(&l, rows * r * sizeof(float));
    l.dbt = piece(&l, out * r * sizeof(float));
    return l;
}

size_t cpu_linear_back_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    return layout_of(c, op).total;
}

/* c[m, n] (+)= a w^T with a by rows or by columns; w packed [n, k]. */
static void product(const struct back *b, size_t m, size_t n, size_t k, const float *a,
                    size_t a_row, size_t a_col, const void *w, cpv_tensor to, bool add)
{
    struct cpv_gemm_f32 g = {.m = m,
                             .n = n,
                             .k = k,
                             .a = a,
                             .a_row = a_row,
                             .a_col = a_col,
                             .w = w,
                             .c = to.data,
                             .c_ld = (size_t)to.stride,
                             .n1 = n,
                             .e = {.scale = 1, .accumulate = add}};

    cpu_gemm(b->c, &g);
}

/* ---- dx (+)= dy W ---- */

struct across_job {
    const struct cpv_gemm_kernels *k;
    struct cpv_gemm_across g;
    size_t step;
};

static void some_rows(void *arg, int64_t first, int64_t end, int who)
{
    const struct across_job *j = arg;
    struct cpv_gemm_across g = j->g;
    size_t from = (size_t)first * ROWS, to = (size_t)end * ROWS;

    (void)who;
    to = to < g.m ? to : g.m;
    g.m = to - from;
    g.a += from * g.a_row;
    g.c += from * g.c_ld;
    j->k->across(&g);
}

static void some_columns(void *arg, int64_t first, int64_t end, int who)
{
    const struct across_job *j = arg;
    struct cpv_gemm_across g = j->g;
    size_t to = (size_t)end * j->step;

    (void)who;
    g.p0 = (size_t)first * j->step;
    g.p1 = to < g.k ? to : g.k;
    j->k->across(&g);
}

static void back_x(const struct back *b, cpv_tensor dx, bool fresh)
{
    struct across_job j = {.k = b->k,
                           .g = {.m = b->rows,
                                 .n = b->out,
                                 .k = b->in,
                                 .a = b->dy.data,
                                 .a_row = (size_t)b->dy.stride,
                                 .w = cpu_of(b->w)->packed,
                                 .c = dx.data,
                                 .c_ld = (size_t)dx.stride,
                                 .p1 = b->in,
                                 .accumulate = !fresh},
                           .step = (size_t)b->step};

    if (b->rows >= 2 * ROWS * (size_t)b->c->threads)
        cpv_team_run(cpu_team(b->c), (int64_t)((b->rows + ROWS - 1) / ROWS), some_rows,
                     &j);
    else
        cpv_team_run(cpu_team(b->c), (int64_t)((b->in + j.step - 1) / j.step),
                     some_columns, &j);
}

/* The same of a matrix in 8 bits: as floats, packed across. */
static void back_x_s8(const struct back *b, cpv_tensor dx, bool fresh, float *plain,
                      void *packed)
{
    const struct cpv_kernels *k = cpu_k(b->c);

    for (size_t i = 0; i < b->out; i++)
        (void)cpu_weight_row(k, b->w, (int64_t)i, plain + i * b->in);
    b->k->pack(packed, b->in, b->out, 0, b->in, plain, 1, b->in);
    product(b, b->rows, b->in, b->out, b->dy.data, (size_t)b->dy.stride, 1, packed, dx,
            !fresh);
}

/* ---- gradients of weights ---- */

struct sums {
    const struct cpv_kernels *k;
    cpv_tensor from;
    float *to;
};

/* Columns of 16 at a time, all rows in order. */
static void some_sums(void *arg, int64_t first, int64_t end, int who)
{
    const struct sums *s = arg;
    int64_t at = first * 16,
            n = end * 16 < s->from.cols ? end * 16 - at : s->from.cols - at;

    (void)who;
    for (int64_t i = 0; i < s->from.rows; i++)
        s->k->axpy(s->to + at, cpv_f32(s->from, i) + at, 1, (size_t)n);
}

struct pack_job {
    const struct back *b;
    void *inputs;
};

static void some_panels(void *arg, int64_t first, int64_t end, int who)
{
    const struct pack_job *j = arg;
    const struct back *b = j->b;
    size_t from = (size_t)first * b->k->panel, to = (size_t)end * b->k->panel;

    (void)who;
    to = to < b->in ? to : b->in;
    b->k->pack(j->inputs, b->in, b->rows, from, to - from, (float *)b->x.data + from, 1,
               (size_t)b->x.stride);
}

static void back_matrix(const struct back *b, cpv_tensor dw, void *inputs)
{
    struct pack_job j = {b, inputs};

    cpv_team_run(cpu_team(b->c), (int64_t)((b->in + b->k->panel - 1) / b->k->panel),
                 some_panels, &j);
    product(b, b->out, b->in, b->rows, b->dy.data, 1, (size_t)b->dy.stride, inputs, dw,
            true);
}

struct outer_job {
    const struct cpv_gemm_kernels *k;
    struct cpv_gemm_outer o;
    size_t n, step;
};

static void some_outer(void *arg, int64_t first, int64_t end, int who)
{
    const struct outer_job *j = arg;
    struct cpv_gemm_outer o = j->o;
    size_t to = (size_t)end * j->step;

    (void)who;
    o.j0 = (size_t)first * j->step;
    o.j1 = to < j->n ? to : j->n;
    j->k->outer(&o);
}

/* d[r, n] += u^T v */
static void add_outer(const struct back *b, float *d, const float *u, cpv_tensor v)
{
    size_t n = (size_t)v.cols;
    struct outer_job j = {.k = b->k,
                          .o = {.rows = b->rows,
                                .r = b->r,
                                .u = u,
                                .u_ld = b->r,
                                .v = v.data,
                                .v_ld = (size_t)v.stride,
                                .d = d,
                                .d_ld = n},
                          .n = n,
                          .step = (size_t)b->step};

    cpv_team_run(cpu_team(b->c), (int64_t)((n + j.step - 1) / j.step), some_outer, &j);
}

/* dyb = s dy B, for B is scaled; dx (+)= dyb A; dA += dyb^T x; dB += s dy^T (x A^T) */
static void back_lora(const struct back *b, cpv_tensor dx, bool fresh,
                      const struct layout *l, char *scratch)
{
    const struct cpu_weight *m = cpu_of(b->w);
    cpv_tensor da = b->w->grad[CPV_PARAM_LORA_A], db = b->w->grad[CPV_PARAM_LORA_B];
    float *dyb = (float *)(void *)(scratch + l->dyb);
    float *xa = (float *)(void *)(scratch + l->xa);
    float *dbt = (float *)(void *)(scratch + l->dbt);
    cpv_tensor t = {dyb, (int64_t)b->rows, (int64_t)b->r, (int64_t)b->r, CPV_F32, 0};
    void *packed = scratch + l->small;

    b->k->pack(packed, b->r, b->out, 0, b->r, m->plain.b, 1, b->r);
    product(b, b->rows, b->r, b->out, b->dy.data, (size_t)b->dy.stride, 1, packed, t,
            false);
    if (dx.data) {
        b->k->pack(packed, b->in, b->r, 0, b->in, m->plain.a, 1, b->in);
        product(b, b->rows, b->in, b->r, dyb, b->r, 1, packed, dx, !fresh);
    }
    if (da.data)
        add_outer(b, da.data, dyb, b->pair_x);
    if (!db.data)
        return;
    t.data = xa;
    product(b, b->rows, b->r, b->in, b->pair_x.data, (size_t)b->pair_x.stride, 1,
            m->packed_a, t, false);
    cpu_k(b->c)->scale(xa, xa, b->w->lora_scale, b->rows * b->r);
    memset(dbt, 0, b->r * b->out * sizeof *dbt);
    add_outer(b, dbt, xa, b->dy);
    for (size_t i = 0; i < b->out; i++)
        for (size_t k = 0; k < b->r; k++)
            cpv_f32(db, (int64_t)i)[k] += dbt[k * b->out + i];
}

CPU_BACK(linear)
{
    const cpv_weight *w = op->linear.w;
    struct layout l = layout_of(c, op);
    struct back b = {.c = c,
                     .k = &cpu_k(c)->gemm,
                     .w = w,
                     .x = op->linear.x,
                     .pair_x = op->linear.lora_x.data ? op->linear.lora_x : op->linear.x,
                     .dy = grad->linear.out,
                     .rows = (size_t)op->linear.x.rows,
                     .in = (size_t)w->in,
                     .out = (size_t)w->out,
                     .r = (size_t)w->lora_rank};
    cpv_tensor dw = w->grad[CPV_PARAM_MATRIX], db = w->grad[CPV_PARAM_BIAS];
    cpv_tensor dx = grad->linear.x, pair_dx = dx;
    bool fresh = cpv_op_fresh(grad, CPU_LINEAR_X), pair_fresh = false;
    char *at = scratch;

    (void)err;
    b.step = (int64_t)b.k->panel;
    if (dx.data && cpu_of(w)->s8)
        back_x_s8(&b, dx, fresh, (float *)(void *)(at + l.plain), at + l.matrix);
    else if (dx.data)
        back_x(&b, dx, fresh);
    if (dw.data)
        back_matrix(&b, dw, at + l.inputs);
    if (db.data) {
        struct sums sums = {cpu_k(c), b.dy, db.data};

        cpv_team_run(cpu_team(c), (w->out + 15) / 16, some_sums, &sums);
    }
    if (op->linear.lora_x.data) {
        pair_dx = grad->linear.lora_x;
        pair_fresh = cpv_op_fresh(grad, CPU_LINEAR_LORA_X);
    }
    if (b.r)
        back_lora(&b, pair_dx, pair_fresh, &l, at);
    if (grad->linear.residual.data)
        cpu_pass_on(c, grad->linear.residual, b.dy,
                    cpv_op_fresh(grad, CPU_LINEAR_RESIDUAL));
    return CPV_OK;
}
