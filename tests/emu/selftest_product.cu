/* SPDX-License-Identifier: Apache-2.0 */
/* C = A * B^T on the matrix unit, a tile of 16x16 a warp. */
#include "common/compute/cuda/wmma.cuh"
#include "tests/emu/selftest.h"

static const int TILE = 16;

template <class T>
static __global__ void product(const T *__restrict__ a, const T *__restrict__ b,
                               float *__restrict__ c, int n, int depth)
{
    if constexpr (cpv_wmma_has<T>()) {
        using namespace nvcuda;
        wmma::fragment<wmma::matrix_a, TILE, TILE, TILE, T, wmma::row_major> fa;
        wmma::fragment<wmma::matrix_b, TILE, TILE, TILE, T, wmma::col_major> fb;
        wmma::fragment<wmma::accumulator, TILE, TILE, TILE, float> sum;
        int warps = static_cast<int>(blockDim.x) / CPV_WARP;
        int warp = static_cast<int>(threadIdx.x) / CPV_WARP;
        int m = static_cast<int>(blockIdx.y) * TILE;
        int at = (static_cast<int>(blockIdx.x) * warps + warp) * TILE;

        wmma::fill_fragment(sum, 0.0f);
        for (int k = 0; k < depth; k += TILE) {
            wmma::load_matrix_sync(fa, a + m * depth + k, static_cast<unsigned>(depth));
            wmma::load_matrix_sync(fb, b + at * depth + k, static_cast<unsigned>(depth));
            wmma::mma_sync(sum, fa, fb, sum);
        }
        for (int i = 0; i < static_cast<int>(sum.num_elements); i++)
            sum.x[i] *= 2;
        wmma::store_matrix_sync(c + m * n + at, sum, static_cast<unsigned>(n),
                                wmma::mem_row_major);
    } else {
        cpv_trap();
    }
}

template <class T> static int test(const char *name)
{
    const int m = 48, n = 64, depth = 80;
    std::vector<T> a = waves<T>(m * depth, 0.3f, 1), b = waves<T>(n * depth, 0.2f, 1);
    std::vector<double> want(m * n);
    device_array<T> da(a), db(b);
    device_array<float> dc(std::vector<float>(m * n, 0.0f));

    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            for (int k = 0; k < depth; k++)
                want[i * n + j] +=
                    2.0 * cpv_to_float(a[i * depth + k]) * cpv_to_float(b[j * depth + k]);
    CPV_LAUNCH(product<T>, dim3(n / TILE / 2, m / TILE), 2 * CPV_WARP, 0, nullptr, da.p,
               db.p, dc.p, n, depth);
    must(cudaGetLastError(), name);
    return compare(name, dc.host(), want, 1e-4);
}

int main()
{
    int failed = 0, major = 0;

    need_device();
    must(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0),
         "the device");
    failed |= test<__half>("product in half");
    if (major >= 8)
        failed |= test<__nv_bfloat16>("product in bfloat16");
    return failed;
}
