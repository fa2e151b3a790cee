/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuBLASLt, found when a device is opened: linked, it would keep programs from starting
 * where there is no toolkit. The table holds its functions and one handle, which any
 * number of threads may use. tests/emu has another lt.c, whose functions run on the host.
 *
 * Without the toolkit's header nothing is here, and nothing that includes this is built.
 */
#ifndef CPV_COMPUTE_CUDA_LT_H
#define CPV_COMPUTE_CUDA_LT_H

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All that we call of it: X(member) for the function cublasLt<member>. */
#define CPV_LT_FUNCTIONS(X)                                                              \
    X(Create)                                                                            \
    X(Destroy)                                                                           \
    X(MatmulDescCreate)                                                                  \
    X(MatmulDescDestroy)                                                                 \
    X(MatmulDescSetAttribute)                                                            \
    X(MatrixLayoutCreate)                                                                \
    X(MatrixLayoutDestroy)                                                               \
    X(MatrixLayoutSetAttribute)                                                          \
    X(MatmulPreferenceCreate)                                                            \
    X(MatmulPreferenceDestroy)                                                           \
    X(MatmulPreferenceSetAttribute)                                                      \
    X(MatmulAlgoGetHeuristic)                                                            \
    X(MatmulAlgoCheck)                                                                   \
    X(MatmulAlgoConfigGetAttribute)                                                      \
    X(Matmul)

struct cpv_lt {
    void *library;
    cublasLtHandle_t handle;
#define CPV_LT_MEMBER(name) __typeof__(&cublasLt##name) name;
    CPV_LT_FUNCTIONS(CPV_LT_MEMBER)
#undef CPV_LT_MEMBER
};

/* For the device that is current in this thread. CPV_E_ABSENT if there is no library. */
CPV_MUST_CHECK int cpv_lt_open(struct cpv_lt **out, struct cpv_err *err);
void cpv_lt_close(struct cpv_lt **lt);

#ifdef __cplusplus
}
#endif
#endif
#endif
