/* SPDX-License-Identifier: Apache-2.0 */
/* What lanes and blocks do together, each against what CUDA documents; atomics. */
#include "tests/emu/selftest.h"

static const int LANES = 32, KINDS = 12;

static __global__ void shuffles(int *out)
{
    int lane = static_cast<int>(threadIdx.x), *mine = out + lane * KINDS;

    mine[0] = __shfl_sync(CPV_ALL_LANES, lane * 10, 5);
    mine[1] = __shfl_sync(CPV_ALL_LANES, lane * 10, 5, 8);
    mine[2] = __shfl_up_sync(CPV_ALL_LANES, lane * 10, 3);
    mine[3] = __shfl_up_sync(CPV_ALL_LANES, lane * 10, 3, 8);
    mine[4] = __shfl_down_sync(CPV_ALL_LANES, lane * 10, 3);
    mine[5] = __shfl_down_sync(CPV_ALL_LANES, lane * 10, 3, 8);
    mine[6] = __shfl_xor_sync(CPV_ALL_LANES, lane * 10, 9);
    mine[7] = static_cast<int>(__shfl_xor_sync(CPV_ALL_LANES, lane * 1e10, 1) / 1e9);
    mine[8] = static_cast<int>(__ballot_sync(CPV_ALL_LANES, lane % 3 == 0));
    mine[9] = __any_sync(CPV_ALL_LANES, lane == 31) + 2 * __any_sync(CPV_ALL_LANES, 0);
    mine[10] =
        __all_sync(CPV_ALL_LANES, lane < 32) + 2 * __all_sync(CPV_ALL_LANES, lane < 31);
    if (lane < 16) /* the two halves go their own ways */
        mine[11] = __shfl_xor_sync(0x0000ffffu, lane, 15);
    else
        mine[11] = -__shfl_xor_sync(0xffff0000u, lane, 15);
}

static int test_shuffles()
{
    device_array<int> out(std::vector<int>(LANES * KINDS, 0));
    int failed = 0;

    CPV_LAUNCH(shuffles, 1, LANES, 0, nullptr, out.p);
    must(cudaGetLastError(), "shuffles");
    std::vector<int> got = out.host();
    for (int l = 0; l < LANES && !failed; l++) {
        int in8 = l % 8, first = l - in8;
        int want[KINDS] = {50,
                           (first + 5) * 10,
                           (l >= 3 ? l - 3 : l) * 10,
                           (in8 >= 3 ? l - 3 : l) * 10,
                           (l + 3 < 32 ? l + 3 : l) * 10,
                           (in8 + 3 < 8 ? l + 3 : l) * 10,
                           (l ^ 9) * 10,
                           (l ^ 1) * 10,
                           0x49249249,
                           1,
                           1,
                           l < 16 ? l ^ 15 : -(l ^ 15)};
        for (int k = 0; k < KINDS; k++)
            if (got[l * KINDS + k] != want[k]) {
                std::printf("kind %d lane %d: %d, expected %d\n", k, l,
                            got[l * KINDS + k], want[k]);
                failed = 1;
            }
    }
    return expect("shuffles and votes", !failed);
}

static __global__ void reductions(int *out)
{
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    int lane = static_cast<int>(threadIdx.x), v = lane - 7;

    if (lane == 0)
        return; /* and is named by none of the masks */
    out[lane * 5 + 0] = __reduce_add_sync(~1u, v);
    out[lane * 5 + 1] = __reduce_min_sync(~1u, v);
    out[lane * 5 + 2] = __reduce_max_sync(~1u, v);
    out[lane * 5 + 3] = static_cast<int>(__reduce_or_sync(~1u, 1u << lane));
    out[lane * 5 + 4] =
        static_cast<int>(__reduce_xor_sync(~1u, static_cast<unsigned>(lane)));
#else
    (void)out;
#endif
}

static int test_reductions()
{
    const int want[] = {496 - 31 * 7, -6, 24, -2, 0};
    device_array<int> out(std::vector<int>(LANES * 5));
    bool good = true;
    int major = 0;

    must(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0),
         "the device");
    if (major < 8)
        return 0;
    CPV_LAUNCH(reductions, 1, LANES, 0, nullptr, out.p);
    must(cudaGetLastError(), "reductions");
    std::vector<int> got = out.host();
    for (int l = 1; l < LANES; l++)
        for (int k = 0; k < 5; k++)
            good = good && got[l * 5 + k] == want[k];
    return expect("reductions", good);
}

static __global__ void votes(int *out)
{
    int t = static_cast<int>(threadIdx.x);

    if (t >= 90)
        return; /* barriers count those that are left */
    out[t * 4 + 0] = __syncthreads_count(t % 2);
    out[t * 4 + 1] = __syncthreads_or(t == 89);
    out[t * 4 + 2] = __syncthreads_and(t < 90);
    out[t * 4 + 3] = __syncthreads_and(t < 89) + 2 * __syncthreads_or(0);
}

static int test_votes()
{
    device_array<int> out(std::vector<int>(100 * 4));
    bool good = true;

    CPV_LAUNCH(votes, 1, 100, 0, nullptr, out.p);
    must(cudaGetLastError(), "votes");
    std::vector<int> got = out.host();
    for (int t = 0; t < 90; t++)
        good = good && got[t * 4] == 45 && got[t * 4 + 1] && got[t * 4 + 2] == 1 &&
               got[t * 4 + 3] == 0;
    return expect("votes of a block", good);
}

/* counts[0] by atomics; the block that is last adds up what the others left. */
static __global__ void count(int *counts, int *parts)
{
    CPV_SHARED(int, is_last, );

    if (PLANTED == plain_add)
        counts[0] += 1;
    else
        atomicAdd(&counts[0], 1);
    atomicMax(&counts[1], static_cast<int>(threadIdx.x));
    if (PLANTED == divergent) {
        if (threadIdx.x < 16)
            __syncthreads();
        else
            __syncthreads();
    }
    if (PLANTED == stuck && threadIdx.x % 2)
        __syncwarp(CPV_ALL_LANES);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = static_cast<int>(blockIdx.x) + 1;
        __threadfence();
        is_last = atomicAdd(&counts[2], 1) == static_cast<int>(gridDim.x) - 1;
    }
    __syncthreads();
    if (is_last && threadIdx.x == 0) {
        __threadfence();
        for (unsigned b = 0; b < gridDim.x; b++)
            counts[3] += parts[b];
    }
}

static int test_atomics()
{
    device_array<int> counts(std::vector<int>(4)), parts(std::vector<int>(7));

    CPV_LAUNCH(count, 7, 64, 0, nullptr, counts.p, parts.p);
    must(cudaGetLastError(), "atomics");
    std::vector<int> got = counts.host();
    return expect("atomics",
                  got[0] == 7 * 64 && got[1] == 63 && got[2] == 7 && got[3] == 28);
}

/* One thread waits for what another puts into memory: both must come to run. */
static __global__ void hand_over(int *flag, int *value)
{
    if (threadIdx.x == 0) {
        *value = 7;
        __threadfence();
        atomicExch(flag, 1);
    } else if (threadIdx.x == 40) {
        while (!atomicAdd(flag, 0)) {
        }
        __threadfence();
        *value *= 6;
    }
}

static int test_waiting()
{
    device_array<int> flag(std::vector<int>(1)), value(std::vector<int>(1));

    CPV_LAUNCH(hand_over, 1, 64, 0, nullptr, flag.p, value.p);
    must(cudaGetLastError(), "handing over");
    return expect("a thread that waits for another", value.host()[0] == 42);
}

int main()
{
    int failed = 0;

    need_device();
    failed |= test_shuffles();
    failed |= test_reductions();
    failed |= test_votes();
    failed |= test_atomics();
    failed |= test_waiting();
    return failed;
}
