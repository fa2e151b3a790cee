/* SPDX-License-Identifier: Apache-2.0 */
/*
 * robots.txt (http_impl.h): fetched once per origin by a job of our own, obeyed by all
 * others. RFC 9309: 4xx means that all is allowed, 5xx that nothing is.
 */
#include "common/net/http_impl.h"

#include <stdio.h>
#include <string.h>

#include "common/base/sys.h"

static struct origin *find(struct host *host, bool https, int port)
{
    struct origin *o = host->origins;

    while (o && (o->https != https || o->port != port))
        o = o->next;
    return o;
}

static struct origin *make(struct host *host, bool https, int port)
{
    struct origin *o = cpv_calloc(1, sizeof *o);

    if (!o)
        return NULL;
    o->home = host;
    o->https = https;
    o->port = port;
    link_init(&o->waiting);
    o->next = host->origins;
    host->origins = o;
    return o;
}

/* The path and query of a normalised URL; "/" if it has none. */
static const char *path_of(const char *url)
{
    const char *host = strstr(url, "://"), *path;

    path = host ? strchr(host + 3, '/') : NULL;
    return path ? path : "/";
}

/* false: out of memory. */
static bool ask(cpv_http *h, struct origin *o)
{
    char url[CPV_URL_HOST_MAX + 64];
    struct job *j;

    (void)snprintf(url, sizeof url, "%s://%s:%d/robots.txt", o->https ? "https" : "http",
                   o->home->name, o->port);
    j = cpv_heap_reserve(&h->heap, h->timers + 1) ? job_new(url, NULL) : NULL;
    if (!j)
        return false;
    h->timers++;
    link_insert(&h->jobs, &j->all);
    j->origin = o;
    o->state = ORIGIN_ASKED;
    o->home->jobs++; /* it stays as long as this job, wherever that is redirected */
    job_start(h, j);
    return true;
}

bool robots_allow(cpv_http *h, struct job *j)
{
    struct origin *o = find(j->host, j->https, j->port);

    if (!o)
        o = make(j->host, j->https, j->port);
    if (!o) {
        job_answer(h, j, CPV_HTTP_MEMORY, true, NULL, NULL);
        return false;
    }
    switch (o->state) {
    case ORIGIN_ALLOW:
        return true;
    case ORIGIN_RULES:
        if (cpv_robots_allows(o->rules, path_of(j->url)))
            return true;
        job_answer(h, j, CPV_HTTP_ROBOTS, false, NULL, NULL);
        return false;
    case ORIGIN_DENY:
        job_answer(h, j, CPV_HTTP_ROBOTS, true, NULL, NULL);
        return false;
    case ORIGIN_ASKED:
        link_insert(&o->waiting, &j->place);
        return false;
    case ORIGIN_UNKNOWN:
        break;
    }
    link_insert(&o->waiting, &j->place);
    if (!ask(h, o))
        job_answer_all(h, &o->waiting, CPV_HTTP_MEMORY, true);
    return false;
}

static void decide(cpv_http *h, struct origin *o, const struct job *j,
                   cpv_http_status status, const struct cpv_buf *body)
{
    switch (status) {
    case CPV_HTTP_OK:
        o->rules = cpv_robots_parse(cpv_buf_view(body), h->p.user_agent_token);
        o->state = o->rules ? ORIGIN_RULES : ORIGIN_UNKNOWN;
        break;
    case CPV_HTTP_EMPTY:
    case CPV_HTTP_410:
    case CPV_HTTP_REDIRECT:
    case CPV_HTTP_OPTOUT: /* says nothing about other files */
        o->state = ORIGIN_ALLOW;
        break;
    case CPV_HTTP_4XX:
        o->state = j->http == 408 || j->http == 425 ? ORIGIN_DENY : ORIGIN_ALLOW;
        break;
    case CPV_HTTP_429:
    case CPV_HTTP_5XX:
    case CPV_HTTP_PROTOCOL:
    case CPV_HTTP_TOO_BIG:
        o->state = ORIGIN_DENY;
        break;
    default: /* the server was not reached: neither will its files be */
        o->state = ORIGIN_UNKNOWN;
    }
}

void robots_done(cpv_http *h, struct job *j, cpv_http_status status,
                 const struct cpv_buf *body)
{
    struct origin *o = j->origin;
    struct link waiting;

    decide(h, o, j, status, body);
    link_init(&waiting);
    link_splice(&waiting, &o->waiting);
    if (o->state == ORIGIN_UNKNOWN) {
        if (status == CPV_HTTP_OK)
            status = CPV_HTTP_MEMORY;
        job_answer_all(h, &waiting, status, cpv_http_status_transient(status));
    }
    while (!link_alone(&waiting)) {
        struct job *w = OWNER_OF(waiting.next, struct job, place);
        struct host *host = w->host;

        link_remove(&w->place);
        if (robots_allow(h, w)) {
            link_insert(&host->queue, &w->place);
            host_update(h, host);
        }
    }
    host_drop(h, o->home);
}

void robots_free(struct origin *list)
{
    while (list) {
        struct origin *next = list->next;

        cpv_robots_close(&list->rules);
        cpv_free(list);
        list = next;
    }
}
