/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures and texts into embeddings.
 *
 * On a processor each thread has the model's arena of its own; on a GPU there is one, and
 * the threads that decode pictures take turns at it.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/queue.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "stages/score/score.h"

/* Products of 8 images have 400 rows: more are no faster on a processor. Of texts a
 * thread takes so many that the last one does not let the others wait for long. */
enum { IMAGES = 8, IMAGES_GPU = 32, TEXTS = 16, MODEL_STACK = 8 << 20 };

struct worker {
    cpv_clip_worker *clip;
    pthread_mutex_t lock;
};

struct engine {
    struct engine_params p;
    cpv_device *device;
    cpv_clip *clip;
    struct worker *worker;
    int workers, images, dim;
    bool gpu;

    cpv_queue *todo, *done; /* of batches */
    cpv_pool *pool;
    atomic_bool cancel;
    pthread_mutex_t lock; /* of err */
    struct cpv_err err;   /* the first thread's to fail */

    const struct cpv_bytes *text; /* of the call under way */
    size_t n_texts, share;
    atomic_size_t next;
    float *vectors;
    int32_t *read;
};

void batch_free(struct batch **b)
{
    if (!*b)
        return;
    for (int i = 0; (*b)->at && i < (*b)->n; i++)
        cpv_buf_release(&(*b)->at[i].file);
    cpv_free((*b)->at);
    cpv_free((*b)->pixels);
    cpv_free((*b)->vectors);
    cpv_free(*b);
    *b = NULL;
}

static void fail(engine *e, const struct cpv_err *err)
{
    pthread_mutex_lock(&e->lock);
    if (!e->err.code)
        e->err = *err;
    pthread_mutex_unlock(&e->lock);
    atomic_store(&e->cancel, true);
}

static struct worker *worker_of(engine *e, int who)
{
    return &e->worker[who % e->workers];
}

/* ---- pictures ---- */

static int decode(engine *e, cpv_pixels_maker *maker, struct picture *p, float *pixels,
                  struct cpv_err *err)
{
    int64_t start = cpv_clock_ns();
    enum cpv_image_status status = CPV_IMAGE_OK;
    const char *detail = "";
    int rc = cpv_pixels_make(maker, cpv_buf_view(&p->file), e->p.set->max_pixels, pixels,
                             &status, &detail, err);

    cpv_buf_release(&p->file);
    if (!rc && status != CPV_IMAGE_OK) {
        p->status = cpv_image_status_name(status);
        (void)snprintf(p->detail, sizeof p->detail, "%s", detail ? detail : "");
    }
    p->decode_us = (uint64_t)(cpv_clock_ns() - start) / 1000;
    return rc;
}

/* Those that can be read, side by side. */
static int decode_all(engine *e, cpv_pixels_maker *maker, struct batch *b, int *n,
                      struct cpv_err *err)
{
    size_t side = (size_t)cpv_clip_pixels(e->clip)->size, size = 3 * side * side;
    int rc = CPV_OK;

    b->pixels = cpv_alloc((size_t)b->n * size * sizeof *b->pixels);
    b->vectors = cpv_alloc((size_t)b->n * (size_t)e->dim * sizeof *b->vectors);
    if (!b->pixels || !b->vectors)
        return cpv_fail_memory(err);
    for (int i = 0; i < b->n && !rc; i++) {
        struct picture *p = &b->at[i];

        if (atomic_load(&e->cancel))
            return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
        if (!p->status)
            rc = decode(e, maker, p, b->pixels + (size_t)*n * size, err);
        if (!rc && !p->status)
            p->vector = b->vectors + (size_t)(*n)++ * (size_t)e->dim;
    }
    return rc;
}

static void check_numbers(const engine *e, struct picture *p)
{
    for (int i = 0; p->vector && !p->status && i < e->dim; i++)
        if (!isfinite(p->vector[i]))
            p->status = "not_finite";
}

static int embed(engine *e, struct worker *w, cpv_pixels_maker *maker, struct batch *b,
                 struct cpv_err *err)
{
    int n = 0, rc = decode_all(e, maker, b, &n, err);
    int64_t start;

    if (rc || n == 0)
        return rc;
    pthread_mutex_lock(&w->lock);
    start = cpv_clock_ns();
    rc = cpv_clip_worker_images(w->clip, b->pixels, n, b->vectors, err);
    start = cpv_clock_ns() - start;
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < b->n && !rc; i++) {
        if (b->at[i].vector)
            b->at[i].vision_us = (uint64_t)(start / n) / 1000;
        check_numbers(e, &b->at[i]);
    }
    return rc;
}

static void picture_main(void *arg, int who)
{
    engine *e = arg;
    cpv_pixels_maker *maker = NULL;
    void *item;

    while (cpv_queue_get(e->todo, &item)) {
        struct batch *b = item;
        struct cpv_err err = {0};
        int rc = CPV_OK;

        b->undone = atomic_load(&e->cancel);
        if (!b->undone && !maker)
            rc = cpv_pixels_open(&maker, cpv_clip_pixels(e->clip), &err);
        if (!b->undone && !rc)
            rc = embed(e, worker_of(e, who), maker, b, &err);
        if (rc && rc != CPV_E_STOPPED)
            fail(e, &err);
        b->undone |= rc != CPV_OK;
        cpv_free(b->pixels);
        b->pixels = NULL;
        if (!cpv_queue_put(e->done, b))
            batch_free(&b);
    }
    cpv_pixels_close(&maker);
}

int engine_room(const engine *e)
{
    return 2 * e->p.threads;
}

int engine_share(const engine *e, uint32_t left)
{
    uint32_t share = (left + (uint32_t)e->p.threads - 1) / (uint32_t)e->p.threads;

    return share < (uint32_t)e->images ? (int)share : e->images;
}

int engine_put(engine *e, struct batch *b, struct cpv_err *err)
{
    if (cpv_queue_try_put(e->todo, b))
        return CPV_OK;
    batch_free(&b);
    return cpv_fail(err, CPV_E_BUG, "more than %d batches at a time", engine_room(e));
}

struct batch *engine_take(engine *e, int64_t ms)
{
    void *item = NULL;

    return cpv_queue_get_for(e->done, &item, ms) == CPV_QUEUE_ITEM ? item : NULL;
}

void engine_cancel(engine *e)
{
    atomic_store(&e->cancel, true);
}

int engine_trouble(engine *e, struct cpv_err *err)
{
    int rc;

    pthread_mutex_lock(&e->lock);
    rc = e->err.code;
    if (rc && err)
        *err = e->err;
    pthread_mutex_unlock(&e->lock);
    return rc;
}

/* ---- texts ---- */

/* The texts from ... to: their ids, without those that say nothing. */
static int encode(engine *e, size_t from, size_t to, struct cpv_ids *ids, int32_t *length,
                  size_t *of, int *n, struct cpv_err *err)
{
    int rc = CPV_OK;

    cpv_ids_clear(ids);
    *n = 0;
    for (size_t i = from; i < to && !rc; i++) {
        size_t before = ids->count;

        rc = cpv_clip_encode(e->clip, e->text[i], ids, err);
        e->read[i] = (int32_t)(ids->count - before);
        if (!rc && e->read[i] <= 2) { /* begin and end alone */
            ids->count = before;
            e->read[i] = 0;
        } else if (!rc) {
            length[*n] = e->read[i];
            of[(*n)++] = i;
        }
    }
    return rc;
}

/* A thread's own, for one call of engine_texts. */
struct scratch {
    struct cpv_ids ids;
    int32_t *length;
    size_t *of;
    float *vectors;
};

static int embed_some(engine *e, struct worker *w, struct scratch *s, size_t from,
                      size_t to, struct cpv_err *err)
{
    size_t dim = (size_t)e->dim;
    int n = 0, rc = encode(e, from, to, &s->ids, s->length, s->of, &n, err);

    if (!rc && n)
        rc = cpv_clip_worker_texts(w->clip, s->ids.data, s->length, n, s->vectors, err);
    for (int i = 0; i < n && !rc; i++)
        memcpy(e->vectors + s->of[i] * dim, s->vectors + (size_t)i * dim,
               dim * sizeof *e->vectors);
    return rc;
}

static void text_main(void *arg, int who)
{
    engine *e = arg;
    struct scratch s = {.length = cpv_calloc(e->share, sizeof *s.length),
                        .of = cpv_calloc(e->share, sizeof *s.of),
                        .vectors =
                            cpv_calloc(e->share, (size_t)e->dim * sizeof *s.vectors)};
    struct cpv_err err = {0};
    int rc = s.length && s.of && s.vectors ? CPV_OK : cpv_fail_memory(&err);

    while (!rc && !atomic_load(&e->cancel)) {
        size_t from = atomic_fetch_add(&e->next, e->share);
        size_t to = from + e->share < e->n_texts ? from + e->share : e->n_texts;

        if (from >= e->n_texts)
            break;
        rc = cpv_stop_requested()
                 ? cpv_fail(&err, CPV_E_STOPPED, "stopped; run again to go on")
                 : embed_some(e, worker_of(e, who), &s, from, to, &err);
    }
    if (rc)
        fail(e, &err);
    cpv_ids_release(&s.ids);
    cpv_free(s.length);
    cpv_free(s.of);
    cpv_free(s.vectors);
}

int engine_texts(engine *e, const struct cpv_bytes *text, size_t n, float *vectors,
                 int32_t *read, struct cpv_err *err)
{
    cpv_pool *pool = NULL;
    int rc;

    e->text = text;
    e->n_texts = n;
    e->vectors = vectors;
    e->read = read;
    e->share = e->gpu ? n : TEXTS;
    atomic_store(&e->next, 0);
    if (n == 0)
        return CPV_OK;
    rc = cpv_pool_open(&pool, "text", e->workers, MODEL_STACK, text_main, e, err);
    if (rc)
        return rc;
    cpv_pool_close(&pool); /* waits */
    return engine_trouble(e, err);
}

/* ---- life ---- */

static int open_model(engine *e, struct cpv_err *err)
{
    struct cpv_clip_params params = {
        .image = !e->p.texts, .text = e->p.texts, .tokenizer = e->p.tokenizer};
    int rc = cpv_clip_open(&e->clip, e->device, e->p.model, &params, err);

    if (!rc)
        e->dim = cpv_clip_config(e->clip)->dim;
    return rc;
}

static int open_workers(engine *e, struct cpv_err *err)
{
    struct cpv_clip_limits limits = {.images = e->images, .threads = 1};
    int rc = CPV_OK;

    e->worker = cpv_calloc((size_t)e->workers, sizeof *e->worker);
    if (!e->worker)
        return cpv_fail_memory(err);
    for (int i = 0; i < e->workers; i++)
        pthread_mutex_init(&e->worker[i].lock, NULL);
    for (int i = 0; i < e->workers && !rc; i++)
        rc = cpv_clip_worker_open(&e->worker[i].clip, e->clip, &limits, err);
    return rc;
}

static int open_queues(engine *e, struct cpv_err *err)
{
    size_t room = (size_t)engine_room(e);
    int rc = cpv_queue_open(&e->todo, room, err);

    if (!rc)
        rc = cpv_queue_open(&e->done, room, err);
    if (!rc)
        rc = cpv_pool_open(&e->pool, "image", e->p.threads, MODEL_STACK, picture_main, e,
                           err);
    return rc;
}

int engine_open(engine **out, const struct engine_params *params, struct cpv_err *err)
{
    const struct score_settings *set = params->set;
    engine *e = cpv_calloc(1, sizeof *e);
    int rc;

    *out = NULL;
    if (!e)
        return cpv_fail_memory(err);
    e->p = *params;
    atomic_init(&e->cancel, false);
    atomic_init(&e->next, 0);
    pthread_mutex_init(&e->lock, NULL);
    rc = cpv_model_device(&e->device, params->device, set->weights, err);
    if (!rc) {
        e->gpu = strncmp(cpv_device_name(e->device), "cuda", 4) == 0;
        e->workers = e->gpu ? 1 : params->threads;
        e->images = set->images ? (int)set->images : e->gpu ? IMAGES_GPU : IMAGES;
        rc = open_model(e, err);
    }
    if (!rc)
        rc = open_workers(e, err);
    if (!rc && !params->texts)
        rc = open_queues(e, err);
    if (rc)
        engine_close(&e);
    *out = e;
    return rc;
}

static void drop(cpv_queue **q)
{
    void *item;

    while (*q && cpv_queue_get_for(*q, &item, 0) == CPV_QUEUE_ITEM) {
        struct batch *b = item;

        batch_free(&b);
    }
    if (*q)
        cpv_queue_close(q);
}

void engine_close(engine **e)
{
    engine *o = *e;

    if (!o)
        return;
    engine_cancel(o);
    if (o->todo)
        cpv_queue_end(o->todo);
    cpv_pool_close(&o->pool);
    drop(&o->todo);
    drop(&o->done);
    for (int i = 0; o->worker && i < o->workers; i++) {
        cpv_clip_worker_close(&o->worker[i].clip);
        pthread_mutex_destroy(&o->worker[i].lock);
    }
    cpv_free(o->worker);
    cpv_clip_close(&o->clip);
    cpv_device_close(&o->device);
    pthread_mutex_destroy(&o->lock);
    cpv_free(o);
    *e = NULL;
}

int engine_check(const struct engine_params *params, struct cpv_err *err)
{
    struct cpv_device_params dry = {.name = "dry", .weights = CPV_F32, .values = CPV_F32};
    engine e = {.p = *params};
    int rc = cpv_device_open(&e.device, &dry, err);

    if (!rc)
        rc = open_model(&e, err);
    cpv_clip_close(&e.clip);
    cpv_device_close(&e.device);
    return rc;
}

int engine_dim(const engine *e)
{
    return e->dim;
}
