/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of shard.h: samples gather in a buffer of tar bytes; a full frame is
 * compressed in one go by one thread and appended to the draft. The index grows
 * beside it, already encoded.
 */
#include "common/format/shard.h"

#include <zstd.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "common/format/keyset.h"
#include "common/format/shard_index.h"
#include "common/format/tar.h"

enum { LEVEL = 3, FRAME_SAMPLES = 64, FRAME_BYTES = 16 << 20, WINDOW_LOG = 21 };

struct cpv_shard_writer {
    cpv_draft *draft;
    ZSTD_CCtx *zstd;
    cpv_sha256 *tar_sha, *file_sha;
    struct cpv_shard_params params;
    struct cpv_shard_info info;
    struct cpv_keyset keys;
    struct cpv_buf tar;    /* of the frame under way */
    struct cpv_buf packed; /* the frame compressed, then the end of the file */
    struct cpv_buf seek;   /* struct cpv_seek_entry each */
    struct cpv_buf frames, samples, exts; /* parts of the index, encoded */
    char ext_text[CPV_SHARD_MEMBERS_MAX][CPV_SHARD_EXT_MAX + 1];
    uint8_t n_exts;
    uint32_t in_frame;    /* samples of the frame under way */
    struct cpv_err error; /* the first one; code 0 while all is well */
};

/* ---- opening and closing ---- */

static void free_writer(cpv_shard_writer *w)
{
    cpv_draft_discard(&w->draft);
    (void)ZSTD_freeCCtx(w->zstd);
    cpv_sha256_close(&w->tar_sha);
    cpv_sha256_close(&w->file_sha);
    cpv_keyset_release(&w->keys);
    cpv_buf_release(&w->tar);
    cpv_buf_release(&w->packed);
    cpv_buf_release(&w->seek);
    cpv_buf_release(&w->frames);
    cpv_buf_release(&w->samples);
    cpv_buf_release(&w->exts);
    cpv_free(w);
}

/* schemas/shard-v1.md lists these; without threads, whose presence changes bytes. */
static int set_up_zstd(cpv_shard_writer *w, struct cpv_err *err)
{
    if (!(w->zstd = ZSTD_createCCtx()))
        return cpv_fail_memory(err);
    if (ZSTD_isError(
            ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, w->params.level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_windowLog, WINDOW_LOG)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_contentSizeFlag, 1)))
        return cpv_fail(err, CPV_E_BUG, "zstd refuses level %d", w->params.level);
    return CPV_OK;
}

static int set_params(cpv_shard_writer *w, const struct cpv_shard_params *params,
                      struct cpv_err *err)
{
    struct cpv_shard_params *p = &w->params;

    if (params)
        *p = *params;
    p->level = p->level ? p->level : LEVEL;
    p->frame_samples = p->frame_samples ? p->frame_samples : FRAME_SAMPLES;
    p->frame_bytes = p->frame_bytes ? p->frame_bytes : FRAME_BYTES;
    memcpy(w->info.settings, p->settings, sizeof p->settings);
    if (p->level < 1 || p->level > ZSTD_maxCLevel())
        return cpv_fail(err, CPV_E_USAGE, "zstd level %d: expected 1 to %d", p->level,
                        ZSTD_maxCLevel());
    if (p->frame_bytes > CPV_FRAME_TAR_MAX - CPV_SHARD_SAMPLE_BYTES_MAX)
        return cpv_fail(err, CPV_E_USAGE, "frames of %zu bytes: expected at most %d",
                        p->frame_bytes, CPV_FRAME_TAR_MAX - CPV_SHARD_SAMPLE_BYTES_MAX);
    return CPV_OK;
}

int cpv_shard_create(cpv_shard_writer **out, const char *final_path,
                     const struct cpv_shard_params *params, struct cpv_err *err)
{
    cpv_shard_writer *w = cpv_calloc(1, sizeof *w);
    int rc;

    *out = NULL;
    if (!w)
        return cpv_fail_memory(err);
    rc = set_params(w, params, err);
    if (!rc)
        rc = set_up_zstd(w, err);
    if (!rc)
        rc = cpv_sha256_open(&w->tar_sha, err);
    if (!rc)
        rc = cpv_sha256_open(&w->file_sha, err);
    if (!rc)
        rc = cpv_draft_open(&w->draft, final_path, err);
    if (rc) {
        free_writer(w);
        return rc;
    }
    *out = w;
    return CPV_OK;
}

/* ---- frames ---- */

static void emit(cpv_shard_writer *w, const void *data, size_t n)
{
    cpv_draft_write(w->draft, data, n);
    cpv_sha256_add(w->file_sha, data, n);
    w->info.bytes += n;
}

/* Compress what is in w->tar as one frame. */
static void close_frame(cpv_shard_writer *w)
{
    struct cpv_seek_entry entry;
    size_t bound = ZSTD_compressBound(w->tar.size), n;
    uint8_t *to;

    cpv_buf_clear(&w->packed);
    if (w->tar.failed || !(to = cpv_buf_reserve(&w->packed, bound))) {
        (void)cpv_fail_memory(&w->error);
        return;
    }
    n = ZSTD_compress2(w->zstd, to, bound, w->tar.data, w->tar.size);
    if (ZSTD_isError(n)) { /* with room enough, only for want of memory */
        (void)cpv_fail(&w->error, CPV_E_MEMORY, "zstd: %s", ZSTD_getErrorName(n));
        return;
    }
    emit(w, to, n);
    cpv_sha256_add(w->tar_sha, w->tar.data, w->tar.size);
    entry.size = (uint32_t)n;
    entry.raw_size = (uint32_t)w->tar.size;
    entry.xxh = (uint32_t)cpv_xxh64(w->tar.data, w->tar.size, 0);
    cpv_buf_add(&w->seek, &entry, sizeof entry);
    cpv_index_put_frame(&w->frames, entry.size, cpv_crc32c(0, to, n), w->in_frame);
    if (w->seek.failed || w->frames.failed)
        (void)cpv_fail_memory(&w->error);
    w->info.tar_bytes += w->tar.size;
    w->info.frames += w->in_frame > 0;
    w->in_frame = 0;
    cpv_buf_clear(&w->tar);
}

/* ---- samples ---- */

/* The number of an extension, new ones in order of first use; < 0 if there is no room. */
static int ext_number(cpv_shard_writer *w, const char *ext)
{
    size_t n = strlen(ext);

    for (int i = 0; i < w->n_exts; i++)
        if (strcmp(w->ext_text[i], ext) == 0)
            return i;
    if (w->n_exts == CPV_SHARD_MEMBERS_MAX)
        return cpv_fail(&w->error, CPV_E_INPUT, "more than %d different extensions",
                        CPV_SHARD_MEMBERS_MAX);
    memcpy(w->ext_text[w->n_exts], ext, n + 1);
    cpv_buf_byte(&w->exts, (uint8_t)n);
    cpv_buf_str(&w->exts, ext);
    return w->n_exts++;
}

static void put_member(cpv_shard_writer *w, const char *key, const struct cpv_member *m)
{
    static const uint8_t zeros[CPV_TAR_BLOCK];
    int number = ext_number(w, m->ext);
    uint8_t head[CPV_TAR_BLOCK];

    if (number < 0)
        return;
    cpv_tar_write(head, key, m->ext, m->data.size);
    cpv_buf_add(&w->tar, head, sizeof head);
    cpv_buf_add(&w->tar, m->data.data, m->data.size);
    cpv_buf_add(&w->tar, zeros, (size_t)cpv_tar_padded(m->data.size) - m->data.size);
    cpv_buf_byte(&w->samples, (uint8_t)number);
    cpv_buf_u32(&w->samples, (uint32_t)m->data.size);
    cpv_buf_u32(&w->samples, cpv_crc32c(0, m->data.data, m->data.size));
}

/* Everything that can be wrong with a sample; the order of its members in `order`. */
static int check_sample(cpv_shard_writer *w, const char *key,
                        const struct cpv_member *members, size_t n, uint8_t *order)
{
    uint64_t bytes = 0;
    bool fresh;
    int rc;

    if (!cpv_shard_key_ok(key))
        return cpv_fail(&w->error, CPV_E_INPUT,
                        "key '%.100s': expected 1 to %d of A-Z a-z 0-9 _ -", key,
                        CPV_SHARD_KEY_MAX);
    if (n < 1 || n > CPV_SHARD_MEMBERS_MAX)
        return cpv_fail(&w->error, CPV_E_INPUT, "key '%s': %zu members, expected 1 to %d",
                        key, n, CPV_SHARD_MEMBERS_MAX);
    for (size_t i = 0; i < n; i++) {
        size_t at = i;

        if (!cpv_shard_ext_ok(members[i].ext))
            return cpv_fail(&w->error, CPV_E_INPUT, "key '%s': bad extension '%.100s'",
                            key, members[i].ext);
        for (; at > 0 && strcmp(members[order[at - 1]].ext, members[i].ext) > 0; at--)
            order[at] = order[at - 1];
        order[at] = (uint8_t)i;
        if (at > 0 && strcmp(members[order[at - 1]].ext, members[i].ext) == 0)
            return cpv_fail(&w->error, CPV_E_INPUT, "'%s.%s' twice in one sample", key,
                            members[i].ext);
        if (members[i].data.size <= CPV_SHARD_SAMPLE_BYTES_MAX)
            bytes += CPV_TAR_BLOCK + cpv_tar_padded(members[i].data.size);
        else
            bytes = UINT32_MAX;
        if (bytes > CPV_SHARD_SAMPLE_BYTES_MAX)
            return cpv_fail(&w->error, CPV_E_INPUT,
                            "key '%s': a sample of more than %d bytes", key,
                            CPV_SHARD_SAMPLE_BYTES_MAX);
    }
    rc = cpv_keyset_add(&w->keys, cpv_bytes_str(key), &fresh, &w->error);
    if (!rc && !fresh)
        rc = cpv_fail(&w->error, CPV_E_INPUT, "key '%s' twice in one shard", key);
    return rc;
}

void cpv_shard_put(cpv_shard_writer *w, const char *key, const struct cpv_member *members,
                   size_t n)
{
    uint8_t order[CPV_SHARD_MEMBERS_MAX];
    size_t key_size = strlen(key);

    if (cpv_shard_check_writer(w, NULL) || check_sample(w, key, members, n, order))
        return;
    cpv_buf_byte(&w->samples, (uint8_t)key_size);
    cpv_buf_str(&w->samples, key);
    cpv_buf_byte(&w->samples, (uint8_t)n);
    for (size_t i = 0; i < n && !w->error.code; i++)
        put_member(w, key, &members[order[i]]);
    if (w->tar.failed || w->samples.failed || w->exts.failed)
        (void)cpv_fail_memory(&w->error);
    if (w->error.code)
        return;
    w->in_frame++;
    w->info.samples++;
    w->info.members += (uint32_t)n;
    if (w->in_frame >= w->params.frame_samples || w->tar.size >= w->params.frame_bytes ||
        w->info.samples % CPV_SHARD_GROUP == 0)
        close_frame(w);
}

int cpv_shard_check_writer(const cpv_shard_writer *w, struct cpv_err *err)
{
    if (w->error.code) {
        if (err)
            *err = w->error;
        return w->error.code;
    }
    return cpv_draft_check(w->draft, err);
}

/* ---- the end ---- */

/* The frame of the tar end, the sample index, the seek table. */
static int finish(cpv_shard_writer *w, struct cpv_err *err)
{
    static const uint8_t zeros[CPV_TAR_END];
    struct cpv_seek_entry entry = {0, 0, CPV_XXH_OF_NOTHING};
    struct cpv_index_parts parts = {.info = &w->info};
    int rc = cpv_shard_check_writer(w, err);

    if (rc)
        return rc;
    if (w->in_frame > 0)
        close_frame(w);
    cpv_buf_add(&w->tar, zeros, sizeof zeros);
    if (!w->error.code)
        close_frame(w);
    if ((rc = cpv_shard_check_writer(w, err)))
        return rc;
    cpv_sha256_take(w->tar_sha, w->info.tar_sha256);
    parts.exts = cpv_buf_view(&w->exts);
    parts.n_exts = w->n_exts;
    parts.frames = cpv_buf_view(&w->frames);
    parts.samples = cpv_buf_view(&w->samples);
    cpv_buf_clear(&w->packed);
    cpv_index_put(&w->packed, &parts);
    entry.size = (uint32_t)w->packed.size;
    cpv_buf_add(&w->seek, &entry, sizeof entry);
    if (!w->seek.failed)
        cpv_seek_put(&w->packed, (const struct cpv_seek_entry *)(void *)w->seek.data,
                     w->seek.size / sizeof entry);
    if (w->seek.failed || w->packed.failed)
        return cpv_fail_memory(err);
    emit(w, w->packed.data, w->packed.size);
    cpv_sha256_take(w->file_sha, w->info.sha256);
    return CPV_OK;
}

int cpv_shard_commit(cpv_shard_writer **wp, struct cpv_shard_info *info, bool *existed,
                     struct cpv_err *err)
{
    cpv_shard_writer *w = *wp;
    int rc = finish(w, err);

    *wp = NULL;
    if (existed)
        *existed = false;
    if (!rc)
        rc = cpv_draft_commit(&w->draft, existed, err);
    if (!rc && info)
        *info = w->info;
    free_writer(w);
    return rc;
}

void cpv_shard_discard(cpv_shard_writer **wp)
{
    cpv_shard_writer *w = *wp;

    *wp = NULL;
    if (w)
        free_writer(w);
}
