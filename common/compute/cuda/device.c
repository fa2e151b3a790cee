/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices, contexts, memory. Each call chooses its device first: the current one belongs
 * to the thread, and the thread to the caller.
 */
#include "common/compute/cuda/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda_runtime_api.h>

#include "common/base/sys.h"
#include "common/compute/cuda/lt.h"
#include "common/compute/gpu.h"

static int choose(const struct cpv_cuda_device *x, struct cpv_err *err)
{
    cudaError_t e = cudaSetDevice(x->index);

    return e == cudaSuccess ? CPV_OK : cpv_cuda_fail(err, e, x->index, "choose it");
}

static int make_stream(cpv_stream *out, int device, struct cpv_err *err)
{
    cudaStream_t s = NULL;
    cudaError_t e = cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);

    *out = s;
    return e == cudaSuccess ? CPV_OK : cpv_cuda_fail(err, e, device, "make a stream");
}

/* ---- devices ---- */

/* "cuda" is the first; "cuda:N" number N. */
static int number_of(const char *name, int *out, struct cpv_err *err)
{
    const char *colon = strchr(name, ':');
    char *end;
    long n;

    *out = 0;
    if (!colon)
        return CPV_OK;
    n = strtol(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || n > 1023)
        return cpv_fail(err, CPV_E_USAGE, "no device '%s': expected cuda or cuda:N",
                        name);
    *out = (int)n;
    return CPV_OK;
}

/* Both of one dtype: nobody needs f32 beside halves, and every kernel would be twice. */
static int check_dtypes(const cpv_device *d, const struct cpv_gpu *gpu,
                        struct cpv_err *err)
{
    if (d->values != d->weights)
        return cpv_fail(err, CPV_E_USAGE,
                        "device '%s' has weights and activations of one dtype, not %s "
                        "and %s",
                        d->name, cpv_dtype_name(d->weights), cpv_dtype_name(d->values));
    if (d->weights == CPV_BF16 && gpu->major < 8)
        return cpv_fail(err, CPV_E_USAGE,
                        "device '%s' (%s, capability %d.%d) does not multiply bf16: use "
                        "f16",
                        d->name, gpu->name, gpu->major, gpu->minor);
    return CPV_OK;
}

static int start(cpv_device *d, struct cpv_cuda_device *x, struct cpv_err *err)
{
    struct cpv_gpu gpu;
    int rc = cpv_gpu_describe(x->index, &gpu, err);

    if (!rc)
        rc = check_dtypes(d, &gpu, err);
    if (!rc)
        rc = choose(x, err);
    if (!rc)
        rc = cpv_lt_open(&x->lt, err);
    if (!rc)
        rc = make_stream(&x->stream, x->index, err);
    return rc ? rc : cpv_cuda_stage_init(&x->stage, x->index, err);
}

int cpv_cuda_device_open(cpv_device *d, const struct cpv_device_params *params,
                         struct cpv_err *err)
{
    struct cpv_cuda_device *x;
    int index, rc;

    (void)params;
    rc = number_of(d->name, &index, err);
    if (rc)
        return rc;
    snprintf(d->name, sizeof d->name, "cuda:%d", index);
    x = cpv_calloc(1, sizeof *x);
    if (!x)
        return cpv_fail_memory(err);
    x->index = index;
    pthread_mutex_init(&x->lock, NULL);
    d->impl = x;
    rc = start(d, x, err);
    if (rc)
        cpv_cuda_device_close(d);
    return rc;
}

void cpv_cuda_device_close(cpv_device *d)
{
    struct cpv_cuda_device *x = cpv_cuda_device_of(d);

    if (!x)
        return;
    (void)cudaSetDevice(x->index);
    cpv_cuda_stage_release(&x->stage);
    if (x->stream)
        (void)cudaStreamDestroy(x->stream);
    cpv_lt_close(&x->lt);
    pthread_mutex_destroy(&x->lock);
    cpv_free(x);
    d->impl = NULL;
}

/* ---- memory ---- */

int cpv_cuda_alloc(cpv_device *d, size_t size, void **out, struct cpv_err *err)
{
    const struct cpv_cuda_device *x = cpv_cuda_device_of(d);
    cudaError_t e;
    int rc;

    *out = NULL;
    rc = choose(x, err);
    if (rc)
        return rc;
    e = cudaMalloc(out, size); /* aligned to 256 */
    if (e == cudaSuccess)
        return CPV_OK;
    *out = NULL;
    rc = cpv_cuda_fail(err, e, x->index, "take memory");
    cpv_err_add(err, "%zu bytes", size);
    return rc;
}

void cpv_cuda_free(cpv_device *d, void *mem)
{
    if (!mem)
        return;
    (void)cudaSetDevice(cpv_cuda_device_of(d)->index);
    (void)cudaFree(mem);
}

static cudaError_t write_now(const struct cpv_cuda_device *x, void *to, const void *from,
                             size_t size)
{
    cudaError_t e = from ? cudaMemcpyAsync(to, from, size, cudaMemcpyHostToDevice,
                                           (cudaStream_t)x->stream)
                         : cudaMemsetAsync(to, 0, size, (cudaStream_t)x->stream);

    return e == cudaSuccess ? cudaStreamSynchronize(x->stream) : e;
}

int cpv_cuda_write(cpv_device *d, void *to, const void *from, size_t size,
                   struct cpv_err *err)
{
    struct cpv_cuda_device *x = cpv_cuda_device_of(d);
    cudaError_t e;
    int rc = choose(x, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&x->lock);
    e = write_now(x, to, from, size);
    pthread_mutex_unlock(&x->lock);
    return e == cudaSuccess ? CPV_OK : cpv_cuda_fail(err, e, x->index, "copy to it");
}

/* ---- contexts ---- */

int cpv_cuda_compute_open(cpv_compute *c, const struct cpv_compute_params *params,
                          struct cpv_err *err)
{
    const struct cpv_cuda_device *d = cpv_cuda_device_of(c->device);
    struct cpv_cuda_context *x = cpv_calloc(1, sizeof *x);
    int rc;

    (void)params;
    c->impl = x;
    if (!x)
        return cpv_fail_memory(err);
    rc = choose(d, err);
    if (!rc)
        rc = make_stream(&x->stream, d->index, err);
    if (!rc)
        rc = cpv_cuda_stage_init(&x->stage, d->index, err);
    if (!rc)
        rc = cpv_cuda_layouts_init(x, d, err);
    return rc ? rc : cpv_cuda_alloc(c->device, CPV_CUDA_WORKSPACE, &x->workspace, err);
}

void cpv_cuda_compute_close(cpv_compute *c)
{
    const struct cpv_cuda_device *d = cpv_cuda_device_of(c->device);
    struct cpv_cuda_context *x = cpv_cuda_context_of(c);

    if (!x)
        return;
    (void)cudaSetDevice(d->index);
    if (x->stream) {
        (void)cudaStreamSynchronize(x->stream);
        (void)cudaStreamDestroy(x->stream);
    }
    cpv_cuda_stage_release(&x->stage);
    cpv_cuda_layouts_release(x, d);
    cpv_cuda_free(c->device, x->workspace);
    cpv_free(x);
    c->impl = NULL;
}

int cpv_cuda_copy_in(cpv_compute *c, cpv_tensor to, const void *from, struct cpv_err *err)
{
    const struct cpv_cuda_device *d = cpv_cuda_device_of(c->device);
    struct cpv_cuda_context *x = cpv_cuda_context_of(c);
    int rc = choose(d, err);

    return rc ? rc : cpv_cuda_upload(&x->stage, x->stream, d->index, to, from, err);
}

/* The stage's first half may still be on its way in: the stream keeps the order, and the
 * host writes there only after waiting. */
int cpv_cuda_copy_out(cpv_compute *c, void *to, cpv_tensor from, struct cpv_err *err)
{
    const struct cpv_cuda_device *d = cpv_cuda_device_of(c->device);
    struct cpv_cuda_context *x = cpv_cuda_context_of(c);
    int rc = choose(d, err);

    return rc ? rc : cpv_cuda_download(&x->stage, x->stream, d->index, to, from, err);
}

int cpv_cuda_sync(cpv_compute *c, struct cpv_err *err)
{
    const struct cpv_cuda_device *d = cpv_cuda_device_of(c->device);
    cudaError_t e;
    int rc = choose(d, err);

    if (rc)
        return rc;
    e = cudaStreamSynchronize(cpv_cuda_context_of(c)->stream);
    return e == cudaSuccess ? CPV_OK : cpv_cuda_fail(err, e, d->index, "compute");
}
