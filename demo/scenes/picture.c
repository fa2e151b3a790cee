/* SPDX-License-Identifier: Apache-2.0 */
/* See picture.h. The libraries call back to report errors; none may end the program. */
#include "demo/scenes/picture.h"

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#ifdef CPV_HAVE_PNG
#include <png.h>
#endif
#ifdef CPV_HAVE_WEBP
#include <webp/encode.h>
#endif

#include "common/base/size.h"
#include "common/base/sys.h"

enum { CHUNK = 16384 };

bool cpv_picture_can(enum cpv_picture_format format)
{
#ifdef CPV_HAVE_PNG
    if (format == CPV_PICTURE_PNG)
        return true;
#endif
#ifdef CPV_HAVE_WEBP
    if (format == CPV_PICTURE_WEBP)
        return true;
#endif
    return format == CPV_PICTURE_JPEG;
}

const char *cpv_picture_suffix(enum cpv_picture_format format)
{
    return format == CPV_PICTURE_PNG    ? ".png"
           : format == CPV_PICTURE_WEBP ? ".webp"
                                        : ".jpg";
}

void cpv_picture_turn(const uint8_t *rgb, int width, int height, int orientation,
                      uint8_t *out)
{
    int stored_width = orientation >= 5 ? height : width;

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int mx = width - 1 - x, my = height - 1 - y;
            int at[9][2] = {{x, y}, {x, y},  {mx, y},  {mx, my}, {x, my},
                            {y, x}, {y, mx}, {my, mx}, {my, x}};
            const int *to = at[orientation];
            size_t i = (size_t)to[1] * (size_t)stored_width + (size_t)to[0];

            memcpy(out + 3 * i, rgb + 3 * ((size_t)y * (size_t)width + (size_t)x), 3);
        }
}

/* libjpeg writes into a chunk; full chunks go to the buffer. */
struct jpeg_sink {
    struct jpeg_destination_mgr mgr;
    struct cpv_buf *out;
    uint8_t chunk[CHUNK];
};

struct jpeg_trouble {
    struct jpeg_error_mgr mgr;
    jmp_buf jump;
    char text[JMSG_LENGTH_MAX];
};

static void sink_start(j_compress_ptr c)
{
    struct jpeg_sink *s = (struct jpeg_sink *)c->dest;

    s->mgr.next_output_byte = s->chunk;
    s->mgr.free_in_buffer = CHUNK;
}

static boolean sink_full(j_compress_ptr c)
{
    struct jpeg_sink *s = (struct jpeg_sink *)c->dest;

    cpv_buf_add(s->out, s->chunk, CHUNK);
    sink_start(c);
    return TRUE;
}

static void sink_end(j_compress_ptr c)
{
    struct jpeg_sink *s = (struct jpeg_sink *)c->dest;

    cpv_buf_add(s->out, s->chunk, CHUNK - s->mgr.free_in_buffer);
}

static void trouble_exit(j_common_ptr c)
{
    struct jpeg_trouble *t = (struct jpeg_trouble *)c->err;

    t->mgr.format_message(c, t->text);
    longjmp(t->jump, 1);
}

static void trouble_quiet(j_common_ptr c)
{
    (void)c;
}

/* A TIFF folder with the one entry, in either byte order: readers must know both. */
static void write_exif(j_compress_ptr c, int orientation)
{
    uint8_t little[] = {'E', 'x',  'i', 'f', 0,
                        0,   'I',  'I', 42,  0,
                        8,   0,    0,   0,   1,
                        0,   0x12, 1,   3,   0,
                        1,   0,    0,   0,   (uint8_t)orientation,
                        0,   0,    0,   0,   0,
                        0,   0};
    uint8_t big[] = {
        'E', 'x', 'i', 'f', 0,    0, 'M', 'M', 0, 42, 0, 0, 0,
        8,   0,   1,   1,   0x12, 0, 3,   0,   0, 0,  1, 0, (uint8_t)orientation,
        0,   0,   0,   0,   0,    0};

    jpeg_write_marker(c, JPEG_APP0 + 1, orientation % 2 ? big : little, sizeof big);
}

static void jpeg_settings(j_compress_ptr c, const struct cpv_picture_file *file)
{
    jpeg_set_defaults(c);
    jpeg_set_quality(c, file->quality, TRUE);
    if (file->gray)
        jpeg_set_colorspace(c, JCS_GRAYSCALE);
    else
        c->comp_info[0].h_samp_factor = c->comp_info[0].v_samp_factor =
            file->full_chroma ? 1 : 2;
    if (file->progressive)
        jpeg_simple_progression(c);
    c->dct_method = JDCT_ISLOW;
}

static int encode_jpeg(const uint8_t *rgb, int width, int height,
                       const struct cpv_picture_file *file, struct cpv_buf *out,
                       struct cpv_err *err)
{
    struct jpeg_trouble trouble;
    struct jpeg_compress_struct c;
    struct jpeg_sink sink;

    memset(&c, 0, sizeof c);
    c.err = jpeg_std_error(&trouble.mgr);
    trouble.mgr.error_exit = trouble_exit;
    trouble.mgr.output_message = trouble_quiet;
    if (setjmp(trouble.jump)) {
        jpeg_destroy_compress(&c);
        return cpv_fail(err, CPV_E_BUG, "libjpeg: %s", trouble.text);
    }
    jpeg_create_compress(&c);
    sink.out = out;
    sink.mgr.init_destination = sink_start;
    sink.mgr.empty_output_buffer = sink_full;
    sink.mgr.term_destination = sink_end;
    c.dest = &sink.mgr;
    c.image_width = (JDIMENSION)width;
    c.image_height = (JDIMENSION)height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_settings(&c, file);
    jpeg_start_compress(&c, TRUE);
    if (file->orientation > 1)
        write_exif(&c, file->orientation);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row =
            (JSAMPROW)(uintptr_t)(rgb + (size_t)c.next_scanline * 3 * (size_t)width);

        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return CPV_OK;
}

#ifdef CPV_HAVE_PNG
static void png_put(png_structp png, png_bytep data, size_t n)
{
    cpv_buf_add(png_get_io_ptr(png), data, n);
}

static void png_flush_nothing(png_structp png)
{
    (void)png;
}

static void png_quiet(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static int encode_png(const uint8_t *rgb, int width, int height, struct cpv_buf *out,
                      struct cpv_err *err)
{
    png_structp png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, png_quiet);
    png_infop info = png ? png_create_info_struct(png) : NULL;

    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return cpv_fail(err, CPV_E_BUG, "libpng: cannot write a %d x %d picture", width,
                        height);
    }
    png_set_write_fn(png, out, png_put, png_flush_nothing);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, 3);
    png_set_filter(png, 0, PNG_FILTER_SUB);
    png_write_info(png, info);
    for (int y = 0; y < height; y++)
        png_write_row(png, rgb + (size_t)y * 3 * (size_t)width);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    return CPV_OK;
}
#endif

#ifdef CPV_HAVE_WEBP
static int webp_put(const uint8_t *data, size_t n, const WebPPicture *picture)
{
    struct cpv_buf *out = picture->custom_ptr;

    cpv_buf_add(out, data, n);
    return !out->failed;
}

static int encode_webp(const uint8_t *rgb, int width, int height, int quality,
                       struct cpv_buf *out, struct cpv_err *err)
{
    WebPConfig config;
    WebPPicture picture;
    bool done;

    if (!WebPConfigInit(&config) || !WebPPictureInit(&picture))
        return cpv_fail(err, CPV_E_BUG, "libwebp: not the version built for");
    config.quality = (float)quality;
    config.method = 1; /* quick: these are small */
    picture.width = width;
    picture.height = height;
    picture.writer = webp_put;
    picture.custom_ptr = out;
    done =
        WebPPictureImportRGB(&picture, rgb, width * 3) && WebPEncode(&config, &picture);
    WebPPictureFree(&picture);
    if (!done)
        return cpv_fail(err, CPV_E_BUG, "libwebp: error %d", (int)picture.error_code);
    return CPV_OK;
}
#endif

static int encode(const uint8_t *rgb, int width, int height,
                  const struct cpv_picture_file *file, struct cpv_buf *out,
                  struct cpv_err *err)
{
    switch (file->format) {
#ifdef CPV_HAVE_PNG
    case CPV_PICTURE_PNG:
        return encode_png(rgb, width, height, out, err);
#endif
#ifdef CPV_HAVE_WEBP
    case CPV_PICTURE_WEBP:
        return encode_webp(rgb, width, height, file->quality, out, err);
#endif
    default:
        return encode_jpeg(rgb, width, height, file, out, err);
    }
}

int cpv_picture_encode(const uint8_t *rgb, int width, int height,
                       const struct cpv_picture_file *file, struct cpv_buf *out,
                       struct cpv_err *err)
{
    bool turned = file->format == CPV_PICTURE_JPEG && file->orientation > 1;
    bool swapped = turned && file->orientation >= 5;
    uint8_t *copy = NULL;
    size_t size;
    int rc;

    if (width < 1 || height < 1 || width > 16384 || height > 16384 ||
        !cpv_size_mul((size_t)width * (size_t)height, 3, &size))
        return cpv_fail(err, CPV_E_BUG, "a picture of %d x %d px", width, height);
    if (turned) {
        copy = cpv_alloc(size);
        if (!copy)
            return cpv_fail_memory(err);
        cpv_picture_turn(rgb, width, height, file->orientation, copy);
    }
    rc = encode(turned ? copy : rgb, swapped ? height : width, swapped ? width : height,
                file, out, err);
    cpv_free(copy);
    if (out->failed)
        return cpv_fail_memory(err);
    return rc;
}
