/* SPDX-License-Identifier: Apache-2.0 */
/* The mean of the rows of each sequence: a block a sequence, a thread some columns, one
 * chain of sums along the rows. */
#include "common/compute/cuda/kernel.cuh"

template <class T>
static __global__ void mean_kernel(cpv_view<T> out, cpv_view<T> x, const int32_t *offset)
{
    int32_t i = (int32_t)blockIdx.x, first = offset[i], end = offset[i + 1];

    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x) {
        float sum = 0;

        for (int32_t t = first; t < end; t++)
            sum += cpv_to_float(x.row(t)[c]);
        out.row(i)[c] = cpv_from_float<T>(end > first ? sum / (float)(end - first) : 0);
    }
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_mean *op)
{
    CPV_LAUNCH(mean_kernel<T>, (unsigned)op->rows.count, cpv_threads(op->out.cols), 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<T>(op->x), op->rows.on_device);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_mean(cpv_stream s, const struct cpv_op_mean *op)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op);
}
