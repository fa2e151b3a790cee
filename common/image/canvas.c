/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The picture that is being made: three planes, each with a scaler that fills it.
 *
 * Cropping, mirroring and the half resolution of chroma are all folded into where a
 * scaler's outputs lie (struct cpv_axis_spec), so every output sample is computed
 * once, from the samples that it covers, and nothing that is cut away is computed.
 */
#include "common/image/private.h"

enum { WHITE = 255, NO_COLOUR = 128, PLANE_SLACK = 32 };

/* --- layout ---------------------------------------------------------------------- */

/* Python's round() of n * size / side in double, at least 1: what img2dataset's
 * resizer (albumentations) does. */
static uint64_t scaled_side(uint32_t n, uint32_t side, int size)
{
    double scale = (double)size / side, exact = n * scale;
    uint64_t down = (uint64_t)exact;
    double rest = exact - (double)down;

    if (rest > 0.5 || (rest == 0.5 && (down & 1)))
        down++;
    return down > 0 ? down : 1;
}

static void span_crop(struct cpv_span *s, uint32_t size)
{
    if (s->full > size) {
        s->from = (s->full - size) / 2;
        s->count = s->canvas = size;
    }
}

static void span_pad(struct cpv_span *s, uint32_t size)
{
    if (s->full < size) {
        s->at = (size - s->full) / 2;
        s->canvas = size;
    }
}

static struct cpv_span span_of(uint64_t full)
{
    struct cpv_span s = {(uint32_t)full, 0, (uint32_t)full, 0, (uint32_t)full};

    return s;
}

bool cpv_canvas_layout(struct cpv_canvas *c, const struct cpv_image_params *p,
                       uint32_t width, uint32_t height, bool *resized)
{
    uint32_t shorter = width < height ? width : height;
    uint32_t longer = width < height ? height : width;
    bool by_shorter =
        p->mode == CPV_IMAGE_MODE_KEEP_RATIO || p->mode == CPV_IMAGE_MODE_CENTER_CROP;
    uint32_t side = by_shorter ? shorter : longer, size = (uint32_t)p->size;
    bool smaller = side > size, change = p->mode != CPV_IMAGE_MODE_NO;
    uint64_t w = width, h = height;

    if (change && p->only_if_bigger && !smaller)
        change = false;
    if (change) {
        w = scaled_side(width, side, p->size);
        h = scaled_side(height, side, p->size);
    }
    if (w > CPV_IMAGE_SIDE_MAX && p->mode != CPV_IMAGE_MODE_CENTER_CROP)
        return false;
    if (h > CPV_IMAGE_SIDE_MAX && p->mode != CPV_IMAGE_MODE_CENTER_CROP)
        return false;
    if (w > UINT32_MAX / 4 || h > UINT32_MAX / 4)
        return false;
    c->x = span_of(w);
    c->y = span_of(h);
    if (change && p->mode == CPV_IMAGE_MODE_CENTER_CROP) {
        span_crop(&c->x, size);
        span_crop(&c->y, size);
    } else if (change && p->mode == CPV_IMAGE_MODE_BORDER) {
        span_pad(&c->x, size);
        span_pad(&c->y, size);
    }
    c->filter = smaller ? p->downscale : p->upscale;
    *resized = c->x.full != width || c->y.full != height || c->x.canvas != width ||
               c->y.canvas != height;
    return (int64_t)c->x.canvas * c->y.canvas <= p->max_pixels;
}

/* A JPEG is decoded at n/8 where that leaves at least twice the pixels that are
 * needed on both axes: the rest is the filter's. See process.c for the fidelity. */
unsigned cpv_canvas_jpeg_scale(const struct cpv_canvas *c, uint32_t stored_width,
                               uint32_t stored_height)
{
    bool swap = cpv_turn_of(c->orientation).swap;
    uint64_t need_x = 2 * (uint64_t)(swap ? c->y.full : c->x.full);
    uint64_t need_y = 2 * (uint64_t)(swap ? c->x.full : c->y.full);

    if (c->check_only)
        return 1;
    for (unsigned n = 1; n < 8; n *= 2)
        if (stored_width * (uint64_t)n >= need_x * 8 &&
            stored_height * (uint64_t)n >= need_y * 8)
            return n;
    return 8;
}

/* --- drawing --------------------------------------------------------------------- */

/* The samples of a plane that the image covers, along one upright axis. */
struct range {
    uint32_t at, count; /* in the plane */
    double from;        /* of the first one, in luma pixels of the image */
};

static struct range range_of(const struct cpv_span *s, bool chroma)
{
    struct range r = {s->at, s->count, s->from};

    if (chroma) {
        r.at = s->at / 2;
        r.count = (s->at + s->count + 1) / 2 - r.at;
        r.from = (double)s->from + 2.0 * r.at - s->at;
    }
    return r;
}

static void axis_spec(struct cpv_axis_spec *a, const struct cpv_span *s, bool chroma,
                      bool flip, uint32_t have, double extent,
                      enum cpv_image_filter filter)
{
    struct range r = range_of(s, chroma);

    a->filter = filter;
    a->have = have;
    a->extent = extent;
    a->full = s->full;
    a->step = chroma ? 2 : 1;
    a->count = r.count;
    a->from = flip ? s->full - (r.from + r.count * a->step) : r.from;
}

static int plane_reserve(struct cpv_plane *p, struct cpv_buf *memory, uint32_t width,
                         uint32_t height, struct cpv_err *err)
{
    size_t bytes;

    p->width = width;
    p->height = height;
    p->stride = ((size_t)width + 2 * PLANE_SLACK - 1) / PLANE_SLACK * PLANE_SLACK;
    cpv_buf_clear(memory);
    if (!cpv_size_mul(p->stride, height, &bytes) ||
        !cpv_buf_reserve(memory, bytes + PLANE_SLACK))
        return cpv_fail_memory(err);
    p->data = memory->data;
    return CPV_OK;
}

static int begin_plane(struct cpv_canvas *c, int i, const struct cpv_plane_shape *shape,
                       struct cpv_err *err)
{
    struct cpv_turn turn = cpv_turn_of(c->orientation);
    struct range rx = range_of(&c->x, i > 0), ry = range_of(&c->y, i > 0);
    struct cpv_axis_spec x, y;
    struct cpv_plane *p = &c->plane[i], *stored = &c->stored[i];
    int rc;

    if (c->orientation == 1) {
        *stored = *p;
        stored->data += ry.at * p->stride + rx.at;
        stored->width = rx.count;
        stored->height = ry.count;
    } else {
        rc = plane_reserve(stored, &c->stored_memory[i], turn.swap ? ry.count : rx.count,
                           turn.swap ? rx.count : ry.count, err);
        if (rc != CPV_OK)
            return rc;
    }
    axis_spec(&x, turn.swap ? &c->y : &c->x, i > 0, turn.flip_x, shape->width,
              shape->extent_x, c->filter);
    axis_spec(&y, turn.swap ? &c->x : &c->y, i > 0, turn.flip_y, shape->height,
              shape->extent_y, c->filter);
    return cpv_scaler_begin(&c->scaler[i], &x, &y, shape->rows_at_once, stored->data,
                            stored->stride, err);
}

int cpv_canvas_begin(struct cpv_canvas *c, const struct cpv_plane_shape *shapes,
                     int planes, struct cpv_err *err)
{
    int rc = CPV_OK;

    c->planes = planes;
    for (int i = 0; i < 3 && rc == CPV_OK; i++) {
        uint32_t w = i > 0 ? (c->x.canvas + 1) / 2 : c->x.canvas;
        uint32_t h = i > 0 ? (c->y.canvas + 1) / 2 : c->y.canvas;

        rc = plane_reserve(&c->plane[i], &c->plane_memory[i], w, h, err);
        if (rc == CPV_OK && i < planes)
            rc = begin_plane(c, i, &shapes[i], err);
    }
    return rc;
}

int cpv_canvas_begin_rgb(struct cpv_canvas *c, uint32_t width, uint32_t height,
                         struct cpv_err *err)
{
    struct cpv_plane_shape shape = {width, height, width, height, 1};
    struct cpv_plane_shape shapes[3] = {shape, shape, shape};

    return cpv_canvas_begin(c, shapes, 3, err);
}

/* JFIF's conversion in 16-bit fixed point, rounded as libjpeg does (jccolor.c). */
void cpv_canvas_rgb_row(struct cpv_canvas *c, const uint8_t *rgb)
{
    uint8_t *y = cpv_scaler_row(&c->scaler[0], 0);
    uint8_t *cb = cpv_scaler_row(&c->scaler[1], 0);
    uint8_t *cr = cpv_scaler_row(&c->scaler[2], 0);
    const int32_t half = 1 << 15, middle = (NO_COLOUR << 16) + half - 1;

    for (uint32_t i = 0; i < c->scaler[0].width; i++, rgb += 3) {
        int32_t r = rgb[0], g = rgb[1], b = rgb[2];

        y[i] = (uint8_t)((19595 * r + 38470 * g + 7471 * b + half) >> 16);
        cb[i] = (uint8_t)((-11059 * r - 21709 * g + 32768 * b + middle) >> 16);
        cr[i] = (uint8_t)((32768 * r - 27439 * g - 5329 * b + middle) >> 16);
    }
    for (int i = 0; i < 3; i++)
        cpv_scaler_push(&c->scaler[i], 1);
}

/* --- finishing ------------------------------------------------------------------- */

/* White round [at, at + count), which is there already. */
static void fill_border(struct cpv_plane *p, struct range x, struct range y,
                        uint8_t value)
{
    for (uint32_t row = 0; row < p->height; row++) {
        uint8_t *line = p->data + row * p->stride;

        if (row < y.at || row >= y.at + y.count) {
            memset(line, value, p->width);
            continue;
        }
        memset(line, value, x.at);
        memset(line + x.at + x.count, value, p->width - x.at - x.count);
    }
}

static uint8_t halve_colour(uint8_t value)
{
    return (uint8_t)((value + NO_COLOUR + 1) / 2);
}

/* A chroma sample of which one half is border is mixed with the border's. */
static void mix_edges(struct cpv_plane *p, const struct cpv_span *sx,
                      const struct cpv_span *sy)
{
    struct range x = range_of(sx, true), y = range_of(sy, true);
    uint32_t end_x = sx->at + sx->count, end_y = sy->at + sy->count;

    for (uint32_t row = y.at; row < y.at + y.count; row++) {
        uint8_t *line = p->data + row * p->stride;
        bool whole = (row == y.at && (sy->at & 1)) ||
                     (row == y.at + y.count - 1 && (end_y & 1) && end_y < sy->canvas);

        for (uint32_t i = x.at; whole && i < x.at + x.count; i++)
            line[i] = halve_colour(line[i]);
        if (sx->at & 1)
            line[x.at] = halve_colour(line[x.at]);
        if ((end_x & 1) && end_x < sx->canvas)
            line[x.at + x.count - 1] = halve_colour(line[x.at + x.count - 1]);
    }
}

/* The encoder takes whole blocks: repeat the last column. Rows repeat by pointer. */
static void fill_block(struct cpv_plane *p, uint32_t multiple)
{
    uint32_t end = (p->width + multiple - 1) / multiple * multiple;

    for (uint32_t row = 0; row < p->height; row++) {
        uint8_t *line = p->data + row * p->stride;

        memset(line + p->width, line[p->width - 1], end - p->width);
    }
}

void cpv_canvas_finish(struct cpv_canvas *c)
{
    struct cpv_turn turn = cpv_turn_of(c->orientation);

    for (int i = 0; i < 3; i++) {
        struct range x = range_of(&c->x, i > 0), y = range_of(&c->y, i > 0);
        struct cpv_plane *p = &c->plane[i];

        if (i >= c->planes) {
            memset(p->data, NO_COLOUR, p->stride * p->height);
            continue;
        }
        if (c->orientation != 1)
            cpv_turn_pixels(turn, c->stored[i].data, c->stored[i].stride,
                            c->stored[i].width, c->stored[i].height, 1,
                            p->data + y.at * p->stride + x.at, p->stride);
        fill_border(p, x, y, i > 0 ? NO_COLOUR : WHITE);
        if (i > 0)
            mix_edges(p, &c->x, &c->y);
        fill_block(p, i > 0 ? 8 : 16);
    }
}

/* --- memory ---------------------------------------------------------------------- */

static void trim(struct cpv_buf *b)
{
    if (b->capacity > CPV_IMAGE_KEEP_MAX)
        cpv_buf_release(b);
}

void cpv_canvas_trim(struct cpv_canvas *c)
{
    for (int i = 0; i < 3; i++) {
        trim(&c->plane_memory[i]);
        trim(&c->stored_memory[i]);
        trim(&c->scaler[i].ring_memory);
    }
}

void cpv_canvas_release(struct cpv_canvas *c)
{
    for (int i = 0; i < 3; i++) {
        cpv_scaler_release(&c->scaler[i]);
        cpv_buf_release(&c->plane_memory[i]);
        cpv_buf_release(&c->stored_memory[i]);
    }
}
