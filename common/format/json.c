/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See json.h. Reading first makes a clean copy of the text (what Python and broken
 * encoders write becomes plain JSON), then leaves the grammar to jansson; places in
 * messages are mapped back to the text that came in.
 */
#include "common/format/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/utf8.h"

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* ---- UTF-8 ---- */

bool cpv_utf8_valid(struct cpv_bytes s)
{
    for (size_t i = 0; i < s.size;) {
        int step = cpv_utf8_get(s.data + i, s.size - i, NULL);

        if (step < 0)
            return false;
        i += (size_t)step;
    }
    return true;
}

bool cpv_utf8_clean(struct cpv_buf *to, struct cpv_bytes s)
{
    size_t from = 0, i = 0; /* [from, i) is valid and not yet copied */
    bool clean = true;

    while (i < s.size) {
        int step = cpv_utf8_get(s.data + i, s.size - i, NULL);

        if (step > 0) {
            i += (size_t)step;
            continue;
        }
        cpv_buf_add(to, s.data + from, i - from);
        cpv_buf_add(to, REPLACEMENT, 3);
        i += (size_t)-step;
        from = i;
        clean = false;
    }
    if (i > from)
        cpv_buf_add(to, s.data + from, i - from);
    return clean;
}

/* ---- writing ---- */

void cpv_json_init(struct cpv_json *j, struct cpv_buf *to)
{
    *j = (struct cpv_json){.to = to};
}

/* Before any value: a comma if one is due, and the state behind it. */
static void value(struct cpv_json *j)
{
    bool in_object = j->depth > 0 && j->object[j->depth];

    assert(in_object == j->want_value); /* in objects, and there only, a key first */
    assert(j->depth > 0 || !j->filled[0]);
    if (!in_object && j->filled[j->depth])
        cpv_buf_byte(j->to, ',');
    j->filled[j->depth] = true;
    j->want_value = false;
}

static void begin(struct cpv_json *j, bool object)
{
    value(j);
    assert(j->depth < CPV_JSON_DEPTH);
    j->depth++;
    j->filled[j->depth] = false;
    j->object[j->depth] = object;
    cpv_buf_byte(j->to, object ? '{' : '[');
}

static void end(struct cpv_json *j, bool object)
{
    assert(j->depth > 0 && j->object[j->depth] == object && !j->want_value);
    j->depth--;
    cpv_buf_byte(j->to, object ? '}' : ']');
}

void cpv_json_begin_object(struct cpv_json *j)
{
    begin(j, true);
}

void cpv_json_end_object(struct cpv_json *j)
{
    end(j, true);
}

void cpv_json_begin_array(struct cpv_json *j)
{
    begin(j, false);
}

void cpv_json_end_array(struct cpv_json *j)
{
    end(j, false);
}

static void escape(struct cpv_buf *to, uint8_t c)
{
    static const char shorts[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";
    const char *at = c ? strchr(shorts, c) : NULL;

    if (at) {
        cpv_buf_byte(to, '\\');
        cpv_buf_byte(to, (uint8_t)letters[at - shorts]);
    } else {
        cpv_buf_printf(to, "\\u%04x", (unsigned)c);
    }
}

static void quote(struct cpv_buf *to, struct cpv_bytes s)
{
    size_t from = 0, i = 0;

    cpv_buf_byte(to, '"');
    while (i < s.size) {
        uint8_t c = s.data[i];
        int step = cpv_utf8_get(s.data + i, s.size - i, NULL);

        if (step > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += (size_t)step;
            continue;
        }
        if (i > from)
            cpv_buf_add(to, s.data + from, i - from);
        if (step < 0)
            cpv_buf_add(to, REPLACEMENT, 3);
        else
            escape(to, c);
        i += (size_t)(step < 0 ? -step : step);
        from = i;
    }
    if (i > from)
        cpv_buf_add(to, s.data + from, i - from);
    cpv_buf_byte(to, '"');
}

void cpv_json_key_bytes(struct cpv_json *j, struct cpv_bytes key)
{
    assert(j->depth > 0 && j->object[j->depth] && !j->want_value);
    if (j->filled[j->depth])
        cpv_buf_byte(j->to, ',');
    quote(j->to, key);
    cpv_buf_byte(j->to, ':');
    j->want_value = true;
}

void cpv_json_key(struct cpv_json *j, const char *key)
{
    cpv_json_key_bytes(j, cpv_bytes_str(key));
}

void cpv_json_bytes(struct cpv_json *j, struct cpv_bytes s)
{
    value(j);
    quote(j->to, s);
}

void cpv_json_string(struct cpv_json *j, const char *s)
{
    if (s)
        cpv_json_bytes(j, cpv_bytes_str(s));
    else
        cpv_json_null(j);
}

void cpv_json_int(struct cpv_json *j, int64_t v)
{
    value(j);
    cpv_buf_printf(j->to, "%" PRId64, v);
}

void cpv_json_uint(struct cpv_json *j, uint64_t v)
{
    value(j);
    cpv_buf_printf(j->to, "%" PRIu64, v);
}

void cpv_json_real6(struct cpv_json *j, double v)
{
    value(j);
    if (!isfinite(v))
        cpv_buf_str(j->to, "null");
    else if (fabs(v) < 0.0000005) /* no "-0.000000" */
        cpv_buf_str(j->to, "0.000000");
    else
        cpv_buf_printf(j->to, "%.6f", v);
}

void cpv_json_bool(struct cpv_json *j, bool v)
{
    value(j);
    cpv_buf_str(j->to, v ? "true" : "false");
}

void cpv_json_null(struct cpv_json *j)
{
    value(j);
    cpv_buf_str(j->to, "null");
}

void cpv_json_raw(struct cpv_json *j, struct cpv_bytes text)
{
    value(j);
    cpv_buf_add(j->to, text.data, text.size);
}

/* The shortest of 15 to 17 digits that reads back as the same double. */
static void write_real(struct cpv_json *j, double v)
{
    char text[40];

    value(j);
    if (!isfinite(v)) {
        cpv_buf_str(j->to, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    cpv_buf_str(j->to, text);
    if (!strpbrk(text, ".e")) /* stays a real */
        cpv_buf_str(j->to, ".0");
}

static void write_inside(struct cpv_json *j, const json_t *v)
{
    if (json_is_object(v)) {
        const char *key;
        json_t *item, *object = (json_t *)(uintptr_t)v; /* iterators are not const */

        cpv_json_begin_object(j);
        json_object_foreach(object, key, item)
        {
            cpv_json_key(j, key);
            cpv_json_write(j, item);
        }
        cpv_json_end_object(j);
    } else {
        cpv_json_begin_array(j);
        for (size_t i = 0; i < json_array_size(v); i++)
            cpv_json_write(j, json_array_get(v, i));
        cpv_json_end_array(j);
    }
}

void cpv_json_write(struct cpv_json *j, const json_t *v)
{
    if (json_is_string(v))
        cpv_json_bytes(j, cpv_bytes_of(json_string_value(v), json_string_length(v)));
    else if (json_is_integer(v))
        cpv_json_int(j, json_integer_value(v));
    else if (json_is_real(v))
        write_real(j, json_real_value(v));
    else if (json_is_boolean(v))
        cpv_json_bool(j, json_is_true(v));
    else if ((json_is_object(v) || json_is_array(v)) && j->depth < CPV_JSON_DEPTH)
        write_inside(j, v);
    else
        cpv_json_null(j);
}

int cpv_json_text(const json_t *value, cpv_arena *mem, struct cpv_bytes *out,
                  struct cpv_err *err)
{
    struct cpv_buf text = {0};
    struct cpv_json j;
    char *copy;

    cpv_json_init(&j, &text);
    cpv_json_write(&j, value);
    copy = text.failed ? NULL : cpv_arena_str(mem, cpv_buf_view(&text));
    if (copy)
        *out = cpv_bytes_of(copy, text.size);
    cpv_buf_release(&text);
    return copy ? CPV_OK : cpv_fail_memory(err);
}

/* ---- reading ---- */

struct cleaner {
    struct cpv_bytes in;
    size_t at;          /* in `in` */
    struct cpv_buf out; /* plain JSON, if `in` is JSON at all */
    int depth;
};

static bool starts_with(const struct cleaner *c, const char *word)
{
    size_t n = strlen(word);

    return c->in.size - c->at >= n && memcmp(c->in.data + c->at, word, n) == 0;
}

/* The 16 bits of the escape \uXXXX at i; -1 if there is none. */
static int escape_at(struct cpv_bytes s, size_t i)
{
    uint8_t two[2];

    if (i > s.size || s.size - i < 6 || s.data[i] != '\\' || s.data[i + 1] != 'u' ||
        !cpv_unhex(two, 2, cpv_bytes_of(s.data + i + 2, 4)))
        return -1;
    return two[0] << 8 | two[1];
}

/* An escape; surrogates that stand alone become U+FFFD. */
static void clean_escape(struct cleaner *c)
{
    int first = escape_at(c->in, c->at), second = escape_at(c->in, c->at + 6);
    size_t n = c->in.size - c->at < 2 ? c->in.size - c->at : 2;

    if (first >= 0xD800 && first <= 0xDBFF && second >= 0xDC00 && second <= 0xDFFF) {
        n = 12;
    } else if (first >= 0xD800 && first <= 0xDFFF) {
        cpv_buf_str(&c->out, "\\ufffd");
        c->at += 6;
        return;
    }
    cpv_buf_add(&c->out, c->in.data + c->at, n);
    c->at += n;
}

/* From a quotation mark to behind the one that closes it (or the end). */
static void clean_string(struct cleaner *c)
{
    cpv_buf_byte(&c->out, c->in.data[c->at++]);
    while (c->at < c->in.size) {
        uint8_t b = c->in.data[c->at];
        int step = cpv_utf8_get(c->in.data + c->at, c->in.size - c->at, NULL);

        if (b == '\\') {
            clean_escape(c);
            continue;
        }
        if (step < 0)
            cpv_buf_add(&c->out, REPLACEMENT, 3);
        else
            cpv_buf_add(&c->out, c->in.data + c->at, (size_t)step);
        c->at += (size_t)(step < 0 ? -step : step);
        if (b == '"')
            return;
    }
}

/* Up to the end, or until `stop` bytes have come out: where it stands in `in`. */
static size_t clean_until(struct cleaner *c, size_t stop)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};

    while (c->at < c->in.size && c->out.size < stop && !c->out.failed) {
        uint8_t b = c->in.data[c->at];
        size_t w = 0;

        if (b == '"') {
            clean_string(c);
            continue;
        }
        if (b == '{' || b == '[')
            c->depth++;
        else if ((b == '}' || b == ']') && c->depth > 0)
            c->depth--;
        if (c->depth > CPV_JSON_DEPTH)
            break;
        while (w < 3 && !starts_with(c, words[w]))
            w++;
        if (w < 3) {
            cpv_buf_str(&c->out, "null");
            c->at += strlen(words[w]);
        } else {
            cpv_buf_byte(&c->out, b);
            c->at++;
        }
    }
    return c->at;
}

static int fail_at(struct cpv_bytes text, size_t at, const char *name,
                   struct cpv_err *err, const char *why)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < at && i < text.size; i++) {
        column = text.data[i] == '\n' ? 1 : column + 1;
        line += text.data[i] == '\n';
    }
    return cpv_fail(err, CPV_E_INPUT, "'%s' line %zu column %zu: %s", name, line, column,
                    why);
}

/*
 * jansson's text without "near '...'", which quotes the input. Its position is behind
 * the token that it could not use, in the clean copy.
 */
static int fail_jansson(const struct cleaner *done, const json_error_t *e,
                        const char *name, struct cpv_err *err)
{
    struct cleaner again = {.in = done->in};
    const char *near = strstr(e->text, " near '");
    size_t token = near ? strlen(near + strlen(" near '")) : 0;
    size_t behind = e->position > 0 ? (size_t)e->position : 0;
    size_t at = done->in.size;
    char why[sizeof e->text + 16];

    token = token > 1 ? token - 1 : 1; /* without the quote that closes it */
    if (json_error_code(e) != json_error_premature_end_of_input)
        at = clean_until(&again, behind > token ? behind - token : 0);
    cpv_buf_release(&again.out);
    (void)snprintf(why, sizeof why, "not JSON: %.*s",
                   near ? (int)(near - e->text) : (int)sizeof e->text - 1, e->text);
    for (char *p = why; *p; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' ';
    return fail_at(done->in, at, name, err, why);
}

int cpv_json_parse(struct cpv_bytes text, const char *name, json_t **out,
                   struct cpv_err *err)
{
    struct cleaner c = {.in = text};
    json_error_t e;
    int rc = CPV_OK;

    *out = NULL;
    if (text.size > CPV_JSON_TEXT_MAX)
        return cpv_fail(err, CPV_E_INPUT, "'%s': %zu bytes of JSON, at most %d allowed",
                        name, text.size, CPV_JSON_TEXT_MAX);
    if (text.size >= 3 && memcmp(text.data, "\xEF\xBB\xBF", 3) == 0)
        c.in = cpv_bytes_of(text.data + 3, text.size - 3);
    if (clean_until(&c, SIZE_MAX) < c.in.size && !c.out.failed)
        rc = fail_at(c.in, c.at, name, err, "nested more than 64 deep");
    else if (c.out.failed)
        rc = cpv_fail_memory(err);
    else if (c.out.size == 0)
        rc = fail_at(c.in, 0, name, err, "not JSON: empty");
    if (!rc) {
        *out = json_loadb((const char *)c.out.data, c.out.size,
                          JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
        if (!*out)
            rc = json_error_code(&e) == json_error_out_of_memory
                     ? cpv_fail_memory(err)
                     : fail_jansson(&c, &e, name, err);
    }
    cpv_buf_release(&c.out);
    return rc;
}
