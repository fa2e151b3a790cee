/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts: a table by name, a queue each, and the limits that make us a polite guest
 * (http_impl.h). A host that no job refers to is kept for its addresses and its
 * history until there are too many; the least recently used goes first.
 */
#include "common/net/http_impl.h"

#include <string.h>

#include "common/base/hash.h"
#include "common/base/sys.h"

enum {
    IDLE_MAX = 65536,
    BUCKETS_FIRST = 1024,
    HOLD_DOUBLINGS = 6, /* of the wait after a 429 or 503 without Retry-After */
    PRAISE = 8          /* successes after which a slowed host gets a step faster */
};

static uint64_t hash_of(const char *name)
{
    return cpv_xxh64(name, strlen(name), 0);
}

struct host *host_find(cpv_http *h, const char *name)
{
    uint64_t hash = hash_of(name);
    struct host *host = h->n_buckets ? h->buckets[hash & (h->n_buckets - 1)] : NULL;

    while (host && (host->hash != hash || strcmp(host->name, name) != 0))
        host = host->next;
    return host;
}

/* Twice the buckets when they are full; without memory the chains grow longer. */
static bool grow(cpv_http *h)
{
    size_t n = h->n_buckets ? 2 * h->n_buckets : BUCKETS_FIRST;
    struct host **to;

    if (h->n_hosts < h->n_buckets)
        return true;
    to = cpv_calloc(n, sizeof(struct host *));
    if (!to)
        return h->n_buckets > 0;
    for (size_t i = 0; i < h->n_buckets; i++)
        for (struct host *host = h->buckets[i], *next; host; host = next) {
            next = host->next;
            host->next = to[host->hash & (n - 1)];
            to[host->hash & (n - 1)] = host;
        }
    cpv_free(h->buckets);
    h->buckets = to;
    h->n_buckets = n;
    return true;
}

static void host_free(cpv_http *h, struct host *host)
{
    struct host **at = &h->buckets[host->hash & (h->n_buckets - 1)];

    while (*at != host)
        at = &(*at)->next;
    *at = host->next;
    h->n_hosts--;
    h->timers--;
    cpv_heap_unset(&h->heap, &host->timer);
    link_remove(&host->ready);
    link_remove(&host->lookup);
    link_remove(&host->idle);
    robots_free(host->origins);
    cpv_free(host);
}

static struct host *host_make(cpv_http *h, const struct cpv_url *url)
{
    size_t n = strlen(url->host) + 1;
    struct host *host;

    if (!grow(h) || !cpv_heap_reserve(&h->heap, h->timers + 1))
        return NULL;
    host = cpv_calloc(1, sizeof *host + n);
    if (!host)
        return NULL;
    memcpy(host->name, url->host, n);
    host->hash = hash_of(host->name);
    host->timer.kind = TIMER_HOST;
    link_init(&host->ready);
    link_init(&host->lookup);
    link_init(&host->idle);
    link_init(&host->queue);
    host->limit = h->p.per_host;
    host->rate = h->p.per_host_rate;
    host->tokens = 1;
    host->tokens_at = h->now;
    if (url->kind == CPV_HOST_NUMERIC) {
        host->numeric = true;
        host->dns = DNS_FRESH;
        host->dns_until = INT64_MAX;
        host->addrs[0] = url->addr;
        host->n_addrs = 1;
    }
    host->next = h->buckets[host->hash & (h->n_buckets - 1)];
    h->buckets[host->hash & (h->n_buckets - 1)] = host;
    h->n_hosts++;
    h->timers++;
    return host;
}

struct host *host_take(cpv_http *h, const struct cpv_url *url)
{
    struct host *host = host_find(h, url->host);

    if (!host)
        host = host_make(h, url);
    if (!host)
        return NULL;
    if (!link_alone(&host->idle)) {
        link_remove(&host->idle);
        h->n_idle--;
    }
    host->jobs++;
    return host;
}

void host_drop(cpv_http *h, struct host *host)
{
    if (--host->jobs > 0)
        return;
    link_insert(&h->idle, &host->idle);
    if (++h->n_idle > IDLE_MAX) {
        struct host *oldest = OWNER_OF(h->idle.next, struct host, idle);

        h->n_idle--;
        host_free(h, oldest);
    }
}

void hosts_free(cpv_http *h)
{
    for (size_t i = 0; i < h->n_buckets; i++)
        while (h->buckets[i])
            host_free(h, h->buckets[i]);
    cpv_free(h->buckets);
    h->buckets = NULL;
    h->n_buckets = 0;
}

/* --- when is it this host's turn? -------------------------------------------------- */

/* Requests are paid with tokens; at most a second's worth is saved up. */
static void refill(cpv_http *h, struct host *host)
{
    double most = host->rate > 1 ? host->rate : 1;

    host->tokens += host->rate * (double)(h->now - host->tokens_at) / 1000;
    if (host->tokens > most)
        host->tokens = most;
    host->tokens_at = h->now;
}

/* 0: now; else the time at which the rate or a wait that it asked for allows one. */
static int64_t next_turn(cpv_http *h, struct host *host)
{
    if (host->hold_until > h->now)
        return host->hold_until;
    if (host->rate <= 0)
        return 0;
    refill(h, host);
    if (host->tokens >= 1)
        return 0;
    return h->now + 1 + (int64_t)((1 - host->tokens) * 1000 / host->rate);
}

/* What the name service or its past say about all of its jobs; OK: nothing bad. */
static cpv_http_status verdict(cpv_http *h, const struct host *host)
{
    if (host->parked && h->now < host->parked_until)
        return CPV_HTTP_HOST_DOWN;
    if (h->p.proxy)
        return CPV_HTTP_OK;
    if (host->dns == DNS_NONE)
        return CPV_HTTP_DNS_NXDOMAIN;
    if (host->dns == DNS_FAILED)
        return CPV_HTTP_DNS_TEMP;
    return host->refused ? CPV_HTTP_BLOCKED_IP : CPV_HTTP_OK;
}

void host_update(cpv_http *h, struct host *host)
{
    cpv_http_status bad;
    int64_t at;

    link_remove(&host->ready);
    if (link_alone(&host->queue)) {
        dns_unwanted(h, host);
        return;
    }
    if (!(host->parked && h->now < host->parked_until) && !h->p.proxy &&
        !dns_ready(h, host))
        return;
    bad = verdict(h, host);
    if (bad) {
        /* The host may be gone after the last of its jobs. */
        job_answer_all(h, &host->queue, bad, cpv_http_status_transient(bad));
        return;
    }
    if (host->active >= (host->parked ? 1 : host->limit))
        return;
    at = next_turn(h, host);
    if (at > 0) {
        cpv_heap_set(&h->heap, &host->timer, at);
        return;
    }
    cpv_heap_unset(&h->heap, &host->timer);
    link_insert(&h->ready, &host->ready);
}

void host_started(cpv_http *h, struct host *host)
{
    host->active++;
    if (host->rate > 0) {
        refill(h, host);
        host->tokens -= 1;
    }
    host_update(h, host);
}

/* It said 429 or 503: half of everything, once per wait. */
static void slow_down(cpv_http *h, struct host *host, int64_t retry_after)
{
    int doublings = host->failures < HOLD_DOUBLINGS ? host->failures : HOLD_DOUBLINGS;
    int64_t wait = retry_after, from = h->now;

    if (wait < 0)
        wait = job_backoff_ms(h, host->name, doublings);
    if (host->hold_until <= h->now) {
        host->limit = host->limit > 1 ? host->limit / 2 : 1;
        if (host->rate > h->p.per_host_rate / 64)
            host->rate /= 2;
        host->praise = 0;
    } else {
        from = host->hold_until;
    }
    if (h->now + wait > host->hold_until) {
        host->hold_until = h->now + wait;
        host->held += host->hold_until - from;
    }
}

static void speed_up(cpv_http *h, struct host *host)
{
    if (++host->praise < PRAISE)
        return;
    host->praise = 0;
    if (host->limit < h->p.per_host)
        host->limit++;
    if (host->rate < h->p.per_host_rate) {
        host->rate += h->p.per_host_rate / 8;
        if (host->rate > h->p.per_host_rate)
            host->rate = h->p.per_host_rate;
    }
}

static void park(cpv_http *h, struct host *host)
{
    if (!host->parked) {
        h->stats.hosts_parked++;
        http_note(h, "host '%s' failed %d times in a row; its other URLs are put off",
                  host->name, host->failures);
    }
    host->parked = true;
    host->parked_until = h->now + h->p.host_down_ms;
}

void host_ended(cpv_http *h, struct host *host, const struct outcome *o)
{
    host->active--;
    if (o->host_failed) {
        host->failures++;
        if (o->status == CPV_HTTP_429 || o->status == CPV_HTTP_5XX)
            slow_down(h, host, o->retry_after);
        /* One that asks for long waits again and again is as good as dead. */
        if (h->p.host_down_after > 0 && (host->failures >= h->p.host_down_after ||
                                         host->held > h->p.retry_after_max_ms))
            park(h, host);
    } else if (o->status != CPV_HTTP_STOPPED && o->status != CPV_HTTP_MEMORY) {
        host->failures = 0;
        host->held = 0;
        host->parked = false;
        speed_up(h, host);
    }
    host_update(h, host);
}
