/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of cpv_gpu_probe(): one word a thread, a grid-stride loop. */
#include "common/compute/cuda/portable.cuh"
#include "common/compute/cuda/probe.h"
#include "common/compute/mix.h"

__global__ static void mix_kernel(uint32_t *data, int64_t n, uint32_t seed)
{
    int64_t step = (int64_t)gridDim.x * blockDim.x;

    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
        data[i] = cpv_mix32(data[i] ^ seed);
}

extern "C" int cpv_cuda_probe_mix(uint32_t *data, int64_t n, uint32_t seed)
{
    const int64_t block = 256, most = 1024; /* threads a block, blocks a grid */
    int64_t blocks = (n + block - 1) / block;

    if (n <= 0)
        return cudaSuccess;
    CPV_LAUNCH(mix_kernel, (unsigned)(blocks < most ? blocks : most), (unsigned)block, 0,
               nullptr, data, n, seed);
    return cudaGetLastError();
}
