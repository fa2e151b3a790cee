/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arg-max and top-k with log-sum-exp, at every level that this processor has, against a
 * plain search and double: ties, NaN, infinities, every place and length.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/compute/levels.h"

enum { VOCABULARY = 62000 };

static const size_t sizes[] = {1,    2,    3,    5,    8,    15,   16,        17,  31,
                               33,   64,   65,   255,  256,  257,  511,       513, 1000,
                               1023, 1024, 1025, 2047, 2049, 5000, VOCABULARY};
enum { SIZES = sizeof sizes / sizeof *sizes };

static size_t plain_arg_max(const float *x, size_t n)
{
    size_t best = n;

    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i]) && (best == n || x[i] > x[best]))
            best = i;
    return best == n ? 0 : best;
}

/* Again and again the best that was not taken, by value, then place. */
static size_t plain_top_k(const float *x, size_t n, size_t k, int32_t *places)
{
    static bool taken[VOCABULARY];
    size_t found = 0;

    memset(taken, 0, n * sizeof *taken);
    for (; found < k; found++) {
        size_t best = n;

        for (size_t i = 0; i < n; i++) {
            if (!taken[i] && !isnan(x[i]) && (best == n || x[i] > x[best]))
                best = i;
        }
        if (best == n)
            break;
        taken[best] = true;
        places[found] = (int32_t)best;
    }
    return found;
}

static double plain_lse(const float *x, size_t n)
{
    double m = -INFINITY, sum = 0;

    for (size_t i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    for (size_t i = 0; i < n; i++)
        sum += isinf(m) && x[i] == m ? 1 : exp(x[i] - m);
    return isinf(m) && m < 0 && !isnan(sum) ? m : m + log(sum);
}

enum { NOISE, STEPS, RISING, FALLING, SPARSE, WITH_NAN, WITH_NEGATIVE_INF, FAR, KINDS };

static void fill(float *x, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        float v = bell((uint32_t)kind, i);

        switch (kind) {
        case STEPS: /* many ties */
            v = floorf(4 * v);
            break;
        case RISING:
            v = (float)i / 64;
            break;
        case FALLING:
            v = -(float)i / 64;
            break;
        case SPARSE: /* one number, but for a few */
            v = i % 97 == 5 ? v : -3;
            break;
        case WITH_NAN:
            v = i % 5 == 0 ? NAN : v;
            break;
        case WITH_NEGATIVE_INF:
            v = i % 3 ? -INFINITY : v;
            break;
        case FAR: /* beyond what exp can hold */
            v = 1e4f * v;
            break;
        default:
            break;
        }
        x[i] = v;
    }
}

/* Few mostly; now and then as many as there may be. */
static size_t how_many(size_t size, int kind)
{
    if (kind % 2)
        return 4;
    return 1 + (size * 37 + (size_t)kind * 11) % (kind % 4 ? CPV_TOPK_MAX : 64);
}

static void top_k_is_what_a_search_finds(void **state)
{
    struct fence f = fence_open(VOCABULARY), fv = fence_open(CPV_TOPK_MAX);
    struct fence fp = fence_open(CPV_TOPK_MAX);

    (void)state;
    EACH_LEVEL(k)
    for (size_t s = 0; s < SIZES; s++)
        for (int kind = 0; kind < KINDS; kind++) {
            size_t n = sizes[s], top = how_many(s, kind);
            float *x = fence_row(&f, n), *values = fence_row(&fv, top), lse, unused;
            int32_t *places = (int32_t *)fence_row(&fp, top), want[CPV_TOPK_MAX];
            size_t found;
            double sum;

            fill(x, n, kind);
            found = plain_top_k(x, n, top, want);
            sum = plain_lse(x, n);
            assert_int_equal(k->top_k(x, n, top, values, places, &lse), found);
            fence_check(values);
            fence_check((float *)places);
            for (size_t i = 0; i < top; i++) {
                assert_int_equal(places[i], i < found ? want[i] : -1);
                assert_true(values[i] == (i < found ? x[want[i]] : -INFINITY));
            }
            if (isnan(sum))
                assert_true(isnan(lse));
            else if (isinf(sum))
                assert_true(lse == (float)sum);
            else
                near_to("lse", n, lse, sum, 1e-6 + 2e-7 * fabs(sum));
            unused = values[0];
            assert_int_equal(k->top_k(x, n, top, values, places, NULL), found);
            assert_true(values[0] == unused);
        }
    fence_close(&f);
    fence_close(&fv);
    fence_close(&fp);
}

static void arg_max_is_the_first_of_the_largest(void **state)
{
    struct fence f = fence_open(VOCABULARY);

    (void)state;
    EACH_LEVEL(k)
    for (size_t s = 0; s < SIZES; s++) {
        size_t n = sizes[s], step = n / 70 + 1;
        float *x = fence_row(&f, n);

        for (int kind = 0; kind < KINDS; kind++) {
            fill(x, n, kind);
            assert_int_equal(k->arg_max(x, n), plain_arg_max(x, n));
        }
        for (size_t at = 0; at < n; at += step) {
            fill(x, n, SPARSE);
            x[at] = 50;
            x[n - 1] = 50;
            assert_int_equal(k->arg_max(x, n), at);
        }
    }
    fence_close(&f);
}

static void nan_and_infinities_are_as_documented(void **state)
{
    float x[300], values[3], lse;
    int32_t places[3];

    (void)state;
    EACH_LEVEL(k)
    for (size_t n = 1; n <= 300; n += 13) {
        for (size_t i = 0; i < n; i++)
            x[i] = NAN;
        assert_int_equal(k->arg_max(x, n), 0);
        assert_int_equal(k->top_k(x, n, 3, values, places, &lse), 0);
        assert_true(places[0] == -1 && isnan(lse));

        x[n / 2] = -INFINITY; /* beats a NaN */
        assert_int_equal(k->arg_max(x, n), n / 2);
        assert_int_equal(k->top_k(x, n, 3, values, places, &lse), 1);
        assert_true(places[0] == (int32_t)(n / 2) && (isnan(lse) || n == 1));

        for (size_t i = 0; i < n; i++)
            x[i] = -INFINITY;
        assert_int_equal(k->arg_max(x, n), 0);
        (void)k->top_k(x, n, 1, values, places, &lse);
        assert_true(places[0] == 0 && lse == -INFINITY);

        x[n - 1] = 100;
        x[n / 3] = n > 1 ? INFINITY : 100;
        (void)k->top_k(x, n, 1, values, places, &lse);
        assert_true(places[0] == (int32_t)(n / 3) && lse == (n > 1 ? INFINITY : 100));
        x[0] = 100; /* a number before it, in another block perhaps */
        x[n - 1] = INFINITY;
        (void)k->top_k(x, n, 1, values, places, &lse);
        assert_true(lse == INFINITY);
    }
}

/* Inf in a later block than finite numbers: lanes whose sum is 0 must not become NaN. */
static void an_infinity_late_in_the_row_is_infinity(void **state)
{
    static float x[5000];
    float value, lse;
    int32_t place;

    (void)state;
    EACH_LEVEL(k)
    {
        for (size_t i = 0; i < 5000; i++)
            x[i] = i ? -INFINITY : 100;
        x[4321] = INFINITY;
        (void)k->top_k(x, 5000, 1, &value, &place, &lse);
        assert_true(place == 4321 && lse == INFINITY);
        x[17] = NAN;
        (void)k->top_k(x, 5000, 1, &value, &place, &lse);
        assert_true(place == 4321 && isnan(lse));
        for (size_t i = 0; i < 5000; i++)
            x[i] = i < 4000 ? -INFINITY : -200; /* exp of either way is 0 or too large */
        (void)k->top_k(x, 5000, 1, &value, &place, &lse);
        near_to("lse", 0, lse, log(1000) - 200, 1e-4);
    }
}

/* Whatever a row's address, the bits of its log-sum-exp are the same. */
static void the_place_in_memory_does_not_matter(void **state)
{
    static float room[3000 + 40];
    float values[9], lse, first = 0;
    int32_t places[9];

    (void)state;
    EACH_LEVEL(k)
    for (size_t shift = 0; shift < 40; shift++) {
        for (size_t i = 0; i < 3000; i++)
            room[shift + i] = 5 * bell(9, i);
        (void)k->top_k(room + shift, 3000, 9, values, places, &lse);
        if (shift)
            assert_true(lse == first);
        first = lse;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(top_k_is_what_a_search_finds),
        cmocka_unit_test(arg_max_is_the_first_of_the_largest),
        cmocka_unit_test(nan_and_infinities_are_as_documented),
        cmocka_unit_test(an_infinity_late_in_the_row_is_infinity),
        cmocka_unit_test(the_place_in_memory_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
