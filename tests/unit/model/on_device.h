/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of models on a device share: the device, sequences of ids, and files of
 * tests/golden/MODEL, made by tests/fixtures/make_MODEL.py.
 */
#ifndef CPV_TESTS_UNIT_MODEL_ON_DEVICE_H
#define CPV_TESTS_UNIT_MODEL_ON_DEVICE_H

#include <fnmatch.h>
#include <math.h>

#include "common/compute/compute.h"
#include "tests/unit/base/unit.h"

enum { IDS = 64 };

struct sequence {
    int32_t id[IDS];
    int n;
    float score;
};

static const char *golden; /* the folder */
static cpv_device *device;
static bool int8;
static struct cpv_err err;

/* The ids at `at`; what stands behind them. */
static inline char *numbers(char *at, struct sequence *s)
{
    char *end;

    for (s->n = 0;; at = end) {
        long x = strtol(at, &end, 10);

        if (end == at)
            return at;
        assert_true(s->n < IDS);
        s->id[s->n++] = (int32_t)x;
    }
}

static inline FILE *open_golden(const char *model, const char *name, const char *file)
{
    char path[4096];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s/%s/%s", golden, model, name, file);
    f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is not there", path);
    return f;
}

/* Does the filter leave any test? One that leaves none is no test passed. */
static inline bool leaves_some(const char *filter, const struct CMUnitTest *tests,
                               size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fnmatch(filter, tests[i].name, 0) == 0)
            return true;
    (void)fprintf(stderr, "no test is called '%s'\n", filter);
    return false;
}

/* On the device that the arguments name: DEVICE [int8 | FILTER]. The status: 77 without
 * that device. */
static inline int run_on_device(int argc, char **argv, const struct CMUnitTest *tests,
                                size_t n)
{
    struct cpv_device_params params = {.name = argc > 1 ? argv[1] : "cpu"};
    int rc;

    golden = getenv("CAPIVARA_TEST_GOLDEN");
    if (!golden)
        golden = "tests/golden";
    int8 = argc > 2 && strcmp(argv[2], "int8") == 0;
    if (argc > 2 && !int8) {
        if (!leaves_some(argv[2], tests, n))
            return 1;
        cmocka_set_test_filter(argv[2]);
    }
    params.weights = int8 ? CPV_I8 : CPV_F32;
    rc = cpv_device_open(&device, &params, &err);
    if (rc == CPV_E_ABSENT)
        return 77;
    if (rc) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    rc = _cmocka_run_group_tests("model", tests, n, enter_scratch, leave_scratch);
    cpv_device_close(&device);
    return rc;
}

#endif
