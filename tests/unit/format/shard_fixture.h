/* SPDX-License-Identifier: Apache-2.0 */
/* Samples that are always the same, shards of them, and tars built by hand. */
#ifndef CPV_TESTS_UNIT_FORMAT_SHARD_FIXTURE_H
#define CPV_TESTS_UNIT_FORMAT_SHARD_FIXTURE_H

#include "common/base/file.h"
#include "common/format/samples.h"
#include "common/format/shard.h"
#include "common/format/tar.h"
#include "tests/unit/base/unit.h"

enum { FIXTURE_JPG_MAX = 4096 };

/* The fake picture of sample i: n bytes that do not compress. */
static inline struct cpv_bytes fixture_jpg(uint8_t *to, uint32_t i, size_t n)
{
    uint64_t x = 0x9E3779B97F4A7C15u * (i + 1);

    for (size_t k = 0; k < n; k++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        to[k] = (uint8_t)(x >> 24);
    }
    return cpv_bytes_of(to, n);
}

static inline size_t fixture_size(uint32_t i)
{
    return (size_t)i * 37 % FIXTURE_JPG_MAX;
}

static inline void fixture_key(char to[16], uint32_t i)
{
    (void)snprintf(to, 16, "%09u", i);
}

static inline void put_fixture(cpv_shard_writer *w, uint32_t i, size_t n)
{
    uint8_t jpg[FIXTURE_JPG_MAX];
    char key[16], json[64];
    struct cpv_member m[2];

    fixture_key(key, i);
    (void)snprintf(json, sizeof json, "{\"key\":\"%s\",\"width\":%u}", key, i % 7);
    m[0] = (struct cpv_member){"json", cpv_bytes_str(json)};
    m[1] = (struct cpv_member){"jpg", fixture_jpg(jpg, i, n)};
    cpv_shard_put(w, key, m, 2);
}

/* A shard of n samples; jpg: bytes of each picture, 0: as fixture_size. */
static inline void make_shard(const char *path, uint32_t n, size_t jpg,
                              const struct cpv_shard_params *params,
                              struct cpv_shard_info *info)
{
    struct cpv_err err = {0};
    cpv_shard_writer *w;
    bool existed;

    assert_ok(cpv_shard_create(&w, path, params, &err));
    for (uint32_t i = 0; i < n; i++)
        put_fixture(w, i, jpg ? jpg : fixture_size(i));
    assert_ok(cpv_shard_commit(&w, info, &existed, &err));
    assert_false(existed);
}

static inline void assert_fixture(const struct cpv_sample *s, uint32_t i, size_t n)
{
    uint8_t jpg[FIXTURE_JPG_MAX];
    char key[16];

    fixture_key(key, i);
    assert_string_equal(s->key, key);
    assert_int_equal(s->n_members, 2);
    assert_string_equal(s->members[0].ext, "jpg");
    assert_string_equal(s->members[1].ext, "json");
    assert_true(cpv_bytes_equal(s->members[0].data, fixture_jpg(jpg, i, n)));
    assert_memory_equal(s->members[1].data.data, "{\"key\":\"", 8);
}

static inline struct cpv_buf slurp(const char *path)
{
    struct cpv_err err = {0};
    struct cpv_buf b = {0};

    assert_ok(cpv_file_read(path, 1u << 30, &b, &err));
    return b;
}

static inline void spill(const char *path, struct cpv_bytes content)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(content.data, 1, content.size, f), content.size);
    assert_int_equal(fclose(f), 0);
}

/* ---- tars by hand ---- */

/* The checksum after a header was changed. */
static inline void tar_resum(uint8_t *head)
{
    unsigned sum = 0;
    char text[8];

    memset(head + 148, ' ', 8);
    for (unsigned i = 0; i < 512; i++)
        sum += head[i];
    (void)snprintf(text, sizeof text, "%06o", sum);
    memcpy(head + 148, text, 7);
}

static inline void tar_pad(struct cpv_buf *b)
{
    while (b->size % 512)
        cpv_buf_byte(b, 0);
}

/* A member of any type with any name of up to 99 bytes. */
static inline void tar_add(struct cpv_buf *b, const char *name, char type,
                           const void *data, size_t n)
{
    uint8_t head[512];

    cpv_tar_write(head, "k", "e", n);
    memset(head, 0, 100);
    memcpy(head, name, strlen(name));
    head[156] = (uint8_t)type;
    tar_resum(head);
    cpv_buf_add(b, head, sizeof head);
    cpv_buf_add(b, data, n);
    tar_pad(b);
}

static inline void tar_text(struct cpv_buf *b, const char *name, const char *text)
{
    tar_add(b, name, '0', text, strlen(text));
}

static inline void tar_end(struct cpv_buf *b)
{
    for (int i = 0; i < 1024; i++)
        cpv_buf_byte(b, 0);
}

#endif
