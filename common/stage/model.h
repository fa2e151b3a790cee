/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stages share that run a model: where it lies, and what of it is pinned.
 *
 * A library of its own (layer_stage_model), so that stages without a model do not link
 * one.
 */
#ifndef CPV_STAGE_MODEL_H
#define CPV_STAGE_MODEL_H

#include "common/compute/compute.h"
#include "common/model/beam.h"
#include "common/model/cache.h"
#include "common/stage/stage.h"

/* ---- settings that all of them have ---- */

enum cpv_model_weights {
    CPV_WEIGHTS_F32,
    CPV_WEIGHTS_INT8,
    CPV_WEIGHTS_BF16,
    CPV_WEIGHTS_F16
};
/* Their words, for a table of options. */
#define CPV_MODEL_WEIGHTS                                                                \
    {                                                                                    \
        "f32", "int8", "bf16", "f16", NULL                                               \
    }

/* `name` as --device; weights: of enum cpv_model_weights. */
CPV_MUST_CHECK int cpv_model_device(cpv_device **out, const char *name, int weights,
                                    struct cpv_err *err);

/* Drawing tokens instead of searching. */
struct cpv_model_sampling {
    bool on;
    double temperature, top_p;
    int64_t top_k;
};

/* One beam, and as `how` says, where it is on; else nothing. */
void cpv_model_sample(struct cpv_search *search, const struct cpv_model_sampling *how,
                      int64_t seed);

/* Its rows in a table of options; `of` is the struct's offset, `more` a text that goes on
 * with the help of --sample. */
#define CPV_MODEL_SAMPLING_OPTIONS(of, more)                                             \
    {.name = "sample",                                                                   \
     .key = "sample",                                                                    \
     .kind = CPV_OPT_FLAG,                                                               \
     .offset = (of) + offsetof(struct cpv_model_sampling, on),                           \
     .help = "Draw tokens by their probability instead of searching for the best." more, \
     .flags = CPV_OPT_PINNED},                                                           \
        {.name = "temperature",                                                          \
         .key = "temperature",                                                           \
         .kind = CPV_OPT_REAL,                                                           \
         .offset = (of) + offsetof(struct cpv_model_sampling, temperature),              \
         .fallback = "1",                                                                \
         .min = 0.01,                                                                    \
         .max = 100,                                                                     \
         .help = "With sample: above 1 more varied, below 1 less.",                      \
         .flags = CPV_OPT_PINNED},                                                       \
        {.name = "top-p",                                                                \
         .key = "top_p",                                                                 \
         .kind = CPV_OPT_REAL,                                                           \
         .offset = (of) + offsetof(struct cpv_model_sampling, top_p),                    \
         .fallback = "1",                                                                \
         .min = 0,                                                                       \
         .max = 1,                                                                       \
         .help = "With sample: of the likeliest tokens that have this probability "      \
                 "together.",                                                            \
         .flags = CPV_OPT_PINNED},                                                       \
    {                                                                                    \
        .name = "top-k", .key = "top_k", .kind = CPV_OPT_INT,                            \
        .offset = (of) + offsetof(struct cpv_model_sampling, top_k), .fallback = "50",   \
        .min = 1, .max = CPV_SAMPLE_MAX,                                                 \
        .help = "With sample: of so many of the likeliest tokens.",                      \
        .flags = CPV_OPT_PINNED                                                          \
    }

/* ---- where the model lies, and what of it is pinned ---- */

/*
 * The folder of a model: relative to the configuration or, from a command line, to where
 * one is; or in the cache. `key` ("translate.pt.model") is what the message names if
 * `text` says none. In run->mem.
 */
CPV_MUST_CHECK int cpv_stage_model_find(struct cpv_run *run, const char *text,
                                        const char *key, const char **folder,
                                        struct cpv_err *err);

/* The same, where a single checkpoint file does as well. */
CPV_MUST_CHECK int cpv_stage_model_place(struct cpv_run *run, const char *text,
                                         const char *key, struct cpv_model_place *at,
                                         struct cpv_err *err);

/* The same for a program that was started without a corpus. */
CPV_MUST_CHECK int cpv_model_folder(const char *text, cpv_arena *mem, const char **folder,
                                    struct cpv_err *err);

/* Digest over names and contents of the model's files that matter, as hexadecimal; of a
 * model that is a single file, its own. */
CPV_MUST_CHECK int cpv_stage_model_digest(const char *path, cpv_arena *mem,
                                          const char **hex, struct cpv_err *err);

/* "cpu" or "cuda": what --device means here. */
const char *cpv_stage_backend(const char *device);

#endif
