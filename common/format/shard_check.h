/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a shard still what was written? Everything is read and compared: the seek
 * table and the index with each other, each frame with its checksums, each header
 * with what it must be, each member with its CRC, the whole tar with its digest.
 *
 * Damage does not end the check: each structure that was hit is reported, and each
 * member that can no longer be vouched for, by name. If the seek table is lost the
 * frames are found through the index, and the other way round.
 */
#ifndef CPV_FORMAT_SHARD_CHECK_H
#define CPV_FORMAT_SHARD_CHECK_H

#include "common/format/shard.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_damage {
    const char *where;  /* "seek table", "sample index", "frame 3", "tar" */
    const char *member; /* "000000012.jpg"; NULL: the structure as such */
    const char *why;
};

/* What it is given lives until it returns. */
typedef void cpv_damage_fn(void *ctx, const struct cpv_damage *damage);

/*
 * CPV_OK if all is well, CPV_E_CORRUPT if anything was reported (the text counts
 * it), CPV_E_INPUT for a file that never was a shard of ours. info may be NULL; it
 * has the digest of the file, and the rest if the index could be read.
 */
CPV_MUST_CHECK int cpv_shard_verify(const char *path, cpv_damage_fn *report, void *ctx,
                                    struct cpv_shard_info *info, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
