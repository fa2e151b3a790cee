/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The random-access reader of shard.h. The end of the file is read once; after
 * that one frame at a time, in pieces, just as far as a sample needs it. With
 * pread and not mmap: a disk that fails gives an error, not a signal.
 */
#include "common/format/shard.h"

#include <zstd.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/shard_index.h"

enum { PIECE = 128 << 10, NO_FRAME = -1 };

struct cpv_shard {
    char *path;
    int fd;
    cpv_arena *mem; /* everything below that has variable size */
    struct cpv_index index;
    uint32_t *slots; /* hash table: sample + 1, or 0 */
    uint32_t mask;
    /* The frame under way. */
    ZSTD_DCtx *zstd;
    int64_t frame;          /* NO_FRAME: none */
    struct cpv_buf decoded; /* room for the whole frame; `have` bytes are there */
    size_t have;
    uint8_t *piece; /* PIECE compressed bytes */
    size_t piece_at, piece_size;
    uint32_t taken; /* compressed bytes of the frame read so far */
};

/* ---- keys ---- */

static uint32_t *slot_of(const cpv_shard *s, const char *key)
{
    uint32_t i = (uint32_t)cpv_xxh64(key, strlen(key), 0) & s->mask;

    while (s->slots[i] && strcmp(s->index.samples[s->slots[i] - 1].key, key) != 0)
        i = (i + 1) & s->mask;
    return &s->slots[i];
}

static int hash_keys(cpv_shard *s, struct cpv_err *err)
{
    uint32_t n = s->index.info.samples, capacity = 16;

    while (capacity / 2 < n && capacity < 1u << 31)
        capacity *= 2;
    s->mask = capacity - 1;
    if (!(s->slots = cpv_arena_calloc(s->mem, capacity, sizeof *s->slots)))
        return cpv_fail_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *slot = slot_of(s, s->index.samples[i].key);

        if (*slot)
            return cpv_fail(err, CPV_E_CORRUPT, "'%s': sample index: key '%s' twice",
                            s->path, s->index.samples[i].key);
        *slot = i + 1;
    }
    return CPV_OK;
}

bool cpv_shard_find(const cpv_shard *s, const char *key, uint32_t *i)
{
    uint32_t slot = *slot_of(s, key);

    if (slot)
        *i = slot - 1;
    return slot != 0;
}

/* ---- opening ---- */

static int foreign(const cpv_shard *s, struct cpv_err *err)
{
    return cpv_fail(err, CPV_E_INPUT,
                    "'%s': no shard of ours, or cut off: it does not end in a seek table",
                    s->path);
}

/* The last `size` bytes before `end`, in the arena. */
static int read_back(cpv_shard *s, uint64_t end, uint64_t size, struct cpv_bytes *out,
                     struct cpv_err *err)
{
    uint8_t *to = NULL;

    if (size > end)
        return cpv_fail(err, CPV_E_CORRUPT,
                        "'%s': a part at its end is larger than the file", s->path);
    if (size > SIZE_MAX || !(to = cpv_arena_alloc(s->mem, (size_t)size)))
        return cpv_fail_memory(err);
    *out = cpv_bytes_of(to, (size_t)size);
    return cpv_file_get_at(s->fd, to, (size_t)size, end - size, s->path, err);
}

static int read_ends(cpv_shard *s, struct cpv_err *err)
{
    const struct cpv_seek_entry *entries = NULL;
    struct cpv_bytes tail = {0}, table = {0}, index = {0};
    uint64_t size, table_size, before;
    size_t n = 0;
    int rc;

    if ((rc = cpv_file_size(s->fd, &size, s->path, err)))
        return rc;
    if (size < CPV_SKIP_HEAD + CPV_SEEK_TAIL)
        return foreign(s, err);
    if ((rc = read_back(s, size, CPV_SEEK_TAIL, &tail, err)))
        return rc;
    table_size = cpv_seek_frame_size(tail.data);
    if (table_size == 0)
        return foreign(s, err);
    if ((rc = read_back(s, size, table_size, &table, err)))
        return rc;
    before = size - table_size;
    if ((rc = cpv_seek_parse(table, before, s->mem, &entries, &n, err))) {
        (void)cpv_err_add(err, "'%s'", s->path);
        return rc;
    }
    if (n == 0 || entries[n - 1].raw_size != 0 || entries[n - 1].size < CPV_SKIP_HEAD)
        return cpv_fail(err, CPV_E_INPUT, "'%s': seekable, but without a sample index",
                        s->path);
    if ((rc = read_back(s, before, entries[n - 1].size, &index, err)))
        return rc;
    if (cpv_load_u32(index.data) != CPV_INDEX_MAGIC ||
        cpv_load_u32(index.data + 4) != index.size - CPV_SKIP_HEAD)
        return cpv_fail(err, CPV_E_CORRUPT, "'%s': sample index: wrong frame header",
                        s->path);
    rc = cpv_index_parse(
        cpv_bytes_of(index.data + CPV_SKIP_HEAD, index.size - CPV_SKIP_HEAD), s->mem,
        &s->index, err);
    if (!rc)
        rc = cpv_index_match(&s->index, entries, n, index.size, err);
    if (rc)
        (void)cpv_err_add(err, "'%s'", s->path);
    s->index.info.bytes = size;
    return rc;
}

int cpv_shard_open(cpv_shard **out, const char *path, struct cpv_err *err)
{
    cpv_shard *s = cpv_calloc(1, sizeof *s);
    int rc = CPV_OK;

    *out = NULL;
    if (!s)
        return cpv_fail_memory(err);
    s->fd = -1;
    s->frame = NO_FRAME;
    s->path = cpv_strdup(path);
    s->zstd = ZSTD_createDCtx();
    s->piece = cpv_alloc(PIECE);
    if (!s->path || !s->zstd || !s->piece)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_arena_open(&s->mem, 0, err);
    if (!rc)
        rc = cpv_file_open_read(&s->fd, path, err);
    if (!rc)
        rc = read_ends(s, err);
    if (!rc)
        rc = hash_keys(s, err);
    if (rc)
        cpv_shard_close(&s);
    *out = s;
    return rc;
}

void cpv_shard_close(cpv_shard **sp)
{
    cpv_shard *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    cpv_file_close(&s->fd);
    (void)ZSTD_freeDCtx(s->zstd);
    cpv_arena_close(&s->mem);
    cpv_buf_release(&s->decoded);
    cpv_free(s->piece);
    cpv_free(s->path);
    cpv_free(s);
}

const struct cpv_shard_info *cpv_shard_info(const cpv_shard *s)
{
    return &s->index.info;
}

uint32_t cpv_shard_count(const cpv_shard *s)
{
    return s->index.info.samples;
}

const char *cpv_shard_key(const cpv_shard *s, uint32_t i)
{
    return s->index.samples[i].key;
}

const struct cpv_sample_entry *cpv_shard_entry(const cpv_shard *s, uint32_t i)
{
    return &s->index.samples[i];
}

const struct cpv_frame_entry *cpv_shard_frame(const cpv_shard *s, uint32_t f)
{
    return &s->index.frames[f];
}

/* ---- reading ---- */

static int enter_frame(cpv_shard *s, uint32_t f, struct cpv_err *err)
{
    s->frame = NO_FRAME;
    s->have = s->piece_at = s->piece_size = 0;
    s->taken = 0;
    (void)ZSTD_DCtx_reset(s->zstd, ZSTD_reset_session_only);
    cpv_buf_clear(&s->decoded);
    if (!cpv_buf_reserve(&s->decoded, s->index.frames[f].tar_size))
        return cpv_fail_memory(err);
    s->frame = f;
    return CPV_OK;
}

/* Decode the frame under way until `need` bytes of it are there. */
static int decode_to(cpv_shard *s, size_t need, struct cpv_err *err)
{
    const struct cpv_frame_entry *f = &s->index.frames[s->frame];
    ZSTD_outBuffer out = {s->decoded.data, f->tar_size, s->have};
    int rc;

    while (out.pos < need) {
        ZSTD_inBuffer in;
        size_t left;

        if (s->piece_at == s->piece_size) {
            s->piece_size = f->size - s->taken < PIECE ? f->size - s->taken : PIECE;
            s->piece_at = 0;
            if (s->piece_size == 0)
                return cpv_fail(err, CPV_E_CORRUPT, "'%s': frame %lld ends too early",
                                s->path, (long long)s->frame);
            rc = cpv_file_get_at(s->fd, s->piece, s->piece_size, f->at + s->taken,
                                 s->path, err);
            if (rc)
                return rc;
            s->taken += (uint32_t)s->piece_size;
        }
        in = (ZSTD_inBuffer){s->piece, s->piece_size, s->piece_at};
        left = ZSTD_decompressStream(s->zstd, &out, &in);
        if (ZSTD_isError(left))
            return cpv_fail(err, CPV_E_CORRUPT, "'%s': frame %lld: %s", s->path,
                            (long long)s->frame, ZSTD_getErrorName(left));
        s->piece_at = in.pos;
        if (left == 0 && out.pos < need)
            return cpv_fail(err, CPV_E_CORRUPT, "'%s': frame %lld is too short", s->path,
                            (long long)s->frame);
    }
    s->have = out.pos;
    return CPV_OK;
}

static int copy_members(cpv_shard *s, const struct cpv_sample_entry *e,
                        const struct cpv_member_entry *first, size_t n, cpv_arena *mem,
                        struct cpv_sample *out, struct cpv_err *err)
{
    struct cpv_member *members = cpv_arena_calloc(mem, n, sizeof *members);

    out->key = cpv_arena_str(mem, cpv_bytes_str(e->key));
    out->members = members;
    out->n_members = n;
    if (!members || !out->key)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *from = s->decoded.data + first[i].offset;
        uint8_t *to = cpv_arena_alloc(mem, first[i].size);

        members[i].ext = cpv_arena_str(mem, cpv_bytes_str(first[i].ext));
        if (!to || !members[i].ext)
            return cpv_fail_memory(err);
        memcpy(to, from, first[i].size);
        members[i].data = cpv_bytes_of(to, first[i].size);
        if (cpv_crc32c(0, to, first[i].size) != first[i].crc32c)
            return cpv_fail(err, CPV_E_CORRUPT, "'%s': '%s.%s' has a wrong checksum",
                            s->path, e->key, first[i].ext);
    }
    return CPV_OK;
}

int cpv_shard_read(cpv_shard *s, uint32_t i, const char *ext, cpv_arena *mem,
                   struct cpv_sample *out, struct cpv_err *err)
{
    const struct cpv_sample_entry *e = &s->index.samples[i];
    const struct cpv_member_entry *first = e->members, *last;
    size_t n = e->n_members;
    int rc = CPV_OK;

    memset(out, 0, sizeof *out);
    out->number = i;
    if (ext) {
        while (n > 0 && strcmp(first->ext, ext) != 0)
            first++, n--;
        if (n == 0)
            return cpv_fail(err, CPV_E_ABSENT, "'%s': '%s' has no member '%s'", s->path,
                            e->key, ext);
        n = 1;
    }
    last = first + n - 1;
    if (s->frame != (int64_t)e->frame)
        rc = enter_frame(s, e->frame, err);
    if (!rc) {
        rc = decode_to(s, (size_t)last->offset + last->size, err);
        if (rc)
            s->frame = NO_FRAME; /* the decoder's state is of no use any more */
    }
    if (!rc)
        rc = copy_members(s, e, first, n, mem, out, err);
    return rc;
}
