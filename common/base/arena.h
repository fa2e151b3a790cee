/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bump allocation: things that die together are allocated together and freed
 * in one go. An arena is a chain of blocks; under AddressSanitizer there is a
 * red zone after each object and freed ranges are poisoned.
 *
 * Three lifetimes are usual: a run, a part or batch, one call. An arena belongs
 * to one thread at a time.
 */
#ifndef CPV_BASE_ARENA_H
#define CPV_BASE_ARENA_H

#include <stddef.h>

#include "common/base/bytes.h"
#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_arena cpv_arena;

/* A place to come back to: see cpv_arena_rewind. */
struct cpv_arena_mark {
    void *block;
    size_t used;
};

/* `block` is the size of the blocks that it grows by; 0: 64 KiB. */
CPV_MUST_CHECK int cpv_arena_open(cpv_arena **out, size_t block, struct cpv_err *err);
void cpv_arena_close(cpv_arena **a);

/* size bytes aligned for anything, not cleared; NULL when out of memory. */
void *cpv_arena_alloc(cpv_arena *a, size_t size);
/* count * size cleared bytes; NULL also when the product overflows. */
void *cpv_arena_calloc(cpv_arena *a, size_t count, size_t size);
char *cpv_arena_str(cpv_arena *a, struct cpv_bytes s); /* a terminated copy */
char *cpv_arena_printf(cpv_arena *a, const char *fmt, ...) CPV_PRINTF(2, 3);

struct cpv_arena_mark cpv_arena_mark(const cpv_arena *a);
/* Everything allocated after the mark is gone. One block is kept for reuse. */
void cpv_arena_rewind(cpv_arena *a, struct cpv_arena_mark mark);
void cpv_arena_reset(cpv_arena *a);        /* rewind to the very beginning */
size_t cpv_arena_used(const cpv_arena *a); /* bytes of blocks held */

#ifdef __cplusplus
}
#endif
#endif
