/* SPDX-License-Identifier: Apache-2.0 */
/* From ids and pixels to tokens; rows by number; slots. */
#include <math.h>
#include <string.h>

#include "common/compute/ref/ref.h"

static bool within(int64_t i, const cpv_weight *w)
{
    return i >= 0 && i < w->out;
}

REF_RUN(embed)
{
    const struct cpv_op_embed *e = &op->embed;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < e->out.rows; i++) {
        int64_t id = *cpv_i32(e->ids, i);
        int64_t at = e->positions ? (int64_t)*cpv_i32(e->at, i) + e->offset : 0;
        bool good = within(id, e->table) && (!e->positions || within(at, e->positions));

        for (int64_t j = 0; j < e->out.cols; j++) {
            double x =
                good ? (double)ref_table_at(e->table, id, j) * e->scale : (double)NAN;

            if (good && e->positions)
                x += ref_table_at(e->positions, at, j);
            cpv_f32(e->out, i)[j] = (float)x;
        }
    }
    return CPV_OK;
}

static void add_row(cpv_tensor to, int64_t row, cpv_tensor dy, int64_t i, float scale)
{
    for (int64_t j = 0; to.data && j < dy.cols; j++)
        cpv_f32(to, row)[j] += scale * cpv_f32(dy, i)[j];
}

/* Row by row in order. Masters are f32 on any backend of the host's, so this is theirs.
 */
REF_BACK(embed)
{
    const struct cpv_op_embed *e = &op->embed;
    cpv_tensor dy = grad->embed.out;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < dy.rows; i++) {
        int64_t id = *cpv_i32(e->ids, i);
        int64_t at = e->positions ? (int64_t)*cpv_i32(e->at, i) + e->offset : 0;

        if (!within(id, e->table) || (e->positions && !within(at, e->positions)))
            continue;
        add_row(e->table->grad[CPV_PARAM_MATRIX], id, dy, i, e->scale);
        if (e->positions)
            add_row(e->positions->grad[CPV_PARAM_MATRIX], at, dy, i, 1);
    }
    return CPV_OK;
}

REF_RUN(positions)
{
    const cpv_rows *rows = &op->positions.rows;

    (void)c;
    (void)scratch;
    (void)err;
    for (int32_t i = 0; i < rows->count; i++)
        for (int32_t t = rows->offset[i]; t < rows->offset[i + 1]; t++)
            *cpv_i32(op->positions.out, t) = t - rows->offset[i];
    return CPV_OK;
}

REF_RUN(gather)
{
    const struct cpv_op_gather *g = &op->gather;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < g->out.rows; i++)
        memcpy(cpv_f32(g->out, i), cpv_f32(g->x, *cpv_i32(g->index, i)),
               (size_t)g->out.cols * sizeof(float));
    return CPV_OK;
}

REF_BACK(gather)
{
    cpv_tensor dy = grad->gather.out;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < dy.rows; i++)
        add_row(grad->gather.x, *cpv_i32(op->gather.index, i), dy, i, 1);
    return CPV_OK;
}

REF_RUN(patches)
{
    const struct cpv_op_patches *p = &op->patches;
    int64_t grid = p->size / p->patch, plane = (int64_t)p->size * p->size;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t row = 0; row < p->out.rows; row++) {
        const float *image = cpv_f32(p->x, row / (grid * grid));
        int64_t top = row / grid % grid * p->patch, left = row % grid * p->patch;
        float *to = cpv_f32(p->out, row);

        for (int ch = 0; ch < p->channels; ch++)
            for (int y = 0; y < p->patch; y++, to += p->patch)
                memcpy(to, image + ch * plane + (top + y) * p->size + left,
                       (size_t)p->patch * sizeof *to);
    }
    return CPV_OK;
}

REF_RUN(tokens)
{
    const struct cpv_op_tokens *t = &op->tokens;
    int64_t before = t->first ? 1 : 0, each = t->each + before;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < t->out.rows; i++) {
        int64_t at = i % each;
        const float *x =
            at < before ? NULL : cpv_f32(t->x, i / each * t->each + at - before);

        for (int64_t j = 0; j < t->out.cols; j++)
            cpv_f32(t->out, i)[j] =
                (x ? x[j] : ref_table_at(t->first, 0, j)) +
                (t->positions ? ref_table_at(t->positions, at, j) : 0);
    }
    return CPV_OK;
}

/* Row by row in order: the host's own, as that of embed. */
REF_BACK(tokens)
{
    const struct cpv_op_tokens *t = &op->tokens;
    int64_t before = t->first ? 1 : 0, each = t->each + before;
    cpv_tensor dy = grad->tokens.out;

    (void)c;
    (void)scratch;
    (void)err;
    for (int64_t i = 0; i < dy.rows; i++) {
        int64_t at = i % each;

        if (at < before)
            add_row(t->first->grad[CPV_PARAM_MATRIX], 0, dy, i, 1);
        else
            add_row(grad->tokens.x, i / each * t->each + at - before, dy, i, 1);
        if (t->positions)
            add_row(t->positions->grad[CPV_PARAM_MATRIX], at, dy, i, 1);
    }
    return CPV_OK;
}

/* ---- slots ---- */

REF_RUN(kv_extend)
{
    const struct cpv_op_kv_extend *e = &op->kv_extend;

    (void)c;
    (void)scratch;
    (void)err;
    for (int32_t i = 0; i < e->rows.count; i++) {
        int32_t slot = e->slots.host[i], *line = e->kv->table + slot * e->kv->p.capacity;

        for (int32_t t = e->rows.offset[i]; t < e->rows.offset[i + 1]; t++) {
            int32_t at = e->kv->length[slot]++;

            line[at] = slot;
            *cpv_i32(e->positions, t) = at;
        }
    }
    return CPV_OK;
}

REF_RUN(kv_write)
{
    const struct cpv_op_kv_write *w = &op->kv_write;
    cpv_tensor keys = cpv_kv_layer(w->kv, w->layer, 0);
    cpv_tensor values = cpv_kv_layer(w->kv, w->layer, 1);
    size_t row = (size_t)keys.cols * sizeof(float);

    (void)c;
    (void)scratch;
    (void)err;
    for (int32_t i = 0; i < w->rows.count; i++)
        for (int32_t t = w->rows.offset[i]; t < w->rows.offset[i + 1]; t++) {
            int64_t to =
                (int64_t)w->slots.host[i] * w->kv->p.capacity + *cpv_i32(w->positions, t);

            memcpy(cpv_f32(keys, to), cpv_f32(w->k, t), row);
            memcpy(cpv_f32(values, to), cpv_f32(w->v, t), row);
        }
    return CPV_OK;
}

/* Lines and lengths of all sources first: a slot may be source and destination. */
REF_RUN(kv_fork)
{
    const struct cpv_op_kv_fork *f = &op->kv_fork;
    size_t line = (size_t)f->kv->p.capacity;
    int32_t *saved = scratch;

    (void)c;
    (void)err;
    for (int64_t i = 0; i < f->dst.count; i++, saved += line + 1) {
        int32_t src = *cpv_i32(f->src, i);

        saved[0] = src < 0 ? 0 : f->kv->length[src];
        if (src >= 0)
            memcpy(saved + 1, f->kv->table + (size_t)src * line, line * sizeof *saved);
    }
    saved = scratch;
    for (int64_t i = 0; i < f->dst.count; i++, saved += line + 1) {
        int32_t dst = f->dst.host[i];

        f->kv->length[dst] = saved[0];
        memcpy(f->kv->table + (size_t)dst * line, saved + 1,
               (size_t)saved[0] * sizeof *saved);
    }
    return CPV_OK;
}
