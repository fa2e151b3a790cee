/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products in int8, on every level that this processor runs and with VNNI where it has
 * it: equal to the bit to plain integers, and within the bound that gemm.h gives.
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

#include "common/compute/cpu/kernels.h"

enum { KINDS = 2 * CPV_ISA_COUNT, GUARD = 19 };
#define SENTINEL 12345.678f

/* Each level's portable kernels, then each level's with VNNI; NULL: not here. */
static const struct cpv_gemm_s8_kernels *kind_of(int i)
{
    const struct cpv_kernels *k = cpv_kernels_of((cpv_isa)(i / 2));

    if (!k)
        return NULL;
    if (i % 2 == 0)
        return &k->gemm.s8;
    return cpv_isa_has_vnni() && k->gemm.s8_vnni.run ? &k->gemm.s8_vnni : NULL;
}

static size_t panel_of(int i)
{
    return cpv_kernels_of((cpv_isa)(i / 2))->gemm.panel;
}

struct rng {
    uint32_t s;
};

static uint32_t next(struct rng *r)
{
    r->s = r->s * 1664525u + 1013904223u;
    return r->s >> 8;
}

static size_t between(struct rng *r, size_t lo, size_t hi)
{
    return lo + next(r) % (hi - lo + 1);
}

static void *memory(size_t size)
{
    void *p = aligned_alloc(CPV_GEMM_ALIGN, (size / CPV_GEMM_ALIGN + 1) * CPV_GEMM_ALIGN);

    assert_non_null(p);
    memset(p, 0xff, size);
    return p;
}

/* Most of them small, some large: so are activations. */
static float *floats(struct rng *r, size_t n)
{
    float *x = memory(n * sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)next(r) / 8388608.0 - 1) * (next(r) % 16 ? 1.0f : 7.0f);
    return x;
}

struct product {
    size_t m, n, k, a_ld, c_ld;
    float *a, *w, *bias, *residual, *before, *block, *c;
    struct cpv_gemm_epilogue e;
};

static struct product make(struct rng *r, size_t m, size_t n, size_t k)
{
    struct product p = {.m = m, .n = n, .k = k, .e = {.scale = 1}};

    p.a_ld = k + between(r, 0, 5);
    p.c_ld = n + between(r, 0, 5);
    p.a = floats(r, m * p.a_ld);
    p.w = floats(r, n * k);
    p.bias = floats(r, n);
    p.residual = floats(r, m * n);
    p.before = floats(r, m * n);
    p.block = memory((2 * GUARD + m * p.c_ld) * sizeof(float));
    p.c = p.block + GUARD;
    return p;
}

static void drop(struct product *p)
{
    free(p->a), free(p->w), free(p->bias), free(p->residual), free(p->before);
    free(p->block);
}

/* All columns at once, or panel after panel. */
static void run(struct product *p, int kind, bool by_panel)
{
    const struct cpv_gemm_s8_kernels *s8 = kind_of(kind);
    void *w = memory(s8->packed_bytes(p->n, p->k));
    void *q = memory(s8->quant_bytes(p->m, p->k));
    size_t step = by_panel ? panel_of(kind) : p->n;

    for (size_t i = 0; i < 2 * GUARD + p->m * p->c_ld; i++)
        p->block[i] = SENTINEL;
    for (size_t i = 0; i < p->m; i++)
        memcpy(p->c + i * p->c_ld, p->before + i * p->n, p->n * sizeof(float));
    s8->pack(w, p->n, p->k, 0, p->n, p->w, p->k, 1);
    s8->quantise(q, p->m, p->k, p->a, p->a_ld);
    for (size_t j = 0; j < p->n; j += step) {
        struct cpv_gemm_s8 g = {.m = p->m, .n = p->n, .k = p->k, .q = q, .w = w};

        g.c = p->c;
        g.c_ld = p->c_ld;
        g.n0 = j;
        g.n1 = j + step < p->n ? j + step : p->n;
        g.e = p->e;
        s8->run(&g);
    }
    for (size_t i = 0; i < GUARD; i++) {
        assert_true(p->block[i] == SENTINEL);
        assert_true(p->c[p->m * p->c_ld + i] == SENTINEL);
    }
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = p->n; j < p->c_ld; j++)
            assert_true(p->c[i * p->c_ld + j] == SENTINEL);
    free(w), free(q);
}

/* A row in whole numbers, as gemm.h says. */
static float whole_numbers(const float *x, size_t n, int *q)
{
    float most = 0;

    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    for (size_t i = 0; i < n; i++)
        q[i] = most >= 0x1p-120f ? (int)nearbyintf(x[i] * (127 / most)) : 0;
    return most >= 0x1p-120f ? most / 127 : 0;
}

static void check_against_integers(const struct product *p, int kind)
{
    int *a = memory(p->k * sizeof *a), *w = memory(p->n * p->k * sizeof *w);
    float *w_scale = memory(p->n * sizeof *w_scale);

    for (size_t j = 0; j < p->n; j++)
        w_scale[j] = whole_numbers(p->w + j * p->k, p->k, w + j * p->k);
    for (size_t i = 0; i < p->m; i++) {
        float a_scale = whole_numbers(p->a + i * p->a_ld, p->k, a);

        for (size_t j = 0; j < p->n; j++) {
            int32_t sum = 0;
            float x, c = p->c[i * p->c_ld + j];

            for (size_t k = 0; k < p->k; k++)
                sum += a[k] * w[j * p->k + k];
            x = (float)sum * (a_scale * w_scale[j]);
            if (p->e.accumulate)
                x = p->before[i * p->n + j] + x;
            x = x * p->e.scale;
            x = p->e.bias ? x + p->bias[j] : x;
            x = p->e.act == CPV_RELU && x < 0 ? 0 : x;
            x = p->e.residual ? x + p->residual[i * p->n + j] : x;
            if (!(c == x))
                fail_msg("kind %d, %zu x %zu x %zu at (%zu, %zu): %.9g, expected %.9g",
                         kind, p->m, p->n, p->k, i, j, c, x);
        }
    }
    free(a), free(w), free(w_scale);
}

static void sums_are_exact_on_every_level(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct rng r = {3};

        for (int t = 0; t < 200 && kind_of(kind); t++) {
            struct product p = make(&r, between(&r, 1, 70), between(&r, 1, 200),
                                    between(&r, 1, t % 40 ? 90 : 1500));

            p.e.scale = next(&r) % 2 ? 1 : 0.37f;
            p.e.accumulate = next(&r) % 2;
            p.e.act = next(&r) % 2 ? CPV_RELU : CPV_IDENTITY;
            p.e.bias = next(&r) % 2 ? p.bias : NULL;
            p.e.residual = next(&r) % 2 ? p.residual : NULL;
            p.e.residual_ld = p.n;
            run(&p, kind, t % 3 == 0);
            check_against_integers(&p, kind);
            drop(&p);
        }
    }
}

static void the_largest_products_do_not_saturate(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (int signs = 0; signs < 4 && kind_of(kind); signs++) {
            struct rng r = {5};
            struct product p = make(&r, 9, 50, 4100);

            for (size_t i = 0; i < p.m * p.a_ld; i++)
                p.a[i] = signs & 1 ? -3 : 3;
            for (size_t i = 0; i < p.n * p.k; i++)
                p.w[i] = signs & 2 ? -2 : 2;
            run(&p, kind, false);
            check_against_integers(&p, kind);
            drop(&p);
        }
}

static void errors_are_within_the_bound(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct rng r = {7};

        for (int t = 0; t < 20 && kind_of(kind); t++) {
            struct product p = make(&r, 8, 60, between(&r, 1, 600));

            run(&p, kind, false);
            for (size_t i = 0; i < p.m; i++)
                for (size_t j = 0; j < p.n; j++) {
                    double x = 0, a = 0, w = 0, bound, rounding = 0;

                    for (size_t k = 0; k < p.k; k++) {
                        double u = p.a[i * p.a_ld + k], v = p.w[j * p.k + k];

                        x += u * v;
                        rounding += fabs(u * v) * 0x1p-21;
                        a = fmax(a, fabs(u));
                        w = fmax(w, fabs(v));
                    }
                    bound = (double)p.k * a * w * (2 / 254.0 + 1 / (254.0 * 254.0));
                    assert_true(fabs(p.c[i * p.c_ld + j] - x) <= bound + rounding);
                }
            drop(&p);
        }
    }
}

/* Rows by themselves, and 64 or 7 of 1,000 in another order. */
static void rows_do_not_depend_on_their_batch(void **state)
{
    static const size_t counts[] = {1, 7, 64};

    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct rng r = {11};
        struct product p, q;

        if (!kind_of(kind))
            continue;
        p = make(&r, 1000, 101, 130);
        p.e.bias = p.bias;
        p.e.act = CPV_GELU;
        run(&p, kind, false);
        for (size_t c = 0; c < 3; c++) {
            q = make(&r, counts[c], p.n, p.k);
            q.e = p.e;
            free(q.w);
            q.w = p.w;
            for (size_t i = 0; i < q.m; i++)
                memcpy(q.a + i * q.a_ld, p.a + (i * 617 + 389) % 1000 * p.a_ld,
                       p.k * sizeof(float));
            run(&q, kind, false);
            for (size_t i = 0; i < q.m; i++)
                assert_memory_equal(q.c + i * q.c_ld,
                                    p.c + (i * 617 + 389) % 1000 * p.c_ld,
                                    p.n * sizeof(float));
            q.w = NULL;
            drop(&q);
        }
        drop(&p);
    }
}

static void rows_that_are_not_numbers_are_nan(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct rng r = {13};
        struct product p;

        if (!kind_of(kind))
            continue;
        p = make(&r, 6, 60, 37);
        p.a[1 * p.a_ld + 36] = NAN;
        p.a[2 * p.a_ld + 7] = -INFINITY;
        for (size_t k = 0; k < p.k; k++) {
            p.a[3 * p.a_ld + k] = 0;
            p.a[4 * p.a_ld + k] = 5e-37f; /* below 2^-120 */
        }
        p.w[5 * p.k + 20] = INFINITY;
        memset(p.w + 6 * p.k, 0, p.k * sizeof(float));
        run(&p, kind, false);
        for (size_t i = 0; i < p.m; i++)
            for (size_t j = 0; j < p.n; j++) {
                float c = p.c[i * p.c_ld + j];

                if (i == 1 || i == 2 || j == 5)
                    assert_true(isnan(c));
                else if (i == 3 || i == 4 || j == 6)
                    assert_true(c == 0);
                else
                    assert_true(isfinite(c));
            }
        drop(&p);
    }
}

static void the_best_kind_is_chosen(void **state)
{
    (void)state;
    for (int i = 0; i < CPV_ISA_COUNT; i++) {
        const struct cpv_kernels *k = cpv_kernels_of((cpv_isa)i);

        if (k)
            assert_ptr_equal(cpv_gemm_s8_of(k), cpv_isa_has_vnni() && i == CPV_ISA_V4
                                                    ? &k->gemm.s8_vnni
                                                    : &k->gemm.s8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_exact_on_every_level),
        cmocka_unit_test(the_largest_products_do_not_saturate),
        cmocka_unit_test(errors_are_within_the_bound),
        cmocka_unit_test(rows_do_not_depend_on_their_batch),
        cmocka_unit_test(rows_that_are_not_numbers_are_nan),
        cmocka_unit_test(the_best_kind_is_chosen),
    };

    return cmocka_run_group_tests_name("gemm_s8", tests, NULL, NULL);
}
