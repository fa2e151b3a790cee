/* SPDX-License-Identifier: Apache-2.0 */
/* From file to JPEG: sizes, modes, orientation, filters, what is kept, bombs. */
#include "tests/unit/image/helpers.h"

#include <jpeglib.h>

#include <math.h>

/* --- pictures ---------------------------------------------------------------------- */

/* Smooth, and different in every corner. The caller frees data. */
static struct cpv_pixels scene(uint32_t width, uint32_t height)
{
    struct cpv_pixels p = {malloc((size_t)width * height * 3), width, height,
                           (size_t)width * 3, 3};

    assert_non_null(p.data);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            uint8_t *to = p.data + y * p.stride + (size_t)x * 3;

            to[0] = (uint8_t)(255 * x / width);
            to[1] = (uint8_t)(255 * y / height);
            to[2] = (uint8_t)(x * 4 < width && y * 4 < height ? 220 : 60);
        }
    return p;
}

static struct cpv_buf jpeg_of(uint32_t width, uint32_t height)
{
    cpv_image_worker *w = open_worker();
    struct cpv_pixels p = scene(width, height);
    struct cpv_bytes file;
    struct cpv_buf out = {0};
    struct cpv_err err = {0};

    assert_int_equal(cpv_image_encode_jpeg(w, &p, 95, &file, &err), 0);
    cpv_buf_add(&out, file.data, file.size);
    free(p.data);
    cpv_image_worker_close(&w);
    return out;
}

/* What common/image never writes: CMYK, YCCK, RGB, scripts of many scans. */
struct odd_jpeg {
    J_COLOR_SPACE in, stored;
    int channels, scans;
    int sampling_x, sampling_y; /* of the first component; 0: as usual */
};

static struct cpv_buf odd_jpeg(uint32_t width, uint32_t height, struct odd_jpeg how)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    static jpeg_scan_info scans[200];
    unsigned char *data = NULL;
    unsigned long size = 0;
    struct cpv_pixels p = scene(width, height);
    uint8_t *row = malloc((size_t)width * 4);
    struct cpv_buf out = {0};

    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &data, &size);
    c.image_width = width;
    c.image_height = height;
    c.input_components = how.channels;
    c.in_color_space = how.in;
    jpeg_set_defaults(&c);
    jpeg_set_colorspace(&c, how.stored);
    jpeg_set_quality(&c, 95, TRUE);
    if (how.sampling_x > 0) {
        c.comp_info[0].h_samp_factor = how.sampling_x;
        c.comp_info[0].v_samp_factor = how.sampling_y;
    }
    if (how.scans > 0) { /* one coefficient a scan, then refined one by one */
        memset(scans, 0, sizeof scans);
        for (int i = 0; i < how.scans; i++) {
            scans[i].comps_in_scan = 1;
            scans[i].Ss = scans[i].Se = i % 64;
            scans[i].Ah = i < 64 ? 0 : 1;
            scans[i].Al = i < 64 ? 1 : 0;
        }
        c.scan_info = scans;
        c.num_scans = how.scans;
    }
    jpeg_start_compress(&c, TRUE);
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *from = p.data + y * p.stride;

        for (uint32_t x = 0; x < width; x++, from += 3) {
            if (how.channels == 4) { /* inverted, as Adobe's are */
                for (int k = 0; k < 3; k++)
                    row[x * 4 + (uint32_t)k] = from[k];
                row[x * 4 + 3] = 255;
            } else if (how.channels == 3) {
                memcpy(row + (size_t)x * 3, from, 3);
            } else {
                row[x] = from[0];
            }
        }
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    cpv_buf_add(&out, data, size);
    free(data);
    free(row);
    free(p.data);
    return out;
}

/* --- helpers ----------------------------------------------------------------------- */

static struct cpv_image_result process(cpv_image_worker *w, const struct cpv_buf *file,
                                       const struct cpv_image_params *p)
{
    struct cpv_image_result r;
    struct cpv_err err = {0};

    assert_int_equal(cpv_image_process(w, cpv_buf_view(file), p, &r, &err), 0);
    return r;
}

/* The pixels that process makes; in a second worker, so that `w` keeps its result. */
static struct cpv_pixels pixels_of(cpv_image_worker *w, cpv_image_worker *reader,
                                   const struct cpv_buf *file,
                                   const struct cpv_image_params *p)
{
    struct cpv_image_result r = process(w, file, p);
    struct cpv_pixels out;

    if (r.status != CPV_IMAGE_OK)
        fail_msg("%s: %s", cpv_image_status_name(r.status), r.detail);
    assert_string_equal(r.ext, "jpg");
    out = decode_good(reader, r.data);
    assert_int_equal(out.width, r.width);
    assert_int_equal(out.height, r.height);
    return out;
}

static const uint8_t *pixel(const struct cpv_pixels *p, uint32_t x, uint32_t y)
{
    return p->data + y * p->stride + (size_t)x * 3;
}

/* --- sizes ------------------------------------------------------------------------- */

/* By img2dataset 1.47: max(1, round(side * (size / reference side))), Python's round. */
static const struct {
    enum cpv_image_mode mode;
    int size;
    bool only_if_bigger;
    uint32_t width, height, new_width, new_height;
} sizes[] = {
    {CPV_IMAGE_MODE_NO, 1, false, 70, 50, 70, 50},
    {CPV_IMAGE_MODE_KEEP_RATIO, 256, false, 500, 375, 341, 256},
    {CPV_IMAGE_MODE_KEEP_RATIO, 256, false, 375, 500, 256, 341},
    {CPV_IMAGE_MODE_KEEP_RATIO, 256, false, 100, 50, 512, 256},
    {CPV_IMAGE_MODE_KEEP_RATIO, 256, true, 100, 50, 100, 50},
    {CPV_IMAGE_MODE_KEEP_RATIO, 32, false, 64, 101, 32, 50}, /* 50.5 to even */
    {CPV_IMAGE_MODE_KEEP_RATIO, 32, false, 64, 103, 32, 52}, /* 51.5 to even */
    {CPV_IMAGE_MODE_KEEP_RATIO_LARGEST, 64, false, 128, 5, 64, 2},
    {CPV_IMAGE_MODE_KEEP_RATIO_LARGEST, 64, false, 128, 7, 64, 4},
    {CPV_IMAGE_MODE_KEEP_RATIO_LARGEST, 64, false, 1000, 1, 64, 1},
    {CPV_IMAGE_MODE_KEEP_RATIO_LARGEST, 64, true, 40, 30, 40, 30},
    {CPV_IMAGE_MODE_CENTER_CROP, 64, false, 200, 100, 64, 64},
    {CPV_IMAGE_MODE_CENTER_CROP, 63, false, 100, 201, 63, 63},
    {CPV_IMAGE_MODE_CENTER_CROP, 64, false, 10, 20, 64, 64},
    {CPV_IMAGE_MODE_CENTER_CROP, 64, true, 40, 90, 40, 90},
    {CPV_IMAGE_MODE_BORDER, 64, false, 200, 100, 64, 64},
    {CPV_IMAGE_MODE_BORDER, 65, false, 10, 20, 65, 65},
    {CPV_IMAGE_MODE_BORDER, 64, true, 40, 30, 40, 30},
};

static void sizes_are_those_of_img2dataset(void **state)
{
    cpv_image_worker *w = open_worker(), *reader = open_worker();

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct cpv_buf file = jpeg_of(sizes[i].width, sizes[i].height);
        struct cpv_image_params p;
        struct cpv_pixels out;

        cpv_image_params_default(&p);
        p.mode = sizes[i].mode;
        p.size = sizes[i].size;
        p.only_if_bigger = sizes[i].only_if_bigger;
        out = pixels_of(w, reader, &file, &p);
        if (out.width != sizes[i].new_width || out.height != sizes[i].new_height)
            fail_msg("row %zu: %u x %u", i, out.width, out.height);
        cpv_buf_release(&file);
    }
    cpv_image_worker_close(&reader);
    cpv_image_worker_close(&w);
}

/* --- modes ------------------------------------------------------------------------- */

static void border_is_white_and_the_middle_is_the_image(void **state)
{
    cpv_image_worker *w = open_worker(), *reader = open_worker(), *third = open_worker();
    struct cpv_buf file = jpeg_of(120, 59);

    (void)state;
    for (int size = 40; size <= 43; size++) { /* paddings odd and even */
        struct cpv_image_params p;
        struct cpv_pixels bordered, plain, middle;

        cpv_image_params_default(&p);
        p.size = size;
        p.mode = CPV_IMAGE_MODE_BORDER;
        bordered = pixels_of(w, reader, &file, &p);
        p.mode = CPV_IMAGE_MODE_KEEP_RATIO_LARGEST;
        plain = pixels_of(w, third, &file, &p);
        middle = plain;
        middle.data =
            bordered.data + (bordered.height - plain.height) / 2 * bordered.stride;
        middle.stride = bordered.stride;
        for (uint32_t x = 0; x < bordered.width; x++)
            for (int k = 0; k < 3; k++) {
                assert_true(pixel(&bordered, x, 0)[k] > 245);
                assert_true(pixel(&bordered, x, bordered.height - 1)[k] > 245);
            }
        /* without the rows that share chroma with the border */
        plain.data += 2 * plain.stride;
        middle.data += 2 * middle.stride;
        plain.height = middle.height = plain.height - 4;
        assert_true(compare(&plain, &middle).mse < 8);
    }
    cpv_buf_release(&file);
    cpv_image_worker_close(&third);
    cpv_image_worker_close(&reader);
    cpv_image_worker_close(&w);
}

static void crop_is_the_middle(void **state)
{
    cpv_image_worker *w = open_worker(), *reader = open_worker(), *third = open_worker();

    (void)state;
    for (uint32_t width = 100; width <= 103; width++) {
        struct cpv_buf file = jpeg_of(width, 61);
        struct cpv_image_params p;
        struct cpv_pixels cropped, whole, middle;

        cpv_image_params_default(&p);
        p.size = 41;
        p.mode = CPV_IMAGE_MODE_CENTER_CROP;
        cropped = pixels_of(w, reader, &file, &p);
        p.mode = CPV_IMAGE_MODE_KEEP_RATIO;
        whole = pixels_of(w, third, &file, &p);
        middle = cropped;
        middle.data = whole.data + (whole.width - cropped.width) / 2 * 3;
        middle.stride = whole.stride;
        assert_true(compare(&cropped, &middle).mse < 8);
        middle.data += 9; /* and nowhere else */
        assert_true(compare(&cropped, &middle).mse > 8);
        cpv_buf_release(&file);
    }
    cpv_image_worker_close(&third);
    cpv_image_worker_close(&reader);
    cpv_image_worker_close(&w);
}

/* The eight files hold the same stored pixels. Each result must be that of file 1,
 * turned; `source` says where upright (x, y) of the file is in the first. */
static void orientation_is_applied(void **state)
{
    cpv_image_worker *w = open_worker(), *reader = open_worker(), *third = open_worker();
    static const int modes[] = {CPV_IMAGE_MODE_NO, CPV_IMAGE_MODE_KEEP_RATIO,
                                CPV_IMAGE_MODE_BORDER, CPV_IMAGE_MODE_CENTER_CROP};

    (void)state;
    for (int size = 16; size <= 61; size += 9)
        for (size_t m = 0; m < 4; m++)
            for (int way = 1; way <= 8; way++) {
                char name[64];
                struct cpv_buf file, first;
                struct cpv_image_params p;
                struct cpv_image_result r;
                struct cpv_pixels plain, turned;
                double error = 0;

                /* an odd rest has its extra pixel right and below, whichever way is up */
                if (modes[m] == CPV_IMAGE_MODE_BORDER &&
                    ((size - (size * 23 + 18) / 37) & 1))
                    continue;
                if (modes[m] == CPV_IMAGE_MODE_CENTER_CROP &&
                    (((size * 37 + 11) / 23 - size) & 1))
                    continue;
                snprintf(name, sizeof name, "jpeg-orientation-%d.jpg", way);
                first = load_golden("jpeg-orientation-1.jpg");
                file = load_golden(name);
                cpv_image_params_default(&p);
                p.mode = (enum cpv_image_mode)modes[m];
                p.size = size;
                plain = pixels_of(w, reader, &first, &p);
                turned = pixels_of(w, third, &file, &p);
                r = process(w, &file, &p);
                assert_int_equal(r.info.orientation, way);
                assert_int_equal(r.original_width, way < 5 ? 37 : 23);
                assert_int_equal(turned.width, way < 5 ? plain.width : plain.height);
                assert_int_equal(turned.height, way < 5 ? plain.height : plain.width);
                for (uint32_t y = 0; y < turned.height; y++)
                    for (uint32_t x = 0; x < turned.width; x++) {
                        uint32_t sx = way < 5 ? x : y, sy = way < 5 ? y : x;

                        if (way == 2 || way == 3 || way == 7 || way == 8)
                            sx = plain.width - 1 - sx;
                        if (way == 3 || way == 4 || way == 6 || way == 7)
                            sy = plain.height - 1 - sy;
                        for (int k = 0; k < 3; k++) {
                            double d = pixel(&turned, x, y)[k] - pixel(&plain, sx, sy)[k];

                            error += d * d;
                        }
                    }
                error /= 3.0 * turned.width * turned.height;
                if (!(error < 70))
                    fail_msg("orientation %d, mode %d, size %d: mse %.1f", way, modes[m],
                             size, error);
                cpv_buf_release(&file);
                cpv_buf_release(&first);
            }
    cpv_image_worker_close(&third);
    cpv_image_worker_close(&reader);
    cpv_image_worker_close(&w);
}

/* --- what is kept, what is refused ------------------------------------------------- */

static void keeps_bytes_that_need_no_change(void **state)
{
    cpv_image_worker *w = open_worker();
    struct cpv_buf right = jpeg_of(341, 256), other = jpeg_of(300, 200);
    struct cpv_buf turned = load_golden("jpeg-orientation-6.jpg");
    struct cpv_buf cmyk = load_golden("jpeg-cmyk.jpg"), png = load_golden("png-rgb.png");
    struct cpv_image_params p;
    struct cpv_image_result r;

    (void)state;
    cpv_image_params_default(&p);
    assert_ptr_not_equal(process(w, &right, &p).data.data, right.data);
    p.skip_reencode = true;
    r = process(w, &right, &p);
    assert_ptr_equal(r.data.data, right.data);
    assert_int_equal(r.data.size, right.size);
    assert_int_equal(r.width, 341);
    assert_int_equal(r.height, 256);
    assert_ptr_not_equal(process(w, &other, &p).data.data, other.data);
    right.data[right.size / 2] ^= 0xFF; /* kept, but not unseen */
    right.data[right.size / 2 + 1] = 0xFF;
    right.data[right.size / 2 + 2] = 0xC0;
    assert_int_equal(process(w, &right, &p).status, CPV_IMAGE_BROKEN);
    p.mode = CPV_IMAGE_MODE_NO;
    assert_ptr_not_equal(process(w, &turned, &p).data.data, turned.data);
    assert_ptr_not_equal(process(w, &cmyk, &p).data.data, cmyk.data);
    p.pass_through = true;
    r = process(w, &turned, &p);
    assert_ptr_equal(r.data.data, turned.data);
    assert_int_equal(r.width, 23);
#ifdef CPV_TEST_PNG
    r = process(w, &png, &p);
    assert_ptr_equal(r.data.data, png.data);
    assert_string_equal(r.ext, "png");
#endif
    cpv_buf_release(&right);
    cpv_buf_release(&other);
    cpv_buf_release(&turned);
    cpv_buf_release(&cmyk);
    cpv_buf_release(&png);
    cpv_image_worker_close(&w);
}

static void filters_look_at_the_header(void **state)
{
    cpv_image_worker *w = open_worker();
    struct cpv_buf file = jpeg_of(100, 40);
    struct cpv_image_params p;

    (void)state;
    file.size /= 2; /* to decode it would fail */
    cpv_image_params_default(&p);
    p.min_size = 41;
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_TOO_SMALL);
    p.min_size = 40;
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_BROKEN);
    p.max_area = 3999;
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_TOO_LARGE_AREA);
    p.max_area = 4000;
    p.max_aspect = 2.49;
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_ASPECT);
    p.max_aspect = 2.5;
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_BROKEN);
    p.max_pixels = 3999;
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_BOMB);
    cpv_buf_release(&file);
    cpv_image_worker_close(&w);
}

static void results_beyond_the_limit_are_bombs(void **state)
{
    cpv_image_worker *w = open_worker();
    struct cpv_buf file = jpeg_of(2000, 1);
    struct cpv_image_params p;

    (void)state;
    cpv_image_params_default(&p);
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_BOMB); /* 512000 x 256 */
    p.mode = CPV_IMAGE_MODE_CENTER_CROP;
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_OK);
    p.mode = CPV_IMAGE_MODE_BORDER;
    p.size = 40000;
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_BOMB);
    cpv_buf_release(&file);
    cpv_image_worker_close(&w);
}

static void scans_are_counted(void **state)
{
    cpv_image_worker *w = open_worker();
    struct odd_jpeg how = {JCS_GRAYSCALE, JCS_GRAYSCALE, 1, 100, 0, 0};
    struct cpv_buf file = odd_jpeg(40, 30, how);
    struct cpv_image_params p;

    (void)state;
    cpv_image_params_default(&p);
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_OK);
    cpv_buf_release(&file);
    how.scans = 128;
    file = odd_jpeg(40, 30, how);
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_BOMB);
    p.accept_truncated = true;
    assert_int_equal(process(w, &file, &p).status, CPV_IMAGE_BOMB);
    cpv_buf_release(&file);
    cpv_image_worker_close(&w);
}

/* --- colour ------------------------------------------------------------------------ */

/* However it is stored, the scene must come out. */
static void every_way_of_storing_colour_is_read(void **state)
{
    static const struct odd_jpeg ways[] = {
        {JCS_RGB, JCS_YCbCr, 3, 0, 0, 0}, {JCS_RGB, JCS_RGB, 3, 0, 0, 0},
        {JCS_CMYK, JCS_CMYK, 4, 0, 0, 0}, {JCS_CMYK, JCS_YCCK, 4, 0, 0, 0},
        {JCS_RGB, JCS_YCbCr, 3, 0, 1, 1}, {JCS_RGB, JCS_YCbCr, 3, 0, 1, 2},
        {JCS_RGB, JCS_YCbCr, 3, 0, 2, 1}, {JCS_RGB, JCS_YCbCr, 3, 0, 4, 1},
        {JCS_RGB, JCS_YCbCr, 3, 0, 4, 2}, {JCS_RGB, JCS_YCbCr, 3, 0, 2, 4},
    };
    cpv_image_worker *w = open_worker(), *reader = open_worker();

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (int size = 20; size <= 100; size += 20) { /* DCT scaling and enlarging */
            struct cpv_buf file = odd_jpeg(133, 81, ways[i]);
            struct cpv_image_params p;
            struct cpv_pixels out, wanted, whole = scene(133, 81);
            struct cpv_buf memory = {0};
            struct cpv_err err = {0};
            double mse;

            cpv_image_params_default(&p);
            p.size = size;
            out = pixels_of(w, reader, &file, &p);
            assert_int_equal(cpv_image_resize(&whole, out.width, out.height,
                                              size > 81 ? p.upscale : p.downscale,
                                              &memory, &wanted, &err),
                             0);
            mse = compare(&out, &wanted).mse;
            if (!(mse < 60))
                fail_msg("way %zu, size %d: mse %.1f", i, size, mse);
            free(whole.data);
            cpv_buf_release(&memory);
            cpv_buf_release(&file);
        }
    cpv_image_worker_close(&reader);
    cpv_image_worker_close(&w);
}

static void gray_becomes_colour(void **state)
{
    cpv_image_worker *w = open_worker(), *reader = open_worker();
    struct cpv_buf file = load_golden("jpeg-gray.jpg");
    struct cpv_image_params p;
    struct cpv_image_info info;
    struct cpv_pixels out;

    (void)state;
    cpv_image_params_default(&p);
    out = pixels_of(w, reader, &file, &p);
    assert_int_equal(cpv_image_probe(process(w, &file, &p).data, &info), CPV_IMAGE_OK);
    assert_int_equal(info.channels, 3);
    for (uint32_t y = 0; y < out.height; y++)
        for (uint32_t x = 0; x < out.width; x++)
            assert_true(pixel(&out, x, y)[0] == pixel(&out, x, y)[1] &&
                        pixel(&out, x, y)[1] == pixel(&out, x, y)[2]);
    cpv_buf_release(&file);
    cpv_image_worker_close(&reader);
    cpv_image_worker_close(&w);
}

/* Planes of the same size are copied, also where chroma ends in half a sample. */
static void same_size_loses_next_to_nothing(void **state)
{
    cpv_image_worker *w = open_worker(), *reader = open_worker(), *third = open_worker();

    (void)state;
    for (uint32_t width = 9; width < 60; width += 5) {
        struct cpv_buf file = jpeg_of(width, width + 4);
        struct cpv_image_params p;
        struct cpv_pixels before = decode_good(third, cpv_buf_view(&file)), after;
        double mse;

        cpv_image_params_default(&p);
        p.mode = CPV_IMAGE_MODE_NO;
        after = pixels_of(w, reader, &file, &p);
        mse = compare(&before, &after).mse;
        if (!(mse < 2))
            fail_msg("%u wide: mse %.3f", width, mse);
        cpv_buf_release(&file);
    }
    cpv_image_worker_close(&third);
    cpv_image_worker_close(&reader);
    cpv_image_worker_close(&w);
}

/* What a worker did before leaves no trace in what it does next. */
static void workers_have_no_memory(void **state)
{
    static const char *const names[] = {"jpeg-420.jpg",  "bomb-65500.jpg",
                                        "jpeg-gray.jpg", "png-rgba.png",
                                        "jpeg-cmyk.jpg", "jpeg-progressive.jpg"};
    cpv_image_worker *used = open_worker();
    struct cpv_image_params p;

    (void)state;
    cpv_image_params_default(&p);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            cpv_image_worker *fresh = open_worker();
            struct cpv_buf file = load_golden(names[i]);
            struct cpv_image_result a, b;

            p.mode = (enum cpv_image_mode)(i % 5);
            p.size = 30 + (int)i * 7;
            a = process(used, &file, &p);
            b = process(fresh, &file, &p);
            assert_int_equal(a.status, b.status);
            assert_string_equal(a.detail, b.detail);
            assert_true(cpv_bytes_equal(a.data, b.data));
            cpv_buf_release(&file);
            cpv_image_worker_close(&fresh);
        }
    cpv_image_worker_close(&used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_img2dataset),
        cmocka_unit_test(border_is_white_and_the_middle_is_the_image),
        cmocka_unit_test(crop_is_the_middle),
        cmocka_unit_test(orientation_is_applied),
        cmocka_unit_test(keeps_bytes_that_need_no_change),
        cmocka_unit_test(filters_look_at_the_header),
        cmocka_unit_test(results_beyond_the_limit_are_bombs),
        cmocka_unit_test(scans_are_counted),
        cmocka_unit_test(every_way_of_storing_colour_is_read),
        cmocka_unit_test(gray_becomes_colour),
        cmocka_unit_test(same_size_loses_next_to_nothing),
        cmocka_unit_test(workers_have_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
