/* SPDX-License-Identifier: Apache-2.0 */
/* Products with packed weights, divided among the team. */
#include "common/compute/cpu/cpu.h"

enum { ROWS = 16 }; /* that stay with one thread: a few tiles of the kernels */

struct job {
    const struct cpv_kernels *k;
    const struct cpv_gemm_f32 *g;
};

static void some_rows(void *arg, int64_t first, int64_t end, int who)
{
    const struct job *job = arg;
    struct cpv_gemm_f32 g = *job->g;
    size_t from = (size_t)first * ROWS, to = (size_t)end * ROWS;

    (void)who;
    to = to < g.m ? to : g.m;
    g.m = to - from;
    g.a += from * g.a_row;
    g.c += from * g.c_ld;
    if (g.e.residual)
        g.e.residual += from * g.e.residual_ld;
    job->k->gemm.f32(&g);
}

static void some_columns(void *arg, int64_t first, int64_t end, int who)
{
    const struct job *job = arg;
    struct cpv_gemm_f32 g = *job->g;
    size_t panel = job->k->gemm.panel, to = (size_t)end * panel;

    (void)who;
    g.n0 = (size_t)first * panel;
    g.n1 = to < g.n ? to : g.n;
    job->k->gemm.f32(&g);
}

static int64_t blocks(size_t n, size_t of)
{
    return (int64_t)((n + of - 1) / of);
}

/* Are there rows enough to go round? */
static bool by_rows(const cpv_compute *c, size_t m)
{
    return m >= 2 * ROWS * (size_t)c->threads;
}

void cpu_gemm(const cpv_compute *c, const struct cpv_gemm_f32 *g)
{
    struct job job = {cpu_k(c), g};

    if (by_rows(c, g->m))
        cpv_team_run(cpu_team(c), blocks(g->m, ROWS), some_rows, &job);
    else
        cpv_team_run(cpu_team(c), blocks(g->n, job.k->gemm.panel), some_columns, &job);
}

/* ---- int8 ---- */

struct job_s8 {
    const struct cpv_kernels *k;
    const struct cpv_gemm_s8_kernels *s8;
    struct cpv_gemm_s8 g; /* of all rows; q is set by those who quantise theirs */
    const float *x;
    size_t x_ld;
    char *room; /* for quantised rows, `each` bytes a thread */
    size_t each;
};

static void some_rows_s8(void *arg, int64_t first, int64_t end, int who)
{
    const struct job_s8 *job = arg;
    struct cpv_gemm_s8 g = job->g;
    size_t from = (size_t)first * ROWS, to = (size_t)end * ROWS;
    void *q = job->room + (size_t)who * job->each;

    to = to < g.m ? to : g.m;
    g.m = to - from;
    g.q = q;
    g.c += from * g.c_ld;
    if (g.e.residual)
        g.e.residual += from * g.e.residual_ld;
    job->s8->quantise(q, g.m, g.k, job->x + from * job->x_ld, job->x_ld);
    job->s8->run(&g);
}

static void some_columns_s8(void *arg, int64_t first, int64_t end, int who)
{
    const struct job_s8 *job = arg;
    struct cpv_gemm_s8 g = job->g;
    size_t panel = job->k->gemm.panel, to = (size_t)end * panel;

    (void)who;
    g.n0 = (size_t)first * panel;
    g.n1 = to < g.n ? to : g.n;
    job->s8->run(&g);
}

/* Of one thread's share of the rows, quantised. */
static size_t s8_each(const cpv_compute *c, size_t m, size_t k)
{
    size_t share = m;

    if (by_rows(c, m))
        share = ((size_t)blocks(m, ROWS) / (size_t)c->threads + 1) * ROWS;
    return cpu_aligned(cpv_gemm_s8_of(cpu_k(c))->quant_bytes(share, k));
}

static size_t s8_bytes(const cpv_compute *c, size_t m, size_t k)
{
    return s8_each(c, m, k) * (by_rows(c, m) ? (size_t)c->threads : 1);
}

static void gemm_s8(const cpv_compute *c, struct job_s8 *job)
{
    job->k = cpu_k(c);
    job->s8 = cpv_gemm_s8_of(job->k);
    job->each = s8_each(c, job->g.m, job->g.k);
    if (by_rows(c, job->g.m)) {
        cpv_team_run(cpu_team(c), blocks(job->g.m, ROWS), some_rows_s8, job);
        return;
    }
    job->s8->quantise(job->room, job->g.m, job->g.k, job->x, job->x_ld);
    job->g.q = job->room;
    cpv_team_run(cpu_team(c), blocks(job->g.n, job->k->gemm.panel), some_columns_s8, job);
}

/* ---- the operation ---- */

static bool has_s8(const cpv_device *d, const cpv_weight *w)
{
    /* As cpu_weight_pack decides, also where nothing was packed. */
    return d->weights == CPV_I8 && !(w->train & CPV_TRAIN_MATRIX);
}

/* x A^T, then rows in 8 bits */
size_t cpu_linear_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    const struct cpv_op_linear *l = &op->linear;
    size_t m = (size_t)l->x.rows;
    size_t lora = cpu_aligned(m * (size_t)l->w->lora_rank * sizeof(float));

    return lora + (has_s8(c->device, l->w) ? s8_bytes(c, m, (size_t)l->w->in) : 0);
}

/* out = (x A^T) (scale B)^T: what the main product then goes on from. */
static void lora(const cpv_compute *c, const struct cpv_op_linear *l, float *xa)
{
    const struct cpu_weight *w = cpu_of(l->w);
    size_t r = (size_t)l->w->lora_rank, m = (size_t)l->x.rows;
    cpv_tensor x = l->lora_x.data ? l->lora_x : l->x;
    struct cpv_gemm_f32 g = {.m = m,
                             .n = r,
                             .k = (size_t)l->w->in,
                             .a = x.data,
                             .a_row = (size_t)x.stride,
                             .a_col = 1,
                             .w = w->packed_a,
                             .c = xa,
                             .c_ld = r,
                             .n1 = r,
                             .e = {.scale = 1}};

    cpu_gemm(c, &g);
    g.n = g.n1 = (size_t)l->w->out;
    g.k = r;
    g.a = xa;
    g.a_row = r;
    g.w = w->packed_b;
    g.c = l->out.data;
    g.c_ld = (size_t)l->out.stride;
    cpu_gemm(c, &g);
}

CPU_RUN(linear)
{
    const struct cpv_op_linear *l = &op->linear;
    const struct cpu_weight *w = cpu_of(l->w);
    struct cpv_gemm_epilogue e = {.scale = 1,
                                  .accumulate = l->w->lora_rank > 0,
                                  .act = l->act,
                                  .bias = w->plain.bias,
                                  .residual = l->residual.data,
                                  .residual_ld = (size_t)l->residual.stride};
    struct cpv_gemm_f32 g = {.m = (size_t)l->x.rows,
                             .n = (size_t)l->w->out,
                             .k = (size_t)l->w->in,
                             .a = l->x.data,
                             .a_row = (size_t)l->x.stride,
                             .a_col = 1,
                             .w = w->packed,
                             .c = l->out.data,
                             .c_ld = (size_t)l->out.stride,
                             .n1 = (size_t)l->w->out,
                             .e = e};

    (void)err;
    if (l->w->lora_rank)
        lora(c, l, scratch);
    if (w->s8) {
        struct job_s8 job = {
            .g = {g.m, g.n, g.k, NULL, g.w, g.c, g.c_ld, 0, g.n1, e},
            .x = g.a,
            .x_ld = g.a_row,
            .room = (char *)scratch +
                    cpu_aligned(g.m * (size_t)l->w->lora_rank * sizeof(float))};

        gemm_s8(c, &job);
    } else {
        cpu_gemm(c, &g);
    }
    return CPV_OK;
}

/* ---- rows against rows ---- */

size_t cpu_similarity_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    const struct cpv_op_similarity *s = &op->similarity;

    return cpu_k(c)->gemm.packed_bytes((size_t)s->b.rows, (size_t)s->b.cols);
}

CPU_RUN(similarity)
{
    const struct cpv_op_similarity *s = &op->similarity;
    size_t n = (size_t)s->b.rows, d = (size_t)s->b.cols;
    struct cpv_gemm_f32 g = {.m = (size_t)s->a.rows,
                             .n = n,
                             .k = d,
                             .a = s->a.data,
                             .a_row = (size_t)s->a.stride,
                             .a_col = 1,
                             .w = scratch,
                             .c = s->out.data,
                             .c_ld = (size_t)s->out.stride,
                             .n1 = n,
                             .e = {.scale = s->scale}};

    (void)err;
    cpu_k(c)->gemm.pack(scratch, n, d, 0, n, s->b.data, (size_t)s->b.stride, 1);
    cpu_gemm(c, &g);
    return CPV_OK;
}

/* Rows of a or of b, packed across for the other's gradient, which is a product. */
size_t cpu_similarity_back_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    const struct cpv_gemm_kernels *k = &cpu_k(c)->gemm;
    size_t d = (size_t)op->similarity.a.cols;
    size_t a = k->packed_bytes(d, (size_t)op->similarity.a.rows);
    size_t b = k->packed_bytes(d, (size_t)op->similarity.b.rows);

    return a > b ? a : b;
}

/* to += scale * dy x, with dy read by rows or by columns */
static void add_product(const cpv_compute *c, cpv_tensor to, float scale, cpv_tensor dy,
                        bool across, cpv_tensor x, void *packed)
{
    const struct cpv_kernels *k = cpu_k(c);
    size_t d = (size_t)x.cols, n = (size_t)x.rows;
    struct cpv_gemm_f32 g = {.m = (size_t)to.rows,
                             .n = d,
                             .k = n,
                             .a = dy.data,
                             .a_row = across ? 1 : (size_t)dy.stride,
                             .a_col = across ? (size_t)dy.stride : 1,
                             .w = packed,
                             .c = to.data,
                             .c_ld = (size_t)to.stride,
                             .n1 = d,
                             .e = {.scale = 1, .accumulate = true}};

    k->gemm.pack(packed, d, n, 0, d, x.data, 1, (size_t)x.stride);
    k->scale(packed, packed, scale, k->gemm.packed_bytes(d, n) / sizeof(float));
    cpu_gemm(c, &g);
}

CPU_BACK(similarity)
{
    const struct cpv_op_similarity *s = &op->similarity;
    cpv_tensor dy = grad->similarity.out;

    (void)err;
    if (grad->similarity.a.data)
        add_product(c, grad->similarity.a, s->scale, dy, false, s->b, scratch);
    if (grad->similarity.b.data)
        add_product(c, grad->similarity.b, s->scale, dy, true, s->a, scratch);
    return CPV_OK;
}
