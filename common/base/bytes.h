/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of bytes: a view that never owns, and a buffer that grows.
 *
 * A buffer remembers that memory ran out (`failed`) and ignores later appends,
 * so a series of appends needs one check at its end. Zero-initialise it or call
 * cpv_buf_init; cpv_buf_release frees and leaves it ready for use again.
 */
#ifndef CPV_BASE_BYTES_H
#define CPV_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A view. `data` may be NULL only if size is 0. Not terminated. */
struct cpv_bytes {
    const uint8_t *data;
    size_t size;
};

struct cpv_buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
};

static inline struct cpv_bytes cpv_bytes_of(const void *data, size_t size)
{
    struct cpv_bytes b = {(const uint8_t *)data, size};
    return b;
}

static inline struct cpv_bytes cpv_bytes_str(const char *s)
{
    return cpv_bytes_of(s, strlen(s));
}

bool cpv_bytes_equal(struct cpv_bytes a, struct cpv_bytes b);

void cpv_buf_init(struct cpv_buf *b);
void cpv_buf_release(struct cpv_buf *b);
void cpv_buf_clear(struct cpv_buf *b); /* size 0, `failed` false, memory kept */

/* Room for n more bytes; NULL (and failed) without. The room starts at data + size. */
uint8_t *cpv_buf_reserve(struct cpv_buf *b, size_t n);
void cpv_buf_add(struct cpv_buf *b, const void *data, size_t n);
void cpv_buf_byte(struct cpv_buf *b, uint8_t byte);
void cpv_buf_str(struct cpv_buf *b, const char *s);
void cpv_buf_printf(struct cpv_buf *b, const char *fmt, ...) CPV_PRINTF(2, 3);

/* A terminated string of what is in there so far, or NULL if memory ran out.
 * The terminator is not counted in size. Valid until the next append. */
const char *cpv_buf_cstr(struct cpv_buf *b);

static inline struct cpv_bytes cpv_buf_view(const struct cpv_buf *b)
{
    return cpv_bytes_of(b->data, b->size);
}

/* Little-endian integers in files. */
void cpv_buf_u16(struct cpv_buf *b, uint16_t v);
void cpv_buf_u32(struct cpv_buf *b, uint32_t v);
void cpv_buf_u64(struct cpv_buf *b, uint64_t v);
void cpv_buf_varint(struct cpv_buf *b, uint64_t v); /* LEB128, at most 10 bytes */

/* In line, because digests and parsers live on them; one instruction each. */
static inline uint16_t cpv_load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t cpv_load_u32(const uint8_t *p)
{
    return cpv_load_u16(p) | (uint32_t)cpv_load_u16(p + 2) << 16;
}

static inline uint64_t cpv_load_u64(const uint8_t *p)
{
    return cpv_load_u32(p) | (uint64_t)cpv_load_u32(p + 4) << 32;
}

/*
 * A cursor over untrusted bytes: every get either yields a value or sets
 * `failed` and yields 0, for ever after. Check `failed` once at the end.
 */
struct cpv_cursor {
    const uint8_t *at, *end;
    bool failed;
};

static inline struct cpv_cursor cpv_cursor_of(struct cpv_bytes b)
{
    const uint8_t *data = b.data ? b.data : (const uint8_t *)"";
    struct cpv_cursor c = {data, data + b.size, false};
    return c;
}

uint8_t cpv_get_u8(struct cpv_cursor *c);
uint16_t cpv_get_u16(struct cpv_cursor *c);
uint32_t cpv_get_u32(struct cpv_cursor *c);
uint64_t cpv_get_u64(struct cpv_cursor *c);
uint64_t cpv_get_varint(struct cpv_cursor *c); /* fails on more than 64 bits */
struct cpv_bytes cpv_get_bytes(struct cpv_cursor *c, size_t n);

/* n bytes as 2n lower-case hexadecimal digits and a terminator. */
void cpv_hex(char *out, const uint8_t *data, size_t n);
/* The reverse; false unless `s` is exactly 2n hexadecimal digits. */
bool cpv_unhex(uint8_t *out, size_t n, struct cpv_bytes s);

#ifdef __cplusplus
}
#endif
#endif
