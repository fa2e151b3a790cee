/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures from strangers: what a file is, whether it is whole, and a JPEG of
 * the wanted size made from it.
 *
 *     probe                        the header alone, nothing is decoded
 *     worker_open                  one per thread; buffers and codecs are reused
 *     process ... process          file in, JPEG (or the file itself) out
 *     decode, resize, encode_jpeg  the same in steps, with RGB pixels between
 *     worker_close
 *
 * Promises:
 *
 *  (1) A bad picture is a status, with words in `detail`; a negative return means
 *      that memory ran out, and nothing else.
 *  (2) The same bytes and parameters give the same result on every run, thread and
 *      processor: decoding and resizing are integer arithmetic throughout.
 *  (3) Nothing is allocated on a header's word alone: pixels, memory and scans are
 *      limited, and a file beyond a limit is CPV_IMAGE_BOMB.
 *  (4) Nothing is printed. Nothing is read outside the given bytes.
 *
 * How process works, and what it costs in fidelity: docs in process.c.
 */
#ifndef CPV_IMAGE_IMAGE_H
#define CPV_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Only JPEG, PNG and WebP are decoded; the others are known so as to say so. */
enum cpv_image_kind {
    CPV_IMAGE_UNKNOWN,
    CPV_IMAGE_JPEG,
    CPV_IMAGE_PNG,
    CPV_IMAGE_WEBP,
    CPV_IMAGE_GIF,
    CPV_IMAGE_BMP,
    CPV_IMAGE_TIFF,
    CPV_IMAGE_AVIF, /* and HEIC: ISO media files with pictures */
    CPV_IMAGE_JXL,
    CPV_IMAGE_JP2,
    CPV_IMAGE_ICO,
    CPV_IMAGE_PSD,
    CPV_IMAGE_SVG,
    CPV_IMAGE_HTML
};

enum cpv_image_status {
    CPV_IMAGE_OK,
    CPV_IMAGE_EMPTY,
    CPV_IMAGE_NOT_IMAGE,
    CPV_IMAGE_UNSUPPORTED, /* a picture, of a kind that is not decoded; animations */
    CPV_IMAGE_BROKEN,      /* truncated or corrupt */
    CPV_IMAGE_BOMB,        /* pixels, scans or memory beyond the limit */
    CPV_IMAGE_TOO_SMALL,   /* the filters of cpv_image_params */
    CPV_IMAGE_TOO_LARGE_AREA,
    CPV_IMAGE_ASPECT
};

/* "ok" "empty" "not_image" "unsupported_format" "decode" "bomb" "too_small"
 * "too_large_area" "aspect": what records and statistics say. */
const char *cpv_image_status_name(enum cpv_image_status status);
/* "jpeg" "png" "webp" "gif" ...; "unknown". */
const char *cpv_image_kind_name(enum cpv_image_kind kind);

struct cpv_image_info {
    enum cpv_image_kind kind;
    uint32_t width, height; /* as stored, before orientation; 0 if not known */
    int orientation;        /* EXIF 1..8; 1 if the file says nothing sensible */
    int channels;           /* 1 gray, 2 gray + alpha, 3 colour, 4 + alpha or CMYK */
    int bits;               /* per channel; 0 if not known */
    bool animated;
    struct cpv_bytes exif; /* the TIFF block, a view of the file; size 0 if none */
};

/*
 * Look at the header. OK for whole JPEG, PNG and WebP headers (an animation
 * included: `animated` says so), UNSUPPORTED for kinds that are not decoded, BROKEN
 * for headers that end early or say nonsense. *out is always filled as far as known.
 */
enum cpv_image_status cpv_image_probe(struct cpv_bytes file, struct cpv_image_info *out);

/* The orientation (1..8) in a TIFF block as in cpv_image_info.exif. */
int cpv_image_exif_orientation(struct cpv_bytes exif);

enum cpv_image_mode {
    CPV_IMAGE_MODE_NO,                 /* keep the size */
    CPV_IMAGE_MODE_BORDER,             /* longest side = size, white round it */
    CPV_IMAGE_MODE_KEEP_RATIO,         /* shortest side = size */
    CPV_IMAGE_MODE_KEEP_RATIO_LARGEST, /* longest side = size */
    CPV_IMAGE_MODE_CENTER_CROP         /* shortest side = size, the middle square */
};

enum cpv_image_filter {
    CPV_IMAGE_AREA,    /* exact box coverage, as OpenCV's INTER_AREA */
    CPV_IMAGE_BICUBIC, /* antialiased, a = -0.5, as Pillow's BICUBIC */
    CPV_IMAGE_LANCZOS  /* antialiased, 3 lobes, as Pillow's LANCZOS */
};

struct cpv_image_params {
    enum cpv_image_mode mode;
    int size;            /* 1..65500; not used by MODE_NO */
    bool only_if_bigger; /* never enlarge (nor pad or crop what is not reduced) */
    enum cpv_image_filter downscale, upscale;
    int quality;           /* of the JPEG, 1..100; chroma is 4:2:0 at every quality */
    bool skip_reencode;    /* an upright RGB or gray JPEG of the right size stays as is */
    bool pass_through;     /* every file stays as is; it is still decoded as a check */
    int64_t min_size;      /* of the smaller side; 0: none */
    double max_area;       /* pixels; INFINITY: none */
    double max_aspect;     /* longer side / smaller side; INFINITY: none */
    int64_t max_pixels;    /* decompression bombs, in and out */
    bool accept_truncated; /* take what a damaged file still shows */
};

/* keep_ratio 256, area and lanczos, quality 95, no filters, 100 million pixels. */
void cpv_image_params_default(struct cpv_image_params *p);

struct cpv_image_result {
    enum cpv_image_status status;
    char detail[160];                         /* deterministic words; empty if OK */
    uint32_t width, height;                   /* of `data`, after orientation */
    uint32_t original_width, original_height; /* of the file, after orientation */
    const char *ext;       /* of `data`: "jpg", "png" or "webp"; NULL unless OK */
    struct cpv_bytes data; /* valid until the next call on the worker; or the input */
    struct cpv_image_info info;
};

/* Opaque; belongs to one thread at a time. */
typedef struct cpv_image_worker cpv_image_worker;

CPV_MUST_CHECK int cpv_image_worker_open(cpv_image_worker **out, struct cpv_err *err);
void cpv_image_worker_close(cpv_image_worker **w);

/*
 * The whole way. Filters and limits are applied to the header, before anything is
 * decoded. EXIF orientation is applied and no EXIF is written; a file kept as it is
 * keeps its own, and the sizes are then still those after orientation.
 */
CPV_MUST_CHECK
int cpv_image_process(cpv_image_worker *w, struct cpv_bytes file,
                      const struct cpv_image_params *params, struct cpv_image_result *out,
                      struct cpv_err *err);

/* 8-bit pixels, channels interleaved (3: RGB, 1: gray), rows `stride` bytes apart. */
struct cpv_pixels {
    uint8_t *data;
    uint32_t width, height;
    size_t stride;
    int channels;
};

/*
 * Decode to upright RGB, alpha over white. `out` lies in the worker and is valid
 * until its next call; result->status says whether there is one (of `result`, only
 * status, detail, sizes and info are filled).
 */
CPV_MUST_CHECK
int cpv_image_decode(cpv_image_worker *w, struct cpv_bytes file, int64_t max_pixels,
                     bool accept_truncated, struct cpv_pixels *out,
                     struct cpv_image_result *result, struct cpv_err *err);

/*
 * Resize to width x height. BICUBIC and LANCZOS are Pillow's to the bit (rows
 * first, 8 bits between); AREA is exact coverage in the same arithmetic. The pixels
 * are put into `memory`, which is cleared first and must not hold `in`. An empty
 * side, or one beyond 65500, is CPV_E_BUG.
 */
CPV_MUST_CHECK
int cpv_image_resize(const struct cpv_pixels *in, uint32_t width, uint32_t height,
                     enum cpv_image_filter filter, struct cpv_buf *memory,
                     struct cpv_pixels *out, struct cpv_err *err);

/* RGB or gray pixels as a 4:2:0 (or gray) JPEG; `out` is valid until the next call
 * on the worker. Sides are 1..65500. */
CPV_MUST_CHECK
int cpv_image_encode_jpeg(cpv_image_worker *w, const struct cpv_pixels *in, int quality,
                          struct cpv_bytes *out, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
