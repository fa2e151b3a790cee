/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host side of the cuda backend: what hangs on devices, contexts and weights, and who
 * does what. Read by this folder only.
 *
 *     backend.c   the table; operations: from structs to launchers
 *     device.c    devices, contexts, memory
 *     stage.c     copies through pinned memory, with conversion
 *     weights.c   matrices, biases, norms, tables
 *     plan.c      products by cuBLASLt
 *     linear.c    the operation made of them
 *     back.c      backward
 *     scratch.c   sizes; built without a toolkit too, for the dry device
 */
#ifndef CPV_COMPUTE_CUDA_INTERNAL_H
#define CPV_COMPUTE_CUDA_INTERNAL_H

#include <pthread.h>

#include "common/compute/backend.h"
#include "common/compute/cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cpv_lt;
struct cpv_cuda_plan;
struct cpv_cuda_layouts;

/* Two halves of pinned memory that take turns. */
struct cpv_cuda_stage {
    void *half[2];
    struct CUevent_st *done[2]; /* the copy out of the half has ended */
    bool busy[2];
    int turn;
};

struct cpv_cuda_device {
    int index;        /* as the runtime counts */
    int major, minor; /* compute capability */
    struct cpv_lt *lt;
    pthread_mutex_t lock; /* for all below, and the plans of weights */
    cpv_stream stream;    /* of weights and writes: waited for by who uses it */
    struct cpv_cuda_stage stage;
};

struct cpv_cuda_context {
    cpv_stream stream;
    struct cpv_cuda_stage stage;
    struct cpv_cuda_layouts *layouts;
    void *workspace; /* of cuBLASLt: CPV_CUDA_WORKSPACE bytes */
};

enum { CPV_CUDA_STAGE = 2 << 20, CPV_CUDA_WORKSPACE = 4 << 20 };

/* [rows, cols] on the device, rows padded to 16 bytes: what cuBLASLt likes best. */
struct cpv_cuda_matrix {
    cpv_tensor t;
    struct cpv_cuda_plan *plans; /* under the device's lock */
};

struct cpv_cuda_weight {
    struct cpv_cuda_matrix matrix; /* of a norm: the gain, f32 */
    struct cpv_cuda_matrix a, b;   /* LoRA */
    float *bias;                   /* NULL: none */
    void *bias_half;               /* the same in the dtype of the matrix, if not f32 */
};

static inline struct cpv_cuda_device *cpv_cuda_device_of(const cpv_device *d)
{
    return (struct cpv_cuda_device *)d->impl;
}

static inline struct cpv_cuda_context *cpv_cuda_context_of(const cpv_compute *c)
{
    return (struct cpv_cuda_context *)c->impl;
}

static inline const struct cpv_cuda_weight *cpv_cuda_weight_of(const cpv_weight *w)
{
    return (const struct cpv_cuda_weight *)w->impl;
}

/* ---- gpu.c ---- */

/* "device cuda:N: cannot DOING: the runtime's text"; forgets the runtime's last error. */
int cpv_cuda_fail(struct cpv_err *err, int cuda_error, int device, const char *doing);

/* ---- stage.c: the caller has chosen the device ---- */

int cpv_cuda_stage_init(struct cpv_cuda_stage *s, int device, struct cpv_err *err);
void cpv_cuda_stage_release(struct cpv_cuda_stage *s);
/* to = from, rows of f32 (i32 for i32) without gaps on the host, whose memory is free
 * again on return; the device's copy is queued. */
int cpv_cuda_upload(struct cpv_cuda_stage *s, cpv_stream stream, int device,
                    cpv_tensor to, const void *from, struct cpv_err *err);
/* The other way; waits. */
int cpv_cuda_download(struct cpv_cuda_stage *s, cpv_stream stream, int device, void *to,
                      cpv_tensor from, struct cpv_err *err);

/* ---- device.c: as in backend.h ---- */

int cpv_cuda_device_open(cpv_device *d, const struct cpv_device_params *params,
                         struct cpv_err *err);
void cpv_cuda_device_close(cpv_device *d);
int cpv_cuda_compute_open(cpv_compute *c, const struct cpv_compute_params *params,
                          struct cpv_err *err);
void cpv_cuda_compute_close(cpv_compute *c);
int cpv_cuda_alloc(cpv_device *d, size_t size, void **out, struct cpv_err *err);
void cpv_cuda_free(cpv_device *d, void *mem);
int cpv_cuda_write(cpv_device *d, void *to, const void *from, size_t size,
                   struct cpv_err *err);
int cpv_cuda_copy_in(cpv_compute *c, cpv_tensor to, const void *from,
                     struct cpv_err *err);
int cpv_cuda_copy_out(cpv_compute *c, void *to, cpv_tensor from, struct cpv_err *err);
int cpv_cuda_sync(cpv_compute *c, struct cpv_err *err);

/* ---- weights.c ---- */

int cpv_cuda_weight_pack(cpv_device *d, cpv_weight *w,
                         const struct cpv_weight_params *params, struct cpv_err *err);
void cpv_cuda_weight_free(cpv_device *d, cpv_weight *w);
int cpv_cuda_weight_refresh(cpv_compute *c, cpv_weight *w, struct cpv_err *err);
/* The matrix as a tensor; no tensor for no weight. */
cpv_tensor cpv_cuda_table_of(const cpv_weight *w);

/* ---- plan.c ---- */

/*
 * Three products with a matrix W [out, in]: its own, and the two of backward. For rows of
 * x [n, in] and y [n, out] (a gradient):
 *
 *     FORWARD   out [n, out] = alpha x W^T + add, then bias and act
 *     BACK      out [n, in] = alpha y W + add
 *     OUTER     out [out, in] f32 = alpha y^T x + add
 *
 * Bias and act are fused as far as they can be, which the results say. A matrix has one
 * plan for each way it is used, and so one order of sums, for any number of rows.
 */
typedef enum cpv_cuda_form {
    CPV_CUDA_FORWARD,
    CPV_CUDA_BACK,
    CPV_CUDA_OUTER
} cpv_cuda_form;

struct cpv_cuda_product {
    cpv_cuda_form form;
    struct cpv_cuda_matrix *matrix;
    cpv_tensor x, y; /* those that the form has: of the matrix's dtype, aligned */
    cpv_tensor out;  /* of that dtype, or f32 */
    cpv_tensor add;  /* optional, of out's dtype and as well aligned; may be out */
    float alpha;
    const void *bias;         /* FORWARD; in the dtype of out; NULL: none */
    cpv_unary_kind act;       /* FORWARD; wanted */
    bool bias_done, act_done; /* results */
};

int cpv_cuda_layouts_init(struct cpv_cuda_context *x, const struct cpv_cuda_device *d,
                          struct cpv_err *err);
void cpv_cuda_layouts_release(struct cpv_cuda_context *x,
                              const struct cpv_cuda_device *d);
int cpv_cuda_multiply(cpv_compute *c, struct cpv_cuda_product *p, struct cpv_err *err);
void cpv_cuda_plans_release(const struct cpv_cuda_device *d, struct cpv_cuda_plan **list);

/* ---- operations ---- */

int cpv_cuda_linear(cpv_compute *c, const struct cpv_op *op, void *scratch,
                    struct cpv_err *err);

/* x, or an aligned copy of it in `room`. */
int cpv_cuda_line_up(cpv_compute *c, cpv_tensor *x, void *room, struct cpv_err *err);

int cpv_cuda_add_back(cpv_compute *c, const struct cpv_op *op, const struct cpv_op *grad,
                      void *scratch, struct cpv_err *err);
int cpv_cuda_layernorm_backward(cpv_compute *c, const struct cpv_op *op,
                                const struct cpv_op *grad, void *scratch,
                                struct cpv_err *err);
int cpv_cuda_linear_back(cpv_compute *c, const struct cpv_op *op,
                         const struct cpv_op *grad, void *scratch, struct cpv_err *err);
int cpv_cuda_unary_backward(cpv_compute *c, const struct cpv_op *op,
                            const struct cpv_op *grad, void *scratch,
                            struct cpv_err *err);

/* ---- scratch.c ---- */

/* Columns of a matrix's rows in memory: a multiple of 16 bytes. */
static inline int64_t cpv_cuda_padded(int64_t cols, cpv_dtype dtype)
{
    int64_t unit = dtype == CPV_F32 ? 4 : 8;

    return (cols + unit - 1) / unit * unit;
}

/* Do its rows begin at multiples of 16 bytes? */
bool cpv_cuda_is_aligned(cpv_tensor t);

/* What linear keeps in its scratch: offsets in bytes, and the whole. */
struct cpv_cuda_linear_room {
    size_t x;    /* a copy of x that is aligned, if it is not */
    size_t lora; /* x A^T */
    size_t bytes;
};

struct cpv_cuda_linear_room cpv_cuda_linear_room(const struct cpv_op_linear *op);
/* The same for backward: aligned copies, and one thin product at a time. */
struct cpv_cuda_back_room {
    size_t x, dy, lora, bytes;
};

struct cpv_cuda_back_room cpv_cuda_back_room(const struct cpv_op_linear *op,
                                             const struct cpv_op_linear *grad);
size_t cpv_cuda_scratch(const cpv_compute *c, const struct cpv_op *op);
size_t cpv_cuda_scratch_back(const cpv_compute *c, const struct cpv_op *op,
                             const struct cpv_op *grad);
size_t cpv_cuda_weight_bytes(const cpv_device *d, const cpv_weight *w);

#ifdef __cplusplus
}
#endif
#endif
