/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/cpu/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/base/queue.h"
#include "common/base/sys.h"

/*
 * Operations come in quick succession, so a thread looks for the next one for a while,
 * some 20 us, before it sleeps.
 */
enum { PATIENCE = 2000 };

struct cpv_team {
    int threads;
    cpv_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t more, done;
    atomic_uint round; /* of work handed out so far */
    atomic_int busy;   /* of the others */
    bool over;
    int64_t n;
    cpv_team_fn *fn;
    void *arg;
};

static void pause_a_little(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void share(cpv_team *t, int who)
{
    int64_t first = t->n * who / t->threads, end = t->n * (who + 1) / t->threads;

    if (first < end)
        t->fn(t->arg, first, end, who);
}

/* Wait for a round after `seen`; false: there will be none. */
static bool await_round(cpv_team *t, unsigned seen)
{
    bool over;

    for (int i = 0; i < PATIENCE; i++) {
        if (atomic_load(&t->round) != seen)
            break;
        pause_a_little();
    }
    pthread_mutex_lock(&t->lock);
    while (atomic_load(&t->round) == seen)
        pthread_cond_wait(&t->more, &t->lock);
    over = t->over;
    pthread_mutex_unlock(&t->lock);
    return !over;
}

static void other(void *arg, int worker)
{
    cpv_team *t = arg;

    for (unsigned seen = 0; await_round(t, seen); seen++) {
        share(t, worker + 1);
        if (atomic_fetch_sub(&t->busy, 1) == 1) {
            pthread_mutex_lock(&t->lock);
            pthread_cond_signal(&t->done);
            pthread_mutex_unlock(&t->lock);
        }
    }
}

int cpv_team_open(cpv_team **out, int threads, struct cpv_err *err)
{
    cpv_team *t = cpv_calloc(1, sizeof *t);
    int rc = CPV_OK;

    *out = NULL;
    if (!t)
        return cpv_fail_memory(err);
    t->threads = threads;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->more, NULL);
    pthread_cond_init(&t->done, NULL);
    if (threads > 1)
        rc = cpv_pool_open(&t->pool, "compute", threads - 1, 0, other, t, err);
    if (rc)
        cpv_team_close(&t);
    *out = t;
    return rc;
}

static void next_round(cpv_team *t)
{
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->busy, t->threads - 1);
    atomic_fetch_add(&t->round, 1);
    pthread_cond_broadcast(&t->more);
    pthread_mutex_unlock(&t->lock);
}

void cpv_team_close(cpv_team **team)
{
    cpv_team *t = *team;

    if (!t)
        return;
    t->over = true;
    if (t->pool)
        next_round(t);
    cpv_pool_close(&t->pool);
    pthread_cond_destroy(&t->done);
    pthread_cond_destroy(&t->more);
    pthread_mutex_destroy(&t->lock);
    cpv_free(t);
    *team = NULL;
}

void cpv_team_run(cpv_team *t, int64_t n, cpv_team_fn *fn, void *arg)
{
    if (t->threads == 1 || n < 2) {
        if (n > 0)
            fn(arg, 0, n, 0);
        return;
    }
    t->n = n;
    t->fn = fn;
    t->arg = arg;
    next_round(t);
    share(t, 0);
    for (int i = 0; i < PATIENCE && atomic_load(&t->busy); i++)
        pause_a_little();
    pthread_mutex_lock(&t->lock);
    while (atomic_load(&t->busy))
        pthread_cond_wait(&t->done, &t->lock);
    pthread_mutex_unlock(&t->lock);
}
