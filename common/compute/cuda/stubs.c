/* SPDX-License-Identifier: Apache-2.0 */
/* Built instead of the rest of this folder where there is no CUDA toolkit. */
#include "common/compute/gpu.h"

static int no_cuda(int i, struct cpv_err *err)
{
    return cpv_fail(err, CPV_E_ABSENT,
                    "device cuda:%d is not there: this program was built without CUDA",
                    i);
}

int cpv_gpu_count(void)
{
    return 0;
}

int cpv_gpu_describe(int i, struct cpv_gpu *out, struct cpv_err *err)
{
    (void)out;
    return no_cuda(i, err);
}

int cpv_gpu_probe(int i, struct cpv_err *err)
{
    return no_cuda(i, err);
}
