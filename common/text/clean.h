/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captions are cleaned before XLM-R sees them, as the reference does (open_clip's clean
 * 'whitespace'): ftfy.fix_text, html.unescape twice, white space collapsed to single
 * blanks and stripped. Case is kept.
 *
 * Of ftfy 6.3 everything is done but its guess at wrongly decoded text (fix_encoding:
 * "Ã©" stays "Ã©"): character references, C1 controls, Latin ligatures, character width,
 * curly quotes, line breaks, terminal escapes, control characters, NFC. Text is taken
 * line by line as there, but a line is not cut at a million characters.
 */
#ifndef CPV_TEXT_CLEAN_H
#define CPV_TEXT_CLEAN_H

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The cleaned text, appended. Invalid UTF-8 is replaced first (cpv_unicode_replace). */
CPV_MUST_CHECK int cpv_clean_caption(struct cpv_bytes text, struct cpv_buf *out,
                                     struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
