/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the caption stage. */
#include <stddef.h>

#include "stages/caption/caption.h"

#define AT(field) offsetof(struct caption_settings, field)

static const char *const weights[] = CPV_MODEL_WEIGHTS;

/* Those of the reference (clip_pt/src/generating/blip2.py), in its order. */
#define REFERENCE                                                                        \
    "[\"the foreground features\", \"a photo of\", \"a picture of\", "                   \
    "\"this is a scene depicting\", \"an image of\", \"portrait of a\", "                \
    "\"this image captures a moment of\", \"a painting of\", \"an art of\", "            \
    "\"the picture shows\"]"

static const char *check_prompts(const void *value)
{
    const struct cpv_texts *t = value;

    return t->count && t->count <= PROMPTS_MAX
               ? NULL
               : "one to 100 prompts; of an empty one the model says what it likes";
}

const struct cpv_opt caption_options[] = {
    {.name = "model",
     .key = "model",
     .kind = CPV_OPT_TEXT,
     .offset = AT(model),
     .arg = "FOLDER|ORG/NAME",
     .help = "BLIP model: a folder relative to the configuration, or a model of the "
             "cache (capivara models pull)."},
    {.name = "prompt",
     .key = "prompts",
     .aliases = "prompts",
     .kind = CPV_OPT_LIST,
     .offset = AT(prompts),
     .fallback = REFERENCE,
     .arg = "TEXT",
     .help = "How a caption begins; one caption for each. May be empty.",
     .flags = CPV_OPT_PINNED | CPV_OPT_REPEAT,
     .check = check_prompts},
    {.name = "max-new-tokens",
     .key = "max_new_tokens",
     .kind = CPV_OPT_INT,
     .offset = AT(max_new_tokens),
     .fallback = "50",
     .min = 1,
     .max = 4096,
     .arg = "TOKENS",
     .help = "Of a caption, behind its prompt; what is longer is cut, and counted.",
     .flags = CPV_OPT_PINNED},
    {.name = "weights",
     .key = "weights",
     .kind = CPV_OPT_CHOICE,
     .offset = AT(weights),
     .choices = weights,
     .fallback = "f32",
     .help = "Numbers of the model's matrices. int8: the CPU only, faster.",
     .flags = CPV_OPT_PINNED},
    {.name = "beams",
     .key = "beams",
     .kind = CPV_OPT_INT,
     .offset = AT(beams),
     .fallback = "1",
     .min = 0,
     .max = CPV_BEAMS_MAX,
     .arg = "N",
     .help = "Beams of the search; 0 and 1: greedy.",
     .flags = CPV_OPT_PINNED},
    {.name = "length-penalty",
     .key = "length_penalty",
     .kind = CPV_OPT_REAL,
     .offset = AT(length_penalty),
     .fallback = "1",
     .min = -100,
     .max = 100,
     .arg = "X",
     .help = "With beams: scores are divided by length ^ X.",
     .flags = CPV_OPT_PINNED},
    CPV_MODEL_SAMPLING_OPTIONS(AT(sampling),
                               " The same seed, key and prompt always draw the same."),
    {.name = "max-pixels",
     .key = "max_pixels",
     .kind = CPV_OPT_INT,
     .offset = AT(max_pixels),
     .fallback = "100000000",
     .min = 1,
     .max = 1e12,
     .arg = "PIXELS",
     .help = "An image of more is taken for a decompression bomb.",
     .flags = CPV_OPT_PINNED},
    {.name = "images",
     .key = "images",
     .kind = CPV_OPT_INT,
     .offset = AT(images),
     .fallback = "0",
     .min = 0,
     .max = 4096,
     .arg = "N",
     .help =
         "Images that a thread has in work at a time; 0: a good number. Never changes "
         "a byte of output."},
    {.key = "model_sha256",
     .kind = CPV_OPT_TEXT,
     .offset = AT(model_sha256),
     .fallback = "auto",
     .help = "Digest of the model's files. auto: found.",
     .flags = CPV_OPT_PINNED},
    {.key = "backend",
     .kind = CPV_OPT_TEXT,
     .offset = AT(backend),
     .fallback = "auto",
     .help = "Kind of device, cpu or cuda. auto: that of --device.",
     .flags = CPV_OPT_PINNED},
    {.kind = CPV_OPT_END},
};
