/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of options; schemas/train.yaml explains them at length. */
#include <stddef.h>
#include <string.h>

#include "common/base/size.h"
#include "common/corpus/captions.h"
#include "trainer/settings.h"

#define AT(field) offsetof(struct settings, field)
#define MAX_INT   9007199254740992.0

static const char *const IMAGES[] = {"embeddings", "pixels", NULL};
static const char *const OPTIMIZERS[] = {"adamw", "adam-l2", NULL};
static const char *const SCHEDULES[] = {"cosine", "linear", "constant", NULL};

#define TEXT_(name_, key_, field_, arg_, help_, flags_)                                  \
    {                                                                                    \
        .name = name_, .key = key_, .kind = CPV_OPT_TEXT, .offset = AT(field_),          \
        .arg = arg_, .help = help_, .flags = flags_                                      \
    }
#define LIST_(name_, key_, field_, fallback_, arg_, help_, flags_)                       \
    {                                                                                    \
        .name = name_, .key = key_, .kind = CPV_OPT_LIST, .offset = AT(field_),          \
        .fallback = fallback_, .arg = arg_, .help = help_, .flags = flags_               \
    }
#define INT_(name_, key_, field_, fallback_, min_, max_, help_, flags_)                  \
    {                                                                                    \
        .name = name_, .key = key_, .kind = CPV_OPT_INT, .offset = AT(field_),           \
        .fallback = fallback_, .min = min_, .max = max_, .help = help_, .flags = flags_  \
    }
#define REAL_(name_, key_, field_, fallback_, min_, max_, help_)                         \
    {                                                                                    \
        .name = name_, .key = key_, .kind = CPV_OPT_REAL, .offset = AT(field_),          \
        .fallback = fallback_, .min = min_, .max = max_, .help = help_,                  \
        .flags = CPV_OPT_PINNED                                                          \
    }
#define CHOICE_(name_, key_, field_, words_, fallback_, help_)                           \
    {                                                                                    \
        .name = name_, .key = key_, .kind = CPV_OPT_CHOICE, .offset = AT(field_),        \
        .fallback = fallback_, .choices = words_, .help = help_, .flags = CPV_OPT_PINNED \
    }
#define FLAG_(name_, key_, field_, fallback_, help_, flags_)                             \
    {                                                                                    \
        .name = name_, .key = key_, .kind = CPV_OPT_FLAG, .offset = AT(field_),          \
        .fallback = fallback_, .help = help_, .flags = flags_                            \
    }
#define PIN CPV_OPT_PINNED
#define END_                                                                             \
    {                                                                                    \
        .kind = CPV_OPT_END                                                              \
    }

static const struct cpv_opt top[] = {
    TEXT_("out", "out", out, "DIR",
          "Folder of the run: adapter, checkpoints, metrics. It is needed.",
          CPV_OPT_PATH),
    INT_("seed", "seed", seed, "0", 0, MAX_INT, "Of every random choice.", PIN),
    INT_("steps", "steps", steps, "0", 0, MAX_INT,
         "Steps of the optimizer; the schedule ends there. 0: as epochs says.", PIN),
    INT_("epochs", "epochs", epochs, "0", 0, MAX_INT,
         "Times that all samples are seen, where steps is 0.", PIN),
    INT_("batch", "batch", batch, "1000", 2, 1 << 20, "Pairs in a batch.", PIN),
    INT_("micro-batch", "micro_batch", micro_batch, "0", 0, 1 << 20,
         "Pairs at a time; the loss is that of the whole batch all the same. 0: all.",
         PIN),
    INT_("log-every", "log_every", log_every, "10", 1, 1 << 20,
         "Steps between two lines of metrics.jsonl.", PIN),
    FLAG_("parity", "parity", parity, NULL,
          "Do as the reference's code does where that is no error of ours to make: the "
          "logit scale is not clamped.",
          PIN),
    END_};

static const struct cpv_opt model[] = {
    TEXT_("model", "path", model.path, "FOLDER|FILE|NAME",
          "OpenCLIP: a folder, a checkpoint such as CAPIVARA's .ckpt, or a name in the "
          "cache. It is needed.",
          PIN),
    TEXT_("tokenizer", "tokenizer", model.tokenizer, "FILE",
          "sentencepiece.bpe.model, where the model has none.", CPV_OPT_PATH),
    TEXT_("adapter", "adapter", model.adapter, "FOLDER",
          "Start from this adapter of PEFT's format, with its r, alpha and targets.",
          CPV_OPT_PATH | PIN),
    END_};

static const struct cpv_opt data[] = {
    LIST_("train", "train", data.train, NULL, "DIR,...",
          "Packed sets (CORPUS/shards/NAME), or tars. It is needed.", CPV_OPT_REPEAT),
    CHOICE_("image", "image", data.image, IMAGES, NULL,
            "What stands for an image: its stored embedding (KEY.clip.npy), or its "
            "pixels, through the image tower in every step."),
    LIST_("lang", "languages", data.languages, NULL, "L,...",
          "Languages of captions. It is needed.", PIN),
    LIST_("shares", "shares", data.shares, NULL, "X,...",
          "A weight for each language; none: all alike.", PIN),
    CHOICE_("captions", "captions", data.captions, cpv_caption_strategies, "all",
            "Which generated captions join the original ones: none; the first ones; all; "
            "of both kinds those that rank highest by similarity; or those of at least a "
            "threshold."),
    INT_("first", "first", data.first, "1", 0, 1 << 16,
         "Generated captions with captions: first.", PIN),
    INT_("keep", "keep", data.keep, "5", 1, 1 << 16, "Captions kept with captions: rank.",
         PIN),
    REAL_(
        "threshold", "threshold", data.threshold, "0.15", -1, 1,
        "Similarity with captions: threshold. Without any such caption a sample is left "
        "out."),
    INT_("originals", "originals", data.originals, "0", 0, 1 << 16,
         "Original captions of a sample that count, from the first on; 0: all.", PIN),
    {.name = "max-pixels",
     .key = "max_pixels",
     .kind = CPV_OPT_SIZE,
     .offset = AT(data.max_pixels),
     .fallback = "256M",
     .min = 1,
     .max = 1 << 30,
     .help = "Larger pictures are broken samples."},
    END_};

static const struct cpv_opt lora[] = {
    INT_("lora-r", "r", lora.r, "8", 0, 1024, "Rank; 0: no LoRA.", PIN),
    REAL_("lora-alpha", "alpha", lora.alpha, "8", 0, 65536,
          "The pair's product counts alpha / r times."),
    REAL_("lora-dropout", "dropout", lora.dropout, "0", 0, 0.99,
          "Of the pair's input, while training."),
    LIST_("lora-targets", "targets", lora.targets, "query,value", "NAME,...",
          "query, key, value, attention.output.dense, intermediate.dense, output.dense.",
          PIN),
    LIST_("lora-layers", "layers", lora.layers, NULL, "N,...",
          "Layers of the text tower, from 0; none: all.", PIN),
    END_};

static const struct cpv_opt tower[] = {
    FLAG_("projection", "projection", tower.projection, "true",
          "The text tower's projection is trained.", PIN),
    FLAG_("logit-scale", "logit_scale", tower.logit_scale, "true",
          "The factor of similarities is trained.", PIN),
    FLAG_("full", "full", tower.text, NULL,
          "The whole text tower is trained, without LoRA.", PIN),
    FLAG_("clamp", "clamp", tower.clamp, "true",
          "The logit scale is held within 0 and ln 100.", PIN),
    REAL_("hidden-dropout", "hidden_dropout", tower.hidden_dropout, "-1", -1, 0.99,
          "Behind embeddings, attention and MLP; -1: as the model's configuration says."),
    REAL_("attention-dropout", "attention_dropout", tower.attention_dropout, "-1", -1,
          0.99, "Of attention's weights; -1: as the model's configuration says."),
    FLAG_("checkpointing", "checkpointing", tower.checkpointing, NULL,
          "Keep only the layers' inputs and compute each again on the way back.", 0),
    INT_("pad-to", "pad_to", tower.pad_to, "0", 0, 512,
         "Pad every text to so many tokens, as the reference does: for comparison.", 0),
    END_};

static const struct cpv_opt optimizer[] = {
    CHOICE_("optimizer", "name", optimizer.name, OPTIMIZERS, NULL,
            "adamw, or adam-l2: decay is added to the gradient, as the reference does."),
    REAL_("lr", "lr", optimizer.lr, "1e-5", 0, 10, "The highest learning rate."),
    REAL_("lr-min", "lr_min", optimizer.lr_min, "1e-6", 0, 10, "The first and the last."),
    REAL_("beta1", "beta1", optimizer.beta1, "0.9", 0, 0.9999999, "Of the mean."),
    REAL_("beta2", "beta2", optimizer.beta2, "0.98", 0, 0.9999999, "Of the squares."),
    REAL_("eps", "eps", optimizer.eps, "1e-6", 0, 1, "Added to the root of the squares."),
    REAL_("weight-decay", "weight_decay", optimizer.weight_decay, "0.2", 0, 10,
          "Of everything that is trained."),
    REAL_("max-norm", "max_norm", optimizer.max_norm, "0", 0, 1e9,
          "Gradients are made shorter to this norm; 0: never."),
    CHOICE_("schedule", "schedule", optimizer.schedule, SCHEDULES, NULL,
            "How the learning rate falls behind the warm-up."),
    INT_("warmup", "warmup", optimizer.warmup, "250", 0, MAX_INT,
         "Steps from lr_min to lr.", PIN),
    END_};

static const struct cpv_opt validation[] = {
    LIST_("validation", "sets", validation.sets, NULL, "DIR,...",
          "Packed sets whose retrieval is measured; none: no validation.",
          CPV_OPT_REPEAT),
    LIST_("validation-lang", "languages", validation.languages, NULL, "L,...",
          "Languages of their captions; none: those of the training.", PIN),
    INT_("validation-every", "every", validation.every, "100", 1, MAX_INT,
         "Steps between two validations; there is one before the first step and one "
         "behind the last.",
         PIN),
    INT_("validation-originals", "originals", validation.originals, "1", 0, 1 << 16,
         "Original captions of an image that are asked for; 0: all.", PIN),
    INT_("validation-images", "images", validation.images, "0", 0, MAX_INT,
         "At most so many images, the first ones; 0: all.", PIN),
    {.name = "metric",
     .key = "metric",
     .kind = CPV_OPT_TEXT,
     .offset = AT(validation.metric),
     .fallback = "mean_recall",
     .arg = "NAME",
     .help = "What the best checkpoint is chosen by: loss (of training, lowest), or the "
             "highest of mean_recall, LANG.mean_recall, LANG.text_to_image.r1, ...",
     .flags = PIN},
    INT_("patience", "patience", validation.patience, "0", 0, MAX_INT,
         "Stop after so many validations that were no better; 0: never.", PIN),
    REAL_("min-delta", "min_delta", validation.min_delta, "0", 0, 100,
          "By how much a better one must be better."),
    END_};

static const struct cpv_opt checkpoint[] = {
    INT_("checkpoint-every", "every", checkpoint.every, "100", 1, MAX_INT,
         "Steps between two checkpoints; there is one behind the last.", 0),
    INT_("checkpoint-keep", "keep", checkpoint.keep, "1", 1, 1 << 20,
         "The last ones that stay; the best one stays besides.", 0),
    FLAG_("merged", "merged", checkpoint.merged, NULL,
          "Write merged/, an OpenCLIP with the adapter added in.", 0),
    FLAG_("from-best", "from_best", checkpoint.best, NULL,
          "adapter/ and merged/ are those of the best checkpoint, not of the last.", 0),
    END_};

static const struct cpv_opt run[] = {
    {.name = "config",
     .kind = CPV_OPT_TEXT,
     .offset = AT(run.config),
     .arg = "FILE",
     .help = "Configuration; it may also stand alone on the command line."},
    {.name = "set",
     .kind = CPV_OPT_LIST,
     .offset = AT(run.set),
     .arg = "KEY=VALUE",
     .help = "Set a key of the configuration (optimizer.lr=1e-4); may be repeated.",
     .flags = CPV_OPT_REPEAT},
    {.name = "device",
     .kind = CPV_OPT_TEXT,
     .offset = AT(run.device),
     .fallback = "auto",
     .arg = "auto|cpu|cuda[:N]",
     .help = "Where the model runs."},
    {.name = "threads",
     .kind = CPV_OPT_INT,
     .offset = AT(run.threads),
     .fallback = "0",
     .max = 4096,
     .help = "Threads; 0: one for each processor. They never change a number."},
    {.name = "stop-after",
     .kind = CPV_OPT_INT,
     .offset = AT(run.stop_after),
     .fallback = "0",
     .max = MAX_INT,
     .help = "Stop with a checkpoint when so many steps are done in all, status 75; 0: "
             "never. Running again goes on."},
    {.name = "redo",
     .kind = CPV_OPT_FLAG,
     .offset = AT(run.redo),
     .help = "Settings have changed: begin anew, dropping the checkpoints."},
    {.name = "dry-run",
     .kind = CPV_OPT_FLAG,
     .offset = AT(run.dry_run),
     .help = "Read everything, say what would be done and how much memory it takes."},
    {.name = "print-config",
     .kind = CPV_OPT_FLAG,
     .offset = AT(run.print_config),
     .help = "Print the settings as they would be used."},
    {.name = "verbose",
     .kind = CPV_OPT_FLAG,
     .offset = AT(run.verbose),
     .help = "Say more."},
    {.name = "quiet",
     .kind = CPV_OPT_FLAG,
     .offset = AT(run.quiet),
     .help = "Warnings and errors only."},
    END_};

void settings_table(struct settings_table *t, struct settings *into)
{
    const struct cpv_opt_group groups[] = {
        {"Training", "", top, into},
        {"Model", "model", model, into},
        {"Data", "data", data, into},
        {"LoRA", "lora", lora, into},
        {"Text tower", "tower", tower, into},
        {"Optimizer", "optimizer", optimizer, into},
        {"Validation", "validation", validation, into},
        {"Checkpoints and results", "checkpoint", checkpoint, into},
        {"The run", NULL, run, into},
    };

    memset(t, 0, sizeof *t);
    memcpy(t->groups, groups, sizeof groups);
    for (size_t i = 1; i < CPV_COUNT(groups); i++)
        if (groups[i].section)
            t->sections[t->n_sections++] = groups[i].section;
    t->program = (struct cpv_program){
        .name = "capivara-train",
        .version = CPV_VERSION,
        .summary = "LiT and LoRA training of a multilingual CLIP on packed captions",
        .usage = "CONFIG [options]",
        .description =
            "Fine-tunes the text tower of an OpenCLIP on the captions of packed sets, "
            "the "
            "image tower locked, and writes OUT/adapter in PEFT's format. "
            "schemas/train.yaml explains every key; docs/recipes has the paper's "
            "settings.\n\nStopped or killed at any moment, the same command goes on from "
            "the last checkpoint, to the same bits.",
        .groups = t->groups,
        .n_groups = CPV_COUNT(groups)};
}
