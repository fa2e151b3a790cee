/* SPDX-License-Identifier: Apache-2.0 */
/* The activations that models have, as every backend and every kernel names them. */
#ifndef CPV_COMPUTE_ACT_H
#define CPV_COMPUTE_ACT_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpv_act {
    CPV_ACT_NONE,
    CPV_ACT_RELU,
    CPV_ACT_GELU,       /* x / 2 * (1 + erf(x / sqrt(2))): BERT, BLIP, ViT, XLM-R */
    CPV_ACT_GELU_TANH,  /* the approximation by tanh that GPT-2 began with */
    CPV_ACT_SILU,       /* x / (1 + exp(-x)), also called swish: Marian */
    CPV_ACT_QUICK_GELU, /* x / (1 + exp(-1.702 x)): OpenAI's CLIP */
    CPV_ACT_COUNT
} cpv_act;

#ifdef __cplusplus
}
#endif
#endif
