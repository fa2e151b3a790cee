/* SPDX-License-Identifier: Apache-2.0 */
/* See file.h, where the guarantees are numbered. */
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/size.h"
#include "common/base/hash.h"
#include "common/base/sys.h"

struct cpv_draft {
    int fd;
    char *final_path;
    char *tmp_path;
    uint64_t size;
    struct cpv_err error; /* the first one; code 0 while all is well */
};

/* ---- reading ---- */

int cpv_file_open_read(int *fd, const char *path, struct cpv_err *err)
{
    *fd = cpv_sys.open(path, O_RDONLY | O_CLOEXEC, 0);
    if (*fd < 0)
        return cpv_fail_sys(err, errno, "cannot open '%s'", path);
    return CPV_OK;
}

void cpv_file_close(int *fd)
{
    if (*fd >= 0)
        (void)cpv_sys.close(*fd);
    *fd = -1;
}

ssize_t cpv_file_get(int fd, void *to, size_t n, const char *path, struct cpv_err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = cpv_sys.read(fd, (uint8_t *)to + done, n - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cpv_fail_sys(err, errno, "cannot read '%s'", path);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int cpv_file_get_at(int fd, void *to, size_t n, uint64_t at, const char *path,
                    struct cpv_err *err)
{
    size_t done = 0;

    if (!cpv_range_in(at, n, INT64_MAX)) /* more than any file has */
        return cpv_fail(err, CPV_E_CORRUPT, "'%s': ends before byte %llu", path,
                        (unsigned long long)at);
    while (done < n) {
        ssize_t got =
            cpv_sys.pread(fd, (uint8_t *)to + done, n - done, (off_t)(at + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cpv_fail_sys(err, errno, "cannot read '%s'", path);
        if (got == 0)
            return cpv_fail(err, CPV_E_CORRUPT, "'%s': ends before byte %llu", path,
                            (unsigned long long)(at + n));
        done += (size_t)got;
    }
    return CPV_OK;
}

int cpv_file_size(int fd, uint64_t *size, const char *path, struct cpv_err *err)
{
    struct stat st;

    if (cpv_sys.fstat(fd, &st) < 0)
        return cpv_fail_sys(err, errno, "cannot look at '%s'", path);
    *size = (uint64_t)st.st_size;
    return CPV_OK;
}

int cpv_file_read(const char *path, size_t max, struct cpv_buf *out, struct cpv_err *err)
{
    enum { STEP = 1 << 16 };
    size_t start = out->size;
    ssize_t got = 0;
    int fd, rc;

    if ((rc = cpv_file_open_read(&fd, path, err)))
        return rc;
    do {
        uint8_t *to = cpv_buf_reserve(out, STEP);

        if (!to) {
            rc = cpv_fail_memory(err);
            break;
        }
        got = cpv_file_get(fd, to, STEP, path, err);
        if (got < 0) {
            rc = (int)got;
            break;
        }
        out->size += (size_t)got;
        if (out->size - start > max)
            rc = cpv_fail(err, CPV_E_INPUT, "'%s': larger than the %zu bytes allowed",
                          path, max);
    } while (!rc && got == STEP);
    cpv_file_close(&fd);
    return rc;
}

int cpv_file_sha256(const char *path, uint8_t out[CPV_SHA256_SIZE], struct cpv_err *err)
{
    enum { STEP = 1 << 18 };
    uint8_t *buffer = cpv_alloc(STEP);
    cpv_sha256 *hash = NULL;
    int fd = -1, rc = buffer ? cpv_sha256_open(&hash, err) : cpv_fail_memory(err);
    ssize_t got = STEP;

    if (!rc)
        rc = cpv_file_open_read(&fd, path, err);
    while (!rc && got == STEP) {
        got = cpv_file_get(fd, buffer, STEP, path, err);
        if (got < 0)
            rc = (int)got;
        else
            cpv_sha256_add(hash, buffer, (size_t)got);
    }
    if (!rc)
        cpv_sha256_take(hash, out);
    cpv_file_close(&fd);
    cpv_sha256_close(&hash);
    cpv_free(buffer);
    return rc;
}

bool cpv_file_exists(const char *path)
{
    struct stat st;

    return cpv_sys.stat(path, &st) == 0;
}

/* ---- mapping ---- */

int cpv_file_map(struct cpv_bytes *out, const char *path, struct cpv_err *err)
{
    struct stat st;
    void *at = NULL;
    int fd, rc;

    *out = cpv_bytes_of(NULL, 0);
    if ((rc = cpv_file_open_read(&fd, path, err)))
        return rc;
    if (cpv_sys.fstat(fd, &st) < 0)
        rc = cpv_fail_sys(err, errno, "cannot look at '%s'", path);
    else if (!S_ISREG(st.st_mode))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': not a regular file", path);
    else if ((uint64_t)st.st_size > SIZE_MAX)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': too large to be mapped", path);
    else if (st.st_size > 0 && (at = cpv_sys.map(fd, (size_t)st.st_size)) == MAP_FAILED)
        rc = cpv_fail_sys(err, errno, "cannot map '%s'", path);
    else
        *out = cpv_bytes_of(at, (size_t)st.st_size);
    cpv_file_close(&fd);
    return rc;
}

/* The view is const for its readers; the mapping itself is ours to end. */
static void *mapping_of(const uint8_t *data)
{
    return (void *)(uintptr_t)data;
}

void cpv_file_unmap(struct cpv_bytes *map)
{
    if (map->size > 0)
        (void)cpv_sys.unmap(mapping_of(map->data), map->size);
    *map = cpv_bytes_of(NULL, 0);
}

void cpv_file_map_drop(struct cpv_bytes part)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)part.data;
    uintptr_t to = (from + part.size) & ~(page - 1);

    from = (from + page - 1) & ~(page - 1);
    if (from < to) /* advice: a system that refuses it only keeps the pages */
        (void)cpv_sys.drop((void *)from, to - from);
}

/* ---- writing ---- */

int cpv_file_put(int fd, const void *from, size_t n, const char *path,
                 struct cpv_err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t put = cpv_sys.write(fd, (const uint8_t *)from + done, n - done);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return cpv_fail_sys(err, errno, "cannot write '%s'", path);
        if (put == 0) /* not possible on a regular file; never spin on it */
            return cpv_fail_sys(err, ENOSPC, "cannot write '%s'", path);
        done += (size_t)put;
    }
    return CPV_OK;
}

/* ---- folders ---- */

/* The folder of a path, in a new string: "." if the path names none. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder;

    if (!slash)
        return cpv_strdup(".");
    folder = cpv_strdup(path);
    if (folder)
        folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

int cpv_folder_sync(const char *path, struct cpv_err *err)
{
    int fd = cpv_sys.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    int rc = CPV_OK;

    if (fd < 0)
        return cpv_fail_sys(err, errno, "cannot open folder '%s'", path);
    /* EINVAL: a file system that knows no fsync for folders. */
    if (cpv_sys.fsync(fd) < 0 && errno != EINVAL)
        rc = cpv_fail_sys(err, errno, "cannot make folder '%s' durable", path);
    cpv_file_close(&fd);
    return rc;
}

int cpv_folder_sync_of(const char *path, struct cpv_err *err)
{
    char *folder = folder_of(path);
    int rc = folder ? cpv_folder_sync(folder, err) : cpv_fail_memory(err);

    cpv_free(folder);
    return rc;
}

/* Make one folder, or find it there. */
static int make_one(const char *path, struct cpv_err *err)
{
    struct stat st;

    if (cpv_sys.mkdir(path, 0777) == 0)
        return cpv_folder_sync_of(path, err);
    if (errno != EEXIST)
        return cpv_fail_sys(err, errno, "cannot make folder '%s'", path);
    if (cpv_sys.stat(path, &st) < 0)
        return cpv_fail_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return cpv_fail_sys(err, ENOTDIR, "cannot make folder '%s'", path);
    return CPV_OK;
}

int cpv_folder_make(const char *path, struct cpv_err *err)
{
    char *copy = cpv_strdup(path);
    int rc = CPV_OK;

    if (!copy)
        return cpv_fail_memory(err);
    for (char *p = copy + 1; !rc && *copy && *p; p++) {
        if (*p != '/' || p[-1] == '/')
            continue;
        *p = '\0';
        rc = make_one(copy, err);
        *p = '/';
    }
    if (!rc)
        rc = make_one(copy, err);
    cpv_free(copy);
    return rc;
}

/* ---- locks ---- */

/*
 * Between our open and our lock the file may have been renamed or removed by the
 * process that held it; a lock on that inode would guard nothing. So compare and,
 * if it moved, start again.
 */
int cpv_file_lock(int *out, const char *path, struct cpv_err *err)
{
    *out = -1;
    for (int attempt = 0; attempt < 16; attempt++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        struct stat mine, there;
        int fd = cpv_sys.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

        if (fd < 0)
            return cpv_fail_sys(err, errno, "cannot open '%s'", path);
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
            int sys = errno;

            cpv_file_close(&fd);
            if (sys == EAGAIN || sys == EACCES)
                return cpv_fail(err, CPV_E_BUSY, "'%s' is in use by another process",
                                path);
            return cpv_fail_sys(err, sys, "cannot lock '%s'", path);
        }
        if (cpv_sys.fstat(fd, &mine) < 0) {
            int sys = errno;

            cpv_file_close(&fd);
            return cpv_fail_sys(err, sys, "cannot look at '%s'", path);
        }
        if (cpv_sys.stat(path, &there) == 0 && there.st_ino == mine.st_ino &&
            there.st_dev == mine.st_dev) {
            *out = fd;
            return CPV_OK;
        }
        cpv_file_close(&fd);
    }
    return cpv_fail(err, CPV_E_BUSY, "'%s' keeps changing hands", path);
}

/* ---- drafts ---- */

static char *tmp_path_of(const char *final_path)
{
    const char *slash = strrchr(final_path, '/');
    const char *name = slash ? slash + 1 : final_path;
    struct cpv_buf b = {0};

    cpv_buf_add(&b, final_path, (size_t)(name - final_path));
    cpv_buf_printf(&b, ".%s.tmp", name);
    if (!cpv_buf_cstr(&b))
        cpv_buf_release(&b);
    return (char *)b.data;
}

/*
 * An empty, locked file under a temporary name. Where sys_rename_new had to link and
 * unlink, a kill in between leaves what was committed under both names: emptying one
 * would empty the other, so such a name is dropped and made anew.
 */
static int take_tmp(int *fd, const char *tmp, struct cpv_err *err)
{
    struct stat st;
    int rc;

    for (;;) {
        if ((rc = cpv_file_lock(fd, tmp, err)))
            return rc;
        if (cpv_sys.fstat(*fd, &st) < 0) {
            rc = cpv_fail_sys(err, errno, "cannot look at '%s'", tmp);
            break;
        }
        if (st.st_nlink < 2) {
            if (cpv_sys.ftruncate(*fd, 0) == 0)
                return CPV_OK;
            rc = cpv_fail_sys(err, errno, "cannot empty '%s'", tmp);
            (void)cpv_sys.unlink(tmp);
            break;
        }
        if (cpv_sys.unlink(tmp) < 0) {
            rc = cpv_fail_sys(err, errno, "cannot remove '%s'", tmp);
            break;
        }
        cpv_file_close(fd);
    }
    cpv_file_close(fd);
    return rc;
}

static void free_draft(cpv_draft *d)
{
    cpv_file_close(&d->fd);
    cpv_free(d->final_path);
    cpv_free(d->tmp_path);
    cpv_free(d);
}

int cpv_draft_open(cpv_draft **out, const char *final_path, struct cpv_err *err)
{
    cpv_draft *d = cpv_calloc(1, sizeof *d);
    int rc;

    *out = NULL;
    if (!d)
        return cpv_fail_memory(err);
    d->fd = -1;
    d->final_path = cpv_strdup(final_path);
    d->tmp_path = tmp_path_of(final_path);
    if (!d->final_path || !d->tmp_path)
        rc = cpv_fail_memory(err);
    else
        rc = take_tmp(&d->fd, d->tmp_path, err);
    if (rc) {
        free_draft(d);
        return rc;
    }
    *out = d;
    return CPV_OK;
}

int cpv_draft_fd(const cpv_draft *d)
{
    return d->fd;
}

uint64_t cpv_draft_size(const cpv_draft *d)
{
    return d->size;
}

void cpv_draft_write(cpv_draft *d, const void *data, size_t n)
{
    if (d->error.code)
        return;
    if (cpv_file_put(d->fd, data, n, d->tmp_path, &d->error) == CPV_OK)
        d->size += n;
}

int cpv_draft_check(const cpv_draft *d, struct cpv_err *err)
{
    if (d->error.code && err)
        *err = d->error;
    return d->error.code;
}

/*
 * fsync, then the name. The lock is held until the descriptor closes, after both.
 * *ours: the temporary name is still ours, to be removed; once it was renamed, another
 * process may have made a new one.
 */
static int publish(cpv_draft *d, bool *existed, bool *ours, struct cpv_err *err)
{
    int rc = cpv_draft_check(d, err);

    if (rc)
        return rc;
    if (cpv_sys.fsync(d->fd) < 0)
        return cpv_fail_sys(err, errno, "cannot make '%s' durable", d->tmp_path);
    if (cpv_sys.rename_new(d->tmp_path, d->final_path) == 0) {
        *ours = false;
        return cpv_folder_sync_of(d->final_path, err);
    }
    if (errno != EEXIST)
        return cpv_fail_sys(err, errno, "cannot rename '%s' to '%s'", d->tmp_path,
                            d->final_path);
    *existed = true;
    *ours = false;
    if (cpv_sys.unlink(d->tmp_path) < 0)
        return cpv_fail_sys(err, errno, "cannot remove '%s'", d->tmp_path);
    return CPV_OK;
}

/* ours: the temporary name is still there. */
static int end_draft(cpv_draft *d, bool ours, int rc, struct cpv_err *err)
{
    int fd = d->fd;

    if (ours) /* a full disk should get its space back */
        (void)cpv_sys.unlink(d->tmp_path);
    if (!rc) {
        /* NFS and quotas report a failed write here at the latest. */
        d->fd = -1;
        if (cpv_sys.close(fd) < 0)
            rc = cpv_fail_sys(err, errno, "cannot close '%s'", d->final_path);
    }
    free_draft(d);
    return rc;
}

int cpv_draft_commit(cpv_draft **dp, bool *existed, struct cpv_err *err)
{
    cpv_draft *d = *dp;
    bool taken = false, ours = true;
    int rc = publish(d, &taken, &ours, err);

    *dp = NULL;
    if (existed)
        *existed = taken;
    return end_draft(d, ours, rc, err);
}

int cpv_draft_replace(cpv_draft **dp, struct cpv_err *err)
{
    cpv_draft *d = *dp;
    int rc = cpv_draft_check(d, err);
    bool ours = true;

    *dp = NULL;
    if (!rc && cpv_sys.fsync(d->fd) < 0)
        rc = cpv_fail_sys(err, errno, "cannot make '%s' durable", d->tmp_path);
    if (!rc && cpv_sys.rename(d->tmp_path, d->final_path) < 0)
        rc = cpv_fail_sys(err, errno, "cannot rename '%s' to '%s'", d->tmp_path,
                          d->final_path);
    if (!rc) {
        ours = false;
        rc = cpv_folder_sync_of(d->final_path, err);
    }
    return end_draft(d, ours, rc, err);
}

void cpv_draft_discard(cpv_draft **dp)
{
    cpv_draft *d = *dp;

    *dp = NULL;
    if (!d)
        return;
    (void)cpv_sys.unlink(d->tmp_path);
    free_draft(d);
}

/* Write, fsync and rename over what is there; the lock is already held. */
static int replace_locked(int fd, const char *tmp, const char *path,
                          struct cpv_bytes content, struct cpv_err *err)
{
    int rc = cpv_file_put(fd, content.data, content.size, tmp, err);

    if (!rc && cpv_sys.fsync(fd) < 0)
        rc = cpv_fail_sys(err, errno, "cannot make '%s' durable", tmp);
    if (!rc && cpv_sys.rename(tmp, path) < 0)
        rc = cpv_fail_sys(err, errno, "cannot rename '%s' to '%s'", tmp, path);
    if (rc) {
        (void)cpv_sys.unlink(tmp);
        return rc;
    }
    return cpv_folder_sync_of(path, err);
}

int cpv_file_replace(const char *path, struct cpv_bytes content, struct cpv_err *err)
{
    char *tmp = tmp_path_of(path);
    int fd = -1, rc;

    if (!tmp)
        return cpv_fail_memory(err);
    rc = take_tmp(&fd, tmp, err);
    if (!rc)
        rc = replace_locked(fd, tmp, path, content, err);
    cpv_file_close(&fd);
    cpv_free(tmp);
    return rc;
}

/* ---- links ---- */

static bool links_to(const char *path, const char *target)
{
    char now[4096];
    ssize_t n = readlink(path, now, sizeof now);

    return n >= 0 && (size_t)n == strlen(target) && memcmp(now, target, (size_t)n) == 0;
}

int cpv_file_link(const char *target, const char *path, struct cpv_err *err)
{
    char *tmp;
    int rc = CPV_OK;

    if (cpv_sys.symlink(target, path) == 0)
        return CPV_OK;
    if (errno != EEXIST)
        return cpv_fail_sys(err, errno, "cannot make the link '%s'", path);
    if (links_to(path, target))
        return CPV_OK;
    tmp = tmp_path_of(path);
    if (!tmp)
        return cpv_fail_memory(err);
    if (cpv_sys.symlink(target, tmp) < 0 && errno == EEXIST) {
        /* Left by a dead process, or a live one's: then the last of the two wins. */
        (void)cpv_sys.unlink(tmp);
        if (cpv_sys.symlink(target, tmp) < 0 && errno != EEXIST)
            rc = cpv_fail_sys(err, errno, "cannot make the link '%s'", tmp);
    }
    if (!rc && cpv_sys.rename(tmp, path) < 0 && !links_to(path, target))
        rc = cpv_fail_sys(err, errno, "cannot rename '%s' to '%s'", tmp, path);
    cpv_free(tmp);
    return rc;
}
