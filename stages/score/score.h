/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The score stage: how well caption and image fit, by an OpenCLIP model. One program,
 * two kinds of columns:
 *
 *     score     KEY.clip.npy: the image's embedding, from fetch; each image once
 *     score-L   similarities-L of its captions in one language, from that embedding
 *               and the columns with the captions: no image is opened again
 *
 *   main.c       which of the two; settings
 *   columns.c    what score-L is made from
 *   engine.c     pictures into embeddings, texts into embeddings: threads and model
 *   images.c     one part of score: batches out, batches back, a journal
 *   answer.c     what came of one picture, as a record of the journal
 *   texts.c      one part of score-L: 64 samples at a time, a journal
 *   captions.c   the captions of a sample, out of the columns' JSON; which are the same
 *   memory.c     texts that have been embedded before
 *   cosine.c     the similarity itself, and how it is written
 *
 * An embedding is a function of the image or the text and the model alone, wherever the
 * device keeps rows (compute.h); a similarity one of the stored (float16) embedding, the
 * text and the model. Neither knows of neighbours, threads, order, or what the memory
 * holds.
 */
#ifndef CPV_SCORE_SCORE_H
#define CPV_SCORE_SCORE_H

#include "common/base/bytes.h"
#include "common/model/clip.h"
#include "common/stage/model.h"

/* ---- settings: score in the configuration ---- */

struct score_settings {
    const char *model;            /* folder, checkpoint file, or org/name[@rev] */
    const char *tokenizer;        /* NULL: the model's own */
    int weights;                  /* enum cpv_model_weights */
    int64_t max_pixels;           /* of a picture */
    int64_t images;               /* in one batch; 0: a good number */
    int64_t memory;               /* bytes for embeddings of texts */
    const char *model_sha256;     /* found when the stage starts, then pinned */
    const char *tokenizer_sha256; /* likewise; "model": it is the model's own */
    const char *backend;          /* likewise: "cpu", "cuda" */
};

/* Both know all keys; each pins those that change its own bytes. */
extern const struct cpv_opt score_image_options[], score_text_options[];

/* ---- what comes of a picture ---- */

struct answer {
    const char *status;     /* NULL: an embedding; else why there is none: "decode" */
    const char *detail;     /* of a status; "" or one line */
    struct cpv_bytes array; /* the .npy file */
    uint64_t decode_us, vision_us; /* of one thread's time */
};

/* Appended; at most UINT16_MAX bytes of status and detail. */
void answer_encode(const struct answer *a, uint32_t index, struct cpv_buf *out);
/* The array is a view of the payload, words are in mem. CPV_E_CORRUPT if it is none. */
CPV_MUST_CHECK int answer_decode(struct cpv_bytes payload, cpv_arena *mem,
                                 struct answer *out, uint32_t *index,
                                 struct cpv_err *err);

/* ---- the captions of a sample ---- */

enum { CAPTION_COLUMNS = 2 };

/* A caption; the same one may come many times. */
struct text {
    struct cpv_bytes source;
    bool none;           /* null, no string, or nothing in it but blanks */
    const float *vector; /* [dim]; NULL: none, or nothing for the model to read */
};

/*
 * Append the texts of captions-LANG, then of generated-captions-LANG to a list of struct
 * text; copies in mem. `json`: of each column that has the sample, NULL for one that has
 * not; of a key that two have the later one counts, as when columns are merged.
 * CPV_E_CORRUPT names the key of a sample whose JSON is none.
 */
CPV_MUST_CHECK int captions_add(const struct cpv_bytes *json, int columns,
                                const char *key, const char *lang, cpv_arena *mem,
                                struct cpv_buf *list, struct cpv_err *err);
/* Is there such a key at all? */
CPV_MUST_CHECK int captions_have(struct cpv_bytes json, const char *key, const char *lang,
                                 bool *have, struct cpv_err *err);
/* first[i]: where the text of i came first; i itself for one that had not come. */
CPV_MUST_CHECK int captions_unite(const struct text *t, size_t n, uint32_t *first,
                                  cpv_arena *mem, struct cpv_err *err);

/* ---- the memory ---- */

/* Embeddings of texts by their SHA-256 (16 bytes of it). When the room is used up the
 * oldest makes way. One thread's. */
typedef struct memory memory;

/* dim: of a vector; bytes: of all that it holds, roughly. */
CPV_MUST_CHECK int memory_open(memory **out, int dim, int64_t bytes, struct cpv_err *err);
void memory_close(memory **m);
/* A new part begins: what is found from now on is new to it. */
void memory_begin(memory *m);
/* False: it is not there. Else vector[dim] is filled, or *blank says that the model had
 * nothing to read; *again: it has come before in this part. */
bool memory_find(memory *m, struct cpv_bytes text, float *vector, bool *blank,
                 bool *again);
/* One that is not there. vector NULL: nothing for the model to read. */
CPV_MUST_CHECK int memory_add(memory *m, struct cpv_bytes text, const float *vector,
                              struct cpv_err *err);

/* ---- the similarity ---- */

/* Sums in double, one after the other; within -1 and 1. NaN: one of the two has no
 * direction. */
float cosine(const float *a, const float *b, int n);
/* {"similarities-LANG":[0.312345,null]}: six decimals of the nearest, no sign of zero. */
void cosine_json(const float *image, int dim, const struct text *t, size_t n,
                 const char *lang, struct cpv_buf *out);

/* ---- the engine ---- */

struct picture {
    uint32_t index;      /* of the sample */
    struct cpv_buf file; /* in */
    const char *status;  /* NULL, or a word of cpv_image_status_name */
    char detail[512];
    uint64_t decode_us, vision_us;
    float *vector; /* out, [dim], of the batch */
};

struct batch {
    int n;
    struct picture *at;
    float *pixels, *vectors;
    bool undone; /* it came back as it was: a stop, or an error */
};

void batch_free(struct batch **b);

typedef struct engine engine;

struct engine_params {
    const struct score_settings *set;
    const char *model, *tokenizer; /* found; tokenizer NULL: the model's own */
    const char *device;            /* as --device */
    int threads;
    bool texts; /* else pictures */
};

CPV_MUST_CHECK int engine_open(engine **out, const struct engine_params *params,
                               struct cpv_err *err);
/* What is still in work is dropped. */
void engine_close(engine **e);
/* Would it open, on shapes alone: quick whatever the model's size. */
CPV_MUST_CHECK int engine_check(const struct engine_params *params, struct cpv_err *err);
int engine_dim(const engine *e);

/* Pictures: only so many batches are inside at a time; each is given away and comes back,
 * in any order. */
int engine_room(const engine *e);
/* Pictures of the next batch, when so many are left in all. */
int engine_share(const engine *e, uint32_t left);
CPV_MUST_CHECK int engine_put(engine *e, struct batch *b, struct cpv_err *err);
/* NULL: none within so long. */
struct batch *engine_take(engine *e, int64_t ms);
/* What is not begun comes back undone. */
void engine_cancel(engine *e);
/* The first error of a thread. */
CPV_MUST_CHECK int engine_trouble(engine *e, struct cpv_err *err);

/*
 * Texts: vectors[n * dim] of n texts that are each another one, divided among the
 * threads; read[i]: tokens, 0 if there is nothing to read (then its vector is not set).
 * CPV_E_STOPPED after a signal.
 */
CPV_MUST_CHECK int engine_texts(engine *e, const struct cpv_bytes *text, size_t n,
                                float *vectors, int32_t *read, struct cpv_err *err);

/* ---- the stage ---- */

struct scorer {
    struct cpv_run *run;
    const struct score_settings *set;
    struct engine_params params;
    engine *engine; /* opened with the first part that needs it */
    memory *memory; /* likewise; texts */
    /* Of score-L: score, then the columns with captions. */
    const char *columns[1 + CAPTION_COLUMNS];
    int n_columns;
    uint8_t score_settings[32]; /* that score must have been made with */
};

/* Of score-L: which columns it is made from, and whether it can be; its inputs. */
CPV_MUST_CHECK int columns_open(struct scorer *k, struct cpv_err *err);
CPV_MUST_CHECK int columns_inputs(struct scorer *k, uint32_t part, cpv_arena *mem,
                                  struct cpv_record *out, struct cpv_err *err);

/* Open the engine and, for texts, the memory, if they are not. */
CPV_MUST_CHECK int score_start(struct scorer *k, struct cpv_err *err);
/* Make one part and commit it. Both end the part. */
CPV_MUST_CHECK int score_images(struct scorer *k, struct cpv_part **part,
                                struct cpv_err *err);
CPV_MUST_CHECK int score_texts(struct scorer *k, struct cpv_part **part,
                               struct cpv_err *err);

#endif
