/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: from a URL to a host's queue, and from an outcome to an answer (http_impl.h). */
#include "common/net/http_impl.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/sys.h"

struct job *job_new(const char *url, void *user)
{
    size_t n = strlen(url) + 1, size;
    struct job *j;

    if (!cpv_size_add(sizeof *j, n, &size))
        return NULL;
    j = cpv_calloc(1, size);
    if (!j)
        return NULL;
    memcpy(j->first, url, n);
    j->user = user;
    j->timer.kind = TIMER_JOB;
    link_init(&j->all);
    link_init(&j->place);
    return j;
}

static void job_leave_host(cpv_http *h, struct job *j)
{
    struct host *host = j->host;

    j->host = NULL;
    if (host)
        host_drop(h, host);
}

static void job_free(cpv_http *h, struct job *j)
{
    cpv_heap_unset(&h->heap, &j->timer);
    link_remove(&j->all);
    link_remove(&j->place);
    h->timers--;
    cpv_free(j->url);
    cpv_free(j);
}

void job_answer(cpv_http *h, struct job *j, cpv_http_status status, bool transient,
                struct cpv_buf *body, const char *content_type)
{
    struct cpv_http_reply reply = {.user = j->user,
                                   .status = status,
                                   .http = j->http,
                                   .transient = transient,
                                   .attempts = j->attempts,
                                   .final_url = j->url ? j->url : j->first,
                                   .content_type = content_type ? content_type : ""};
    size_t size = body ? body->size : 0;

    link_remove(&j->place);
    cpv_heap_unset(&h->heap, &j->timer);
    job_leave_host(h, j);
    if (j->origin) {
        robots_done(h, j, status, body);
        if (body) {
            cpv_buf_release(body);
            atomic_fetch_sub(&h->shared.used, (long long)size);
        }
        job_free(h, j);
        return;
    }
    if (body) {
        reply.body = *body;
        cpv_buf_init(body);
        atomic_fetch_add(&h->shared.handed, (long long)size);
    }
    h->stats.answered++;
    h->stats.by_status[status]++;
    atomic_fetch_sub(&h->shared.waiting, 1);
    h->done(h->ctx, &reply);
    if (reply.body.data) {
        cpv_buf_release(&reply.body);
        cpv_http_release(h, size);
    }
    job_free(h, j);
}

void job_answer_all(cpv_http *h, struct link *list, cpv_http_status status,
                    bool transient)
{
    struct link mine;

    link_init(&mine);
    link_splice(&mine, list);
    while (!link_alone(&mine)) {
        struct job *j = OWNER_OF(mine.next, struct job, place);

        /* Who was tried says what came of it; who was not, that nobody tried. */
        job_answer(h, j,
                   j->attempts > 0 && status == CPV_HTTP_HOST_DOWN ? j->last : status,
                   transient, NULL, NULL);
    }
}

static void give_up(cpv_http *h, struct job *j, cpv_http_status status)
{
    job_answer(h, j, status, cpv_http_status_transient(status), NULL, NULL);
}

/* Point the job to a parsed URL; takes u->text. */
static bool set_hop(cpv_http *h, struct job *j, struct cpv_url *u)
{
    struct host *host = host_take(h, u);

    if (!host)
        return false;
    job_leave_host(h, j);
    j->host = host;
    cpv_free(j->url);
    j->url = u->text;
    u->text = NULL;
    j->https = u->https;
    j->port = u->port;
    return true;
}

/* To the queue of the host of the current hop. */
static void enqueue(cpv_http *h, struct job *j, bool first)
{
    struct host *host = j->host;

    if (h->p.robots && !j->origin && !robots_allow(h, j))
        return;
    if (host->dns >= DNS_FRESH && !host->numeric)
        h->stats.dns_hits++;
    link_insert(first ? host->queue.next : &host->queue, &j->place);
    host_update(h, host);
}

static void go_to(cpv_http *h, struct job *j, const char *url, bool redirected)
{
    struct cpv_url u;
    int rc = cpv_url_parse(&u, url, h->p.allow_private, NULL);
    cpv_http_status status = CPV_HTTP_OK;

    if (rc == CPV_E_MEMORY)
        status = CPV_HTTP_MEMORY;
    else if (rc)
        status = redirected ? CPV_HTTP_REDIRECT : CPV_HTTP_BAD_URL;
    else if (u.kind == CPV_HOST_NUMERIC && !h->p.allow_private &&
             !cpv_addr_public(&u.addr)) {
        status = CPV_HTTP_BLOCKED_IP;
        h->stats.blocked++;
    } else if (!set_hop(h, j, &u)) {
        status = CPV_HTTP_MEMORY;
    }
    cpv_url_release(&u);
    if (status)
        give_up(h, j, status);
    else
        enqueue(h, j, redirected);
}

void job_start(cpv_http *h, struct job *j)
{
    j->redirects = 0;
    if (h->stopping)
        give_up(h, j, CPV_HTTP_STOPPED);
    else
        go_to(h, j, j->first, false);
}

void job_redirect(cpv_http *h, struct job *j, const char *url)
{
    if (++j->redirects > h->p.max_redirects) {
        give_up(h, j, CPV_HTTP_REDIRECT);
        return;
    }
    h->stats.redirects++;
    go_to(h, j, url, true);
}

/* Doubling, and up to half as much again by a hash: the same wherever and whenever. */
int64_t job_backoff_ms(const cpv_http *h, const char *seed, int attempt)
{
    int shift = attempt > 1 ? (attempt < 12 ? attempt - 1 : 11) : 0;
    int64_t base = (int64_t)h->p.backoff_ms << shift;
    uint64_t spread = cpv_xxh64(seed, strlen(seed), (uint64_t)attempt);

    if (base > h->p.retry_after_max_ms)
        base = h->p.retry_after_max_ms;
    return base + (int64_t)(spread % (uint64_t)(base / 2 + 1));
}

void job_failed(cpv_http *h, struct job *j, const struct outcome *o)
{
    int64_t wait;

    j->last = o->status;
    if (!o->retry || j->attempts > h->p.retries || h->stopping) {
        job_answer(h, j, o->status, o->transient, NULL, NULL);
        return;
    }
    h->stats.retries++;
    wait = job_backoff_ms(h, j->first, j->attempts);
    if (o->retry_after >= 0) /* the host is held that long; the spread stays */
        wait = o->retry_after + wait % (h->p.backoff_ms / 2 + 1);
    cpv_heap_set(&h->heap, &j->timer, h->now + wait);
}
