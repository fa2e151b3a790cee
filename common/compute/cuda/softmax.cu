/* SPDX-License-Identifier: Apache-2.0 */
/* exp(x - max) / sum: a warp a row, three passes over it. */
#include "common/compute/cuda/kernel.cuh"

enum { WARPS = 4 }; /* a block */

template <class T>
static __global__ void __launch_bounds__(WARPS *CPV_WARP)
    softmax_kernel(cpv_view<T> out, cpv_view<T> x)
{
    int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / CPV_WARP;
    int64_t lane = threadIdx.x % CPV_WARP;
    float most = -INFINITY, sum = 0;

    if (i >= x.rows)
        return;
    for (int64_t c = lane; c < x.cols; c += CPV_WARP)
        most = fmaxf(most, cpv_to_float(x.row(i)[c]));
    most = cpv_warp_max(most);
    for (int64_t c = lane; c < x.cols; c += CPV_WARP)
        sum += expf(cpv_to_float(x.row(i)[c]) - most);
    sum = cpv_warp_sum(sum);
    for (int64_t c = lane; c < x.cols; c += CPV_WARP)
        out.row(i)[c] = cpv_from_float<T>(expf(cpv_to_float(x.row(i)[c]) - most) / sum);
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_softmax *op)
{
    CPV_LAUNCH(softmax_kernel<T>, cpv_blocks(op->x.rows, WARPS), WARPS * CPV_WARP, 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<T>(op->x));
    return cudaGetLastError();
}

extern "C" int cpv_cuda_softmax(cpv_stream s, const struct cpv_op_softmax *op)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op);
}
