/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation through the table of sys.h. */
#include "common/base/size.h"
#include "common/base/sys.h"

#include <string.h>

void *cpv_alloc(size_t size)
{
    return cpv_sys.alloc(size ? size : 1);
}

void *cpv_calloc(size_t count, size_t size)
{
    size_t total;
    void *mem;

    if (!cpv_size_mul(count, size, &total))
        return NULL;
    mem = cpv_alloc(total);
    if (mem)
        memset(mem, 0, total);
    return mem;
}

void *cpv_realloc(void *old, size_t size)
{
    return cpv_sys.realloc(old, size ? size : 1);
}

char *cpv_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = cpv_alloc(n);

    if (copy)
        memcpy(copy, s, n);
    return copy;
}

void cpv_free(void *mem)
{
    cpv_sys.free(mem);
}
