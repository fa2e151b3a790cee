/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/host.h"

#include <string.h>

#include "common/base/size.h"
#include "common/base/sys.h"

/* The block that the allocator gave stands just before what we hand out. */
int cpv_host_alloc(cpv_device *d, size_t size, void **out, struct cpv_err *err)
{
    size_t whole;
    char *block = NULL, *at;

    (void)d;
    *out = NULL;
    if (cpv_size_add(size, CPV_ALIGN + sizeof block, &whole))
        block = cpv_alloc(whole);
    if (!block)
        return cpv_fail_memory(err);
    at = block + sizeof block;
    at += (CPV_ALIGN - (uintptr_t)at % CPV_ALIGN) % CPV_ALIGN;
    memcpy(at - sizeof block, &block, sizeof block);
    *out = at;
    return CPV_OK;
}

void cpv_host_free(cpv_device *d, void *mem)
{
    char *block;

    (void)d;
    if (!mem)
        return;
    memcpy(&block, (char *)mem - sizeof block, sizeof block);
    cpv_free(block);
}

int cpv_host_write(cpv_device *d, void *to, const void *from, size_t size,
                   struct cpv_err *err)
{
    (void)d;
    (void)err;
    if (from)
        memcpy(to, from, size);
    else
        memset(to, 0, size);
    return CPV_OK;
}

int cpv_host_copy_in(cpv_compute *c, cpv_tensor to, const void *from, struct cpv_err *err)
{
    size_t row = (size_t)to.cols * sizeof(float);

    (void)c;
    (void)err;
    for (int64_t i = 0; i < to.rows; i++)
        memcpy(cpv_f32(to, i), (const char *)from + (size_t)i * row, row);
    return CPV_OK;
}

int cpv_host_copy_out(cpv_compute *c, void *to, cpv_tensor from, struct cpv_err *err)
{
    size_t row = (size_t)from.cols * sizeof(float);

    (void)c;
    (void)err;
    for (int64_t i = 0; i < from.rows; i++)
        memcpy((char *)to + (size_t)i * row, cpv_f32(from, i), row);
    return CPV_OK;
}

int cpv_host_sync(cpv_compute *c, struct cpv_err *err)
{
    (void)c;
    (void)err;
    return CPV_OK;
}
