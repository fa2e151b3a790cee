/* SPDX-License-Identifier: Apache-2.0 */
/* Scaling: closed forms, the fast loops against plain C to the bit, and Pillow. */
#include "common/image/scale.h"
#include "tests/unit/image/helpers.h"

enum { SIDE = 300 };

struct plane {
    uint8_t data[SIDE * (SIDE + 64)];
    uint32_t width, height;
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void fill_random(struct plane *p, uint32_t width, uint32_t height, uint32_t *seed)
{
    p->width = width;
    p->height = height;
    for (uint32_t i = 0; i < width * height; i++) {
        uint32_t r = next_random(seed);

        p->data[i] = r & 3 ? (uint8_t)(r >> 2) : r & 4 ? 255 : 0;
    }
}

static void scale(const struct plane *in, struct plane *out,
                  const struct cpv_scale_kernels *kernels, enum cpv_image_filter filter)
{
    struct cpv_axis_spec x = {filter, in->width, in->width, out->width, 0, 1, out->width};
    struct cpv_axis_spec y = {filter, in->height, in->height, out->height,
                              0,      1,          out->height};
    struct cpv_scaler s = {.kernels = kernels};
    struct cpv_err err = {0};
    size_t stride = out->width + 64;

    assert_int_equal(cpv_scaler_begin(&s, &x, &y, 3, out->data, stride, &err), 0);
    for (uint32_t row = 0; row < in->height; row += 3) {
        for (uint32_t k = 0; k < 3 && row + k < in->height; k++)
            memcpy(cpv_scaler_row(&s, k), in->data + (row + k) * in->width, in->width);
        cpv_scaler_push(&s, 3);
    }
    assert_int_equal(s.made, out->height);
    for (uint32_t row = 0; row < out->height; row++)
        memmove(out->data + row * out->width, out->data + row * stride, out->width);
    cpv_scaler_release(&s);
}

static const uint32_t sides[][2] = {{1, 1},    {2, 1},    {1, 9},    {7, 3},   {64, 64},
                                    {200, 33}, {33, 200}, {255, 17}, {3, 150}, {97, 96}};

static void every_loop_gives_the_same_bits(void **state)
{
    static struct plane in, plain, fast;
    uint32_t seed = 7;

    (void)state;
    for (unsigned k = 1; cpv_scale_nth(k); k++)
        for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
            for (size_t j = 0; j < sizeof sides / sizeof *sides; j++)
                for (int f = CPV_IMAGE_AREA; f <= CPV_IMAGE_LANCZOS; f++) {
                    fill_random(&in, sides[i][0], sides[i][1], &seed);
                    plain.width = fast.width = sides[j][0];
                    plain.height = fast.height = sides[j][1];
                    scale(&in, &plain, &cpv_scale_plain, (enum cpv_image_filter)f);
                    scale(&in, &fast, cpv_scale_nth(k), (enum cpv_image_filter)f);
                    assert_memory_equal(plain.data, fast.data,
                                        plain.width * plain.height);
                }
}

static void flat_stays_flat(void **state)
{
    static struct plane in, out;

    (void)state;
    for (int value = 0; value < 256; value += 51)
        for (size_t j = 0; j < sizeof sides / sizeof *sides; j++)
            for (int f = CPV_IMAGE_AREA; f <= CPV_IMAGE_LANCZOS; f++) {
                in.width = 61;
                in.height = 43;
                memset(in.data, value, sizeof in.data);
                out.width = sides[j][0];
                out.height = sides[j][1];
                scale(&in, &out, NULL, (enum cpv_image_filter)f);
                for (uint32_t i = 0; i < out.width * out.height; i++)
                    assert_int_equal(out.data[i], value);
            }
}

/* Against the definition in double, for a ratio that is no integer. */
static void area_is_coverage(void **state)
{
    static struct plane in, out;
    uint32_t seed = 3;

    (void)state;
    fill_random(&in, 100, 75, &seed);
    out.width = 68;
    out.height = 51;
    scale(&in, &out, NULL, CPV_IMAGE_AREA);
    for (uint32_t oy = 0; oy < 51; oy++)
        for (uint32_t ox = 0; ox < 68; ox++) {
            double x0 = ox * 100.0 / 68, x1 = (ox + 1) * 100.0 / 68, sum = 0, all = 0;
            double y0 = oy * 75.0 / 51, y1 = (oy + 1) * 75.0 / 51;

            for (uint32_t y = (uint32_t)y0; y < 75 && y < y1; y++)
                for (uint32_t x = (uint32_t)x0; x < 100 && x < x1; x++) {
                    double w = ((x + 1 < x1 ? x + 1 : x1) - (x > x0 ? x : x0)) *
                               ((y + 1 < y1 ? y + 1 : y1) - (y > y0 ? y : y0));

                    sum += w * in.data[y * 100 + x];
                    all += w;
                }
            if (!(abs((int)out.data[oy * 68 + ox] - (int)(sum / all + 0.5)) <= 1))
                fail_msg("%u, %u: %u, not %.2f", ox, oy, out.data[oy * 68 + ox],
                         sum / all);
        }
}

static void same_size_is_a_copy(void **state)
{
    static struct plane in, out;
    uint32_t seed = 5;

    (void)state;
    for (int f = CPV_IMAGE_AREA; f <= CPV_IMAGE_LANCZOS; f++) {
        fill_random(&in, 90, 70, &seed);
        out.width = 90;
        out.height = 70;
        scale(&in, &out, NULL, (enum cpv_image_filter)f);
        assert_memory_equal(in.data, out.data, 90 * 70);
    }
}

static void resizes_as_pillow_to_the_bit(void **state)
{
    static const uint32_t to[][2] = {{24, 24}, {61, 20}, {96, 80}, {1, 1}};
    struct cpv_buf photo_memory, memory = {0}, wanted_memory;
    struct cpv_pixels photo = load_ppm("photo.ppm", &photo_memory), out, wanted;
    struct cpv_err err = {0};

    (void)state;
    for (int f = CPV_IMAGE_BICUBIC; f <= CPV_IMAGE_LANCZOS; f++)
        for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
            char name[64];

            snprintf(name, sizeof name, "resize-%s-%ux%u.ppm",
                     f == CPV_IMAGE_BICUBIC ? "bicubic" : "lanczos", to[i][0], to[i][1]);
            wanted = load_ppm(name, &wanted_memory);
            assert_int_equal(cpv_image_resize(&photo, to[i][0], to[i][1],
                                              (enum cpv_image_filter)f, &memory, &out,
                                              &err),
                             0);
            if (compare(&out, &wanted).largest != 0)
                fail_msg("%s: off by %d", name, compare(&out, &wanted).largest);
            cpv_buf_release(&wanted_memory);
        }
    assert_int_equal(cpv_image_resize(&photo, 0, 5, CPV_IMAGE_AREA, &memory, &out, &err),
                     CPV_E_BUG);
    cpv_buf_release(&memory);
    cpv_buf_release(&photo_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loop_gives_the_same_bits),
        cmocka_unit_test(flat_stays_flat),
        cmocka_unit_test(area_is_coverage),
        cmocka_unit_test(same_size_is_a_copy),
        cmocka_unit_test(resizes_as_pillow_to_the_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
