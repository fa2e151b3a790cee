/* SPDX-License-Identifier: Apache-2.0 */
/* See queue.h. Threads wait at a gate until all of them exist. */
#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/sys.h"

enum { DEFAULT_STACK = 1 << 20, NAME_SIZE = 16 /* what the kernel keeps */ };

enum gate { GATE_SHUT, GATE_OPEN, GATE_GO_HOME };

struct worker {
    struct cpv_pool *pool;
    int number;
    pthread_t thread;
};

struct cpv_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum gate gate;
    cpv_pool_fn *fn;
    void *arg;
    char name[NAME_SIZE];
    int started;
    struct worker worker[];
};

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    cpv_pool *pool = w->pool;
    enum gate gate;

    (void)pthread_mutex_lock(&pool->lock);
    while (pool->gate == GATE_SHUT)
        (void)pthread_cond_wait(&pool->changed, &pool->lock);
    gate = pool->gate;
    (void)pthread_mutex_unlock(&pool->lock);
    if (gate == GATE_OPEN) {
        char name[NAME_SIZE];

        if (snprintf(name, sizeof name, "%.11s/%d", pool->name, w->number) > 0)
            (void)pthread_setname_np(pthread_self(), name);
        pool->fn(pool->arg, w->number);
    }
    return NULL;
}

static void open_gate(cpv_pool *pool, enum gate gate)
{
    (void)pthread_mutex_lock(&pool->lock);
    pool->gate = gate;
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->lock);
}

/* All signals but those of a thread's own faults, and of profilers. */
static void others_signals(sigset_t *set)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGPROF};

    (void)sigfillset(set);
    for (size_t i = 0; i < CPV_COUNT(own); i++)
        (void)sigdelset(set, own[i]);
}

/* Threads inherit the mask: with signals blocked, the caller's thread gets them. */
static int start_all(cpv_pool *pool, int threads, size_t stack, struct cpv_err *err)
{
    sigset_t others, before;
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);

    if (rc)
        return cpv_fail_sys(err, rc, "cannot describe a thread");
    if (stack < (size_t)PTHREAD_STACK_MIN)
        stack = (size_t)PTHREAD_STACK_MIN;
    rc = pthread_attr_setstacksize(&attr, stack);
    if (rc) {
        (void)pthread_attr_destroy(&attr);
        return cpv_fail_sys(err, rc, "cannot give a thread a stack of %zu bytes", stack);
    }
    others_signals(&others);
    (void)pthread_sigmask(SIG_BLOCK, &others, &before);
    while (!rc && pool->started < threads) {
        struct worker *w = &pool->worker[pool->started];

        w->pool = pool;
        w->number = pool->started;
        rc = pthread_create(&w->thread, &attr, run_worker, w);
        pool->started += rc == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (rc)
        return cpv_fail_sys(err, rc, "cannot start thread %d of %d", pool->started + 1,
                            threads);
    return CPV_OK;
}

static void free_pool(cpv_pool *pool)
{
    for (int i = 0; i < pool->started; i++)
        (void)pthread_join(pool->worker[i].thread, NULL);
    (void)pthread_cond_destroy(&pool->changed);
    (void)pthread_mutex_destroy(&pool->lock);
    cpv_free(pool);
}

int cpv_pool_open(cpv_pool **out, const char *name, int threads, size_t stack,
                  cpv_pool_fn *fn, void *arg, struct cpv_err *err)
{
    cpv_pool *pool;
    int rc;

    assert(threads > 0);
    *out = NULL;
    pool = cpv_calloc(1, sizeof *pool + (size_t)threads * sizeof pool->worker[0]);
    if (!pool)
        return cpv_fail_memory(err);
    pool->fn = fn;
    pool->arg = arg;
    (void)snprintf(pool->name, sizeof pool->name, "%s", name);
    if ((rc = pthread_mutex_init(&pool->lock, NULL))) {
        cpv_free(pool);
        return cpv_fail_sys(err, rc, "cannot make a lock");
    }
    if ((rc = pthread_cond_init(&pool->changed, NULL))) {
        (void)pthread_mutex_destroy(&pool->lock);
        cpv_free(pool);
        return cpv_fail_sys(err, rc, "cannot make a lock");
    }
    rc = start_all(pool, threads, stack ? stack : DEFAULT_STACK, err);
    open_gate(pool, rc ? GATE_GO_HOME : GATE_OPEN);
    if (rc) {
        free_pool(pool);
        return rc;
    }
    *out = pool;
    return CPV_OK;
}

void cpv_pool_close(cpv_pool **pp)
{
    cpv_pool *pool = *pp;

    *pp = NULL;
    if (pool)
        free_pool(pool);
}

int cpv_processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n > 0 && n < 1 << 20 ? (int)n : 1;
}
