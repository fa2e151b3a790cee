/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back through attention over packed sequences: one call of the kernel for each head of
 * each sequence. Where sequences share keys, a head's are one thread's, in order, because
 * they add to the same rows.
 */
#include "common/compute/cpu/cpu.h"

struct job {
    const struct cpv_kernels *k;
    const struct cpv_op_attention *a, *g;
    bool own; /* each sequence looks at itself alone */
    char *room;
    size_t each; /* bytes of room: a thread's own */
};

static size_t thread_bytes(const cpv_compute *c, const struct cpv_op_attention *a)
{
    return cpu_aligned(cpu_k(c)->attention_dx_scratch((size_t)a->rows.longest,
                                                      (size_t)a->longest_kv,
                                                      (size_t)(a->q.cols / a->heads)) *
                       sizeof(float));
}

size_t cpu_attention_back_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    return (size_t)c->threads * thread_bytes(c, &op->attention);
}

static float *head_of(cpv_tensor t, int64_t row, int64_t at)
{
    return t.data ? cpv_f32(t, row) + at : NULL;
}

/* Gradients of k and of v lie in tensors of one width nearly always. */
static void call(const struct job *job, const struct cpv_attention *h,
                 struct cpv_attention_grad *g, float *scratch)
{
    float *dv = g->dv;

    if (g->dk && dv && job->g->k.stride != job->g->v.stride) {
        g->dv = NULL;
        job->k->attention_dx(h, g, scratch);
        g->dq = g->dk = NULL;
        g->dv = dv;
    }
    g->dkv_stride = (size_t)(g->dk ? job->g->k.stride : job->g->v.stride);
    job->k->attention_dx(h, g, scratch);
}

static void one_head(const struct job *job, int32_t sequence, int64_t at, float *scratch)
{
    const struct cpv_op_attention *a = job->a, *g = job->g;
    int32_t from = a->source.data ? *cpv_i32(a->source, sequence) : sequence;
    int64_t row = a->rows.offset[sequence], key = a->kv_rows.offset[from];
    int64_t dh = a->q.cols / a->heads;
    struct cpv_drop drop = {&a->drop, a->drop.first + (uint32_t)sequence, 0,
                            (uint32_t)(at / dh)};
    struct cpv_attention h = {.nq = (size_t)(a->rows.offset[sequence + 1] - row),
                              .nkv = (size_t)(a->kv_rows.offset[from + 1] - key),
                              .dh = (size_t)dh,
                              .causal = a->causal,
                              .scale = a->scale,
                              .q = cpv_f32(a->q, row) + at,
                              .q_stride = (size_t)a->q.stride,
                              .k = cpv_f32(a->k, key) + at,
                              .v = cpv_f32(a->v, key) + at,
                              .kv_stride = (size_t)a->k.stride,
                              .out = cpv_f32(a->out, row) + at,
                              .out_stride = (size_t)a->out.stride,
                              .lse = cpv_f32(a->lse, row) + at / dh,
                              .lse_stride = (size_t)a->lse.stride};
    struct cpv_attention_grad d = {.dout = cpv_f32(g->out, row) + at,
                                   .dout_stride = (size_t)g->out.stride,
                                   .dq = head_of(g->q, row, at),
                                   .dq_stride = (size_t)g->q.stride,
                                   .dk = head_of(g->k, key, at),
                                   .dv = head_of(g->v, key, at),
                                   .dkv_stride = (size_t)g->k.stride};

    h.prefix = h.nkv;
    h.drop = a->drop.below ? &drop : NULL;
    if (h.nq && h.nkv)
        call(job, &h, &d, scratch);
}

/* Items are heads, or where sequences do not meet, heads of sequences. */
static void some_heads(void *arg, int64_t first, int64_t end, int who)
{
    const struct job *job = arg;
    const struct cpv_op_attention *a = job->a;
    float *scratch = (float *)(void *)(job->room + (size_t)who * job->each);
    int64_t dh = a->q.cols / a->heads;

    for (int64_t item = first; item < end; item++) {
        int32_t i = job->own ? (int32_t)(item / a->heads) : 0;
        int32_t last = job->own ? i + 1 : a->rows.count;

        for (; i < last; i++)
            one_head(job, i, item % a->heads * dh, scratch);
    }
}

CPU_BACK(attention)
{
    const struct cpv_op_attention *a = &op->attention;
    struct job job = {.k = cpu_k(c),
                      .a = a,
                      .g = &grad->attention,
                      .own = !a->source.data && a->rows.offset == a->kv_rows.offset,
                      .room = scratch,
                      .each = thread_bytes(c, a)};

    (void)err;
    cpv_team_run(cpu_team(c), job.own ? (int64_t)a->rows.count * a->heads : a->heads,
                 some_heads, &job);
    return CPV_OK;
}
