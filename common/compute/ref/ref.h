/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference: every operation in plain C, sums in double, written to be read. What
 * another backend computes is right if it is this, to the tolerance of docs/numerics.md.
 */
#ifndef CPV_COMPUTE_REF_REF_H
#define CPV_COMPUTE_REF_REF_H

#include "common/compute/host.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ref_weight {
    float *matrix;     /* [out, in], or NULL: */
    int8_t *quantised; /* [out, in], and its scales [out] */
    float *scale;
    float *bias;  /* [out], or of a norm [in]; NULL */
    float *a, *b; /* LoRA [r, in], [out, r]; NULL */
};

#define REF_RUN(name)                                                                    \
    int ref_##name(cpv_compute *c, const struct cpv_op *op, void *scratch,               \
                   struct cpv_err *err)
#define REF_BACK(name)                                                                   \
    int ref_##name##_back(cpv_compute *c, const struct cpv_op *op,                       \
                          const struct cpv_op *grad, void *scratch, struct cpv_err *err)

REF_RUN(adam);
REF_RUN(add);
REF_RUN(argmax);
REF_RUN(attention);
REF_RUN(clamp);
REF_RUN(contrastive);
REF_RUN(copy);
REF_RUN(dropout);
REF_RUN(embed);
REF_RUN(fill);
REF_RUN(gather);
REF_RUN(kv_extend);
REF_RUN(kv_fork);
REF_RUN(kv_write);
REF_RUN(l2norm);
REF_RUN(layernorm);
REF_RUN(linear);
REF_RUN(mean);
REF_RUN(patches);
REF_RUN(positions);
REF_RUN(scale);
REF_RUN(similarity);
REF_RUN(softmax);
REF_RUN(squares);
REF_RUN(tokens);
REF_RUN(topk);
REF_RUN(unary);

REF_BACK(add);
REF_BACK(attention);
REF_BACK(dropout);
REF_BACK(embed);
REF_BACK(gather);
REF_BACK(l2norm);
REF_BACK(layernorm);
REF_BACK(linear);
REF_BACK(mean);
REF_BACK(similarity);
REF_BACK(softmax);
REF_BACK(tokens);
REF_BACK(unary);

size_t ref_scratch(const cpv_compute *c, const struct cpv_op *op);
size_t ref_scratch_back(const cpv_compute *c, const struct cpv_op *op,
                        const struct cpv_op *grad);
size_t ref_attention_back_scratch(const struct cpv_op *op);
size_t ref_contrastive_scratch(const struct cpv_op *op);
/* Some elements of an Adam step. */
void ref_adam_some(const struct cpv_adam *h, float *param, const float *grad, float *m,
                   float *v, int64_t n);

size_t ref_weight_bytes(const cpv_device *d, const cpv_weight *w);
int ref_weight_pack(cpv_device *d, cpv_weight *w, const struct cpv_weight_params *params,
                    struct cpv_err *err);
void ref_weight_free(cpv_device *d, cpv_weight *w);
int ref_weight_refresh(cpv_compute *c, cpv_weight *w, struct cpv_err *err);

/* Row i of a table as f32, plain or quantised. */
float ref_table_at(const cpv_weight *w, int64_t row, int64_t col);

/*
 * Symmetric 8 bits, as in docs/numerics.md: scale = largest magnitude / 127 (1 for a row
 * of zeros), q = x / scale to the nearest, ties to even. Returns the scale: NaN where
 * anything is not finite, so that all that comes of the row is NaN.
 */
float ref_quantise(const float *x, int64_t n, int8_t *q);

#ifdef __cplusplus
}
#endif
#endif
