/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look-ups (http_impl.h). Each host is looked up once for all jobs that wait for it,
 * and tried again if no answer comes. When a large share of look-ups remains without
 * answer the name service itself is down: nothing is asked but a probe now and then,
 * jobs wait instead of failing, and all goes on with the first answer.
 */
#include "common/net/http_impl.h"

#include <netdb.h>
#include <string.h>

enum {
    WINDOW_MIN = 32,      /* outcomes before the share counts */
    SLOW_PERCENT = 20,    /* failures above which half as many are asked at once */
    PAUSE_PERCENT = 50,   /* and above which it pauses */
    PROBE_MAX_MS = 30000, /* longest wait between probes */
    FAILED_BACKOFFS = 30  /* a failure is kept for so many backoff_ms */
};

void dns_init(cpv_http *h)
{
    h->dns.timer.kind = TIMER_DNS;
}

/* --- the breaker ---------------------------------------------------------------------
 */

static int percent_failed(const struct dns_breaker *d)
{
    return d->count < WINDOW_MIN ? 0 : 100 * d->failures / d->count;
}

static void record(struct dns_breaker *d, bool failed)
{
    if (d->count == DNS_WINDOW)
        d->failures -= d->failed[d->at];
    else
        d->count++;
    d->failed[d->at] = failed;
    d->failures += failed;
    d->at = (d->at + 1) % DNS_WINDOW;
}

static void pause_begin(cpv_http *h)
{
    struct dns_breaker *d = &h->dns;

    d->paused = true;
    d->paused_since = h->now;
    d->probe_wait = h->p.backoff_ms;
    h->stats.pauses++;
    http_note(
        h,
        "the name service gave no answer to %d of the last %d look-ups; waiting for "
        "it, up to %d s",
        d->failures, d->count, h->p.dns_pause_max_ms / 1000);
    cpv_heap_set(&h->heap, &d->timer, h->now + d->probe_wait);
}

static void pause_end(cpv_http *h)
{
    struct dns_breaker *d = &h->dns;

    d->paused = false;
    d->count = d->at = d->failures = 0;
    cpv_heap_unset(&h->heap, &d->timer);
    http_note(h, "the name service answers again after %lld s",
              (long long)(h->now - d->paused_since) / 1000);
}

/* --- hosts -----------------------------------------------------------------------------
 */

static void queue_lookup(cpv_http *h, struct host *host)
{
    host->dns = DNS_QUEUED;
    link_insert(&h->lookups, &host->lookup);
}

bool dns_ready(cpv_http *h, struct host *host)
{
    if (host->dns >= DNS_FRESH) {
        if (h->now < host->dns_until)
            return true;
        host->dns = DNS_UNKNOWN;
        host->dns_tries = 0;
    }
    if (host->dns == DNS_UNKNOWN)
        queue_lookup(h, host);
    return false;
}

void dns_unwanted(cpv_http *h, struct host *host)
{
    if (host->dns == DNS_ASKED)
        return; /* its answer will be welcome later */
    cpv_heap_unset(&h->heap, &host->timer);
    if (host->dns == DNS_QUEUED || host->dns == DNS_RETRY) {
        link_remove(&host->lookup);
        host->dns = DNS_UNKNOWN;
    }
}

/* Only public addresses are kept. */
static void accept_addrs(cpv_http *h, struct host *host, const struct cpv_lookup *l)
{
    host->n_addrs = 0;
    for (int i = 0; i < l->result && i < CPV_HTTP_ADDRS; i++) {
        if (h->p.allow_private || cpv_addr_public(&l->addrs[i]))
            host->addrs[host->n_addrs++] = l->addrs[i];
        else
            h->stats.blocked++;
    }
    host->refused = host->n_addrs == 0;
    host->dns = DNS_FRESH;
    host->dns_until = h->now + h->p.dns_positive_ms;
}

static bool no_such_name(int code)
{
    return code == EAI_NONAME || code == EAI_NODATA || code == EAI_ADDRFAMILY;
}

static void no_answer(cpv_http *h, struct host *host)
{
    h->stats.dns_failures++;
    if (h->dns.paused) {
        queue_lookup(h, host);
        return;
    }
    record(&h->dns, true);
    if (percent_failed(&h->dns) > PAUSE_PERCENT) {
        pause_begin(h);
        queue_lookup(h, host);
        return;
    }
    if (host->dns_tries <= h->p.retries) {
        host->dns = DNS_RETRY;
        cpv_heap_set(&h->heap, &host->timer,
                     h->now + job_backoff_ms(h, host->name, host->dns_tries));
        return;
    }
    host->dns = DNS_FAILED;
    host->dns_until = h->now + (int64_t)h->p.backoff_ms * FAILED_BACKOFFS;
    host_update(h, host);
}

static void answered(cpv_http *h, struct host *host, const struct cpv_lookup *l)
{
    if (h->dns.paused)
        pause_end(h);
    else
        record(&h->dns, false);
    host->dns_tries = 0;
    if (l->result > 0) {
        accept_addrs(h, host, l);
    } else {
        host->dns = DNS_NONE;
        host->dns_until = h->now + h->p.dns_negative_ms;
    }
    host_update(h, host);
}

/* --- asking
 * ------------------------------------------------------------------------------ */

static void ask_one(cpv_http *h)
{
    struct host *host = OWNER_OF(h->lookups.next, struct host, lookup);

    link_remove(&host->lookup);
    host->dns = DNS_ASKED;
    host->dns_tries++;
    host->lookup_id = ++h->next_lookup;
    h->stats.dns_lookups++;
    if (cpv_resolver_ask(h->resolver, host->name, host->lookup_id, NULL))
        no_answer(h, host);
    else
        cpv_heap_set(&h->heap, &host->timer, h->now + h->p.dns_timeout_ms);
}

void dns_ask(cpv_http *h)
{
    int most = h->p.resolver_threads;

    if (percent_failed(&h->dns) > SLOW_PERCENT)
        most = (most + 1) / 2;
    while (!h->dns.paused && !link_alone(&h->lookups) &&
           cpv_resolver_busy(h->resolver) < most)
        ask_one(h);
}

void dns_take(cpv_http *h)
{
    struct cpv_lookup l;

    while (cpv_resolver_next(h->resolver, &l)) {
        struct host *host = host_find(h, l.host);

        /* Forgotten, or given up and asked again: some other answer counts. */
        if (!host || host->dns != DNS_ASKED || host->lookup_id != l.id)
            continue;
        cpv_heap_unset(&h->heap, &host->timer);
        if (l.result > 0 || no_such_name(l.result))
            answered(h, host, &l);
        else
            no_answer(h, host);
    }
}

bool dns_host_timer(cpv_http *h, struct host *host)
{
    if (host->dns == DNS_ASKED) {
        no_answer(h, host);
        return true;
    }
    if (host->dns == DNS_RETRY) {
        queue_lookup(h, host);
        return true;
    }
    return false;
}

/* Those that waited for a whole pause are told so; the pause goes on for others. */
static void give_up_waiting(cpv_http *h)
{
    struct link waiting;

    link_init(&waiting);
    link_splice(&waiting, &h->lookups);
    while (!link_alone(&waiting)) {
        struct host *host = OWNER_OF(waiting.next, struct host, lookup);

        link_remove(&host->lookup);
        host->dns = DNS_FAILED;
        host->dns_until = h->now + h->p.backoff_ms;
        host->dns_tries = 0;
        host_update(h, host);
    }
    h->dns.paused_since = h->now;
}

void dns_probe(cpv_http *h)
{
    struct dns_breaker *d = &h->dns;

    if (h->now - d->paused_since >= h->p.dns_pause_max_ms)
        give_up_waiting(h);
    if (!link_alone(&h->lookups) &&
        cpv_resolver_busy(h->resolver) < h->p.resolver_threads)
        ask_one(h);
    d->probe_wait = d->probe_wait < PROBE_MAX_MS / 2 ? 2 * d->probe_wait : PROBE_MAX_MS;
    cpv_heap_set(&h->heap, &d->timer, h->now + d->probe_wait);
}
