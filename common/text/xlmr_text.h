/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokenizer of XLM-R (sentencepiece.bpe.model), as transformers 4.57's
 * XLMRobertaTokenizer: ids are SentencePiece's numbers plus 1, with <s> 0, <pad> 1, </s>
 * 2, <unk> 3 in front and <mask> at the end, as fairseq numbered them.
 *
 *     open, encode_caption ..., close
 *
 * Any number of threads may use one handle at a time.
 */
#ifndef CPV_TEXT_XLMR_TEXT_H
#define CPV_TEXT_XLMR_TEXT_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/text/ids.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CPV_XLMR_BOS = 0,
    CPV_XLMR_PAD = 1,
    CPV_XLMR_EOS = 2,
    CPV_XLMR_UNK = 3,
    CPV_XLMR_CONTEXT = 77 /* tokens that the reference's text tower reads */
};

typedef struct cpv_xlmr_text cpv_xlmr_text;

/* `path` is the model's file. */
CPV_MUST_CHECK int cpv_xlmr_text_open(cpv_xlmr_text **out, const char *path,
                                      struct cpv_err *err);
void cpv_xlmr_text_close(cpv_xlmr_text **t);

/*
 * <s>, the text's ids, </s>, appended. Of more than `most` ids in all the text's last
 * ones are left out; </s> stays. most 0: no limit; else at least 2. There is no padding:
 * who wants rows of one length appends CPV_XLMR_PAD.
 */
CPV_MUST_CHECK int cpv_xlmr_text_encode(const cpv_xlmr_text *t, struct cpv_bytes text,
                                        size_t most, struct cpv_ids *ids,
                                        struct cpv_err *err);
/* The same for a caption as the reference treats it: cleaned first (clean.h). */
CPV_MUST_CHECK int cpv_xlmr_text_encode_caption(const cpv_xlmr_text *t,
                                                struct cpv_bytes caption, size_t most,
                                                struct cpv_ids *ids, struct cpv_err *err);

/* The text of ids without special tokens, appended; for reading by people. */
CPV_MUST_CHECK int cpv_xlmr_text_decode(const cpv_xlmr_text *t, const int32_t *ids,
                                        size_t n, struct cpv_buf *out,
                                        struct cpv_err *err);

int32_t cpv_xlmr_text_size(const cpv_xlmr_text *t); /* <mask> + 1: 250,002 for XLM-R */

#ifdef __cplusplus
}
#endif
#endif
