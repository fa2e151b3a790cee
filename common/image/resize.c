/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resizing of pixels in memory, for models that were trained on Pillow's: the same
 * windows, weights of 22 bits, rows first, 8 bits between (Pillow, Resample.c).
 */
#include "common/base/sys.h"
#include "common/image/private.h"

enum { BITS = 32 - 8 - 2, HALF = 1 << (BITS - 1) };

struct weights {
    uint32_t count; /* of outputs */
    size_t taps;    /* most that one has */
    uint32_t *start, *used;
    int32_t *weight; /* [count][taps] */
    struct cpv_buf memory;
};

static int weights_make(struct weights *w, uint32_t have, uint32_t count,
                        enum cpv_image_filter filter, struct cpv_err *err)
{
    struct cpv_axis_spec spec = {filter, have, have, count, 0, 1, count};
    size_t taps = cpv_axis_window_max(&spec), room;
    struct cpv_window window;

    w->count = count;
    w->taps = taps;
    if (!cpv_size_mul(count, 8 + 4 * taps, &room) ||
        !cpv_size_add(room, taps * sizeof(double), &room) ||
        !cpv_buf_reserve(&w->memory, room))
        return cpv_fail_memory(err);
    window.weights = (double *)(void *)w->memory.data;
    w->start = (uint32_t *)(void *)(window.weights + taps);
    w->used = w->start + count;
    w->weight = (int32_t *)(void *)(w->used + count);
    for (uint32_t i = 0; i < count; i++) {
        cpv_axis_window(&spec, i, &window);
        w->start[i] = window.start;
        w->used[i] = window.count;
        for (uint32_t k = 0; k < window.count; k++) {
            double x = window.weights[k] * (1 << BITS);

            w->weight[i * taps + k] = (int32_t)(x < 0 ? x - 0.5 : x + 0.5);
        }
    }
    return CPV_OK;
}

static uint8_t clip(int32_t sum)
{
    sum >>= BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void row_rgb(const struct weights *w, const uint8_t *from, uint8_t *to)
{
    for (uint32_t i = 0; i < w->count; i++, to += 3) {
        const uint8_t *p = from + (size_t)w->start[i] * 3;
        const int32_t *weight = w->weight + i * w->taps;
        int32_t r = HALF, g = HALF, b = HALF;

        for (uint32_t k = 0; k < w->used[i]; k++, p += 3) {
            r += p[0] * weight[k];
            g += p[1] * weight[k];
            b += p[2] * weight[k];
        }
        to[0] = clip(r);
        to[1] = clip(g);
        to[2] = clip(b);
    }
}

static void row_gray(const struct weights *w, const uint8_t *from, uint8_t *to)
{
    for (uint32_t i = 0; i < w->count; i++) {
        const int32_t *weight = w->weight + i * w->taps;
        int32_t sum = HALF;

        for (uint32_t k = 0; k < w->used[i]; k++)
            sum += from[w->start[i] + k] * weight[k];
        to[i] = clip(sum);
    }
}

/* One row of the result from `used` rows: a tap at a time, so that loops vectorise. */
static void column_pass(const struct weights *w, uint32_t i, const uint8_t *from,
                        size_t from_stride, size_t n, int32_t *sums, uint8_t *to)
{
    const int32_t *weight = w->weight + i * w->taps;

    from += w->start[i] * from_stride;
    for (size_t x = 0; x < n; x++)
        sums[x] = HALF;
    for (uint32_t k = 0; k < w->used[i]; k++, from += from_stride)
        for (size_t x = 0; x < n; x++)
            sums[x] += from[x] * weight[k];
    for (size_t x = 0; x < n; x++)
        to[x] = clip(sums[x]);
}

/* Only the source rows that the column pass will read are worth a row pass. */
static void resize(const struct cpv_pixels *in, const struct weights *x,
                   const struct weights *y, int32_t *sums, uint8_t *middle,
                   struct cpv_pixels *out)
{
    uint32_t last = y->start[y->count - 1] + y->used[y->count - 1];

    for (uint32_t r = y->start[0]; r < last; r++) {
        const uint8_t *from = in->data + r * in->stride;
        uint8_t *to = middle + r * out->stride;

        if (in->width == out->width)
            memcpy(to, from, out->stride);
        else if (in->channels == 3)
            row_rgb(x, from, to);
        else
            row_gray(x, from, to);
    }
    for (uint32_t r = 0; r < out->height; r++)
        if (in->height == out->height)
            memcpy(out->data + r * out->stride, middle + r * out->stride, out->stride);
        else
            column_pass(y, r, middle, out->stride, out->stride, sums,
                        out->data + r * out->stride);
}

static bool is_side(uint32_t n)
{
    return n > 0 && n <= CPV_IMAGE_SIDE_MAX;
}

int cpv_image_resize(const struct cpv_pixels *in, uint32_t width, uint32_t height,
                     enum cpv_image_filter filter, struct cpv_buf *memory,
                     struct cpv_pixels *out, struct cpv_err *err)
{
    struct weights x = {0}, y = {0};
    struct cpv_buf work = {0};
    size_t stride, bytes, middle, sums;
    int rc = CPV_OK;

    memset(out, 0, sizeof *out);
    if (!is_side(width) || !is_side(height) || !is_side(in->width) ||
        !is_side(in->height) || (in->channels != 1 && in->channels != 3))
        return cpv_fail(err, CPV_E_BUG, "cannot resize %u x %u x %d to %u x %u",
                        in->width, in->height, in->channels, width, height);
    stride = (size_t)width * (unsigned)in->channels;
    sums = stride * sizeof(int32_t);
    cpv_buf_clear(memory);
    if (!cpv_size_mul(stride, height, &bytes) || !cpv_buf_reserve(memory, bytes) ||
        !cpv_size_mul(stride, in->height, &middle) ||
        !cpv_buf_reserve(&work, sums + middle))
        rc = cpv_fail_memory(err);
    if (rc == CPV_OK)
        rc = weights_make(&x, in->width, width, filter, err);
    if (rc == CPV_OK)
        rc = weights_make(&y, in->height, height, filter, err);
    if (rc == CPV_OK) {
        *out = (struct cpv_pixels){memory->data, width, height, stride, in->channels};
        resize(in, &x, &y, (int32_t *)(void *)work.data, work.data + sums, out);
        memory->size = bytes;
    }
    cpv_buf_release(&x.memory);
    cpv_buf_release(&y.memory);
    cpv_buf_release(&work);
    return rc;
}
