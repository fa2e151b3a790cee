/* SPDX-License-Identifier: Apache-2.0 */
/* See resolver.h. */
#include "common/net/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/sys.h"

/* getaddrinfo and the modules that it loads need some. */
enum { STACK_SIZE = 256 * 1024 };

struct ask {
    struct ask *next;
    struct cpv_lookup lookup;
};

struct ask_list {
    struct ask *first, **end;
};

struct cpv_resolver {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct ask_list asked, answered;
    cpv_http_resolve *resolve;
    void *ctx;
    int threads, max_threads, idle, queued;
    int refs; /* the owner and each thread */
    int busy; /* only the owner's thread touches it */
    int fd;
    bool stop;
};

static void list_init(struct ask_list *l)
{
    l->first = NULL;
    l->end = &l->first;
}

static void list_add(struct ask_list *l, struct ask *a)
{
    a->next = NULL;
    *l->end = a;
    l->end = &a->next;
}

static struct ask *list_take(struct ask_list *l)
{
    struct ask *a = l->first;

    if (a) {
        l->first = a->next;
        if (!l->first)
            l->end = &l->first;
    }
    return a;
}

static int system_resolve(void *ctx, const char *host,
                          struct cpv_http_addr out[CPV_HTTP_ADDRS])
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &found), n = 0;

    (void)ctx;
    if (rc)
        return rc;
    for (struct addrinfo *a = found; a && n < CPV_HTTP_ADDRS; a = a->ai_next)
        if (cpv_addr_from_sockaddr(&out[n], a->ai_addr))
            n++;
    freeaddrinfo(found);
    return n > 0 ? n : EAI_NONAME;
}

/* Gives back the lock and one reference; the last one frees everything. */
static void drop(cpv_resolver *r)
{
    struct ask *a;
    bool last = --r->refs == 0;

    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    while ((a = list_take(&r->asked)))
        cpv_free(a);
    while ((a = list_take(&r->answered)))
        cpv_free(a);
    (void)close(r->fd);
    pthread_cond_destroy(&r->work);
    pthread_mutex_destroy(&r->lock);
    cpv_free(r);
}

static void answer(cpv_resolver *r, struct ask *a)
{
    list_add(&r->answered, a);
    /* Fails only when the counter is full: then it is readable anyway. */
    (void)eventfd_write(r->fd, 1);
}

static void *worker(void *arg)
{
    cpv_resolver *r = arg;

    pthread_mutex_lock(&r->lock);
    for (;;) {
        struct ask *a;

        r->idle++;
        while (!r->stop && !r->asked.first)
            pthread_cond_wait(&r->work, &r->lock);
        r->idle--;
        if (r->stop)
            break;
        a = list_take(&r->asked);
        r->queued--;
        pthread_mutex_unlock(&r->lock);
        a->lookup.result = r->resolve(r->ctx, a->lookup.host, a->lookup.addrs);
        pthread_mutex_lock(&r->lock);
        answer(r, a);
    }
    r->threads--;
    drop(r);
    return NULL;
}

/* Under the lock. Signals stay with the program's own threads. */
static bool add_thread(cpv_resolver *r)
{
    pthread_attr_t attr;
    pthread_t id;
    sigset_t all, old;
    int rc;

    if (pthread_attr_init(&attr))
        return false;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&id, &attr, worker, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (rc)
        return false;
    r->threads++;
    r->refs++;
    return true;
}

int cpv_resolver_open(cpv_resolver **out, int threads, cpv_http_resolve *resolve,
                      void *ctx, struct cpv_err *err)
{
    cpv_resolver *r = cpv_calloc(1, sizeof *r);

    *out = NULL;
    if (!r)
        return cpv_fail_memory(err);
    r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->fd < 0) {
        cpv_free(r);
        return cpv_fail_sys(err, errno, "cannot make an event descriptor");
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->work, NULL);
    list_init(&r->asked);
    list_init(&r->answered);
    r->resolve = resolve ? resolve : system_resolve;
    r->ctx = ctx;
    r->max_threads = threads;
    r->refs = 1;
    *out = r;
    return CPV_OK;
}

int cpv_resolver_fd(const cpv_resolver *r)
{
    return r->fd;
}

int cpv_resolver_ask(cpv_resolver *r, const char *host, uint64_t id, struct cpv_err *err)
{
    struct ask *a = cpv_calloc(1, sizeof *a);
    size_t n = strlen(host);
    bool served;

    if (!a)
        return cpv_fail_memory(err);
    if (n >= sizeof a->lookup.host) {
        cpv_free(a);
        return cpv_fail(err, CPV_E_BUG, "a host name of %zu bytes", n);
    }
    memcpy(a->lookup.host, host, n + 1);
    a->lookup.id = id;
    pthread_mutex_lock(&r->lock);
    if (r->queued >= r->idle && r->threads < r->max_threads)
        add_thread(r);
    served = r->threads > 0;
    if (served) {
        list_add(&r->asked, a);
        r->queued++;
        pthread_cond_signal(&r->work);
    }
    pthread_mutex_unlock(&r->lock);
    if (!served) {
        cpv_free(a);
        return cpv_fail(err, CPV_E_IO, "cannot start a thread for look-ups");
    }
    r->busy++;
    return CPV_OK;
}

int cpv_resolver_busy(const cpv_resolver *r)
{
    return r->busy;
}

bool cpv_resolver_next(cpv_resolver *r, struct cpv_lookup *out)
{
    struct ask *a;
    uint64_t count;

    pthread_mutex_lock(&r->lock);
    a = list_take(&r->answered);
    /* Lowered under the lock, so that no later answer is lost. */
    if (!a && read(r->fd, &count, sizeof count) < 0)
        count = 0;
    pthread_mutex_unlock(&r->lock);
    if (!a)
        return false;
    *out = a->lookup;
    cpv_free(a);
    r->busy--;
    return true;
}

void cpv_resolver_close(cpv_resolver **r)
{
    if (!*r)
        return;
    pthread_mutex_lock(&(*r)->lock);
    (*r)->stop = true;
    pthread_cond_broadcast(&(*r)->work);
    drop(*r);
    *r = NULL;
}
