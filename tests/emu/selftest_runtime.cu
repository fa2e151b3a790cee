/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side of the runtime: order of work, copies, graphs, memory, errors. */
#include "tests/emu/selftest.h"

static __global__ void fill(int *p, int n, int value)
{
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);

    if (i < n)
        p[i] = value;
}

/* Two streams and an event: what one wrote, the other copies to page-locked memory. */
static int test_streams()
{
    const int n = 1000;
    device_array<int> there(std::vector<int>(n, 0));
    int *here = nullptr, bad = 0;
    cudaStream_t a, b;
    cudaEvent_t ready;

    must(cudaMallocHost(reinterpret_cast<void **>(&here), n * sizeof *here),
         "cudaMallocHost");
    must(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking), "a stream");
    must(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking), "a stream");
    must(cudaEventCreateWithFlags(&ready, cudaEventDisableTiming), "an event");
    for (int i = 0; i < n; i++)
        here[i] = 0;
    for (int turn = 1; turn <= 3; turn++)
        CPV_LAUNCH(fill, (n + 127) / 128, 128, 0, a, there.p, n, turn);
    must(cudaEventRecord(ready, a), "an event");
    must(cudaStreamWaitEvent(b, ready, 0), "an event");
    must(cudaMemcpyAsync(here, there.p, n * sizeof *here, cudaMemcpyDeviceToHost, b),
         "a copy");
    if (PLANTED != too_early)
        must(cudaStreamSynchronize(b), "a stream");
    for (int i = 0; i < n; i++)
        bad += here[i] != 3;
    must(cudaEventDestroy(ready), "an event");
    must(cudaStreamDestroy(a), "a stream");
    must(cudaStreamDestroy(b), "a stream");
    must(cudaFreeHost(here), "cudaFreeHost");
    return expect("streams", bad == 0);
}

/* The stream NULL waits for the others, and they for it. */
static int test_stream_null()
{
    const int n = 300;
    device_array<int> there(std::vector<int>(n, 0));
    cudaStream_t a, b;
    int bad = 0;

    must(cudaStreamCreate(&a), "a stream");
    must(cudaStreamCreate(&b), "a stream");
    CPV_LAUNCH(fill, 3, 100, 0, a, there.p, n, 1);
    CPV_LAUNCH(fill, 3, 100, 0, nullptr, there.p, n, 2);
    CPV_LAUNCH(fill, 3, 100, 0, b, there.p, n, 3);
    for (int v : there.host())
        bad += v != 3;
    must(cudaStreamDestroy(a), "a stream");
    must(cudaStreamDestroy(b), "a stream");
    return expect("the stream NULL", bad == 0);
}

static int test_graph()
{
    const int n = 50;
    device_array<int> there(std::vector<int>(n, 0));
    cudaStream_t s;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    int bad = 0;

    must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "a stream");
    must(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), "a capture");
    CPV_LAUNCH(fill, 1, 64, 0, s, there.p, n, 5);
    CPV_LAUNCH(fill, 1, 64, 0, s, there.p, n / 2, 6);
    must(cudaStreamEndCapture(s, &graph), "a capture");
    must(cudaGraphInstantiate(&exec, graph, 0), "a graph");
    for (int v : there.host())
        bad += v != 0; /* recorded, not done */
    for (int turn = 0; turn < 2; turn++) {
        must(cudaMemsetAsync(there.p, 0, n * sizeof(int), s), "cudaMemsetAsync");
        must(cudaGraphLaunch(exec, s), "a graph");
    }
    must(cudaStreamSynchronize(s), "a graph");
    std::vector<int> got = there.host();
    for (int i = 0; i < n; i++)
        bad += got[static_cast<size_t>(i)] != (i < n / 2 ? 6 : 5);
    must(cudaGraphExecDestroy(exec), "a graph");
    must(cudaGraphDestroy(graph), "a graph");
    must(cudaStreamDestroy(s), "a stream");
    return expect("graphs", bad == 0);
}

/* Pageable memory may be reused as soon as the call is back. */
static int test_copies()
{
    int here[64], back[64], bad = 0;
    device_array<int> there(std::vector<int>(64, 0));

    for (int i = 0; i < 64; i++)
        here[i] = i;
    must(cudaMemcpyAsync(there.p, here, sizeof here, cudaMemcpyHostToDevice, nullptr),
         "a copy");
    for (int i = 0; i < 64; i++)
        here[i] = -1;
    must(cudaMemcpy2DAsync(back, 8 * sizeof(int), there.p, 16 * sizeof(int),
                           8 * sizeof(int), 4, cudaMemcpyDeviceToHost, nullptr),
         "a copy of rows");
    must(cudaDeviceSynchronize(), "a copy of rows");
    for (int i = 0; i < 32; i++)
        bad += back[i] != i / 8 * 16 + i % 8;
    return expect("copies", bad == 0);
}

static int test_memory()
{
    void *p = nullptr, *q = nullptr;
    size_t before, between, total;
    cudaStream_t s;
    bool good;

    must(cudaStreamCreate(&s), "a stream");
    must(cudaMemGetInfo(&before, &total), "cudaMemGetInfo");
    good = cudaMalloc(&p, total + 1) == cudaErrorMemoryAllocation &&
           cudaGetLastError() == cudaErrorMemoryAllocation;
    good = good && cudaGetLastError() == cudaSuccess && cudaFree(nullptr) == cudaSuccess;
    must(cudaMalloc(&p, 8 << 20), "cudaMalloc");
    must(cudaMemGetInfo(&between, &total), "cudaMemGetInfo");
    good = good && before - between >= 8 << 20;
    if (PLANTED == after_free)
        must(cudaFree(p), "cudaFree");
    must(cudaMallocAsync(&q, 4000, s), "cudaMallocAsync");
    CPV_LAUNCH(fill, 1, 100, 0, s, static_cast<int *>(q), 100, 1);
    must(cudaFreeAsync(q, s), "cudaFreeAsync");
    CPV_LAUNCH(fill, 1, 100, 0, s, static_cast<int *>(p), 100, 1);
    must(cudaStreamSynchronize(s), "a stream");
    must(cudaFree(p), "cudaFree");
    must(cudaStreamDestroy(s), "a stream");
    return expect("memory", good);
}

static int test_errors()
{
    device_array<int> there(std::vector<int>(4, 0));
    int failed = 0, value = 0;

    CPV_LAUNCH(fill, 1, 2048, 0, nullptr, there.p, 4, 1);
    failed |= expect("a block of 2048 is refused",
                     cudaGetLastError() == cudaErrorInvalidConfiguration);
    CPV_LAUNCH(fill, 0, 32, 0, nullptr, there.p, 4, 1);
    failed |= expect("a grid of 0 is refused",
                     cudaGetLastError() == cudaErrorInvalidConfiguration);
    CPV_LAUNCH(fill, 1, 32, 60 << 10, nullptr, there.p, 4, 1);
    failed |= expect("60 KiB of shared memory must be asked for",
                     cudaGetLastError() == cudaErrorInvalidValue);
    must(
        cudaFuncSetAttribute(fill, cudaFuncAttributeMaxDynamicSharedMemorySize, 60 << 10),
        "cudaFuncSetAttribute");
    CPV_LAUNCH(fill, 1, 32, 60 << 10, nullptr, there.p, 4, 9);
    failed |= expect("and then are given",
                     cudaGetLastError() == cudaSuccess && there.host()[3] == 9);
    failed |=
        expect("1 MiB is not",
               cudaFuncSetAttribute(fill, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    1 << 20) == cudaErrorInvalidValue);
    failed |=
        expect("the error is kept", cudaPeekAtLastError() == cudaErrorInvalidValue &&
                                        cudaGetLastError() == cudaErrorInvalidValue &&
                                        cudaGetLastError() == cudaSuccess);
    must(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&value, fill, 256, 0),
         "occupancy");
    return failed | expect("occupancy", value >= 1);
}

int main()
{
    int failed = 0;

    need_device();
    failed |= test_streams();
    failed |= test_stream_null();
    failed |= test_graph();
    failed |= test_copies();
    failed |= test_memory();
    failed |= test_errors();
    return failed;
}
