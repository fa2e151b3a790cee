/* SPDX-License-Identifier: Apache-2.0 */
/* The loss, the optimizer, and borrowed tables: test_loss DEVICE. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "tests/unit/compute/slope.h"

enum { DIM = 12 };

/* ---- the loss ---- */

struct pairs {
    int64_t n;
    float *image, *text;
    double *image_d, *text_d, scale;
};

static double line(const double *s, int64_t step, int64_t n, int64_t own)
{
    double most = -INFINITY, sum = 0;

    for (int64_t j = 0; j < n; j++)
        most = fmax(most, s[j * step]);
    for (int64_t j = 0; j < n; j++)
        sum += exp(s[j * step] - most);
    return most + log(sum) - s[own * step];
}

static double loss_of(const struct pairs *p, double *s)
{
    int64_t n = p->n;
    double loss = 0;

    for (int64_t i = 0; i < n * n; i++) {
        s[i] = 0;
        for (int k = 0; k < DIM; k++)
            s[i] +=
                exp(p->scale) * p->image_d[i / n * DIM + k] * p->text_d[i % n * DIM + k];
    }
    for (int64_t i = 0; i < n; i++)
        loss += (line(s + i * n, 1, n, i) + line(s + i, n, n, i)) / (2 * (double)n);
    return loss;
}

static void unit(float *x, double *d, uint32_t stream, int64_t n)
{
    input_fill(x, n, DIM, INPUT_NORMAL, CPV_F32, 5, stream);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;

        for (int k = 0; k < DIM; k++)
            sum += (double)x[i * DIM + k] * (double)x[i * DIM + k];
        for (int k = 0; k < DIM; k++) {
            x[i * DIM + k] = (float)((double)x[i * DIM + k] / sqrt(sum));
            d[i * DIM + k] = (double)x[i * DIM + k];
        }
    }
}

static struct pairs pairs_of(struct slope *s, int64_t n, double scale)
{
    struct pairs p = {.n = n, .scale = (double)(float)scale};
    size_t all = (size_t)(n * DIM);

    p.image = cpv_arena_calloc(s->mem, all, sizeof *p.image);
    p.text = cpv_arena_calloc(s->mem, all, sizeof *p.text);
    p.image_d = cpv_arena_calloc(s->mem, all, sizeof *p.image_d);
    p.text_d = cpv_arena_calloc(s->mem, all, sizeof *p.text_d);
    assert_true(p.image && p.text && p.image_d && p.text_d);
    unit(p.image, p.image_d, 1, n);
    unit(p.text, p.text_d, 2, n);
    return p;
}

static cpv_weight *scale_of(struct place *p, float log_scale, unsigned train)
{
    struct cpv_weight_params w = {.name = "logit_scale",
                                  .out = 1,
                                  .in = 1,
                                  .use = CPV_USE_TABLE,
                                  .train = train,
                                  .matrix = {.plain = &log_scale}};
    struct cpv_err err = {0};
    cpv_weight *made = NULL;

    assert_ok(cpv_weight_create(&made, p->device, &w, &err));
    return made;
}

struct answer {
    float figures[CPV_LOSS_FIGURES], dscale, *dtext;
};

static struct answer ask(struct slope *s, const struct pairs *p, int context)
{
    cpv_compute *c = place_context(s->place, context);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    cpv_weight *w = scale_of(s->place, (float)p->scale, CPV_TRAIN_MATRIX);
    struct cpv_contrastive got;
    struct cpv_err err = {0};
    struct answer a = {.dtext = NULL};

    a.dtext = cpv_arena_calloc(s->mem, (size_t)(p->n * DIM), sizeof *a.dtext);
    assert_non_null(a.dtext);
    got = cpv_contrastive(c, cpv_put(c, p->n, DIM, p->image),
                          cpv_put(c, p->n, DIM, p->text), w);
    if (cpv_compute_failed(c) && cpv_compute_sync(c, &err))
        fail_msg("%s", err.text);
    assert_true(cpv_get(c, got.figures, a.figures));
    assert_true(cpv_get(c, got.dtext, a.dtext));
    assert_true(cpv_get(c, cpv_weight_grad(w, CPV_PARAM_MATRIX), &a.dscale));
    cpv_compute_rewind(c, mark);
    cpv_weight_close(&w);
    return a;
}

static double slope_at(struct pairs *p, double *x, double *room)
{
    const double step = 1e-5;
    double was = *x, up;

    *x = was + step;
    up = loss_of(p, room);
    *x = was - step;
    up -= loss_of(p, room);
    *x = was;
    return up / (2 * step);
}

/* Each similarity, up to s = 100, is off by some units of 2^-24 of it: so much relatively
 * is each weight, and of weights all gradients are made. */
static void loss_and_its_slopes(void **state)
{
    static const int64_t sizes[] = {1, 2, 3, 16, 37};
    struct slope s;
    char text[300];

    for (int k = 0; k < 5; k++)
        for (int hot = 0; hot < 2; hot++) {
            int64_t n = sizes[k], all = n * DIM;
            struct tolerance tol = {.abs = 1e-9, .top = hot ? 4e-5 : 4e-6};
            double *room, *want;
            struct pairs p;
            struct answer a;

            slope_open(&s, *state);
            p = pairs_of(&s, n, hot ? 4.6 : 0.7);
            room = cpv_arena_calloc(s.mem, (size_t)(n * n), sizeof *room);
            want = cpv_arena_calloc(s.mem, (size_t)all, sizeof *want);
            assert_true(room && want);
            a = ask(&s, &p, k % PLACE_CONTEXTS);
            assert_true(fabs(a.figures[CPV_LOSS] - loss_of(&p, room)) <=
                        1e-6 * (1 + (hot ? 100 : 2)));
            for (int64_t i = 0; i < all; i++)
                want[i] = slope_at(&p, &p.text_d[i], room);
            if (!compare_f64(a.dtext, (size_t)all, want, (size_t)all, &tol, DIM, NULL,
                             text, sizeof text))
                fail_msg("%d pairs: %s", (int)n, text);
            assert_true(fabs(a.dscale - slope_at(&p, &p.scale, room)) <=
                        (hot ? 1e-3 : 2e-6));
            cpv_arena_close(&s.mem);
        }
}

/* More than a block of rows; 1, 2 and 7 threads to the bit. */
static void threads_change_no_bit(void **state)
{
    struct slope s;
    struct pairs p;
    struct answer one, more;
    char text[300];

    slope_open(&s, *state);
    p = pairs_of(&s, 300, 3);
    one = ask(&s, &p, 0);
    for (int k = 1; k < PLACE_CONTEXTS; k++) {
        more = ask(&s, &p, k);
        assert_memory_equal(more.figures, one.figures, sizeof one.figures);
        assert_true(more.dscale == one.dscale);
        if (!compare_bits(more.dtext, (size_t)300 * DIM, one.dtext, (size_t)300 * DIM,
                          DIM, text, sizeof text))
            fail_msg("%s", text);
    }
    cpv_arena_close(&s.mem);
}

/* Text 0 is its image's best; texts 1 and 2 are equal, and so are images 1 and 2: of
 * equals the first is right. Image 3 prefers text 0, text 3 image 0. */
static void the_first_of_equals_is_right(void **state)
{
    struct slope s;
    struct pairs p;
    struct answer a;

    slope_open(&s, *state);
    p = pairs_of(&s, 4, 1);
    memset(p.image, 0, (size_t)4 * DIM * sizeof *p.image);
    memset(p.text, 0, (size_t)4 * DIM * sizeof *p.text);
    for (int i = 0; i < 4; i++) {
        int at = i == 2 ? 1 : i == 3 ? 0 : i;

        p.image[i * DIM + at] = i == 3 ? 0.5F : 1;
        p.text[i * DIM + at] = i == 3 ? 0.5F : 1;
    }
    a = ask(&s, &p, 1);
    assert_true(a.figures[CPV_LOSS_TEXTS] == 0.5F);
    assert_true(a.figures[CPV_LOSS_IMAGES] == 0.5F);
    cpv_arena_close(&s.mem);
}

/* The loss is seen; it never becomes a number. */
static void nan_stays(void **state)
{
    struct slope s;
    struct pairs p;
    struct answer a;

    slope_open(&s, *state);
    p = pairs_of(&s, 5, 1);
    p.text[2 * DIM] = NAN;
    a = ask(&s, &p, 0);
    assert_true(isnan(a.figures[CPV_LOSS]));
    assert_true(isnan(a.dtext[0]));
    cpv_arena_close(&s.mem);
}

/* A locked scale has no gradient, and a tape that runs sees nothing of it. */
static void a_locked_scale_has_no_gradient(void **state)
{
    struct place *place = *state;
    cpv_compute *c = place_context(place, 0);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    cpv_weight *w = scale_of(place, 1, 0);
    struct cpv_contrastive got;
    struct cpv_err err = {0};
    struct slope s;
    struct pairs p;
    cpv_tensor x;

    slope_open(&s, place);
    p = pairs_of(&s, 3, 1);
    cpv_tape_start(c);
    x = cpv_watch(c, cpv_put(c, 3, DIM, p.text));
    got = cpv_contrastive(c, cpv_put(c, 3, DIM, p.image), x, w);
    assert_int_equal(got.dtext.id, 0);
    assert_false(cpv_is(cpv_weight_grad(w, CPV_PARAM_MATRIX)));
    cpv_tape_stop(c);
    cpv_backward(c, x, got.dtext);
    assert_ok(cpv_compute_sync(c, &err));
    assert_true(cpv_is(cpv_grad(c, x)));
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
    cpv_weight_close(&w);
    cpv_arena_close(&s.mem);
}

/* ---- the optimizer ---- */

enum { OUT = 5, IN = 7, N = OUT * IN, STEPS = 4 };

static cpv_weight *matrix_of(struct place *p, const float *from, bool bias)
{
    struct cpv_weight_params w = {.name = "w",
                                  .out = OUT,
                                  .in = IN,
                                  .use = CPV_USE_LINEAR,
                                  .train = CPV_TRAIN_MATRIX | CPV_TRAIN_BIAS,
                                  .matrix = {.plain = from},
                                  .bias = {.plain = bias ? from : NULL}};
    struct cpv_err err = {0};
    cpv_weight *made = NULL;

    assert_ok(cpv_weight_create(&made, p->device, &w, &err));
    return made;
}

/* torch.optim.Adam's and AdamW's formulas, as its documentation has them. */
static void adam64(const struct cpv_adam *h, double *p, const float *grad, double *m,
                   double *v)
{
    for (int i = 0; i < N; i++) {
        double g = (double)grad[i];

        if (h->decoupled)
            p[i] -= h->lr * h->decay * p[i];
        else
            g += h->decay * p[i];
        m[i] = h->beta1 * m[i] + (1 - h->beta1) * g;
        v[i] = h->beta2 * v[i] + (1 - h->beta2) * g * g;
        p[i] -= h->lr * (m[i] / (1 - pow(h->beta1, (double)h->t))) /
                (sqrt(v[i] / (1 - pow(h->beta2, (double)h->t))) + h->eps);
    }
}

static void adam_is_that_of_torch(void **state)
{
    struct place *place = *state;
    cpv_compute *c = place_context(place, 1);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct tolerance tol = {.abs = 1e-7, .rel = 4e-7};
    struct cpv_err err = {0};
    char text[300];

    for (int decoupled = 0; decoupled < 2; decoupled++) {
        struct cpv_adam how = {.lr = 0.01, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6};
        double p[N], m[N] = {0}, v[N] = {0};
        float start[N], grad[N], got[N];
        cpv_tensor first = cpv_zeros(c, OUT, IN), second = cpv_zeros(c, OUT, IN);
        cpv_weight *w;

        input_fill(start, OUT, IN, INPUT_NORMAL, CPV_F32, 3, 0);
        for (int i = 0; i < N; i++)
            p[i] = (double)start[i];
        w = matrix_of(place, start, false);
        how.decay = 0.2;
        how.decoupled = decoupled;
        for (how.t = 1; how.t <= STEPS; how.t++) {
            input_fill(grad, OUT, IN, INPUT_NORMAL, CPV_F32, 3, (uint32_t)how.t);
            assert_ok(place->device->backend->copy_in(
                c, cpv_weight_grad(w, CPV_PARAM_MATRIX), grad, &err));
            cpv_adam(c, w, CPV_PARAM_MATRIX, first, second, &how);
            adam64(&how, p, grad, m, v);
        }
        assert_true(cpv_get(c, cpv_weight_param(w, CPV_PARAM_MATRIX), got));
        if (!compare_f64(got, N, p, N, &tol, IN, NULL, text, sizeof text))
            fail_msg("%s: %s", decoupled ? "AdamW" : "Adam", text);
        cpv_weight_close(&w);
    }
    assert_ok(cpv_compute_sync(c, &err));
    cpv_compute_rewind(c, mark);
}

static void parameters_and_gradients_can_be_set(void **state)
{
    struct place *place = *state;
    cpv_compute *c = place_context(place, 1);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    float values[N], got[N], squares;
    struct cpv_err err = {0};
    double sum = 0;
    cpv_weight *w;

    input_fill(values, OUT, IN, INPUT_NORMAL, CPV_F32, 3, 9);
    values[3] = NAN;
    w = matrix_of(place, values, true);
    cpv_weight_clamp(c, w, CPV_PARAM_MATRIX, -0.5F, 0.25F);
    assert_true(cpv_get(c, cpv_weight_param(w, CPV_PARAM_MATRIX), got));
    for (int i = 0; i < N; i++)
        assert_true(i == 3 ? isnan(got[i]) != 0
                           : got[i] == fminf(fmaxf(values[i], -0.5F), 0.25F));
    values[3] = 4;
    cpv_weight_set(c, w, CPV_PARAM_MATRIX, values);
    assert_true(cpv_get(c, cpv_weight_param(w, CPV_PARAM_MATRIX), got));
    assert_memory_equal(got, values, sizeof got);
    assert_ok(place->device->backend->copy_in(c, cpv_weight_grad(w, CPV_PARAM_MATRIX),
                                              values, &err));
    cpv_weight_grad_scale(c, w, CPV_PARAM_MATRIX, 0.5F);
    for (int i = 0; i < N; i++)
        sum += 0.25 * (double)values[i] * (double)values[i];
    assert_true(cpv_get(c, cpv_weight_grad_square(c, w, CPV_PARAM_MATRIX), &squares));
    assert_true(fabs(squares - sum) <= 1e-6 * sum);
    cpv_weight_clear(c, w);
    assert_true(cpv_get(c, cpv_weight_grad_square(c, w, CPV_PARAM_MATRIX), &squares));
    assert_true(squares == 0);
    assert_ok(cpv_compute_sync(c, &err));
    /* What is not trained cannot be moved. */
    cpv_weight_clamp(c, w, CPV_PARAM_LORA_A, 0, 1);
    assert_int_equal(cpv_compute_sync(c, &err), CPV_E_BUG);
    assert_non_null(strstr(err.text, "'w'"));
    cpv_weight_close(&w);
    cpv_compute_rewind(c, mark);
}

/* ---- tables that stay where they are ---- */

static void a_borrowed_table_is_read_where_it_lies(void **state)
{
    struct place *place = *state;
    cpv_compute *c = place_context(place, 1);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    const int32_t ids[3] = {4, 0, 4};
    float values[N], got[2][3 * IN];
    bool reads = place->device->like == &cpv_backend_cpu;

    for (int trained = 0; trained < 2; trained++) {
        struct cpv_weight_params p = {.name = "table",
                                      .out = OUT,
                                      .in = IN,
                                      .use = CPV_USE_TABLE,
                                      .train = trained ? CPV_TRAIN_MATRIX : 0,
                                      .matrix = {.plain = values},
                                      .borrow = true};
        struct cpv_err err = {0};
        cpv_tensor none = {0};
        cpv_weight *w = NULL;

        input_fill(values, OUT, IN, INPUT_NORMAL, CPV_F32, 3, 9);
        assert_ok(cpv_weight_create(&w, place->device, &p, &err));
        assert_true((cpv_weight_bytes(w) == 0) == (reads && !trained));
        for (int k = 0; k < 2; k++) {
            assert_true(cpv_get(
                c, cpv_embed(c, cpv_put_i32(c, 3, 1, ids), w, 1, NULL, none, 0), got[k]));
            values[0] += 1; /* seen by those who read it there, later */
        }
        assert_true((got[0][IN] != got[1][IN]) == (reads && !trained));
        assert_memory_equal(got[0], got[1], IN * sizeof(float));
        cpv_weight_close(&w);
    }
    cpv_compute_rewind(c, mark);
}

/* ---- */

static int run(const char *device, int *ran, int *skipped)
{
    static const cpv_op_kind needs[] = {CPV_OP_ADAM,  CPV_OP_CLAMP,   CPV_OP_CONTRASTIVE,
                                        CPV_OP_SCALE, CPV_OP_SQUARES, CPV_OP_COUNT};
    struct place p;
    int rc = place_open(&p, device, place_dtypes[0]);
    int failed = rc != CPV_OK && rc != PLACE_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(loss_and_its_slopes, &p),
        cmocka_unit_test_prestate(threads_change_no_bit, &p),
        cmocka_unit_test_prestate(the_first_of_equals_is_right, &p),
        cmocka_unit_test_prestate(nan_stays, &p),
        cmocka_unit_test_prestate(a_locked_scale_has_no_gradient, &p),
        cmocka_unit_test_prestate(adam_is_that_of_torch, &p),
        cmocka_unit_test_prestate(parameters_and_gradients_can_be_set, &p),
        cmocka_unit_test_prestate(a_borrowed_table_is_read_where_it_lies, &p),
    };

    if (rc == CPV_OK && place_has(&p, needs)) {
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
