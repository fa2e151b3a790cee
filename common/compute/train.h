/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What training needs beside the operations of compute.h: dropout, the loss, the
 * optimizer.
 *
 *     cpv_tape_start(c); text = cpv_l2norm(c, model(c, ...)); cpv_tape_stop(c)
 *     loss = cpv_contrastive(c, image, text, scale)       the gradient of text comes
 * along cpv_backward(c, text, loss.dtext) cpv_adam(c, w, which, m, v, &how) ...
 * cpv_weight_refresh(c, w)
 */
#ifndef CPV_COMPUTE_TRAIN_H
#define CPV_COMPUTE_TRAIN_H

#include "common/compute/compute.h"
#include "common/compute/tape.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Chance by counting (Salmon et al. 2011: Philox): a number is a function of its place,
 * (seed, step, operation, sample, position in the sample, channel), and of nothing else.
 * Packed, padded, whole and accumulated batches draw the same, and so does a segment that
 * is run again.
 */
struct cpv_dice {
    uint64_t seed, step;
    int64_t first; /* the number in the whole batch of the first sequence of rows */
};

/*
 * x with each value 0 with probability p, else x / (1 - p). `operation` tells the places
 * of a model apart. p: 0 (x itself) ... below 1.
 */
cpv_tensor cpv_dropout(cpv_compute *c, cpv_tensor x, cpv_rows rows, float p,
                       const struct cpv_dice *dice, uint32_t operation);

/* cpv_self_attention with dropout of its weights behind the softmax; channel is (head,
 * key). */
cpv_tensor cpv_self_attention_dropout(cpv_compute *c, cpv_tensor q, cpv_tensor k,
                                      cpv_tensor v, cpv_rows rows, struct cpv_heads heads,
                                      float p, const struct cpv_dice *dice,
                                      uint32_t operation);

/* x W^T + b + scale * (lora_x A^T) B^T: where the pair's input has dropout of its own. */
cpv_tensor cpv_linear_pair(cpv_compute *c, cpv_tensor x, cpv_tensor lora_x,
                           const cpv_weight *w);

/* The mean of the rows of each sequence: [rows.total, d] -> [rows.count, d]. An empty one
 * gives zeros. */
cpv_tensor cpv_mean(cpv_compute *c, cpv_tensor x, cpv_rows rows);

/*
 * Symmetric InfoNCE (Radford et al. 2021) of unit vectors, pair i with pair i: the mean
 * of the cross-entropies of s I T^T by rows and by columns, s = exp(scale). It is no
 * operation of the tape: the gradient of the texts comes along, and that of scale is
 * added to its weight's if it is trained. Images are constants (LiT).
 */
enum {
    CPV_LOSS,        /* the loss */
    CPV_LOSS_TEXTS,  /* share of texts whose own image is the most similar */
    CPV_LOSS_IMAGES, /* and of images */
    CPV_LOSS_FIGURES
};
struct cpv_contrastive {
    cpv_tensor figures; /* f32 [1, CPV_LOSS_FIGURES] */
    cpv_tensor dtext;   /* [n, d] */
};
/* image, text: [n, d]; scale: TABLE [1, 1], the logarithm. */
struct cpv_contrastive cpv_contrastive(cpv_compute *c, cpv_tensor image, cpv_tensor text,
                                       const cpv_weight *scale);

/*
 * One step of Adam (Kingma & Ba 2015) as torch.optim.Adam, or AdamW with `decoupled`
 * (Loshchilov & Hutter 2019), on a trained parameter and its gradient; m and v (f32, like
 * the parameter) are the caller's, zeros before the first.
 */
struct cpv_adam {
    double lr, beta1, beta2, eps, decay;
    bool decoupled;
    int64_t t; /* this step's number, from 1 */
};
void cpv_adam(cpv_compute *c, const cpv_weight *w, cpv_param which, cpv_tensor m,
              cpv_tensor v, const struct cpv_adam *how);
/* f32 zeros in the arena. */
cpv_tensor cpv_zeros(cpv_compute *c, int64_t rows, int64_t cols);
/* All gradients of w to zero. */
void cpv_weight_clear(cpv_compute *c, const cpv_weight *w);
/* A trained parameter held within [low, high]. */
void cpv_weight_clamp(cpv_compute *c, const cpv_weight *w, cpv_param which, float low,
                      float high);
/* New values of a trained parameter, rows * cols, from the host; follow with
 * cpv_weight_refresh. cpv_get reads it. */
void cpv_weight_set(cpv_compute *c, const cpv_weight *w, cpv_param which,
                    const float *from);
/* The sum of the squares of a trained parameter's gradient: f32 [1, 1]. */
cpv_tensor cpv_weight_grad_square(cpv_compute *c, const cpv_weight *w, cpv_param which);
/* The gradient times a factor. */
void cpv_weight_grad_scale(cpv_compute *c, const cpv_weight *w, cpv_param which,
                           float factor);

#ifdef __cplusplus
}
#endif
#endif
