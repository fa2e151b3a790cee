/* SPDX-License-Identifier: Apache-2.0 */
/* One blob of the cache: locked, resumed, verified, renamed. See pull.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/model/pull_impl.h"

enum {
    WAIT_MS = 200,
    GIT_MAX = 256 << 20 /* a larger file is not kept in git itself */
};

const char *pull_blob_path(struct pull *p, const struct pull_file *f)
{
    return cpv_arena_printf(p->mem, "%s/blobs/%s", p->repo, f->meta.digest);
}

static const char *half_path(struct pull *p, const struct pull_file *f)
{
    return cpv_arena_printf(p->mem, "%s/blobs/%s.incomplete", p->repo, f->meta.digest);
}

/* -1: not there, or no file. */
static int64_t size_of(const char *path)
{
    struct stat st;

    if (!path || cpv_sys.stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return -1;
    return st.st_size;
}

bool pull_blob_here(struct pull *p, const struct pull_file *f)
{
    int64_t size = size_of(pull_blob_path(p, f));

    return size >= 0 && (f->meta.size < 0 || size == f->meta.size);
}

uint64_t pull_blob_left(struct pull *p, const struct pull_file *f)
{
    int64_t half;

    if (f->meta.size <= 0 || pull_blob_here(p, f))
        return 0;
    half = size_of(half_path(p, f));
    return (uint64_t)(half > 0 && half <= f->meta.size ? f->meta.size - half
                                                       : f->meta.size);
}

/* ---- digests ---- */

static int digest_of(const char *path, bool sha256, char out[CPV_HUB_DIGEST],
                     struct cpv_err *err)
{
    uint8_t digest[CPV_SHA256_SIZE];
    struct cpv_buf content = {0};
    int rc;

    if (sha256) {
        rc = cpv_file_sha256(path, digest, err);
        if (!rc)
            cpv_hex(out, digest, sizeof digest);
        return rc;
    }
    rc = cpv_file_read(path, GIT_MAX, &content, err);
    if (!rc) {
        cpv_git_blob_of(digest, cpv_buf_view(&content));
        cpv_hex(out, digest, 20);
    }
    cpv_buf_release(&content);
    return rc;
}

/* CPV_E_CORRUPT if its bytes are others than the hub named. */
static int check_digest(struct pull *p, const struct pull_file *f, const char *path,
                        struct cpv_err *err)
{
    char found[CPV_HUB_DIGEST];
    int rc;

    cpv_progress_note(p->p->progress, "%s (verifying)", f->as);
    rc = digest_of(path, f->meta.sha256, found, err);
    if (!rc && strcmp(found, f->meta.digest) != 0)
        rc =
            cpv_fail(err, CPV_E_CORRUPT, "%s: the bytes have %s %s, expected %s", f->what,
                     f->meta.sha256 ? "sha256" : "git blob", found, f->meta.digest);
    return rc;
}

/* ---- locks ---- */

static int wait_a_little(struct cpv_err *err)
{
    struct pollfd stop = {.fd = cpv_stop_fd(), .events = POLLIN};

    (void)poll(&stop, 1, WAIT_MS);
    return cpv_stop_requested() ? cpv_fail(err, CPV_E_STOPPED,
                                           "stopped while waiting for "
                                           "another process")
                                : CPV_OK;
}

/* Two kinds on one file: ours, and the one that Python's filelock takes. They end with
 * the descriptor. */
static int try_lock(int *fd, const char *path, struct cpv_err *err)
{
    int rc = cpv_file_lock(fd, path, err);

    if (!rc && flock(*fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        cpv_file_close(fd);
        rc = cpv_fail(err, CPV_E_BUSY, "'%s' is in use by another process", path);
    }
    return rc;
}

static int take_lock(struct pull *p, const struct pull_file *f, int *fd,
                     struct cpv_err *err)
{
    const char *path = cpv_arena_printf(p->mem, "%s/%s.lock", p->locks, f->meta.digest);
    bool told = false;
    int rc = path ? try_lock(fd, path, err) : cpv_fail_memory(err);

    while (rc == CPV_E_BUSY) {
        if (!told)
            cpv_log_info(p->p->log, "another process fetches %s; waiting for it",
                         f->what);
        told = true;
        rc = wait_a_little(err);
        if (!rc)
            rc = try_lock(fd, path, err);
    }
    return rc;
}

/* ---- bytes ---- */

static int empty(int fd, const char *half, uint64_t *at, struct cpv_err *err)
{
    *at = 0;
    if (cpv_sys.ftruncate(fd, 0) < 0)
        return cpv_fail_sys(err, errno, "cannot empty '%s'", half);
    return CPV_OK;
}

/* All bytes in the half blob, and right; what an earlier run left is doubted once. */
static int fill(struct pull *p, const struct pull_file *f, int fd, const char *half,
                struct cpv_err *err)
{
    uint64_t at = 0, found;
    int rc = cpv_file_size(fd, &at, half, err);

    if (!rc && f->meta.size >= 0 && at > (uint64_t)f->meta.size)
        rc = empty(fd, half, &at, err);
    if (rc)
        return rc;
    found = at;
    if (found)
        cpv_log_debug(p->p->log, "%s: going on at byte %llu", f->what,
                      (unsigned long long)found);
    cpv_progress_skip(p->p->progress, found);
    for (;;) {
        uint64_t before = at;

        cpv_progress_note(p->p->progress, "%s", f->as);
        if (f->meta.size < 0 || at < (uint64_t)f->meta.size)
            rc = cpv_hub_fetch(p->p->hub, f->url, f->what, f->meta.size, fd, half, &at,
                               err);
        p->fetched += at > before ? at - before : 0;
        if (!rc)
            rc = check_digest(p, f, half, err);
        if (rc != CPV_E_CORRUPT || !found)
            break;
        cpv_log_info(p->p->log, "%s: what was there of it is wrong; starting anew",
                     f->what);
        found = 0;
        rc = empty(fd, half, &at, err);
        if (rc)
            break;
    }
    if (rc == CPV_E_CORRUPT) {
        (void)cpv_sys.unlink(half);
        if (err)
            err->code = CPV_E_INPUT;
        rc = CPV_E_INPUT;
    }
    return rc;
}

/* Under the lock. */
static int fetch(struct pull *p, const struct pull_file *f, const char *blob,
                 struct cpv_err *err)
{
    const char *half = half_path(p, f);
    int fd, rc;

    if (!half)
        return cpv_fail_memory(err);
    fd = cpv_sys.open(half, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return cpv_fail_sys(err, errno, "cannot open '%s'", half);
    rc = fill(p, f, fd, half, err);
    if (!rc && cpv_sys.fsync(fd) < 0)
        rc = cpv_fail_sys(err, errno, "cannot make '%s' durable", half);
    if (cpv_sys.close(fd) < 0 && !rc)
        rc = cpv_fail_sys(err, errno, "cannot close '%s'", half);
    if (!rc && cpv_sys.rename(half, blob) < 0)
        rc = cpv_fail_sys(err, errno, "cannot rename '%s' to '%s'", half, blob);
    return rc ? rc : cpv_folder_sync_of(blob, err);
}

/* With --verify: a blob that is wrong is fetched again. Under the lock. */
static int doubt(struct pull *p, const struct pull_file *f, const char *blob,
                 struct cpv_err *err)
{
    int rc = check_digest(p, f, blob, err);

    if (rc != CPV_E_CORRUPT)
        return rc;
    cpv_log_warning(p->p->log, "'%s' is damaged; fetching it again", blob);
    if (cpv_sys.unlink(blob) < 0)
        return cpv_fail_sys(err, errno, "cannot remove '%s'", blob);
    return CPV_OK;
}

int pull_blob(struct pull *p, const struct pull_file *f, struct cpv_err *err)
{
    const char *blob = pull_blob_path(p, f);
    int lock = -1, rc = CPV_OK;

    if (!blob)
        return cpv_fail_memory(err);
    if (pull_blob_here(p, f) && !p->p->verify) {
        cpv_progress_skip(p->p->progress, f->meta.size > 0 ? (uint64_t)f->meta.size : 0);
        return CPV_OK;
    }
    rc = take_lock(p, f, &lock, err);
    if (!rc && pull_blob_here(p, f) && p->p->verify)
        rc = doubt(p, f, blob, err);
    if (!rc && pull_blob_here(p, f))
        cpv_progress_skip(p->p->progress, f->meta.size > 0 ? (uint64_t)f->meta.size : 0);
    else if (!rc)
        rc = fetch(p, f, blob, err);
    cpv_file_close(&lock);
    return rc;
}
