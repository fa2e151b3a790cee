/* SPDX-License-Identifier: Apache-2.0 */
/* jobs.h */
#include "tests/unit/base/unit.h"

#include "tests/unit/compute/jobs.h"

enum { MOST = 64 };

struct program {
    const char *device, *only; /* only: one operation, or NULL */
    void (*run)(void **state);
    bool rows;
    int skipped, ran, failed;
};

static bool is_wanted(struct program *p, struct place *at, const struct op_case *op,
                      bool again)
{
    if (p->only && strcmp(op->name, p->only) != 0)
        return false;
    if (again && op->floats_only) /* the weights' dtype is nothing to it */
        return false;
    if (place_has(at, op->needs))
        return true;
    (void)printf("%s %s: skipped, the device does not have it\n", at->text, op->name);
    p->skipped++;
    return false;
}

/* All operations with one pair of dtypes, as one group of tests. */
static void run_place(struct program *p, struct place *at, struct place *ref,
                      struct place_dtypes dtypes, bool again)
{
    struct place dry;
    struct CMUnitTest tests[MOST] = {{0}};
    struct job jobs[MOST] = {{0}};
    const struct op_case *op;
    size_t n = 0;

    if (place_open_dry(&dry, at, dtypes) != CPV_OK) {
        p->failed++;
        return;
    }
    for (int i = 0; ops_at(i, &op); i++) {
        if (!is_wanted(p, at, op, again))
            continue;
        jobs[n] = (struct job){
            .op = op, .place = at, .ref = ref, .dry = &dry, .dtypes = dtypes};
        (void)snprintf(jobs[n].name, sizeof jobs[n].name, "%s %s", at->text, op->name);
        tests[n].name = jobs[n].name;
        tests[n].test_func = p->run;
        tests[n].initial_state = &jobs[n];
        n++;
    }
    p->ran += (int)n;
    if (n > 0)
        p->failed += _cmocka_run_group_tests(at->text, tests, n, NULL, NULL);
    place_close(&dry);
}

static void run_dtypes(struct program *p, struct place_dtypes dtypes, bool again)
{
    struct place_dtypes plain = {dtypes.weights == CPV_I8 ? CPV_I8 : CPV_F32, CPV_F32};
    struct place at, ref = {.device = NULL};
    int rc = place_open(&at, p->device, dtypes);

    if (rc == PLACE_SKIP)
        return;
    if (rc == CPV_OK && p->rows && !cpv_device_keeps_rows(at.device)) {
        (void)printf("%s: skipped, it does not keep rows apart\n", at.text);
        p->skipped++;
    } else if (rc != CPV_OK) {
        p->failed++;
    } else if (strcmp(cpv_device_name(at.device), "ref") == 0) {
        run_place(p, &at, NULL, dtypes, again);
    } else if (place_open(&ref, "ref", plain) == CPV_OK) {
        run_place(p, &at, &ref, dtypes, again);
    } else {
        p->failed++;
    }
    place_close(&ref);
    place_close(&at);
}

int jobs_main(int argc, char **argv, void (*run)(void **state), bool rows)
{
    struct program p = {.run = run, .rows = rows};

    if (argc < 2) {
        (void)fprintf(stderr, "expected: DEVICE [OPERATION]\n");
        return 2;
    }
    p.device = argv[1];
    p.only = argc > 2 ? argv[2] : NULL;
    for (int i = 0; place_dtypes[i].weights != CPV_DTYPE_COUNT; i++) {
        bool again = false;

        for (int k = 0; k < i; k++)
            again = again || place_dtypes[k].values == place_dtypes[i].values;
        run_dtypes(&p, place_dtypes[i], again);
    }
    return place_status(p.failed, p.skipped, p.ran);
}
