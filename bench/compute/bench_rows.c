/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The row kernels on one thread, level by level.
 *
 *     bench_rows [base|v3|v4]
 *
 * Attention stands beside its two products alone, of the same sizes, by our own product
 * (weights packed before the clock runs). Bounds at the best level of this machine:
 * attention of 577 tokens, 12 heads of 64, at most twice its products; top-4 with
 * log-sum-exp over 62,000 logits at most 25 us a row. Beyond them the exit status is 1.
 */
#include <string.h>

#include "bench.h"
#include "common/compute/cpu/kernels.h"

enum { ROUNDS = 15 };

struct attention {
    const struct cpv_kernels *k;
    struct cpv_attention one; /* the first head */
    size_t heads;
    float *scratch;
    struct cpv_gemm_f32 scores, mix;
};

static void attend(void *arg)
{
    struct attention *b = arg;

    for (size_t h = 0; h < b->heads; h++) {
        struct cpv_attention a = b->one;

        a.q += h * a.dh;
        a.k += h * a.dh;
        a.v += h * a.dh;
        a.out += h * a.dh;
        b->k->attention(&a, b->scratch);
    }
}

static void multiply(void *arg)
{
    struct attention *b = arg;

    for (size_t h = 0; h < b->heads; h++) {
        b->k->gemm.f32(&b->scores);
        b->k->gemm.f32(&b->mix);
    }
}

static struct cpv_gemm_f32 product(const struct cpv_kernels *k, size_t m, size_t n,
                                   size_t depth)
{
    void *w = bench_alloc(k->gemm.packed_bytes(n, depth));
    float *from = bench_floats(n * depth, 1);

    k->gemm.pack(w, n, depth, 0, n, from, depth, 1);
    free(from);
    return (struct cpv_gemm_f32){.m = m,
                                 .n = n,
                                 .k = depth,
                                 .a = bench_floats(m * depth, 2),
                                 .a_row = depth,
                                 .a_col = 1,
                                 .w = w,
                                 .c = bench_floats(m * n, 3),
                                 .c_ld = n,
                                 .n1 = n,
                                 .e.scale = 1};
}

static void release_product(struct cpv_gemm_f32 *p)
{
    free((void *)p->a);
    free((void *)p->w);
    free(p->c);
}

/* Gives how many times the products' time it takes. */
static double attention(const struct cpv_kernels *k, size_t nq, size_t nkv, size_t dh,
                        size_t heads, bool causal)
{
    size_t width = heads * dh; /* rows of a fused product: q, k, v side by side */
    float *q = bench_floats(nq * 3 * width, 4), *kv = bench_floats(nkv * 3 * width, 5);
    struct attention b = {.k = k,
                          .one = {.nq = nq,
                                  .nkv = nkv,
                                  .dh = dh,
                                  .causal = causal,
                                  .scale = 1 / sqrtf((float)dh),
                                  .q = q,
                                  .q_stride = 3 * width,
                                  .k = kv + width,
                                  .v = kv + 2 * width,
                                  .kv_stride = 3 * width,
                                  .prefix = nkv,
                                  .out = bench_floats(nq * width, 6),
                                  .out_stride = width},
                          .heads = heads,
                          .scores = product(k, nq, nkv, dh),
                          .mix = product(k, nq, dh, nkv)};
    struct bench_entry entries[] = {{attend, &b}, {multiply, &b}};
    double took[2], pairs = (double)nq * (double)nkv;

    b.scratch = bench_alloc(k->attention_scratch(nq, nkv, dh) * sizeof *b.scratch);
    if (causal)
        pairs -= (double)nq * (double)(nq - 1) / 2;
    bench_duel(entries, 2, ROUNDS, nq < 64 ? 50 : 2, took);
    printf("  attention %3zu x %3zu, %2zu of %2zu%s %9.1f us %6.1f GFLOP/s; products "
           "%9.1f us: %.2f\n",
           nq, nkv, heads, dh, causal ? " causal" : "       ", took[0] * 1e6,
           4 * pairs * (double)width / took[0] * 1e-9, took[1] * 1e6, took[0] / took[1]);
    free(q);
    free(kv);
    free(b.one.out);
    free(b.scratch);
    release_product(&b.scores);
    release_product(&b.mix);
    return took[0] / took[1];
}

/* Rows of logits, each of its own memory: a product has just written them. */
struct vocabulary {
    const struct cpv_kernels *k;
    float *in, *out;
    size_t n, rows, row, top;
    float values[CPV_TOPK_MAX], lse;
    int32_t places[CPV_TOPK_MAX];
};

static const float *next_row(struct vocabulary *v)
{
    return v->in + v->row++ % v->rows * v->n;
}

static void top_k(void *arg)
{
    struct vocabulary *v = arg;

    (void)v->k->top_k(next_row(v), v->n, v->top, v->values, v->places, &v->lse);
}

static void arg_max(void *arg)
{
    struct vocabulary *v = arg;

    v->places[0] = (int32_t)v->k->arg_max(next_row(v), v->n);
}

static void log_softmax(void *arg)
{
    struct vocabulary *v = arg;

    v->k->log_softmax(v->out, next_row(v), v->n);
}

/* Gives the seconds of a row's top-4. */
static double vocabulary(const struct cpv_kernels *k, size_t n)
{
    struct vocabulary v = {.k = k, .n = n, .rows = 8};
    struct bench_entry top = {top_k, &v};
    struct bench_entry rest[] = {{arg_max, &v}, {log_softmax, &v}};
    static const size_t tops[] = {1, 4, 8, 16, 64, 204, CPV_TOPK_MAX};
    double took[2], four = 0;

    v.in = bench_floats(v.rows * n, 7);
    v.out = bench_floats(n, 8);
    for (size_t i = 0; i < v.rows * n; i++)
        v.in[i] *= 10;
    for (size_t t = 0; t < sizeof tops / sizeof *tops; t++) {
        v.top = tops[t];
        bench_duel(&top, 1, ROUNDS, 40, took);
        printf("  top-%-3zu and log-sum-exp of %zu %6.2f us\n", v.top, n, took[0] * 1e6);
        four = v.top == 4 ? took[0] : four;
    }
    bench_duel(rest, 2, ROUNDS, 40, took);
    printf("  arg-max of %zu %6.2f us\n  log-softmax of %zu %6.2f us\n", n, took[0] * 1e6,
           n, took[1] * 1e6);
    free(v.in);
    free(v.out);
    return four;
}

struct rows {
    const struct cpv_kernels *k;
    float *out, *in, *gain, *bias;
    size_t rows, n;
    cpv_unary_kind kind;
};

static void layernorm(void *arg)
{
    struct rows *b = arg;

    for (size_t r = 0; r < b->rows; r++)
        b->k->layernorm(b->out + r * b->n, b->in + r * b->n, b->gain, b->bias, 1e-5f,
                        b->n, NULL, NULL);
}

static void softmax(void *arg)
{
    struct rows *b = arg;

    for (size_t r = 0; r < b->rows; r++)
        b->k->softmax(b->out + r * b->n, b->in + r * b->n, b->n, b->n);
}

static void unary(void *arg)
{
    struct rows *b = arg;

    b->k->unary(b->kind, b->out, b->in, b->rows * b->n);
}

static void rows_of(const struct cpv_kernels *k, size_t rows, size_t n)
{
    static const char *const names[CPV_UNARY_COUNT] = {
        "identity", "relu", "gelu", "gelu_tanh", "quick_gelu", "silu", "tanh", "exp"};
    struct rows b = {.k = k, .rows = rows, .n = n};
    struct bench_entry both[] = {{layernorm, &b}, {softmax, &b}}, one = {unary, &b};
    double took[2], bytes = 8.0 * (double)rows * (double)n;

    b.in = bench_floats(rows * n, 9);
    b.out = bench_floats(rows * n, 10);
    b.gain = bench_floats(n, 11);
    b.bias = bench_floats(n, 12);
    bench_duel(both, 2, ROUNDS, 20, took);
    for (int i = 0; i < 2; i++)
        printf("  %s %zu x %zu %6.1f GB/s read and written, %.0f ns a row\n",
               i ? "softmax  " : "layernorm", rows, n, bytes / took[i] * 1e-9,
               took[i] / (double)rows * 1e9);
    for (int kind = 0; kind < CPV_UNARY_COUNT; kind++) {
        b.kind = (cpv_unary_kind)kind;
        bench_duel(&one, 1, ROUNDS, 10, took);
        printf("  %-10s %6.2f ns for 16 elements\n", names[kind],
               took[0] / (double)(rows * n) * 16e9);
    }
    free(b.in);
    free(b.out);
    free(b.gain);
    free(b.bias);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;
    int status = 0;

    for (int isa = CPV_ISA_COUNT - 1; isa >= 0; isa--) {
        const struct cpv_kernels *k = cpv_kernels_of((cpv_isa)isa);
        double four, times;

        if (!k || (only && strcmp(only, cpv_isa_name((cpv_isa)isa)) != 0))
            continue;
        printf("%s\n", cpv_isa_name((cpv_isa)isa));
        four = vocabulary(k, 62000);
        times = attention(k, 577, 577, 64, 12, false);
        (void)attention(k, 577, 577, 64, 12, true);
        (void)attention(k, 257, 257, 88, 16, false);
        (void)attention(k, 32, 32, 64, 8, false);
        (void)attention(k, 1, 577, 64, 12, false);
        (void)attention(k, 1, 20, 64, 12, false);
        rows_of(k, 64, 768);
        if (isa == (int)cpv_isa_best() && (!(times <= 2) || !(four <= 25e-6))) {
            printf("over the bounds\n");
            status = 1;
        }
    }
    return status;
}
