/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every file system call and every allocation of ours goes through this table,
 * so that a test can make the k-th one fail, write short, or be the last thing
 * that the process ever did.
 *
 * The table is const: there is nothing to set at run time. A test program that
 * wants faults links tests/crash/sys_fault.c, which defines the same symbol, in
 * place of sys.c; the products contain no hook.
 *
 * The functions have the meaning of their namesakes in POSIX (return -1 and set
 * errno). Callers want file.h, arena.h or bytes.h rather than this.
 */
#ifndef CPV_BASE_SYS_H
#define CPV_BASE_SYS_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_sys {
    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*read)(int fd, void *to, size_t n);
    ssize_t (*pread)(int fd, void *to, size_t n, off_t at);
    ssize_t (*write)(int fd, const void *from, size_t n);
    int (*fsync)(int fd);
    int (*ftruncate)(int fd, off_t size);
    int (*rename_new)(const char *from, const char *to);  /* EEXIST if `to` is there */
    int (*rename)(const char *from, const char *to);      /* replaces `to` */
    int (*symlink)(const char *target, const char *path); /* EEXIST if it is there */
    int (*unlink)(const char *path);
    int (*mkdir)(const char *path, mode_t mode);
    int (*fstat)(int fd, struct stat *out);
    int (*stat)(const char *path, struct stat *out);
    void *(*map)(int fd, size_t size); /* all of it, to read; MAP_FAILED */
    int (*unmap)(void *at, size_t size);
    int (*drop)(void *at, size_t size); /* whole pages: MADV_DONTNEED */
    void *(*alloc)(size_t size);        /* as malloc */
    void *(*realloc)(void *old, size_t size);
    void (*free)(void *mem);
};

extern const struct cpv_sys cpv_sys;

/*
 * Memory that outlives an arena: handles, tables that grow, buffers that change
 * owner. NULL when there is none. Sizes are products of checked sizes (size.h).
 */
void *cpv_alloc(size_t size);                /* not cleared; size 0 is taken as 1 */
void *cpv_calloc(size_t count, size_t size); /* cleared; NULL if the product overflows */
void *cpv_realloc(void *old, size_t size);   /* NULL: old is untouched */
char *cpv_strdup(const char *s);
void cpv_free(void *mem); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
