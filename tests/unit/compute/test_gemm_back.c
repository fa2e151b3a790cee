/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of backward at every level that this processor has: by the packed weight
 * across, and sums of outer products, against double. Blocks, tails, any division.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/compute/levels.h"

/* m, n, k: more and less than tiles, panels (8, 16, 48) and blocks (768). */
static const size_t shapes[][3] = {{1, 1, 1},    {3, 5, 7},     {4, 48, 6},
                                   {13, 49, 11}, {9, 770, 25},  {30, 1600, 13},
                                   {5, 767, 49}, {101, 96, 48}, {2, 3, 100}};
enum { SHAPES = sizeof shapes / sizeof *shapes, MOST = 100000 };

static float *numbers(size_t n, uint32_t seed)
{
    float *x = malloc(n * sizeof *x);

    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = bell(seed, i);
    return x;
}

static void *packed_of(const struct cpv_kernels *k, const float *w, size_t out, size_t in)
{
    size_t bytes = k->gemm.packed_bytes(out, in);
    void *to = aligned_alloc(CPV_GEMM_ALIGN, (bytes + CPV_GEMM_ALIGN - 1) /
                                                 CPV_GEMM_ALIGN * CPV_GEMM_ALIGN);

    assert_non_null(to);
    k->gemm.pack(to, out, in, 0, out, w, in, 1);
    return to;
}

/* What sums of n rounded products are allowed: docs/numerics.md, linear. */
static double close_to(double mag, size_t n)
{
    return 0x1p-24 * (4 + 2 * sqrt((double)n)) * mag;
}

/* C by halves of rows and of columns has the bits of the whole. */
static void halves(const struct cpv_kernels *k, struct cpv_gemm_across g,
                   const float *whole, const float *before)
{
    size_t rows = g.m / 2, size = g.m * g.c_ld;

    for (int by = 0; by < 2; by++) {
        struct cpv_gemm_across a = g, b = g;

        memcpy(g.c, before, size * sizeof *g.c);
        a.p1 = b.p0 = by ? g.k / 3 : 0;
        if (!by) {
            a.p1 = g.k;
            a.m = rows;
            b.m = g.m - rows;
            b.a += rows * g.a_row;
            b.c += rows * g.c_ld;
        }
        k->gemm.across(&a);
        k->gemm.across(&b);
        assert_memory_equal(g.c, whole, size * sizeof *g.c);
    }
}

static void products_with_the_weight_across(void **state)
{
    struct fence fa = fence_open(MOST), fc = fence_open(MOST);

    (void)state;
    EACH_LEVEL(k)
    for (int s = 0; s < SHAPES; s++)
        for (int onto = 0; onto < 2; onto++) {
            size_t m = shapes[s][0], n = shapes[s][1], in = shapes[s][2];
            float *w = numbers(n * in, 1), *a = fence_row(&fa, m * n);
            float *before = numbers(m * in, 3), *c = fence_row(&fc, m * in);
            float *whole = malloc(m * in * sizeof *whole);
            void *packed = packed_of(k, w, n, in);
            struct cpv_gemm_across g = {.m = m,
                                        .n = n,
                                        .k = in,
                                        .a = a,
                                        .a_row = n,
                                        .w = packed,
                                        .c = c,
                                        .c_ld = in,
                                        .p1 = in,
                                        .accumulate = onto};

            assert_non_null(whole);
            for (size_t i = 0; i < m * n; i++)
                a[i] = bell(2, i);
            memcpy(c, before, m * in * sizeof *c);
            k->gemm.across(&g);
            fence_check(c);
            for (size_t i = 0; i < m * in; i++) {
                double want = onto ? (double)before[i] : 0, mag = fabs(want);

                for (size_t j = 0; j < n; j++) {
                    double x = (double)a[i / in * n + j] * (double)w[j * in + i % in];

                    want += x;
                    mag += fabs(x);
                }
                near_to("across", i, c[i], want, close_to(mag, n));
            }
            memcpy(whole, c, m * in * sizeof *whole);
            halves(k, g, whole, before);
            free(w), free(before), free(whole), free(packed);
        }
    fence_close(&fa);
    fence_close(&fc);
}

static void sums_of_outer_products(void **state)
{
    static const size_t ranks[] = {1, 3, 4, 8, 9, 17};
    struct fence fv = fence_open(MOST), fu = fence_open(MOST), fd = fence_open(MOST);

    (void)state;
    EACH_LEVEL(k)
    for (int s = 0; s < SHAPES; s++)
        for (int q = 0; q < 6; q++) {
            size_t rows = shapes[s][0], n = shapes[s][1], r = ranks[q];
            float *u = fence_row(&fu, rows * r), *v = fence_row(&fv, rows * n);
            float *before = numbers(r * n, 3), *d = fence_row(&fd, r * n);
            struct cpv_gemm_outer o = {rows, r, u, v, r, n, d, n, 0, n}, part = o;

            for (size_t i = 0; i < rows * r; i++)
                u[i] = bell(4, i);
            for (size_t i = 0; i < rows * n; i++)
                v[i] = bell(5, i);
            memcpy(d, before, r * n * sizeof *d);
            k->gemm.outer(&o);
            fence_check(d);
            for (size_t i = 0; i < r * n; i++) {
                double want = (double)before[i], mag = fabs(want);

                for (size_t t = 0; t < rows; t++) {
                    double x = (double)u[t * r + i / n] * (double)v[t * n + i % n];

                    want += x;
                    mag += fabs(x);
                }
                near_to("outer", i, d[i], want, close_to(mag, rows));
            }
            /* Panel by panel, from the last: the same bits. */
            memcpy(before, d, r * n * sizeof *d);
            for (size_t i = 0; i < r * n; i++)
                d[i] = bell(3, i);
            for (size_t at = (n - 1) / k->gemm.panel * k->gemm.panel;;
                 at -= k->gemm.panel) {
                part.j0 = at;
                part.j1 = at + k->gemm.panel < n ? at + k->gemm.panel : n;
                k->gemm.outer(&part);
                if (!at)
                    break;
            }
            assert_memory_equal(d, before, r * n * sizeof *d);
            free(before);
        }
    fence_close(&fu);
    fence_close(&fv);
    fence_close(&fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_with_the_weight_across),
        cmocka_unit_test(sums_of_outer_products),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
