/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every operation on one device against its evaluation in double, against ref, and in
 * what it takes of the arena against dry.
 *
 *     test_ops DEVICE [OPERATION]
 *
 * What the device lacks is skipped, by name; the exit status is then 77 if nothing
 * failed.
 */
#include "tests/unit/base/unit.h"

#include "tests/unit/compute/jobs.h"

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
    size_t used;

    trial_open(&t, j->op, shape, kind, j->dtypes, 1234 + (uint64_t)kind);
    j->op->make(&t);
    trial_bind(&t, j->place);
    trial_run(&t, j->place, (struct trial_how){0}, plain);
    check(j, &t, plain, NULL);
    used = t.peak;
    trial_run(&t, j->place, (struct trial_how){.views = true}, views);
    check(j, &t, views, NULL);
    trial_bind(&t, j->dry);
    trial_foretell(&t, j->dry, (struct trial_how){0});
    if (t.peak != used)
        fail_msg("%s: dry foretells %zu bytes, %zu were used", j->name, t.peak, used);
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

int main(int argc, char **argv)
{
    return jobs_main(argc, argv, run_job, false);
}
