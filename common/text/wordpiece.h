/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WordPiece with BERT's basic tokenizer (BLIP's captions), as transformers 4.57's
 * BertTokenizer: control characters go, CJK stands alone, case and accents go (unless
 * tokenizer_config.json says `do_lower_case` false), punctuation is split off, the rest
 * is cut greedily into the longest pieces of vocab.txt.
 *
 *     open, encode and decode ..., close
 *
 * Categories are those of the installed utf8proc (Unicode 15 in Debian 12): characters
 * that became assigned since the Unicode of the Python in question may differ.
 *
 * Any number of threads may use one handle at a time.
 */
#ifndef CPV_TEXT_WORDPIECE_H
#define CPV_TEXT_WORDPIECE_H

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/text/ids.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_wordpiece cpv_wordpiece;

/* The folder holds vocab.txt and perhaps tokenizer_config.json. */
CPV_MUST_CHECK int cpv_wordpiece_open(cpv_wordpiece **out, const char *folder,
                                      struct cpv_err *err);
void cpv_wordpiece_close(cpv_wordpiece **t);

/* [CLS], the text's ids, [SEP], appended. */
CPV_MUST_CHECK int cpv_wordpiece_encode(const cpv_wordpiece *t, struct cpv_bytes text,
                                        struct cpv_ids *ids, struct cpv_err *err);

/*
 * The text of ids, appended: special tokens and ids that nothing has are left out, blanks
 * cleaned up unless tokenizer_config.json says not to.
 */
CPV_MUST_CHECK int cpv_wordpiece_decode(const cpv_wordpiece *t, const int32_t *ids,
                                        size_t n, struct cpv_buf *out,
                                        struct cpv_err *err);

/* The id of a token as it stands in the vocabulary ("[SEP]"); -1: there is none. */
int32_t cpv_wordpiece_id(const cpv_wordpiece *t, struct cpv_bytes token);

#ifdef __cplusplus
}
#endif
#endif
