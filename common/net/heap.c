/* SPDX-License-Identifier: Apache-2.0 */
/* See heap.h. */
#include "common/net/heap.h"

#include <assert.h>

#include "common/base/size.h"
#include "common/base/sys.h"

bool cpv_heap_reserve(struct cpv_heap *h, size_t n)
{
    size_t capacity = h->capacity ? h->capacity : 64, size;
    struct cpv_timer **at;

    if (n <= h->capacity)
        return true;
    while (capacity < n)
        if (!cpv_size_mul(capacity, 2, &capacity))
            return false;
    if (!cpv_size_mul(capacity, sizeof(struct cpv_timer *), &size))
        return false;
    at = cpv_realloc(h->at, size);
    if (!at)
        return false;
    h->at = at;
    h->capacity = capacity;
    return true;
}

static void place(struct cpv_heap *h, size_t i, struct cpv_timer *t)
{
    h->at[i] = t;
    t->slot = i + 1;
}

/* Move the timer that stands, or will stand, at i to where it belongs. */
static void settle(struct cpv_heap *h, size_t i, struct cpv_timer *t)
{
    while (i > 0 && h->at[(i - 1) / 2]->due > t->due) {
        place(h, i, h->at[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;

        if (child + 1 < h->count && h->at[child + 1]->due < h->at[child]->due)
            child++;
        if (child >= h->count || h->at[child]->due >= t->due)
            break;
        place(h, i, h->at[child]);
        i = child;
    }
    place(h, i, t);
}

void cpv_heap_set(struct cpv_heap *h, struct cpv_timer *t, int64_t due)
{
    t->due = due;
    if (!t->slot) {
        assert(h->count < h->capacity);
        h->count++;
        settle(h, h->count - 1, t);
        return;
    }
    settle(h, t->slot - 1, t);
}

void cpv_heap_unset(struct cpv_heap *h, struct cpv_timer *t)
{
    size_t i;

    if (!t->slot)
        return;
    i = t->slot - 1;
    t->slot = 0;
    h->count--;
    if (i < h->count)
        settle(h, i, h->at[h->count]);
}

struct cpv_timer *cpv_heap_first(const struct cpv_heap *h)
{
    return h->count ? h->at[0] : NULL;
}

void cpv_heap_release(struct cpv_heap *h)
{
    cpv_free(h->at);
    h->at = NULL;
    h->count = h->capacity = 0;
}
