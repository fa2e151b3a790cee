/* SPDX-License-Identifier: Apache-2.0 */
/* The fetcher's API and its event loop. See http.h, and http_impl.h for the inside. */
#include "common/net/http.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/net/http_impl.h"

#ifndef CPV_VERSION
#define CPV_VERSION "unversioned"
#endif

enum {
    EVENTS = 256,       /* taken from epoll at once */
    OTHER_FILES = 128,  /* descriptors that the rest of the program may want */
    TURN_MAX_MS = 1000, /* longest sleep */
    RESUME_ROOM = 16 * 1024
};

/* --- names and defaults
 * ------------------------------------------------------------------ */

static const struct {
    const char *name;
    bool transient;
} statuses[CPV_HTTP_N_STATUS] = {
    [CPV_HTTP_OK] = {"ok", false},
    [CPV_HTTP_BAD_URL] = {"bad_url", false},
    [CPV_HTTP_BLOCKED_IP] = {"blocked_ip", false},
    [CPV_HTTP_DNS_NXDOMAIN] = {"dns_nxdomain", false},
    [CPV_HTTP_DNS_TEMP] = {"dns_temp", true},
    [CPV_HTTP_CONNECT] = {"connect", true},
    [CPV_HTTP_TLS] = {"tls", false},
    [CPV_HTTP_TIMEOUT] = {"timeout", true},
    [CPV_HTTP_TOO_BIG] = {"too_big", false},
    [CPV_HTTP_REDIRECT] = {"redirect", false},
    [CPV_HTTP_OPTOUT] = {"optout", false},
    [CPV_HTTP_ROBOTS] = {"robots", false},
    [CPV_HTTP_410] = {"http_410", false},
    [CPV_HTTP_429] = {"http_429", true},
    [CPV_HTTP_4XX] = {"http_4xx", false},
    [CPV_HTTP_5XX] = {"http_5xx", true},
    [CPV_HTTP_HOST_DOWN] = {"host_down", true},
    [CPV_HTTP_PROTOCOL] = {"protocol", false},
    [CPV_HTTP_EMPTY] = {"empty", false},
    [CPV_HTTP_MEMORY] = {"memory", true},
    [CPV_HTTP_STOPPED] = {"stopped", true},
};

const char *cpv_http_status_name(cpv_http_status s)
{
    return (unsigned)s < CPV_HTTP_N_STATUS ? statuses[s].name : "unknown";
}

bool cpv_http_status_transient(cpv_http_status s)
{
    return (unsigned)s < CPV_HTTP_N_STATUS && statuses[s].transient;
}

void cpv_http_defaults(struct cpv_http_params *p)
{
    *p = (struct cpv_http_params){
        .connections = 256,
        .per_host = 4,
        .per_host_rate = 8,
        .connect_timeout_ms = 5000,
        .timeout_ms = 20000,
        .low_speed_bytes = 1024,
        .low_speed_ms = 8000,
        .max_bytes = INT64_C(25) << 20,
        .max_redirects = 5,
        .retries = 3,
        .backoff_ms = 1000,
        .retry_after_max_ms = 600000,
        .memory_budget = INT64_C(512) << 20,
        .host_down_after = 20,
        .host_down_ms = 300000,
        .respect_optout = true,
        .resolver_threads = 64,
        .dns_timeout_ms = 10000,
        .dns_positive_ms = 600000,
        .dns_negative_ms = 1800000,
        .dns_pause_max_ms = 600000,
    };
}

void http_note(cpv_http *h, const char *fmt, ...)
{
    char text[400];
    va_list args;

    if (!h->p.note)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    h->p.note(h->p.note_ctx, text);
}

/* --- libcurl's sockets and timer
 * ------------------------------------------------------------ */

/* `known` is what curl_multi_assign stored: not NULL once the socket is in the set. */
static int on_poll(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    cpv_http *h = arg;
    struct epoll_event e = {.data.fd = fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (what != CURL_POLL_OUT)
        e.events |= EPOLLIN;
    if (what != CURL_POLL_IN)
        e.events |= EPOLLOUT;
    /* A number that was closed and given out again is not in the set any more. */
    if (known && epoll_ctl(h->epoll, EPOLL_CTL_MOD, fd, &e) == 0)
        return 0;
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &e) && errno == EEXIST)
        (void)epoll_ctl(h->epoll, EPOLL_CTL_MOD, fd, &e);
    (void)curl_multi_assign(h->multi, fd, h);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    cpv_http *h = arg;

    (void)multi;
    h->curl_due = ms < 0 ? -1 : cpv_clock_ms() + ms;
    return 0;
}

static void socket_events(cpv_http *h, int fd, uint32_t events)
{
    int mask = 0, running;

    if (events & EPOLLIN)
        mask |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP))
        mask |= CURL_CSELECT_ERR;
    (void)curl_multi_socket_action(h->multi, fd, mask, &running);
}

static void curl_timer(cpv_http *h)
{
    int running;

    /* Once, even if it is due again at once: others want their turn. */
    if (h->curl_due < 0 || h->curl_due > h->now)
        return;
    h->curl_due = -1;
    (void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

/* --- the loop --- */

static void wake(struct shared *s)
{
    /* Fails only when the counter is full, and then it is readable anyway. */
    (void)eventfd_write(s->wake_fd, 1);
}

/* New jobs, and whether we are to stop. */
static void take_inbox(cpv_http *h)
{
    struct link fresh;
    uint64_t count;

    link_init(&fresh);
    pthread_mutex_lock(&h->shared.lock);
    if (read(h->shared.wake_fd, &count, sizeof count) < 0)
        count = 0;
    link_splice(&fresh, &h->shared.inbox);
    h->stopping = h->stopping || h->shared.stop;
    pthread_mutex_unlock(&h->shared.lock);
    while (!link_alone(&fresh)) {
        struct job *j = OWNER_OF(fresh.next, struct job, place);

        link_remove(&j->place);
        link_insert(&h->jobs, &j->all);
        h->timers++;
        if (cpv_heap_reserve(&h->heap, h->timers))
            job_start(h, j);
        else
            job_answer(h, j, CPV_HTTP_MEMORY, true, NULL, NULL);
    }
}

static void fire_timers(cpv_http *h)
{
    struct cpv_timer *t;

    while ((t = cpv_heap_first(&h->heap)) && t->due <= h->now) {
        struct host *host;

        cpv_heap_unset(&h->heap, t);
        switch (t->kind) {
        case TIMER_JOB:
            job_start(h, OWNER_OF(t, struct job, timer));
            break;
        case TIMER_HOST:
            host = OWNER_OF(t, struct host, timer);
            if (!dns_host_timer(h, host))
                host_update(h, host);
            break;
        case TIMER_XFER:
            xfer_timer(h, OWNER_OF(t, struct xfer, timer));
            break;
        case TIMER_DNS:
            dns_probe(h);
            break;
        default:
            break;
        }
    }
}

static void start_transfers(cpv_http *h)
{
    while (!link_alone(&h->ready) && xfer_room(h)) {
        struct host *host = OWNER_OF(h->ready.next, struct host, ready);

        xfer_start(h, OWNER_OF(host->queue.next, struct job, place));
    }
}

/* Is memory all that somebody waits for, and has it come meanwhile? */
static bool memory_came(cpv_http *h)
{
    bool paused = !link_alone(&h->paused_xfers), wanted;

    wanted = paused || (!link_alone(&h->ready) && !link_alone(&h->free_xfers));
    atomic_store(&h->shared.starved, wanted);
    /* Read after the store: a later release sees it and wakes us. */
    if (!wanted)
        return false;
    if (paused && !h->overdraft && atomic_load(&h->shared.handed) == 0)
        return true;
    return atomic_load(&h->shared.used) + RESUME_ROOM <= h->p.memory_budget;
}

static int sleep_ms(cpv_http *h)
{
    struct cpv_timer *t = cpv_heap_first(&h->heap);
    int64_t due = h->now + TURN_MAX_MS;

    if (t && t->due < due)
        due = t->due;
    if (h->curl_due >= 0 && h->curl_due < due)
        due = h->curl_due;
    if (due <= h->now || memory_came(h))
        return 0;
    return (int)(due - h->now);
}

static void publish(cpv_http *h)
{
    h->stats.paused = h->dns.paused;
    pthread_mutex_lock(&h->shared.lock);
    h->shared.stats = h->stats;
    pthread_mutex_unlock(&h->shared.lock);
}

static void turn(cpv_http *h)
{
    struct epoll_event events[EVENTS];
    int n;

    dns_ask(h);
    xfer_resume(h);
    start_transfers(h);
    h->now = cpv_clock_ms();
    curl_timer(h);
    xfer_collect(h);
    publish(h);
    n = epoll_wait(h->epoll, events, EVENTS, sleep_ms(h));
    h->now = cpv_clock_ms();
    for (int i = 0; i < n; i++) {
        int fd = events[i].data.fd;

        if (fd != h->shared.wake_fd && fd != cpv_resolver_fd(h->resolver))
            socket_events(h, fd, events[i].events);
    }
    xfer_collect(h);
    take_inbox(h);
    dns_take(h);
    fire_timers(h);
}

static void event_thread(void *arg, int worker)
{
    cpv_http *h = arg;

    (void)worker;
    h->now = cpv_clock_ms();
    while (!h->stopping)
        turn(h);
    xfer_abandon_all(h);
    take_inbox(h);
    while (!link_alone(&h->jobs))
        job_answer(h, OWNER_OF(h->jobs.next, struct job, all), CPV_HTTP_STOPPED, true,
                   NULL, NULL);
    publish(h);
}

/* --- open and close
 * ---------------------------------------------------------------------------- */

static const char *copy_string(cpv_http *h, int slot, const char *s)
{
    if (s)
        h->strings[slot] = cpv_strdup(s);
    return h->strings[slot];
}

static int copy_params(cpv_http *h, const struct cpv_http_params *params,
                       struct cpv_err *err)
{
    const struct cpv_texts *list = &params->disallowed_directives;
    const char *agent = params->user_agent, *token = params->user_agent_token;
    size_t n = list->count ? list->count : CPV_OPTOUT_DEFAULTS;

    h->p = *params;
    if (h->p.connections < 1 || h->p.per_host < 1 || h->p.backoff_ms < 1 ||
        h->p.resolver_threads < 1 || h->p.retries < 0 || h->p.max_redirects < 0 ||
        h->p.timeout_ms < 1 || h->p.low_speed_ms < 1 || h->p.max_bytes < 1 ||
        h->p.memory_budget < 1 || h->p.retry_after_max_ms < 0)
        return cpv_fail(err, CPV_E_BUG, "a fetch limit is out of range");
    h->p.user_agent = copy_string(h, 0, agent ? agent : "capivara-fetch/" CPV_VERSION);
    h->p.user_agent_token = copy_string(h, 1, token ? token : "capivara-fetch");
    h->p.ca_file = copy_string(h, 2, params->ca_file);
    h->p.proxy = copy_string(h, 3, params->proxy);
    h->directives = cpv_calloc(n, sizeof(char *));
    if (!h->p.user_agent || !h->p.user_agent_token || !h->directives ||
        (params->ca_file && !h->p.ca_file) || (params->proxy && !h->p.proxy))
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        h->directives[i] = cpv_strdup(list->count ? list->at[i] : cpv_optout_default[i]);
        if (!h->directives[i])
            return cpv_fail_memory(err);
        h->p.disallowed_directives.count = i + 1;
    }
    h->p.disallowed_directives.at = h->directives;
    return CPV_OK;
}

/* Descriptors: connections with a quarter for idle ones, two per look-up, the rest. */
static int fit_connections(cpv_http *h, struct cpv_err *err)
{
    struct rlimit limit;
    int64_t most, fixed = OTHER_FILES + 2 * (int64_t)h->p.resolver_threads;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return cpv_fail_sys(err, errno, "cannot read the limit of open files");
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* as far as it goes */
        if (getrlimit(RLIMIT_NOFILE, &limit))
            return cpv_fail_sys(err, errno, "cannot read the limit of open files");
    }
    most = limit.rlim_cur > 1000000 ? 1000000 : (int64_t)limit.rlim_cur;
    most = (most - fixed) * 4 / 5;
    if (most < 1)
        return cpv_fail(err, CPV_E_IO,
                        "only %llu open files are allowed, at least %lld are needed",
                        (unsigned long long)limit.rlim_cur, (long long)fixed + 2);
    if (h->p.connections > most) {
        http_note(h, "%d connections lowered to %lld: only %llu open files are allowed",
                  h->p.connections, (long long)most, (unsigned long long)limit.rlim_cur);
        h->p.connections = (int)most;
    }
    return CPV_OK;
}

static int open_multi(cpv_http *h, struct cpv_err *err)
{
    int bad = 0;

    h->multi = curl_multi_init();
    h->headers = curl_slist_append(
        NULL, "Accept: image/jpeg,image/png;q=0.8,image/webp;q=0.8,*/*;q=0.1");
    if (!h->multi || !h->headers)
        return cpv_fail_memory(err);
    bad |= curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_poll);
    bad |= curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    bad |= curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    bad |= curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    bad |= curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
                             (long)h->p.connections + h->p.connections / 4 + 1);
    if (bad)
        return cpv_fail(err, CPV_E_BUG, "this libcurl lacks an option that we need");
    return CPV_OK;
}

static int watch_fd(cpv_http *h, int fd, struct cpv_err *err)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &e))
        return cpv_fail_sys(err, errno, "cannot watch an event descriptor");
    return CPV_OK;
}

static void init_lists(cpv_http *h)
{
    struct link *const all[] = {&h->jobs,         &h->ready,       &h->lookups,
                                &h->idle,         &h->free_xfers,  &h->active_xfers,
                                &h->paused_xfers, &h->shared.inbox};

    for (size_t i = 0; i < CPV_COUNT(all); i++)
        link_init(all[i]);
}

static int open_parts(cpv_http *h, const struct cpv_http_params *params,
                      struct cpv_err *err)
{
    int rc = copy_params(h, params, err);

    if (!rc)
        rc = fit_connections(h, err);
    if (!rc)
        rc = open_multi(h, err);
    if (!rc)
        rc = xfer_open_all(h, err);
    if (!rc)
        rc = cpv_resolver_open(&h->resolver, h->p.resolver_threads, h->p.resolve,
                               h->p.resolve_ctx, err);
    if (rc)
        return rc;
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->shared.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->epoll < 0 || h->shared.wake_fd < 0)
        return cpv_fail_sys(err, errno, "cannot make an event descriptor");
    rc = watch_fd(h, h->shared.wake_fd, err);
    if (!rc)
        rc = watch_fd(h, cpv_resolver_fd(h->resolver), err);
    if (!rc)
        rc = cpv_pool_open(&h->thread, "http", 1, 0, event_thread, h, err);
    return rc;
}

int cpv_http_open(cpv_http **out, const struct cpv_http_params *params,
                  cpv_http_done *done, void *ctx, struct cpv_err *err)
{
    cpv_http *h;
    int rc;

    *out = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return cpv_fail(err, CPV_E_IO, "libcurl cannot be set up");
    h = cpv_calloc(1, sizeof *h);
    if (!h) {
        curl_global_cleanup();
        return cpv_fail_memory(err);
    }
    h->epoll = h->shared.wake_fd = -1;
    h->curl_due = -1;
    h->done = done;
    h->ctx = ctx;
    init_lists(h);
    dns_init(h);
    pthread_mutex_init(&h->shared.lock, NULL);
    rc = open_parts(h, params, err);
    if (rc)
        cpv_http_close(&h);
    *out = h;
    return rc;
}

void cpv_http_close(cpv_http **handle)
{
    cpv_http *h = *handle;

    if (!h)
        return;
    cpv_http_stop(h);
    cpv_pool_close(&h->thread);
    hosts_free(h);
    xfer_close_all(h);
    cpv_resolver_close(&h->resolver);
    curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->headers);
    cpv_heap_release(&h->heap);
    if (h->epoll >= 0)
        (void)close(h->epoll);
    if (h->shared.wake_fd >= 0)
        (void)close(h->shared.wake_fd);
    pthread_mutex_destroy(&h->shared.lock);
    for (size_t i = 0; h->directives && i < h->p.disallowed_directives.count; i++)
        cpv_free((void *)(uintptr_t)h->directives[i]);
    cpv_free(h->directives);
    for (size_t i = 0; i < CPV_COUNT(h->strings); i++)
        cpv_free(h->strings[i]);
    cpv_free(h);
    curl_global_cleanup();
    *handle = NULL;
}

/* --- from any thread
 * ------------------------------------------------------------------------------ */

int cpv_http_submit(cpv_http *h, const char *url, void *user, struct cpv_err *err)
{
    struct job *j = job_new(url, user);
    bool stopped, first;

    if (!j)
        return cpv_fail_memory(err);
    atomic_fetch_add(&h->shared.waiting, 1);
    pthread_mutex_lock(&h->shared.lock);
    stopped = h->shared.stop;
    first = link_alone(&h->shared.inbox);
    if (!stopped)
        link_insert(&h->shared.inbox, &j->place);
    pthread_mutex_unlock(&h->shared.lock);
    if (stopped) {
        atomic_fetch_sub(&h->shared.waiting, 1);
        cpv_free(j);
        return cpv_fail(err, CPV_E_STOPPED, "stopped");
    }
    atomic_fetch_add(&h->shared.submitted, 1);
    if (first)
        wake(&h->shared);
    return CPV_OK;
}

size_t cpv_http_waiting(const cpv_http *h)
{
    return atomic_load(&h->shared.waiting);
}

void cpv_http_release(cpv_http *h, size_t body_bytes)
{
    atomic_fetch_sub(&h->shared.used, (long long)body_bytes);
    atomic_fetch_sub(&h->shared.handed, (long long)body_bytes);
    if (atomic_exchange(&h->shared.starved, false))
        wake(&h->shared);
}

void cpv_http_stop(cpv_http *h)
{
    pthread_mutex_lock(&h->shared.lock);
    h->shared.stop = true;
    pthread_mutex_unlock(&h->shared.lock);
    if (h->shared.wake_fd >= 0)
        wake(&h->shared);
}

void cpv_http_stats(const cpv_http *h, struct cpv_http_stats *out)
{
    /* The lock is no part of what const promises. */
    struct shared *s = (struct shared *)(uintptr_t)&h->shared;

    pthread_mutex_lock(&s->lock);
    *out = s->stats;
    pthread_mutex_unlock(&s->lock);
    out->submitted = atomic_load(&s->submitted);
}
