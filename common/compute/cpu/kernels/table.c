/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/cpu/kernels.h"
#include "common/compute/cpu/kernels/gemm_level.h"
#include "common/compute/cpu/kernels/vec.h"

const struct cpv_kernels K(cpv_kernels) = {
    .isa = CPV_ISA_LEVEL,
    .width = VW,
    .gemm = CPV_GEMM_TABLE,
};
