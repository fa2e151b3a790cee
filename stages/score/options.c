/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the score stage: the same for both kinds of columns, but for what is pinned.
 */
#include <stddef.h>

#include "stages/score/score.h"

#define AT(field) offsetof(struct score_settings, field)

static const char *const weights[] = CPV_MODEL_WEIGHTS;

/* Pinned: by score, and by score-L. */
#define OPTIONS(image, text)                                                             \
    {                                                                                    \
        {.name = "model",                                                                \
         .key = "model",                                                                 \
         .kind = CPV_OPT_TEXT,                                                           \
         .offset = AT(model),                                                            \
         .arg = "PATH|ORG/NAME",                                                         \
         .help = "OpenCLIP model with an XLM-R text tower: a folder or checkpoint "      \
                 "relative to the configuration, or a model of the cache (capivara "     \
                 "models pull)."},                                                       \
            {.name = "tokenizer",                                                        \
             .key = "tokenizer",                                                         \
             .kind = CPV_OPT_TEXT,                                                       \
             .offset = AT(tokenizer),                                                    \
             .arg = "PATH|ORG/NAME",                                                     \
             .help =                                                                     \
                 "Its sentencepiece.bpe.model, or a folder that holds one. Default: "    \
                 "the model's own; a bare checkpoint has none."},                        \
            {.name = "weights",                                                          \
             .key = "weights",                                                           \
             .kind = CPV_OPT_CHOICE,                                                     \
             .offset = AT(weights),                                                      \
             .choices = weights,                                                         \
             .fallback = "f32",                                                          \
             .help = "Numbers of the model's matrices. bf16, f16: the GPU only.",        \
             .flags = CPV_OPT_PINNED},                                                   \
            {.name = "max-pixels",                                                       \
             .key = "max_pixels",                                                        \
             .kind = CPV_OPT_INT,                                                        \
             .offset = AT(max_pixels),                                                   \
             .fallback = "100000000",                                                    \
             .min = 1,                                                                   \
             .max = 1e12,                                                                \
             .arg = "PIXELS",                                                            \
             .help = "An image of more is taken for a decompression bomb.",              \
             .flags = image},                                                            \
            {.name = "images",                                                           \
             .key = "images",                                                            \
             .kind = CPV_OPT_INT,                                                        \
             .offset = AT(images),                                                       \
             .fallback = "0",                                                            \
             .min = 0,                                                                   \
             .max = 4096,                                                                \
             .arg = "N",                                                                 \
             .help = "Images in one batch of a thread; 0: a good number. Never changes " \
                     "a byte of output."},                                               \
            {.name = "memory",                                                           \
             .key = "memory",                                                            \
             .kind = CPV_OPT_SIZE,                                                       \
             .offset = AT(memory),                                                       \
             .fallback = "512M",                                                         \
             .min = 0,                                                                   \
             .max = 1e15,                                                                \
             .arg = "BYTES",                                                             \
             .help = "For embeddings of texts, so that one that comes again is not "     \
                     "computed again. Never changes a byte of output."},                 \
            {.key = "model_sha256",                                                      \
             .kind = CPV_OPT_TEXT,                                                       \
             .offset = AT(model_sha256),                                                 \
             .fallback = "auto",                                                         \
             .help = "Digest of the model's files. auto: found.",                        \
             .flags = CPV_OPT_PINNED},                                                   \
            {.key = "tokenizer_sha256",                                                  \
             .kind = CPV_OPT_TEXT,                                                       \
             .offset = AT(tokenizer_sha256),                                             \
             .fallback = "auto",                                                         \
             .help = "Digest of the tokenizer's file. auto: found.",                     \
             .flags = text},                                                             \
            {.key = "backend",                                                           \
             .kind = CPV_OPT_TEXT,                                                       \
             .offset = AT(backend),                                                      \
             .fallback = "auto",                                                         \
             .help = "Kind of device, cpu or cuda. auto: that of --device.",             \
             .flags = CPV_OPT_PINNED},                                                   \
        {                                                                                \
            .kind = CPV_OPT_END                                                          \
        }                                                                                \
    }

const struct cpv_opt score_image_options[] = OPTIONS(CPV_OPT_PINNED, 0);
const struct cpv_opt score_text_options[] = OPTIONS(0, CPV_OPT_PINNED);
