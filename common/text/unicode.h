/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 and the few questions about characters that several tokenizers ask, answered as
 * Python 3 does, because the vocabularies were made and are tested with Python programs.
 */
#ifndef CPV_TEXT_UNICODE_H
#define CPV_TEXT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The same over a whole text: steps *at over one character and returns it. Only for text
 * that went through cpv_unicode_replace; *at < s.size.
 */
uint32_t cpv_unicode_next(struct cpv_bytes s, size_t *at);

/* One character at the end; c is below 0x110000. */
void cpv_unicode_put(struct cpv_buf *to, uint32_t c);

/*
 * The text as bytes.decode(errors="replace") gives it: each maximal invalid part is one
 * U+FFFD. The result is `s` itself where that is valid, else it lies in `room`, which is
 * overwritten (and `failed` if memory ran out).
 */
struct cpv_bytes cpv_unicode_replace(struct cpv_bytes s, struct cpv_buf *room);

bool cpv_unicode_is_space(uint32_t c); /* str.isspace() */

/* str.strip(), lstrip() and rstrip() of valid text. */
struct cpv_bytes cpv_unicode_strip(struct cpv_bytes s);
struct cpv_bytes cpv_unicode_strip_left(struct cpv_bytes s);
struct cpv_bytes cpv_unicode_strip_right(struct cpv_bytes s);

#ifdef __cplusplus
}
#endif
#endif
