/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A translator of two layers each side with random weights: the smallest model that uses
 * the front door as the real ones do. The encoder is pre-norm with GELU, packed; the
 * decoder is post-norm over slots, with a tied head.
 *
 *     toy_open
 *       toy_encode, toy_remember     sentences go into the memory of their slots
 *       toy_step                     any mixture of prompts and single tokens
 *       toy_full                     the same logits by one causal pass, without slots
 *     toy_close
 */
#ifndef CPV_TESTS_COMPUTE_TOY_H
#define CPV_TESTS_COMPUTE_TOY_H

#include "common/compute/compute.h"

enum {
    TOY_LAYERS = 2,
    TOY_WIDTH = 32,
    TOY_HEADS = 4,
    TOY_INNER = 56,
    TOY_WORDS = 61,
    TOY_LONGEST = 24
};

struct toy_layer {
    cpv_weight *norm1, *norm2, *norm3; /* norm3, and what is cross: the decoder's */
    cpv_weight *qkv, *out, *cross_q, *cross_kv, *cross_out, *fc1, *fc2;
};

struct toy {
    cpv_device *device;
    cpv_weight *words, *places, *last;
    struct toy_layer enc[TOY_LAYERS], dec[TOY_LAYERS];
    size_t bytes; /* of all weights */
};

/* wrong: the name of a weight that is made one column wider than it should; or NULL. */
int toy_open(struct toy *t, cpv_device *device, const char *wrong, struct cpv_err *err);
void toy_close(struct toy *t);

/* Ids of the sentences, one after another: [rows.total, width]. */
cpv_tensor toy_encode(const struct toy *t, cpv_compute *c, const int32_t *ids,
                      cpv_rows rows);
/* Keys and values of encoded sentences into these slots of a fixed cache. */
void toy_remember(const struct toy *t, cpv_compute *c, cpv_kv *memory, cpv_tensor x,
                  cpv_rows rows, cpv_slots slots);
/* The next tokens of slots: logits of all of them, [rows.total, words]. */
cpv_tensor toy_step(const struct toy *t, cpv_compute *c, cpv_kv *self,
                    const cpv_kv *memory, const int32_t *ids, cpv_rows rows,
                    cpv_slots slots);
cpv_tensor toy_full(const struct toy *t, cpv_compute *c, cpv_tensor encoded,
                    cpv_rows sources, const int32_t *ids, cpv_rows rows);

#endif
