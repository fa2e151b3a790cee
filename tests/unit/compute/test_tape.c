/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backward: test_tape DEVICE. Gradients of products (with bias, LoRA, parts that are
 * locked), layer norms, activations, residuals and views, against central differences of
 * an evaluation in double; segments and threads to the bit.
 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/compute/tape.h"
#include "tests/unit/compute/ops.h"

enum { N = 6, D = 10, H = 14, RANK = 3, BLOCKS = 2, PER_BLOCK = 3, LAYERS = 7 };

/* Each array twice: for the device, and in double for differences. */
struct pair {
    int64_t n;
    float *f;
    double *d;
};

struct layer {
    const char *name;
    int64_t out, in;
    unsigned use, train;
    bool bias;
    int rank;
    struct pair p[CPV_PARAM_COUNT];
    cpv_weight *on;
};

struct net {
    struct place *place;
    cpv_arena *mem;
    struct layer l[LAYERS]; /* norm, fc1, fc2 of each block; the last norm */
    struct pair x, dy;
    cpv_unary_kind act;
    uint32_t stream;
};

static struct pair pair(struct net *w, int64_t n, double scale, double around)
{
    struct pair p = {.n = n};

    p.f = cpv_arena_calloc(w->mem, (size_t)n, sizeof *p.f);
    p.d = cpv_arena_calloc(w->mem, (size_t)n, sizeof *p.d);
    assert_true(p.f && p.d);
    input_fill(p.f, 1, n, INPUT_NORMAL, CPV_F32, 9, w->stream++);
    for (int64_t i = 0; i < n; i++) {
        p.f[i] = input_round(w->place->device->values, around + scale * (double)p.f[i]);
        p.d[i] = (double)p.f[i];
    }
    return p;
}

static void layer(struct net *w, int i, const char *name, int64_t out, int64_t in,
                  unsigned train, int rank)
{
    struct layer *l = &w->l[i];
    bool norm = out == 0;

    *l = (struct layer){.name = name, .out = norm ? 1 : out, .in = in, .train = train};
    l->use = norm ? CPV_USE_NORM : CPV_USE_LINEAR;
    l->bias = i != 4; /* one without */
    l->rank = rank;
    l->p[CPV_PARAM_MATRIX] = pair(w, l->out * in, norm ? 0.2 : 0.4, norm ? 1 : 0);
    if (l->bias)
        l->p[CPV_PARAM_BIAS] = pair(w, norm ? in : out, 0.3, 0);
    if (rank) {
        l->p[CPV_PARAM_LORA_A] = pair(w, rank * in, 0.4, 0);
        l->p[CPV_PARAM_LORA_B] = pair(w, out * rank, 0.4, 0);
    }
}

static void create(struct net *w)
{
    struct cpv_err err = {0};

    for (int i = 0; i < LAYERS; i++) {
        struct layer *l = &w->l[i];
        struct cpv_weight_params p = {.name = l->name,
                                      .out = l->out,
                                      .in = l->in,
                                      .use = l->use,
                                      .train = l->train,
                                      .matrix = {.plain = l->p[CPV_PARAM_MATRIX].f},
                                      .bias = {.plain = l->p[CPV_PARAM_BIAS].f}};

        if (l->rank)
            p.lora = (struct cpv_lora){l->rank, 0.5F, l->p[CPV_PARAM_LORA_A].f,
                                       l->p[CPV_PARAM_LORA_B].f};
        assert_ok(cpv_weight_create(&l->on, w->place->device, &p, &err));
    }
}

static void open_net(struct net *w, struct place *place, cpv_unary_kind act,
                     unsigned train)
{
    struct cpv_err err = {0};

    memset(w, 0, sizeof *w);
    w->place = place;
    w->act = act;
    assert_ok(cpv_arena_open(&w->mem, 0, &err));
    for (int b = 0; b < BLOCKS; b++) {
        layer(w, PER_BLOCK * b, "norm", 0, D, train, 0);
        layer(w, PER_BLOCK * b + 1, "fc1", H, D, train, RANK);
        layer(w, PER_BLOCK * b + 2, "fc2", D, H, train, b ? 0 : RANK);
    }
    layer(w, LAYERS - 1, "last", 0, D, train, 0);
    w->x = pair(w, N * D, 1, 0);
    w->dy = pair(w, N * D, 1, 0);
}

static void close_net(struct net *w)
{
    for (int i = 0; i < LAYERS; i++)
        cpv_weight_close(&w->l[i].on);
    cpv_arena_close(&w->mem);
}

/* ---- in double ---- */

static void linear64(const struct layer *l, const double *x, double *y)
{
    const double *w = l->p[CPV_PARAM_MATRIX].d, *bias = l->p[CPV_PARAM_BIAS].d;
    const double *a = l->p[CPV_PARAM_LORA_A].d, *b = l->p[CPV_PARAM_LORA_B].d;

    for (int64_t i = 0; i < l->out; i++) {
        y[i] = bias ? bias[i] : 0;
        for (int64_t k = 0; k < l->in; k++) {
            y[i] += w[i * l->in + k] * x[k];
            for (int r = 0; r < l->rank; r++)
                y[i] += 0.5 * b[i * l->rank + r] * a[r * l->in + k] * x[k];
        }
    }
}

static void norm64(const struct layer *l, const double *x, double *y)
{
    const double *gain = l->p[CPV_PARAM_MATRIX].d, *bias = l->p[CPV_PARAM_BIAS].d;
    double mean = 0, var = 0;

    for (int k = 0; k < D; k++)
        mean += x[k] / D;
    for (int k = 0; k < D; k++)
        var += (x[k] - mean) * (x[k] - mean) / D;
    for (int k = 0; k < D; k++)
        y[k] = (x[k] - mean) / sqrt(var + (double)1e-5F) * gain[k] + bias[k];
}

static double loss64(const struct net *w)
{
    double loss = 0;

    for (int row = 0; row < N; row++) {
        double x[D], h[H], y[H];

        memcpy(x, w->x.d + row * D, sizeof x);
        for (int b = 0; b < BLOCKS; b++) {
            const struct layer *l = &w->l[PER_BLOCK * b];

            norm64(&l[0], x, h);
            linear64(&l[1], h, y);
            for (int k = 0; k < H; k++)
                y[k] = op_act(w->act, y[k]);
            linear64(&l[2], y, h);
            for (int k = 0; k < D; k++)
                x[k] += h[k];
        }
        norm64(&w->l[LAYERS - 1], x, h);
        for (int k = 0; k < D; k++)
            loss += w->dy.d[row * D + k] * h[k];
    }
    return loss;
}

static void differences(const struct net *w, const struct pair *p, double *to)
{
    const double step = 1e-5;

    for (int64_t i = 0; i < p->n; i++) {
        double was = p->d[i], up;

        p->d[i] = was + step;
        up = loss64(w);
        p->d[i] = was - step;
        to[i] = (up - loss64(w)) / (2 * step);
        p->d[i] = was;
    }
}

/* ---- on the device ---- */

struct block {
    const struct layer *l;
    cpv_unary_kind act;
};

static cpv_tensor block(cpv_compute *c, void *arg, cpv_tensor x)
{
    const struct block *b = arg;
    cpv_tensor h = cpv_layernorm(c, x, b->l[0].on, 1e-5F);

    return cpv_linear_add(c, cpv_linear(c, h, b->l[1].on, b->act), b->l[2].on, x);
}

/* Gradients of everything, on the host; NULL: none. */
struct grads {
    float *p[LAYERS][CPV_PARAM_COUNT], *x;
};

static float *fetch(struct net *w, cpv_compute *c, cpv_tensor t)
{
    float *to;

    if (!cpv_is(t))
        return NULL;
    to = cpv_arena_calloc(w->mem, (size_t)(t.rows * t.cols), sizeof *to);
    assert_non_null(to);
    assert_true(cpv_get(c, t, to));
    return to;
}

struct pass {
    int context;
    bool segments, watch;
    int times; /* of backward; 0 is 1 */
};

static void run_pass(struct net *w, struct pass how, struct grads *g)
{
    cpv_compute *c = place_context(w->place, how.context);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct block blocks[BLOCKS];
    struct cpv_err err = {0};

    create(w);
    for (int time = 0; time < (how.times ? how.times : 1); time++) {
        cpv_tensor x, y, dy = cpv_put(c, N, D, w->dy.f);

        cpv_tape_clear(c);
        cpv_tape_start(c);
        x = y = cpv_put(c, N, D, w->x.f);
        if (how.watch)
            x = y = cpv_watch(c, x);
        for (int b = 0; b < BLOCKS; b++) {
            blocks[b] = (struct block){&w->l[PER_BLOCK * b], w->act};
            y = how.segments ? cpv_segment(c, block, &blocks[b], y)
                             : block(c, &blocks[b], y);
        }
        y = cpv_layernorm(c, y, w->l[LAYERS - 1].on, 1e-5F);
        cpv_tape_stop(c);
        cpv_backward(c, y, dy);
        if (cpv_compute_failed(c) && cpv_compute_sync(c, &err))
            fail_msg("%s", err.text);
        g->x = fetch(w, c, cpv_grad(c, x));
    }
    for (int i = 0; i < LAYERS; i++)
        for (int k = 0; k < CPV_PARAM_COUNT; k++)
            g->p[i][k] = fetch(w, c, cpv_weight_grad(w->l[i].on, (cpv_param)k));
    assert_ok(cpv_compute_sync(c, &err));
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
    for (int i = 0; i < LAYERS; i++)
        cpv_weight_close(&w->l[i].on);
}

/* ---- comparisons ---- */

static void near(const struct net *w, const char *what, int which, const float *got,
                 const struct pair *p, double times)
{
    double *want = calloc((size_t)p->n, sizeof *want);
    struct tolerance tol = {.top = 2e-6 + 24 * input_unit(w->place->device->values)};
    char text[400];
    bool good;

    differences(w, p, want);
    for (int64_t i = 0; i < p->n; i++)
        want[i] *= times;
    good = compare_f64(got, (size_t)p->n, want, (size_t)p->n, &tol, 0, NULL, text,
                       sizeof text);
    free(want);
    if (!good)
        fail_msg("%s, activation %d: gradient of %s, part %d: %s", w->place->text, w->act,
                 what, which, text);
}

/* Is part k of a layer trained? */
static bool is_trained(const struct layer *l, int k)
{
    static const unsigned bits[CPV_PARAM_COUNT] = {CPV_TRAIN_MATRIX, CPV_TRAIN_BIAS,
                                                   CPV_TRAIN_LORA, CPV_TRAIN_LORA};

    return l->p[k].f && l->train & bits[k];
}

static void check_grads(struct net *w, const struct grads *g, bool watch, double times)
{
    for (int i = 0; i < LAYERS; i++)
        for (int k = 0; k < CPV_PARAM_COUNT; k++) {
            const struct layer *l = &w->l[i];

            if (!is_trained(l, k) != !g->p[i][k])
                fail_msg("part %d of %s: expected %s gradient", k, l->name,
                         is_trained(l, k) ? "a" : "no");
            if (g->p[i][k])
                near(w, l->name, k, g->p[i][k], &l->p[k], times);
        }
    assert_int_equal(g->x != NULL, watch);
    if (watch)
        near(w, "x", 0, g->x, &w->x, 1);
}

static void same_bits(struct net *w, const struct grads *a, const struct grads *b,
                      const char *what)
{
    char text[300];

    for (int i = 0; i < LAYERS; i++)
        for (int k = 0; k < CPV_PARAM_COUNT; k++) {
            size_t n = (size_t)w->l[i].p[k].n;

            assert_int_equal(a->p[i][k] != NULL, b->p[i][k] != NULL);
            if (a->p[i][k] &&
                !compare_bits(b->p[i][k], n, a->p[i][k], n, 0, text, sizeof text))
                fail_msg("%s: part %d of %s: %s", what, k, w->l[i].name, text);
        }
    if (!compare_bits(b->x, N * D, a->x, N * D, 0, text, sizeof text))
        fail_msg("%s: x: %s", what, text);
}

/* ---- tests ---- */

enum { ALL = CPV_TRAIN_MATRIX | CPV_TRAIN_BIAS | CPV_TRAIN_LORA };

static void gradients_are_those_of_differences(void **state)
{
    static const cpv_unary_kind acts[] = {CPV_IDENTITY,   CPV_GELU, CPV_GELU_TANH,
                                          CPV_QUICK_GELU, CPV_SILU, CPV_TANH};
    struct net w;
    struct grads g;

    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        open_net(&w, *state, acts[i], ALL);
        run_pass(&w, (struct pass){.watch = true}, &g);
        check_grads(&w, &g, true, 1);
        close_net(&w);
    }
}

static void locked_parts_have_none(void **state)
{
    struct net w;
    struct grads g;

    for (unsigned train = 0; train <= ALL; train++)
        for (int watch = 0; watch < 2; watch++) {
            if (!train && !watch)
                continue;
            open_net(&w, *state, CPV_GELU, train);
            run_pass(&w, (struct pass){.watch = watch}, &g);
            check_grads(&w, &g, watch, 1);
            close_net(&w);
        }
}

static void one_layer_may_be_the_only_one(void **state)
{
    struct net w;
    struct grads g;

    for (int i = 0; i < LAYERS; i++) {
        open_net(&w, *state, CPV_SILU, 0);
        w.l[i].train = ALL;
        run_pass(&w, (struct pass){0}, &g);
        check_grads(&w, &g, false, 1);
        close_net(&w);
    }
}

static void nothing_is_recorded_for_nothing(void **state)
{
    struct place *p = *state;
    cpv_compute *c = place_context(p, 0);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct cpv_err err = {0};
    struct net w;
    cpv_tensor x, y;

    open_net(&w, p, CPV_GELU, 0);
    create(&w);
    cpv_tape_start(c);
    x = cpv_put(c, N, D, w.x.f);
    y = block(c, &(struct block){w.l, CPV_GELU}, x);
    cpv_tape_stop(c);
    assert_int_equal(y.id, 0);
    cpv_backward(c, y, x);
    assert_int_not_equal(cpv_compute_sync(c, &err), CPV_OK);
    assert_false(cpv_is(cpv_grad(c, x)));
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
    close_net(&w);
}

static void gradients_of_weights_add_up(void **state)
{
    struct net w;
    struct grads g;

    open_net(&w, *state, CPV_GELU, ALL);
    run_pass(&w, (struct pass){.watch = true, .times = 3}, &g);
    check_grads(&w, &g, true, 3);
    close_net(&w);
}

static void segments_change_no_bit(void **state)
{
    struct net w;
    struct grads plain, cut;

    open_net(&w, *state, CPV_GELU, ALL);
    run_pass(&w, (struct pass){.watch = true}, &plain);
    run_pass(&w, (struct pass){.watch = true, .segments = true}, &cut);
    same_bits(&w, &plain, &cut, "segments");
    /* Weights inside want their gradients though nobody watches x. */
    run_pass(&w, (struct pass){.segments = true}, &cut);
    assert_null(cut.x);
    cut.x = plain.x;
    same_bits(&w, &plain, &cut, "segments of an unwatched x");
    close_net(&w);
}

static void threads_change_no_bit(void **state)
{
    struct net w;
    struct grads one, more;

    open_net(&w, *state, CPV_GELU, ALL);
    run_pass(&w, (struct pass){.watch = true}, &one);
    for (int i = 0; i < PLACE_CONTEXTS; i++) {
        run_pass(&w, (struct pass){.watch = true, .context = i}, &more);
        same_bits(&w, &one, &more, "threads");
    }
    close_net(&w);
}

/* Columns and rows of one product, one of them twice: gradients meet in one tensor. */
static void views_share_one_gradient(void **state)
{
    struct place *p = *state;
    cpv_compute *c = place_context(p, 0);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct cpv_err err = {0};
    float x[4 * 6], dy[4 * 2], got[4 * 6], want[4 * 6] = {0};
    cpv_tensor t, y;
    char text[200];

    for (int i = 0; i < 24; i++)
        x[i] = (float)i;
    for (int i = 0; i < 8; i++)
        dy[i] = (float)(1 << i);
    cpv_tape_start(c);
    t = cpv_watch(c, cpv_put(c, 4, 6, x));
    y = cpv_add(c, cpv_columns(t, 1, 2), cpv_columns(t, 4, 2));
    y = cpv_add(c, y, cpv_columns(t, 1, 2));
    cpv_tape_stop(c);
    cpv_backward(c, y, cpv_put(c, 4, 2, dy));
    for (int r = 0; r < 4; r++)
        for (int k = 0; k < 2; k++) {
            want[r * 6 + 1 + k] = 2 * dy[r * 2 + k];
            want[r * 6 + 4 + k] = dy[r * 2 + k];
        }
    assert_true(cpv_get(c, cpv_grad(c, t), got));
    if (!compare_bits(got, 24, want, 24, 6, text, sizeof text))
        fail_msg("%s", text);
    assert_true(cpv_get(c, cpv_grad(c, cpv_columns(cpv_row_range(t, 2, 1), 4, 2)), got));
    assert_true(got[0] == dy[4] && got[1] == dy[5]);
    assert_ok(cpv_compute_sync(c, &err));
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
}

/* New masters, and refresh: as if the weight had been made of them. */
static void refresh_takes_the_masters(void **state)
{
    struct place *p = *state;
    cpv_compute *c = place_context(p, 0);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct cpv_err err = {0};
    float got[N * H], want[N * H];
    struct net w, v;
    char text[200];

    open_net(&w, p, CPV_GELU, ALL);
    open_net(&v, p, CPV_GELU, ALL);
    for (int k = 0; k < CPV_PARAM_COUNT; k++)
        for (int64_t i = 0; i < v.l[1].p[k].n; i++)
            v.l[1].p[k].f[i] =
                input_round(p->device->weights, 0.5 * v.l[1].p[k].d[i] + 1);
    create(&w);
    create(&v);
    for (int k = 0; k < CPV_PARAM_COUNT; k++)
        assert_ok(p->device->backend->copy_in(
            c, cpv_weight_param(w.l[1].on, (cpv_param)k), v.l[1].p[k].f, &err));
    cpv_weight_refresh(c, w.l[1].on);
    assert_true(
        cpv_get(c, cpv_linear(c, cpv_put(c, N, D, w.x.f), w.l[1].on, CPV_GELU), got));
    assert_true(
        cpv_get(c, cpv_linear(c, cpv_put(c, N, D, w.x.f), v.l[1].on, CPV_GELU), want));
    if (!compare_bits(got, N * H, want, N * H, H, text, sizeof text))
        fail_msg("%s", text);
    cpv_compute_rewind(c, mark);
    close_net(&w);
    close_net(&v);
}

static int run(const char *device, struct place_dtypes dtypes, int *ran, int *skipped)
{
    static const cpv_op_kind runs[] = {CPV_OP_ADD,       CPV_OP_COPY,   CPV_OP_FILL,
                                       CPV_OP_LAYERNORM, CPV_OP_LINEAR, CPV_OP_UNARY,
                                       CPV_OP_COUNT};
    static const cpv_op_kind backs[] = {CPV_OP_ADD, CPV_OP_LAYERNORM, CPV_OP_LINEAR,
                                        CPV_OP_UNARY, CPV_OP_COUNT};
    struct place p;
    int rc = place_open(&p, device, dtypes), failed = rc != CPV_OK && rc != PLACE_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(gradients_are_those_of_differences, &p),
        cmocka_unit_test_prestate(locked_parts_have_none, &p),
        cmocka_unit_test_prestate(one_layer_may_be_the_only_one, &p),
        cmocka_unit_test_prestate(nothing_is_recorded_for_nothing, &p),
        cmocka_unit_test_prestate(gradients_of_weights_add_up, &p),
        cmocka_unit_test_prestate(segments_change_no_bit, &p),
        cmocka_unit_test_prestate(threads_change_no_bit, &p),
        cmocka_unit_test_prestate(views_share_one_gradient, &p),
        cmocka_unit_test_prestate(refresh_takes_the_masters, &p),
    };

    if (rc == CPV_OK && place_has(&p, runs) && place_has_back(&p, backs)) {
        failed = cmocka_run_group_tests_name(p.text, tests, NULL, NULL);
        ++*ran;
    } else if (rc == CPV_OK) {
        (void)printf("%s: skipped, it has no backward of all of these\n", p.text);
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
        if (place_dtypes[i].weights == place_dtypes[i].values)
            failed += run(device, place_dtypes[i], &ran, &skipped);
    return place_status(failed, skipped, ran);
}
