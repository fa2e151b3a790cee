/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launchers of the kernels, one a .cu file. Each queues work on a stream and returns a
 * cudaError_t as an int, 0 for success; none waits. Operands were checked by the front
 * door: they are there, of fitting shapes, with at least one row and column.
 *
 * Tensors that hold values are f32, bf16 or f16; a result row is computed from its own
 * inputs in an order that depends on nothing but the number of columns or keys.
 */
#ifndef CPV_COMPUTE_CUDA_KERNELS_H
#define CPV_COMPUTE_CUDA_KERNELS_H

#include "common/compute/op.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *cpv_stream; /* what cudaStream_t is */

/* Slots of a cache as a kernel sees them: struct cpv_kv is the front door's. */
struct cpv_cuda_slots {
    cpv_tensor k, v; /* [slots * capacity, width] of the layer */
    int32_t *table;  /* [slots, capacity]; not read where `fixed` */
    int32_t *length; /* [slots] */
    int32_t capacity;
    bool fixed;
};

int cpv_cuda_add(cpv_stream s, const struct cpv_op_add *op);
int cpv_cuda_argmax(cpv_stream s, const struct cpv_op_argmax *op);

/* slots NULL: packed. Heads of at most CPV_CUDA_HEAD channels. */
enum { CPV_CUDA_HEAD = 256 };
int cpv_cuda_attention(cpv_stream s, const struct cpv_op_attention *op,
                       const struct cpv_cuda_slots *slots);

/* out = x, from any dtype of values to any. */
int cpv_cuda_convert(cpv_stream s, cpv_tensor out, cpv_tensor x);
int cpv_cuda_copy(cpv_stream s, const struct cpv_op_copy *op);

/* positions: no tensor without. */
int cpv_cuda_embed(cpv_stream s, const struct cpv_op_embed *op, cpv_tensor table,
                   cpv_tensor positions);

/* In place: out = act(out + bias) + residual. bias f32 or NULL; residual optional. */
int cpv_cuda_epilogue(cpv_stream s, cpv_tensor out, const float *bias, cpv_unary_kind act,
                      cpv_tensor residual);

int cpv_cuda_fill(cpv_stream s, const struct cpv_op_fill *op);
int cpv_cuda_gather(cpv_stream s, const struct cpv_op_gather *op);

/* kv.cu. scratch of fork: n * (capacity + 1) numbers. */
int cpv_cuda_kv_extend(cpv_stream s, const struct cpv_op_kv_extend *op,
                       const struct cpv_cuda_slots *slots);
int cpv_cuda_kv_write(cpv_stream s, const struct cpv_op_kv_write *op,
                      const struct cpv_cuda_slots *slots);
int cpv_cuda_kv_fork(cpv_stream s, const struct cpv_op_kv_fork *op,
                     const struct cpv_cuda_slots *slots, int32_t *scratch);

int cpv_cuda_l2norm(cpv_stream s, const struct cpv_op_l2norm *op);
/* bias NULL: none. */
int cpv_cuda_layernorm(cpv_stream s, const struct cpv_op_layernorm *op, const float *gain,
                       const float *bias);
int cpv_cuda_mean(cpv_stream s, const struct cpv_op_mean *op);
int cpv_cuda_patches(cpv_stream s, const struct cpv_op_patches *op);
int cpv_cuda_positions(cpv_stream s, const struct cpv_op_positions *op);
int cpv_cuda_similarity(cpv_stream s, const struct cpv_op_similarity *op);
int cpv_cuda_softmax(cpv_stream s, const struct cpv_op_softmax *op);
/* first, positions: no tensor without. */
int cpv_cuda_tokens(cpv_stream s, const struct cpv_op_tokens *op, cpv_tensor first,
                    cpv_tensor positions);
int cpv_cuda_topk(cpv_stream s, const struct cpv_op_topk *op);
int cpv_cuda_unary(cpv_stream s, const struct cpv_op_unary *op);

/* ---- backward: added to what is there ---- */

/* sums [x.cols] f32 += the sums of columns. */
int cpv_cuda_column_sums(cpv_stream s, float *sums, cpv_tensor x);
/* dgain, dbias: NULL where locked. */
int cpv_cuda_layernorm_back(cpv_stream s, const struct cpv_op_layernorm *op,
                            const struct cpv_op_layernorm *grad, const float *gain,
                            float *dgain, float *dbias);
int cpv_cuda_unary_back(cpv_stream s, const struct cpv_op_unary *op,
                        const struct cpv_op_unary *grad);

#ifdef __cplusplus
}
#endif
#endif
