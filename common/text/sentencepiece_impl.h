/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between sentencepiece.c and the C++ library: plain C functions, through which no
 * exception passes. `why` gets one line where the result is SPM_REFUSED.
 */
#ifndef CPV_TEXT_SENTENCEPIECE_IMPL_H
#define CPV_TEXT_SENTENCEPIECE_IMPL_H

#include "common/text/sentencepiece.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CPV_SPM_OK = 0, CPV_SPM_REFUSED = -1, CPV_SPM_MEMORY = -2, CPV_SPM_WHY = 200 };

struct cpv_spm; /* a loaded model of the library's */

/* The model must have passed cpv_spm_check. */
int cpv_spm_load(struct cpv_spm **out, struct cpv_bytes model, char why[CPV_SPM_WHY]);
void cpv_spm_free(struct cpv_spm *m);
int cpv_spm_encode(const struct cpv_spm *m, struct cpv_bytes text,
                   cpv_sentencepiece_take *take, void *user, char why[CPV_SPM_WHY]);
int cpv_spm_decode(const struct cpv_spm *m, const struct cpv_bytes *pieces, size_t n,
                   struct cpv_buf *out, char why[CPV_SPM_WHY]);
int32_t cpv_spm_count(const struct cpv_spm *m);
int32_t cpv_spm_unknown(const struct cpv_spm *m);
int32_t cpv_spm_id(const struct cpv_spm *m, struct cpv_bytes piece);
struct cpv_bytes cpv_spm_piece(const struct cpv_spm *m, int32_t id);
int cpv_spm_is_byte(const struct cpv_spm *m, int32_t id);

/* Is that a model which the library can be trusted with? (sentencepiece_check.c) */
int cpv_spm_check(struct cpv_bytes model, const char *name, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
