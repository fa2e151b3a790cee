/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one comparator of floating-point results, with a test of its own (test_compare.c).
 *
 *     |got - want| <= abs + rel * |want| + top * max |want| + mag * mags[i] + slack[i]
 *
 * must hold for every element; NaN stands only against NaN, an infinity only against the
 * same infinity, and lengths must be equal. `top` looks at the largest finite |want| of
 * the whole tensor: for results without a scale of their own. `mags`, an array like want,
 * is the sum of absolute values of what each result was added up from: what rounding is
 * relative to when terms cancel. `slack`, an array as well, is added as it is.
 *
 * NULL text is allowed. Otherwise it gets one line: how many differ, where the first is
 * and where the worst.
 */
#ifndef CPV_TESTS_COMPUTE_COMPARE_H
#define CPV_TESTS_COMPUTE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tolerance {
    double abs, rel, top;
    double mag;          /* of mag[], or 0: not looked at */
    const double *mags;  /* n, or NULL */
    const double *slack; /* n, or NULL */
};

struct difference {
    size_t count;        /* elements that differ */
    size_t first, worst; /* indices; meaningless if count is 0 */
    double excess;       /* of the worst: difference / what was allowed; may be Inf */
};

/* What is wanted as double: a closed form, an evaluation in double. cols: of a row, for
 * the text only; 0: a plain index. */
bool compare_f64(const float *got, size_t n_got, const double *want, size_t n_want,
                 const struct tolerance *tol, size_t cols, struct difference *d,
                 char *text, size_t size);
/* The same for results of another device. */
bool compare_f32(const float *got, size_t n_got, const float *want, size_t n_want,
                 const struct tolerance *tol, size_t cols, struct difference *d,
                 char *text, size_t size);
/* To the bit, except that all NaN are one: their payload has no meaning in C. */
bool compare_bits(const float *got, size_t n_got, const float *want, size_t n_want,
                  size_t cols, char *text, size_t size);
bool compare_i32(const int32_t *got, size_t n_got, const int32_t *want, size_t n_want,
                 size_t cols, char *text, size_t size);

#endif
