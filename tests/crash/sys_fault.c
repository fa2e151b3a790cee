/* SPDX-License-Identifier: Apache-2.0 */
/* See sys_fault.h. The second definition of cpv_sys; never part of a product. */
#include "tests/crash/sys_fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/sys.h"

static atomic_ulong calls, allocs;
static unsigned long fault_at;
static cpv_fault_kind fault_kind;
static bool fault_once = true;
static const char *_Atomic hit;
static const char *count_path;

static bool due(unsigned long n, const char *name)
{
    const char *none = NULL;

    if (fault_at == 0 || (fault_once ? n != fault_at : n < fault_at))
        return false;
    (void)atomic_compare_exchange_strong(&hit, &none, name);
    return true;
}

/* Counts a file call; *number: which one it is. True: it fails, errno is set. */
static bool struck_at(const char *name, unsigned long *number)
{
    unsigned long n = atomic_fetch_add(&calls, 1) + 1;

    *number = n;
    if (fault_kind == CPV_FAULT_KILL && due(n, name)) {
        (void)kill(getpid(), SIGKILL);
        for (;;)
            (void)pause();
    }
    if ((fault_kind == CPV_FAULT_EIO || fault_kind == CPV_FAULT_ENOSPC) && due(n, name)) {
        errno = fault_kind == CPV_FAULT_EIO ? EIO : ENOSPC;
        return true;
    }
    return false;
}

static bool struck(const char *name)
{
    unsigned long number;

    return struck_at(name, &number);
}

/* The same for reads and writes: *n may shrink. One byte cannot be short. */
static bool struck_io(const char *name, size_t *n)
{
    unsigned long number;

    if (struck_at(name, &number))
        return true;
    if (fault_kind == CPV_FAULT_SHORT && *n > 1 && due(number, name))
        *n /= 2;
    return false;
}

static int fault_open(const char *path, int flags, mode_t mode)
{
    return struck("open") ? -1 : open(path, flags, mode);
}

/* As on Linux, the descriptor is gone even if close fails. */
static int fault_close(int fd)
{
    bool failed = struck("close");
    int saved = errno, rc = close(fd);

    if (!failed)
        return rc;
    errno = saved;
    return -1;
}

static ssize_t fault_read(int fd, void *to, size_t n)
{
    return struck_io("read", &n) ? -1 : read(fd, to, n);
}

static ssize_t fault_pread(int fd, void *to, size_t n, off_t at)
{
    return struck_io("pread", &n) ? -1 : pread(fd, to, n, at);
}

static ssize_t fault_write(int fd, const void *from, size_t n)
{
    return struck_io("write", &n) ? -1 : write(fd, from, n);
}

static int fault_fsync(int fd)
{
    return struck("fsync") ? -1 : fsync(fd);
}

static int fault_ftruncate(int fd, off_t size)
{
    return struck("ftruncate") ? -1 : ftruncate(fd, size);
}

static int fault_rename_new(const char *from, const char *to)
{
    return struck("rename_new")
               ? -1
               : renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

static int fault_rename(const char *from, const char *to)
{
    return struck("rename") ? -1 : rename(from, to);
}

static int fault_symlink(const char *target, const char *path)
{
    return struck("symlink") ? -1 : symlink(target, path);
}

static int fault_unlink(const char *path)
{
    return struck("unlink") ? -1 : unlink(path);
}

static int fault_mkdir(const char *path, mode_t mode)
{
    return struck("mkdir") ? -1 : mkdir(path, mode);
}

static int fault_fstat(int fd, struct stat *out)
{
    return struck("fstat") ? -1 : fstat(fd, out);
}

static int fault_stat(const char *path, struct stat *out)
{
    return struck("stat") ? -1 : stat(path, out);
}

static void *fault_map(int fd, size_t size)
{
    return struck("map") ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
}

/* As with close, the mapping is gone even if the call fails. */
static int fault_unmap(void *at, size_t size)
{
    bool failed = struck("unmap");
    int saved = errno, rc = munmap(at, size);

    if (!failed)
        return rc;
    errno = saved;
    return -1;
}

static int fault_drop(void *at, size_t size)
{
    return struck("drop") ? -1 : madvise(at, size, MADV_DONTNEED);
}

static bool struck_alloc(const char *name)
{
    unsigned long n = atomic_fetch_add(&allocs, 1) + 1;

    return fault_kind == CPV_FAULT_ALLOC && due(n, name);
}

static void *fault_alloc(size_t size)
{
    return struck_alloc("alloc") ? NULL : malloc(size);
}

static void *fault_realloc(void *old, size_t size)
{
    return struck_alloc("realloc") ? NULL : realloc(old, size);
}

const struct cpv_sys cpv_sys = {
    .open = fault_open,
    .close = fault_close,
    .read = fault_read,
    .pread = fault_pread,
    .write = fault_write,
    .fsync = fault_fsync,
    .ftruncate = fault_ftruncate,
    .rename_new = fault_rename_new,
    .rename = fault_rename,
    .symlink = fault_symlink,
    .unlink = fault_unlink,
    .mkdir = fault_mkdir,
    .fstat = fault_fstat,
    .stat = fault_stat,
    .map = fault_map,
    .unmap = fault_unmap,
    .drop = fault_drop,
    .alloc = fault_alloc,
    .realloc = fault_realloc,
    .free = free,
};

void cpv_fault_arm(unsigned long at, cpv_fault_kind kind, bool once)
{
    fault_at = at;
    fault_kind = kind;
    fault_once = once;
    atomic_store(&calls, 0);
    atomic_store(&allocs, 0);
    atomic_store(&hit, NULL);
}

unsigned long cpv_fault_calls(void)
{
    return atomic_load(&calls);
}

unsigned long cpv_fault_allocs(void)
{
    return atomic_load(&allocs);
}

const char *cpv_fault_hit(void)
{
    return atomic_load(&hit);
}

/* ---- the environment ---- */

static void refuse(const char *name, const char *value)
{
    (void)fprintf(stderr, "sys_fault: bad %s '%s'\n", name, value);
    _exit(70);
}

__attribute__((constructor)) static void read_environment(void)
{
    static const char *const kinds[] = {"none",   "kill",  "EIO",
                                        "ENOSPC", "short", "alloc"};
    const char *at = getenv("CPV_FAULT_AT"), *kind = getenv("CPV_FAULT_KIND");
    const char *once = getenv("CPV_FAULT_ONCE");
    unsigned i = 0;

    count_path = getenv("CPV_FAULT_COUNT");
    if (at) {
        char *end;

        fault_at = strtoul(at, &end, 10);
        if (end == at || *end || *at < '0' || *at > '9')
            refuse("CPV_FAULT_AT", at);
        if (!kind)
            refuse("CPV_FAULT_KIND", "");
    }
    if (kind) {
        while (i < 6 && strcmp(kind, kinds[i]) != 0)
            i++;
        if (i == 6)
            refuse("CPV_FAULT_KIND", kind);
        fault_kind = (cpv_fault_kind)i;
    }
    if (once && strcmp(once, "0") != 0 && strcmp(once, "1") != 0)
        refuse("CPV_FAULT_ONCE", once);
    fault_once = !once || once[0] == '1';
}

__attribute__((destructor)) static void write_counts(void)
{
    const char *name = cpv_fault_hit();
    FILE *f;

    if (!count_path)
        return;
    f = fopen(count_path, "w");
    if (!f)
        refuse("CPV_FAULT_COUNT", count_path);
    (void)fprintf(f, "calls %lu\nallocs %lu\nhit %s\n", cpv_fault_calls(),
                  cpv_fault_allocs(), name ? name : "-");
    if (fclose(f) != 0)
        refuse("CPV_FAULT_COUNT", count_path);
}
