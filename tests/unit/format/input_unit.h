/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of inputs share: files made from bytes, plain or compressed. */
#ifndef CPV_TESTS_UNIT_FORMAT_INPUT_UNIT_H
#define CPV_TESTS_UNIT_FORMAT_INPUT_UNIT_H

#include "tests/unit/base/unit.h"

#include <zlib.h>
#include <zstd.h>

#include "common/base/bytes.h"

/* A file in the scratch folder; its name. */
static inline const char *make_file(const char *name, const void *data, size_t n)
{
    FILE *f = fopen(name, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return name;
}

static inline const char *make_text(const char *name, const char *text)
{
    return make_file(name, text, strlen(text));
}

/* One gzip member appended. */
static inline void add_gzip(struct cpv_buf *to, const void *data, size_t n)
{
    z_stream z = {0};
    uint8_t *room;

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    room = cpv_buf_reserve(to, n + 1000);
    assert_non_null(room);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)n;
    z.next_out = room;
    z.avail_out = (uInt)(n + 1000);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    to->size += z.total_out;
    (void)deflateEnd(&z);
}

/* One zstd frame with a checksum appended. */
static inline void add_zstd(struct cpv_buf *to, const void *data, size_t n)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(n), got;
    uint8_t *room = cpv_buf_reserve(to, bound);

    assert_non_null(c);
    assert_non_null(room);
    (void)ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    got = ZSTD_compress2(c, room, bound, data, n);
    assert_false(ZSTD_isError(got));
    to->size += got;
    (void)ZSTD_freeCCtx(c);
}

static inline const char *make_gzip(const char *name, const char *text)
{
    struct cpv_buf b = {0};

    add_gzip(&b, text, strlen(text));
    (void)make_file(name, b.data, b.size);
    cpv_buf_release(&b);
    return name;
}

static inline const char *make_zstd(const char *name, const char *text)
{
    struct cpv_buf b = {0};

    add_zstd(&b, text, strlen(text));
    (void)make_file(name, b.data, b.size);
    cpv_buf_release(&b);
    return name;
}

#endif
