/* SPDX-License-Identifier: Apache-2.0 */
/* See cli.h. Fields as YAML flow values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/cli_impl.h"
#include "common/base/size.h"

/* One code point of UTF-8 from s: its length, or 0 if that is none. */
static size_t utf8_next(const unsigned char *s, uint32_t *code)
{
    static const struct {
        unsigned char mask, is;
        uint32_t least;
    } forms[] = {
        {0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t n = 0; n < CPV_COUNT(forms); n++) {
        uint32_t c;

        if ((s[0] & forms[n].mask) != forms[n].is)
            continue;
        c = (uint32_t)(s[0] & (unsigned char)~forms[n].mask);
        for (size_t i = 1; i <= n; i++) {
            if ((s[i] & 0xc0) != 0x80) /* also the terminator */
                return 0;
            c = c << 6 | (s[i] & 0x3f);
        }
        *code = c;
        return c < forms[n].least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0
                                                                                 : n + 1;
    }
    return 0;
}

bool cpv_opt_is_utf8(const char *s)
{
    const unsigned char *at = (const unsigned char *)s;
    uint32_t code;

    while (*at) {
        size_t n = utf8_next(at, &code);

        if (!n)
            return false;
        at += n;
    }
    return true;
}

/* Would a YAML parser read these characters, unquoted, as this very text? */
static bool plain_in_yaml(const char *s)
{
    static const char *const taken[] = {"null", "true", "false", "yes", "no", "on",
                                        "off",  "y",    "n",     "inf", "nan"};

    /* A first letter keeps numbers, dates, anchors, tags and indicators out. */
    if (!((s[0] >= 'a' && s[0] <= 'z') || (s[0] >= 'A' && s[0] <= 'Z') || s[0] == '/' ||
          s[0] == '_'))
        return false;
    for (const char *c = s; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
              (*c >= '0' && *c <= '9') || strchr("_-./+@=", *c)))
            return false;
    for (size_t i = 0; i < CPV_COUNT(taken); i++)
        if (strcasecmp(s, taken[i]) == 0)
            return false;
    return true;
}

static void add_quoted(const char *s, struct cpv_buf *out)
{
    const unsigned char *at = (const unsigned char *)s;

    cpv_buf_byte(out, '"');
    while (*at) {
        uint32_t c = *at;
        size_t n = utf8_next(at, &c);

        if (c == '"' || c == '\\')
            cpv_buf_printf(out, "\\%c", (int)c);
        else if (c == '\n')
            cpv_buf_str(out, "\\n");
        else if (c == '\t')
            cpv_buf_str(out, "\\t");
        else if (!n || c < 0x20 || (c >= 0x7f && c < 0xa0))
            cpv_buf_printf(out, "\\x%02x", n ? c : *at);
        else if (c == 0x2028 || c == 0x2029 || c == 0xfeff || (c & 0xfffe) == 0xfffe)
            cpv_buf_printf(out, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
        else
            cpv_buf_add(out, at, n);
        at += n ? n : 1;
    }
    cpv_buf_byte(out, '"');
}

static void add_text(const char *s, struct cpv_buf *out)
{
    if (!s)
        cpv_buf_str(out, "null");
    else if (plain_in_yaml(s))
        cpv_buf_str(out, s);
    else
        add_quoted(s, out);
}

/* The shortest decimal that reads back as the same double. */
static void add_real(double v, struct cpv_buf *out)
{
    char text[32], *e;

    if (isinf(v)) {
        cpv_buf_str(out, v < 0 ? "-.inf" : ".inf");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    e = strchr(text, 'e');
    if (e && !strchr(text, '.')) { /* YAML 1.1 wants a point in a float */
        cpv_buf_add(out, text, (size_t)(e - text));
        cpv_buf_printf(out, ".0%s", e);
    } else {
        cpv_buf_str(out, text);
    }
}

void cpv_opts_value(const struct cpv_opt_group *g, const struct cpv_opt *o,
                    struct cpv_buf *out)
{
    const void *from = cpv_opt_field(g, o);
    const struct cpv_texts *list = from;

    switch (o->kind) {
    case CPV_OPT_END:
        break;
    case CPV_OPT_FLAG:
        cpv_buf_str(out, *(const bool *)from ? "true" : "false");
        break;
    case CPV_OPT_INT:
    case CPV_OPT_SIZE:
        cpv_buf_printf(out, "%lld", (long long)*(const int64_t *)from);
        break;
    case CPV_OPT_REAL:
        add_real(*(const double *)from, out);
        break;
    case CPV_OPT_TEXT:
        add_text(*(const char *const *)from, out);
        break;
    case CPV_OPT_CHOICE:
        add_text(o->choices[*(const int *)from], out);
        break;
    case CPV_OPT_LIST:
        cpv_buf_byte(out, '[');
        for (size_t i = 0; i < list->count; i++) {
            if (i)
                cpv_buf_str(out, ", ");
            add_text(list->at[i], out);
        }
        cpv_buf_byte(out, ']');
        break;
    }
}
