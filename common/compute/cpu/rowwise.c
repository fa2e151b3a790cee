/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on rows: one kernel call a row, rows divided among the team. */
#include <math.h>
#include <string.h>

#include "common/compute/cpu/cpu.h"

struct job {
    const struct cpv_kernels *k;
    const struct cpv_op *op;
    int64_t rows, each; /* each: rows in an item */
    void (*row)(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i);
};

static void some_rows(void *arg, int64_t first, int64_t end, int who)
{
    const struct job *job = arg;
    int64_t last = end * job->each < job->rows ? end * job->each : job->rows;

    (void)who;
    for (int64_t i = first * job->each; i < last; i++)
        job->row(job->k, job->op, i);
}

static int run_rows(const cpv_compute *c, const struct cpv_op *op, cpv_tensor x,
                    void (*row)(const struct cpv_kernels *k, const struct cpv_op *op,
                                int64_t i))
{
    /* An item of some 16 Ki elements: a few microseconds. */
    int64_t each = 1 + (16 << 10) / x.cols;
    struct job job = {cpu_k(c), op, x.rows, each, row};

    cpv_team_run(cpu_team(c), (x.rows + each - 1) / each, some_rows, &job);
    return CPV_OK;
}

static void add_row(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i)
{
    const struct cpv_op_add *a = &op->add;

    k->add(cpv_f32(a->out, i), cpv_f32(a->a, i), cpv_f32(a->b, i), (size_t)a->out.cols);
}

CPU_RUN(add)
{
    (void)scratch;
    (void)err;
    return run_rows(c, op, op->add.a, add_row);
}

static void copy_row(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i)
{
    const struct cpv_op_copy *o = &op->copy;

    (void)k;
    memmove(cpv_f32(o->out, i), cpv_f32(o->x, i), (size_t)o->x.cols * sizeof(float));
}

CPU_RUN(copy)
{
    (void)scratch;
    (void)err;
    return run_rows(c, op, op->copy.x, copy_row);
}

static void fill_row(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i)
{
    float *to = cpv_f32(op->fill.out, i);

    (void)k;
    for (int64_t j = 0; j < op->fill.out.cols; j++)
        to[j] = op->fill.value;
}

CPU_RUN(fill)
{
    (void)scratch;
    (void)err;
    return run_rows(c, op, op->fill.out, fill_row);
}

void cpu_pass_on(const cpv_compute *c, cpv_tensor to, cpv_tensor from, bool fresh)
{
    struct cpv_op op = {.kind = fresh ? CPV_OP_COPY : CPV_OP_ADD};

    if (fresh) {
        op.copy.out = to;
        op.copy.x = from;
        run_rows(c, &op, from, copy_row);
    } else {
        op.add.out = op.add.a = to;
        op.add.b = from;
        run_rows(c, &op, from, add_row);
    }
}

CPU_BACK(add)
{
    (void)op;
    (void)scratch;
    (void)err;
    if (grad->add.a.data)
        cpu_pass_on(c, grad->add.a, grad->add.out, cpv_op_fresh(grad, 1));
    if (grad->add.b.data)
        cpu_pass_on(c, grad->add.b, grad->add.out, cpv_op_fresh(grad, 2));
    return CPV_OK;
}

static void unary_row(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i)
{
    const struct cpv_op_unary *u = &op->unary;

    k->unary(u->kind, cpv_f32(u->out, i), cpv_f32(u->x, i), (size_t)u->x.cols);
}

CPU_RUN(unary)
{
    (void)scratch;
    (void)err;
    return run_rows(c, op, op->unary.x, unary_row);
}

static void softmax_row(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i)
{
    const struct cpv_op_softmax *s = &op->softmax;

    k->softmax(cpv_f32(s->out, i), cpv_f32(s->x, i), (size_t)s->x.cols,
               (size_t)s->x.cols);
}

CPU_RUN(softmax)
{
    (void)scratch;
    (void)err;
    return run_rows(c, op, op->softmax.x, softmax_row);
}

static void l2norm_row(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i)
{
    const struct cpv_op_l2norm *l = &op->l2norm;

    k->l2norm(cpv_f32(l->out, i), cpv_f32(l->x, i), l->eps, (size_t)l->x.cols);
}

CPU_RUN(l2norm)
{
    (void)scratch;
    (void)err;
    return run_rows(c, op, op->l2norm.x, l2norm_row);
}

static void layernorm_row(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i)
{
    const struct cpv_op_layernorm *l = &op->layernorm;
    const struct cpu_weight *w = cpu_of(l->w);

    k->layernorm(cpv_f32(l->out, i), cpv_f32(l->x, i), w->plain.matrix, w->plain.bias,
                 l->eps, (size_t)l->x.cols, l->mean.data ? cpv_f32(l->mean, i) : NULL,
                 l->rstd.data ? cpv_f32(l->rstd, i) : NULL);
}

CPU_RUN(layernorm)
{
    (void)scratch;
    (void)err;
    return run_rows(c, op, op->layernorm.x, layernorm_row);
}

static void argmax_row(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i)
{
    const struct cpv_op_argmax *a = &op->argmax;

    *cpv_i32(a->out, i) = (int32_t)k->arg_max(cpv_f32(a->x, i), (size_t)a->x.cols);
}

CPU_RUN(argmax)
{
    (void)scratch;
    (void)err;
    return run_rows(c, op, op->argmax.x, argmax_row);
}

static void topk_row(const struct cpv_kernels *k, const struct cpv_op *op, int64_t i)
{
    const struct cpv_op_topk *t = &op->topk;

    k->top_k(cpv_f32(t->x, i), (size_t)t->x.cols, (size_t)t->ids.cols,
             cpv_f32(t->values, i), cpv_i32(t->ids, i), cpv_f32(t->lse, i));
}

CPU_RUN(topk)
{
    (void)scratch;
    (void)err;
    return run_rows(c, op, op->topk.x, topk_row);
}

/* ---- back, row by row ---- */

struct back_job {
    const struct cpv_kernels *k;
    const struct cpv_op *op, *grad;
    cpv_tensor dx; /* of the rows' input */
    int64_t each;
    float *room; /* a row for each thread */
    bool fresh;
    void (*row)(const struct back_job *job, int64_t i, float *dx);
};

size_t cpu_rows_back_scratch(const cpv_compute *c, cpv_tensor x)
{
    return (size_t)(x.cols * c->threads) * sizeof(float);
}

static void some_back(void *arg, int64_t first, int64_t end, int who)
{
    const struct back_job *job = arg;
    int64_t last = end * job->each < job->dx.rows ? end * job->each : job->dx.rows;
    float *row = job->room + who * job->dx.cols;

    for (int64_t i = first * job->each; i < last; i++) {
        job->row(job, i, job->fresh ? cpv_f32(job->dx, i) : row);
        if (!job->fresh)
            job->k->add(cpv_f32(job->dx, i), cpv_f32(job->dx, i), row,
                        (size_t)job->dx.cols);
    }
}

/* `row` makes what is to be added to row i of dx. */
static int back_rows(const cpv_compute *c, const struct cpv_op *op,
                     const struct cpv_op *grad, cpv_tensor dx, void *scratch,
                     void (*row)(const struct back_job *job, int64_t i, float *dx))
{
    struct back_job job = {cpu_k(c), op, grad, dx, 0, scratch, cpv_op_fresh(grad, 1),
                           row};

    if (!dx.data)
        return CPV_OK;
    job.each = 1 + (16 << 10) / dx.cols;
    cpv_team_run(cpu_team(c), (dx.rows + job.each - 1) / job.each, some_back, &job);
    return CPV_OK;
}

static void unary_back_row(const struct back_job *job, int64_t i, float *dx)
{
    const struct cpv_op_unary *u = &job->op->unary;

    job->k->unary_dx(u->kind, dx, cpv_f32(job->grad->unary.out, i), cpv_f32(u->x, i),
                     (size_t)u->x.cols);
}

CPU_BACK(unary)
{
    (void)err;
    return back_rows(c, op, grad, grad->unary.x, scratch, unary_back_row);
}

static void softmax_back_row(const struct back_job *job, int64_t i, float *dx)
{
    const struct cpv_op_softmax *s = &job->op->softmax;

    job->k->softmax_dx(dx, cpv_f32(s->out, i), cpv_f32(job->grad->softmax.out, i),
                       (size_t)s->x.cols);
}

CPU_BACK(softmax)
{
    (void)err;
    return back_rows(c, op, grad, grad->softmax.x, scratch, softmax_back_row);
}

/* With y = x / n: dx = (dy - y (y dy)) / n, where n is the norm; dy / n where it is eps.
 */
static void l2norm_back_row(const struct back_job *job, int64_t i, float *dx)
{
    const struct cpv_op_l2norm *l = &job->op->l2norm;
    const float *x = cpv_f32(l->x, i), *y = cpv_f32(l->out, i);
    const float *dy = cpv_f32(job->grad->l2norm.out, i);
    size_t n = (size_t)l->x.cols;
    float norm = sqrtf(job->k->dot(x, x, n));

    if (norm < l->eps) {
        job->k->scale(dx, dy, 1 / l->eps, n);
        return;
    }
    job->k->scale(dx, dy, 1 / norm, n);
    job->k->axpy(dx, y, -job->k->dot(y, dy, n) / norm, n);
}

CPU_BACK(l2norm)
{
    (void)err;
    return back_rows(c, op, grad, grad->l2norm.x, scratch, l2norm_back_row);
}

/* ---- back through layer norm ---- */

struct norm_back {
    const struct cpv_kernels *k;
    const struct cpv_op_layernorm *l;
    cpv_tensor dy, dx;
    float *row;  /* a thread's own */
    float *sums; /* a block of rows' own: dgain, then dbias; NULL: not wanted */
    bool fresh;
};

static int64_t row_blocks(cpv_tensor x)
{
    return (x.rows + CPV_ROW_BLOCK - 1) / CPV_ROW_BLOCK;
}

size_t cpu_layernorm_back_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    cpv_tensor x = op->layernorm.x;

    return (size_t)(x.cols * (c->threads + 2 * row_blocks(x))) * sizeof(float);
}

static void some_blocks(void *arg, int64_t first, int64_t end, int who)
{
    const struct norm_back *b = arg;
    const struct cpv_op_layernorm *l = b->l;
    const float *gain = cpu_of(l->w)->plain.matrix;
    int64_t n = l->x.cols;
    float *row = b->row + who * n;

    for (int64_t at = first; at < end; at++) {
        int64_t from = at * CPV_ROW_BLOCK, to = from + CPV_ROW_BLOCK;
        float *sums = b->sums ? b->sums + 2 * at * n : NULL;

        to = to < l->x.rows ? to : l->x.rows;
        if (sums)
            memset(sums, 0, (size_t)(2 * n) * sizeof *sums);
        for (int64_t i = from; i < to; i++) {
            float mean = *cpv_f32(l->mean, i), rstd = *cpv_f32(l->rstd, i);

            float *dx = b->fresh && b->dx.data ? cpv_f32(b->dx, i) : row;

            if (sums)
                b->k->layernorm_dgain(sums, sums + n, cpv_f32(b->dy, i), cpv_f32(l->x, i),
                                      &mean, &rstd, 1, (size_t)n, (size_t)n);
            if (!b->dx.data)
                continue;
            b->k->layernorm_dx(dx, cpv_f32(b->dy, i), cpv_f32(l->x, i), gain, mean, rstd,
                               (size_t)n);
            if (dx == row)
                b->k->add(cpv_f32(b->dx, i), cpv_f32(b->dx, i), row, (size_t)n);
        }
    }
}

CPU_BACK(layernorm)
{
    const struct cpv_op_layernorm *l = &op->layernorm;
    cpv_tensor dgain = l->w->grad[CPV_PARAM_MATRIX], dbias = l->w->grad[CPV_PARAM_BIAS];
    int64_t n = l->x.cols;
    struct norm_back b = {cpu_k(c),
                          l,
                          grad->layernorm.out,
                          grad->layernorm.x,
                          scratch,
                          (float *)scratch + c->threads * n,
                          cpv_op_fresh(grad, 1)};

    (void)err;
    if (!dgain.data && !dbias.data)
        b.sums = NULL;
    cpv_team_run(cpu_team(c), row_blocks(l->x), some_blocks, &b);
    for (int64_t at = 0; b.sums && at < row_blocks(l->x); at++) {
        const float *sums = b.sums + 2 * at * n;

        if (dgain.data)
            b.k->add(dgain.data, dgain.data, sums, (size_t)n);
        if (dbias.data)
            b.k->add(dbias.data, dbias.data, sums + n, (size_t)n);
    }
    return CPV_OK;
}
