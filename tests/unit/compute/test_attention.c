/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attention kernel, at every level that this processor has: against double, and
 * what it promises about bits: a row is its own, wherever k and v lie.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/compute/levels.h"

enum { MOST_Q = 60, MOST_KV = 150, MOST_DH = CPV_ATTENTION_DH_MAX };

/* Room for one problem; every row ends where its neighbour begins, the last at a fence.
 */
struct bench {
    struct fence q, k, v, out, scratch;
    float lse[MOST_Q];
};

static void bench_open(struct bench *b, const struct cpv_kernels *k)
{
    b->q = fence_open((size_t)MOST_Q * MOST_DH);
    b->k = fence_open((size_t)MOST_KV * MOST_DH);
    b->v = fence_open((size_t)MOST_KV * MOST_DH);
    b->out = fence_open((size_t)MOST_Q * MOST_DH);
    b->scratch = fence_open(k->attention_scratch(MOST_Q, MOST_KV, MOST_DH));
}

static void bench_close(struct bench *b)
{
    fence_close(&b->q);
    fence_close(&b->k);
    fence_close(&b->v);
    fence_close(&b->out);
    fence_close(&b->scratch);
}

static struct cpv_attention problem(struct bench *b, size_t nq, size_t nkv, size_t dh,
                                    bool causal)
{
    float *q = fence_row(&b->q, nq * dh), *k = fence_row(&b->k, nkv * dh);
    float *v = fence_row(&b->v, nkv * dh);

    for (size_t i = 0; i < nq * dh; i++)
        q[i] = bell(1, i);
    for (size_t i = 0; i < nkv * dh; i++) {
        k[i] = bell(2, i);
        v[i] = bell(3, i);
    }
    return (struct cpv_attention){.nq = nq,
                                  .nkv = nkv,
                                  .dh = dh,
                                  .causal = causal,
                                  .scale = 1 / sqrtf((float)dh),
                                  .q = q,
                                  .q_stride = dh,
                                  .k = k,
                                  .v = v,
                                  .kv_stride = dh,
                                  .prefix = nkv,
                                  .out = fence_row(&b->out, nq * dh),
                                  .out_stride = dh,
                                  .lse = b->lse,
                                  .lse_stride = 1};
}

/* With a scratch of NaN that ends at a fence. */
static void attend(const struct cpv_kernels *k, struct bench *b,
                   const struct cpv_attention *a)
{
    size_t n = k->attention_scratch(a->nq, a->nkv, a->dh);
    float *scratch = fence_row(&b->scratch, n);

    memset(scratch, 0xff, n * sizeof *scratch);
    k->attention(a, scratch);
    fence_check(scratch);
}

static const float *key(const struct cpv_attention *a, size_t j)
{
    return j < a->prefix
               ? a->k + j * a->kv_stride
               : a->tail_k + (size_t)a->tail_rows[j - a->prefix] * a->tail_stride;
}

static const float *value(const struct cpv_attention *a, size_t j)
{
    return j < a->prefix
               ? a->v + j * a->kv_stride
               : a->tail_v + (size_t)a->tail_rows[j - a->prefix] * a->tail_stride;
}

/* Row i in double, into want[dh]; gives the log of the sum. */
static double plain(const struct cpv_attention *a, size_t i, double *want)
{
    size_t seen = !a->causal               ? a->nkv
                  : a->nkv + i + 1 < a->nq ? 0
                                           : a->nkv + i + 1 - a->nq;
    double s[MOST_KV], most = -INFINITY, sum = 0;

    for (size_t j = 0; j < seen; j++) {
        s[j] = 0;
        for (size_t d = 0; d < a->dh; d++)
            s[j] += (double)a->q[i * a->q_stride + d] * key(a, j)[d];
        s[j] *= (double)a->scale;
        most = s[j] > most ? s[j] : most;
    }
    for (size_t j = 0; j < seen; j++)
        sum += exp(s[j] - most);
    for (size_t d = 0; d < a->dh; d++) {
        want[d] = 0;
        for (size_t j = 0; j < seen; j++)
            want[d] += exp(s[j] - most) / sum * value(a, j)[d];
    }
    return seen ? most + log(sum) : -INFINITY;
}

/* Scores are sums of dh products of size 1, rounded to 2^-24 each, times dh^-1/2. */
static void check(const struct cpv_attention *a)
{
    for (size_t i = 0; i < a->nq; i++) {
        double want[MOST_DH], lse = plain(a, i, want);

        if (a->lse && isinf(lse))
            assert_true(a->lse[i * a->lse_stride] == lse);
        else if (a->lse)
            near_to("lse", i, a->lse[i * a->lse_stride], lse, 4e-6);
        for (size_t d = 0; d < a->dh; d++)
            near_to("attention", i * 1000 + d, a->out[i * a->out_stride + d], want[d],
                    1e-5);
    }
}

static void it_is_softmax_of_products_times_v(void **state)
{
    static const size_t queries[] = {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 60};
    static const size_t rows[] = {0,  1,  2,  3,  5,  15,  16, 17,
                                  33, 63, 64, 65, 97, 129, 150};
    static const size_t widths[] = {1,  2,  3,  8,  15, 16,  17,  33,  48,  63,
                                    64, 65, 80, 88, 96, 127, 128, 200, 255, 256};

    (void)state;
    EACH_LEVEL(k)
    {
        struct bench b;
        size_t turn = 0;

        bench_open(&b, k);
        for (size_t q = 0; q < sizeof queries / sizeof *queries; q++)
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                for (int causal = 0; causal < 2; causal++)
                    for (size_t w = 0; w < 5; w++) {
                        size_t nq = queries[q];
                        size_t nkv = rows[r];
                        size_t dh = widths[turn++ % (sizeof widths / sizeof *widths)];
                        struct cpv_attention a = problem(&b, nq, nkv, dh, causal != 0);

                        attend(k, &b, &a);
                        fence_check(a.out);
                        check(&a);
                    }
        bench_close(&b);
    }
}

/* Strides, and rows of k and v found by number: equal bits, and nothing between touched.
 */
static void where_things_lie_does_not_matter(void **state)
{
    static float pool[2 * MOST_KV * 100], q[13 * 200], out[13 * 90], lse[13 * 3];

    (void)state;
    EACH_LEVEL(k)
    for (size_t nq = 1; nq <= 13; nq += 4)
        for (size_t prefix = 0; prefix <= 61; prefix += prefix ? 30 : 1) {
            const size_t nkv = 61, dh = 40;
            struct bench b;
            struct cpv_attention a, c;
            int32_t table[61];

            bench_open(&b, k);
            a = problem(&b, nq, nkv, dh, true);
            attend(k, &b, &a);
            for (size_t i = 0; i < sizeof pool / sizeof *pool; i++)
                pool[i] = NAN;
            for (size_t i = 0; i < sizeof out / sizeof *out; i++)
                out[i] = 77;
            for (size_t j = prefix; j < nkv; j++) {
                table[j - prefix] = (int32_t)((j * 37 + 5) % (size_t)MOST_KV);
                memcpy(pool + (size_t)table[j - prefix] * 100, a.k + j * dh,
                       dh * sizeof *q);
                memcpy(pool + (size_t)table[j - prefix] * 100 + 50, a.v + j * dh,
                       dh * sizeof *q);
            }
            for (size_t i = 0; i < nq; i++)
                memcpy(q + i * 200, a.q + i * dh, dh * sizeof *q);
            c = a;
            c.q = q;
            c.q_stride = 200;
            c.prefix = prefix;
            c.k = prefix ? a.k : NULL;
            c.v = prefix ? a.v : NULL;
            c.tail_k = pool;
            c.tail_v = pool + 50;
            c.tail_stride = 100;
            c.tail_rows = table;
            c.out = out;
            c.out_stride = 90;
            c.lse = lse;
            c.lse_stride = 3;
            attend(k, &b, &c);
            for (size_t i = 0; i < nq; i++) {
                assert_memory_equal(out + i * 90, a.out + i * dh, dh * sizeof *out);
                assert_memory_equal(&lse[3 * i], &a.lse[i], sizeof *lse);
                for (size_t d = dh; d < 90; d++)
                    assert_true(out[i * 90 + d] == 77);
            }
            c.lse = NULL;
            attend(k, &b, &c);
            check(&c);
            bench_close(&b);
        }
}

/* Any 4 or more of the queries, in any order, get the bits that all of them got. */
static void queries_do_not_see_each_other(void **state)
{
    static const size_t counts[] = {4, 5, 6, 7, 12, 23, 59};

    (void)state;
    EACH_LEVEL(k)
    for (size_t w = 0; w < 3; w++) {
        const size_t dh = w == 0 ? 64 : w == 1 ? 88 : 17, nq = 60;
        static float all[60 * MOST_DH], q[60 * MOST_DH];
        struct bench b;
        struct cpv_attention a;

        bench_open(&b, k);
        a = problem(&b, nq, 131, dh, false);
        attend(k, &b, &a);
        memcpy(all, a.out, nq * dh * sizeof *all);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            struct cpv_attention some = a;

            for (size_t i = 0; i < counts[c]; i++)
                memcpy(q + i * dh, a.q + (i * 37 + c) % nq * dh, dh * sizeof *q);
            some.q = q;
            some.nq = counts[c];
            attend(k, &b, &some);
            for (size_t i = 0; i < counts[c]; i++)
                assert_memory_equal(some.out + i * dh, all + (i * 37 + c) % nq * dh,
                                    dh * sizeof *all);
        }
        bench_close(&b);
    }
}

/* A causal row is the same whether or not rows come after it, and whatever they hold. */
static void the_future_does_not_matter(void **state)
{
    (void)state;
    EACH_LEVEL(k)
    for (size_t first = 1; first <= 20; first++) {
        const size_t nq = 33, dh = 24;
        static float all[33 * 24];
        struct bench b;
        struct cpv_attention a;
        float *k_rows, *v_rows;

        bench_open(&b, k);
        a = problem(&b, nq, nq, dh, true);
        attend(k, &b, &a);
        memcpy(all, a.out, sizeof all);
        k_rows = fence_row(&b.k, nq * dh);
        v_rows = fence_row(&b.v, nq * dh);
        for (size_t i = first * dh; i < nq * dh; i++) {
            k_rows[i] = i % 2 ? NAN : INFINITY;
            v_rows[i] = i % 2 ? INFINITY : NAN;
        }
        attend(k, &b, &a);
        assert_memory_equal(a.out, all, first * dh * sizeof *all);
        for (size_t i = first * dh; i < nq * dh; i++)
            assert_true(isnan(a.out[i]));
        a.nq = a.nkv = a.prefix = first;
        attend(k, &b, &a);
        if (first >= 4)
            assert_memory_equal(a.out, all, first * dh * sizeof *all);
        bench_close(&b);
    }
}

static void a_nan_stays_in_its_row(void **state)
{
    (void)state;
    EACH_LEVEL(k)
    for (size_t nq = 1; nq <= 14; nq++)
        for (size_t bad = 0; bad < nq; bad += 3) {
            const size_t nkv = 50, dh = 20;
            static float all[14 * 20];
            struct bench b;
            struct cpv_attention a;

            bench_open(&b, k);
            a = problem(&b, nq, nkv, dh, false);
            attend(k, &b, &a);
            memcpy(all, a.out, nq * dh * sizeof *all);
            fence_row(&b.q, nq * dh)[bad * dh + 7] = NAN;
            attend(k, &b, &a);
            for (size_t i = 0; i < nq * dh; i++)
                assert_true(i / dh == bad ? isnan(a.out[i]) : a.out[i] == all[i]);
            assert_true(isnan(a.lse[bad]));
            bench_close(&b);
        }
}

/* Scores far outside what exp can hold; and one that takes all the weight. */
static void large_scores_do_not_overflow(void **state)
{
    (void)state;
    EACH_LEVEL(k)
    for (size_t nq = 1; nq <= 9; nq += 4) {
        struct bench b;
        struct cpv_attention a;

        bench_open(&b, k);
        a = problem(&b, nq, 77, 64, false);
        a.scale = 1000;
        attend(k, &b, &a);
        for (size_t i = 0; i < nq; i++) {
            double want[MOST_DH], lse = plain(&a, i, want);

            near_to("lse", i, a.lse[i], lse, 1e-5 * fabs(lse));
            for (size_t d = 0; d < 64; d++)
                near_to("attention", d, a.out[i * 64 + d], want[d], 0.02);
        }
        bench_close(&b);
    }
}

/* Equal keys get equal weights, to the bit, in whichever group of rows they are. */
static void equal_keys_weigh_the_same(void **state)
{
    (void)state;
    EACH_LEVEL(k)
    for (size_t nkv = 1; nkv <= 40; nkv++)
        for (size_t nq = 1; nq <= 8; nq += 7) {
            struct bench b;
            struct cpv_attention a;
            float *v;

            bench_open(&b, k);
            a = problem(&b, nq, nkv, 40, false);
            v = fence_row(&b.v, nkv * 40);
            for (size_t i = 0; i < nkv * 40; i++)
                v[i] = i / 40 == i % 40;
            for (size_t j = 1; j < nkv; j++)
                memcpy(fence_row(&b.k, nkv * 40) + j * 40, a.k, 40 * sizeof *v);
            attend(k, &b, &a);
            for (size_t i = 0; i < nq; i++)
                for (size_t j = 0; j < nkv; j++)
                    assert_true(a.out[i * 40 + j] == a.out[i * 40]);
            bench_close(&b);
        }
}

static void scratch_grows_with_each_size(void **state)
{
    (void)state;
    EACH_LEVEL(k)
    for (size_t n = 1; n < 300; n++) {
        assert_true(k->attention_scratch(n, 70, 64) <=
                    k->attention_scratch(n + 1, 70, 64));
        assert_true(k->attention_scratch(9, n, 64) <= k->attention_scratch(9, n + 1, 64));
        assert_true(k->attention_scratch(9, 70, n) <= k->attention_scratch(9, 70, n + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_softmax_of_products_times_v),
        cmocka_unit_test(where_things_lie_does_not_matter),
        cmocka_unit_test(queries_do_not_see_each_other),
        cmocka_unit_test(the_future_does_not_matter),
        cmocka_unit_test(a_nan_stays_in_its_row),
        cmocka_unit_test(large_scores_do_not_overflow),
        cmocka_unit_test(equal_keys_weigh_the_same),
        cmocka_unit_test(scratch_grows_with_each_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
