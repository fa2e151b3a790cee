/* SPDX-License-Identifier: Apache-2.0 */
/* See queue.h. A ring under one lock, with a condition for each side. */
#include "common/base/queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "common/base/sys.h"

struct cpv_queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    size_t capacity, count, first;
    bool ended;
    void **item;
};

/* Waits use the monotonic clock: a set clock must not stretch a timeout. */
static int init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc)
        return rc;
    rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (!rc)
        rc = pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    return rc;
}

static int init_sync(cpv_queue *q)
{
    int rc = pthread_mutex_init(&q->lock, NULL);

    if (rc)
        return rc;
    if (!(rc = init_cond(&q->not_empty))) {
        if (!(rc = init_cond(&q->not_full)))
            return 0;
        (void)pthread_cond_destroy(&q->not_empty);
    }
    (void)pthread_mutex_destroy(&q->lock);
    return rc;
}

int cpv_queue_open(cpv_queue **out, size_t capacity, struct cpv_err *err)
{
    cpv_queue *q = cpv_calloc(1, sizeof *q);
    int rc;

    assert(capacity > 0);
    *out = NULL;
    if (!q || !(q->item = cpv_calloc(capacity, sizeof *q->item))) {
        cpv_free(q);
        return cpv_fail_memory(err);
    }
    q->capacity = capacity;
    if ((rc = init_sync(q))) {
        cpv_free(q->item);
        cpv_free(q);
        return cpv_fail_sys(err, rc, "cannot make a lock");
    }
    *out = q;
    return CPV_OK;
}

void cpv_queue_close(cpv_queue **qp)
{
    cpv_queue *q = *qp;

    *qp = NULL;
    if (!q)
        return;
    (void)pthread_cond_destroy(&q->not_full);
    (void)pthread_cond_destroy(&q->not_empty);
    (void)pthread_mutex_destroy(&q->lock);
    cpv_free(q->item);
    cpv_free(q);
}

static bool put(cpv_queue *q, void *item, bool wait)
{
    bool taken = false;

    (void)pthread_mutex_lock(&q->lock);
    while (wait && q->count == q->capacity && !q->ended)
        (void)pthread_cond_wait(&q->not_full, &q->lock);
    if (!q->ended && q->count < q->capacity) {
        size_t room = q->capacity - q->first; /* from the first item to the ring's end */

        q->item[q->count < room ? q->first + q->count : q->count - room] = item;
        q->count++;
        taken = true;
        (void)pthread_cond_signal(&q->not_empty);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return taken;
}

bool cpv_queue_put(cpv_queue *q, void *item)
{
    return put(q, item, true);
}

bool cpv_queue_try_put(cpv_queue *q, void *item)
{
    return put(q, item, false);
}

/* With the lock held. */
static cpv_queue_got take(cpv_queue *q, void **item)
{
    *item = NULL;
    if (q->count == 0)
        return q->ended ? CPV_QUEUE_ENDED : CPV_QUEUE_EMPTY;
    *item = q->item[q->first];
    q->first = q->first + 1 == q->capacity ? 0 : q->first + 1;
    q->count--;
    (void)pthread_cond_signal(&q->not_full);
    return CPV_QUEUE_ITEM;
}

bool cpv_queue_get(cpv_queue *q, void **item)
{
    cpv_queue_got got;

    (void)pthread_mutex_lock(&q->lock);
    while (q->count == 0 && !q->ended)
        (void)pthread_cond_wait(&q->not_empty, &q->lock);
    got = take(q, item);
    (void)pthread_mutex_unlock(&q->lock);
    return got == CPV_QUEUE_ITEM;
}

cpv_queue_got cpv_queue_get_for(cpv_queue *q, void **item, int64_t ms)
{
    struct timespec until;
    cpv_queue_got got;
    int rc = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&q->lock);
    while (ms > 0 && q->count == 0 && !q->ended && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&q->not_empty, &q->lock, &until);
    got = take(q, item);
    (void)pthread_mutex_unlock(&q->lock);
    return got;
}

void cpv_queue_end(cpv_queue *q)
{
    (void)pthread_mutex_lock(&q->lock);
    q->ended = true;
    (void)pthread_cond_broadcast(&q->not_empty);
    (void)pthread_cond_broadcast(&q->not_full);
    (void)pthread_mutex_unlock(&q->lock);
}

size_t cpv_queue_count(cpv_queue *q)
{
    size_t count;

    (void)pthread_mutex_lock(&q->lock);
    count = q->count;
    (void)pthread_mutex_unlock(&q->lock);
    return count;
}
