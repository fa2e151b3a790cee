/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device without data: addresses are handed out and never touched. What the front door
 * counts on it, in bytes, is what the device that it is like will take.
 */
#include "common/compute/backend.h"

static int dry_device_open(cpv_device *d, const struct cpv_device_params *params,
                           struct cpv_err *err)
{
    /* Of a cpu, opening notes the level of instructions and nothing else: sizes of packed
     * weights and of scratch depend on it. */
    return d->like == &cpv_backend_cpu ? d->like->device_open(d, params, err) : CPV_OK;
}

static void dry_device_close(cpv_device *d)
{
    (void)d;
}

static int dry_compute_open(cpv_compute *c, const struct cpv_compute_params *params,
                            struct cpv_err *err)
{
    (void)c;
    (void)params;
    (void)err;
    return CPV_OK;
}

static void dry_compute_close(cpv_compute *c)
{
    (void)c;
}

/* Every area begins at the same place that nothing is mapped at: only offsets matter. */
static int dry_alloc(cpv_device *d, size_t size, void **out, struct cpv_err *err)
{
    (void)d;
    (void)size;
    (void)err;
    *out = (void *)(uintptr_t)CPV_ALIGN;
    return CPV_OK;
}

static void dry_free(cpv_device *d, void *mem)
{
    (void)d;
    (void)mem;
}

static int dry_write(cpv_device *d, void *to, const void *from, size_t size,
                     struct cpv_err *err)
{
    (void)d;
    (void)to;
    (void)from;
    (void)size;
    (void)err;
    return CPV_OK;
}

static int dry_weight_pack(cpv_device *d, cpv_weight *w,
                           const struct cpv_weight_params *params, struct cpv_err *err)
{
    (void)d;
    (void)w;
    (void)params;
    (void)err;
    return CPV_OK;
}

static void dry_weight_free(cpv_device *d, cpv_weight *w)
{
    (void)d;
    (void)w;
}

static int dry_sync(cpv_compute *c, struct cpv_err *err)
{
    (void)c;
    (void)err;
    return CPV_OK;
}

/* The operations are those of the device that it is like; none is ever called. */
const struct cpv_backend cpv_backend_dry = {
    .name = "dry",
    .keeps_rows = true,
    .blind = true,
    .device_open = dry_device_open,
    .device_close = dry_device_close,
    .compute_open = dry_compute_open,
    .compute_close = dry_compute_close,
    .alloc = dry_alloc,
    .free = dry_free,
    .write = dry_write,
    .weight_pack = dry_weight_pack,
    .weight_free = dry_weight_free,
    .sync = dry_sync,
};
