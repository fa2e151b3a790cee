/* SPDX-License-Identifier: Apache-2.0 */
/* From ids and pixels to tokens. */
#include <math.h>
#include <string.h>

#include "common/compute/cpu/cpu.h"

struct job {
    const struct cpv_kernels *k;
    const struct cpv_op *op;
    float *room; /* two rows a thread */
};

size_t cpu_embed_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    return 2 * (size_t)c->threads * (size_t)op->embed.out.cols * sizeof(float);
}

static bool within(int64_t i, const cpv_weight *w)
{
    return i >= 0 && i < w->out;
}

static void some_ids(void *arg, int64_t first, int64_t end, int who)
{
    const struct job *job = arg;
    const struct cpv_op_embed *e = &job->op->embed;
    int64_t n = e->out.cols;
    float *room = job->room + 2 * who * n;

    for (int64_t i = first; i < end; i++) {
        int64_t id = *cpv_i32(e->ids, i);
        int64_t at = e->positions ? (int64_t)*cpv_i32(e->at, i) + e->offset : 0;
        const float *row, *add = NULL;

        if (!within(id, e->table) || (e->positions && !within(at, e->positions))) {
            for (int64_t j = 0; j < n; j++)
                cpv_f32(e->out, i)[j] = NAN;
            continue;
        }
        row = cpu_weight_row(job->k, e->table, id, room);
        if (e->positions)
            add = cpu_weight_row(job->k, e->positions, at, room + n);
        job->k->embed_f32(cpv_f32(e->out, i), row, e->scale, add, (size_t)n);
    }
}

CPU_RUN(embed)
{
    struct job job = {cpu_k(c), op, scratch};

    (void)err;
    cpv_team_run(cpu_team(c), op->embed.out.rows, some_ids, &job);
    return CPV_OK;
}

static void some_images(void *arg, int64_t first, int64_t end, int who)
{
    const struct job *job = arg;
    const struct cpv_op_patches *p = &job->op->patches;
    int64_t each = (int64_t)(p->size / p->patch) * (p->size / p->patch);

    (void)who;
    for (int64_t i = first; i < end; i++)
        job->k->patches(cpv_f32(p->out, i * each), (size_t)p->out.stride,
                        cpv_f32(p->x, i), (size_t)p->channels, (size_t)p->size,
                        (size_t)p->size, (size_t)p->patch);
}

CPU_RUN(patches)
{
    struct job job = {cpu_k(c), op, scratch};

    (void)err;
    cpv_team_run(cpu_team(c), op->patches.x.rows, some_images, &job);
    return CPV_OK;
}

/* Both weights are tables and nothing else: plain rows. A tied one is read by the row. */
static void some_tokens(void *arg, int64_t first, int64_t end, int who)
{
    const struct job *job = arg;
    const struct cpv_op_tokens *t = &job->op->tokens;
    int64_t before = t->first ? 1 : 0, each = t->each + before;
    size_t n = (size_t)t->out.cols;

    (void)who;
    for (int64_t i = first; i < end; i++) {
        int64_t at = i % each;
        float *out = cpv_f32(t->out, i);
        const float *x = at < before ? cpu_weight_row(job->k, t->first, 0, out)
                                     : cpv_f32(t->x, i / each * t->each + at - before);

        if (t->positions)
            job->k->add(out, x, cpu_of(t->positions)->plain.matrix + at * (int64_t)n, n);
        else if (x != out)
            memcpy(out, x, n * sizeof *out);
    }
}

CPU_RUN(tokens)
{
    struct job job = {cpu_k(c), op, scratch};

    (void)err;
    cpv_team_run(cpu_team(c), op->tokens.out.rows, some_tokens, &job);
    return CPV_OK;
}
