/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JPEG with libjpeg-turbo.
 *
 * libjpeg reports errors by calling back, so every use of it runs inside guarded(),
 * the one place with a setjmp: what happens below it may leave by longjmp, and
 * therefore owns nothing. Warnings are errors (they mean damaged data), unless
 * truncated files are accepted. The integer DCT and its SIMD forms agree to the bit.
 */
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

#include "common/base/sys.h"
#include "common/image/private.h"

/* libjpeg's API before version 7 has one size for both directions. */
#if JPEG_LIB_VERSION >= 70
#define BLOCK_WIDTH(c)  ((c)->DCT_h_scaled_size)
#define BLOCK_HEIGHT(c) ((c)->DCT_v_scaled_size)
#define BLOCK_LEAST(d)  ((d)->min_DCT_v_scaled_size)
#else
#define BLOCK_WIDTH(c)  ((c)->DCT_scaled_size)
#define BLOCK_HEIGHT(c) ((c)->DCT_scaled_size)
#define BLOCK_LEAST(d)  ((d)->min_DCT_scaled_size)
#endif

enum { ROWS_MAX = 64 }; /* of one component in a row of MCUs: 4 blocks of 16 */

struct cpv_jpeg_reader {
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    struct cpv_buf row, rgb; /* a CMYK row, and what becomes of it */
    /* of the current call */
    const struct cpv_image_source *input;
    struct cpv_canvas *canvas;
    const struct cpv_row_sink *sink;
    struct cpv_verdict *verdict;
    struct cpv_err *err;
    int rc;
    uint8_t end[2]; /* what a file that ends early goes on with */
};

/* --- callbacks ------------------------------------------------------------------- */

static struct cpv_jpeg_reader *reader_of(j_common_ptr d)
{
    return (struct cpv_jpeg_reader *)d->client_data;
}

static enum cpv_image_status status_of(int code)
{
    switch (code) {
    case JERR_NO_BACKING_STORE:
        return CPV_IMAGE_BOMB;
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_ARITH_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
        return CPV_IMAGE_UNSUPPORTED;
    default:
        return CPV_IMAGE_BROKEN;
    }
}

_Noreturn static void on_error(j_common_ptr d)
{
    struct cpv_jpeg_reader *r = reader_of(d);
    char text[JMSG_LENGTH_MAX];

    if (d->err->msg_code == JERR_OUT_OF_MEMORY) {
        r->rc = cpv_fail_memory(r->err);
    } else if (r->verdict) {
        d->err->format_message(d, text);
        cpv_verdict_set(r->verdict, status_of(d->err->msg_code), "%s", text);
    }
    longjmp(r->escape, 1);
}

/* Two warnings are about headers that are merely unusual. */
static bool is_harmless(int code)
{
    return code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM;
}

static void on_message(j_common_ptr d, int level)
{
    if (level >= 0 || is_harmless(d->err->msg_code))
        return;
    d->err->num_warnings++;
    if (!reader_of(d)->input->accept_truncated)
        on_error(d);
}

static void no_output(j_common_ptr d)
{
    (void)d;
}

static void on_progress(j_common_ptr common)
{
    struct cpv_jpeg_reader *r = reader_of(common);
    uint64_t scans = (uint64_t)r->d.input_scan_number;
    uint64_t pixels = (uint64_t)r->d.image_width * r->d.image_height;

    if (scans <= CPV_IMAGE_SCANS_MAX &&
        scans * pixels <= (uint64_t)r->input->max_pixels * CPV_IMAGE_SCANNED_PIXELS_MAX)
        return;
    cpv_verdict_set(r->verdict, CPV_IMAGE_BOMB, "more than %u scans of %u x %u pixels",
                    (unsigned)scans - 1, r->d.image_width, r->d.image_height);
    longjmp(r->escape, 1);
}

static void source_nothing(j_decompress_ptr d)
{
    (void)d;
}

/* The whole file is there from the beginning: needing more means that it is cut. */
static boolean source_more(j_decompress_ptr d)
{
    struct cpv_jpeg_reader *r = reader_of((j_common_ptr)d);

    WARNMS(d, JWRN_JPEG_EOF);
    r->source.next_input_byte = r->end;
    r->source.bytes_in_buffer = 2;
    return TRUE;
}

static void source_skip(j_decompress_ptr d, long n)
{
    struct jpeg_source_mgr *s = d->src;

    if (n <= 0)
        return;
    if ((size_t)n > s->bytes_in_buffer) {
        (void)source_more(d);
        return;
    }
    s->next_input_byte += n;
    s->bytes_in_buffer -= (size_t)n;
}

/* --- a life ---------------------------------------------------------------------- */

/* Run `body`; true if it came to its end. */
static bool guarded(struct cpv_jpeg_reader *r, void (*body)(struct cpv_jpeg_reader *))
{
    if (setjmp(r->escape) != 0)
        return false;
    body(r);
    return true;
}

static void create(struct cpv_jpeg_reader *r)
{
    jpeg_create_decompress(&r->d);
}

int cpv_jpeg_reader_open(struct cpv_jpeg_reader **out, struct cpv_err *err)
{
    struct cpv_jpeg_reader *r = cpv_calloc(1, sizeof *r);

    *out = NULL;
    if (!r)
        return cpv_fail_memory(err);
    r->d.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->errors.output_message = no_output;
    r->source.init_source = source_nothing;
    r->source.fill_input_buffer = source_more;
    r->source.skip_input_data = source_skip;
    r->source.resync_to_restart = jpeg_resync_to_restart;
    r->source.term_source = source_nothing;
    r->progress.progress_monitor = on_progress;
    r->end[0] = 0xFF;
    r->end[1] = JPEG_EOI;
    r->d.client_data = r;
    r->err = err;
    if (!guarded(r, create)) {
        jpeg_destroy_decompress(&r->d);
        cpv_free(r);
        return cpv_fail_memory(err);
    }
    r->d.client_data = r; /* create clears what it does not know */
    r->d.src = &r->source;
    r->d.progress = &r->progress;
    r->d.mem->max_memory_to_use = CPV_IMAGE_MEMORY_MAX;
    *out = r;
    return CPV_OK;
}

void cpv_jpeg_reader_close(struct cpv_jpeg_reader **r)
{
    if (!*r)
        return;
    jpeg_destroy_decompress(&(*r)->d);
    cpv_buf_release(&(*r)->row);
    cpv_buf_release(&(*r)->rgb);
    cpv_free(*r);
    *r = NULL;
}

/* --- reading --------------------------------------------------------------------- */

_Noreturn static void give_up(struct cpv_jpeg_reader *r, int rc)
{
    r->rc = rc;
    longjmp(r->escape, 1);
}

static void start(struct cpv_jpeg_reader *r)
{
    r->source.next_input_byte = r->input->file.data;
    r->source.bytes_in_buffer = r->input->file.size;
    jpeg_read_header(&r->d, TRUE);
    if (r->d.image_width != r->input->info->width ||
        r->d.image_height != r->input->info->height) {
        cpv_verdict_set(r->verdict, CPV_IMAGE_BROKEN, "two headers that disagree");
        give_up(r, CPV_OK);
    }
    r->d.dct_method = JDCT_ISLOW;
    r->d.do_fancy_upsampling = TRUE;
}

static void begin_planes(struct cpv_jpeg_reader *r)
{
    struct cpv_plane_shape shapes[3];
    int rc;

    for (int i = 0; i < r->d.num_components; i++) {
        const jpeg_component_info *k = &r->d.comp_info[i];

        shapes[i].width = k->downsampled_width;
        shapes[i].height = k->downsampled_height;
        shapes[i].extent_x = (double)r->d.image_width * k->h_samp_factor *
                             BLOCK_WIDTH(k) / (r->d.max_h_samp_factor * DCTSIZE);
        shapes[i].extent_y = (double)r->d.image_height * k->v_samp_factor *
                             BLOCK_HEIGHT(k) / (r->d.max_v_samp_factor * DCTSIZE);
        shapes[i].rows_at_once = (uint32_t)(k->v_samp_factor * BLOCK_HEIGHT(k));
    }
    rc = cpv_canvas_begin(r->canvas, shapes, r->d.num_components, r->err);
    if (rc != CPV_OK)
        give_up(r, rc);
}

/* Somewhere to put planes that nobody wants. */
static uint8_t *idle_row(struct cpv_jpeg_reader *r)
{
    cpv_buf_clear(&r->row);
    if (!cpv_buf_reserve(&r->row, (size_t)r->d.output_width + 4 * ROWS_MAX))
        give_up(r, cpv_fail_memory(r->err));
    return r->row.data;
}

static void read_planes(struct cpv_jpeg_reader *r)
{
    JSAMPROW rows[3][ROWS_MAX];
    JSAMPARRAY planes[3] = {rows[0], rows[1], rows[2]};
    uint8_t *idle = r->canvas->check_only ? idle_row(r) : NULL;
    uint32_t count[3];

    for (int i = 0; i < r->d.num_components; i++)
        count[i] = (uint32_t)(r->d.comp_info[i].v_samp_factor *
                              BLOCK_HEIGHT(&r->d.comp_info[i]));
    while (r->d.output_scanline < r->d.output_height) {
        for (int i = 0; i < r->d.num_components; i++)
            for (uint32_t k = 0; k < count[i]; k++)
                rows[i][k] = idle ? idle : cpv_scaler_row(&r->canvas->scaler[i], k);
        jpeg_read_raw_data(&r->d, planes,
                           (JDIMENSION)(r->d.max_v_samp_factor * BLOCK_LEAST(&r->d)));
        for (int i = 0; i < r->d.num_components && !idle; i++)
            cpv_scaler_push(&r->canvas->scaler[i], count[i]);
    }
}

/* CMYK as RGB. Adobe's applications, who alone write it, store it inverted. */
static void rgb_of_cmyk(const uint8_t *cmyk, uint8_t *rgb, uint32_t n, bool inverted)
{
    uint32_t flip = inverted ? 0 : 255;

    for (uint32_t i = 0; i < n; i++, cmyk += 4, rgb += 3)
        for (int k = 0; k < 3; k++)
            rgb[k] = (uint8_t)(((cmyk[k] ^ flip) * (cmyk[3] ^ flip) + 127) / 255);
}

static void read_rows(struct cpv_jpeg_reader *r)
{
    bool cmyk = r->d.num_components == 4;
    size_t width = r->d.output_width;
    JSAMPROW row;
    int rc = r->sink ? r->sink->begin(r->sink->context, r->d.output_width,
                                      r->d.output_height, r->err)
                     : CPV_OK;

    if (rc != CPV_OK)
        give_up(r, rc);
    cpv_buf_clear(&r->row);
    cpv_buf_clear(&r->rgb);
    row = cpv_buf_reserve(&r->row, width * 4);
    if (!row || !cpv_buf_reserve(&r->rgb, width * 3))
        give_up(r, cpv_fail_memory(r->err));
    while (r->d.output_scanline < r->d.output_height) {
        jpeg_read_scanlines(&r->d, &row, 1);
        if (cmyk)
            rgb_of_cmyk(row, r->rgb.data, (uint32_t)width, r->d.saw_Adobe_marker);
        if (r->sink)
            r->sink->row(r->sink->context, cmyk ? r->rgb.data : row);
    }
}

static bool has_planes(const struct cpv_jpeg_reader *r)
{
    return (r->d.jpeg_color_space == JCS_YCbCr && r->d.num_components == 3) ||
           (r->d.jpeg_color_space == JCS_GRAYSCALE && r->d.num_components == 1);
}

static void to_canvas(struct cpv_jpeg_reader *r)
{
    bool planes;

    start(r);
    planes = has_planes(r);
    r->d.scale_num =
        planes ? cpv_canvas_jpeg_scale(r->canvas, r->d.image_width, r->d.image_height)
               : 8;
    r->d.scale_denom = 8;
    r->d.raw_data_out = planes;
    if (planes)
        r->d.out_color_space = r->d.jpeg_color_space;
    else
        r->d.out_color_space = r->d.num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&r->d);
    if (!planes) {
        read_rows(r);
    } else {
        if (!r->canvas->check_only)
            begin_planes(r);
        read_planes(r);
    }
    jpeg_finish_decompress(&r->d);
}

static void to_rows(struct cpv_jpeg_reader *r)
{
    start(r);
    r->d.out_color_space = r->d.num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&r->d);
    read_rows(r);
    jpeg_finish_decompress(&r->d);
}

static int run(struct cpv_jpeg_reader *r, const struct cpv_image_source *s,
               struct cpv_verdict *v, struct cpv_err *err,
               void (*body)(struct cpv_jpeg_reader *))
{
    r->input = s;
    r->verdict = v;
    r->err = err;
    r->rc = CPV_OK;
    r->errors.num_warnings = 0;
    v->status = CPV_IMAGE_OK;
    (void)guarded(r, body);
    jpeg_abort_decompress(&r->d);
    return r->rc;
}

int cpv_jpeg_to_canvas(struct cpv_jpeg_reader *r, const struct cpv_image_source *s,
                       struct cpv_canvas *c, const struct cpv_row_sink *sink,
                       struct cpv_verdict *v, struct cpv_err *err)
{
    r->canvas = c;
    r->sink = sink;
    return run(r, s, v, err, to_canvas);
}

int cpv_jpeg_to_rows(struct cpv_jpeg_reader *r, const struct cpv_image_source *s,
                     const struct cpv_row_sink *sink, struct cpv_verdict *v,
                     struct cpv_err *err)
{
    r->canvas = NULL;
    r->sink = sink;
    return run(r, s, v, err, to_rows);
}
