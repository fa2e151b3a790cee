/* SPDX-License-Identifier: Apache-2.0 */
/* Attention: each head of each sequence, or of those that look at the same, is one call
 * of the kernel. */
#include "common/compute/cpu/cpu.h"

struct job {
    const struct cpv_kernels *k;
    const struct cpv_op_attention *a;
    cpv_tensor keys, values;
    char *room;
    size_t each, floats; /* of room: a thread's own; of it, the kernel's, in floats */
};

static size_t kernel_floats(const cpv_compute *c, const struct cpv_op_attention *a)
{
    return cpu_k(c)->attention_scratch((size_t)a->rows.longest, (size_t)a->longest_kv,
                                       (size_t)(a->q.cols / a->heads));
}

/* The kernel's own, and the rows that a table names. */
static size_t thread_bytes(const cpv_compute *c, const struct cpv_op_attention *a)
{
    size_t rows = a->kv ? (size_t)a->longest_kv * sizeof(int32_t) : 0;

    return cpu_aligned(kernel_floats(c, a) * sizeof(float)) + cpu_aligned(rows);
}

size_t cpu_attention_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    return (size_t)c->threads * thread_bytes(c, &op->attention);
}

/* Where the keys of sequence i lie: one after another, or by the table of its slot. */
static int64_t find_keys(const struct job *job, int32_t i, int32_t *rows,
                         struct cpv_attention *h)
{
    const struct cpv_op_attention *a = job->a;
    const int32_t *line;
    int64_t capacity;
    int32_t slot;

    if (!a->kv) {
        int32_t from = a->source.data ? *cpv_i32(a->source, i) : i;

        h->nkv = (size_t)(a->kv_rows.offset[from + 1] - a->kv_rows.offset[from]);
        h->prefix = h->nkv;
        return a->kv_rows.offset[from];
    }
    slot = a->slots.host[i];
    capacity = a->kv->p.capacity;
    h->nkv = (size_t)a->kv->length[slot];
    if (a->kv->p.fixed) {
        h->prefix = h->nkv;
        return slot * capacity;
    }
    line = a->kv->table + slot * capacity;
    for (size_t t = 0; t < h->nkv; t++)
        rows[t] = (int32_t)(line[t] * capacity + (int64_t)t);
    h->prefix = 0;
    h->tail_rows = rows;
    return 0;
}

static void one_head(const struct job *job, struct cpv_attention *h, int64_t row,
                     int64_t first_kv, int head, float *scratch)
{
    const struct cpv_op_attention *a = job->a;
    int64_t at = head * (int64_t)h->dh;

    h->q = cpv_f32(a->q, row) + at;
    h->out = cpv_f32(a->out, row) + at;
    h->lse = a->lse.data ? cpv_f32(a->lse, row) + head : NULL;
    h->k = h->prefix ? cpv_f32(job->keys, first_kv) + at : NULL;
    h->v = h->prefix ? cpv_f32(job->values, first_kv) + at : NULL;
    h->tail_k = h->prefix ? NULL : cpv_f32(job->keys, 0) + at;
    h->tail_v = h->prefix ? NULL : cpv_f32(job->values, 0) + at;
    job->k->attention(h, scratch);
}

/* A sequence without keys looks at nothing: zeros. */
static void no_keys(const struct cpv_op_attention *a, int64_t row, int64_t n, int head,
                    int64_t dh)
{
    for (int64_t i = row; i < row + n; i++) {
        for (int64_t j = 0; j < dh; j++)
            cpv_f32(a->out, i)[head * dh + j] = 0;
        if (a->lse.data)
            cpv_f32(a->lse, i)[head] = -__builtin_inff();
    }
}

/* Do sequences i - 1 and i look at the same keys, so that one call serves both? */
static bool joined(const struct cpv_op_attention *a, int32_t i)
{
    const int32_t *at = a->rows.offset;
    bool few = at[i + 1] - at[i] < CPV_ATTENTION_FEW;

    return a->kv && a->kv->p.fixed && !a->causal && i > 0 &&
           a->slots.host[i] == a->slots.host[i - 1] &&
           few == (at[i] - at[i - 1] < CPV_ATTENTION_FEW);
}

/* Sequence i, and those that are joined to it. */
static void one_run(const struct job *job, struct cpv_attention *h, int32_t i, int head,
                    int64_t first_kv, float *scratch)
{
    const struct cpv_op_attention *a = job->a;
    struct cpv_drop drop = {&a->drop, a->drop.first + (uint32_t)i, 0, (uint32_t)head};
    int64_t row = a->rows.offset[i];
    int32_t end = i + 1;

    h->drop = a->drop.below ? &drop : NULL;
    h->few = a->rows.offset[end] - row < CPV_ATTENTION_FEW;
    while (end < a->rows.count && joined(a, end))
        end++;
    h->nq = (size_t)(a->rows.offset[end] - row);
    if (h->nq && !h->nkv)
        no_keys(a, row, (int64_t)h->nq, head, (int64_t)h->dh);
    else if (h->nq)
        one_head(job, h, row, first_kv, head, scratch);
}

/*
 * Items are heads of sequences. Where sequences are joined, heads come first: the keys of
 * one stay in the cache, and every thread has its share of a single run.
 */
static void some_heads(void *arg, int64_t first, int64_t end, int who)
{
    const struct job *job = arg;
    const struct cpv_op_attention *a = job->a;
    float *scratch = (float *)(void *)(job->room + (size_t)who * job->each);
    int32_t *rows =
        (int32_t *)(void *)((char *)scratch + cpu_aligned(job->floats * sizeof(float)));
    struct cpv_attention h = {.dh = (size_t)(a->q.cols / a->heads),
                              .causal = a->causal,
                              .scale = a->scale,
                              .q_stride = (size_t)a->q.stride,
                              .kv_stride = (size_t)job->keys.stride,
                              .tail_stride = (size_t)job->keys.stride,
                              .out_stride = (size_t)a->out.stride,
                              .lse_stride = (size_t)a->lse.stride};
    bool heads_first = a->kv && a->kv->p.fixed;
    int64_t first_kv = 0, seen = -1;

    for (int64_t item = first; item < end; item++) {
        int32_t i = (int32_t)(heads_first ? item % a->rows.count : item / a->heads);
        int head = (int)(heads_first ? item / a->rows.count : item % a->heads);

        if (joined(a, i))
            continue;
        if (seen != i)
            first_kv = find_keys(job, i, rows, &h);
        seen = i;
        one_run(job, &h, i, head, first_kv, scratch);
    }
}

CPU_RUN(attention)
{
    const struct cpv_op_attention *a = &op->attention;
    struct job job = {
        .k = cpu_k(c), .a = a, .keys = a->k, .values = a->v, .room = scratch};

    (void)err;
    if (a->kv) {
        job.keys = cpv_kv_layer(a->kv, a->layer, 0);
        job.values = cpv_kv_layer(a->kv, a->layer, 1);
    }
    job.each = thread_bytes(c, a);
    job.floats = kernel_floats(c, a);
    cpv_team_run(cpu_team(c), (int64_t)a->rows.count * a->heads, some_heads, &job);
    return CPV_OK;
}
