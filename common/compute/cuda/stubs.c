/* SPDX-License-Identifier: Apache-2.0 */
/* Built instead of the rest of this folder where there is no CUDA toolkit. */
#include "common/compute/cuda/internal.h"
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

static int no_device(cpv_device *d, const struct cpv_device_params *params,
                     struct cpv_err *err)
{
    (void)params;
    return cpv_fail(err, CPV_E_ABSENT,
                    "no device '%s': this program was built without CUDA", d->name);
}

static void close_device(cpv_device *d)
{
    (void)d;
}

/* So that the dry device can foretell what cuda takes, the operations must be there. */
static int run_nowhere(cpv_compute *c, const struct cpv_op *op, void *scratch,
                       struct cpv_err *err)
{
    (void)op;
    (void)scratch;
    return cpv_fail(err, CPV_E_BUG, "device '%s' cannot be open", c->device->name);
}

const struct cpv_backend cpv_backend_cuda = {
    .name = "cuda",
    .weights = 1u << CPV_F32 | 1u << CPV_BF16 | 1u << CPV_F16,
    .values = 1u << CPV_F32 | 1u << CPV_BF16 | 1u << CPV_F16,
    .keeps_rows = true,
    .device_open = no_device,
    .device_close = close_device,
    .weight_bytes = cpv_cuda_weight_bytes,
    .scratch = cpv_cuda_scratch,
    .scratch_back = cpv_cuda_scratch_back,
    .run =
        {
            [CPV_OP_ADD] = run_nowhere,       [CPV_OP_ARGMAX] = run_nowhere,
            [CPV_OP_ATTENTION] = run_nowhere, [CPV_OP_COPY] = run_nowhere,
            [CPV_OP_EMBED] = run_nowhere,     [CPV_OP_FILL] = run_nowhere,
            [CPV_OP_GATHER] = run_nowhere,    [CPV_OP_KV_EXTEND] = run_nowhere,
            [CPV_OP_KV_FORK] = run_nowhere,   [CPV_OP_KV_WRITE] = run_nowhere,
            [CPV_OP_L2NORM] = run_nowhere,    [CPV_OP_LAYERNORM] = run_nowhere,
            [CPV_OP_LINEAR] = run_nowhere,    [CPV_OP_PATCHES] = run_nowhere,
            [CPV_OP_POSITIONS] = run_nowhere, [CPV_OP_SIMILARITY] = run_nowhere,
            [CPV_OP_SOFTMAX] = run_nowhere,   [CPV_OP_TOKENS] = run_nowhere,
            [CPV_OP_TOPK] = run_nowhere,      [CPV_OP_UNARY] = run_nowhere,
        },
};
