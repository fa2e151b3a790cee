/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every kernel includes instead of CUDA's own headers. The same .cu file is compiled
 * by nvcc for the device, and by the host's C++ compiler for the emulator of tests/emu,
 * which runs it in the test suite. Which of the two is decided here and nowhere else:
 * kernels contain no #ifdef.
 *
 * A kernel keeps to this header, to threadIdx and its kin, __syncthreads (_or, _and,
 * _count), __syncwarp, the __shfl_*_sync, __ballot_sync and its kin, atomics, the types
 * of cuda_fp16.h and cuda_bf16.h, and the mathematics of C. What the emulator does not
 * know does not compile there, which is how one finds out.
 *
 *     template <class T> static __global__ void k(T *x, int n);
 *
 *     CPV_LAUNCH(k<float>, blocks, threads, bytes, stream, x, n);
 *     CPV_LAUNCH((k2<float, 64>), ...);   a comma asks for parentheses
 *     return cudaGetLastError();          after each launch
 *
 *     CPV_SHARED(float, tile, [32][33]);  static shared memory; an empty last argument
 *     CPV_SHARED(int, flag, );            makes it a scalar
 *     CPV_DYN_SHARED(float, buf);         the launch's `bytes`, aligned to 16; once a
 * kernel
 *
 * Shared memory holds 0xFF under the emulator and anything on a device until written.
 *
 * Copies from global to shared memory without registers, 16 bytes a thread, both ends
 * aligned to 16:
 *
 *     cpv_copy_async16(to, from); ...     any number
 *     cpv_copy_async_commit();            closes a group
 *     cpv_copy_async_wait<N>();           until at most N of this thread's groups are
 * open
 *     __syncthreads();                    before anybody else reads them
 *
 * Below sm_80 the copy happens at once. Under the emulator it happens at the wait, and
 * the destination holds 0xFF until then.
 */
#ifndef CPV_COMPUTE_CUDA_PORTABLE_CUH
#define CPV_COMPUTE_CUDA_PORTABLE_CUH

#include <stdint.h>

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define CPV_WARP      32
#define CPV_ALL_LANES 0xffffffffu

#ifdef __CUDACC__

#define CPV_LAUNCH(kernel, grid, block, bytes, stream, ...)                              \
    kernel<<<(grid), (block), (bytes), (stream)>>>(__VA_ARGS__)

#define CPV_SHARED(T, name, ...) __shared__ T name __VA_ARGS__

#define CPV_DYN_SHARED(T, name)                                                          \
    extern __shared__ __align__(16) unsigned char cpv_dynamic_shared[];                  \
    T *name = reinterpret_cast<T *>(cpv_dynamic_shared)

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800

__device__ __forceinline__ void cpv_copy_async16(void *to, const void *from)
{
    unsigned at = static_cast<unsigned>(__cvta_generic_to_shared(to));

    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(at), "l"(from)
                 : "memory");
}

__device__ __forceinline__ void cpv_copy_async_commit()
{
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

template <int N> __device__ __forceinline__ void cpv_copy_async_wait()
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(N) : "memory");
}

#else

__device__ __forceinline__ void cpv_copy_async16(void *to, const void *from)
{
    *static_cast<int4 *>(to) = *static_cast<const int4 *>(from);
}

__device__ __forceinline__ void cpv_copy_async_commit()
{
}

template <int N> __device__ __forceinline__ void cpv_copy_async_wait()
{
}

#endif

__device__ __forceinline__ void cpv_trap()
{
    __trap();
}

#else

#include <cuda_emu.h> /* tests/emu/include: defines the same names */

#endif

/* --- from here on, one text for both ------------------------------------------------ */

/* The value as a float, and back: to the nearest, ties to even. On the host too. */
__host__ __device__ __forceinline__ float cpv_to_float(float x)
{
    return x;
}

__host__ __device__ __forceinline__ float cpv_to_float(__half x)
{
    return __half2float(x);
}

__host__ __device__ __forceinline__ float cpv_to_float(__nv_bfloat16 x)
{
    return __bfloat162float(x);
}

template <class T> __host__ __device__ __forceinline__ T cpv_from_float(float x);

template <> __host__ __device__ __forceinline__ float cpv_from_float<float>(float x)
{
    return x;
}

template <> __host__ __device__ __forceinline__ __half cpv_from_float<__half>(float x)
{
    return __float2half(x);
}

template <>
__host__ __device__ __forceinline__ __nv_bfloat16 cpv_from_float<__nv_bfloat16>(float x)
{
    return __float2bfloat16(x);
}

/* Over all 32 lanes, each of which must call; every lane gets the result, to the same
   bit, as the tree is symmetric. A NaN makes the sum NaN, and is passed over by max. */
template <class T> __device__ __forceinline__ T cpv_warp_sum(T v)
{
    for (int step = CPV_WARP / 2; step; step /= 2)
        v += __shfl_xor_sync(CPV_ALL_LANES, v, step);
    return v;
}

__device__ __forceinline__ float cpv_warp_max(float v)
{
    for (int step = CPV_WARP / 2; step; step /= 2)
        v = fmaxf(v, __shfl_xor_sync(CPV_ALL_LANES, v, step));
    return v;
}

#endif
