/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A journal: an append-only file of checked records that survives a kill.
 *
 *     u32 magic "CPVJ" | u32 size | u32 crc32c(size and payload) | payload
 *
 * all little endian. Opening replays every complete record and cuts off a torn
 * tail; nothing after the first damaged byte is believed. The bytes of journals
 * are never compared and never an output: deleting one costs only work.
 *
 * The first record is an identity that the caller names: a digest of what the work
 * depends on. A journal with another one was kept by work that is no longer wanted;
 * it is emptied.
 *
 * A journal belongs to whoever holds the lock on what it is for; it is not
 * locked itself. It may be read by several threads while one appends.
 */
#ifndef CPV_FORMAT_JOURNAL_H
#define CPV_FORMAT_JOURNAL_H

#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

typedef struct cpv_journal cpv_journal;

/* Called at opening for each record after the first, in order; nonzero stops with that
 * code. */
typedef int cpv_journal_visit(void *ctx, struct cpv_bytes payload, uint64_t offset,
                              struct cpv_err *err);

enum { CPV_JOURNAL_MAX = 1 << 30 }; /* of one payload, in bytes */

CPV_MUST_CHECK int cpv_journal_open(cpv_journal **out, const char *path,
                                    struct cpv_bytes identity, cpv_journal_visit *visit,
                                    void *ctx, struct cpv_err *err);
/* Append the concatenation of n pieces; its offset is for cpv_journal_read. Made
 * durable from time to time: a power loss costs at most the last 2 s or 64 MiB. */
CPV_MUST_CHECK int cpv_journal_add(cpv_journal *j, const struct cpv_bytes *pieces,
                                   size_t n, uint64_t *offset, struct cpv_err *err);
/* The payload at an offset, replacing what `out` held; its checksum is verified. */
CPV_MUST_CHECK int cpv_journal_read(const cpv_journal *j, uint64_t offset,
                                    struct cpv_buf *out, struct cpv_err *err);
CPV_MUST_CHECK int cpv_journal_sync(cpv_journal *j, struct cpv_err *err);
void cpv_journal_close(cpv_journal **j);
/* Close and delete. */
CPV_MUST_CHECK int cpv_journal_remove(cpv_journal **j, struct cpv_err *err);

#endif
