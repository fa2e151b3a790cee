/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/schedule.h"

#include <math.h>

double schedule_rate(const struct schedule *s, uint64_t step)
{
    const double pi = 3.14159265358979323846;
    double span = s->highest - s->lowest, at;

    if (s->warmup && step <= s->warmup)
        return s->lowest + span * (double)step / (double)s->warmup;
    if (s->kind == SCHEDULE_CONSTANT)
        return s->highest;
    if (step >= s->steps || s->steps <= s->warmup)
        return s->lowest;
    at = (double)(step - s->warmup) / (double)(s->steps - s->warmup);
    if (s->kind == SCHEDULE_LINEAR)
        return s->highest - span * at;
    return s->lowest + span * 0.5 * (cos(at * pi) + 1);
}
