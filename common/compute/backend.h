/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a place to compute must supply, and what the front door keeps about devices,
 * contexts, weights and caches. Included by common/compute and its tests; nobody else.
 *
 * Every operation that reaches a backend has been checked, once, in the front door:
 * shapes agree, dtypes are those that the backend declared, no tensor that must be there
 * is missing, none is empty (rows and columns are at least 1). A backend may assert this;
 * it must not test it again.
 *
 * An operation queues work and returns CPV_OK, or fills err and returns its code. It
 * never prints and never waits. Memory beyond its operands is `scratch`, of the size that
 * scratch() told for the very same operation, aligned to CPV_ALIGN; the next operation
 * reuses it (on a stream: in order).
 */
#ifndef CPV_COMPUTE_BACKEND_H
#define CPV_COMPUTE_BACKEND_H

#include "common/base/arena.h"
#include "common/compute/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of every tensor, weight and scratch area; bytes. cuBLASLt wants no more than 256. */
enum { CPV_ALIGN = 256 };

struct cpv_backend {
    const char *name;
    unsigned weights; /* dtypes that matrices may have: bits 1 << cpv_dtype */
    unsigned values;  /* and activations */
    bool keeps_rows;  /* row invariance: design of compute.h */
    bool blind;       /* no data anywhere: addresses are only counted */
    bool lora_x;      /* LINEAR knows of a pair's own input, */
    bool drops;       /* ATTENTION of dropout; both ways */
    uint64_t fresh;   /* whose gradients it writes where told so: bits 1 << kind */

    /* Life: what they make is in the `impl` of its owner. close accepts a NULL impl. */
    int (*device_open)(cpv_device *d, const struct cpv_device_params *params,
                       struct cpv_err *err);
    void (*device_close)(cpv_device *d);
    int (*compute_open)(cpv_compute *c, const struct cpv_compute_params *params,
                        struct cpv_err *err);
    void (*compute_close)(cpv_compute *c);

    /* Device memory aligned to CPV_ALIGN, for arenas, caches, gradients; not cleared. */
    int (*alloc)(cpv_device *d, size_t size, void **out, struct cpv_err *err);
    void (*free)(cpv_device *d, void *mem);
    /* Copy from the host to such memory, at once; from NULL: zeros. */
    int (*write)(cpv_device *d, void *to, const void *from, size_t size,
                 struct cpv_err *err);

    /*
     * Fill w->impl from the sources, with cpv_source_rows; w->param is filled already.
     * Norms and biases are kept as f32. weight_bytes is a function of shapes and uses.
     */
    size_t (*weight_bytes)(const cpv_device *d, const cpv_weight *w);
    int (*weight_pack)(cpv_device *d, cpv_weight *w,
                       const struct cpv_weight_params *params, struct cpv_err *err);
    void (*weight_free)(cpv_device *d, cpv_weight *w);
    int (*weight_refresh)(cpv_compute *c, cpv_weight *w, struct cpv_err *err);

    /* Copies of rows; converted where the host's side is f32 and the device's is not. The
     * host's memory is free again when they return; copy_out waits. */
    int (*copy_in)(cpv_compute *c, cpv_tensor to, const void *from, struct cpv_err *err);
    int (*copy_out)(cpv_compute *c, void *to, cpv_tensor from, struct cpv_err *err);
    int (*sync)(cpv_compute *c, struct cpv_err *err);

    /* Functions of shapes and c->threads alone: the dry device asks them too. */
    size_t (*scratch)(const cpv_compute *c, const struct cpv_op *op);
    size_t (*scratch_back)(const cpv_compute *c, const struct cpv_op *op,
                           const struct cpv_op *grad);

    /* By kind; NULL: not there (yet), an error that says so. */
    int (*run[CPV_OP_COUNT])(cpv_compute *c, const struct cpv_op *op, void *scratch,
                             struct cpv_err *err);
    int (*back[CPV_OP_COUNT])(cpv_compute *c, const struct cpv_op *op,
                              const struct cpv_op *grad, void *scratch,
                              struct cpv_err *err);
};

extern const struct cpv_backend cpv_backend_ref; /* plain C: the meaning */
extern const struct cpv_backend cpv_backend_cpu;
extern const struct cpv_backend cpv_backend_cuda; /* or cuda/stubs.c */
extern const struct cpv_backend cpv_backend_dry;

/* ---- kept by the front door ---- */

struct cpv_device {
    const struct cpv_backend *backend;
    const struct cpv_backend
        *like; /* dry: whose scratch sizes; else the backend itself */
    char name[32];
    cpv_dtype weights, values;
    void *impl; /* the backend's */
};

struct cpv_weight {
    cpv_device *device;
    char *name;
    int64_t out, in;
    unsigned use, train;
    bool has_bias;
    bool borrowed; /* a table that may be read where its plain array lies */
    int lora_rank;
    float lora_scale;
    size_t bytes;
    cpv_tensor param[CPV_PARAM_COUNT]; /* f32 masters of what is trained */
    cpv_tensor grad[CPV_PARAM_COUNT];
    void *impl; /* the backend's */
};

struct cpv_kv {
    cpv_device *device;
    struct cpv_kv_params p;
    void *mem;        /* one block: table, lengths, then keys and values layer by layer */
    int32_t *table;   /* device, [slots, capacity]: who wrote the position */
    int32_t *length;  /* device, [slots] */
    int32_t *on_host; /* [slots]: the same lengths */
    size_t bytes;
    cpv_slots last_slots; /* of the last extend */
    cpv_tensor last_positions;
    cpv_rows last_rows;
};

/* Rows first ... first + n - 1 of `cols` values of a source. */
CPV_MUST_CHECK int cpv_source_rows(const struct cpv_source *s, int64_t cols,
                                   int64_t first, int64_t n, float *to,
                                   struct cpv_err *err);

/* Keys (which 0) or values (which 1) of a layer: [slots * capacity, width]. */
cpv_tensor cpv_kv_layer(const cpv_kv *kv, int layer, int which);

struct cpv_tape; /* tape.c */

struct cpv_compute {
    cpv_device *device;
    char *base;  /* of the arena; on a blind backend an address that nobody may touch */
    void *block; /* what alloc gave */
    size_t size, used, peak;
    struct cpv_err err; /* the first */
    struct cpv_tape *tape;
    cpv_arena *host; /* offsets and slots: as long-lived as what they belong to */
    int threads;
    void *impl; /* the backend's */
};

/* ---- within the front door ---- */

/* rows * cols from the arena, stride = cols; no tensor after a failure. */
cpv_tensor cpv_compute_alloc(cpv_compute *c, int64_t rows, int64_t cols, cpv_dtype dtype);
/* Execute and record; a failure of the backend sticks. */
void cpv_compute_run(cpv_compute *c, struct cpv_op *op);
/* "op: what is wrong" with all operands of op: sticks if it is the first. */
void cpv_compute_refuse(cpv_compute *c, const struct cpv_op *op, const char *fmt, ...)
    CPV_PRINTF(3, 4);
/* Would the tape record this, if it is running? */
bool cpv_tape_runs(const cpv_compute *c);
/* The same, and no tape sees it. */
void cpv_compute_run_aside(cpv_compute *c, struct cpv_op *op);
/* The end of packed attention: what is left to check, the output, the run. */
cpv_tensor cpv_attention_packed(cpv_compute *c, struct cpv_op *op,
                                struct cpv_heads heads);
/* Is w there, of c's device, made for this use, of these sizes (0: any)? */
bool cpv_weight_fits(cpv_compute *c, const struct cpv_op *op, const cpv_weight *w,
                     unsigned use, int64_t out, int64_t in);

void cpv_tape_record(cpv_compute *c, struct cpv_op *op);
void cpv_tape_close(cpv_compute *c);

#ifdef __cplusplus
}
#endif
#endif
