/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capivara-eval: how good a CLIP is, in any language: retrieval, zero-shot
 * classification, and a query. docs/evaluation.md says what of, and how it is counted.
 *
 *   main.c       the command line, the model, the order of things
 *   options.c    the table of options
 *   source.c     what --set, --images and --list name: tars, folders, a list
 *   tars.c       tars into pictures, captions and labels
 *   lists.c      lists and folders into the same
 *   captions.c   which captions of a sample, in which language
 *   embed.c      pictures and texts into unit vectors: threads and model
 *   retrieval.c  recall by language
 *   classes.c    class names and templates
 *   classify.c   zero-shot classification
 *   query.c      a text, and the pictures next to it
 *   output.c     table, JSON, ranks
 */
#ifndef CPV_EVAL_EVAL_H
#define CPV_EVAL_EVAL_H

#include "common/base/arena.h"
#include "common/base/cli.h"
#include "common/base/log.h"
#include "common/base/progress.h"
#include "common/format/json.h"
#include "common/model/clip.h"
#include "common/model/recall.h"

/* ---- options ---- */

enum eval_task { EVAL_AUTO, EVAL_RETRIEVAL, EVAL_CLASSIFICATION, EVAL_QUERY };

struct eval_settings {
    const char *model, *tokenizer, *adapter, *device;
    int weights; /* enum cpv_model_weights */
    int64_t threads, batch, max_pixels;
    struct cpv_texts set;
    const char *images, *list, *format, *file_col;
    bool embeddings;
    struct cpv_texts lang;
    const char *captions, *pick;
    int64_t originals;
    int task;
    const char *classnames, *templates;
    bool parity;
    const char *query;
    int64_t top;
    const char *json, *ranks;
    bool verbose, quiet;
};

extern const struct cpv_opt eval_model_options[], eval_set_options[],
    eval_class_options[], eval_query_options[], eval_out_options[];

/* `text` with each "{lang}" replaced; in mem, NULL without memory. */
char *eval_with_lang(const char *text, const char *lang, cpv_arena *mem);

/* ---- embeddings ---- */

typedef struct embedder embedder;

struct embedder_params {
    const struct eval_settings *set;
    const char *model; /* found */
    int threads;
    bool images;            /* the image tower is needed */
    cpv_progress *progress; /* counts pictures; may be NULL */
};

CPV_MUST_CHECK int embedder_open(embedder **out, const struct embedder_params *params,
                                 struct cpv_err *err);
void embedder_close(embedder **e); /* what is still in work is dropped */
int embedder_dim(const embedder *e);

/* Pictures are numbered from 0, each given once, in any of three ways: */
/* - a file; its bytes are taken in any outcome, */
CPV_MUST_CHECK int embedder_file(embedder *e, int64_t number, struct cpv_buf *file,
                                 struct cpv_err *err);
/* - a vector that somebody has stored, [dim]; it is made a unit vector, */
CPV_MUST_CHECK int embedder_vector(embedder *e, int64_t number, const float *v,
                                   struct cpv_err *err);
/* - or not at all: `why` in words. */
CPV_MUST_CHECK int embedder_skip(embedder *e, int64_t number, const char *why,
                                 struct cpv_err *err);
/* Waits for all of them. Afterwards: */
CPV_MUST_CHECK int embedder_finish(embedder *e, struct cpv_err *err);
const float *embedder_image(const embedder *e, int64_t number); /* NULL: skipped, */
const char *embedder_why(const embedder *e, int64_t number);    /* and why */

/* Unit vectors [n, dim]. */
CPV_MUST_CHECK int embedder_texts(embedder *e, const char *const *text, int64_t n,
                                  float *out, struct cpv_err *err);
/* As the tower gives them, not normalised: for --parity. */
CPV_MUST_CHECK int embedder_raw_texts(embedder *e, const char *const *text, int64_t n,
                                      float *out, struct cpv_err *err);

/* ---- a set ---- */

struct eval_image {
    const char *key;
    int64_t label; /* -1: none */
};

struct eval_caption {
    int64_t image;
    int32_t index; /* among the captions of its image in this language */
    const char *text;
};

struct eval_slice {
    int64_t start, stop, step; /* of captions; stop -1: all */
};

/* What is evaluated. Strings live in mem. */
struct eval_set {
    const struct eval_settings *how;
    cpv_arena *mem;
    cpv_log *log;
    const char *const *lang;
    size_t n_lang;
    struct eval_slice slice;
    struct cpv_buf images;    /* of struct eval_image */
    struct cpv_buf *captions; /* [n_lang], of struct eval_caption */
    /* Folders as classes: their names, sorted. */
    const char **class_folder;
    int64_t n_class_folders;
    bool unnamed; /* captions were taken that name no language */
};

static inline int64_t eval_images(const struct eval_set *s)
{
    return (int64_t)(s->images.size / sizeof(struct eval_image));
}

static inline struct eval_image *eval_image(const struct eval_set *s, int64_t i)
{
    return (struct eval_image *)(void *)s->images.data + i;
}

static inline int64_t eval_captions(const struct eval_set *s, size_t lang)
{
    return (int64_t)(s->captions[lang].size / sizeof(struct eval_caption));
}

static inline struct eval_caption *eval_caption(const struct eval_set *s, size_t lang,
                                                int64_t i)
{
    return (struct eval_caption *)(void *)s->captions[lang].data + i;
}

/* A picture more: its number. */
CPV_MUST_CHECK int eval_add_image(struct eval_set *s, const char *key, int64_t label,
                                  int64_t *number, struct cpv_err *err);
/* A caption more; the slice of --originals and --pick is taken by eval_slice_all. */
CPV_MUST_CHECK int eval_add_caption(struct eval_set *s, size_t lang, int64_t image,
                                    struct cpv_bytes text, struct cpv_err *err);
/* When all are there: number them, keep those that are wanted. */
CPV_MUST_CHECK int eval_slice_all(struct eval_set *s, struct cpv_err *err);
CPV_MUST_CHECK int eval_slice_parse(const struct eval_settings *how,
                                    struct eval_slice *out, struct cpv_err *err);

/* All captions of a sample of a tar: its JSON and its .txt, either may be empty. */
CPV_MUST_CHECK int eval_sample_captions(struct eval_set *s, int64_t image,
                                        struct cpv_bytes json, struct cpv_bytes txt,
                                        const char *name, struct cpv_err *err);

/* Where --set lies. */
struct eval_source {
    const char **tars;
    size_t n_tars;
    const char *folder; /* of pictures, where there are no tars */
    const char *root;   /* the folder named on the command line; NULL: a file */
};
CPV_MUST_CHECK int eval_source_find(const struct eval_settings *how, cpv_arena *mem,
                                    struct eval_source *out, struct cpv_err *err);

/* Read all of it; pictures go to the embedder. labels: .cls, or the folder's name. */
CPV_MUST_CHECK int eval_read_tars(struct eval_set *s, const struct eval_source *source,
                                  bool labels, embedder *e, struct cpv_err *err);
CPV_MUST_CHECK int eval_read_list(struct eval_set *s, embedder *e, struct cpv_err *err);
CPV_MUST_CHECK int eval_read_folder(struct eval_set *s, const char *folder, bool labels,
                                    embedder *e, struct cpv_err *err);

/* ---- results ---- */

struct eval_run {
    const struct eval_settings *how;
    struct eval_set set;
    struct eval_source source;
    embedder *e;
    cpv_arena *mem;
    const char *model, *model_sha256, *adapter_sha256; /* digests: for --json */
    enum eval_task task;
    struct cpv_buf table;
    struct cpv_buf json_text;
    struct cpv_json json; /* inside the object of the languages */
    struct cpv_buf ranks;
};

/* Each writes one row of the table and one member of the JSON for every language. */
CPV_MUST_CHECK int eval_retrieval(struct eval_run *r, struct cpv_err *err);
CPV_MUST_CHECK int eval_classification(struct eval_run *r, struct cpv_err *err);
CPV_MUST_CHECK int eval_query(struct eval_run *r, struct cpv_err *err);

/* The JSON up to the languages, and behind them. */
void eval_json_begin(struct eval_run *r);
void eval_json_end(struct eval_run *r);
/* Table, JSON and ranks where they are to go. */
CPV_MUST_CHECK int eval_put_out(struct eval_run *r, struct cpv_err *err);

/* ---- classes ---- */

struct eval_classes {
    int64_t n;
    const char **name;
    int64_t *label; /* [n]: of a class; ascending by place in the file */
};
/* Names for one language: lines, a JSON list, or Babel-ImageNet's [[ids], [names]]. */
CPV_MUST_CHECK int eval_classes_read(const char *path, const char *lang, cpv_arena *mem,
                                     struct eval_classes *out, struct cpv_err *err);
/* The same from memory; `name` is for messages. */
CPV_MUST_CHECK int eval_classes_parse(struct cpv_bytes text, const char *name,
                                      const char *lang, cpv_arena *mem,
                                      struct eval_classes *out, struct cpv_err *err);
/* Templates; each must hold {c} or {}. */
CPV_MUST_CHECK int eval_templates_parse(struct cpv_bytes text, const char *name,
                                        const char *lang, cpv_arena *mem,
                                        const char ***out, int64_t *n,
                                        struct cpv_err *err);
/* The template with {c} or {} replaced. NULL without memory. */
char *eval_template_fill(const char *tmpl, const char *name, cpv_arena *mem);

#endif
