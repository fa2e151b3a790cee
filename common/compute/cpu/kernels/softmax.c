/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and its kin. A sum over a row is one of sums over blocks: it rounds less. */
#include <math.h>

#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec_math.h"

enum { BLOCK = 32 * VW };

/* NaN does not count; -Inf of nothing. */
static inline float largest(const float *in, size_t n)
{
    vf m0 = v_set1(-INFINITY), m1 = m0;
    size_t k = 0;

    for (; n - k >= 2 * VW; k += 2 * VW) {
        m0 = v_max(v_load(in + k), m0);
        m1 = v_max(v_load(in + k + VW), m1);
    }
    for (; k < n; k += VW)
        m0 = v_max(v_load_upto(in, k, n, -INFINITY), m0);
    return v_largest(v_max(m0, m1));
}

/* Sum of exp(in - m); each is left in `out`, unless that is NULL. */
static inline float exps(float *out, const float *in, float m, size_t n)
{
    vf total = {0};

    for (size_t from = 0; from < n; from += BLOCK) {
        size_t to = n - from > BLOCK ? from + BLOCK : n;
        vf sum = {0};

        for (size_t k = from; k < to; k += VW) {
            vf e = v_exp(v_load_upto(in, k, to, -INFINITY) - m);

            /* A row of -Inf only gives NaN here also behind its end: as it should. */
            sum += e;
            if (out)
                v_store_upto(out, e, k, to);
        }
        total += sum;
    }
    return v_sum(total);
}

void K(cpv_log_softmax)(float *out, const float *in, size_t n)
{
    float m = largest(in, n);
    float log_sum = logf(exps(NULL, in, m, n));

    for (size_t k = 0; k < n; k += VW)
        v_store_upto(out, (v_load_upto(in, k, n, 0) - m) - log_sum, k, n);
}

void K(cpv_softmax)(float *out, const float *in, size_t seen, size_t n)
{
    float sum = exps(out, in, largest(in, seen), seen);
    vf by = v_set1(1 / sum), zero = {0};

    for (size_t k = 0; k < seen; k += VW)
        v_store_upto(out, v_load_upto(out, k, seen, 0) * by, k, seen);
    for (size_t k = seen; k < n; k += VW)
        v_store_upto(out, zero, k, n);
}

void K(cpv_softmax_dx)(float *dx, const float *y, const float *dy, size_t n)
{
    vf total = {0};
    float inner;

    for (size_t from = 0; from < n; from += BLOCK) {
        size_t to = n - from > BLOCK ? from + BLOCK : n;
        vf sum = {0};

        for (size_t k = from; k < to; k += VW)
            sum = v_fma(v_load_upto(y, k, to, 0), v_load_upto(dy, k, to, 0), sum);
        total += sum;
    }
    inner = v_sum(total);
    for (size_t k = 0; k < n; k += VW) {
        vf d = v_load_upto(dy, k, n, 0) - inner;

        v_store_upto(dx, v_load_upto(y, k, n, 0) * d, k, n);
    }
}
