/* SPDX-License-Identifier: Apache-2.0 */
/* What follows a product and cuBLASLt could not fuse: a block a row, in place. */
#include "common/compute/cuda/kernel.cuh"

template <class T>
static __global__ void epilogue_kernel(cpv_view<T> out, const float *__restrict__ bias,
                                       cpv_unary_kind act, cpv_view<T> residual)
{
    int64_t i = blockIdx.x;

    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x) {
        float v = cpv_to_float(out.row(i)[c]);

        if (bias)
            v += bias[c];
        v = cpv_act(v, act);
        if (residual.data)
            v += cpv_to_float(residual.row(i)[c]);
        out.row(i)[c] = cpv_from_float<T>(v);
    }
}

template <class T>
static int launch(cpv_stream s, cpv_tensor out, const float *bias, cpv_unary_kind act,
                  cpv_tensor residual)
{
    CPV_LAUNCH(epilogue_kernel<T>, (unsigned)out.rows, cpv_threads(out.cols), 0, s,
               cpv_view_of<T>(out), bias, act, cpv_view_of<T>(residual));
    return cudaGetLastError();
}

extern "C" int cpv_cuda_epilogue(cpv_stream s, cpv_tensor out, const float *bias,
                                 cpv_unary_kind act, cpv_tensor residual)
{
    return CPV_BY_DTYPE(out.dtype, launch, s, out, bias, act, residual);
}
