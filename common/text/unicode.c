/* SPDX-License-Identifier: Apache-2.0 */
/* See unicode.h. */
#include "common/text/unicode.h"

#include "common/base/utf8.h"

enum { REPLACEMENT = CPV_UTF8_REPLACEMENT };

uint32_t cpv_unicode_next(struct cpv_bytes s, size_t *at)
{
    uint32_t c;
    int step = cpv_utf8_get(s.data + *at, s.size - *at, &c);

    *at += (size_t)(step < 0 ? -step : step);
    return c;
}

void cpv_unicode_put(struct cpv_buf *to, uint32_t c)
{
    uint8_t b[4];
    size_t n;

    if (c < 0x80) {
        cpv_buf_byte(to, (uint8_t)c);
        return;
    }
    n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        b[i] = (uint8_t)(0x80 | (c & 0x3F));
    b[0] = (uint8_t)(0xF00u >> n | c);
    cpv_buf_add(to, b, n);
}

struct cpv_bytes cpv_unicode_replace(struct cpv_bytes s, struct cpv_buf *room)
{
    size_t from = 0, i = 0; /* [from, i) is valid and not yet copied */
    bool clean = true;

    cpv_buf_clear(room);
    while (i < s.size) {
        uint32_t c;
        int step = cpv_utf8_get(s.data + i, s.size - i, &c);

        if (step > 0) {
            i += (size_t)step;
            continue;
        }
        cpv_buf_add(room, s.data + from, i - from);
        cpv_unicode_put(room, REPLACEMENT);
        i += (size_t)-step;
        from = i;
        clean = false;
    }
    if (clean)
        return s;
    cpv_buf_add(room, s.data + from, i - from);
    return cpv_buf_view(room);
}

bool cpv_unicode_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

struct cpv_bytes cpv_unicode_strip_left(struct cpv_bytes s)
{
    size_t at = 0;

    while (at < s.size) {
        size_t next = at;

        if (!cpv_unicode_is_space(cpv_unicode_next(s, &next)))
            break;
        at = next;
    }
    return at > 0 ? cpv_bytes_of(s.data + at, s.size - at) : s;
}

struct cpv_bytes cpv_unicode_strip_right(struct cpv_bytes s)
{
    while (s.size > 0) {
        size_t start = s.size - 1, at;

        while (start > 0 && (s.data[start] & 0xC0) == 0x80)
            start--;
        at = start;
        if (!cpv_unicode_is_space(cpv_unicode_next(s, &at)))
            break;
        s.size = start;
    }
    return s;
}

struct cpv_bytes cpv_unicode_strip(struct cpv_bytes s)
{
    return cpv_unicode_strip_right(cpv_unicode_strip_left(s));
}
