/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Causal attention with a running maximum: asynchronous copies, dynamic shared memory, a
 * loop with barriers, four lanes a row that talk through shuffles and shared memory.
 */
#include "tests/emu/selftest.h"

static const int DIM = 32, ROWS = 32, COLUMNS = 16, PARTS = 4, THREADS = ROWS * PARTS;
static const size_t BYTES =
    (ROWS * DIM + 2 * COLUMNS * DIM + ROWS * COLUMNS + 2 * ROWS) * sizeof(float);

struct tiles {
    float *q, *k, *v, *p, *top, *sum;
};

static __device__ void load_tile(float *to, const float *from, int n)
{
    for (int i = static_cast<int>(threadIdx.x) * 4; i < n; i += THREADS * 4)
        cpv_copy_async16(to + i, from + i);
}

/* Scores of this thread's columns, and the maximum over the row's four threads. */
static __device__ float scores(const tiles &s, int row, int part, int left)
{
    float top = -INFINITY;

    for (int j = part; j < COLUMNS; j += PARTS) {
        float dot = 0;
        for (int d = 0; d < DIM; d++)
            dot += s.q[row * DIM + d] * s.k[j * DIM + d];
        dot = j <= left ? dot * 0.25f : -INFINITY;
        s.p[row * COLUMNS + j] = dot;
        top = fmaxf(top, dot);
    }
    top = fmaxf(top, __shfl_xor_sync(CPV_ALL_LANES, top, 1));
    return fmaxf(top, __shfl_xor_sync(CPV_ALL_LANES, top, 2));
}

static __global__ void __launch_bounds__(THREADS)
    attention(const float *__restrict__ q, const float *__restrict__ k,
              const float *__restrict__ v, float *__restrict__ out, int n)
{
    CPV_DYN_SHARED(float, memory);
    tiles s = {memory,
               memory + ROWS * DIM,
               memory + (ROWS + COLUMNS) * DIM,
               memory + (ROWS + 2 * COLUMNS) * DIM,
               memory + (ROWS + 2 * COLUMNS) * DIM + ROWS * COLUMNS,
               memory + (ROWS + 2 * COLUMNS) * DIM + ROWS * COLUMNS + ROWS};
    const int first = static_cast<int>(blockIdx.x) * ROWS,
              t = static_cast<int>(threadIdx.x);
    const int row = t / PARTS, part = t % PARTS,
              base = static_cast<int>(blockIdx.y) * n * DIM;
    float sums[DIM / PARTS] = {};

    load_tile(s.q, q + base + first * DIM, ROWS * DIM);
    if (t < ROWS) {
        s.top[t] = -INFINITY;
        s.sum[t] = 0;
    }
    for (int at = 0; at < first + ROWS; at += COLUMNS) {
        if (PLANTED != top_barrier)
            __syncthreads();
        load_tile(s.k, k + base + at * DIM, COLUMNS * DIM);
        load_tile(s.v, v + base + at * DIM, COLUMNS * DIM);
        cpv_copy_async_commit();
        if (PLANTED != copy_wait)
            cpv_copy_async_wait<0>();
        if (PLANTED != no_barrier)
            __syncthreads();

        float top = scores(s, row, part, first + row - at), before = s.top[row], sum = 0;
        top = fmaxf(top, before);
        float scale = __expf(before - top);
        for (int j = part; j < COLUMNS; j += PARTS) {
            float e = __expf(s.p[row * COLUMNS + j] - top);
            s.p[row * COLUMNS + j] = e;
            sum += e;
        }
        sum += __shfl_xor_sync(CPV_ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(CPV_ALL_LANES, sum, 2);
        if (PLANTED != no_syncwarp)
            __syncwarp();
        if (part == 0) {
            s.top[row] = top;
            s.sum[row] = s.sum[row] * scale + sum;
        }
        for (int i = 0; i < DIM / PARTS; i++) {
            sums[i] *= scale;
            for (int j = 0; j < COLUMNS; j++)
                sums[i] +=
                    s.p[row * COLUMNS + j] * s.v[j * DIM + part * (DIM / PARTS) + i];
        }
        __syncwarp();
    }
    for (int i = 0; i < DIM / PARTS; i++)
        out[base + (first + row) * DIM + part * (DIM / PARTS) + i] = sums[i] / s.sum[row];
}

static void evaluate(const std::vector<float> &q, const std::vector<float> &k,
                     const std::vector<float> &v, int heads, int n,
                     std::vector<double> *out)
{
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < n; i++) {
            std::vector<double> p(i + 1);
            double sum = 0;
            for (int j = 0; j <= i; j++) {
                for (int d = 0; d < DIM; d++)
                    p[j] += 0.25 * q[(h * n + i) * DIM + d] * k[(h * n + j) * DIM + d];
                p[j] = std::exp(p[j]);
                sum += p[j];
            }
            for (int d = 0; d < DIM; d++)
                for (int j = 0; j <= i; j++)
                    (*out)[(h * n + i) * DIM + d] +=
                        p[j] / sum * v[(h * n + j) * DIM + d];
        }
}

int main()
{
    const int heads = 2, n = 64;
    const size_t size = heads * n * DIM;
    std::vector<float> q = waves<float>(size, 0.7f, 1), k = waves<float>(size, 0.31f, 1),
                       v = waves<float>(size, 0.11f, 1);
    std::vector<double> want(size);

    need_device();
    device_array<float> dq(q), dk(k), dv(v), dout(std::vector<float>(size, 0.0f));
    evaluate(q, k, v, heads, n, &want);
    must(cudaFuncSetAttribute(attention, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              static_cast<int>(BYTES)),
         "cudaFuncSetAttribute");
    CPV_LAUNCH(attention, dim3(n / ROWS, heads), THREADS, BYTES, nullptr, dq.p, dk.p,
               dv.p, dout.p, n);
    must(cudaGetLastError(), "attention");
    return compare("attention", dout.host(), want, 2e-5);
}
