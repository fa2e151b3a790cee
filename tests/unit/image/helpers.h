/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of common/image share: golden files, PPM, and a comparator. */
#ifndef CPV_TEST_IMAGE_HELPERS_H
#define CPV_TEST_IMAGE_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/image/image.h"

static inline const char *golden_dir(void)
{
    const char *dir = getenv("CAPIVARA_TEST_GOLDEN");

    return dir ? dir : "tests/golden";
}

/* The caller releases. */
static inline struct cpv_buf load_file(const char *path)
{
    struct cpv_buf b = {0};
    struct cpv_err err = {0};

    if (cpv_file_read(path, 64 << 20, &b, &err) != 0)
        fail_msg("%s", err.text);
    return b;
}

static inline struct cpv_buf load_golden(const char *name)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/images/%s", golden_dir(), name);
    return load_file(path);
}

/* Pixels of a P6 file; they lie in *memory. */
static inline struct cpv_pixels load_ppm(const char *name, struct cpv_buf *memory)
{
    struct cpv_pixels p = {0};
    char *at;

    *memory = load_golden(name);
    assert_non_null(cpv_buf_cstr(memory));
    assert_memory_equal(memory->data, "P6", 2);
    p.width = (uint32_t)strtoul((char *)memory->data + 2, &at, 10);
    p.height = (uint32_t)strtoul(at, &at, 10);
    assert_int_equal(strtoul(at, &at, 10), 255);
    p.channels = 3;
    p.stride = (size_t)p.width * 3;
    p.data = (uint8_t *)at + 1;
    assert_int_equal(memory->size, (size_t)(p.data - memory->data) + p.stride * p.height);
    return p;
}

struct difference {
    double mse;
    int largest;
};

static inline struct difference compare(const struct cpv_pixels *a,
                                        const struct cpv_pixels *b)
{
    struct difference d = {0, 0};

    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->channels, b->channels);
    for (uint32_t y = 0; y < a->height; y++)
        for (size_t i = 0; i < (size_t)a->width * (size_t)a->channels; i++) {
            int one = a->data[y * a->stride + i] - b->data[y * b->stride + i];

            d.mse += one * one;
            if (abs(one) > d.largest)
                d.largest = abs(one);
        }
    d.mse /= (double)a->height * a->width * a->channels;
    return d;
}

static inline cpv_image_worker *open_worker(void)
{
    cpv_image_worker *w = NULL;
    struct cpv_err err = {0};

    assert_int_equal(cpv_image_worker_open(&w, &err), 0);
    return w;
}

/* Decode bytes that must be good. */
static inline struct cpv_pixels decode_good(cpv_image_worker *w, struct cpv_bytes file)
{
    struct cpv_image_result r;
    struct cpv_pixels p;
    struct cpv_err err = {0};

    assert_int_equal(cpv_image_decode(w, file, 100000000, false, &p, &r, &err), 0);
    if (r.status != CPV_IMAGE_OK)
        fail_msg("%s: %s", cpv_image_status_name(r.status), r.detail);
    return p;
}

#endif
