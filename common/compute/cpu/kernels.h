/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inner loops of the cpu backend: one table for each level of instructions.
 *
 * A kernel works on plain rows of floats and knows nothing of tensors, threads or
 * arenas. It computes each output row from that row's inputs alone and in an order that
 * its arguments do not change, so that the same row gives the same bits in any batch.
 * Levels may differ in their last bits: only base lacks fused multiply-add.
 *
 * Pointers need no alignment. Output and input may be the same row where it says "in
 * place"; otherwise they do not overlap. n may be 0 unless it says otherwise.
 * NaN in an input of a row gives NaN in what depends on it, unless said otherwise.
 */
#ifndef CPV_COMPUTE_CPU_KERNELS_H
#define CPV_COMPUTE_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/compute/cpu/gemm.h"
#include "common/compute/cpu/isa.h"
#include "common/compute/dice.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Rows in a block of layernorm_dgain. The caller cuts the rows of a batch into blocks of
 * this many, gives each block partial sums of its own, zeroed, and adds them with `add`
 * in the order of the blocks: then any number of threads gives the same bits.
 */
#define CPV_ROW_BLOCK 64

/* A head's width at most. */
#define CPV_ATTENTION_DH_MAX 256

/* Sequences of fewer queries than these are computed in another order of sums. */
#define CPV_ATTENTION_FEW 4

/* Where numbers are drawn for a row of channels: dice.h. */
struct cpv_drop {
    const struct cpv_draw *draw;
    uint32_t sample, position, head;
};

/*
 * One head of one sequence, or of some: out = softmax(scale q k^T) v. Strides are in
 * floats, from a row to the next; pointers are those of the head. The rows of k and v are
 * first `prefix` ones that follow each other, then those that `tail_rows` names, of a
 * store that has other sequences' rows too: row j >= prefix is tail_k + tail_stride *
 * tail_rows[j - prefix]. Either part may be empty, its pointers then NULL.
 */
struct cpv_attention {
    size_t nq, nkv, dh; /* nkv at most INT32_MAX, dh in 1..CPV_ATTENTION_DH_MAX */
    /* nq are the queries of several sequences that look at the same, none of them causal:
     * all with fewer than CPV_ATTENTION_FEW queries (1), or all with more (0). */
    bool few;
    bool causal; /* query i sees rows 0..nkv - nq + i only */
    float scale;
    const float *q; /* [nq, dh] */
    size_t q_stride;
    const float *k, *v; /* [prefix, dh] */
    size_t kv_stride;
    size_t prefix; /* 0..nkv */
    const float *tail_k, *tail_v;
    size_t tail_stride;
    const int32_t *tail_rows; /* [nkv - prefix], each 0 or more */
    float *out;               /* [nq, dh]; not q */
    size_t out_stride;
    const struct cpv_drop *drop; /* NULL, or dropout of weights; position of query 0 */
    float *lse; /* NULL, or [nq]: log of the sum of exp(scale q k), for backward */
    size_t lse_stride;
};

/*
 * Backward of one such head, of which prefix = nkv and `out` and `lse` are those of
 * forward. Gradients of the inputs are added to; NULL: not wanted.
 */
struct cpv_attention_grad {
    const float *dout; /* [nq, dh] */
    size_t dout_stride;
    float *dq; /* [nq, dh] */
    size_t dq_stride;
    float *dk, *dv; /* [nkv, dh] */
    size_t dkv_stride;
};

struct cpv_kernels {
    cpv_isa isa;
    int width;                    /* floats in a vector */
    struct cpv_gemm_kernels gemm; /* products: gemm.h */

    /* --- attention: kernels/attention.c --- */

    /*
     * A row of `out` depends on its query, the rows of k and v that it sees, and whether
     * the sequence has fewer than 4 queries; on nothing else, to the bit: not on where k
     * and v lie, nor on other queries. Rows that a query does not see may hold anything;
     * one that sees none gives zeros, and -Inf as lse.
     * `scratch`: attention_scratch floats, whose content means nothing before or after.
     */
    void (*attention)(const struct cpv_attention *a, float *scratch);
    /* Grows with each argument: what is right for the largest serves all. */
    size_t (*attention_scratch)(size_t nq, size_t nkv, size_t dh);
    /*
     * kernels/attention_back.c. Sums over queries run in their order. `scratch` as above,
     * attention_dx_scratch floats: some 2 nq nkv.
     */
    void (*attention_dx)(const struct cpv_attention *a,
                         const struct cpv_attention_grad *g, float *scratch);
    size_t (*attention_dx_scratch)(size_t nq, size_t nkv, size_t dh);

    /* --- element by element: kernels/elementwise.c; all of them in place too --- */

    /* out[i] = a[i] + b[i] */
    void (*add)(float *out, const float *a, const float *b, size_t n);
    /* out[i] += by * x[i] */
    void (*axpy)(float *out, const float *x, float by, size_t n);
    /* out[i] = a[i] * b[i] */
    void (*mul)(float *out, const float *a, const float *b, size_t n);
    /* out[i] = in[i] * by */
    void (*scale)(float *out, const float *in, float by, size_t n);
    /* The formulas are those of kernels/vec_math.h. */
    void (*unary)(cpv_unary_kind kind, float *out, const float *in, size_t n);
    /* dx[i] = dy[i] * the slope at x[i]; dx may be dy or x. See kernels/vec_act.h. */
    void (*unary_dx)(cpv_unary_kind kind, float *dx, const float *dy, const float *x,
                     size_t n);

    /* kernels/train.c. Channel k is in[k]: 0 where it is dropped, else in[k] * scale. */
    void (*drop)(float *out, const float *in, const struct cpv_drop *d, size_t n);

    /* --- from tables and images: kernels/gather.c --- */

    /* out = row * scale + add, fused where the level has it; add may be NULL: nothing. */
    void (*embed_f32)(float *out, const float *row, float scale, const float *add,
                      size_t n);
    /* The same for an int8 row; `scale` is then the row's own scale times the model's. */
    void (*embed_i8)(float *out, const int8_t *row, float scale, const float *add,
                     size_t n);
    /*
     * [channels, height, width] to [(height / p) (width / p), channels p p]: patches row
     * by row, each as a convolution's weight is laid out. What is left over on the right
     * and below, less than p, is not read. out_stride: floats from a patch to the next.
     */
    void (*patches)(float *out, size_t out_stride, const float *pixels, size_t channels,
                    size_t height, size_t width, size_t p);

    /* --- normalisation: kernels/normalise.c --- */

    float (*dot)(const float *a, const float *b, size_t n);
    /*
     * out = in / max(|in|, least), in place too; gives |in|, the root of the sum of
     * squares, which must not overflow: elements up to 1e17 are safe.
     */
    float (*l2norm)(float *out, const float *in, float least, size_t n);
    /*
     * out = (in - mean) * rstd * gain + bias, in place too, with rstd = 1 / sqrt(variance
     * + eps), the variance over n, n at least 1. As exact as with sums in double: a mean
     * that is large against the deviation does no harm. Elements up to 1e17 are safe.
     * mean and rstd, one number each, may be NULL: for backward.
     */
    void (*layernorm)(float *out, const float *in, const float *gain, const float *bias,
                      float eps, size_t n, float *mean, float *rstd);
    /* dgain += sum over rows of dy * xhat, dbias += that of dy; see CPV_ROW_BLOCK. */
    void (*layernorm_dgain)(float *dgain, float *dbias, const float *dy, const float *in,
                            const float *mean, const float *rstd, size_t rows,
                            size_t stride, size_t n);
    /* dx of one row, which may be dy; `in`, mean and rstd are those of forward. */
    void (*layernorm_dx)(float *dx, const float *dy, const float *in, const float *gain,
                         float mean, float rstd, size_t n);

    /* --- choosing: kernels/select.c --- */

    /*
     * The place of the largest, n at least 1; of several, the first. A NaN never wins,
     * unless all are NaN: then 0.
     */
    size_t (*arg_max)(const float *in, size_t n);
    /*
     * The k largest, sorted, k in 1..CPV_TOPK_MAX; of equals the first come first, and
     * a NaN is never among them. Gives how many were found, less than k only where fewer
     * are not NaN; what is behind is -Inf at place -1. n below 2^31.
     * lse: NULL, or the log of the sum of exp(in) over the row; NaN if one is.
     */
    size_t (*top_k)(const float *in, size_t n, size_t k, float *values, int32_t *places,
                    float *lse);

    /* --- softmax: kernels/softmax.c; in place too --- */

    /* (in - max) - log(sum exp(in - max)) */
    void (*log_softmax)(float *out, const float *in, size_t n);
    /*
     * Over the first `seen` of n, seen <= n; 0 behind them, whatever is there. As the
     * formula: a row of -Inf only, or one with +Inf, is NaN.
     */
    void (*softmax)(float *out, const float *in, size_t seen, size_t n);
    /* dx = y * (dy - sum(y dy)), y being softmax's output; dx may be dy or y. */
    void (*softmax_dx)(float *dx, const float *y, const float *dy, size_t n);
};

extern const struct cpv_kernels cpv_kernels_base;
extern const struct cpv_kernels cpv_kernels_v3;
extern const struct cpv_kernels cpv_kernels_v4;

#ifdef __cplusplus
}
#endif
#endif
