/* SPDX-License-Identifier: Apache-2.0 */
/* Curves keep their extremes however many points there are; bad lines are counted. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/base/sys.h"
#include "pipeline/curves.h"

static void thinning_keeps_the_extremes(void **state)
{
    struct cpv_curve *c = cpv_calloc(1, sizeof *c);
    bool low = false, high = false;

    (void)state;
    assert_non_null(c);
    for (int i = 1; i <= 100000; i++)
        cpv_curve_add(c, i, i == 4 ? -5 : i == 2 ? 9 : 1.0 / i);
    cpv_curve_add(c, 100000, 50); /* not behind the last */
    cpv_curve_add(c, 100001, (double)NAN);
    assert_int_equal(c->points, 100000);
    assert_true(c->n > CPV_CURVE_MOST / 2 && c->n <= CPV_CURVE_MOST);
    assert_true(c->last.step >= 100000 && c->least.step <= 4);
    for (uint32_t i = 0; i < c->n; i++) {
        low = low || c->at[i].least.value <= -5;
        high = high || c->at[i].most.value >= 9;
        if (i)
            assert_true(c->at[i].least.step > c->at[i - 1].most.step);
    }
    assert_true(low && high);
    cpv_free(c);
}

static void a_cut_line_is_counted(void **state)
{
    struct cpv_curves *c = cpv_calloc(1, sizeof *c);
    struct cpv_err err = {0};

    (void)state;
    assert_non_null(c);
    assert_int_equal(cpv_curves_read(c, ".", &err), CPV_E_INPUT);
    assert_int_equal(
        shell("printf '%s\\n' '{\"step\":0,\"validation\":{\"mean_recall\":0.5,"
              "\"pt\":{\"mean_recall\":0.25}}}' '{\"step\":5,\"loss\":2,\"pairs\":10}' "
              "'[1]' '{\"step\":10,\"loss\":\"x\"}' >metrics.jsonl && "
              "printf '{\"step\":15,\"lo' >>metrics.jsonl"),
        0);
    assert_ok(cpv_curves_read(c, ".", &err));
    assert_int_equal(c->unreadable, 2);
    assert_int_equal(c->of[CPV_CURVE_LOSS].points, 1);
    assert_int_equal(c->n_langs, 1);
    assert_string_equal(c->lang[0].code, "pt");
    assert_true(c->pairs >= 10 && c->pairs <= 10);
    assert_false(c->timed);
    cpv_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thinning_keeps_the_extremes),
        cmocka_unit_test(a_cut_line_is_counted),
    };

    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
