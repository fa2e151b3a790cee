/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: everything that the next step depends on, in one file.
 *
 *     OUT/checkpoints/step-00000100.safetensors    parameters as PEFT names them, Adam's
 *                                                  means and squares ("NAME#mean"), and
 * in
 *                                                  __metadata__ the fields below
 *     OUT/checkpoints/{last,best}.safetensors      links
 *
 * A file is there whole or not at all. What is not in it (the order of samples, captions,
 * dropout) is a function of the seed and the step's number, so that a training that goes
 * on from one comes to the same bits.
 */
#ifndef CPV_TRAINER_STATE_H
#define CPV_TRAINER_STATE_H

#include "trainer/step.h"

struct state {
    uint64_t step; /* done so far */
    /* Since the last line of metrics. */
    double loss, texts, images;
    uint64_t steps, pairs, tokens;
    /* In all. */
    uint64_t all_pairs, all_tokens, broken;
    /* Of validations. */
    double best;
    uint64_t best_step, worse; /* worse: validations since the best */
    bool has_best, stopped;    /* stopped: early, by patience */
    uint64_t metrics_bytes;    /* of metrics.jsonl */
};

/* The newest one in OUT; *found false if there is none. CPV_E_SETTINGS if it is of other
 * data. */
CPV_MUST_CHECK int state_load(struct state *out, step *s, const char *folder,
                              const uint8_t data_digest[32], bool *found,
                              struct cpv_err *err);
/* The one of step `number`, which must be there. */
CPV_MUST_CHECK int state_load_step(struct state *out, step *s, const char *folder,
                                   uint64_t number, const uint8_t data_digest[32],
                                   struct cpv_err *err);
/* Afterwards only the last `keep` and the best one are there. */
CPV_MUST_CHECK int state_save(const struct state *state, step *s, const char *folder,
                              const uint8_t data_digest[32], uint64_t keep,
                              struct cpv_err *err);
/* Remove them all: to begin anew. */
CPV_MUST_CHECK int state_drop(const char *folder, struct cpv_err *err);

#endif
