/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places that a test program is told to run on: "ref", "cpu", "cpu:base", "cpu:v3",
 * "cpu:v4", "cuda", "cuda:N", "dry:cpu" and the like.
 *
 *     place_open ... place_context ... place_close
 */
#ifndef CPV_TESTS_COMPUTE_PLACE_H
#define CPV_TESTS_COMPUTE_PLACE_H

#include "common/compute/backend.h"

enum { PLACE_SKIP = 77, PLACE_CONTEXTS = 3 };

struct place {
    char text[48];   /* "cpu:v3 i8/f32" */
    const char *isa; /* asked for; NULL: the best */
    cpv_device *device;
    cpv_compute *context[PLACE_CONTEXTS]; /* by number of threads: 1, 2, 7 */
};

/* Pairs of dtypes that any backend may have: weights, values. Ends with COUNT. */
struct place_dtypes {
    cpv_dtype weights, values;
};
extern const struct place_dtypes place_dtypes[];

/*
 * CPV_OK; PLACE_SKIP where this machine has no such device, or the device no such dtypes;
 * else it is a failure, already printed.
 */
int place_open(struct place *p, const char *arg, struct place_dtypes dtypes);
/* The dry device that is like p. */
int place_open_dry(struct place *dry, const struct place *p, struct place_dtypes dtypes);
void place_close(struct place *p);

/* A context of this place; which: 0, 1, 2 for 1, 2, 7 threads. Fails the test. */
cpv_compute *place_context(struct place *p, int which);
int place_threads(int which);

/* Does its backend have all of these? An end with CPV_OP_COUNT. */
bool place_has(const struct place *p, const cpv_op_kind *needs);
bool place_has_back(const struct place *p, const cpv_op_kind *needs);

/* The exit status of a program: failed, else 77 if anything was skipped, else 0. */
int place_status(int failed, int skipped, int ran);

#endif
