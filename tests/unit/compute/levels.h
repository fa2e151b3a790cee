/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of kernels: the levels of this machine, numbers to feed them, and rows
 * that end where memory ends, so that reading or writing one float too far is a fault
 * in every build. Include it after cmocka.h.
 */
#ifndef CPV_TESTS_COMPUTE_LEVELS_H
#define CPV_TESTS_COMPUTE_LEVELS_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/compute/cpu/kernels.h"
#include "common/compute/mix.h"

/* `k` in turn the table of each level that this processor has. */
#define EACH_LEVEL(k)                                                                    \
    for (int isa_ = 0; isa_ < CPV_ISA_COUNT; isa_++)                                     \
        for (const struct cpv_kernels *k = cpv_kernels_of((cpv_isa)isa_); k; k = NULL)

/* Even in -1..1, a function of `seed` and `i`. */
static inline float noise(uint32_t seed, size_t i)
{
    uint32_t bits = cpv_mix32(cpv_mix32((uint32_t)i + 1) ^ seed * 0x9e3779b9u);

    return (float)(bits >> 8) * 0x1p-23f - 1;
}

/* The sum of several: near a normal distribution of variance 1. */
static inline float bell(uint32_t seed, size_t i)
{
    return noise(seed, 3 * i) + noise(seed, 3 * i + 1) + noise(seed, 3 * i + 2);
}

/* A place for up to `most` floats. */
struct fence {
    char *base;
    size_t size, page;
};

static inline struct fence fence_open(size_t most)
{
    struct fence f = {.page = (size_t)sysconf(_SC_PAGESIZE)};

    f.size = (most * sizeof(float) + f.page - 1) / f.page * f.page + f.page;
    f.base = mmap(NULL, f.size + f.page, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.base != MAP_FAILED);
    assert_int_equal(mprotect(f.base + f.size, f.page, PROT_NONE), 0);
    return f;
}

/* The last n floats before the fence; those before them are 77. */
static inline float *fence_row(struct fence *f, size_t n)
{
    float *row = (float *)(f->base + f->size) - n;

    for (int i = 1; i <= 16; i++)
        row[-i] = 77;
    return row;
}

static inline void fence_check(const float *row)
{
    for (int i = 1; i <= 16; i++)
        assert_true(row[-i] == 77);
}

static inline void fence_close(struct fence *f)
{
    (void)munmap(f->base, f->size + f->page);
}

/* NaN and numbers that are too far away fail. */
static inline void near_to(const char *what, size_t i, double got, double want,
                           double tol)
{
    if (!(fabs(got - want) <= tol))
        fail_msg("%s, element %zu: %.9g, expected %.9g within %.3g", what, i, got, want,
                 tol);
}

#endif
