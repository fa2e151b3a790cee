/* SPDX-License-Identifier: Apache-2.0 */
/* Files of tests/fixtures/make_compute.py: named arrays that PyTorch made. */
#ifndef CPV_TESTS_COMPUTE_DUMP_H
#define CPV_TESTS_COMPUTE_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DUMP_RECORDS = 1024 };

struct record {
    char name[48];
    int64_t rows, cols;
    const float *f; /* one of the two, within the bytes */
    const int32_t *i;
};

struct dump {
    void *bytes;
    struct record record[DUMP_RECORDS];
    int count;
};

/* False, and said on standard output, if the file is absent or not whole. */
bool dump_open(struct dump *d, const char *path);
void dump_close(struct dump *d);

/* "OPERATION.NUMBER.OPERAND"; NULL: not there. */
const struct record *dump_find(const struct dump *d, const char *op, int number,
                               const char *operand);

#endif
