/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the fetcher share: the server as a child, and a run that waits. */
#ifndef CPV_TESTS_NET_TESTING_H
#define CPV_TESTS_NET_TESTING_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "common/net/http.h"

struct net_server {
    pid_t pid;
    int port;
    char folder[200]; /* its root, with small.txt (1,000 bytes), large.bin (300,000) */
};

void net_server_start(struct net_server *s, int threads);
void net_server_stop(struct net_server *s);
void net_file(const struct net_server *s, const char *name, const void *data, size_t n);

struct net_answer {
    int count; /* answers that came for this URL */
    cpv_http_status status;
    int http, attempts;
    bool transient;
    size_t size;
    uint64_t hash; /* of the body */
    char final_url[256], type[64];
    int64_t at; /* ms, when it came */
};

/* One fetcher and what it answered; `user` of URL i is i + 1. */
struct net_run {
    cpv_http *http;
    struct net_answer *answers;
    size_t n;
    pthread_mutex_t lock;
    pthread_cond_t more;
    size_t answered, held_bytes, held_most;
    int hold_ms; /* bodies are released that much later, by the waiting thread */
    struct {
        size_t size;
        int64_t due;
    } held[4096];
    size_t n_held;
    char notes[4096];
};

/* Quick limits for tests: private addresses allowed, waits of milliseconds. */
void net_params(struct cpv_http_params *p);

void net_run_open(struct net_run *r, const struct cpv_http_params *p, size_t n);
void net_submit(struct net_run *r, size_t i, const char *url);
/* Until so many answers are there; fails the test after `ms`. */
void net_wait(struct net_run *r, size_t answers, int ms);
void net_run_close(struct net_run *r);

/* A single URL from open to close; "%d" in it becomes the server's port. */
struct net_answer net_fetch(const struct cpv_http_params *p, const char *url);
/* A path of the server. */
struct net_answer net_get(const struct net_server *s, const struct cpv_http_params *p,
                          const char *path);
/* A count of /stats of the server. */
long net_stat(const struct net_server *s, const char *name);

/* That path of the host n times (with another query each), answered within `ms`. */
void net_fetch_all(struct net_run *r, const struct net_server *s, const char *host,
                   const char *path, size_t n, int ms);
/* Answers from ... to - 1 came once each, with that status. */
void net_expect_all(const struct net_run *r, size_t from, size_t to,
                    cpv_http_status want);

/* A name service: *.ok is 127.0.0.1, *.flaky is after two failures, *.temp never. */
struct net_names {
    atomic_int calls, failures, broken, delay_ms;
};

cpv_http_resolve net_resolve; /* its ctx: struct net_names */

#endif
