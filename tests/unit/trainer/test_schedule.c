/* SPDX-License-Identifier: Apache-2.0 */
/* The reference's CosineWarmupLR, by hand: its first step, its highest, its last. */
#include <math.h>

#include "tests/unit/base/unit.h"
#include "trainer/schedule.h"

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12))
        fail_msg("%.17g, expected %.17g", got, want);
}

static void goes_up_and_down_a_cosine(void **state)
{
    const struct schedule s = {SCHEDULE_COSINE, 1e-5, 1e-6, 250, 1500};

    (void)state;
    near(schedule_rate(&s, 0), 1e-6);
    near(schedule_rate(&s, 125), 5.5e-6);
    near(schedule_rate(&s, 250), 1e-5);
    near(schedule_rate(&s, 875), 5.5e-6); /* half-way down */
    near(schedule_rate(&s, 1187), 1e-6 + 9e-6 * 0.5 * (cos(937.0 / 1250 * M_PI) + 1));
    near(schedule_rate(&s, 1500), 1e-6);
    near(schedule_rate(&s, 9999), 1e-6);
}

static void goes_down_a_line(void **state)
{
    const struct schedule s = {SCHEDULE_LINEAR, 4, 0, 10, 50};

    (void)state;
    near(schedule_rate(&s, 5), 2);
    near(schedule_rate(&s, 10), 4);
    near(schedule_rate(&s, 20), 3);
    near(schedule_rate(&s, 40), 1);
    near(schedule_rate(&s, 50), 0);
}

static void stays(void **state)
{
    const struct schedule s = {SCHEDULE_CONSTANT, 3, 1, 2, 5};

    (void)state;
    near(schedule_rate(&s, 1), 2);
    near(schedule_rate(&s, 4), 3);
    near(schedule_rate(&s, 400), 3);
}

static void needs_no_warmup(void **state)
{
    const struct schedule s = {SCHEDULE_COSINE, 3, 1, 0, 4};
    const struct schedule all_of_it = {SCHEDULE_COSINE, 3, 1, 4, 4};

    (void)state;
    near(schedule_rate(&s, 0), 3);
    near(schedule_rate(&s, 2), 2);
    near(schedule_rate(&all_of_it, 3), 2.5);
    near(schedule_rate(&all_of_it, 5), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_up_and_down_a_cosine),
        cmocka_unit_test(goes_down_a_line),
        cmocka_unit_test(stays),
        cmocka_unit_test(needs_no_warmup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
