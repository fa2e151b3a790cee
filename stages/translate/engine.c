/* SPDX-License-Identifier: Apache-2.0 */
/* Texts in, texts out: each thread has a worker of its own and takes every n-th text. */
#include <pthread.h>
#include <string.h>

#include "common/base/queue.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/model/marian.h"
#include "common/text/marian_text.h"
#include "stages/translate/translate.h"

struct worker {
    engine *e;
    cpv_marian_worker *marian;
    struct cpv_ids ids;             /* of its sentences, one after another */
    struct cpv_sentence *sentences; /* those that are not empty, ... */
    struct translation **of;        /* ... and whose they are */
    struct cpv_buf text;            /* of their translations */
    struct cpv_err err;
};

struct engine {
    struct engine_params p;
    cpv_device *device;
    cpv_marian *marian;
    cpv_marian_text *text;
    struct worker *worker;
    int threads, max_source;
    pthread_mutex_t lock;     /* of done */
    struct translation *todo; /* of the run under way */
    size_t n;
    engine_done *done;
    void *arg;
};

/* ---- life ---- */

static struct cpv_search search_of(const engine *e)
{
    const struct translate_settings *set = e->p.set;
    struct cpv_search s = cpv_marian_config(e->marian)->search;

    if (set->beams)
        s.beams = (int)set->beams;
    if (set->length_penalty == set->length_penalty && set->length_penalty > -1e9)
        s.length_penalty = (float)set->length_penalty;
    cpv_model_sample(&s, &set->sampling, e->p.seed);
    return s;
}

static int open_workers(engine *e, struct cpv_err *err)
{
    const struct translate_settings *set = e->p.set;
    struct cpv_search search = search_of(e);
    struct cpv_marian_limits limits = {.lanes = (int)set->lanes,
                                       .source = e->max_source,
                                       .target_per = set->max_ratio,
                                       .target_more = (int)set->max_more,
                                       .threads = 1};
    int rc = CPV_OK;

    if (e->p.n_best > search.beams)
        return cpv_fail(err, CPV_E_USAGE,
                        "%d translations of each text need as many beams, "
                        "not %d",
                        e->p.n_best, search.beams);
    e->worker = cpv_calloc((size_t)e->threads, sizeof *e->worker);
    if (!e->worker)
        return cpv_fail_memory(err);
    for (int i = 0; i < e->threads && !rc; i++) {
        e->worker[i].e = e;
        rc = cpv_marian_worker_open(&e->worker[i].marian, e->marian, &search, &limits,
                                    err);
    }
    return rc;
}

int engine_open(engine **out, const struct engine_params *params, struct cpv_err *err)
{
    engine *e = cpv_calloc(1, sizeof *e);
    int rc;

    *out = NULL;
    if (!e)
        return cpv_fail_memory(err);
    e->p = *params;
    pthread_mutex_init(&e->lock, NULL);

    rc = cpv_model_device(&e->device, params->device, params->set->weights, err);
    if (!rc)
        rc = cpv_marian_open(&e->marian, e->device, params->model, err);
    if (!rc)
        rc = cpv_marian_text_open(&e->text, params->model, err);
    if (!rc) {
        int most = cpv_marian_config(e->marian)->positions;

        e->threads = strcmp(engine_backend(e), "cpu") == 0 ? params->threads : 1;
        e->max_source =
            params->set->max_source < most ? (int)params->set->max_source : most;
        rc = open_workers(e, err);
    }
    if (rc)
        engine_close(&e);
    *out = e;
    return rc;
}

void engine_close(engine **e)
{
    engine *o = *e;

    if (!o)
        return;
    for (int i = 0; o->worker && i < o->threads; i++) {
        struct worker *w = &o->worker[i];

        cpv_marian_worker_close(&w->marian);
        cpv_ids_release(&w->ids);
        cpv_buf_release(&w->text);
        cpv_free(w->sentences);
        cpv_free(w->of);
    }
    cpv_free(o->worker);
    cpv_marian_text_close(&o->text);
    cpv_marian_close(&o->marian);
    cpv_device_close(&o->device);
    pthread_mutex_destroy(&o->lock);
    cpv_free(o);
    *e = NULL;
}

const char *engine_backend(const engine *e)
{
    return strncmp(cpv_device_name(e->device), "cuda", 4) == 0
               ? "cuda"
               : cpv_device_name(e->device);
}

/* ---- a run ---- */

static bool is_blank(struct cpv_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] > ' ')
            return false;
    return true;
}

/* The ids of one text behind those before; too long a text loses its end, but not eos. */
static int encode(struct worker *w, struct translation *t, struct cpv_err *err)
{
    const char *prefix = w->e->p.set->prefix;
    struct cpv_buf whole = {0};
    size_t before = w->ids.count;
    int rc;

    cpv_buf_str(&whole, prefix ? prefix : "");
    cpv_buf_add(&whole, t->source.data, t->source.size);
    rc = whole.failed
             ? cpv_fail_memory(err)
             : cpv_marian_text_encode(w->e->text, cpv_buf_view(&whole), &w->ids, err);
    cpv_buf_release(&whole);
    if (rc)
        return rc;
    t->tokens_in = (int)(w->ids.count - before);
    if (t->tokens_in > w->e->max_source) {
        w->ids.data[before + (size_t)w->e->max_source - 1] =
            w->ids.data[w->ids.count - 1];
        w->ids.count = before + (size_t)w->e->max_source;
        t->tokens_in = w->e->max_source;
        t->flags |= CPV_FLAG_CUT;
    }
    return CPV_OK;
}

/* What stands behind `before` is the translation; its final place is only known once the
 * buffer does not grow any more, so that till then `target` holds an offset, plus 1. */
static int tell(struct worker *w, struct translation *t, size_t before)
{
    engine *e = w->e;
    int rc = CPV_OK;

    t->target = cpv_bytes_of(w->text.data + before, w->text.size - before);
    if (e->p.n_best <= 1)
        t->flags |= translate_flags(t->source, t->target, e->p.lang);
    if (e->done) {
        pthread_mutex_lock(&e->lock);
        rc = e->done(e->arg, t, &w->err);
        pthread_mutex_unlock(&e->lock);
    }
    t->target.data = (const uint8_t *)(uintptr_t)(before + 1);
    return rc;
}

/* Translation `rank`, behind those before; how many tokens it has, or a code. */
static int put_best(struct worker *w, const cpv_beam *beam, int rank)
{
    const int32_t *ids = NULL;
    float score = 0;
    int n = cpv_beam_best(beam, rank, &ids, &score), rc;

    if (n < 0)
        return 0;
    if (w->e->p.n_best > 1)
        cpv_buf_printf(&w->text, "%s%.4f\t", rank ? "\n" : "", (double)score);
    rc = cpv_marian_text_decode(w->e->text, ids, (size_t)n, &w->text, &w->err);
    return rc ? rc : n;
}

static int emit(void *arg, int sentence, const cpv_beam *beam)
{
    struct worker *w = arg;
    struct translation *t = w->of[sentence];
    size_t before = w->text.size;
    int rc = put_best(w, beam, 0);

    t->tokens_out = rc > 0 ? rc : 0;
    for (int rank = 1; rank < w->e->p.n_best && rc >= 0; rank++)
        rc = put_best(w, beam, rank);
    rc = rc < 0 ? rc : CPV_OK;
    if (cpv_beam_was_cut(beam))
        t->flags |= CPV_FLAG_CUT;
    if (!rc && w->text.failed)
        rc = cpv_fail_memory(&w->err);
    if (!rc)
        rc = tell(w, t, before);
    if (!rc && cpv_stop_requested())
        rc = cpv_fail(&w->err, CPV_E_STOPPED, "stopped; run again to go on");
    return rc;
}

/* The texts from, from + step, ... that say anything. */
static int take(struct worker *w, size_t from, size_t step, int *count)
{
    engine *e = w->e;
    size_t most = e->n / step + 1, at = 0;
    int n = 0, rc = CPV_OK;

    cpv_free(w->sentences);
    cpv_free(w->of);
    w->sentences = cpv_calloc(most, sizeof *w->sentences);
    w->of = cpv_calloc(most, sizeof(struct translation *));
    if (!w->sentences || !w->of)
        return cpv_fail_memory(&w->err);
    w->ids.count = 0;
    w->text.size = 0;
    for (size_t i = from; i < e->n && !rc; i += step) {
        struct translation *t = &e->todo[i];

        t->flags = 0;
        t->tokens_in = t->tokens_out = 0;
        t->target = cpv_bytes_of("", 0);
        if (is_blank(t->source))
            continue;
        rc = encode(w, t, &w->err);
        w->of[n++] = t;
    }
    for (int i = 0; i < n && !rc; i++) {
        w->sentences[i] = (struct cpv_sentence){w->ids.data + at, w->of[i]->tokens_in};
        at += (size_t)w->of[i]->tokens_in;
    }
    *count = n;
    return rc;
}

static void work(void *arg, int who)
{
    engine *e = arg;
    struct worker *w = &e->worker[who];
    int n = 0;

    w->err.code = 0;
    if (take(w, (size_t)who, (size_t)e->threads, &n))
        return;
    if (cpv_marian_translate(w->marian, w->sentences, n, emit, w, &w->err))
        return;
    for (int i = 0; i < n; i++)
        w->of[i]->target.data = w->text.data + (uintptr_t)w->of[i]->target.data - 1;
}

int engine_run(engine *e, struct translation *t, size_t n, engine_done *done, void *arg,
               struct cpv_err *err)
{
    cpv_pool *pool = NULL;
    int rc;

    e->todo = t;
    e->n = n;
    e->done = done;
    e->arg = arg;
    rc = cpv_pool_open(&pool, "translate", e->threads, (size_t)8 << 20, work, e, err);
    if (rc)
        return rc;
    cpv_pool_close(&pool); /* waits */
    for (int i = 0; i < e->threads; i++)
        if (e->worker[i].err.code) {
            *err = e->worker[i].err;
            return err->code;
        }
    return CPV_OK;
}
