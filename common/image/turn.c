/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXIF orientation as three bits: exchange the axes, mirror the stored x, mirror
 * the stored y. TIFF 6.0 tag 274; 6 ("right-top") is a phone held upright.
 */
#include "common/image/private.h"

struct cpv_turn cpv_turn_of(int orientation)
{
    struct cpv_turn turn = {
        .swap = orientation >= 5,
        .flip_x =
            orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8,
        .flip_y =
            orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7,
    };

    return turn;
}

static void turn_row(const uint8_t *from, ptrdiff_t step, uint32_t count, int channels,
                     uint8_t *to)
{
    if (channels == 1) {
        for (uint32_t x = 0; x < count; x++, from += step)
            to[x] = *from;
        return;
    }
    for (uint32_t x = 0; x < count; x++, from += step, to += channels)
        memcpy(to, from, (size_t)channels);
}

void cpv_turn_pixels(struct cpv_turn turn, const uint8_t *from, size_t from_stride,
                     uint32_t stored_width, uint32_t stored_height, int channels,
                     uint8_t *to, size_t to_stride)
{
    ptrdiff_t right = channels, down = (ptrdiff_t)from_stride, swapped;
    uint32_t width = turn.swap ? stored_height : stored_width;
    uint32_t height = turn.swap ? stored_width : stored_height;

    if (turn.flip_x) {
        from += (size_t)(stored_width - 1) * (size_t)channels;
        right = -right;
    }
    if (turn.flip_y) {
        from += (size_t)(stored_height - 1) * from_stride;
        down = -down;
    }
    if (turn.swap) {
        swapped = right;
        right = down;
        down = swapped;
    }
    for (uint32_t y = 0; y < height; y++, to += to_stride)
        turn_row(from + (ptrdiff_t)y * down, right, width, channels, to);
}
