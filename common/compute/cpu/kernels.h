/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inner loops of the cpu backend: one table for each level of instructions.
 *
 * A kernel works on plain rows of floats and knows nothing of tensors, threads or
 * arenas. It computes each output row from that row's inputs alone and in an order that
 * its arguments do not change, so that the same row gives the same bits in any batch.
 * Levels may differ in their last bits: only base lacks fused multiply-add.
 *
 * Pointers need no alignment. Output and input may be the same row where it says "in
 * place"; otherwise they do not overlap. n may be 0 unless it says otherwise.
 * NaN in an input of a row gives NaN in what depends on it, unless said otherwise.
 */
#ifndef CPV_COMPUTE_CPU_KERNELS_H
#define CPV_COMPUTE_CPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "common/compute/cpu/isa.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The formulas are those of kernels/vec_math.h. */
typedef enum cpv_unary {
    CPV_UNARY_EXP,
    CPV_UNARY_GELU_ERF,   /* exact: x / 2 * (1 + erf(x / sqrt 2)) */
    CPV_UNARY_GELU_TANH,  /* x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) */
    CPV_UNARY_QUICK_GELU, /* x * sigmoid(1.702 x) */
    CPV_UNARY_RELU,
    CPV_UNARY_SILU, /* x * sigmoid(x) */
    CPV_UNARY_TANH,
    CPV_UNARY_ERF,
    CPV_UNARY_COUNT
} cpv_unary;

struct cpv_kernels {
    cpv_isa isa;
    int width; /* floats in a vector */

    /* --- element by element: kernels/elementwise.c; all of them in place too --- */

    /* out[i] = a[i] + b[i] */
    void (*add)(float *out, const float *a, const float *b, size_t n);
    /* out[i] += by * x[i] */
    void (*axpy)(float *out, const float *x, float by, size_t n);
    /* out[i] = a[i] * b[i] */
    void (*mul)(float *out, const float *a, const float *b, size_t n);
    /* out[i] = in[i] * by */
    void (*scale)(float *out, const float *in, float by, size_t n);
    void (*unary)(cpv_unary kind, float *out, const float *in, size_t n);
};

extern const struct cpv_kernels cpv_kernels_base;
extern const struct cpv_kernels cpv_kernels_v3;
extern const struct cpv_kernels cpv_kernels_v4;

#ifdef __cplusplus
}
#endif
#endif
