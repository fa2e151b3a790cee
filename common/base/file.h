/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files: whole reads, complete writes, and the one way in which a file of ours
 * comes into being.
 *
 * A draft is a file that does not exist yet under its own name:
 *
 *     open, write ..., commit         or discard at any point
 *
 * Guarantees:
 *
 *  (1) Nothing exists under the final name before commit has made every byte
 *      durable (fsync), and what exists is never replaced: the name is taken by
 *      a rename that fails if it is there already.
 *  (2) After commit returned CPV_OK the file survives power loss: its folder has
 *      been fsynced too.
 *  (3) Two live processes never write the same draft: it is locked (an OFD lock
 *      on the temporary file, gone with the process), and the second open
 *      returns CPV_E_BUSY.
 *  (4) A failed fsync is never tried again: the kernel may have dropped the
 *      pages and would report success. The draft is lost; the error is kept.
 *
 * The temporary file is `.NAME.tmp` beside the final name. What a killed process
 * left there is taken over, and its content dropped, by the next open.
 */
#ifndef CPV_BASE_FILE_H
#define CPV_BASE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A descriptor for reading (O_CLOEXEC), or a code. */
CPV_MUST_CHECK int cpv_file_open_read(int *fd, const char *path, struct cpv_err *err);
void cpv_file_close(int *fd); /* for descriptors that were only read; sets -1 */

/* The whole file appended to `out`; more than `max` bytes is CPV_E_INPUT. */
CPV_MUST_CHECK int cpv_file_read(const char *path, size_t max, struct cpv_buf *out,
                                 struct cpv_err *err);
/* Up to n bytes, fewer only at the end of the file: the count, or a code < 0. */
CPV_MUST_CHECK ssize_t cpv_file_get(int fd, void *to, size_t n, const char *path,
                                    struct cpv_err *err);
/* Exactly n bytes at `at`; a shorter file is CPV_E_CORRUPT. */
CPV_MUST_CHECK int cpv_file_get_at(int fd, void *to, size_t n, uint64_t at,
                                   const char *path, struct cpv_err *err);
/* All of it, however often the system takes only a part. */
CPV_MUST_CHECK int cpv_file_put(int fd, const void *from, size_t n, const char *path,
                                struct cpv_err *err);
CPV_MUST_CHECK int cpv_file_size(int fd, uint64_t *size, const char *path,
                                 struct cpv_err *err);
/* SHA-256 of all of it. */
CPV_MUST_CHECK int cpv_file_sha256(const char *path, uint8_t out[32],
                                   struct cpv_err *err);
bool cpv_file_exists(const char *path);

/*
 * The whole file as read-only memory that costs nothing until it is read. For files
 * that are too large to copy and that nobody changes meanwhile: one that is shortened,
 * or a disk that fails, is a signal (SIGBUS), not an error. An empty file is an empty
 * view; what is no regular file is CPV_E_INPUT.
 */
CPV_MUST_CHECK int cpv_file_map(struct cpv_bytes *out, const char *path,
                                struct cpv_err *err);
void cpv_file_unmap(struct cpv_bytes *map); /* empty is fine; sets it empty */
/*
 * The pages wholly inside these bytes of a mapping are no longer this process's; when
 * read again they come from the file again.
 */
void cpv_file_map_drop(struct cpv_bytes part);

/* mkdir -p, each new folder made durable in its parent. */
CPV_MUST_CHECK int cpv_folder_make(const char *path, struct cpv_err *err);
CPV_MUST_CHECK int cpv_folder_sync(const char *path, struct cpv_err *err);
/* fsync of the folder that holds `path`. */
CPV_MUST_CHECK int cpv_folder_sync_of(const char *path, struct cpv_err *err);

/*
 * Lock a file of that name for this process (made if absent): the descriptor, to
 * be closed when done. CPV_E_BUSY if another open description holds it. Threads
 * of one process exclude each other too.
 */
CPV_MUST_CHECK int cpv_file_lock(int *fd, const char *path, struct cpv_err *err);

/* Replace `path` atomically by these bytes, durable. For small files that change. */
CPV_MUST_CHECK int cpv_file_replace(const char *path, struct cpv_bytes content,
                                    struct cpv_err *err);

/*
 * Make `path` a symbolic link to `target` (as it stands: relative to the folder of
 * `path`), replacing atomically whatever file is there. Nothing happens if it is that
 * link already. Not made durable: cpv_folder_sync_of does, for several at once.
 */
CPV_MUST_CHECK int cpv_file_link(const char *target, const char *path,
                                 struct cpv_err *err);

typedef struct cpv_draft cpv_draft;

/* Its folder must exist. The draft is empty, whatever was left there before. */
CPV_MUST_CHECK int cpv_draft_open(cpv_draft **out, const char *final_path,
                                  struct cpv_err *err);
int cpv_draft_fd(const cpv_draft *d); /* for reading back with cpv_file_get_at */
uint64_t cpv_draft_size(const cpv_draft *d);

/* An error sticks and is reported by commit; a loop of writes needs no checks. */
void cpv_draft_write(cpv_draft *d, const void *data, size_t n);
/* The error so far, copied to err. */
CPV_MUST_CHECK int cpv_draft_check(const cpv_draft *d, struct cpv_err *err);

/*
 * Ends the draft and sets *d to NULL, whatever it returns. If the final name is
 * taken, that file stays, the draft is dropped, *existed is true and the result
 * CPV_OK: comparing the two is the caller's matter.
 */
CPV_MUST_CHECK int cpv_draft_commit(cpv_draft **d, bool *existed, struct cpv_err *err);
/*
 * The same for files that are made anew each time, such as reports: what has the final
 * name is replaced, atomically. Guarantee (1) is given up, the others hold.
 */
CPV_MUST_CHECK int cpv_draft_replace(cpv_draft **d, struct cpv_err *err);
void cpv_draft_discard(cpv_draft **d); /* the temporary file goes too; NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
