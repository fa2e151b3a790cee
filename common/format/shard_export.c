/* SPDX-License-Identifier: Apache-2.0 */
/* See shard_export.h. */
#include "common/format/shard_export.h"

#include <stdio.h>

#include <openssl/evp.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "common/format/blocks.h"

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

static int finish_md5(EVP_MD_CTX *md5, uint8_t out[16], struct cpv_err *err)
{
    unsigned size = 0;
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (EVP_DigestFinal_ex(md5, digest, &size) != 1 || size != 16)
        return cpv_fail(err, CPV_E_BUG, "libcrypto cannot do MD5");
    memcpy(out, digest, 16);
    return CPV_OK;
}

/* All blocks of the shard into the draft; the digest must be that of the index. */
static int copy_tar(const char *path, const struct cpv_shard_info *info, cpv_draft *draft,
                    EVP_MD_CTX *md5, struct cpv_err *err)
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
        cpv_draft_write(draft, block->mem + block->at, block->size);
        cpv_sha256_add(sha, block->mem + block->at, block->size);
        if (EVP_DigestUpdate(md5, block->mem + block->at, block->size) != 1)
            rc = cpv_fail(err, CPV_E_BUG, "libcrypto cannot do MD5");
        cpv_blocks_give(blocks, block);
    }
    if (!rc)
        rc = cpv_draft_check(draft, err);
    if (!rc) {
        cpv_sha256_take(sha, digest);
        if (memcmp(digest, info->tar_sha256, sizeof digest) != 0)
            rc = cpv_fail(err, CPV_E_CORRUPT, "'%s': the tar's digest is wrong", path);
    }
    cpv_blocks_close(&blocks);
    cpv_sha256_close(&sha);
    return rc;
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

static int export_tar(const char *path, const char *tar,
                      const struct cpv_shard_info *info, struct cpv_exported *out,
                      struct cpv_err *err)
{
    EVP_MD_CTX *md5 = EVP_MD_CTX_new();
    cpv_draft *draft = NULL;
    bool existed = false;
    int rc = CPV_OK;

    if (!md5 || EVP_DigestInit_ex(md5, EVP_md5(), NULL) != 1)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_draft_open(&draft, tar, err);
    if (!rc)
        rc = copy_tar(path, info, draft, md5, err);
    if (!rc)
        rc = finish_md5(md5, out->md5, err);
    if (!rc)
        rc = cpv_draft_commit(&draft, &existed, err);
    cpv_draft_discard(&draft);
    EVP_MD_CTX_free(md5);
    return !rc && existed ? compare(tar, out, err) : rc;
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

int cpv_shard_export_plain(const char *path, const char *out_dir,
                           struct cpv_exported *out, struct cpv_err *err)
{
    char *tar = NULL, *idx = NULL;
    cpv_shard *s = NULL;
    int rc;

    memset(out, 0, sizeof *out);
    if ((rc = plain_name(path, out->name, err)) || (rc = cpv_shard_open(&s, path, err)))
        return rc;
    tar = path_in(out_dir, out->name, 0, "");
    idx = path_in(out_dir, out->name, 4, ".idx");
    if (!tar || !idx)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = export_tar(path, tar, cpv_shard_info(s), out, err);
    if (!rc)
        rc = export_idx(s, idx, err);
    out->bytes = cpv_shard_info(s)->tar_bytes;
    out->samples = cpv_shard_count(s);
    cpv_free(tar);
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
