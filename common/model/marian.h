/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marian (OPUS-MT): an encoder and a decoder that translate, as Hugging Face publishes
 * them (MarianMTModel: config.json, generation_config.json, weights).
 *
 *     cpv_marian_open(&m, device, "model folder")                   once per device
 *     cpv_marian_search(m)                                          its defaults, to be
 * changed cpv_marian_worker_open(&w, m, search, limits)                 each thread
 *       cpv_marian_translate(w, sentences, n, emit)                 a group at a time
 *
 * Sentences are ids of the model's vocabulary that end in eos. Inside a call they are
 * sorted by length and decoded together; those that are finished leave and others enter.
 * None of it can be seen in the result: a sentence gives the same tokens in any company,
 * wherever the device keeps rows (compute.h).
 *
 * Post-norm; embeddings are scaled by sqrt(d_model) where the configuration says so;
 * positions are those stored, else sinusoids [sin | cos] (modeling_marian.py). The head
 * is the target embedding unless tie_word_embeddings is false; a stored lm_head is
 * ignored otherwise (old conversions hold a wrong one).
 */
#ifndef CPV_MODEL_MARIAN_H
#define CPV_MODEL_MARIAN_H

#include "common/compute/compute.h"
#include "common/model/beam.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_marian cpv_marian;
typedef struct cpv_marian_worker cpv_marian_worker;

/* From config.json and generation_config.json. */
struct cpv_marian_config {
    int d_model, encoder_layers, decoder_layers, encoder_heads, decoder_heads;
    int encoder_ffn, decoder_ffn, vocab, target_vocab, positions;
    cpv_unary_kind act;
    bool scale_embedding, shared_embeddings, tied_head, renormalize;
    int32_t eos, pad, decoder_start;
    int max_length; /* tokens of a translation, start and eos included */
    struct cpv_search search;
};

/* CPV_E_INPUT names file, key or tensor, and what was expected. */
CPV_MUST_CHECK int cpv_marian_open(cpv_marian **out, cpv_device *device,
                                   const char *folder, struct cpv_err *err);
void cpv_marian_close(cpv_marian **m);
const struct cpv_marian_config *cpv_marian_config(const cpv_marian *m);
size_t cpv_marian_bytes(const cpv_marian *m); /* of weights, on the device */

struct cpv_marian_limits {
    int lanes;  /* sentences that are decoded together; 0: cpv_search_lanes */
    int source; /* tokens of the longest sentence, eos included; longer ones are refused
                 */
    int target; /* new tokens at most, whatever the model allows; 0: the model's */
    double target_per; /* and at most so many for each source token, */
    int target_more;   /* plus so many; 0 and 0: no such limit */
    int threads;       /* of one worker; 0: 1 */
};

/* Takes caches and an arena of the size that a dry run of the worst case tells. */
CPV_MUST_CHECK int cpv_marian_worker_open(cpv_marian_worker **out, const cpv_marian *m,
                                          const struct cpv_search *search,
                                          const struct cpv_marian_limits *limits,
                                          struct cpv_err *err);
void cpv_marian_worker_close(cpv_marian_worker **w);

struct cpv_sentence {
    const int32_t *ids; /* with eos at the end */
    int n;
};

/*
 * Called once for each sentence, in the order in which they are finished: beam holds its
 * results (cpv_beam_best). A value other than 0 stops the call and is returned.
 */
typedef int cpv_marian_emit(void *arg, int sentence, const cpv_beam *beam);

CPV_MUST_CHECK int cpv_marian_translate(cpv_marian_worker *w,
                                        const struct cpv_sentence *sentence, int n,
                                        cpv_marian_emit *emit, void *arg,
                                        struct cpv_err *err);

/*
 * Teacher forcing, for tests: logits [target.n, target_vocab] that follow each prefix of
 * `target` (decoder_start first) given the source.
 */
CPV_MUST_CHECK int cpv_marian_logits(const cpv_marian *m, struct cpv_sentence source,
                                     struct cpv_sentence target, float *logits,
                                     struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
