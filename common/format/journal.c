/* SPDX-License-Identifier: Apache-2.0 */
/* See journal.h for the bytes. */
#include "common/format/journal.h"

#include <errno.h>
#include <fcntl.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"

enum { MAGIC = 0x4a565043 /* "CPVJ" */, HEADER = 12 };
static const uint64_t SYNC_BYTES = (uint64_t)64 << 20;
static const int64_t SYNC_MS = 2000;

struct cpv_journal {
    int fd;
    char *path;
    uint64_t size;     /* where the next record goes */
    uint64_t unsynced; /* bytes since the last fsync */
    int64_t synced_ms;
};

/* ---- opening ---- */

/*
 * The record at *offset into `payload`: 1; 0 when what is there is no complete
 * record. Sizes are believed only as far as the file reaches.
 */
static int replay_one(cpv_journal *j, uint64_t offset, uint64_t file_size,
                      struct cpv_buf *payload, struct cpv_err *err)
{
    uint8_t head[HEADER], *to;
    uint32_t size, crc;
    int rc;

    if (file_size - offset < HEADER)
        return 0;
    if ((rc = cpv_file_get_at(j->fd, head, HEADER, offset, j->path, err)))
        return rc;
    size = cpv_load_u32(head + 4);
    if (cpv_load_u32(head) != MAGIC || size > CPV_JOURNAL_MAX ||
        size > file_size - offset - HEADER)
        return 0;
    cpv_buf_clear(payload);
    if (!(to = cpv_buf_reserve(payload, size)))
        return cpv_fail_memory(err);
    if ((rc = cpv_file_get_at(j->fd, to, size, offset + HEADER, j->path, err)))
        return rc;
    payload->size = size;
    crc = cpv_crc32c(cpv_crc32c(0, head + 4, 4), to, size);
    return crc == cpv_load_u32(head + 8);
}

/* Everything from j->size on is dropped. */
static int cut(cpv_journal *j, uint64_t file_size, struct cpv_err *err)
{
    if (j->size < file_size && cpv_sys.ftruncate(j->fd, (off_t)j->size) < 0)
        return cpv_fail_sys(err, errno, "cannot cut off the torn end of '%s'", j->path);
    return CPV_OK;
}

static int replay(cpv_journal *j, struct cpv_bytes identity, cpv_journal_visit *visit,
                  void *ctx, struct cpv_err *err)
{
    struct cpv_buf payload = {0};
    uint64_t file_size = 0;
    int rc = cpv_file_size(j->fd, &file_size, j->path, err);

    while (!rc) {
        int got = replay_one(j, j->size, file_size, &payload, err);

        if (got <= 0) {
            rc = got;
            break;
        }
        if (j->size == 0 && !cpv_bytes_equal(cpv_buf_view(&payload), identity))
            break; /* somebody else's */
        if (j->size && visit)
            rc = visit(ctx, cpv_buf_view(&payload), j->size, err);
        j->size += HEADER + payload.size;
    }
    cpv_buf_release(&payload);
    if (!rc)
        rc = cut(j, file_size, err);
    if (!rc && j->size == 0)
        rc = cpv_journal_add(j, &identity, 1, NULL, err);
    return rc;
}

int cpv_journal_open(cpv_journal **out, const char *path, struct cpv_bytes identity,
                     cpv_journal_visit *visit, void *ctx, struct cpv_err *err)
{
    cpv_journal *j = cpv_calloc(1, sizeof *j);
    int rc;

    *out = NULL;
    if (!j)
        return cpv_fail_memory(err);
    j->fd = -1;
    j->path = cpv_strdup(path);
    if (!j->path) {
        cpv_journal_close(&j);
        return cpv_fail_memory(err);
    }
    j->synced_ms = cpv_clock_ms();
    j->fd = cpv_sys.open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    rc = j->fd < 0 ? cpv_fail_sys(err, errno, "cannot open '%s'", path)
                   : replay(j, identity, visit, ctx, err);
    if (rc) {
        cpv_journal_close(&j);
        return rc;
    }
    *out = j;
    return CPV_OK;
}

/* ---- use ---- */

int cpv_journal_sync(cpv_journal *j, struct cpv_err *err)
{
    if (cpv_sys.fsync(j->fd) < 0)
        return cpv_fail_sys(err, errno, "cannot make '%s' durable", j->path);
    j->unsynced = 0;
    j->synced_ms = cpv_clock_ms();
    return CPV_OK;
}

int cpv_journal_add(cpv_journal *j, const struct cpv_bytes *pieces, size_t n,
                    uint64_t *offset, struct cpv_err *err)
{
    struct cpv_buf head = {0};
    uint64_t size = 0;
    uint32_t crc;
    int rc;

    for (size_t i = 0; i < n; i++)
        size += pieces[i].size;
    if (size > CPV_JOURNAL_MAX)
        return cpv_fail(err, CPV_E_BUG, "'%s': a record of %llu bytes", j->path,
                        (unsigned long long)size);
    cpv_buf_u32(&head, MAGIC);
    cpv_buf_u32(&head, (uint32_t)size);
    if (head.failed) {
        cpv_buf_release(&head);
        return cpv_fail_memory(err);
    }
    crc = cpv_crc32c(0, head.data + 4, 4);
    for (size_t i = 0; i < n; i++)
        crc = cpv_crc32c(crc, pieces[i].data, pieces[i].size);
    cpv_buf_u32(&head, crc);
    /* A record torn here is cut off by the next opening, whichever piece it was. */
    rc = cpv_file_put(j->fd, head.data, head.size, j->path, err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = cpv_file_put(j->fd, pieces[i].data, pieces[i].size, j->path, err);
    cpv_buf_release(&head);
    if (rc)
        return rc;
    if (offset)
        *offset = j->size;
    j->size += HEADER + size;
    j->unsynced += HEADER + size;
    if (j->unsynced >= SYNC_BYTES || cpv_clock_ms() - j->synced_ms >= SYNC_MS)
        return cpv_journal_sync(j, err);
    return CPV_OK;
}

int cpv_journal_read(const cpv_journal *j, uint64_t offset, struct cpv_buf *out,
                     struct cpv_err *err)
{
    uint8_t head[HEADER], *to;
    uint32_t size;
    int rc = cpv_file_get_at(j->fd, head, HEADER, offset, j->path, err);

    if (rc)
        return rc;
    size = cpv_load_u32(head + 4);
    if (cpv_load_u32(head) != MAGIC || size > CPV_JOURNAL_MAX)
        return cpv_fail(err, CPV_E_CORRUPT, "'%s': no record at byte %llu", j->path,
                        (unsigned long long)offset);
    cpv_buf_clear(out);
    if (!(to = cpv_buf_reserve(out, size)))
        return cpv_fail_memory(err);
    if ((rc = cpv_file_get_at(j->fd, to, size, offset + HEADER, j->path, err)))
        return rc;
    out->size = size;
    if (cpv_crc32c(cpv_crc32c(0, head + 4, 4), to, size) != cpv_load_u32(head + 8))
        return cpv_fail(err, CPV_E_CORRUPT, "'%s': the record at byte %llu is damaged",
                        j->path, (unsigned long long)offset);
    return CPV_OK;
}

void cpv_journal_close(cpv_journal **jp)
{
    cpv_journal *j = *jp;

    *jp = NULL;
    if (!j)
        return;
    cpv_file_close(&j->fd);
    cpv_free(j->path);
    cpv_free(j);
}

int cpv_journal_remove(cpv_journal **jp, struct cpv_err *err)
{
    int rc = CPV_OK;

    if (*jp && cpv_sys.unlink((*jp)->path) < 0 && errno != ENOENT)
        rc = cpv_fail_sys(err, errno, "cannot remove '%s'", (*jp)->path);
    cpv_journal_close(jp);
    return rc;
}
