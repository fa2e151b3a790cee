/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benches of whole models share (bench/translate, bench/caption): clocks,
 * weights of noise, and a backend that holds a watch to every operation.
 */
#ifndef CPV_BENCH_MODEL_H
#define CPV_BENCH_MODEL_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/compute/backend.h"

static struct cpv_err err;

static inline void must(int rc)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, err.text);
    exit(74);
}

static inline void *room(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p)
        exit(74);
    return p;
}

static inline double seconds(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline int whole(const char *text)
{
    char *end;
    long x = strtol(text, &end, 10);

    if (*end || x < 1 || x > 1 << 24) {
        (void)fprintf(stderr, "%s: '%s': expected a number\n",
                      program_invocation_short_name, text);
        exit(64);
    }
    return (int)x;
}

/* A cpv_rows_fn; arg is the number of columns, an int64_t. */
static inline int noise(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *e)
{
    uint32_t s = (uint32_t)first * 2654435761u + 1;

    (void)e;
    for (int64_t i = 0; i < n * *(const int64_t *)arg; i++) {
        s = s * 1664525u + 1013904223u;
        to[i] = (float)(int32_t)s * 0x1p-36f;
    }
    return CPV_OK;
}

static inline cpv_weight *noisy_weight(cpv_device *device, int64_t out, int64_t in)
{
    struct cpv_weight_params params = {.name = "w",
                                       .out = out,
                                       .in = in,
                                       .use = CPV_USE_LINEAR,
                                       .matrix = {.rows = noise, .arg = &in}};
    cpv_weight *w;

    must(cpv_weight_create(&w, device, &params, &err));
    return w;
}

/* ---- the watch ---- */

static double took[CPV_OP_COUNT], took_head;
static int64_t head; /* rows of the vocabulary's product, which is told apart */

static inline int timed(cpv_compute *c, const struct cpv_op *op, void *scratch,
                        struct cpv_err *e)
{
    double from = seconds(CLOCK_THREAD_CPUTIME_ID);
    int rc = cpv_backend_cpu.run[op->kind](c, op, scratch, e);

    from = seconds(CLOCK_THREAD_CPUTIME_ID) - from;
    if (op->kind == CPV_OP_LINEAR && op->linear.w->out == head)
        took_head += from;
    else
        took[op->kind] += from;
    return rc;
}

/* Work on one thread of the device, and which operation takes which share of it. */
static inline void split(cpv_device *device, int64_t vocab, void (*work)(void *arg),
                         void *arg)
{
    struct cpv_backend watched = cpv_backend_cpu;
    const struct cpv_backend *own = device->backend;
    double all, sum;

    for (int k = 0; k < CPV_OP_COUNT; k++)
        watched.run[k] = cpv_backend_cpu.run[k] ? timed : NULL;
    head = vocab;
    device->backend = &watched;
    all = seconds(CLOCK_PROCESS_CPUTIME_ID);
    work(arg);
    all = seconds(CLOCK_PROCESS_CPUTIME_ID) - all;
    device->backend = own;
    sum = took_head;
    (void)printf("  %-12s %5.1f %%\n", "head", 100 * took_head / all);
    for (int k = 0; k < CPV_OP_COUNT; k++) {
        sum += took[k];
        if (took[k] > 0.001 * all)
            (void)printf("  %-12s %5.1f %%\n", cpv_op_info((cpv_op_kind)k)->name,
                         100 * took[k] / all);
    }
    (void)printf("  %-12s %5.1f %%\n", "the rest", 100 * (all - sum) / all);
}

#endif
