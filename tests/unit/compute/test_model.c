/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole model, written once (toy.h), on one device: test_model DEVICE.
 *
 * Seven sentences are translated greedily in three slots: one that is done leaves, and
 * the next one enters with its prompt while the others go on.
 */
#include "tests/unit/base/unit.h"

#include <math.h>
#include <pthread.h>

#include "tests/unit/compute/inputs.h"
#include "tests/unit/compute/compare.h"
#include "tests/unit/compute/place.h"
#include "tests/unit/compute/toy.h"

enum { SENTENCES = 7, SLOTS = 3, STEPS = 12, PROMPT = 2, MOST = PROMPT + STEPS };

static const int32_t source_length[SENTENCES] = {5, 1, 9, 3, 7, 2, 12};
/* Tokens that each sentence gets: what makes it leave. */
static const int limits[SENTENCES] = {12, 4, 7, 12, 1, 5, 9};

struct story {
    int32_t ids[SENTENCES][MOST]; /* prompt, then what was chosen */
    float logits[SENTENCES][STEPS][TOY_WORDS];
};

struct decoder {
    const struct toy *toy;
    cpv_compute *c;
    cpv_kv *self, *memory;
    struct story *to;
    const struct story *forced; /* whose choices are gone on with; NULL: one's own */
    int held[SLOTS];            /* the sentence in each slot, -1: none */
    int done[SLOTS];            /* tokens that it got */
    int next;
    int last; /* sentences up to here are translated */
};

static void source_ids(int sentence, int32_t *to)
{
    for (int32_t i = 0; i < source_length[sentence]; i++)
        to[i] = (sentence * 17 + i * 5 + 3) % TOY_WORDS;
}

/* ---- greedy translation over slots ---- */

static void enter(struct decoder *d, int32_t slot)
{
    int s = d->next++;
    int32_t ids[16];
    cpv_rows rows = cpv_rows_put(d->c, &source_length[s], 1);
    cpv_slots slots = cpv_slots_put(d->c, &slot, 1);

    cpv_kv_clear(d->c, d->self, slots);
    cpv_kv_clear(d->c, d->memory, slots);
    source_ids(s, ids);
    toy_remember(d->toy, d->c, d->memory, toy_encode(d->toy, d->c, ids, rows), rows,
                 slots);
    d->held[slot] = s;
    d->done[slot] = 0;
    d->to->ids[s][0] = 1;
    d->to->ids[s][1] = 2 + s % 3;
}

/* The tokens of this step; returns the number of sequences. */
static int gather(const struct decoder *d, int32_t *slot, int32_t *length, int32_t *ids)
{
    int n = 0;

    for (int i = SLOTS - 1; i >= 0; i--) {
        const int32_t *mine;

        if (d->held[i] < 0)
            continue;
        mine = (d->forced ? d->forced : d->to)->ids[d->held[i]];
        slot[n] = i;
        length[n] = d->done[i] ? 1 : PROMPT;
        if (!d->done[i])
            mine = d->to->ids[d->held[i]];
        for (int32_t j = 0; j < length[n]; j++)
            *ids++ = d->done[i] ? mine[PROMPT + d->done[i] - 1] : mine[j];
        n++;
    }
    return n;
}

static bool step(struct decoder *d)
{
    int32_t slot[SLOTS], length[SLOTS], ids[SLOTS * PROMPT], best[SLOTS * PROMPT];
    float logits[SLOTS * PROMPT][TOY_WORDS];
    int n = gather(d, slot, length, ids);
    cpv_rows rows = cpv_rows_put(d->c, length, n);
    cpv_tensor y = toy_step(d->toy, d->c, d->self, d->memory, ids, rows,
                            cpv_slots_put(d->c, slot, n));
    cpv_tensor top = cpv_argmax(d->c, y);

    if (!cpv_get_i32(d->c, top, best) || !cpv_get(d->c, y, logits[0]))
        return false;
    for (int i = 0; i < n; i++) {
        int s = d->held[slot[i]], row = rows.offset[i + 1] - 1, at = d->done[slot[i]]++;

        d->to->ids[s][PROMPT + at] = best[row];
        memcpy(d->to->logits[s][at], logits[row], sizeof logits[row]);
        if (d->done[slot[i]] == limits[s])
            d->held[slot[i]] = -1;
    }
    return true;
}

static bool is_busy(const struct decoder *d)
{
    for (int i = 0; i < SLOTS; i++)
        if (d->held[i] >= 0)
            return true;
    return d->next <= d->last;
}

/* Sentences first ... last. False if the context has failed. */
static bool translate(const struct toy *toy, cpv_compute *c, int first, int last,
                      struct story *to, const struct story *forced, size_t *kv_bytes)
{
    struct decoder d = {.toy = toy,
                        .c = c,
                        .to = to,
                        .forced = forced,
                        .next = first,
                        .last = last,
                        .held = {-1, -1, -1}};
    struct cpv_kv_params p = {TOY_LAYERS, SLOTS, MOST, TOY_WIDTH, false};
    struct cpv_err err = {0};
    bool good = true;

    assert_ok(cpv_kv_open(&d.self, toy->device, &p, &err));
    p.capacity = 12;
    p.fixed = true;
    assert_ok(cpv_kv_open(&d.memory, toy->device, &p, &err));
    if (kv_bytes)
        *kv_bytes = cpv_kv_bytes(d.self) + cpv_kv_bytes(d.memory);
    while (good && is_busy(&d)) {
        struct cpv_compute_mark mark = cpv_compute_mark(c);

        for (int32_t i = 0; i < SLOTS && d.next <= last; i++)
            if (d.held[i] < 0)
                enter(&d, i);
        good = step(&d);
        cpv_compute_rewind(c, mark);
    }
    cpv_kv_close(&d.self);
    cpv_kv_close(&d.memory);
    return good;
}

static void translate_all(struct place *p, struct toy *toy, int context, struct story *to,
                          const struct story *forced)
{
    struct cpv_err err = {0};

    memset(to, 0, sizeof *to);
    assert_ok(toy_open(toy, p->device, NULL, &err));
    (void)translate(toy, place_context(p, context), 0, SENTENCES - 1, to, forced, NULL);
    assert_ok(cpv_compute_sync(place_context(p, context), &err));
}

/* ---- comparisons ---- */

/* Relative to the largest logit. A toy has no more than 12 roundings in a row between
 * two norms, whose sum the norms may enlarge: 11 were seen of halves, and 15 of f32; 8
 * bits of weights and activations are a percent a product. */
static double allowed(const struct place *p)
{
    if (p->device->weights == CPV_I8)
        return 0.1;
    return 1e-5 +
           10 * (p->device->values == CPV_F32 ? 0 : input_unit(p->device->values)) +
           6 * (p->device->weights == CPV_F32 ? 0 : input_unit(p->device->weights));
}

static void check_logits(const struct place *p, const char *what, const float *got,
                         const float *want, int sentence, int at, double tol)
{
    struct tolerance t = {.top = tol};
    char text[400];

    if (!compare_f32(got, TOY_WORDS, want, TOY_WORDS, &t, 0, NULL, text, sizeof text))
        fail_msg("%s, %s: sentence %d, token %d: %s", p->text, what, sentence, at, text);
}

/* Would an error of `tol` of the largest have changed the choice? */
static bool is_close(const float *logits, double tol)
{
    double top = 0, first = -INFINITY, second = -INFINITY;

    for (int i = 0; i < TOY_WORDS; i++) {
        double v = (double)logits[i];

        top = fmax(top, fabs(v));
        if (v > first) {
            second = first;
            first = v;
        } else {
            second = fmax(second, v);
        }
    }
    return !(first - second > 2 * tol * top);
}

struct open {
    struct place *place;
    struct toy toy;
    struct story *story, *ref, *other;
};

static void begin(struct open *o, void **state)
{
    struct place ref;
    struct toy toy;

    *o = (struct open){.place = *state};
    o->story = calloc(3, sizeof *o->story);
    assert_non_null(o->story);
    o->ref = o->story + 1;
    o->other = o->story + 2;
    assert_int_equal(place_open(&ref, "ref", place_dtypes[0]), CPV_OK);
    translate_all(&ref, &toy, 0, o->ref, NULL);
    toy_close(&toy);
    place_close(&ref);
    translate_all(o->place, &o->toy, 0, o->story,
                  o->place->device->weights == CPV_F32 ? NULL : o->ref);
}

static void end(struct open *o)
{
    toy_close(&o->toy);
    free(o->story);
}

/* ---- tests ---- */

static void tokens_are_those_of_ref(void **state)
{
    double tol;
    bool said[TOY_WORDS] = {false};
    int words = 0, tokens = 0;
    struct open o;

    begin(&o, state);
    tol = allowed(o.place);
    for (int s = 0; s < SENTENCES; s++)
        for (int i = 0; i < limits[s]; i++) {
            const float *want = o.ref->logits[s][i];

            tokens++;
            words += !said[o.ref->ids[s][PROMPT + i]];
            said[o.ref->ids[s][PROMPT + i]] = true;
            check_logits(o.place, "against ref", o.story->logits[s][i], want, s, i, tol);
            if (o.story->ids[s][PROMPT + i] != o.ref->ids[s][PROMPT + i] &&
                (o.place->device->weights == CPV_F32 || !is_close(want, tol)))
                fail_msg("%s: sentence %d, token %d: %d, expected %d", o.place->text, s,
                         i, o.story->ids[s][PROMPT + i], o.ref->ids[s][PROMPT + i]);
        }
    /* A model that says one word for ever would prove little. */
    assert_int_equal(tokens, 50);
    assert_true(words >= 8);
    end(&o);
}

static void steps_are_the_full_pass(void **state)
{
    struct cpv_err err = {0};
    struct open o;
    cpv_compute *c;
    struct cpv_compute_mark mark;
    int32_t ids[SENTENCES * MOST], words[64], length[SENTENCES], n = 0, m = 0;
    static float all[SENTENCES * MOST][TOY_WORDS];
    const struct story *said;
    cpv_rows sources, rows;

    begin(&o, state);
    c = place_context(o.place, 0);
    mark = cpv_compute_mark(c);
    said = o.place->device->weights == CPV_F32 ? o.story : o.ref;
    for (int s = 0; s < SENTENCES; s++) {
        length[s] = PROMPT + limits[s] - 1;
        memcpy(ids + n, said->ids[s], (size_t)length[s] * sizeof *ids);
        source_ids(s, words + m);
        n += length[s];
        m += source_length[s];
    }
    sources = cpv_rows_put(c, source_length, SENTENCES);
    rows = cpv_rows_put(c, length, SENTENCES);
    (void)cpv_get(
        c, toy_full(&o.toy, c, toy_encode(&o.toy, c, words, sources), sources, ids, rows),
        all[0]);
    assert_ok(cpv_compute_sync(c, &err));
    for (int s = 0; s < SENTENCES; s++)
        for (int i = 0; i < limits[s]; i++)
            check_logits(o.place, "full pass", all[rows.offset[s] + PROMPT - 1 + i],
                         o.story->logits[s][i], s, i, allowed(o.place));
    cpv_compute_rewind(c, mark);
    end(&o);
}

static void company_and_threads_change_no_bit(void **state)
{
    struct cpv_err err = {0};
    struct open o;
    char text[200];

    begin(&o, state);
    if (!cpv_device_keeps_rows(o.place->device)) {
        end(&o);
        skip();
    }
    for (int s = 0; s < SENTENCES; s++) {
        cpv_compute *c = place_context(o.place, s % PLACE_CONTEXTS);

        /* Forced or not: a choice that differs would show in the logits. */
        memcpy(o.other->ids, o.story->ids, sizeof o.other->ids);
        assert_true(translate(&o.toy, c, s, s, o.other,
                              o.place->device->weights == CPV_F32 ? NULL : o.ref, NULL));
        assert_ok(cpv_compute_sync(c, &err));
        if (!compare_bits(o.other->logits[s][0], (size_t)limits[s] * TOY_WORDS,
                          o.story->logits[s][0], (size_t)limits[s] * TOY_WORDS, TOY_WORDS,
                          text, sizeof text))
            fail_msg("%s: sentence %d alone: %s", o.place->text, s, text);
    }
    end(&o);
}

/* Weights are only read: each thread has a context and caches of its own, no more. */
struct worker {
    pthread_t thread;
    const struct toy *toy;
    cpv_compute *c;
    const struct story *forced;
    struct story to;
    bool good;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    w->good = translate(w->toy, w->c, 0, SENTENCES - 1, &w->to, w->forced, NULL);
    return NULL;
}

static void workers_share_weights(void **state)
{
    struct cpv_compute_params params = {.arena = (size_t)4 << 20, .threads = 1};
    struct cpv_err err = {0};
    struct worker *w;
    struct open o;
    char text[200];

    begin(&o, state);
    if (o.place->device->backend == &cpv_backend_cuda) {
        /* Workers are how processors are used; a GPU is driven from one thread. */
        end(&o);
        skip();
    }
    w = calloc(3, sizeof *w);
    assert_non_null(w);
    for (int i = 0; i < 3; i++) {
        w[i].toy = &o.toy;
        w[i].forced = o.place->device->weights == CPV_F32 ? NULL : o.ref;
        assert_ok(cpv_compute_open(&w[i].c, o.place->device, &params, &err));
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
    for (int i = 0; i < 3; i++) {
        size_t n = sizeof w[i].to.logits / sizeof(float);

        assert_ok(cpv_compute_sync(w[i].c, &err));
        assert_true(w[i].good);
        if (!compare_bits(w[i].to.logits[0][0], n, o.story->logits[0][0], n, TOY_WORDS,
                          text, sizeof text))
            fail_msg("%s: worker %d: %s", o.place->text, i, text);
        cpv_compute_close(&w[i].c);
    }
    free(w);
    end(&o);
}

/* The size of arena that a run takes, on a context of this size. */
static int run_in(cpv_device *d, size_t arena, int threads, struct story *to,
                  size_t bytes[3], struct cpv_err *err)
{
    struct cpv_compute_params params = {.arena = arena, .threads = threads};
    cpv_compute *c;
    struct toy toy;
    int rc = toy_open(&toy, d, NULL, err);

    assert_int_equal(rc, CPV_OK);
    assert_int_equal(cpv_compute_open(&c, d, &params, err), CPV_OK);
    (void)translate(&toy, c, 0, SENTENCES - 1, to, NULL, &bytes[1]);
    rc = cpv_compute_sync(c, err);
    bytes[0] = cpv_compute_peak(c);
    bytes[2] = toy.bytes;
    cpv_compute_close(&c);
    toy_close(&toy);
    return rc;
}

static void dry_foretells_every_byte(void **state)
{
    struct place *p = *state, dry;
    struct story *to;
    size_t foretold[3], used[3];
    struct cpv_err err = {0};

    to = calloc(1, sizeof *to);
    assert_non_null(to);
    assert_int_equal(
        place_open_dry(&dry, p,
                       (struct place_dtypes){p->device->weights, p->device->values}),
        CPV_OK);
    for (int i = 0; i < PLACE_CONTEXTS; i++) {
        int threads = place_threads(i);

        assert_ok(run_in(dry.device, 0, threads, to, foretold, &err));
        assert_true(foretold[0] > 0 && foretold[0] % CPV_ALIGN == 0);
        assert_ok(run_in(p->device, (size_t)8 << 20, threads, to, used, &err));
        assert_int_equal(foretold[0], used[0]);
        assert_int_equal(foretold[1], used[1]);
        assert_int_equal(foretold[2], used[2]);
        assert_ok(run_in(p->device, foretold[0], threads, to, used, &err));
        assert_int_equal(foretold[0], used[0]);
        assert_int_equal(
            run_in(p->device, foretold[0] - CPV_ALIGN, threads, to, used, &err),
            CPV_E_MEMORY);
        assert_non_null(strstr(err.text, "no room"));
        assert_null(strchr(err.text, '\n'));
    }
    free(to);
    place_close(&dry);
}

static void a_wrong_weight_is_named_with_both_shapes(void **state)
{
    static const struct {
        const char *name, *op, *x, *w;
    } table[] = {
        {"enc.1.fc1", "linear: ", "x [5, 32]", "'enc.1.fc1' [56, 33]"},
        {"enc.0.norm2", "layernorm: ", "x [5, 32]", "'enc.0.norm2' [1, 33]"},
        {"dec.1.cross_kv", "linear: ", "x [5, 32]", "'dec.1.cross_kv' [64, 33]"},
        {"toy.0.places", "embed: ", "'toy.0.words' [61, 32]", "'toy.0.places' [24, 33]"},
    };
    struct place *p = *state;
    struct story *to = calloc(1, sizeof *to);
    cpv_compute *c = place_context(p, 0);

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct cpv_err err = {0};
        struct toy toy;

        assert_ok(toy_open(&toy, p->device, table[i].name, &err));
        assert_false(translate(&toy, c, 0, 0, to, NULL, NULL));
        assert_int_equal(cpv_compute_sync(c, &err), CPV_E_INPUT);
        if (strncmp(err.text, table[i].op, strlen(table[i].op)) != 0 ||
            !strstr(err.text, table[i].x) || !strstr(err.text, table[i].w) ||
            strchr(err.text, '\n'))
            fail_msg("%s: '%s'", table[i].name, err.text);
        toy_close(&toy);
    }
    free(to);
}

static int run(const char *device, struct place_dtypes dtypes, int *ran, int *skipped)
{
    static const cpv_op_kind needs[] = {
        CPV_OP_ARGMAX,    CPV_OP_ATTENTION, CPV_OP_EMBED,     CPV_OP_KV_EXTEND,
        CPV_OP_KV_FORK,   CPV_OP_KV_WRITE,  CPV_OP_LAYERNORM, CPV_OP_LINEAR,
        CPV_OP_POSITIONS, CPV_OP_COUNT};
    struct place p;
    int rc = place_open(&p, device, dtypes), failed = rc != CPV_OK && rc != PLACE_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(tokens_are_those_of_ref, &p),
        cmocka_unit_test_prestate(steps_are_the_full_pass, &p),
        cmocka_unit_test_prestate(company_and_threads_change_no_bit, &p),
        cmocka_unit_test_prestate(workers_share_weights, &p),
        cmocka_unit_test_prestate(dry_foretells_every_byte, &p),
        cmocka_unit_test_prestate(a_wrong_weight_is_named_with_both_shapes, &p),
    };

    if (rc == CPV_OK && place_has(&p, needs)) {
        failed = cmocka_run_group_tests_name(p.text, tests, NULL, NULL);
        *skipped += !cpv_device_keeps_rows(p.device);
        ++*ran;
    } else if (rc == CPV_OK) {
        (void)printf("%s: skipped, it lacks operations\n", p.text);
        ++*skipped;
    }
    place_close(&p);
    return failed;
}

int main(int argc, char **argv)
{
    const char *device = argc > 1 ? argv[1] : "ref";
    int failed = 0, ran = 0, skipped = 0;

    for (int i = 0; place_dtypes[i].weights != CPV_DTYPE_COUNT; i++)
        failed += run(device, place_dtypes[i], &ran, &skipped);
    return place_status(failed, skipped, ran);
}
