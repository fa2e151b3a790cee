/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop over parts: claim, feed, keep what comes back, finish. The next part is begun
 * as soon as all pictures of the one before are in work, so that no thread is without.
 */
#include "common/base/stop.h"
#include "stages/caption/caption.h"

enum { ACTIVE_MAX = 2, TICK_MS = 100 };

struct work {
    struct captioner *k;
    caption_part *part[ACTIVE_MAX];
    int active;
    caption_part *feeding;
    int in_work; /* pictures */
    bool more;   /* there may be further parts */
};

static int start_engine(struct captioner *k, struct cpv_err *err)
{
    struct engine_params p = {.set = k->set,
                              .model = k->folder,
                              .device = k->run->device,
                              .threads = k->run->threads,
                              .seed = k->run->seed};

    return k->engine ? CPV_OK : engine_open(&k->engine, &p, err);
}

static bool may_begin(const struct work *w)
{
    return w->more && !w->feeding && w->active < ACTIVE_MAX &&
           (w->active == 0 || cpv_run_ready(w->k->run));
}

static int begin(struct work *w, struct cpv_err *err)
{
    struct cpv_part *part = NULL;
    caption_part *p = NULL;
    int rc = cpv_run_next(w->k->run, &part, err);

    if (rc == 0)
        w->more = false;
    if (rc != 1)
        return rc;
    rc = part_open(&p, w->k, &part, err);
    if (rc)
        return rc;
    w->part[w->active++] = p;
    if (part_left(p) == 0)
        return CPV_OK; /* all of it was in the journal */
    rc = start_engine(w->k, err);
    if (!rc)
        engine_expect(w->k->engine, part_left(p));
    w->feeding = p;
    return rc;
}

static int feed(struct work *w, struct cpv_err *err)
{
    int rc = CPV_OK;

    while (!rc && w->feeding && w->in_work < engine_room(w->k->engine)) {
        struct picture *one;

        rc = cpv_run_check_space(w->k->run, err);
        if (!rc)
            rc = part_next(w->feeding, &one, err);
        if (!rc)
            rc = engine_put(w->k->engine, one, err);
        w->in_work += !rc;
        if (!rc && part_left(w->feeding) == 0)
            w->feeding = NULL;
    }
    return rc;
}

static int keep_one(struct work *w, struct cpv_err *err)
{
    struct picture *one = NULL;
    int rc = engine_take(w->k->engine, &one, TICK_MS, err);

    if (rc != 1)
        return rc;
    w->in_work--;
    rc = part_keep(one->owner, one, err);
    picture_free(&one);
    return rc;
}

static int finish(struct work *w, struct cpv_err *err)
{
    int rc = CPV_OK, kept = 0;

    for (int i = 0; i < w->active; i++) {
        caption_part *p = w->part[i];

        if (!rc && part_done(p)) {
            rc = part_finish(w->k, p, err);
            part_close(w->k, &p);
        }
        if (p)
            w->part[kept++] = p;
    }
    w->active = kept;
    return rc;
}

/* After an error or a signal: what is done is done, whatever else is wrong. */
static void call_back(struct work *w)
{
    struct picture *one;
    int rc = CPV_OK;

    while (w->k->engine && (one = engine_rest(w->k->engine))) {
        if (!rc)
            rc = part_keep(one->owner, one, NULL);
        picture_free(&one);
    }
    while (w->active)
        part_close(w->k, &w->part[--w->active]);
}

int caption_work(struct captioner *k, struct cpv_err *err)
{
    struct work w = {.k = k, .more = true};
    int rc = CPV_OK;

    while (!rc && (w.more || w.active)) {
        if (may_begin(&w))
            rc = begin(&w, err);
        if (!rc)
            rc = feed(&w, err);
        if (!rc && w.in_work)
            rc = keep_one(&w, err);
        if (!rc)
            rc = finish(&w, err);
        if (!rc && cpv_stop_requested())
            rc = cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    }
    if (rc)
        call_back(&w);
    return rc;
}
