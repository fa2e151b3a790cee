/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots against histories that the test keeps itself: test_kv DEVICE.
 *
 * Random steps of extending, writing, attending, forking, re-ordering and clearing; what
 * a slot holds is always looked at through attention. The rule of kv.h that a position
 * which others took over is not written again is kept by the generator.
 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/base/rng.h"
#include "tests/unit/compute/ops.h"

enum { LAYERS = 2, SLOTS = 6, CAPACITY = 24, HEADS = 2, D = 5, WIDTH = HEADS * D };

struct history {
    int n;
    int writer[CAPACITY];
    const float *k[LAYERS][CAPACITY], *v[LAYERS][CAPACITY];
};

struct world {
    struct place *place;
    cpv_compute *c;
    cpv_kv *kv;
    cpv_arena *mem;
    struct cpv_rng r;
    cpv_dtype values;
    struct history slot[SLOTS];
};

static int below(struct world *w, int n)
{
    return (int)cpv_rng_below(&w->r, (uint64_t)n);
}

static float *draw(struct world *w, int64_t rows)
{
    float *to = cpv_arena_calloc(w->mem, (size_t)(rows * WIDTH), sizeof *to);

    assert_non_null(to);
    for (int64_t i = 0; i < rows * WIDTH; i++)
        to[i] = input_round(w->values, cpv_rng_normal(&w->r));
    return to;
}

static void begin(struct world *w, struct place *p, int context, uint64_t seed,
                  bool fixed)
{
    struct cpv_kv_params params = {LAYERS, SLOTS, CAPACITY, WIDTH, fixed};
    struct cpv_err err = {0};

    memset(w, 0, sizeof *w);
    w->place = p;
    w->c = place_context(p, context);
    w->values = p->device->values;
    cpv_rng_init(&w->r, seed, 5, 0);
    assert_ok(cpv_arena_open(&w->mem, 0, &err));
    assert_ok(cpv_kv_open(&w->kv, p->device, &params, &err));
}

static void end(struct world *w)
{
    struct cpv_err err = {0};

    assert_ok(cpv_compute_sync(w->c, &err));
    cpv_kv_close(&w->kv);
    cpv_arena_close(&w->mem);
}

/* ---- looking ---- */

/* n queries of each of these slots; the last may be the newest positions (causal). */
static void look(struct world *w, const int32_t *slot, int count, const int32_t *length,
                 int layer, bool causal)
{
    struct tolerance tol = {.rel = 0x1p-22,
                            .mag = 0x1p-24 * 20 + 2 * input_unit(w->values)};
    cpv_rows rows = cpv_rows_put(w->c, length, count);
    float *q = draw(w, rows.total), *got = draw(w, rows.total);
    double want[WIDTH], mags[WIDTH];
    char text[400];
    cpv_tensor out;

    out = cpv_attend(w->c, cpv_put(w->c, rows.total, WIDTH, q), rows, w->kv, layer,
                     cpv_slots_put(w->c, slot, count),
                     (struct cpv_heads){.count = HEADS, .causal = causal});
    if (!cpv_get(w->c, out, got)) {
        struct cpv_err err = {0};

        assert_ok(cpv_compute_sync(w->c, &err));
        fail_msg("nothing to get");
    }
    tol.mags = mags;
    for (int i = 0; i < count; i++) {
        const struct history *h = &w->slot[slot[i]];

        for (int j = 0; j < length[i]; j++) {
            int row = rows.offset[i] + j;
            struct op_attend a = {.heads = HEADS,
                                  .d = D,
                                  .keys = causal ? h->n - length[i] + j + 1 : h->n,
                                  .scale = 1 / sqrt((double)D),
                                  .q = q + row * WIDTH,
                                  .k = h->k[layer],
                                  .v = h->v[layer]};

            op_attend(&a, want, mags);
            if (!compare_f64(got + row * WIDTH, WIDTH, want, WIDTH, &tol, 0, NULL, text,
                             sizeof text))
                fail_msg("%s: slot %d of %d positions, layer %d: %s", w->place->text,
                         slot[i], h->n, layer, text);
        }
    }
}

static void look_at_all(struct world *w)
{
    int32_t slot[SLOTS], length[SLOTS];
    int n = 0;

    for (int s = 0; s < SLOTS; s++) {
        assert_int_equal(cpv_kv_length(w->kv, s), w->slot[s].n);
        if (w->slot[s].n > 0) {
            slot[n] = s;
            length[n++] = 1 + below(w, 2);
        }
    }
    for (int layer = 0; layer < LAYERS && n > 0; layer++)
        look(w, slot, n, length, layer, false);
}

/* ---- steps ---- */

static void extend(struct world *w, const int32_t *slot, int count, const int32_t *length)
{
    cpv_rows rows = cpv_rows_put(w->c, length, count);
    cpv_tensor at = cpv_kv_extend(w->c, w->kv, rows, cpv_slots_put(w->c, slot, count));
    const float *k[LAYERS], *v[LAYERS];
    int32_t found[SLOTS * CAPACITY];

    for (int l = 0; l < LAYERS; l++) {
        k[l] = draw(w, rows.total);
        v[l] = draw(w, rows.total);
        cpv_kv_write(w->c, w->kv, l, cpv_put(w->c, rows.total, WIDTH, k[l]),
                     cpv_put(w->c, rows.total, WIDTH, v[l]));
    }
    assert_true(cpv_get_i32(w->c, at, found));
    for (int i = 0; i < count; i++) {
        struct history *h = &w->slot[slot[i]];

        for (int j = 0; j < length[i]; j++, h->n++) {
            int row = rows.offset[i] + j;

            assert_int_equal(found[row], h->n);
            h->writer[h->n] = slot[i];
            for (int l = 0; l < LAYERS; l++) {
                h->k[l][h->n] = k[l] + row * WIDTH;
                h->v[l][h->n] = v[l] + row * WIDTH;
            }
        }
        assert_int_equal(cpv_kv_length(w->kv, slot[i]), h->n);
    }
    for (int l = 0; l < LAYERS; l++)
        look(w, slot, count, length, l, true);
}

/* A random choice of slots in a random order. */
static int choose(struct world *w, int32_t *slot)
{
    uint32_t order[SLOTS];
    int n = 1 + below(w, SLOTS);

    for (int i = 0; i < SLOTS; i++)
        order[i] = (uint32_t)i;
    cpv_rng_shuffle_u32(&w->r, order, SLOTS);
    for (int i = 0; i < n; i++)
        slot[i] = (int32_t)order[i];
    return n;
}

static void extend_some(struct world *w)
{
    int32_t slot[SLOTS], length[SLOTS], fit[SLOTS];
    int n = choose(w, slot), m = 0;

    for (int i = 0; i < n; i++) {
        int more = 1 + below(w, 3), left = CAPACITY - w->slot[slot[i]].n;

        if (left > 0) {
            length[m] = more < left ? more : left;
            fit[m++] = slot[i];
        }
    }
    if (m > 0)
        extend(w, fit, m, length);
}

/* Would dst, if it went on from `length`, write what another slot refers to? */
static bool is_referred(const struct history *all, int dst, int length)
{
    for (int s = 0; s < SLOTS; s++)
        for (int t = length; s != dst && t < all[s].n; t++)
            if (all[s].writer[t] == dst)
                return true;
    return false;
}

static void take_over(struct world *w, const int32_t *dst, const int32_t *src, int n,
                      bool on_device)
{
    struct history after[SLOTS];

    memcpy(after, w->slot, sizeof after);
    for (int i = 0; i < n; i++)
        after[dst[i]] = w->slot[src[i]];
    for (int i = 0; i < n; i++)
        if (is_referred(after, dst[i], after[dst[i]].n))
            return;
    if (on_device)
        cpv_kv_reorder(w->c, w->kv, cpv_slots_put(w->c, dst, n),
                       cpv_put_i32(w->c, n, 1, src));
    else
        cpv_kv_fork(w->c, w->kv, cpv_slots_put(w->c, dst, n),
                    cpv_slots_put(w->c, src, n));
    memcpy(w->slot, after, sizeof after);
}

static void fork_some(struct world *w)
{
    int32_t dst[SLOTS], src[SLOTS];
    int n = choose(w, dst);

    for (int i = 0; i < n; i++)
        src[i] = below(w, SLOTS);
    take_over(w, dst, src, n, false);
}

/* Slots as long as one of them, as beams are, each with any of them for a parent. */
static void reorder_some(struct world *w)
{
    int32_t dst[SLOTS], src[SLOTS];
    int one = below(w, SLOTS), n = 0;

    for (int s = 0; s < SLOTS; s++)
        if (w->slot[s].n == w->slot[one].n)
            dst[n++] = s;
    for (int i = 0; i < n; i++)
        src[i] = dst[below(w, n)];
    take_over(w, dst, src, n, true);
}

static void clear_some(struct world *w)
{
    int32_t slot = below(w, SLOTS);

    if (is_referred(w->slot, slot, 0))
        return;
    cpv_kv_clear(w->c, w->kv, cpv_slots_put(w->c, &slot, 1));
    w->slot[slot].n = 0;
}

static void any_steps_give_the_histories(void **state)
{
    struct world w;

    for (uint64_t seed = 0; seed < 12; seed++) {
        begin(&w, *state, (int)(seed % PLACE_CONTEXTS), seed, false);
        for (int step = 0; step < 60; step++) {
            struct cpv_compute_mark mark = cpv_compute_mark(w.c);

            switch (below(&w, 8)) {
            case 0:
            case 1:
                fork_some(&w);
                break;
            case 2:
                reorder_some(&w);
                break;
            case 3:
                clear_some(&w);
                break;
            default:
                extend_some(&w);
            }
            look_at_all(&w);
            cpv_compute_rewind(w.c, mark);
        }
        end(&w);
    }
}

/* ---- what beams and prompts do ---- */

static void a_prefix_is_shared(void **state)
{
    struct world w;

    begin(&w, *state, 0, 100, false);
    extend(&w, (int32_t[]){2}, 1, (int32_t[]){7});
    take_over(&w, (int32_t[]){0, 1, 5}, (int32_t[]){2, 2, 2}, 3, false);
    look_at_all(&w);
    for (int i = 0; i < 3; i++)
        extend(&w, (int32_t[]){5, 2, 0, 1}, 4, (int32_t[]){1, 2, 1, 3});
    look_at_all(&w);
    end(&w);
}

static void slots_swap_at_once(void **state)
{
    for (int on_device = 0; on_device < 2; on_device++) {
        struct world w;
        const float *first;

        begin(&w, *state, 0, 101, false);
        extend(&w, (int32_t[]){0, 1, 2}, 3, (int32_t[]){4, 4, 4});
        first = w.slot[0].k[0][0];
        take_over(&w, (int32_t[]){0, 1, 2}, (int32_t[]){1, 2, 0}, 3, on_device);
        assert_ptr_equal(w.slot[2].k[0][0], first);
        look_at_all(&w);
        extend(&w, (int32_t[]){2, 0, 1}, 3, (int32_t[]){1, 1, 1});
        take_over(&w, (int32_t[]){1, 0}, (int32_t[]){0, 1}, 2, on_device);
        look_at_all(&w);
        extend(&w, (int32_t[]){1, 0}, 2, (int32_t[]){2, 1});
        look_at_all(&w);
        end(&w);
    }
}

static void a_fixed_cache_is_looked_at_by_many(void **state)
{
    struct world w;

    begin(&w, *state, 0, 102, true);
    extend(&w, (int32_t[]){3, 1}, 2, (int32_t[]){CAPACITY, 5});
    for (int layer = 0; layer < LAYERS; layer++)
        look(&w, (int32_t[]){1, 3, 3, 1, 3}, 5, (int32_t[]){1, 2, 0, 3, 1}, layer, false);
    end(&w);
}

static void look_at_one(struct world *w, cpv_rows rows, const int32_t *slot, int count,
                        const float *q, float *got)
{
    cpv_tensor out =
        cpv_attend(w->c, cpv_put(w->c, rows.total, WIDTH, q), rows, w->kv, 1,
                   cpv_slots_put(w->c, slot, count), (struct cpv_heads){.count = HEADS});
    struct cpv_err err = {0};

    if (!cpv_get(w->c, out, got))
        assert_ok(cpv_compute_sync(w->c, &err));
}

/* The prompts of an image: next to each other, of any lengths, together or alone. */
static void company_at_a_slot_changes_no_bit(void **state)
{
    static const int32_t length[] = {1, 1, 1, 2, 1, 1, 1, 3, 5,
                                     4, 0, 9, 4, 1, 1, 6, 1, 1};
    enum { COUNT = sizeof length / sizeof *length };
    int32_t slot[COUNT];
    struct world w;
    cpv_rows rows;
    float *q, *got, *alone;

    begin(&w, *state, 0, 107, true);
    if (!cpv_device_keeps_rows(w.place->device)) {
        end(&w);
        return;
    }
    extend(&w, (int32_t[]){3, 1}, 2, (int32_t[]){CAPACITY, 7});
    for (int i = 0; i < COUNT; i++)
        slot[i] = i == 14 || i == 15 ? 1 : 3;
    rows = cpv_rows_put(w.c, length, COUNT);
    q = draw(&w, rows.total), got = draw(&w, rows.total), alone = draw(&w, rows.total);
    look_at_one(&w, rows, slot, COUNT, q, got);
    for (int i = 0; i < COUNT; i++)
        if (length[i])
            look_at_one(&w, cpv_rows_put(w.c, &length[i], 1), &slot[i], 1,
                        q + rows.offset[i] * WIDTH, alone + rows.offset[i] * WIDTH);
    assert_memory_equal(got, alone, (size_t)rows.total * WIDTH * sizeof *got);
    end(&w);
}

/* ---- refusals ---- */

static void refused(struct world *w, const char *op, const char *says)
{
    struct cpv_err err = {0};
    cpv_tensor t = cpv_put(w->c, 1, 1, (float[]){1});

    assert_false(cpv_is(t));
    assert_int_not_equal(cpv_compute_sync(w->c, &err), CPV_OK);
    if (strncmp(err.text, op, strlen(op)) != 0 || !strstr(err.text, says) ||
        strchr(err.text, '\n'))
        fail_msg("expected '%s: ... %s', got '%s'", op, says, err.text);
    assert_ok(cpv_compute_sync(w->c, &err));
}

static void overflow_sticks_and_changes_nothing(void **state)
{
    struct world w;

    begin(&w, *state, 0, 103, false);
    extend(&w, (int32_t[]){4, 0}, 2, (int32_t[]){CAPACITY - 2, 3});
    (void)cpv_kv_extend(w.c, w.kv, cpv_rows_put(w.c, (int32_t[]){1, 3}, 2),
                        cpv_slots_put(w.c, (int32_t[]){0, 4}, 2));
    cpv_kv_write(w.c, w.kv, 0, (cpv_tensor){0}, (cpv_tensor){0});
    refused(&w, "kv_extend", "slot 4");
    look_at_all(&w);
    extend(&w, (int32_t[]){4}, 1, (int32_t[]){2});
    look_at_all(&w);
    end(&w);
}

static void wrong_slots_are_named(void **state)
{
    struct cpv_heads heads = {.count = HEADS};
    struct world w;
    cpv_rows one;
    cpv_tensor q;

    begin(&w, *state, 0, 104, false);
    extend(&w, (int32_t[]){0}, 1, (int32_t[]){2});
    one = cpv_rows_equal(w.c, 1, 1);
    q = cpv_put(w.c, 1, WIDTH, draw(&w, 1));
    (void)cpv_attend(w.c, q, one, w.kv, 0, cpv_slots_put(w.c, (int32_t[]){3}, 1), heads);
    refused(&w, "attention", "slot 3");
    (void)cpv_attend(w.c, q, one, w.kv, 0, cpv_slots_put(w.c, (int32_t[]){SLOTS}, 1),
                     heads);
    refused(&w, "attention", "slot 6");
    (void)cpv_attend(w.c, q, one, w.kv, LAYERS, cpv_slots_put(w.c, (int32_t[]){0}, 1),
                     heads);
    refused(&w, "attention", "layer 2");
    (void)cpv_kv_extend(w.c, w.kv, one, cpv_slots_put(w.c, (int32_t[]){-1}, 1));
    refused(&w, "kv_extend", "slot -1");
    (void)cpv_kv_extend(w.c, w.kv, cpv_rows_equal(w.c, 1, 2),
                        cpv_slots_put(w.c, (int32_t[]){1, 1}, 2));
    refused(&w, "kv_extend", "slot 1");
    cpv_kv_fork(w.c, w.kv, cpv_slots_put(w.c, (int32_t[]){1, 1}, 2),
                cpv_slots_put(w.c, (int32_t[]){0, 0}, 2));
    refused(&w, "kv_fork", "slot 1");
    cpv_kv_fork(w.c, w.kv, cpv_slots_put(w.c, (int32_t[]){1}, 1),
                cpv_slots_put(w.c, (int32_t[]){SLOTS}, 1));
    refused(&w, "kv_fork", "6");
    cpv_kv_clear(w.c, w.kv, cpv_slots_put(w.c, (int32_t[]){-2}, 1));
    refused(&w, "kv_fork", "slot -2");
    look_at_all(&w);
    end(&w);
    begin(&w, *state, 0, 105, true);
    extend(&w, (int32_t[]){0}, 1, (int32_t[]){2});
    cpv_kv_fork(w.c, w.kv, cpv_slots_put(w.c, (int32_t[]){1}, 1),
                cpv_slots_put(w.c, (int32_t[]){0}, 1));
    refused(&w, "kv_fork", "fixed");
    look_at_all(&w);
    end(&w);
}

static int run(const char *device, struct place_dtypes dtypes, int *ran)
{
    static const cpv_op_kind needs[] = {CPV_OP_ATTENTION, CPV_OP_KV_EXTEND,
                                        CPV_OP_KV_FORK, CPV_OP_KV_WRITE, CPV_OP_COUNT};
    struct place p;
    int rc = place_open(&p, device, dtypes), failed = rc != CPV_OK && rc != PLACE_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(any_steps_give_the_histories, &p),
        cmocka_unit_test_prestate(a_prefix_is_shared, &p),
        cmocka_unit_test_prestate(slots_swap_at_once, &p),
        cmocka_unit_test_prestate(a_fixed_cache_is_looked_at_by_many, &p),
        cmocka_unit_test_prestate(company_at_a_slot_changes_no_bit, &p),
        cmocka_unit_test_prestate(overflow_sticks_and_changes_nothing, &p),
        cmocka_unit_test_prestate(wrong_slots_are_named, &p),
    };

    if (rc == CPV_OK && place_has(&p, needs)) {
        failed = cmocka_run_group_tests_name(p.text, tests, NULL, NULL);
        ++*ran;
    }
    place_close(&p);
    return failed;
}

int main(int argc, char **argv)
{
    const char *device = argc > 1 ? argv[1] : "ref";
    int failed = 0, ran = 0;

    for (int i = 0; place_dtypes[i].weights != CPV_DTYPE_COUNT; i++)
        if (place_dtypes[i].weights == place_dtypes[i].values)
            failed += run(device, place_dtypes[i], &ran);
    return place_status(failed, 0, ran);
}
