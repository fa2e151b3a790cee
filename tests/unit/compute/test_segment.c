/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More of what training needs: test_segment DEVICE. Attention with dropout, similarities
 * and tokens, by differences in double; pairs inside segments; what is a constant.
 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/train_case.h"

/* ---- attention with dropout ---- */

enum { HEAD = 5, ALL = HEADS * HEAD, P_DIM = 9 };

static cpv_tensor attention_run(struct slope *s, cpv_compute *c, const cpv_tensor *in)
{
    struct cpv_heads heads = {.count = HEADS, .causal = s->arg != NULL};

    return cpv_self_attention_dropout(c, in[0], in[1], in[2],
                                      cpv_rows_put(c, LENGTH, SEQUENCES), heads, 0.25F,
                                      &DICE, 6);
}

static void attention_eval(const struct slope *s, double *y)
{
    struct cpv_draw d = draw_of(&DICE, 0.25F, 6);
    int64_t first = 0;

    memset(y, 0, (size_t)(ROWS * ALL) * sizeof *y);
    for (int n = 0; n < SEQUENCES; first += LENGTH[n++])
        for (int64_t i = 0; i < LENGTH[n]; i++)
            for (int h = 0; h < HEADS; h++) {
                int64_t at = (first + i) * ALL + (int64_t)h * HEAD;
                double sum = 0;

                for (int64_t t = 0; t < (s->arg ? i + 1 : LENGTH[n]); t++) {
                    int64_t key = (first + t) * ALL + (int64_t)h * HEAD;
                    double p = 0;

                    for (int k = 0; k < HEAD; k++)
                        p += s->in[0].d[at + k] * s->in[1].d[key + k];
                    p = exp(p / sqrt(HEAD));
                    sum += p;
                    p *= (double)cpv_draw_at(&d, (uint32_t)n, (uint32_t)i, (uint32_t)h,
                                             (uint32_t)t);
                    for (int k = 0; k < HEAD; k++)
                        y[at + k] += p * s->in[2].d[key + k];
                }
                for (int k = 0; k < HEAD; k++)
                    y[at + k] /= sum;
            }
}

static void attention_drops_weights(void **state)
{
    struct slope s;

    for (int how = 0; how < 4; how++) { /* causal or not; q alone or all */
        slope_open(&s, *state);
        s.run = attention_run;
        s.eval = attention_eval;
        s.arg = how & 1 ? &s : NULL;
        for (int i = 0; i < 3; i++) {
            slope_fill(&s, &s.in[i], ROWS, ALL);
            s.in[i].constant = (how & 2) && i;
        }
        slope_fill(&s, &s.dy, ROWS, ALL);
        slope_check(&s, "attention");
    }
}

/* Sequences alone and in a batch see the same weights dropped. */
static void attention_draws_by_sample(void **state)
{
    cpv_compute *c = place_context(*state, 1);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct cpv_heads heads = {.count = HEADS};
    struct cpv_dice one = DICE;
    float whole[ROWS * ALL], part[20 * ALL];
    struct slope s;
    cpv_tensor x;
    char text[300];

    slope_open(&s, *state);
    slope_fill(&s, &s.in[0], ROWS, ALL);
    x = cpv_put(c, ROWS, ALL, s.in[0].f);
    assert_true(
        cpv_get(c,
                cpv_self_attention_dropout(c, x, x, x, cpv_rows_put(c, LENGTH, SEQUENCES),
                                           heads, 0.25F, &DICE, 6),
                whole));
    one.first += 3;
    x = cpv_row_range(x, 4, 20);
    assert_true(
        cpv_get(c,
                cpv_self_attention_dropout(c, x, x, x, cpv_rows_put(c, LENGTH + 3, 1),
                                           heads, 0.25F, &one, 6),
                part));
    if (!compare_bits(part, (size_t)20 * ALL, whole + (size_t)4 * ALL, (size_t)20 * ALL,
                      ALL, text, sizeof text))
        fail_msg("%s", text);
    cpv_compute_rewind(c, mark);
    cpv_arena_close(&s.mem);
}

/* ---- similarity, tokens ---- */

static cpv_tensor similarity_run(struct slope *s, cpv_compute *c, const cpv_tensor *in)
{
    (void)s;
    return cpv_similarity(c, in[0], in[1], 2.5F);
}

static void similarity_eval(const struct slope *s, double *y)
{
    for (int64_t i = 0; i < s->dy.rows; i++)
        for (int64_t j = 0; j < s->dy.cols; j++) {
            double sum = 0;

            for (int64_t k = 0; k < P_DIM; k++)
                sum += s->in[0].d[i * P_DIM + k] * s->in[1].d[j * P_DIM + k];
            y[i * s->dy.cols + j] = 2.5 * sum;
        }
}

static void similarities(void **state)
{
    struct slope s;

    for (int constant = 0; constant < 3; constant++) {
        slope_open(&s, *state);
        s.run = similarity_run;
        s.eval = similarity_eval;
        slope_fill(&s, &s.in[0], 12, P_DIM);
        slope_fill(&s, &s.in[1], 31, P_DIM);
        s.in[0].constant = constant == 1;
        s.in[1].constant = constant == 2;
        slope_fill(&s, &s.dy, 12, 31);
        slope_check(&s, "similarity");
    }
}

enum { PIXELS = 4, PATCH = 2, EACH = 4, IMAGES = 3, HIDDEN = 6 };

static cpv_weight *table(struct slope *s, const struct slope_input *in, unsigned use)
{
    struct cpv_weight_params p = {.name = "table",
                                  .out = in->rows,
                                  .in = in->cols,
                                  .use = use,
                                  .train = CPV_TRAIN_MATRIX,
                                  .matrix = {.plain = in->f}};
    struct cpv_err err = {0};
    cpv_weight *made = NULL;

    assert_ok(cpv_weight_create(&made, s->place->device, &p, &err));
    return made;
}

static void tokens_make(struct slope *s)
{
    s->w[1] = table(s, &s->in[1], CPV_USE_LINEAR);
    if (s->in[2].f)
        s->w[2] = table(s, &s->in[2], CPV_USE_TABLE);
    s->w[3] = table(s, &s->in[3], CPV_USE_TABLE);
}

static cpv_tensor tokens_run(struct slope *s, cpv_compute *c, const cpv_tensor *in)
{
    struct cpv_patches p = {1, PIXELS, PATCH, s->w[1], s->w[2], s->w[3]};

    return cpv_patch_embed(c, in[0], &p);
}

static void tokens_eval(const struct slope *s, double *y)
{
    int before = s->in[2].f ? 1 : 0, each = EACH + before;

    for (int64_t i = 0; i < (int64_t)IMAGES * each; i++)
        for (int64_t h = 0; h < HIDDEN; h++) {
            int64_t at = i % each;
            double sum = s->in[3].d[at * HIDDEN + h];

            if (at < before)
                sum += s->in[2].d[h];
            for (int64_t k = 0; at >= before && k < PATCH * PATCH; k++) {
                int64_t patch = at - before;
                int64_t row = patch / 2 * PATCH + k / PATCH;
                int64_t col = patch % 2 * PATCH + k % PATCH;

                sum += s->in[1].d[h * PATCH * PATCH + k] *
                       s->in[0].d[i / each * PIXELS * PIXELS + row * PIXELS + col];
            }
            y[i * HIDDEN + h] = sum;
        }
}

static void tokens(void **state)
{
    struct slope s;

    for (int before = 0; before < 2; before++) {
        slope_open(&s, *state);
        s.make = tokens_make;
        s.run = tokens_run;
        s.eval = tokens_eval;
        slope_fill(&s, &s.in[0], IMAGES, PIXELS * PIXELS);
        s.in[0].constant = true;
        slope_fill(&s, &s.in[1], HIDDEN, PATCH * PATCH);
        if (before)
            slope_fill(&s, &s.in[2], 1, HIDDEN);
        slope_fill(&s, &s.in[3], EACH + before, HIDDEN);
        for (int i = 1; i < 4; i++)
            s.in[i].weight = s.in[i].f ? i : 0;
        slope_fill(&s, &s.dy, (int64_t)IMAGES * (EACH + before), HIDDEN);
        slope_check(&s, "tokens");
    }
}

/* ---- segments ---- */

/* Two layers with a pair each, dropout of its input, and a residual. */
struct one_layer {
    struct layers *of;
    int i;
};

struct layers {
    cpv_weight *w[2];
    cpv_rows rows;
    bool inner;
    struct one_layer one[2];
};

static cpv_tensor one_layer(cpv_compute *c, void *arg, cpv_tensor x)
{
    const struct one_layer *l = arg;
    cpv_tensor drop = cpv_dropout(c, x, l->of->rows, 0.3F, &DICE, (uint32_t)l->i);

    return cpv_add(c, cpv_unary(c, cpv_linear_pair(c, x, drop, l->of->w[l->i]), CPV_GELU),
                   x);
}

static cpv_tensor both_layers(cpv_compute *c, void *arg, cpv_tensor x)
{
    struct layers *l = arg;

    for (int i = 0; i < 2; i++)
        x = l->inner ? cpv_segment(c, one_layer, &l->one[i], x)
                     : one_layer(c, &l->one[i], x);
    return x;
}

enum { SQUARE = 13, LORA = 2 * RANK * SQUARE };

/* Gradients of both pairs, then of x. */
static void layers_back(struct slope *s, int segments, bool watch, float *got)
{
    cpv_compute *c = place_context(s->place, 1);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct layers l = {.inner = segments > 1, .one = {{&l, 0}, {&l, 1}}};
    struct cpv_err err = {0};
    cpv_tensor x, y;

    for (int i = 0; i < 2; i++) {
        struct cpv_weight_params p = {.name = "pair",
                                      .out = SQUARE,
                                      .in = SQUARE,
                                      .use = CPV_USE_LINEAR,
                                      .train = CPV_TRAIN_LORA,
                                      .matrix = {.plain = s->in[1].f},
                                      .lora = {RANK, 0.5F, s->in[2].f, s->in[3].f}};

        assert_ok(cpv_weight_create(&l.w[i], s->place->device, &p, &err));
    }
    l.rows = cpv_rows_put(c, LENGTH, SEQUENCES);
    cpv_tape_clear(c);
    cpv_tape_start(c);
    x = cpv_put(c, ROWS, SQUARE, s->in[0].f);
    x = watch ? cpv_watch(c, x) : x;
    y = segments ? cpv_segment(c, both_layers, &l, x) : both_layers(c, &l, x);
    cpv_tape_stop(c);
    cpv_backward(c, y, cpv_put(c, ROWS, SQUARE, s->dy.f));
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            assert_true(cpv_get(
                c, cpv_weight_grad(l.w[i], k ? CPV_PARAM_LORA_B : CPV_PARAM_LORA_A),
                got + i * LORA + k * RANK * SQUARE));
    assert_int_equal(cpv_is(cpv_grad(c, x)), watch);
    if (watch)
        assert_true(cpv_get(c, cpv_grad(c, x), got + 2 * LORA));
    assert_ok(cpv_compute_sync(c, &err));
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
    for (int i = 0; i < 2; i++)
        cpv_weight_close(&l.w[i]);
}

/* Segments in segments, with an input that wants a gradient or not: the same bits. */
static void pairs_train_in_segments(void **state)
{
    static float plain[2 * LORA + ROWS * SQUARE], cut[2 * LORA + ROWS * SQUARE];
    struct slope s;
    char text[300];

    slope_open(&s, *state);
    slope_fill(&s, &s.in[0], ROWS, SQUARE);
    slope_fill(&s, &s.in[1], SQUARE, SQUARE);
    slope_fill(&s, &s.in[2], RANK, SQUARE);
    slope_fill(&s, &s.in[3], SQUARE, RANK);
    slope_fill(&s, &s.dy, ROWS, SQUARE);
    layers_back(&s, 0, true, plain);
    for (int segments = 0; segments < 3; segments++)
        for (int watch = 0; watch < 2; watch++) {
            size_t n = 2 * (size_t)LORA + (watch ? ROWS * SQUARE : 0);

            layers_back(&s, segments, watch, cut);
            if (!compare_bits(cut, n, plain, n, 0, text, sizeof text))
                fail_msg("%d segments, %s: %s", segments, watch ? "watched" : "constant",
                         text);
        }
    cpv_arena_close(&s.mem);
}

/* A constant has no gradient, nor the room for one. */
static void nothing_goes_back_to_a_constant(void **state)
{
    cpv_compute *c = place_context(*state, 0);
    size_t took[2] = {0, 0};
    struct slope s;

    for (int watch = 0; watch < 2; watch++) {
        struct cpv_compute_mark mark = cpv_compute_mark(c);
        struct cpv_err err = {0};
        cpv_tensor x, y, dy;

        slope_open(&s, *state);
        slope_fill(&s, &s.in[0], ROWS, IN);
        slope_fill(&s, &s.in[2], RANK, IN);
        slope_fill(&s, &s.in[3], OUT, RANK);
        slope_fill(&s, &s.in[4], OUT, IN);
        slope_fill(&s, &s.dy, ROWS, OUT);
        pair_make(&s);
        cpv_tape_clear(c);
        cpv_tape_start(c);
        x = cpv_put(c, ROWS, IN, s.in[0].f);
        y = cpv_linear(c, watch ? cpv_watch(c, x) : x, s.w[1], CPV_IDENTITY);
        cpv_tape_stop(c);
        dy = cpv_put(c, ROWS, OUT, s.dy.f);
        took[watch] = cpv_compute_mark(c).used;
        cpv_backward(c, y, dy);
        took[watch] = cpv_compute_mark(c).used - took[watch];
        assert_ok(cpv_compute_sync(c, &err));
        cpv_tape_clear(c);
        cpv_compute_rewind(c, mark);
        cpv_weight_close(&s.w[1]);
        cpv_arena_close(&s.mem);
    }
    assert_true(took[1] >= took[0] + ROWS * IN * sizeof(float));
    assert_true(took[0] < 2 * ROWS * OUT * sizeof(float));
}

/* ---- */

static int run(const char *device, int *ran, int *skipped)
{
    static const cpv_op_kind needs[] = {CPV_OP_DROPOUT, CPV_OP_MEAN, CPV_OP_COUNT};
    static const cpv_op_kind backs[] = {CPV_OP_DROPOUT, CPV_OP_MEAN, CPV_OP_SIMILARITY,
                                        CPV_OP_TOKENS, CPV_OP_COUNT};
    struct place p;
    int rc = place_open(&p, device, place_dtypes[0]);
    int failed = rc != CPV_OK && rc != PLACE_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(attention_drops_weights, &p),
        cmocka_unit_test_prestate(attention_draws_by_sample, &p),
        cmocka_unit_test_prestate(similarities, &p),
        cmocka_unit_test_prestate(tokens, &p),
        cmocka_unit_test_prestate(pairs_train_in_segments, &p),
        cmocka_unit_test_prestate(nothing_goes_back_to_a_constant, &p),
    };

    if (rc == CPV_OK && place_has(&p, needs) && place_has_back(&p, backs)) {
        failed = cmocka_run_group_tests_name(p.text, tests, NULL, NULL);
        ++*ran;
    } else if (rc == CPV_OK) {
        (void)printf("%s: skipped, it does not have all of these\n", p.text);
        ++*skipped;
    }
    place_close(&p);
    return failed;
}

int main(int argc, char **argv)
{
    int ran = 0, skipped = 0, failed = run(argc > 1 ? argv[1] : "ref", &ran, &skipped);

    return place_status(failed, skipped, ran);
}
