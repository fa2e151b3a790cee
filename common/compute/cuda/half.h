/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays of f32 to the dtypes of a device and back, on the host: to the nearest, ties to
 * even, infinities and NaNs kept. f32 and i32 are copied as they are.
 */
#ifndef CPV_COMPUTE_CUDA_HALF_H
#define CPV_COMPUTE_CUDA_HALF_H

#include "common/compute/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* n values; f32 (or i32) is on the side of the void pointer named so. No overlap. */
void cpv_half_from_f32(cpv_dtype dtype, void *to, const void *f32, size_t n);
void cpv_half_to_f32(cpv_dtype dtype, void *f32, const void *from, size_t n);

#ifdef __cplusplus
}
#endif
#endif
