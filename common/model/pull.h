/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetches a model from the hub into the cache (cache.h).
 *
 * Promises:
 *
 *  (1) A blob has its name only when all of its bytes are durable and have the digest
 *      that the hub named: sha256 of large files, git's of small ones.
 *  (2) A file of a snapshot is a link to such a blob; the weights come last, the ref
 * after them. Whatever kills a pull, the cache is valid, what it had stays found, and the
 *      next pull goes on at the byte where `blobs/DIGEST.incomplete` ends.
 *  (3) Two pulls at once, of ours or of Python's, wait for each other blob by blob: each
 *      is fetched once.
 *  (4) Nothing that a server sends is used as a path but commits, digests and names that
 *      name.h lets through.
 */
#ifndef CPV_MODEL_PULL_H
#define CPV_MODEL_PULL_H

#include "common/base/log.h"
#include "common/base/progress.h"
#include "common/model/cache.h"
#include "common/net/hub.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_pull_params {
    const char *root; /* of the cache; made if it does not exist */
    cpv_hub *hub;     /* its `moved` should add to `progress` */
    bool verify;      /* digest of blobs that are there already, too */
    cpv_log *log;
    cpv_progress *progress; /* of bytes; may be NULL */
};

struct cpv_pull_result {
    const char *path, *commit; /* of the snapshot */
    uint64_t files, bytes;     /* in it */
    uint64_t fetched;          /* bytes of the blobs that were not there */
};

/*
 * CPV_E_INPUT: the hub has no such model, or not for us, or sends what it should not;
 * CPV_E_STOPPED: stopped, or the network would not: run again; CPV_E_SPACE before the
 * first byte if the disk has no room for all.
 */
CPV_MUST_CHECK int cpv_model_pull(const struct cpv_pull_params *p,
                                  const struct cpv_model_name *name, cpv_arena *mem,
                                  struct cpv_pull_result *out, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
