/* SPDX-License-Identifier: Apache-2.0 */
/*
 * (x - mean) / sqrt(var + eps) * gain + bias: a warp a row, so that nobody waits for
 * anybody. The row is read three times, from the first-level cache but once; the variance
 * is that of the differences, which loses nothing where the mean is far from zero.
 */
#include "common/compute/cuda/kernel.cuh"

enum { WARPS = 4 }; /* a block */

template <class T>
static __global__ void __launch_bounds__(WARPS *CPV_WARP)
    layernorm_kernel(cpv_view<T> out, cpv_view<T> x, const float *__restrict__ gain,
                     const float *__restrict__ bias, float eps, float *mean_out,
                     float *rstd_out)
{
    int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / CPV_WARP;
    int64_t lane = threadIdx.x % CPV_WARP;
    float sum = 0, squares = 0, mean, rstd;

    if (i >= x.rows)
        return;
    for (int64_t c = lane; c < x.cols; c += CPV_WARP)
        sum += cpv_to_float(x.row(i)[c]);
    mean = cpv_warp_sum(sum) / (float)x.cols;
    for (int64_t c = lane; c < x.cols; c += CPV_WARP) {
        float d = cpv_to_float(x.row(i)[c]) - mean;

        squares = fmaf(d, d, squares);
    }
    rstd = 1 / sqrtf(cpv_warp_sum(squares) / (float)x.cols + eps);
    for (int64_t c = lane; c < x.cols; c += CPV_WARP) {
        float v = (cpv_to_float(x.row(i)[c]) - mean) * rstd * gain[c];

        out.row(i)[c] = cpv_from_float<T>(bias ? v + bias[c] : v);
    }
    if (mean_out && lane == 0)
        mean_out[i] = mean;
    if (rstd_out && lane == 0)
        rstd_out[i] = rstd;
}

template <class T>
static int launch(cpv_stream s, const struct cpv_op_layernorm *op, const float *gain,
                  const float *bias)
{
    CPV_LAUNCH(layernorm_kernel<T>, cpv_blocks(op->x.rows, WARPS), WARPS * CPV_WARP, 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<T>(op->x), gain, bias, op->eps,
               static_cast<float *>(op->mean.data), static_cast<float *>(op->rstd.data));
    return cudaGetLastError();
}

extern "C" int cpv_cuda_layernorm(cpv_stream s, const struct cpv_op_layernorm *op,
                                  const float *gain, const float *bias)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op, gain, bias);
}
