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

#endif
