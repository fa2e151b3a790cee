/* SPDX-License-Identifier: Apache-2.0 */
/* See clean.h; ftfy/__init__.py (fix_text, fix_and_explain) and ftfy/fixes.py. */
#include "common/text/clean.h"

#include <stdlib.h>

#include <utf8proc.h>

#include "common/base/size.h"
#include "common/text/html.h"
#include "common/text/unicode.h"

struct cleaning {
    struct cpv_buf a, b, c; /* a: the line so far; b, c: what a step makes of it */
    bool keep_references;   /* a "<" was seen: this is HTML, its references stay */
};

/* ---- single characters ---- */

/* The last two steps on a character: curly quotes and line breaks. */
static void put_plain(uint32_t c, struct cpv_buf *out)
{
    if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B))
        c = '\'';
    else if (c >= 0x201C && c <= 0x201F)
        c = '"';
    else if (c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85)
        c = '\n';
    cpv_unicode_put(out, c);
}

static const char *ligature(uint32_t c)
{
    static const struct {
        uint16_t c;
        const char *text;
    } ligatures[] = {
        {0x132, "IJ"},        {0x133, "ij"},        {0x149, "\xCA\xBCn"},
        {0x1C4, "D\xC5\xBD"}, {0x1C5, "D\xC5\xBE"}, {0x1C6, "d\xC5\xBE"},
        {0x1C7, "LJ"},        {0x1C8, "Lj"},        {0x1C9, "lj"},
        {0x1CA, "NJ"},        {0x1CB, "Nj"},        {0x1CC, "nj"},
        {0x1F1, "DZ"},        {0x1F2, "Dz"},        {0x1F3, "dz"},
        {0xFB00, "ff"},       {0xFB01, "fi"},       {0xFB02, "fl"},
        {0xFB03, "ffi"},      {0xFB04, "ffl"},      {0xFB05, "\xC5\xBFt"},
        {0xFB06, "st"},
    };

    if (c < 0x132 || c > 0xFB06)
        return NULL;
    for (size_t i = 0; i < CPV_COUNT(ligatures); i++) {
        if (ligatures[i].c == c)
            return ligatures[i].text;
    }
    return NULL;
}

/* Halfwidth and fullwidth forms become what NFKC makes of each. */
static void put_width(uint32_t c, struct cpv_buf *out)
{
    utf8proc_int32_t to[8];
    utf8proc_ssize_t n;
    int last = UTF8PROC_BOUNDCLASS_START;

    if (c == 0x3000) {
        put_plain(' ', out);
        return;
    }
    if (c < 0xFF01 || c > 0xFFEF) {
        put_plain(c, out);
        return;
    }
    n = utf8proc_decompose_char((utf8proc_int32_t)c, to, 8,
                                UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_STABLE,
                                &last);
    if (n < 1 || n > 8)
        put_plain(c, out);
    for (utf8proc_ssize_t i = 0; i < n && n <= 8; i++)
        put_plain((uint32_t)to[i], out);
}

static void fix_characters(struct cpv_bytes s, struct cpv_buf *out)
{
    for (size_t i = 0; i < s.size;) {
        uint32_t c = cpv_html_windows_1252(cpv_unicode_next(s, &i));
        const char *text = ligature(c);
        struct cpv_bytes parts = cpv_bytes_str(text ? text : "");

        if (c == '\r' && i < s.size && s.data[i] == '\n')
            continue;
        for (size_t at = 0; at < parts.size;)
            put_width(cpv_unicode_next(parts, &at), out);
        if (!text)
            put_width(c, out);
    }
}

/* ---- what is taken out ---- */

/* The end of "ESC [ 36 ; 44 m" that begins at i, or i. Digits are those of any script. */
static size_t skip_escape(struct cpv_bytes s, size_t i)
{
    size_t at = i + 2;

    if (s.size - i < 3 || s.data[i] != 0x1B || s.data[i + 1] != '[')
        return i;
    while (at < s.size) {
        uint32_t c = cpv_unicode_next(s, &at);

        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
            return at;
        if (c != ';' && utf8proc_category((utf8proc_int32_t)c) != UTF8PROC_CATEGORY_ND)
            break;
    }
    return i;
}

static bool is_removed(uint32_t c)
{
    if (c < 0x20)
        return c != '\t' && c != '\n' && c != '\f' && c != '\r';
    return c == 0x7F || (c >= 0x206A && c <= 0x206F) || c == 0xFEFF ||
           (c >= 0xFFF9 && c <= 0xFFFC);
}

static void remove_controls(struct cpv_bytes s, struct cpv_buf *out)
{
    for (size_t i = 0; i < s.size;) {
        size_t end = skip_escape(s, i);
        uint32_t c;

        if (end > i) {
            i = end;
            continue;
        }
        c = cpv_unicode_next(s, &i);
        if (!is_removed(c))
            cpv_unicode_put(out, c);
    }
}

/* ---- lines ---- */

static bool is_ascii(struct cpv_bytes s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] >= 0x80)
            return false;
    }
    return true;
}

static int normalise(struct cpv_bytes s, struct cpv_buf *out, struct cpv_err *err)
{
    utf8proc_uint8_t *text = NULL;
    utf8proc_ssize_t n;

    if (is_ascii(s)) {
        cpv_buf_add(out, s.data, s.size);
        return CPV_OK;
    }
    n = utf8proc_map(s.data, (utf8proc_ssize_t)s.size, &text,
                     UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n >= 0)
        cpv_buf_add(out, text, (size_t)n);
    free(text); /* lint: allow free: utf8proc's memory */
    return n < 0 ? cpv_fail_memory(err) : CPV_OK;
}

/* All steps over and over until nothing changes; w->a holds the line. */
static int fix_line(struct cleaning *w, struct cpv_err *err)
{
    bool changed = true;

    while (changed) {
        struct cpv_buf before;
        int rc;

        cpv_buf_clear(&w->b);
        if (w->keep_references)
            cpv_buf_add(&w->b, w->a.data, w->a.size);
        else
            cpv_html_unescape_plain(cpv_buf_view(&w->a), &w->b);
        cpv_buf_clear(&w->c);
        fix_characters(cpv_buf_view(&w->b), &w->c);
        cpv_buf_clear(&w->b);
        remove_controls(cpv_buf_view(&w->c), &w->b);
        cpv_buf_clear(&w->c);
        if ((rc = normalise(cpv_buf_view(&w->b), &w->c, err)))
            return rc;
        if (w->a.failed || w->b.failed || w->c.failed)
            return cpv_fail_memory(err);
        changed = !cpv_bytes_equal(cpv_buf_view(&w->a), cpv_buf_view(&w->c));
        before = w->a;
        w->a = w->c;
        w->c = before;
    }
    return CPV_OK;
}

static int fix_lines(struct cleaning *w, struct cpv_bytes text, struct cpv_buf *out,
                     struct cpv_err *err)
{
    int rc = CPV_OK;

    for (size_t at = 0; !rc && at < text.size;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
        size_t n = end ? (size_t)(end - text.data) + 1 - at : text.size - at;

        w->keep_references |= memchr(text.data + at, '<', n) != NULL;
        cpv_buf_clear(&w->a);
        cpv_buf_add(&w->a, text.data + at, n);
        rc = fix_line(w, err);
        cpv_buf_add(out, w->a.data, w->a.size);
        at += n;
    }
    return rc;
}

/* Python's " ".join(text.split()). */
static void collapse(struct cpv_bytes s, struct cpv_buf *out)
{
    bool begun = false, blank = false;

    for (size_t i = 0; i < s.size;) {
        uint32_t c = cpv_unicode_next(s, &i);

        if (cpv_unicode_is_space(c)) {
            blank = begun;
            continue;
        }
        if (blank)
            cpv_buf_byte(out, ' ');
        cpv_unicode_put(out, c);
        begun = true;
        blank = false;
    }
}

/* Most captions are such that no step would change anything but blanks. */
static bool is_simple(struct cpv_bytes s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < 0x20 || s.data[i] >= 0x7F || s.data[i] == '&')
            return false;
    }
    return true;
}

int cpv_clean_caption(struct cpv_bytes text, struct cpv_buf *out, struct cpv_err *err)
{
    struct cpv_buf room = {0}, fixed = {0};
    struct cleaning w = {0};
    int rc = CPV_OK;

    if (is_simple(text)) {
        collapse(text, out);
        return out->failed ? cpv_fail_memory(err) : CPV_OK;
    }
    text = cpv_unicode_replace(text, &room);
    if (room.failed)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = fix_lines(&w, text, &fixed, err);
    if (!rc) {
        cpv_buf_clear(&w.a);
        cpv_html_unescape(cpv_buf_view(&fixed), &w.a);
        cpv_buf_clear(&w.b);
        cpv_html_unescape(cpv_buf_view(&w.a), &w.b);
        collapse(cpv_buf_view(&w.b), out);
        if (fixed.failed || w.a.failed || w.b.failed || out->failed)
            rc = cpv_fail_memory(err);
    }
    cpv_buf_release(&room);
    cpv_buf_release(&fixed);
    cpv_buf_release(&w.a);
    cpv_buf_release(&w.b);
    cpv_buf_release(&w.c);
    return rc;
}
