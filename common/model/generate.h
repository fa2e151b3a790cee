/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text generation: many sequences at once, in lanes that are filled again as sequences
 * are finished. The decoding of all models that have a decoder.
 *
 * A source is what is written from (a sentence, an image). It is encoded once into a
 * slot of the memory, keys and values of cross-attention, and one or more sequences are
 * written from it, each behind a prompt of its own. A source leaves when all its
 * sequences are done, and the next takes its place.
 *
 *     cpv_generator_measure     on a dry twin of the model: the arena's size
 *     cpv_generator_open        each thread
 *       cpv_generate            a stream of sources
 *     cpv_generator_close
 *
 * Lane s * sequences + i is for sequence i of the source in memory slot s; it has the
 * slots lane * beams ... of the history. A step runs the prompts of the sequences that
 * are new and one row for each live beam of the others, in one packed batch.
 */
#ifndef CPV_MODEL_GENERATE_H
#define CPV_MODEL_GENERATE_H

#include "common/compute/compute.h"
#include "common/model/beam.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_generator cpv_generator;

/* What a decoder is to the generator. */
struct cpv_generate_model {
    const void *self;
    int layers;
    int64_t width; /* of keys and values: heads * head size */
    int vocab;     /* of what it writes */
    /* New tokens of each sequence (i32 [rows.total, 1]) to hidden states; each sequence
     * looks at the slot of the memory that `memories` says. */
    cpv_tensor (*decode)(cpv_compute *c, const void *self, cpv_tensor ids, cpv_rows rows,
                         cpv_kv *history, cpv_slots slots, const cpv_kv *memory,
                         cpv_slots memories);
    /* Hidden states to f32 logits [n, vocab]. */
    cpv_tensor (*logits)(cpv_compute *c, const void *self, cpv_tensor x);
};

struct cpv_generate_limits {
    int sources;   /* in work at a time */
    int admitted;  /* of them that may come at once */
    int sequences; /* of one source */
    int memory;    /* positions of a source's memory */
    int prompt;    /* tokens of the longest prompt */
    int target;    /* new tokens of a sequence */
    int threads;   /* that work on one operation */
};

struct cpv_prompt {
    const int32_t *ids;
    int n; /* at least 1 */
};

struct cpv_source_text {
    uint64_t id;     /* the caller's name for it */
    uint64_t number; /* what its random numbers are drawn by, where any are */
    int most;        /* new tokens, up to limits.target */
    const struct cpv_prompt *prompt; /* one for each sequence; must last until emit */
    int sequences;
};

/* The caller's side of a call. */
struct cpv_generate_feed {
    void *arg;
    /*
     * Up to `room` more sources, while `used` are in work: *n of them. With used 0 there
     * must be one, or *over is set: there are no more.
     */
    int (*take)(void *arg, int used, int room, struct cpv_source_text *out, int *n,
                bool *over, struct cpv_err *err);
    /* Encode the n sources that were just taken into these slots of the memory, which
     * are empty: cpv_kv_extend, cpv_kv_write. */
    void (*encode)(void *arg, cpv_compute *c, cpv_kv *memory, const int32_t *slot, int n);
    /* A source is done: beam[i] holds the results of sequence i. */
    int (*emit)(void *arg, uint64_t id, const cpv_beam *const *beam, int n,
                struct cpv_err *err);
};

/*
 * Bytes of the arena for the worst case. `model` is a twin of the one that will be used
 * (cpv_dry_twin), on `dry`; `encode` puts the largest admission there is into the slots
 * of a memory that are its first.
 */
CPV_MUST_CHECK int cpv_generator_measure(const struct cpv_generate_model *model,
                                         cpv_device *dry, const struct cpv_search *search,
                                         const struct cpv_generate_limits *limits,
                                         void (*encode)(void *arg, cpv_compute *c,
                                                        cpv_kv *memory),
                                         void *arg, size_t *bytes, struct cpv_err *err);

/* A dry device that foretells the memory of another. */
CPV_MUST_CHECK int cpv_dry_twin(cpv_device **out, const cpv_device *device,
                                struct cpv_err *err);

/* `model` is copied, its self must last. */
CPV_MUST_CHECK int cpv_generator_open(cpv_generator **out,
                                      const struct cpv_generate_model *model,
                                      cpv_device *device, const struct cpv_search *search,
                                      const struct cpv_generate_limits *limits,
                                      size_t arena, struct cpv_err *err);
void cpv_generator_close(cpv_generator **g);
size_t cpv_generator_bytes(const cpv_generator *g); /* of caches and arena */

/* Until feed->take says that it is over. What a callback returns, if not 0, ends the
 * call, and all that was in work is forgotten. */
CPV_MUST_CHECK int cpv_generate(cpv_generator *g, const struct cpv_generate_feed *feed,
                                struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
