/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of the user's tars. Reading all of them at every run would cost minutes, so
 * what was found is kept in a cache beside the column, believed only while a tar's size,
 * time and inode are those that it had. Deleting the cache costs only time.
 *
 *   "CPVTARS1" | entries: u64 size, u64 mtime (ns), u64 inode, 32 bytes | u32 crc32c
 */
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "stages/fetch/fetch.h"

enum { CACHE_MAX = 64 << 20, ENTRY = 24 + CPV_SHA256_SIZE };
static const char MAGIC[8] = {'C', 'P', 'V', 'T', 'A', 'R', 'S', '1'};

struct fetch_tars {
    struct cpv_buf entries; /* ENTRY bytes each */
    bool changed;
};

static bool parse(struct fetch_tars *t, struct cpv_bytes file)
{
    struct cpv_cursor c = cpv_cursor_of(file);
    struct cpv_bytes magic = cpv_get_bytes(&c, sizeof MAGIC), body;

    if (c.failed || memcmp(magic.data, MAGIC, sizeof MAGIC) != 0 ||
        file.size < sizeof MAGIC + 4 || (file.size - sizeof MAGIC - 4) % ENTRY != 0 ||
        cpv_crc32c(0, file.data, file.size - 4) !=
            cpv_load_u32(file.data + file.size - 4))
        return false;
    body = cpv_get_bytes(&c, file.size - sizeof MAGIC - 4);
    cpv_buf_add(&t->entries, body.data, body.size);
    return true;
}

int fetch_tars_open(struct fetch_tars **out, const char *cache, struct cpv_err *err)
{
    struct fetch_tars *t = cpv_calloc(1, sizeof *t);
    struct cpv_buf file = {0};

    *out = t;
    if (!t)
        return cpv_fail_memory(err);
    if (cpv_file_read(cache, CACHE_MAX, &file, NULL) == CPV_OK)
        (void)parse(t, cpv_buf_view(&file)); /* a damaged one is as good as none */
    cpv_buf_release(&file);
    return CPV_OK;
}

int fetch_tars_digest(struct fetch_tars *t, const char *path,
                      uint8_t out[CPV_SHA256_SIZE], struct cpv_err *err)
{
    struct cpv_buf now = {0};
    struct stat st;
    int rc;

    if (cpv_sys.stat(path, &st) < 0)
        return cpv_file_sha256(path, out, err); /* which says what is wrong */
    cpv_buf_u64(&now, (uint64_t)st.st_size);
    cpv_buf_u64(&now,
                (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec);
    cpv_buf_u64(&now, (uint64_t)st.st_ino);
    for (size_t at = 0; !now.failed && at < t->entries.size; at += ENTRY) {
        if (memcmp(t->entries.data + at, now.data, now.size) == 0) {
            memcpy(out, t->entries.data + at + now.size, CPV_SHA256_SIZE);
            cpv_buf_release(&now);
            return CPV_OK;
        }
    }
    rc = cpv_file_sha256(path, out, err);
    if (!rc && !now.failed) {
        cpv_buf_add(&now, out, CPV_SHA256_SIZE);
        cpv_buf_add(&t->entries, now.data, now.size);
        t->changed = true;
    }
    cpv_buf_release(&now);
    return rc;
}

void fetch_tars_save(struct fetch_tars *t, const char *cache)
{
    struct cpv_buf file = {0};

    if (!t->changed || t->entries.failed)
        return;
    cpv_buf_add(&file, MAGIC, sizeof MAGIC);
    cpv_buf_add(&file, t->entries.data, t->entries.size);
    cpv_buf_u32(&file, cpv_crc32c(0, file.data, file.size));
    if (!file.failed && cpv_file_replace(cache, cpv_buf_view(&file), NULL) == CPV_OK)
        t->changed = false;
    cpv_buf_release(&file);
}

void fetch_tars_close(struct fetch_tars **tp)
{
    struct fetch_tars *t = *tp;

    *tp = NULL;
    if (!t)
        return;
    cpv_buf_release(&t->entries);
    cpv_free(t);
}
