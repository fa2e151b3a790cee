/* SPDX-License-Identifier: Apache-2.0 */
/* See headers.h. */
#include "common/net/headers.h"

#include <string.h>
#include <strings.h>

#include "common/base/size.h"

const char *const cpv_optout_default[CPV_OPTOUT_DEFAULTS] = {
    "noai", "noimageai", "noindex", "noimageindex", "noml"};

static struct cpv_bytes trim(struct cpv_bytes s)
{
    while (s.size > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
        s.data++, s.size--;
    while (s.size > 0 && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t' ||
                          s.data[s.size - 1] == '\r' || s.data[s.size - 1] == '\n'))
        s.size--;
    return s;
}

/* Everything before the first `c`, and `*s` behind it (empty if there is none). */
static struct cpv_bytes split(struct cpv_bytes *s, char c)
{
    const uint8_t *at = s->size ? memchr(s->data, c, s->size) : NULL;
    struct cpv_bytes head = *s;

    if (!at) {
        if (s->size)
            s->data += s->size;
        s->size = 0;
        return head;
    }
    head.size = (size_t)(at - s->data);
    s->data += head.size + 1;
    s->size -= head.size + 1;
    return head;
}

static bool is_text(struct cpv_bytes s, const char *text)
{
    size_t n = strlen(text);

    return s.size == n && (n == 0 || strncasecmp((const char *)s.data, text, n) == 0);
}

/* --- X-Robots-Tag ---------------------------------------------------------------- */

/* Directives with a value after their colon: not names of robots. */
static bool has_value(struct cpv_bytes name)
{
    static const char *const known[] = {"unavailable_after", "max-snippet",
                                        "max-image-preview", "max-video-preview"};

    for (size_t i = 0; i < CPV_COUNT(known); i++)
        if (is_text(name, known[i]))
            return true;
    return false;
}

static bool is_listed(struct cpv_bytes directive, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_text(directive, list[i]) ||
            (is_text(directive, "none") && strcasecmp(list[i], "noindex") == 0))
            return true;
    return false;
}

bool cpv_optout_says_no(struct cpv_bytes value, const char *token,
                        const char *const *directives, size_t n_directives)
{
    bool concerns_us = true;

    while (value.size > 0) {
        struct cpv_bytes directive = trim(split(&value, ','));

        if (directive.size && memchr(directive.data, ':', directive.size)) {
            struct cpv_bytes rest = directive, name = trim(split(&rest, ':'));

            if (has_value(name))
                continue;
            /* The time of unavailable_after has colons too; a name has no blanks. */
            if (name.size == 0 || memchr(name.data, ' ', name.size))
                continue;
            concerns_us = is_text(name, token) || is_text(name, "*");
            directive = trim(rest);
        }
        if (concerns_us && is_listed(directive, directives, n_directives))
            return true;
    }
    return false;
}

/* --- dates ------------------------------------------------------------------------- */

/* Days since 1970 of a date of the Gregorian calendar (H. Hinnant's algorithm). */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    int64_t era, year_of_era, day_of_year, day_of_era;

    y -= m <= 2;
    era = y / 400;
    year_of_era = y - era * 400;
    day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

struct reader {
    struct cpv_bytes s;
    bool ok;
};

/* A number of min to max digits, at most 4. */
static int number(struct reader *r, size_t min, size_t max)
{
    int v = 0;
    size_t n = 0;

    while (n < max && n < r->s.size && r->s.data[n] >= '0' && r->s.data[n] <= '9')
        v = v * 10 + (r->s.data[n++] - '0');
    if (n < min)
        r->ok = false;
    r->s.data += n;
    r->s.size -= n;
    return v;
}

static void expect(struct reader *r, const char *text)
{
    size_t n = strlen(text);

    if (r->s.size < n || memcmp(r->s.data, text, n) != 0) {
        r->ok = false;
        return;
    }
    r->s.data += n;
    r->s.size -= n;
}

static int month(struct reader *r)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int m = 0; m < 12; m++)
        if (r->s.size >= 3 && memcmp(r->s.data, names + 3 * m, 3) == 0) {
            r->s.data += 3;
            r->s.size -= 3;
            return m + 1;
        }
    r->ok = false;
    return 1;
}

/* hh:mm:ss as seconds of the day; a leap second is a second. */
static int clock_time(struct reader *r)
{
    int h, m, s;

    h = number(r, 2, 2);
    expect(r, ":");
    m = number(r, 2, 2);
    expect(r, ":");
    s = number(r, 2, 2);
    if (h > 23 || m > 59 || s > 60)
        r->ok = false;
    return h * 3600 + m * 60 + s;
}

/* Sun, 06 Nov 1994 08:49:37 GMT, or the older Sunday, 06-Nov-94 08:49:37 GMT. */
static bool date_with_comma(struct reader *r, int64_t *out)
{
    int d, m, y, t;
    bool old;

    d = number(r, 2, 2);
    old = r->s.size > 0 && r->s.data[0] == '-';
    expect(r, old ? "-" : " ");
    m = month(r);
    expect(r, old ? "-" : " ");
    y = old ? number(r, 2, 2) : number(r, 4, 4);
    if (old)
        y += y < 70 ? 2000 : 1900;
    expect(r, " ");
    t = clock_time(r);
    expect(r, " GMT");
    if (!r->ok || r->s.size != 0 || d < 1 || d > 31)
        return false;
    *out = days_from_civil(y, m, d) * 86400 + t;
    return true;
}

/* Sun Nov  6 08:49:37 1994 */
static bool date_of_asctime(struct reader *r, int64_t *out)
{
    int d, m, y, t;

    m = month(r);
    expect(r, " ");
    if (r->s.size > 0 && r->s.data[0] == ' ')
        expect(r, " ");
    d = number(r, 1, 2);
    expect(r, " ");
    t = clock_time(r);
    expect(r, " ");
    y = number(r, 4, 4);
    if (!r->ok || r->s.size != 0 || d < 1 || d > 31)
        return false;
    *out = days_from_civil(y, m, d) * 86400 + t;
    return true;
}

bool cpv_http_date(struct cpv_bytes value, int64_t *out)
{
    struct reader r = {trim(value), true};
    struct cpv_bytes day;

    day = split(&r.s, ' ');
    if (day.size == 0)
        return false;
    if (day.data[day.size - 1] == ',')
        return date_with_comma(&r, out);
    return day.size == 3 && date_of_asctime(&r, out);
}

int64_t cpv_retry_after_ms(struct cpv_bytes value, int64_t now, int64_t max_ms)
{
    struct cpv_bytes s = trim(value);
    int64_t seconds = 0, at;

    if (s.size == 0)
        return -1;
    if (s.data[0] >= '0' && s.data[0] <= '9') {
        for (size_t i = 0; i < s.size; i++) {
            if (s.data[i] < '0' || s.data[i] > '9')
                return -1;
            if (seconds <= max_ms)
                seconds = seconds * 10 + (s.data[i] - '0');
        }
    } else {
        if (!cpv_http_date(s, &at))
            return -1;
        seconds = at > now ? at - now : 0;
    }
    return seconds > max_ms / 1000 ? max_ms : seconds * 1000;
}
