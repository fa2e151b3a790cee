/* SPDX-License-Identifier: Apache-2.0 */
/* See shard_check.h. One frame in memory at a time. */
#include "common/format/shard_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <zstd.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/samples.h"
#include "common/format/shard_index.h"
#include "common/format/tar.h"

enum { READ = 1 << 20, INDEX_HEAD = CPV_SKIP_HEAD + 8 /* with the inner magic */ };

struct check {
    const char *path;
    int fd;
    uint64_t size;
    cpv_damage_fn *report;
    void *ctx;
    uint64_t structures, members; /* reported */
    cpv_arena *mem;
    cpv_sha256 *tar_sha;
    ZSTD_DCtx *zstd;
    struct cpv_buf packed, raw; /* the frame under way */

    struct cpv_bytes table;            /* the seek table's bytes, if it is one */
    const struct cpv_seek_entry *seek; /* NULL if it is lost */
    size_t n_seek;
    struct cpv_index index;
    bool have_index;
    uint64_t index_at, index_size; /* its frame */
};

/* ---- reports ---- */

static void tell(struct check *c, const char *member, const char *why, const char *where,
                 ...) CPV_PRINTF(4, 5);

static void tell(struct check *c, const char *member, const char *why, const char *where,
                 ...)
{
    char text[64];
    struct cpv_damage d = {text, member, why};
    va_list ap;

    va_start(ap, where);
    (void)vsnprintf(text, sizeof text, where, ap);
    va_end(ap);
    /* Parsers say what they parse; `where` does that here. */
    if (strncmp(why, text, strlen(text)) == 0 && why[strlen(text)] == ':')
        d.why = why + strlen(text) + 2;
    if (member)
        c->members++;
    else
        c->structures++;
    if (c->report)
        c->report(c->ctx, &d);
}

/* ---- the structures at the end ---- */

/* The seek table, or a report. Only reading and memory fail. */
static int load_seek(struct check *c, struct cpv_err *err)
{
    struct cpv_err why = {0};
    uint8_t tail[CPV_SEEK_TAIL], *to;
    uint64_t table_size = 0;
    int rc;

    if (c->size >= sizeof tail) {
        rc = cpv_file_get_at(c->fd, tail, sizeof tail, c->size - sizeof tail, c->path,
                             err);
        if (rc)
            return rc;
        table_size = cpv_seek_frame_size(tail);
    }
    if (table_size == 0 || table_size > c->size) {
        tell(c, NULL, "the file does not end in one", "seek table");
        return CPV_OK;
    }
    if (!(to = cpv_arena_alloc(c->mem, (size_t)table_size)))
        return cpv_fail_memory(err);
    c->table = cpv_bytes_of(to, (size_t)table_size);
    rc = cpv_file_get_at(c->fd, to, c->table.size, c->size - table_size, c->path, err);
    if (rc)
        return rc;
    rc = cpv_seek_parse(c->table, c->size - table_size, c->mem, &c->seek, &c->n_seek,
                        &why);
    if (rc == CPV_E_MEMORY)
        return cpv_fail_memory(err);
    if (rc) {
        c->seek = NULL;
        tell(c, NULL, why.text, "seek table");
    } else if (c->n_seek > 0) {
        c->index_size = c->seek[c->n_seek - 1].size;
        c->index_at = c->size - table_size - c->index_size;
    }
    return CPV_OK;
}

/* Is there a sound index at index_at? `why` says what is wrong with it. */
static int try_index(struct check *c, struct cpv_err *why, struct cpv_err *err)
{
    uint64_t sum = 0;
    uint8_t *to;
    int rc;

    c->have_index = false;
    if (c->index_size < INDEX_HEAD ||
        !cpv_range_in(c->index_at, c->index_size, c->size)) {
        (void)cpv_fail(why, CPV_E_CORRUPT, "cut short");
        return CPV_OK;
    }
    if (!(to = cpv_arena_alloc(c->mem, (size_t)c->index_size)))
        return cpv_fail_memory(err);
    rc = cpv_file_get_at(c->fd, to, (size_t)c->index_size, c->index_at, c->path, err);
    if (rc)
        return rc;
    if (cpv_load_u32(to) != CPV_INDEX_MAGIC ||
        cpv_load_u32(to + 4) != c->index_size - CPV_SKIP_HEAD) {
        (void)cpv_fail(why, CPV_E_CORRUPT, "wrong frame header");
        /* Its content may be all right, and is worth having. */
    }
    rc = cpv_index_parse(
        cpv_bytes_of(to + CPV_SKIP_HEAD, (size_t)c->index_size - CPV_SKIP_HEAD), c->mem,
        &c->index, why->code ? NULL : why);
    if (rc == CPV_E_MEMORY)
        return cpv_fail_memory(err);
    if (rc)
        return CPV_OK;
    for (uint32_t f = 0; f <= c->index.info.frames; f++)
        sum += c->index.frames[f].size;
    c->have_index = sum == c->index_at;
    if (!c->have_index)
        (void)cpv_fail(why, CPV_E_CORRUPT, "its frames do not end where it begins");
    return CPV_OK;
}

/* Without a seek table: look for an index anywhere, by its magics. */
static int search_index(struct check *c, struct cpv_err *err)
{
    uint8_t *buf = cpv_alloc(READ);
    struct cpv_err why = {0};
    int rc = buf ? CPV_OK : cpv_fail_memory(err);

    for (uint64_t at = 0; !rc && !c->have_index && at + INDEX_HEAD <= c->size;
         at += READ - INDEX_HEAD + 1) {
        size_t n = c->size - at < READ ? (size_t)(c->size - at) : READ;

        rc = cpv_file_get_at(c->fd, buf, n, at, c->path, err);
        for (size_t i = 0; !rc && !c->have_index && i + INDEX_HEAD <= n; i++) {
            if (cpv_load_u32(buf + i) != CPV_INDEX_MAGIC ||
                memcmp(buf + i + CPV_SKIP_HEAD, CPV_INDEX_NAME, 8) != 0)
                continue;
            c->index_at = at + i;
            c->index_size = (uint64_t)cpv_load_u32(buf + i + 4) + CPV_SKIP_HEAD;
            why = (struct cpv_err){0};
            rc = try_index(c, &why, err);
        }
    }
    cpv_free(buf);
    if (!rc && !c->have_index)
        tell(c, NULL, "not found", "sample index");
    return rc;
}

static int load_index(struct check *c, struct cpv_err *err)
{
    struct cpv_err why = {0};
    int rc;

    if (!c->seek)
        return search_index(c, err);
    if ((rc = try_index(c, &why, err)))
        return rc;
    if (why.code)
        tell(c, NULL, why.text, "sample index");
    why = (struct cpv_err){0};
    if (c->have_index &&
        cpv_index_match(&c->index, c->seek, c->n_seek, c->index_size, &why))
        tell(c, NULL, why.text, "seek table");
    return CPV_OK;
}

/* ---- frames ---- */

/*
 * Decode as much as can be: a frame with a wrong checksum too, whose bytes are then
 * judged one member at a time. The decoder is fed what it asks for, so that all
 * blocks before the damage come out. NULL, or what it complained about.
 */
static const char *decode(struct check *c, size_t raw_size, struct cpv_err *err)
{
    ZSTD_outBuffer out = {NULL, raw_size, 0};
    size_t hint = 5, at = 0; /* the decoder's first wish */
    const char *why = NULL;

    cpv_buf_clear(&c->raw);
    (void)ZSTD_DCtx_reset(c->zstd, ZSTD_reset_session_only);
    if (!(out.dst = cpv_buf_reserve(&c->raw, raw_size + 1))) {
        (void)cpv_fail_memory(err);
        return "out of memory";
    }
    while (hint > 0 && !why) {
        size_t n = hint < c->packed.size - at ? hint : c->packed.size - at;
        ZSTD_inBuffer in = {c->packed.data + at, n, 0};
        size_t before = out.pos;

        hint = ZSTD_decompressStream(c->zstd, &out, &in);
        if (ZSTD_isError(hint))
            why = ZSTD_getErrorName(hint);
        else if (hint > 0 && in.pos == 0 && out.pos == before)
            why = "it does not end where it should";
        at += in.pos;
    }
    c->raw.size = out.pos;
    if (!why && at != c->packed.size)
        why = "it ends too early";
    if (!why && out.pos != raw_size)
        why = "it is not as long as it should be";
    return why;
}

/* Frame f in c->packed and c->raw; *why NULL, or what is wrong with it. */
static int load_frame(struct check *c, uint64_t at, uint32_t size, uint32_t raw_size,
                      const char **why, struct cpv_err *err)
{
    struct cpv_err memory = {0};
    uint8_t *to;
    int rc;

    cpv_buf_clear(&c->packed);
    if (!(to = cpv_buf_reserve(&c->packed, size)))
        return cpv_fail_memory(err);
    if ((rc = cpv_file_get_at(c->fd, to, size, at, c->path, err)))
        return rc;
    c->packed.size = size;
    *why = decode(c, raw_size, &memory);
    return memory.code ? cpv_fail_memory(err) : CPV_OK;
}

/* NULL, or why this member cannot be vouched for. */
static const char *judge(const struct check *c, const struct cpv_sample_entry *s,
                         const struct cpv_member_entry *m)
{
    size_t end = (size_t)(m->offset + cpv_tar_padded(m->size));
    uint8_t head[CPV_TAR_BLOCK];
    const uint8_t *data = c->raw.data + m->offset;

    if (end > c->raw.size)
        return "cannot be decoded";
    if (cpv_crc32c(0, data, m->size) != m->crc32c)
        return "wrong checksum";
    cpv_tar_write(head, s->key, m->ext, m->size);
    if (memcmp(data - CPV_TAR_BLOCK, head, CPV_TAR_BLOCK) != 0)
        return "wrong tar header";
    if (!cpv_tar_is_zero(data + m->size, end - m->offset - m->size))
        return "wrong padding";
    return NULL;
}

/* Frame f against the index. */
static int check_frame(struct check *c, uint32_t f, struct cpv_err *err)
{
    struct cpv_frame_entry *e = &c->index.frames[f];
    const char *why = NULL;
    char name[CPV_SHARD_KEY_MAX + CPV_SHARD_EXT_MAX + 2];
    uint64_t before = c->members;
    uint32_t xxh;
    int rc = load_frame(c, e->at, e->size, e->tar_size, &why, err);

    if (rc)
        return rc;
    if (!why && cpv_crc32c(0, c->packed.data, c->packed.size) != e->crc32c)
        why = "its compressed bytes have a wrong checksum";
    if (!why && f == c->index.info.frames && !cpv_tar_is_zero(c->raw.data, c->raw.size))
        why = "it is not the end of a tar";
    if (why)
        tell(c, NULL, why, "frame %u", f);
    for (uint32_t i = e->first; i < e->first + e->samples; i++) {
        const struct cpv_sample_entry *s = &c->index.samples[i];

        for (uint32_t k = 0; k < s->n_members; k++) {
            const char *lost = judge(c, s, &s->members[k]);

            (void)snprintf(name, sizeof name, "%s.%s", s->key, s->members[k].ext);
            if (lost)
                tell(c, name, lost, "frame %u", f);
        }
    }
    if (why || c->members != before)
        return CPV_OK;
    xxh = (uint32_t)cpv_xxh64(c->raw.data, c->raw.size, 0);
    if (c->seek && xxh != e->xxh)
        tell(c, NULL, "wrong checksum of a frame", "seek table");
    e->xxh = xxh;
    cpv_sha256_add(c->tar_sha, c->raw.data, c->raw.size);
    return CPV_OK;
}

/* With all frames sound: the digest, and the seek table to the bit. */
static int check_whole(struct check *c, struct cpv_err *err)
{
    struct cpv_seek_entry *entries;
    struct cpv_buf table = {0};
    uint8_t digest[CPV_SHA256_SIZE];
    size_t n = (size_t)c->index.info.frames + 2;

    cpv_sha256_take(c->tar_sha, digest);
    if (memcmp(digest, c->index.info.tar_sha256, sizeof digest) != 0)
        tell(c, NULL, "its digest is not that in the sample index", "tar");
    if (!c->seek)
        return CPV_OK;
    if (!(entries = cpv_arena_calloc(c->mem, n, sizeof *entries)))
        return cpv_fail_memory(err);
    for (size_t f = 0; f + 1 < n; f++) {
        const struct cpv_frame_entry *e = &c->index.frames[f];

        entries[f] = (struct cpv_seek_entry){e->size, e->tar_size, e->xxh};
    }
    entries[n - 1] =
        (struct cpv_seek_entry){(uint32_t)c->index_size, 0, CPV_XXH_OF_NOTHING};
    cpv_seek_put(&table, entries, n);
    if (!table.failed && !cpv_bytes_equal(cpv_buf_view(&table), c->table))
        tell(c, NULL, "not the one that belongs to these frames", "seek table");
    n = table.failed;
    cpv_buf_release(&table);
    return n ? cpv_fail_memory(err) : CPV_OK;
}

/* ---- without an index ---- */

/* Name what can be named in the decoded part of a damaged frame. */
static void name_members(struct check *c, size_t f)
{
    struct cpv_tar_head head;

    for (size_t at = 0; at + CPV_TAR_BLOCK <= c->raw.size;) {
        if (cpv_tar_read(&head, c->raw.data + at) || head.name[0] == '\0')
            return;
        for (char *p = head.name; *p; p++)
            if (*p < 0x21 || *p > 0x7e)
                *p = '?';
        tell(c, head.name, "in a damaged frame, and the index is lost", "frame %zu", f);
        if (head.size > c->raw.size)
            return;
        at += CPV_TAR_BLOCK + (size_t)cpv_tar_padded(head.size);
    }
}

/* The frames by the seek table alone. */
static int check_by_seek(struct check *c, struct cpv_err *err)
{
    uint64_t at = 0;
    int rc = CPV_OK;

    for (size_t f = 0; !rc && f + 1 < c->n_seek; at += c->seek[f++].size) {
        const struct cpv_seek_entry *e = &c->seek[f];
        const char *why = NULL;

        if (e->raw_size > CPV_FRAME_TAR_MAX)
            why = "absurdly large";
        else
            rc = load_frame(c, at, e->size, e->raw_size, &why, err);
        if (!rc && !why && (uint32_t)cpv_xxh64(c->raw.data, c->raw.size, 0) != e->xxh)
            why = "its checksum is not that of the seek table";
        if (rc || !why)
            continue;
        tell(c, NULL, why, "frame %zu", f);
        name_members(c, f);
    }
    return rc;
}

/* Neither index nor seek table: as any tar. */
static int check_as_tar(struct check *c, struct cpv_err *err)
{
    struct cpv_sample sample;
    struct cpv_err why = {0};
    cpv_samples *s;
    int got = cpv_samples_open(&s, c->path, NULL, &why);

    while (!got && (got = cpv_samples_next(s, &sample, &why)) == 1)
        got = 0;
    cpv_samples_close(&s);
    if (got == CPV_E_INPUT || got == CPV_E_CORRUPT)
        tell(c, NULL, why.text, "tar");
    else if (got < 0 && err)
        *err = why;
    return got == CPV_E_INPUT || got == CPV_E_CORRUPT ? CPV_OK : got;
}

/* ---- all of it ---- */

static int digest_file(struct check *c, uint8_t out[CPV_SHA256_SIZE], struct cpv_err *err)
{
    uint8_t *buf = cpv_alloc(READ);
    cpv_sha256 *sha = NULL;
    int rc = buf ? cpv_sha256_open(&sha, err) : cpv_fail_memory(err);

    for (uint64_t at = 0; !rc && at < c->size;) {
        size_t n = c->size - at < READ ? (size_t)(c->size - at) : READ;

        rc = cpv_file_get_at(c->fd, buf, n, at, c->path, err);
        if (!rc)
            cpv_sha256_add(sha, buf, n);
        at += n;
    }
    if (!rc)
        cpv_sha256_take(sha, out);
    cpv_sha256_close(&sha);
    cpv_free(buf);
    return rc;
}

static int never_ours(struct check *c, struct cpv_err *err)
{
    uint8_t magic[4] = {0};
    int rc = CPV_OK;

    if (c->size >= sizeof magic)
        rc = cpv_file_get_at(c->fd, magic, sizeof magic, 0, c->path, err);
    if (!rc && cpv_load_u32(magic) != ZSTD_MAGICNUMBER)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': not a shard of ours", c->path);
    return rc;
}

static int check_frames(struct check *c, struct cpv_err *err)
{
    uint64_t before = c->structures + c->members;
    int rc = CPV_OK;

    if (!c->have_index && !c->seek)
        return (rc = never_ours(c, err)) ? rc : check_as_tar(c, err);
    if (!c->have_index)
        return check_by_seek(c, err);
    for (uint32_t f = 0; !rc && f <= c->index.info.frames; f++)
        rc = check_frame(c, f, err);
    if (!rc && c->structures + c->members == before)
        rc = check_whole(c, err);
    return rc;
}

int cpv_shard_verify(const char *path, cpv_damage_fn *report, void *ctx,
                     struct cpv_shard_info *info, struct cpv_err *err)
{
    struct check c = {.path = path, .fd = -1, .report = report, .ctx = ctx};
    struct cpv_shard_info all = {0};
    int rc;

    if ((rc = cpv_file_open_read(&c.fd, path, err)) == 0)
        rc = cpv_file_size(c.fd, &c.size, path, err);
    if (!rc)
        rc = cpv_arena_open(&c.mem, 0, err);
    if (!rc)
        rc = cpv_sha256_open(&c.tar_sha, err);
    if (!rc && !(c.zstd = ZSTD_createDCtx()))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = digest_file(&c, all.sha256, err);
    if (!rc)
        rc = load_seek(&c, err);
    if (!rc)
        rc = load_index(&c, err);
    if (!rc)
        rc = check_frames(&c, err);
    if (info) {
        *info = c.have_index ? c.index.info : (struct cpv_shard_info){0};
        memcpy(info->sha256, all.sha256, sizeof all.sha256);
        info->bytes = c.size;
    }
    if (!rc && c.structures + c.members > 0)
        rc = cpv_fail(err, CPV_E_CORRUPT,
                      "'%s': damaged: %llu structures, %llu members lost", path,
                      (unsigned long long)c.structures, (unsigned long long)c.members);
    cpv_file_close(&c.fd);
    cpv_arena_close(&c.mem);
    cpv_sha256_close(&c.tar_sha);
    (void)ZSTD_freeDCtx(c.zstd);
    cpv_buf_release(&c.packed);
    cpv_buf_release(&c.raw);
    return rc;
}
