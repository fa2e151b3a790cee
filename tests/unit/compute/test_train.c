/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What training needs: test_train DEVICE. Dropout by place, means, a pair's own input,
 * similarities and tokens, by differences in double; test_loss has the loss and the
 * optimizer.
 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/base/rng.h"
#include "tests/unit/compute/train_case.h"

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

/* ---- what is wrong ---- */

static void refused(cpv_compute *c, const char *what)
{
    struct cpv_err err = {0};

    assert_int_not_equal(cpv_compute_sync(c, &err), CPV_OK);
    if (!strstr(err.text, what))
        fail_msg("'%s' does not say '%s'", err.text, what);
}

static void mistakes_are_named(void **state)
{
    struct place *p = *state;
    cpv_compute *c = place_context(p, 0);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct cpv_heads heads = {.count = HEADS};
    struct cpv_dice far = {.first = (int64_t)1 << 40};
    cpv_rows rows = cpv_rows_put(c, LENGTH, SEQUENCES);
    struct slope s;
    cpv_tensor x, few;

    slope_open(&s, p);
    slope_fill(&s, &s.in[0], ROWS, IN);
    slope_fill(&s, &s.in[2], RANK, IN);
    slope_fill(&s, &s.in[3], OUT, RANK);
    slope_fill(&s, &s.in[4], OUT, IN);
    pair_make(&s);
    x = cpv_put(c, ROWS, IN, s.in[0].f);
    few = cpv_row_range(x, 0, 3);
    (void)cpv_mean(c, few, rows);
    refused(c, "mean: x [3, 13]: x must have the 26 rows");
    (void)cpv_dropout(c, few, rows, 0.5F, &DICE, 0);
    refused(c, "dropout: x [3, 13]: x must have the 26 rows");
    (void)cpv_dropout(c, x, rows, 1, &DICE, 0);
    refused(c, "a probability of 1");
    (void)cpv_dropout(c, x, rows, NAN, &DICE, 0);
    refused(c, "a probability of nan");
    (void)cpv_dropout(c, x, rows, 0.5F, &far, 0);
    refused(c, "sample 1099511627776");
    (void)cpv_self_attention_dropout(c, x, x, x, rows, heads, -1, &DICE, 0);
    refused(c, "a probability of -1");
    (void)cpv_linear_pair(c, x, few, s.w[1]);
    refused(c, "the pair's input is like x");
    (void)cpv_contrastive(c, x, few, s.w[1]);
    refused(c, "not made for this use");
    cpv_adam(c, s.w[1], CPV_PARAM_MATRIX, x, x, &(struct cpv_adam){.t = 1});
    refused(c, "moments are f32, like their parameter");
    x = cpv_zeros(c, OUT, IN);
    cpv_adam(c, s.w[1], CPV_PARAM_MATRIX, x, x, &(struct cpv_adam){.t = 0});
    refused(c, "step 0");
    cpv_weight_close(&s.w[1]);
    cpv_compute_rewind(c, mark);
    cpv_arena_close(&s.mem);
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
        cmocka_unit_test_prestate(mistakes_are_named, &p),
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
