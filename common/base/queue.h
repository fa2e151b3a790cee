/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of pointers between threads, and a set of threads.
 *
 *     open, put ... from any threads, end; get ... until CPV_QUEUE_ENDED, close
 *
 * Items leave in the order in which they came. Who puts an item gives it away; what
 * was put before the end is still handed out after it.
 */
#ifndef CPV_BASE_QUEUE_H
#define CPV_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_queue cpv_queue;

typedef enum cpv_queue_got {
    CPV_QUEUE_ENDED, /* no items and never again */
    CPV_QUEUE_ITEM,
    CPV_QUEUE_EMPTY /* not within the time allowed */
} cpv_queue_got;

/* capacity: at least 1. */
CPV_MUST_CHECK int cpv_queue_open(cpv_queue **out, size_t capacity, struct cpv_err *err);
/* No thread may be inside. Items that nobody took are forgotten: get them first. */
void cpv_queue_close(cpv_queue **q);

/* Waits while the queue is full; false once it was ended: the item stays yours. */
CPV_MUST_CHECK bool cpv_queue_put(cpv_queue *q, void *item);
/* Does not wait; false if full or ended. */
CPV_MUST_CHECK bool cpv_queue_try_put(cpv_queue *q, void *item);
/* Waits for an item; false at the end. */
CPV_MUST_CHECK bool cpv_queue_get(cpv_queue *q, void **item);
/* Waits at most so long; 0: not at all. *item is NULL unless CPV_QUEUE_ITEM. */
CPV_MUST_CHECK cpv_queue_got cpv_queue_get_for(cpv_queue *q, void **item, int64_t ms);
/* No more puts; wakes everyone who waits. May be called more than once. */
void cpv_queue_end(cpv_queue *q);
size_t cpv_queue_count(cpv_queue *q);

typedef struct cpv_pool cpv_pool;
typedef void cpv_pool_fn(void *arg, int worker); /* worker: 0 ... threads - 1 */

/*
 * Start n threads that each run fn(arg, worker) once. Either all run or none: if the
 * k-th cannot be made, fn has not been called and CPV_E_IO says why. Signals stay with
 * the caller's thread. name: up to 11 bytes, shown by ps and debuggers ("decode/3");
 * stack: bytes, 0: 1 MiB.
 */
CPV_MUST_CHECK int cpv_pool_open(cpv_pool **out, const char *name, int threads,
                                 size_t stack, cpv_pool_fn *fn, void *arg,
                                 struct cpv_err *err);
/* Waits until every fn has returned. NULL inside is fine. */
void cpv_pool_close(cpv_pool **pool);

int cpv_processors(void); /* that there are for threads; at least 1 */

#ifdef __cplusplus
}
#endif
#endif
