/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of `each` rows get a first one, and positions: a block a row of the result.
 */
#include "common/compute/cuda/kernel.cuh"

template <class T>
static __global__ void tokens_kernel(cpv_view<T> out, cpv_view<T> x, cpv_view<T> first,
                                     cpv_view<T> positions, int32_t each)
{
    int64_t extra = first.data ? 1 : 0, i = blockIdx.x;
    int64_t n = i / (each + extra), t = i % (each + extra);

    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x) {
        float v = t < extra ? cpv_to_float(first.data[c])
                            : cpv_to_float(x.row(n * each + t - extra)[c]);

        if (positions.data)
            v += cpv_to_float(positions.row(t)[c]);
        out.row(i)[c] = cpv_from_float<T>(v);
    }
}

template <class T>
static int launch(cpv_stream s, const struct cpv_op_tokens *op, cpv_tensor first,
                  cpv_tensor positions)
{
    CPV_LAUNCH(tokens_kernel<T>, (unsigned)op->out.rows, cpv_threads(op->out.cols), 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<T>(op->x), cpv_view_of<T>(first),
               cpv_view_of<T>(positions), op->each);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_tokens(cpv_stream s, const struct cpv_op_tokens *op,
                               cpv_tensor first, cpv_tensor positions)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op, first, positions);
}
