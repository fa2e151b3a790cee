/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of kernels/vec_math.h, at every level that this processor has, against
 * double: over all floats by strides, at the ends, at the places where a formula
 * changes, and in every lane and length.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/compute/cpu/kernels.h"

static double exact(cpv_unary_kind kind, double x)
{
    switch (kind) {
    case CPV_EXP:
        return exp(x);
    case CPV_GELU: /* by erfc: the meaning, without double's cancellation */
        return 0.5 * x * erfc(-x * M_SQRT1_2);
    case CPV_GELU_TANH:
        return x / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case CPV_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case CPV_RELU:
        return x > 0 ? x : 0;
    case CPV_SILU:
        return x / (1 + exp(-x));
    case CPV_TANH:
        return tanh(x);
    case CPV_IDENTITY:
        return x;
    case CPV_UNARY_COUNT:
        break;
    }
    return NAN;
}

static const char *const names[CPV_UNARY_COUNT] = {
    "identity", "relu", "gelu", "gelu_tanh", "quick_gelu", "silu", "tanh", "exp"};

/* What each promises: units in the last place of the exact value, or absolute; either
   will do. Below zero the tails of gelu and silu have their absolute bound. */
static const struct {
    double ulp, absolute;
} bounds[] = {
    [CPV_EXP] = {1.0, 1.5e-45},    [CPV_GELU] = {2, 2e-7},
    [CPV_GELU_TANH] = {2.5, 2e-7}, [CPV_QUICK_GELU] = {2.5, 1e-7},
    [CPV_RELU] = {0, 0},           [CPV_SILU] = {2.5, 1e-7},
    [CPV_TANH] = {2, 0},           [CPV_IDENTITY] = {0, 0},
};

static float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The distance between floats at x. */
static double ulp_at(double x)
{
    int e;

    (void)frexp(x, &e);
    return ldexp(1, e - 24 < -149 ? -149 : e - 24);
}

struct worst {
    double ulp, absolute;
    float at, at_absolute;
};

static void judge(const char *isa, cpv_unary_kind kind, float x, float y, struct worst *w)
{
    double want = exact(kind, x), diff = fabs(y - want), ulp;

    if (fabs(want) >= (double)FLT_MAX + ulp_at(FLT_MAX) / 2 && isinf(y) &&
        (y > 0) == (want > 0))
        return;
    ulp = diff / ulp_at(want);
    if (!(ulp <= bounds[kind].ulp) && !(diff <= bounds[kind].absolute))
        fail_msg("%s %s(%a = %.9g) = %.9g, expected %.9g: %.3g ulp, %.3g", isa,
                 names[kind], x, x, y, want, ulp, diff);
    if (ulp > w->ulp && fabs(want) > 1e-3)
        w->ulp = ulp, w->at = x;
    if (diff > w->absolute && fabs(x) < 8 && kind != CPV_EXP)
        w->absolute = diff, w->at_absolute = x;
}

static void every_level_keeps_its_bounds(void **state)
{
    enum { N = 4096 };
    const uint32_t step = 2039; /* a prime: each lane and exponent in turn */

    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        const struct cpv_kernels *k = cpv_kernels_of(isa);

        for (int kind = 0; k && kind < CPV_UNARY_COUNT; kind++) {
            struct worst w = {0};
            float in[N], out[N];
            uint64_t bits = 0;

            while (bits <= UINT32_MAX) {
                size_t n = 0;

                for (; n < N && bits <= UINT32_MAX; bits += step) {
                    float x = float_of((uint32_t)bits);

                    if (isfinite(x))
                        in[n++] = x;
                }
                k->unary(kind, out, in, n);
                for (size_t i = 0; i < n; i++)
                    judge(cpv_isa_name(isa), kind, in[i], out[i], &w);
            }
            print_message("%-4s %-10s %.3f ulp at %.7g, %.3g at %.7g\n",
                          cpv_isa_name(isa), names[kind], w.ulp, w.at, w.absolute,
                          w.at_absolute);
        }
    }
}

/* Every float of the neighbourhoods where a formula changes or saturates. */
static void the_seams_hold(void **state)
{
    static const float seams[] = {0.65f,       0.95f,     0.95f * 1.41421356f,
                                  0.34657359f, 1,         1.5,
                                  3,           4,         5.5f,
                                  9,           9.2f,      10,
                                  16.635f,     51.9f,     87.33654f,
                                  88.0296919f, 88.722f,   88.7228317f,
                                  89,          103.2789f, 103.97f,
                                  104,         110};

    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        const struct cpv_kernels *k = cpv_kernels_of(isa);

        for (int kind = 0; k && kind < CPV_UNARY_COUNT; kind++)
            for (size_t s = 0; s < 2 * (sizeof seams / sizeof *seams); s++) {
                struct worst w = {0};
                float in[512], out[512];
                uint32_t bits;

                memcpy(&bits, &seams[s / 2], sizeof bits);
                for (uint32_t i = 0; i < 512; i++)
                    in[i] = float_of((bits - 256 + i) ^ (uint32_t)(s % 2) << 31);
                k->unary(kind, out, in, 512);
                for (int i = 0; i < 512; i++)
                    judge(cpv_isa_name(isa), kind, in[i], out[i], &w);
            }
    }
}

/* As the formula in IEEE arithmetic: Inf * 0 is NaN. */
static void infinities_and_nan_are_as_the_closed_form(void **state)
{
    static const float at_plus[CPV_UNARY_COUNT] = {
        INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, 1, INFINITY};
    static const float at_minus[CPV_UNARY_COUNT] = {-INFINITY, 0,   NAN, NAN,
                                                    NAN,       NAN, -1,  0};
    float in[33], out[33];

    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        const struct cpv_kernels *k = cpv_kernels_of(isa);

        for (int kind = 0; k && kind < CPV_UNARY_COUNT; kind++)
            for (int lane = 0; lane < 33; lane++) {
                memset(in, 0, sizeof in);
                in[lane] = INFINITY;
                k->unary(kind, out, in, 33);
                assert_true(out[lane] == at_plus[kind]);
                in[lane] = -INFINITY;
                k->unary(kind, out, in, 33);
                assert_true(isnan(at_minus[kind]) ? isnan(out[lane])
                                                  : out[lane] == at_minus[kind]);
                in[lane] = NAN;
                k->unary(kind, out, in, 33);
                assert_true(isnan(out[lane]));
                for (int i = 0; i < 33; i++)
                    assert_true(i == lane || out[i] == (kind == CPV_EXP));
                in[lane] = -0.0f;
                k->unary(kind, out, in, 33);
                assert_true(out[lane] == (kind == CPV_EXP));
            }
    }
}

/* The same number gives the same bits in any lane, length and alignment. */
static void no_place_in_a_row_is_special(void **state)
{
    float in[70], out[72], alone;

    (void)state;
    for (int i = 0; i < 70; i++)
        in[i] = (float)(i - 35) / 7;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        const struct cpv_kernels *k = cpv_kernels_of(isa);

        for (int kind = 0; k && kind < CPV_UNARY_COUNT; kind++)
            for (size_t n = 0; n < 40; n++)
                for (size_t from = 0; from < 30; from += 3) {
                    for (int i = 0; i < 72; i++)
                        out[i] = 77;
                    k->unary(kind, out + 1, in + from, n);
                    assert_true(out[0] == 77 && out[n + 1] == 77);
                    for (size_t i = 0; i < n; i++) {
                        k->unary(kind, &alone, in + from + i, 1);
                        assert_memory_equal(&alone, out + 1 + i, sizeof alone);
                    }
                }
    }
}

/* By differences of the exact function in double; at 0 relu has the slope 0. */
static void slopes_are_those_of_the_functions(void **state)
{
    float x[801], dy[801], dx[801];

    (void)state;
    for (int i = 0; i <= 800; i++) {
        x[i] = (float)(i - 400) / 20;
        dy[i] = i % 2 ? 1 : -2.5f;
    }
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        const struct cpv_kernels *k = cpv_kernels_of(isa);

        for (int kind = 0; k && kind < CPV_UNARY_COUNT; kind++) {
            k->unary_dx(kind, dx, dy, x, 801);
            for (int i = 0; i <= 800; i++) {
                double h = 1e-5;
                double slope = (exact(kind, x[i] + h) - exact(kind, x[i] - h)) / (2 * h);
                double tol = kind == CPV_EXP ? 1e-6 * slope + 1e-9 : 1e-6;

                if (kind == CPV_RELU && x[i] == 0)
                    slope = 0;
                if (!(fabs(dx[i] - dy[i] * slope) <= 2.5 * tol))
                    fail_msg("%s, slope of %s at %g: %.9g, expected %.9g",
                             cpv_isa_name(isa), names[kind], x[i], dx[i] / dy[i], slope);
            }
            k->unary_dx(kind, x, dy, x, 801);
            assert_memory_equal(x, dx, sizeof x);
            for (int i = 0; i <= 800; i++)
                x[i] = (float)(i - 400) / 20;
        }
    }
}

static void slopes_far_out_are_limits(void **state)
{
    static const float far[] = {150, 1e4f, 1e20f, 3e38f, INFINITY};

    (void)state;
    for (int isa = 0; isa < CPV_ISA_COUNT; isa++) {
        const struct cpv_kernels *k = cpv_kernels_of(isa);

        for (int kind = 0; k && kind < CPV_UNARY_COUNT; kind++)
            for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
                float one = 1, x = far[i], minus = -far[i], none = NAN, dx;
                float up = kind == CPV_EXP ? INFINITY : kind != CPV_TANH;

                k->unary_dx(kind, &dx, &one, &x, 1);
                assert_true(dx == up);
                k->unary_dx(kind, &dx, &one, &minus, 1);
                assert_true(kind == CPV_IDENTITY ? dx == 1 : fabsf(dx) <= 1e-30f);
                k->unary_dx(kind, &dx, &one, &none, 1);
                assert_true(kind == CPV_IDENTITY || isnan(dx));
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_keeps_its_bounds),
        cmocka_unit_test(the_seams_hold),
        cmocka_unit_test(infinities_and_nan_are_as_the_closed_form),
        cmocka_unit_test(slopes_are_those_of_the_functions),
        cmocka_unit_test(slopes_far_out_are_limits),
        cmocka_unit_test(no_place_in_a_row_is_special),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
