/* SPDX-License-Identifier: Apache-2.0 */
/* See shard_index.h. Parsers take hostile bytes: counts are compared with the bytes
 * that are there before anything is allocated. */
#include "common/format/shard_index.h"

#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/format/tar.h"

enum {
    DESCRIPTOR_CHECKSUM = 0x80, /* of the seek table: entries carry checksums */
    DESCRIPTOR_RESERVED = 0x7c,
    /* Lower bounds of what an entry takes, against absurd counts. */
    MIN_SAMPLE = 1 + 1 + 1, /* key length, key, members */
    MIN_MEMBER = 1 + 4 + 4  /* extension, size, crc */
};

/* ---- names ---- */

bool cpv_shard_key_ok(const char *key)
{
    size_t n = strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                           "0123456789_-");

    return n >= 1 && n <= CPV_SHARD_KEY_MAX && key[n] == '\0';
}

bool cpv_shard_ext_ok(const char *ext)
{
    size_t n = strspn(ext, "abcdefghijklmnopqrstuvwxyz0123456789_-.");

    if (n < 1 || n > CPV_SHARD_EXT_MAX || ext[n] != '\0')
        return false;
    /* Dots join parts: none at an end, no two together. */
    return ext[0] != '.' && ext[n - 1] != '.' && !strstr(ext, "..");
}

/* ---- seek table ---- */

void cpv_seek_put(struct cpv_buf *out, const struct cpv_seek_entry *entries, size_t n)
{
    cpv_buf_u32(out, CPV_SEEK_MAGIC);
    cpv_buf_u32(out, (uint32_t)(n * CPV_SEEK_ENTRY + CPV_SEEK_TAIL));
    for (size_t i = 0; i < n; i++) {
        cpv_buf_u32(out, entries[i].size);
        cpv_buf_u32(out, entries[i].raw_size);
        cpv_buf_u32(out, entries[i].xxh);
    }
    cpv_buf_u32(out, (uint32_t)n);
    cpv_buf_byte(out, DESCRIPTOR_CHECKSUM);
    cpv_buf_u32(out, CPV_SEEK_FOOT);
}

static uint64_t seek_entry_size(uint8_t descriptor)
{
    return descriptor & DESCRIPTOR_CHECKSUM ? 12 : 8;
}

uint64_t cpv_seek_frame_size(const uint8_t tail[CPV_SEEK_TAIL])
{
    uint32_t n = cpv_load_u32(tail);

    if (cpv_load_u32(tail + 5) != CPV_SEEK_FOOT || tail[4] & DESCRIPTOR_RESERVED ||
        n > 0x8000000)
        return 0;
    return CPV_SKIP_HEAD + n * seek_entry_size(tail[4]) + CPV_SEEK_TAIL;
}

int cpv_seek_parse(struct cpv_bytes frame, uint64_t before, cpv_arena *mem,
                   const struct cpv_seek_entry **out, size_t *n, struct cpv_err *err)
{
    struct cpv_cursor c = cpv_cursor_of(frame);
    struct cpv_seek_entry *entries;
    uint64_t sum = 0;
    uint32_t magic = cpv_get_u32(&c), size = cpv_get_u32(&c);
    const uint8_t *tail;

    if (c.failed || frame.size < CPV_SKIP_HEAD + CPV_SEEK_TAIL)
        return cpv_fail(err, CPV_E_CORRUPT, "seek table: cut short");
    tail = frame.data + frame.size - CPV_SEEK_TAIL;
    if (magic != CPV_SEEK_MAGIC || size != frame.size - CPV_SKIP_HEAD ||
        cpv_seek_frame_size(tail) != frame.size)
        return cpv_fail(err, CPV_E_CORRUPT, "seek table: head and foot do not match");
    *n = cpv_load_u32(tail);
    if (!(entries = cpv_arena_calloc(mem, *n ? *n : 1, sizeof *entries)))
        return cpv_fail_memory(err);
    for (size_t i = 0; i < *n; i++) {
        entries[i].size = cpv_get_u32(&c);
        entries[i].raw_size = cpv_get_u32(&c);
        entries[i].xxh = tail[4] & DESCRIPTOR_CHECKSUM ? cpv_get_u32(&c) : 0;
        sum += entries[i].size; /* at most 2^27 times 2^32 */
    }
    if (sum != before)
        return cpv_fail(err, CPV_E_CORRUPT,
                        "seek table: its frames take %llu bytes, but it begins at %llu",
                        (unsigned long long)sum, (unsigned long long)before);
    *out = entries;
    return CPV_OK;
}

/* ---- sample index ---- */

void cpv_index_put_frame(struct cpv_buf *out, uint32_t size, uint32_t crc32c,
                         uint32_t samples)
{
    cpv_buf_u32(out, size);
    cpv_buf_u32(out, crc32c);
    cpv_buf_u32(out, samples);
}

void cpv_index_put(struct cpv_buf *out, const struct cpv_index_parts *p)
{
    size_t start = out->size + CPV_SKIP_HEAD, size;

    size = CPV_INDEX_FIXED + 1 + p->exts.size + p->frames.size + p->samples.size + 4;
    cpv_buf_u32(out, CPV_INDEX_MAGIC);
    cpv_buf_u32(out, (uint32_t)size);
    cpv_buf_str(out, CPV_INDEX_NAME);
    cpv_buf_u32(out, CPV_INDEX_VERSION);
    cpv_buf_u32(out, p->info->frames);
    cpv_buf_u32(out, p->info->samples);
    cpv_buf_u32(out, p->info->members);
    cpv_buf_u64(out, p->info->tar_bytes);
    cpv_buf_add(out, p->info->tar_sha256, 32);
    cpv_buf_add(out, p->info->settings, 32);
    cpv_buf_byte(out, p->n_exts);
    cpv_buf_add(out, p->exts.data, p->exts.size);
    cpv_buf_add(out, p->frames.data, p->frames.size);
    cpv_buf_add(out, p->samples.data, p->samples.size);
    if (!out->failed)
        cpv_buf_u32(out, cpv_crc32c(0, out->data + start, out->size - start));
}

/* A length byte and so much text, terminated, from mem; NULL and c->failed if bad. */
static const char *get_name(struct cpv_cursor *c, cpv_arena *mem,
                            bool (*ok)(const char *))
{
    struct cpv_bytes text = cpv_get_bytes(c, cpv_get_u8(c));
    const char *s;

    if (c->failed || text.size == 0 || memchr(text.data, '\0', text.size)) {
        c->failed = true;
        return NULL;
    }
    s = cpv_arena_str(mem, text);
    if (!s || !ok(s))
        c->failed = true;
    return c->failed ? NULL : s;
}

/* Everything before the tables. */
static int parse_fixed(struct cpv_cursor *c, struct cpv_shard_info *info,
                       struct cpv_err *err)
{
    struct cpv_bytes name = cpv_get_bytes(c, 8), sum, settings;
    uint32_t version = cpv_get_u32(c);

    info->frames = cpv_get_u32(c);
    info->samples = cpv_get_u32(c);
    info->members = cpv_get_u32(c);
    info->tar_bytes = cpv_get_u64(c);
    sum = cpv_get_bytes(c, 32);
    settings = cpv_get_bytes(c, 32);
    if (c->failed || memcmp(name.data, CPV_INDEX_NAME, 8) != 0)
        return cpv_fail(err, CPV_E_CORRUPT, "sample index: not one");
    if (version != CPV_INDEX_VERSION)
        return cpv_fail(err, CPV_E_INPUT,
                        "sample index: version %u, this program knows version %d",
                        version, CPV_INDEX_VERSION);
    memcpy(info->tar_sha256, sum.data, 32);
    memcpy(info->settings, settings.data, 32);
    return CPV_OK;
}

/* Sample i of frame f, at `offset` in it; false if it is malformed. */
static bool parse_sample(struct cpv_cursor *c, struct cpv_sample_entry *s,
                         struct cpv_member_entry **next, uint32_t *members_left,
                         const char *const *exts, uint8_t n_exts, cpv_arena *mem)
{
    struct cpv_member_entry *m = *next;
    uint64_t at = s->offset;

    s->key = get_name(c, mem, cpv_shard_key_ok);
    s->n_members = cpv_get_u8(c);
    if (c->failed || s->n_members == 0 || s->n_members > *members_left)
        return false;
    for (uint32_t i = 0; i < s->n_members; i++) {
        uint8_t ext = cpv_get_u8(c);

        m[i].size = cpv_get_u32(c);
        m[i].crc32c = cpv_get_u32(c);
        if (c->failed || ext >= n_exts)
            return false;
        m[i].ext = exts[ext];
        if (i > 0 && strcmp(m[i - 1].ext, m[i].ext) >= 0)
            return false;
        m[i].offset = (uint32_t)(at + CPV_TAR_BLOCK);
        at += CPV_TAR_BLOCK + cpv_tar_padded(m[i].size);
        if (at > CPV_FRAME_TAR_MAX)
            return false;
    }
    s->members = m;
    s->size = (uint32_t)(at - s->offset);
    *next += s->n_members;
    *members_left -= s->n_members;
    return true;
}

/* The frame table alone; the tar sizes follow from the samples. */
static bool parse_frames(struct cpv_cursor *c, struct cpv_index *x)
{
    uint64_t at = 0, samples = 0;

    for (uint32_t f = 0; f <= x->info.frames; f++) {
        struct cpv_frame_entry *e = &x->frames[f];

        e->at = at;
        e->size = cpv_get_u32(c);
        e->crc32c = cpv_get_u32(c);
        e->first = (uint32_t)samples;
        e->samples = cpv_get_u32(c);
        /* Frames hold samples, but for the last, which holds the tar end. */
        if (c->failed || (e->samples == 0) != (f == x->info.frames))
            return false;
        at += e->size;
        samples += e->samples;
        if (samples > x->info.samples)
            return false;
    }
    return samples == x->info.samples;
}

static bool parse_tables(struct cpv_cursor *c, struct cpv_index *x,
                         struct cpv_member_entry *members, const char *const *exts,
                         uint8_t n_exts, cpv_arena *mem)
{
    uint32_t members_left = x->info.members;
    uint64_t tar_at = 0;

    if (!parse_frames(c, x))
        return false;
    for (uint32_t f = 0; f < x->info.frames; f++) {
        struct cpv_frame_entry *e = &x->frames[f];

        e->tar_at = tar_at;
        for (uint32_t i = e->first; i < e->first + e->samples; i++) {
            x->samples[i].frame = f;
            x->samples[i].offset = e->tar_size;
            if (!parse_sample(c, &x->samples[i], &members, &members_left, exts, n_exts,
                              mem))
                return false;
            e->tar_size += x->samples[i].size;
        }
        tar_at += e->tar_size;
    }
    x->frames[x->info.frames].tar_at = tar_at;
    x->frames[x->info.frames].tar_size = CPV_TAR_END;
    return members_left == 0 && tar_at + CPV_TAR_END == x->info.tar_bytes;
}

int cpv_index_parse(struct cpv_bytes content, cpv_arena *mem, struct cpv_index *x,
                    struct cpv_err *err)
{
    struct cpv_cursor c = cpv_cursor_of(content);
    const char *exts[CPV_SHARD_MEMBERS_MAX];
    struct cpv_member_entry *members;
    uint64_t least;
    uint8_t n_exts;
    int rc;

    memset(x, 0, sizeof *x);
    if (content.size < CPV_INDEX_FIXED + 1 + 4)
        return cpv_fail(err, CPV_E_CORRUPT, "sample index: cut short");
    c.end -= 4;
    if (cpv_load_u32(c.end) != cpv_crc32c(0, content.data, content.size - 4))
        return cpv_fail(err, CPV_E_CORRUPT, "sample index: wrong checksum");
    if ((rc = parse_fixed(&c, &x->info, err)))
        return rc;
    n_exts = cpv_get_u8(&c);
    for (uint8_t i = 0; i < n_exts && !c.failed; i++)
        exts[i] = get_name(&c, mem, cpv_shard_ext_ok);
    least = ((uint64_t)x->info.frames + 1) * CPV_INDEX_FRAME +
            (uint64_t)x->info.samples * MIN_SAMPLE +
            (uint64_t)x->info.members * MIN_MEMBER;
    if (c.failed || least > (uint64_t)(c.end - c.at))
        return cpv_fail(err, CPV_E_CORRUPT, "sample index: malformed");
    x->frames = cpv_arena_calloc(mem, (size_t)x->info.frames + 1, sizeof *x->frames);
    x->samples = cpv_arena_calloc(mem, x->info.samples, sizeof *x->samples);
    members = cpv_arena_calloc(mem, x->info.members, sizeof *members);
    if (!x->frames || !x->samples || !members)
        return cpv_fail_memory(err);
    if (!parse_tables(&c, x, members, exts, n_exts, mem) || c.failed || c.at != c.end)
        return cpv_fail(err, CPV_E_CORRUPT, "sample index: malformed");
    return CPV_OK;
}

int cpv_index_match(struct cpv_index *x, const struct cpv_seek_entry *entries, size_t n,
                    uint64_t index_size, struct cpv_err *err)
{
    size_t frames = (size_t)x->info.frames + 1;

    if (n != frames + 1)
        return cpv_fail(err, CPV_E_CORRUPT,
                        "seek table: %zu frames, but the sample index says %zu", n,
                        frames + 1);
    for (size_t f = 0; f < frames; f++) {
        if (entries[f].size != x->frames[f].size ||
            entries[f].raw_size != x->frames[f].tar_size)
            return cpv_fail(err, CPV_E_CORRUPT,
                            "seek table: frame %zu differs from the sample index", f);
        x->frames[f].xxh = entries[f].xxh;
    }
    if (entries[frames].size != index_size || entries[frames].raw_size != 0 ||
        entries[frames].xxh != CPV_XXH_OF_NOTHING)
        return cpv_fail(err, CPV_E_CORRUPT,
                        "seek table: wrong entry of the sample index");
    return CPV_OK;
}
