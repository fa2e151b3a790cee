/* SPDX-License-Identifier: Apache-2.0 */
/* 0, 1, 2, ... in every sequence of a packed batch: a thread a row. */
#include "common/compute/cuda/kernel.cuh"

static __global__ void positions_kernel(cpv_view<int32_t> out,
                                        const int32_t *__restrict__ offset, int32_t count,
                                        int32_t total)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;

    if (i >= total)
        return;
    *out.row(i) = (int32_t)i - offset[cpv_sequence_of(offset, count, (int32_t)i)];
}

extern "C" int cpv_cuda_positions(cpv_stream s, const struct cpv_op_positions *op)
{
    const unsigned threads = 256;

    CPV_LAUNCH(positions_kernel, cpv_blocks(op->rows.total, threads), threads, 0, s,
               cpv_view_of<int32_t>(op->out), op->rows.on_device, op->rows.count,
               op->rows.total);
    return cudaGetLastError();
}
