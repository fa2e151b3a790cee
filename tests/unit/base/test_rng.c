/* SPDX-License-Identifier: Apache-2.0 */
/* rng.h: the published vectors of Philox, and what distributions promise. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/base/rng.h"

/* Random123's kat_vectors, philox4x32 with 10 rounds. */
static void philox_known_answers(void **state)
{
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } table[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];

        cpv_philox(table[i].key, table[i].ctr, out);
        assert_memory_equal(out, table[i].out, sizeof out);
    }
}

static void streams_depend_on_their_name_alone(void **state)
{
    struct cpv_rng a, b;

    (void)state;
    cpv_rng_init(&a, 1, 2, 3);
    cpv_rng_init(&b, 1, 2, 3);
    for (int i = 0; i < 100; i++)
        assert_true(cpv_rng_u64(&a) == cpv_rng_u64(&b));
    for (int i = 0; i < 4; i++) {
        cpv_rng_init(&a, 1, 2, 3);
        cpv_rng_init(&b, i == 0 ? (uint64_t)1 << 32 : 1, i == 1 ? 1 : 2,
                     i == 2   ? 4
                     : i == 3 ? (uint64_t)3 << 32
                              : 3);
        assert_true(cpv_rng_u64(&a) != cpv_rng_u64(&b));
    }
}

/* The bytes that other machines must draw as well. */
static void the_first_words_of_a_stream(void **state)
{
    struct cpv_rng r;

    (void)state;
    cpv_rng_init(&r, 0, 0, 0);
    assert_int_equal(cpv_rng_u32(&r), 0x6627e8d5);
    assert_int_equal(cpv_rng_u32(&r), 0xe169c58d);
    assert_true(cpv_rng_u64(&r) == 0x9b00dbd8bc57ac4cu);
}

static void below_is_fair(void **state)
{
    struct cpv_rng r;
    int count[7] = {0};

    (void)state;
    cpv_rng_init(&r, 5, 0, 0);
    for (int i = 0; i < 70000; i++) {
        uint64_t v = cpv_rng_below(&r, 7);

        assert_true(v < 7);
        count[v]++;
    }
    for (int i = 0; i < 7; i++) /* five deviations of a binomial: 93 each */
        assert_in_range(count[i], 10000 - 465, 10000 + 465);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(cpv_rng_below(&r, 1), 0);
        assert_true(cpv_rng_below(&r, ((uint64_t)1 << 63) + 1) <= (uint64_t)1 << 63);
    }
}

/* 3/4 of 2^32: without rejection the lower part would come up twice as often. */
static void below_rejects_the_unfair(void **state)
{
    const uint64_t n = 3221225472u;
    struct cpv_rng r;
    int low = 0;

    (void)state;
    cpv_rng_init(&r, 6, 0, 0);
    for (int i = 0; i < 30000; i++)
        low += cpv_rng_below(&r, n) % 3 == 0;
    assert_in_range(low, 10000 - 410, 10000 + 410);
}

static void unit_and_normal_have_their_moments(void **state)
{
    enum { N = 100000 };
    double u_sum = 0, sum = 0, squares = 0;
    struct cpv_rng r;

    (void)state;
    cpv_rng_init(&r, 7, 0, 0);
    for (int i = 0; i < N; i++) {
        double u = cpv_rng_unit(&r), x = cpv_rng_normal(&r);

        assert_true(u >= 0 && u < 1);
        assert_true(isfinite(x));
        u_sum += u;
        sum += x;
        squares += x * x;
    }
    assert_true(fabs(u_sum / N - 0.5) < 0.005);
    assert_true(fabs(sum / N) < 0.016);
    assert_true(fabs(squares / N - 1) < 0.023);
}

static void permutations_hold_everything_once(void **state)
{
    enum { N = 1000 };
    uint32_t v[N], again[N], other[N];
    bool seen[N] = {false};

    (void)state;
    cpv_rng_permutation(v, N, 1, 2, 3);
    cpv_rng_permutation(again, N, 1, 2, 3);
    cpv_rng_permutation(other, N, 1, 2, 4);
    assert_memory_equal(v, again, sizeof v);
    assert_memory_not_equal(v, other, sizeof v);
    for (int i = 0; i < N; i++) {
        assert_true(v[i] < N && !seen[v[i]]);
        seen[v[i]] = true;
    }
    cpv_rng_permutation(v, 0, 1, 2, 3);
    cpv_rng_permutation(v, 1, 1, 2, 3);
    assert_int_equal(v[0], 0);
}

/* Each order of three comes up as often as any other. */
static void shuffles_are_fair(void **state)
{
    int count[27] = {0}, orders = 0;
    struct cpv_rng r;

    (void)state;
    cpv_rng_init(&r, 8, 0, 0);
    for (int i = 0; i < 60000; i++) {
        uint32_t v[3] = {0, 1, 2};

        cpv_rng_shuffle_u32(&r, v, 3);
        count[v[0] * 9 + v[1] * 3 + v[2]]++;
    }
    for (int i = 0; i < 27; i++)
        if (count[i]) {
            orders++;
            assert_in_range(count[i], 10000 - 457, 10000 + 457);
        }
    assert_int_equal(orders, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(streams_depend_on_their_name_alone),
        cmocka_unit_test(the_first_words_of_a_stream),
        cmocka_unit_test(below_is_fair),
        cmocka_unit_test(below_rejects_the_unfair),
        cmocka_unit_test(unit_and_normal_have_their_moments),
        cmocka_unit_test(permutations_hold_everything_once),
        cmocka_unit_test(shuffles_are_fair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
