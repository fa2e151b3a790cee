/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading PNG with libpng: critical chunks and tRNS only, every CRC of theirs
 * checked, to 8 bits, alpha over white. Gamma and colour profiles are ignored, as
 * everybody does who makes such data sets.
 *
 * libpng reports errors by calling back: the one setjmp is in cpv_png_to_rows, what
 * runs below it owns nothing. The decoder gets its memory through our own calls.
 */
#include <setjmp.h>
#include <stdio.h>

#include <png.h>

#include "common/base/sys.h"
#include "common/image/private.h"

struct png_reader {
    png_structp png;
    png_infop info;
    jmp_buf escape;
    const struct cpv_image_source *input;
    const struct cpv_row_sink *sink;
    struct cpv_buf *memory;
    struct cpv_verdict *verdict;
    struct cpv_err *err;
    size_t at, allocated;
    uint32_t width, height, rows_done;
    size_t row_size;
    int channels, passes;
    bool interlaced_drawn;
    int rc;
};

/* --- callbacks ------------------------------------------------------------------- */

_Noreturn static void leave(struct png_reader *r)
{
    longjmp(r->escape, 1);
}

_Noreturn static void on_error(png_structp png, png_const_charp text)
{
    struct png_reader *r = png_get_error_ptr(png);

    if (r->rc == CPV_OK && r->verdict->status == CPV_IMAGE_OK)
        cpv_verdict_set(r->verdict, CPV_IMAGE_BROKEN, "%s", text);
    leave(r);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep to, size_t n)
{
    struct png_reader *r = png_get_io_ptr(png);
    size_t left = r->input->file.size - r->at;

    if (n > left && left > 0 && r->input->accept_truncated) {
        /* libpng reads far ahead of the rows: let it have the last whole ones */
        memcpy(to, r->input->file.data + r->at, left);
        memset(to + left, 0, n - left);
        r->at += left;
        return;
    }
    if (n > left) {
        cpv_verdict_set(r->verdict, CPV_IMAGE_BROKEN, "file ends early");
        leave(r);
    }
    memcpy(to, r->input->file.data + r->at, n);
    r->at += n;
}

/* A row and zlib's window are all that libpng needs: this limit is never near. */
static png_voidp on_alloc(png_structp png, png_alloc_size_t n)
{
    struct png_reader *r = png_get_mem_ptr(png);
    void *mem = NULL;

    if (n <= CPV_IMAGE_MEMORY_MAX)
        mem = cpv_alloc(n);
    if (!mem)
        r->rc = cpv_fail_memory(r->err);
    return mem;
}

static void on_free(png_structp png, png_voidp mem)
{
    (void)png;
    cpv_free(mem);
}

/* --- reading --------------------------------------------------------------------- */

static void ignore_ancillary(png_structp png)
{
    static const png_byte transparency[] = {'t', 'R', 'N', 'S', 0};

    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_AS_DEFAULT, transparency, 1);
    png_set_user_limits(png, CPV_IMAGE_SIDE_MAX, CPV_IMAGE_SIDE_MAX);
    png_set_chunk_cache_max(png, 16);
    png_set_chunk_malloc_max(png, 1 << 20);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_WARN_DISCARD);
}

static void read_header(struct png_reader *r)
{
    ignore_ancillary(r->png);
    png_read_info(r->png, r->info);
    r->width = png_get_image_width(r->png, r->info);
    r->height = png_get_image_height(r->png, r->info);
    png_set_expand(r->png);
    png_set_scale_16(r->png);
    png_set_gray_to_rgb(r->png);
    r->passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    r->channels = png_get_channels(r->png, r->info);
    r->row_size = png_get_rowbytes(r->png, r->info);
    if (r->row_size != (size_t)r->width * (unsigned)r->channels ||
        (r->channels != 3 && r->channels != 4))
        png_error(r->png, "unexpected layout");
}

static void draw_row(struct png_reader *r, uint8_t *row)
{
    if (r->channels == 4)
        cpv_image_over_white(row, row, r->width);
    if (r->sink)
        r->sink->row(r->sink->context, row);
    r->rows_done++;
}

static uint8_t *pixels_for(struct png_reader *r, size_t rows)
{
    size_t bytes;
    bool fits = cpv_size_mul(r->row_size, rows, &bytes);
    uint8_t *data;

    if (!fits || (rows > 1 && bytes > CPV_IMAGE_MEMORY_MAX)) {
        cpv_verdict_set(r->verdict, CPV_IMAGE_BOMB, "%u x %u pixels, interlaced",
                        r->width, r->height);
        leave(r);
    }
    cpv_buf_clear(r->memory);
    data = cpv_buf_reserve(r->memory, bytes);
    if (!data) {
        r->rc = cpv_fail_memory(r->err);
        leave(r);
    }
    memset(data, 255, bytes); /* what a cut file does not show is white */
    return data;
}

static void read_pixels(struct png_reader *r)
{
    size_t rows = r->passes > 1 ? r->height : 1;
    uint8_t *data = pixels_for(r, rows);

    if (r->sink)
        r->rc = r->sink->begin(r->sink->context, r->width, r->height, r->err);
    if (r->rc != CPV_OK)
        leave(r);
    for (int pass = 0; pass < r->passes; pass++) {
        r->interlaced_drawn = r->passes > 1 && pass > 0;
        for (uint32_t y = 0; y < r->height; y++) {
            uint8_t *row = data + (rows > 1 ? y * r->row_size : 0);

            png_read_row(r->png, row, NULL);
            if (rows == 1)
                draw_row(r, row);
        }
    }
    for (uint32_t y = 0; rows > 1 && y < r->height; y++)
        draw_row(r, data + y * r->row_size);
    png_read_end(r->png, NULL);
}

/* Of a damaged file: the rows that are there, white below. */
static void draw_rest(struct png_reader *r)
{
    uint8_t *data = r->memory->data;

    if (r->rows_done > 0)
        memset(data, 255, r->row_size);
    while (r->rows_done < r->height)
        draw_row(r, data + (r->interlaced_drawn ? r->rows_done * r->row_size : 0));
}

/* A cut file is acceptable once pixels have begun to come. */
static bool is_acceptable(const struct png_reader *r)
{
    return r->input->accept_truncated && r->rc == CPV_OK &&
           r->verdict->status == CPV_IMAGE_BROKEN &&
           (r->rows_done > 0 || r->interlaced_drawn);
}

static bool guarded(struct png_reader *r)
{
    if (setjmp(r->escape) != 0)
        return false;
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r,
                                      on_alloc, on_free);
    if (r->png)
        r->info = png_create_info_struct(r->png);
    if (!r->info) {
        r->rc = cpv_fail_memory(r->err);
        return false;
    }
    png_set_read_fn(r->png, r, on_read);
    read_header(r);
    read_pixels(r);
    return true;
}

int cpv_png_to_rows(const struct cpv_image_source *s, const struct cpv_row_sink *sink,
                    struct cpv_buf *memory, struct cpv_verdict *v, struct cpv_err *err)
{
    struct png_reader r = {
        .input = s, .sink = sink, .memory = memory, .verdict = v, .err = err};

    v->status = CPV_IMAGE_OK;
    if (!guarded(&r) && is_acceptable(&r)) {
        draw_rest(&r);
        v->status = CPV_IMAGE_OK;
        v->detail[0] = '\0';
    }
    if (r.png)
        png_destroy_read_struct(&r.png, &r.info, NULL);
    return r.rc;
}
