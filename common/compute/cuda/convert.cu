/* SPDX-License-Identifier: Apache-2.0 */
/* out = x in another dtype: a block a row. Also the copy from one view to another. */
#include "common/compute/cuda/kernel.cuh"

template <class T, class U>
static __global__ void convert_kernel(cpv_view<T> out, cpv_view<U> x)
{
    int64_t i = blockIdx.x;

    for (int64_t c = threadIdx.x; c < out.cols; c += blockDim.x)
        out.row(i)[c] = cpv_from_float<T>(cpv_to_float(x.row(i)[c]));
}

template <class T, class U> static int launch(cpv_stream s, cpv_tensor out, cpv_tensor x)
{
    CPV_LAUNCH((convert_kernel<T, U>), (unsigned)out.rows, cpv_threads(out.cols), 0, s,
               cpv_view_of<T>(out), cpv_view_of<U>(x));
    return cudaGetLastError();
}

template <class T> static int from(cpv_stream s, cpv_tensor out, cpv_tensor x)
{
    switch (x.dtype) {
    case CPV_F32:
        return launch<T, float>(s, out, x);
    case CPV_BF16:
        return launch<T, __nv_bfloat16>(s, out, x);
    case CPV_F16:
        return launch<T, __half>(s, out, x);
    default:
        return cudaErrorInvalidValue;
    }
}

extern "C" int cpv_cuda_convert(cpv_stream s, cpv_tensor out, cpv_tensor x)
{
    return CPV_BY_DTYPE(out.dtype, from, s, out, x);
}
