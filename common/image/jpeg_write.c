/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JPEG with libjpeg-turbo: 4:2:0, the integer DCT, the standard Huffman
 * tables, a JFIF header and nothing else, so the bytes depend on the pixels alone.
 */
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "common/base/sys.h"
#include "common/image/private.h"

enum { FIRST_ROOM = 64 << 10 };

struct cpv_jpeg_writer {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr to;
    jmp_buf escape;
    struct cpv_buf out;
    /* of the current call */
    const struct cpv_canvas *canvas;
    const struct cpv_pixels *pixels;
    int quality;
};

static struct cpv_jpeg_writer *writer_of(j_common_ptr c)
{
    return (struct cpv_jpeg_writer *)c->client_data;
}

/* Sizes are checked before: nothing is left that can fail but memory. */
_Noreturn static void on_error(j_common_ptr c)
{
    longjmp(writer_of(c)->escape, 1);
}

static void on_message(j_common_ptr c, int level)
{
    (void)c;
    (void)level;
}

static void no_output(j_common_ptr c)
{
    (void)c;
}

static void room(struct cpv_jpeg_writer *w, size_t n)
{
    if (!cpv_buf_reserve(&w->out, n))
        longjmp(w->escape, 1);
    w->to.next_output_byte = w->out.data + w->out.size;
    w->to.free_in_buffer = w->out.capacity - w->out.size;
}

static void to_init(j_compress_ptr c)
{
    struct cpv_jpeg_writer *w = writer_of((j_common_ptr)c);

    cpv_buf_clear(&w->out);
    room(w, FIRST_ROOM);
}

static boolean to_more(j_compress_ptr c) /* the buffer is full to its last byte */
{
    struct cpv_jpeg_writer *w = writer_of((j_common_ptr)c);

    w->out.size = w->out.capacity;
    room(w, FIRST_ROOM);
    return TRUE;
}

static void to_end(j_compress_ptr c)
{
    struct cpv_jpeg_writer *w = writer_of((j_common_ptr)c);

    w->out.size = w->out.capacity - w->to.free_in_buffer;
}

static bool guarded(struct cpv_jpeg_writer *w, void (*body)(struct cpv_jpeg_writer *))
{
    if (setjmp(w->escape) != 0)
        return false;
    body(w);
    return true;
}

static void create(struct cpv_jpeg_writer *w)
{
    jpeg_create_compress(&w->c);
}

int cpv_jpeg_writer_open(struct cpv_jpeg_writer **out, struct cpv_err *err)
{
    struct cpv_jpeg_writer *w = cpv_calloc(1, sizeof *w);

    *out = NULL;
    if (!w)
        return cpv_fail_memory(err);
    w->c.err = jpeg_std_error(&w->errors);
    w->errors.error_exit = on_error;
    w->errors.emit_message = on_message;
    w->errors.output_message = no_output;
    w->to.init_destination = to_init;
    w->to.empty_output_buffer = to_more;
    w->to.term_destination = to_end;
    w->c.client_data = w;
    if (!guarded(w, create)) {
        jpeg_destroy_compress(&w->c);
        cpv_free(w);
        return cpv_fail_memory(err);
    }
    w->c.client_data = w;
    w->c.dest = &w->to;
    *out = w;
    return CPV_OK;
}

void cpv_jpeg_writer_close(struct cpv_jpeg_writer **w)
{
    if (!*w)
        return;
    jpeg_destroy_compress(&(*w)->c);
    cpv_buf_release(&(*w)->out);
    cpv_free(*w);
    *w = NULL;
}

static void start(struct cpv_jpeg_writer *w, uint32_t width, uint32_t height,
                  int components, J_COLOR_SPACE space)
{
    w->c.image_width = width;
    w->c.image_height = height;
    w->c.input_components = components;
    w->c.in_color_space = space;
    jpeg_set_defaults(&w->c);
    jpeg_set_quality(&w->c, w->quality, TRUE);
    w->c.dct_method = JDCT_ISLOW;
}

static void write_canvas(struct cpv_jpeg_writer *w)
{
    JSAMPROW rows[3][2 * DCTSIZE];
    JSAMPARRAY planes[3] = {rows[0], rows[1], rows[2]};
    const struct cpv_canvas *canvas = w->canvas;

    start(w, canvas->plane[0].width, canvas->plane[0].height, 3, JCS_YCbCr);
    w->c.raw_data_in = TRUE;
    jpeg_start_compress(&w->c, TRUE);
    while (w->c.next_scanline < w->c.image_height) {
        for (int i = 0; i < 3; i++) {
            const struct cpv_plane *p = &canvas->plane[i];
            uint32_t per = i > 0 ? DCTSIZE : 2 * DCTSIZE;
            uint32_t first = w->c.next_scanline / (2 * DCTSIZE) * per;

            for (uint32_t k = 0; k < per; k++) {
                uint32_t row = first + k < p->height ? first + k : p->height - 1;

                rows[i][k] = p->data + row * p->stride;
            }
        }
        jpeg_write_raw_data(&w->c, planes, 2 * DCTSIZE);
    }
    jpeg_finish_compress(&w->c);
}

static void write_pixels(struct cpv_jpeg_writer *w)
{
    const struct cpv_pixels *p = w->pixels;
    bool gray = p->channels == 1;

    start(w, p->width, p->height, p->channels, gray ? JCS_GRAYSCALE : JCS_RGB);
    jpeg_start_compress(&w->c, TRUE);
    while (w->c.next_scanline < w->c.image_height) {
        JSAMPROW row = p->data + w->c.next_scanline * p->stride;

        jpeg_write_scanlines(&w->c, &row, 1);
    }
    jpeg_finish_compress(&w->c);
}

static int run(struct cpv_jpeg_writer *w, int quality,
               void (*body)(struct cpv_jpeg_writer *), struct cpv_bytes *out,
               struct cpv_err *err)
{
    w->quality = quality;
    w->c.raw_data_in = FALSE;
    if (w->out.capacity > CPV_IMAGE_KEEP_MAX)
        cpv_buf_release(&w->out);
    if (!guarded(w, body)) {
        jpeg_abort_compress(&w->c);
        return cpv_fail_memory(err);
    }
    *out = cpv_buf_view(&w->out);
    return CPV_OK;
}

int cpv_jpeg_write_canvas(struct cpv_jpeg_writer *w, const struct cpv_canvas *c,
                          int quality, struct cpv_bytes *out, struct cpv_err *err)
{
    w->canvas = c;
    return run(w, quality, write_canvas, out, err);
}

int cpv_jpeg_write_pixels(struct cpv_jpeg_writer *w, const struct cpv_pixels *p,
                          int quality, struct cpv_bytes *out, struct cpv_err *err)
{
    w->pixels = p;
    return run(w, quality, write_pixels, out, err);
}
