/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of a vector, lane by lane. Only kernels/ includes it.
 *
 * NaN gives NaN with every one. At an infinity each gives what its formula below gives
 * in IEEE arithmetic, so gelu and silu of -Inf, which are -Inf * 0, are NaN.
 * tests/unit/compute/test_vecmath.c measures the errors that are promised here; the
 * coefficients are minimax fits made for these intervals in 40 digits.
 */
#ifndef CPV_COMPUTE_CPU_KERNELS_VEC_MATH_H
#define CPV_COMPUTE_CPU_KERNELS_VEC_MATH_H

#include "common/compute/cpu/kernels/vec_ops.h"

/* Added and taken away, it rounds to a whole number; whose bits it then ends in. */
#define CPV_K_ROUNDER 0x1.8p23f

/* p * 2^n, n a whole number in -252..254. */
static inline vf v_scale2(vf p, vf n_plus_rounder)
{
#if defined(__AVX512F__)
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)(n_plus_rounder - CPV_K_ROUNDER));
#else
    vi n = v_bits(n_plus_rounder) - v_bits(v_set1(CPV_K_ROUNDER));
    vi half = n >> 1;

    /* In two steps, so that what is subnormal or infinite in the end comes out so. */
    return p * v_float((half + 127) << 23) * v_float((n - half + 127) << 23);
#endif
}

/*
 * e^x, within 1 ulp where the result is normal, and within one subnormal step below;
 * 0 from -104 down, Inf from 88.73 up.
 */
static inline vf v_exp(vf x)
{
    vf lo = v_min(v_set1(89), v_max(v_set1(-104), x)); /* a NaN passes through both */
    vf t = v_fma(lo, v_set1(0x1.715476p+0f), v_set1(CPV_K_ROUNDER));
    vf n = t - CPV_K_ROUNDER;
    /* ln 2 in two parts, the first of 9 bits: n times it is exact. |r| <= 0.3466 */
    vf r = v_fma(n, v_set1(-0x1.63p-1f), lo);
    vf p;

    r = v_fma(n, v_set1(0x1.bd0106p-13f), r);
    p = v_fma(v_set1(0x1.6dbc28p-10f), r, v_set1(0x1.12414ep-7f));
    p = v_fma(p, r, v_set1(0x1.555454p-5f));
    p = v_fma(p, r, v_set1(0x1.555486p-3f));
    p = v_fma(p, r, v_set1(0.5f));
    p = v_fma(p * r, r, r) + 1;
    return v_scale2(p, t);
}

/* Within 2 ulp. */
static inline vf v_tanh(vf x)
{
    vf a = v_abs(x), z = x * x, p;
    vf far = 1 - 2 / (v_exp(2 * a) + 1);

    p = v_fma(v_set1(-0x1.6a541ep-8f), z, v_set1(0x1.4f998ap-6f));
    p = v_fma(p, z, v_set1(-0x1.b7da5ep-5f));
    p = v_fma(p, z, v_set1(0x1.110450p-3f));
    p = v_fma(p, z, v_set1(-0x1.555526p-2f));
    p = v_fma(p * z, x, x);
    return v_choose(v_lt(a, v_set1(0.65f)), p, v_copysign(far, x));
}

/* erf(x) for |x| < 0.95. */
static inline vf v_erf_near(vf x)
{
    vf z = x * x, p;

    p = v_fma(v_set1(0x1.589d3ep-14f), z, v_set1(-0x1.a8ffa0p-11f));
    p = v_fma(p, z, v_set1(0x1.54a504p-8f));
    p = v_fma(p, z, v_set1(-0x1.b80b1ep-6f));
    p = v_fma(p, z, v_set1(0x1.ce2de2p-4f));
    p = v_fma(p, z, v_set1(-0x1.812742p-2f));
    p = v_fma(p, z, v_set1(0x1.06eba8p-3f));
    return v_fma(p, x, x);
}

/* 1 - erf(a) for a >= 0.9: relatively within 2e-6 up to 4, absolutely 2e-8. */
static inline vf v_erfc_far(vf a)
{
    vf p = v_fma(v_set1(-0x1.30bae6p-16f), a, v_set1(0x1.9f1e20p-12f));

    p = v_fma(p, a, v_set1(-0x1.039292p-8f));
    p = v_fma(p, a, v_set1(0x1.917756p-6f));
    p = v_fma(p, a, v_set1(-0x1.b73a40p-4f));
    p = v_fma(p, a, v_set1(-0x1.44cd7cp-1f));
    p = v_fma(p, a, v_set1(-0x1.2103eap+0f));
    p = v_fma(p, a, v_set1(0x1.c038f6p-15f));
    return v_exp(p);
}

static inline vf v_relu(vf x)
{
    return v_max(v_set1(0), x); /* in this order a NaN stays */
}

/* (1 + erf(x / sqrt 2)) / 2: for negative x by erfc, without the cancellation. */
static inline vf v_normal(vf x)
{
    vf t = x * 0x1.6a09e6p-1f, a = v_abs(t);
    vf tail = v_erfc_far(a);
    vf far = v_choose(v_lt(x, v_set1(0)), tail, 2 - tail);

    return 0.5f * v_choose(v_lt(a, v_set1(0.95f)), v_erf_near(t) + 1, far);
}

/* x / 2 * (1 + erf(x / sqrt 2)): within 2e-7, or where x > 4 within 2 ulp. */
static inline vf v_gelu_erf(vf x)
{
    return x * v_normal(x);
}

/*
 * x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), by the identity
 * (1 + tanh y) / 2 = 1 / (1 + e^-2y), which has no cancellation.
 */
#define CPV_K_GELU_1 0x1.988454p+0f /* 2 sqrt(2 / pi) */
#define CPV_K_GELU_3 0x1.2444f2p-4f /* 0.044715 of that */
static inline vf v_gelu_tanh(vf x)
{
    vf y = x * v_fma(x * x, v_set1(CPV_K_GELU_3), v_set1(CPV_K_GELU_1));

    return x / (v_exp(-y) + 1);
}

/* x / (1 + e^(-1.702 x)) */
static inline vf v_quick_gelu(vf x)
{
    return x / (v_exp(-1.702f * x) + 1);
}

/* x / (1 + e^-x) */
static inline vf v_silu(vf x)
{
    return x / (v_exp(-x) + 1);
}

#endif
