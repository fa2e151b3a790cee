/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of checkpoints share: ZIP archives, pickles and bytes of exact size. */
#ifndef CPV_TESTS_UNIT_FORMAT_CHECKPOINT_UNIT_H
#define CPV_TESTS_UNIT_FORMAT_CHECKPOINT_UNIT_H

#include "tests/unit/format/input_unit.h"

#include "common/base/arena.h"
#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/format/checkpoint_internal.h"

/* A literal with NULs inside appended. */
#define ADD(buf, literal) cpv_buf_add(buf, literal, sizeof(literal) - 1)

/* In memory of exactly its size, so that ASan sees one byte too far. cpv_free ends it. */
static inline struct cpv_bytes exact(const void *data, size_t n)
{
    uint8_t *copy = cpv_alloc(n);

    assert_non_null(copy);
    if (n)
        memcpy(copy, data, n);
    return cpv_bytes_of(copy, n);
}

static inline void exact_end(struct cpv_bytes *b)
{
    cpv_free((void *)(uintptr_t)b->data);
    *b = cpv_bytes_of(NULL, 0);
}

static inline struct cpv_bytes load_file(const char *path)
{
    struct cpv_buf b = {0};
    struct cpv_err err = {0};
    struct cpv_bytes out;

    assert_ok(cpv_file_read(path, 1 << 24, &b, &err));
    out = exact(b.data, b.size);
    cpv_buf_release(&b);
    return out;
}

/* One line that holds `part`. */
static inline void assert_says(const struct cpv_err *err, const char *part)
{
    if (!strstr(err->text, part) || strpbrk(err->text, "\n\r\t"))
        fail_msg("'%s' does not say '%s' in one line", err->text, part);
}

struct zip_entry {
    const char *name;
    const void *data;
    size_t size;
    unsigned pad; /* bytes of an extra field in the local header alone */
};

/* A stored archive; with zip64 all sizes and offsets stand in the ZIP64 fields. */
static inline void make_zip(struct cpv_buf *to, const struct zip_entry *e, size_t n,
                            bool zip64)
{
    uint64_t at[16], begin, size;

    assert_true(n <= 16);
    for (size_t i = 0; i < n; i++) {
        at[i] = to->size;
        ADD(to, "PK\3\4\x2d\0\0\10\0\0\0\0\0\0\0\0\0\0");
        cpv_buf_u32(to, (uint32_t)e[i].size);
        cpv_buf_u32(to, (uint32_t)e[i].size);
        cpv_buf_u16(to, (uint16_t)strlen(e[i].name));
        cpv_buf_u16(to, (uint16_t)e[i].pad);
        cpv_buf_str(to, e[i].name);
        for (unsigned k = 0; k < e[i].pad; k++)
            cpv_buf_byte(to, 'Z');
        cpv_buf_add(to, e[i].data, e[i].size);
    }
    begin = to->size;
    for (size_t i = 0; i < n; i++) {
        ADD(to, "PK\1\2\x2d\0\x2d\0\0\10\0\0\0\0\0\0\0\0\0\0");
        cpv_buf_u32(to, zip64 ? UINT32_MAX : (uint32_t)e[i].size);
        cpv_buf_u32(to, zip64 ? UINT32_MAX : (uint32_t)e[i].size);
        cpv_buf_u16(to, (uint16_t)strlen(e[i].name));
        cpv_buf_u16(to, zip64 ? 5 + 28 : 0);
        ADD(to, "\0\0\0\0\0\0\0\0\0\0");
        cpv_buf_u32(to, zip64 ? UINT32_MAX : (uint32_t)at[i]);
        cpv_buf_str(to, e[i].name);
        if (zip64) {
            ADD(to, "FB\1\0x\1\0\30\0"); /* another field stands before */
            cpv_buf_u64(to, e[i].size);
            cpv_buf_u64(to, e[i].size);
            cpv_buf_u64(to, at[i]);
        }
    }
    size = to->size - begin;
    if (zip64) {
        uint64_t end64 = to->size;

        ADD(to, "PK\6\6\54\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
        cpv_buf_u64(to, n);
        cpv_buf_u64(to, n);
        cpv_buf_u64(to, size);
        cpv_buf_u64(to, begin);
        ADD(to, "PK\6\7\0\0\0\0");
        cpv_buf_u64(to, end64);
        cpv_buf_u32(to, 1);
    }
    ADD(to, "PK\5\6\0\0\0\0");
    cpv_buf_u16(to, zip64 ? UINT16_MAX : (uint16_t)n);
    cpv_buf_u16(to, zip64 ? UINT16_MAX : (uint16_t)n);
    cpv_buf_u32(to, zip64 ? UINT32_MAX : (uint32_t)size);
    cpv_buf_u32(to, zip64 ? UINT32_MAX : (uint32_t)begin);
    cpv_buf_u16(to, 0);
    assert_false(to->failed);
}

#endif
