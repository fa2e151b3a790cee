/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations as data: one struct each, with all operands and attributes by name. The call
 * fills it in, the backend executes it, the tape keeps it, messages print it, and the
 * tests make it by hand.
 *
 * The gradient of an operation is a second struct of the same kind, in which each tensor
 * holds the gradient of its namesake: the output's comes in, those of inputs are added to
 * (no tensor: not wanted), or written where `fresh` says that nothing is there yet.
 * Gradients of weights are the weight's own, and always added to.
 */
#ifndef CPV_COMPUTE_OP_H
#define CPV_COMPUTE_OP_H

#include "common/compute/compute.h"
#include "common/compute/dice.h"
#include "common/compute/tape.h"
#include "common/compute/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpv_op_kind {
    CPV_OP_ADAM,
    CPV_OP_ADD,
    CPV_OP_ARGMAX,
    CPV_OP_ATTENTION,
    CPV_OP_CLAMP,
    CPV_OP_CONTRASTIVE,
    CPV_OP_COPY,
    CPV_OP_DROPOUT,
    CPV_OP_EMBED,
    CPV_OP_FILL,
    CPV_OP_GATHER,
    CPV_OP_KV_EXTEND,
    CPV_OP_KV_FORK,
    CPV_OP_KV_WRITE,
    CPV_OP_L2NORM,
    CPV_OP_LAYERNORM,
    CPV_OP_LINEAR,
    CPV_OP_MEAN,
    CPV_OP_PATCHES,
    CPV_OP_POSITIONS,
    CPV_OP_SCALE,
    CPV_OP_SEGMENT, /* front door only: never reaches a backend */
    CPV_OP_SIMILARITY,
    CPV_OP_SOFTMAX,
    CPV_OP_SQUARES,
    CPV_OP_TOKENS,
    CPV_OP_TOPK,
    CPV_OP_UNARY,
    CPV_OP_COUNT
} cpv_op_kind;

/* out, x, a, b: [n, d] unless said otherwise. An output never overlaps an input, except
 * in ADD, UNARY, COPY and SCALE, where it may be the same view. */

/* How far the parameter goes this step; all f32 and of one shape. */
struct cpv_op_adam {
    cpv_tensor param, m, v; /* moved */
    cpv_tensor grad;
    struct cpv_adam how;
};

struct cpv_op_add {
    cpv_tensor out, a, b;
};

struct cpv_op_argmax {
    cpv_tensor out; /* i32 [n, 1] */
    cpv_tensor x;   /* f32 or values */
};

/*
 * Queries of sequence i: rows.offset[i] ... of q and out. Keys, one of two:
 *   packed   k, v [m, heads * d] and kv_rows; sequence source[i], or i without source
 *   slots    kv, layer: slots[i], the positions that it holds, through the table of kv
 * With causal, query j of n sees the keys 0 ... count - n + j.
 */
struct cpv_op_attention {
    cpv_tensor out, q;
    cpv_tensor k, v;
    cpv_tensor source; /* i32 [rows.count, 1], optional */
    cpv_tensor lse;    /* f32 [n, heads], optional output: kept for backward */
    cpv_rows rows, kv_rows;
    const cpv_kv *kv;
    int layer;
    cpv_slots slots;
    int32_t longest_kv; /* keys of the longest sequence */
    int heads;
    float scale;
    bool causal;
    struct cpv_draw drop; /* of weights; packed only. channel: (head, key) */
};

struct cpv_op_clamp {
    cpv_tensor x; /* in place; NaN stays */
    float low, high;
};

/* train.h. All f32. */
struct cpv_op_contrastive {
    cpv_tensor figures, dtext;
    cpv_tensor dscale; /* [1, 1], added to; optional */
    cpv_tensor image, text;
    const cpv_weight *scale;
};

struct cpv_op_copy {
    cpv_tensor out, x; /* of the same dtype */
};

/* The sample of sequence i of rows is drop.first + i, its rows are positions from 0. */
struct cpv_op_dropout {
    cpv_tensor out, x;
    cpv_rows rows;
    struct cpv_draw drop;
};

struct cpv_op_embed {
    cpv_tensor out, ids, at; /* at: no tensor without positions */
    const cpv_weight *table, *positions;
    float scale;
    int32_t offset;
};

struct cpv_op_fill {
    cpv_tensor out; /* floating point */
    float value;
};

struct cpv_op_gather {
    cpv_tensor out, x, index; /* index i32 [out.rows, 1] */
};

/* Before the host's lengths are moved on: sequence i appends to slots[i], at its length.
 */
struct cpv_op_kv_extend {
    cpv_tensor positions; /* out, i32 [rows.total, 1] */
    cpv_slots slots;
    cpv_kv *kv;
    cpv_rows rows;
};

/* dst[i] takes the table's line and the length of src[i]; src[i] < 0: empty. At once. */
struct cpv_op_kv_fork {
    cpv_slots dst;
    cpv_tensor src; /* i32 [dst.count, 1] */
    cpv_kv *kv;
};

struct cpv_op_kv_write {
    cpv_tensor k, v;
    cpv_slots slots;      /* of the last extend, */
    cpv_tensor positions; /* and what it gave */
    cpv_kv *kv;
    cpv_rows rows;
    int layer;
};

struct cpv_op_l2norm {
    cpv_tensor out, x;
    float eps;
};

struct cpv_op_layernorm {
    cpv_tensor out, x;
    cpv_tensor mean, rstd; /* f32 [n, 1], optional outputs: kept for backward */
    const cpv_weight *w;
    float eps;
};

/* out = act(x W^T + b + LoRA) + residual. out is f32 or of the dtype of activations. */
struct cpv_op_linear {
    cpv_tensor out, x;
    cpv_tensor lora_x;   /* optional, like x: what the pair sees instead of it */
    cpv_tensor residual; /* optional, of out's dtype */
    const cpv_weight *w;
    cpv_unary_kind act; /* a tape sees only IDENTITY */
};

struct cpv_op_mean {
    cpv_tensor out, x; /* [rows.count, d], [rows.total, d] */
    cpv_rows rows;
};

/* x [n, channels * size * size] -> out [n * (size / patch)^2, channels * patch * patch],
 * columns in the order channel, y, x. */
struct cpv_op_patches {
    cpv_tensor out, x;
    int channels, size, patch;
};

struct cpv_op_positions {
    cpv_tensor out; /* i32 [rows.total, 1] */
    cpv_rows rows;
};

struct cpv_op_scale {
    cpv_tensor out, x;
    float by;
};

struct cpv_op_segment {
    cpv_tensor out, x;
    cpv_segment_fn *fn;
    void *arg;
};

struct cpv_op_similarity {
    cpv_tensor out; /* f32 [a.rows, b.rows] */
    cpv_tensor a, b;
    float scale;
};

struct cpv_op_softmax {
    cpv_tensor out, x;
};

struct cpv_op_squares {
    cpv_tensor out; /* f32 [1, 1]: the sum of squares */
    cpv_tensor x;
};

/* Sequences of `each` rows of x get `first` [1, d] put before them (optional), and
 * positions [each + 1 or each, d] added (optional). */
struct cpv_op_tokens {
    cpv_tensor out, x;
    const cpv_weight *first, *positions;
    int32_t each;
};

struct cpv_op_topk {
    cpv_tensor ids, values, lse; /* i32 [n, k], f32 [n, k], f32 [n, 1] */
    cpv_tensor x;
};

struct cpv_op_unary {
    cpv_tensor out, x;
    cpv_unary_kind kind;
};

struct cpv_op {
    cpv_op_kind kind;
    unsigned fresh; /* of a gradient: bit i: operand i is to be written, not added to */
    union {
        struct cpv_op_adam adam;
        struct cpv_op_add add;
        struct cpv_op_argmax argmax;
        struct cpv_op_attention attention;
        struct cpv_op_clamp clamp;
        struct cpv_op_contrastive contrastive;
        struct cpv_op_copy copy;
        struct cpv_op_dropout dropout;
        struct cpv_op_embed embed;
        struct cpv_op_fill fill;
        struct cpv_op_gather gather;
        struct cpv_op_kv_extend kv_extend;
        struct cpv_op_kv_fork kv_fork;
        struct cpv_op_kv_write kv_write;
        struct cpv_op_l2norm l2norm;
        struct cpv_op_layernorm layernorm;
        struct cpv_op_linear linear;
        struct cpv_op_mean mean;
        struct cpv_op_patches patches;
        struct cpv_op_positions positions;
        struct cpv_op_scale scale;
        struct cpv_op_segment segment;
        struct cpv_op_similarity similarity;
        struct cpv_op_softmax softmax;
        struct cpv_op_squares squares;
        struct cpv_op_tokens tokens;
        struct cpv_op_topk topk;
        struct cpv_op_unary unary;
    };
};

/* ---- what is where in them: for the tape, messages and tests ---- */

typedef enum cpv_role { CPV_ROLE_IN, CPV_ROLE_OUT } cpv_role;

struct cpv_operand {
    const char *name;
    cpv_role role;
    size_t offset; /* of the cpv_tensor, in struct cpv_op */
};

enum { CPV_OP_OPERANDS = 6 };

struct cpv_op_info {
    const char *name;
    struct cpv_operand operand[CPV_OP_OPERANDS]; /* those after the last have no name */
    size_t weight[2]; /* offsets of const cpv_weight *; 0: none */
};

const struct cpv_op_info *cpv_op_info(cpv_op_kind kind);
cpv_tensor *cpv_op_operand(struct cpv_op *op, const struct cpv_operand *o);
/* Is this operand of a gradient, by its place in the info, to be written? */
static inline bool cpv_op_fresh(const struct cpv_op *grad, int operand)
{
    return grad->fresh >> operand & 1u;
}
/* "x [50, 256], residual [50, 192] against 'fc1' [192, 64]", cut to size.
 */
void cpv_op_print(const struct cpv_op *op, char *to, size_t size);

#ifdef __cplusplus
}
#endif
#endif
