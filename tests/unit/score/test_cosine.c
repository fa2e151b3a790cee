/* SPDX-License-Identifier: Apache-2.0 */
/* The similarity, and how it is written. */
#include <math.h>

#include "stages/score/score.h"
#include "tests/unit/base/unit.h"

static void is_the_cosine(void **state)
{
    static const float a[] = {3, 4}, b[] = {4, 3}, c[] = {-4, 3}, far[] = {3e18f, 4e18f};
    static const float none[] = {0, 0};

    (void)state;
    assert_true(cosine(a, a, 2) == 1);
    assert_true(cosine(a, b, 2) == 0.96f);
    assert_true(cosine(a, c, 2) == 0);
    assert_true(cosine(far, b, 2) == 0.96f); /* lengths are no matter */
    assert_true(isnan(cosine(a, none, 2)));
}

static void stays_within_one(void **state)
{
    (void)state;
    for (int i = 0; i < 10000; i++) {
        float a[5], b[5];

        for (int k = 0; k < 5; k++) {
            a[k] = (float)((i * 7 + k * 13) % 31) * 0.1f + 0.01f;
            b[k] = -3 * a[k];
        }
        assert_true(cosine(a, a, 5) <= 1 && cosine(a, a, 5) > 0.999f);
        assert_true(cosine(a, b, 5) >= -1 && cosine(a, b, 5) < -0.999f);
    }
}

static void is_written_with_six_decimals(void **state)
{
    static const float image[] = {1, 0}, one[] = {3, 4}, two[] = {-1, 0},
                       tiny[] = {-1e-7f, 1}, third[] = {1, 2.8284271f};
    const struct text t[] = {{.vector = one},
                             {.none = true},
                             {.vector = two},
                             {.vector = tiny},
                             {.vector = third}};
    struct cpv_buf out = {0};

    (void)state;
    cosine_json(image, 2, t, 5, "pt-BR", &out);
    assert_string_equal(
        cpv_buf_cstr(&out),
        "{\"similarities-pt-BR\":[0.600000,null,-1.000000,0.000000,0.333333]}");
    cpv_buf_clear(&out);
    cosine_json(image, 2, NULL, 0, "en", &out);
    assert_string_equal(cpv_buf_cstr(&out), "{\"similarities-en\":[]}");
    cpv_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_cosine),
        cmocka_unit_test(stays_within_one),
        cmocka_unit_test(is_written_with_six_decimals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
