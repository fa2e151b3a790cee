/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 8x8 inverse DCT of libjpeg's "islow" (jidctint.c: Loeffler, Ligtenberg and
 * Moschytz, 13-bit constants), to the bit.
 */
#ifndef CPV_IMAGE_IDCT_H
#define CPV_IMAGE_IDCT_H

#include <stdbool.h>
#include <stdint.h>

/* Above this sum of absolute coefficients, implementations with 16-bit steps may
 * differ from those without; cameras stay below, and libjpeg gets the others. */
enum { CPV_IDCT_SUM_MAX = 5800 };

/*
 * Coefficients and the steps that they are multiplied with, both in natural order and
 * 16-byte aligned, to rows[0..7][at..at + 7]. false: the products' sum is too large,
 * and nothing is written.
 */
bool cpv_idct_plain(const int16_t block[64], const int16_t steps[64],
                    uint8_t *const rows[8], uint32_t at);
bool cpv_idct(const int16_t block[64], const int16_t steps[64], uint8_t *const rows[8],
              uint32_t at);

#endif
