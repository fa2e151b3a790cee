/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights by the table of their architecture (arch.h) instead of by name: the table alone
 * says what they are called, of which shape they are and whether they must be there, to a
 * loader and to `models check`.
 *
 *     struct cpv_bind b = {params, &model}              of params.h; from cpv_arch_read
 *     l->fc1 = cpv_bind_linear(&b, layer, CPV_MARIAN_ENC_FC1)  ...
 *     rc = cpv_params_check(params, err)                the first mistake of all
 *
 * Mistakes are kept as params.h has it; what they give is NULL. `layer` is 0 for what
 * stands outside of layers.
 */
#ifndef CPV_MODEL_BIND_H
#define CPV_MODEL_BIND_H

#include "common/model/arch.h"
#include "common/model/params.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_bind {
    cpv_params *params;
    const struct cpv_arch_model *arch;
};

/* Is it there? For what is optional. */
bool cpv_bind_has(const struct cpv_bind *b, uint64_t layer, uint8_t id);
/* A LINEAR with its bias. */
const cpv_weight *cpv_bind_linear(const struct cpv_bind *b, uint64_t layer, uint8_t id);
/* n of them (at most 4) that share their input and their shape, as one. */
const cpv_weight *cpv_bind_fused(const struct cpv_bind *b, uint64_t layer,
                                 const uint8_t *id, int n);
const cpv_weight *cpv_bind_norm(const struct cpv_bind *b, uint64_t layer, uint8_t id);
/* A LINEAR [out, channels, patch, patch] with its bias, or a MATRIX without. */
const cpv_weight *cpv_bind_patches(const struct cpv_bind *b, uint64_t layer, uint8_t id);
/* A MATRIX or TENSOR [..., cols] as a table. */
const cpv_weight *cpv_bind_table(const struct cpv_bind *b, uint64_t layer, uint8_t id);
/* A MATRIX, or a TENSOR [n] or [a, b], as it is stored. */
const struct cpv_ckpt_tensor *cpv_bind_tensor(const struct cpv_bind *b, uint64_t layer,
                                              uint8_t id);

#ifdef __cplusplus
}
#endif
#endif
