/* SPDX-License-Identifier: Apache-2.0 */
/* See arena.h. Blocks form a list, the newest first. */
#include "common/base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/size.h"
#include "common/base/sys.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#define RED_ZONE       ((size_t)16)
#define POISON(p, n)   __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define RED_ZONE       ((size_t)0)
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN = 16, DEFAULT_BLOCK = 64 << 10 };

struct block {
    struct block *older;
    size_t capacity, used;
    _Alignas(ALIGN) uint8_t mem[];
};

struct cpv_arena {
    struct block *newest;
    struct block *spare; /* at most one, kept by rewind */
    size_t block;
    size_t held;
};

int cpv_arena_open(cpv_arena **out, size_t block, struct cpv_err *err)
{
    cpv_arena *a = cpv_calloc(1, sizeof *a);

    *out = a;
    if (!a)
        return cpv_fail_memory(err);
    a->block = block ? block : DEFAULT_BLOCK;
    return CPV_OK;
}

static void free_block(cpv_arena *a, struct block *b)
{
    UNPOISON(b->mem, b->capacity);
    a->held -= b->capacity;
    cpv_free(b);
}

void cpv_arena_close(cpv_arena **ap)
{
    cpv_arena *a = *ap;

    *ap = NULL;
    if (!a)
        return;
    while (a->newest) {
        struct block *b = a->newest;

        a->newest = b->older;
        free_block(a, b);
    }
    if (a->spare)
        free_block(a, a->spare);
    cpv_free(a);
}

static struct block *take_block(cpv_arena *a, size_t need)
{
    size_t capacity = need > a->block ? need : a->block, size;
    struct block *b = a->spare;

    if (b && b->capacity >= need) {
        a->spare = NULL;
    } else {
        if (!cpv_size_add(capacity, sizeof *b, &size) || !(b = cpv_alloc(size)))
            return NULL;
        b->capacity = capacity;
        a->held += capacity;
        POISON(b->mem, capacity);
    }
    b->used = 0;
    b->older = a->newest;
    a->newest = b;
    return b;
}

void *cpv_arena_alloc(cpv_arena *a, size_t size)
{
    struct block *b = a->newest;
    size_t need;
    void *mem;

    if (!cpv_size_add(size, RED_ZONE + ALIGN - 1, &need))
        return NULL;
    need &= ~(size_t)(ALIGN - 1);
    if (need == 0)
        need = ALIGN;
    if (!b || b->capacity - b->used < need) {
        b = take_block(a, need);
        if (!b)
            return NULL;
    }
    mem = b->mem + b->used;
    b->used += need;
    UNPOISON(mem, size);
    return mem;
}

void *cpv_arena_calloc(cpv_arena *a, size_t count, size_t size)
{
    size_t total;
    void *mem;

    if (!cpv_size_mul(count, size, &total))
        return NULL;
    mem = cpv_arena_alloc(a, total);
    if (mem)
        memset(mem, 0, total);
    return mem;
}

char *cpv_arena_str(cpv_arena *a, struct cpv_bytes s)
{
    size_t n;
    char *copy;

    if (!cpv_size_add(s.size, 1, &n) || !(copy = cpv_arena_alloc(a, n)))
        return NULL;
    if (s.size)
        memcpy(copy, s.data, s.size);
    copy[s.size] = '\0';
    return copy;
}

char *cpv_arena_printf(cpv_arena *a, const char *fmt, ...)
{
    va_list ap;
    char *s;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !(s = cpv_arena_alloc(a, (size_t)n + 1)))
        return NULL;
    va_start(ap, fmt);
    (void)vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

struct cpv_arena_mark cpv_arena_mark(const cpv_arena *a)
{
    struct cpv_arena_mark m = {a->newest, a->newest ? a->newest->used : 0};

    return m;
}

void cpv_arena_rewind(cpv_arena *a, struct cpv_arena_mark mark)
{
    while (a->newest && a->newest != mark.block) {
        struct block *b = a->newest;

        a->newest = b->older;
        POISON(b->mem, b->capacity);
        if (a->spare && a->spare->capacity >= b->capacity) {
            free_block(a, b);
        } else {
            if (a->spare)
                free_block(a, a->spare);
            a->spare = b;
        }
    }
    if (a->newest) {
        a->newest->used = mark.used;
        POISON(a->newest->mem + mark.used, a->newest->capacity - mark.used);
    }
}

void cpv_arena_reset(cpv_arena *a)
{
    struct cpv_arena_mark start = {NULL, 0};

    cpv_arena_rewind(a, start);
}

size_t cpv_arena_used(const cpv_arena *a)
{
    return a->held;
}
