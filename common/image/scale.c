/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scaling of one plane: rounding of weights, the ring of rows, and the inner loops
 * in plain C, which are the meaning of the faster ones. See scale.h.
 */
#include "common/image/scale.h"

#include <assert.h>

#include "common/base/size.h"
#include "common/base/sys.h"

enum {
    SLACK = 64, /* bytes behind each row: the widest load and store, rounded up */
    ONE = 1 << CPV_SCALE_BITS,
    COLUMN_SHIFT = CPV_SCALE_BITS - CPV_SCALE_FRACTION,
    ROW_SHIFT = CPV_SCALE_BITS + CPV_SCALE_FRACTION
};

/* --- the loops ------------------------------------------------------------------- */

static void plain_columns(const uint8_t *const *rows, const int16_t *weights,
                          uint32_t taps, uint32_t width, int16_t *out)
{
    for (uint32_t i = 0; i < width; i++) {
        int32_t sum = 1 << (COLUMN_SHIFT - 1);

        for (uint32_t k = 0; k < taps; k++)
            sum += rows[k][i] * weights[k];
        sum >>= COLUMN_SHIFT;
        out[i] = (int16_t)(sum < INT16_MIN   ? INT16_MIN
                           : sum > INT16_MAX ? INT16_MAX
                                             : sum);
    }
}

static void plain_rows(const int16_t *line, const uint32_t *start, const int16_t *weights,
                       uint32_t taps, uint32_t count, uint8_t *out)
{
    for (uint32_t i = 0; i < count; i++, weights += taps) {
        const int16_t *from = line + start[i];
        int32_t sum = 1 << (ROW_SHIFT - 1);

        for (uint32_t k = 0; k < taps; k++)
            sum += from[k] * weights[k];
        sum >>= ROW_SHIFT;
        out[i] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
}

const struct cpv_scale_kernels cpv_scale_plain = {"plain", plain_columns, plain_rows};

/* --- weights --------------------------------------------------------------------- */

/* To 14 bits by rounding the running sum, so that the whole is exactly 1; then the
 * zeros at both ends are dropped. */
static void round_window(const struct cpv_window *w, int16_t *out, uint32_t *start,
                         uint32_t *used)
{
    double running = 0;
    int32_t before = 0;
    uint32_t first = 0, last = 0;

    for (uint32_t k = 0; k < w->count; k++) {
        int32_t here;

        running += w->weights[k];
        here = (int32_t)(running * ONE + (running < 0 ? -0.5 : 0.5));
        if (k == w->count - 1)
            here = ONE;
        out[k] = (int16_t)(here - before);
        before = here;
    }
    while (first + 1 < w->count && out[first] == 0)
        first++;
    for (uint32_t k = first; k < w->count; k++)
        if (out[k] != 0)
            last = k;
    *start = w->start + first;
    *used = last >= first ? last - first + 1 : 1;
    memmove(out, out + first, *used * sizeof *out);
}

static bool same_spec(const struct cpv_axis_spec *a, const struct cpv_axis_spec *b)
{
    return a->filter == b->filter && a->have == b->have && a->extent == b->extent &&
           a->full == b->full && a->from == b->from && a->step == b->step &&
           a->count == b->count;
}

/* `multiple`: 2 for columns; 8 for rows, where 4 taps are enough if they are. */
static int axis_begin(struct cpv_axis *axis, const struct cpv_axis_spec *spec,
                      uint32_t multiple, struct cpv_err *err)
{
    size_t widest = cpv_axis_window_max(spec), room = (size_t)spec->count + 8, bytes,
           each;
    struct cpv_window window = {0, 0, NULL};
    int16_t *rounded;

    assert(spec->count > 0 && spec->have > 0 && spec->full > 0);
    if (same_spec(spec, &axis->made))
        return CPV_OK;
    axis->made.count = 0; /* nothing, should memory run out */
    axis->count = spec->count;
    axis->taps = (uint32_t)((widest + multiple - 1) / multiple * multiple);
    if (multiple == 8 && widest <= 4)
        axis->taps = 4;
    cpv_buf_clear(&axis->memory);
    each = 2 * sizeof(uint32_t) + axis->taps * sizeof(int16_t);
    if (!cpv_size_mul(room, each, &bytes) ||
        !cpv_size_add(bytes, widest * (sizeof(double) + sizeof(int16_t)), &bytes) ||
        !cpv_buf_reserve(&axis->memory, bytes))
        return cpv_fail_memory(err);
    memset(axis->memory.data, 0, bytes);
    window.weights = (double *)(void *)axis->memory.data;
    axis->start = (uint32_t *)(void *)(window.weights + widest);
    axis->used = axis->start + room;
    axis->weights = (int16_t *)(void *)(axis->used + room);
    rounded = axis->weights + room * axis->taps;
    axis->identity = spec->count <= spec->have;
    for (uint32_t i = 0; i < spec->count; i++) {
        cpv_axis_window(spec, i, &window);
        round_window(&window, rounded, &axis->start[i], &axis->used[i]);
        memcpy(axis->weights + (size_t)i * axis->taps, rounded,
               axis->used[i] * sizeof *rounded);
        if (axis->used[i] != 1 || axis->start[i] != axis->start[0] + i)
            axis->identity = false;
    }
    axis->made = *spec;
    return CPV_OK;
}

/* --- the scaler ------------------------------------------------------------------ */

int cpv_scaler_begin(struct cpv_scaler *s, const struct cpv_axis_spec *x,
                     const struct cpv_axis_spec *y, uint32_t rows_at_once, uint8_t *out,
                     size_t out_stride, struct cpv_err *err)
{
    size_t bytes, line;
    int rc = axis_begin(&s->x, x, 8, err);

    if (rc == CPV_OK)
        rc = axis_begin(&s->y, y, 2, err);
    if (rc != CPV_OK)
        return rc;
    if (!s->kernels)
        s->kernels = cpv_scale_best();
    s->width = x->have;
    s->height = y->have;
    s->pushed = s->made = 0;
    s->out = out;
    s->out_stride = out_stride;
    s->slots = s->y.taps + rows_at_once;
    s->stride = ((size_t)x->have + 2 * SLACK) / SLACK * SLACK;
    line = ((size_t)x->have + s->x.taps + SLACK) * sizeof(int16_t);
    cpv_buf_clear(&s->ring_memory);
    cpv_buf_clear(&s->line_memory);
    if (!cpv_size_mul(s->stride, s->slots, &bytes) ||
        !cpv_buf_reserve(&s->ring_memory, bytes + SLACK) ||
        !cpv_size_add(line, s->y.taps * sizeof(uint8_t *) + SLACK, &bytes) ||
        !cpv_buf_reserve(&s->line_memory, bytes))
        return cpv_fail_memory(err);
    s->ring = s->ring_memory.data;
    s->tap_rows = (const uint8_t **)(void *)s->line_memory.data;
    s->line = (int16_t *)(void *)(s->tap_rows + s->y.taps);
    /* what lies behind the samples is multiplied by 0, or not looked at */
    memset(s->line, 0, line);
    return CPV_OK;
}

static void make_row(struct cpv_scaler *s, uint32_t i)
{
    uint8_t *out = s->out + (size_t)i * s->out_stride;
    uint32_t first = s->y.start[i], used = s->y.used[i], taps = (used + 1) & ~1u;

    for (uint32_t k = 0; k < taps; k++) {
        uint32_t row = first + (k < used ? k : used - 1);

        s->tap_rows[k] = s->ring + (size_t)(row % s->slots) * s->stride;
    }
    if (s->x.identity && used == 1) {
        memcpy(out, s->tap_rows[0] + s->x.start[0], s->x.count);
        return;
    }
    s->kernels->columns(s->tap_rows, s->y.weights + (size_t)i * s->y.taps, taps, s->width,
                        s->line);
    s->kernels->rows(s->line, s->x.start, s->x.weights, s->x.taps, s->x.count, out);
}

void cpv_scaler_push(struct cpv_scaler *s, uint32_t rows)
{
    s->pushed = rows < s->height - s->pushed ? s->pushed + rows : s->height;
    while (s->made < s->y.count && s->y.start[s->made] + s->y.used[s->made] <= s->pushed)
        make_row(s, s->made++);
}

void cpv_scaler_release(struct cpv_scaler *s)
{
    cpv_buf_release(&s->x.memory);
    cpv_buf_release(&s->y.memory);
    s->x.made.count = s->y.made.count = 0;
    cpv_buf_release(&s->ring_memory);
    cpv_buf_release(&s->line_memory);
}
