/* SPDX-License-Identifier: Apache-2.0 */
/* See punycode.h. */
#include "common/net/punycode.h"

#include <stdint.h>
#include <string.h>

enum { LABEL_MAX = 63 };

/* The parameters of RFC 3492, section 5. */
enum { BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, BIAS = 72, FIRST = 128 };

/* One code point; 0: malformed (also overlong forms and surrogates). */
static uint32_t take_utf8(const unsigned char **at)
{
    const unsigned char *s = *at;
    unsigned more = s[0] < 0x80   ? 0
                    : s[0] < 0xc2 ? 9
                    : s[0] < 0xe0 ? 1
                    : s[0] < 0xf0 ? 2
                    : s[0] < 0xf5 ? 3
                                  : 9;
    uint32_t c;

    if (more == 9)
        return 0;
    c = more == 0 ? s[0] : s[0] & (0x3fu >> more);
    for (unsigned i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if ((more == 2 && c < 0x800) || (more == 3 && (c < 0x10000 || c > 0x10ffff)) ||
        (c >= 0xd800 && c < 0xe000))
        return 0;
    *at = s + more + 1;
    return c;
}

/* The alphabets that have case and turn up in host names. */
static uint32_t lower(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) ||
        (c >= 0x391 && c <= 0x3a9) || (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    if ((c >= 0x100 && c <= 0x137) || (c >= 0x14a && c <= 0x177))
        return c | 1;
    return c;
}

static uint32_t adapt(uint32_t delta, uint32_t points, bool first)
{
    uint32_t k = 0;

    delta = first ? delta / DAMP : delta / 2;
    delta += delta / points;
    for (; delta > ((BASE - T_MIN) * T_MAX) / 2; k += BASE)
        delta /= BASE - T_MIN;
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

static char digit(uint32_t d)
{
    return (char)(d < 26 ? 'a' + d : '0' + d - 26);
}

/* A generalised variable-length integer; false if it does not fit. */
static bool put_delta(char *to, size_t *n, uint32_t delta, uint32_t bias)
{
    for (uint32_t k = BASE;; k += BASE) {
        uint32_t t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;

        if (*n >= LABEL_MAX)
            return false;
        if (delta < t) {
            to[(*n)++] = digit(delta);
            return true;
        }
        to[(*n)++] = digit(t + (delta - t) % (BASE - t));
        delta = (delta - t) / (BASE - t);
    }
}

/* Section 6.3. At most LABEL_MAX points, so nothing overflows. 0: does not fit. */
static size_t encode(char to[LABEL_MAX], const uint32_t *points, size_t count)
{
    uint32_t next = FIRST, delta = 0, bias = BIAS;
    size_t n = 4, basic = 0, done;

    memcpy(to, "xn--", 4);
    for (size_t i = 0; i < count; i++)
        if (points[i] < FIRST) {
            if (n >= LABEL_MAX)
                return 0;
            to[n++] = (char)points[i];
            basic++;
        }
    if (basic > 0) {
        if (n >= LABEL_MAX)
            return 0;
        to[n++] = '-';
    }
    for (done = basic; done < count; delta++, next++) {
        uint32_t least = UINT32_MAX;

        for (size_t i = 0; i < count; i++)
            if (points[i] >= next && points[i] < least)
                least = points[i];
        delta += (least - next) * (uint32_t)(done + 1);
        next = least;
        for (size_t i = 0; i < count; i++) {
            delta += points[i] < next;
            if (points[i] != next)
                continue;
            if (!put_delta(to, &n, delta, bias))
                return 0;
            bias = adapt(delta, (uint32_t)done + 1, done == basic);
            delta = 0;
            done++;
        }
    }
    return n;
}

/* One label, up to a dot or the end; its length in *out, or false. */
static bool put_label(char *to, size_t room, const unsigned char **at, size_t *out)
{
    uint32_t points[LABEL_MAX];
    char coded[LABEL_MAX];
    size_t count = 0, n = 0;
    bool ascii = true;

    while (**at && **at != '.') {
        uint32_t c = take_utf8(at);

        if (c == 0 || count == LABEL_MAX)
            return false;
        points[count++] = lower(c);
        ascii = ascii && c < FIRST;
    }
    if (ascii)
        for (; n < count; n++)
            coded[n] = (char)points[n];
    else
        n = encode(coded, points, count);
    if ((count > 0 && n == 0) || n > room)
        return false;
    memcpy(to, coded, n);
    *out = n;
    return true;
}

bool cpv_punycode_host(char *to, size_t room, const char *host)
{
    const unsigned char *at = (const unsigned char *)host;
    size_t n = 0, label;

    for (;;) {
        if (!put_label(to + n, room - n, &at, &label))
            return false;
        n += label;
        if (n >= room)
            return false;
        if (!*at)
            break;
        to[n++] = '.';
        at++;
    }
    to[n] = '\0';
    return true;
}
