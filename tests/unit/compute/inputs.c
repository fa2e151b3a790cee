/* SPDX-License-Identifier: Apache-2.0 */
/* inputs.h */
#include "tests/unit/compute/inputs.h"

#include <math.h>

#include "common/base/rng.h"

const char *input_name(enum input_kind kind)
{
    static const char *const names[INPUT_KINDS] = {
        "normal", "tiny", "huge", "zeros", "equal", "alternating", "Inf", "NaN"};

    return names[kind];
}

double input_unit(cpv_dtype dtype)
{
    return dtype == CPV_BF16 ? 0x1p-8 : dtype == CPV_F16 ? 0x1p-11 : 0x1p-24;
}

float input_round(cpv_dtype dtype, double x)
{
    int bits = dtype == CPV_BF16 ? 8 : dtype == CPV_F16 ? 11 : 24;
    int least = dtype == CPV_F16 ? -14 : -126; /* exponent of the least normal */
    double top = dtype == CPV_F16 ? 65520.0 : INFINITY;
    double step;
    int e;

    if (!isfinite(x) || x == 0)
        return (float)x;
    (void)frexp(x, &e);
    e = e - 1 < least ? least : e - 1;
    step = ldexp(1, e - bits + 1);
    x = nearbyint(x / step) * step;
    if (fabs(x) >= top)
        x = copysign(INFINITY, x);
    return (float)x;
}

/* Normal values at a scale, and what else the kind puts in. */
static double draw(struct cpv_rng *r, enum input_kind kind, double tiny, double huge,
                   int64_t i)
{
    switch (kind) {
    case INPUT_TINY:
        return tiny * cpv_rng_normal(r);
    case INPUT_HUGE:
        return huge * cpv_rng_normal(r);
    case INPUT_ZEROS:
        return cpv_rng_below(r, 2) ? 0.0 : -0.0;
    case INPUT_EQUAL:
        return 0.7;
    case INPUT_ALTERNATING:
        return (i % 2 ? -1 : 1) * (1 + 0.01 * cpv_rng_unit(r));
    case INPUT_NORMAL:
    case INPUT_INF:
    case INPUT_NAN:
    case INPUT_KINDS:
        break;
    }
    return cpv_rng_normal(r);
}

void input_fill(float *to, int64_t rows, int64_t cols, enum input_kind kind,
                cpv_dtype dtype, uint64_t seed, uint32_t stream)
{
    double tiny = dtype == CPV_F16 ? 1e-4 : 1e-22, huge = dtype == CPV_F16 ? 60 : 1e15;
    struct cpv_rng r;

    cpv_rng_init(&r, seed, stream, 0);
    for (int64_t i = 0; i < rows * cols; i++)
        to[i] = input_round(dtype, draw(&r, kind, tiny, huge, i));
    if (kind != INPUT_INF && kind != INPUT_NAN)
        return;
    for (int64_t i = 0; i < rows; i += 3) {
        float *row = to + i * cols;
        int64_t n = 1 + (int64_t)cpv_rng_below(&r, 1 + (uint64_t)cols / 16);

        while (n-- > 0) {
            int64_t j = (int64_t)cpv_rng_below(&r, (uint64_t)cols);

            row[j] = kind == INPUT_NAN      ? NAN
                     : cpv_rng_below(&r, 2) ? INFINITY
                                            : -INFINITY;
        }
    }
}

void input_ids(int32_t *to, size_t n, int32_t below, uint64_t seed, uint32_t stream)
{
    struct cpv_rng r;

    cpv_rng_init(&r, seed, stream, 1);
    for (size_t i = 0; i < n; i++)
        to[i] = (int32_t)cpv_rng_below(&r, (uint64_t)below);
}
