/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back through a product. Each of its gradients is a product again, one operand of which
 * is packed into scratch first; sums over rows run along the packed depth, in order, so
 * that any number of threads gives the same bits.
 */
#include "common/compute/cpu/cpu.h"

struct back {
    const cpv_compute *c;
    const struct cpv_gemm_kernels *k;
    const cpv_weight *w;
    cpv_tensor x, dy;
    size_t rows, in, out, r;
};

/* Scratch, piece by piece. */
struct sizes {
    size_t plain, matrix, lora, dyb, inputs, columns;
};

static struct sizes sizes_of(const cpv_compute *c, const struct cpv_op *op)
{
    const struct cpv_gemm_kernels *k = &cpu_k(c)->gemm;
    const cpv_weight *w = op->linear.w;
    size_t rows = (size_t)op->linear.x.rows, in = (size_t)w->in, out = (size_t)w->out;
    size_t r = (size_t)w->lora_rank;
    struct sizes s = {0};

    s.plain = cpu_aligned(out * in * sizeof(float));
    s.matrix = cpu_aligned(k->packed_bytes(in, out));
    s.inputs = cpu_aligned(k->packed_bytes(in, rows));
    if (r) {
        size_t down = k->packed_bytes(r, out), up = k->packed_bytes(in, r);

        s.lora = cpu_aligned(down > up ? down : up);
        s.dyb = cpu_aligned(2 * rows * r * sizeof(float));
        s.columns = cpu_aligned(k->packed_bytes(r, rows));
    }
    return s;
}

size_t cpu_linear_back_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    struct sizes s = sizes_of(c, op);

    return s.plain + s.matrix + s.lora + s.dyb + s.inputs + s.columns;
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

/* dx += dy W */
static void back_x(const struct back *b, cpv_tensor dx, float *plain, void *packed)
{
    const struct cpv_kernels *k = cpu_k(b->c);

    for (size_t i = 0; i < b->out; i++) {
        float *to = plain + i * b->in;
        const float *row = cpu_weight_row(k, b->w, (int64_t)i, to);

        for (size_t j = 0; row != to && j < b->in; j++)
            to[j] = row[j];
    }
    b->k->pack(packed, b->in, b->out, 0, b->in, plain, 1, b->in);
    product(b, b->rows, b->in, b->out, b->dy.data, (size_t)b->dy.stride, 1, packed, dx,
            true);
}

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

/* dyb = s dy B and xa = x A^T; dx += dyb A; dA += dyb^T x; dB += s dy^T xa. B is scaled.
 */
static void back_lora(const struct back *b, cpv_tensor dx, const struct sizes *s,
                      char *at, const void *inputs)
{
    const struct cpu_weight *m = cpu_of(b->w);
    cpv_tensor da = b->w->grad[CPV_PARAM_LORA_A], db = b->w->grad[CPV_PARAM_LORA_B];
    float *dyb = (float *)(void *)(at + s->lora), *xa = dyb + b->rows * b->r;
    cpv_tensor small = {dyb, (int64_t)b->rows, (int64_t)b->r, (int64_t)b->r, CPV_F32, 0};
    cpv_tensor tall = small;
    void *packed = at, *columns = at + s->lora + s->dyb;

    b->k->pack(packed, b->r, b->out, 0, b->r, m->plain.b, 1, b->r);
    product(b, b->rows, b->r, b->out, b->dy.data, (size_t)b->dy.stride, 1, packed, small,
            false);
    if (dx.data) {
        b->k->pack(packed, b->in, b->r, 0, b->in, m->plain.a, 1, b->in);
        product(b, b->rows, b->in, b->r, dyb, b->r, 1, packed, dx, true);
    }
    if (da.data)
        product(b, b->r, b->in, b->rows, dyb, 1, b->r, inputs, da, true);
    if (!db.data)
        return;
    tall.data = xa;
    product(b, b->rows, b->r, b->in, b->x.data, (size_t)b->x.stride, 1, m->packed_a, tall,
            false);
    cpu_k(b->c)->scale(xa, xa, b->w->lora_scale, b->rows * b->r);
    b->k->pack(columns, b->r, b->rows, 0, b->r, xa, 1, b->r);
    product(b, b->out, b->r, b->rows, b->dy.data, 1, (size_t)b->dy.stride, columns, db,
            true);
}

static void back_residual(const struct cpv_kernels *k, cpv_tensor dr, cpv_tensor dy)
{
    for (int64_t i = 0; dr.data && i < dr.rows; i++)
        k->add(cpv_f32(dr, i), cpv_f32(dr, i), cpv_f32(dy, i), (size_t)dr.cols);
}

CPU_BACK(linear)
{
    const cpv_weight *w = op->linear.w;
    struct sizes s = sizes_of(c, op);
    struct back b = {.c = c,
                     .k = &cpu_k(c)->gemm,
                     .w = w,
                     .x = op->linear.x,
                     .dy = grad->linear.out,
                     .rows = (size_t)op->linear.x.rows,
                     .in = (size_t)w->in,
                     .out = (size_t)w->out,
                     .r = (size_t)w->lora_rank};
    char *plain = scratch, *packed = plain + s.plain, *inputs = packed + s.matrix;
    cpv_tensor dw = w->grad[CPV_PARAM_MATRIX], db = w->grad[CPV_PARAM_BIAS];
    cpv_tensor dx = grad->linear.x;

    (void)err;
    if (dx.data)
        back_x(&b, dx, (float *)(void *)plain, packed);
    if (dw.data || w->grad[CPV_PARAM_LORA_A].data)
        b.k->pack(inputs, b.in, b.rows, 0, b.in, b.x.data, 1, (size_t)b.x.stride);
    if (dw.data)
        product(&b, b.out, b.in, b.rows, b.dy.data, 1, (size_t)b.dy.stride, inputs, dw,
                true);
    if (db.data) {
        struct sums sums = {cpu_k(c), b.dy, db.data};

        cpv_team_run(cpu_team(c), (w->out + 15) / 16, some_sums, &sums);
    }
    if (b.r)
        back_lora(&b, dx, &s, inputs + s.inputs, inputs);
    back_residual(cpu_k(c), grad->linear.residual, b.dy);
    return CPV_OK;
}
