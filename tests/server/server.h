/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A web server for tests that misbehaves as its URLs ask for. server.c moves bytes,
 * behave.c decides which.
 */
#ifndef CPV_TESTS_SERVER_H
#define CPV_TESTS_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/bytes.h"

/* What happens after the last byte. */
enum after { AFTER_KEEP, AFTER_CLOSE, AFTER_RESET, AFTER_HANG };

/* An answer under way: head, then a file or filler, at full speed or dripping. */
struct answer {
    struct cpv_buf head;
    size_t head_at;
    int file; /* -1: none */
    off_t file_at;
    int64_t left;                /* bytes of the file or of the filler */
    int64_t delay_ms;            /* before the first byte */
    int64_t drip_bytes, drip_ms; /* so many at a time; 0: all at once */
    enum after after;
};

struct conn {
    int fd;
    struct conn *next, *prev; /* those that wait for a time */
    bool timed, busy;
    int64_t due;
    size_t in;
    char input[16384];
    struct answer answer;
};

/* How often each URL of /flaky/ has failed. */
struct flaky {
    struct flaky *next;
    int failed;
    char url[];
};

struct server {
    const char *root;
    int listener;
    pthread_mutex_t lock;
    struct flaky *flaky[4096];
    atomic_long accepted, open, open_peak, requests, active, active_peak;
};

/* Fill the answer to a GET of `url`; `head`: without a body. */
void behave(struct server *s, struct answer *a, const char *url);
void behave_help(void);

#endif
