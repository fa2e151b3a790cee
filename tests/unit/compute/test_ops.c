/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operation on one device against its evaluation in double, and against ref.
 *
 *     test_ops DEVICE [OPERATION]
 *
 * What the device lacks is skipped, by name; the exit status is then 77 if nothing
 * failed.
 */
#include "tests/unit/base/unit.h"

#include "tests/unit/compute/ops.h"

struct job {
    const struct op_case *op;
    struct place *place,
        *ref; /* ref: with the same dtype of weights, where it has that */
    struct place_dtypes dtypes;
    char name[128];
};

struct counts {
    int skipped, ran;
};

static void check(const struct job *j, const struct trial *t, const struct result *got,
                  const struct result *ref)
{
    char text[400];

    for (int k = 0; k < t->n_out; k++) {
        const struct answer *a = &t->out[k];
        struct tolerance tol = op_allowed(t, k, ref != NULL);
        size_t n = (size_t)(got[k].rows * got[k].cols), cols = (size_t)a->cols;
        size_t m = (size_t)(a->rows * a->cols);
        bool good;

        if (got[k].rows != a->rows || got[k].cols != a->cols)
            fail_msg("%s output %d is [%lld, %lld], expected [%lld, %lld]", j->name, k,
                     (long long)got[k].rows, (long long)got[k].cols, (long long)a->rows,
                     (long long)a->cols);
        if (a->ids)
            good = compare_i32(got[k].i, n, ref ? ref[k].i : a->ids, m, cols, text,
                               sizeof text);
        else if (ref)
            good = compare_f32(got[k].f, n, ref[k].f, m, &tol, cols, NULL, text,
                               sizeof text);
        else
            good =
                compare_f64(got[k].f, n, a->want, m, &tol, cols, NULL, text, sizeof text);
        if (!good)
            fail_msg(
                "%s of [%lld %lld %lld %lld %lld %lld], inputs %s, output %d against "
                "%s: %s",
                j->name, (long long)t->s[0], (long long)t->s[1], (long long)t->s[2],
                (long long)t->s[3], (long long)t->s[4], (long long)t->s[5],
                input_name(t->kind), k, ref ? "ref" : "f64", text);
    }
}

static void one(const struct job *j, const int64_t *shape, enum input_kind kind)
{
    struct result plain[TRIAL_OUT], views[TRIAL_OUT], ref[TRIAL_OUT];
    struct trial t;

    trial_open(&t, j->op, shape, kind, j->dtypes, 1234 + (uint64_t)kind);
    j->op->make(&t);
    trial_bind(&t, j->place);
    trial_run(&t, j->place, (struct trial_how){0}, plain);
    check(j, &t, plain, NULL);
    trial_run(&t, j->place, (struct trial_how){.views = true}, views);
    check(j, &t, views, NULL);
    if (j->ref) {
        trial_bind(&t, j->ref);
        trial_run(&t, j->ref, (struct trial_how){0}, ref);
        check(j, &t, plain, ref);
    }
    trial_close(&t);
}

static void run_job(void **state)
{
    const struct job *j = *state;

    for (int s = 0; j->op->shapes[s][0]; s++)
        for (int kind = 0; kind < INPUT_KINDS; kind++)
            if (j->op->kinds >> kind & 1u)
                one(j, j->op->shapes[s], (enum input_kind)kind);
}

/* All operations with one pair of dtypes, as one group of tests. */
static int run_place(struct place *p, struct place_dtypes dtypes, const char *only,
                     bool first, struct counts *n)
{
    struct place_dtypes plain = {dtypes.weights == CPV_I8 ? CPV_I8 : CPV_F32, CPV_F32};
    struct CMUnitTest tests[64] = {{0}};
    struct job jobs[64] = {{0}};
    const struct op_case *op;
    struct place ref;
    int count = 0, failed;
    bool is_ref = strcmp(cpv_device_name(p->device), "ref") == 0;

    if (!is_ref && place_open(&ref, "ref", plain) != CPV_OK)
        return 1;
    for (int i = 0; ops_at(i, &op); i++) {
        if (only && strcmp(op->name, only) != 0)
            continue;
        if (op->floats_only && !first) /* the weights' dtype is nothing to it */
            continue;
        if (!place_has(p, op->needs)) {
            (void)printf("%s %s: skipped, the device does not have it\n", p->text,
                         op->name);
            n->skipped++;
            continue;
        }
        jobs[count] = (struct job){
            .op = op, .place = p, .ref = is_ref ? NULL : &ref, .dtypes = dtypes};
        (void)snprintf(jobs[count].name, sizeof jobs[count].name, "%s %s", p->text,
                       op->name);
        tests[count] = (struct CMUnitTest){.name = jobs[count].name,
                                           .test_func = run_job,
                                           .initial_state = &jobs[count]};
        count++;
    }
    n->ran += count;
    failed =
        count ? _cmocka_run_group_tests(p->text, tests, (size_t)count, NULL, NULL) : 0;
    if (!is_ref)
        place_close(&ref);
    return failed;
}

int main(int argc, char **argv)
{
    struct counts n = {0};
    int failed = 0;

    if (argc < 2) {
        (void)fprintf(stderr, "test_ops DEVICE [OPERATION]\n");
        return 2;
    }
    for (int i = 0; place_dtypes[i].weights != CPV_DTYPE_COUNT; i++) {
        struct place p;
        bool first = true;
        int rc = place_open(&p, argv[1], place_dtypes[i]);

        for (int k = 0; k < i; k++)
            first = first && place_dtypes[k].values != place_dtypes[i].values;
        if (rc == PLACE_SKIP)
            continue;
        failed += rc != CPV_OK ? 1
                               : run_place(&p, place_dtypes[i], argc > 2 ? argv[2] : NULL,
                                           first, &n);
        place_close(&p);
    }
    return place_status(failed, n.skipped, n.ran);
}
