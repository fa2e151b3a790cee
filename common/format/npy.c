/* SPDX-License-Identifier: Apache-2.0 */
/* See npy.h. */
#include "common/format/npy.h"

#include <stdio.h>

#include "common/base/size.h"

enum {
    MAGIC = 6,
    HEAD_MAX = 1 << 16,
    ALIGN = 64,
    GROWTH = 21,
    TEXT_MAX = 32 /* of a key or a type */
};

static const uint8_t magic[MAGIC] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

/* ---- reading: the dictionary ---- */

struct head {
    const char *name;
    const uint8_t *at, *end;
    bool has_type, has_order, has_shape;
    struct cpv_npy *out;
    struct cpv_err *err;
};

static int bad(struct head *h, const char *expected)
{
    return cpv_fail(h->err, CPV_E_INPUT, "'%s': in the array's header: expected %s",
                    h->name, expected);
}

/* The next character that is no blank; 0 at the end. */
static uint8_t peek(struct head *h)
{
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\n'))
        h->at++;
    return h->at < h->end ? *h->at : 0;
}

static bool take(struct head *h, uint8_t c)
{
    if (peek(h) != c)
        return false;
    h->at++;
    return true;
}

static bool take_word(struct head *h, const char *word)
{
    size_t n = strlen(word);

    (void)peek(h);
    if ((size_t)(h->end - h->at) < n || memcmp(h->at, word, n) != 0)
        return false;
    h->at += n;
    return true;
}

/* A text in quotes, of printable characters other than quotes and backslashes. */
static bool take_text(struct head *h, char out[TEXT_MAX])
{
    uint8_t quote = peek(h);
    size_t n = 0;

    if (quote != '\'' && quote != '"')
        return false;
    for (h->at++; h->at < h->end && *h->at != quote; h->at++) {
        if (*h->at < ' ' || *h->at > '~' || *h->at == '\\' || n + 1 == TEXT_MAX)
            return false;
        out[n++] = (char)*h->at;
    }
    out[n] = '\0';
    return take(h, quote);
}

static bool take_number(struct head *h, uint64_t *out)
{
    uint64_t v = 0;
    uint8_t c = peek(h);

    if (c < '0' || c > '9')
        return false;
    for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*h->at - '0'), &v))
            return false;
    *out = v;
    return true;
}

static int take_type(struct head *h)
{
    char text[TEXT_MAX];

    if (peek(h) == '[')
        return bad(h, "'<f2' or '<f4', not a record's fields");
    if (!take_text(h, text))
        return bad(h, "'<f2' or '<f4' as 'descr'");
    if (strcmp(text, "<f2") == 0)
        h->out->type = CPV_NPY_F16;
    else if (strcmp(text, "<f4") == 0)
        h->out->type = CPV_NPY_F32;
    else
        return cpv_fail(h->err, CPV_E_INPUT,
                        "'%s': an array of '%s'; expected '<f2' or '<f4'", h->name, text);
    h->has_type = true;
    return CPV_OK;
}

static int take_order(struct head *h)
{
    if (take_word(h, "True"))
        return cpv_fail(h->err, CPV_E_INPUT,
                        "'%s': an array in Fortran order; expected C order", h->name);
    if (!take_word(h, "False"))
        return bad(h, "True or False as 'fortran_order'");
    h->has_order = true;
    return CPV_OK;
}

static int take_shape(struct head *h)
{
    uint64_t n[2] = {0};
    int dims = 0;
    bool more = true;

    if (!take(h, '('))
        return bad(h, "'shape' in parentheses");
    while (more && peek(h) != ')') {
        uint64_t one;

        if (!take_number(h, &one))
            return bad(h, "whole numbers as 'shape'");
        if (dims == 2)
            return cpv_fail(h->err, CPV_E_INPUT,
                            "'%s': an array of more than two dimensions", h->name);
        n[dims++] = one;
        more = take(h, ',');
    }
    if (!take(h, ')') || (dims == 1 && !more)) /* (512) is a number, no tuple */
        return bad(h, "'shape' as (ROWS, COLUMNS)");
    if (dims == 0)
        return cpv_fail(h->err, CPV_E_INPUT, "'%s': a single number; expected an array",
                        h->name);
    h->out->dims = dims;
    h->out->rows = dims == 2 ? n[0] : 1;
    h->out->cols = n[dims - 1];
    h->has_shape = true;
    return CPV_OK;
}

static int take_pair(struct head *h)
{
    char key[TEXT_MAX];

    if (!take_text(h, key) || !take(h, ':'))
        return bad(h, "a key in quotes and a colon");
    if (strcmp(key, "descr") == 0 && !h->has_type)
        return take_type(h);
    if (strcmp(key, "fortran_order") == 0 && !h->has_order)
        return take_order(h);
    if (strcmp(key, "shape") == 0 && !h->has_shape)
        return take_shape(h);
    return bad(h, "the keys 'descr', 'fortran_order' and 'shape', each once");
}

static int take_dictionary(struct head *h)
{
    bool more = true;

    if (!take(h, '{'))
        return bad(h, "a dictionary");
    while (more && peek(h) != '}') {
        int rc = take_pair(h);

        if (rc)
            return rc;
        more = take(h, ',');
    }
    if (!take(h, '}'))
        return bad(h, "',' or '}' behind a value");
    if (peek(h))
        return bad(h, "nothing behind the dictionary");
    if (!h->has_type || !h->has_order || !h->has_shape)
        return bad(h, "the keys 'descr', 'fortran_order' and 'shape'");
    return CPV_OK;
}

/* ---- reading: the file ---- */

static size_t size_of(enum cpv_npy_type type)
{
    return type == CPV_NPY_F16 ? 2 : 4;
}

static int check_size(const struct cpv_npy *a, const char *name, struct cpv_err *err)
{
    size_t n;

    if (!cpv_size_mul((size_t)a->rows, (size_t)a->cols, &n) ||
        !cpv_size_mul(n, size_of(a->type), &n))
        return cpv_fail(err, CPV_E_INPUT, "'%s': its array is too large", name);
    if (a->data.size != n)
        return cpv_fail(
            err, CPV_E_INPUT, "'%s': its array has %zu bytes; [%llu, %llu] has %zu", name,
            a->data.size, (unsigned long long)a->rows, (unsigned long long)a->cols, n);
    return CPV_OK;
}

int cpv_npy_read(struct cpv_bytes file, const char *name, struct cpv_npy *out,
                 struct cpv_err *err)
{
    struct cpv_cursor c = cpv_cursor_of(file);
    struct cpv_bytes start = cpv_get_bytes(&c, MAGIC), text;
    uint8_t major = cpv_get_u8(&c), minor = cpv_get_u8(&c);
    struct head h = {.name = name, .out = out, .err = err};
    size_t size;
    int rc;

    memset(out, 0, sizeof *out);
    if (c.failed || memcmp(start.data, magic, MAGIC) != 0)
        return cpv_fail(err, CPV_E_INPUT, "'%s': not an array of numpy (.npy)", name);
    if (major < 1 || major > 3 || minor != 0)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': version %u.%u of .npy; expected 1.0, 2.0 or 3.0", name,
                        major, minor);
    size = major == 1 ? cpv_get_u16(&c) : cpv_get_u32(&c);
    if (size > HEAD_MAX)
        return cpv_fail(err, CPV_E_INPUT, "'%s': a header of %zu bytes", name, size);
    text = cpv_get_bytes(&c, size);
    if (c.failed)
        return cpv_fail(err, CPV_E_INPUT, "'%s': cut off in the array's header", name);
    h.at = text.data;
    h.end = text.data + text.size;
    rc = take_dictionary(&h);
    if (rc)
        return rc;
    out->data = cpv_bytes_of(c.at, (size_t)(c.end - c.at));
    return check_size(out, name, err);
}

void cpv_npy_values(const struct cpv_npy *a, float *out)
{
    const uint8_t *p = a->data.data;
    size_t n = (size_t)(a->rows * a->cols);

    for (size_t i = 0; i < n; i++) {
        if (a->type == CPV_NPY_F16) {
            out[i] = cpv_half_value(cpv_load_u16(p + 2 * i));
        } else {
            uint32_t bits = cpv_load_u32(p + 4 * i);

            memcpy(&out[i], &bits, sizeof bits);
        }
    }
}

/* ---- writing ---- */

void cpv_npy_write_f16(struct cpv_buf *out, const float *values, uint64_t rows,
                       uint64_t cols)
{
    char text[ALIGN * 3], number[24];
    int digits = snprintf(number, sizeof number, "%llu", (unsigned long long)rows);
    int n =
        snprintf(text, sizeof text,
                 "{'descr': '<f2', 'fortran_order': False, 'shape': (%llu, %llu), }"
                 "%*s",
                 (unsigned long long)rows, (unsigned long long)cols, GROWTH - digits, "");
    size_t head = MAGIC + 4, used = head + (size_t)n + 1;
    size_t size = (used + ALIGN - 1) / ALIGN * ALIGN;
    uint8_t *p;

    cpv_buf_add(out, magic, MAGIC);
    cpv_buf_u16(out, 1); /* 1, 0 */
    cpv_buf_u16(out, (uint16_t)(size - head));
    cpv_buf_add(out, text, (size_t)n);
    for (; used < size; used++)
        cpv_buf_byte(out, ' ');
    cpv_buf_byte(out, '\n');
    p = cpv_buf_reserve(out, (size_t)(rows * cols) * 2);
    for (size_t i = 0; p && i < rows * cols; i++) {
        uint16_t h = cpv_half_of(values[i]);

        p[2 * i] = (uint8_t)h;
        p[2 * i + 1] = (uint8_t)(h >> 8);
    }
    if (p)
        out->size += (size_t)(rows * cols) * 2;
}
