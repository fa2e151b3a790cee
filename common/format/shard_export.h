/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that read plain tars only (DALI, wids, open_clip, HF datasets): the
 * same tar bytes uncompressed, with the lists that those programs look for.
 *
 *     OUT/00000.tar      the tar, its digest compared with the index
 *     OUT/00000.idx      where each member is, as DALI's wds2idx v1.2 writes it
 *     OUT/sizes.json     {"00000.tar": samples, ...} for open_clip
 *     OUT/wids.json      "wids-shard-index-v1" for wids
 */
#ifndef CPV_FORMAT_SHARD_EXPORT_H
#define CPV_FORMAT_SHARD_EXPORT_H

#include "common/format/shard.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_EXPORT_NAME_MAX = 255 };

struct cpv_exported {
    char name[CPV_EXPORT_NAME_MAX + 1]; /* of the tar, without its folder */
    uint64_t bytes;
    uint32_t samples;
    uint8_t md5[16]; /* wids wants it */
};

/* ---- a tar of any samples ---- */

typedef struct cpv_export cpv_export;

/* dir must exist; name: "00000.tar". *out is NULL if it fails. */
CPV_MUST_CHECK int cpv_export_open(cpv_export **out, const char *dir, const char *name,
                                   struct cpv_err *err);
void cpv_export_write(cpv_export *e, const void *data, size_t n); /* bytes of the tar */
/* A sample, its members in the order given, headers as in our shards. Errors of both
 * stick. */
void cpv_export_put(cpv_export *e, const char *key, const struct cpv_member *members,
                    size_t n);
CPV_MUST_CHECK int cpv_export_check(const cpv_export *e, struct cpv_err *err);
/* Both end it, whatever they return. The end of the tar is for the caller to write. An
 * equal file that is there already is kept; a different one is CPV_E_INPUT. */
CPV_MUST_CHECK int cpv_export_commit(cpv_export **e, struct cpv_exported *done,
                                     struct cpv_err *err);
void cpv_export_discard(cpv_export **e);

/* ---- a shard as it is ---- */

/*
 * One shard's .tar and .idx in a folder that exists. An equal tar that is there
 * already is kept; a different one is CPV_E_INPUT. A damaged shard leaves nothing.
 */
CPV_MUST_CHECK int cpv_shard_export_plain(const char *path, const char *out_dir,
                                          struct cpv_exported *out, struct cpv_err *err);

/* sizes.json and wids.json for a set, replaced if they are there. name may be NULL. */
CPV_MUST_CHECK int cpv_shard_export_lists(const char *out_dir, const char *name,
                                          const struct cpv_exported *shards, size_t n,
                                          struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
