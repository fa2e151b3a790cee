/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products at transformer shapes, one thread: ours in f32 and int8 against oneDNN's.
 *
 *     bench_gemm [-i base|v3|v4] [-r ROUNDS] [-t] [M N K]...
 *
 * GFLOP/s (int8: GOP/s), two for each multiplication and addition. Our int8 begins with
 * f32 rows and ends with f32: quantising and dequantising are in its time; oneDNN's
 * begins with bytes and ends with int32. "two/one" is the throughput of two threads, each
 * with rows of its own and the weight shared, over that of one, medians of the rounds: by
 * the wall's clock, which needs a second core that nobody else uses, and by the CPU time
 * of each thread, which says what they take from each other's caches.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "common/compute/cpu/kernels.h"
#include "peer_dnnl.h"

enum { ROUNDS = 15 };

struct product {
    const struct cpv_kernels *kernels;
    struct cpv_gemm_f32 f32;
    struct cpv_gemm_s8 s8;
    void *q;
};

static void ours_f32(void *arg)
{
    struct product *p = arg;

    p->kernels->gemm.f32(&p->f32);
}

static void ours_s8(void *arg)
{
    struct product *p = arg;
    const struct cpv_gemm_s8_kernels *s8 = cpv_gemm_s8_of(p->kernels);

    s8->quantise(p->q, p->s8.m, p->s8.k, p->f32.a, p->f32.a_row);
    s8->run(&p->s8);
}

/* The packed weights are shared between threads; the rest is each thread's own. */
static struct product make_product(const struct cpv_kernels *kernels, size_t m, size_t n,
                                   size_t k, const void *w, const void *w8)
{
    struct product p = {.kernels = kernels, .q = NULL};
    float *c = bench_alloc(m * n * sizeof *c);

    memset(c, 0, m * n * sizeof *c);
    p.q = bench_alloc(cpv_gemm_s8_of(kernels)->quant_bytes(m, k));
    p.f32 = (struct cpv_gemm_f32){.m = m,
                                  .n = n,
                                  .k = k,
                                  .a = bench_floats(m * k, 1),
                                  .a_row = k,
                                  .a_col = 1,
                                  .w = w,
                                  .c = c,
                                  .c_ld = n,
                                  .n1 = n,
                                  .e = {.scale = 1}};
    p.s8 = (struct cpv_gemm_s8){.m = m,
                                .n = n,
                                .k = k,
                                .q = p.q,
                                .w = w8,
                                .c = c,
                                .c_ld = n,
                                .n1 = n,
                                .e = {.scale = 1}};
    return p;
}

static void free_product(struct product *p)
{
    free((void *)p->f32.a);
    free(p->f32.c);
    free(p->q);
}

struct total {
    struct bench_mean f32, s8, gain;
};

struct shape {
    size_t m, n, k;
};

static void one_shape(const struct cpv_kernels *kernels, struct shape s, int rounds,
                      struct total *total)
{
    const struct cpv_gemm_s8_kernels *s8 = cpv_gemm_s8_of(kernels);
    size_t m = s.m, n = s.n, k = s.k;
    double work = 2.0 * (double)m * (double)n * (double)k, t[4];
    float *w = bench_floats(n * k, 2), *c = bench_alloc(m * n * sizeof *c);
    void *packed = bench_alloc(kernels->gemm.packed_bytes(n, k));
    void *packed8 = bench_alloc(s8->packed_bytes(n, k));
    uint8_t *bytes = bench_alloc(m * k);
    struct product p = make_product(kernels, m, n, k, packed, packed8);
    struct peer *f = peer_open_f32(m, n, k, (float *)p.f32.a, w, c), *b;
    int repeats = (int)(6e8 / work) + 1;

    kernels->gemm.pack(packed, n, k, 0, n, w, k, 1);
    s8->pack(packed8, n, k, 0, n, w, k, 1);
    memset(bytes, 77, m * k);
    b = peer_open_u8s8(m, n, k, bytes, (int8_t *)w, (int32_t *)(void *)c);
    bench_duel((struct bench_entry[]){{ours_f32, &p},
                                      {f ? peer_run : NULL, f},
                                      {ours_s8, &p},
                                      {b ? peer_run : NULL, b}},
               4, rounds, repeats, t);
    printf("%5zu %6zu %5zu  %7.1f %7.1f %5.2f   %7.1f %7.1f %5.2f   %5.2f\n", m, n, k,
           work / t[0] * 1e-9, work / t[1] * 1e-9, t[1] / t[0], work / t[2] * 1e-9,
           work / t[3] * 1e-9, t[3] / t[2], t[0] / t[2]);
    (void)fflush(stdout);
    bench_mean_add(&total->f32, t[1] / t[0]);
    bench_mean_add(&total->s8, t[3] / t[2]);
    bench_mean_add(&total->gain, t[0] / t[2]);
    peer_close(f);
    peer_close(b);
    free_product(&p);
    free(w), free(c), free(packed), free(packed8), free(bytes);
}

/* ---- two threads ---- */

/* Long enough that waking a thread, up to a millisecond on a virtual machine, is lost. */
static const double SECONDS = 0.15;

/* Threads that are ready; nobody sleeps at the start. */
struct gate {
    atomic_uint ready;
    unsigned threads;
};

struct worker {
    struct product p;
    void (*call)(void *arg);
    struct gate *start;
    int repeats;
    double from, to, cpu;
};

static void *work_of(void *arg)
{
    struct worker *w = arg;

    w->call(&w->p);
    atomic_fetch_add(&w->start->ready, 1);
    while (atomic_load(&w->start->ready) < w->start->threads)
        ;
    w->from = bench_clock(CLOCK_MONOTONIC);
    w->cpu = bench_clock(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < w->repeats; i++)
        w->call(&w->p);
    w->cpu = bench_clock(CLOCK_THREAD_CPUTIME_ID) - w->cpu;
    w->to = bench_clock(CLOCK_MONOTONIC);
    return NULL;
}

/* Products a second of so many threads together; and by the CPU time of each. */
static double rate_of(struct worker *w, unsigned threads, double *by_cpu)
{
    struct gate start = {.threads = threads};
    pthread_t id[2];
    double from, to;

    for (unsigned i = 0; i < threads; i++) {
        w[i].start = &start;
        if (pthread_create(&id[i], NULL, work_of, &w[i]))
            exit(74);
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(id[i], NULL);
    from = w[0].from, to = w[0].to;
    *by_cpu = w[0].repeats / w[0].cpu;
    for (unsigned i = 1; i < threads; i++) {
        from = w[i].from < from ? w[i].from : from;
        to = w[i].to > to ? w[i].to : to;
        *by_cpu += w[i].repeats / w[i].cpu;
    }
    return threads * w[0].repeats / (to - from);
}

/* How often to call in SECONDS. */
static int repeats_of(struct worker *w, void (*call)(void *arg))
{
    double by_cpu;

    w->call = call;
    w->repeats = 3;
    return (int)(SECONDS * rate_of(w, 1, &by_cpu)) + 1;
}

static void two_threads(const struct cpv_kernels *kernels, struct shape s, int rounds)
{
    const struct cpv_gemm_s8_kernels *s8 = cpv_gemm_s8_of(kernels);
    float *w = bench_floats(s.n * s.k, 2);
    void *packed = bench_alloc(kernels->gemm.packed_bytes(s.n, s.k));
    void *packed8 = bench_alloc(s8->packed_bytes(s.n, s.k));
    void (*const call[])(void *arg) = {ours_f32, ours_s8};
    struct worker worker[2];
    double clock[4][BENCH_ROUNDS_MAX], cpu[4][BENCH_ROUNDS_MAX]; /* f32 one, two; int8 */
    int repeats[2], mid = rounds / 2;

    kernels->gemm.pack(packed, s.n, s.k, 0, s.n, w, s.k, 1);
    s8->pack(packed8, s.n, s.k, 0, s.n, w, s.k, 1);
    for (int i = 0; i < 2; i++)
        worker[i].p = make_product(kernels, s.m, s.n, s.k, packed, packed8);
    for (int i = 0; i < 2; i++)
        repeats[i] = repeats_of(worker, call[i]);
    for (int r = 0; r < rounds; r++)
        for (unsigned k = 0; k < 4; k++) {
            worker[0].call = worker[1].call = call[k / 2];
            worker[0].repeats = worker[1].repeats = repeats[k / 2];
            /* one: each in turn, for where its memory lies makes a difference */
            clock[k][r] = rate_of(worker + (k % 2 ? 0 : r % 2), k % 2 + 1, &cpu[k][r]);
        }
    for (unsigned k = 0; k < 4; k++) {
        (void)bench_median(clock[k], rounds);
        (void)bench_median(cpu[k], rounds);
    }
    printf(
        "two/one %5zu %6zu %5zu   f32 %.2f (CPU time %.2f)   int8 %.2f (CPU time %.2f)\n",
        s.m, s.n, s.k, clock[1][mid] / clock[0][mid], cpu[1][mid] / cpu[0][mid],
        clock[3][mid] / clock[2][mid], cpu[3][mid] / cpu[2][mid]);
    free_product(&worker[0].p);
    free_product(&worker[1].p);
    free(w), free(packed), free(packed8);
}

static void every_shape(const struct cpv_kernels *kernels, int rounds)
{
    static const size_t rows[] = {16, 32, 64, 128, 256, 512, 1024};
    static const size_t wide[][2] = {
        {512, 512},  {2048, 512},  {512, 2048},  {768, 768},   {3072, 768},
        {768, 3072}, {1024, 1024}, {4096, 1024}, {1024, 4096}, {62000, 512}};
    struct total t = {{0}, {0}, {0}};

    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        for (size_t j = 0; j < sizeof rows / sizeof *rows; j++)
            one_shape(kernels, (struct shape){rows[j], wide[i][0], wide[i][1]}, rounds,
                      &t);
    printf("f32 over oneDNN: geometric mean %.3f, least %.3f (goal: every shape 0.85)\n"
           "int8 over oneDNN: geometric mean %.3f, least %.3f\n"
           "int8 over f32: geometric mean %.3f, least %.3f (goal: 3)\n",
           bench_mean_of(&t.f32), t.f32.least, bench_mean_of(&t.s8), t.s8.least,
           bench_mean_of(&t.gain), t.gain.least);
}

static void every_pair(const struct cpv_kernels *kernels, int rounds)
{
    two_threads(kernels, (struct shape){64, 512, 512}, rounds);
    two_threads(kernels, (struct shape){256, 3072, 768}, rounds);
    two_threads(kernels, (struct shape){64, 62000, 512}, rounds);
}

int main(int argc, char **argv)
{
    const struct cpv_kernels *kernels = cpv_kernels_of(cpv_isa_best());
    struct total t = {{0}, {0}, {0}};
    int rounds = ROUNDS, option;
    bool threads_only = false; /* -t */

    while ((option = getopt(argc, argv, "i:r:t")) != -1) {
        threads_only |= option == 't';
        if (option == 'r')
            rounds = (int)strtol(optarg, NULL, 10);
        for (int i = 0; option == 'i' && i < CPV_ISA_COUNT; i++)
            if (strcmp(optarg, cpv_isa_name((cpv_isa)i)) == 0)
                kernels = cpv_kernels_of((cpv_isa)i);
    }
    if (!kernels || rounds < 1 || rounds > BENCH_ROUNDS_MAX || (argc - optind) % 3) {
        (void)fputs("usage: bench_gemm [-i base|v3|v4] [-r ROUNDS] [M N K]...\n", stderr);
        return 2;
    }
    printf("level %s%s\n%5s %6s %5s  %7s %7s %5s   %7s %7s %5s   %5s\n",
           cpv_isa_name(kernels->isa),
           cpv_gemm_s8_of(kernels) == &kernels->gemm.s8 ? "" : " with VNNI", "m", "n",
           "k", "f32", "oneDNN", "ratio", "int8", "oneDNN", "ratio", "gain");
    for (; optind < argc; optind += 3) {
        struct shape s = {strtoul(argv[optind], NULL, 10),
                          strtoul(argv[optind + 1], NULL, 10),
                          strtoul(argv[optind + 2], NULL, 10)};

        one_shape(kernels, s, rounds, &t);
        if (optind + 3 == argc)
            return 0;
    }
    if (!threads_only)
        every_shape(kernels, rounds);
    every_pair(kernels, rounds);
    return 0;
}
