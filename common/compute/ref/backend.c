/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/ref/ref.h"

static int ref_device_open(cpv_device *d, const struct cpv_device_params *params,
                           struct cpv_err *err)
{
    (void)d;
    (void)params;
    (void)err;
    return CPV_OK;
}

static void ref_device_close(cpv_device *d)
{
    (void)d;
}

static int ref_compute_open(cpv_compute *c, const struct cpv_compute_params *params,
                            struct cpv_err *err)
{
    (void)c;
    (void)params;
    (void)err;
    return CPV_OK;
}

static void ref_compute_close(cpv_compute *c)
{
    (void)c;
}

const struct cpv_backend cpv_backend_ref = {
    .name = "ref",
    .weights = 1u << CPV_F32 | 1u << CPV_I8,
    .values = 1u << CPV_F32,
    .keeps_rows = true,
    .lora_x = true,
    .drops = true,
    .device_open = ref_device_open,
    .device_close = ref_device_close,
    .compute_open = ref_compute_open,
    .compute_close = ref_compute_close,
    .alloc = cpv_host_alloc,
    .free = cpv_host_free,
    .write = cpv_host_write,
    .weight_bytes = ref_weight_bytes,
    .weight_pack = ref_weight_pack,
    .weight_free = ref_weight_free,
    .weight_refresh = ref_weight_refresh,
    .copy_in = cpv_host_copy_in,
    .copy_out = cpv_host_copy_out,
    .sync = cpv_host_sync,
    .scratch = ref_scratch,
    .scratch_back = ref_scratch_back,
    .run =
        {
            [CPV_OP_ADAM] = ref_adam,       [CPV_OP_ADD] = ref_add,
            [CPV_OP_ARGMAX] = ref_argmax,   [CPV_OP_ATTENTION] = ref_attention,
            [CPV_OP_CLAMP] = ref_clamp,     [CPV_OP_CONTRASTIVE] = ref_contrastive,
            [CPV_OP_COPY] = ref_copy,       [CPV_OP_DROPOUT] = ref_dropout,
            [CPV_OP_EMBED] = ref_embed,     [CPV_OP_FILL] = ref_fill,
            [CPV_OP_GATHER] = ref_gather,   [CPV_OP_KV_EXTEND] = ref_kv_extend,
            [CPV_OP_KV_FORK] = ref_kv_fork, [CPV_OP_KV_WRITE] = ref_kv_write,
            [CPV_OP_L2NORM] = ref_l2norm,   [CPV_OP_LAYERNORM] = ref_layernorm,
            [CPV_OP_LINEAR] = ref_linear,   [CPV_OP_MEAN] = ref_mean,
            [CPV_OP_PATCHES] = ref_patches, [CPV_OP_POSITIONS] = ref_positions,
            [CPV_OP_SCALE] = ref_scale,     [CPV_OP_SIMILARITY] = ref_similarity,
            [CPV_OP_SOFTMAX] = ref_softmax, [CPV_OP_SQUARES] = ref_squares,
            [CPV_OP_TOKENS] = ref_tokens,   [CPV_OP_TOPK] = ref_topk,
            [CPV_OP_UNARY] = ref_unary,
        },
    .back =
        {
            [CPV_OP_ADD] = ref_add_back,
            [CPV_OP_ATTENTION] = ref_attention_back,
            [CPV_OP_DROPOUT] = ref_dropout_back,
            [CPV_OP_EMBED] = ref_embed_back,
            [CPV_OP_GATHER] = ref_gather_back,
            [CPV_OP_L2NORM] = ref_l2norm_back,
            [CPV_OP_LAYERNORM] = ref_layernorm_back,
            [CPV_OP_LINEAR] = ref_linear_back,
            [CPV_OP_MEAN] = ref_mean_back,
            [CPV_OP_SIMILARITY] = ref_similarity_back,
            [CPV_OP_SOFTMAX] = ref_softmax_back,
            [CPV_OP_TOKENS] = ref_tokens_back,
            [CPV_OP_UNARY] = ref_unary_back,
        },
};
