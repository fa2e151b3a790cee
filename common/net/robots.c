/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See robots.h. Rules are kept as views into a copy of the file, so a hostile file
 * costs its own size and one small struct a rule.
 */
#include "common/net/robots.h"

#include <string.h>
#include <strings.h>

#include "common/base/sys.h"

struct rule {
    struct cpv_bytes pattern;
    bool allow;
};

struct cpv_robots {
    struct cpv_buf text;
    struct cpv_buf rules; /* of struct rule */
};

/* A record of the file: `key: value`, without comment and blanks. */
struct line {
    struct cpv_bytes key, value;
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct cpv_bytes trim(struct cpv_bytes s)
{
    while (s.size > 0 && is_blank(s.data[0]))
        s.data++, s.size--;
    while (s.size > 0 && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

/* The next line with a colon; false at the end. */
static bool next_line(struct cpv_bytes *rest, struct line *out)
{
    while (rest->size > 0) {
        struct cpv_bytes l = *rest;
        size_t n = 0;
        const uint8_t *mark;

        while (n < rest->size && rest->data[n] != '\n' && rest->data[n] != '\r')
            n++;
        l.size = n;
        if (n < rest->size)
            n++;
        rest->data += n;
        rest->size -= n;
        mark = l.size ? memchr(l.data, '#', l.size) : NULL;
        if (mark)
            l.size = (size_t)(mark - l.data);
        mark = l.size ? memchr(l.data, ':', l.size) : NULL;
        if (!mark)
            continue;
        out->key = trim(cpv_bytes_of(l.data, (size_t)(mark - l.data)));
        out->value = trim(cpv_bytes_of(mark + 1, l.size - (size_t)(mark - l.data) - 1));
        return true;
    }
    return false;
}

static bool is_key(const struct line *l, const char *name)
{
    size_t n = strlen(name);

    return l->key.size == n && strncasecmp((const char *)l->key.data, name, n) == 0;
}

/* The product token at the start of a User-agent line: "Foo/1.2" names foo. */
static bool names(struct cpv_bytes value, const char *token)
{
    size_t n = 0, want = strlen(token);

    while (n < value.size &&
           ((value.data[n] >= 'a' && value.data[n] <= 'z') ||
            (value.data[n] >= 'A' && value.data[n] <= 'Z') || value.data[n] == '-' ||
            value.data[n] == '_' || (value.data[n] >= '0' && value.data[n] <= '9')))
        n++;
    return n == want && n > 0 && strncasecmp((const char *)value.data, token, n) == 0;
}

/* The rules of all groups that `token` (NULL: the star) opens; true if any does. */
static bool collect(cpv_robots *r, const char *token)
{
    struct cpv_bytes rest = cpv_buf_view(&r->text);
    struct line l;
    bool ours = false, in_names = false, found = false;

    if (rest.size >= 3 && memcmp(rest.data, "\xef\xbb\xbf", 3) == 0)
        rest.data += 3, rest.size -= 3;
    while (next_line(&rest, &l)) {
        bool allow = is_key(&l, "allow");

        if (is_key(&l, "user-agent")) {
            bool match = token ? names(l.value, token)
                               : l.value.size > 0 && l.value.data[0] == '*';

            ours = in_names ? ours || match : match;
            in_names = true;
            found = found || match;
            continue;
        }
        if (!allow && !is_key(&l, "disallow"))
            continue; /* Sitemap and the like do not end a list of names */
        in_names = false;
        if (ours && l.value.size > 0) {
            struct rule rule = {l.value, allow};

            cpv_buf_add(&r->rules, &rule, sizeof rule);
        }
    }
    return found;
}

cpv_robots *cpv_robots_parse(struct cpv_bytes file, const char *token)
{
    cpv_robots *r = cpv_calloc(1, sizeof *r);

    if (!r)
        return NULL;
    cpv_buf_add(&r->text, file.data,
                file.size < CPV_ROBOTS_MAX ? file.size : CPV_ROBOTS_MAX);
    if (!r->text.failed && !collect(r, token))
        collect(r, NULL);
    if (r->text.failed || r->rules.failed)
        cpv_robots_close(&r);
    return r;
}

void cpv_robots_close(cpv_robots **r)
{
    if (!*r)
        return;
    cpv_buf_release(&(*r)->text);
    cpv_buf_release(&(*r)->rules);
    cpv_free(*r);
    *r = NULL;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character, %XX decoded, so that both spellings of a path match. */
static unsigned take_char(struct cpv_bytes *s)
{
    unsigned c = s->data[0];
    size_t n = 1;

    if (c == '%' && s->size >= 3 && hex_digit(s->data[1]) >= 0 &&
        hex_digit(s->data[2]) >= 0) {
        /* An encoded '*', '$', '/' or '%' is not the bare one: kept apart by 256. */
        c = (unsigned)(hex_digit(s->data[1]) * 16 + hex_digit(s->data[2]));
        if (c == '*' || c == '$' || c == '/' || c == '%')
            c += 256;
        n = 3;
    }
    s->data += n;
    s->size -= n;
    return c;
}

/* Steps that all rules of a file may take on one path: far beyond any honest file. */
enum { WORK_MAX = 4 * 1000 * 1000 };

/* Wildcard match of the start of path; only the last star is ever tried again. */
static bool matches(struct cpv_bytes pattern, struct cpv_bytes path, int *work)
{
    struct cpv_bytes star_pattern = {NULL, 0}, star_path = {NULL, 0};
    bool starred = false;

    for (;;) {
        struct cpv_bytes p = pattern, s = path;

        if (--*work < 0)
            return false;
        if (p.size == 0)
            return true;
        if (p.size == 1 && p.data[0] == '$' && s.size == 0)
            return true;
        if (p.data[0] == '*') {
            pattern.data++, pattern.size--;
            star_pattern = pattern;
            star_path = path;
            starred = true;
            continue;
        }
        if (s.size > 0 && !(p.size == 1 && p.data[0] == '$') &&
            take_char(&p) == take_char(&s)) {
            pattern = p;
            path = s;
            continue;
        }
        if (!starred || star_path.size == 0)
            return false;
        take_char(&star_path);
        pattern = star_pattern;
        path = star_path;
    }
}

bool cpv_robots_allows(const cpv_robots *r, const char *path)
{
    struct cpv_bytes p = cpv_bytes_str(path);
    size_t n = r->rules.size / sizeof(struct rule), best = 0;
    int work = WORK_MAX;
    bool allowed = true;

    if (strcmp(path, "/robots.txt") == 0)
        return true;
    for (size_t i = 0; i < n; i++) {
        struct rule rule;

        memcpy(&rule, r->rules.data + i * sizeof rule, sizeof rule);
        if (rule.pattern.size < best || !matches(rule.pattern, p, &work))
            continue;
        allowed = rule.pattern.size > best ? rule.allow : allowed || rule.allow;
        best = rule.pattern.size;
    }
    return allowed && work >= 0;
}
