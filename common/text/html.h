/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character references of HTML ("&amp;", "&#38;", "&eacute") as Python and ftfy read
 * them.
 */
#ifndef CPV_TEXT_HTML_H
#define CPV_TEXT_HTML_H

#include <stdbool.h>

#include "common/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Python's html.unescape: the rules of HTML 5, with names that may lack their semicolon
 * and be the beginning of a longer word. Valid UTF-8 in and out; appended.
 */
void cpv_html_unescape(struct cpv_bytes text, struct cpv_buf *out);

/*
 * ftfy's unescape_html: only what ends in a semicolon, but upper-case spellings of
 * lower-case names too ("&EACUTE;").
 */
void cpv_html_unescape_plain(struct cpv_bytes text, struct cpv_buf *out);

/*
 * What U+0080 to U+009F would be in Windows-1252, where that has a character; others as
 * they are.
 */
uint32_t cpv_html_windows_1252(uint32_t c);

/* Not for callers: the table of names, sorted, made by make_entities.py. */
struct cpv_html_entity {
    const char *name; /* without & and ; */
    uint64_t code;    /* bits 0 to 20 and 21 to 41: one or two characters; bit 42: bare */
};
enum { CPV_HTML_CHAR = 0x1FFFFF, CPV_HTML_SECOND = 21, CPV_HTML_BARE = 42 };
extern const struct cpv_html_entity cpv_html_entities[];
extern const size_t cpv_html_entities_count;

#ifdef __cplusplus
}
#endif
#endif
