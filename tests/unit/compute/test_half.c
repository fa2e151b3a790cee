/* SPDX-License-Identifier: Apache-2.0 */
/* f32 to halves and back: every half, every place where rounding turns, and NaN. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/compute/cuda/half.h"
#include "tests/unit/compute/inputs.h"

static float through(cpv_dtype dtype, float x)
{
    uint16_t h;
    float back;

    cpv_half_from_f32(dtype, &h, &x, 1);
    cpv_half_to_f32(dtype, &back, &h, 1);
    return back;
}

static void same(cpv_dtype dtype, float x)
{
    float got = through(dtype, x), want = input_round(dtype, (double)x);

    if (!(got == want))
        fail_msg("%s of %a is %a, expected %a", cpv_dtype_name(dtype), (double)x,
                 (double)got, (double)want);
}

/* Each half, the middle to the next and its neighbours. */
static void every_half(cpv_dtype dtype)
{
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t pair[2] = {(uint16_t)i, (uint16_t)(i + 1)}, back;
        float x[2], middle;

        cpv_half_to_f32(dtype, x, pair, 2);
        cpv_half_from_f32(dtype, &back, x, 1);
        if (isnan(x[0])) {
            assert_true(isnan(through(dtype, x[0])));
            continue;
        }
        assert_int_equal(back, i);
        if (!isfinite(x[0]) || !isfinite(x[1]) || (x[0] < 0) != (x[1] < 0))
            continue;
        middle = (float)(((double)x[0] + (double)x[1]) / 2);
        same(dtype, middle);
        same(dtype, nextafterf(middle, INFINITY));
        same(dtype, nextafterf(middle, -INFINITY));
    }
}

static void halves_are_rounded_to_the_nearest(void **state)
{
    (void)state;
    every_half(CPV_BF16);
    every_half(CPV_F16);
}

static void the_ends_are_kept(void **state)
{
    const cpv_dtype dtypes[] = {CPV_BF16, CPV_F16};

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_true(through(dtypes[i], INFINITY) == INFINITY);
        assert_true(through(dtypes[i], -INFINITY) == -INFINITY);
        assert_true(isnan(through(dtypes[i], NAN)));
        assert_true(signbit(through(dtypes[i], -0.0F)) != 0);
    }
    assert_true(through(CPV_F16, 65519.996F) == 65504);
    assert_true(through(CPV_F16, 65520) == INFINITY);
    assert_true(through(CPV_F16, 0x1p-25F) == 0);
    assert_true(through(CPV_F16, 0x1.8p-25F) == 0x1p-24F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_are_rounded_to_the_nearest),
        cmocka_unit_test(the_ends_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
