/* SPDX-License-Identifier: Apache-2.0 */
/* out[i] = x[index[i]]: a block a row. The index is the caller's word. */
#include "common/compute/cuda/kernel.cuh"

template <class T>
static __global__ void gather_kernel(cpv_view<T> out, cpv_view<T> x,
                                     cpv_view<int32_t> index)
{
    int64_t i = blockIdx.x;
    const T *from = x.row(*index.row(i));

    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x)
        out.row(i)[c] = from[c];
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_gather *op)
{
    CPV_LAUNCH(gather_kernel<T>, (unsigned)op->out.rows, cpv_threads(op->out.cols), 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<T>(op->x),
               cpv_view_of<int32_t>(op->index));
    return cudaGetLastError();
}

extern "C" int cpv_cuda_gather(cpv_stream s, const struct cpv_op_gather *op)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op);
}
