/* SPDX-License-Identifier: Apache-2.0 */
/* See bytes.h. */
#include "common/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/size.h"
#include "common/base/sys.h"

bool cpv_bytes_equal(struct cpv_bytes a, struct cpv_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

void cpv_buf_init(struct cpv_buf *b)
{
    memset(b, 0, sizeof *b);
}

void cpv_buf_release(struct cpv_buf *b)
{
    cpv_free(b->data);
    cpv_buf_init(b);
}

void cpv_buf_clear(struct cpv_buf *b)
{
    b->size = 0;
    b->failed = false;
}

/* Doubling keeps a series of appends linear. */
uint8_t *cpv_buf_reserve(struct cpv_buf *b, size_t n)
{
    size_t wanted, capacity;
    uint8_t *data;

    if (b->failed || !cpv_size_add(b->size, n, &wanted)) {
        b->failed = true;
        return NULL;
    }
    if (wanted > b->capacity || !b->data) {
        capacity = b->capacity ? b->capacity : 64;
        while (capacity < wanted && cpv_size_mul(capacity, 2, &capacity))
            ;
        data = capacity >= wanted ? cpv_realloc(b->data, capacity) : NULL;
        if (!data) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->capacity = capacity;
    }
    return b->data + b->size;
}

void cpv_buf_add(struct cpv_buf *b, const void *data, size_t n)
{
    uint8_t *to = cpv_buf_reserve(b, n);

    if (!to || n == 0)
        return;
    memcpy(to, data, n);
    b->size += n;
}

void cpv_buf_byte(struct cpv_buf *b, uint8_t byte)
{
    cpv_buf_add(b, &byte, 1);
}

void cpv_buf_str(struct cpv_buf *b, const char *s)
{
    cpv_buf_add(b, s, strlen(s));
}

void cpv_buf_printf(struct cpv_buf *b, const char *fmt, ...)
{
    uint8_t *to;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !(to = cpv_buf_reserve(b, (size_t)n + 1))) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->size += (size_t)n;
}

const char *cpv_buf_cstr(struct cpv_buf *b)
{
    uint8_t *to = cpv_buf_reserve(b, 1);

    if (!to)
        return NULL;
    *to = '\0';
    return (const char *)b->data;
}

static void add_le(struct cpv_buf *b, uint64_t v, size_t n)
{
    uint8_t le[8];

    for (size_t i = 0; i < n; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    cpv_buf_add(b, le, n);
}

void cpv_buf_u16(struct cpv_buf *b, uint16_t v)
{
    add_le(b, v, 2);
}

void cpv_buf_u32(struct cpv_buf *b, uint32_t v)
{
    add_le(b, v, 4);
}

void cpv_buf_u64(struct cpv_buf *b, uint64_t v)
{
    add_le(b, v, 8);
}

void cpv_buf_varint(struct cpv_buf *b, uint64_t v)
{
    while (v >= 0x80) {
        cpv_buf_byte(b, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    cpv_buf_byte(b, (uint8_t)v);
}

struct cpv_bytes cpv_get_bytes(struct cpv_cursor *c, size_t n)
{
    struct cpv_bytes b = {NULL, 0};

    if (c->failed || n > (size_t)(c->end - c->at)) {
        c->failed = true;
        return b;
    }
    b = cpv_bytes_of(c->at, n);
    c->at += n;
    return b;
}

uint8_t cpv_get_u8(struct cpv_cursor *c)
{
    struct cpv_bytes b = cpv_get_bytes(c, 1);

    return b.data ? b.data[0] : 0;
}

uint16_t cpv_get_u16(struct cpv_cursor *c)
{
    struct cpv_bytes b = cpv_get_bytes(c, 2);

    return b.data ? cpv_load_u16(b.data) : 0;
}

uint32_t cpv_get_u32(struct cpv_cursor *c)
{
    struct cpv_bytes b = cpv_get_bytes(c, 4);

    return b.data ? cpv_load_u32(b.data) : 0;
}

uint64_t cpv_get_u64(struct cpv_cursor *c)
{
    struct cpv_bytes b = cpv_get_bytes(c, 8);

    return b.data ? cpv_load_u64(b.data) : 0;
}

uint64_t cpv_get_varint(struct cpv_cursor *c)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cpv_get_u8(c);

        if (c->failed)
            return 0;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    c->failed = true;
    return 0;
}

void cpv_hex(char *out, const uint8_t *data, size_t n)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[data[i] >> 4];
        out[2 * i + 1] = digit[data[i] & 15];
    }
    out[2 * n] = '\0';
}

static int digit_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool cpv_unhex(uint8_t *out, size_t n, struct cpv_bytes s)
{
    if (s.size != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = digit_value(s.data[2 * i]), lo = digit_value(s.data[2 * i + 1]);

        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}
