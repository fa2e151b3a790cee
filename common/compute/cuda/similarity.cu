/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scale * a b^T in f32. A block makes a tile of 32 by 32: 8 by 32 threads, each with four
 * rows of one column, over tiles of 32 channels in rising order.
 */
#include "common/compute/cuda/kernel.cuh"

enum { TILE = 32, EACH = 4, LINES = TILE / EACH };

template <class T>
static __global__ void __launch_bounds__(TILE *LINES)
    similarity_kernel(cpv_view<float> out, cpv_view<T> a, cpv_view<T> b, float scale,
                      unsigned across)
{
    CPV_SHARED(float, as, [TILE][TILE + 1]);
    CPV_SHARED(float, bs, [TILE][TILE + 1]);
    int64_t row = (int64_t)(blockIdx.x / across) * TILE;
    int64_t col = (int64_t)(blockIdx.x % across) * TILE;
    int x = (int)threadIdx.x % TILE, y = (int)threadIdx.x / TILE;
    float sum[EACH] = {0};

    for (int64_t k = 0; k < a.cols; k += TILE) {
        for (int i = y; i < TILE; i += LINES) {
            bool in = k + x < a.cols;

            as[i][x] = in && row + i < a.rows ? cpv_to_float(a.row(row + i)[k + x]) : 0;
            bs[i][x] = in && col + i < b.rows ? cpv_to_float(b.row(col + i)[k + x]) : 0;
        }
        __syncthreads();
        for (int j = 0; j < TILE; j++)
            for (int e = 0; e < EACH; e++)
                sum[e] = fmaf(as[y + e * LINES][j], bs[x][j], sum[e]);
        __syncthreads();
    }
    for (int e = 0; e < EACH; e++)
        if (row + y + e * LINES < out.rows && col + x < out.cols)
            out.row(row + y + e * LINES)[col + x] = scale * sum[e];
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_similarity *op)
{
    unsigned across = cpv_blocks(op->b.rows, TILE);

    CPV_LAUNCH(similarity_kernel<T>, across * cpv_blocks(op->a.rows, TILE), TILE * LINES,
               0, s, cpv_view_of<float>(op->out), cpv_view_of<T>(op->a),
               cpv_view_of<T>(op->b), op->scale, across);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_similarity(cpv_stream s, const struct cpv_op_similarity *op)
{
    return CPV_BY_DTYPE(op->a.dtype, launch, s, op);
}
