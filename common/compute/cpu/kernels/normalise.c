/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LayerNorm with its backward, L2 norms and dot products. A sum over a row runs in four
 * vectors side by side, for speed and because short chains of additions round less.
 */
#include <math.h>

#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec_ops.h"

enum { WIDE = 4 * VW };

float K(cpv_dot)(const float *a, const float *b, size_t n)
{
    vf s0 = {0}, s1 = s0, s2 = s0, s3 = s0;
    size_t k = 0;

    for (; n - k >= WIDE; k += WIDE) {
        s0 = v_fma(v_load(a + k), v_load(b + k), s0);
        s1 = v_fma(v_load(a + k + VW), v_load(b + k + VW), s1);
        s2 = v_fma(v_load(a + k + 2 * VW), v_load(b + k + 2 * VW), s2);
        s3 = v_fma(v_load(a + k + 3 * VW), v_load(b + k + 3 * VW), s3);
    }
    for (; k < n; k += VW)
        s0 = v_fma(v_load_upto(a, k, n, 0), v_load_upto(b, k, n, 0), s0);
    return v_sum((s0 + s1) + (s2 + s3));
}

float K(cpv_l2norm)(float *out, const float *in, float least, size_t n)
{
    float norm = sqrtf(K(cpv_dot)(in, in, n));
    vf by = v_set1(norm < least ? least : norm);

    for (size_t k = 0; k < n; k += VW)
        v_store_upto(out, v_load_upto(in, k, n, 0) / by, k, n);
    return norm;
}

static inline float sum_row(const float *x, size_t n)
{
    vf s0 = {0}, s1 = s0, s2 = s0, s3 = s0;
    size_t k = 0;

    for (; n - k >= WIDE; k += WIDE) {
        s0 += v_load(x + k);
        s1 += v_load(x + k + VW);
        s2 += v_load(x + k + 2 * VW);
        s3 += v_load(x + k + 3 * VW);
    }
    for (; k < n; k += VW)
        s0 += v_load_upto(x, k, n, 0);
    return v_sum((s0 + s1) + (s2 + s3));
}

/*
 * m is a rounded sum; the mean of x - m, a sum of small numbers and so nearly exact, is
 * how far off the mean it is, and sets the variance right too.
 */
static inline float variance_about(const float *x, float m, size_t n, float *off)
{
    float square, variance;
    vf s0 = {0}, s1 = s0, q0 = s0, q1 = s0, q2 = s0, q3 = s0, c = v_set1(m);
    size_t k = 0;

    for (; n - k >= WIDE; k += WIDE) {
        vf a = v_load(x + k) - c, b = v_load(x + k + VW) - c;
        vf d = v_load(x + k + 2 * VW) - c, e = v_load(x + k + 3 * VW) - c;

        s0 += a + b;
        s1 += d + e;
        q0 = v_fma(a, a, q0);
        q1 = v_fma(b, b, q1);
        q2 = v_fma(d, d, q2);
        q3 = v_fma(e, e, q3);
    }
    for (; k < n; k += VW) {
        vf a = v_load_upto(x, k, n, m) - c;

        s0 += a;
        q0 = v_fma(a, a, q0);
    }
    *off = v_sum(s0 + s1) / (float)n;
    square = v_sum((q0 + q1) + (q2 + q3)) / (float)n;
    variance = square - *off * *off;
    return variance < 0 ? 0 : variance; /* by rounding */
}

void K(cpv_layernorm)(float *out, const float *in, const float *gain, const float *bias,
                      float eps, size_t n, float *mean, float *rstd)
{
    float m = sum_row(in, n) / (float)n, off;
    float variance = variance_about(in, m, n, &off);
    float r = 1 / sqrtf(variance + eps);

    if (mean)
        *mean = m + off;
    if (rstd)
        *rstd = r;
    for (size_t k = 0; k < n; k += VW) {
        vf xhat = ((v_load_upto(in, k, n, 0) - m) - off) * r;
        vf y = v_fma(xhat, v_load_upto(gain, k, n, 0), v_load_upto(bias, k, n, 0));

        v_store_upto(out, y, k, n);
    }
}

/* Columns outside, so that the sums stay in registers over the rows of a block. */
void K(cpv_layernorm_dgain)(float *dgain, float *dbias, const float *dy, const float *in,
                            const float *mean, const float *rstd, size_t rows,
                            size_t stride, size_t n)
{
    for (size_t k = 0; k < n; k += VW) {
        vf g = v_load_upto(dgain, k, n, 0), b = v_load_upto(dbias, k, n, 0);

        for (size_t r = 0; r < rows; r++) {
            vf d = v_load_upto(dy + r * stride, k, n, 0);
            vf x = v_load_upto(in + r * stride, k, n, 0);

            g = v_fma(d, (x - mean[r]) * rstd[r], g);
            b += d;
        }
        v_store_upto(dgain, g, k, n);
        v_store_upto(dbias, b, k, n);
    }
}

/* dx = rstd * (g - mean(g) - xhat * mean(g xhat)), with g = dy * gain. */
void K(cpv_layernorm_dx)(float *dx, const float *dy, const float *in, const float *gain,
                         float mean, float rstd, size_t n)
{
    vf s = {0}, q = {0};
    float of_g, of_gx;

    for (size_t k = 0; k < n; k += VW) {
        vf g = v_load_upto(dy, k, n, 0) * v_load_upto(gain, k, n, 0);
        vf xhat = (v_load_upto(in, k, n, mean) - mean) * rstd;

        s += g;
        q = v_fma(g, xhat, q);
    }
    of_g = v_sum(s) / (float)n;
    of_gx = v_sum(q) / (float)n;
    for (size_t k = 0; k < n; k += VW) {
        vf g = v_load_upto(dy, k, n, 0) * v_load_upto(gain, k, n, 0);
        vf xhat = (v_load_upto(in, k, n, 0) - mean) * rstd;

        v_store_upto(dx, rstd * v_fma(-xhat, v_set1(of_gx), g - of_g), k, n);
    }
}
