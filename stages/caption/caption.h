/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caption stage: images into English captions, by a BLIP model, one for each prompt.
 *
 *   engine.c   pictures in, captions out, in any order: threads that decode pictures
 *              ahead of threads that run the model
 *   model.c    the model of an engine: device, prompts, one worker for each thread
 *   answer.c   what came of one picture, as a record of the journal
 *   counts.c   the statistics, and which captions are the same
 *   part.c     one part of the column: fed, journaled picture by picture, assembled
 *   work.c     the loop over parts; the next is begun while the last pictures of the one
 *              before are in work
 *   tool.c     the same program on files, for a person to try
 *
 * A caption is a function of the picture, the prompt, the model and the settings; where
 * tokens are drawn, of the seed and the sample's key, too: never of neighbours, threads
 * or order (compute.h, row invariance).
 */
#ifndef CPV_CAPTION_CAPTION_H
#define CPV_CAPTION_CAPTION_H

#include "common/base/bytes.h"
#include "common/image/image.h"
#include "common/stage/model.h"

/* ---- settings: caption in the configuration ---- */

enum { PROMPTS_MAX = 100 };

struct caption_settings {
    const char *model; /* folder, or org/name[@rev] */
    struct cpv_texts prompts;
    int64_t max_new_tokens;
    int weights;   /* enum cpv_model_weights */
    int64_t beams; /* 0 or 1: greedy */
    double length_penalty;
    struct cpv_model_sampling sampling;
    int64_t max_pixels;       /* of a picture */
    int64_t images;           /* that a thread has in work; 0: a good number */
    const char *model_sha256; /* found when the stage starts, then pinned */
    const char *backend;      /* likewise: "cpu", "cuda" */
};

extern const struct cpv_opt caption_options[];

/* ---- what comes of a picture ---- */

struct caption {
    struct cpv_bytes text; /* prompt and continuation, UTF-8 */
    uint32_t prompt;       /* its tokens, the one that begins included */
    uint32_t tokens;       /* new ones, without the one that ends */
    bool cut;              /* it ended because there were max_new_tokens */
};

struct answer {
    const char *status; /* NULL: captions; else why there are none: "decode" */
    const char *detail; /* of a status; "" or one line */
    struct caption *captions;
    uint32_t n;
    uint64_t prepare_us, model_us; /* of one thread's time; */
    uint64_t vision_us;            /* of the latter, until its captions began */
};

/* Appended; at most UINT16_MAX bytes of status and detail. */
void answer_encode(const struct answer *a, uint32_t index, struct cpv_buf *out);
/* Texts are views of the payload, the rest is in mem. CPV_E_CORRUPT if it is none. */
CPV_MUST_CHECK int answer_decode(struct cpv_bytes payload, cpv_arena *mem,
                                 struct answer *out, uint32_t *index,
                                 struct cpv_err *err);
/* The texts as an array, into what is being written. */
struct cpv_json;
void answer_put_texts(const struct answer *a, struct cpv_json *j);
/* {"generated-captions-en":[...]} */
void answer_json(const struct answer *a, struct cpv_buf *out);

/* ---- statistics ---- */

struct caption_counts {
    uint64_t images, failed, captions;
    uint64_t prompt_tokens, new_tokens; /* of all prompts; of all captions */
    uint64_t cut;
    uint64_t prepare_us, model_us, vision_us;
    uint64_t duplicates; /* captions that one before in the part equals */
    /* Of this run alone; the rest was in the journal of an earlier one. */
    uint64_t run_images, run_tokens;
    double run_seconds; /* by the clock */
    uint64_t *seen;     /* digests of captions: an open hash table */
    size_t mask;
};

/* Room for so many captions. */
CPV_MUST_CHECK int counts_init(struct caption_counts *c, uint64_t captions,
                               struct cpv_err *err);
void counts_release(struct caption_counts *c);
/* fresh: answered in this run. */
void counts_add(struct caption_counts *c, const struct answer *a, bool fresh);
/* The inside of the stats object. */
void counts_put(const struct caption_counts *c, struct cpv_buf *out);

/* ---- the engine ---- */

/* A picture on its way. The engine sees nothing of the first line. */
struct picture {
    void *owner;
    uint32_t index;
    uint64_t number;     /* names it to the random numbers of sampling */
    struct cpv_buf file; /* in; empty when it comes back */

    float *pixels; /* the engine's own */
    uint64_t prepare_us, model_us, vision_us;

    bool stopped;       /* out: it was given back unseen */
    const char *status; /* NULL, or a word of cpv_image_status_name */
    char detail[512];
    struct cpv_buf texts;     /* of the captions, one behind the other */
    struct caption *captions; /* one for each prompt */
    uint32_t n;
};

void picture_free(struct picture **p);
/* Views of the picture. */
struct answer picture_answer(const struct picture *p);

typedef struct engine engine;

struct engine_params {
    const struct caption_settings *set;
    const char *model;  /* the folder, found */
    const char *device; /* as --device */
    int threads;
    int64_t seed;
};

CPV_MUST_CHECK int engine_open(engine **out, const struct engine_params *params,
                               struct cpv_err *err);
/* What is still in work is dropped. */
void engine_close(engine **e);

int engine_room(const engine *e); /* pictures that may be inside at a time */
/* So many more (or fewer) pictures will be put: then workers share the last ones. */
void engine_expect(engine *e, int64_t pictures);
/* One of those expected, given away. Never waits. Room was there. */
CPV_MUST_CHECK int engine_put(engine *e, struct picture *p, struct cpv_err *err);
/*
 * 1: one that is done, in any order; 0: none within so long. A code: a thread has failed
 * or the process is asked to stop, and what was in work is given up.
 */
CPV_MUST_CHECK int engine_take(engine *e, struct picture **p, int64_t ms,
                               struct cpv_err *err);
/* After an error: those that were done nevertheless, one by one; then NULL. */
struct picture *engine_rest(engine *e);

/* How many pictures a worker may hold when `left` are left in all for `workers`. */
int64_t engine_share(int64_t left, int workers);

/* ---- the model, for the engine alone ---- */

typedef struct caption_model caption_model;
typedef struct caption_worker caption_worker;

/* What a worker asks for, and is told. next: 1 a picture; 0, there are no more;
 * PICTURE_LATER, there is none yet and it need not wait. */
enum { PICTURE_LATER = 2 };
struct caption_stream {
    int (*next)(void *arg, bool wait, struct picture **p, struct cpv_err *err);
    int (*done)(void *arg, struct picture *p, struct cpv_err *err);
    void *arg;
};

CPV_MUST_CHECK int model_open(caption_model **out, const struct engine_params *params,
                              struct cpv_err *err);
void model_close(caption_model **m);
/* Would it open with these settings, on shapes alone: quick whatever its size. */
CPV_MUST_CHECK int model_check(const struct caption_settings *set, const char *folder,
                               struct cpv_err *err);
bool model_is_cpu(const caption_model *m);
int model_images(const caption_model *m); /* that a worker has in work at most */
/* Decode a picture: sets pixels, or status and detail. `maker`: a thread's own, NULL at
 * first. */
typedef struct cpv_pixels_maker caption_maker;
CPV_MUST_CHECK int model_prepare(const caption_model *m, caption_maker **maker,
                                 struct picture *p, struct cpv_err *err);
void model_maker_close(caption_maker **maker);

CPV_MUST_CHECK int model_worker_open(caption_worker **out, const caption_model *m,
                                     struct cpv_err *err);
void model_worker_close(caption_worker **w);
/* Until next says 0. */
CPV_MUST_CHECK int model_run(caption_worker *w, const struct caption_stream *s,
                             struct cpv_err *err);

/* ---- the stage ---- */

struct captioner {
    struct cpv_run *run;
    const struct caption_settings *set;
    const char *folder; /* of the model */
    engine *engine;     /* opened with the first part that needs it */
};

typedef struct caption_part caption_part;

/* Takes the part. */
CPV_MUST_CHECK int part_open(caption_part **out, struct captioner *k,
                             struct cpv_part **part, struct cpv_err *err);
void part_close(struct captioner *k, caption_part **p);
uint32_t part_left(const caption_part *p); /* to be fed */
bool part_done(const caption_part *p);     /* nothing to feed, nothing in work */
/* The next picture that nobody has described yet; *out is the caller's. */
CPV_MUST_CHECK int part_next(caption_part *p, struct picture **out, struct cpv_err *err);
/* Into the journal. The picture stays the caller's. */
CPV_MUST_CHECK int part_keep(caption_part *p, const struct picture *one,
                             struct cpv_err *err);
/* Write the shard from the journal and commit. */
CPV_MUST_CHECK int part_finish(struct captioner *k, caption_part *p, struct cpv_err *err);

CPV_MUST_CHECK int caption_work(struct captioner *k, struct cpv_err *err);

/* Files on the command line to captions on standard output; the exit status. */
int caption_tool(int argc, char **argv);

#endif
