/* SPDX-License-Identifier: Apache-2.0 */
/* Slots: more positions, their keys and values, and other slots' histories. */
#include "common/compute/cuda/kernel.cuh"

enum { THREADS = 128 };

/* A block a sequence; no two have the same slot. */
static __global__ void __launch_bounds__(THREADS)
    extend_kernel(cpv_view<int32_t> positions, cpv_view<int32_t> slot,
                  const int32_t *__restrict__ offset, struct cpv_cuda_slots kv)
{
    int32_t at = *slot.row(blockIdx.x), first = offset[blockIdx.x];
    int32_t n = offset[blockIdx.x + 1] - first, length = kv.length[at];

    for (int32_t r = (int32_t)threadIdx.x; r < n; r += THREADS) {
        *positions.row(first + r) = length + r;
        if (!kv.fixed)
            kv.table[(int64_t)at * kv.capacity + length + r] = at;
    }
    __syncthreads(); /* all have read the length */
    if (threadIdx.x == 0)
        kv.length[at] = length + n;
}

extern "C" int cpv_cuda_kv_extend(cpv_stream s, const struct cpv_op_kv_extend *op,
                                  const struct cpv_cuda_slots *slots)
{
    CPV_LAUNCH(extend_kernel, (unsigned)op->rows.count, THREADS, 0, s,
               cpv_view_of<int32_t>(op->positions),
               cpv_view_of<int32_t>(op->slots.on_device), op->rows.on_device, *slots);
    return cudaGetLastError();
}

/* A block a row. */
template <class T>
static __global__ void write_kernel(cpv_view<T> k, cpv_view<T> v, cpv_view<T> to_k,
                                    cpv_view<T> to_v, cpv_view<int32_t> slot,
                                    cpv_view<int32_t> positions,
                                    const int32_t *__restrict__ offset, int32_t capacity)
{
    int64_t i = blockIdx.x;
    int32_t sequence = cpv_sequence_of(offset, (int32_t)slot.rows, (int32_t)i);
    int64_t at = (int64_t)*slot.row(sequence) * capacity + *positions.row(i);

    for (int64_t c = threadIdx.x; c < k.cols; c += blockDim.x) {
        to_k.row(at)[c] = k.row(i)[c];
        to_v.row(at)[c] = v.row(i)[c];
    }
}

template <class T>
static int store(cpv_stream s, const struct cpv_op_kv_write *op,
                 const struct cpv_cuda_slots *slots)
{
    CPV_LAUNCH(write_kernel<T>, (unsigned)op->k.rows, cpv_threads(op->k.cols), 0, s,
               cpv_view_of<T>(op->k), cpv_view_of<T>(op->v), cpv_view_of<T>(slots->k),
               cpv_view_of<T>(slots->v), cpv_view_of<int32_t>(op->slots.on_device),
               cpv_view_of<int32_t>(op->positions), op->rows.on_device, slots->capacity);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_kv_write(cpv_stream s, const struct cpv_op_kv_write *op,
                                 const struct cpv_cuda_slots *slots)
{
    return CPV_BY_DTYPE(op->k.dtype, store, s, op, slots);
}

/* Line i of scratch: the history of slot src[i]; its length stands before the lines. */
static __global__ void __launch_bounds__(THREADS)
    read_kernel(int32_t *scratch, cpv_view<int32_t> src, struct cpv_cuda_slots kv)
{
    int64_t i = blockIdx.x, from = *src.row(i);
    int32_t length = from < 0 ? 0 : kv.length[from];
    int32_t *line = scratch + src.rows + i * kv.capacity;

    for (int32_t t = (int32_t)threadIdx.x; t < length; t += THREADS)
        line[t] = kv.table[from * kv.capacity + t];
    if (threadIdx.x == 0)
        scratch[i] = length;
}

static __global__ void __launch_bounds__(THREADS)
    take_kernel(const int32_t *__restrict__ scratch, cpv_view<int32_t> dst,
                struct cpv_cuda_slots kv)
{
    int64_t i = blockIdx.x, to = *dst.row(i);
    int32_t length = scratch[i];
    const int32_t *line = scratch + dst.rows + i * kv.capacity;

    for (int32_t t = (int32_t)threadIdx.x; t < length; t += THREADS)
        kv.table[to * kv.capacity + t] = line[t];
    if (threadIdx.x == 0)
        kv.length[to] = length;
}

extern "C" int cpv_cuda_kv_fork(cpv_stream s, const struct cpv_op_kv_fork *op,
                                const struct cpv_cuda_slots *slots, int32_t *scratch)
{
    unsigned n = (unsigned)op->dst.count;
    cudaError_t e;

    CPV_LAUNCH(read_kernel, n, THREADS, 0, s, scratch, cpv_view_of<int32_t>(op->src),
               *slots);
    e = cudaGetLastError();
    if (e != cudaSuccess)
        return e;
    CPV_LAUNCH(take_kernel, n, THREADS, 0, s, scratch,
               cpv_view_of<int32_t>(op->dst.on_device), *slots);
    return cudaGetLastError();
}
