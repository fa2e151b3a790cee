/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See blocks.h. A worker's blocks go round: free, being filled, ready, with the caller,
 * free. Two workers take turns, one the even frames and one the odd; the caller takes
 * from them in turn as well, so that order needs no more than that.
 */
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
    AHEAD_MAX = 64,
    AHEAD_OF_TWO = 4, /* from here on two threads are worth it */
    WORKERS_MAX = 2
};

struct worker {
    cpv_blocks *blocks;
    cpv_queue *free, *ready; /* of struct cpv_block */
    struct cpv_err error;    /* set before `ready` ends; code 0 at a plain end */
    /* By frames: the next one of the file, whoever it belongs to. */
    size_t next;
    uint64_t at;
    uint64_t turn; /* counts frames that are not empty */
    ZSTD_DCtx *zstd;
    struct cpv_buf packed;
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
        size_t n;
    } seek;
    size_t step;
    struct cpv_block *blocks;
    size_t n_blocks;
    struct worker workers[WORKERS_MAX];
    size_t n_workers;
    uint64_t turn;     /* of the workers */
    cpv_pool *threads; /* NULL: blocks are filled when they are asked for */
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

static int fill_from_stream(struct worker *w, struct cpv_block *block)
{
    ssize_t got;

    if (!set_up(block, STEP))
        return cpv_fail_memory(&w->error);
    got = cpv_stream_read(w->blocks->stream, block->mem + block->at, STEP, &w->error);
    if (got <= 0)
        return (int)got;
    block->size = (size_t)got;
    return 1;
}

static int fill_from_bytes(struct worker *w, struct cpv_block *block)
{
    cpv_blocks *b = w->blocks;
    size_t n = b->bytes.size < b->step ? b->bytes.size : b->step;

    if (n == 0)
        return 0;
    if (!set_up(block, n))
        return cpv_fail_memory(&w->error);
    memcpy(block->mem + block->at, b->bytes.data, n);
    block->size = n;
    b->bytes.data += n;
    b->bytes.size -= n;
    return 1;
}

/* Does a frame that is said to hold nothing begin as a skippable one? */
static int check_skippable(struct worker *w, const struct cpv_seek_entry *e)
{
    const cpv_blocks *b = w->blocks;
    uint8_t magic[4];
    int rc;

    if (e->size < CPV_SKIP_HEAD)
        return cpv_fail(&w->error, CPV_E_CORRUPT, "'%s': frame %zu is too small", b->path,
                        w->next);
    rc = cpv_file_get_at(b->seek.fd, magic, sizeof magic, w->at, b->path, &w->error);
    if (!rc &&
        (cpv_load_u32(magic) & ZSTD_MAGIC_SKIPPABLE_MASK) != ZSTD_MAGIC_SKIPPABLE_START)
        rc = cpv_fail(&w->error, CPV_E_CORRUPT,
                      "'%s': frame %zu is not empty as the seek table says", b->path,
                      w->next);
    return rc;
}

/* To the next frame that is this worker's. 1, 0 at the end, or a code. */
static int find_frame(struct worker *w)
{
    const cpv_blocks *b = w->blocks;
    int rc;

    for (; w->next < b->seek.n; w->at += b->seek.entries[w->next++].size) {
        const struct cpv_seek_entry *e = &b->seek.entries[w->next];

        if (e->raw_size && w->turn++ % b->n_workers == (size_t)(w - b->workers))
            return 1;
        if (!e->raw_size && (rc = check_skippable(w, e)))
            return rc;
    }
    return 0;
}

static int fill_from_frame(struct worker *w, struct cpv_block *block)
{
    const cpv_blocks *b = w->blocks;
    const struct cpv_seek_entry *e;
    uint8_t *packed;
    size_t n;
    int rc = find_frame(w);

    if (rc != 1)
        return rc;
    e = &b->seek.entries[w->next];
    cpv_buf_clear(&w->packed);
    packed = cpv_buf_reserve(&w->packed, e->size);
    if (!packed || !set_up(block, e->raw_size))
        return cpv_fail_memory(&w->error);
    rc = cpv_file_get_at(b->seek.fd, packed, e->size, w->at, b->path, &w->error);
    if (rc)
        return rc;
    n = ZSTD_decompressDCtx(w->zstd, block->mem + block->at, e->raw_size, packed,
                            e->size);
    if (ZSTD_isError(n) || n != e->raw_size)
        return cpv_fail(&w->error, CPV_E_CORRUPT, "'%s': frame %zu, at byte %llu: %s",
                        b->path, w->next, (unsigned long long)w->at,
                        ZSTD_isError(n) ? ZSTD_getErrorName(n)
                                        : "not as long as the seek table says");
    block->size = n;
    w->at += e->size;
    w->next++;
    return 1;
}

static int fill(struct worker *w, struct cpv_block *block)
{
    if (w->blocks->seek.entries)
        return fill_from_frame(w, block);
    return w->blocks->stream ? fill_from_stream(w, block) : fill_from_bytes(w, block);
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
    rc = cpv_file_get_at(b->seek.fd, table, (size_t)table_size, size - table_size,
                         b->path, err);
    if (rc)
        return rc;
    rc = cpv_seek_parse(cpv_bytes_of(table, (size_t)table_size), size - table_size,
                        b->seek.mem, &entries, &n, NULL);
    if (rc == CPV_E_MEMORY)
        return cpv_fail_memory(err);
    if (rc || !frames_fit(entries, n))
        return CPV_OK;
    b->seek.entries = entries;
    b->seek.n = n;
    return CPV_OK;
}

static void work(void *arg, int number)
{
    struct worker *w = &((cpv_blocks *)arg)->workers[number];
    void *block;

    while (cpv_queue_get(w->free, &block) && fill(w, block) == 1)
        if (!cpv_queue_put(w->ready, block))
            break;
    cpv_queue_end(w->ready);
}

static int start_worker(cpv_blocks *b, struct worker *w, size_t n_blocks,
                        struct cpv_err *err)
{
    int rc;

    w->blocks = b;
    if (b->seek.entries && !(w->zstd = ZSTD_createDCtx()))
        return cpv_fail_memory(err);
    if ((rc = cpv_queue_open(&w->free, n_blocks, err)) ||
        (rc = cpv_queue_open(&w->ready, n_blocks, err)))
        return rc;
    return CPV_OK;
}

static int start(cpv_blocks *b, int ahead, struct cpv_err *err)
{
    size_t n = (size_t)(ahead < 0 ? 0 : ahead > AHEAD_MAX ? AHEAD_MAX : ahead), each;
    int rc;

    b->n_workers = b->seek.entries && n >= AHEAD_OF_TWO ? 2 : 1;
    each = (n + b->n_workers - 1) / b->n_workers + WITH_CALLER;
    b->n_blocks = each * b->n_workers;
    if (!(b->blocks = cpv_calloc(b->n_blocks, sizeof *b->blocks)))
        return cpv_fail_memory(err);
    for (size_t i = 0; i < b->n_workers; i++)
        if ((rc = start_worker(b, &b->workers[i], each, err)))
            return rc;
    for (size_t i = 0; i < b->n_blocks; i++) {
        b->blocks[i].worker = (unsigned)(i % b->n_workers);
        cpv_blocks_give(b, &b->blocks[i]);
    }
    if (n == 0)
        return CPV_OK;
    return cpv_pool_open(&b->threads, "read-ahead", (int)b->n_workers, 0, work, b, err);
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
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        if (b->workers[i].free)
            cpv_queue_end(b->workers[i].free);
        if (b->workers[i].ready)
            cpv_queue_end(b->workers[i].ready);
    }
    cpv_pool_close(&b->threads);
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        cpv_queue_close(&b->workers[i].free);
        cpv_queue_close(&b->workers[i].ready);
        (void)ZSTD_freeDCtx(b->workers[i].zstd);
        cpv_buf_release(&b->workers[i].packed);
    }
    for (size_t i = 0; b->blocks && i < b->n_blocks; i++)
        cpv_free(b->blocks[i].mem);
    cpv_free(b->blocks);
    cpv_stream_close(&b->stream);
    cpv_file_close(&b->seek.fd);
    cpv_arena_close(&b->seek.mem);
    cpv_free(b->path);
    cpv_free(b);
}

/* ---- blocks ---- */

int cpv_blocks_next(cpv_blocks *b, struct cpv_block **out, struct cpv_err *err)
{
    struct worker *w = &b->workers[b->turn % b->n_workers];
    void *block = NULL;
    int got = 0;

    *out = NULL;
    if (b->threads) {
        got = cpv_queue_get(w->ready, &block);
    } else if (!w->error.code && cpv_queue_get(w->free, &block)) {
        got = fill(w, block);
        if (got != 1)
            cpv_blocks_give(b, block);
    }
    if (got == 1) {
        b->turn++;
        *out = block;
        return 1;
    }
    if (w->error.code && err)
        *err = w->error;
    return w->error.code;
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
    if (!cpv_queue_try_put(b->workers[block->worker].free, block))
        return;
}
