/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokenizer of Marian models (OPUS-MT), as transformers 4.57's MarianTokenizer: the
 * same ids and the same text.
 *
 *     open, encode and decode ..., close
 *
 * The folder holds source.spm, target.spm and vocab.json, for models whose two sides have
 * vocabularies of their own (`separate_vocabs`) target_vocab.json too, and most often
 * tokenizer_config.json. Ids are those of vocab.json: what the pieces' numbers are in the
 * SentencePiece models does not matter.
 *
 * A text may begin with a label that says into which language, ">>por<<", with or without
 * a blank behind it. Of invalid UTF-8 each maximal invalid part is U+FFFD.
 *
 * Any number of threads may use one handle at a time.
 */
#ifndef CPV_TEXT_MARIAN_TEXT_H
#define CPV_TEXT_MARIAN_TEXT_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/text/ids.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_marian_text cpv_marian_text;

CPV_MUST_CHECK int cpv_marian_text_open(cpv_marian_text **out, const char *folder,
                                        struct cpv_err *err);
void cpv_marian_text_close(cpv_marian_text **t);

/* The ids of a text, appended, with </s> at the end; of an empty text </s> alone. */
CPV_MUST_CHECK int cpv_marian_text_encode(const cpv_marian_text *t, struct cpv_bytes text,
                                          struct cpv_ids *ids, struct cpv_err *err);

/*
 * The text of ids that the model made, appended: special tokens are left out, an id that
 * nothing has counts as <unk>. Clean-up of blanks is done where the tokenizer's
 * configuration asks for it.
 */
CPV_MUST_CHECK int cpv_marian_text_decode(const cpv_marian_text *t, const int32_t *ids,
                                          size_t n, struct cpv_buf *out,
                                          struct cpv_err *err);

int32_t cpv_marian_text_eos(const cpv_marian_text *t);
int32_t cpv_marian_text_pad(const cpv_marian_text *t);
int32_t cpv_marian_text_unknown(const cpv_marian_text *t);
int32_t cpv_marian_text_size(const cpv_marian_text *t); /* the highest source id + 1 */
/* The id of a token as it stands in the vocabulary (">>por<<"); -1: there is none. */
int32_t cpv_marian_text_id(const cpv_marian_text *t, struct cpv_bytes token);

#ifdef __cplusplus
}
#endif
#endif
