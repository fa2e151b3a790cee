/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLIP captioning (Salesforce/blip-image-captioning-*, BlipForConditionalGeneration): a
 * vision transformer looks at an image once, and a decoder writes as many captions of it
 * as there are prompts.
 *
 *     cpv_blip_open(&m, device, "model folder")              once per device
 *     cpv_blip_prompt(m, text, ids)                          each prompt, once
 *     cpv_blip_worker_open(&w, m, search, limits)            each thread
 *       cpv_blip_caption(w, prompts, n, next, emit, arg)     a stream of images
 *
 * Images enter as they come and leave as they are finished; sequences of several images
 * are decoded together. None of it can be seen in the result: an image gives the same
 * tokens in any company, wherever the device keeps rows (compute.h).
 *
 * Vision: pre-norm, erf GELU, fused qkv, all tokens are the decoder's memory. Decoder:
 * BERT with cross-attention, post-norm, with a head of its own (transformers,
 * models/blip/modeling_blip.py and modeling_blip_text.py).
 */
#ifndef CPV_MODEL_BLIP_H
#define CPV_MODEL_BLIP_H

#include "common/base/bytes.h"
#include "common/compute/compute.h"
#include "common/model/generate.h"
#include "common/model/pixels.h"
#include "common/text/ids.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_blip cpv_blip;
typedef struct cpv_blip_worker cpv_blip_worker;

/* From config.json. */
struct cpv_blip_config {
    struct {
        int width, ffn, layers, heads, image, patch, tokens; /* tokens: class included */
        cpv_unary_kind act;
        double eps;
    } vision;
    struct {
        int width, ffn, layers, heads, vocab, positions;
        cpv_unary_kind act;
        double eps;
        int32_t bos, sep, pad; /* a caption starts with bos and ends with sep */
    } text;
};

/* CPV_E_INPUT names file, key or tensor, and what was expected. */
CPV_MUST_CHECK int cpv_blip_open(cpv_blip **out, cpv_device *device, const char *folder,
                                 struct cpv_err *err);
void cpv_blip_close(cpv_blip **m);
const struct cpv_blip_config *cpv_blip_config(const cpv_blip *m);
/* How a picture becomes pixels: preprocessor_config.json. */
const struct cpv_pixels_config *cpv_blip_pixels(const cpv_blip *m);
size_t cpv_blip_bytes(const cpv_blip *m); /* of weights, on the device */
/* Greedy, one beam, ends with sep: to be changed. */
struct cpv_search cpv_blip_search(const cpv_blip *m);

/* bos and the text's pieces, no end: appended. The tokenizer is the folder's. */
CPV_MUST_CHECK int cpv_blip_prompt(const cpv_blip *m, struct cpv_bytes text,
                                   struct cpv_ids *ids, struct cpv_err *err);
/* The text of a prompt's ids and a caption's, special tokens left out: appended. */
CPV_MUST_CHECK int cpv_blip_text(const cpv_blip *m, const int32_t *prompt, int prompt_n,
                                 const int32_t *tokens, int n, struct cpv_buf *out,
                                 struct cpv_err *err);

struct cpv_blip_limits {
    int images;  /* in work at a time; 0: 4 */
    int prompts; /* of an image, at most; 0: 10 */
    int prompt;  /* tokens of the longest prompt, bos included; 0: 32 */
    int target;  /* new tokens at most; 0: 50 */
    int threads; /* of one worker; 0: 1 */
};

/* Takes caches and an arena of the size that a dry run of the worst case tells. */
CPV_MUST_CHECK int cpv_blip_worker_open(cpv_blip_worker **out, const cpv_blip *m,
                                        const struct cpv_search *search,
                                        const struct cpv_blip_limits *limits,
                                        struct cpv_err *err);
void cpv_blip_worker_close(cpv_blip_worker **w);
size_t cpv_blip_worker_bytes(const cpv_blip_worker *w); /* of caches and arena */
/* How long it has looked at images in all, in nanoseconds; on a GPU, to ask for it. */
int64_t cpv_blip_worker_looked(const cpv_blip_worker *w);

struct cpv_blip_image {
    uint64_t number;     /* names it to emit, and to the random numbers of sampling */
    const float *pixels; /* [3 * image * image], planes; valid until the next `next` */
};

/*
 * The next image: 1; 0, there are no more; a code of error.h ends the call. `wait`: there
 * is nothing else to do; otherwise it may say CPV_BLIP_LATER, none is ready yet, and is
 * asked again.
 */
enum { CPV_BLIP_LATER = 2 };
typedef int cpv_blip_next(void *arg, bool wait, struct cpv_blip_image *out,
                          struct cpv_err *err);

/*
 * Called once for each image, as soon as all its captions are there, in any order of
 * images: beam[i] holds the results for prompt i (cpv_beam_best). A value other than 0
 * stops the call and is returned.
 */
typedef int cpv_blip_emit(void *arg, uint64_t number, const cpv_beam *const *beam, int n,
                          struct cpv_err *err);

CPV_MUST_CHECK int cpv_blip_caption(cpv_blip_worker *w, const struct cpv_prompt *prompt,
                                    int n, cpv_blip_next *next, cpv_blip_emit *emit,
                                    void *arg, struct cpv_err *err);

/* ---- for tests ---- */

/* Vision states [tokens, width] of an image. */
CPV_MUST_CHECK int cpv_blip_states(const cpv_blip *m, const float *pixels, float *states,
                                   struct cpv_err *err);
/* Teacher forcing: logits [n, vocab] that follow each prefix of ids (bos first). */
CPV_MUST_CHECK int cpv_blip_logits(const cpv_blip *m, const float *pixels,
                                   const int32_t *ids, int n, float *logits,
                                   struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
