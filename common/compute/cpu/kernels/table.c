/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/cpu/kernels.h"
#include "common/compute/cpu/kernels/gemm_level.h"
#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec.h"

const struct cpv_kernels K(cpv_kernels) = {
    .isa = CPV_ISA_LEVEL,
    .width = VW,
    .gemm = CPV_GEMM_TABLE,
    .attention = K(cpv_attention),
    .attention_scratch = K(cpv_attention_scratch),
    .attention_dx = K(cpv_attention_dx),
    .attention_dx_scratch = K(cpv_attention_dx_scratch),
    .add = K(cpv_add),
    .axpy = K(cpv_axpy),
    .mul = K(cpv_mul),
    .scale = K(cpv_scale),
    .unary = K(cpv_unary),
    .unary_dx = K(cpv_unary_dx),
    .drop = K(cpv_drop),
    .embed_f32 = K(cpv_embed_f32),
    .embed_i8 = K(cpv_embed_i8),
    .patches = K(cpv_patches),
    .dot = K(cpv_dot),
    .l2norm = K(cpv_l2norm),
    .layernorm = K(cpv_layernorm),
    .layernorm_dgain = K(cpv_layernorm_dgain),
    .layernorm_dx = K(cpv_layernorm_dx),
    .arg_max = K(cpv_arg_max),
    .top_k = K(cpv_top_k),
    .log_softmax = K(cpv_log_softmax),
    .softmax = K(cpv_softmax),
    .softmax_dx = K(cpv_softmax_dx),
};
