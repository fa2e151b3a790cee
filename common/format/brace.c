/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See brace.h. Recursive descent over the pattern: a sequence is a product of parts,
 * a part a text, a range or a choice of sequences. Results are lists in an arena.
 */
#include "common/format/brace.h"

#include "common/base/size.h"

enum { DEPTH_MAX = 32, BYTES_MAX = 256 << 20 /* of all texts made on the way */ };

struct list {
    const char **at;
    size_t count, capacity;
};

struct expander {
    const char *pattern;
    size_t max;
    size_t bytes; /* spent so far */
    cpv_arena *mem;
    struct cpv_err *err;
};

static int fail(struct expander *x, const char *why)
{
    return cpv_fail(x->err, CPV_E_USAGE, "'%.200s': %s", x->pattern, why);
}

static int too_many(struct expander *x)
{
    return cpv_fail(x->err, CPV_E_USAGE, "'%.200s': stands for more than %zu paths",
                    x->pattern, x->max);
}

static int add(struct expander *x, struct list *l, const char *text)
{
    if (l->count == x->max)
        return too_many(x);
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 8;
        const char **at = cpv_arena_calloc(x->mem, capacity, sizeof *at);

        if (!at)
            return cpv_fail_memory(x->err);
        if (l->count)
            memcpy(at, l->at, l->count * sizeof *at);
        l->at = at;
        l->capacity = capacity;
    }
    if (!text)
        return cpv_fail_memory(x->err);
    l->at[l->count++] = text;
    return CPV_OK;
}

/* Every text of a with every one of b, in place of a. */
static int multiply(struct expander *x, struct list *a, const struct list *b)
{
    struct list product = {0};
    int rc = CPV_OK;

    for (size_t i = 0; i < a->count; i++) {
        for (size_t k = 0; !rc && k < b->count; k++) {
            size_t n = strlen(a->at[i]), m = strlen(b->at[k]);
            char *text;

            x->bytes += n + m + 1;
            if (x->bytes > BYTES_MAX)
                return too_many(x);
            if (!(text = cpv_arena_alloc(x->mem, n + m + 1)))
                return cpv_fail_memory(x->err);
            memcpy(text, a->at[i], n);
            memcpy(text + n, b->at[k], m + 1);
            rc = add(x, &product, text);
        }
    }
    *a = product;
    return rc;
}

/* ---- ranges ---- */

/* An integer that fills [s, end): optional minus, at most 15 digits. */
static bool get_number(const char *s, const char *end, long long *out)
{
    const char *p = s + (*s == '-');

    if (p == end || end - p > 15)
        return false;
    *out = 0;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        *out = *out * 10 + (*p - '0');
    }
    if (*s == '-')
        *out = -*out;
    return true;
}

static bool zero_led(const char *s, const char *end)
{
    s += *s == '-';
    return end - s > 1 && *s == '0';
}

static const char *find_dots(const char *s, const char *end)
{
    for (; s + 1 < end; s++)
        if (s[0] == '.' && s[1] == '.')
            return s;
    return NULL;
}

/*
 * [s, end) as a range "from..to" or "from..to..step". *is_range is false if it is not
 * even meant as one.
 */
static int expand_range(struct expander *x, const char *s, const char *end,
                        struct list *out, bool *is_range)
{
    const char *dots = find_dots(s, end), *more, *to_end = end;
    long long from, to, step = 1, n;
    int width = 0, rc = CPV_OK;

    *is_range = dots != NULL;
    if (!dots)
        return CPV_OK;
    if ((more = find_dots(dots + 2, end))) {
        to_end = more;
        if (!get_number(more + 2, end, &step) || step == 0)
            return fail(x, "a range's step is a number, and not 0");
        step = step < 0 ? -step : step;
    }
    if (!get_number(s, dots, &from) || !get_number(dots + 2, to_end, &to))
        return fail(x, "a range goes from a number to a number, as {000..123}");
    if (zero_led(s, dots) || zero_led(dots + 2, to_end))
        width = (int)(dots - s > to_end - dots - 2 ? dots - s : to_end - dots - 2);
    n = (from < to ? to - from : from - to) / step + 1;
    if ((unsigned long long)n > x->max)
        return too_many(x);
    for (long long i = 0; !rc && i < n; i++)
        rc = add(x, out,
                 cpv_arena_printf(x->mem, "%0*lld", width,
                                  from < to ? from + i * step : from - i * step));
    return rc;
}

/* ---- sequences and choices ---- */

/* The brace that closes the one before s, or NULL. *comma: one at this level. */
static const char *find_close(const char *s, bool *comma)
{
    int depth = 0;

    *comma = false;
    for (; *s; s++) {
        if (*s == '\\' && s[1])
            s++;
        else if (*s == '{')
            depth++;
        else if (*s == '}' && depth-- == 0)
            return s;
        else if (*s == ',' && depth == 0)
            *comma = true;
    }
    return NULL;
}

static int expand(struct expander *x, const char *s, const char *end, int depth,
                  struct list *out);

/* The texts between commas, each expanded. */
static int expand_choice(struct expander *x, const char *s, const char *end, int depth,
                         struct list *out)
{
    int level = 0, rc = CPV_OK;

    for (const char *p = s; !rc && p <= end; p++) {
        struct list some = {0};

        if (p < end && *p == '\\' && p + 1 < end)
            p++;
        else if (p < end && *p == '{')
            level++;
        else if (p < end && *p == '}')
            level--;
        else if (p == end || (*p == ',' && level == 0)) {
            rc = expand(x, s, p, depth, &some);
            for (size_t i = 0; !rc && i < some.count; i++)
                rc = add(x, out, some.at[i]);
            s = p + 1;
        }
    }
    return rc;
}

/* A text without braces, backslashes resolved. */
static const char *literal(struct expander *x, const char *s, const char *end)
{
    char *text = cpv_arena_alloc(x->mem, (size_t)(end - s) + 1), *to = text;

    while (text && s < end) {
        if (*s == '\\' && s + 1 < end)
            s++;
        *to++ = *s++;
    }
    if (text)
        *to = '\0';
    return text;
}

/* What a pair of braces round [s, end) stands for. */
static int expand_braces(struct expander *x, const char *s, const char *end, bool comma,
                         int depth, struct list *out)
{
    struct list open = {0}, close = {0};
    bool is_range = false;
    int rc;

    if (comma)
        return expand_choice(x, s, end, depth, out);
    if (!memchr(s, '{', (size_t)(end - s)) &&
        ((rc = expand_range(x, s, end, out, &is_range)) || is_range))
        return rc;
    /* No choice, no range: the braces stand for themselves. */
    if ((rc = add(x, &open, "{")) || (rc = add(x, &close, "}")) ||
        (rc = expand(x, s, end, depth, out)) || (rc = multiply(x, &open, out)) ||
        (rc = multiply(x, &open, &close)))
        return rc;
    *out = open;
    return CPV_OK;
}

static int expand(struct expander *x, const char *s, const char *end, int depth,
                  struct list *out)
{
    int rc;

    if (depth > DEPTH_MAX)
        return fail(x, "braces nested too deeply");
    if ((rc = add(x, out, "")))
        return rc;
    while (!rc && s < end) {
        const char *p = s;
        struct list part = {0};
        bool comma;

        while (p < end && *p != '{' && *p != '}')
            p += *p == '\\' && p + 1 < end ? 2 : 1;
        if (p > s) {
            rc = add(x, &part, literal(x, s, p));
        } else if (*p == '}' || !(p = find_close(s + 1, &comma)) || p >= end) {
            return fail(x, "braces without their partners");
        } else {
            rc = expand_braces(x, s + 1, p++, comma, depth + 1, &part);
        }
        if (!rc)
            rc = multiply(x, out, &part);
        s = p;
    }
    return rc;
}

int cpv_brace_expand(const char *pattern, size_t max, cpv_arena *mem,
                     struct cpv_texts *out, struct cpv_err *err)
{
    struct expander x = {pattern, max, 0, mem, err};
    struct list all = {0};
    int rc = expand(&x, pattern, pattern + strlen(pattern), 0, &all);

    out->at = all.at;
    out->count = all.count;
    return rc;
}
