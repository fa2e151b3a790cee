/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures and texts into unit vectors. On a processor each thread has the model's arena
 * of its own; on a GPU there is one, and the threads that decode take turns at it.
 */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/stage/model.h"
#include "eval/eval.h"

enum { IMAGES = 8, IMAGES_GPU = 32, TEXTS = 64, AHEAD = 16, MODEL_STACK = 8 << 20 };

struct item {
    int64_t number;
    struct cpv_buf file;
};

struct worker {
    cpv_clip_worker *clip;
    pthread_mutex_t lock;
};

struct embedder {
    struct embedder_params p;
    cpv_device *device;
    cpv_clip *clip;
    struct worker *worker;
    int workers, batch, dim;

    cpv_queue *todo;
    cpv_pool *pool;
    atomic_bool cancel;
    pthread_mutex_t lock; /* of all below */
    struct cpv_err err;   /* of the first thread that failed */
    float *vectors;       /* [room, dim] */
    char **why;           /* [room]: NULL: there is a vector */
    int64_t room, count;

    const char *const *text; /* of the call under way */
    int64_t n_texts;
    atomic_size_t next;
    float *out;
};

/* ---- results ---- */

static void fail(embedder *e, const struct cpv_err *err)
{
    pthread_mutex_lock(&e->lock);
    if (!e->err.code)
        e->err = *err;
    pthread_mutex_unlock(&e->lock);
    atomic_store(&e->cancel, true);
    if (e->todo)
        cpv_queue_end(e->todo);
}

/* Room for picture `number`. */
static int grow(embedder *e, int64_t number, struct cpv_err *err)
{
    int64_t room = e->room ? e->room : 256;
    size_t bytes;
    float *vectors;
    char **why;

    while (room <= number)
        room *= 2;
    if (room == e->room)
        return CPV_OK;
    if (!cpv_size_mul((size_t)room, (size_t)e->dim * sizeof *vectors, &bytes))
        return cpv_fail_memory(err);
    vectors = cpv_realloc(e->vectors, bytes);
    if (!vectors)
        return cpv_fail_memory(err);
    e->vectors = vectors;
    why = cpv_realloc(e->why, (size_t)room * sizeof *why);
    if (!why)
        return cpv_fail_memory(err);
    memset(why + e->room, 0, (size_t)(room - e->room) * sizeof *why);
    e->why = why;
    e->room = room;
    return CPV_OK;
}

/* One picture is done: v, or why not. */
static int put(embedder *e, int64_t number, const float *v, const char *why,
               struct cpv_err *err)
{
    int rc;

    pthread_mutex_lock(&e->lock);
    rc = grow(e, number, err);
    if (!rc && number >= e->count)
        e->count = number + 1;
    if (!rc && v)
        memcpy(e->vectors + number * e->dim, v, (size_t)e->dim * sizeof *v);
    else if (!rc && !(e->why[number] = cpv_strdup(why)))
        rc = cpv_fail_memory(err);
    pthread_mutex_unlock(&e->lock);
    if (!rc)
        cpv_progress_add(e->p.progress, 1, !v);
    return rc;
}

const float *embedder_image(const embedder *e, int64_t number)
{
    return number < e->count && !e->why[number] ? e->vectors + number * e->dim : NULL;
}

const char *embedder_why(const embedder *e, int64_t number)
{
    return number < e->count ? e->why[number] : "not read";
}

int embedder_skip(embedder *e, int64_t number, const char *why, struct cpv_err *err)
{
    return put(e, number, NULL, why, err);
}

int embedder_vector(embedder *e, int64_t number, const float *v, struct cpv_err *err)
{
    float *unit = cpv_alloc((size_t)e->dim * sizeof *unit);
    double sum = 0;
    int rc;

    if (!unit)
        return cpv_fail_memory(err);
    for (int i = 0; i < e->dim; i++)
        sum += (double)v[i] * (double)v[i];
    for (int i = 0; i < e->dim; i++)
        unit[i] = (float)((double)v[i] / sqrt(sum));
    rc = sum > 0 && isfinite(sum)
             ? put(e, number, unit, NULL, err)
             : put(e, number, NULL, "its stored embedding has no direction", err);
    cpv_free(unit);
    return rc;
}

/* ---- pictures ---- */

/* What a thread decodes into, until a batch is full. */
struct batch {
    cpv_pixels_maker *maker;
    float *pixels, *vectors;
    int64_t *number;
    int n;
};

static int run_batch(embedder *e, struct worker *w, struct batch *b, struct cpv_err *err)
{
    int rc;

    if (b->n == 0)
        return CPV_OK;
    pthread_mutex_lock(&w->lock);
    rc = cpv_clip_worker_images(w->clip, b->pixels, b->n, b->vectors, err);
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < b->n && !rc; i++) {
        const float *v = b->vectors + (size_t)i * (size_t)e->dim;
        bool finite = true;

        for (int k = 0; k < e->dim; k++)
            finite &= isfinite(v[k]) != 0;
        rc = finite ? put(e, b->number[i], v, NULL, err)
                    : put(e, b->number[i], NULL, "its embedding is not finite", err);
    }
    b->n = 0;
    return rc;
}

static int decode(embedder *e, struct batch *b, const struct item *item,
                  struct cpv_err *err)
{
    size_t side = (size_t)cpv_clip_pixels(e->clip)->size;
    enum cpv_image_status status = CPV_IMAGE_OK;
    const char *detail = NULL;
    char why[512];
    int rc = cpv_pixels_make(b->maker, cpv_buf_view(&item->file), e->p.set->max_pixels,
                             b->pixels + (size_t)b->n * 3 * side * side, &status, &detail,
                             err);

    if (rc)
        return rc;
    if (status == CPV_IMAGE_OK) {
        b->number[b->n++] = item->number;
        return CPV_OK;
    }
    (void)snprintf(why, sizeof why, "%s%s%s", cpv_image_status_name(status),
                   detail && *detail ? ": " : "", detail ? detail : "");
    return put(e, item->number, NULL, why, err);
}

static int open_batch(embedder *e, struct batch *b, struct cpv_err *err)
{
    size_t n = (size_t)e->batch, side = (size_t)cpv_clip_pixels(e->clip)->size;

    b->pixels = cpv_alloc(n * 3 * side * side * sizeof *b->pixels);
    b->vectors = cpv_alloc(n * (size_t)e->dim * sizeof *b->vectors);
    b->number = cpv_alloc(n * sizeof *b->number);
    if (!b->pixels || !b->vectors || !b->number)
        return cpv_fail_memory(err);
    return cpv_pixels_open(&b->maker, cpv_clip_pixels(e->clip), err);
}

static void free_item(struct item *item)
{
    cpv_buf_release(&item->file);
    cpv_free(item);
}

static void picture_main(void *arg, int who)
{
    embedder *e = arg;
    struct worker *w = &e->worker[who % e->workers];
    struct batch b = {0};
    struct cpv_err err = {0};
    int rc = open_batch(e, &b, &err);
    void *next;

    while (!rc && !atomic_load(&e->cancel) && cpv_queue_get(e->todo, &next)) {
        rc = decode(e, &b, next, &err);
        free_item(next);
        if (!rc && b.n == e->batch)
            rc = run_batch(e, w, &b, &err);
    }
    if (!rc && !atomic_load(&e->cancel))
        rc = run_batch(e, w, &b, &err);
    if (rc)
        fail(e, &err);
    cpv_pixels_close(&b.maker);
    cpv_free(b.pixels);
    cpv_free(b.vectors);
    cpv_free(b.number);
}

static int trouble(embedder *e, struct cpv_err *err)
{
    int rc;

    pthread_mutex_lock(&e->lock);
    rc = e->err.code;
    if (rc && err)
        *err = e->err;
    pthread_mutex_unlock(&e->lock);
    if (!rc && cpv_stop_requested())
        rc = cpv_fail(err, CPV_E_STOPPED, "stopped");
    return rc;
}

static int start(embedder *e, struct cpv_err *err)
{
    int rc = cpv_queue_open(&e->todo, AHEAD * (size_t)e->p.threads, err);

    return rc ? rc
              : cpv_pool_open(&e->pool, "eval", e->p.threads, MODEL_STACK, picture_main,
                              e, err);
}

int embedder_file(embedder *e, int64_t number, struct cpv_buf *file, struct cpv_err *err)
{
    struct item *item = cpv_calloc(1, sizeof *item);
    int rc = item ? trouble(e, err) : cpv_fail_memory(err);

    if (item) {
        item->number = number;
        item->file = *file;
        *file = (struct cpv_buf){0};
    }
    if (!rc && !e->pool)
        rc = start(e, err);
    if (!rc && cpv_queue_put(e->todo, item))
        return CPV_OK;
    if (item)
        free_item(item);
    cpv_buf_release(file);
    return rc ? rc : trouble(e, err);
}

/* Whatever the threads have not taken is dropped. */
static void end(embedder *e)
{
    void *item;

    if (e->todo)
        cpv_queue_end(e->todo);
    cpv_pool_close(&e->pool);
    while (e->todo && cpv_queue_get(e->todo, &item))
        free_item(item);
    cpv_queue_close(&e->todo);
}

int embedder_finish(embedder *e, struct cpv_err *err)
{
    end(e);
    return trouble(e, err);
}

/* ---- texts ---- */

static int embed_share(embedder *e, struct worker *w, int64_t from, int64_t n,
                       struct cpv_err *err)
{
    struct cpv_ids ids = {0};
    int32_t length[TEXTS];
    int rc = CPV_OK;

    for (int64_t i = 0; i < n && !rc; i++) {
        size_t before = ids.count;

        rc = cpv_clip_encode(e->clip, cpv_bytes_str(e->text[from + i]), &ids, err);
        length[i] = (int32_t)(ids.count - before);
    }
    if (!rc && ids.failed)
        rc = cpv_fail_memory(err);
    pthread_mutex_lock(&w->lock);
    if (!rc)
        rc = cpv_clip_worker_texts(w->clip, ids.data, length, n, e->out + from * e->dim,
                                   err);
    pthread_mutex_unlock(&w->lock);
    cpv_ids_release(&ids);
    return rc;
}

static void text_main(void *arg, int who)
{
    embedder *e = arg;
    struct cpv_err err = {0};
    int rc = CPV_OK;

    while (!rc && !atomic_load(&e->cancel)) {
        int64_t at = (int64_t)atomic_fetch_add(&e->next, TEXTS);
        int64_t left = e->n_texts - at;

        if (left <= 0)
            break;
        if (cpv_stop_requested())
            rc = cpv_fail(&err, CPV_E_STOPPED, "stopped");
        else
            rc = embed_share(e, &e->worker[who % e->workers], at,
                             left < TEXTS ? left : TEXTS, &err);
    }
    if (rc)
        fail(e, &err);
}

int embedder_texts(embedder *e, const char *const *text, int64_t n, float *out,
                   struct cpv_err *err)
{
    cpv_pool *pool = NULL;
    int rc;

    e->text = text;
    e->n_texts = n;
    e->out = out;
    atomic_store(&e->next, 0);
    rc = cpv_pool_open(&pool, "eval", e->p.threads, MODEL_STACK, text_main, e, err);
    cpv_pool_close(&pool);
    return rc ? rc : trouble(e, err);
}

/* One at a time: the worker's own calls normalise. */
int embedder_raw_texts(embedder *e, const char *const *text, int64_t n, float *out,
                       struct cpv_err *err)
{
    struct cpv_compute_params params = {.arena = cpv_clip_worker_bytes(e->worker[0].clip),
                                        .threads = e->p.threads};
    cpv_compute *c = NULL;
    struct cpv_ids ids = {0};
    int rc = cpv_compute_open(&c, e->device, &params, err);

    for (int64_t i = 0; i < n && !rc; i++) {
        struct cpv_compute_mark mark = cpv_compute_mark(c);
        int32_t length;
        cpv_rows rows;
        cpv_tensor x;

        cpv_ids_clear(&ids);
        rc = cpv_clip_encode(e->clip, cpv_bytes_str(text[i]), &ids, err);
        if (!rc && ids.failed)
            rc = cpv_fail_memory(err);
        if (!rc && cpv_stop_requested())
            rc = cpv_fail(err, CPV_E_STOPPED, "stopped");
        if (rc)
            break;
        length = (int32_t)ids.count;
        rows = cpv_rows_put(c, &length, 1);
        x = cpv_put_i32(c, rows.total, 1, ids.data);
        cpv_get(c, cpv_clip_text(c, e->clip, x, rows, NULL), out + i * e->dim);
        rc = cpv_compute_sync(c, err);
        cpv_compute_rewind(c, mark);
    }
    cpv_compute_close(&c);
    cpv_ids_release(&ids);
    return rc;
}

/* ---- life ---- */

static int open_model(embedder *e, struct cpv_err *err)
{
    const struct eval_settings *set = e->p.set;
    struct cpv_clip_params params = {.image = e->p.images,
                                     .text = true,
                                     .tokenizer = set->tokenizer,
                                     .adapter = set->adapter};
    int rc = cpv_model_device(&e->device, set->device, set->weights, err);

    if (!rc)
        rc = cpv_clip_open(&e->clip, e->device, e->p.model, &params, err);
    if (!rc)
        e->dim = cpv_clip_config(e->clip)->dim;
    return rc;
}

int embedder_open(embedder **out, const struct embedder_params *params,
                  struct cpv_err *err)
{
    embedder *e = cpv_calloc(1, sizeof *e);
    bool gpu = strcmp(cpv_stage_backend(params->set->device), "cuda") == 0;
    struct cpv_clip_limits limits = {0};
    int rc;

    *out = NULL;
    if (!e)
        return cpv_fail_memory(err);
    e->p = *params;
    e->batch = params->set->batch ? (int)params->set->batch : gpu ? IMAGES_GPU : IMAGES;
    limits.images = e->batch;
    pthread_mutex_init(&e->lock, NULL);
    rc = open_model(e, err);
    e->worker = cpv_calloc((size_t)params->threads, sizeof *e->worker);
    if (!rc && !e->worker)
        rc = cpv_fail_memory(err);
    while (!rc && e->workers < (gpu ? 1 : params->threads)) {
        struct worker *w = &e->worker[e->workers];

        rc = cpv_clip_worker_open(&w->clip, e->clip, &limits, err);
        if (!rc) {
            pthread_mutex_init(&w->lock, NULL);
            e->workers++;
        }
    }
    *out = e;
    if (rc)
        embedder_close(out);
    return rc;
}

void embedder_close(embedder **out)
{
    embedder *e = *out;

    *out = NULL;
    if (!e)
        return;
    atomic_store(&e->cancel, true);
    end(e);
    for (int i = 0; i < e->workers; i++) {
        cpv_clip_worker_close(&e->worker[i].clip);
        pthread_mutex_destroy(&e->worker[i].lock);
    }
    cpv_free(e->worker);
    cpv_clip_close(&e->clip);
    cpv_device_close(&e->device);
    for (int64_t i = 0; i < e->count; i++)
        cpv_free(e->why[i]);
    cpv_free(e->why);
    cpv_free(e->vectors);
    pthread_mutex_destroy(&e->lock);
    cpv_free(e);
}

int embedder_dim(const embedder *e)
{
    return e->dim;
}
