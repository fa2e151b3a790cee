/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What training needs besides. Sums are cut at places that do not depend on threads: a
 * sequence's mean is one thread's, a row of similarities too.
 */
#include <math.h>
#include <string.h>

#include "common/compute/cpu/cpu.h"

/* ---- a mean for each sequence ---- */

struct mean_job {
    const struct cpv_kernels *k;
    const cpv_rows *rows;
    cpv_tensor of_each, of_all; /* a row a sequence, and its rows */
    bool fresh;
};

static void some_means(void *arg, int64_t first, int64_t end, int who)
{
    const struct mean_job *j = arg;
    size_t n = (size_t)j->of_all.cols;

    (void)who;
    for (int64_t i = first; i < end; i++) {
        int32_t row = j->rows->offset[i], last = j->rows->offset[i + 1];
        float *out = cpv_f32(j->of_each, i);

        memset(out, 0, n * sizeof *out);
        for (int32_t t = row; t < last; t++)
            j->k->add(out, out, cpv_f32(j->of_all, t), n);
        if (last > row)
            j->k->scale(out, out, 1 / (float)(last - row), n);
    }
}

CPU_RUN(mean)
{
    struct mean_job j = {cpu_k(c), &op->mean.rows, op->mean.out, op->mean.x, false};

    (void)scratch;
    (void)err;
    cpv_team_run(cpu_team(c), j.rows->count, some_means, &j);
    return CPV_OK;
}

static void some_means_back(void *arg, int64_t first, int64_t end, int who)
{
    const struct mean_job *j = arg;
    size_t n = (size_t)j->of_all.cols;

    (void)who;
    for (int64_t i = first; i < end; i++) {
        int32_t row = j->rows->offset[i], last = j->rows->offset[i + 1];
        float by = 1 / (float)(last - row);

        for (int32_t t = row; t < last; t++)
            if (j->fresh)
                j->k->scale(cpv_f32(j->of_all, t), cpv_f32(j->of_each, i), by, n);
            else
                j->k->axpy(cpv_f32(j->of_all, t), cpv_f32(j->of_each, i), by, n);
    }
}

CPU_BACK(mean)
{
    struct mean_job j = {cpu_k(c), &op->mean.rows, grad->mean.out, grad->mean.x,
                         cpv_op_fresh(grad, 1)};

    (void)scratch;
    (void)err;
    if (j.of_all.data)
        cpv_team_run(cpu_team(c), j.rows->count, some_means_back, &j);
    return CPV_OK;
}

/* ---- dropout ---- */

struct drop_job {
    const struct cpv_kernels *k;
    const struct cpv_op_dropout *d;
    cpv_tensor to, from;
    float *room; /* to add instead of writing: a row for each thread */
};

/* The sequence of a row: offsets rise, and may stay. */
static int32_t sequence_of(const cpv_rows *rows, int64_t row)
{
    int32_t low = 0, high = rows->count;

    while (high - low > 1) {
        int32_t mid = low + (high - low) / 2;

        if (rows->offset[mid] <= row)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static void some_drops(void *arg, int64_t first, int64_t end, int who)
{
    const struct drop_job *j = arg;
    int32_t sequence = sequence_of(&j->d->rows, first);
    size_t n = (size_t)j->to.cols;

    for (int64_t i = first; i < end; i++) {
        float *to = j->room ? j->room + (size_t)who * n : cpv_f32(j->to, i);
        struct cpv_drop at = {.draw = &j->d->drop};

        while (j->d->rows.offset[sequence + 1] <= i)
            sequence++;
        at.sample = j->d->drop.first + (uint32_t)sequence;
        at.position = (uint32_t)(i - j->d->rows.offset[sequence]);
        j->k->drop(to, cpv_f32(j->from, i), &at, n);
        if (j->room)
            j->k->add(cpv_f32(j->to, i), cpv_f32(j->to, i), to, n);
    }
}

CPU_RUN(dropout)
{
    struct drop_job j = {cpu_k(c), &op->dropout, op->dropout.out, op->dropout.x, NULL};

    (void)scratch;
    (void)err;
    cpv_team_run(cpu_team(c), j.to.rows, some_drops, &j);
    return CPV_OK;
}

CPU_BACK(dropout)
{
    struct drop_job j = {cpu_k(c), &op->dropout, grad->dropout.x, grad->dropout.out,
                         cpv_op_fresh(grad, 1) ? NULL : scratch};

    (void)err;
    if (j.to.data)
        cpv_team_run(cpu_team(c), j.to.rows, some_drops, &j);
    return CPV_OK;
}

/* ---- the loss ---- */

/*
 * Never all similarities at once: blocks of rows, first of images against all texts, for
 * the largest of each row and the sum of exponentials; then of texts against all images,
 * whose gradient needs those. s t i and s i t are the same bits.
 */
enum { BLOCK = 256 };

struct loss {
    const cpv_compute *c;
    const struct cpv_kernels *k;
    const struct cpv_op_contrastive *l;
    size_t n, d;
    float scale;
    void *packed, *across; /* [n, d] of the other side; images [d, n] */
    float *s, *g, *e;      /* blocks: similarities, their gradients, room */
    float *most, *part;    /* of images: the largest, 1 / the sum behind it */
    double *row_loss, *along;
    int32_t *right;
    int64_t from; /* the first row of the block */
};

static size_t loss_sizes(const cpv_compute *c, const struct cpv_op *op, size_t at[10])
{
    const struct cpv_gemm_kernels *g = &cpu_k(c)->gemm;
    size_t n = (size_t)op->contrastive.text.rows, d = (size_t)op->contrastive.text.cols;
    size_t block = (n < BLOCK ? n : BLOCK) * n * sizeof(float);
    size_t size[10] = {g->packed_bytes(n, d),
                       g->packed_bytes(d, n),
                       block,
                       block,
                       block,
                       n * sizeof(float),
                       n * sizeof(float),
                       n * sizeof(double),
                       n * sizeof(double),
                       n * sizeof(int32_t)};
    size_t all = 0;

    for (int i = 0; i < 10; i++) {
        at[i] = all;
        all += cpu_aligned(size[i]);
    }
    return all;
}

size_t cpu_contrastive_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    size_t at[10];

    return loss_sizes(c, op, at);
}

/* Rows from ... of `a` against all of what is packed. */
static void block_of(const struct loss *t, cpv_tensor a, size_t rows)
{
    struct cpv_gemm_f32 g = {.m = rows,
                             .n = t->n,
                             .k = t->d,
                             .a = cpv_f32(a, t->from),
                             .a_row = (size_t)a.stride,
                             .a_col = 1,
                             .w = t->packed,
                             .c = t->s,
                             .c_ld = t->n,
                             .n1 = t->n,
                             .e = {.scale = t->scale}};

    cpu_gemm(t->c, &g);
}

/* The weights of row i in g; where the largest is, what it is, and its weight. */
static void look_at(const struct loss *t, int64_t i, float *most, float *part)
{
    const float *s = t->s + (size_t)i * t->n;
    float *g = t->g + (size_t)i * t->n, lse;
    int32_t place;

    if (t->k->top_k(s, t->n, 1, most, &place, &lse) < 1)
        *most = NAN;
    t->k->softmax(g, s, t->n, t->n);
    *part = place < 0 ? NAN : g[place];
    t->right[t->from + i] = place == t->from + i;
    t->row_loss[t->from + i] =
        (double)*most - log((double)*part) - (double)s[t->from + i];
}

static void some_images(void *arg, int64_t first, int64_t end, int who)
{
    const struct loss *t = arg;

    (void)who;
    for (int64_t i = first; i < end; i++)
        look_at(t, i, &t->most[t->from + i], &t->part[t->from + i]);
}

static void some_texts(void *arg, int64_t first, int64_t end, int who)
{
    const struct loss *t = arg;

    (void)who;
    for (int64_t i = first; i < end; i++) {
        const float *s = t->s + (size_t)i * t->n;
        float *g = t->g + (size_t)i * t->n, *e = t->e + (size_t)i * t->n, most, part;

        look_at(t, i, &most, &part);
        memcpy(e, s, t->n * sizeof *e);
        t->k->axpy(e, t->most, -1, t->n);
        t->k->unary(CPV_EXP, e, e, t->n);
        t->k->mul(e, e, t->part, t->n);
        g[t->from + i] -= 1;
        e[t->from + i] -= 1;
        t->k->add(g, g, e, t->n);
        t->k->scale(g, g, 0.5F / (float)t->n, t->n);
        t->along[t->from + i] = (double)t->k->dot(g, s, t->n);
    }
}

static double sum_of(const double *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return sum;
}

static float share_of(const int32_t *right, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += right[i] != 0;
    return (float)((double)sum / (double)n);
}

static struct loss loss_of(const cpv_compute *c, const struct cpv_op *op, char *scratch)
{
    const struct cpv_op_contrastive *l = &op->contrastive;
    struct loss t = {.c = c,
                     .k = cpu_k(c),
                     .l = l,
                     .n = (size_t)l->text.rows,
                     .d = (size_t)l->text.cols,
                     .scale = expf(cpu_of(l->scale)->plain.matrix[0])};
    size_t at[10];

    (void)loss_sizes(c, op, at);
    t.packed = scratch + at[0];
    t.across = scratch + at[1];
    t.s = (float *)(void *)(scratch + at[2]);
    t.g = (float *)(void *)(scratch + at[3]);
    t.e = (float *)(void *)(scratch + at[4]);
    t.most = (float *)(void *)(scratch + at[5]);
    t.part = (float *)(void *)(scratch + at[6]);
    t.row_loss = (double *)(void *)(scratch + at[7]);
    t.along = (double *)(void *)(scratch + at[8]);
    t.right = (int32_t *)(void *)(scratch + at[9]);
    return t;
}

static size_t rows_from(const struct loss *t)
{
    size_t left = t->n - (size_t)t->from;

    return left < BLOCK ? left : BLOCK;
}

/* dtext = s g I of a block */
static void back_of(const struct loss *t, size_t rows)
{
    cpv_tensor dtext = t->l->dtext;
    struct cpv_gemm_f32 g = {.m = rows,
                             .n = t->d,
                             .k = t->n,
                             .a = t->g,
                             .a_row = t->n,
                             .a_col = 1,
                             .w = t->across,
                             .c = cpv_f32(dtext, t->from),
                             .c_ld = (size_t)dtext.stride,
                             .n1 = t->d,
                             .e = {.scale = t->scale}};

    cpu_gemm(t->c, &g);
}

CPU_RUN(contrastive)
{
    const struct cpv_op_contrastive *l = &op->contrastive;
    struct loss t = loss_of(c, op, scratch);
    float *figures = cpv_f32(l->figures, 0);
    cpv_tensor side[2] = {l->image, l->text};
    double loss = 0;

    (void)err;
    t.k->gemm.pack(t.across, t.d, t.n, 0, t.d, l->image.data, 1, (size_t)l->image.stride);
    for (int i = 0; i < 2; i++) {
        cpv_tensor other = side[1 - i];

        t.k->gemm.pack(t.packed, t.n, t.d, 0, t.n, other.data, (size_t)other.stride, 1);
        for (t.from = 0; (size_t)t.from < t.n; t.from += BLOCK) {
            size_t rows = rows_from(&t);

            block_of(&t, side[i], rows);
            cpv_team_run(cpu_team(c), (int64_t)rows, i ? some_texts : some_images, &t);
            if (i)
                back_of(&t, rows);
        }
        loss += sum_of(t.row_loss, t.n) / (2 * (double)t.n);
        figures[i ? CPV_LOSS_TEXTS : CPV_LOSS_IMAGES] = share_of(t.right, t.n);
    }
    figures[CPV_LOSS] = (float)loss;
    if (l->dscale.data)
        *cpv_f32(l->dscale, 0) += (float)sum_of(t.along, t.n);
    return CPV_OK;
}

/* ---- the optimizer ---- */

static void some_adam(void *arg, int64_t first, int64_t end, int who)
{
    const struct cpv_op_adam *a = arg;
    int64_t cols = a->param.cols, at = first * cols;

    (void)who;
    ref_adam_some(&a->how, (float *)a->param.data + at, (const float *)a->grad.data + at,
                  (float *)a->m.data + at, (float *)a->v.data + at, (end - first) * cols);
}

CPU_RUN(adam)
{
    struct cpv_op_adam a = op->adam;

    (void)scratch;
    (void)err;
    cpv_team_run(cpu_team(c), a.param.rows, some_adam, &a);
    return CPV_OK;
}

struct scale_job {
    const struct cpv_kernels *k;
    const struct cpv_op_scale *s;
};

static void some_scales(void *arg, int64_t first, int64_t end, int who)
{
    const struct scale_job *j = arg;

    (void)who;
    for (int64_t i = first; i < end; i++)
        j->k->scale(cpv_f32(j->s->out, i), cpv_f32(j->s->x, i), j->s->by,
                    (size_t)j->s->x.cols);
}

CPU_RUN(scale)
{
    struct scale_job j = {cpu_k(c), &op->scale};

    (void)scratch;
    (void)err;
    cpv_team_run(cpu_team(c), op->scale.x.rows, some_scales, &j);
    return CPV_OK;
}
