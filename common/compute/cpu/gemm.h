/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of matrices on the CPU, in f32 and in int8, one thread each.
 *
 * A weight W is [n outputs, k inputs]; a product computes C[m, n] = A[m, k] W^T and
 * finishes each element while it is still in a register:
 *
 *     c = act(scale * (c if accumulate + sum over p of a * w) + bias) + residual
 *
 * Order of calls, f32:
 *   1. once per weight: memory of packed_bytes(n, k) at CPV_GEMM_ALIGN, then pack() of
 * all rows, in any number of calls; the source may go afterwards.
 *   2. any number of times, from any threads: f32() with that packed weight.
 *
 * Order of calls, int8 (struct cpv_gemm_s8_kernels of cpv_gemm_s8_of): the same with its
 * own pack(), and between the two
 *   2. quantise() rows of A into memory of quant_bytes(m, k) at CPV_GEMM_ALIGN;
 *   3. run() with both.
 *
 * Weights that are activations themselves (attention, backward) are packed into the
 * caller's scratch in the same way just before the product; pack() takes any strides and
 * f32() takes A by rows or by columns, so that of A[m,k] B[n,k]^T, A[m,k] B[k,n] and
 * A[k,m]^T B[k,n] each is one pack() and one f32().
 *
 * LoRA, y = act(W x + s B (A x) + bias) + residual: pack W, A and s * B; then t = A x,
 * y = B t, and y = W x with accumulate and the rest.
 *
 * Each element is summed along k in ascending order, in one chain, starting from 0 or,
 * with accumulate, from c. Nothing else changes that order: not m, not which columns
 * are asked for, not strides. So a row gives the same bits in any batch, and threads may
 * divide rows or panels of columns as they like. Levels (isa.h) may differ in the last
 * bits. In int8 the sums are exact, so that all levels have the same.
 *
 * int8: a row of W is scale * q, q in -127..127, scale = largest |w| / 127; a row of A
 * likewise, by itself. So |error| of a product is at most
 *     k * (max|a| / 254 * max|w| + max|w| / 254 * max|a| + max|a| max|w| / 254^2),
 * beside f32 rounding. A row without a value of at least 2^-120 counts as zero; a row of
 * A or W in which one value is NaN or infinite gives NaN everywhere.
 *
 * Nothing here fails, allocates or checks: shapes are the front door's business. NaN and
 * infinities in a row of A or W reach the f32 outputs that depend on them.
 */
#ifndef CPV_COMPUTE_CPU_GEMM_H
#define CPV_COMPUTE_CPU_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compute/compute.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_GEMM_ALIGN = 64 }; /* of packed weights and of quantised rows, in bytes */

/* What happens to a sum before it is stored. All zero but scale: nothing. */
struct cpv_gemm_epilogue {
    float scale;           /* 1 for none */
    bool accumulate;       /* the sum starts from what c holds */
    cpv_unary_kind act;    /* applied before the residual */
    const float *bias;     /* [n], or NULL */
    const float *residual; /* [m, n], or NULL; may be c itself unless accumulate is set */
    size_t residual_ld;    /* floats from one of its rows to the next */
};

struct cpv_gemm_f32 {
    size_t m, n, k; /* m may be 0; n and k at least 1 */
    const float *a; /* element (i, p) is a[i * a_row + p * a_col]; one of them is 1 */
    size_t a_row, a_col;
    const void *w; /* [n, k] packed */
    float *c;      /* element (i, j) is c[i * c_ld + j]; neither a nor w */
    size_t c_ld;
    size_t n0, n1; /* the columns wanted: n0 a multiple of panel, n1 one too, or n */
    struct cpv_gemm_epilogue e;
};

/*
 * Backward: C[m, k] (+)= A[m, n] W, of the same packed weight, read across. A sum runs
 * along n in as many chains as a vector has lanes, which are added at the end, of every
 * 768 columns: fixed for a weight, too.
 */
struct cpv_gemm_across {
    size_t m, n, k;
    const float *a; /* row i is a[i * a_row ...] */
    size_t a_row;
    const void *w; /* [n, k] packed */
    float *c;
    size_t c_ld;
    size_t p0, p1; /* the columns wanted, of k */
    bool accumulate;
};

/* D[r, j0 ... j1] += U[rows, r]^T V[rows, ...], row by row in order; r is small. */
struct cpv_gemm_outer {
    size_t rows, r;
    const float *u, *v;
    size_t u_ld, v_ld;
    float *d;
    size_t d_ld;
    size_t j0, j1;
};

struct cpv_gemm_s8 {
    size_t m, n, k;
    const void *q; /* [m, k] quantised */
    const void *w; /* [n, k] packed */
    float *c;
    size_t c_ld;
    size_t n0, n1;
    struct cpv_gemm_epilogue e;
};

/*
 * Pack `count` rows of a weight [n, k], the first of which is its row r0. Element (r, p)
 * of them is src[r * row + p * col]. All rows of the weight are packed, in any order.
 */
typedef void cpv_gemm_pack_fn(void *packed, size_t n, size_t k, size_t r0, size_t count,
                              const float *src, size_t row, size_t col);
/* Row r of a packed weight as floats again, for embedding tables that are heads too. */
typedef void cpv_gemm_row_fn(const void *packed, size_t n, size_t k, size_t r, float *to);

struct cpv_gemm_s8_kernels {
    size_t (*packed_bytes)(size_t n, size_t k);
    cpv_gemm_pack_fn *pack;
    cpv_gemm_row_fn *row;
    size_t (*quant_bytes)(size_t m, size_t k);
    /* Row i of A is a[i * a_ld ...]; all m rows. */
    void (*quantise)(void *q, size_t m, size_t k, const float *a, size_t a_ld);
    void (*run)(const struct cpv_gemm_s8 *g);
};

/* The part of struct cpv_kernels (kernels.h) that is about products. */
struct cpv_gemm_kernels {
    size_t panel; /* columns that are packed together: the grain of n0 and n1 */
    size_t (*packed_bytes)(size_t n, size_t k);
    cpv_gemm_pack_fn *pack;
    cpv_gemm_row_fn *row;
    void (*f32)(const struct cpv_gemm_f32 *g);
    void (*across)(const struct cpv_gemm_across *g);
    void (*outer)(const struct cpv_gemm_outer *o);
    struct cpv_gemm_s8_kernels s8;      /* runs wherever its level does */
    struct cpv_gemm_s8_kernels s8_vnni; /* v4 only, else all NULL: see cpv_gemm_s8_of */
};

struct cpv_kernels;
/* The int8 kernels of that level for this processor. Both kinds pack weights alike. */
const struct cpv_gemm_s8_kernels *cpv_gemm_s8_of(const struct cpv_kernels *k);

#ifdef __cplusplus
}
#endif
#endif
