/* SPDX-License-Identifier: Apache-2.0 */
/* Files of every kind against the pixels that Pillow sees in them; and files that
 * must be refused, each with its reason. */
#include "tests/unit/image/helpers.h"

/* Pillow's libjpeg and libwebp are other builds and versions: lossy ones may differ
 * a little, and gray and CMYK by their own rounding. Lossless ones may not. */
static const struct {
    const char *name, *ext;
    int largest;
} good[] = {
    {"jpeg-444", "jpg", 2},
    {"jpeg-422", "jpg", 2},
    {"jpeg-420", "jpg", 2},
    {"jpeg-progressive", "jpg", 2},
    {"jpeg-gray", "jpg", 1},
    {"jpeg-cmyk", "jpg", 2},
    {"jpeg-orientation-1", "jpg", 2},
    {"jpeg-orientation-2", "jpg", 2},
    {"jpeg-orientation-3", "jpg", 2},
    {"jpeg-orientation-4", "jpg", 2},
    {"jpeg-orientation-5", "jpg", 2},
    {"jpeg-orientation-6", "jpg", 2},
    {"jpeg-orientation-7", "jpg", 2},
    {"jpeg-orientation-8", "jpg", 2},
#ifdef CPV_TEST_PNG
    {"png-rgb", "png", 0},
    {"png-rgba", "png", 1},
    {"png-gray", "png", 0},
    {"png-gray-alpha", "png", 1},
    {"png-bits-1", "png", 0},
    {"png-palette", "png", 0},
    {"png-palette-alpha", "png", 1},
    {"png-exif-6", "png", 0},
    {"png-interlaced", "png", 0},
    {"png-interlaced-alpha", "png", 1},
    {"png-rgb-16", "png", 0},
    {"png-gray-16", "png", 0},
#endif
#ifdef CPV_TEST_WEBP
    {"webp-lossy", "webp", 2},
    {"webp-lossless", "webp", 0},
    {"webp-alpha", "webp", 1},
    {"webp-lossy-alpha", "webp", 3},
    {"webp-exif-8", "webp", 0},
#endif
};

static void decodes_what_pillow_sees(void **state)
{
    cpv_image_worker *w = open_worker();

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char name[64];
        struct cpv_buf file, memory;
        struct cpv_pixels p, wanted;
        struct difference d;

        snprintf(name, sizeof name, "%s.%s", good[i].name, good[i].ext);
        file = load_golden(name);
        p = decode_good(w, cpv_buf_view(&file));
        snprintf(name, sizeof name, "%s.ppm", good[i].name);
        wanted = load_ppm(name, &memory);
        d = compare(&p, &wanted);
        if (d.largest > good[i].largest)
            fail_msg("%s: off by %d (mse %.2f)", good[i].name, d.largest, d.mse);
        cpv_buf_release(&memory);
        cpv_buf_release(&file);
    }
    cpv_image_worker_close(&w);
}

static const struct {
    const char *name;
    enum cpv_image_status status;
} bad[] = {
    {"refused-plain.gif", CPV_IMAGE_UNSUPPORTED},
    {"refused-plain.bmp", CPV_IMAGE_UNSUPPORTED},
    {"refused-plain.tiff", CPV_IMAGE_UNSUPPORTED},
    {"refused-plain.jp2", CPV_IMAGE_UNSUPPORTED},
    {"refused-plain.ico", CPV_IMAGE_UNSUPPORTED},
    {"refused-plain.avif", CPV_IMAGE_UNSUPPORTED},
    {"refused-plain.svg", CPV_IMAGE_UNSUPPORTED},
    {"refused-animated.gif", CPV_IMAGE_UNSUPPORTED},
    {"refused-animated.png", CPV_IMAGE_UNSUPPORTED},
    {"refused-animated.webp", CPV_IMAGE_UNSUPPORTED},
    {"bomb-100000.png", CPV_IMAGE_BOMB},
    {"bomb-tall.png", CPV_IMAGE_BOMB},
    {"bomb-65500.jpg", CPV_IMAGE_BOMB},
    {"broken-no-data.jpg", CPV_IMAGE_BROKEN},
    {"photo.ppm", CPV_IMAGE_NOT_IMAGE},
};

static enum cpv_image_status status_of(cpv_image_worker *w, struct cpv_bytes file)
{
    struct cpv_image_params p;
    struct cpv_image_result r, again;
    struct cpv_pixels pixels;
    struct cpv_err err = {0};

    cpv_image_params_default(&p);
    p.mode = CPV_IMAGE_MODE_KEEP_RATIO_LARGEST;
    p.size = 20;
    p.max_pixels = 1000 * 1000;
    assert_int_equal(cpv_image_process(w, file, &p, &r, &err), 0);
    assert_int_equal(r.status == CPV_IMAGE_OK, r.detail[0] == '\0');
    assert_int_equal(r.status == CPV_IMAGE_OK, r.data.size > 0);
    assert_int_equal(r.status == CPV_IMAGE_OK, r.ext != NULL);
    p.pass_through = true;
    assert_int_equal(cpv_image_process(w, file, &p, &again, &err), 0);
    assert_int_equal(again.status, r.status);
    assert_string_equal(again.detail, r.detail);
    assert_int_equal(
        cpv_image_decode(w, file, p.max_pixels, false, &pixels, &again, &err), 0);
    assert_int_equal(again.status, r.status);
    assert_string_equal(again.detail, r.detail);
    return r.status;
}

static void refuses_with_the_reason(void **state)
{
    static const char *const pages[] = {"<html><body>404</body></html>",
                                        "\n  <!DOCTYPE HTML><svg></svg>",
                                        "\xEF\xBB\xBF<?xml version='1.0'?><Error/>",
                                        "not a picture",
                                        "<",
                                        "\xFF\xD8"};
    cpv_image_worker *w = open_worker();

    (void)state;
    assert_int_equal(status_of(w, cpv_bytes_of(NULL, 0)), CPV_IMAGE_EMPTY);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        assert_int_equal(status_of(w, cpv_bytes_str(pages[i])), CPV_IMAGE_NOT_IMAGE);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cpv_buf file = load_golden(bad[i].name);
        enum cpv_image_status status = status_of(w, cpv_buf_view(&file));

        if (status != bad[i].status)
            fail_msg("%s: %s, not %s", bad[i].name, cpv_image_status_name(status),
                     cpv_image_status_name(bad[i].status));
        cpv_buf_release(&file);
    }
    cpv_image_worker_close(&w);
}

/* A copy of exactly n bytes, so that a sanitizer sees any read beyond. */
static uint8_t *exact_copy(const struct cpv_buf *file, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);

    assert_non_null(copy);
    memcpy(copy, file->data, n);
    return copy;
}

static void cut_anywhere_is_never_good(void **state)
{
    cpv_image_worker *w = open_worker();

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char name[64];
        struct cpv_buf file;

        snprintf(name, sizeof name, "%s.%s", good[i].name, good[i].ext);
        file = load_golden(name);
        assert_int_equal(status_of(w, cpv_buf_view(&file)), CPV_IMAGE_OK);
        for (size_t n = 0; n < file.size; n++) {
            uint8_t *copy = exact_copy(&file, n);
            enum cpv_image_status status = status_of(w, cpv_bytes_of(copy, n));

            if (status == CPV_IMAGE_OK)
                fail_msg("%s is good with %zu of %zu bytes", name, n, file.size);
            free(copy);
        }
        cpv_buf_release(&file);
    }
    cpv_image_worker_close(&w);
}

static void accepts_cut_files_on_request(void **state)
{
    static const struct {
        const char *name;
        int missing; /* bytes, without which there is still a picture */
    } files[] = {
        {"jpeg-420.jpg", 100},    {"jpeg-progressive.jpg", 10},
#ifdef CPV_TEST_PNG
        {"png-rgb-16.png", 2000}, {"png-interlaced-alpha.png", 1000},
#endif
#ifdef CPV_TEST_WEBP
        {"webp-lossy.webp", 30},
#endif
    };
    cpv_image_worker *w = open_worker();

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct cpv_buf file = load_golden(files[i].name);
        struct cpv_image_params p;
        struct cpv_image_result r;
        struct cpv_err err = {0};

        cpv_image_params_default(&p);
        p.accept_truncated = true;
        p.size = 20;
        for (size_t n = 0; n <= file.size; n++) {
            uint8_t *copy = exact_copy(&file, n);

            assert_int_equal(cpv_image_process(w, cpv_bytes_of(copy, n), &p, &r, &err),
                             0);
            free(copy);
            if (n + (size_t)files[i].missing == file.size && r.status != CPV_IMAGE_OK)
                fail_msg("%s: nothing: %s", files[i].name, r.detail);
            if (r.status == CPV_IMAGE_OK) {
                struct cpv_buf out = {0};

                cpv_buf_add(&out, r.data.data, r.data.size);
                decode_good(w, cpv_buf_view(&out));
                cpv_buf_release(&out);
            }
        }
        cpv_buf_release(&file);
    }
    cpv_image_worker_close(&w);
}

/* Every byte of a file flipped: a status, whatever it is, and no crash. */
static void damage_anywhere_is_a_status(void **state)
{
    cpv_image_worker *w = open_worker();

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char name[64];
        struct cpv_buf file;

        snprintf(name, sizeof name, "%s.%s", good[i].name, good[i].ext);
        file = load_golden(name);
        for (size_t n = 0; n < file.size; n++) {
            file.data[n] ^= 0xFF;
            (void)status_of(w, cpv_buf_view(&file));
            file.data[n] ^= 0xFF;
        }
        cpv_buf_release(&file);
    }
    cpv_image_worker_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_what_pillow_sees),
        cmocka_unit_test(refuses_with_the_reason),
        cmocka_unit_test(cut_anywhere_is_never_good),
        cmocka_unit_test(accepts_cut_files_on_request),
        cmocka_unit_test(damage_anywhere_is_a_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
