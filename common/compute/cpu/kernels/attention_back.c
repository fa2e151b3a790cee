/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backward of attention, by products. With P the weights of forward, made again from the
 * scores and the log of their sums,
 *
 *     dv += P^T dout
 *     dS  = scale P (dout v^T - rowsum(dout * out))
 *     dq += dS k,  dk += dS^T q
 *
 * whose row sums are those of P (dout v^T): Dao et al., arXiv 2205.14135, section B.4.
 * With dropout P meets v as D P, and D dout v^T is in place of dout v^T: the row sums are
 * the same.
 */
#include "common/compute/cpu/kernels/gemm_level.h"
#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec_math.h"

enum { LINE = CPV_GEMM_ALIGN / (int)sizeof(float) };

/* A matrix: element (i, j) is at[i * row + j * col]. */
struct matrix {
    const float *at;
    size_t row, col;
};

static struct matrix transposed(struct matrix m)
{
    return (struct matrix){m.at, m.col, m.row};
}

/* c[m, n] = scale * a[m, k] w[n, k]^T, or added to c, with scale 1. */
static void product(size_t m, size_t n, size_t k, struct matrix a, struct matrix w,
                    float *packed, float *c, size_t c_ld, bool onto, float scale)
{
    struct cpv_gemm_f32 g = {.m = m,
                             .n = n,
                             .k = k,
                             .a = a.at,
                             .a_row = a.row,
                             .a_col = a.col,
                             .w = packed,
                             .c = c,
                             .c_ld = c_ld,
                             .n1 = n,
                             .e = {.scale = scale, .accumulate = onto}};

    K(cpv_gemm_pack)(packed, n, k, 0, n, w.at, w.row, w.col);
    K(cpv_gemm_f32)(&g);
}

static size_t seen_by(const struct cpv_attention *a, size_t i)
{
    size_t last = a->nkv + i + 1;

    return !a->causal ? a->nkv : last > a->nq ? last - a->nq : 0;
}

/* Scores become weights; 0 behind what a query sees. */
static void weights(const struct cpv_attention *a, float *p)
{
    vf zero = {0};

    for (size_t i = 0; i < a->nq; i++, p += a->nkv) {
        size_t seen = seen_by(a, i);
        float lse = seen ? a->lse[i * a->lse_stride] : 0;

        for (size_t k = 0; k < seen; k += VW)
            v_store_upto(p, v_exp(v_load_upto(p, k, seen, 0) - lse), k, seen);
        for (size_t k = seen; k < a->nkv; k += VW)
            v_store_upto(p, zero, k, a->nkv);
    }
}

/* Every row of [nq, nkv] times what was drawn for it. */
static void drop(const struct cpv_attention *a, float *out, const float *in)
{
    for (size_t i = 0; i < a->nq; i++) {
        struct cpv_drop at = *a->drop;

        at.position += (uint32_t)i;
        K(cpv_drop)(out + i * a->nkv, in + i * a->nkv, &at, a->nkv);
    }
}

/* dP becomes dS. */
static void slopes(const struct cpv_attention *a, const struct cpv_attention_grad *g,
                   const float *p, float *ds)
{
    vf zero = {0};

    for (size_t i = 0; i < a->nq; i++, p += a->nkv, ds += a->nkv) {
        size_t seen = seen_by(a, i);
        float mean =
            K(cpv_dot)(g->dout + i * g->dout_stride, a->out + i * a->out_stride, a->dh);

        for (size_t k = 0; k < seen; k += VW) {
            vf d = v_load_upto(ds, k, seen, 0) - mean;

            v_store_upto(ds, a->scale * v_load_upto(p, k, seen, 0) * d, k, seen);
        }
        for (size_t k = seen; k < a->nkv; k += VW)
            v_store_upto(ds, zero, k, a->nkv);
    }
}

static size_t packed_floats(size_t nq, size_t nkv, size_t dh)
{
    size_t wide = K(cpv_gemm_packed_bytes)(nkv, dh);
    size_t by_keys = K(cpv_gemm_packed_bytes)(dh, nkv);
    size_t by_queries = K(cpv_gemm_packed_bytes)(dh, nq);
    size_t most = wide > by_keys ? wide : by_keys;

    most = most > by_queries ? most : by_queries;
    return whole(most / sizeof(float), LINE);
}

void K(cpv_attention_dx)(const struct cpv_attention *a,
                         const struct cpv_attention_grad *g, float *scratch)
{
    size_t nq = a->nq, nkv = a->nkv, dh = a->dh;
    struct matrix q = {a->q, a->q_stride, 1}, k = {a->k, a->kv_stride, 1};
    struct matrix v = {a->v, a->kv_stride, 1}, dout = {g->dout, g->dout_stride, 1};

    if (!nq || !nkv)
        return;
    uintptr_t off = (uintptr_t)scratch % CPV_GEMM_ALIGN;
    float *packed = scratch + (CPV_GEMM_ALIGN - off) / sizeof(float);
    float *p = packed + packed_floats(nq, nkv, dh), *ds = p + nq * nkv;
    struct matrix weight = {p, nkv, 1}, slope = {ds, nkv, 1};

    product(nq, nkv, dh, q, k, packed, p, nkv, false, a->scale);
    weights(a, p);
    if (g->dv) {
        if (a->drop) /* ds has not begun yet */
            drop(a, ds, p);
        product(nkv, dh, nq, transposed(a->drop ? slope : weight), transposed(dout),
                packed, g->dv, g->dkv_stride, true, 1);
    }
    if (!g->dq && !g->dk)
        return;
    product(nq, nkv, dh, dout, v, packed, ds, nkv, false, 1);
    if (a->drop)
        drop(a, ds, ds);
    slopes(a, g, p, ds);
    if (g->dq)
        product(nq, dh, nkv, slope, transposed(k), packed, g->dq, g->dq_stride, true, 1);
    if (g->dk)
        product(nkv, dh, nq, transposed(slope), transposed(q), packed, g->dk,
                g->dkv_stride, true, 1);
}

size_t K(cpv_attention_dx_scratch)(size_t nq, size_t nkv, size_t dh)
{
    return nq && nkv ? LINE + packed_floats(nq, nkv, dh) + 2 * nq * nkv : 0;
}
