/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors, continued: comparisons and choice, parts of vectors at the ends of rows, and
 * sums over the lanes. Only kernels/ includes it.
 *
 * A `vm` says yes or no for each lane. Comparisons with a NaN say no. The lanes of a
 * vector are always summed in the same tree: the upper half onto the lower half, until
 * one is left.
 */
#ifndef CPV_COMPUTE_CPU_KERNELS_VEC_OPS_H
#define CPV_COMPUTE_CPU_KERNELS_VEC_OPS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/compute/cpu/kernels/vec.h"

#if defined(__AVX512F__)
typedef __mmask16 vm;
#else
typedef vi vm;
#endif

/* The same bits as the other type. */
static inline vi v_bits(vf x)
{
    return (vi)x;
}

static inline vf v_float(vi x)
{
    return (vf)x;
}

static inline vi v_set1i(int32_t x)
{
    vi zero = {0};

    return x + zero;
}

/* 0, 1, 2, ... */
static inline vi v_lanes(void)
{
#if defined(__AVX512F__)
    vi v = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif defined(__AVX2__)
    vi v = {0, 1, 2, 3, 4, 5, 6, 7};
#else
    vi v = {0, 1, 2, 3};
#endif
    return v;
}

static inline vm v_gt(vf a, vf b)
{
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ);
#else
    return a > b;
#endif
}

static inline vm v_lt(vf a, vf b)
{
    return v_gt(b, a);
}

static inline vm v_eq(vf a, vf b)
{
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_EQ_OQ);
#else
    return a == b;
#endif
}

/* The first n lanes; all of them where n is VW or more. */
static inline vm v_first(ptrdiff_t n)
{
#if defined(__AVX512F__)
    return n >= VW ? (__mmask16)0xffff : (__mmask16)((1u << n) - 1);
#else
    return v_lanes() < v_set1i(n >= VW ? VW : (int32_t)n);
#endif
}

/* Bit k for lane k. */
static inline unsigned v_mask_bits(vm m)
{
#if defined(__AVX512F__)
    return m;
#elif defined(__AVX2__)
    return (unsigned)_mm256_movemask_ps((__m256)m);
#elif defined(__SSE2__)
    return (unsigned)_mm_movemask_ps((__m128)m);
#else
    unsigned bits = 0;

    for (int k = 0; k < VW; k++)
        bits |= (unsigned)(m[k] & 1) << k;
    return bits;
#endif
}

static inline bool v_any(vm m)
{
    return v_mask_bits(m) != 0;
}

/* m ? a : b */
static inline vf v_choose(vm m, vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a);
#elif defined(__AVX2__)
    return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m);
#else
    return (vf)((m & (vi)a) | (~m & (vi)b));
#endif
}

static inline vi v_choose_i(vm m, vi a, vi b)
{
    return v_bits(v_choose(m, v_float(a), v_float(b)));
}

/* a > b ? a : b and a < b ? a : b: b if either is NaN. */
static inline vf v_max(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return v_choose(v_gt(a, b), a, b);
#endif
}

static inline vf v_min(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return v_choose(v_lt(a, b), a, b);
#endif
}

static inline vf v_abs(vf x)
{
    return v_float(v_bits(x) & 0x7fffffff);
}

/* |x| with the sign of s. */
static inline vf v_copysign(vf x, vf s)
{
    return v_float((v_bits(x) & 0x7fffffff) | (v_bits(s) & INT32_MIN));
}

/* The first n floats, n in 0..VW, and `fill` in the lanes behind; reads no others. */
static inline vf v_load_n(const float *p, ptrdiff_t n, float fill)
{
#if defined(__AVX512F__)
    return (vf)_mm512_mask_loadu_ps((__m512)v_set1(fill), v_first(n), p);
#elif defined(__AVX2__)
    vm m = v_first(n);

    return v_choose(m, (vf)_mm256_maskload_ps(p, (__m256i)m), v_set1(fill));
#else
    vf v = v_set1(fill);

    for (ptrdiff_t k = 0; k < n; k++)
        v[k] = p[k];
    return v;
#endif
}

static inline void v_store_n(float *p, vf v, ptrdiff_t n)
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, v_first(n), (__m512)v);
#elif defined(__AVX2__)
    _mm256_maskstore_ps(p, (__m256i)v_first(n), (__m256)v);
#else
    for (ptrdiff_t k = 0; k < n; k++)
        p[k] = v[k];
#endif
}

/* The two, with n of any size: what a loop `k += VW` up to n needs at place k. */
static inline vf v_load_upto(const float *p, size_t k, size_t n, float fill)
{
    return n - k >= VW ? v_load(p + k) : v_load_n(p + k, (ptrdiff_t)(n - k), fill);
}

static inline void v_store_upto(float *p, vf v, size_t k, size_t n)
{
    if (n - k >= VW)
        v_store(p + k, v);
    else
        v_store_n(p + k, v, (ptrdiff_t)(n - k));
}

typedef float vf4 __attribute__((vector_size(16)));

static inline vf4 v_add_halves(vf v)
{
#if defined(__AVX512F__)
    __m512 w = (__m512)v;
    __m256 h = _mm512_castps512_ps256(w) + _mm512_extractf32x8_ps(w, 1);

    return (vf4)(_mm256_castps256_ps128(h) + _mm256_extractf128_ps(h, 1));
#elif defined(__AVX2__)
    __m256 h = (__m256)v;

    return (vf4)(_mm256_castps256_ps128(h) + _mm256_extractf128_ps(h, 1));
#else
    return v;
#endif
}

static inline float v_sum(vf v)
{
    vf4 q = v_add_halves(v);

    return (q[0] + q[2]) + (q[1] + q[3]);
}

/* v_sum of each of four, to the bit. */
static inline vf4 v_sum_each(vf a, vf b, vf c, vf d)
{
    vf4 p = v_add_halves(a), q = v_add_halves(b), r = v_add_halves(c),
        s = v_add_halves(d);
    vf4 pq_lo = __builtin_shufflevector(p, q, 0, 4, 1, 5); /* p0 q0 p1 q1 */
    vf4 pq_hi = __builtin_shufflevector(p, q, 2, 6, 3, 7);
    vf4 rs_lo = __builtin_shufflevector(r, s, 0, 4, 1, 5);
    vf4 rs_hi = __builtin_shufflevector(r, s, 2, 6, 3, 7);
    vf4 pq = pq_lo + pq_hi, rs = rs_lo + rs_hi; /* p0+p2 q0+q2 p1+p3 q1+q3 */

    return __builtin_shufflevector(pq, rs, 0, 1, 4, 5) +
           __builtin_shufflevector(pq, rs, 2, 3, 6, 7);
}

/* The largest lane. Where a lane is NaN: any lane's value, or NaN. */
static inline float v_largest(vf v)
{
#if defined(__x86_64__)
#if defined(__AVX512F__)
    __m512 w = (__m512)v;
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(w), _mm512_extractf32x8_ps(w, 1));
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
#elif defined(__AVX2__)
    __m256 h = (__m256)v;
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
#else
    __m128 q = (__m128)v;
#endif
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
#else
    float a[VW];

    v_store(a, v);
    for (int half = VW / 2; half; half /= 2)
        for (int k = 0; k < half; k++)
            a[k] = a[k] > a[k + half] ? a[k] : a[k + half];
    return a[0];
#endif
}

#endif
