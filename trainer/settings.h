/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a training is told: one struct for all tables of options. schemas/train.yaml says
 * every key, its default and its reason.
 *
 *     settings_read       command line, configuration, --set: in this order of growing
 * say settings_pin        OUT/settings.yaml: what changes the numbers, refused if changed
 */
#ifndef CPV_TRAINER_SETTINGS_H
#define CPV_TRAINER_SETTINGS_H

#include "common/base/cli.h"
#include "common/base/log.h"
#include "common/model/clip.h"

enum image_source { IMAGE_EMBEDDINGS, IMAGE_PIXELS };
enum optimizer_name { OPTIMIZER_ADAMW, OPTIMIZER_ADAM_L2 };
enum schedule_name { SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_CONSTANT };

struct settings {
    /* top level */
    const char *out;
    int64_t seed, steps, epochs, batch, micro_batch, log_every;
    bool parity;

    struct {
        const char *path, *tokenizer, *adapter;
    } model;

    struct {
        struct cpv_texts train; /* folders of packed sets, or tars */
        int image;              /* of enum image_source */
        struct cpv_texts languages, shares;
        int captions; /* of cpv_caption_strategy */
        int64_t first, keep, originals;
        double threshold;
        int64_t max_pixels;
    } data;

    struct {
        int64_t r;
        double alpha, dropout;
        struct cpv_texts targets, layers;
    } lora;

    struct {
        bool projection, logit_scale, text;
        bool checkpointing, clamp;
        double hidden_dropout, attention_dropout; /* below 0: the model's own */
        int64_t pad_to;
    } tower;

    struct {
        int name; /* of enum optimizer_name */
        double lr, lr_min, beta1, beta2, eps, weight_decay, max_norm;
        int schedule; /* of enum schedule_name */
        int64_t warmup;
    } optimizer;

    struct {
        struct cpv_texts sets, languages;
        int64_t every, originals, images;
        const char *metric; /* what "best" is told by */
        int64_t patience;   /* validations without a better one; 0: never stop early */
        double min_delta;
    } validation;

    struct {
        int64_t every, keep;
        bool merged;
        bool best; /* adapter/ and merged/ from the best checkpoint, not the last */
    } checkpoint;

    struct { /* never pinned */
        const char *config, *device;
        const char *base; /* folder of the configuration; NULL: there is none */
        struct cpv_texts set;
        int64_t threads, stop_after;
        bool dry_run, print_config, verbose, quiet, redo;
    } run;
};

/* What --help is made of. */
struct settings_table {
    struct cpv_program program;
    struct cpv_opt_group groups[10];
    const char *sections[10];
    size_t n_sections;
};
void settings_table(struct settings_table *t, struct settings *into);

/*
 * Paths of a configuration become relative to it. `ask` other than CPV_ASK_NOTHING: the
 * rest was not looked at.
 */
CPV_MUST_CHECK int settings_read(struct settings_table *t, struct settings *s, int argc,
                                 char **argv, cpv_arena *mem, enum cpv_cli_ask *ask,
                                 struct cpv_err *err);
/* All keys as they are, as a configuration. */
void settings_print(const struct settings_table *t, struct cpv_buf *out);
/* CPV_E_SETTINGS with the differences in the log, unless `redo`. */
CPV_MUST_CHECK int settings_pin(const struct settings_table *t, const struct settings *s,
                                cpv_log *log, struct cpv_err *err);

/* What the model is opened with. CPV_E_USAGE names a word that is no target or layer. */
CPV_MUST_CHECK int settings_train(const struct settings *s, struct cpv_clip_train *out,
                                  struct cpv_err *err);
/* Shares of languages, adding up to 1, in `to[languages.count]`. */
CPV_MUST_CHECK int settings_shares(const struct settings *s, double *to,
                                   struct cpv_err *err);

#endif
