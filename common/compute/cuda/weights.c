/* SPDX-License-Identifier: Apache-2.0 */
/* Weights on the device: read in blocks of rows, converted on the way, never whole on the
 * host. */
#include "common/compute/cuda/internal.h"

#include <string.h>

#include <cuda_runtime_api.h>

#include "common/base/sys.h"

/* An empty matrix of [rows, cols] on the device. */
static int make(cpv_device *d, struct cpv_cuda_matrix *m, int64_t rows, int64_t cols,
                cpv_dtype dtype, struct cpv_err *err)
{
    m->t = (cpv_tensor){.rows = rows,
                        .cols = cols,
                        .stride = cpv_cuda_padded(cols, dtype),
                        .dtype = dtype};
    return cpv_cuda_alloc(d, (size_t)(rows * m->t.stride) * cpv_dtype_size(dtype),
                          &m->t.data, err);
}

/* The device's lock is held: its stage and stream are in use. */
static int fill(cpv_device *d, cpv_tensor to, const struct cpv_source *from,
                struct cpv_err *err)
{
    struct cpv_cuda_device *x = cpv_cuda_device_of(d);
    int64_t step = CPV_CUDA_STAGE / (int64_t)sizeof(float) / to.cols;
    float *block;
    int rc = CPV_OK;

    step = step < 1 ? 1 : step > to.rows ? to.rows : step;
    block = cpv_alloc((size_t)(step * to.cols) * sizeof *block);
    if (!block)
        return cpv_fail_memory(err);
    for (int64_t i = 0; i < to.rows && !rc; i += step) {
        int64_t n = to.rows - i < step ? to.rows - i : step;

        rc = cpv_source_rows(from, to.cols, i, n, block, err);
        if (!rc)
            rc = cpv_cuda_upload(&x->stage, x->stream, x->index, cpv_row_range(to, i, n),
                                 block, err);
    }
    cpv_free(block);
    return rc;
}

static int make_filled(cpv_device *d, struct cpv_cuda_matrix *m, int64_t rows,
                       int64_t cols, cpv_dtype dtype, const struct cpv_source *from,
                       struct cpv_err *err)
{
    int rc = make(d, m, rows, cols, dtype, err);

    return rc ? rc : fill(d, m->t, from, err);
}

static cpv_tensor line(void *data, int64_t n, cpv_dtype dtype)
{
    cpv_tensor t = {.data = data, .rows = 1, .cols = n, .stride = n, .dtype = dtype};

    return t;
}

static int pack_bias(cpv_device *d, struct cpv_cuda_weight *w, int64_t n, bool norm,
                     const struct cpv_source *from, struct cpv_err *err)
{
    void *mem = NULL;
    int rc = cpv_cuda_alloc(d, (size_t)n * sizeof(float), &mem, err);

    w->bias = mem;
    if (!rc)
        rc = fill(d, line(mem, n, CPV_F32), from, err);
    if (rc || norm || d->weights == CPV_F32)
        return rc;
    rc = cpv_cuda_alloc(d, (size_t)n * cpv_dtype_size(d->weights), &w->bias_half, err);
    return rc ? rc : fill(d, line(w->bias_half, n, d->weights), from, err);
}

static int pack(cpv_device *d, struct cpv_cuda_weight *x,
                const struct cpv_weight_params *p, bool has_bias, struct cpv_err *err)
{
    bool norm = (p->use & CPV_USE_NORM) != 0;
    struct cpv_source a = {.plain = p->lora.a}, b = {.plain = p->lora.b};
    int rc;

    rc = make_filled(d, &x->matrix, p->out, p->in, norm ? CPV_F32 : d->weights,
                     &p->matrix, err);
    if (!rc && has_bias)
        rc = pack_bias(d, x, norm ? p->in : p->out, norm, &p->bias, err);
    if (!rc && p->lora.rank)
        rc = make_filled(d, &x->a, p->lora.rank, p->in, d->weights, &a, err);
    if (!rc && p->lora.rank)
        rc = make_filled(d, &x->b, p->out, p->lora.rank, d->weights, &b, err);
    return rc;
}

int cpv_cuda_weight_pack(cpv_device *d, cpv_weight *w,
                         const struct cpv_weight_params *params, struct cpv_err *err)
{
    struct cpv_cuda_device *x = cpv_cuda_device_of(d);
    struct cpv_cuda_weight *made = cpv_calloc(1, sizeof *made);
    cudaError_t e;
    int rc;

    w->impl = made;
    if (!made)
        return cpv_fail_memory(err);
    pthread_mutex_lock(&x->lock);
    e = cudaSetDevice(x->index);
    rc = e == cudaSuccess ? pack(d, made, params, w->has_bias, err)
                          : cpv_cuda_fail(err, e, x->index, "choose it");
    /* Also after a failure: copies out of the stage may still run. */
    e = cudaStreamSynchronize(x->stream);
    if (!rc && e != cudaSuccess)
        rc = cpv_cuda_fail(err, e, x->index, "copy a weight to it");
    pthread_mutex_unlock(&x->lock);
    if (rc)
        cpv_err_add(err, "weight '%s'", w->name);
    return rc;
}

static void free_matrix(cpv_device *d, struct cpv_cuda_matrix *m)
{
    cpv_cuda_plans_release(cpv_cuda_device_of(d), &m->plans);
    cpv_cuda_free(d, m->t.data);
}

void cpv_cuda_weight_free(cpv_device *d, cpv_weight *w)
{
    struct cpv_cuda_weight *x = w->impl;

    if (!x)
        return;
    free_matrix(d, &x->matrix);
    free_matrix(d, &x->a);
    free_matrix(d, &x->b);
    cpv_cuda_free(d, x->bias);
    cpv_cuda_free(d, x->bias_half);
    cpv_free(x);
    w->impl = NULL;
}

cpv_tensor cpv_cuda_table_of(const cpv_weight *w)
{
    return w ? cpv_cuda_weight_of(w)->matrix.t : (cpv_tensor){0};
}

int cpv_cuda_weight_refresh(cpv_compute *c, cpv_weight *w, struct cpv_err *err)
{
    const struct cpv_cuda_weight *x = cpv_cuda_weight_of(w);
    cpv_stream s = cpv_cuda_context_of(c)->stream;
    cpv_tensor bias = w->param[CPV_PARAM_BIAS];
    const struct {
        cpv_tensor to, from;
    } copies[] = {
        {x->matrix.t, w->param[CPV_PARAM_MATRIX]},
        {x->a.t, w->param[CPV_PARAM_LORA_A]},
        {x->b.t, w->param[CPV_PARAM_LORA_B]},
        {line(x->bias, bias.cols, CPV_F32), bias},
        {line(x->bias_half, bias.cols, c->device->weights), bias},
    };

    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        int e = cpv_is(copies[i].to) && cpv_is(copies[i].from)
                    ? cpv_cuda_convert(s, copies[i].to, copies[i].from)
                    : 0;

        if (e)
            return cpv_cuda_fail(err, e, cpv_cuda_device_of(c->device)->index,
                                 "pack a weight anew");
    }
    return CPV_OK;
}
