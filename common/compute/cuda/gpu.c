/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h over the CUDA runtime, which is linked statically and opens the driver
 * itself at the first call: no program needs libcuda or libcudart to start.
 */
#include "common/compute/gpu.h"

#include <inttypes.h>
#include <stdio.h>

#include <cuda_runtime_api.h>

#include "common/base/sys.h"
#include "common/compute/cuda/internal.h"
#include "common/compute/cuda/probe.h"
#include "common/compute/mix.h"

#define PROBE_WORDS (1 << 20) /* 4 MiB: more words than one grid has threads */
#define PROBE_SEED  0x43505631u

int cpv_cuda_fail(struct cpv_err *err, int cuda_error, int device, const char *doing)
{
    cudaError_t e = (cudaError_t)cuda_error;

    (void)cudaGetLastError(); /* the runtime keeps it otherwise, for a later caller */
    return cpv_fail(err, e == cudaErrorMemoryAllocation ? CPV_E_MEMORY : CPV_E_IO,
                    "device cuda:%d: cannot %s: %s", device, doing,
                    cudaGetErrorString(e));
}

int cpv_gpu_count(void)
{
    int n = 0;

    if (cudaGetDeviceCount(&n) != cudaSuccess) {
        (void)cudaGetLastError();
        return 0;
    }
    return n;
}

static int check_number(int i, struct cpv_err *err)
{
    int n = cpv_gpu_count();

    if (i < 0 || i >= n)
        return cpv_fail(err, CPV_E_ABSENT,
                        "device cuda:%d is not there: this host has %d", i, n);
    return CPV_OK;
}

static int attribute(enum cudaDeviceAttr which, int i, int *out, struct cpv_err *err)
{
    cudaError_t e = cudaDeviceGetAttribute(out, which, i);

    return e == cudaSuccess ? CPV_OK : cpv_cuda_fail(err, e, i, "read its attributes");
}

int cpv_gpu_describe(int i, struct cpv_gpu *out, struct cpv_err *err)
{
    struct cudaDeviceProp prop;
    cudaError_t e;
    int rc, l2 = 0, shared = 0;

    if ((rc = check_number(i, err)))
        return rc;
    if ((e = cudaGetDeviceProperties(&prop, i)) != cudaSuccess)
        return cpv_cuda_fail(err, e, i, "read its properties");

    *out = (struct cpv_gpu){.memory = prop.totalGlobalMem};
    snprintf(out->name, sizeof out->name, "%s", prop.name);
    if ((rc = attribute(cudaDevAttrComputeCapabilityMajor, i, &out->major, err)) ||
        (rc = attribute(cudaDevAttrComputeCapabilityMinor, i, &out->minor, err)) ||
        (rc = attribute(cudaDevAttrMultiProcessorCount, i, &out->multiprocessors, err)) ||
        (rc = attribute(cudaDevAttrL2CacheSize, i, &l2, err)) ||
        (rc = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, i, &shared, err)))
        return rc;
    out->l2 = (uint64_t)l2;
    out->memory_per_block = (uint64_t)shared;
    return CPV_OK;
}

/* Run the kernel over `words`, in place and on the device current in this thread. */
static int run_kernel(int device, uint32_t *words, size_t size, struct cpv_err *err)
{
    uint32_t *there = NULL;
    int e, rc = CPV_OK;

    if ((e = cudaMalloc((void **)&there, size)))
        return cpv_cuda_fail(err, e, device, "take memory");
    if ((e = cudaMemcpy(there, words, size, cudaMemcpyHostToDevice)))
        rc = cpv_cuda_fail(err, e, device, "copy to it");
    else if ((e = cpv_cuda_probe_mix(there, PROBE_WORDS, PROBE_SEED)))
        rc = cpv_cuda_fail(err, e, device, "start a kernel");
    else if ((e = cudaMemcpy(words, there, size, cudaMemcpyDeviceToHost)))
        rc = cpv_cuda_fail(err, e, device, "run a kernel");
    if ((e = cudaFree(there)) && !rc)
        rc = cpv_cuda_fail(err, e, device, "give memory back");
    return rc;
}

int cpv_gpu_probe(int i, struct cpv_err *err)
{
    size_t size = PROBE_WORDS * sizeof(uint32_t);
    uint32_t *words;
    int rc, e, before = 0;

    if ((rc = check_number(i, err)))
        return rc;
    if (!(words = (uint32_t *)cpv_alloc(size)))
        return cpv_fail_memory(err);
    for (uint32_t k = 0; k < PROBE_WORDS; k++)
        words[k] = k;

    if ((e = cudaGetDevice(&before)) || (e = cudaSetDevice(i))) {
        rc = cpv_cuda_fail(err, e, i, "choose it");
        goto done;
    }
    if ((rc = run_kernel(i, words, size, err)))
        goto restore;
    for (uint32_t k = 0; k < PROBE_WORDS; k++) {
        uint32_t want = cpv_mix32(k ^ PROBE_SEED);
        if (words[k] != want) {
            rc = cpv_fail(err, CPV_E_IO,
                          "device cuda:%d computes wrongly: word %" PRIu32
                          " is %08" PRIx32 ", expected %08" PRIx32,
                          i, k, words[k], want);
            break;
        }
    }
restore:
    if ((e = cudaSetDevice(before)) && !rc)
        rc = cpv_cuda_fail(err, e, before, "choose it");
done:
    cpv_free(words);
    return rc;
}
