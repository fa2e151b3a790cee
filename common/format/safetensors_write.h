/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A safetensors file, byte for byte as the reference implementation writes it: first
 * f32, then f16, each by name; no gap between tensors; the header without spaces, padded
 * with them to a multiple of 8. Values are asked for tensor by tensor, in that order, and
 * by at most 1 MiB of rows at a time, so that a model costs no memory of its size.
 *
 *     t[0] = (struct cpv_safetensors_tensor){.name = "a.weight", .dtype = CPV_CKPT_F32,
 *                                            .rank = 2, .dim = {8, 768}, .values = a};
 *     cpv_safetensors_write("adapter_model.safetensors", t, n, NULL, 0, err)
 *
 * The file appears under its name when all of it is durable, in place of what was there;
 * after an error there is what was there before.
 *
 * Source: safetensors/src/tensor.rs (prepare), as of 0.8.
 */
#ifndef CPV_FORMAT_SAFETENSORS_WRITE_H
#define CPV_FORMAT_SAFETENSORS_WRITE_H

#include "common/format/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows row0 ... row0 + n - 1 (indices of the first dimension; a tensor of rank 0 is one
 * row), row-major, into `out`. A code other than CPV_OK ends the writing. */
typedef int cpv_safetensors_rows_fn(void *ctx, uint64_t row0, uint64_t n, float *out,
                                    struct cpv_err *err);

struct cpv_safetensors_tensor {
    const char *name;
    cpv_ckpt_dtype dtype; /* CPV_CKPT_F32, or CPV_CKPT_F16: rounded to the nearest */
    uint32_t rank;
    uint64_t dim[CPV_CKPT_RANK_MAX]; /* 0 is allowed: an empty tensor */
    /* Its values: the first of these that is not NULL. */
    const float *values;
    const struct cpv_ckpt_tensor *copy; /* of a floating type, as many elements */
    cpv_safetensors_rows_fn *rows;
    void *ctx;
};

struct cpv_safetensors_pair {
    const char *key, *value;
};

/*
 * `__metadata__` has "format": "pt", without which transformers and PEFT refuse a file,
 * and the n_meta pairs. Names must differ; the same twice, or values from nowhere, is our
 * own mistake (CPV_E_BUG).
 */
CPV_MUST_CHECK int cpv_safetensors_write(const char *path,
                                         const struct cpv_safetensors_tensor *tensors,
                                         size_t n,
                                         const struct cpv_safetensors_pair *meta,
                                         size_t n_meta, struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
