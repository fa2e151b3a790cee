/* SPDX-License-Identifier: Apache-2.0 */
/* Headers: sizes, EXIF in both byte orders, kinds; read within the bytes, always. */
#include "tests/unit/image/helpers.h"

static const struct {
    const char *name;
    enum cpv_image_status status;
    enum cpv_image_kind kind;
    uint32_t width, height;
    int orientation, channels, bits;
    bool animated;
} files[] = {
    {"jpeg-420.jpg", CPV_IMAGE_OK, CPV_IMAGE_JPEG, 37, 23, 1, 3, 8, false},
    {"jpeg-gray.jpg", CPV_IMAGE_OK, CPV_IMAGE_JPEG, 37, 23, 1, 1, 8, false},
    {"jpeg-cmyk.jpg", CPV_IMAGE_OK, CPV_IMAGE_JPEG, 37, 23, 1, 4, 8, false},
    {"jpeg-orientation-5.jpg", CPV_IMAGE_OK, CPV_IMAGE_JPEG, 37, 23, 5, 3, 8, false},
    {"bomb-65500.jpg", CPV_IMAGE_OK, CPV_IMAGE_JPEG, 65500, 65500, 1, 1, 8, false},
    {"png-exif-6.png", CPV_IMAGE_OK, CPV_IMAGE_PNG, 37, 23, 6, 3, 8, false},
    {"png-gray-16.png", CPV_IMAGE_OK, CPV_IMAGE_PNG, 37, 23, 1, 1, 16, false},
    {"png-bits-1.png", CPV_IMAGE_OK, CPV_IMAGE_PNG, 37, 23, 1, 1, 1, false},
    {"png-rgba.png", CPV_IMAGE_OK, CPV_IMAGE_PNG, 37, 23, 1, 4, 8, false},
    {"bomb-100000.png", CPV_IMAGE_OK, CPV_IMAGE_PNG, 100000, 100000, 1, 3, 8, false},
    {"refused-animated.png", CPV_IMAGE_OK, CPV_IMAGE_PNG, 16, 10, 1, 3, 8, true},
    {"webp-lossy.webp", CPV_IMAGE_OK, CPV_IMAGE_WEBP, 37, 23, 1, 3, 8, false},
    {"webp-lossless.webp", CPV_IMAGE_OK, CPV_IMAGE_WEBP, 37, 23, 1, 3, 8, false},
    {"webp-exif-8.webp", CPV_IMAGE_OK, CPV_IMAGE_WEBP, 37, 23, 8, 3, 8, false},
    {"refused-animated.webp", CPV_IMAGE_OK, CPV_IMAGE_WEBP, 16, 10, 1, 3, 8, true},
    {"refused-plain.gif", CPV_IMAGE_UNSUPPORTED, CPV_IMAGE_GIF, 0, 0, 1, 0, 0, false},
    {"refused-plain.bmp", CPV_IMAGE_UNSUPPORTED, CPV_IMAGE_BMP, 0, 0, 1, 0, 0, false},
    {"refused-plain.tiff", CPV_IMAGE_UNSUPPORTED, CPV_IMAGE_TIFF, 0, 0, 1, 0, 0, false},
    {"refused-plain.jp2", CPV_IMAGE_UNSUPPORTED, CPV_IMAGE_JP2, 0, 0, 1, 0, 0, false},
    {"refused-plain.ico", CPV_IMAGE_UNSUPPORTED, CPV_IMAGE_ICO, 0, 0, 1, 0, 0, false},
    {"refused-plain.avif", CPV_IMAGE_UNSUPPORTED, CPV_IMAGE_AVIF, 0, 0, 1, 0, 0, false},
    {"refused-plain.svg", CPV_IMAGE_UNSUPPORTED, CPV_IMAGE_SVG, 0, 0, 1, 0, 0, false},
};

static void headers_say_what_is_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct cpv_buf file = load_golden(files[i].name);
        struct cpv_image_info info;
        enum cpv_image_status status = cpv_image_probe(cpv_buf_view(&file), &info);

        if (status != files[i].status || info.kind != files[i].kind ||
            info.width != files[i].width || info.height != files[i].height ||
            info.orientation != files[i].orientation ||
            info.channels != files[i].channels || info.bits != files[i].bits ||
            info.animated != files[i].animated)
            fail_msg("%s: status %d, kind %d, %u x %u, orientation %d, channels %d, "
                     "bits %d, animated %d",
                     files[i].name, status, info.kind, info.width, info.height,
                     info.orientation, info.channels, info.bits, info.animated);
        cpv_buf_release(&file);
    }
}

static void nothing_is_read_beyond_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct cpv_buf file = load_golden(files[i].name);

        for (size_t n = 0; n < file.size; n++) {
            uint8_t *copy = malloc(n > 0 ? n : 1);
            struct cpv_image_info info;
            enum cpv_image_status status;

            memcpy(copy, file.data, n);
            status = cpv_image_probe(cpv_bytes_of(copy, n), &info);
            assert_true(n > 0 || status == CPV_IMAGE_EMPTY);
            if (info.exif.size > 0)
                assert_true(info.exif.data >= copy &&
                            info.exif.data + info.exif.size <= copy + n);
            free(copy);
        }
        cpv_buf_release(&file);
    }
}

#define EXIF(bytes) cpv_bytes_of(bytes, sizeof(bytes) - 1)

static void orientation_in_both_byte_orders(void **state)
{
    struct cpv_bytes little =
        EXIF("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0");
    struct cpv_bytes big =
        EXIF("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0");

    (void)state;
    assert_int_equal(cpv_image_exif_orientation(little), 6);
    assert_int_equal(cpv_image_exif_orientation(big), 8);
    for (size_t n = 0; n < big.size; n++) {
        big.size = n;
        assert_int_equal(cpv_image_exif_orientation(big), 1);
        big.size = 22;
    }
    /* 0, 9, another type, a directory far outside, another magic number */
    assert_int_equal(cpv_image_exif_orientation(
                         EXIF("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0")),
                     1);
    assert_int_equal(cpv_image_exif_orientation(
                         EXIF("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0")),
                     1);
    assert_int_equal(cpv_image_exif_orientation(
                         EXIF("II*\0\x08\0\0\0\x01\0\x12\x01\x04\0\x01\0\0\0\x06\0\0\0")),
                     1);
    assert_int_equal(cpv_image_exif_orientation(EXIF("II*\0\xFF\xFF\xFF\xFF\x01\0")), 1);
    assert_int_equal(cpv_image_exif_orientation(
                         EXIF("II+\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0")),
                     1);
}

static void names_are_those_of_the_records(void **state)
{
    (void)state;
    assert_string_equal(cpv_image_status_name(CPV_IMAGE_OK), "ok");
    assert_string_equal(cpv_image_status_name(CPV_IMAGE_EMPTY), "empty");
    assert_string_equal(cpv_image_status_name(CPV_IMAGE_NOT_IMAGE), "not_image");
    assert_string_equal(cpv_image_status_name(CPV_IMAGE_UNSUPPORTED),
                        "unsupported_format");
    assert_string_equal(cpv_image_status_name(CPV_IMAGE_BROKEN), "decode");
    assert_string_equal(cpv_image_status_name(CPV_IMAGE_BOMB), "bomb");
    assert_string_equal(cpv_image_status_name(CPV_IMAGE_TOO_SMALL), "too_small");
    assert_string_equal(cpv_image_status_name(CPV_IMAGE_TOO_LARGE_AREA),
                        "too_large_area");
    assert_string_equal(cpv_image_status_name(CPV_IMAGE_ASPECT), "aspect");
    assert_string_equal(cpv_image_kind_name(CPV_IMAGE_HTML), "html");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_say_what_is_there),
        cmocka_unit_test(nothing_is_read_beyond_the_end),
        cmocka_unit_test(orientation_in_both_byte_orders),
        cmocka_unit_test(names_are_those_of_the_records),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
