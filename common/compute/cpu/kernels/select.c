/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The largest of a row. Vocabularies have 60,000 entries, of which next to none is a
 * candidate: a row is read in blocks that stay in the first-level cache, each looked at
 * for its largest, then, only if that beats what is kept, searched, then summed.
 */
#include <math.h>

#include "common/compute/cpu/kernels/rows.h"
#include "common/compute/cpu/kernels/vec_math.h"

enum { BLOCK = 64 * VW };

/* NaN does not count. */
static inline float largest_of(const float *in, size_t n)
{
    vf m0 = v_set1(-INFINITY), m1 = m0, m2 = m0, m3 = m0;
    size_t k = 0;

    for (; n - k >= 4 * VW; k += 4 * VW) {
        m0 = v_max(v_load(in + k), m0);
        m1 = v_max(v_load(in + k + VW), m1);
        m2 = v_max(v_load(in + k + 2 * VW), m2);
        m3 = v_max(v_load(in + k + 3 * VW), m3);
    }
    for (; k < n; k += VW)
        m0 = v_max(v_load_upto(in, k, n, -INFINITY), m0);
    return v_largest(v_max(v_max(m0, m1), v_max(m2, m3)));
}

size_t K(cpv_arg_max)(const float *in, size_t n)
{
    vf m = v_set1(largest_of(in, n));

    for (size_t k = 0; k < n; k += VW) {
        unsigned hits = v_mask_bits(v_eq(v_load_upto(in, k, n, NAN), m));

        if (hits)
            return k + (size_t)__builtin_ctz(hits);
    }
    return 0; /* all are NaN */
}

/* The kept ones, sorted; `count` of at most `k`. */
struct kept {
    float *values;
    int32_t *places;
    size_t k, count;
};

/* Behind its equals, which came before it. */
static void keep(struct kept *t, float x, size_t place)
{
    size_t at = t->count < t->k ? t->count++ : t->k - 1;

    for (; at && t->values[at - 1] < x; at--) {
        t->values[at] = t->values[at - 1];
        t->places[at] = t->places[at - 1];
    }
    t->values[at] = x;
    t->places[at] = (int32_t)place;
}

static void search(struct kept *t, const float *in, size_t from, size_t to)
{
    for (size_t k = from; k < to; k += VW) {
        vf x = v_load_upto(in, k, to, NAN);
        bool full = t->count == t->k;
        unsigned hits =
            v_mask_bits(full ? v_gt(x, v_set1(t->values[t->k - 1])) : v_eq(x, x));

        for (; hits; hits &= hits - 1) {
            size_t place = k + (size_t)__builtin_ctz(hits);

            if (t->count < t->k || in[place] > t->values[t->k - 1])
                keep(t, in[place], place);
        }
    }
}

/* exp(in - shift), summed lane by lane. */
static inline vf exps_of(const float *in, size_t n, float shift)
{
    vf s0 = {0}, s1 = s0;
    size_t k = 0;

    for (; n - k >= 2 * VW; k += 2 * VW) {
        s0 += v_exp(v_load(in + k) - shift);
        s1 += v_exp(v_load(in + k + VW) - shift);
    }
    for (; k < n; k += VW)
        s0 += v_exp(v_load_upto(in, k, n, -INFINITY) - shift);
    return s0 + s1;
}

/*
 * Sums of exp(in - shift) so far, lane by lane; shift is the largest so far, or 0 where
 * that is infinite, which keeps Inf - Inf out: the sum is then 0 or Inf, and NaN only
 * from a NaN.
 */
struct log_sum {
    float largest;
    vf sum;
};

static inline float shift_of(float largest)
{
    return isinf(largest) ? 0 : largest;
}

static inline void log_sum_take(struct log_sum *s, const float *in, size_t n, float m)
{
    if (m > s->largest) {
        s->sum *= v_exp(v_set1(s->largest - m)); /* by 0 if there was nothing */
        s->largest = m;
    }
    s->sum += exps_of(in, n, shift_of(s->largest));
}

size_t K(cpv_top_k)(const float *in, size_t n, size_t k, float *values, int32_t *places,
                    float *lse)
{
    struct kept t = {values, places, k, 0};
    struct log_sum s = {-INFINITY, {0}};

    for (size_t from = 0; from < n; from += BLOCK) {
        size_t size = n - from > BLOCK ? BLOCK : n - from;
        float m = largest_of(in + from, size);

        if (t.count < k || m > values[k - 1])
            search(&t, in, from, from + size);
        if (lse)
            log_sum_take(&s, in + from, size, m);
    }
    for (size_t i = t.count; i < k; i++) {
        values[i] = -INFINITY;
        places[i] = -1;
    }
    if (lse)
        *lse = shift_of(s.largest) + logf(v_sum(s.sum));
    return t.count;
}
