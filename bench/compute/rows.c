/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times the row kernels on one thread, in seconds of that thread's processor: the best
 * of several rounds, for each level of instructions that this machine has. The peak is
 * that of this program's own multiply-adds on registers, compiled for this machine.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/compute/cpu/kernels.h"

#if defined(__AVX512F__)
enum { WIDE = 16 };
#elif defined(__AVX__)
enum { WIDE = 8 };
#else
enum { WIDE = 4 };
#endif
typedef float wide __attribute__((vector_size(WIDE * 4)));

static double now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float noise(void)
{
    static unsigned long long s = 1;

    s = s * 6364136223846793005ULL + 1442695040888963407ULL;
    return (float)(s >> 40) / 16777216.0f - 0.5f;
}

static float *floats(size_t n)
{
    float *p = malloc(n * sizeof *p);

    if (!p)
        exit(1);
    for (size_t i = 0; i < n; i++)
        p[i] = noise();
    return p;
}

static volatile float sink;

static double peak(void)
{
    enum { CHAINS = 12, STEPS = 6000000 };
    double best = 1e9;

    for (int round = 0; round < 5; round++) {
        wide a[CHAINS] = {{0}}, x = {0}, y = {0};
        double t = now();

        for (int i = 0; i < STEPS / CHAINS; i++) {
#pragma GCC unroll 12
            for (int c = 0; c < CHAINS; c++) {
#if defined(__FMA__)
                __asm__ volatile("vfmadd231ps %1, %2, %0" : "+v"(a[c]) : "v"(x), "v"(y));
#else
                a[c] = a[c] * x + y;
                __asm__ volatile("" ::"m"(a[c]));
#endif
            }
        }
        t = now() - t;
        best = t < best ? t : best;
        for (int c = 0; c < CHAINS; c++)
            sink = a[c][0];
    }
    return 2.0 * WIDE * STEPS / best * 1e-9;
}

/* The best of `rounds` runs of what follows, `times` times each: seconds for one. */
#define BEST(rounds, times, ...)                                                         \
    for (int round_ = 0; round_ < (rounds); round_++) {                                  \
        double t_ = now();                                                               \
                                                                                         \
        for (int time_ = 0; time_ < (times); time_++)                                    \
            __VA_ARGS__;                                                                 \
        t_ = (now() - t_) / (times);                                                     \
        best = t_ < best ? t_ : best;                                                    \
    }

static void attention(const struct cpv_kernels *k, size_t nq, size_t nkv, size_t dh,
                      size_t heads, bool causal)
{
    size_t width = heads * dh;
    float *q = floats(nq * 3 * width), *kv = floats(nkv * 3 * width);
    float *out = floats(nq * width), *scratch = floats(k->attention_scratch(nq, nkv, dh));
    double best = 1e9, pairs = (double)nq * (double)nkv;

    if (causal)
        pairs -= (double)nq * (double)(nq - 1) / 2;
    BEST(7, nq < 4 ? 20 : 2, {
        for (size_t h = 0; h < heads; h++) {
            struct cpv_attention a = {.nq = nq,
                                      .nkv = nkv,
                                      .dh = dh,
                                      .causal = causal,
                                      .scale = 0.125f,
                                      .q = q + h * dh,
                                      .q_stride = 3 * width,
                                      .k = kv + width + h * dh,
                                      .v = kv + 2 * width + h * dh,
                                      .kv_stride = 3 * width,
                                      .prefix = nkv,
                                      .out = out + h * dh,
                                      .out_stride = width};

            k->attention(&a, scratch);
        }
    })
    printf("  attention %3zu x %3zu, %2zu heads of %2zu%s: %9.1f us, %6.1f GFLOP/s\n", nq,
           nkv, heads, dh, causal ? ", causal" : "", best * 1e6,
           4 * pairs * (double)width / best * 1e-9);
    free(q);
    free(kv);
    free(out);
    free(scratch);
}

static void vocabulary(const struct cpv_kernels *k, size_t n)
{
    enum { ROWS = 8 }; /* each its own memory: a row has just been written by a product */
    float *in = floats(ROWS * n), values[64], lse;
    int32_t places[64];
    int row = 0;

    for (size_t i = 0; i < ROWS * n; i++)
        in[i] *= 20;
    for (int top = 1; top <= 64; top *= top < 16 ? 4 : 2) {
        double best = 1e9;

        if (top == 32)
            continue;
        BEST(15, 40, {
            k->top_k(in + (size_t)(row++ % ROWS) * n, n, (size_t)top, values, places,
                     &lse);
            sink = lse;
        })
        printf("  top-%-2d and log-sum-exp of %zu: %6.2f us a row\n", top, n, best * 1e6);
    }
    double best = 1e9;
    BEST(15, 40, sink = (float)k->arg_max(in + (size_t)(row++ % ROWS) * n, n))
    printf("  arg-max of %zu: %6.2f us a row\n", n, best * 1e6);
    best = 1e9;
    BEST(15, 40, k->log_softmax(in, in + (size_t)(1 + row++ % (ROWS - 1)) * n, n))
    printf("  log-softmax of %zu: %6.2f us a row\n", n, best * 1e6);
    free(in);
}

static void rows_of(const struct cpv_kernels *k, size_t rows, size_t n)
{
    static const char *const names[CPV_UNARY_COUNT] = {
        "identity", "relu", "gelu", "gelu_tanh", "quick_gelu", "silu", "tanh", "exp"};
    float *in = floats(rows * n), *out = floats(rows * n), *gain = floats(n);
    float *bias = floats(n);
    double best = 1e9, bytes = 8.0 * (double)(rows * n);

    BEST(15, 10, {
        for (size_t r = 0; r < rows; r++)
            k->layernorm(out + r * n, in + r * n, gain, bias, 1e-5f, n, NULL, NULL);
    })
    printf("  layernorm %zu x %zu: %6.1f GB/s read and written, %5.1f ns a row\n", rows,
           n, bytes / best * 1e-9, best / (double)rows * 1e9);
    best = 1e9;
    BEST(15, 10, {
        for (size_t r = 0; r < rows; r++)
            k->softmax(out + r * n, in + r * n, n, n);
    })
    printf("  softmax   %zu x %zu: %6.1f GB/s, %5.1f ns a row\n", rows, n,
           bytes / best * 1e-9, best / (double)rows * 1e9);
    for (int kind = 0; kind < CPV_UNARY_COUNT; kind++) {
        best = 1e9;
        BEST(7, 10, k->unary(kind, out, in, rows * n))
        printf("  %-10s %5.2f ns for 16 elements\n", names[kind],
               best / (double)(rows * n) * 16e9);
    }
    free(in);
    free(out);
    free(gain);
    free(bias);
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : "";

    printf("peak of one thread: %.0f GFLOP/s\n", peak());
    for (int isa = CPV_ISA_COUNT - 1; isa >= 0; isa--) {
        const struct cpv_kernels *k = cpv_kernels_of(isa);

        if (!k || (*only && strcmp(only, cpv_isa_name(isa)) != 0))
            continue;
        printf("%s\n", cpv_isa_name(isa));
        vocabulary(k, 62000);
        attention(k, 577, 577, 64, 12, false);
        attention(k, 577, 577, 64, 12, true);
        attention(k, 257, 257, 88, 16, false);
        attention(k, 32, 32, 64, 8, false);
        attention(k, 1, 577, 64, 12, false);
        attention(k, 1, 20, 64, 12, false);
        rows_of(k, 64, 768);
    }
    return 0;
}
