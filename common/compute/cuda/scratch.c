/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes that follow from shapes alone. Nothing of the toolkit: the dry device asks too.
 */
#include "common/compute/cuda/internal.h"

static size_t aligned(size_t n)
{
    return (n + CPV_ALIGN - 1) & ~(size_t)(CPV_ALIGN - 1);
}

static size_t matrix_bytes(int64_t rows, int64_t cols, cpv_dtype dtype)
{
    return (size_t)rows * (size_t)cpv_cuda_padded(cols, dtype) * cpv_dtype_size(dtype);
}

/* Addresses of the dry device are as well aligned as those they stand for. */
bool cpv_cuda_is_aligned(cpv_tensor t)
{
    return (uintptr_t)t.data % 16 == 0 &&
           (size_t)t.stride * cpv_dtype_size(t.dtype) % 16 == 0;
}

static size_t copy_bytes(cpv_tensor t)
{
    return cpv_cuda_is_aligned(t) ? 0 : aligned(matrix_bytes(t.rows, t.cols, t.dtype));
}

struct cpv_cuda_linear_room cpv_cuda_linear_room(const struct cpv_op_linear *op)
{
    struct cpv_cuda_linear_room r = {0};

    r.lora = copy_bytes(op->x);
    r.bytes = r.lora;
    if (op->w->lora_rank)
        r.bytes += aligned(matrix_bytes(op->x.rows, op->w->lora_rank, op->x.dtype));
    return r;
}

size_t cpv_cuda_scratch(const cpv_compute *c, const struct cpv_op *op)
{
    (void)c;
    switch (op->kind) {
    case CPV_OP_LINEAR:
        return cpv_cuda_linear_room(&op->linear).bytes;
    case CPV_OP_KV_FORK:
        return (size_t)op->kv_fork.dst.count * ((size_t)op->kv_fork.kv->p.capacity + 1) *
               sizeof(int32_t);
    default:
        return 0;
    }
}

struct cpv_cuda_back_room cpv_cuda_back_room(const struct cpv_op_linear *op,
                                             const struct cpv_op_linear *grad)
{
    struct cpv_cuda_back_room r = {0};

    r.dy = copy_bytes(op->x);
    r.lora = r.dy + copy_bytes(grad->out);
    r.bytes = r.lora;
    if (op->w->lora_rank)
        r.bytes += aligned(matrix_bytes(op->x.rows, op->w->lora_rank, op->x.dtype));
    return r;
}

size_t cpv_cuda_scratch_back(const cpv_compute *c, const struct cpv_op *op,
                             const struct cpv_op *grad)
{
    (void)c;
    return op->kind == CPV_OP_LINEAR
               ? cpv_cuda_back_room(&op->linear, &grad->linear).bytes
               : 0;
}

size_t cpv_cuda_weight_bytes(const cpv_device *d, const cpv_weight *w)
{
    size_t n = matrix_bytes(w->out, w->in, d->weights);
    size_t bias = (size_t)w->out * sizeof(float);

    if (w->use & CPV_USE_NORM)
        return (size_t)w->in * sizeof(float) * (w->has_bias ? 2 : 1);
    if (w->has_bias)
        n += bias + (d->weights == CPV_F32 ? 0 : bias / 2);
    if (w->lora_rank)
        n += matrix_bytes(w->lora_rank, w->in, d->weights) +
             matrix_bytes(w->out, w->lora_rank, d->weights);
    return n;
}
