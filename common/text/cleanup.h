/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What transformers does to decoded text where `clean_up_tokenization_spaces` is set:
 * blanks before . ? ! , and before English contractions go, one rule after the other over
 * the whole text.
 */
#ifndef CPV_TEXT_CLEANUP_H
#define CPV_TEXT_CLEANUP_H

#include "common/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In place, what lies behind `from`; the text becomes shorter or stays. */
void cpv_cleanup(struct cpv_buf *text, size_t from);

#ifdef __cplusplus
}
#endif
#endif
