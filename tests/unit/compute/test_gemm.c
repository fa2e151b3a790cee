/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of the cpu backend on every level that this processor runs: f32 against sums
 * in double, int8 against integers, and the promises of gemm.h about bits.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/compute/cpu/kernels.h"

enum { GUARD = 37 }; /* floats round an output that must stay as they are */
#define SENTINEL 12345.678f

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

static float in_one(struct rng *r) /* -1..1 */
{
    return (float)((double)next(r) / 8388608.0 - 1);
}

static void *memory(size_t size)
{
    void *p = aligned_alloc(CPV_GEMM_ALIGN, (size / CPV_GEMM_ALIGN + 1) * CPV_GEMM_ALIGN);

    assert_non_null(p);
    memset(p, 0xff, size); /* NaN, where somebody reads what nobody wrote */
    return p;
}

static float *floats(struct rng *r, size_t n)
{
    float *x = memory(n * sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = in_one(r);
    return x;
}

/* ---- a product and all that it needs ---- */

struct product {
    const struct cpv_kernels *kernels;
    size_t m, n, k, a_ld, c_ld, residual_ld;
    bool by_column; /* A lies as [k, m] */
    float *a, *w, *bias, *residual, *before, *block, *c;
    void *packed;
    struct cpv_gemm_epilogue e;
};

static const struct cpv_kernels *level(int isa)
{
    return cpv_kernels_of((cpv_isa)isa);
}

static void make(struct product *p, const struct cpv_kernels *kernels, struct rng *r,
                 size_t m, size_t n, size_t k)
{
    *p = (struct product){.kernels = kernels, .m = m, .n = n, .k = k, .e = {.scale = 1}};
    p->by_column = next(r) % 3 == 0;
    p->a_ld = (p->by_column ? m : k) + between(r, 0, 5);
    p->c_ld = n + between(r, 0, 9);
    p->residual_ld = n + between(r, 0, 9);
    p->a = floats(r, p->a_ld * (p->by_column ? k : m));
    p->w = floats(r, n * k);
    p->bias = floats(r, n);
    p->residual = floats(r, m * p->residual_ld);
    p->before = floats(r, m * n);
    p->block = memory((2 * GUARD + m * p->c_ld) * sizeof(float));
    p->c = p->block + GUARD;
    p->packed = memory(kernels->gemm.packed_bytes(n, k));
    kernels->gemm.pack(p->packed, n, k, 0, n, p->w, k, 1);
}

static void drop(struct product *p)
{
    free(p->a), free(p->w), free(p->bias), free(p->residual), free(p->before);
    free(p->block), free(p->packed);
}

/* C as it is before a product: old values, and sentinels round them. */
static void reset(struct product *p)
{
    for (size_t i = 0; i < 2 * GUARD + p->m * p->c_ld; i++)
        p->block[i] = SENTINEL;
    for (size_t i = 0; i < p->m; i++)
        memcpy(p->c + i * p->c_ld, p->before + i * p->n, p->n * sizeof(float));
}

static void check_guards(const struct product *p)
{
    for (size_t i = 0; i < GUARD; i++) {
        assert_true(p->block[i] == SENTINEL);
        assert_true(p->c[p->m * p->c_ld + i] == SENTINEL);
    }
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = p->n; j < p->c_ld; j++)
            assert_true(p->c[i * p->c_ld + j] == SENTINEL);
}

static struct cpv_gemm_f32 call_of(const struct product *p)
{
    return (struct cpv_gemm_f32){
        .m = p->m,
        .n = p->n,
        .k = p->k,
        .a = p->a,
        .a_row = p->by_column ? 1 : p->a_ld,
        .a_col = p->by_column ? p->a_ld : 1,
        .w = p->packed,
        .c = p->c,
        .c_ld = p->c_ld,
        .n1 = p->n,
        .e = p->e,
    };
}

static void run(struct product *p)
{
    struct cpv_gemm_f32 g = call_of(p);

    reset(p);
    p->kernels->gemm.f32(&g);
    check_guards(p);
}

static void dress(struct product *p, struct rng *r)
{
    p->e.scale = next(r) % 2 ? 1 : 0.37f;
    p->e.accumulate = next(r) % 2;
    p->e.act = (cpv_unary_kind)(next(r) % CPV_UNARY_COUNT);
    p->e.bias = next(r) % 2 ? p->bias : NULL;
    p->e.residual = next(r) % 2 ? p->residual : NULL;
    p->e.residual_ld = p->residual_ld;
}

static double act_of(cpv_unary_kind kind, double x)
{
    switch (kind) {
    case CPV_RELU:
        return x > 0 ? x : 0;
    case CPV_GELU:
        return x / 2 * erfc(-x * 0.70710678118654752440);
    case CPV_GELU_TANH:
        return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case CPV_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case CPV_SILU:
        return x / (1 + exp(-x));
    case CPV_TANH:
        return tanh(x);
    case CPV_EXP:
        return exp(x);
    case CPV_IDENTITY:
    case CPV_UNARY_COUNT:
        break;
    }
    return x;
}

static float a_of(const struct product *p, size_t i, size_t k)
{
    return p->by_column ? p->a[k * p->a_ld + i] : p->a[i * p->a_ld + k];
}

/* Steps of an f32 sum err by half an ulp of the partial sum each, at most. */
static void check_against_double(const struct product *p)
{
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = p->e.accumulate ? p->before[i * p->n + j] : 0, size = fabs(sum);
            double x, tol, c = p->c[i * p->c_ld + j];

            for (size_t k = 0; k < p->k; k++) {
                sum += (double)a_of(p, i, k) * p->w[j * p->k + k];
                size += fabs((double)a_of(p, i, k) * p->w[j * p->k + k]);
            }
            x = sum * p->e.scale + (p->e.bias ? p->bias[j] : 0);
            tol = ((double)p->k + 4) * 0x1p-24 * (size + 1);
            tol *= p->e.act == CPV_EXP ? exp(x) : 1.2; /* steepest slope of the others */
            x = act_of(p->e.act, x);
            tol += 4e-7 * (fabs(x) + 1);
            x += p->e.residual ? p->residual[i * p->residual_ld + j] : 0;
            if (!(fabs(c - x) <= tol))
                fail_msg("level %s, %zu x %zu x %zu at (%zu, %zu): %.9g, expected %.9g "
                         "within %.3g",
                         cpv_isa_name(p->kernels->isa), p->m, p->n, p->k, i, j, c, x,
                         tol);
        }
}

static void odd_shapes_agree_with_double(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        struct rng r = {7};

        for (int t = 0; t < 300 && level(isa); t++) {
            struct product p;
            size_t big = t % 50 == 0 ? 1200 : 90; /* some with blocks of k and of rows */

            make(&p, level(isa), &r, between(&r, 1, 70), between(&r, 1, 200),
                 between(&r, 1, big));
            dress(&p, &r);
            run(&p);
            check_against_double(&p);
            drop(&p);
        }
    }
}

static void every_height_and_width_agrees_with_double(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        struct rng r = {11};

        for (size_t m = 1; m <= 17 && level(isa); m++)
            for (size_t n = 1; n <= level(isa)->gemm.panel + 1; n++) {
                struct product p;

                make(&p, level(isa), &r, m, n, 3);
                dress(&p, &r);
                run(&p);
                check_against_double(&p);
                drop(&p);
            }
    }
}

static void nothing_happens_without_rows(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        struct rng r = {13};
        struct product p;
        struct cpv_gemm_f32 g;

        if (!level(isa))
            continue;
        make(&p, level(isa), &r, 1, 5, 4);
        g = call_of(&p);
        g.m = 0;
        reset(&p);
        p.kernels->gemm.f32(&g);
        assert_memory_equal(p.c, p.before, 5 * sizeof(float));
        drop(&p);
    }
}

/* ---- the same bits ---- */

static void same_row(const struct product *p, size_t i, const float *one)
{
    if (memcmp(p->c + i * p->c_ld, one, p->n * sizeof *one) != 0)
        fail_msg("level %s, %zu x %zu x %zu: row %zu has other bits alone",
                 cpv_isa_name(p->kernels->isa), p->m, p->n, p->k, i);
}

/* 1,000 rows at once; then 1, 7 and 64 of them in another order. */
static void rows_do_not_depend_on_their_batch(void **state)
{
    static const size_t counts[] = {1, 7, 64}, wide[][2] = {{101, 130}, {50, 2100}};

    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++)
        for (size_t t = 0; t < 4 && level(isa); t++) {
            struct rng r = {17 + (uint32_t)t};
            struct product p, q;

            make(&p, level(isa), &r, 1000, wide[t / 2][0], wide[t / 2][1]);
            dress(&p, &r);
            p.e.accumulate = t % 2;
            run(&p);
            for (size_t c = 0; c < 3; c++) {
                q = p;
                q.m = counts[c];
                q.by_column = false;
                q.a_ld = p.k;
                q.a = memory(q.m * q.k * sizeof(float));
                q.residual = memory(q.m * q.residual_ld * sizeof(float));
                q.before = memory(q.m * q.n * sizeof(float));
                q.block = memory((2 * GUARD + q.m * q.c_ld) * sizeof(float));
                q.c = q.block + GUARD;
                q.e.residual = p.e.residual ? q.residual : NULL;
                for (size_t i = 0; i < q.m; i++) {
                    size_t from = (i * 617 + 389) % 1000;

                    for (size_t k = 0; k < q.k; k++)
                        q.a[i * q.k + k] = a_of(&p, from, k);
                    memcpy(q.residual + i * q.residual_ld,
                           p.residual + from * p.residual_ld, q.n * sizeof(float));
                    memcpy(q.before + i * q.n, p.before + from * p.n,
                           q.n * sizeof(float));
                }
                run(&q);
                for (size_t i = 0; i < q.m; i++)
                    same_row(&p, (i * 617 + 389) % 1000, q.c + i * q.c_ld);
                free(q.a), free(q.residual), free(q.before), free(q.block);
            }
            drop(&p);
        }
}

static void columns_and_rows_may_be_divided(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        struct rng r = {23};

        for (int t = 0; t < 12 && level(isa); t++) {
            struct product p;
            size_t panel = level(isa)->gemm.panel, rows;
            float *whole;

            make(&p, level(isa), &r, between(&r, 2, 90), between(&r, 1, 4 * panel),
                 t == 0 ? 2500 : between(&r, 1, 300));
            dress(&p, &r);
            run(&p);
            whole = memory(p.m * p.c_ld * sizeof *whole);
            memcpy(whole, p.c, p.m * p.c_ld * sizeof *whole);
            reset(&p);
            rows = between(&r, 1, p.m - 1);
            for (int half = 0; half < 2; half++)
                for (size_t j = 0; j < p.n; j += panel) {
                    struct cpv_gemm_f32 g = call_of(&p);
                    size_t first = half ? rows : 0;

                    g.m = half ? p.m - rows : rows;
                    g.a += first * g.a_row;
                    g.c += first * g.c_ld;
                    if (g.e.residual)
                        g.e.residual += first * g.e.residual_ld;
                    g.n0 = j;
                    g.n1 = j + panel < p.n ? j + panel : p.n;
                    p.kernels->gemm.f32(&g);
                }
            check_guards(&p);
            assert_memory_equal(whole, p.c, p.m * p.c_ld * sizeof *whole);
            free(whole);
            drop(&p);
        }
    }
}

/* x += W h, the way residual streams are kept; with blocks of k in the other product. */
static void a_residual_may_be_the_output(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++)
        for (int act = 0; act < CPV_UNARY_COUNT && level(isa); act++) {
            struct rng r = {29};
            struct product p;
            float *apart;

            make(&p, level(isa), &r, 100, 70, 2100);
            p.e.act = (cpv_unary_kind)act;
            p.e.scale = 0.01f;
            p.e.residual = p.before;
            p.e.residual_ld = p.n;
            run(&p);
            apart = memory(p.m * p.c_ld * sizeof *apart);
            memcpy(apart, p.c, p.m * p.c_ld * sizeof *apart);
            p.e.residual = p.c;
            p.e.residual_ld = p.c_ld;
            run(&p);
            assert_memory_equal(apart, p.c, p.m * p.c_ld * sizeof *apart);
            free(apart);
            drop(&p);
        }
}

/* Outputs, bias, residual and A end where the next page is forbidden. */
static float *at_a_cliff(struct rng *r, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (n * 4 / page + 2) * page;
    char *p =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    float *x;

    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + size - page, page, PROT_NONE), 0);
    x = (float *)(void *)(p + size - page) - n;
    for (size_t i = 0; i < n; i++)
        x[i] = in_one(r);
    return x;
}

static void off_the_cliff(float *x, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (n * 4 / page + 2) * page;

    assert_int_equal(munmap((char *)(x + n) + page - size, size), 0);
}

static void nothing_beyond_an_operand_is_touched(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++)
        for (size_t n = 1; n <= 50 && level(isa); n++) {
            struct rng r = {41};
            size_t m = 5, k = 7;
            struct product p;
            struct cpv_gemm_f32 g;
            float *a, *c, *bias, *residual;

            make(&p, level(isa), &r, m, n, k);
            g = call_of(&p);
            g.a = a = at_a_cliff(&r, m * k);
            g.a_row = k;
            g.a_col = 1;
            g.c = c = at_a_cliff(&r, m * n);
            g.c_ld = n;
            g.e.bias = bias = at_a_cliff(&r, n);
            g.e.residual = residual = at_a_cliff(&r, m * n);
            g.e.residual_ld = n;
            g.e.accumulate = true;
            p.kernels->gemm.f32(&g);
            off_the_cliff(a, m * k), off_the_cliff(c, m * n);
            off_the_cliff(bias, n), off_the_cliff(residual, m * n);
            drop(&p);
        }
}

/* ---- packing ---- */

static void packing_in_any_way_gives_the_same(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        struct rng r = {31};

        for (int t = 0; t < 20 && level(isa); t++) {
            const struct cpv_gemm_kernels *g = &level(isa)->gemm;
            size_t n = between(&r, 1, 130), k = between(&r, 1, 70), cut;
            size_t bytes = g->packed_bytes(n, k), bytes8 = g->s8.packed_bytes(n, k);
            float *w = floats(&r, n * k), *turned = memory(n * k * sizeof *turned);
            char *one = memory(bytes), *other = memory(bytes);
            char *one8 = memory(bytes8), *other8 = memory(bytes8);
            float row[70];

            for (size_t i = 0; i < n * k; i++)
                turned[i % k * n + i / k] = w[i];
            cut = between(&r, 0, n - 1);
            memset(other, 0x11, bytes); /* so that what nobody wrote differs */
            memset(other8, 0x11, bytes8);
            g->pack(one, n, k, 0, n, w, k, 1);
            g->pack(other, n, k, cut, n - cut, turned + cut, 1, n);
            g->pack(other, n, k, 0, cut, w, k, 1);
            assert_memory_equal(one, other, bytes);
            g->s8.pack(one8, n, k, 0, n, w, k, 1);
            g->s8.pack(other8, n, k, cut, n - cut, turned + cut, 1, n);
            g->s8.pack(other8, n, k, 0, cut, w, k, 1);
            assert_memory_equal(one8, other8, bytes8);
            for (size_t i = 0; i < n; i++) {
                float most = 0;

                g->row(one, n, k, i, row);
                assert_memory_equal(row, w + i * k, k * sizeof *row);
                g->s8.row(one8, n, k, i, row);
                for (size_t p = 0; p < k; p++)
                    most = fmaxf(most, fabsf(w[i * k + p]));
                for (size_t p = 0; p < k; p++)
                    assert_true(fabsf(row[p] - w[i * k + p]) <= most / 253);
            }
            free(w), free(turned), free(one), free(other), free(one8), free(other8);
        }
    }
}

/* ---- what is not a number ---- */

static void nan_and_infinity_reach_what_depends_on_them(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++)
        for (size_t t = 0; t < 3 && level(isa); t++) {
            struct rng r = {37};
            struct product p;
            float *clean;

            make(&p, level(isa), &r, 19, 53, 40);
            p.e.bias = p.bias;
            run(&p);
            clean = memory(p.m * p.c_ld * sizeof *clean);
            memcpy(clean, p.c, p.m * p.c_ld * sizeof *clean);
            p.a[p.by_column ? 39 * p.a_ld + 4 : 4 * p.a_ld + 39] = bad[t];
            p.w[50 * p.k] = bad[t];
            p.kernels->gemm.pack(p.packed, p.n, p.k, 0, p.n, p.w, p.k, 1);
            run(&p);
            for (size_t i = 0; i < p.m; i++)
                for (size_t j = 0; j < p.n; j++) {
                    float x = p.c[i * p.c_ld + j];

                    if (i == 4 || j == 50)
                        assert_true(t == 0 ? isnan(x) : !isfinite(x));
                    else
                        assert_true(x == clean[i * p.c_ld + j]);
                }
            free(clean);
            drop(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_shapes_agree_with_double),
        cmocka_unit_test(every_height_and_width_agrees_with_double),
        cmocka_unit_test(nothing_happens_without_rows),
        cmocka_unit_test(rows_do_not_depend_on_their_batch),
        cmocka_unit_test(columns_and_rows_may_be_divided),
        cmocka_unit_test(a_residual_may_be_the_output),
        cmocka_unit_test(nothing_beyond_an_operand_is_touched),
        cmocka_unit_test(packing_in_any_way_gives_the_same),
        cmocka_unit_test(nan_and_infinity_reach_what_depends_on_them),
    };

    return cmocka_run_group_tests_name("gemm", tests, NULL, NULL);
}
