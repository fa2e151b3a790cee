/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a picture. The first byte chooses the parameters, the rest is the
 * file. A result must be a JPEG of the promised size that reads back.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check(const struct cpv_image_result *r)
{
    cpv_image_worker *reader = NULL;
    struct cpv_image_result again;
    struct cpv_pixels p;

    require(cpv_image_worker_open(&reader, NULL) == 0);
    require(cpv_image_decode(reader, r->data, 1 << 22, false, &p, &again, NULL) == 0);
    require(again.status == CPV_IMAGE_OK);
    require(p.width == r->width && p.height == r->height);
    cpv_image_worker_close(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cpv_image_worker *w = NULL;
    struct cpv_image_params p;
    struct cpv_image_result r;
    struct cpv_bytes file;

    if (size == 0)
        return 0;
    file = cpv_bytes_of(data + 1, size - 1);
    cpv_image_params_default(&p);
    p.mode = (enum cpv_image_mode)(data[0] % 5);
    p.size = data[0] & 0x20 ? 33 : 64;
    p.accept_truncated = data[0] & 0x40;
    p.skip_reencode = data[0] & 0x80;
    p.downscale = data[0] & 0x10 ? CPV_IMAGE_BICUBIC : CPV_IMAGE_AREA;
    p.max_pixels = 1 << 20;
    require(cpv_image_worker_open(&w, NULL) == 0);
    require(cpv_image_process(w, file, &p, &r, NULL) == 0);
    require((r.status == CPV_IMAGE_OK) == (r.detail[0] == '\0'));
    if (r.status == CPV_IMAGE_OK && r.data.data != file.data)
        check(&r);
    cpv_image_worker_close(&w);
    return 0;
}
