/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The training set in memory: of each sample the stored image embedding (or where its
 * picture lies) and the token ids of the captions that may be chosen, by language.
 *
 *     data_open(&d, params)       reads all files once, several at a time
 *     data_plan(...)              which samples a step takes, and which captions
 *     data_close(&d)
 *
 * About 1 KB a sample for the embedding and 2 bytes a ... 4 bytes a token. What a sample
 * gives depends on the files and the settings alone; what a step takes, on these, the
 * seed and the step's number, and on nothing that came before.
 */
#ifndef CPV_TRAINER_DATA_H
#define CPV_TRAINER_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cli.h"
#include "common/base/log.h"
#include "common/base/progress.h"
#include "common/corpus/captions.h"
#include "common/model/clip.h"

typedef struct data data;

struct data_params {
    struct cpv_texts sets;
    const cpv_clip *model; /* tokens and the size of embeddings */
    struct cpv_texts languages;
    struct cpv_caption_choice choice;
    bool pixels;   /* where pictures lie is wanted, not embeddings */
    uint64_t most; /* samples at most, the first ones; 0: all */
    int threads;
    cpv_log *log;
    cpv_progress *progress; /* counts files */
};

/* What a set lacked. */
struct data_counts {
    uint64_t samples;  /* that are there to train on */
    uint64_t captions; /* and theirs */
    uint64_t tokens;
    uint64_t broken;      /* no embedding or image, JSON that is none, another size */
    uint64_t captionless; /* without a caption in any of the languages */
};

/* CPV_E_INPUT if a file cannot be read or nothing at all is left. */
CPV_MUST_CHECK int data_open(data **out, const struct data_params *params,
                             struct cpv_err *err);
void data_close(data **d);

const struct data_counts *data_count(const data *d);
uint32_t data_samples(const data *d);
/* Of files and their sizes: another one is other data. */
const uint8_t *data_digest(const data *d);
const char *data_key(const data *d, uint32_t sample);

/* The unit vector of an embedding that is held, [dim]. */
void data_embedding(const data *d, uint32_t sample, float *to);
/* Read the picture's file: CPV_OK with *file set (empty: it is broken), in mem. Any
 * thread, each with a reader of its own. */
typedef struct data_reader data_reader;
CPV_MUST_CHECK int data_reader_open(data_reader **out, const data *d,
                                    struct cpv_err *err);
void data_reader_close(data_reader **r);
CPV_MUST_CHECK int data_picture(data_reader *r, uint32_t sample, cpv_arena *mem,
                                struct cpv_bytes *file, struct cpv_err *err);

/* Captions of a sample in language number `lang`: numbers first ... first + n - 1. */
uint32_t data_captions(const data *d, uint32_t sample, size_t lang, uint32_t *first);
const int32_t *data_tokens(const data *d, uint32_t caption, int32_t *n);

/* ---- which samples and captions a step takes ---- */

struct data_draw {
    uint64_t seed;
    const double *shares; /* of languages */
    uint32_t batch;
};
struct data_pick {
    uint32_t sample, caption;
    uint16_t lang;
};
/* Batches of an epoch: whole ones only, unless there is none. */
uint64_t data_batches(const data *d, const struct data_draw *draw);
/* Step `step`, from 0: n picks (draw->batch, fewer if there are fewer samples). `order`
 * keeps an epoch's order between calls: [data_samples], with *epoch UINT64_MAX at first.
 */
uint32_t data_pick_batch(const data *d, const struct data_draw *draw, uint64_t step,
                         uint32_t *order, uint64_t *epoch, struct data_pick *out);

#endif
