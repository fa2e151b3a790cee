/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: claim parts, feed them, journal what comes back, hand finished parts
 * on. The next part is begun while the last rows of the one before are still on
 * their way, so that a slow server never empties the pipe.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/stop.h"
#include "common/base/sys.h"
#include "stages/fetch/fetch.h"

enum {
    LOW_WATER = 2048, /* begin another part when fewer rows are on their way */
    DONE_CAPACITY = 256,
    TICK_MS = 100
};

/* ---- the network's answers ---- */

/* On libcurl's event thread: only moves things. */
static void answered(void *ctx, struct cpv_http_reply *reply)
{
    struct fetch *f = ctx;
    struct fetch_job *job = reply->user;

    if (reply->status == CPV_HTTP_OK) {
        job->body = reply->body;
        job->charged = job->fetched = reply->body.size;
        cpv_buf_init(&reply->body);
    } else if (reply->status == CPV_HTTP_STOPPED) {
        job->stopped = true;
    } else if (reply->status == CPV_HTTP_MEMORY) {
        job->out_of_memory = true;
    } else {
        job->status = cpv_http_status_name(reply->status);
        job->transient = reply->transient;
        if (reply->http >= 400)
            (void)snprintf(job->detail, sizeof job->detail, "HTTP %d", reply->http);
    }
    /* Its capacity is that of all parts under way: this never waits. */
    if (!cpv_queue_put(f->todo, job))
        fetch_job_free(&job);
}

static void note(void *ctx, const char *text)
{
    struct fetch *f = ctx;

    cpv_log_warning(f->run->log, "%s", text);
}

static int ms(double seconds)
{
    return (int)(seconds * 1000 + 0.5);
}

static int open_http(struct fetch *f, struct cpv_err *err)
{
    const struct fetch_settings *s = f->set;
    struct cpv_http_params p;
    char *agent = NULL;

    cpv_http_defaults(&p);
    if (!s->user_agent && s->contact) {
        agent = cpv_arena_printf(f->run->mem, "capivara-fetch/%s (+%s)", CPV_VERSION,
                                 s->contact);
        if (!agent)
            return cpv_fail_memory(err);
    }
    p.connections = (int)s->connections;
    p.per_host = (int)s->per_host;
    p.per_host_rate = s->per_host_rate;
    p.connect_timeout_ms = ms(s->connect_timeout);
    p.timeout_ms = ms(s->timeout);
    p.max_bytes = s->max_bytes;
    p.max_redirects = (int)s->redirects;
    p.retries = (int)s->retries;
    p.backoff_ms = ms(s->backoff);
    p.retry_after_max_ms = ms(s->retry_after_max);
    p.memory_budget = s->memory;
    p.host_down_after = (int)s->host_down_after;
    p.user_agent = s->user_agent ? s->user_agent : agent;
    p.user_agent_token = s->user_agent_token;
    p.respect_optout = s->respect_optout;
    p.disallowed_directives = s->directives;
    p.robots = s->robots;
    p.allow_private = s->allow_private;
    p.insecure_tls = s->insecure_tls;
    p.ca_file = s->ca_file;
    p.proxy = s->proxy;
    p.resolver_threads = (int)s->resolver_threads;
    p.dns_pause_max_ms = ms(s->dns_pause_max);
    p.note = note;
    p.note_ctx = f;
    return cpv_http_open(&f->http, &p, answered, f, err);
}

/* ---- results ---- */

static int hand_on(struct fetch *f, struct fetch_part *p, struct cpv_err *err)
{
    struct fetch_job *job = cpv_calloc(1, sizeof *job);

    if (!job)
        return cpv_fail_memory(err);
    job->owner = p;
    job->is_finish = true;
    if (cpv_queue_put(f->finish, job)) {
        f->finishing++;
        return CPV_OK;
    }
    fetch_job_free(&job);
    return cpv_fail(err, CPV_E_BUG, "the finisher has ended");
}

static int keep(struct fetch *f, struct fetch_job *job, struct cpv_err *err)
{
    struct cpv_bytes piece = cpv_buf_view(&job->payload);
    uint64_t offset;
    int rc;

    if (job->stopped)
        return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    if (job->out_of_memory)
        return cpv_fail_memory(err);
    rc = cpv_journal_add(job->owner->journal, &piece, 1, &offset, err);
    if (!rc)
        rc = fetch_part_note(job->owner, job->index, offset,
                             job->failed && job->transient, err);
    cpv_progress_add(f->run->progress, 1, job->failed);
    return rc;
}

static void forget(struct fetch *f, struct fetch_part *p)
{
    int at = 0;

    while (f->parts[at] != p)
        at++;
    f->parts[at] = f->parts[--f->active];
    if (f->feeding == p)
        f->feeding = NULL;
    fetch_part_close(f, &p);
}

/* All rows of a part are dealt with. */
static int conclude(struct fetch *f, struct fetch_part *p, struct cpv_err *err)
{
    if (!p->broken)
        return hand_on(f, p, err);
    forget(f, p);
    return CPV_OK;
}

/* One thing that came back. Takes the job; `rc` is the trouble we are in already. */
static int settle(struct fetch *f, struct fetch_job *job, int rc, struct cpv_err *err)
{
    struct fetch_part *p = job->owner;

    if (job->is_finish) {
        f->finishing--;
        forget(f, p);
        pthread_mutex_lock(&f->lock);
        if (!rc && f->finish_err.code) {
            *err = f->finish_err;
            rc = err->code;
        }
        pthread_mutex_unlock(&f->lock);
    } else {
        p->pending--;
        f->in_flight--;
        p->body_bytes += job->fetched;
        if (!rc)
            rc = keep(f, job, err);
        else if (!job->stopped && !job->out_of_memory)
            (void)keep(f, job, NULL); /* done is done, whatever else is wrong */
        if (!rc && p->pending == 0 && p->fed)
            rc = conclude(f, p, err);
    }
    fetch_job_free(&job);
    return rc;
}

/* ---- beginning ---- */

/* A tar is read by us, so one at a time; lists go out at once. */
static bool may_begin(const struct fetch *f)
{
    return !f->feeding && f->active < FETCH_ACTIVE_MAX && f->in_flight < LOW_WATER &&
           (f->active == 0 || cpv_run_ready(f->run));
}

/* One bad tar of many costs one part: the others go on, and the run ends with 65. */
static bool is_unreadable_tar(const struct fetch *f, int rc)
{
    return fetch_source_is_tars(f->source) &&
           (rc == CPV_E_INPUT || rc == CPV_E_CORRUPT || rc == CPV_E_ABSENT);
}

static void pass_over(struct fetch *f, const struct cpv_err *err)
{
    cpv_log_err(f->run->log, err);
    f->unreadable++;
}

/* 1: one was begun; 0: there are no more. */
static int begin(struct fetch *f, struct cpv_err *err)
{
    struct fetch_part *p = NULL;
    struct cpv_part *part = NULL;
    int rc = cpv_run_next(f->run, &part, err);

    if (rc <= 0)
        return rc;
    rc = fetch_part_open(f, &part, &p, err);
    if (is_unreadable_tar(f, rc)) {
        pass_over(f, err);
        return 1;
    }
    if (rc)
        return rc;
    f->parts[f->active++] = p;
    f->feeding = p;
    return 1;
}

static int feed(struct fetch *f, struct cpv_err *err)
{
    struct fetch_part *p = f->feeding;
    int rc;

    if (!p)
        return CPV_OK;
    rc = fetch_part_feed(f, p, err);
    if (is_unreadable_tar(f, rc)) {
        pass_over(f, err);
        p->broken = p->fed = true;
        rc = CPV_OK;
    }
    if (p->fed || rc)
        f->feeding = NULL;
    if (!rc && p->fed && p->pending == 0)
        rc = conclude(f, p, err);
    return rc;
}

static int advance(struct fetch *f, bool *more, struct cpv_err *err)
{
    int rc = CPV_OK;

    if (*more && may_begin(f)) {
        rc = begin(f, err);
        if (rc == 0)
            *more = false;
        if (rc < 0)
            return rc;
    }
    rc = feed(f, err);
    if (!rc && cpv_stop_requested())
        rc = cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    return rc ? rc : cpv_run_check_space(f->run, err);
}

/* ---- ending ---- */

/*
 * After an error or a signal: everything under way is called back; what has been
 * journaled stays, and a part that is with the finisher is let finish.
 */
static void call_back(struct fetch *f)
{
    void *item;

    atomic_store(&f->cancel, true);
    if (f->http)
        cpv_http_stop(f->http);
    while ((f->in_flight || f->finishing) && cpv_queue_get(f->done, &item)) {
        struct cpv_err ignored;

        (void)settle(f, item, CPV_E_STOPPED, &ignored);
    }
    while (f->active)
        forget(f, f->parts[0]);
}

static int loop(struct fetch *f, struct cpv_err *err)
{
    bool more = true;
    int rc = CPV_OK;

    while (!rc && (more || f->active > 0)) {
        bool busy = f->feeding && f->feeding->pending < DONE_CAPACITY / 2;
        void *item;

        rc = advance(f, &more, err);
        if (!rc && f->active > 0 &&
            cpv_queue_get_for(f->done, &item, busy ? 0 : TICK_MS) == CPV_QUEUE_ITEM)
            rc = settle(f, item, CPV_OK, err);
    }
    if (!rc && f->unreadable)
        rc = cpv_fail(err, CPV_E_INPUT, "%u tars cannot be read; the others are done",
                      f->unreadable);
    return rc;
}

int fetch_work(struct fetch *f, struct cpv_err *err)
{
    size_t capacity = (size_t)f->set->rows_per_part * FETCH_ACTIVE_MAX + LOW_WATER;
    int rc = cpv_queue_open(&f->todo, capacity, err);

    if (!rc)
        rc = cpv_queue_open(&f->done, DONE_CAPACITY, err);
    if (!rc)
        rc = cpv_queue_open(&f->finish, FETCH_ACTIVE_MAX + 1, err);
    if (!rc && !fetch_source_is_tars(f->source))
        rc = open_http(f, err);
    if (!rc)
        rc = cpv_pool_open(&f->decoders, "decode", f->run->threads, 0, fetch_decode_main,
                           f, err);
    if (!rc)
        rc = cpv_pool_open(&f->finisher, "finish", 1, 0, fetch_finish_main, f, err);
    if (!rc)
        rc = loop(f, err);
    if (rc)
        call_back(f);
    return rc;
}
