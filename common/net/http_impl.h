/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the fetcher. Everything here belongs to the event thread, except
 * `struct shared`.
 *
 * A job is one URL on its way; a host is a name with its queue, its addresses and its
 * manners; a transfer is a slot with a libcurl handle. A job is in exactly one place:
 * a host's queue, a transfer, the timers (waiting for its retry), or a list of those
 * that wait for a robots.txt.
 *
 *     http.c         the API, the event loop
 *     http_job.c     parsing, redirects, retries, answers
 *     http_host.c    queues, limits, who is next
 *     http_dns.c     look-ups, the pause when the name service is down
 *     http_robots.c  robots.txt
 *     http_xfer.c    libcurl
 *     http_judge.c   what an answer means
 */
#ifndef CPV_NET_HTTP_IMPL_H
#define CPV_NET_HTTP_IMPL_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/base/queue.h"
#include "common/net/headers.h"
#include "common/net/heap.h"
#include "common/net/http.h"
#include "common/net/resolver.h"
#include "common/net/robots.h"
#include "common/net/url.h"

/* What the timers live in. */
enum { TIMER_JOB, TIMER_HOST, TIMER_XFER, TIMER_DNS };

/* Lists whose members know their neighbours; a lone link points to itself. */
struct link {
    struct link *prev, *next;
};

static inline void link_init(struct link *l)
{
    l->prev = l->next = l;
}

static inline bool link_alone(const struct link *l)
{
    return l->next == l;
}

static inline void link_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
}

/* Before `at`: at the end, if that is the list's head. */
static inline void link_insert(struct link *at, struct link *l)
{
    l->prev = at->prev;
    l->next = at;
    at->prev->next = l;
    at->prev = l;
}

/* All of `from` to the end of `to`; from is empty then. */
static inline void link_splice(struct link *to, struct link *from)
{
    if (link_alone(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    link_init(from);
}

#define OWNER_OF(ptr, type, member)                                                      \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

enum origin_state {
    ORIGIN_UNKNOWN,
    ORIGIN_ASKED,
    ORIGIN_RULES,
    ORIGIN_ALLOW,
    ORIGIN_DENY
};

/* robots.txt of one scheme, host and port. */
struct origin {
    struct origin *next;
    struct host *home;
    bool https;
    int port;
    enum origin_state state;
    cpv_robots *rules;
    struct link waiting; /* jobs */
};

struct job {
    struct link all;   /* in cpv_http.jobs */
    struct link place; /* a host's queue, an origin's list, the inbox, or alone */
    struct cpv_timer timer;
    void *user;
    struct host *host;     /* of the current hop */
    struct origin *origin; /* set: this is the fetch of its robots.txt */
    char *url;             /* the current hop, normalised; NULL before the first */
    bool https;
    int port;
    int attempts, redirects;
    int http;
    cpv_http_status last; /* of the last attempt */
    char first[];         /* as submitted */
};

enum dns_state {
    DNS_UNKNOWN,
    DNS_QUEUED, /* in cpv_http.lookups */
    DNS_ASKED,
    DNS_RETRY, /* its timer runs */
    DNS_FRESH,
    DNS_NONE,  /* no such name */
    DNS_FAILED /* no answer, after all tries */
};

struct host {
    struct host *next; /* in its bucket */
    struct link ready; /* in cpv_http.ready */
    struct link lookup;
    struct link idle; /* in cpv_http.idle: no job refers to it */
    struct cpv_timer timer;
    struct link queue;
    int jobs;   /* that refer to it: queued, waiting for a retry, in transfers */
    int active; /* transfers */

    enum dns_state dns;
    bool numeric, refused; /* refused: it has addresses, but none is public */
    int n_addrs, dns_tries;
    uint64_t lookup_id;
    int64_t dns_until; /* what dns says holds until then */
    struct cpv_http_addr addrs[CPV_HTTP_ADDRS];

    int limit;           /* transfers at once, now */
    int praise;          /* successes since the limits were last raised */
    double rate, tokens; /* of requests */
    int64_t tokens_at;
    int64_t hold_until; /* it asked us to wait */
    int failures;       /* in a row */
    int64_t held;       /* ms that it asked us to wait since its last success */
    bool parked;
    int64_t parked_until;
    struct origin *origins;
    uint64_t hash;
    char name[]; /* IPv6 in brackets */
};

struct xfer {
    struct link place; /* free or active or paused */
    struct cpv_timer timer;
    struct cpv_http *h;
    CURL *easy;
    struct curl_slist *resolve;
    struct job *job;
    struct cpv_buf body;
    int64_t deadline, window_end, paused_at, received;
    int64_t window_bytes; /* came since the window began */
    int64_t length;       /* Content-Length, -1: unknown */
    int64_t retry_after;  /* ms, -1: none */
    size_t header_bytes;
    int http;
    cpv_http_status verdict; /* why we ended it; CPV_HTTP_OK: we did not */
    bool asked;              /* the request was sent */
    bool headers;            /* all of them came */
    bool enough;             /* the rest of the body is not wanted */
    bool optout, drain, paused;
    char content_type[128];
};

/* Between the event thread and all others. */
struct shared {
    pthread_mutex_t lock;
    struct link inbox;
    struct cpv_http_stats stats; /* a copy, renewed each turn of the loop */
    bool stop;
    int wake_fd;
    atomic_size_t waiting;
    atomic_llong used;   /* bytes of bodies */
    atomic_llong handed; /* of those, given to `done` and not released */
    atomic_bool starved; /* the event thread wants to know of releases */
    atomic_ullong submitted;
};

enum { DNS_WINDOW = 256 };

/* The breaker of the name service: the last outcomes, and the pause. */
struct dns_breaker {
    uint8_t failed[DNS_WINDOW];
    int count, at, failures;
    bool paused;
    int64_t paused_since, probe_wait;
    struct cpv_timer timer; /* the next probe */
};

struct cpv_http {
    struct cpv_http_params p;
    char *strings[5]; /* what p points to */
    const char **directives;
    cpv_http_done *done;
    void *ctx;
    struct shared shared;
    cpv_pool *thread;

    CURLM *multi;
    cpv_resolver *resolver;
    struct curl_slist *headers;
    int epoll;
    int64_t now, curl_due; /* ms; curl_due -1: none */
    bool stopping;

    struct cpv_heap heap;
    size_t timers; /* objects that hold one */
    struct link jobs, ready, lookups, idle;
    struct link free_xfers, active_xfers, paused_xfers;
    int n_xfers;
    struct xfer *overdraft; /* may exceed the budget, so that something ends */

    struct host **buckets;
    size_t n_buckets, n_hosts, n_idle;
    uint64_t next_lookup;
    struct dns_breaker dns;
    struct cpv_http_stats stats;
};

/* What came of one attempt. */
struct outcome {
    cpv_http_status status;
    bool transient, retry;
    bool host_failed;    /* counts against the host */
    int64_t retry_after; /* ms, -1: not said */
};

void http_note(cpv_http *h, const char *fmt, ...) CPV_PRINTF(2, 3);

/* --- http_job.c --------------------------------------------------------------------- */
struct job *job_new(const char *url, void *user);
/* Takes the job's current hop to its host's queue, or answers it. */
void job_start(cpv_http *h, struct job *j);
/* To where it redirects; the job is in no place. */
void job_redirect(cpv_http *h, struct job *j, const char *url);
/* Tries again later or answers; the job is in no place. */
void job_failed(cpv_http *h, struct job *j, const struct outcome *o);
void job_answer(cpv_http *h, struct job *j, cpv_http_status status, bool transient,
                struct cpv_buf *body, const char *content_type);
/* Every job in that list. */
void job_answer_all(cpv_http *h, struct link *list, cpv_http_status status,
                    bool transient);
int64_t job_backoff_ms(const cpv_http *h, const char *seed, int attempt);

/* --- http_host.c -------------------------------------------------------------------- */
struct host *host_find(cpv_http *h, const char *name);
/* Makes it if need be, and counts one job on it; NULL: out of memory. */
struct host *host_take(cpv_http *h, const struct cpv_url *url);
void host_drop(cpv_http *h, struct host *host);
/* Whether, and when, it may begin the next transfer: call it after any change. */
void host_update(cpv_http *h, struct host *host);
void host_started(cpv_http *h, struct host *host);
void host_ended(cpv_http *h, struct host *host, const struct outcome *o);
void hosts_free(cpv_http *h);

/* --- http_dns.c --------------------------------------------------------------------- */
void dns_init(cpv_http *h);
/* Is there an answer, if only "no"? Else it will be looked up. */
bool dns_ready(cpv_http *h, struct host *host);
/* No job waits for it any more. */
void dns_unwanted(cpv_http *h, struct host *host);
void dns_ask(cpv_http *h); /* as many as may be under way */
void dns_take(cpv_http *h);
/* false: the host's timer was not for us. */
bool dns_host_timer(cpv_http *h, struct host *host);
void dns_probe(cpv_http *h);

/* --- http_robots.c ------------------------------------------------------------------ */
/* May the job go on now? false: it was answered, or waits. */
bool robots_allow(cpv_http *h, struct job *j);
/* The fetch of a robots.txt has ended: its waiting jobs go on. Frees the job. */
void robots_done(cpv_http *h, struct job *j, cpv_http_status status,
                 const struct cpv_buf *body);
void robots_free(struct origin *list);

/* --- http_xfer.c -------------------------------------------------------------------- */
CPV_MUST_CHECK int xfer_open_all(cpv_http *h, struct cpv_err *err);
void xfer_close_all(cpv_http *h);
bool xfer_room(const cpv_http *h);
/* Takes the job; it comes back through job_*. */
void xfer_start(cpv_http *h, struct job *j);
void xfer_timer(cpv_http *h, struct xfer *x);
void xfer_resume(cpv_http *h);  /* those that waited for memory */
void xfer_collect(cpv_http *h); /* those that libcurl is done with */
void xfer_abandon_all(cpv_http *h);
/* It is over: judge it, free the slot, pass the job on. */
void xfer_end(cpv_http *h, struct xfer *x, CURLcode rc);

static inline bool http_success(int http)
{
    return http >= 200 && http < 300;
}

/* --- http_judge.c ------------------------------------------------------------------- */
/* While the handle is still the transfer's. */
struct outcome xfer_judge(const struct xfer *x, CURLcode rc);

#endif
