/* SPDX-License-Identifier: Apache-2.0 */
/* The real system. Only this symbol may live here: see sys.h. */
#include "common/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int sys_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags, mode);
}

/*
 * renameat2 is refused by old NFS servers and some FUSE file systems. A link
 * followed by an unlink is the same promise there: link fails if the name exists.
 */
static int sys_rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (link(from, to) < 0)
        return -1;
    return unlink(from);
}

static int sys_fstat(int fd, struct stat *out)
{
    return fstat(fd, out);
}

static int sys_stat(const char *path, struct stat *out)
{
    return stat(path, out);
}

/* Private: nobody's later write through another mapping has to be followed. */
static void *sys_map(int fd, size_t size)
{
    return mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
}

static int sys_drop(void *at, size_t size)
{
    return madvise(at, size, MADV_DONTNEED);
}

const struct cpv_sys cpv_sys = {
    .open = sys_open,
    .close = close,
    .read = read,
    .pread = pread,
    .write = write,
    .fsync = fsync,
    .ftruncate = ftruncate,
    .rename_new = sys_rename_new,
    .rename = rename,
    .symlink = symlink,
    .unlink = unlink,
    .mkdir = mkdir,
    .fstat = sys_fstat,
    .stat = sys_stat,
    .map = sys_map,
    .unmap = munmap,
    .drop = sys_drop,
    .alloc = malloc,
    .realloc = realloc,
    .free = free,
};
