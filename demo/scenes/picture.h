/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures as files in memory: JPEG of every kind that one meets, PNG, WebP, and
 * JPEG whose EXIF tag has to be obeyed to see the picture upright.
 */
#ifndef CPV_DEMO_PICTURE_H
#define CPV_DEMO_PICTURE_H

#include "common/base/bytes.h"
#include "common/base/error.h"

enum cpv_picture_format { CPV_PICTURE_JPEG, CPV_PICTURE_PNG, CPV_PICTURE_WEBP };

struct cpv_picture_file {
    enum cpv_picture_format format;
    int quality;      /* JPEG and WebP: 1 .. 100 */
    bool full_chroma; /* JPEG: 4:4:4, else 4:2:0 */
    bool gray;        /* JPEG: one component */
    bool progressive; /* JPEG */
    int orientation;  /* JPEG: EXIF's 1 .. 8; above 1 the pixels are stored turned */
};

/* Is the library for it built in? JPEG always is. */
bool cpv_picture_can(enum cpv_picture_format format);
/* ".jpg" */
const char *cpv_picture_suffix(enum cpv_picture_format format);

/*
 * Append the file of an upright rgb picture. The bytes are the same each time, but
 * other versions of the libraries may write others.
 */
CPV_MUST_CHECK int cpv_picture_encode(const uint8_t *rgb, int width, int height,
                                      const struct cpv_picture_file *file,
                                      struct cpv_buf *out, struct cpv_err *err);

/* Pixels as orientation 2 .. 8 has them stored; sizes of 5 .. 8 are swapped. */
void cpv_picture_turn(const uint8_t *rgb, int width, int height, int orientation,
                      uint8_t *out);

#endif
