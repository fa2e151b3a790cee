/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a picture's file to what a vision tower takes: upright RGB, resized (bicubic,
 * antialiased, in 8 bits as Pillow 13 does), scaled to 0..1, minus mean, over standard
 * deviation. Either by preprocessor_config.json as Hugging Face's image processors do
 * (BLIP: to a square, without keeping the ratio or cropping), or by the preprocess_cfg of
 * open_clip_config.json as open_clip's image_transform does (the shorter side to the
 * size, then the middle square).
 *
 *     cpv_pixels_config_read or _clip              once
 *     cpv_pixels_open ... cpv_pixels_make ...      each thread
 *
 * Pictures in colour or gray give open_clip's and transformers' bits. Others are made RGB
 * first and resized then, where open_clip resizes in the file's own mode: transparent
 * pixels are shown over white (Pillow's convert("RGB") would show what is behind them),
 * palettes are smooth (Pillow takes the nearest pixel), CMYK may differ by a rounding.
 * Orientation is applied, which open_clip does not.
 */
#ifndef CPV_MODEL_PIXELS_H
#define CPV_MODEL_PIXELS_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/format/hf_config.h"
#include "common/image/image.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_pixels_config {
    int size;  /* of both sides, in pixels */
    bool crop; /* the ratio is kept, and the middle square taken */
    enum cpv_image_filter filter;
    float mean[3], std[3];
    double rescale; /* 1 / 255 */
};

/* FOLDER/preprocessor_config.json. CPV_E_INPUT names what cannot be done as it says. */
CPV_MUST_CHECK int cpv_pixels_config_read(struct cpv_pixels_config *out,
                                          const char *folder, struct cpv_err *err);

/* The object preprocess_cfg of an open_clip_config.json, for a tower that takes `image`
 * pixels a side. Mistakes are kept by the configuration. */
void cpv_pixels_config_clip(struct cpv_pixels_config *out, const struct cpv_hf_object *o,
                            int image);

typedef struct cpv_pixels_maker cpv_pixels_maker;

CPV_MUST_CHECK int cpv_pixels_open(cpv_pixels_maker **out,
                                   const struct cpv_pixels_config *config,
                                   struct cpv_err *err);
void cpv_pixels_close(cpv_pixels_maker **p);

/*
 * Planes red, green, blue, [3 * size * size], into `out`. A picture that cannot be read
 * is no error: *status says so, with words in `detail` (valid until the next call), and
 * nothing is written. max_pixels: of the decoded picture. With `crop` a picture of
 * which one side is more than some 65000 / size times the other is CPV_IMAGE_ASPECT.
 */
CPV_MUST_CHECK int cpv_pixels_make(cpv_pixels_maker *p, struct cpv_bytes file,
                                   int64_t max_pixels, float *out,
                                   enum cpv_image_status *status, const char **detail,
                                   struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
