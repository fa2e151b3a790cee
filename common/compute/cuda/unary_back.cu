/* SPDX-License-Identifier: Apache-2.0 */
/* dx += dy kind'(x): a block a row. */
#include "common/compute/cuda/kernel.cuh"

__device__ static float slope(float x, cpv_unary_kind kind)
{
    const float root = 0.79788456080286536f; /* of 2 / pi */
    float s, t;

    switch (kind) {
    case CPV_RELU:
        return x > 0 ? 1 : 0;
    case CPV_GELU:
        return 0.5f * erfcf(x * -0.70710678118654752f) +
               x * expf(-0.5f * x * x) * (0.5f * root);
    case CPV_GELU_TANH:
        t = tanhf(root * (x + 0.044715f * x * x * x));
        return 0.5f * (1 + t) +
               0.5f * x * (1 - t * t) * root * (1 + 3 * 0.044715f * x * x);
    case CPV_QUICK_GELU:
        s = 1 / (1 + expf(-1.702f * x));
        return s + 1.702f * x * s * (1 - s);
    case CPV_SILU:
        s = 1 / (1 + expf(-x));
        return s + x * s * (1 - s);
    case CPV_TANH:
        t = tanhf(x);
        return 1 - t * t;
    case CPV_EXP:
        return expf(x);
    default:
        return 1;
    }
}

template <class T>
static __global__ void unary_back_kernel(cpv_view<T> dx, cpv_view<T> dy, cpv_view<T> x,
                                         cpv_unary_kind kind)
{
    int64_t i = blockIdx.x;

    for (int64_t c = threadIdx.x; c < dx.cols; c += blockDim.x) {
        float d = cpv_to_float(dy.row(i)[c]) * slope(cpv_to_float(x.row(i)[c]), kind);

        dx.row(i)[c] = cpv_from_float<T>(cpv_to_float(dx.row(i)[c]) + d);
    }
}

template <class T>
static int launch(cpv_stream s, const struct cpv_op_unary *op,
                  const struct cpv_op_unary *grad)
{
    CPV_LAUNCH(unary_back_kernel<T>, (unsigned)op->x.rows, cpv_threads(op->x.cols), 0, s,
               cpv_view_of<T>(grad->x), cpv_view_of<T>(grad->out), cpv_view_of<T>(op->x),
               op->kind);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_unary_back(cpv_stream s, const struct cpv_op_unary *op,
                                   const struct cpv_op_unary *grad)
{
    return CPV_BY_DTYPE(op->x.dtype, launch, s, op, grad);
}
