/* SPDX-License-Identifier: Apache-2.0 */
/* Picture files: decoded by libjpeg and turned as EXIF says, they show the scene. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jpeglib.h>

#include "common/base/sys.h"
#include "demo/scenes/picture.h"
#include "demo/scenes/world.h"

enum { SEED = 5, BYTES = 640 * 640 * 3 };

struct decoded {
    uint8_t *rgb;
    int width, height, orientation, components, luma_step;
    bool progressive;
};

/* The value of the one tag, in either byte order; 1 without a tag. */
static int orientation_of(const struct jpeg_marker_struct *m)
{
    const uint8_t *t;

    for (; m; m = m->next) {
        if (m->data_length < 26 || memcmp(m->data, "Exif\0\0", 6) != 0)
            continue;
        t = m->data + 6;
        if (memcmp(t, "II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", 18) == 0)
            return t[18];
        if (memcmp(t, "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01", 18) == 0)
            return t[19];
    }
    return 1;
}

static void decode(const struct cpv_buf *file, struct decoded *out)
{
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors; /* an error ends the test program */

    c.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, file->data, (unsigned long)file->size);
    jpeg_save_markers(&c, JPEG_APP0 + 1, 65535);
    assert_int_equal(jpeg_read_header(&c, TRUE), JPEG_HEADER_OK);
    out->orientation = orientation_of(c.marker_list);
    out->components = c.num_components;
    out->luma_step = c.comp_info[0].h_samp_factor;
    out->progressive = jpeg_has_multiple_scans(&c);
    c.out_color_space = JCS_RGB;
    jpeg_start_decompress(&c);
    out->width = (int)c.output_width;
    out->height = (int)c.output_height;
    while (c.output_scanline < c.output_height) {
        JSAMPROW row = out->rgb + (size_t)c.output_scanline * 3 * c.output_width;

        jpeg_read_scanlines(&c, &row, 1);
    }
    jpeg_finish_decompress(&c);
    assert_int_equal(errors.num_warnings, 0);
    jpeg_destroy_decompress(&c);
}

/*
 * The stored pixel of upright (x, y), from the words of the EXIF standard: which
 * sides of the upright picture the stored row 0 and column 0 are.
 */
static size_t stored_at(int orientation, int x, int y, int width, int height)
{
    static const char row0[] = " TTBBLRRL", column0[] = " LRRLTTBB";
    int right = width - 1 - x, down = height - 1 - y, row, column;

    row = row0[orientation] == 'T'   ? y
          : row0[orientation] == 'B' ? down
          : row0[orientation] == 'L' ? x
                                     : right;
    column = column0[orientation] == 'T'   ? y
             : column0[orientation] == 'B' ? down
             : column0[orientation] == 'L' ? x
                                           : right;
    return (size_t)row * (size_t)(orientation >= 5 ? height : width) + (size_t)column;
}

/* Mean difference of a channel between the upright picture and the decoded file. */
static double difference(const struct cpv_scene *s, const uint8_t *rgb,
                         const struct decoded *d)
{
    int64_t sum = 0;

    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            size_t at = stored_at(d->orientation, x, y, s->width, s->height);

            for (int i = 0; i < 3; i++)
                sum += abs(rgb[3 * (y * s->width + x) + i] - d->rgb[3 * at + (size_t)i]);
        }
    return (double)sum / (3.0 * s->width * s->height);
}

static void check_file(uint64_t number, const struct cpv_picture_file *file, double most)
{
    struct cpv_look look = cpv_look_default;
    uint8_t *rgb = cpv_alloc(BYTES);
    struct decoded d = {.rgb = cpv_alloc(BYTES)};
    struct cpv_buf bytes = {0};
    struct cpv_scene s;
    struct cpv_err err;
    bool swapped = file->orientation >= 5;

    assert_non_null(rgb);
    assert_non_null(d.rgb);
    look.noise = 1;
    cpv_scene_make(&s, SEED, number, false, &look);
    s.width += 31; /* never a square */
    assert_int_equal(cpv_scene_draw(&s, SEED, rgb, &err), CPV_OK);
    assert_int_equal(cpv_picture_encode(rgb, s.width, s.height, file, &bytes, &err),
                     CPV_OK);
    decode(&bytes, &d);
    assert_int_equal(d.orientation, file->orientation);
    assert_int_equal(d.width, swapped ? s.height : s.width);
    assert_int_equal(d.height, swapped ? s.width : s.height);
    assert_int_equal(d.components, file->gray ? 1 : 3);
    assert_int_equal(d.progressive, file->progressive);
    if (!file->gray)
        assert_int_equal(d.luma_step, file->full_chroma ? 1 : 2);
    if (!(difference(&s, rgb, &d) <= most))
        fail_msg("orientation %d: off by %f", file->orientation, difference(&s, rgb, &d));
    if (file->orientation > 1) { /* it was turned, not only labelled */
        d.orientation = swapped ? (file->orientation == 5 ? 6 : 5) : 1;
        assert_true(difference(&s, rgb, &d) > most);
    }
    cpv_buf_release(&bytes);
    cpv_free(d.rgb);
    cpv_free(rgb);
}

static void turned_files_decode_upright(void **state)
{
    struct cpv_picture_file file = {.format = CPV_PICTURE_JPEG, .quality = 95};

    (void)state;
    for (file.orientation = 1; file.orientation <= 8; file.orientation++)
        for (uint64_t number = 0; number < 6; number++)
            check_file(number, &file, 3.0);
}

static void every_kind_of_jpeg_shows_the_scene(void **state)
{
    struct cpv_picture_file file = {.format = CPV_PICTURE_JPEG, .orientation = 1};

    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (file.quality = 72; file.quality <= 96; file.quality += 8) {
            file.full_chroma = kind % 2;
            file.progressive = kind / 2;
            check_file(10, &file, 5.0);
        }
    file.gray = true;
    check_file(10, &file, 255.0);
}

/* A gray file of a scene that has no colours loses nothing. */
static void gray_files_of_colourless_scenes(void **state)
{
    struct cpv_picture_file file = {
        .format = CPV_PICTURE_JPEG, .orientation = 1, .quality = 95, .gray = true};
    int found = 0;

    (void)state;
    for (uint64_t i = 0; found < 5; i++) {
        struct cpv_scene s;

        cpv_scene_make(&s, SEED, i, false, &cpv_look_default);
        if (!s.mono)
            continue;
        check_file(i, &file, 6.0);
        found++;
    }
}

static void png_and_webp(void **state)
{
    static const uint8_t png[] = {0x89, 'P', 'N', 'G'}, webp[] = {'R', 'I', 'F', 'F'};
    uint8_t rgb[8 * 6 * 3] = {0};

    (void)state;
    for (int f = CPV_PICTURE_PNG; f <= CPV_PICTURE_WEBP; f++) {
        struct cpv_picture_file file = {
            .format = (enum cpv_picture_format)f, .quality = 80, .orientation = 1};
        struct cpv_buf bytes = {0};
        struct cpv_err err;

        if (!cpv_picture_can(file.format))
            continue;
        assert_int_equal(cpv_picture_encode(rgb, 8, 6, &file, &bytes, &err), CPV_OK);
        assert_true(bytes.size > 12);
        assert_memory_equal(bytes.data, f == CPV_PICTURE_PNG ? png : webp, 4);
        cpv_buf_release(&bytes);
    }
}

static void sizes_are_checked(void **state)
{
    struct cpv_picture_file file = {.format = CPV_PICTURE_JPEG, .quality = 80};
    struct cpv_buf bytes = {0};
    struct cpv_err err;
    uint8_t rgb[3] = {0};

    (void)state;
    assert_int_equal(cpv_picture_encode(rgb, 0, 1, &file, &bytes, &err), CPV_E_BUG);
    assert_int_equal(cpv_picture_encode(rgb, 1, 70000, &file, &bytes, &err), CPV_E_BUG);
    cpv_buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turned_files_decode_upright),
        cmocka_unit_test(every_kind_of_jpeg_shows_the_scene),
        cmocka_unit_test(gray_files_of_colourless_scenes),
        cmocka_unit_test(png_and_webp),
        cmocka_unit_test(sizes_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
