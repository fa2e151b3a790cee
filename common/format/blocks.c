/* SPDX-License-Identifier: Apache-2.0 */
/* See blocks.h. Blocks go round: free, being filled, ready, with the caller, free. */
#include "common/format/blocks.h"

#include <zstd.h>

#include "common/base/arena.h"
#include "common/base/file.h"
#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/shard_index.h"
#include "common/format/stream.h"

enum {
    STEP = 1 << 20,       /* of a stream without frames of a known size */
    FRAME_MAX = 64 << 20, /* decompressed; files with larger frames are streamed */
    KEEP_MAX = 64 << 20,  /* of a block's memory, when it comes back */
    WITH_CALLER = 2,
    AHEAD_MAX = 64
};

struct cpv_blocks {
    char *path;
    /* One source of these three. */
    cpv_stream *stream;
    struct cpv_bytes bytes;
    struct {
        int fd;
        cpv_arena *mem;
        const struct cpv_seek_entry *entries; /* NULL: this is not the source */
        size_t n, next;
        uint64_t at;
        ZSTD_DCtx *zstd;
        struct cpv_buf packed;
    } seek;
    size_t step;
    struct cpv_block *blocks;
    size_t n_blocks;
    cpv_queue *free, *ready; /* of struct cpv_block */
    cpv_pool *thread;        /* NULL: blocks are filled when they are asked for */
    struct cpv_err error;    /* set before `ready` ends; code 0 at a plain end */
};

/* ---- sources: fill a block; 1, 0 at the end, or a code ---- */

/* An empty block with room in front and space for n bytes. */
static bool set_up(struct cpv_block *block, size_t n)
{
    block->at = CPV_BLOCK_ROOM;
    block->size = 0;
    return cpv_block_grow(block, n);
}

bool cpv_block_grow(struct cpv_block *block, size_t n)
{
    size_t end = block->at + block->size, need, capacity = block->capacity;
    uint8_t *mem;

    if (!cpv_size_add(end, n, &need))
        return false;
    if (need <= capacity)
        return true;
    if (!cpv_size_mul(capacity, 2, &capacity) || capacity < need)
        capacity = need;
    if (!(mem = cpv_realloc(block->mem, capacity)))
        return false;
    block->mem = mem;
    block->capacity = capacity;
    return true;
}

static int fill_from_stream(cpv_blocks *b, struct cpv_block *block)
{
    ssize_t got;

    if (!set_up(block, STEP))
        return cpv_fail_memory(&b->error);
    got = cpv_stream_read(b->stream, block->mem + block->at, STEP, &b->error);
    if (got <= 0)
        return (int)got;
    block->size = (size_t)got;
    return 1;
}

static int fill_from_bytes(cpv_blocks *b, struct cpv_block *block)
{
    size_t n = b->bytes.size < b->step ? b->bytes.size : b->step;

    if (n == 0)
        return 0;
    if (!set_up(block, n))
        return cpv_fail_memory(&b->error);
    memcpy(block->mem + block->at, b->bytes.data, n);
    block->size = n;
    b->bytes.data += n;
    b->bytes.size -= n;
    return 1;
}

/* Does a frame that is said to hold nothing begin as a skippable one? */
static int check_skippable(cpv_blocks *b, const struct cpv_seek_entry *e)
{
    uint8_t magic[4];
    int rc;

    if (e->size < CPV_SKIP_HEAD)
        return cpv_fail(&b->error, CPV_E_CORRUPT, "'%s': frame %zu is too small", b->path,
                        b->seek.next);
    rc = cpv_file_get_at(b->seek.fd, magic, sizeof magic, b->seek.at, b->path, &b->error);
    if (!rc && (cpv_load_u32(magic) & ZSTD_MAGIC_SKIPPABLE_MASK) !=
                   ZSTD_MAGIC_SKIPPABLE_START)
        rc = cpv_fail(&b->error, CPV_E_CORRUPT,
                      "'%s': frame %zu is not empty as the seek table says", b->path,
                      b->seek.next);
    return rc;
}

static int fill_from_frame(cpv_blocks *b, struct cpv_block *block)
{
    const struct cpv_seek_entry *e;
    uint8_t *packed;
    size_t n;
    int rc;

    for (;; b->seek.next++) {
        if (b->seek.next == b->seek.n)
            return 0;
        e = &b->seek.entries[b->seek.next];
        if (e->raw_size)
            break;
        if ((rc = check_skippable(b, e)))
            return rc;
        b->seek.at += e->size;
    }
    cpv_buf_clear(&b->seek.packed);
    packed = cpv_buf_reserve(&b->seek.packed, e->size);
    if (!packed || !set_up(block, e->raw_size))
        return cpv_fail_memory(&b->error);
    rc = cpv_file_get_at(b->seek.fd, packed, e->size, b->seek.at, b->path, &b->error);
    if (rc)
        return rc;
    n = ZSTD_decompressDCtx(b->seek.zstd, block->mem + block->at, e->raw_size, packed,
                            e->size);
    if (ZSTD_isError(n) || n != e->raw_size)
        return cpv_fail(&b->error, CPV_E_CORRUPT, "'%s': frame %zu, at byte %llu: %s",
                        b->path, b->seek.next, (unsigned long long)b->seek.at,
                        ZSTD_isError(n) ? ZSTD_getErrorName(n)
                                        : "not as long as the seek table says");
    block->size = n;
    b->seek.at += e->size;
    b->seek.next++;
    return 1;
}

static int fill(cpv_blocks *b, struct cpv_block *block)
{
    if (b->seek.entries)
        return fill_from_frame(b, block);
    return b->stream ? fill_from_stream(b, block) : fill_from_bytes(b, block);
}

/* ---- opening ---- */

static bool frames_fit(const struct cpv_seek_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entries[i].raw_size > FRAME_MAX ||
            (entries[i].raw_size &&
             entries[i].size > ZSTD_compressBound(entries[i].raw_size) + 64))
            return false;
    return true;
}

/*
 * Take the file by its frames if it is a regular one with a sound seek table;
 * otherwise leave seek.entries NULL. Only trouble with memory or reading fails.
 */
static int try_seek(cpv_blocks *b, struct cpv_err *err)
{
    const struct cpv_seek_entry *entries = NULL;
    uint8_t tail[CPV_SEEK_TAIL], *table;
    uint64_t size, table_size;
    struct stat st;
    size_t n = 0;
    int rc;

    if (cpv_sys.stat(b->path, &st) < 0 || !S_ISREG(st.st_mode))
        return CPV_OK; /* a pipe can be opened only once; a missing file fails there */
    if ((rc = cpv_file_open_read(&b->seek.fd, b->path, err)) ||
        (rc = cpv_file_size(b->seek.fd, &size, b->path, err)))
        return rc;
    if (size < CPV_SKIP_HEAD + CPV_SEEK_TAIL)
        return CPV_OK;
    if ((rc = cpv_file_get_at(b->seek.fd, tail, sizeof tail, size - sizeof tail, b->path,
                              err)))
        return rc;
    table_size = cpv_seek_frame_size(tail);
    if (table_size == 0 || table_size > size)
        return CPV_OK;
    if ((rc = cpv_arena_open(&b->seek.mem, 0, err)))
        return rc;
    if (!(table = cpv_arena_alloc(b->seek.mem, (size_t)table_size)))
        return cpv_fail_memory(err);
    rc = cpv_file_get_at(b->seek.fd, table, (size_t)table_size, size - table_size, b->path,
                         err);
    if (rc)
        return rc;
    rc = cpv_seek_parse(cpv_bytes_of(table, (size_t)table_size), size - table_size,
                        b->seek.mem, &entries, &n, NULL);
    if (rc == CPV_E_MEMORY)
        return cpv_fail_memory(err);
    if (rc || !frames_fit(entries, n))
        return CPV_OK;
    if (!(b->seek.zstd = ZSTD_createDCtx()))
        return cpv_fail_memory(err);
    b->seek.entries = entries;
    b->seek.n = n;
    return CPV_OK;
}

static void work(void *arg, int worker)
{
    cpv_blocks *b = arg;
    void *block;

    (void)worker;
    while (cpv_queue_get(b->free, &block) && fill(b, block) == 1)
        if (!cpv_queue_put(b->ready, block))
            break;
    cpv_queue_end(b->ready);
}

static int start(cpv_blocks *b, int ahead, struct cpv_err *err)
{
    size_t n = (size_t)(ahead < 0 ? 0 : ahead > AHEAD_MAX ? AHEAD_MAX : ahead);
    int rc;

    b->n_blocks = n + WITH_CALLER;
    if (!(b->blocks = cpv_calloc(b->n_blocks, sizeof *b->blocks)))
        return cpv_fail_memory(err);
    if ((rc = cpv_queue_open(&b->free, b->n_blocks, err)) ||
        (rc = cpv_queue_open(&b->ready, b->n_blocks, err)))
        return rc;
    for (size_t i = 0; i < b->n_blocks; i++)
        cpv_blocks_give(b, &b->blocks[i]);
    return n ? cpv_pool_open(&b->thread, "read-ahead", 1, 0, work, b, err) : CPV_OK;
}

int cpv_blocks_open(cpv_blocks **out, const char *path, int ahead, struct cpv_err *err)
{
    cpv_blocks *b = cpv_calloc(1, sizeof *b);
    int rc;

    *out = NULL;
    if (!b)
        return cpv_fail_memory(err);
    b->seek.fd = -1;
    rc = (b->path = cpv_strdup(path)) ? try_seek(b, err) : cpv_fail_memory(err);
    if (!rc && !b->seek.entries)
        rc = cpv_stream_open(&b->stream, path, err);
    if (!rc)
        rc = start(b, ahead, err);
    if (rc)
        cpv_blocks_close(&b);
    *out = b;
    return rc;
}

int cpv_blocks_open_bytes(cpv_blocks **out, struct cpv_bytes bytes, size_t step,
                          struct cpv_err *err)
{
    cpv_blocks *b = cpv_calloc(1, sizeof *b);
    int rc;

    *out = NULL;
    if (!b)
        return cpv_fail_memory(err);
    b->seek.fd = -1;
    b->bytes = bytes;
    b->step = step;
    if ((rc = start(b, 0, err)))
        cpv_blocks_close(&b);
    *out = b;
    return rc;
}

void cpv_blocks_close(cpv_blocks **bp)
{
    cpv_blocks *b = *bp;

    *bp = NULL;
    if (!b)
        return;
    if (b->free)
        cpv_queue_end(b->free);
    if (b->ready)
        cpv_queue_end(b->ready);
    cpv_pool_close(&b->thread);
    cpv_queue_close(&b->free);
    cpv_queue_close(&b->ready);
    for (size_t i = 0; b->blocks && i < b->n_blocks; i++)
        cpv_free(b->blocks[i].mem);
    cpv_free(b->blocks);
    cpv_stream_close(&b->stream);
    cpv_file_close(&b->seek.fd);
    (void)ZSTD_freeDCtx(b->seek.zstd);
    cpv_buf_release(&b->seek.packed);
    cpv_arena_close(&b->seek.mem);
    cpv_free(b->path);
    cpv_free(b);
}

/* ---- blocks ---- */

int cpv_blocks_next(cpv_blocks *b, struct cpv_block **out, struct cpv_err *err)
{
    void *block = NULL;
    int got = 0;

    *out = NULL;
    if (b->thread) {
        got = cpv_queue_get(b->ready, &block);
    } else if (!b->error.code && cpv_queue_get(b->free, &block)) {
        got = fill(b, block);
        if (got != 1)
            cpv_blocks_give(b, block);
    }
    if (got == 1) {
        *out = block;
        return 1;
    }
    if (b->error.code && err)
        *err = b->error;
    return b->error.code;
}

void cpv_blocks_give(cpv_blocks *b, struct cpv_block *block)
{
    if (!block)
        return;
    if (block->capacity > KEEP_MAX + CPV_BLOCK_ROOM) {
        cpv_free(block->mem);
        block->mem = NULL;
        block->capacity = 0;
    }
    /* There is room for all blocks; a queue that was ended needs none. */
    if (!cpv_queue_try_put(b->free, block))
        return;
}
