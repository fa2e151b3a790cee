/* SPDX-License-Identifier: Apache-2.0 */
/* See net_testing.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "tests/unit/net/net_testing.h"

extern char **environ;

/* --- the server -------------------------------------------------------------------- */

void net_file(const struct net_server *s, const char *name, const void *data, size_t n)
{
    char path[256];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", s->folder, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void make_files(struct net_server *s)
{
    enum { LARGE = 300000 };
    char *bytes = cpv_alloc(LARGE);

    assert_non_null(bytes);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (char)(i * 2654435761u >> 24);
    net_file(s, "small.txt", bytes, 1000);
    net_file(s, "large.bin", bytes, LARGE);
    cpv_free(bytes);
}

void net_server_start(struct net_server *s, int threads)
{
    const char *path = getenv("CAPIVARA_TEST_SERVER"), *tmp = getenv("TMPDIR");
    char count[16], line[32];
    char *argv[] = {(char *)(uintptr_t) "capivara-test-server",
                    (char *)(uintptr_t) "--root",
                    s->folder,
                    (char *)(uintptr_t) "--threads",
                    count,
                    (char *)(uintptr_t) "--die-with-parent",
                    NULL};
    posix_spawn_file_actions_t actions;
    int out[2];
    ssize_t n;

    if (!path) {
        fputs("CAPIVARA_TEST_SERVER is not set\n", stderr);
        exit(77);
    }
    (void)snprintf(s->folder, sizeof s->folder, "%s/cpv-net-XXXXXX",
                   tmp ? tmp : P_tmpdir);
    assert_non_null(mkdtemp(s->folder));
    make_files(s);
    (void)snprintf(count, sizeof count, "%d", threads);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out[1], 1), 0);
    assert_int_equal(posix_spawn(&s->pid, path, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    n = read(out[0], line, sizeof line - 1);
    close(out[0]);
    assert_true(n > 0);
    line[n] = '\0';
    s->port = (int)strtol(line, NULL, 10);
    assert_true(s->port > 0);
}

void net_server_stop(struct net_server *s)
{
    char command[256];
    int status, rc;

    kill(s->pid, SIGTERM);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", s->folder);
    rc = system(command); /* lint: allow system: removes a test's folder */
    assert_int_equal(rc, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- a run ----------------------------------------------------------------------------
 */

void net_params(struct cpv_http_params *p)
{
    cpv_http_defaults(p);
    p->allow_private = true;
    p->per_host = 1000;
    p->per_host_rate = 0;
    p->backoff_ms = 5;
    p->connect_timeout_ms = 1000;
    p->timeout_ms = 1500;
    p->low_speed_ms = 400;
    p->host_down_after = 0;
    p->resolver_threads = 8;
}

static void on_note(void *ctx, const char *text)
{
    struct net_run *r = ctx;
    size_t n = strlen(r->notes);

    (void)snprintf(r->notes + n, sizeof r->notes - n, "%s\n", text);
}

/* Keep the body for hold_ms, as a decoder would. */
static void hold(struct net_run *r, struct cpv_http_reply *reply)
{
    if (r->hold_ms == 0 || reply->body.size == 0 || r->n_held == CPV_COUNT(r->held))
        return;
    r->held[r->n_held].size = reply->body.size;
    r->held[r->n_held++].due = cpv_clock_ms() + r->hold_ms;
    r->held_bytes += reply->body.size;
    if (r->held_bytes > r->held_most)
        r->held_most = r->held_bytes;
    cpv_buf_release(&reply->body);
}

static void on_done(void *ctx, struct cpv_http_reply *reply)
{
    struct net_run *r = ctx;
    struct net_answer *a = &r->answers[(size_t)(uintptr_t)reply->user - 1];

    pthread_mutex_lock(&r->lock);
    a->count++;
    a->status = reply->status;
    a->http = reply->http;
    a->attempts = reply->attempts;
    a->transient = reply->transient;
    a->size = reply->body.size;
    a->hash = cpv_xxh64(reply->body.data, reply->body.size, 0);
    a->at = cpv_clock_ms();
    (void)snprintf(a->final_url, sizeof a->final_url, "%s", reply->final_url);
    (void)snprintf(a->type, sizeof a->type, "%s", reply->content_type);
    hold(r, reply);
    r->answered++;
    pthread_cond_signal(&r->more);
    pthread_mutex_unlock(&r->lock);
}

void net_run_open(struct net_run *r, const struct cpv_http_params *p, size_t n)
{
    struct cpv_http_params mine = *p;
    struct cpv_err err = {0};

    memset(r, 0, sizeof *r);
    mine.note = on_note;
    mine.note_ctx = r;
    r->answers = cpv_calloc(n, sizeof *r->answers);
    assert_non_null(r->answers);
    r->n = n;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->more, NULL);
    if (cpv_http_open(&r->http, &mine, on_done, r, &err))
        fail_msg("%s", err.text);
}

void net_submit(struct net_run *r, size_t i, const char *url)
{
    assert_int_equal(cpv_http_submit(r->http, url, (void *)(uintptr_t)(i + 1), NULL), 0);
}

/* Under the lock. */
static void release_due(struct net_run *r)
{
    int64_t now = cpv_clock_ms();

    for (size_t i = 0; i < r->n_held;)
        if (r->held[i].due <= now) {
            r->held_bytes -= r->held[i].size;
            cpv_http_release(r->http, r->held[i].size);
            r->held[i] = r->held[--r->n_held];
        } else {
            i++;
        }
}

void net_wait(struct net_run *r, size_t answers, int ms)
{
    int64_t end = cpv_clock_ms() + ms;
    size_t got;

    pthread_mutex_lock(&r->lock);
    while (r->answered < answers && cpv_clock_ms() < end) {
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += 2000000;
        if (t.tv_nsec >= 1000000000)
            t.tv_sec++, t.tv_nsec -= 1000000000;
        (void)pthread_cond_timedwait(&r->more, &r->lock, &t);
        release_due(r);
    }
    got = r->answered;
    pthread_mutex_unlock(&r->lock);
    if (got < answers)
        fail_msg("%zu of %zu answers after %d ms", got, answers, ms);
}

void net_run_close(struct net_run *r)
{
    cpv_http_close(&r->http);
    assert_null(r->http);
    for (size_t i = 0; i < r->n; i++)
        assert_in_range(r->answers[i].count, 0, 1);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->more);
    cpv_free(r->answers);
}

struct net_answer net_fetch(const struct cpv_http_params *p, const char *url)
{
    struct net_run r;
    struct net_answer a;

    net_run_open(&r, p, 1);
    net_submit(&r, 0, url);
    net_wait(&r, 1, 10000);
    assert_int_equal(cpv_http_waiting(r.http), 0);
    a = r.answers[0];
    net_run_close(&r);
    return a;
}

struct net_answer net_get(const struct net_server *s, const struct cpv_http_params *p,
                          const char *path)
{
    char url[512];

    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", s->port, path);
    return net_fetch(p, url);
}

/* By hand: the count must not depend on what it checks. */
long net_stat(const struct net_server *s, const char *name)
{
    static const char ask[] = "GET /stats HTTP/1.1\r\nHost: x\r\n\r\n";
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)s->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[1024], *at;
    ssize_t n;

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(write(fd, ask, sizeof ask - 1), sizeof ask - 1);
    n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n > 0);
    text[n] = '\0';
    at = strstr(text, name);
    assert_non_null(at);
    return strtol(at + strlen(name) + 2, NULL, 10);
}

/* n times the same path, answered; per-URL results stay in r until it is closed. */
void net_fetch_all(struct net_run *r, const struct net_server *s, const char *host,
                   const char *path, size_t n, int ms)
{
    char url[300];

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(url, sizeof url, "http://%s:%d%s%ci=%zu", host, s->port, path,
                       strchr(path, '?') ? '&' : '?', i);
        net_submit(r, i, url);
    }
    net_wait(r, n, ms);
}

void net_expect_all(const struct net_run *r, size_t from, size_t to, cpv_http_status want)
{
    for (size_t i = from; i < to; i++)
        if (r->answers[i].count != 1 || r->answers[i].status != want)
            fail_msg("URL %zu: %d times %s", i, r->answers[i].count,
                     cpv_http_status_name(r->answers[i].status));
}

/* *.ok is the server, *.flaky after two failures, *.temp never; others do not exist. */
int net_resolve(void *ctx, const char *host, struct cpv_http_addr out[CPV_HTTP_ADDRS])
{
    struct net_names *n = ctx;
    const char *dot = strrchr(host, '.');

    atomic_fetch_add(&n->calls, 1);
    usleep((unsigned)atomic_load(&n->delay_ms) * 1000);
    if (atomic_load(&n->broken) || (dot && strcmp(dot, ".temp") == 0))
        return EAI_AGAIN;
    if (dot && strcmp(dot, ".flaky") == 0 && atomic_fetch_add(&n->failures, 1) < 2)
        return EAI_AGAIN;
    if (!dot || strcmp(dot, ".none") == 0)
        return EAI_NONAME;
    out[0] = (struct cpv_http_addr){4, {127, 0, 0, 1}};
    return 1;
}
