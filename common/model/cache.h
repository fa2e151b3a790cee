/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of models that we share with Hugging Face's Python tools, and how a name in a
 * configuration becomes a folder.
 *
 *     ROOT/models--ORG--NAME/blobs/DIGEST                   the bytes
 *     ROOT/models--ORG--NAME/blobs/DIGEST.incomplete        half of them
 *     ROOT/models--ORG--NAME/snapshots/COMMIT/FILE          -> ../../blobs/DIGEST
 *     ROOT/models--ORG--NAME/refs/REVISION                  the commit, as text
 *     ROOT/.locks/models--ORG--NAME/DIGEST.lock             held while a blob is fetched
 *
 * ROOT is $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else $HF_HOME/hub; HF_HOME is
 * $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface.
 *
 * Of OpenCLIP models, `snapshots/COMMIT/text/` holds links to the configuration and the
 * tokenizer of the text tower's own model. Their blobs lie among the blobs of the
 * OpenCLIP model, so that whoever deletes one of the two models leaves the other whole.
 *
 * Nothing here speaks to a network: pull.h does.
 *
 * Source: huggingface_hub constants.py, file_download.py (repo_folder_name,
 * _create_symlink), docs "Manage your cache".
 */
#ifndef CPV_MODEL_CACHE_H
#define CPV_MODEL_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/model/name.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the environment says. Strings live in the arena. */
struct cpv_hub_env {
    const char *root;     /* of the cache */
    const char *endpoint; /* HF_ENDPOINT; NULL: the public one */
    const char
        *token; /* HF_TOKEN, else the file HF_TOKEN_PATH or $HF_HOME/token; or NULL */
    const char *ca_file; /* CURL_CA_BUNDLE, else REQUESTS_CA_BUNDLE; NULL: the system's */
    int stall_ms;        /* HF_HUB_DOWNLOAD_TIMEOUT, seconds; 0: not said */
    bool offline; /* HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is 1, true, yes, on */
};

CPV_MUST_CHECK int cpv_hub_env_read(struct cpv_hub_env *out, cpv_arena *mem,
                                    struct cpv_err *err);

/* "ROOT/models--ORG--NAME"; NULL without memory. */
char *cpv_cache_repo(cpv_arena *mem, const char *root, const char *id);

/*
 * The commit that a revision means in the cache: itself, or what refs/ says. *commit is
 * NULL if the cache does not know it.
 */
CPV_MUST_CHECK int cpv_cache_commit(const char *root, const struct cpv_model_name *name,
                                    cpv_arena *mem, const char **commit,
                                    struct cpv_err *err);

/* A model that can be read. */
struct cpv_model_place {
    const char *path;   /* its folder, or a single checkpoint file */
    bool is_file;       /* the latter */
    const char *id;     /* NULL: it is not from the cache */
    const char *commit; /* likewise */
};

/*
 * What a configuration or a command line calls a model: a folder or file, relative to
 * `base` (NULL or "": the current one), or `org/name[@revision]` in the cache. What
 * exists under `base` wins; what begins with `/`, `./` or `../` is never looked for in
 * the cache.
 *
 * CPV_E_INPUT if it is not there, or is in the cache without its weights or
 * configuration: one line that names `capivara models pull`.
 */
CPV_MUST_CHECK int cpv_model_find(const char *text, const char *base, cpv_arena *mem,
                                  struct cpv_model_place *out, struct cpv_err *err);

/* A snapshot, or a model of which there is none yet (commit NULL). */
struct cpv_cache_entry {
    const char *id, *commit;
    const char *revisions; /* "main, v1": the refs that mean this commit; "" */
    const char *path;      /* of the snapshot, or of the model */
    const char *format;    /* of the weights; NULL: none */
    const char *missing;   /* NULL: complete */
    const char *lacks;     /* files.h */
    uint64_t files, bytes;
    uint64_t incomplete; /* bytes of half blobs of this model; in its first entry only */
};

/* All of them, by id, then commit. A cache that does not exist is empty. */
CPV_MUST_CHECK int cpv_cache_list(const char *root, cpv_arena *mem,
                                  struct cpv_cache_entry **out, size_t *count,
                                  struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
