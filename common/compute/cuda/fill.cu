/* SPDX-License-Identifier: Apache-2.0 */
/* out = value: a block a row. */
#include "common/compute/cuda/kernel.cuh"

template <class T> static __global__ void fill_kernel(cpv_view<T> out, float value)
{
    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x)
        out.row(blockIdx.x)[c] = cpv_from_float<T>(value);
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_fill *op)
{
    CPV_LAUNCH(fill_kernel<T>, (unsigned)op->out.rows, cpv_threads(op->out.cols), 0, s,
               cpv_view_of<T>(op->out), op->value);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_fill(cpv_stream s, const struct cpv_op_fill *op)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op);
}
