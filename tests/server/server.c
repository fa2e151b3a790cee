/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capivara-test-server: see behave.c for what its URLs do. Threads with an epoll set
 * each share one listening socket; a connection is a request, then an answer, again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "tests/server/server.h"

struct worker {
    struct server *s;
    int epoll;
    struct conn timed; /* head of the list of those that wait for a time */
};

static void raise_peak(atomic_long *peak, long now)
{
    long seen = atomic_load(peak);

    while (now > seen && !atomic_compare_exchange_weak(peak, &seen, now))
        ;
}

/* --- connections
 * ----------------------------------------------------------------------------- */

static void set_timed(struct worker *w, struct conn *c, int64_t due)
{
    c->due = due;
    if (c->timed)
        return;
    c->timed = true;
    c->next = w->timed.next;
    c->prev = &w->timed;
    c->next->prev = c;
    w->timed.next = c;
}

static void unset_timed(struct conn *c)
{
    if (!c->timed)
        return;
    c->timed = false;
    c->prev->next = c->next;
    c->next->prev = c->prev;
}

static void watch(struct worker *w, struct conn *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    (void)epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void end_answer(struct server *s, struct conn *c)
{
    if (!c->busy)
        return;
    c->busy = false;
    atomic_fetch_sub(&s->active, 1);
    if (c->answer.file >= 0)
        (void)close(c->answer.file);
    cpv_buf_release(&c->answer.head);
    memset(&c->answer, 0, sizeof c->answer);
    c->answer.file = -1;
}

static void hang_up(struct worker *w, struct conn *c, bool reset)
{
    struct linger rst = {1, 0};

    end_answer(w->s, c);
    unset_timed(c);
    if (reset)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
    (void)close(c->fd);
    atomic_fetch_sub(&w->s->open, 1);
    cpv_free(c);
}

static void accept_all(struct worker *w)
{
    int one = 1, fd;

    while ((fd = accept4(w->s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >=
           0) {
        struct conn *c = cpv_calloc(1, sizeof *c);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

        if (!c) {
            (void)close(fd);
            continue;
        }
        c->fd = fd;
        c->answer.file = -1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        atomic_fetch_add(&w->s->accepted, 1);
        raise_peak(&w->s->open_peak, atomic_fetch_add(&w->s->open, 1) + 1);
        (void)epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

/* --- sending
 * ------------------------------------------------------------------------------------ */

/* Up to `most` bytes: how many went, 0 for none now, -1 when the peer is gone. */
static ssize_t send_some(struct conn *c, int64_t most)
{
    static const char filler[65536] = {'x'};
    struct answer *a = &c->answer;
    size_t n = most < (int64_t)sizeof filler ? (size_t)most : sizeof filler;
    ssize_t sent;

    if (a->head_at < a->head.size) {
        size_t left = a->head.size - a->head_at;

        sent = send(c->fd, a->head.data + a->head_at,
                    left < (size_t)most ? left : (size_t)most,
                    MSG_NOSIGNAL | (a->left > 0 ? MSG_MORE : 0));
        if (sent > 0)
            a->head_at += (size_t)sent;
    } else {
        if ((int64_t)n > a->left)
            n = (size_t)a->left;
        sent = a->file >= 0 ? sendfile(c->fd, a->file, &a->file_at,
                                       most < a->left ? (size_t)most : (size_t)a->left)
                            : send(c->fd, filler, n, MSG_NOSIGNAL);
        if (sent > 0)
            a->left -= sent;
        if (sent == 0)
            return -1; /* the file has shrunk */
    }
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    return sent;
}

static void read_request(struct worker *w, struct conn *c);

/* The answer is out. */
static void finish(struct worker *w, struct conn *c)
{
    enum after after = c->answer.after;

    if (after == AFTER_HANG) {
        unset_timed(c);
        watch(w, c, EPOLLIN); /* to notice when the client leaves */
        return;
    }
    end_answer(w->s, c);
    if (after != AFTER_KEEP) {
        hang_up(w, c, after == AFTER_RESET);
        return;
    }
    unset_timed(c);
    watch(w, c, EPOLLIN);
    read_request(w, c);
}

static void send_answer(struct worker *w, struct conn *c)
{
    struct answer *a = &c->answer;
    int64_t budget = a->drip_ms > 0 ? a->drip_bytes : INT64_C(1) << 20;

    while (a->head_at < a->head.size || a->left > 0) {
        ssize_t n = budget > 0 ? send_some(c, budget) : 0;

        if (n < 0) {
            hang_up(w, c, false);
            return;
        }
        budget -= n;
        if (n > 0 && budget > 0)
            continue;
        if (a->drip_ms > 0 && budget <= 0) {
            watch(w, c, 0);
            set_timed(w, c, cpv_clock_ms() + a->drip_ms);
        } else {
            watch(w, c, EPOLLOUT);
        }
        return;
    }
    finish(w, c);
}

/* --- requests
 * ---------------------------------------------------------------------------------------
 */

static void begin_answer(struct worker *w, struct conn *c, const char *url)
{
    c->busy = true;
    atomic_fetch_add(&w->s->requests, 1);
    raise_peak(&w->s->active_peak, atomic_fetch_add(&w->s->active, 1) + 1);
    /* As a proxy is asked: http://host/path. The host does not matter. */
    if (strncmp(url, "http://", 7) == 0)
        url += 7 + strcspn(url + 7, "/");
    behave(w->s, &c->answer, url);
    if (c->answer.delay_ms > 0) {
        watch(w, c, 0);
        set_timed(w, c, cpv_clock_ms() + c->answer.delay_ms);
        return;
    }
    send_answer(w, c);
}

/* A whole request at the start of the input: its URL, else NULL. */
static char *take_url(struct conn *c, char *to, size_t room)
{
    char *end = memmem(c->input, c->in, "\r\n\r\n", 4), *url, *stop;
    size_t used;

    if (!end)
        return NULL;
    used = (size_t)(end - c->input) + 4;
    to[0] = '\0';
    if (strncmp(c->input, "GET ", 4) == 0) {
        url = c->input + 4;
        stop = memchr(url, ' ', used - 4);
        if (stop && (size_t)(stop - url) < room) {
            memcpy(to, url, (size_t)(stop - url));
            to[stop - url] = '\0';
        }
    }
    memmove(c->input, c->input + used, c->in - used);
    c->in -= used;
    return to;
}

static void read_request(struct worker *w, struct conn *c)
{
    char url[4096];

    for (;;) {
        ssize_t n;

        if (!c->busy && take_url(c, url, sizeof url)) {
            begin_answer(w, c, url);
            return;
        }
        /* A TLS handshake or worse: let it see that nobody here speaks that. */
        if (!c->busy && c->in > 0 && (c->input[0] < 'A' || c->input[0] > 'Z')) {
            c->in = 0;
            begin_answer(w, c, "/garbage");
            return;
        }
        if (c->in == sizeof c->input) {
            hang_up(w, c, false);
            return;
        }
        n = recv(c->fd, c->input + c->in, sizeof c->input - c->in, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            hang_up(w, c, false);
            return;
        }
        c->in += (size_t)n;
    }
}

static void fire_timed(struct worker *w)
{
    int64_t now = cpv_clock_ms();
    struct conn *c = w->timed.next;

    while (c != &w->timed) {
        struct conn *next = c->next;

        if (c->due <= now) {
            unset_timed(c);
            send_answer(w, c);
        }
        c = next;
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct epoll_event events[64];

    for (;;) {
        int n = epoll_wait(w->epoll, events, 64, w->timed.next == &w->timed ? -1 : 5);

        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;

            if (!c)
                accept_all(w);
            else if (events[i].events & EPOLLIN)
                read_request(w, c);
            else if (events[i].events & (EPOLLERR | EPOLLHUP))
                hang_up(w, c, false);
            else
                send_answer(w, c);
        }
        fire_timed(w);
    }
    return NULL;
}

/* --- main
 * -----------------------------------------------------------------------------------------------
 */

static int listen_on(const char *port, int *bound)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t size = sizeof sin;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof sin) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&sin, &size))
        return -1;
    *bound = ntohs(sin.sin_port);
    return fd;
}

/* Under another name first, so that who waits for the file never sees half of it. */
static bool write_port(const char *path, int port)
{
    char temp[4096];
    FILE *f;
    bool ok;

    if (snprintf(temp, sizeof temp, "%s.tmp", path) >= (int)sizeof temp)
        return false;
    f = fopen(temp, "w");
    if (!f)
        return false;
    ok = fprintf(f, "%d\n", port) > 0;
    ok = fclose(f) == 0 && ok;
    return ok && rename(temp, path) == 0;
}

static bool start_workers(struct server *s, int threads)
{
    for (int i = 0; i < threads; i++) {
        struct worker *w = cpv_calloc(1, sizeof *w);
        struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE};
        pthread_t id;

        if (!w)
            return false;
        w->s = s;
        w->timed.next = w->timed.prev = &w->timed;
        w->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (w->epoll < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->listener, &e) ||
            pthread_create(&id, NULL, work, w))
            return false;
        pthread_detach(id);
    }
    return true;
}

static void usage(void)
{
    puts("usage: capivara-test-server [--root DIR] [--port N] [--port-file F]\n"
         "                            [--threads N] [--die-with-parent]\n\n"
         "Serves the files below DIR on 127.0.0.1, and behaves badly where the URL asks\n"
         "for it. Port 0 is any free one; it is written to F and to standard output.\n");
    behave_help();
}

struct options {
    const char *root, *port, *port_file;
    int threads;
    bool die;
};

/* -1: go on; else the exit status. */
static int parse(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {{"root", required_argument, NULL, 'r'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"port-file", required_argument, NULL, 'f'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"die-with-parent", no_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'r')
            o->root = optarg;
        else if (c == 'p')
            o->port = optarg;
        else if (c == 'f')
            o->port_file = optarg;
        else if (c == 't')
            o->threads = (int)strtol(optarg, NULL, 10);
        else if (c == 'd')
            o->die = true;
        else if (c == 'h')
            return usage(), 0;
        else
            return 2;
    }
    return optind < argc ? 2 : -1;
}

int main(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    static struct server s;
    struct options o = {.port = "0", .threads = 1};
    struct rlimit files;
    sigset_t end;
    int port = 0, sig, rc = parse(&o, argc, argv);

    if (rc >= 0)
        return rc;
    if (o.die && (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() == 1))
        return 1;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    pthread_sigmask(SIG_BLOCK, &end, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    pthread_mutex_init(&s.lock, NULL);
    s.root = o.root;
    s.listener = listen_on(o.port, &port);
    if (s.listener < 0 || !start_workers(&s, o.threads > 0 ? o.threads : 1) ||
        (o.port_file && !write_port(o.port_file, port))) {
        perror("capivara-test-server: cannot start");
        return 74;
    }
    printf("%d\n", port);
    (void)fflush(stdout);
    (void)sigwait(&end, &sig);
    return 0;
}
