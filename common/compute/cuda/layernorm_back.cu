/* SPDX-License-Identifier: Apache-2.0 */
/*
 * With h = (x - mean) rstd and g = dy gain:
 *
 *     dx += rstd (g - mean(g) - h mean(g h))      a warp a row
 *     dgain += sum of dy h, dbias += sum of dy    32 columns a block, as column_sums.cu
 */
#include "common/compute/cuda/kernel.cuh"

enum { WARPS = 4, COLUMNS = CPV_WARP, LINES = 8 };

/* The layer's input and what forward kept of it. */
template <class T> struct normed {
    cpv_view<T> x, dy;
    const float *mean, *rstd;

    __device__ float h(int64_t i, int64_t c) const
    {
        return (cpv_to_float(x.row(i)[c]) - mean[i]) * rstd[i];
    }
};

template <class T>
static __global__ void __launch_bounds__(WARPS *CPV_WARP)
    rows_kernel(cpv_view<T> dx, normed<T> n, const float *__restrict__ gain)
{
    int64_t i = (int64_t)blockIdx.x * WARPS + threadIdx.x / CPV_WARP;
    int64_t lane = threadIdx.x % CPV_WARP;
    float sum = 0, along = 0, cols = (float)dx.cols;

    if (i >= dx.rows)
        return;
    for (int64_t c = lane; c < dx.cols; c += CPV_WARP) {
        float g = cpv_to_float(n.dy.row(i)[c]) * gain[c];

        sum += g;
        along = fmaf(g, n.h(i, c), along);
    }
    sum = cpv_warp_sum(sum);
    along = cpv_warp_sum(along);
    for (int64_t c = lane; c < dx.cols; c += CPV_WARP) {
        float g = cpv_to_float(n.dy.row(i)[c]) * gain[c];
        float d = n.rstd[i] * (g - (sum + n.h(i, c) * along) / cols);

        dx.row(i)[c] = cpv_from_float<T>(cpv_to_float(dx.row(i)[c]) + d);
    }
}

template <class T>
static __global__ void __launch_bounds__(COLUMNS *LINES)
    columns_kernel(float *dgain, float *dbias, normed<T> n)
{
    CPV_SHARED(float, gains, [LINES][COLUMNS]);
    CPV_SHARED(float, biases, [LINES][COLUMNS]);
    int lane = (int)threadIdx.x % COLUMNS, line = (int)threadIdx.x / COLUMNS;
    int64_t c = (int64_t)blockIdx.x * COLUMNS + lane;
    float gain = 0, bias = 0;

    if (c < n.x.cols)
        for (int64_t i = line; i < n.x.rows; i += LINES) {
            float d = cpv_to_float(n.dy.row(i)[c]);

            gain = fmaf(d, n.h(i, c), gain);
            bias += d;
        }
    gains[line][lane] = gain;
    biases[line][lane] = bias;
    __syncthreads();
    if (line > 0 || c >= n.x.cols)
        return;
    for (int k = 1; k < LINES; k++) {
        gain += gains[k][lane];
        bias += biases[k][lane];
    }
    if (dgain)
        dgain[c] += gain;
    if (dbias)
        dbias[c] += bias;
}

template <class T>
static int launch(cpv_stream s, const struct cpv_op_layernorm *op,
                  const struct cpv_op_layernorm *grad, const float *gain, float *dgain,
                  float *dbias)
{
    normed<T> n = {cpv_view_of<T>(op->x), cpv_view_of<T>(grad->out),
                   static_cast<const float *>(op->mean.data),
                   static_cast<const float *>(op->rstd.data)};
    cudaError_t e = cudaSuccess;

    if (cpv_is(grad->x)) {
        CPV_LAUNCH(rows_kernel<T>, cpv_blocks(op->x.rows, WARPS), WARPS * CPV_WARP, 0, s,
                   cpv_view_of<T>(grad->x), n, gain);
        e = cudaGetLastError();
    }
    if (e != cudaSuccess || (!dgain && !dbias))
        return e;
    CPV_LAUNCH(columns_kernel<T>, cpv_blocks(op->x.cols, COLUMNS), COLUMNS * LINES, 0, s,
               dgain, dbias, n);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_layernorm_back(cpv_stream s, const struct cpv_op_layernorm *op,
                                       const struct cpv_op_layernorm *grad,
                                       const float *gain, float *dgain, float *dbias)
{
    return CPV_BY_DTYPE(op->x.dtype, launch, s, op, grad, gain, dgain, dbias);
}
