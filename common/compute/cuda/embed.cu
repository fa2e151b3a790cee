/* SPDX-License-Identifier: Apache-2.0 */
/* out = table[id] * scale + positions[at + offset]: a block a token. */
#include "common/compute/cuda/kernel.cuh"

template <class T>
static __global__ void embed_kernel(cpv_view<T> out, cpv_view<int32_t> ids,
                                    cpv_view<int32_t> at, cpv_view<T> table,
                                    cpv_view<T> positions, float scale, int32_t offset)
{
    int64_t i = blockIdx.x, id = *ids.row(i), p = 0;
    bool inside = id >= 0 && id < table.rows;

    if (positions.data) {
        p = (int64_t)*at.row(i) + offset;
        inside = inside && p >= 0 && p < positions.rows;
    }
    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x) {
        float v = NAN;

        if (inside) {
            v = cpv_to_float(table.row(id)[c]) * scale;
            if (positions.data)
                v += cpv_to_float(positions.row(p)[c]);
        }
        out.row(i)[c] = cpv_from_float<T>(v);
    }
}

template <class T>
static int launch(cpv_stream s, const struct cpv_op_embed *op, cpv_tensor table,
                  cpv_tensor positions)
{
    CPV_LAUNCH(embed_kernel<T>, (unsigned)op->out.rows, cpv_threads(op->out.cols), 0, s,
               cpv_view_of<T>(op->out), cpv_view_of<int32_t>(op->ids),
               cpv_view_of<int32_t>(op->at), cpv_view_of<T>(table),
               cpv_view_of<T>(positions), op->scale, op->offset);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_embed(cpv_stream s, const struct cpv_op_embed *op,
                              cpv_tensor table, cpv_tensor positions)
{
    return CPV_BY_DTYPE(op->out.dtype, launch, s, op, table, positions);
}
