/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte-level BPE (GPT-2 and OPT, BLIP-2's captions), as transformers 4.57's
 * GPT2Tokenizer: text is cut by a regular expression, its bytes are merged in the order
 * of merges.txt, and vocab.json gives ids.
 *
 *     open, encode and decode ..., close
 *
 * Letters and numbers are those of the installed PCRE2 (Unicode 14 in Debian 12).
 *
 * Any number of threads may use one handle at a time.
 */
#ifndef CPV_TEXT_BPE_H
#define CPV_TEXT_BPE_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/text/ids.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_bpe cpv_bpe;

/*
 * The folder holds vocab.json, merges.txt, and perhaps tokenizer_config.json: which
 * begins texts with a token (`add_bos_token`: OPT's </s>) or a blank
 * (`add_prefix_space`).
 */
CPV_MUST_CHECK int cpv_bpe_open(cpv_bpe **out, const char *folder, struct cpv_err *err);
void cpv_bpe_close(cpv_bpe **t);

/* The text's ids, appended. Nothing is put at their end. */
CPV_MUST_CHECK int cpv_bpe_encode(const cpv_bpe *t, struct cpv_bytes text,
                                  struct cpv_ids *ids, struct cpv_err *err);

/*
 * The text of ids, appended: special tokens and ids that nothing has are left out, bytes
 * that are no UTF-8 replaced, blanks cleaned up where tokenizer_config.json says so.
 */
CPV_MUST_CHECK int cpv_bpe_decode(const cpv_bpe *t, const int32_t *ids, size_t n,
                                  struct cpv_buf *out, struct cpv_err *err);

/* The id of a token as it stands in the vocabulary ("</s>"); -1: there is none. */
int32_t cpv_bpe_id(const cpv_bpe *t, struct cpv_bytes token);

#ifdef __cplusplus
}
#endif
#endif
