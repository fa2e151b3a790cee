/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of backends whose device is the host: ref and cpu fill their tables with these.
 */
#ifndef CPV_COMPUTE_HOST_H
#define CPV_COMPUTE_HOST_H

#include "common/compute/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

int cpv_host_alloc(cpv_device *d, size_t size, void **out, struct cpv_err *err);
void cpv_host_free(cpv_device *d, void *mem);
int cpv_host_write(cpv_device *d, void *to, const void *from, size_t size,
                   struct cpv_err *err);
int cpv_host_copy_in(cpv_compute *c, cpv_tensor to, const void *from,
                     struct cpv_err *err);
int cpv_host_copy_out(cpv_compute *c, void *to, cpv_tensor from, struct cpv_err *err);
int cpv_host_sync(cpv_compute *c, struct cpv_err *err);

/* Row i of f32 values; of i32. */
static inline float *cpv_f32(cpv_tensor t, int64_t row)
{
    return (float *)t.data + row * t.stride;
}

static inline int32_t *cpv_i32(cpv_tensor t, int64_t row)
{
    return (int32_t *)t.data + row * t.stride;
}

#ifdef __cplusplus
}
#endif
#endif
