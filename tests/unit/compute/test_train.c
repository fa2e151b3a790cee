/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What training needs: test_train DEVICE. Dropout by place, means, a pair's own input,
 * similarities and tokens, by differences in double; test_loss has the loss and the
 * optimizer.
 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/base/rng.h"
#include "tests/unit/compute/slope.h"

enum { SEQUENCES = 5, ROWS = 26, WIDTH = 70, P_DIM = 9 };

static const int32_t LENGTH[SEQUENCES] = {3, 0, 1, 20, 2};
static const struct cpv_dice DICE = {.seed = 0x123456789abcULL, .step = 7, .first = 4};

static struct cpv_draw draw_of(const struct cpv_dice *dice, float p, uint32_t operation)
{
    struct cpv_draw d = {.first = (uint32_t)dice->first,
                         .below = (uint32_t)((double)p * 0x1p32),
                         .scale = 1 / (1 - p)};

    cpv_dice_key(d.key, dice->seed, dice->step, operation);
    return d;
}

/* ---- the numbers ---- */

/* Random123's known answers; and what base has of the same name. */
static void philox_is_philox(void **state)
{
    static const uint32_t want[3][4] = {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
                                        {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
                                        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
    uint32_t x[3][4] = {{0},
                        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
    const uint32_t key[3][2] = {{0}, {0xffffffff, 0xffffffff}, {0xa4093822, 0x299f31d0}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        uint32_t base[4];

        cpv_philox(key[i], x[i], base);
        cpv_dice_philox(x[i], key[i]);
        assert_memory_equal(x[i], want[i], sizeof want[i]);
        assert_memory_equal(x[i], base, sizeof base);
    }
}

/* What dropout made of ones: [rows.total, WIDTH]. */
static float *mask(struct place *p, int context, const int32_t *length, int32_t count,
                   const struct cpv_dice *dice, float prob, uint32_t operation)
{
    cpv_compute *c = place_context(p, context);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    cpv_rows rows = cpv_rows_put(c, length, count);
    size_t n = (size_t)rows.total * WIDTH;
    float *x = calloc(n, sizeof *x);
    struct cpv_err err = {0};

    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = 1;
    assert_true(cpv_get(
        c, cpv_dropout(c, cpv_put(c, rows.total, WIDTH, x), rows, prob, dice, operation),
        x));
    assert_ok(cpv_compute_sync(c, &err));
    cpv_compute_rewind(c, mark);
    return x;
}

/* Every number is the function of its place, whatever is beside it. */
static void masks_are_those_of_places(void **state)
{
    static const int32_t padded[SEQUENCES] = {20, 20, 20, 20, 20};
    struct cpv_draw d = draw_of(&DICE, 0.3F, 9);
    struct cpv_dice part = DICE;
    float *packed, *wide, *last;
    int64_t row = 0, kept = 0;

    part.first += 3;
    for (int k = 0; k < PLACE_CONTEXTS; k++) {
        packed = mask(*state, k, LENGTH, SEQUENCES, &DICE, 0.3F, 9);
        wide = mask(*state, k, padded, SEQUENCES, &DICE, 0.3F, 9);
        last = mask(*state, k, LENGTH + 3, 2, &part, 0.3F, 9);
        row = kept = 0;
        for (int s = 0; s < SEQUENCES; s++)
            for (int32_t i = 0; i < LENGTH[s]; i++, row++)
                for (int j = 0; j < WIDTH; j++) {
                    float want =
                        cpv_draw_at(&d, (uint32_t)s, (uint32_t)i, 0, (uint32_t)j);

                    assert_true(packed[row * WIDTH + j] == want);
                    assert_true(wide[(20 * s + i) * WIDTH + j] == want);
                    if (s >= 3)
                        assert_true(last[(row - 4) * WIDTH + j] == want);
                    kept += want > 0;
                }
        free(packed);
        free(wide);
        free(last);
    }
    /* 5 standard deviations of 1820 throws */
    assert_true(fabs((double)kept / (ROWS * WIDTH) - 0.7) < 5 * sqrt(0.21 / 1820));
}

/* Another seed, step or operation: other numbers. */
static void places_differ(void **state)
{
    struct cpv_dice other[3] = {DICE, DICE, DICE};
    float *a = mask(*state, 0, LENGTH, SEQUENCES, &DICE, 0.5F, 9), *b;

    other[0].seed ^= 1ULL << 40;
    other[1].step ^= 1ULL << 40;
    for (int i = 0; i < 3; i++) {
        int same = 0;

        b = mask(*state, 0, LENGTH, SEQUENCES, &other[i], 0.5F, i == 2 ? 10 : 9);
        for (int k = 0; k < ROWS * WIDTH; k++)
            same += a[k] == b[k];
        assert_in_range(same, ROWS * WIDTH * 4 / 10, ROWS * WIDTH * 6 / 10);
        free(b);
    }
    free(a);
}

/* ---- gradients ---- */

static cpv_tensor mean_run(struct slope *s, cpv_compute *c, const cpv_tensor *in)
{
    (void)s;
    return cpv_mean(c, in[0], cpv_rows_put(c, LENGTH, SEQUENCES));
}

static void mean_eval(const struct slope *s, double *y)
{
    const double *x = s->in[0].d;

    for (int i = 0; i < SEQUENCES; i++)
        for (int64_t j = 0; j < WIDTH; j++) {
            y[i * WIDTH + j] = 0;
            for (int t = 0; t < LENGTH[i]; t++)
                y[i * WIDTH + j] += x[t * WIDTH + j] / LENGTH[i];
            if (j == WIDTH - 1)
                x += (int64_t)LENGTH[i] * WIDTH;
        }
}

static void means(void **state)
{
    cpv_compute *c = place_context(*state, 1);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    float got[SEQUENCES * WIDTH];
    double want[SEQUENCES * WIDTH];
    struct tolerance tol = {.abs = 1e-6, .rel = 1e-6};
    struct slope s;
    char text[300];

    slope_open(&s, *state);
    s.run = mean_run;
    s.eval = mean_eval;
    slope_fill(&s, &s.in[0], ROWS, WIDTH);
    slope_fill(&s, &s.dy, SEQUENCES, WIDTH);
    mean_eval(&s, want);
    assert_true(cpv_get(c,
                        cpv_mean(c, cpv_put(c, ROWS, WIDTH, s.in[0].f),
                                 cpv_rows_put(c, LENGTH, SEQUENCES)),
                        got));
    if (!compare_f64(got, SEQUENCES * WIDTH, want, SEQUENCES * WIDTH, &tol, WIDTH, NULL,
                     text, sizeof text))
        fail_msg("%s", text);
    cpv_compute_rewind(c, mark);
    slope_check(&s, "mean");
}

static cpv_tensor drop_run(struct slope *s, cpv_compute *c, const cpv_tensor *in)
{
    cpv_rows rows = cpv_rows_put(c, LENGTH, SEQUENCES);
    cpv_tensor y = cpv_dropout(c, in[0], rows, 0.4F, &DICE, 3);

    /* Used twice: one gradient is written, the other added. */
    return s->arg ? cpv_add(c, y, cpv_dropout(c, in[0], rows, 0.4F, &DICE, 4)) : y;
}

static void drop_eval(const struct slope *s, double *y)
{
    struct cpv_draw d[2] = {draw_of(&DICE, 0.4F, 3), draw_of(&DICE, 0.4F, 4)};
    int64_t row = 0;

    for (int i = 0; i < SEQUENCES; i++)
        for (int t = 0; t < LENGTH[i]; t++, row++)
            for (int j = 0; j < WIDTH; j++) {
                double by = 0;

                for (int k = 0; k < (s->arg ? 2 : 1); k++)
                    by += (double)cpv_draw_at(&d[k], (uint32_t)i, (uint32_t)t, 0,
                                              (uint32_t)j);
                y[row * WIDTH + j] = by * s->in[0].d[row * WIDTH + j];
            }
}

static void dropped_values_have_no_gradient(void **state)
{
    struct slope s;

    for (int twice = 0; twice < 2; twice++) {
        slope_open(&s, *state);
        s.run = drop_run;
        s.eval = drop_eval;
        s.arg = twice ? &s : NULL;
        slope_fill(&s, &s.in[0], ROWS, WIDTH);
        slope_fill(&s, &s.dy, ROWS, WIDTH);
        slope_check(&s, "dropout");
    }
}

/* ---- a pair's own input: x, lora_x, A, B, matrix ---- */

enum { OUT = 21, IN = 13, RANK = 3 };

static void pair_make(struct slope *s)
{
    struct cpv_weight_params p = {.name = "pair",
                                  .out = OUT,
                                  .in = IN,
                                  .use = CPV_USE_LINEAR,
                                  .train = CPV_TRAIN_LORA | CPV_TRAIN_MATRIX,
                                  .matrix = {.plain = s->in[4].f},
                                  .lora = {RANK, 0.5F, s->in[2].f, s->in[3].f}};
    struct cpv_err err = {0};

    assert_ok(cpv_weight_create(&s->w[1], s->place->device, &p, &err));
}

static cpv_tensor pair_run(struct slope *s, cpv_compute *c, const cpv_tensor *in)
{
    /* The same value twice: the two gradients meet in one. */
    return cpv_linear_pair(c, in[0], s->arg ? cpv_columns(in[0], 0, IN) : in[1], s->w[1]);
}

static void pair_eval(const struct slope *s, double *y)
{
    const double *a = s->in[2].d, *b = s->in[3].d, *w = s->in[4].d;

    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t o = 0; o < OUT; o++) {
            const double *x = s->in[0].d + i * IN;
            const double *u = s->arg ? x : s->in[1].d + i * IN;
            double sum = 0;

            for (int64_t k = 0; k < IN; k++) {
                sum += w[o * IN + k] * x[k];
                for (int64_t r = 0; r < RANK; r++)
                    sum += 0.5 * b[o * RANK + r] * a[r * IN + k] * u[k];
            }
            y[i * OUT + o] = sum;
        }
}

static void a_pair_may_see_another_input(void **state)
{
    static const cpv_param which[] = {CPV_PARAM_LORA_A, CPV_PARAM_LORA_B,
                                      CPV_PARAM_MATRIX};
    struct slope s;

    for (int how = 0; how < 4; how++) { /* both, x only, lora_x only, one for both */
        slope_open(&s, *state);
        s.make = pair_make;
        s.run = pair_run;
        s.eval = pair_eval;
        s.arg = how == 3 ? &s : NULL;
        slope_fill(&s, &s.in[0], ROWS, IN);
        if (how != 3)
            slope_fill(&s, &s.in[1], ROWS, IN);
        slope_fill(&s, &s.in[2], RANK, IN);
        slope_fill(&s, &s.in[3], OUT, RANK);
        slope_fill(&s, &s.in[4], OUT, IN);
        s.in[0].constant = how == 2;
        s.in[1].constant = how == 1;
        for (int i = 0; i < 3; i++) {
            s.in[2 + i].weight = 1;
            s.in[2 + i].which = which[i];
        }
        slope_fill(&s, &s.dy, ROWS, OUT);
        slope_check(&s, "pair");
    }
}

/* ---- attention with dropout ---- */

enum { HEADS = 3, HEAD = 5, ALL = HEADS * HEAD };

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
        cmocka_unit_test_prestate(philox_is_philox, &p),
        cmocka_unit_test_prestate(masks_are_those_of_places, &p),
        cmocka_unit_test_prestate(places_differ, &p),
        cmocka_unit_test_prestate(means, &p),
        cmocka_unit_test_prestate(dropped_values_have_no_gradient, &p),
        cmocka_unit_test_prestate(a_pair_may_see_another_input, &p),
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
