/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What models call: one function per operation, the same on every device.
 *
 *     cpv_device_open                          a place: ref, cpu, cuda, dry
 *       cpv_weight_create ...                  weight.h
 *       cpv_compute_open                       a queue of work with an arena; one thread
 *         mark; put, operations, get; rewind   a batch
 *       cpv_compute_close
 *     cpv_device_close
 *
 * Operations return views by value and cannot fail: the first that is given something
 * wrong, or finds no memory, stores the error in the context, with its name and all
 * shapes; later ones return empty tensors at once, and cpv_compute_sync reports. So a
 * model is straight lines without checks. On a GPU an operation only queues work; nothing
 * waits before cpv_get or cpv_compute_sync.
 *
 * Each row of a result is computed from that row's inputs alone, in an order of sums that
 * is fixed when the weight is loaded: to the bit the same in any batch, for any number of
 * threads. Where a backend cannot promise that, cpv_device_keeps_rows says so.
 *
 * Memory: every result comes from the context's arena, of fixed size. The "dry" device
 * runs the same model code on shapes alone; cpv_compute_peak then is the size to ask for.
 */
#ifndef CPV_COMPUTE_COMPUTE_H
#define CPV_COMPUTE_COMPUTE_H

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/compute/kv.h"
#include "common/compute/tensor.h"
#include "common/compute/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_compute cpv_compute;

/* ---- devices ---- */

struct cpv_device_params {
    /* "ref": plain C, the meaning; "cpu"; "cuda" or "cuda:N"; "dry": shapes only; "auto":
     * cuda if there is a working GPU, else cpu. NULL: auto. */
    const char *name;
    cpv_dtype weights; /* of matrices: F32 (default), I8 (cpu, ref), BF16 or F16 (cuda) */
    cpv_dtype values;  /* of activations: F32 (default); BF16 or F16 on cuda */
    const char *like;  /* dry: whose memory is to be foretold; "cpu" by default */
    const char *isa;   /* cpu: at most this level, "base", "v3", "v4"; NULL: the best */
};

/* CPV_E_ABSENT if there is no such device; CPV_E_USAGE for a dtype it does not have. */
CPV_MUST_CHECK int cpv_device_open(cpv_device **out,
                                   const struct cpv_device_params *params,
                                   struct cpv_err *err);
void cpv_device_close(cpv_device **device);            /* after all that was made on it */
const char *cpv_device_name(const cpv_device *device); /* "cpu", "cuda:0", ... */
bool cpv_device_keeps_rows(const cpv_device *device);
/* The dtypes it was opened with: what a dry one like it is to be opened with. */
void cpv_device_traits(const cpv_device *device, cpv_dtype *weights, cpv_dtype *values);

/* ---- contexts ---- */

struct cpv_compute_params {
    size_t arena; /* bytes for activations; dry: 0 is endless */
    int threads;  /* cpu: that work on one operation; 0: 1. Never changes a bit */
};

CPV_MUST_CHECK int cpv_compute_open(cpv_compute **out, cpv_device *device,
                                    const struct cpv_compute_params *params,
                                    struct cpv_err *err);
void cpv_compute_close(cpv_compute **c);
cpv_device *cpv_compute_device(const cpv_compute *c);

struct cpv_compute_mark {
    size_t used;
    struct cpv_arena_mark host; /* offsets and the like, on the host */
};
struct cpv_compute_mark cpv_compute_mark(const cpv_compute *c);
/* Everything made after the mark is gone. Does not wait. */
void cpv_compute_rewind(cpv_compute *c, struct cpv_compute_mark mark);
/*
 * The same, but x stays: it is copied to where the mark was. So that a layer leaves
 * nothing but its output behind, and the next finds its memory warm. While a tape runs
 * all stays.
 */
cpv_tensor cpv_compute_keep(cpv_compute *c, struct cpv_compute_mark mark, cpv_tensor x);
size_t cpv_compute_peak(const cpv_compute *c); /* most bytes of the arena ever in use */

/* Wait for all that was queued, and report the first error, which is then forgotten. */
CPV_MUST_CHECK int cpv_compute_sync(cpv_compute *c, struct cpv_err *err);
/* Has something failed already? Not that what is queued will not. */
bool cpv_compute_failed(const cpv_compute *c);
/* A caller's own finding, in the way of operations: stored if it is the first. */
void cpv_compute_fail(cpv_compute *c, int code, const char *fmt, ...) CPV_PRINTF(3, 4);

/* ---- in and out ---- */

/* rows * cols values, copied; converted to the device's dtype of activations. */
cpv_tensor cpv_put(cpv_compute *c, int64_t rows, int64_t cols, const float *from);
cpv_tensor cpv_put_i32(cpv_compute *c, int64_t rows, int64_t cols, const int32_t *from);
/* New values for all of an f32 tensor that is there; not recorded. */
void cpv_set(cpv_compute *c, cpv_tensor t, const float *from);
/* Sequences of these lengths, one after another; length 0 is allowed. */
cpv_rows cpv_rows_put(cpv_compute *c, const int32_t *length, int32_t count);
cpv_rows cpv_rows_equal(cpv_compute *c, int32_t length, int32_t count);

/* Wait, and copy to the host, converted. False, and nothing written, after a failure. */
bool cpv_get(cpv_compute *c, cpv_tensor t, float *to);
bool cpv_get_i32(cpv_compute *c, cpv_tensor t, int32_t *to);

/* ---- operations ---- */

typedef enum cpv_unary_kind {
    CPV_IDENTITY,
    CPV_RELU,
    CPV_GELU,       /* x * Phi(x), by erf */
    CPV_GELU_TANH,  /* the approximation by tanh */
    CPV_QUICK_GELU, /* x * sigmoid(1.702 x) */
    CPV_SILU,       /* x * sigmoid(x), also called swish */
    CPV_TANH,
    CPV_EXP,
    CPV_UNARY_COUNT
} cpv_unary_kind;

/* act(x W^T + b); x [n, in] -> [n, out]. A LoRA pair adds scale * (x A^T) B^T before act.
 */
cpv_tensor cpv_linear(cpv_compute *c, cpv_tensor x, const cpv_weight *w,
                      cpv_unary_kind act);
/* x W^T + b + residual */
cpv_tensor cpv_linear_add(cpv_compute *c, cpv_tensor x, const cpv_weight *w,
                          cpv_tensor residual);
/* The same product, in f32 whatever the dtype of activations: scores to choose from. */
cpv_tensor cpv_logits(cpv_compute *c, cpv_tensor x, const cpv_weight *w);

/* (x - mean) / sqrt(var + eps) * gain + bias, over the channels; var as of a population.
 */
cpv_tensor cpv_layernorm(cpv_compute *c, cpv_tensor x, const cpv_weight *w, float eps);
cpv_tensor cpv_unary(cpv_compute *c, cpv_tensor x, cpv_unary_kind kind);
cpv_tensor cpv_add(cpv_compute *c, cpv_tensor a, cpv_tensor b);
cpv_tensor cpv_softmax(cpv_compute *c, cpv_tensor x);
/* x / max(|x|, eps) a row. eps: 1e-12 is PyTorch's. */
cpv_tensor cpv_l2norm(cpv_compute *c, cpv_tensor x, float eps);
/* scale * a b^T in f32: [n, d] and [m, d] -> [n, m]. */
cpv_tensor cpv_similarity(cpv_compute *c, cpv_tensor a, cpv_tensor b, float scale);
/* Rows of x by number: index i32 [n, 1], unchecked on the device. */
cpv_tensor cpv_gather(cpv_compute *c, cpv_tensor x, cpv_tensor index);

/*
 * table[ids] * scale + positions[at]. ids i32 [n, 1]; positions may be NULL; at i32 [n,
 * 1], each plus `offset` (OPT: 2). An id or position outside its table makes a row of
 * NaN.
 */
cpv_tensor cpv_embed(cpv_compute *c, cpv_tensor ids, const cpv_weight *table, float scale,
                     const cpv_weight *positions, cpv_tensor at, int32_t offset);
/* 0, 1, 2, ... in every sequence: i32 [rows.total, 1]. */
cpv_tensor cpv_positions(cpv_compute *c, cpv_rows rows);

/*
 * Pixels [n, channels * size * size], planes one after another, become n sequences of
 * tokens: first the class token (if any), then a projection of each patch, row by row of
 * the image; plus positions [tokens, h] (may be NULL). `projection` is [h, channels *
 * patch * patch]: a convolution's weight as it is stored.
 */
struct cpv_patches {
    int channels, size, patch; /* size: a multiple of patch, both sides */
    const cpv_weight *projection, *class_token, *positions;
};
cpv_tensor cpv_patch_embed(cpv_compute *c, cpv_tensor pixels,
                           const struct cpv_patches *p);

/*
 * softmax(scale q k^T) v for each head: q [n, heads * d], k and v [m, heads * d], of one
 * stride: two products, or column ranges of a fused one. d: 1 ... 256. scale 0: d^-0.5. A
 * sequence that has no keys gets zeros.
 */
struct cpv_heads {
    int count;
    float scale;
    bool causal; /* the last query of a sequence sees all its keys, the one before one
                    less */
};
/* Each sequence of rows looks at itself. */
cpv_tensor cpv_self_attention(cpv_compute *c, cpv_tensor q, cpv_tensor k, cpv_tensor v,
                              cpv_rows rows, struct cpv_heads heads);
/* Sequence i of q looks at sequence source[i] (i32, NULL data: i) of keys. */
cpv_tensor cpv_cross_attention(cpv_compute *c, cpv_tensor q, cpv_rows rows, cpv_tensor k,
                               cpv_tensor v, cpv_rows kv_rows, cpv_tensor source,
                               struct cpv_heads heads);
/* Sequence i of q looks at slot i of `slots` (which may repeat), at all it holds. */
cpv_tensor cpv_attend(cpv_compute *c, cpv_tensor q, cpv_rows rows, const cpv_kv *kv,
                      int layer, cpv_slots slots, struct cpv_heads heads);

/* The index of the largest of each row, i32 [n, 1]: the lowest of equals. A NaN never
 * wins over a number. */
cpv_tensor cpv_argmax(cpv_compute *c, cpv_tensor x);
/*
 * The k largest of each row, falling, lower index first among equals, and the log of the
 * row's sum of exponentials. k: 1 ... CPV_TOPK_MAX and no more than columns. A NaN is
 * never among them: where there are fewer numbers, -Inf at index -1 follows; the sum is
 * NaN then.
 */
enum { CPV_TOPK_MAX = 256 };
struct cpv_top {
    cpv_tensor ids;    /* i32 [n, k] */
    cpv_tensor values; /* f32 [n, k] */
    cpv_tensor lse;    /* f32 [n, 1] */
};
struct cpv_top cpv_topk(cpv_compute *c, cpv_tensor x, int k);

#ifdef __cplusplus
}
#endif
#endif
