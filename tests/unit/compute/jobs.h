/* SPDX-License-Identifier: Apache-2.0 */
/* The programs that run all operations on one device: a test for each of them. */
#ifndef CPV_TESTS_COMPUTE_JOBS_H
#define CPV_TESTS_COMPUTE_JOBS_H

#include "tests/unit/compute/ops.h"

/* The state of one test. */
struct job {
    const struct op_case *op;
    struct place *place, *ref; /* ref: with 8-bit weights if place has them; NULL: none */
    struct place *dry;         /* like place */
    struct place_dtypes dtypes;
    char name[128];
};

/*
 * PROGRAM DEVICE [OPERATION]: `run` for every operation and pair of dtypes. What the
 * device lacks is skipped, by name; the exit status is then 77 if nothing failed.
 * rows: devices that do not keep rows apart are skipped.
 */
int jobs_main(int argc, char **argv, void (*run)(void **state), bool rows);

#endif
