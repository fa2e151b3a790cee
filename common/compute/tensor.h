/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views of values: [rows, columns] over memory that a context owns.
 *
 * All activations of a transformer are [tokens, channels]: sequences of any length lie
 * one after another without padding, and `struct cpv_rows` says where each begins. Heads
 * are ranges of columns. Both views are copied freely and never freed; they live until
 * the context is rewound past the mark before them.
 */
#ifndef CPV_COMPUTE_TENSOR_H
#define CPV_COMPUTE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpv_dtype {
    CPV_F32,
    CPV_BF16,
    CPV_F16,
    CPV_I32,
    CPV_I8, /* weights only: 8-bit matrices with a scale a row */
    CPV_DTYPE_COUNT
} cpv_dtype;

/* Bytes of one element; "f32", "bf16", "f16", "i32", "i8". */
size_t cpv_dtype_size(cpv_dtype dtype);
const char *cpv_dtype_name(cpv_dtype dtype);

typedef struct cpv_tensor {
    void *data;     /* on the device; NULL: no tensor. Only common/compute looks inside */
    int64_t rows;   /* tokens, or whatever the operation says */
    int64_t cols;   /* channels */
    int64_t stride; /* elements from one row to the next, at least cols */
    cpv_dtype dtype;
    int32_t id; /* of the value that it views, on a tape; 0: not recorded */
} cpv_tensor;

static inline bool cpv_is(cpv_tensor t)
{
    return t.data != NULL;
}

/* Columns [first, first + n), rows [first, first + n) of t: the same memory. */
cpv_tensor cpv_columns(cpv_tensor t, int64_t first, int64_t n);
cpv_tensor cpv_row_range(cpv_tensor t, int64_t first, int64_t n);

/*
 * A packed batch: sequence i has the rows offset[i] ... offset[i + 1] - 1 of every tensor
 * that belongs to it. The offsets are on the host and, the same, on the device.
 */
typedef struct cpv_rows {
    const int32_t *offset;    /* host, count + 1 of them, offset[0] = 0 */
    const int32_t *on_device; /* the same, on the device */
    int32_t count;            /* sequences */
    int32_t longest;          /* rows of the longest sequence */
    int32_t total;            /* offset[count] */
} cpv_rows;

/* Numbers of slots (kv.h), one for each sequence of a batch, on both sides. */
typedef struct cpv_slots {
    const int32_t *host;
    cpv_tensor on_device; /* i32 [count, 1] */
    int32_t count;
} cpv_slots;

#ifdef __cplusplus
}
#endif
#endif
