/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many downloads at once, politely and safely, from servers that nobody vouches for.
 *
 *     open, submit ..., (release ...), close        stop at any point before close
 *
 * One event thread runs libcurl's multi interface on epoll; a pool of threads looks
 * up names. In front of libcurl stands our own scheduler: a queue per host, limits
 * of concurrency and rate, retries with growing waits, and a pause when the name
 * service breaks down.
 *
 *  (1) Every URL that submit accepted is answered exactly once, through `done`, on
 *      the event thread; after stop or close with status `stopped` at the latest.
 *      A name server that never answers cannot delay that.
 *  (2) No socket is connected to a private, local, reserved or multicast address
 *      unless allow_private is set: each address of each hop is checked before
 *      libcurl sees it, and again on the socket address that it opens.
 *  (3) A body is at most max_bytes. The bodies under way plus those handed over and
 *      not yet released are at most memory_budget, plus one body.
 *  (4) One attempt takes at most (max_redirects + 1) * timeout_ms besides waits for
 *      the host's turn and for memory; there are at most retries + 1 attempts. A
 *      wait that a server asks for is at most retry_after_max_ms; a host that asked
 *      for more than that since its last success, or failed host_down_after times in
 *      a row, is put off and its URLs are answered.
 *  (5) An answer that says "no" with X-Robots-Tag is not downloaded: the transfer
 *      ends at its headers.
 *  (6) Waits are spread by a hash of the URL, never by time or chance.
 *
 * Environment proxies, .netrc, cookies, compressed transfer and protocols other than
 * http and https are never used. With `proxy`, names are resolved by the proxy, and
 * only numeric hosts can be checked.
 */
#ifndef CPV_NET_HTTP_H
#define CPV_NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/cli.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a download ended. The names are those in failure tables and statistics. */
typedef enum cpv_http_status {
    CPV_HTTP_OK,
    CPV_HTTP_BAD_URL,      /* not http(s), user data, control characters, odd port */
    CPV_HTTP_BLOCKED_IP,   /* an address that (2) forbids, at any hop */
    CPV_HTTP_DNS_NXDOMAIN, /* the name does not exist */
    CPV_HTTP_DNS_TEMP,     /* no answer about the name for now */
    CPV_HTTP_CONNECT,      /* refused, unreachable, reset */
    CPV_HTTP_TLS,          /* handshake or certificate */
    CPV_HTTP_TIMEOUT,      /* connect_timeout_ms, timeout_ms or too slow */
    CPV_HTTP_TOO_BIG,      /* body over max_bytes, announced or sent */
    CPV_HTTP_REDIRECT,     /* too many, or to a URL that is none of ours */
    CPV_HTTP_OPTOUT,       /* X-Robots-Tag */
    CPV_HTTP_ROBOTS,       /* robots.txt */
    CPV_HTTP_410,
    CPV_HTTP_429,
    CPV_HTTP_4XX, /* other 4xx */
    CPV_HTTP_5XX,
    CPV_HTTP_HOST_DOWN, /* not tried: the host had failed host_down_after times */
    CPV_HTTP_PROTOCOL,  /* not HTTP, endless headers, less than was announced */
    CPV_HTTP_EMPTY,     /* a success without a body */
    CPV_HTTP_MEMORY,    /* ours ran out */
    CPV_HTTP_STOPPED,   /* we were asked to stop */
    CPV_HTTP_N_STATUS
} cpv_http_status;

/* "ok", "bad_url", ..., "http_410", ...: never NULL. */
const char *cpv_http_status_name(cpv_http_status s);
/*
 * Might it be otherwise at another time? For http_4xx and http_5xx the code decides
 * (408 and 425 yes, 501 no), so prefer reply->transient.
 */
bool cpv_http_status_transient(cpv_http_status s);

/* What a look-up says: an address, with the port left 0. */
struct cpv_http_addr {
    uint8_t family; /* 4 or 6 */
    uint8_t bytes[16];
};
enum { CPV_HTTP_ADDRS = 8 }; /* as many of a host are kept */

/*
 * The name service, replaceable in tests. Called on several threads at once, may
 * block. Returns the number of addresses (> 0) or an EAI_* code (< 0).
 */
typedef int cpv_http_resolve(void *ctx, const char *host,
                             struct cpv_http_addr out[CPV_HTTP_ADDRS]);

/* Start from cpv_http_defaults(). Strings are copied by open. */
struct cpv_http_params {
    int connections;         /* at once, in all; 256 */
    int per_host;            /* at once to one host name; 4 */
    double per_host_rate;    /* requests per second to one host; 8. 0: no limit */
    int connect_timeout_ms;  /* 5,000 */
    int timeout_ms;          /* of one hop, connecting included; 20,000 */
    int64_t low_speed_bytes; /* a second, over low_speed_ms; 1,024. 0: any speed */
    int low_speed_ms;        /* 8,000 */
    int64_t max_bytes;       /* 25 MiB */
    int max_redirects;       /* 5 */
    int retries;             /* after the first attempt; 3 */
    int backoff_ms;          /* before the first retry, doubling; 1,000 */
    int retry_after_max_ms;  /* a Retry-After beyond is cut to it; 600,000 */
    int64_t memory_budget;   /* 512 MiB */
    int host_down_after;     /* failed attempts in a row; 20. 0: never */
    int host_down_ms;        /* then one URL tries again; 300,000 */
    const char *user_agent;  /* NULL: capivara-fetch/VERSION */
    const char
        *user_agent_token; /* in X-Robots-Tag and robots.txt; NULL: capivara-fetch */
    bool respect_optout;   /* true */
    struct cpv_texts disallowed_directives; /* none: the five of cpv_optout_default */
    bool robots;                            /* obey robots.txt (RFC 9309); false */
    bool allow_private;  /* false; also lifts the list of ports (80, 443, 8000-8999) */
    bool insecure_tls;   /* false */
    const char *ca_file; /* NULL: the system's */
    const char *proxy;   /* NULL: none, whatever the environment says */

    int resolver_threads;      /* 64 */
    int dns_timeout_ms;        /* of a look-up before it counts as failed; 10,000 */
    int dns_positive_ms;       /* answers are kept; 600,000 */
    int dns_negative_ms;       /* "no such name" is kept; 1,800,000 */
    int dns_pause_max_ms;      /* wait for the name service to come back; 600,000 */
    cpv_http_resolve *resolve; /* NULL: getaddrinfo */
    void *resolve_ctx;

    /* One line, without a stop, for the log: pauses, clamped limits. May be NULL. */
    void (*note)(void *ctx, const char *text);
    void *note_ctx;
};

void cpv_http_defaults(struct cpv_http_params *p);

struct cpv_http_reply {
    void *user; /* as given to submit */
    cpv_http_status status;
    int http;                 /* the last status code of a server; 0: none came */
    bool transient;           /* trying again later may help */
    int attempts;             /* transfers begun for it, redirects not counted */
    struct cpv_buf body;      /* with CPV_HTTP_OK only */
    const char *final_url;    /* normalised, the last hop's; until done returns */
    const char *content_type; /* as sent, "" if absent; until done returns */
};

/*
 * On the event thread: be quick, never block. To keep the body, move it out of the
 * reply (and zero it there), and call cpv_http_release with its size when it is
 * freed; a body that stays in the reply is freed and released on return.
 * submit and release may be called from here.
 */
typedef void cpv_http_done(void *ctx, struct cpv_http_reply *reply);

typedef struct cpv_http cpv_http;

/* Raises RLIMIT_NOFILE to its hard limit; lowers `connections` if that is too few. */
CPV_MUST_CHECK int cpv_http_open(cpv_http **out, const struct cpv_http_params *params,
                                 cpv_http_done *done, void *ctx, struct cpv_err *err);

/* Any thread. Copies the URL, never blocks. CPV_E_STOPPED after stop: no reply then. */
CPV_MUST_CHECK int cpv_http_submit(cpv_http *h, const char *url, void *user,
                                   struct cpv_err *err);
/* Any thread: submitted and not yet answered, for back-pressure. */
size_t cpv_http_waiting(const cpv_http *h);
/* Any thread: a body of that size, taken from a reply, has been freed. */
void cpv_http_release(cpv_http *h, size_t body_bytes);

/* Any thread: answer all that is left with `stopped`, within a fraction of a second. */
void cpv_http_stop(cpv_http *h);
/* Stops, waits until all is answered, frees; not from within `done`. */
void cpv_http_close(cpv_http **h);

struct cpv_http_stats {
    uint64_t submitted, answered;
    uint64_t requests; /* transfers begun: retries, hops and robots.txt included */
    uint64_t retries;
    uint64_t redirects;
    uint64_t body_bytes;   /* received, of whatever became of them */
    uint64_t dns_lookups;  /* asked of the name service */
    uint64_t dns_hits;     /* hops that found the answer here */
    uint64_t dns_failures; /* look-ups without an answer */
    uint64_t connections;  /* opened */
    uint64_t blocked;      /* addresses refused */
    uint64_t pauses;       /* of the name service */
    uint64_t hosts_parked;
    int64_t memory_peak; /* bytes of bodies */
    int in_flight, in_flight_peak;
    bool paused;                           /* now */
    uint64_t by_status[CPV_HTTP_N_STATUS]; /* answers */
};

void cpv_http_stats(const cpv_http *h, struct cpv_http_stats *out);

#ifdef __cplusplus
}
#endif
#endif
