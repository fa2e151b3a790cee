/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/compute/cpu/cpu.h"

const struct cpv_kernels *cpu_kernels(const cpv_device *d)
{
    return d->impl ? (const struct cpv_kernels *)d->impl : cpv_kernels_of(cpv_isa_best());
}

static int cpu_device_open(cpv_device *d, const struct cpv_device_params *params,
                           struct cpv_err *err)
{
    cpv_isa isa = cpv_isa_best();

    for (int i = 0; params->isa && i <= CPV_ISA_COUNT; i++) {
        if (i == CPV_ISA_COUNT)
            return cpv_fail(err, CPV_E_USAGE, "no level '%s': expected base, v3 or v4",
                            params->isa);
        if (strcmp(params->isa, cpv_isa_name((cpv_isa)i)) == 0) {
            isa = (cpv_isa)i;
            break;
        }
    }
    /* A table of functions that is only read: the cast takes its const away for the slot.
     */
    d->impl = (void *)(uintptr_t)cpv_kernels_of(isa);
    if (!d->impl)
        return cpv_fail(err, CPV_E_ABSENT, "this processor has no '%s'", params->isa);
    return CPV_OK;
}

static void cpu_device_close(cpv_device *d)
{
    (void)d;
}

static int cpu_compute_open(cpv_compute *c, const struct cpv_compute_params *params,
                            struct cpv_err *err)
{
    cpv_team *team;
    int rc = cpv_team_open(&team, params->threads ? params->threads : 1, err);

    c->impl = team;
    return rc;
}

static void cpu_compute_close(cpv_compute *c)
{
    cpv_team *team = cpu_team(c);

    cpv_team_close(&team);
    c->impl = NULL;
}

static size_t cpu_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    switch (op->kind) {
    case CPV_OP_ATTENTION:
        return cpu_attention_scratch(c, op);
    case CPV_OP_CONTRASTIVE:
        return cpu_contrastive_scratch(c, op);
    case CPV_OP_EMBED:
        return cpu_embed_scratch(c, op);
    case CPV_OP_LINEAR:
        return cpu_linear_scratch(c, op);
    case CPV_OP_SIMILARITY:
        return cpu_similarity_scratch(c, op);
    default:
        return ref_scratch(c, op);
    }
}

static size_t cpu_scratch_back(const cpv_compute *c, const struct cpv_op *op,
                               const struct cpv_op *grad)
{
    (void)grad;
    switch (op->kind) {
    case CPV_OP_ATTENTION:
        return cpu_attention_back_scratch(c, op);
    case CPV_OP_DROPOUT:
        return cpu_rows_back_scratch(c, op->dropout.x);
    case CPV_OP_SIMILARITY:
        return cpu_similarity_back_scratch(c, op);
    case CPV_OP_L2NORM:
        return cpu_rows_back_scratch(c, op->l2norm.x);
    case CPV_OP_SOFTMAX:
        return cpu_rows_back_scratch(c, op->softmax.x);
    case CPV_OP_UNARY:
        return cpu_rows_back_scratch(c, op->unary.x);
    case CPV_OP_LAYERNORM:
        return cpu_layernorm_back_scratch(c, op);
    case CPV_OP_LINEAR:
        return cpu_linear_back_scratch(c, op);
    default:
        return 0;
    }
}

const struct cpv_backend cpv_backend_cpu = {
    .name = "cpu",
    .weights = 1u << CPV_F32 | 1u << CPV_I8,
    .values = 1u << CPV_F32,
    .keeps_rows = true,
    .lora_x = true,
    .drops = true,
    .fresh = 1u << CPV_OP_ADD | 1u << CPV_OP_DROPOUT | 1u << CPV_OP_L2NORM |
             1u << CPV_OP_LAYERNORM | 1u << CPV_OP_LINEAR | 1u << CPV_OP_MEAN |
             1u << CPV_OP_SOFTMAX | 1u << CPV_OP_UNARY,
    .device_open = cpu_device_open,
    .device_close = cpu_device_close,
    .compute_open = cpu_compute_open,
    .compute_close = cpu_compute_close,
    .alloc = cpv_host_alloc,
    .free = cpv_host_free,
    .write = cpv_host_write,
    .weight_bytes = cpu_weight_bytes,
    .weight_pack = cpu_weight_pack,
    .weight_free = cpu_weight_free,
    .weight_refresh = cpu_weight_refresh,
    .copy_in = cpv_host_copy_in,
    .copy_out = cpv_host_copy_out,
    .sync = cpv_host_sync,
    .scratch = cpu_scratch,
    .scratch_back = cpu_scratch_back,
    .run =
        {
            [CPV_OP_ADAM] = cpu_adam,       [CPV_OP_ADD] = cpu_add,
            [CPV_OP_ARGMAX] = cpu_argmax,   [CPV_OP_ATTENTION] = cpu_attention,
            [CPV_OP_CLAMP] = ref_clamp,     [CPV_OP_CONTRASTIVE] = cpu_contrastive,
            [CPV_OP_COPY] = cpu_copy,       [CPV_OP_DROPOUT] = cpu_dropout,
            [CPV_OP_EMBED] = cpu_embed,     [CPV_OP_FILL] = cpu_fill,
            [CPV_OP_GATHER] = ref_gather,   [CPV_OP_KV_EXTEND] = ref_kv_extend,
            [CPV_OP_KV_FORK] = ref_kv_fork, [CPV_OP_KV_WRITE] = ref_kv_write,
            [CPV_OP_L2NORM] = cpu_l2norm,   [CPV_OP_LAYERNORM] = cpu_layernorm,
            [CPV_OP_LINEAR] = cpu_linear,   [CPV_OP_MEAN] = cpu_mean,
            [CPV_OP_PATCHES] = cpu_patches, [CPV_OP_POSITIONS] = ref_positions,
            [CPV_OP_SCALE] = cpu_scale,     [CPV_OP_SIMILARITY] = cpu_similarity,
            [CPV_OP_SOFTMAX] = cpu_softmax, [CPV_OP_SQUARES] = ref_squares,
            [CPV_OP_TOKENS] = cpu_tokens,   [CPV_OP_TOPK] = cpu_topk,
            [CPV_OP_UNARY] = cpu_unary,
        },
    .back =
        {
            [CPV_OP_ADD] = cpu_add_back,
            [CPV_OP_ATTENTION] = cpu_attention_back,
            [CPV_OP_DROPOUT] = cpu_dropout_back,
            [CPV_OP_EMBED] = ref_embed_back,
            [CPV_OP_GATHER] = ref_gather_back,
            [CPV_OP_L2NORM] = cpu_l2norm_back,
            [CPV_OP_LAYERNORM] = cpu_layernorm_back,
            [CPV_OP_LINEAR] = cpu_linear_back,
            [CPV_OP_MEAN] = cpu_mean_back,
            [CPV_OP_SIMILARITY] = cpu_similarity_back,
            [CPV_OP_SOFTMAX] = cpu_softmax_back,
            [CPV_OP_TOKENS] = ref_tokens_back,
            [CPV_OP_UNARY] = cpu_unary_back,
        },
};
