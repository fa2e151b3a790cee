/* SPDX-License-Identifier: Apache-2.0 */
/* The column of the largest of a row: a block a row, one pass. */
#include "common/compute/cuda/kernel.cuh"

enum { THREADS = 256 };

template <class T>
static __global__ void __launch_bounds__(THREADS)
    argmax_kernel(cpv_view<int32_t> out, cpv_view<T> x)
{
    CPV_SHARED(uint64_t, each, [THREADS / CPV_WARP]);
    const T *row = x.row(blockIdx.x);
    uint64_t best = 0;

    for (int64_t c = threadIdx.x; c < x.cols; c += blockDim.x) {
        uint64_t rank = cpv_rank(cpv_to_float(row[c]), c);

        best = rank > best ? rank : best;
    }
    best = cpv_block_max(best, each);
    if (threadIdx.x == 0)
        *out.row(blockIdx.x) = (int32_t)cpv_rank_column(best);
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_argmax *op)
{
    CPV_LAUNCH(argmax_kernel<T>, (unsigned)op->x.rows, cpv_threads(op->x.cols), 0, s,
               cpv_view_of<int32_t>(op->out), cpv_view_of<T>(op->x));
    return cudaGetLastError();
}

extern "C" int cpv_cuda_argmax(cpv_stream s, const struct cpv_op_argmax *op)
{
    return CPV_BY_DTYPE(op->x.dtype, launch, s, op);
}
