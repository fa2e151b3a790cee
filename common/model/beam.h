/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for one sequence: which tokens follow, and when it is over. Host code
 * without a model: it is told the best continuations of each live beam and says which
 * beams go on.
 *
 * The rules are those of Hugging Face transformers 4.57 (generation/utils.py,
 * _beam_search), for each sequence by itself: what a batch does there to its members is
 * left out. Scores are f32, like there. Of equal scores the lower beam, then the lower
 * token, is first.
 *
 *     open; start; until done: advance; best
 */
#ifndef CPV_MODEL_BEAM_H
#define CPV_MODEL_BEAM_H

#include "common/base/error.h"
#include "common/compute/compute.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A step asks the top-k operation for 2 * beams + bad ones, or for top_k + bad ones. */
enum {
    CPV_BAD_MAX = 4,
    CPV_BEAMS_MAX = (CPV_TOPK_MAX - CPV_BAD_MAX) / 2, /* 126 */
    CPV_SAMPLE_MAX = CPV_TOPK_MAX - CPV_BAD_MAX       /* 252 */
};

/*
 * Draw the next token instead of taking the best: of the top_k likeliest, of the first of
 * those that have probability top_p together, at a temperature. What is drawn is a
 * function of seed, the sequence's own number and the position (common/base/rng.h).
 */
struct cpv_sampling {
    bool on; /* with one beam */
    float temperature, top_p;
    int top_k; /* 1 ... CPV_SAMPLE_MAX */
    uint64_t seed;
};

struct cpv_search {
    int beams;            /* 1: greedy */
    float length_penalty; /* score = sum of log-probabilities / length ^ this; HF: 1 */
    bool early_stopping;  /* done as soon as there are `beams` finished ones; HF: false */
    int32_t eos;
    int32_t forced_eos; /* at the last position, whatever the model says; -1: none */
    int32_t bad[CPV_BAD_MAX]; /* tokens that never come */
    int bad_count;
    struct cpv_sampling sample;
};

typedef struct cpv_beam cpv_beam;

/* Sequences of at most `most` new tokens; memory grows with beams * most. `search` is
 * copied. */
CPV_MUST_CHECK int cpv_beam_open(cpv_beam **out, const struct cpv_search *search,
                                 int most, struct cpv_err *err);
void cpv_beam_close(cpv_beam **b);

/* Begin a sequence of at most `most` new tokens (up to that of open). `number` names it
 * to the random numbers: a digest of its source. */
void cpv_beam_start(cpv_beam *b, int most, uint64_t number);

/* How many best continuations advance wants of each beam: more than the bad ones. */
int cpv_search_wants(const struct cpv_search *s);

/* How many sequences to search for together if nobody says: as many as give a step enough
 * rows, one for each beam, and no more memory than those need. */
int cpv_search_lanes(const struct cpv_search *s);

/* Beams that go on: 1 at first. Beam i goes on from beam parent[i] of the step before,
 * with token[i]. Before the first step there is no token yet. */
int cpv_beam_live(const cpv_beam *b);
const int32_t *cpv_beam_tokens(const cpv_beam *b);
const int32_t *cpv_beam_parents(const cpv_beam *b);
bool cpv_beam_done(const cpv_beam *b);

/*
 * One step: for live beam i the k best tokens ids[i * k ...], falling, with their logits,
 * and the log of the sum of exponentials over the whole vocabulary. An id below 0 is
 * none.
 */
void cpv_beam_advance(cpv_beam *b, int k, const int32_t *ids, const float *logits,
                      const float *lse);

/* Finished sequence `rank` (0: the best): its tokens without the closing eos, their
 * number, its score. -1 if there are no more. Valid until the next start. */
int cpv_beam_best(const cpv_beam *b, int rank, const int32_t **tokens, float *score);
/* Did the best one end because it had reached its length? */
bool cpv_beam_was_cut(const cpv_beam *b);

#ifdef __cplusplus
}
#endif
#endif
