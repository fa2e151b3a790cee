/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attention of one head of one sequence. Few queries, as in decoding, read k and v where
 * they lie: packing these costs as much as about CPV_ATTENTION_FEW queries. Many have k
 * packed, transposed, into panels as wide as a tile of registers, and v likewise; then a
 * few queries at a time make their scores, whole rows of them, turn them into weights,
 * and weigh v.
 *
 * Whole rows rather than an online softmax over blocks: the largest score is known
 * before the first exp, nothing is rescaled, and the order of every sum is that of the
 * rows of k and v, whatever else is computed beside it. A tile's scores, nkv * 6 floats,
 * fit into the second-level cache up to 10,000 rows.
 */
#include <math.h>

#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec_math.h"

/* A tile is MR rows by NR columns: with 32 registers 6 * 4 sums, with 16 6 * 2. */
enum {
    MR = 6,
#if defined(__AVX512F__) || defined(__aarch64__)
    NV = 4,
#else
    NV = 2,
#endif
    NR = NV * VW,
    LINE = 16, /* floats in a cache line */
};

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define INLINE static inline __attribute__((always_inline))

static inline size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* --- products --- */

/* c[mr, nv vectors] = a[mr, depth] b[depth, nv vectors], summed along depth. */
INLINE void tile(int mr, int nv, size_t depth, const float *a, size_t lda, const float *b,
                 float *c, size_t ldc)
{
    vf sum[MR][NV] = {{{0}}};

    for (size_t k = 0; k < depth; k++, b += nv * VW) {
        vf row[NV];

        UNROLL
        for (int j = 0; j < nv; j++)
            row[j] = v_load(b + j * VW);
        UNROLL
        for (int i = 0; i < mr; i++) {
            vf x = v_set1(a[(size_t)i * lda + k]);

            UNROLL
            for (int j = 0; j < nv; j++)
                sum[i][j] = v_fma(x, row[j], sum[i][j]);
        }
    }
    UNROLL
    for (int i = 0; i < mr; i++) {
        UNROLL
        for (int j = 0; j < nv; j++)
            v_store(c + (size_t)i * ldc + j * VW, sum[i][j]);
    }
}

INLINE void rows_by(int nv, size_t rows, size_t depth, const float *a, size_t lda,
                    const float *b, float *c, size_t ldc)
{
    switch (rows) {
    case 6:
        tile(6, nv, depth, a, lda, b, c, ldc);
        return;
    case 5:
        tile(5, nv, depth, a, lda, b, c, ldc);
        return;
    case 4:
        tile(4, nv, depth, a, lda, b, c, ldc);
        return;
    case 3:
        tile(3, nv, depth, a, lda, b, c, ldc);
        return;
    case 2:
        tile(2, nv, depth, a, lda, b, c, ldc);
        return;
    default:
        tile(1, nv, depth, a, lda, b, c, ldc);
        return;
    }
}

/*
 * c = a b for b packed in panels: columns in groups of NR, the last one narrower by
 * whole vectors, each group [depth, its width]. `height` rows were packed into a panel,
 * of which the first `depth` are used.
 */
static void product(size_t rows, size_t columns, size_t depth, size_t height,
                    const float *a, size_t lda, const float *panels, float *c, size_t ldc)
{
    for (size_t at = 0; at < columns; at += NR) {
        size_t left = columns - at;
        const float *b = panels + at * height;

        if (left >= NR)
            rows_by(NV, rows, depth, a, lda, b, c + at, ldc);
#if defined(__AVX512F__) || defined(__aarch64__)
        else if (left > 2 * VW)
            rows_by(3, rows, depth, a, lda, b, c + at, ldc);
        else if (left > VW)
            rows_by(2, rows, depth, a, lda, b, c + at, ldc);
#endif
        else
            rows_by(1, rows, depth, a, lda, b, c + at, ldc);
    }
}

/* One row of the same, depth `from` to `depth`, onto what lies in c. */
static void product_onto(size_t columns, size_t from, size_t depth, size_t height,
                         const float *a, const float *panels, float *c)
{
    for (size_t at = 0; at < columns; at += NR) {
        size_t left = columns - at < NR ? columns - at : NR;

        for (size_t k = 0; k < left; k += VW) {
            vf sum = v_load(c + at + k);

            for (size_t d = from; d < depth; d++) {
                const float *b = panels + at * height + d * left;

                sum = v_fma(v_set1(a[d]), v_load(b + k), sum);
            }
            v_store(c + at + k, sum);
        }
    }
}

/* --- rows of k and v --- */

static inline const float *k_row(const struct cpv_attention *a, size_t j)
{
    return j < a->prefix
               ? a->k + j * a->kv_stride
               : a->tail_k + (size_t)a->tail_rows[j - a->prefix] * a->tail_stride;
}

static inline const float *v_row(const struct cpv_attention *a, size_t j)
{
    return j < a->prefix
               ? a->v + j * a->kv_stride
               : a->tail_v + (size_t)a->tail_rows[j - a->prefix] * a->tail_stride;
}

/* Four numbers of each of four rows, as columns. */
static inline void transpose(const float *const row[4], size_t d, float *to, size_t width)
{
    vf4 r[4], low[2], high[2], out[4];

    for (int i = 0; i < 4; i++)
        memcpy(&r[i], row[i] + d, sizeof r[i]);
    for (int i = 0; i < 2; i++) {
        low[i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 4, 1, 5);
        high[i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 2, 6, 3, 7);
    }
    out[0] = __builtin_shufflevector(low[0], low[1], 0, 1, 4, 5);
    out[1] = __builtin_shufflevector(low[0], low[1], 2, 3, 6, 7);
    out[2] = __builtin_shufflevector(high[0], high[1], 0, 1, 4, 5);
    out[3] = __builtin_shufflevector(high[0], high[1], 2, 3, 6, 7);
    for (size_t i = 0; i < 4; i++)
        memcpy(to + i * width, &out[i], sizeof out[i]);
}

/* Transposed into panels [dh, NR of nkv], zeros in the columns behind nkv. */
static void pack_k(const struct cpv_attention *a, size_t columns, float *panels)
{
    size_t j = 0;

    for (; a->nkv - j >= 4; j += 4) {
        const float *row[4] = {k_row(a, j), k_row(a, j + 1), k_row(a, j + 2),
                               k_row(a, j + 3)};
        size_t first = j / NR * NR, d = 0;
        size_t width = columns - first < NR ? columns - first : NR;
        float *to = panels + first * a->dh + (j - first);

        for (; a->dh - d >= 4; d += 4)
            transpose(row, d, to + d * width, width);
        for (; d < a->dh; d++)
            for (size_t i = 0; i < 4; i++)
                to[d * width + i] = row[i][d];
    }
    for (; j < columns; j++) {
        size_t first = j / NR * NR;
        size_t width = columns - first < NR ? columns - first : NR;
        float *to = panels + first * a->dh + (j - first);
        const float *from = j < a->nkv ? k_row(a, j) : NULL;

        for (size_t d = 0; d < a->dh; d++)
            to[d * width] = from ? from[d] : 0;
    }
}

/* Into panels [nkv, NR of dh], zeros behind dh. */
static void pack_v(const struct cpv_attention *a, size_t columns, float *panels)
{
    for (size_t j = 0; j < a->nkv; j++) {
        const float *from = v_row(a, j);

        for (size_t at = 0; at < columns; at += NR) {
            size_t width = columns - at < NR ? columns - at : NR;
            float *to = panels + at * a->nkv + j * width;

            for (size_t d = 0; d < width; d += VW) {
                ptrdiff_t left = (ptrdiff_t)a->dh - (ptrdiff_t)(at + d);

                v_store(to + d, left >= VW ? v_load(from + at + d)
                                           : v_load_n(from + at + d, left, 0));
            }
        }
    }
}

/*
 * Softmax of a row of scores, in place, without the division: gives the sum to divide by;
 * where nothing is seen, something that makes 0 of a sum of nothing.
 */

static inline float weigh(float *s, size_t n, float *lse)
{
    float largest;
    vf m0 = v_set1(-INFINITY), m1 = m0, s0 = {0}, s1 = s0;
    size_t k = 0;

    for (; n - k >= 2 * VW; k += 2 * VW) {
        m0 = v_max(v_load(s + k), m0);
        m1 = v_max(v_load(s + k + VW), m1);
    }
    for (; k < n; k += VW)
        m0 = v_max(v_load_upto(s, k, n, -INFINITY), m0);
    largest = v_largest(v_max(m0, m1));
    for (k = 0; n - k >= 2 * VW; k += 2 * VW) {
        vf a = v_exp(v_load(s + k) - largest), b = v_exp(v_load(s + k + VW) - largest);

        v_store(s + k, a);
        v_store(s + k + VW, b);
        s0 += a;
        s1 += b;
    }
    for (; k < n; k += VW) {
        vf a = v_exp(v_load_upto(s, k, n, -INFINITY) - largest);

        v_store_upto(s, a, k, n);
        s0 += a;
    }
    s0 += s1;
    if (lse)
        *lse = largest + logf(v_sum(s0));
    return n ? v_sum(s0) : 1;
}

static inline size_t seen_by(const struct cpv_attention *a, size_t i)
{
    size_t last = a->nkv + i + 1;

    return !a->causal ? a->nkv : last > a->nq ? last - a->nq : 0;
}

/* The weights of query i, `seen` of them, in place. */
static inline void drop(const struct cpv_attention *a, size_t i, float *s, size_t seen)
{
    struct cpv_drop at;

    if (!a->drop)
        return;
    at = *a->drop;
    at.position += (uint32_t)i;
    K(cpv_drop)(s, s, &at, seen);
}

/* --- few queries --- */

/*
 * Up to FEW of them at a time read each row of k and v once. None of the sums depends on
 * how many they are.
 */
enum { FEW = 4 };

static inline size_t score_row(size_t nkv) /* floats from a query's scores to the next */
{
    return round_up(nkv, LINE) + LINE;
}

/* scores[j] = scale * q k_j; each in one vector along dh, so alike for any j. */
INLINE void score(int nq, const struct cpv_attention *a, const float *q, size_t seen,
                  float *scores, size_t row)
{
    size_t j = 0, dh = a->dh;

    for (; seen - j >= 4; j += 4) {
        const float *k0 = k_row(a, j), *k1 = k_row(a, j + 1);
        const float *k2 = k_row(a, j + 2), *k3 = k_row(a, j + 3);
        vf s[FEW][4] = {{{0}}};

        for (size_t d = 0; d < dh; d += VW) {
            vf y0 = v_load_upto(k0, d, dh, 0), y1 = v_load_upto(k1, d, dh, 0);
            vf y2 = v_load_upto(k2, d, dh, 0), y3 = v_load_upto(k3, d, dh, 0);

            UNROLL
            for (int r = 0; r < nq; r++) {
                vf x = v_load_upto(q + (size_t)r * a->q_stride, d, dh, 0);

                s[r][0] = v_fma(x, y0, s[r][0]);
                s[r][1] = v_fma(x, y1, s[r][1]);
                s[r][2] = v_fma(x, y2, s[r][2]);
                s[r][3] = v_fma(x, y3, s[r][3]);
            }
        }
        UNROLL
        for (int r = 0; r < nq; r++) {
            vf4 sums = a->scale * v_sum_each(s[r][0], s[r][1], s[r][2], s[r][3]);

            memcpy(scores + (size_t)r * row + j, &sums, sizeof sums);
        }
    }
    for (; j < seen; j++) {
        const float *k0 = k_row(a, j);

        for (int r = 0; r < nq; r++) {
            const float *x = q + (size_t)r * a->q_stride;
            vf s0 = {0};

            for (size_t d = 0; d < dh; d += VW)
                s0 = v_fma(v_load_upto(x, d, dh, 0), v_load_upto(k0, d, dh, 0), s0);
            scores[(size_t)r * row + j] = a->scale * v_sum(s0);
        }
    }
}

/* out[d, nv vectors] = sum of scores[j] v_j / sum; the last vector has `last` lanes. */
INLINE void gather(int nq, int nv, const struct cpv_attention *a, const float *scores,
                   size_t row, size_t seen, const float *sum, size_t d, ptrdiff_t last,
                   float *out)
{
    vf acc[FEW][NV] = {{{0}}};

    for (size_t j = 0; j < seen; j++) {
        const float *v = v_row(a, j) + d;
        vf y[NV];

        UNROLL
        for (int c = 0; c < nv - 1; c++)
            y[c] = v_load(v + c * VW);
        y[nv - 1] = v_load_n(v + (nv - 1) * VW, last, 0);
        UNROLL
        for (int r = 0; r < nq; r++) {
            vf p = v_set1(scores[(size_t)r * row + j]);

            UNROLL
            for (int c = 0; c < nv; c++)
                acc[r][c] = v_fma(p, y[c], acc[r][c]);
        }
    }
    UNROLL
    for (int r = 0; r < nq; r++) {
        float *to = out + (size_t)r * a->out_stride + d;

        UNROLL
        for (int c = 0; c < nv - 1; c++)
            v_store(to + (size_t)c * VW, acc[r][c] / sum[r]);
        v_store_n(to + (size_t)(nv - 1) * VW, acc[r][nv - 1] / sum[r], last);
    }
}

/* Queries i to i + nq, which see the same. */
INLINE void direct_by(int nq, const struct cpv_attention *a, size_t i, float *scores)
{
    size_t seen = seen_by(a, i), row = score_row(a->nkv);
    float *out = a->out + i * a->out_stride, sum[FEW];

    score(nq, a, a->q + i * a->q_stride, seen, scores, row);
    for (int r = 0; r < nq; r++) {
        float *lse = a->lse ? a->lse + (i + (size_t)r) * a->lse_stride : NULL;

        sum[r] = weigh(scores + (size_t)r * row, seen, lse);
        drop(a, i + (size_t)r, scores + (size_t)r * row, seen);
    }
    for (size_t d = 0; d < a->dh;) {
        size_t left = a->dh - d;

        if (left >= NR) {
            gather(nq, NV, a, scores, row, seen, sum, d, VW, out);
            d += NR;
        } else {
            gather(nq, 1, a, scores, row, seen, sum, d, left < VW ? (ptrdiff_t)left : VW,
                   out);
            d += VW;
        }
    }
}

static void direct(const struct cpv_attention *a, float *scores)
{
    size_t i = 0;

    for (; !a->causal && a->nq - i >= FEW; i += FEW)
        direct_by(FEW, a, i, scores);
    for (; !a->causal && a->nq - i >= 2; i += 2)
        direct_by(2, a, i, scores);
    for (; i < a->nq; i++)
        direct_by(1, a, i, scores);
}

/* --- many --- */

/* Where in the scratch what lies, each at the start of a cache line; in floats. */
struct layout {
    size_t columns, width; /* nkv and dh in whole vectors */
    size_t row;            /* from a row of scores to the next: off the powers of two */
    size_t k, v, q, scores, out, total;
};

static struct layout lay_out(size_t nkv, size_t dh)
{
    struct layout l = {.columns = round_up(nkv, VW), .width = round_up(dh, VW)};

    l.row = round_up(l.columns, LINE) + LINE;
    l.v = l.k + round_up(l.columns * dh, LINE);
    l.q = l.v + round_up(l.width * nkv, LINE);
    l.scores = l.q + round_up(MR * dh, LINE);
    l.out = l.scores + MR * l.row;
    l.total = l.out + round_up(MR * l.width, LINE);
    return l;
}

/* Queries i to i + rows. */
static void queries(const struct cpv_attention *a, const struct layout *l, float *scratch,
                    size_t i, size_t rows)
{
    float *q = scratch + l->q, *scores = scratch + l->scores, *out = scratch + l->out;
    size_t common = seen_by(a, i), most = round_up(seen_by(a, i + rows - 1), NR);
    float sums[MR];

    for (size_t r = 0; r < rows; r++)
        K(cpv_scale)(q + r * a->dh, a->q + (i + r) * a->q_stride, a->scale, a->dh);
    product(rows, most < l->columns ? most : l->columns, a->dh, a->dh, q, a->dh,
            scratch + l->k, scores, l->row);
    for (size_t r = 0; r < rows; r++) {
        float *lse = a->lse ? a->lse + (i + r) * a->lse_stride : NULL;

        sums[r] = weigh(scores + r * l->row, seen_by(a, i + r), lse);
        drop(a, i + r, scores + r * l->row, seen_by(a, i + r));
    }
    product(rows, l->width, common, a->nkv, scores, l->row, scratch + l->v, out,
            l->width);
    for (size_t r = 0; r < rows; r++) {
        float *o = out + r * l->width, *to = a->out + (i + r) * a->out_stride;

        if (r && a->causal) /* what this one sees and the first does not */
            product_onto(l->width, common, seen_by(a, i + r), a->nkv, scores + r * l->row,
                         scratch + l->v, o);
        for (size_t d = 0; d < a->dh; d += VW)
            v_store_upto(to, v_load(o + d) / sums[r], d, a->dh);
    }
}

void K(cpv_attention)(const struct cpv_attention *a, float *scratch)
{
    struct layout l;

    scratch = (float *)round_up((uintptr_t)scratch, LINE * sizeof(float));
    if (a->few || a->nq < CPV_ATTENTION_FEW) {
        direct(a, scratch);
        return;
    }
    l = lay_out(a->nkv, a->dh);
    pack_k(a, l.columns, scratch + l.k);
    pack_v(a, l.width, scratch + l.v);
    for (size_t i = 0; i < a->nq; i += MR)
        queries(a, &l, scratch, i, a->nq - i < MR ? a->nq - i : MR);
}

size_t K(cpv_attention_scratch)(size_t nq, size_t nkv, size_t dh)
{
    size_t few = FEW * score_row(nkv), many = lay_out(nkv, dh).total;

    return LINE + (nq < CPV_ATTENTION_FEW || few > many ? few : many);
}
