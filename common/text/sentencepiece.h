/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SentencePiece models (source.spm, target.spm, sentencepiece.bpe.model): text to pieces
 * and back, by the library of that name.
 *
 *     open, encode and decode ..., close
 *
 * A model is data of others: before the library sees it, its structure is checked here
 * (lengths, kinds, scores, the tables of its normaliser, whose offsets the library
 * follows unchecked), so that a hostile file is one line and CPV_E_INPUT. Unigram and
 * BPE models, as they are met in translation and XLM-R.
 *
 * Any number of threads may encode and decode with one model. Text is valid UTF-8
 * (cpv_unicode_replace). A piece's own blank is U+2581.
 */
#ifndef CPV_TEXT_SENTENCEPIECE_H
#define CPV_TEXT_SENTENCEPIECE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_sentencepiece cpv_sentencepiece;

CPV_MUST_CHECK int cpv_sentencepiece_open(cpv_sentencepiece **out, const char *path,
                                          struct cpv_err *err);
/* The same from memory, which is not needed afterwards; `name` is for messages. */
CPV_MUST_CHECK int cpv_sentencepiece_read(cpv_sentencepiece **out, struct cpv_bytes model,
                                          const char *name, struct cpv_err *err);
void cpv_sentencepiece_close(cpv_sentencepiece **m);

/*
 * Called for each piece in order. The text is the piece's own, or, where the id is that
 * of unknown text, a run of what the model does not know, normalised. It is valid only
 * during the call.
 */
typedef void cpv_sentencepiece_take(void *user, int32_t id, struct cpv_bytes text);

CPV_MUST_CHECK int cpv_sentencepiece_encode(const cpv_sentencepiece *m,
                                            struct cpv_bytes text,
                                            cpv_sentencepiece_take *take, void *user,
                                            struct cpv_err *err);

/* The text of n pieces, appended. What the model does not know stands for itself. */
CPV_MUST_CHECK int cpv_sentencepiece_decode(const cpv_sentencepiece *m,
                                            const struct cpv_bytes *pieces, size_t n,
                                            struct cpv_buf *out, struct cpv_err *err);

/*
 * The text as the model sees it (its table of characters, blanks collapsed and made
 * U+2581), appended.
 */
CPV_MUST_CHECK int cpv_sentencepiece_normalise(const cpv_sentencepiece *m,
                                               struct cpv_bytes text, struct cpv_buf *out,
                                               struct cpv_err *err);

int32_t cpv_sentencepiece_count(const cpv_sentencepiece *m);
int32_t cpv_sentencepiece_unknown(const cpv_sentencepiece *m); /* id of what is unknown */
/* The id of a piece; the unknown id if there is no such piece. */
int32_t cpv_sentencepiece_id(const cpv_sentencepiece *m, struct cpv_bytes piece);
/* id from 0 to count - 1. Owned by the model. */
struct cpv_bytes cpv_sentencepiece_piece(const cpv_sentencepiece *m, int32_t id);

#ifdef __cplusplus
}
#endif
#endif
