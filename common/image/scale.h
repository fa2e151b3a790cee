/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Separable scaling of one plane of 8-bit samples, row by row as they come.
 *
 *     begin, (row ..., push) ...
 *
 * Weights are computed in double by a fixed sequence of basic operations, then
 * rounded to 14 bits so that each output's sum is exactly 1. Columns first (8-bit
 * samples to 16-bit ones with 6 fractional bits), then rows (to 8 bits, rounded).
 * All sums are of integers and exact, so every implementation of the two inner
 * loops gives the same bits; a test compares them.
 */
#ifndef CPV_IMAGE_SCALE_H
#define CPV_IMAGE_SCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/image/image.h"

/*
 * One axis. Output i covers [from + i * step, from + (i + 1) * step) of an image that
 * is `full` units long; the source has `have` samples, `extent` of which (a fraction
 * may be padding) cover the image. from may be -1 and the end beyond full by one:
 * chroma samples that stick out of an image of odd size.
 */
struct cpv_axis_spec {
    enum cpv_image_filter filter;
    uint32_t have;
    double extent, full, from, step;
    uint32_t count;
};

/* The samples that one output is made of, and how much of each. */
struct cpv_window {
    uint32_t start, count;
    double *weights; /* sum 1 */
};

/* Enough room for any window's weights. */
size_t cpv_axis_window_max(const struct cpv_axis_spec *a);
void cpv_axis_window(const struct cpv_axis_spec *a, uint32_t i, struct cpv_window *out);

enum { CPV_SCALE_BITS = 14, CPV_SCALE_FRACTION = 6 };

struct cpv_axis {
    struct cpv_axis_spec made; /* what the rest was computed for: often again the same */
    uint32_t count;            /* outputs */
    uint32_t taps;             /* weights stored for each, unused ones 0 */
    uint32_t *start;           /* [count], rising */
    uint32_t *used;            /* [count] of taps */
    int16_t *weights;          /* [count][taps], in 1 / 2^14 */
    bool identity;
    struct cpv_buf memory;
};

struct cpv_scale_kernels {
    const char *name;
    /* out[i] = sum over k of rows[k][i] * weights[k], 6 fractional bits, for at least
     * `width` columns; taps is even; rows and out have 32 columns of slack */
    void (*columns)(const uint8_t *const *rows, const int16_t *weights, uint32_t taps,
                    uint32_t width, int16_t *out);
    /* out[i] = sum over k of line[start[i] + k] * weights[i * taps + k]; taps is 4 or
     * a multiple of 8; start, weights and out have 8 outputs of slack */
    void (*rows)(const int16_t *line, const uint32_t *start, const int16_t *weights,
                 uint32_t taps, uint32_t count, uint8_t *out);
};

extern const struct cpv_scale_kernels cpv_scale_plain; /* the meaning */
/* The fastest that this processor runs. */
const struct cpv_scale_kernels *cpv_scale_best(void);
/* All that it runs, for tests: NULL beyond the last. */
const struct cpv_scale_kernels *cpv_scale_nth(unsigned i);

struct cpv_scaler {
    const struct cpv_scale_kernels *kernels; /* NULL until begin, or a test's choice */
    struct cpv_axis x, y;
    struct cpv_buf ring_memory, line_memory;
    uint8_t *ring; /* `slots` rows of `stride` bytes; row r is in slot r % slots */
    size_t stride;
    uint32_t slots;
    const uint8_t **tap_rows; /* [y.taps] */
    int16_t *line;
    uint32_t width, height; /* of the source */
    uint32_t pushed, made;  /* rows */
    uint8_t *out;
    size_t out_stride;
};

/* `out` must have 16 bytes of slack after each row, which are overwritten. */
int cpv_scaler_begin(struct cpv_scaler *s, const struct cpv_axis_spec *x,
                     const struct cpv_axis_spec *y, uint32_t rows_at_once, uint8_t *out,
                     size_t out_stride, struct cpv_err *err);

/* Where to write the i-th row (below rows_at_once) of the next push. */
static inline uint8_t *cpv_scaler_row(const struct cpv_scaler *s, uint32_t i)
{
    return s->ring + (size_t)((s->pushed + i) % s->slots) * s->stride;
}

/* The next `rows` rows are there. Rows beyond the source's height are ignored. */
void cpv_scaler_push(struct cpv_scaler *s, uint32_t rows);
void cpv_scaler_release(struct cpv_scaler *s);

#endif
