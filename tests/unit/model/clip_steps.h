/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of training of the text tower against stored embeddings of images, as the trainer
 * makes them: for tests (test_clip_train.c) and comparisons (tests/parity/clip_steps.c).
 * The first error ends the program.
 */
#ifndef CPV_TESTS_UNIT_MODEL_CLIP_STEPS_H
#define CPV_TESTS_UNIT_MODEL_CLIP_STEPS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/model/clip.h"

/* Captions with an image each. */
struct texts {
    int count, dim;
    int32_t *ids, *length, *first; /* of caption i: length[i] ids from first[i] on */
    float *image;                  /* [count, dim] */
};

/* How a batch is worked on; all zeros: at once. */
struct manner {
    int micro; /* texts at a time; 0: all */
    struct cpv_clip_how how;
};

struct steps {
    cpv_clip *m;
    cpv_compute *c;
    const struct cpv_clip_param *param;
    int params;
    cpv_tensor *mean, *square; /* of each parameter: Adam's */
    int64_t t;
};

static inline void no_error(int rc, const struct cpv_err *e)
{
    if (rc == CPV_OK)
        return;
    (void)fprintf(stderr, "clip_steps: %s\n", e->text);
    exit(1);
}

static inline void *some(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);

    if (!p)
        exit(1);
    return p;
}

/* A context with `arena` bytes; the moments lie at its bottom. */
static inline void steps_open(struct steps *s, cpv_clip *m, cpv_device *on, size_t arena,
                              int threads)
{
    struct cpv_compute_params params = {.arena = arena, .threads = threads};
    struct cpv_err e = {0};

    *s = (struct steps){.m = m};
    no_error(cpv_compute_open(&s->c, on, &params, &e), &e);
    s->params = cpv_clip_trained(m, &s->param);
    s->mean = some((size_t)s->params, sizeof *s->mean);
    s->square = some((size_t)s->params, sizeof *s->square);
    for (int i = 0; i < s->params; i++) {
        s->mean[i] = cpv_zeros(s->c, s->param[i].rows, s->param[i].cols);
        s->square[i] = cpv_zeros(s->c, s->param[i].rows, s->param[i].cols);
    }
    no_error(cpv_compute_sync(s->c, &e), &e);
}

static inline void steps_close(struct steps *s)
{
    free(s->mean);
    free(s->square);
    cpv_compute_close(&s->c);
}

/* Embeddings of n captions, not normalised, [n, dim], on the context's arena. */
static inline cpv_tensor embed_texts(struct steps *s, const struct texts *t,
                                     const int *row, int n,
                                     const struct cpv_clip_how *how)
{
    int32_t *length = some((size_t)n, sizeof *length), *ids, total = 0;
    cpv_tensor out;
    cpv_rows rows;

    for (int i = 0; i < n; i++)
        total += length[i] = t->length[row[i]];
    ids = some((size_t)total, sizeof *ids);
    total = 0;
    for (int i = 0; i < n; i++) {
        memcpy(ids + total, t->ids + t->first[row[i]], (size_t)length[i] * sizeof *ids);
        total += length[i];
    }
    rows = cpv_rows_put(s->c, length, n);
    out = cpv_clip_text(s->c, s->m, cpv_put_i32(s->c, total, 1, ids), rows, how);
    free(length);
    free(ids);
    return out;
}

static inline cpv_tensor put_images(struct steps *s, const struct texts *t,
                                    const int *row, int n)
{
    size_t dim = (size_t)t->dim;
    float *image = some((size_t)n * dim, sizeof *image);
    cpv_tensor out;

    for (int i = 0; i < n; i++)
        memcpy(image + (size_t)i * dim, t->image + (size_t)row[i] * dim,
               dim * sizeof *image);
    out = cpv_put(s->c, n, t->dim, image);
    free(image);
    return out;
}

/* Unit vectors of texts first ... first + n - 1 of the batch. */
static inline cpv_tensor unit_texts(struct steps *s, const struct texts *t,
                                    const int *row, int first, int n,
                                    const struct manner *manner)
{
    struct cpv_clip_how how = manner->how;

    how.dice.first += first;
    return cpv_l2norm(s->c, embed_texts(s, t, row + first, n, &how), 1e-12F);
}

/* The loss of a batch; gradients are added up in the weights. */
static inline float step_gradients(struct steps *s, const struct texts *t, const int *row,
                                   int n, const struct manner *manner)
{
    int micro = manner->micro ? manner->micro : n, at, k;
    struct cpv_compute_mark mark = cpv_compute_mark(s->c), inner;
    size_t dim = (size_t)t->dim;
    float *all = some((size_t)n * dim, sizeof *all), figures[CPV_LOSS_FIGURES] = {0};
    cpv_tensor image = put_images(s, t, row, n), text;
    struct cpv_contrastive loss;
    struct cpv_err e = {0};

    for (int i = 0; i < s->params; i++)
        cpv_weight_clear(s->c, s->param[i].weight);
    if (micro >= n) {
        cpv_tape_start(s->c);
        text = unit_texts(s, t, row, 0, n, manner);
        cpv_tape_stop(s->c);
        loss = cpv_contrastive(s->c, image, text, cpv_clip_logit_scale(s->m));
        cpv_backward(s->c, text, loss.dtext);
        cpv_tape_clear(s->c);
    } else {
        /* All embeddings, the loss once, then each part again with its share. */
        for (at = 0; at < n; at += k) {
            k = n - at < micro ? n - at : micro;
            inner = cpv_compute_mark(s->c);
            text = unit_texts(s, t, row, at, k, manner);
            cpv_get(s->c, text, all + (size_t)at * dim);
            cpv_compute_rewind(s->c, inner);
        }
        loss = cpv_contrastive(s->c, image, cpv_put(s->c, n, t->dim, all),
                               cpv_clip_logit_scale(s->m));
        for (at = 0; at < n; at += k) {
            k = n - at < micro ? n - at : micro;
            inner = cpv_compute_mark(s->c);
            cpv_tape_start(s->c);
            text = unit_texts(s, t, row, at, k, manner);
            cpv_tape_stop(s->c);
            cpv_backward(s->c, text, cpv_row_range(loss.dtext, at, k));
            cpv_tape_clear(s->c);
            cpv_compute_rewind(s->c, inner);
        }
    }
    cpv_get(s->c, loss.figures, figures);
    no_error(cpv_compute_sync(s->c, &e), &e);
    cpv_compute_rewind(s->c, mark);
    free(all);
    return figures[CPV_LOSS];
}

static inline void step_adam(struct steps *s, struct cpv_adam how)
{
    struct cpv_err e = {0};

    how.t = ++s->t;
    for (int i = 0; i < s->params; i++)
        cpv_adam(s->c, s->param[i].weight, s->param[i].which, s->mean[i], s->square[i],
                 &how);
    for (int i = 0; i < s->params; i++)
        if (i == 0 || s->param[i].weight != s->param[i - 1].weight)
            cpv_weight_refresh(s->c, s->param[i].weight);
    no_error(cpv_compute_sync(s->c, &e), &e);
}

/* Batch number `step` of n, in the order of the file, round and round. */
static inline void batch_rows(const struct texts *t, int step, int n, int *row)
{
    for (int i = 0; i < n; i++)
        row[i] = (int)(((int64_t)step * n + i) % t->count);
}

static inline void texts_release(struct texts *t)
{
    free(t->ids);
    free(t->length);
    free(t->first);
    free(t->image);
    *t = (struct texts){0};
}

#endif
