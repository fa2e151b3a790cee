/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of a model, out of a checkpoint onto a device.
 *
 *     cpv_params_open(&p, device, checkpoint)
 *     w->fc1 = cpv_params_linear(p, f, d, "encoder.fc1")  ...   every weight of the model
 *     rc = cpv_params_check(p, err)                             the first mistake of all
 *     ... use ...
 *     cpv_params_close(&p)                                      all weights with it
 *
 * Names are those of Hugging Face: NAME.weight and NAME.bias. What is asked for must be
 * there with exactly this shape; a mistake names file, tensor and both shapes. It is
 * kept, later calls return NULL at once, and check reports it: a loader is straight
 * lines. Pages of the file are given back once a tensor is packed.
 *
 * On a dry device nothing is read beyond names and shapes.
 */
#ifndef CPV_MODEL_PARAMS_H
#define CPV_MODEL_PARAMS_H

#include "common/compute/compute.h"
#include "common/format/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_params cpv_params;

/* The checkpoint must stay open until check. */
CPV_MUST_CHECK int cpv_params_open(cpv_params **out, cpv_device *device,
                                   const cpv_checkpoint *checkpoint, struct cpv_err *err);
void cpv_params_close(cpv_params **p);
CPV_MUST_CHECK int cpv_params_check(cpv_params *p, struct cpv_err *err);

size_t cpv_params_bytes(const cpv_params *p);   /* of device memory */
uint64_t cpv_params_count(const cpv_params *p); /* numbers, each tensor once */

/* Is there a tensor of that name (after formatting)? */
bool cpv_params_has(const cpv_params *p, const char *fmt, ...) CPV_PRINTF(2, 3);

/* NAME.weight [out, in]; with its NAME.bias [out], which must be there, or without. */
const cpv_weight *cpv_params_linear(cpv_params *p, int64_t out, int64_t in,
                                    const char *fmt, ...) CPV_PRINTF(4, 5);
const cpv_weight *cpv_params_linear_nobias(cpv_params *p, int64_t out, int64_t in,
                                           const char *fmt, ...) CPV_PRINTF(4, 5);
/*
 * Several products of the same input as one: rows of PREFIX + part[0], then of part[1],
 * ..., n of them (at most 4), each [out, in], with their biases. The name is that of the
 * first.
 */
const cpv_weight *cpv_params_fused(cpv_params *p, int64_t out, int64_t in,
                                   const char *const *part, int n, const char *fmt, ...)
    CPV_PRINTF(6, 7);
/* The projection of square patches, a convolution: NAME.weight [out, channels, patch,
 * patch] and, with `bias`, NAME.bias [out]. */
const cpv_weight *cpv_params_patches(cpv_params *p, int64_t out, int64_t channels,
                                     int64_t patch, bool bias, const char *fmt, ...)
    CPV_PRINTF(6, 7);
/* NAME.weight [n] and NAME.bias [n] of a layer norm. */
const cpv_weight *cpv_params_norm(cpv_params *p, int64_t n, const char *fmt, ...)
    CPV_PRINTF(3, 4);
/* The tensor NAME itself, of rows * cols elements in any shape that ends in cols, as a
 * table. */
const cpv_weight *cpv_params_table(cpv_params *p, int64_t rows, int64_t cols,
                                   const char *fmt, ...) CPV_PRINTF(4, 5);

/*
 * For what does not fit the above: any source; `from` are the tensors that it reads, n of
 * them (at most 4), whose pages then go. The parameters' own names are copied.
 */
const cpv_weight *cpv_params_make(cpv_params *p, const struct cpv_weight_params *params,
                                  const struct cpv_ckpt_tensor *const *from, int n);
/* A tensor that must be there, of so many elements; NULL after a mistake. */
const struct cpv_ckpt_tensor *cpv_params_tensor(cpv_params *p, uint64_t elements,
                                                const char *fmt, ...) CPV_PRINTF(3, 4);
/* The same, of exactly this shape. */
const struct cpv_ckpt_tensor *cpv_params_matrix(cpv_params *p, int64_t rows, int64_t cols,
                                                const char *fmt, ...) CPV_PRINTF(4, 5);
/* The model's own finding. */
void cpv_params_fail(cpv_params *p, int code, const char *fmt, ...) CPV_PRINTF(3, 4);

/* A cpv_rows_fn: arg is a struct cpv_ckpt_tensor seen as [rows, cols] with its last
 * dimension as cols. */
int cpv_params_rows(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err);
/* The same for the one row of a bias. */
int cpv_params_vector(void *arg, int64_t first, int64_t n, float *to,
                      struct cpv_err *err);

#ifdef __cplusplus
}
#endif
#endif
