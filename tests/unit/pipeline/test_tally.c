/* SPDX-License-Identifier: Apache-2.0 */
/* Counts, bins and quantiles against the numbers themselves, sorted. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/base/rng.h"
#include "common/base/size.h"
#include "pipeline/tally.h"

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void a_tally_of_nothing(void **state)
{
    struct cpv_err err = {0};
    struct cpv_tally t;
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_tally_init(&t, 10, mem, &err));
    assert_int_equal(cpv_tally_quantile(&t, 0.5), 0);
    assert_int_equal(cpv_tally_between(&t, 0, CPV_TALLY_END), 0);
    assert_true(!(fabs(cpv_tally_mean(&t)) > 0));
    cpv_arena_close(&mem);
}

static void what_is_beyond_the_limit_is_counted_together(void **state)
{
    static const uint64_t values[] = {0, 3, 3, 9, 10, 11, 5000000000u};
    struct cpv_err err = {0};
    struct cpv_tally t;
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_tally_init(&t, 10, mem, &err));
    for (size_t i = 0; i < CPV_COUNT(values); i++)
        cpv_tally_add(&t, values[i]);
    assert_int_equal(t.n, 7);
    assert_int_equal(t.sum, 5000000036u);
    assert_int_equal(t.least, 0);
    assert_int_equal(t.most, 5000000000u);
    assert_int_equal(cpv_tally_between(&t, 0, 3), 1);
    assert_int_equal(cpv_tally_between(&t, 3, 4), 2);
    assert_int_equal(cpv_tally_between(&t, 4, 10), 1);
    assert_int_equal(cpv_tally_between(&t, 10, CPV_TALLY_END), 3);
    assert_int_equal(cpv_tally_between(&t, 0, CPV_TALLY_END), 7);
    assert_int_equal(cpv_tally_quantile(&t, 0), 0);
    assert_int_equal(cpv_tally_quantile(&t, 0.5), 9);
    assert_int_equal(cpv_tally_quantile(&t, 1), 10);
    assert_true(!(fabs(cpv_tally_mean(&t) - 5000000036.0 / 7) > 1e-3));
    cpv_arena_close(&mem);
}

static void quantiles_are_exact(void **state)
{
    static const double shares[] = {0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.999, 1};
    enum { N = 777, LIMIT = 300 };
    uint64_t values[N];
    struct cpv_err err = {0};
    struct cpv_tally t;
    struct cpv_rng rng;
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    cpv_rng_init(&rng, 3, 1, 0);
    for (int n = 1; n <= N; n += 97) {
        assert_ok(cpv_tally_init(&t, LIMIT, mem, &err));
        for (int i = 0; i < n; i++) {
            values[i] = cpv_rng_below(&rng, LIMIT);
            cpv_tally_add(&t, values[i]);
        }
        qsort(values, (size_t)n, sizeof *values, by_size);
        for (size_t s = 0; s < CPV_COUNT(shares); s++) {
            int k = (int)ceil(shares[s] * n);

            assert_int_equal(cpv_tally_quantile(&t, shares[s]), values[k ? k - 1 : 0]);
        }
        assert_int_equal(
            cpv_tally_between(&t, 0, 100) + cpv_tally_between(&t, 100, LIMIT), n);
    }
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tally_of_nothing),
        cmocka_unit_test(what_is_beyond_the_limit_is_counted_together),
        cmocka_unit_test(quantiles_are_exact),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
