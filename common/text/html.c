/* SPDX-License-Identifier: Apache-2.0 */
/* See html.h; Lib/html/__init__.py of CPython 3.11 and ftfy 6.3. */
#include "common/text/html.h"

#include <utf8proc.h>

#include "common/base/size.h"
#include "common/text/unicode.h"

enum { NAME_MAX_CHARS = 32, PLAIN_MAX = 24 };

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static const struct cpv_html_entity *find(struct cpv_bytes name)
{
    size_t low = 0, high = cpv_html_entities_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2, n = strlen(cpv_html_entities[mid].name);
        int order =
            memcmp(cpv_html_entities[mid].name, name.data, n < name.size ? n : name.size);

        if (order == 0 && n == name.size)
            return cpv_html_entities + mid;
        if (order < 0 || (order == 0 && n < name.size))
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static uint32_t first(const struct cpv_html_entity *e)
{
    return (uint32_t)(e->code & CPV_HTML_CHAR);
}

static uint32_t second(const struct cpv_html_entity *e)
{
    return (uint32_t)(e->code >> CPV_HTML_SECOND & CPV_HTML_CHAR);
}

/* Does the name count without its semicolon as well? */
static bool is_bare(const struct cpv_html_entity *e)
{
    return e->code >> CPV_HTML_BARE;
}

static void put_entity(const struct cpv_html_entity *e, struct cpv_buf *out)
{
    cpv_unicode_put(out, first(e));
    if (second(e))
        cpv_unicode_put(out, second(e));
}

uint32_t cpv_html_windows_1252(uint32_t c)
{
    static const uint16_t to[32] = {
        0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
        0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,   0x017D, 0x8F,
        0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
        0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178,
    };

    return c >= 0x80 && c < 0xA0 ? to[c - 0x80] : c;
}

/* The character of a number, or none, as HTML 5 has it. */
static void put_number(uint32_t c, struct cpv_buf *out)
{
    if (c == 0 || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF)
        cpv_unicode_put(out, 0xFFFD);
    else if (c >= 0x80 && c < 0xA0)
        cpv_unicode_put(out, cpv_html_windows_1252(c));
    else if (c == '\r' ||
             !((c < 0x20 && c != '\t' && c != '\n' && c != '\f') || c == 0x7F ||
               (c >= 0xFDD0 && c <= 0xFDEF) || (c & 0xFFFE) == 0xFFFE))
        cpv_unicode_put(out, c);
}

/* "#38;" or "#x26;": the bytes that belong to it, 0 if it is no number. */
static size_t take_number(struct cpv_bytes s, struct cpv_buf *out)
{
    bool hex = s.size > 1 && (s.data[1] | 0x20) == 'x';
    size_t i = hex ? 2 : 1, from = i;
    uint32_t c = 0;

    for (; i < s.size; i++) {
        int v = hex_value(s.data[i]);

        if (v < 0 || (!hex && v > 9))
            break;
        if (c <= 0x10FFFF)
            c = c * (hex ? 16 : 10) + (uint32_t)v;
    }
    if (i == from)
        return 0;
    put_number(c, out);
    return i < s.size && s.data[i] == ';' ? i + 1 : i;
}

static bool ends_name(uint8_t c)
{
    return c == '\t' || c == '\n' || c == '\f' || c == ' ' || c == '<' || c == '&' ||
           c == '#' || c == ';';
}

/* "amp;", "amp" or "ampere": the bytes that belong to it, 0 if it is no name. */
static size_t take_name(struct cpv_bytes s, struct cpv_buf *out)
{
    const struct cpv_html_entity *e;
    size_t n = 0;

    for (int chars = 0; n < s.size && chars < NAME_MAX_CHARS && !ends_name(s.data[n]);
         chars++)
        (void)cpv_unicode_next(s, &n);
    if (n < s.size && s.data[n] == ';' && (e = find(cpv_bytes_of(s.data, n)))) {
        put_entity(e, out);
        return n + 1;
    }
    for (; n > 1; n--) {
        if ((e = find(cpv_bytes_of(s.data, n))) && is_bare(e)) {
            put_entity(e, out);
            return n;
        }
    }
    return 0;
}

void cpv_html_unescape(struct cpv_bytes text, struct cpv_buf *out)
{
    size_t i = 0;

    while (i < text.size) {
        struct cpv_bytes rest;
        size_t taken = 0;

        if (text.data[i] == '&') {
            rest = cpv_bytes_of(text.data + i + 1, text.size - i - 1);
            if (rest.size > 0)
                taken =
                    rest.data[0] == '#' ? take_number(rest, out) : take_name(rest, out);
        }
        if (taken > 0)
            i += 1 + taken;
        else
            cpv_buf_byte(out, text.data[i++]);
    }
}

/* Upper case of the few characters whose upper case is not one character. */
static void put_upper(uint32_t c, struct cpv_buf *out)
{
    static const struct {
        uint32_t c;
        const char *upper;
    } several[] = {
        {0xDF, "SS"},   {0x149, "\xCA\xBCN"}, {0xFB00, "FF"},  {0xFB01, "FI"},
        {0xFB02, "FL"}, {0xFB03, "FFI"},      {0xFB04, "FFL"},
    };

    for (size_t i = 0; i < CPV_COUNT(several); i++) {
        if (several[i].c == c) {
            cpv_buf_str(out, several[i].upper);
            return;
        }
    }
    cpv_unicode_put(out, (uint32_t)utf8proc_toupper((utf8proc_int32_t)c));
}

/*
 * A name in capitals stands for the upper case of the entity in small letters, unless
 * HTML reads the capitals, or their beginning, itself.
 */
static bool put_capitals(struct cpv_bytes name, struct cpv_buf *out)
{
    const struct cpv_html_entity *e;
    uint8_t lower[PLAIN_MAX];

    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] >= 'a' && name.data[i] <= 'z')
            return false;
        lower[i] = name.data[i];
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] |= 0x20;
    }
    for (size_t n = 2; n <= name.size; n++) {
        if ((e = find(cpv_bytes_of(name.data, n))) && (is_bare(e) || n == name.size))
            return false;
    }
    if (!(e = find(cpv_bytes_of(lower, name.size))))
        return false;
    put_upper(first(e), out);
    if (second(e))
        put_upper(second(e), out);
    return true;
}

static bool put_plain(struct cpv_bytes name, struct cpv_buf *out)
{
    const struct cpv_html_entity *e = find(name);
    struct cpv_bytes number;
    size_t from = out->size;

    if (name.data[0] != '#') {
        if (!e)
            return put_capitals(name, out);
        put_entity(e, out);
        return true;
    }
    /* The semicolon is part of it, and is not what it says. */
    number = cpv_bytes_of(name.data, name.size + 1);
    if (take_number(number, out) == number.size &&
        !memchr(out->data ? out->data + from : name.data, ';', out->size - from))
        return true;
    out->size = from;
    return false;
}

void cpv_html_unescape_plain(struct cpv_bytes text, struct cpv_buf *out)
{
    size_t i = 0;

    while (i < text.size) {
        size_t from = i + 1, n, most;

        if (text.data[i] == '&') {
            n = from + (from < text.size && text.data[from] == '#');
            most = n + PLAIN_MAX;
            while (n < text.size && n < most &&
                   (is_digit(text.data[n]) ||
                    ((text.data[n] | 0x20) >= 'a' && (text.data[n] | 0x20) <= 'z')))
                n++;
            if (n + PLAIN_MAX > most && n < text.size && text.data[n] == ';' &&
                put_plain(cpv_bytes_of(text.data + from, n - from), out)) {
                i = n + 1;
                continue;
            }
        }
        cpv_buf_byte(out, text.data[i++]);
    }
}
