/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded inputs, one kind for each way in which an operation may go wrong. */
#ifndef CPV_TESTS_COMPUTE_INPUTS_H
#define CPV_TESTS_COMPUTE_INPUTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/compute/tensor.h"

enum input_kind {
    INPUT_NORMAL,
    INPUT_TINY,        /* squares underflow */
    INPUT_HUGE,        /* squares are near the end of the range, exponentials beyond */
    INPUT_ZEROS,       /* of both signs */
    INPUT_EQUAL,       /* no variance, all ties */
    INPUT_ALTERNATING, /* sums cancel */
    INPUT_INF,         /* every third row holds infinities of either sign */
    INPUT_NAN,         /* every third row holds NaN */
    INPUT_KINDS
};
#define INPUT_BIT(kind) (1u << (kind))
#define INPUT_FINITE    (INPUT_BIT(INPUT_INF) - 1u)
#define INPUT_ALL       (INPUT_BIT(INPUT_KINDS) - 1u)
/* Where results grow as squares or exponentials do. */
#define INPUT_MODEST (INPUT_FINITE & ~INPUT_BIT(INPUT_HUGE))

const char *input_name(enum input_kind kind);

/* rows * cols values that `dtype` can hold: (seed, stream) name them. */
void input_fill(float *to, int64_t rows, int64_t cols, enum input_kind kind,
                cpv_dtype dtype, uint64_t seed, uint32_t stream);
/* n integers of 0 ... below - 1. */
void input_ids(int32_t *to, size_t n, int32_t below, uint64_t seed, uint32_t stream);

/* The nearest value of f32, bf16 or f16, ties to even; what is too large is infinite. */
float input_round(cpv_dtype dtype, double x);
/* Half the distance from 1 to the next value: 2^-24, 2^-8, 2^-11. */
double input_unit(cpv_dtype dtype);

#endif
