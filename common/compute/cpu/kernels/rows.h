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

void K(cpv_add)(float *out, const float *a, const float *b, size_t n);
void K(cpv_axpy)(float *out, const float *x, float by, size_t n);
void K(cpv_mul)(float *out, const float *a, const float *b, size_t n);
void K(cpv_scale)(float *out, const float *in, float by, size_t n);
void K(cpv_unary)(cpv_unary kind, float *out, const float *in, size_t n);

#endif
