/* SPDX-License-Identifier: Apache-2.0 */
/* out = kind(x): a block a row. out may be x. */
#include "common/compute/cuda/kernel.cuh"

template <class T>
static __global__ void unary_kernel(cpv_view<T> out, cpv_view<T> x, cpv_unary_kind kind)
{
    int64_t i = blockIdx.x;

    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x)
        out.row(i)[c] = cpv_from_float<T>(cpv_act(cpv_to_float(x.row(i)[c]), kind));
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_unary *op)
{
    CPV_LAUNCH(unary_kernel<T>, (unsigned)op->out.rows, cpv_threads(op->out.cols), 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<T>(op->x), op->kind);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_unary(cpv_stream s, const struct cpv_op_unary *op)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op);
}
