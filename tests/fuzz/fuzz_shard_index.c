/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a sample index, and as a seek table. The index's checksum is made
 * right first, so that what lies behind it is reached; the first byte chooses.
 */
#include <stdlib.h>

#include "common/base/hash.h"
#include "common/base/sys.h"
#include "common/format/shard_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

static void try_index(uint8_t *content, size_t size, cpv_arena *mem)
{
    struct cpv_index x;
    struct cpv_err err = {0};
    uint64_t tar_at = 0;
    uint32_t crc;

    if (size >= 4) {
        crc = cpv_crc32c(0, content, size - 4);
        for (unsigned i = 0; i < 4; i++)
            content[size - 4 + i] = (uint8_t)(crc >> 8 * i);
    }
    if (cpv_index_parse(cpv_bytes_of(content, size), mem, &x, &err)) {
        check(err.text[0] != '\0');
        return;
    }
    for (uint32_t f = 0; f < x.info.frames; f++) {
        uint32_t at = 0;

        check(x.frames[f].tar_at == tar_at);
        for (uint32_t i = 0; i < x.frames[f].samples; i++) {
            const struct cpv_sample_entry *s = &x.samples[x.frames[f].first + i];

            check(cpv_shard_key_ok(s->key) && s->frame == f && s->offset == at);
            for (uint32_t k = 0; k < s->n_members; k++)
                check(cpv_shard_ext_ok(s->members[k].ext) &&
                      (uint64_t)s->members[k].offset + s->members[k].size <=
                          x.frames[f].tar_size);
            at += s->size;
        }
        check(at == x.frames[f].tar_size);
        tar_at += at;
    }
    check(tar_at + 1024 == x.info.tar_bytes);
}

static void try_seek(struct cpv_bytes frame, cpv_arena *mem)
{
    const struct cpv_seek_entry *entries;
    struct cpv_err err = {0};
    uint64_t sum = 0;
    size_t n;

    for (size_t at = 8; at + 12 <= frame.size; at += 12)
        sum += cpv_load_u32(frame.data + at);
    if (cpv_seek_parse(frame, sum, mem, &entries, &n, &err) == CPV_OK)
        check(n <= frame.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_err err = {0};
    cpv_arena *mem = NULL;
    uint8_t *copy;

    if (size == 0 || cpv_arena_open(&mem, 0, &err))
        return 0;
    if (data[0] & 1) {
        try_seek(cpv_bytes_of(data + 1, size - 1), mem);
    } else if ((copy = cpv_alloc(size - 1))) {
        memcpy(copy, data + 1, size - 1);
        try_index(copy, size - 1, mem);
        cpv_free(copy);
    }
    cpv_arena_close(&mem);
    return 0;
}
