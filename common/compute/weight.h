/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights: what a model is made of, each in the form that its device likes best.
 *
 * A weight is a logical matrix [out, in] with an optional bias [out] and an optional LoRA
 * pair (Hu et al., arXiv 2106.09685; the names are PEFT's). How it is packed, in what
 * dtype, that an output layer shares its matrix with an embedding table: all of it is
 * hidden in here. Made once per device, then only read, by any number of contexts.
 *
 *     cpv_weight_create ... use in operations ... cpv_weight_close
 *
 * Three uses share the handle:
 *
 *     CPV_USE_LINEAR   a product: cpv_linear
 *     CPV_USE_TABLE    rows are looked up: cpv_embed, positions, a class token [1, h]
 *     CPV_USE_NORM     [1, in]: the gain of a layer norm, with `bias` [in] as its shift
 *
 * LINEAR | TABLE is a tied head: the matrix is an embedding table too.
 */
#ifndef CPV_COMPUTE_WEIGHT_H
#define CPV_COMPUTE_WEIGHT_H

#include "common/base/error.h"
#include "common/compute/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_device cpv_device;
typedef struct cpv_weight cpv_weight;
struct cpv_compute;

enum cpv_weight_use { CPV_USE_LINEAR = 1, CPV_USE_TABLE = 2, CPV_USE_NORM = 4 };

/* What a tape makes gradients for. Anything else is locked. */
enum cpv_weight_train {
    CPV_TRAIN_MATRIX = 1, /* or the gain */
    CPV_TRAIN_BIAS = 2,
    CPV_TRAIN_LORA = 4
};

/*
 * Where a matrix comes from: a plain array of f32, row after row, or a function that
 * writes rows first ... first + n - 1 there as f32 (from a checkpoint of any dtype; rows
 * of several tensors that are fused into one). Rows are asked for in ascending order.
 */
typedef int cpv_rows_fn(void *arg, int64_t first, int64_t n, float *to,
                        struct cpv_err *err);

struct cpv_source {
    const float *plain; /* or NULL, and then: */
    cpv_rows_fn *rows;
    void *arg;
};

struct cpv_lora {
    int rank;       /* r; 0: none */
    float scale;    /* alpha / r */
    const float *a; /* lora_A [r, in] */
    const float *b; /* lora_B [out, r] */
};

struct cpv_weight_params {
    const char *name; /* as in the checkpoint; copied; stands in messages */
    int64_t out, in;  /* a norm: out = 1 */
    unsigned use;     /* of enum cpv_weight_use */
    unsigned train;   /* of enum cpv_weight_train */
    struct cpv_source matrix;
    struct cpv_source bias; /* one row of `out` (norm: `in`) values; absent: no bias */
    struct cpv_lora lora;   /* LINEAR only */
    /* Plain arrays outlive the weight: a device in the host's memory reads a locked table
     * where it lies, so that one in a mapped file costs nothing. Others copy. */
    bool borrow;
};

/* Reads and packs the matrix; the sources are not needed afterwards (but see borrow). */
CPV_MUST_CHECK int cpv_weight_create(cpv_weight **out, cpv_device *device,
                                     const struct cpv_weight_params *params,
                                     struct cpv_err *err);
void cpv_weight_close(cpv_weight **w); /* before its device */

const char *cpv_weight_name(const cpv_weight *w);
int64_t cpv_weight_out(const cpv_weight *w);
int64_t cpv_weight_in(const cpv_weight *w);
size_t cpv_weight_bytes(const cpv_weight *w); /* of device memory, without gradients */

/* ---- for the trainer ---- */

typedef enum cpv_param {
    CPV_PARAM_MATRIX, /* [out, in] */
    CPV_PARAM_BIAS,   /* [1, out]; of a norm [1, in] */
    CPV_PARAM_LORA_A, /* [r, in] */
    CPV_PARAM_LORA_B, /* [out, r] */
    CPV_PARAM_COUNT
} cpv_param;

/* The f32 master of a trained parameter, and what backward has added up. No tensor (data
 * NULL) for one that is absent or locked. */
cpv_tensor cpv_weight_param(const cpv_weight *w, cpv_param which);
cpv_tensor cpv_weight_grad(const cpv_weight *w, cpv_param which);
/* The masters have changed: pack what forward and backward use anew. */
void cpv_weight_refresh(struct cpv_compute *c, cpv_weight *w);

#ifdef __cplusplus
}
#endif
#endif
