/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a tile of sums on its way to C: scales, bias, activation, residual. It
 * has left the registers for a buffer in L1 by then: 24 stores and loads beside some
 * 6,000 cycles of arithmetic, and one copy of each activation instead of one per tile.
 */
#include "common/compute/cpu/kernels/gemm_level.h"
#include "common/compute/cpu/kernels/vec_act.h"

/* Of int8: scales of the tile's rows and of its columns. No such thing in f32. */
struct scales {
    const float *a, *w;
};

/* One row on its way; the scales are those of int8, and their pointers NULL in f32. */
struct way {
    const float *sum;
    const float *w_scale, *bias, *residual; /* as c: at the first column of the tile */
    float a_scale, scale;
    bool accumulate;
    float *c;
};

/* VW columns from j of a tile of `cols`; with `whole`, none of them lies beyond. */
INLINE vf part(const float *p, size_t j, size_t cols, const bool whole)
{
    return whole ? v_load(p + j) : v_load_upto(p, j, cols, 0);
}

INLINE void vector(const struct way *r, size_t j, size_t cols, const bool s8,
                   const cpv_unary_kind act, const bool whole)
{
    vf x = v_load(r->sum + j);

    if (s8) {
        x = __builtin_convertvector(v_bits(x), vf) *
            (r->a_scale * part(r->w_scale, j, cols, whole));
        if (r->accumulate)
            x = part(r->c, j, cols, whole) + x;
    }
    x = x * r->scale;
    if (r->bias)
        x = x + part(r->bias, j, cols, whole);
    x = v_act(act, x);
    if (r->residual)
        x = x + part(r->residual, j, cols, whole);
    if (whole)
        v_store(r->c + j, x);
    else
        v_store_upto(r->c, x, j, cols);
}

INLINE void rows(const struct tile *t, const float *sum, const struct scales *q,
                 const cpv_unary_kind act)
{
    const struct cpv_gemm_epilogue e = *t->e;

    for (size_t i = 0; i < t->rows; i++) {
        struct way r = {.sum = sum + i * PANEL,
                        .bias = e.bias ? e.bias + t->j : NULL,
                        .scale = e.scale,
                        .accumulate = e.accumulate,
                        .c = t->c + i * t->c_ld};

        if (e.residual)
            r.residual = e.residual + (t->i + i) * e.residual_ld + t->j;
        if (q) {
            r.w_scale = q->w;
            r.a_scale = q->a[i];
        }
        if (t->cols == PANEL)
            for (size_t j = 0; j < PANEL; j += VW)
                vector(&r, j, PANEL, q != NULL, act, true);
        else
            for (size_t j = 0; j < t->cols; j += VW)
                vector(&r, j, t->cols, q != NULL, act, false);
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
