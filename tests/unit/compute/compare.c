/* SPDX-License-Identifier: Apache-2.0 */
/* compare.h. Every condition is written so that NaN makes it fail. */
#include "tests/unit/compute/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* 0: as wanted; above 0: by how much more than allowed (Inf: nothing would be enough). */
static double excess(double got, double want, double allowed)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    if (isinf(got) || isinf(want))
        return got == want ? 0 : INFINITY;
    if (fabs(got - want) <= allowed)
        return 0;
    return allowed > 0 ? fabs(got - want) / allowed : INFINITY;
}

static void note(struct difference *d, size_t i, double by)
{
    if (!(by > 0))
        return;
    if (d->count == 0)
        d->first = i;
    if (d->count == 0 || by > d->excess) {
        d->worst = i;
        d->excess = by;
    }
    d->count++;
}

static void place(size_t i, size_t cols, char *to, size_t size)
{
    if (cols > 0)
        (void)snprintf(to, size, "[%zu, %zu]", i / cols, i % cols);
    else
        (void)snprintf(to, size, "[%zu]", i);
}

static bool lengths(size_t n_got, size_t n_want, char *text, size_t size)
{
    if (n_got == n_want)
        return true;
    if (text)
        (void)snprintf(text, size, "expected %zu values, found %zu", n_want, n_got);
    return false;
}

static double largest(const float *f, const double *w, size_t n)
{
    double top = 0;

    for (size_t i = 0; i < n; i++) {
        double v = fabs(w ? w[i] : (double)f[i]);

        if (isfinite(v) && v > top)
            top = v;
    }
    return top;
}

/* What is wanted comes from w or, if that is NULL, from f. */
static bool compare(const float *got, size_t n_got, const float *f, const double *w,
                    size_t n, const struct tolerance *tol, size_t cols,
                    struct difference *d, char *text, size_t size)
{
    struct difference own = {0};
    char first[64], worst[64];
    double top = tol->top > 0 ? tol->top * largest(f, w, n) : 0;

    if (d)
        *d = own;
    if (!lengths(n_got, n, text, size))
        return false;
    for (size_t i = 0; i < n; i++) {
        double want = w ? w[i] : (double)f[i];
        double allowed = tol->abs + tol->rel * fabs(want) + top;

        allowed += tol->mags ? tol->mag * tol->mags[i] : 0;
        allowed += tol->slack ? tol->slack[i] : 0;
        note(&own, i, excess((double)got[i], want, allowed));
    }
    if (d)
        *d = own;
    if (own.count > 0 && text) {
        size_t a = own.first, b = own.worst;

        place(a, cols, first, sizeof first);
        place(b, cols, worst, sizeof worst);
        (void)snprintf(
            text, size,
            "%zu of %zu differ; first %s: %.9g, expected %.9g; worst %s: %.9g, "
            "expected %.9g, %.3g times what is allowed",
            own.count, n, first, (double)got[a], w ? w[a] : (double)f[a], worst,
            (double)got[b], w ? w[b] : (double)f[b], own.excess);
    }
    return own.count == 0;
}

bool compare_f64(const float *got, size_t n_got, const double *want, size_t n_want,
                 const struct tolerance *tol, size_t cols, struct difference *d,
                 char *text, size_t size)
{
    return compare(got, n_got, NULL, want, n_want, tol, cols, d, text, size);
}

bool compare_f32(const float *got, size_t n_got, const float *want, size_t n_want,
                 const struct tolerance *tol, size_t cols, struct difference *d,
                 char *text, size_t size)
{
    return compare(got, n_got, want, NULL, n_want, tol, cols, d, text, size);
}

bool compare_bits(const float *got, size_t n_got, const float *want, size_t n_want,
                  size_t cols, char *text, size_t size)
{
    char at[64];

    if (!lengths(n_got, n_want, text, size))
        return false;
    for (size_t i = 0; i < n_want; i++) {
        uint32_t g, w;

        if (isnan(got[i]) && isnan(want[i]))
            continue;
        memcpy(&g, &got[i], sizeof g);
        memcpy(&w, &want[i], sizeof w);
        if (g == w)
            continue;
        place(i, cols, at, sizeof at);
        if (text)
            (void)snprintf(text, size, "bits differ first at %s: %a, expected %a", at,
                           (double)got[i], (double)want[i]);
        return false;
    }
    return true;
}

bool compare_i32(const int32_t *got, size_t n_got, const int32_t *want, size_t n_want,
                 size_t cols, char *text, size_t size)
{
    char at[64];

    if (!lengths(n_got, n_want, text, size))
        return false;
    for (size_t i = 0; i < n_want; i++) {
        if (got[i] == want[i])
            continue;
        place(i, cols, at, sizeof at);
        if (text)
            (void)snprintf(text, size, "first difference at %s: %d, expected %d", at,
                           got[i], want[i]);
        return false;
    }
    return true;
}
