/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8, one character at a time. Whoever reads texts of others goes through here, so
 * that all of us see the same characters, and the same number of replacements, as Python
 * does.
 */
#ifndef CPV_BASE_UTF8_H
#define CPV_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_UTF8_REPLACEMENT = 0xFFFD };

/*
 * The character at p, n >= 1 bytes of which are there: its length, or minus the length of
 * the maximal invalid part, for which one U+FFFD stands in *c (Unicode 15, table 3-7 and
 * section 3.9). c may be NULL.
 */
int cpv_utf8_get(const uint8_t *p, size_t n, uint32_t *c);

#ifdef __cplusplus
}
#endif
#endif
