/* SPDX-License-Identifier: Apache-2.0 */
/* out = x, bit by bit: a block a row. out may be x. */
#include "common/compute/cuda/kernel.cuh"

template <class U> static __global__ void copy_kernel(cpv_view<U> out, cpv_view<U> x)
{
    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x)
        out.row(blockIdx.x)[c] = x.row(blockIdx.x)[c];
}

template <class U> static int launch(cpv_stream s, const struct cpv_op_copy *op)
{
    CPV_LAUNCH(copy_kernel<U>, (unsigned)op->out.rows, cpv_threads(op->out.cols), 0, s,
               cpv_view_of<U>(op->out), cpv_view_of<U>(op->x));
    return cudaGetLastError();
}

extern "C" int cpv_cuda_copy(cpv_stream s, const struct cpv_op_copy *op)
{
    switch (op->out.dtype) {
    case CPV_F32:
    case CPV_I32:
        return launch<uint32_t>(s, op);
    case CPV_BF16:
    case CPV_F16:
        return launch<uint16_t>(s, op);
    default:
        return cudaErrorInvalidValue;
    }
}
