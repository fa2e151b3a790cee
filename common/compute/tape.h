/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backward: operations are recorded while a tape runs, then walked in reverse.
 *
 *     cpv_tape_start(c); x = cpv_watch(c, x); y = model(c, x); cpv_tape_stop(c)
 *     cpv_backward(c, y, dy)      adds to cpv_weight_grad of every trained weight
 *     dx = cpv_grad(c, x)         of watched inputs
 *     cpv_tape_clear(c); rewind
 *
 * All sums are made in a fixed order: the bits do not depend on threads. What no trained
 * weight and no watched input depends on is not recorded. Gradients of weights are f32,
 * those of activations have their dtype.
 *
 * A segment (gradient checkpointing; Chen et al., arXiv 1604.06174) keeps only its input
 * and output; backward runs it again. It must be a function of its input, its argument
 * and the weights: nothing that changes between.
 */
#ifndef CPV_COMPUTE_TAPE_H
#define CPV_COMPUTE_TAPE_H

#include "common/compute/compute.h"

#ifdef __cplusplus
extern "C" {
#endif

void cpv_tape_start(cpv_compute *c);
void cpv_tape_stop(cpv_compute *c);
/* Forget all that was recorded. Before the context is rewound past any of it. */
void cpv_tape_clear(cpv_compute *c);

/* x, as a value whose gradient is wanted. */
cpv_tensor cpv_watch(cpv_compute *c, cpv_tensor x);

/* Host memory that lasts until the context is rewound past here, for the argument of a
 * segment; NULL after a failure. */
void *cpv_compute_host(cpv_compute *c, size_t size);

typedef cpv_tensor cpv_segment_fn(cpv_compute *c, void *arg, cpv_tensor x);
cpv_tensor cpv_segment(cpv_compute *c, cpv_segment_fn *fn, void *arg, cpv_tensor x);

/* dy: the gradient of some number with respect to y, like y. Once a tape. */
void cpv_backward(cpv_compute *c, cpv_tensor y, cpv_tensor dy);
/* The gradient of a watched value after backward; no tensor if nothing came back to it.
 */
cpv_tensor cpv_grad(cpv_compute *c, cpv_tensor x);

#ifdef __cplusplus
}
#endif
#endif
