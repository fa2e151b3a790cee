/* SPDX-License-Identifier: Apache-2.0 */
/* Element by element. The end of a row takes the same path as its body: same bits. */
#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec_act.h"

void K(cpv_add)(float *out, const float *a, const float *b, size_t n)
{
    for (size_t k = 0; k < n; k += VW)
        v_store_upto(out, v_load_upto(a, k, n, 0) + v_load_upto(b, k, n, 0), k, n);
}

void K(cpv_axpy)(float *out, const float *x, float by, size_t n)
{
    vf f = v_set1(by);

    for (size_t k = 0; k < n; k += VW) {
        vf y = v_fma(v_load_upto(x, k, n, 0), f, v_load_upto(out, k, n, 0));

        v_store_upto(out, y, k, n);
    }
}

void K(cpv_mul)(float *out, const float *a, const float *b, size_t n)
{
    for (size_t k = 0; k < n; k += VW)
        v_store_upto(out, v_load_upto(a, k, n, 0) * v_load_upto(b, k, n, 0), k, n);
}

void K(cpv_scale)(float *out, const float *in, float by, size_t n)
{
    for (size_t k = 0; k < n; k += VW)
        v_store_upto(out, v_load_upto(in, k, n, 0) * by, k, n);
}

/* One loop for each kind: there it is a constant. */
#define EACH(kind)                                                                       \
    case kind:                                                                           \
        for (size_t k = 0; k < n; k += VW)                                               \
            v_store_upto(out, v_act(kind, v_load_upto(in, k, n, 0)), k, n);              \
        break

void K(cpv_unary)(cpv_unary_kind kind, float *out, const float *in, size_t n)
{
    switch (kind) {
        EACH(CPV_IDENTITY);
        EACH(CPV_RELU);
        EACH(CPV_GELU);
        EACH(CPV_GELU_TANH);
        EACH(CPV_QUICK_GELU);
        EACH(CPV_SILU);
        EACH(CPV_TANH);
        EACH(CPV_EXP);
    case CPV_UNARY_COUNT:
        break;
    }
}

#define EACH_SLOPE(kind)                                                                 \
    case kind:                                                                           \
        for (size_t k = 0; k < n; k += VW) {                                             \
            vf slope = v_act_slope(kind, v_load_upto(x, k, n, 0));                       \
                                                                                         \
            v_store_upto(dx, v_load_upto(dy, k, n, 0) * slope, k, n);                    \
        }                                                                                \
        break

void K(cpv_unary_dx)(cpv_unary_kind kind, float *dx, const float *dy, const float *x,
                     size_t n)
{
    switch (kind) {
        EACH_SLOPE(CPV_IDENTITY);
        EACH_SLOPE(CPV_RELU);
        EACH_SLOPE(CPV_GELU);
        EACH_SLOPE(CPV_GELU_TANH);
        EACH_SLOPE(CPV_QUICK_GELU);
        EACH_SLOPE(CPV_SILU);
        EACH_SLOPE(CPV_TANH);
        EACH_SLOPE(CPV_EXP);
    case CPV_UNARY_COUNT:
        break;
    }
}
