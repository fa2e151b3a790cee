/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backward of single operations: test_back DEVICE. Attention over packed sequences,
 * activations, softmax, L2 norm, gathering and embedding, against central differences of
 * an evaluation in double; threads to the bit. test_tape.c has products and layer norms.
 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/compute/tape.h"
#include "tests/unit/compute/ops.h"

enum { INPUTS = 3, HEADS = 3, WIDTH = 15 /* of all heads */ };

struct input {
    int64_t rows, cols;
    int64_t view; /* columns that are watched, from the first on; 0: a constant */
    float *f;
    double *d;
};

/* One operation of up to three inputs, for the device and in double. */
struct graph {
    struct place *place;
    cpv_arena *mem;
    uint32_t stream;
    struct input in[INPUTS], dy;
    cpv_tensor (*run)(const struct graph *g, cpv_compute *c, const cpv_tensor *in);
    void (*eval)(const struct graph *g, double *y);
    /* attention: of q and of keys, sequences; where q, k, v are */
    int32_t count, kv_count;
    const int32_t *length, *kv_length, *source;
    bool causal;
    int part[3];     /* which input */
    int64_t from[3]; /* its column */
    /* others */
    cpv_unary_kind act;
    float eps;
    const int32_t *index;
};

static void fill(struct graph *g, struct input *in, int64_t rows, int64_t cols,
                 int64_t view)
{
    *in = (struct input){.rows = rows, .cols = cols, .view = view};
    in->f = cpv_arena_calloc(g->mem, (size_t)(rows * cols), sizeof *in->f);
    in->d = cpv_arena_calloc(g->mem, (size_t)(rows * cols), sizeof *in->d);
    assert_true(in->f && in->d);
    input_fill(in->f, rows, cols, INPUT_NORMAL, g->place->device->values, 5, g->stream++);
    for (int64_t i = 0; i < rows * cols; i++)
        in->d[i] = (double)in->f[i];
}

static void start(struct graph *g, struct place *p)
{
    struct cpv_err err = {0};

    memset(g, 0, sizeof *g);
    g->place = p;
    assert_ok(cpv_arena_open(&g->mem, 0, &err));
}

/* ---- gradients ---- */

static double loss(const struct graph *g, double *y)
{
    double sum = 0;

    g->eval(g, y);
    for (int64_t i = 0; i < g->dy.rows * g->dy.cols; i++)
        sum += g->dy.d[i] * y[i];
    return sum;
}

/* Of the watched columns of an input. */
static void differences(const struct graph *g, const struct input *in, double *to)
{
    double *y = calloc((size_t)(g->dy.rows * g->dy.cols), sizeof *y);
    const double step = 1e-5;

    assert_non_null(y);
    for (int64_t i = 0; i < in->rows * in->cols; i++) {
        double was = in->d[i], up;

        if (i % in->cols >= in->view)
            continue;
        in->d[i] = was + step;
        up = loss(g, y);
        in->d[i] = was - step;
        *to++ = (up - loss(g, y)) / (2 * step);
        in->d[i] = was;
    }
    free(y);
}

static float *pass(struct graph *g, int context, int which)
{
    cpv_compute *c = place_context(g->place, context);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct input *in = &g->in[which];
    float *got = cpv_arena_calloc(g->mem, (size_t)(in->rows * in->view), sizeof *got);
    cpv_tensor t[INPUTS] = {{0}}, y;
    struct cpv_err err = {0};

    assert_non_null(got);
    cpv_tape_clear(c);
    cpv_tape_start(c);
    for (int i = 0; i < INPUTS; i++) {
        if (!g->in[i].f)
            continue;
        t[i] = cpv_put(c, g->in[i].rows, g->in[i].cols, g->in[i].f);
        if (g->in[i].view)
            t[i] = cpv_watch(c, cpv_columns(t[i], 0, g->in[i].view));
    }
    y = g->run(g, c, t);
    cpv_tape_stop(c);
    cpv_backward(c, y, cpv_put(c, g->dy.rows, g->dy.cols, g->dy.f));
    if (cpv_compute_failed(c) && cpv_compute_sync(c, &err))
        fail_msg("%s", err.text);
    assert_true(cpv_get(c, cpv_grad(c, t[which]), got));
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
    return got;
}

/* Each watched input's gradient, with 1, 2 and 7 threads; then the graph is gone. */
static void check(struct graph *g, const char *what)
{
    struct tolerance tol = {.top = 2e-6 + 24 * input_unit(g->place->device->values)};
    char text[400];

    for (int i = 0; i < INPUTS; i++) {
        size_t n = (size_t)(g->in[i].rows * g->in[i].view);
        double *want = n ? cpv_arena_calloc(g->mem, n, sizeof *want) : NULL;
        const float *got;

        if (!n)
            continue;
        assert_non_null(want);
        differences(g, &g->in[i], want);
        got = pass(g, 0, i);
        if (!compare_f64(got, n, want, n, &tol, (size_t)g->in[i].view, NULL, text,
                         sizeof text))
            fail_msg("%s, %s: gradient of input %d: %s", g->place->text, what, i, text);
        for (int k = 1; k < PLACE_CONTEXTS; k++)
            if (!compare_bits(pass(g, k, i), n, got, n, 0, text, sizeof text))
                fail_msg("%s, %s: input %d, %d threads: %s", g->place->text, what, i,
                         place_threads(k), text);
    }
    cpv_arena_close(&g->mem);
}

/* ---- attention ---- */

static const double *at(const struct graph *g, int part, int64_t row)
{
    const struct input *in = &g->in[g->part[part]];

    return in->d + row * in->cols + g->from[part];
}

static void look(const struct graph *g, int64_t row, int64_t key, int32_t seen, int head,
                 double *y)
{
    const int64_t d = WIDTH / HEADS;
    double sum = 0;

    for (int32_t t = 0; t < seen; t++) {
        const double *q = at(g, 0, row) + head * d, *k = at(g, 1, key + t) + head * d;
        double s = 0;

        for (int64_t j = 0; j < d; j++)
            s += q[j] * k[j];
        s = exp(s / sqrt((double)d));
        sum += s;
        for (int64_t j = 0; j < d; j++)
            y[j] += s * at(g, 2, key + t)[head * d + j];
    }
    for (int64_t j = 0; j < d && seen > 0; j++)
        y[j] /= sum;
}

static void attention_eval(const struct graph *g, double *y)
{
    int64_t row = 0;

    memset(y, 0, (size_t)(g->dy.rows * g->dy.cols) * sizeof *y);
    for (int32_t s = 0; s < g->count; s++) {
        int32_t from = g->source ? g->source[s] : s, n = g->length[s];
        int32_t m = g->kv_length[from];
        int64_t key = 0;

        for (int32_t k = 0; k < from; k++)
            key += g->kv_length[k];
        for (int32_t i = 0; i < n; i++, row++)
            for (int h = 0; h < HEADS; h++)
                look(g, row, key, g->causal ? m - n + i + 1 : m, h,
                     y + row * WIDTH + h * (WIDTH / HEADS));
    }
}

static cpv_tensor attention_run(const struct graph *g, cpv_compute *c,
                                const cpv_tensor *in)
{
    struct cpv_heads heads = {.count = HEADS, .causal = g->causal};
    cpv_rows rows = cpv_rows_put(c, g->length, g->count), kv_rows;
    cpv_tensor part[3], source = {0};

    for (int i = 0; i < 3; i++)
        part[i] = cpv_columns(in[g->part[i]], g->from[i], WIDTH);
    if (g->length == g->kv_length)
        return cpv_self_attention(c, part[0], part[1], part[2], rows, heads);
    kv_rows = cpv_rows_put(c, g->kv_length, g->kv_count);
    if (g->source)
        source = cpv_put_i32(c, g->count, 1, g->source);
    return cpv_cross_attention(c, part[0], rows, part[1], part[2], kv_rows, source,
                               heads);
}

static const int32_t LENGTH[] = {3, 0, 1, 20, 2}, KV_LENGTH[] = {5, 2, 0, 18, 3};
static const int32_t SOURCE[] = {3, 1, 2, 3, 0}; /* one twice, one without keys */
enum { SEQUENCES = 5, ROWS = 26, KV_ROWS = 28 };

static void open_attention(struct graph *g, struct place *p)
{
    start(g, p);
    g->run = attention_run;
    g->eval = attention_eval;
    g->count = g->kv_count = SEQUENCES;
    g->length = g->kv_length = LENGTH;
    fill(g, &g->dy, ROWS, WIDTH, 0);
}

static void a_fused_product_gets_all_three(void **state)
{
    struct graph g;

    for (int causal = 0; causal < 2; causal++) {
        open_attention(&g, *state);
        g.causal = causal;
        fill(&g, &g.in[0], ROWS, 3 * (int64_t)WIDTH, 3 * (int64_t)WIDTH);
        g.from[1] = WIDTH;
        g.from[2] = 2 * (int64_t)WIDTH;
        check(&g, causal ? "causal" : "self");
    }
}

/* q, k and v all of the same columns: three gradients meet in each number. */
static void one_tensor_may_be_all_three(void **state)
{
    struct graph g;

    open_attention(&g, *state);
    fill(&g, &g.in[0], ROWS, WIDTH, WIDTH);
    check(&g, "q = k = v");
}

static void shared_keys_add_up(void **state)
{
    struct graph g;

    for (int shared = 0; shared < 2; shared++) {
        open_attention(&g, *state);
        g.kv_length = KV_LENGTH;
        g.source = shared ? SOURCE : NULL;
        for (int i = 0; i < 3; i++) {
            fill(&g, &g.in[i], i ? KV_ROWS : ROWS, WIDTH, WIDTH);
            g.part[i] = i;
        }
        check(&g, shared ? "shared keys" : "cross");
    }
}

static void any_of_the_three_may_be_constant(void **state)
{
    struct graph g;

    for (int which = 1; which < 7; which++) {
        open_attention(&g, *state);
        g.kv_length = KV_LENGTH;
        g.source = SOURCE;
        for (int i = 0; i < 3; i++) {
            fill(&g, &g.in[i], i ? KV_ROWS : ROWS, WIDTH, which >> i & 1 ? WIDTH : 0);
            g.part[i] = i;
        }
        check(&g, "constants");
    }
}

/* k is a watched view and v part of a wider watched tensor: gradients of two strides. */
static void strides_of_gradients_may_differ(void **state)
{
    struct graph g;

    open_attention(&g, *state);
    g.kv_length = KV_LENGTH;
    fill(&g, &g.in[0], ROWS, WIDTH, WIDTH);
    fill(&g, &g.in[1], KV_ROWS, 2 * (int64_t)WIDTH, WIDTH);
    fill(&g, &g.in[2], KV_ROWS, 2 * (int64_t)WIDTH, 2 * (int64_t)WIDTH);
    g.part[1] = 1;
    g.part[2] = 2;
    g.from[2] = WIDTH;
    check(&g, "strides");
}

static void slots_have_no_way_back(void **state)
{
    struct place *p = *state;
    cpv_compute *c = place_context(p, 0);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    struct cpv_kv_params params = {
        .layers = 1, .slots = 1, .capacity = 2, .width = WIDTH};
    const int32_t one = 1, slot = 0;
    struct cpv_err err = {0};
    cpv_kv *kv = NULL;
    struct graph g;
    cpv_tensor x, y;
    cpv_slots slots;
    cpv_rows rows;

    open_attention(&g, p);
    fill(&g, &g.in[0], 1, WIDTH, WIDTH);
    assert_ok(cpv_kv_open(&kv, p->device, &params, &err));
    rows = cpv_rows_put(c, &one, 1);
    slots = cpv_slots_put(c, &slot, 1);
    (void)cpv_kv_extend(c, kv, rows, slots);
    x = cpv_put(c, 1, WIDTH, g.in[0].f);
    cpv_kv_write(c, kv, 0, x, x);
    cpv_tape_start(c);
    x = cpv_watch(c, x);
    y = cpv_attend(c, x, rows, kv, 0, slots, (struct cpv_heads){.count = HEADS});
    cpv_tape_stop(c);
    cpv_backward(c, y, x);
    assert_int_not_equal(cpv_compute_sync(c, &err), CPV_OK);
    assert_non_null(strstr(err.text, "slots"));
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
    cpv_kv_close(&kv);
    cpv_arena_close(&g.mem);
}

/* ---- rows ---- */

static cpv_tensor unary_run(const struct graph *g, cpv_compute *c, const cpv_tensor *in)
{
    return cpv_unary(c, in[0], g->act);
}

static void unary_eval(const struct graph *g, double *y)
{
    for (int64_t i = 0; i < g->dy.rows * g->dy.cols; i++)
        y[i] = op_act(g->act, g->in[0].d[i]);
}

static void activations(void **state)
{
    struct graph g;

    for (int act = 0; act < CPV_UNARY_COUNT; act++) {
        start(&g, *state);
        g.run = unary_run;
        g.eval = unary_eval;
        g.act = (cpv_unary_kind)act;
        fill(&g, &g.in[0], 9, 37, 37);
        fill(&g, &g.dy, 9, 37, 0);
        check(&g, "activation");
    }
}

static cpv_tensor softmax_run(const struct graph *g, cpv_compute *c, const cpv_tensor *in)
{
    (void)g;
    return cpv_softmax(c, in[0]);
}

static void softmax_eval(const struct graph *g, double *y)
{
    for (int64_t i = 0; i < g->dy.rows; i++) {
        const double *x = g->in[0].d + i * g->dy.cols;
        double sum = 0;

        for (int64_t j = 0; j < g->dy.cols; j++)
            sum += y[i * g->dy.cols + j] = exp(x[j]);
        for (int64_t j = 0; j < g->dy.cols; j++)
            y[i * g->dy.cols + j] /= sum;
    }
}

static void softmax(void **state)
{
    struct graph g;

    for (int64_t cols = 1; cols < 50; cols += 12) {
        start(&g, *state);
        g.run = softmax_run;
        g.eval = softmax_eval;
        fill(&g, &g.in[0], 8, cols, cols);
        fill(&g, &g.dy, 8, cols, 0);
        check(&g, "softmax");
    }
}

static cpv_tensor l2norm_run(const struct graph *g, cpv_compute *c, const cpv_tensor *in)
{
    return cpv_l2norm(c, in[0], g->eps);
}

static void l2norm_eval(const struct graph *g, double *y)
{
    for (int64_t i = 0; i < g->dy.rows; i++) {
        const double *x = g->in[0].d + i * g->dy.cols;
        double sum = 0;

        for (int64_t j = 0; j < g->dy.cols; j++)
            sum += x[j] * x[j];
        sum = fmax(sqrt(sum), (double)g->eps);
        for (int64_t j = 0; j < g->dy.cols; j++)
            y[i * g->dy.cols + j] = x[j] / sum;
    }
}

/* With rows below eps, too. */
static void l2norm(void **state)
{
    struct graph g;

    for (int large = 0; large < 2; large++) {
        start(&g, *state);
        g.run = l2norm_run;
        g.eval = l2norm_eval;
        g.eps = large ? 4.5F : 1e-12F;
        fill(&g, &g.in[0], 30, 19, 19);
        fill(&g, &g.dy, 30, 19, 0);
        check(&g, "l2norm");
    }
}

/* ---- by number ---- */

static const int32_t INDEX[] = {4, 0, 4, 2, 4, 2};
enum { NUMBERS = 6, TABLE = 5, TABLE_COLS = 11 };

static cpv_tensor gather_run(const struct graph *g, cpv_compute *c, const cpv_tensor *in)
{
    return cpv_gather(c, in[0], cpv_put_i32(c, g->dy.rows, 1, g->index));
}

static void gather_eval(const struct graph *g, double *y)
{
    for (int64_t i = 0; i < g->dy.rows; i++)
        memcpy(y + i * g->dy.cols, g->in[0].d + g->index[i] * g->dy.cols,
               (size_t)g->dy.cols * sizeof *y);
}

static void gathered_rows_add_up(void **state)
{
    struct graph g;

    start(&g, *state);
    g.run = gather_run;
    g.eval = gather_eval;
    g.index = INDEX;
    fill(&g, &g.in[0], TABLE, TABLE_COLS, TABLE_COLS);
    fill(&g, &g.dy, NUMBERS, TABLE_COLS, 0);
    check(&g, "gather");
}

static cpv_weight *table(struct graph *g, const struct input *in)
{
    struct cpv_weight_params w = {.name = "table",
                                  .out = in->rows,
                                  .in = in->cols,
                                  .use = CPV_USE_TABLE,
                                  .train = CPV_TRAIN_MATRIX,
                                  .matrix = {.plain = in->f}};
    struct cpv_err err = {0};
    cpv_weight *made = NULL;

    assert_ok(cpv_weight_create(&made, g->place->device, &w, &err));
    return made;
}

static void near(const struct graph *g, cpv_compute *c, const cpv_weight *w,
                 const double *want, const char *what)
{
    struct tolerance tol = {.top = 2e-6 + 24 * input_unit(g->place->device->values)};
    size_t n = (size_t)TABLE * TABLE_COLS;
    float got[TABLE * TABLE_COLS];
    char text[300];

    assert_true(cpv_get(c, cpv_weight_grad(w, CPV_PARAM_MATRIX), got));
    if (!compare_f64(got, n, want, n, &tol, TABLE_COLS, NULL, text, sizeof text))
        fail_msg("%s: gradient of %s: %s", g->place->text, what, text);
}

/* An id outside makes a row of NaN, which is nobody's gradient. */
static void tables_and_positions(void **state)
{
    static const int32_t ids[NUMBERS] = {4, 0, 4, 9, 3, 4}, where[] = {0, 1, 2, 0, 1, 1};
    struct place *p = *state;
    cpv_compute *c = place_context(p, 1);
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    double rows[TABLE * TABLE_COLS] = {0}, positions[TABLE * TABLE_COLS] = {0};
    struct cpv_err err = {0};
    cpv_weight *w[2];
    struct graph g;
    cpv_tensor y;

    start(&g, p);
    fill(&g, &g.in[0], TABLE, TABLE_COLS, 0);
    fill(&g, &g.dy, NUMBERS, TABLE_COLS, 0);
    for (int i = 0; i < 2; i++)
        w[i] = table(&g, &g.in[0]);
    cpv_tape_start(c);
    y = cpv_embed(c, cpv_put_i32(c, NUMBERS, 1, ids), w[0], 2.5F, w[1],
                  cpv_put_i32(c, NUMBERS, 1, where), 2);
    cpv_tape_stop(c);
    cpv_backward(c, y, cpv_put(c, NUMBERS, TABLE_COLS, g.dy.f));
    for (int64_t i = 0; i < NUMBERS; i++)
        for (int64_t j = 0; j < TABLE_COLS && ids[i] < TABLE; j++) {
            rows[ids[i] * TABLE_COLS + j] += 2.5 * g.dy.d[i * TABLE_COLS + j];
            positions[(where[i] + 2) * TABLE_COLS + j] += g.dy.d[i * TABLE_COLS + j];
        }
    near(&g, c, w[0], rows, "the table");
    near(&g, c, w[1], positions, "positions");
    assert_ok(cpv_compute_sync(c, &err));
    cpv_tape_clear(c);
    cpv_compute_rewind(c, mark);
    for (int i = 0; i < 2; i++)
        cpv_weight_close(&w[i]);
    cpv_arena_close(&g.mem);
}

/* ---- */

static int run(const char *device, struct place_dtypes dtypes, int *ran, int *skipped)
{
    static const cpv_op_kind needs[] = {CPV_OP_ATTENTION, CPV_OP_EMBED,   CPV_OP_GATHER,
                                        CPV_OP_L2NORM,    CPV_OP_SOFTMAX, CPV_OP_UNARY,
                                        CPV_OP_COUNT};
    struct place p;
    int rc = place_open(&p, device, dtypes), failed = rc != CPV_OK && rc != PLACE_SKIP;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(a_fused_product_gets_all_three, &p),
        cmocka_unit_test_prestate(one_tensor_may_be_all_three, &p),
        cmocka_unit_test_prestate(shared_keys_add_up, &p),
        cmocka_unit_test_prestate(any_of_the_three_may_be_constant, &p),
        cmocka_unit_test_prestate(strides_of_gradients_may_differ, &p),
        cmocka_unit_test_prestate(slots_have_no_way_back, &p),
        cmocka_unit_test_prestate(activations, &p),
        cmocka_unit_test_prestate(softmax, &p),
        cmocka_unit_test_prestate(l2norm, &p),
        cmocka_unit_test_prestate(gathered_rows_add_up, &p),
        cmocka_unit_test_prestate(tables_and_positions, &p),
    };

    if (rc == CPV_OK && place_has(&p, needs) && place_has_back(&p, needs)) {
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
