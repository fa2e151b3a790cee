/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cpu backend: kernels of the best level (kernels.h), and a team of threads to divide
 * them among. What only copies is the reference's own.
 */
#ifndef CPV_COMPUTE_CPU_CPU_H
#define CPV_COMPUTE_CPU_CPU_H

#include "common/compute/cpu/kernels.h"
#include "common/compute/cpu/team.h"
#include "common/compute/ref/ref.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The level of a device; of one that only foretells (dry), the best there is. */
const struct cpv_kernels *cpu_kernels(const cpv_device *d);

static inline const struct cpv_kernels *cpu_k(const cpv_compute *c)
{
    return cpu_kernels(c->device);
}

static inline cpv_team *cpu_team(const cpv_compute *c)
{
    return (cpv_team *)c->impl;
}

/*
 * First the reference's fields, of which these are set: `matrix` of norms and of tables
 * that are nothing else, `bias` (zeros for a norm without), `a` and scale * `b` of LoRA.
 */
struct cpu_weight {
    struct ref_weight plain;
    void *packed;   /* the matrix of a product */
    bool s8;        /* in 8 bits */
    void *packed_a; /* LoRA: A, and scale * B */
    void *packed_b;
};

static inline const struct cpu_weight *cpu_of(const cpv_weight *w)
{
    return (const struct cpu_weight *)w->impl;
}

size_t cpu_weight_bytes(const cpv_device *d, const cpv_weight *w);
int cpu_weight_pack(cpv_device *d, cpv_weight *w, const struct cpv_weight_params *params,
                    struct cpv_err *err);
void cpu_weight_free(cpv_device *d, cpv_weight *w);
int cpu_weight_refresh(cpv_compute *c, cpv_weight *w, struct cpv_err *err);
/* Row `row` of a matrix as floats, in `room` of w->in floats where it is packed. */
const float *cpu_weight_row(const struct cpv_kernels *k, const cpv_weight *w, int64_t row,
                            float *room);

/* Divide a product among the team: by rows, or where they are few by columns. */
void cpu_gemm(const cpv_compute *c, const struct cpv_gemm_f32 *g);

/* to = from, or to += from. */
void cpu_pass_on(const cpv_compute *c, cpv_tensor to, cpv_tensor from, bool fresh);

/* Of operands in op.c, for cpv_op_fresh. */
enum { CPU_LINEAR_X = 1, CPU_LINEAR_RESIDUAL = 2, CPU_LINEAR_LORA_X = 3 };

static inline size_t cpu_aligned(size_t n)
{
    return (n + CPV_ALIGN - 1) / CPV_ALIGN * CPV_ALIGN;
}

#define CPU_RUN(name)                                                                    \
    int cpu_##name(cpv_compute *c, const struct cpv_op *op, void *scratch,               \
                   struct cpv_err *err)
#define CPU_BACK(name)                                                                   \
    int cpu_##name##_back(cpv_compute *c, const struct cpv_op *op,                       \
                          const struct cpv_op *grad, void *scratch, struct cpv_err *err)

CPU_RUN(adam);
CPU_RUN(add);
CPU_RUN(argmax);
CPU_RUN(attention);
CPU_RUN(contrastive);
CPU_RUN(copy);
CPU_RUN(dropout);
CPU_RUN(embed);
CPU_RUN(fill);
CPU_RUN(l2norm);
CPU_RUN(layernorm);
CPU_RUN(linear);
CPU_RUN(mean);
CPU_RUN(patches);
CPU_RUN(scale);
CPU_RUN(similarity);
CPU_RUN(softmax);
CPU_RUN(tokens);
CPU_RUN(topk);
CPU_RUN(unary);
CPU_BACK(add);
CPU_BACK(attention);
CPU_BACK(dropout);
CPU_BACK(l2norm);
CPU_BACK(layernorm);
CPU_BACK(linear);
CPU_BACK(mean);
CPU_BACK(similarity);
CPU_BACK(softmax);
CPU_BACK(unary);

size_t cpu_attention_scratch(const cpv_compute *c, const struct cpv_op *op);
size_t cpu_attention_back_scratch(const cpv_compute *c, const struct cpv_op *op);
size_t cpu_contrastive_scratch(const cpv_compute *c, const struct cpv_op *op);
size_t cpu_embed_scratch(const cpv_compute *c, const struct cpv_op *op);
size_t cpu_linear_scratch(const cpv_compute *c, const struct cpv_op *op);
size_t cpu_linear_back_scratch(const cpv_compute *c, const struct cpv_op *op);
size_t cpu_layernorm_back_scratch(const cpv_compute *c, const struct cpv_op *op);
/* Of an operation whose rows go back one by one: a row for each thread. */
size_t cpu_rows_back_scratch(const cpv_compute *c, cpv_tensor x);
size_t cpu_similarity_back_scratch(const cpv_compute *c, const struct cpv_op *op);
size_t cpu_similarity_scratch(const cpv_compute *c, const struct cpv_op *op);

#ifdef __cplusplus
}
#endif
#endif
