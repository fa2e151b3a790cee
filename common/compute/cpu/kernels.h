/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inner loops of the cpu backend: one table for each level of instructions.
 *
 * A kernel works on plain rows of floats and knows nothing of tensors, threads or
 * arenas. It computes each output row from that row's inputs alone and in an order that
 * its arguments do not change, so that the same row gives the same bits in any batch.
 * Levels may differ in their last bits: only base lacks fused multiply-add.
 */
#ifndef CPV_COMPUTE_CPU_KERNELS_H
#define CPV_COMPUTE_CPU_KERNELS_H

#include "common/compute/cpu/gemm.h"
#include "common/compute/cpu/isa.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_kernels {
    cpv_isa isa;
    int width; /* floats in a vector */
    struct cpv_gemm_kernels gemm;
};

extern const struct cpv_kernels cpv_kernels_base;
extern const struct cpv_kernels cpv_kernels_v3;
extern const struct cpv_kernels cpv_kernels_v4;

#ifdef __cplusplus
}
#endif
#endif
