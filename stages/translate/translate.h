/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translate stage: English captions into another language, by a Marian model.
 *
 *   engine.c   texts in, texts out: tokenizer, model, worker threads
 *   flags.c    what looks wrong about a translation, by rules
 *   memory.c   what was translated before: in this run, and in runs before it
 *   imports.c  translations made elsewhere, in the place of a model's
 *   part.c     one part of the column, group by group, with a journal
 *   filter.c   the same program as a filter: lines in, lines out
 *
 * A translation is a function of the text, the model and the options: never of its
 * neighbours, threads, or of what the memory happens to hold (compute.h, row invariance).
 */
#ifndef CPV_TRANSLATE_TRANSLATE_H
#define CPV_TRANSLATE_TRANSLATE_H

#include "common/base/bytes.h"
#include "common/corpus/flags.h"
#include "common/stage/model.h"

/* ---- settings: translate.L in the configuration ---- */

struct translate_settings {
    const char *model;  /* folder, or org/name[@rev] */
    const char *prefix; /* put before every text: ">>por<<" */
    const char *from;   /* language of the texts: "en" */
    bool generated;     /* the caption column's texts as well */
    int weights;        /* enum cpv_model_weights */
    int64_t beams;      /* 0: the model's */
    double length_penalty;
    int64_t max_source; /* tokens; longer texts are cut, and flagged */
    double max_ratio;   /* tokens of a translation for each of its source, */
    int64_t max_more;   /* and so many more */
    struct cpv_model_sampling sampling;
    int64_t lanes;
    bool memory;              /* keep what was translated, on disk */
    const char *import;       /* a TSV of translations, instead of a model */
    const char *model_sha256; /* found when the stage starts, then pinned */
    const char *backend;      /* likewise: "cpu", "cuda"; "import" */
};

/* ---- flags ---- */

/* Bits of common/corpus/flags.h, but for CPV_FLAG_CUT, which the engine knows. lang:
 * "pt", "hi", "pt-BR". */
unsigned translate_flags(struct cpv_bytes source, struct cpv_bytes target,
                         const char *lang);

/* ---- the engine ---- */

struct translation {
    struct cpv_bytes source; /* in; any bytes */
    struct cpv_bytes target; /* out: UTF-8, valid until the engine's next run */
    unsigned flags;
    int tokens_in, tokens_out;
};

typedef struct engine engine;

struct engine_params {
    const struct translate_settings *set;
    const char *model;  /* the folder, found */
    const char *device; /* as --device */
    const char *lang;
    int threads;
    int64_t seed;
    /* Above 1: so many translations of each text, best first, as lines of score, tab and
     * text in `target`; nothing is flagged then but CPV_FLAG_CUT. */
    int n_best;
};

CPV_MUST_CHECK int engine_open(engine **out, const struct engine_params *params,
                               struct cpv_err *err);
void engine_close(engine **e);
const char *engine_backend(const engine *e); /* "cpu", "cuda" */
/*
 * Translate all n, divided among the threads. `done` (may be NULL) is told of each as
 * soon as it is there, one at a time, by any thread: the target is valid during the call,
 * and again when the run is over. CPV_E_STOPPED after a signal.
 */
typedef int engine_done(void *arg, const struct translation *t, struct cpv_err *err);
CPV_MUST_CHECK int engine_run(engine *e, struct translation *t, size_t n,
                              engine_done *done, void *arg, struct cpv_err *err);

/* ---- the memory ---- */

typedef struct memory memory;

/*
 * What a translation depends on besides its text, as a digest. `path`: a journal to keep
 * it in, or NULL; if another process has that one, this run remembers without it.
 */
CPV_MUST_CHECK int memory_open(memory **out, const char *path, const uint8_t identity[32],
                               struct cpv_err *err);
void memory_close(memory **m);
/* True: t->target (in mem), flags and counts are filled. */
CPV_MUST_CHECK int memory_find(memory *m, struct translation *t, cpv_arena *mem,
                               bool *found, struct cpv_err *err);
CPV_MUST_CHECK int memory_add(memory *m, const struct translation *t,
                              struct cpv_err *err);

/* ---- translations made elsewhere ---- */

typedef struct imports imports;

struct imports_report {
    uint64_t rows, repeated, bad;
    uint64_t first_bad; /* the line of the first bad one, from 1 */
};

/* CPV_E_INPUT if there is no row in it at all. */
CPV_MUST_CHECK int imports_open(imports **out, const char *path, struct cpv_err *err);
void imports_close(imports **m);
const struct imports_report *imports_report(const imports *m);
/* A view of the file; index: originals first, then generated ones. */
bool imports_find(const imports *m, struct cpv_bytes key, uint64_t index,
                  struct cpv_bytes *text);

/* ---- the stage ---- */

struct translate_counts {
    uint64_t sentences, distinct, hits, tokens_in, tokens_out;
    uint64_t flags[CPV_FLAG_COUNT];
    double seconds;
};

struct translate {
    struct cpv_run *run;
    const struct translate_settings *set;
    const char *folder; /* of the model */
    engine *engine;     /* opened with the first part that needs it */
    memory *memory;
    imports *imports; /* then there is neither */
};

/* Make one part and commit it. Ends the part. */
CPV_MUST_CHECK int translate_part(struct translate *t, struct cpv_part **part,
                                  struct cpv_err *err);

/* Lines of standard input to lines of standard output; the exit status. */
int translate_filter(int argc, char **argv);
extern const struct cpv_opt translate_options[];

#endif
