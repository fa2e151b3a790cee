/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a tile of sums on its way to C: scales, bias, activation, residual. It
 * has left the registers for a buffer in L1 by then: 24 stores and loads beside some
 * 6,000 cycles of arithmetic, and one copy of each activation instead of one per tile.
 */
#include "common/compute/cpu/kernels/gemm_level.h"
#include "common/compute/cpu/kernels/vec_act.h"

/* The scales of int8: of row i of the tile, and of column j of C. NULL in f32. */
struct scales {
    const float *a, *w;
};

INLINE vf dequantised(const struct tile *t, const float *sum, size_t i, size_t j,
                      const struct scales *q)
{
    vf x;
    vi whole_sum;

    memcpy(&whole_sum, sum, sizeof whole_sum);
    x = __builtin_convertvector(whole_sum, vf) *
        (q->a[i] * v_load_upto(q->w, j, t->cols, 0));
    if (t->e->accumulate)
        x = v_load_upto(t->c + i * t->c_ld, j, t->cols, 0) + x;
    return x;
}

INLINE void rows(const struct tile *t, const float *sum, const struct scales *q,
                 const cpv_unary_kind act)
{
    const struct cpv_gemm_epilogue *e = t->e;

    for (size_t i = 0; i < t->rows; i++) {
        for (size_t j = 0; j < t->cols; j += VW) {
            const float *at = sum + i * PANEL + j;
            vf x = q ? dequantised(t, at, i, j, q) : v_load(at);

            x = x * e->scale;
            if (e->bias)
                x = x + v_load_upto(e->bias + t->j, j, t->cols, 0);
            x = v_act(act, x);
            if (e->residual)
                x = x + v_load_upto(e->residual + (t->i + i) * e->residual_ld + t->j, j,
                                    t->cols, 0);
            v_store_upto(t->c + i * t->c_ld, x, j, t->cols);
        }
    }
}

INLINE void finish(const struct tile *t, const float *sum, const struct scales *q)
{
    switch (t->e->act) {
    case CPV_RELU:
        rows(t, sum, q, CPV_RELU);
        break;
    case CPV_GELU:
        rows(t, sum, q, CPV_GELU);
        break;
    case CPV_GELU_TANH:
        rows(t, sum, q, CPV_GELU_TANH);
        break;
    case CPV_QUICK_GELU:
        rows(t, sum, q, CPV_QUICK_GELU);
        break;
    case CPV_SILU:
        rows(t, sum, q, CPV_SILU);
        break;
    case CPV_TANH:
        rows(t, sum, q, CPV_TANH);
        break;
    case CPV_EXP:
        rows(t, sum, q, CPV_EXP);
        break;
    case CPV_IDENTITY:
    case CPV_UNARY_COUNT:
        rows(t, sum, q, CPV_IDENTITY);
        break;
    }
}

void K(cpv_gemm_finish)(const struct tile *t, const float *sum)
{
    finish(t, sum, NULL);
}

void K(cpv_gemm_finish_s8)(const struct tile *t, const int32_t *sum, const float *a_scale,
                           const float *w_scale)
{
    struct scales q = {a_scale, w_scale};

    finish(t, (const float *)(const void *)sum, &q);
}
