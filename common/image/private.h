/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share. The way of a picture:
 *
 *     decoder  --rows of Y, Cb, Cr-->  scalers of a canvas  --planes-->  JPEG writer
 *
 * A JPEG's own planes are taken as they are stored (chroma at half resolution stays
 * there, and is never converted to RGB and back); other formats become rows of RGB
 * and then Y, Cb, Cr at full resolution. Each plane has its scaler, which keeps only
 * the rows that its filter still needs. The last steps, on the small result, are to
 * turn it upright and to add the border.
 */
#ifndef CPV_IMAGE_PRIVATE_H
#define CPV_IMAGE_PRIVATE_H

#include "common/base/bytes.h"
#include "common/base/size.h"
#include "common/image/image.h"
#include "common/image/scale.h"

enum {
    CPV_IMAGE_DETAIL = sizeof(((struct cpv_image_result *)0)->detail),
    CPV_IMAGE_SIDE_MAX = 65500,        /* JPEG's own limit, as libjpeg has it */
    CPV_IMAGE_MEMORY_MAX = 256 << 20,  /* bytes that one decoder may hold */
    CPV_IMAGE_SCANS_MAX = 100,         /* of a progressive JPEG */
    CPV_IMAGE_SCANNED_PIXELS_MAX = 16, /* scans * pixels, in units of max_pixels */
    CPV_IMAGE_KEEP_MAX = 32 << 20      /* a larger buffer is not kept for the next */
};

static inline uint32_t cpv_image_be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t cpv_image_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* --- canvas: where the scaled planes meet ------------------------------------------ */

/* One upright axis of the result, in luma pixels. `count` pixels from `from` of an
 * image of `full` pixels are shown at `at` of a canvas of `canvas`. */
struct cpv_span {
    uint32_t full, from, count, at, canvas;
};

/* One plane as it comes from a decoder. The extent is that part of the samples that
 * the image covers: half a sample of padding is usual in subsampled chroma. */
struct cpv_plane_shape {
    uint32_t width, height;
    double extent_x, extent_y;
    uint32_t rows_at_once; /* most rows that are pushed in one go */
};

struct cpv_plane {
    uint8_t *data;
    size_t stride;
    uint32_t width, height;
};

struct cpv_canvas {
    struct cpv_span x, y;
    int orientation;
    enum cpv_image_filter filter;
    bool check_only; /* nothing is drawn: the decoder only checks the file */
    struct cpv_scaler scaler[3];
    struct cpv_plane plane[3];  /* upright: Y at full, Cb and Cr at half resolution */
    struct cpv_plane stored[3]; /* as the scalers write them; the same if upright */
    struct cpv_buf plane_memory[3], stored_memory[3];
    int planes; /* 1: gray, chroma is constant */
};

/* What process asks for: sizes by img2dataset's rules. `resized` is false if the
 * image keeps its size. false: the result would be too large. */
bool cpv_canvas_layout(struct cpv_canvas *c, const struct cpv_image_params *p,
                       uint32_t width, uint32_t height, bool *resized);

/* The numerator n of n/8 at which a JPEG may be decoded: 8, 4, 2 or 1. */
unsigned cpv_canvas_jpeg_scale(const struct cpv_canvas *c, uint32_t stored_width,
                               uint32_t stored_height);

int cpv_canvas_begin(struct cpv_canvas *c, const struct cpv_plane_shape *shapes,
                     int planes, struct cpv_err *err);
/* For RGB rows: three planes of width x height; then a call for each row. */
int cpv_canvas_begin_rgb(struct cpv_canvas *c, uint32_t width, uint32_t height,
                         struct cpv_err *err);
void cpv_canvas_rgb_row(struct cpv_canvas *c, const uint8_t *rgb);
/* Turn upright, add the border, fill up to whole blocks. */
void cpv_canvas_finish(struct cpv_canvas *c);
void cpv_canvas_release(struct cpv_canvas *c);
void cpv_canvas_trim(struct cpv_canvas *c); /* give back what is unusually large */

/* Where the upright pixel (0, 0) is in the stored image, and how to step from it. */
struct cpv_turn {
    bool swap;           /* upright x runs along stored y */
    bool flip_x, flip_y; /* of the stored axes */
};
struct cpv_turn cpv_turn_of(int orientation);

/* Copy stored pixels (1 or 3 bytes each) to their upright places. */
void cpv_turn_pixels(struct cpv_turn turn, const uint8_t *from, size_t from_stride,
                     uint32_t stored_width, uint32_t stored_height, int channels,
                     uint8_t *to, size_t to_stride);

/* --- decoders ---------------------------------------------------------------------- */

/* Takes the rows of an image from the top. NULL: the file is only checked. */
struct cpv_row_sink {
    void *context;
    /* once, before the first row */
    int (*begin)(void *context, uint32_t width, uint32_t height, struct cpv_err *err);
    void (*row)(void *context, const uint8_t *rgb);
};

struct cpv_image_source {
    struct cpv_bytes file;
    const struct cpv_image_info *info;
    int64_t max_pixels;
    bool accept_truncated;
};

/* The decoders set *status and *detail (of CPV_IMAGE_DETAIL bytes) and return 0, or a
 * negative code when memory ran out. */
struct cpv_verdict {
    enum cpv_image_status status;
    char *detail;
};

void cpv_verdict_set(struct cpv_verdict *v, enum cpv_image_status status, const char *fmt,
                     ...) CPV_PRINTF(3, 4);

struct cpv_jpeg_reader;
int cpv_jpeg_reader_open(struct cpv_jpeg_reader **out, struct cpv_err *err);
void cpv_jpeg_reader_close(struct cpv_jpeg_reader **r);
/* Planes into the canvas where the file has Y, Cb, Cr or gray; else RGB rows. */
int cpv_jpeg_to_canvas(struct cpv_jpeg_reader *r, const struct cpv_image_source *s,
                       struct cpv_canvas *c, const struct cpv_row_sink *sink,
                       struct cpv_verdict *v, struct cpv_err *err);
int cpv_jpeg_to_rows(struct cpv_jpeg_reader *r, const struct cpv_image_source *s,
                     const struct cpv_row_sink *sink, struct cpv_verdict *v,
                     struct cpv_err *err);

struct cpv_jpeg_writer;
int cpv_jpeg_writer_open(struct cpv_jpeg_writer **out, struct cpv_err *err);
void cpv_jpeg_writer_close(struct cpv_jpeg_writer **w);
int cpv_jpeg_write_canvas(struct cpv_jpeg_writer *w, const struct cpv_canvas *c,
                          int quality, struct cpv_bytes *out, struct cpv_err *err);
int cpv_jpeg_write_pixels(struct cpv_jpeg_writer *w, const struct cpv_pixels *p,
                          int quality, struct cpv_bytes *out, struct cpv_err *err);

/* `memory` is scratch. */
int cpv_png_to_rows(const struct cpv_image_source *s, const struct cpv_row_sink *sink,
                    struct cpv_buf *memory, struct cpv_verdict *v, struct cpv_err *err);
int cpv_webp_to_rows(const struct cpv_image_source *s, const struct cpv_row_sink *sink,
                     struct cpv_buf *memory, struct cpv_verdict *v, struct cpv_err *err);

/* n RGBA pixels over white, to RGB; in place is fine. */
void cpv_image_over_white(const uint8_t *rgba, uint8_t *rgb, size_t n);

#endif
