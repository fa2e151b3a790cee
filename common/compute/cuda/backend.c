/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend's table, and the way from the structs of operations to launchers: weights
 * and caches become addresses.
 */
#include "common/compute/cuda/internal.h"

#include <cuda_runtime_api.h>

static cpv_stream stream_of(const cpv_compute *c)
{
    return cpv_cuda_context_of(c)->stream;
}

static int done(const cpv_compute *c, int e, struct cpv_err *err)
{
    return e ? cpv_cuda_fail(err, e, cpv_cuda_device_of(c->device)->index,
                             "start a kernel")
             : CPV_OK;
}

static struct cpv_cuda_slots slots_of(const cpv_kv *kv, int layer)
{
    struct cpv_cuda_slots s = {.k = cpv_kv_layer(kv, layer, 0),
                               .v = cpv_kv_layer(kv, layer, 1),
                               .table = kv->table,
                               .length = kv->length,
                               .capacity = kv->p.capacity,
                               .fixed = kv->p.fixed};

    return s;
}

/* Operations without weights and caches go to their launchers as they are. */
#define CPV_CUDA_PLAIN(name)                                                             \
    static int run_##name(cpv_compute *c, const struct cpv_op *op, void *scratch,        \
                          struct cpv_err *err)                                           \
    {                                                                                    \
        (void)scratch;                                                                   \
        return done(c, cpv_cuda_##name(stream_of(c), &op->name), err);                   \
    }

CPV_CUDA_PLAIN(add)
CPV_CUDA_PLAIN(argmax)
CPV_CUDA_PLAIN(copy)
CPV_CUDA_PLAIN(fill)
CPV_CUDA_PLAIN(gather)
CPV_CUDA_PLAIN(l2norm)
CPV_CUDA_PLAIN(mean)
CPV_CUDA_PLAIN(patches)
CPV_CUDA_PLAIN(positions)
CPV_CUDA_PLAIN(similarity)
CPV_CUDA_PLAIN(softmax)
CPV_CUDA_PLAIN(topk)
CPV_CUDA_PLAIN(unary)

static int run_attention(cpv_compute *c, const struct cpv_op *op, void *scratch,
                         struct cpv_err *err)
{
    const struct cpv_op_attention *a = &op->attention;
    struct cpv_cuda_slots slots = {0};

    (void)scratch;
    if (a->kv)
        slots = slots_of(a->kv, a->layer);
    return done(c, cpv_cuda_attention(stream_of(c), a, a->kv ? &slots : NULL), err);
}

static int run_embed(cpv_compute *c, const struct cpv_op *op, void *scratch,
                     struct cpv_err *err)
{
    const struct cpv_op_embed *e = &op->embed;

    (void)scratch;
    return done(c,
                cpv_cuda_embed(stream_of(c), e, cpv_cuda_table_of(e->table),
                               cpv_cuda_table_of(e->positions)),
                err);
}

static int run_kv_extend(cpv_compute *c, const struct cpv_op *op, void *scratch,
                         struct cpv_err *err)
{
    struct cpv_cuda_slots slots = slots_of(op->kv_extend.kv, 0);

    (void)scratch;
    return done(c, cpv_cuda_kv_extend(stream_of(c), &op->kv_extend, &slots), err);
}

static int run_kv_fork(cpv_compute *c, const struct cpv_op *op, void *scratch,
                       struct cpv_err *err)
{
    struct cpv_cuda_slots slots = slots_of(op->kv_fork.kv, 0);

    return done(c, cpv_cuda_kv_fork(stream_of(c), &op->kv_fork, &slots, scratch), err);
}

static int run_kv_write(cpv_compute *c, const struct cpv_op *op, void *scratch,
                        struct cpv_err *err)
{
    struct cpv_cuda_slots slots = slots_of(op->kv_write.kv, op->kv_write.layer);

    (void)scratch;
    return done(c, cpv_cuda_kv_write(stream_of(c), &op->kv_write, &slots), err);
}

static int run_layernorm(cpv_compute *c, const struct cpv_op *op, void *scratch,
                         struct cpv_err *err)
{
    const struct cpv_cuda_weight *w = cpv_cuda_weight_of(op->layernorm.w);

    (void)scratch;
    return done(
        c, cpv_cuda_layernorm(stream_of(c), &op->layernorm, w->matrix.t.data, w->bias),
        err);
}

static int run_tokens(cpv_compute *c, const struct cpv_op *op, void *scratch,
                      struct cpv_err *err)
{
    const struct cpv_op_tokens *t = &op->tokens;

    (void)scratch;
    return done(c,
                cpv_cuda_tokens(stream_of(c), t, cpv_cuda_table_of(t->first),
                                cpv_cuda_table_of(t->positions)),
                err);
}

const struct cpv_backend cpv_backend_cuda = {
    .name = "cuda",
    .weights = 1u << CPV_F32 | 1u << CPV_BF16 | 1u << CPV_F16,
    .values = 1u << CPV_F32 | 1u << CPV_BF16 | 1u << CPV_F16,
    .keeps_rows = true,
    .device_open = cpv_cuda_device_open,
    .device_close = cpv_cuda_device_close,
    .compute_open = cpv_cuda_compute_open,
    .compute_close = cpv_cuda_compute_close,
    .alloc = cpv_cuda_alloc,
    .free = cpv_cuda_free,
    .write = cpv_cuda_write,
    .weight_bytes = cpv_cuda_weight_bytes,
    .weight_pack = cpv_cuda_weight_pack,
    .weight_free = cpv_cuda_weight_free,
    .weight_refresh = cpv_cuda_weight_refresh,
    .copy_in = cpv_cuda_copy_in,
    .copy_out = cpv_cuda_copy_out,
    .sync = cpv_cuda_sync,
    .scratch = cpv_cuda_scratch,
    .scratch_back = cpv_cuda_scratch_back,
    .run =
        {
            [CPV_OP_ADD] = run_add,
            [CPV_OP_ARGMAX] = run_argmax,
            [CPV_OP_ATTENTION] = run_attention,
            [CPV_OP_COPY] = run_copy,
            [CPV_OP_EMBED] = run_embed,
            [CPV_OP_FILL] = run_fill,
            [CPV_OP_GATHER] = run_gather,
            [CPV_OP_KV_EXTEND] = run_kv_extend,
            [CPV_OP_KV_FORK] = run_kv_fork,
            [CPV_OP_KV_WRITE] = run_kv_write,
            [CPV_OP_L2NORM] = run_l2norm,
            [CPV_OP_LAYERNORM] = run_layernorm,
            [CPV_OP_LINEAR] = cpv_cuda_linear,
            [CPV_OP_MEAN] = run_mean,
            [CPV_OP_PATCHES] = run_patches,
            [CPV_OP_POSITIONS] = run_positions,
            [CPV_OP_SIMILARITY] = run_similarity,
            [CPV_OP_SOFTMAX] = run_softmax,
            [CPV_OP_TOKENS] = run_tokens,
            [CPV_OP_TOPK] = run_topk,
            [CPV_OP_UNARY] = run_unary,
        },
    .back =
        {
            [CPV_OP_ADD] = cpv_cuda_add_back,
            [CPV_OP_LAYERNORM] = cpv_cuda_layernorm_backward,
            [CPV_OP_LINEAR] = cpv_cuda_linear_back,
            [CPV_OP_UNARY] = cpv_cuda_unary_backward,
        },
};
