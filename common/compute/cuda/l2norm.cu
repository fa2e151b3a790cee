/* SPDX-License-Identifier: Apache-2.0 */
/* x / max(|x|, eps): a warp a row. */
#include "common/compute/cuda/kernel.cuh"

enum { WARPS = 4 }; /* a block */

template <class T>
static __global__ void __launch_bounds__(WARPS *CPV_WARP)
    l2norm_kernel(cpv_view<T> out, cpv_view<T> x, float eps)
{
    int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / CPV_WARP;
    int64_t lane = threadIdx.x % CPV_WARP;
    float squares = 0, norm;

    if (i >= x.rows)
        return;
    for (int64_t c = lane; c < x.cols; c += CPV_WARP) {
        float v = cpv_to_float(x.row(i)[c]);

        squares = fmaf(v, v, squares);
    }
    norm = sqrtf(cpv_warp_sum(squares));
    norm = norm < eps ? eps : norm; /* keeps a NaN */
    for (int64_t c = lane; c < x.cols; c += CPV_WARP)
        out.row(i)[c] = cpv_from_float<T>(cpv_to_float(x.row(i)[c]) / norm);
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_l2norm *op)
{
    CPV_LAUNCH(l2norm_kernel<T>, cpv_blocks(op->x.rows, WARPS), WARPS * CPV_WARP, 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<T>(op->x), op->eps);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_l2norm(cpv_stream s, const struct cpv_op_l2norm *op)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op);
}
