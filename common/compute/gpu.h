/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GPUs of this host: how many, what they are, and whether they work.
 *
 * The same functions exist in a build without CUDA (stubs.c): then there are
 * none. A program built with CUDA starts on a host without a driver and finds
 * none there either; nothing is loaded before the first call.
 */
#ifndef CPV_COMPUTE_GPU_H
#define CPV_COMPUTE_GPU_H

#include <stdint.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_gpu {
    char name[256];            /* as the driver calls it, terminated */
    int major, minor;          /* compute capability: 9, 0 */
    int multiprocessors;       /* streaming multiprocessors */
    uint64_t memory;           /* bytes in all */
    uint64_t memory_per_block; /* shared memory a block may ask for, bytes */
    uint64_t l2;               /* second-level cache, bytes */
};

/* 0 without a GPU, a driver or a build with CUDA: never an error. */
int cpv_gpu_count(void);

/* Device i of cpv_gpu_count(). CPV_E_ABSENT if there is none of that number. */
CPV_MUST_CHECK int cpv_gpu_describe(int i, struct cpv_gpu *out, struct cpv_err *err);

/*
 * Run a kernel on device i and compare every word of its result with the host's:
 * says early, and in words, that this build holds no code for the device, that the
 * driver is too old or that another program has taken all its memory. Takes some
 * 4 MiB and, the first time in a process, about a second.
 */
CPV_MUST_CHECK int cpv_gpu_probe(int i, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
