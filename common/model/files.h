/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of a model are needed, and whether they are there.
 *
 * The weights are of one format only, the first of these that a model has:
 *
 *     model.safetensors           model.safetensors.index.json (and its shards)
 *     open_clip_model.safetensors open_clip_pytorch_model.safetensors
 *     pytorch_model.bin           pytorch_model.bin.index.json (and its shards)
 *     open_clip_pytorch_model.bin adapter_model.safetensors    adapter_model.bin
 *     a single *.ckpt
 *
 * but a model with open_clip_config.json is read as open_clip does: the open_clip_*
 * ones come first. That is the order of checkpoint.h, for what pull leaves behind.
 */
#ifndef CPV_MODEL_FILES_H
#define CPV_MODEL_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_names {
    const char **at;
    size_t count;
};

bool cpv_names_have(const struct cpv_names *names, const char *name);

struct cpv_weights {
    const char *file;   /* NULL: there are none that we can read */
    const char *format; /* "safetensors", "torch", "adapter", "checkpoint" */
    bool index;         /* `file` lists the shards */
};

/* Of the names of a model's files, paths inside it. */
struct cpv_weights cpv_weights_choose(const struct cpv_names *names);

/*
 * The configuration and tokenizer files among `names`, in a fixed order, and the weights
 * last; of an index, the index (the shards come from cpv_weights_shards).
 */
CPV_MUST_CHECK int cpv_files_choose(const struct cpv_names *names, cpv_arena *mem,
                                    struct cpv_names *out, struct cpv_err *err);
/* The files that the text tower's own model adds, for OpenCLIP. */
CPV_MUST_CHECK int cpv_files_choose_text(const struct cpv_names *names, cpv_arena *mem,
                                         struct cpv_names *out, struct cpv_err *err);

/*
 * The shards that an index names, each once, sorted. The index is untrusted: a name that
 * is no plain file beside it is CPV_E_INPUT. `name` is what messages call it.
 */
CPV_MUST_CHECK int cpv_weights_shards(struct cpv_bytes index, const char *name,
                                      cpv_arena *mem, struct cpv_names *out,
                                      struct cpv_err *err);

/*
 * open_clip_config.json: the hub's name of the text tower's model, NULL if the tower is
 * open_clip's own.
 */
CPV_MUST_CHECK int cpv_open_clip_text(struct cpv_bytes config, const char *name,
                                      cpv_arena *mem, const char **out,
                                      struct cpv_err *err);

/* A model's folder as it lies there. */
struct cpv_model_files {
    struct cpv_names names; /* sorted, of files that can be read, also in folders */
    uint64_t bytes;         /* of them */
    struct cpv_weights weights;
    const char *missing; /* the first file that is needed and absent; NULL: complete */
    const char *lacks;   /* a file without which it works in part: text/config.json */
};

CPV_MUST_CHECK int cpv_model_files_look(const char *folder, cpv_arena *mem,
                                        struct cpv_model_files *out, struct cpv_err *err);

/*
 * What cpv_checkpoint_open is to be given for a model's folder (or for a file, which is
 * that file): the weights that cpv_weights_choose takes. CPV_E_INPUT if there are none.
 */
CPV_MUST_CHECK int cpv_model_weights(const char *path, cpv_arena *mem, const char **out,
                                     struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
