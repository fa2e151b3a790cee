/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures in, captions out.
 *
 *     put -> todo -> threads that decode -> ready -> threads with the model -> done ->
 * take
 *
 * Only so many pictures are inside at a time (engine_room), and every queue has room for
 * all of them, so that no thread ever waits to be rid of one. Pictures are decoded ahead
 * of the model, as many as its threads hold: those wait only where there is no picture.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/queue.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "stages/caption/caption.h"

enum { AHEAD_LEAST = 4, AHEAD_MOST = 64, MODEL_STACK = 8 << 20 };

/* A thread with the model. */
struct worker {
    engine *e;
    caption_worker *model;
    struct picture *shown; /* whose pixels the model may still look at */
    int64_t held;          /* pictures that it has and has not described yet */
    int64_t mark, busy;    /* ns: since when, and how long since the last picture */
};

struct engine {
    caption_model *model;
    cpv_queue *todo, *ready, *done;
    cpv_pool *prepare, *describe;
    struct worker *worker;
    int workers, makers, room;
    atomic_bool cancel;
    pthread_mutex_t lock; /* of what follows */
    int64_t left;         /* pictures expected and not done */
    struct cpv_err err;   /* the first thread's to fail */
};

void picture_free(struct picture **p)
{
    if (!*p)
        return;
    cpv_buf_release(&(*p)->file);
    cpv_buf_release(&(*p)->texts);
    cpv_free((*p)->pixels);
    cpv_free((*p)->captions);
    cpv_free(*p);
    *p = NULL;
}

struct answer picture_answer(const struct picture *p)
{
    return (struct answer){.status = p->status,
                           .detail = p->detail,
                           .captions = p->captions,
                           .n = p->status ? 0 : p->n,
                           .prepare_us = p->prepare_us,
                           .model_us = p->model_us,
                           .vision_us = p->vision_us};
}

/* ---- threads ---- */

static void fail(engine *e, const struct cpv_err *err)
{
    pthread_mutex_lock(&e->lock);
    if (!e->err.code)
        e->err = *err;
    pthread_mutex_unlock(&e->lock);
    atomic_store(&e->cancel, true);
    cpv_queue_end(e->todo);
    cpv_queue_end(e->ready);
}

/* To whoever takes. */
static void hand_back(engine *e, struct picture *p)
{
    pthread_mutex_lock(&e->lock);
    e->left--;
    pthread_mutex_unlock(&e->lock);
    cpv_free(p->pixels);
    p->pixels = NULL;
    if (!cpv_queue_put(e->done, p))
        picture_free(&p);
}

static void prepare_main(void *arg, int who)
{
    engine *e = arg;
    caption_maker *maker = NULL;
    void *item;

    (void)who;
    while (cpv_queue_get(e->todo, &item)) {
        struct picture *p = item;
        struct cpv_err err = {0};
        int64_t start = cpv_clock_ns();
        int rc = atomic_load(&e->cancel) ? CPV_E_STOPPED
                                         : model_prepare(e->model, &maker, p, &err);

        cpv_buf_release(&p->file);
        p->prepare_us = (uint64_t)(cpv_clock_ns() - start) / 1000;
        if (rc && rc != CPV_E_STOPPED)
            fail(e, &err);
        if (rc)
            picture_free(&p);
        else if (p->status)
            hand_back(e, p);
        else if (!cpv_queue_put(e->ready, p))
            picture_free(&p);
    }
    model_maker_close(&maker);
}

/* Of the last pictures each worker gets its share, rather than one of them all. */
static bool may_hold_more(struct worker *w)
{
    engine *e = w->e;
    bool may;

    pthread_mutex_lock(&e->lock);
    may = w->held < engine_share(e->left, e->workers);
    pthread_mutex_unlock(&e->lock);
    return may;
}

static int next(void *arg, bool wait, struct picture **out, struct cpv_err *err)
{
    struct worker *w = arg;
    engine *e = w->e;
    void *item = NULL;

    if (w->shown) {
        cpv_free(w->shown->pixels);
        w->shown->pixels = NULL;
        w->shown = NULL;
    }
    if (atomic_load(&e->cancel))
        return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    if (!wait && !may_hold_more(w))
        return PICTURE_LATER;
    if (wait) {
        w->busy += cpv_clock_ns() - w->mark;
        if (!cpv_queue_get(e->ready, &item))
            item = NULL;
        w->mark = cpv_clock_ns();
    } else {
        cpv_queue_got got = cpv_queue_get_for(e->ready, &item, 0);

        if (got == CPV_QUEUE_EMPTY)
            return PICTURE_LATER;
    }
    if (!item)
        return 0;
    if (atomic_load(&e->cancel)) { /* it came while we waited: a look would take long */
        struct picture *p = item;

        picture_free(&p);
        return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    }
    w->held++;
    *out = w->shown = item;
    return 1;
}

static int described(void *arg, struct picture *p, struct cpv_err *err)
{
    struct worker *w = arg;
    int64_t now = cpv_clock_ns();

    p->model_us = (uint64_t)(w->busy + now - w->mark) / 1000;
    w->busy = 0;
    w->mark = now;
    w->held--;
    if (w->shown == p)
        w->shown = NULL;
    hand_back(w->e, p);
    if (atomic_load(&w->e->cancel))
        return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    return CPV_OK;
}

static void describe_main(void *arg, int who)
{
    engine *e = arg;
    struct worker *w = &e->worker[who];
    struct caption_stream stream = {next, described, w};
    struct cpv_err err = {0};

    w->mark = cpv_clock_ns();
    if (model_run(w->model, &stream, &err) && !atomic_load(&e->cancel))
        fail(e, &err);
}

/* ---- life ---- */

static int open_queues(engine *e, struct cpv_err *err)
{
    size_t room;
    int ahead = e->workers * model_images(e->model), rc;

    e->room = ahead;
    ahead = ahead < AHEAD_LEAST ? AHEAD_LEAST : ahead > AHEAD_MOST ? AHEAD_MOST : ahead;
    e->room += ahead;
    room = (size_t)e->room;
    rc = cpv_queue_open(&e->todo, room, err);
    if (!rc)
        rc = cpv_queue_open(&e->ready, room, err);
    return rc ? rc : cpv_queue_open(&e->done, room, err);
}

static int open_threads(engine *e, struct cpv_err *err)
{
    int rc = CPV_OK;

    e->worker = cpv_calloc((size_t)e->workers, sizeof *e->worker);
    if (!e->worker)
        return cpv_fail_memory(err);
    for (int i = 0; i < e->workers && !rc; i++) {
        e->worker[i].e = e;
        rc = model_worker_open(&e->worker[i].model, e->model, err);
    }
    if (!rc)
        rc = cpv_pool_open(&e->prepare, "prepare", e->makers, 0, prepare_main, e, err);
    if (!rc)
        rc = cpv_pool_open(&e->describe, "caption", e->workers, MODEL_STACK,
                           describe_main, e, err);
    return rc;
}

int engine_open(engine **out, const struct engine_params *params, struct cpv_err *err)
{
    engine *e = cpv_calloc(1, sizeof *e);
    int rc;

    *out = NULL;
    if (!e)
        return cpv_fail_memory(err);
    atomic_init(&e->cancel, false);
    pthread_mutex_init(&e->lock, NULL);
    rc = model_open(&e->model, params, err);
    if (!rc) {
        e->makers = params->threads;
        e->workers = model_is_cpu(e->model) ? params->threads : 1;
        rc = open_queues(e, err);
    }
    if (!rc)
        rc = open_threads(e, err);
    if (rc)
        engine_close(&e);
    *out = e;
    return rc;
}

/* No more is to be done: threads leave what they do and end. */
static void stop_threads(engine *e)
{
    atomic_store(&e->cancel, true);
    if (e->todo)
        cpv_queue_end(e->todo);
    if (e->ready)
        cpv_queue_end(e->ready);
    cpv_pool_close(&e->prepare);
    cpv_pool_close(&e->describe);
}

static void drop(cpv_queue **q)
{
    void *item;

    while (*q && cpv_queue_get_for(*q, &item, 0) == CPV_QUEUE_ITEM) {
        struct picture *p = item;

        picture_free(&p);
    }
    if (*q)
        cpv_queue_close(q);
}

void engine_close(engine **e)
{
    engine *o = *e;

    if (!o)
        return;
    stop_threads(o);
    drop(&o->todo);
    drop(&o->ready);
    drop(&o->done);
    for (int i = 0; o->worker && i < o->workers; i++)
        model_worker_close(&o->worker[i].model);
    cpv_free(o->worker);
    model_close(&o->model);
    pthread_mutex_destroy(&o->lock);
    cpv_free(o);
    *e = NULL;
}

/* ---- use ---- */

int engine_room(const engine *e)
{
    return e->room;
}

void engine_expect(engine *e, int64_t pictures)
{
    pthread_mutex_lock(&e->lock);
    e->left += pictures;
    pthread_mutex_unlock(&e->lock);
}

/* What made the threads give up. */
static int trouble(engine *e, struct cpv_err *err)
{
    int rc;

    if (cpv_stop_requested())
        return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    pthread_mutex_lock(&e->lock);
    rc = e->err.code;
    if (rc && err)
        *err = e->err;
    pthread_mutex_unlock(&e->lock);
    return rc;
}

int engine_put(engine *e, struct picture *p, struct cpv_err *err)
{
    int rc;

    if (cpv_queue_try_put(e->todo, p))
        return CPV_OK;
    picture_free(&p);
    rc = trouble(e, err);
    return rc ? rc : cpv_fail(err, CPV_E_BUG, "more than %d pictures at a time", e->room);
}

int engine_take(engine *e, struct picture **out, int64_t ms, struct cpv_err *err)
{
    void *item = NULL;
    cpv_queue_got got;
    int rc = trouble(e, err);

    *out = NULL;
    if (rc)
        return rc;
    got = cpv_queue_get_for(e->done, &item, ms);
    *out = item;
    return got == CPV_QUEUE_ITEM ? 1 : trouble(e, err);
}

struct picture *engine_rest(engine *e)
{
    void *item = NULL;

    stop_threads(e);
    return cpv_queue_get_for(e->done, &item, 0) == CPV_QUEUE_ITEM ? item : NULL;
}
