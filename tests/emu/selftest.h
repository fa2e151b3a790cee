/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the emulator's own tests: kernels of the product's kind, each a program that checks
 * itself against a plain evaluation in double and prints "ok NAME" or "FAIL NAME: ...".
 * Compiled by nvcc they run on a device, if there is one (else exit 77).
 *
 * -DPLANTED=one_of_these makes a variant with one mistake in it; tests/emu/planted.sh
 * demands that it is found, and by whom.
 */
#ifndef EMU_SELFTEST_H
#define EMU_SELFTEST_H

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "common/compute/cuda/portable.cuh"

enum planted {
    nothing,
    no_barrier,     /* between a store to shared memory and a load by others */
    shared_overrun, /* one element past a shared array */
    global_overrun, /* one element past an allocation */
    shuffle_mask,   /* a lane that its mask does not name takes part */
    shuffle_source, /* a lane reads one that the mask does not name */
    exited_lane,    /* a warp operation names a lane that has returned */
    top_barrier,    /* at a loop's top: others still read what is overwritten */
    copy_wait,      /* of an asynchronous copy */
    no_syncwarp,    /* between lanes that talk through shared memory */
    plain_add,      /* += where threads of several blocks meet */
    divergent,      /* a barrier on each side of an if */
    stuck,          /* a warp that waits for lanes which wait at a barrier */
    too_early,      /* the host reads before it has synchronised */
    host_access,    /* the host reads device memory */
    after_free,     /* a kernel works on memory that was given back */
    small_ld,       /* cuBLASLt: a leading dimension below the rows */
    large_ld,       /* cuBLASLt: one that ends beyond the allocation */
    no_workspace    /* cuBLASLt: less than the algorithm asks for */
};

#ifndef PLANTED
#define PLANTED nothing
#endif

inline void must(cudaError_t e, const char *what)
{
    if (e == cudaSuccess)
        return;
    std::printf("FAIL %s: %s\n", what, cudaGetErrorString(e));
    std::exit(1);
}

inline void need_device()
{
    int n = 0;

    if (cudaGetDeviceCount(&n) == cudaSuccess && n > 0)
        return;
    std::printf("skipped: no device\n");
    std::exit(77);
}

/* An array on the device, in an allocation of its own. */
template <class T> struct device_array {
    T *p;
    size_t n;

    explicit device_array(const std::vector<T> &from) : p(nullptr), n(from.size())
    {
        must(cudaMalloc(reinterpret_cast<void **>(&p), n * sizeof(T)), "cudaMalloc");
        must(cudaMemcpy(p, from.data(), n * sizeof(T), cudaMemcpyHostToDevice),
             "cudaMemcpy");
    }
    ~device_array()
    {
        (void)cudaFree(p);
    }
    device_array(const device_array &) = delete;
    device_array &operator=(const device_array &) = delete;

    std::vector<T> host() const
    {
        std::vector<T> out(n);
        must(cudaMemcpy(out.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost),
             "a kernel");
        return out;
    }
};

template <class T> std::vector<T> waves(size_t n, float step, float height)
{
    std::vector<T> out(n);

    for (size_t i = 0; i < n; i++)
        out[i] = cpv_from_float<T>(height * std::sin(static_cast<float>(i) * step));
    return out;
}

/* 0 or 1; so that NaN fails. */
template <class T>
int compare(const char *name, const std::vector<T> &got, const std::vector<double> &want,
            double tolerance)
{
    for (size_t i = 0; i < want.size(); i++) {
        double g = cpv_to_float(got[i]);
        if (!(std::fabs(g - want[i]) <= tolerance)) {
            std::printf("FAIL %s: element %zu is %.9g, expected %.9g\n", name, i, g,
                        want[i]);
            return 1;
        }
    }
    std::printf("ok %s\n", name);
    return 0;
}

inline int expect(const char *name, bool good)
{
    std::printf("%s %s\n", good ? "ok" : "FAIL", name);
    return !good;
}

#endif
