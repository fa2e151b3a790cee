/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matrix unit, for kernels: nvcuda::wmma with half or bfloat16 factors and float
 * sums, tiles of 16x16x16. Which lane holds which element is nobody's business but the
 * unit's: only operations on all elements alike may touch fragment.x.
 *
 * bfloat16 needs sm_80. A kernel that has both types asks, so that it compiles for all:
 *
 *     if constexpr (cpv_wmma_has<T>()) { ... } else { cpv_trap(); }
 */
#ifndef CPV_COMPUTE_CUDA_WMMA_CUH
#define CPV_COMPUTE_CUDA_WMMA_CUH

#include "common/compute/cuda/portable.cuh"

#ifdef __CUDACC__
#include <mma.h>
#else
#include <emu/wmma.h>
#endif

template <class T> __device__ constexpr bool cpv_wmma_has()
{
    return true;
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
template <> __device__ constexpr bool cpv_wmma_has<__nv_bfloat16>()
{
    return false;
}
#endif

#endif
