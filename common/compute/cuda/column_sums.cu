/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sums[c] += the sum of column c: the gradient of a bias. A block has 32 columns, and 8
 * threads each of them, which take every eighth row; their sums are added up in order.
 */
#include "common/compute/cuda/kernel.cuh"

enum { COLUMNS = CPV_WARP, LINES = 8 };

template <class T>
static __global__ void __launch_bounds__(COLUMNS *LINES)
    column_sums_kernel(float *sums, cpv_view<T> x)
{
    CPV_SHARED(float, part, [LINES][COLUMNS]);
    int lane = (int)threadIdx.x % COLUMNS, line = (int)threadIdx.x / COLUMNS;
    int64_t c = (int64_t)blockIdx.x * COLUMNS + lane;
    float sum = 0;

    if (c < x.cols)
        for (int64_t i = line; i < x.rows; i += LINES)
            sum += cpv_to_float(x.row(i)[c]);
    part[line][lane] = sum;
    __syncthreads();
    if (line > 0 || c >= x.cols)
        return;
    for (int k = 1; k < LINES; k++)
        sum += part[k][lane];
    sums[c] += sum;
}

template <class T> static int launch(cpv_stream s, float *sums, cpv_tensor x)
{
    CPV_LAUNCH(column_sums_kernel<T>, cpv_blocks(x.cols, COLUMNS), COLUMNS * LINES, 0, s,
               sums, cpv_view_of<T>(x));
    return cudaGetLastError();
}

extern "C" int cpv_cuda_column_sums(cpv_stream s, float *sums, cpv_tensor x)
{
    return CPV_BY_DTYPE(x.dtype, launch, s, sums, x);
}
