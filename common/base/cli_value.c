/* SPDX-License-Identifier: Apache-2.0 */
/* See cli.h. Values: texts to fields, with their checks. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/cli_impl.h"
#include "common/base/size.h"

void *cpv_opt_field(const struct cpv_opt_group *g, const struct cpv_opt *o)
{
    return (char *)g->into + o->offset;
}

void cpv_opt_clear(const struct cpv_opt_group *g, const struct cpv_opt *o)
{
    static const size_t size[] = {
        [CPV_OPT_END] = 0,
        [CPV_OPT_FLAG] = sizeof(bool),
        [CPV_OPT_INT] = sizeof(int64_t),
        [CPV_OPT_SIZE] = sizeof(int64_t),
        [CPV_OPT_REAL] = sizeof(double),
        [CPV_OPT_TEXT] = sizeof(const char *),
        [CPV_OPT_CHOICE] = sizeof(int),
        [CPV_OPT_LIST] = sizeof(struct cpv_texts),
    };

    memset(cpv_opt_field(g, o), 0, size[o->kind]);
}

/* ---- messages ---- */

void cpv_opt_shown(char out[CPV_SHOWN], const char *s, size_t n)
{
    size_t i = 0;

    for (; i < n && i < CPV_SHOWN - 4; i++)
        out[i] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i];
    if (i < n) {
        memcpy(out + i, "...", 3);
        i += 3;
    }
    out[i] = '\0';
}

static bool any_range(const struct cpv_opt *o)
{
    return o->min == 0 && o->max == 0;
}

static void add_limit(const struct cpv_opt *o, double v, struct cpv_buf *out)
{
    static const struct {
        double unit;
        char letter;
    } units[] = {{1073741824.0, 'G'}, {1048576.0, 'M'}, {1024.0, 'K'}};

    for (size_t i = 0; o->kind == CPV_OPT_SIZE && i < CPV_COUNT(units); i++)
        if (v >= units[i].unit && fmod(v, units[i].unit) == 0) {
            cpv_buf_printf(out, "%.0f%c", v / units[i].unit, units[i].letter);
            return;
        }
    if (v == floor(v) && fabs(v) < 1e18)
        cpv_buf_printf(out, "%.0f", v);
    else
        cpv_buf_printf(out, "%.15g", v);
}

static void add_range(const struct cpv_opt *o, struct cpv_buf *out)
{
    double endless = o->kind == CPV_OPT_REAL ? INFINITY : 9.2e18;
    bool low = o->min > -endless, high = o->max < endless;

    if (any_range(o) || (!low && !high))
        return;
    cpv_buf_str(out, low && high ? " from " : low ? " of at least " : " of at most ");
    if (low)
        add_limit(o, o->min, out);
    if (low && high)
        cpv_buf_str(out, " to ");
    if (high)
        add_limit(o, o->max, out);
}

void cpv_opt_expected(const struct cpv_opt *o, struct cpv_buf *out)
{
    switch (o->kind) {
    case CPV_OPT_END:
        break;
    case CPV_OPT_FLAG:
        cpv_buf_str(out, "true or false");
        break;
    case CPV_OPT_INT:
        cpv_buf_str(out, "a whole number");
        add_range(o, out);
        break;
    case CPV_OPT_SIZE:
        cpv_buf_str(out, "a size in bytes, K, M or G");
        add_range(o, out);
        break;
    case CPV_OPT_REAL:
        cpv_buf_str(out, "a number");
        add_range(o, out);
        break;
    case CPV_OPT_TEXT:
        cpv_buf_str(out, "a text in UTF-8");
        break;
    case CPV_OPT_CHOICE:
        for (size_t i = 0; o->choices[i]; i++) {
            if (i)
                cpv_buf_str(out, o->choices[i + 1] ? ", " : " or ");
            cpv_buf_str(out, o->choices[i]);
        }
        break;
    case CPV_OPT_LIST:
        cpv_buf_str(out, "words separated by commas, or [\"a\", \"b\"]");
        break;
    }
}

const char *cpv_opt_arg(const struct cpv_opt *o)
{
    static const char *const words[] = {
        [CPV_OPT_END] = "",        [CPV_OPT_FLAG] = "",    [CPV_OPT_INT] = "N",
        [CPV_OPT_SIZE] = "SIZE",   [CPV_OPT_REAL] = "X",   [CPV_OPT_TEXT] = "TEXT",
        [CPV_OPT_CHOICE] = "WORD", [CPV_OPT_LIST] = "LIST"};

    return o->arg && o->kind != CPV_OPT_FLAG ? o->arg : words[o->kind];
}

static int fail_expected(const char *where, const char *expected, const char *got,
                         struct cpv_err *err)
{
    char shown[CPV_SHOWN];

    cpv_opt_shown(shown, got, strlen(got));
    return cpv_fail(err, CPV_E_USAGE, "%s: expected %s, got '%s'", where, expected,
                    shown);
}

static int refuse(const struct cpv_opt *o, const char *where, const char *got,
                  struct cpv_err *err)
{
    struct cpv_buf expected = {0};
    const char *text;
    int rc;

    cpv_opt_expected(o, &expected);
    text = cpv_buf_cstr(&expected);
    if (!text)
        rc = cpv_fail_memory(err);
    else if (!got)
        rc = cpv_fail(err, CPV_E_USAGE, "%s: expected %s, got a list", where, text);
    else
        rc = fail_expected(where, text, got, err);
    cpv_buf_release(&expected);
    return rc;
}

/* A list as `a, b`. */
static int refuse_list(const char *expected, const struct cpv_texts *got,
                       const char *where, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    const char *s;
    int rc;

    for (size_t i = 0; i < got->count; i++)
        cpv_buf_printf(&text, "%s%s", i ? ", " : "", got->at[i]);
    s = cpv_buf_cstr(&text);
    rc = s ? fail_expected(where, expected, s, err) : cpv_fail_memory(err);
    cpv_buf_release(&text);
    return rc;
}

/* Stores a list that its option's check lets pass. */
static int settle_list(struct cpv_texts *to, const struct cpv_opt *o,
                       struct cpv_texts list, const char *where, struct cpv_err *err)
{
    const char *expected = o->check ? o->check(&list) : NULL;

    if (expected)
        return refuse_list(expected, &list, where, err);
    *to = list;
    return CPV_OK;
}

/* ---- numbers ---- */

/* All of s, or false. strtoll alone would take spaces, '+' and stop anywhere. */
static bool parse_int(const char *s, size_t n, int64_t *out)
{
    bool minus = n && s[0] == '-';
    int64_t v = 0;
    size_t i = minus;

    if (i == n)
        return false;
    for (; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, s[i] - '0', &v)) /* negative: reaches INT64_MIN */
            return false;
    }
    return minus ? (*out = v, true) : !__builtin_sub_overflow((int64_t)0, v, out);
}

static bool parse_size(const char *s, int64_t *out)
{
    size_t n = strlen(s);
    int64_t unit = 1;

    switch (n ? s[n - 1] : '\0') {
    case 'G':
        unit = (int64_t)1 << 30;
        break;
    case 'M':
        unit = (int64_t)1 << 20;
        break;
    case 'K':
        unit = (int64_t)1 << 10;
        break;
    default:
        n++; /* no letter to leave out */
    }
    return n > 0 && parse_int(s, n - 1, out) && *out >= 0 &&
           !__builtin_mul_overflow(*out, unit, out);
}

/* Decimal only; the program never sets a locale, so the point is a point. */
static bool parse_real(const char *s, double *out)
{
    const char *digits = s + (*s == '-');
    char *end;

    if (strcmp(digits, "inf") == 0 || strcmp(digits, ".inf") == 0) {
        *out = *s == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (!*digits || strspn(digits, "0123456789.eE+-") != strlen(digits) ||
        (*digits == '+' || *digits == '-'))
        return false;
    errno = 0;
    *out = strtod(s, &end);
    return *end == '\0' && isfinite(*out);
}

static bool in_range(const struct cpv_opt *o, double v)
{
    return any_range(o) || (v >= o->min && v <= o->max);
}

/* ---- lists ---- */

struct list {
    const char **at;
    size_t count, room;
    cpv_arena *mem;
    bool no_memory; /* and not a bad text */
};

/* room counts the commas of the text beforehand, so this cannot run over. */
static bool list_add(struct list *l, const char *s, size_t n)
{
    const char *copy = cpv_arena_str(l->mem, cpv_bytes_of(s, n));

    if (copy)
        l->at[l->count++] = copy;
    else
        l->no_memory = true;
    return copy != NULL;
}

static void skip_space(const char **s)
{
    *s += strspn(*s, " \t");
}

static void add_utf8(struct cpv_buf *b, uint32_t c)
{
    if (c < 0x80) {
        cpv_buf_byte(b, (uint8_t)c);
    } else if (c < 0x800) {
        cpv_buf_byte(b, (uint8_t)(0xc0 | c >> 6));
        cpv_buf_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        cpv_buf_byte(b, (uint8_t)(0xe0 | c >> 12));
        cpv_buf_byte(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        cpv_buf_byte(b, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* After a backslash in double quotes, as in JSON (no surrogate pairs, no NUL). */
static bool take_escape(const char **s, struct cpv_buf *item)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *known = **s ? strchr(from, **s) : NULL;
    uint8_t code[2];
    uint32_t c;

    if (known) {
        cpv_buf_byte(item, (uint8_t)to[known - from]);
        *s += 1;
        return true;
    }
    if (**s != 'u' || strnlen(*s, 5) < 5 || !cpv_unhex(code, 2, cpv_bytes_of(*s + 1, 4)))
        return false;
    c = (uint32_t)code[0] << 8 | code[1];
    if (c == 0 || (c >= 0xd800 && c < 0xe000))
        return false;
    add_utf8(item, c);
    *s += 5;
    return true;
}

/* From an opening quote to behind the closing one; 'it''s' as in YAML. */
static bool take_quoted(const char **s, struct cpv_buf *item)
{
    char quote = *(*s)++;

    for (;;) {
        char c = **s;

        if (c == '\0')
            return false;
        *s += 1;
        if (c == quote) {
            if (quote == '"' || **s != quote)
                return true;
            *s += 1;
        } else if (c == '\\' && quote == '"') {
            if (!take_escape(s, item))
                return false;
            continue;
        }
        cpv_buf_byte(item, (uint8_t)c);
    }
}

/* [a, "b", 'c'] */
static bool parse_flow(const char *s, struct list *l)
{
    struct cpv_buf item = {0};
    bool ok = true;

    s++;
    skip_space(&s);
    while (ok && *s != ']') {
        cpv_buf_clear(&item);
        if (*s == '"' || *s == '\'') {
            ok = take_quoted(&s, &item);
        } else {
            size_t n = strcspn(s, ",]"), trimmed = n;

            while (trimmed && (s[trimmed - 1] == ' ' || s[trimmed - 1] == '\t'))
                trimmed--;
            cpv_buf_add(&item, s, trimmed);
            ok = trimmed > 0;
            s += n;
        }
        l->no_memory |= item.failed;
        ok = ok && !item.failed && list_add(l, (const char *)item.data, item.size);
        skip_space(&s);
        if (ok && *s == ',') {
            s++;
            skip_space(&s);
            ok = *s != ']';
        } else {
            ok = ok && *s == ']';
        }
    }
    cpv_buf_release(&item);
    return ok && strspn(s + 1, " \t") == strlen(s + 1);
}

/* a,b , c */
static bool parse_commas(const char *s, struct list *l)
{
    if (!*s)
        return true;
    for (;;) {
        size_t n, trimmed;

        skip_space(&s);
        n = trimmed = strcspn(s, ",");
        while (trimmed && (s[trimmed - 1] == ' ' || s[trimmed - 1] == '\t'))
            trimmed--;
        if (!trimmed || !list_add(l, s, trimmed))
            return false;
        if (!s[n])
            return true;
        s += n + 1;
    }
}

static int assign_list_text(struct cpv_texts *to, const struct cpv_opt *o,
                            const char *value, const char *where, cpv_arena *mem,
                            struct cpv_err *err)
{
    struct list l = {.room = 1, .mem = mem};

    for (const char *s = value; *s; s++)
        l.room += *s == ',';
    l.at = cpv_arena_calloc(mem, l.room, sizeof *l.at);
    if (!l.at)
        return cpv_fail_memory(err);
    if (!(*value == '[' ? parse_flow(value, &l) : parse_commas(value, &l)))
        return l.no_memory ? cpv_fail_memory(err) : refuse(o, where, value, err);
    return settle_list(to, o, (struct cpv_texts){l.at, l.count}, where, err);
}

static int append(struct cpv_texts *to, const char *value, cpv_arena *mem,
                  struct cpv_err *err)
{
    const char **at = cpv_arena_calloc(mem, to->count + 1, sizeof *at);
    const char *copy = cpv_arena_str(mem, cpv_bytes_str(value));

    if (!at || !copy)
        return cpv_fail_memory(err);
    if (to->count)
        memcpy(at, to->at, to->count * sizeof *at);
    at[to->count] = copy;
    to->at = at;
    to->count++;
    return CPV_OK;
}

/* ---- assignment ---- */

static bool parse_flag(const char *s, bool *out)
{
    static const char *const words[2][3] = {{"false", "False", "FALSE"},
                                            {"true", "True", "TRUE"}};

    for (size_t i = 0; i < 6; i++)
        if (strcmp(s, words[i / 3][i % 3]) == 0) {
            *out = i >= 3;
            return true;
        }
    return false;
}

static bool parse_choice(const struct cpv_opt *o, const char *s, int *out)
{
    for (int i = 0; o->choices[i]; i++) {
        const char *a = o->choices[i], *b = s;

        while (*a && (*a == *b || (*a == '_' && *b == '-') || (*a == '-' && *b == '_'))) {
            a++;
            b++;
        }
        if (!*a && !*b) {
            *out = i;
            return true;
        }
    }
    return false;
}

static int assign_text(const char **to, const char *value, cpv_arena *mem,
                       struct cpv_err *err)
{
    const char *copy = cpv_arena_str(mem, cpv_bytes_str(value));

    if (!copy)
        return cpv_fail_memory(err);
    *to = copy;
    return CPV_OK;
}

/* Paths may be any bytes, but what is pinned must survive a YAML file. */
static bool storable(const struct cpv_opt *o, const char *value)
{
    return !(o->flags & CPV_OPT_PINNED) || cpv_opt_is_utf8(value);
}

int cpv_opts_assign(const struct cpv_opt_group *g, const struct cpv_opt *o,
                    const char *value, const char *where, cpv_arena *mem,
                    struct cpv_err *err)
{
    void *to = cpv_opt_field(g, o);
    const char *expected;
    bool flag;
    int64_t i = 0;
    double r = 0;
    int choice;

    switch (o->kind) {
    case CPV_OPT_END:
        break;
    case CPV_OPT_FLAG:
        if (!parse_flag(value, &flag))
            return refuse(o, where, value, err);
        *(bool *)to = flag;
        return CPV_OK;
    case CPV_OPT_INT:
    case CPV_OPT_SIZE:
        if (!(o->kind == CPV_OPT_INT ? parse_int(value, strlen(value), &i)
                                     : parse_size(value, &i)) ||
            !in_range(o, (double)i))
            return refuse(o, where, value, err);
        *(int64_t *)to = i;
        return CPV_OK;
    case CPV_OPT_REAL:
        if (!parse_real(value, &r) || !in_range(o, r))
            return refuse(o, where, value, err);
        *(double *)to = r;
        return CPV_OK;
    case CPV_OPT_TEXT:
        if (!storable(o, value))
            return refuse(o, where, value, err);
        if (o->check && (expected = o->check(value)))
            return fail_expected(where, expected, value, err);
        return assign_text(to, value, mem, err);
    case CPV_OPT_CHOICE:
        if (!parse_choice(o, value, &choice))
            return refuse(o, where, value, err);
        *(int *)to = choice;
        return CPV_OK;
    case CPV_OPT_LIST:
        if (!storable(o, value))
            return refuse(o, where, value, err);
        if (o->flags & CPV_OPT_REPEAT)
            return append(to, value, mem, err);
        return assign_list_text(to, o, value, where, mem, err);
    }
    return cpv_fail(err, CPV_E_BUG, "%s: an option of no kind", where);
}

int cpv_opts_assign_list(const struct cpv_opt_group *g, const struct cpv_opt *o,
                         const char *const *values, size_t n, const char *where,
                         cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_texts *to = cpv_opt_field(g, o);
    const char **at;

    if (o->kind != CPV_OPT_LIST)
        return refuse(o, where, NULL, err);
    at = cpv_arena_calloc(mem, n ? n : 1, sizeof *at);
    if (!at)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        int rc;

        if (!storable(o, values[i]))
            return refuse(o, where, values[i], err);
        if ((rc = assign_text(&at[i], values[i], mem, err)))
            return rc;
    }
    return settle_list(to, o, (struct cpv_texts){at, n}, where, err);
}

int cpv_opts_defaults(const struct cpv_program *p, cpv_arena *mem, struct cpv_err *err)
{
    for (size_t i = 0; i < p->n_groups; i++) {
        const struct cpv_opt_group *g = &p->groups[i];

        for (const struct cpv_opt *o = g->opts; o->kind != CPV_OPT_END; o++) {
            int rc = CPV_OK;

            cpv_opt_clear(g, o);
            if (o->fallback && o->kind == CPV_OPT_LIST)
                rc = assign_list_text(cpv_opt_field(g, o), o, o->fallback, "fallback",
                                      mem, err);
            else if (o->fallback)
                rc = cpv_opts_assign(g, o, o->fallback, "fallback", mem, err);
            if (rc == CPV_E_USAGE) { /* the table is wrong, not the user */
                (void)cpv_err_add(err, "option '%s'", o->name ? o->name : o->key);
                if (err)
                    err->code = CPV_E_BUG;
                return CPV_E_BUG;
            }
            if (rc)
                return rc;
        }
    }
    return CPV_OK;
}
