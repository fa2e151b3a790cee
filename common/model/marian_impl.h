/* SPDX-License-Identifier: Apache-2.0 */
/* Between marian.c (the network), marian_load.c and marian_decode.c; nobody else's. */
#ifndef CPV_MODEL_MARIAN_IMPL_H
#define CPV_MODEL_MARIAN_IMPL_H

#include "common/model/arch.h"
#include "common/model/layers.h"
#include "common/model/marian.h"
#include "common/model/params.h"

#ifdef __cplusplus
extern "C" {
#endif

struct marian_encoder_layer {
    struct cpv_self_attn self;
    struct cpv_layer_norm self_norm;
    struct cpv_mlp mlp;
    struct cpv_layer_norm norm;
};

struct marian_decoder_layer {
    struct cpv_self_attn self;
    struct cpv_layer_norm self_norm;
    struct cpv_cross_attn cross;
    struct cpv_layer_norm cross_norm;
    struct cpv_mlp mlp;
    struct cpv_layer_norm norm;
};

struct cpv_marian {
    cpv_device *device;
    struct cpv_marian_config config;
    struct cpv_arch_model arch;
    cpv_params *params;
    char *folder;
    const cpv_weight *source, *target, *head; /* tables [vocab, d]; head may be target */
    const cpv_weight *source_positions, *target_positions;
    struct marian_encoder_layer *encoder;
    struct marian_decoder_layer *decoder;
};

/* Packed sentences to memories [rows.total, d_model]. */
cpv_tensor marian_encode(cpv_compute *c, const cpv_marian *m, cpv_tensor ids,
                         cpv_rows rows);
/* Memories into the slots of the last extend of `memory`. */
void marian_remember(cpv_compute *c, const cpv_marian *m, cpv_tensor encoded,
                     cpv_kv *memory);
/* New tokens of each sequence: hidden states [rows.total, d_model]. */
cpv_tensor marian_decode(cpv_compute *c, const cpv_marian *m, cpv_tensor ids,
                         cpv_rows rows, cpv_kv *history, cpv_slots slots,
                         const cpv_kv *memory, cpv_slots memories);

#ifdef __cplusplus
}
#endif
#endif
