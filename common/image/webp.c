/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading WebP with libwebp: lossy and lossless, alpha over white. libwebp keeps its
 * picture whole in memory, which counts against the decoder's limit.
 */
#include <webp/decode.h>

#include "common/image/private.h"

static void refuse(struct cpv_verdict *v, VP8StatusCode code)
{
    switch (code) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
        cpv_verdict_set(v, CPV_IMAGE_BROKEN, "file ends early");
        break;
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        cpv_verdict_set(v, CPV_IMAGE_UNSUPPORTED, "unsupported feature of WebP");
        break;
    default:
        cpv_verdict_set(v, CPV_IMAGE_BROKEN, "damaged WebP");
    }
}

/* The incremental decoder shows what a cut file holds; for whole ones it is no slower. */
static VP8StatusCode decode(const struct cpv_image_source *s, WebPDecoderConfig *config,
                            bool *some)
{
    WebPIDecoder *decoder = WebPIDecode(NULL, 0, config);
    VP8StatusCode code;
    int last = 0;

    if (!decoder)
        return VP8_STATUS_OUT_OF_MEMORY;
    code = WebPIAppend(decoder, s->file.data, s->file.size);
    *some = WebPIDecGetRGB(decoder, &last, NULL, NULL, NULL) != NULL && last > 0;
    WebPIDelete(decoder);
    return code;
}

static int draw(const struct cpv_row_sink *sink, uint8_t *pixels, uint32_t width,
                uint32_t height, bool alpha, struct cpv_err *err)
{
    size_t row_size = (size_t)width * (alpha ? 4 : 3);
    int rc = sink->begin(sink->context, width, height, err);

    for (uint32_t y = 0; y < height && rc == CPV_OK; y++) {
        uint8_t *row = pixels + y * row_size;

        if (alpha)
            cpv_image_over_white(row, row, width);
        sink->row(sink->context, row);
    }
    return rc;
}

int cpv_webp_to_rows(const struct cpv_image_source *s, const struct cpv_row_sink *sink,
                     struct cpv_buf *memory, struct cpv_verdict *v, struct cpv_err *err)
{
    WebPDecoderConfig config;
    VP8StatusCode code;
    size_t bytes, channels;
    uint32_t width = s->info->width, height = s->info->height;
    bool some = false;

    v->status = CPV_IMAGE_OK;
    /* libwebp is content when the pixels are there; we want the file whole */
    if (!s->accept_truncated && cpv_load_u32(s->file.data + 4) > s->file.size - 8) {
        refuse(v, VP8_STATUS_NOT_ENOUGH_DATA);
        return CPV_OK;
    }
    if (!WebPInitDecoderConfig(&config))
        return cpv_fail(err, CPV_E_BUG, "libwebp differs from its header");
    code = WebPGetFeatures(s->file.data, s->file.size, &config.input);
    if (code != VP8_STATUS_OK || (uint32_t)config.input.width != width ||
        (uint32_t)config.input.height != height) {
        refuse(v, code);
        return CPV_OK;
    }
    channels = config.input.has_alpha ? 4 : 3;
    if (!cpv_size_mul((size_t)width * channels, height, &bytes) ||
        bytes > CPV_IMAGE_MEMORY_MAX) {
        cpv_verdict_set(v, CPV_IMAGE_BOMB, "%u x %u pixels of WebP", width, height);
        return CPV_OK;
    }
    cpv_buf_clear(memory);
    if (!cpv_buf_reserve(memory, bytes))
        return cpv_fail_memory(err);
    memset(memory->data, 255, bytes);
    config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = memory->data;
    config.output.u.RGBA.stride = (int)(width * channels);
    config.output.u.RGBA.size = bytes;
    code = decode(s, &config, &some);
    WebPFreeDecBuffer(&config.output);
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return cpv_fail_memory(err);
    if (code != VP8_STATUS_OK && !(s->accept_truncated && some)) {
        refuse(v, code);
        return CPV_OK;
    }
    return sink ? draw(sink, memory->data, width, height, channels == 4, err) : CPV_OK;
}
