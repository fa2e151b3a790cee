/* SPDX-License-Identifier: Apache-2.0 */
/* In place of webp.c where libwebp is absent. */
#include "common/image/private.h"

int cpv_webp_to_rows(const struct cpv_image_source *s, const struct cpv_row_sink *sink,
                     struct cpv_buf *memory, struct cpv_verdict *v, struct cpv_err *err)
{
    (void)s;
    (void)sink;
    (void)memory;
    (void)err;
    cpv_verdict_set(v, CPV_IMAGE_UNSUPPORTED, "built without WebP");
    return CPV_OK;
}
