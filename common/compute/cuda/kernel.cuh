/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What kernels share: views of tensors by element type, sums over a block, the way from a
 * dtype to a template. Included by .cu files only, after nothing else.
 *
 * Most kernels give a row to a block, whose threads step through the columns: no division
 * is needed to find one's place, and neighbours read neighbours.
 */
#ifndef CPV_COMPUTE_CUDA_KERNEL_CUH
#define CPV_COMPUTE_CUDA_KERNEL_CUH

#include <string.h>

#include "common/compute/cuda/portable.cuh"

#include "common/compute/cuda/kernels.h"

template <class T> struct cpv_view {
    T *data;
    int64_t rows, cols, stride;

    __device__ T *row(int64_t i) const
    {
        return data + i * stride;
    }
};

template <class T> static inline cpv_view<T> cpv_view_of(const cpv_tensor &t)
{
    cpv_view<T> v = {static_cast<T *>(t.data), t.rows, t.cols, t.stride};

    return v;
}

/* Calls f<T>(arguments) for the element type of a dtype of values. */
#define CPV_BY_DTYPE(dtype, f, ...)                                                      \
    ((dtype) == CPV_F32    ? f<float>(__VA_ARGS__)                                       \
     : (dtype) == CPV_BF16 ? f<__nv_bfloat16>(__VA_ARGS__)                               \
     : (dtype) == CPV_F16  ? f<__half>(__VA_ARGS__)                                      \
                           : static_cast<int>(cudaErrorInvalidValue))

/* Threads for a block that steps through n columns: whole warps, at most 256. */
static inline unsigned cpv_threads(int64_t n)
{
    int64_t warps = (n + CPV_WARP - 1) / CPV_WARP;

    return CPV_WARP * (unsigned)(warps < 8 ? warps : 8);
}

static inline unsigned cpv_blocks(int64_t n, int64_t each)
{
    return (unsigned)((n + each - 1) / each);
}

/* The sequence that has this row: the last that begins at it or before. */
__device__ static inline int32_t cpv_sequence_of(const int32_t *offset, int32_t count,
                                                 int32_t row)
{
    int32_t low = 0, high = count;

    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;

        if (offset[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/*
 * A value and its column as one number: the larger the number, the larger the value, then
 * the lower the column. A NaN is below every number; -0 is 0. Never 0 itself.
 */
__device__ static inline uint64_t cpv_rank(float x, int64_t column)
{
    uint32_t bits;
    float v = x + 0.0f; /* -0 + 0 is 0 */

    memcpy(&bits, &v, sizeof bits);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    if (v != v)
        bits = 0;
    return (uint64_t)bits << 32 | (0xffffffffu - (uint32_t)column);
}

__device__ static inline int64_t cpv_rank_column(uint64_t rank)
{
    return 0xffffffffu - (uint32_t)rank;
}

__device__ static inline bool cpv_rank_is_nan(uint64_t rank)
{
    return rank >> 32 == 0;
}

/* The largest of the block, for every thread; each calls. `each` has room for a number a
 * warp, and is free again after the next barrier. */
__device__ static inline uint64_t cpv_block_max(uint64_t v, uint64_t *each)
{
    unsigned warps = blockDim.x / CPV_WARP;

    for (int step = CPV_WARP / 2; step; step /= 2) {
        uint64_t other = __shfl_xor_sync(CPV_ALL_LANES, v, step);

        v = other > v ? other : v;
    }
    if (threadIdx.x % CPV_WARP == 0)
        each[threadIdx.x / CPV_WARP] = v;
    __syncthreads();
    for (unsigned w = 0; w < warps; w++)
        v = each[w] > v ? each[w] : v;
    return v;
}

__device__ static inline float cpv_act(float x, cpv_unary_kind kind)
{
    switch (kind) {
    case CPV_RELU:
        return x < 0 ? 0 : x; /* keeps a NaN */
    case CPV_GELU:
        return 0.5f * x * erfcf(x * -0.70710678118654752f); /* exact to its tail */
    case CPV_GELU_TANH:
        return 0.5f * x * (1 + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case CPV_QUICK_GELU:
        return x / (1 + expf(-1.702f * x));
    case CPV_SILU:
        return x / (1 + expf(-x));
    case CPV_TANH:
        return tanhf(x);
    case CPV_EXP:
        return expf(x);
    default:
        return x;
    }
}

#endif
