/* SPDX-License-Identifier: Apache-2.0 */
/* LayerNorm, a block a row: shuffles, static shared memory, a barrier. */
#include "tests/emu/selftest.h"

static const int THREADS = 128, WARPS = THREADS / CPV_WARP;

template <class T>
static __global__ void __launch_bounds__(THREADS)
    norm(const T *__restrict__ x, const float *__restrict__ gain,
         const float *__restrict__ bias, T *__restrict__ y, int n)
{
    CPV_SHARED(float, sums, [WARPS]);
    CPV_SHARED(float, squares, [WARPS]);
    int row = static_cast<int>(blockIdx.x), t = static_cast<int>(threadIdx.x);
    int warp = t / CPV_WARP, lane = t % CPV_WARP;
    int last = PLANTED == global_overrun && row == static_cast<int>(gridDim.x) - 1;
    float sum = 0, square = 0;

    for (int i = t; i < n; i += THREADS) {
        float v = cpv_to_float(x[row * n + i]);
        sum += v;
        square += v * v;
    }
    if (PLANTED == shuffle_mask && lane < 24)
        sum += 0 * __shfl_xor_sync(0xffffu, sum, 1);
    if (PLANTED == shuffle_source && lane < 16)
        sum += 0 * __shfl_down_sync(0xffffu, sum, 1);
    if (PLANTED == exited_lane && t == THREADS - 1)
        return;
    sum = cpv_warp_sum(sum);
    square = cpv_warp_sum(square);
    if (lane == 0) {
        sums[warp] = sum;
        squares[warp + (PLANTED == shared_overrun)] = square;
    }
    if (PLANTED != no_barrier)
        __syncthreads();
    sum = square = 0;
    for (int i = 0; i < WARPS; i++) {
        sum += sums[i];
        square += squares[i];
    }
    float mean = sum / n, scale = rsqrtf(square / n - mean * mean + 1e-5f);
    for (int i = t; i < n + last; i += THREADS)
        y[row * n + i] = cpv_from_float<T>((cpv_to_float(x[row * n + i % n]) - mean) *
                                               scale * gain[i % n] +
                                           bias[i % n]);
}

template <class T> static int test(const char *name, double tolerance)
{
    const int rows = 9, n = 200;
    std::vector<T> x = waves<T>(rows * n, 0.37f, 3);
    std::vector<float> gain = waves<float>(n, 0.2f, 2), bias = waves<float>(n, 0.3f, 1);
    std::vector<double> want(rows * n);
    device_array<T> dx(x), dy(std::vector<T>(rows * n));
    device_array<float> dgain(gain), dbias(bias);

    for (int r = 0; r < rows; r++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < n; i++)
            mean += cpv_to_float(x[r * n + i]) / n;
        for (int i = 0; i < n; i++)
            variance += std::pow(cpv_to_float(x[r * n + i]) - mean, 2) / n;
        for (int i = 0; i < n; i++)
            want[r * n + i] = (cpv_to_float(x[r * n + i]) - mean) /
                                  std::sqrt(variance + 1e-5) * gain[i] +
                              bias[i];
    }
    CPV_LAUNCH(norm<T>, rows, THREADS, 0, nullptr, dx.p, dgain.p, dbias.p, dy.p, n);
    must(cudaGetLastError(), name);
    if (PLANTED == host_access) {
        must(cudaDeviceSynchronize(), name);
        std::printf("%g\n", cpv_to_float(*static_cast<volatile T *>(dy.p)));
    }
    return compare(name, dy.host(), want, tolerance);
}

int main()
{
    int failed = 0;

    need_device();
    failed |= test<float>("norm in float", 2e-5);
    failed |= test<__half>("norm in half", 4e-3);
    failed |= test<__nv_bfloat16>("norm in bfloat16", 3e-2);
    return failed;
}
