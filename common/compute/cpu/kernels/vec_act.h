/* SPDX-License-Identifier: Apache-2.0 */
/* The activations of compute.h, lane by lane. Only kernels/ includes it. */
#ifndef CPV_COMPUTE_CPU_KERNELS_VEC_ACT_H
#define CPV_COMPUTE_CPU_KERNELS_VEC_ACT_H

#include "common/compute/compute.h"
#include "common/compute/cpu/kernels/vec_math.h"

/* Fast where `kind` is a constant. */
__attribute__((always_inline)) static inline vf v_act(cpv_unary_kind kind, vf x)
{
    switch (kind) {
    case CPV_RELU:
        return v_relu(x);
    case CPV_GELU:
        return v_gelu_erf(x);
    case CPV_GELU_TANH:
        return v_gelu_tanh(x);
    case CPV_QUICK_GELU:
        return v_quick_gelu(x);
    case CPV_SILU:
        return v_silu(x);
    case CPV_TANH:
        return v_tanh(x);
    case CPV_EXP:
        return v_exp(x);
    case CPV_IDENTITY:
    case CPV_UNARY_COUNT:
        break;
    }
    return x;
}

/* s + by * s * (1 - s) for s = 1 / (1 + e), without the cancellation of 1 - s. */
static inline vf v_logistic_slope(vf e, vf by)
{
    vf bounded = v_min(v_set1(1e37f), e), s = 1 / (bounded + 1);

    return v_fma(by * s, bounded * s, s);
}

/*
 * The derivative of the same, within 1e-6. At infinities its limit: arguments beyond 100
 * are as good as infinite to all of them, and Inf * 0 stays out. 0 at relu's corner.
 */
__attribute__((always_inline)) static inline vf v_act_slope(cpv_unary_kind kind, vf x)
{
    vf t = v_min(v_set1(100), v_max(v_set1(-100), x)); /* a NaN passes */
    vf e;

    switch (kind) {
    case CPV_RELU:
        return v_choose(v_gt(x, v_set1(0)), v_set1(1), v_relu(x));
    case CPV_GELU:
        return v_fma(t, 0x1.988454p-2f * v_exp(-0.5f * t * t), v_normal(t));
    case CPV_GELU_TANH:
        e = v_exp(-t * v_fma(t * t, v_set1(CPV_K_GELU_3), v_set1(CPV_K_GELU_1)));
        return v_logistic_slope(
            e, t * v_fma(t * t, v_set1(3 * CPV_K_GELU_3), v_set1(CPV_K_GELU_1)));
    case CPV_QUICK_GELU:
        return v_logistic_slope(v_exp(-1.702f * t), 1.702f * t);
    case CPV_SILU:
        return v_logistic_slope(v_exp(-t), t);
    case CPV_TANH:
        e = v_tanh(x);
        return 1 - e * e;
    case CPV_EXP:
        return v_exp(x);
    case CPV_IDENTITY:
    case CPV_UNARY_COUNT:
        break;
    }
    return v_set1(1);
}

#endif
