/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stages share that run a model: where it lies, and what of it is pinned.
 *
 * A library of its own (layer_stage_model), so that stages without a model do not link
 * one.
 */
#ifndef CPV_STAGE_MODEL_H
#define CPV_STAGE_MODEL_H

#include "common/stage/stage.h"

/*
 * The folder of a model: relative to the configuration or, from a command line, to where
 * one is; or in the cache. `key` ("translate.pt.model") is what the message names if
 * `text` says none. In run->mem.
 */
CPV_MUST_CHECK int cpv_stage_model_find(struct cpv_run *run, const char *text,
                                        const char *key, const char **folder,
                                        struct cpv_err *err);

/* The same for a program that was started without a corpus. */
CPV_MUST_CHECK int cpv_model_folder(const char *text, cpv_arena *mem, const char **folder,
                                    struct cpv_err *err);

/* Digest over names and contents of the model's files that matter, as hexadecimal. */
CPV_MUST_CHECK int cpv_stage_model_digest(const char *folder, cpv_arena *mem,
                                          const char **hex, struct cpv_err *err);

/* "cpu" or "cuda": what --device means here. */
const char *cpv_stage_backend(const char *device);

#endif
