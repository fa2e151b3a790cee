/* SPDX-License-Identifier: Apache-2.0 */
/* out = a + b: a block a row. out may be a or b. */
#include "common/compute/cuda/kernel.cuh"

template <class T>
static __global__ void add_kernel(cpv_view<T> out, cpv_view<T> a, cpv_view<T> b)
{
    int64_t i = blockIdx.x;

    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x)
        out.row(i)[c] =
            cpv_from_float<T>(cpv_to_float(a.row(i)[c]) + cpv_to_float(b.row(i)[c]));
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_add *op)
{
    CPV_LAUNCH(add_kernel<T>, (unsigned)op->out.rows, cpv_threads(op->out.cols), 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<T>(op->a), cpv_view_of<T>(op->b));
    return cudaGetLastError();
}

extern "C" int cpv_cuda_add(cpv_stream s, const struct cpv_op_add *op)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op);
}
