/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row invariance and determinism, to the bit, for every operation on one device:
 *
 *     test_rows DEVICE [OPERATION]
 *
 * 1,000 items (rows, sequences, images) give the reference; then 1, 7, 64 and 1,000 of
 * them in another order, and all of them with 2 and 7 threads. Results of an item must be
 * the same each time. A device that does not promise this is skipped.
 */
#include "tests/unit/base/unit.h"

#include "common/base/rng.h"
#include "tests/unit/compute/jobs.h"

enum { STREAM_ORDER = 3 };

/* First row of each item in output k; [items]: the end. */
static int64_t *rows_of(struct trial *t, int k, const int32_t *order, int items)
{
    const struct answer *a = &t->out[k];
    int64_t *first = trial_alloc(t, items + 1, sizeof *first);

    for (int i = 0; i < items; i++)
        first[i + 1] = first[i] + (a->length ? a->length[order ? order[i] : i] : a->each);
    return first;
}

static void same_items(const struct job *j, struct trial *t, const struct result *all,
                       const struct result *some, struct trial_how how)
{
    char text[300];

    for (int k = 0; k < t->n_out; k++) {
        const int64_t *from = rows_of(t, k, NULL, t->items);
        const int64_t *at = rows_of(t, k, how.order, how.items);

        assert_int_equal(some[k].rows, at[how.items]);
        for (int i = 0; i < how.items; i++) {
            int32_t item = how.order[i];
            size_t cols = (size_t)all[k].cols, n = (size_t)(at[i + 1] - at[i]) * cols;
            size_t a = (size_t)from[item] * cols, b = (size_t)at[i] * cols;
            bool same = all[k].f ? compare_bits(some[k].f + b, n, all[k].f + a, n, cols,
                                                text, sizeof text)
                                 : compare_i32(some[k].i + b, n, all[k].i + a, n, cols,
                                               text, sizeof text);

            if (!same)
                fail_msg("%s, %d threads: item %d, number %d of %d, output %d: %s",
                         j->name, place_threads(how.context), item, i, how.items, k,
                         text);
        }
    }
}

static void run_job(void **state)
{
    static const int sizes[] = {1, 1, 7, 64, 1000};
    const struct job *j = *state;
    struct result all[TRIAL_OUT], some[TRIAL_OUT];
    struct trial_how how = {0};
    size_t used[PLACE_CONTEXTS];
    uint32_t *order;
    struct trial t;

    trial_open(&t, j->op, j->op->batch, INPUT_NORMAL, j->dtypes, 77);
    j->op->make(&t);
    assert_int_equal(t.items, 1000);
    trial_bind(&t, j->place);
    trial_run(&t, j->place, how, all);
    order = trial_alloc(&t, t.items, sizeof *order);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        cpv_rng_permutation(order, 1000, 77, STREAM_ORDER, s);
        how = (struct trial_how){.order = (const int32_t *)order, .items = sizes[s]};
        how.views = s % 2;
        trial_run(&t, j->place, how, some);
        same_items(j, &t, all, some, how);
    }
    for (int c = 1; c < PLACE_CONTEXTS; c++) {
        how = (struct trial_how){
            .context = c, .order = (const int32_t *)order, .items = c == 1 ? 1000 : 999};
        trial_run(&t, j->place, how, some);
        same_items(j, &t, all, some, how);
        used[c] = t.peak;
    }
    trial_bind(&t, j->dry);
    for (int c = 1; c < PLACE_CONTEXTS; c++) {
        how = (struct trial_how){
            .context = c, .order = (const int32_t *)order, .items = c == 1 ? 1000 : 999};
        trial_foretell(&t, j->dry, how);
        if (t.peak != used[c])
            fail_msg("%s, %d threads: dry foretells %zu bytes, %zu were used", j->name,
                     place_threads(c), t.peak, used[c]);
    }
    trial_close(&t);
}

int main(int argc, char **argv)
{
    return jobs_main(argc, argv, run_job, true);
}
