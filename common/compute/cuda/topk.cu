/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The k largest of a row in falling order, and the log of its sum of exponentials: a
 * block a row, which is read twice. Each thread finds the best of its columns; the k-th
 * of all these is a threshold that at least k columns reach, and seldom many more. Those
 * are collected in whatever order, and put in order by counting who is better. Should
 * there be more than fit (a row made for that), the row is read once for each of the k.
 *
 * Few more they are as long as k is a small part of the threads: 256 of them for k up to
 * 64 (some 75 are collected of 62,000), 1,024 above (for k = 256 some 300).
 */
#include "common/compute/cuda/kernel.cuh"

enum { FEW = 256, MANY = 1024, ROOM = 1024 };

static_assert(int(CPV_TOPK_MAX) <= int(MANY), "k threads that have a best");

/* How many of n numbers are larger than v. */
__device__ static int larger(const uint64_t *all, int n, uint64_t v)
{
    int count = 0;

    for (int i = 0; i < n; i++)
        count += all[i] > v;
    return count;
}

template <class T>
__device__ static void put(cpv_view<int32_t> ids, cpv_view<float> values, const T *row,
                           int at, uint64_t rank)
{
    int64_t column = cpv_rank_column(rank);
    bool number = !cpv_rank_is_nan(rank);

    ids.row(blockIdx.x)[at] = number ? (int32_t)column : -1;
    values.row(blockIdx.x)[at] = number ? cpv_to_float(row[column]) : -INFINITY;
}

/* The best of this thread's columns below a rank. */
template <class T, int THREADS>
__device__ static uint64_t best_below(const T *row, int64_t cols, uint64_t below)
{
    uint64_t best = 0;

    for (int64_t c = threadIdx.x; c < cols; c += THREADS) {
        uint64_t rank = cpv_rank(cpv_to_float(row[c]), c);

        best = rank > best && rank < below ? rank : best;
    }
    return best;
}

/* The row is read for each of them. */
template <class T, int THREADS>
__device__ static void one_by_one(cpv_view<int32_t> ids, cpv_view<float> values,
                                  const T *row, int64_t cols, uint64_t *each)
{
    uint64_t top = UINT64_MAX;

    for (int i = 0; i < (int)ids.cols; i++) {
        __syncthreads(); /* `each` is free */
        top = cpv_block_max(best_below<T, THREADS>(row, cols, top), each);
        if (threadIdx.x == 0)
            put(ids, values, row, i, top);
    }
}

template <class T, int THREADS>
static __global__ void __launch_bounds__(THREADS)
    topk_kernel(cpv_view<int32_t> ids, cpv_view<float> values, cpv_view<float> lse,
                cpv_view<T> x)
{
    const int WARPS = THREADS / CPV_WARP;
    CPV_SHARED(uint64_t, firsts, [THREADS]);
    CPV_SHARED(uint64_t, found, [ROOM]);
    CPV_SHARED(uint64_t, each, [WARPS]);
    CPV_SHARED(float, sums, [WARPS]);
    CPV_SHARED(uint64_t, threshold, );
    CPV_SHARED(int, count, );
    const T *row = x.row(blockIdx.x);
    int k = (int)ids.cols, t = (int)threadIdx.x;
    uint64_t best = best_below<T, THREADS>(row, x.cols, UINT64_MAX), top;
    float most, sum = 0;

    firsts[t] = best;
    if (t == 0)
        count = 0;
    top = cpv_block_max(best, each);
    if (best && larger(firsts, THREADS, best) == k - 1)
        threshold = best;
    __syncthreads();

    most = cpv_to_float(row[cpv_rank_column(top)]);
    if (!(fabsf(most) < INFINITY))
        most = 0; /* the sum is then 0, infinite or NaN, as it should be */
    for (int64_t c = t; c < x.cols; c += THREADS) {
        float v = cpv_to_float(row[c]);
        uint64_t rank = cpv_rank(v, c);

        sum += expf(v - most);
        if (rank >= threshold) {
            int at = atomicAdd(&count, 1);

            if (at < ROOM)
                found[at] = rank;
        }
    }
    sum = cpv_warp_sum(sum);
    if (t % CPV_WARP == 0)
        sums[t / CPV_WARP] = sum;
    __syncthreads();

    if (t == 0) {
        sum = 0;
        for (int w = 0; w < WARPS; w++)
            sum += sums[w];
        *lse.row(blockIdx.x) = most + logf(sum);
    }
    if (count <= ROOM) {
        for (int i = t; i < count; i += THREADS) {
            int at = larger(found, count, found[i]);

            if (at < k)
                put(ids, values, row, at, found[i]);
        }
        return;
    }
    one_by_one<T, THREADS>(ids, values, row, x.cols, each);
}

template <class T> static int launch(cpv_stream s, const struct cpv_op_topk *op)
{
    cpv_view<int32_t> ids = cpv_view_of<int32_t>(op->ids);
    cpv_view<float> values = cpv_view_of<float>(op->values);
    cpv_view<float> lse = cpv_view_of<float>(op->lse);
    cpv_view<T> x = cpv_view_of<T>(op->x);
    unsigned rows = (unsigned)x.rows;

    if (ids.cols <= FEW / 4)
        CPV_LAUNCH((topk_kernel<T, FEW>), rows, FEW, 0, s, ids, values, lse, x);
    else
        CPV_LAUNCH((topk_kernel<T, MANY>), rows, MANY, 0, s, ids, values, lse, x);
    return cudaGetLastError();
}

extern "C" int cpv_cuda_topk(cpv_stream s, const struct cpv_op_topk *op)
{
    return CPV_BY_DTYPE(op->x.dtype, launch, s, op);
}
