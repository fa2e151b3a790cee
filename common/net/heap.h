/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: a binary heap of structs that live inside others. A timer is in the heap
 * exactly while `slot` is not 0, so it can be moved or taken out at any time.
 */
#ifndef CPV_NET_HEAP_H
#define CPV_NET_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpv_timer {
    int64_t due; /* ms of the monotonic clock */
    size_t slot; /* from 1; 0: not set */
    int kind;    /* what it lives in; the owner's matter */
};

struct cpv_heap {
    struct cpv_timer **at;
    size_t count, capacity;
};

/*
 * Room for n timers in all. Growing is its own step, so that setting one cannot fail:
 * reserve as the objects that hold timers are made.
 */
bool cpv_heap_reserve(struct cpv_heap *h, size_t n);
void cpv_heap_set(struct cpv_heap *h, struct cpv_timer *t, int64_t due);
void cpv_heap_unset(struct cpv_heap *h, struct cpv_timer *t);
struct cpv_timer *cpv_heap_first(const struct cpv_heap *h); /* NULL: none is set */
void cpv_heap_release(struct cpv_heap *h);

#endif
