/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs of bench/compute share. Each bench_NAME.c is a program of its own:
 * run.sh builds it with the peer and the kernels, and runs it.
 *
 * Contenders are timed turn by turn, round after round, in CPU time of the thread, and
 * the median of the rounds counts: a machine that others use disturbs both alike.
 */
#ifndef CPV_BENCH_COMPUTE_BENCH_H
#define CPV_BENCH_COMPUTE_BENCH_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BENCH_ROUNDS_MAX = 101 };

static inline double bench_clock(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void *bench_alloc(size_t size)
{
    void *p = aligned_alloc(64, (size + 127) / 64 * 64);

    if (!p) {
        (void)fputs("bench: out of memory\n", stderr);
        exit(74);
    }
    return p;
}

/* Values in -1..1, the same in every run. */
static inline float *bench_floats(size_t n, uint32_t seed)
{
    float *x = bench_alloc(n * sizeof *x);
    uint32_t s = seed * 2654435761u + 1;

    for (size_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)s * 0x1p-31f;
    }
    return x;
}

struct bench_entry {
    void (*call)(void *arg); /* NULL: not here; its time is NaN */
    void *arg;
};

static inline int bench_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static inline double bench_median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, bench_ascending);
    return x[n / 2];
}

/* Median seconds of one call of each entry; each is called `repeats` times a round. */
static inline void bench_duel(const struct bench_entry *entry, int entries, int rounds,
                              int repeats, double *seconds)
{
    static double took[8][BENCH_ROUNDS_MAX];

    for (int r = 0; r < rounds; r++)
        for (int k = 0; k < entries; k++) {
            double from = bench_clock(CLOCK_THREAD_CPUTIME_ID);

            for (int i = 0; i < repeats && entry[k].call; i++)
                entry[k].call(entry[k].arg);
            took[k][r] = (bench_clock(CLOCK_THREAD_CPUTIME_ID) - from) / repeats;
        }
    for (int k = 0; k < entries; k++)
        seconds[k] = entry[k].call ? bench_median(took[k], rounds) : (double)NAN;
}

/* Geometric means, of what is finite and above zero. */
struct bench_mean {
    double logs, least;
    int n;
};

static inline void bench_mean_add(struct bench_mean *m, double x)
{
    if (!(x > 0 && x < 1e300))
        return;
    m->least = m->n == 0 || x < m->least ? x : m->least;
    m->logs += log(x);
    m->n++;
}

static inline double bench_mean_of(const struct bench_mean *m)
{
    return m->n ? exp(m->logs / m->n) : (double)NAN;
}

#endif
