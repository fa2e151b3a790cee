/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The row kernels that table.c puts into the table; common/compute/cpu/kernels.h says
 * what each does. Only kernels/ includes it.
 */
#ifndef CPV_COMPUTE_CPU_KERNELS_ROWS_H
#define CPV_COMPUTE_CPU_KERNELS_ROWS_H

#include "common/compute/cpu/kernels.h"
#include "common/compute/cpu/kernels/vec.h"

#if !defined(CPV_ISA_NAME)
#define CPV_ISA_NAME base /* a header read alone */
#endif

void K(cpv_attention)(const struct cpv_attention *a, float *scratch);
size_t K(cpv_attention_scratch)(size_t nq, size_t nkv, size_t dh);
void K(cpv_attention_dx)(const struct cpv_attention *a,
                         const struct cpv_attention_grad *g, float *scratch);
size_t K(cpv_attention_dx_scratch)(size_t nq, size_t nkv, size_t dh);
void K(cpv_add)(float *out, const float *a, const float *b, size_t n);
void K(cpv_axpy)(float *out, const float *x, float by, size_t n);
void K(cpv_mul)(float *out, const float *a, const float *b, size_t n);
void K(cpv_scale)(float *out, const float *in, float by, size_t n);
void K(cpv_unary)(cpv_unary_kind kind, float *out, const float *in, size_t n);
void K(cpv_unary_dx)(cpv_unary_kind kind, float *dx, const float *dy, const float *x,
                     size_t n);
void K(cpv_drop)(float *out, const float *in, const struct cpv_drop *d, size_t n);
void K(cpv_embed_f32)(float *out, const float *row, float scale, const float *add,
                      size_t n);
void K(cpv_embed_i8)(float *out, const int8_t *row, float scale, const float *add,
                     size_t n);
void K(cpv_patches)(float *out, size_t out_stride, const float *pixels, size_t channels,
                    size_t height, size_t width, size_t p);
float K(cpv_dot)(const float *a, const float *b, size_t n);
float K(cpv_l2norm)(float *out, const float *in, float least, size_t n);
void K(cpv_layernorm)(float *out, const float *in, const float *gain, const float *bias,
                      float eps, size_t n, float *mean, float *rstd);
void K(cpv_layernorm_dgain)(float *dgain, float *dbias, const float *dy, const float *in,
                            const float *mean, const float *rstd, size_t rows,
                            size_t stride, size_t n);
void K(cpv_layernorm_dx)(float *dx, const float *dy, const float *in, const float *gain,
                         float mean, float rstd, size_t n);
size_t K(cpv_arg_max)(const float *in, size_t n);
size_t K(cpv_top_k)(const float *in, size_t n, size_t k, float *values, int32_t *places,
                    float *lse);
void K(cpv_log_softmax)(float *out, const float *in, size_t n);
void K(cpv_softmax)(float *out, const float *in, size_t seen, size_t n);
void K(cpv_softmax_dx)(float *dx, const float *y, const float *dy, size_t n);

#endif
