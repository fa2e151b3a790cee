/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of cuBLASLt that the product uses, with its own prototypes.
 *
 *     lt_objects.cc   handles, descriptors, attributes
 *     lt_check.cc     what is refused, and how; algorithms and the heuristic
 *     lt_matmul.cc    the product itself, done when the stream comes to it
 */
#ifndef EMU_LT_H
#define EMU_LT_H

#include <cublasLt.h>

#include "internal.h"

namespace emu
{

struct lt_operation {
    int32_t compute, scale_type;
    int32_t pointer_mode, trans_a, trans_b, trans_c, fill_mode;
    uint32_t epilogue;
    const void *bias;
    int64_t bias_stride;
    void *aux;
    int64_t aux_ld, aux_stride;
    int32_t bias_type, aux_type; /* -1: as D */
    int32_t multiprocessors;
};

struct lt_layout {
    uint32_t type;
    int32_t order;
    uint64_t rows, cols;
    int64_t ld;
    int32_t batch;
    int64_t stride; /* elements from one matrix of a batch to the next */
};

struct lt_preference {
    uint32_t search_mode;
    uint64_t workspace;
    uint32_t reduction_mask, alignment_a, alignment_b, alignment_c, alignment_d;
    float waves;
    uint64_t implementations;
};

/* What lies in the 64 bytes of a cublasLtMatmulAlgo_t. */
struct lt_algorithm {
    uint32_t magic;
    int32_t id;
    uint32_t tile, stages, split_k, reduction, swizzle, custom;
    uint16_t inner_shape, cluster_shape;
};
static_assert(sizeof(lt_algorithm) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm fits");

/* A product that has been found in order. */
struct lt_problem {
    lt_operation operation;
    lt_layout a, b, c, d;
    uint64_t m, n, k;
};

/* Behind cuBLASLt's opaque pointers; NULL if it is not such an object. */
const lt_operation *lt_operation_of(cublasLtMatmulDesc_t handle);
const lt_layout *lt_layout_of(cublasLtMatrixLayout_t handle);
const lt_preference *lt_preference_of(cublasLtMatmulPreference_t handle);
bool lt_is_handle(cublasLtHandle_t handle);

/* Attributes: a table of where each lies in its object. */
struct lt_field {
    int attribute;
    size_t offset, size;
};
cublasStatus_t lt_set(void *object, const lt_field *fields, size_t n, int attribute,
                      const void *value, size_t size);
cublasStatus_t lt_get(const void *object, const lt_field *fields, size_t n, int attribute,
                      void *value, size_t size, size_t *written);

cublasStatus_t lt_examine(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                          cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                          cublasLtMatrixLayout_t d, lt_problem *out);
bool lt_algorithm_of(const cublasLtMatmulAlgo_t *in, lt_algorithm *out);
size_t lt_workspace_of(const lt_algorithm &algorithm);

size_t lt_type_size(uint32_t type); /* 0: not a type of ours */

} /* namespace emu */

#endif
