/* SPDX-License-Identifier: Apache-2.0 */
/* See shard_export.h. */
#include "common/format/shard_export.h"

#include <stdio.h>

#include <openssl/evp.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "common/format/blocks.h"
#include "common/format/tar.h"

enum { READ = 1 << 20 };

/* ---- the tar ---- */

/* "a/00000.tar.zst" gives "00000.tar". */
static int plain_name(const char *path, char out[CPV_EXPORT_NAME_MAX + 1],
                      struct cpv_err *err)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);

    if (n > 4 && strcmp(name + n - 4, ".zst") == 0)
        n -= 4;
    if (n > 4 && memcmp(name + n - 4, ".tar", 4) == 0)
        n -= 4;
    if (n == 0 || n + 4 > CPV_EXPORT_NAME_MAX)
        return cpv_fail(err, CPV_E_USAGE, "'%s': no name for a tar", path);
    memcpy(out, name, n);
    memcpy(out + n, ".tar", 5);
    return CPV_OK;
}

/* "DIR/NAME" with a new ending in place of the last n bytes; NULL without memory. */
static char *path_in(const char *dir, const char *name, size_t drop, const char *ending)
{
    struct cpv_buf b = {0};

    cpv_buf_printf(&b, "%s/", dir);
    cpv_buf_add(&b, name, strlen(name) - drop);
    cpv_buf_str(&b, ending);
    if (!cpv_buf_cstr(&b))
        cpv_buf_release(&b);
    return (char *)b.data;
}

struct cpv_export {
    cpv_draft *draft;
    EVP_MD_CTX *md5;
    char *path;
    struct cpv_exported done;
    bool failed; /* libcrypto did */
};

static int finish_md5(EVP_MD_CTX *md5, uint8_t out[16], struct cpv_err *err)
{
    unsigned size = 0;
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (EVP_DigestFinal_ex(md5, digest, &size) != 1 || size != 16)
        return cpv_fail(err, CPV_E_BUG, "libcrypto cannot do MD5");
    memcpy(out, digest, 16);
    return CPV_OK;
}

int cpv_export_open(cpv_export **out, const char *dir, const char *name,
                    struct cpv_err *err)
{
    cpv_export *e = cpv_calloc(1, sizeof *e);
    int rc = CPV_OK;

    *out = e;
    if (!e)
        return cpv_fail_memory(err);
    (void)snprintf(e->done.name, sizeof e->done.name, "%s", name);
    e->path = path_in(dir, name, 0, "");
    e->md5 = EVP_MD_CTX_new();
    if (!e->path || !e->md5 || EVP_DigestInit_ex(e->md5, EVP_md5(), NULL) != 1)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_draft_open(&e->draft, e->path, err);
    if (rc)
        cpv_export_discard(out);
    return rc;
}

void cpv_export_write(cpv_export *e, const void *data, size_t n)
{
    cpv_draft_write(e->draft, data, n);
    e->failed |= EVP_DigestUpdate(e->md5, data, n) != 1;
    e->done.bytes += n;
}

void cpv_export_put(cpv_export *e, const char *key, const struct cpv_member *members,
                    size_t n)
{
    static const uint8_t zeros[CPV_TAR_BLOCK];
    uint8_t head[CPV_TAR_BLOCK];

    for (size_t i = 0; i < n; i++) {
        size_t size = members[i].data.size;

        cpv_tar_write(head, key, members[i].ext, size);
        cpv_export_write(e, head, sizeof head);
        cpv_export_write(e, members[i].data.data, size);
        cpv_export_write(e, zeros, (size_t)cpv_tar_padded(size) - size);
    }
    e->done.samples++;
}

int cpv_export_check(const cpv_export *e, struct cpv_err *err)
{
    if (e->failed)
        return cpv_fail(err, CPV_E_BUG, "libcrypto cannot do MD5");
    return cpv_draft_check(e->draft, err);
}

/* A tar was there before: is it the same? */
static int compare(const char *tar, const struct cpv_exported *ours, struct cpv_err *err)
{
    EVP_MD_CTX *md5 = EVP_MD_CTX_new();
    uint8_t *buf = cpv_alloc(READ), digest[16];
    ssize_t got = 0;
    int fd = -1, rc = CPV_OK;

    if (!buf || !md5 || EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_file_open_read(&fd, tar, err);
    while (!rc && (got = cpv_file_get(fd, buf, READ, tar, err)) != 0) {
        if (got < 0 || EVP_DigestUpdate(md5, buf, (size_t)got) != 1)
            rc = got < 0 ? (int)got : cpv_fail_memory(err);
    }
    if (!rc)
        rc = finish_md5(md5, digest, err);
    if (!rc && memcmp(digest, ours->md5, sizeof digest) != 0)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s' is there already, and another file", tar);
    cpv_file_close(&fd);
    cpv_free(buf);
    EVP_MD_CTX_free(md5);
    return rc;
}

int cpv_export_commit(cpv_export **out, struct cpv_exported *done, struct cpv_err *err)
{
    cpv_export *e = *out;
    bool existed = false;
    int rc = cpv_export_check(e, err);

    if (!rc)
        rc = finish_md5(e->md5, e->done.md5, err);
    if (!rc)
        rc = cpv_draft_commit(&e->draft, &existed, err);
    if (!rc && existed)
        rc = compare(e->path, &e->done, err);
    *done = e->done;
    cpv_export_discard(out);
    return rc;
}

void cpv_export_discard(cpv_export **out)
{
    cpv_export *e = *out;

    *out = NULL;
    if (!e)
        return;
    cpv_draft_discard(&e->draft);
    EVP_MD_CTX_free(e->md5);
    cpv_free(e->path);
    cpv_free(e);
}

/* ---- a shard's own bytes ---- */

/* All blocks of the shard; the digest must be that of the index. */
static int copy_tar(const char *path, const struct cpv_shard_info *info, cpv_export *e,
                    struct cpv_err *err)
{
    uint8_t digest[CPV_SHA256_SIZE];
    struct cpv_block *block;
    cpv_blocks *blocks = NULL;
    cpv_sha256 *sha = NULL;
    int got, rc = cpv_sha256_open(&sha, err);

    if (!rc)
        rc = cpv_blocks_open(&blocks, path, 2, err);
    while (!rc && (got = cpv_blocks_next(blocks, &block, err)) != 0) {
        if (got < 0) {
            rc = got;
            break;
        }
        cpv_export_write(e, block->mem + block->at, block->size);
        cpv_sha256_add(sha, block->mem + block->at, block->size);
        cpv_blocks_give(blocks, block);
    }
    if (!rc)
        rc = cpv_export_check(e, err);
    if (!rc) {
        cpv_sha256_take(sha, digest);
        if (memcmp(digest, info->tar_sha256, sizeof digest) != 0)
            rc = cpv_fail(err, CPV_E_CORRUPT, "'%s': the tar's digest is wrong", path);
    }
    cpv_blocks_close(&blocks);
    cpv_sha256_close(&sha);
    return rc;
}

static int export_tar(const char *path, const char *out_dir, const cpv_shard *s,
                      struct cpv_exported *out, struct cpv_err *err)
{
    char name[CPV_EXPORT_NAME_MAX + 1];
    cpv_export *e = NULL;
    int rc;

    memcpy(name, out->name, sizeof name);
    rc = cpv_export_open(&e, out_dir, name, err);
    if (!rc)
        rc = copy_tar(path, cpv_shard_info(s), e, err);
    if (!rc)
        rc = cpv_export_commit(&e, out, err);
    cpv_export_discard(&e);
    out->samples = cpv_shard_count(s);
    return rc;
}

/* ---- lists ---- */

static int export_idx(const cpv_shard *s, const char *idx, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc;

    cpv_buf_printf(&text, "v1.2 %u\n", cpv_shard_count(s));
    for (uint32_t i = 0; i < cpv_shard_count(s); i++) {
        const struct cpv_sample_entry *e = cpv_shard_entry(s, i);
        uint64_t tar_at = cpv_shard_frame(s, e->frame)->tar_at;

        for (uint32_t k = 0; k < e->n_members; k++) {
            const struct cpv_member_entry *m = &e->members[k];

            cpv_buf_printf(&text, "%s%s %llu %u %s.%s", k ? " " : "", m->ext,
                           (unsigned long long)(tar_at + m->offset), m->size, e->key,
                           m->ext);
        }
        cpv_buf_byte(&text, '\n');
    }
    rc = text.failed ? cpv_fail_memory(err)
                     : cpv_file_replace(idx, cpv_buf_view(&text), err);
    cpv_buf_release(&text);
    return rc;
}

int cpv_shard_export_plain(const char *path, const char *out_dir,
                           struct cpv_exported *out, struct cpv_err *err)
{
    char *idx = NULL;
    cpv_shard *s = NULL;
    int rc;

    memset(out, 0, sizeof *out);
    if ((rc = plain_name(path, out->name, err)) || (rc = cpv_shard_open(&s, path, err)))
        return rc;
    idx = path_in(out_dir, out->name, 4, ".idx");
    if (!idx)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = export_tar(path, out_dir, s, out, err);
    if (!rc)
        rc = export_idx(s, idx, err);
    cpv_free(idx);
    cpv_shard_close(&s);
    return rc;
}

static void put_json_text(struct cpv_buf *b, const char *s)
{
    cpv_buf_byte(b, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            cpv_buf_byte(b, '\\');
        if ((uint8_t)*s < 0x20)
            cpv_buf_printf(b, "\\u%04x", (unsigned)*s);
        else
            cpv_buf_byte(b, (uint8_t)*s);
    }
    cpv_buf_byte(b, '"');
}

static int put_file(const char *dir, const char *name, struct cpv_buf *text,
                    struct cpv_err *err)
{
    char *path = path_in(dir, name, 0, "");
    int rc = !path || text->failed ? cpv_fail_memory(err)
                                   : cpv_file_replace(path, cpv_buf_view(text), err);

    cpv_free(path);
    cpv_buf_release(text);
    return rc;
}

int cpv_shard_export_lists(const char *out_dir, const char *name,
                           const struct cpv_exported *shards, size_t n,
                           struct cpv_err *err)
{
    struct cpv_buf sizes = {0}, wids = {0};
    int rc;

    cpv_buf_str(&sizes, "{");
    cpv_buf_str(&wids, "{\n  \"__kind__\": \"wids-shard-index-v1\",\n"
                       "  \"wids_version\": 1,\n  \"shardlist\": [");
    for (size_t i = 0; i < n; i++) {
        char md5[33];

        cpv_hex(md5, shards[i].md5, 16);
        cpv_buf_str(&sizes, i ? ",\n  " : "\n  ");
        put_json_text(&sizes, shards[i].name);
        cpv_buf_printf(&sizes, ": %u", shards[i].samples);
        cpv_buf_str(&wids, i ? ",\n    {\"url\": " : "\n    {\"url\": ");
        put_json_text(&wids, shards[i].name);
        cpv_buf_printf(&wids,
                       ", \"md5sum\": \"%s\", \"nsamples\": %u, \"filesize\": %llu}", md5,
                       shards[i].samples, (unsigned long long)shards[i].bytes);
    }
    cpv_buf_str(&sizes, "\n}\n");
    cpv_buf_str(&wids, "\n  ]");
    if (name) {
        cpv_buf_str(&wids, ",\n  \"name\": ");
        put_json_text(&wids, name);
    }
    cpv_buf_str(&wids, "\n}\n");
    rc = put_file(out_dir, "sizes.json", &sizes, err);
    if (rc)
        cpv_buf_release(&wids);
    else
        rc = put_file(out_dir, "wids.json", &wids, err);
    return rc;
}
