/* SPDX-License-Identifier: Apache-2.0 */
#include "common/compute/backend.h"

static int cuda_device_open(cpv_device *d, const struct cpv_device_params *params,
                            struct cpv_err *err)
{
    (void)params;
    return cpv_fail(err, CPV_E_ABSENT, "no device '%s': this build has no CUDA", d->name);
}

static void cuda_device_close(cpv_device *d)
{
    (void)d;
}

const struct cpv_backend cpv_backend_cuda = {
    .name = "cuda",
    .weights = 1u << CPV_F32 | 1u << CPV_BF16 | 1u << CPV_F16,
    .values = 1u << CPV_F32 | 1u << CPV_BF16 | 1u << CPV_F16,
    .device_open = cuda_device_open,
    .device_close = cuda_device_close,
};
