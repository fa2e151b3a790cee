/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a picture's file to what a vision tower takes, by preprocessor_config.json as
 * Hugging Face's image processors do: upright RGB, resized to a square without keeping
 * the ratio or cropping (BLIP; bicubic, antialiased, in 8 bits as Pillow 13 does), scaled
 * to 0..1, minus mean, over standard deviation.
 *
 *     cpv_pixels_config_read                       once
 *     cpv_pixels_open ... cpv_pixels_make ...      each thread
 *
 * Transparent pixels are shown over white (Pillow's convert("RGB") would show what is
 * behind them), and orientation is applied.
 */
#ifndef CPV_MODEL_PIXELS_H
#define CPV_MODEL_PIXELS_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/image/image.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_pixels_config {
    int size; /* of both sides, in pixels */
    enum cpv_image_filter filter;
    float mean[3], std[3];
    double rescale; /* 1 / 255 */
};

/* FOLDER/preprocessor_config.json. CPV_E_INPUT names what cannot be done as it says. */
CPV_MUST_CHECK int cpv_pixels_config_read(struct cpv_pixels_config *out,
                                          const char *folder, struct cpv_err *err);

typedef struct cpv_pixels_maker cpv_pixels_maker;

CPV_MUST_CHECK int cpv_pixels_open(cpv_pixels_maker **out,
                                   const struct cpv_pixels_config *config,
                                   struct cpv_err *err);
void cpv_pixels_close(cpv_pixels_maker **p);

/*
 * Planes red, green, blue, [3 * size * size], into `out`. A picture that cannot be read
 * is no error: *status says so, with words in `detail` (valid until the next call), and
 * nothing is written. max_pixels: of the decoded picture.
 */
CPV_MUST_CHECK int cpv_pixels_make(cpv_pixels_maker *p, struct cpv_bytes file,
                                   int64_t max_pixels, float *out,
                                   enum cpv_image_status *status, const char **detail,
                                   struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
