/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays of real numbers as numpy saves them (.npy): float16 and float32, of one or two
 * dimensions, in C order.
 *
 *     "\x93NUMPY" | u8 major | u8 minor | u16 n (u32 from major 2 on) | n bytes | data
 *
 * all little endian. The n bytes are a dictionary as Python prints it, filled up with
 * blanks to a multiple of 64 bytes from the file's start, with a line feed at its end:
 *
 *     {'descr': '<f2', 'fortran_order': False, 'shape': (1, 512), }
 *
 * Written is what numpy.save writes, to the byte (numpy/lib/format.py, version 1.0; it
 * leaves 21 places for the first number of the shape, so that arrays can grow in place).
 * Read are versions 1 to 3, keys in any order, blanks anywhere between them; what an
 * array file may hold besides (other types, objects, Fortran order) is refused by name.
 */
#ifndef CPV_FORMAT_NPY_H
#define CPV_FORMAT_NPY_H

#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/format/half.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cpv_npy_type { CPV_NPY_F16, CPV_NPY_F32 };

struct cpv_npy {
    enum cpv_npy_type type;
    int dims;              /* as the file has it: 1 or 2 */
    uint64_t rows, cols;   /* of one dimension: 1 row */
    struct cpv_bytes data; /* rows * cols elements; a view, aligned to nothing */
};

/* `file`: the whole of it; `name` is for messages, which are CPV_E_INPUT. Nothing may
 * follow the data. */
CPV_MUST_CHECK int cpv_npy_read(struct cpv_bytes file, const char *name,
                                struct cpv_npy *out, struct cpv_err *err);
/* All elements, exactly: out[rows * cols]. */
void cpv_npy_values(const struct cpv_npy *a, float *out);

/* A float16 array [rows, cols], appended; each number rounded to the nearest, ties to
 * even. */
void cpv_npy_write_f16(struct cpv_buf *out, const float *values, uint64_t rows,
                       uint64_t cols);

#ifdef __cplusplus
}
#endif
#endif
