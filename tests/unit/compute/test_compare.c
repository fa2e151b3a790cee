/* SPDX-License-Identifier: Apache-2.0 */
/* The comparator fails where it must: a test with a blind one would prove nothing. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/compare.h"
#include "tests/unit/compute/inputs.h"

static bool one(float got, double want, struct tolerance tol)
{
    return compare_f64(&got, 1, &want, 1, &tol, 0, NULL, NULL, 0);
}

static bool one_f32(float got, float want, struct tolerance tol)
{
    return compare_f32(&got, 1, &want, 1, &tol, 0, NULL, NULL, 0);
}

static void nan_and_infinity_fail_whatever_is_allowed(void **state)
{
    const struct tolerance wide[] = {
        {.abs = 1e300}, {.rel = 1e300}, {.abs = INFINITY}, {.abs = NAN}, {.top = 1e300}};
    static const double values[] = {0, -0.0, 1, -1, 1e30, NAN, INFINITY, -INFINITY};

    (void)state;
    for (size_t t = 0; t < sizeof wide / sizeof wide[0]; t++)
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 8; j++) {
                double a = values[i], b = values[j];
                bool special = !isfinite(a) || !isfinite(b);
                bool same = (isnan(a) && isnan(b)) || a == b;

                if (!special)
                    continue;
                assert_int_equal(one((float)a, b, wide[t]), same);
                assert_int_equal(one_f32((float)a, (float)b, wide[t]), same);
            }
    /* A tolerance that is itself not a number allows nothing that differs. */
    assert_false(one(1, 2, (struct tolerance){.abs = NAN}));
}

static void tolerances_are_what_they_say(void **state)
{
    double mags = 100, slack = 3;

    (void)state;
    assert_true(one(1.5F, 1, (struct tolerance){.abs = 0.5}));
    assert_false(one(1.5F, 1, (struct tolerance){.abs = 0.499}));
    assert_true(one(11, 10, (struct tolerance){.rel = 0.1}));
    assert_false(one(11, 10, (struct tolerance){.rel = 0.0999}));
    assert_false(one(1, 0, (struct tolerance){.rel = 10}));
    assert_true(one(2, 1, (struct tolerance){.mag = 0.01, .mags = &mags}));
    assert_false(one(2, 1, (struct tolerance){.mag = 0.0099, .mags = &mags}));
    assert_true(one(4, 1, (struct tolerance){.slack = &slack}));
    assert_false(one(4.001F, 1, (struct tolerance){.slack = &slack}));
    assert_true(one(1, 1, (struct tolerance){0}));
    assert_false(one(nextafterf(1, 2), 1, (struct tolerance){0}));
    assert_true(one(0, -0.0, (struct tolerance){0}));
}

static void the_maximum_ignores_what_is_not_finite(void **state)
{
    const float got[] = {10, 1, INFINITY, NAN};
    const double want[] = {10, 2, INFINITY, NAN};

    (void)state;
    assert_true(
        compare_f64(got, 4, want, 4, &(struct tolerance){.top = 0.1}, 0, NULL, NULL, 0));
    assert_false(
        compare_f64(got, 4, want, 4, &(struct tolerance){.top = 0.09}, 0, NULL, NULL, 0));
}

static void lengths_must_agree(void **state)
{
    const float got[] = {1, 2};
    const double want[] = {1, 2};
    const int32_t ids[] = {1, 2};
    char text[200];

    (void)state;
    assert_false(compare_f64(got, 1, want, 2, &(struct tolerance){.abs = 9}, 0, NULL,
                             text, sizeof text));
    assert_string_equal(text, "expected 2 values, found 1");
    assert_false(
        compare_f32(got, 2, got, 1, &(struct tolerance){.abs = 9}, 0, NULL, NULL, 0));
    assert_false(compare_bits(got, 2, got, 1, 0, text, sizeof text));
    assert_false(compare_i32(ids, 0, ids, 2, 0, text, sizeof text));
    assert_true(compare_bits(got, 0, got, 0, 0, text, sizeof text));
}

static void the_first_and_the_worst_are_named(void **state)
{
    const float got[] = {0, 1, 2, 30, 4, 6};
    const double want[] = {0, 1.5, 2, 3, 4, 5};
    struct difference d;
    char text[300];

    (void)state;
    assert_false(compare_f64(got, 6, want, 6, &(struct tolerance){.abs = 0.25}, 3, &d,
                             text, sizeof text));
    assert_int_equal(d.count, 3);
    assert_int_equal(d.first, 1);
    assert_int_equal(d.worst, 3);
    assert_true(fabs(d.excess - 108) < 1e-9);
    assert_string_equal(text, "3 of 6 differ; first [0, 1]: 1, expected 1.5; worst [1, "
                              "0]: 30, expected 3, 108 times what is allowed");
    /* A NaN is worse than any number. */
    assert_false(compare_f64((float[]){9, NAN}, 2, want, 2, &(struct tolerance){0}, 0, &d,
                             NULL, 0));
    assert_int_equal(d.worst, 0);
    assert_false(compare_f64((float[]){9, NAN}, 2, want, 2, &(struct tolerance){.abs = 1},
                             0, &d, NULL, 0));
    assert_int_equal(d.worst, 1);
}

static void bits_are_bits(void **state)
{
    const float zero = 0, minus = -0.0F, one_ = 1, next = nextafterf(1, 2);
    const float nan_a = NAN, nan_b = -NAN, inf = INFINITY, minus_inf = -INFINITY;
    const int32_t a[] = {1, 2, 3}, b[] = {1, 5, 3};
    char text[200];

    (void)state;
    assert_true(compare_bits(&one_, 1, &one_, 1, 0, text, sizeof text));
    assert_false(compare_bits(&zero, 1, &minus, 1, 0, text, sizeof text));
    assert_false(compare_bits(&one_, 1, &next, 1, 0, text, sizeof text));
    assert_true(compare_bits(&nan_a, 1, &nan_b, 1, 0, text, sizeof text));
    assert_false(compare_bits(&nan_a, 1, &one_, 1, 0, text, sizeof text));
    assert_false(compare_bits(&one_, 1, &nan_a, 1, 0, text, sizeof text));
    assert_true(compare_bits(&inf, 1, &inf, 1, 0, text, sizeof text));
    assert_false(compare_bits(&inf, 1, &minus_inf, 1, 0, text, sizeof text));
    assert_true(compare_i32(a, 3, a, 3, 0, text, sizeof text));
    assert_false(compare_i32(a, 3, b, 3, 0, text, sizeof text));
    assert_string_equal(text, "first difference at [1]: 2, expected 5");
}

/* Inputs: the dtypes' own values, which all other tests count on. */
static void values_are_rounded_as_devices_do(void **state)
{
    static const struct {
        cpv_dtype dtype;
        double x, rounded;
    } table[] = {
        {CPV_BF16, 1 + 0x1p-8, 1},
        {CPV_BF16, 1 + 0x1p-7 + 0x1p-8, 1 + 0x1p-6},
        {CPV_BF16, -(1 + 0x1p-8 + 0x1p-20), -(1 + 0x1p-7)},
        {CPV_BF16, 0x1.ffp127, INFINITY},
        {CPV_BF16, 0x1.fep127, 0x1.fep127},
        {CPV_BF16, 0x1p-133, 0x1p-133},
        {CPV_BF16, 0x1p-134, 0},
        {CPV_F16, 65504, 65504},
        {CPV_F16, 65519.9, 65504},
        {CPV_F16, 65520, INFINITY},
        {CPV_F16, -1e9, -INFINITY},
        {CPV_F16, 1 + 0x1p-11, 1},
        {CPV_F16, 0x1p-24, 0x1p-24},
        {CPV_F16, 0x1.8p-24, 0x1p-23},
        {CPV_F16, 0x1p-25, 0},
        {CPV_F32, 1 + 0x1p-24, 1},
        {CPV_F32, 1e39, INFINITY},
        {CPV_F32, 0x1p-149, 0x1p-149},
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if ((double)input_round(table[i].dtype, table[i].x) != table[i].rounded)
            fail_msg("%zu: %a became %a", i, table[i].x,
                     (double)input_round(table[i].dtype, table[i].x));
    assert_true(isnan(input_round(CPV_F16, NAN)));
    assert_true(signbit(input_round(CPV_BF16, -0.0)));
}

static void kinds_are_what_they_say(void **state)
{
    float x[6 * 40];
    int special = 0;

    (void)state;
    for (int kind = 0; kind < INPUT_KINDS; kind++) {
        input_fill(x, 6, 40, (enum input_kind)kind, CPV_F32, 1, 2);
        for (int i = 0; i < 240; i++) {
            bool odd = kind == INPUT_NAN ? isnan(x[i]) : isinf(x[i]);

            assert_true(odd || isfinite(x[i]));
            assert_false(odd && i / 40 % 3 != 0);
            special += odd;
        }
        assert_int_equal(special > 0, kind == INPUT_INF || kind == INPUT_NAN);
        special = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nan_and_infinity_fail_whatever_is_allowed),
        cmocka_unit_test(tolerances_are_what_they_say),
        cmocka_unit_test(the_maximum_ignores_what_is_not_finite),
        cmocka_unit_test(lengths_must_agree),
        cmocka_unit_test(the_first_and_the_worst_are_named),
        cmocka_unit_test(bits_are_bits),
        cmocka_unit_test(values_are_rounded_as_devices_do),
        cmocka_unit_test(kinds_are_what_they_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
