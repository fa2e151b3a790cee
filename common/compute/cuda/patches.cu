/* SPDX-License-Identifier: Apache-2.0 */
/* Images cut into patches: a block a patch, its columns in the order channel, y, x. */
#include "common/compute/cuda/kernel.cuh"

template <class T>
static __global__ void patches_kernel(cpv_view<T> out, cpv_view<T> x, int size, int patch)
{
    int64_t grid = size / patch, i = blockIdx.x;
    int64_t n = i / (grid * grid), cell = i % (grid * grid);
    int64_t top = cell / grid * patch, left = cell % grid * patch;

    for (int c = (int)threadIdx.x; c < (int)out.cols; c += (int)blockDim.x) {
        int channel = c / (patch * patch), inside = c % (patch * patch);
        int64_t y = top + inside / patch, at = left + inside % patch;

        out.row(i)[c] = x.row(n)[((int64_t)channel * size + y) * size + at];
    }
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_patches *op)
{
    CPV_LAUNCH(patches_kernel<T>, (unsigned)op->out.rows, cpv_threads(op->out.cols), 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<T>(op->x), op->size, op->patch);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_patches(cpv_stream s, const struct cpv_op_patches *op)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op);
}
