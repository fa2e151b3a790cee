/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers: slots with a libcurl handle each, kept and used again, and what its
 * callbacks decide while bytes arrive (http_impl.h).
 *
 * Memory. A transfer that would exceed the budget is paused. Releases let the paused
 * go on, the oldest first. When nothing is handed out and all that is used belongs to
 * transfers under way, one of them may exceed the budget: so one always ends, and no
 * more than one body is too many.
 */
#include "common/net/http_impl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/sys.h"

enum {
    HEADERS_MAX = 64 * 1024,
    DRAIN_MAX = 16 * 1024, /* of the body of an answer that is not wanted */
    RESERVE_MAX = 1 << 20, /* taken on a server's mere word */
    BUFFER_SIZE = 32 * 1024,
    CHUNK = 16 * 1024, /* most that libcurl gives at once */
    DNS_CACHE_S = 2    /* libcurl's own cache holds what we give it just long enough */
};

/* --- memory ---------------------------------------------------------------------------
 */

static bool over_budget(cpv_http *h, struct xfer *x, size_t n)
{
    long long used = atomic_load(&h->shared.used);

    if (used + (long long)n <= h->p.memory_budget || h->overdraft == x)
        return false;
    if (!h->overdraft && atomic_load(&h->shared.handed) == 0) {
        h->overdraft = x;
        return false;
    }
    return true;
}

static void pause_xfer(cpv_http *h, struct xfer *x)
{
    x->paused = true;
    x->paused_at = h->now;
    link_remove(&x->place);
    link_insert(&h->paused_xfers, &x->place);
    atomic_store(&h->shared.starved, true);
}

static void watch(cpv_http *h, struct xfer *x)
{
    cpv_heap_set(&h->heap, &x->timer,
                 x->deadline < x->window_end ? x->deadline : x->window_end);
}

static void window_begin(cpv_http *h, struct xfer *x)
{
    x->window_bytes = 0;
    x->window_end = h->p.low_speed_bytes > 0 ? h->now + h->p.low_speed_ms : INT64_MAX;
}

static void resume_one(cpv_http *h, struct xfer *x)
{
    CURLcode rc;

    x->paused = false;
    x->deadline += h->now - x->paused_at;
    window_begin(h, x);
    watch(h, x);
    link_remove(&x->place);
    link_insert(&h->active_xfers, &x->place);
    rc = curl_easy_pause(x->easy, CURLPAUSE_CONT); /* delivers, may pause again */
    if (rc)
        xfer_end(h, x, rc);
}

void xfer_resume(cpv_http *h)
{
    size_t turns = 0;

    for (struct link *l = h->paused_xfers.next; l != &h->paused_xfers; l = l->next)
        turns++;
    /* Asked for before the amounts are read: a release after that will wake us. */
    atomic_store(&h->shared.starved,
                 turns > 0 || atomic_load(&h->shared.used) >= h->p.memory_budget);
    for (; turns > 0; turns--) {
        struct xfer *x = OWNER_OF(h->paused_xfers.next, struct xfer, place);

        if (over_budget(h, x, CHUNK))
            break;
        resume_one(h, x);
    }
}

bool xfer_room(const cpv_http *h)
{
    if (link_alone(&h->free_xfers))
        return false;
    return atomic_load(&h->shared.used) < h->p.memory_budget;
}

/* --- what libcurl calls
 * ------------------------------------------------------------------ */

static size_t refuse(struct xfer *x, cpv_http_status verdict)
{
    x->verdict = verdict;
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct xfer *x = arg;
    cpv_http *h = x->h;
    size_t n = size * count;

    if (x->drain) {
        x->received += (int64_t)n;
        x->window_bytes += (int64_t)n;
        return x->received > DRAIN_MAX ? 0 : n;
    }
    if (x->job->origin && x->body.size + n > CPV_ROBOTS_MAX) {
        x->enough = true;
        return 0;
    }
    if ((int64_t)(x->body.size + n) > h->p.max_bytes)
        return refuse(x, CPV_HTTP_TOO_BIG);
    if (over_budget(h, x, n)) {
        pause_xfer(h, x);
        return CURL_WRITEFUNC_PAUSE;
    }
    cpv_buf_add(&x->body, data, n);
    if (x->body.failed)
        return refuse(x, CPV_HTTP_MEMORY);
    x->received += (int64_t)n;
    x->window_bytes += (int64_t)n;
    h->stats.body_bytes += n;
    atomic_fetch_add(&h->shared.used, (long long)n);
    if (atomic_load(&h->shared.used) > h->stats.memory_peak)
        h->stats.memory_peak = atomic_load(&h->shared.used);
    return n;
}

/* "HTTP/1.1 200 OK": what came before belongs to another answer (100, a proxy's). */
static void begin_headers(struct xfer *x, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);

    x->http = 0;
    if (space && n - (size_t)(space - line) > 3)
        for (int i = 1; i <= 3 && space[i] >= '0' && space[i] <= '9'; i++)
            x->http = 10 * x->http + (space[i] - '0');
    x->length = x->retry_after = -1;
    x->optout = false;
    x->content_type[0] = '\0';
}

/* All headers of the final answer are here: is the body wanted? */
static size_t end_headers(struct xfer *x, size_t n)
{
    cpv_http *h = x->h;

    if (x->http < 200 || x->headers)
        return n;
    x->headers = true;
    if (!http_success(x->http)) {
        x->drain = true; /* a short body is read, so that the connection can be kept */
        return x->length > DRAIN_MAX ? 0 : n;
    }
    if (x->optout && !x->job->origin)
        return refuse(x, CPV_HTTP_OPTOUT);
    if (x->length > h->p.max_bytes && !x->job->origin)
        return refuse(x, CPV_HTTP_TOO_BIG);
    if (x->length > 0 &&
        !cpv_buf_reserve(&x->body,
                         (size_t)(x->length < RESERVE_MAX ? x->length : RESERVE_MAX)))
        return refuse(x, CPV_HTTP_MEMORY);
    return n;
}

static int64_t parse_length(struct cpv_bytes v)
{
    int64_t n = 0;
    size_t i = 0;

    while (i < v.size && v.data[i] >= '0' && v.data[i] <= '9' && n < INT64_MAX / 16)
        n = n * 10 + (v.data[i++] - '0');
    return i > 0 ? n : -1;
}

static void one_header(struct xfer *x, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    size_t name = colon ? (size_t)(colon - line) : 0;
    struct cpv_bytes value = cpv_bytes_of(line + name + 1, n - name - (name > 0));
    cpv_http *h = x->h;

    if (name == 0)
        return;
    while (value.size > 0 && (value.data[0] == ' ' || value.data[0] == '\t'))
        value.data++, value.size--;
    while (value.size > 0 && value.data[value.size - 1] <= ' ')
        value.size--;
    if (name == 14 && strncasecmp(line, "content-length", name) == 0) {
        x->length = parse_length(value);
    } else if (name == 12 && strncasecmp(line, "content-type", name) == 0) {
        (void)snprintf(x->content_type, sizeof x->content_type, "%.*s", (int)value.size,
                       (const char *)value.data);
    } else if (name == 11 && strncasecmp(line, "retry-after", name) == 0) {
        x->retry_after =
            cpv_retry_after_ms(value, (int64_t)time(NULL), h->p.retry_after_max_ms);
    } else if (name == 12 && strncasecmp(line, "x-robots-tag", name) == 0) {
        x->optout |=
            h->p.respect_optout && cpv_optout_says_no(value, h->p.user_agent_token,
                                                      h->p.disallowed_directives.at,
                                                      h->p.disallowed_directives.count);
    }
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
    struct xfer *x = arg;
    size_t n = size * count;

    x->header_bytes += n;
    x->window_bytes += (int64_t)n;
    if (x->header_bytes > HEADERS_MAX)
        return refuse(x, CPV_HTTP_PROTOCOL);
    if (x->headers)
        return n; /* trailers of a chunked body */
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0)
        begin_headers(x, line, n);
    else if (n > 0 && (line[0] == '\r' || line[0] == '\n'))
        return end_headers(x, n);
    else
        one_header(x, line, n);
    return n;
}

/* The address that is really connected to, whoever resolved the name. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *sa)
{
    struct xfer *x = arg;
    struct cpv_http_addr a;
    int fd;

    if (purpose != CURLSOCKTYPE_IPCXN)
        return CURL_SOCKET_BAD;
    if (!x->h->p.proxy && !x->h->p.allow_private &&
        (!cpv_addr_from_sockaddr(&a, &sa->addr) || !cpv_addr_public(&a))) {
        x->h->stats.blocked++;
        x->verdict = CPV_HTTP_BLOCKED_IP;
        return CURL_SOCKET_BAD;
    }
    fd = socket(sa->family, sa->socktype | SOCK_CLOEXEC, sa->protocol);
    if (fd >= 0)
        x->h->stats.connections++;
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

/* Before the request goes out, on new connections and on those that are used again. */
static int on_ready(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    struct xfer *x = arg;
    struct cpv_http_addr a;
    char host[CPV_ADDR_TEXT + 2];
    bool known;

    (void)local_ip, (void)port, (void)local_port;
    x->asked = true;
    if (x->h->p.proxy || x->h->p.allow_private)
        return CURL_PREREQFUNC_OK;
    (void)snprintf(host, sizeof host, strchr(ip, ':') ? "[%s]" : "%s", ip);
    known = cpv_host_classify(host, &a) == CPV_HOST_NUMERIC;
    if (known && cpv_addr_public(&a))
        return CURL_PREREQFUNC_OK;
    x->h->stats.blocked++;
    x->verdict = CPV_HTTP_BLOCKED_IP;
    return CURL_PREREQFUNC_ABORT;
}

/* --- slots
 * ----------------------------------------------------------------------------------- */

/* What is the same for every transfer. */
static bool set_options(cpv_http *h, struct xfer *x)
{
    const struct cpv_http_params *p = &h->p;
    CURL *e = x->easy;
    int bad = 0;

    bad |= curl_easy_setopt(e, CURLOPT_PRIVATE, x);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    bad |= curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
    bad |= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    bad |= curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, x);
    bad |= curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_ready);
    bad |= curl_easy_setopt(e, CURLOPT_PREREQDATA, x);
    bad |= curl_easy_setopt(e, CURLOPT_USERAGENT, p->user_agent);
    bad |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, h->headers);
    bad |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    bad |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)p->connect_timeout_ms);
    bad |= curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE);
    bad |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S);
    bad |= curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_PROXY, p->proxy ? p->proxy : "");
    if (p->insecure_tls) {
        bad |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
        bad |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (p->ca_file)
        bad |= curl_easy_setopt(e, CURLOPT_CAINFO, p->ca_file);
    return bad == 0;
}

static int open_one(cpv_http *h, struct cpv_err *err)
{
    struct xfer *x = cpv_calloc(1, sizeof *x);

    if (!x)
        return cpv_fail_memory(err);
    x->h = h;
    x->timer.kind = TIMER_XFER;
    x->easy = curl_easy_init();
    if (!x->easy || !set_options(h, x)) {
        curl_easy_cleanup(x->easy);
        cpv_free(x);
        return cpv_fail_memory(err);
    }
    link_init(&x->place);
    link_insert(&h->free_xfers, &x->place);
    return CPV_OK;
}

int xfer_open_all(cpv_http *h, struct cpv_err *err)
{
    int rc = CPV_OK;

    if (!cpv_heap_reserve(&h->heap, (size_t)h->p.connections + 1))
        return cpv_fail_memory(err);
    h->timers = (size_t)h->p.connections + 1; /* theirs, and that of the probes */
    for (int i = 0; i < h->p.connections && !rc; i++)
        rc = open_one(h, err);
    return rc;
}

void xfer_close_all(cpv_http *h)
{
    while (!link_alone(&h->free_xfers)) {
        struct xfer *x = OWNER_OF(h->free_xfers.next, struct xfer, place);

        link_remove(&x->place);
        curl_easy_cleanup(x->easy);
        curl_slist_free_all(x->resolve);
        cpv_free(x);
    }
}

/* --- a transfer's life
 * ------------------------------------------------------------------------ */

/* "+host:port:addr,addr": libcurl never looks up a name itself. */
static bool set_addresses(struct xfer *x, const struct host *host, int port)
{
    char text[CPV_URL_HOST_MAX + 16 + CPV_HTTP_ADDRS * (CPV_ADDR_TEXT + 3)];
    char addr[CPV_ADDR_TEXT];
    int n = snprintf(text, sizeof text, "+%s:%d:", host->name, port);

    for (int i = 0; i < host->n_addrs; i++) {
        cpv_addr_text(&host->addrs[i], addr);
        n += snprintf(text + n, sizeof text - (size_t)n,
                      host->addrs[i].family == 6 ? "%s[%s]" : "%s%s", i ? "," : "", addr);
    }
    x->resolve = curl_slist_append(NULL, text);
    return x->resolve && !curl_easy_setopt(x->easy, CURLOPT_RESOLVE, x->resolve);
}

static void clear(struct xfer *x)
{
    cpv_buf_init(&x->body);
    x->received = 0;
    x->length = x->retry_after = -1;
    x->header_bytes = 0;
    x->http = 0;
    x->verdict = CPV_HTTP_OK;
    x->asked = x->headers = x->optout = x->drain = x->paused = x->enough = false;
    x->content_type[0] = '\0';
}

void xfer_start(cpv_http *h, struct job *j)
{
    struct xfer *x = OWNER_OF(h->free_xfers.next, struct xfer, place);
    bool ok = true;

    link_remove(&x->place);
    link_insert(&h->active_xfers, &x->place);
    link_remove(&j->place);
    clear(x);
    x->job = j;
    if (j->redirects == 0)
        j->attempts++;
    h->stats.requests++;
    if (++h->stats.in_flight > h->stats.in_flight_peak)
        h->stats.in_flight_peak = h->stats.in_flight;
    x->deadline = h->now + h->p.timeout_ms;
    window_begin(h, x);
    watch(h, x);
    host_started(h, j->host);
    if (!h->p.proxy && !j->host->numeric)
        ok = set_addresses(x, j->host, j->port);
    else
        ok = !curl_easy_setopt(x->easy, CURLOPT_RESOLVE, NULL);
    ok = ok && !curl_easy_setopt(x->easy, CURLOPT_URL, j->url);
    if (!ok || curl_multi_add_handle(h->multi, x->easy))
        xfer_end(h, x, CURLE_OUT_OF_MEMORY);
}

/* The slot is free again; body and type go to the caller. */
static void give_back(cpv_http *h, struct xfer *x)
{
    if (h->overdraft == x)
        h->overdraft = NULL;
    cpv_heap_unset(&h->heap, &x->timer);
    curl_slist_free_all(x->resolve);
    x->resolve = NULL;
    x->job = NULL;
    link_remove(&x->place);
    link_insert(h->free_xfers.next, &x->place); /* the warmest first */
    h->stats.in_flight--;
}

void xfer_end(cpv_http *h, struct xfer *x, CURLcode rc)
{
    struct job *j = x->job;
    struct outcome o = xfer_judge(x, rc);
    struct cpv_buf body = x->body;
    char *to = NULL, type[sizeof x->content_type];

    j->http = x->http;
    memcpy(type, x->content_type, sizeof type);
    if (o.status == CPV_HTTP_REDIRECT) {
        char *url = NULL;

        (void)curl_easy_getinfo(x->easy, CURLINFO_REDIRECT_URL, &url);
        to = url ? cpv_strdup(url) : NULL;
        if (url && !to)
            o.status = CPV_HTTP_MEMORY;
    }
    (void)curl_multi_remove_handle(h->multi, x->easy);
    cpv_buf_init(&x->body);
    give_back(h, x);
    host_ended(h, j->host, &o);
    if (o.status != CPV_HTTP_OK) {
        atomic_fetch_sub(&h->shared.used, (long long)body.size);
        cpv_buf_release(&body);
    }
    if (o.status == CPV_HTTP_OK)
        job_answer(h, j, CPV_HTTP_OK, false, &body, type);
    else if (to)
        job_redirect(h, j, to);
    else
        job_failed(h, j, &o);
    cpv_free(to);
}

void xfer_timer(cpv_http *h, struct xfer *x)
{
    if (x->paused)
        return; /* our own fault; resuming sets it anew */
    if (h->now < x->deadline &&
        x->window_bytes >= h->p.low_speed_bytes * h->p.low_speed_ms / 1000) {
        window_begin(h, x);
        watch(h, x);
        return;
    }
    xfer_end(h, x, CURLE_OPERATION_TIMEDOUT);
}

void xfer_collect(cpv_http *h)
{
    CURLMsg *m;
    int left;

    h->now = cpv_clock_ms(); /* what they ask us to wait counts from here */
    while ((m = curl_multi_info_read(h->multi, &left))) {
        char *x = NULL;
        CURLcode rc = m->data.result;

        if (m->msg == CURLMSG_DONE &&
            !curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x))
            xfer_end(h, (struct xfer *)(void *)x, rc);
    }
}

void xfer_abandon_all(cpv_http *h)
{
    link_splice(&h->active_xfers, &h->paused_xfers);
    while (!link_alone(&h->active_xfers)) {
        struct xfer *x = OWNER_OF(h->active_xfers.next, struct xfer, place);

        x->verdict = CPV_HTTP_STOPPED;
        xfer_end(h, x, CURLE_ABORTED_BY_CALLBACK);
    }
}
