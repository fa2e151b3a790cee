/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters: which samples make an output, and how much of each. Basic operations of
 * IEEE double only, in a fixed order, so every machine has the same weights: the
 * sine is our own, as the C library's differs between versions and processors.
 */
#include "common/image/scale.h"

#include "common/base/size.h"

static double sin_pi(double x) /* sin(pi * x) for |x| <= 3 */
{
    static const double pi = 3.14159265358979323846;
    int turns = (int)(x < 0 ? x - 0.5 : x + 0.5);
    double r = (x - turns) * pi, square = r * r, term = r, sum = 0;

    for (int k = 1; k <= 21; k += 2) { /* Taylor; |r| <= pi / 2: beyond double at 21 */
        sum += term;
        term = -term * square / ((k + 1) * (k + 2));
    }
    return turns & 1 ? -sum : sum;
}

static double sinc(double x)
{
    return x == 0 ? 1.0 : sin_pi(x) / (x * 3.14159265358979323846);
}

static double bicubic(double x) /* Keys, a = -0.5 */
{
    const double a = -0.5;

    if (x < 0)
        x = -x;
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static double lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static double support_of(const struct cpv_axis_spec *a)
{
    double scale = a->step * a->extent / a->full;
    double radius = a->filter == CPV_IMAGE_AREA      ? 0.5
                    : a->filter == CPV_IMAGE_BICUBIC ? 2.0
                                                     : 3.0;

    return radius * (scale < 1 ? 1 : scale);
}

size_t cpv_axis_window_max(const struct cpv_axis_spec *a)
{
    double n = support_of(a) * 2 + 3;

    return n < a->have ? (size_t)n : a->have;
}

/* Exact coverage: each sample weighs what the output covers of it. */
static void area_window(const struct cpv_axis_spec *a, double begin, double end,
                        struct cpv_window *out)
{
    double ratio = a->extent / a->full, sum = 0;
    double low = (begin > 0 ? begin : 0) * ratio;
    double high = (end < a->full ? end : a->full) * ratio;
    uint32_t last;

    if (high > a->have)
        high = a->have;
    out->start = (uint32_t)low < a->have ? (uint32_t)low : a->have - 1;
    last = (uint32_t)high;
    if (last == high && last > out->start)
        last--;
    out->count = last - out->start + 1;
    for (uint32_t k = 0; k < out->count; k++) {
        double left = (double)out->start + k, right = left + 1;
        double covered = (right < high ? right : high) - (left > low ? left : low);

        out->weights[k] = covered > 0 ? covered : 0;
        sum += out->weights[k];
    }
    if (!(sum > 0)) {
        out->weights[0] = sum = 1;
        out->count = 1;
    }
    for (uint32_t k = 0; k < out->count; k++)
        out->weights[k] /= sum;
}

/* Pillow's rule, in its order of operations (Resample.c, precompute_coeffs). */
void cpv_axis_window(const struct cpv_axis_spec *a, uint32_t i, struct cpv_window *out)
{
    double begin = a->from + i * a->step, end = begin + a->step;
    double scale = a->step * a->extent / a->full, support = support_of(a);
    double inverse = 1.0 / (scale < 1 ? 1 : scale), center, sum = 0;
    int64_t low, high;

    if (a->filter == CPV_IMAGE_AREA) {
        area_window(a, begin, end, out);
        return;
    }
    center = (begin / a->step + 0.5) * scale;
    low = (int64_t)(center - support + 0.5);
    high = (int64_t)(center + support + 0.5);
    low = low < 0 ? 0 : low;
    high = high > a->have ? a->have : high;
    if (low > high - 1)
        low = high - 1;
    out->start = (uint32_t)low;
    out->count = (uint32_t)(high - low);
    for (uint32_t k = 0; k < out->count; k++) {
        double x = ((double)(k + out->start) - center + 0.5) * inverse;

        out->weights[k] = a->filter == CPV_IMAGE_BICUBIC ? bicubic(x) : lanczos(x);
        sum += out->weights[k];
    }
    for (uint32_t k = 0; k < out->count && sum != 0; k++)
        out->weights[k] /= sum;
}
