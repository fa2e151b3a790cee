/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed int8 weights and quantised rows, as bytes. Only kernels/ includes it.
 *
 * A packed weight [n, k]: panels of PANEL rows, each [steps][PANEL][4], a step being 4 of
 * k, with zeros beyond n and k; then a float for each row of all panels, its scale; then
 * an int32 for each, 128 times its sum.
 *
 * Quantised rows [m, k]: a float for each row, its scale, filled up to a multiple of
 * CPV_GEMM_ALIGN; then the rows, `stride` bytes apart, of int16 q, or with VNNI of uint8
 * q + 128. The instruction wants one factor without a sign; what the 128 adds to a sum is
 * the third part of the weight.
 */
#ifndef CPV_COMPUTE_CPU_KERNELS_GEMM_S8_H
#define CPV_COMPUTE_CPU_KERNELS_GEMM_S8_H

#include "common/compute/cpu/kernels/gemm_level.h"
#include "common/compute/cpu/kernels/vec_ops.h"

INLINE size_t steps_of(size_t k)
{
    return (k + 3) / 4;
}

INLINE const float *weight_scales(const void *packed, size_t n, size_t k)
{
    return (const float *)(const void *)((const char *)packed +
                                         whole(n, PANEL) * steps_of(k) * 4);
}

INLINE const int32_t *weight_offsets(const void *packed, size_t n, size_t k)
{
    return (const int32_t *)(const void *)(weight_scales(packed, n, k) + whole(n, PANEL));
}

/* An odd number of cache lines, so that rows do not meet in the same sets of L1. */
INLINE size_t quant_stride(size_t k, size_t size)
{
    return (whole(steps_of(k) * 4 * size, CPV_GEMM_ALIGN) | CPV_GEMM_ALIGN);
}

INLINE size_t quant_rows_at(size_t m)
{
    return whole(m * sizeof(float), CPV_GEMM_ALIGN);
}

/*
 * The scale of a row, and what to multiply it by to get whole numbers in -127..127. A
 * row that has no number of at least 2^-120 becomes zeros; one with a NaN or an infinity
 * becomes zeros with the scale NaN.
 */
struct quant {
    float scale, inverse;
};

INLINE struct quant quant_of(int32_t largest) /* bits of the largest absolute value */
{
    struct quant q = {0, 0};
    float x;

    memcpy(&x, &largest, sizeof x);
    if (largest >= 0x7f800000)
        q.scale = x - x;
    else if (x >= 0x1p-120f)
        q = (struct quant){x / 127, 127 / x};
    return q;
}

/* Walks over the tiles of C, in the same order for every kind of tile. */
typedef void s8_tile_fn(const struct cpv_gemm_s8 *g, const struct tile *t);

INLINE void s8_run(const struct cpv_gemm_s8 *g, size_t tile_rows, s8_tile_fn *make)
{
    size_t most = whole(BLOCK_BYTES / g->k + 1, tile_rows);
    size_t mb = g->m ? even(g->m, most, tile_rows) : 0;

    for (size_t i0 = 0; i0 < g->m; i0 += mb) {
        size_t i1 = least(i0 + mb, g->m);

        for (size_t j = g->n0; j < g->n1; j += PANEL) {
            struct tile t = {.cols = least(PANEL, g->n1 - j), .e = &g->e, .j = j};
            size_t left = (i1 - i0 + tile_rows - 1) / tile_rows;

            t.tiles = left;
            for (t.i = i0; t.i < i1; t.i += t.rows, left--) {
                t.rows = (i1 - t.i + left - 1) / left;
                t.c = g->c + t.i * g->c_ld + j;
                t.c_ld = g->c_ld;
                t.nth = t.tiles - left;
                make(g, &t);
            }
        }
    }
}

#endif
