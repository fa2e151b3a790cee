/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/cpu/kernels.h"
#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec.h"

const struct cpv_kernels K(cpv_kernels) = {
    .isa = CPV_ISA_LEVEL,
    .width = VW,
    .add = K(cpv_add),
    .axpy = K(cpv_axpy),
    .mul = K(cpv_mul),
    .scale = K(cpv_scale),
    .unary = K(cpv_unary),
};
