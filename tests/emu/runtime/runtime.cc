/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches, errors and what a device says of itself. A call that is not here fails to
 * link: the emulator is given it when the product begins to use it.
 */
#include <cstdio>
#include <map>

#include "internal.h"

namespace emu
{

/* Of compute capability 8.0; 9.0 and 7.5 differ in what a block may have. */
static const int MOST_THREADS = 1024, PER_MULTIPROCESSOR = 2048, MULTIPROCESSORS = 8;
static const size_t DEFAULT_DYNAMIC = 48 << 10;

static cudaError_t last_error = cudaSuccess;

cudaError_t keep_error(cudaError_t e)
{
    if (e != cudaSuccess)
        last_error = e;
    return e;
}

static size_t most_shared()
{
    int sm = config().sm;

    return sm >= 90 ? 227 << 10 : sm >= 86 ? 99 << 10 : sm >= 80 ? 163 << 10 : 64 << 10;
}

/* What cudaFuncSetAttribute has allowed each kernel. */
static std::map<const void *, size_t> &allowed()
{
    static auto *m = new std::map<const void *, size_t>;
    return *m;
}

size_t dynamic_limit(const void *function)
{
    auto found = allowed().find(function);

    return found == allowed().end() ? DEFAULT_DYNAMIC : found->second;
}

static bool is_good(dim3 grid, dim3 block)
{
    uint64_t threads = static_cast<uint64_t>(block.x) * block.y * block.z;

    return grid.x && grid.y && grid.z && threads && threads <= MOST_THREADS &&
           block.z <= 64 && grid.x <= 0x7fffffffu && grid.y <= 65535 && grid.z <= 65535;
}

void launch_grid(const char *name, const void *function, dim3 grid, dim3 block,
                 size_t bytes, cudaStream_t stream, std::function<void()> body)
{
    guard g(lock());
    bool opted_in = allowed().count(function) != 0;
    launch_shape shape = {name, grid, block, bytes,
                          opted_in ? most_shared() : DEFAULT_DYNAMIC};

    if (!is_good(grid, block)) {
        (void)keep_error(cudaErrorInvalidConfiguration);
        return;
    }
    if (bytes > dynamic_limit(function)) {
        (void)keep_error(cudaErrorInvalidValue);
        return;
    }
    enqueue(stream, [shape, body] { run_grid(shape, body); });
}

static int attribute(cudaDeviceAttr which, bool *known)
{
    *known = true;
    switch (which) {
    case cudaDevAttrComputeCapabilityMajor:
        return config().sm / 10;
    case cudaDevAttrComputeCapabilityMinor:
        return config().sm % 10;
    case cudaDevAttrMultiProcessorCount:
        return MULTIPROCESSORS;
    case cudaDevAttrL2CacheSize:
        return 4 << 20;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        return DEFAULT_DYNAMIC;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        return static_cast<int>(most_shared());
    case cudaDevAttrMaxThreadsPerBlock:
        return MOST_THREADS;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        return PER_MULTIPROCESSOR;
    case cudaDevAttrWarpSize:
        return 32;
    case cudaDevAttrMemoryPoolsSupported:
        return 1;
    default:
        *known = false;
        return 0;
    }
}

} /* namespace emu */

using namespace emu;

extern "C" {

cudaError_t cudaGetLastError(void)
{
    guard g(lock());
    cudaError_t e = last_error;

    last_error = cudaSuccess;
    return e;
}

cudaError_t cudaPeekAtLastError(void)
{
    guard g(lock());

    return last_error;
}

const char *cudaGetErrorName(cudaError_t e)
{
    switch (e) {
    case cudaSuccess:
        return "cudaSuccess";
    case cudaErrorInvalidValue:
        return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
        return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
        return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevice:
        return "cudaErrorInvalidDevice";
    case cudaErrorNotReady:
        return "cudaErrorNotReady";
    default:
        return "cudaError";
    }
}

const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaSuccess:
        return "no error";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    case cudaErrorNotReady:
        return "device not ready";
    default:
        return "an error of the emulated device";
    }
}

cudaError_t cudaGetDeviceCount(int *out)
{
    *out = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *out)
{
    *out = 0;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int i)
{
    return i == 0 ? cudaSuccess : keep_error(cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceGetAttribute(int *out, cudaDeviceAttr which, int i)
{
    bool known;

    if (i)
        return keep_error(cudaErrorInvalidDevice);
    *out = attribute(which, &known);
    if (!known)
        fail(nullptr, "cudaDeviceGetAttribute: the emulator does not know attribute %d",
             static_cast<int>(which));
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int i)
{
    if (i)
        return keep_error(cudaErrorInvalidDevice);
    memset(out, 0, sizeof *out);
    (void)snprintf(out->name, sizeof out->name, "emulated");
    out->totalGlobalMem = config().memory;
    out->major = config().sm / 10;
    out->minor = config().sm % 10;
    out->multiProcessorCount = MULTIPROCESSORS;
    out->warpSize = 32;
    out->maxThreadsPerBlock = MOST_THREADS;
    out->maxThreadsPerMultiProcessor = PER_MULTIPROCESSOR;
    out->sharedMemPerBlock = DEFAULT_DYNAMIC;
    out->sharedMemPerBlockOptin = most_shared();
    out->l2CacheSize = 4 << 20;
    return cudaSuccess;
}

/* The pool's attributes say how much it keeps, which here is nothing. */
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *out, int i)
{
    static char pool;

    if (i)
        return keep_error(cudaErrorInvalidDevice);
    *out = reinterpret_cast<cudaMemPool_t>(&pool);
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr, void *value)
{
    return pool && value ? cudaSuccess : keep_error(cudaErrorInvalidValue);
}

cudaError_t cudaRuntimeGetVersion(int *out)
{
    *out = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *out)
{
    *out = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute which, int value)
{
    guard g(lock());

    if (which == cudaFuncAttributePreferredSharedMemoryCarveout)
        return cudaSuccess; /* a hint */
    if (which != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        static_cast<size_t>(value) > most_shared())
        return keep_error(cudaErrorInvalidValue);
    allowed()[function] = static_cast<size_t>(value);
    return cudaSuccess;
}

/* Registers and static shared memory are the compiler's; here only the block counts. */
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *out, const void *function,
                                                          int threads, size_t bytes)
{
    guard g(lock());

    if (threads < 1 || threads > MOST_THREADS || bytes > dynamic_limit(function))
        return keep_error(cudaErrorInvalidValue);
    *out = PER_MULTIPROCESSOR / ((threads + 31) / 32 * 32);
    if (*out > 32)
        *out = 32;
    if (bytes && static_cast<size_t>(*out) > most_shared() / bytes)
        *out = static_cast<int>(most_shared() / bytes);
    return cudaSuccess;
}

} /* extern "C" */
