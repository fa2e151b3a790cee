/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one thing that we want of EXIF: which way is up. TIFF 6.0 section 2, EXIF 2.3
 * section 4.6.4. Tolerant, because cameras are: what does not parse is upright.
 */
#include "common/image/image.h"
#include "common/image/private.h"

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_SIZE = 12 };

struct tiff {
    struct cpv_bytes bytes;
    bool big_endian;
};

static uint32_t tiff_u16(const struct tiff *t, size_t at)
{
    const uint8_t *p = t->bytes.data + at;

    return t->big_endian ? cpv_image_be16(p) : cpv_load_u16(p);
}

static uint32_t tiff_u32(const struct tiff *t, size_t at)
{
    const uint8_t *p = t->bytes.data + at;

    return t->big_endian ? cpv_image_be32(p) : cpv_load_u32(p);
}

int cpv_image_exif_orientation(struct cpv_bytes exif)
{
    struct tiff t = {exif, false};
    uint32_t ifd, entries, value;

    if (exif.size < 8)
        return 1;
    if (memcmp(exif.data, "MM\0*", 4) == 0)
        t.big_endian = true;
    else if (memcmp(exif.data, "II*\0", 4) != 0)
        return 1;
    ifd = tiff_u32(&t, 4);
    if (!cpv_range_in(ifd, 2, exif.size))
        return 1;
    entries = tiff_u16(&t, ifd);
    for (uint32_t i = 0; i < entries; i++) {
        uint64_t at = (uint64_t)ifd + 2 + (uint64_t)i * ENTRY_SIZE;

        if (!cpv_range_in(at, ENTRY_SIZE, exif.size))
            return 1;
        if (tiff_u16(&t, (size_t)at) != TAG_ORIENTATION)
            continue;
        if (tiff_u16(&t, (size_t)at + 2) != TYPE_SHORT ||
            tiff_u32(&t, (size_t)at + 4) != 1)
            return 1;
        value = tiff_u16(&t, (size_t)at + 8);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
