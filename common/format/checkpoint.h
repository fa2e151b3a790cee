/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints as others publish them, read without executing anything: safetensors
 * (one file, or shards with an index), PyTorch's zip form and its legacy form
 * (`.bin`, `.pt`, `.ckpt`), single or with an index.
 *
 *     open (a model's folder, a file, or an index that ends in .json)
 *     find, need, or at(0 .. count - 1)      views, valid until close
 *     rows_f32, or the bytes themselves; release after packing
 *     close
 *
 * In a folder the first of these is taken, so safetensors before pickles:
 *
 *     model.safetensors   model.safetensors.index.json
 *     open_clip_model.safetensors   open_clip_pytorch_model.safetensors
 *     pytorch_model.bin   pytorch_model.bin.index.json   open_clip_pytorch_model.bin
 *
 * What a file is, is told by its first bytes, not by its name. Of a pickle whose root
 * is a dict with "state_dict" (PyTorch Lightning) that dict is taken, else the root.
 * Names stay as they are, prefixes too. Values that are plain data (numbers, texts,
 * dicts) are passed over. A global that is not in the white list of torch_file.c is
 * never imported: it is inert, and an error, by name, only if a tensor or the state
 * dict itself would have to be made by it.
 *
 * Memory: files are mapped, read-only; tensors are views of the mapping. What is
 * allocated is a table of names and shapes, at most some 100 bytes for each byte of the
 * pickle or JSON header and never more than 1 GiB. A file that another process shortens
 * while it is mapped ends the process by SIGBUS, as every mapping does.
 *
 * A handle may be read by several threads at a time (release too); open and close are
 * one thread's. Errors: CPV_E_INPUT with file, tensor and what was expected;
 * CPV_E_ABSENT if there is no file; CPV_E_IO, CPV_E_MEMORY.
 *
 * Sources: huggingface/safetensors README "Format"; torch/serialization.py (_save,
 * _legacy_save); PKWARE APPNOTE 6.3.9; CPython Lib/pickletools.py.
 */
#ifndef CPV_FORMAT_CHECKPOINT_H
#define CPV_FORMAT_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_checkpoint cpv_checkpoint;

/* Element types as stored, little-endian. */
typedef enum cpv_ckpt_dtype {
    CPV_CKPT_F32,
    CPV_CKPT_F16,
    CPV_CKPT_BF16,
    CPV_CKPT_F64,
    CPV_CKPT_I64,
    CPV_CKPT_I32,
    CPV_CKPT_I16,
    CPV_CKPT_I8,
    CPV_CKPT_U8,
    CPV_CKPT_BOOL /* one byte, 0 or 1 */
} cpv_ckpt_dtype;

#define CPV_CKPT_RANK_MAX 8
#define CPV_CKPT_ANY                                                                     \
    UINT64_MAX /* cpv_checkpoint_need: this dimension may be anything                    \
                */

/*
 * Element (i0, i1, ...) is at `data` + (i0 * stride[0] + i1 * stride[1] + ...) * size of
 * an element. All such addresses were checked to lie in the mapping. `data` may be
 * aligned to nothing: legacy files and some safetensors are so. Strides are not
 * negative. `storage` is where the storage that holds the tensor begins: tensors with
 * the same storage share memory (see cpv_checkpoint_tied).
 */
struct cpv_ckpt_tensor {
    const char *name;
    cpv_ckpt_dtype dtype;
    uint32_t rank;                      /* 0: one element */
    uint64_t dim[CPV_CKPT_RANK_MAX];    /* 0 occurs: an empty tensor; beyond rank: 1 */
    uint64_t stride[CPV_CKPT_RANK_MAX]; /* in elements */
    bool contiguous;                    /* row-major without gaps */
    uint32_t file;                      /* which: cpv_checkpoint_file */
    uint64_t elements;                  /* the product of dim */
    uint64_t bytes;                     /* from the first to behind the last element */
    const uint8_t *data;
    const uint8_t *storage;
};

CPV_MUST_CHECK int cpv_checkpoint_open(cpv_checkpoint **out, const char *path,
                                       struct cpv_err *err);
void cpv_checkpoint_close(cpv_checkpoint **c);

/* The file or index that was taken, and the files that hold tensors. */
const char *cpv_checkpoint_path(const cpv_checkpoint *c);
size_t cpv_checkpoint_files(const cpv_checkpoint *c);
const char *cpv_checkpoint_file(const cpv_checkpoint *c, size_t i);
/* "safetensors", "torch zip" or "torch legacy". */
const char *cpv_checkpoint_format(const cpv_checkpoint *c);

/* Tensors by name, in the order of strcmp. */
size_t cpv_checkpoint_count(const cpv_checkpoint *c);
const struct cpv_ckpt_tensor *cpv_checkpoint_at(const cpv_checkpoint *c, size_t i);
const struct cpv_ckpt_tensor *cpv_checkpoint_find(const cpv_checkpoint *c,
                                                  const char *name); /* NULL: none */
/*
 * The same for one that must be there with this shape: *out, or CPV_E_INPUT with file,
 * name and both shapes.
 */
CPV_MUST_CHECK int cpv_checkpoint_need(const cpv_checkpoint *c, const char *name,
                                       uint32_t rank, const uint64_t *dim,
                                       const struct cpv_ckpt_tensor **out,
                                       struct cpv_err *err);

/* One and the same tensor under two names: storage, place, type and shape. */
bool cpv_checkpoint_tied(const struct cpv_ckpt_tensor *a,
                         const struct cpv_ckpt_tensor *b);

size_t cpv_ckpt_dtype_size(cpv_ckpt_dtype t);      /* bytes of an element */
const char *cpv_ckpt_dtype_name(cpv_ckpt_dtype t); /* "f32", "bf16", "i64", "bool" */
/* "[3, 4]", "[]"; cut short rather than overflowing. Returns `to`. */
char *cpv_ckpt_shape(char *to, size_t size, uint32_t rank, const uint64_t *dim);

/*
 * Rows row0 .. row0 + n - 1 (indices of the first dimension; a tensor of rank 0 is one
 * row) as f32, row-major, into out[n * elements / dim[0]]. f32, f16 and bf16 exactly
 * (subnormals, infinities; a NaN stays one), f64 rounded to nearest, beyond the range
 * to infinity. CPV_E_INPUT for types that are not floating. Rows beyond the tensor are
 * our own mistake (CPV_E_BUG).
 */
CPV_MUST_CHECK int cpv_checkpoint_rows_f32(const struct cpv_ckpt_tensor *t, uint64_t row0,
                                           uint64_t n, float *out, struct cpv_err *err);

/*
 * The pages that lie wholly inside the tensor may go: they no longer count as this
 * process's memory. Its bytes stay readable (and come back from the file when read), so
 * a tied tensor loses nothing.
 */
void cpv_checkpoint_release(const cpv_checkpoint *c, const struct cpv_ckpt_tensor *t);

#ifdef __cplusplus
}
#endif
#endif
