/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations and gradients on one device against what PyTorch makes of the same inputs:
 * test_torch DEVICE. Odd shapes, one of everything, columns of wider tensors, what NaN
 * and infinities become.
 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/compute/tape.h"
#include "tests/unit/compute/compare.h"
#include "tests/unit/compute/dump.h"
#include "tests/unit/compute/place.h"

struct room {
    struct place *place;
    cpv_compute *c;
    const struct dump *d;
    const char *op;
    int number;
    cpv_weight *w[3];
};

static const cpv_tensor none;

static const struct record *maybe(const struct room *r, const char *operand)
{
    return dump_find(r->d, r->op, r->number, operand);
}

static const struct record *must(const struct room *r, const char *operand)
{
    const struct record *found = maybe(r, operand);

    if (!found)
        fail_msg("%s.%d.%s is not in the dump", r->op, r->number, operand);
    return found;
}

static int whole(const struct room *r, const char *operand)
{
    return must(r, operand)->i[0];
}

/* On the device, in every second case as columns of something wider. */
static cpv_tensor put(const struct room *r, const char *operand)
{
    const struct record *x = must(r, operand);
    int64_t cols = x->cols + 4;
    cpv_tensor t;
    float *wide;

    if (x->i)
        return cpv_put_i32(r->c, x->rows, x->cols, x->i);
    if (r->number % 2 == 0)
        return cpv_put(r->c, x->rows, x->cols, x->f);
    wide = calloc((size_t)(x->rows * cols), sizeof *wide);
    assert_non_null(wide);
    for (int64_t i = 0; i < x->rows; i++)
        for (int64_t k = 0; k < cols; k++)
            wide[i * cols + k] = k < 1 || k > x->cols ? NAN : x->f[i * x->cols + k - 1];
    t = cpv_columns(cpv_put(r->c, x->rows, cols, wide), 1, x->cols);
    free(wide);
    return t;
}

static cpv_weight *weight(struct room *r, int at, const char *operand, unsigned use,
                          unsigned train)
{
    const struct record *w = must(r, operand);
    const struct record *b = strcmp(operand, "w") == 0 ? maybe(r, "b") : NULL;
    struct cpv_weight_params p = {.name = operand,
                                  .out = w->rows,
                                  .in = w->cols,
                                  .use = use,
                                  .train = train,
                                  .matrix = {.plain = w->f}};
    struct cpv_err err = {0};

    p.bias.plain = b ? b->f : NULL;
    if (maybe(r, "la"))
        p.lora = (struct cpv_lora){(int)must(r, "la")->rows, must(r, "scale")->f[0],
                                   must(r, "la")->f, must(r, "lb")->f};
    assert_ok(cpv_weight_create(&r->w[at], r->place->device, &p, &err));
    return r->w[at];
}

/* Against what PyTorch says: 64 units, which a sum of 301 may take. What is 0 in exact
 * arithmetic is 1e-13 there. */
static void check_as(struct room *r, cpv_tensor t, const char *operand, bool flat)
{
    const struct record *want = must(r, operand);
    size_t n = (size_t)(want->rows * want->cols);
    const struct tolerance tol = {.abs = 1e-12, .rel = 64 * 0x1p-24, .top = 16 * 0x1p-24};
    struct cpv_err err = {0};
    char text[400] = "";
    bool good;

    if (cpv_compute_failed(r->c) && cpv_compute_sync(r->c, &err))
        fail_msg("%s.%d: %s", r->op, r->number, err.text);
    if (!flat && (t.rows != want->rows || t.cols != want->cols))
        fail_msg("%s.%d.%s: [%lld, %lld], expected [%lld, %lld]", r->op, r->number,
                 operand, (long long)t.rows, (long long)t.cols, (long long)want->rows,
                 (long long)want->cols);
    if (want->i) {
        int32_t *got = calloc(n, sizeof *got);

        assert_true(cpv_get_i32(r->c, t, got));
        good = compare_i32(got, n, want->i, n, (size_t)want->cols, text, sizeof text);
        free(got);
    } else {
        float *got = calloc(n, sizeof *got);

        assert_true(cpv_get(r->c, t, got));
        good = compare_f32(got, n, want->f, n, &tol, (size_t)want->cols, NULL, text,
                           sizeof text);
        free(got);
    }
    if (!good)
        fail_msg("%s: %s.%d.%s: %s", r->place->text, r->op, r->number, operand, text);
}

static void check(struct room *r, cpv_tensor t, const char *operand)
{
    check_as(r, t, operand, false);
}

/* ---- each operation ---- */

static void linear(struct room *r)
{
    cpv_weight *w = weight(r, 0, "w", CPV_USE_LINEAR, 0);

    check(r, cpv_linear(r->c, put(r, "x"), w, (cpv_unary_kind)whole(r, "act")), "out");
}

enum { ALL = CPV_TRAIN_MATRIX | CPV_TRAIN_BIAS | CPV_TRAIN_LORA };

static bool has_back(const struct room *r, cpv_op_kind kind)
{
    return place_has_back(r->place, (const cpv_op_kind[]){kind, CPV_OP_COUNT}) &&
           place_has(r->place,
                     (const cpv_op_kind[]){CPV_OP_COPY, CPV_OP_FILL, CPV_OP_COUNT});
}

/* y has been recorded: back through it, and the gradients of what the case names. */
static void backward(struct room *r, cpv_tensor y, cpv_tensor x, cpv_tensor residual)
{
    static const struct {
        const char *name;
        cpv_param which;
    } params[] = {{"dw", CPV_PARAM_MATRIX},
                  {"db", CPV_PARAM_BIAS},
                  {"dla", CPV_PARAM_LORA_A},
                  {"dlb", CPV_PARAM_LORA_B}};

    cpv_tape_stop(r->c);
    cpv_backward(r->c, y, put(r, "dy"));
    check(r, cpv_grad(r->c, x), "dx");
    if (maybe(r, "dr"))
        check(r, cpv_grad(r->c, residual), "dr");
    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        cpv_tensor g = cpv_weight_grad(r->w[0], params[i].which);

        assert_int_equal(cpv_is(g), maybe(r, params[i].name) != NULL);
        if (cpv_is(g))
            check(r, g, params[i].name);
    }
}

static void linear_add(struct room *r)
{
    cpv_weight *w = weight(r, 0, "w", CPV_USE_LINEAR, ALL);
    cpv_tensor x, res, y;

    check(r, cpv_linear_add(r->c, put(r, "x"), w, put(r, "r")), "out");
    if (!has_back(r, CPV_OP_LINEAR))
        return;
    cpv_tape_start(r->c);
    x = cpv_watch(r->c, put(r, "x"));
    res = cpv_watch(r->c, put(r, "r"));
    y = cpv_linear_add(r->c, x, w, res);
    backward(r, y, x, res);
}

static void lora(struct room *r)
{
    cpv_weight *w = weight(r, 0, "w", CPV_USE_LINEAR, ALL);
    cpv_tensor x, y;

    check(r, cpv_linear(r->c, put(r, "x"), w, CPV_IDENTITY), "out");
    if (!has_back(r, CPV_OP_LINEAR))
        return;
    cpv_tape_start(r->c);
    x = cpv_watch(r->c, put(r, "x"));
    y = cpv_linear(r->c, x, w, CPV_IDENTITY);
    backward(r, y, x, none);
}

static void layernorm(struct room *r)
{
    float eps = must(r, "eps")->f[0];
    cpv_weight *w = weight(r, 0, "w", CPV_USE_NORM, ALL);
    cpv_tensor x, y;

    check(r, cpv_layernorm(r->c, put(r, "x"), w, eps), "out");
    if (!maybe(r, "dy") || !has_back(r, CPV_OP_LAYERNORM))
        return;
    cpv_tape_start(r->c);
    x = cpv_watch(r->c, put(r, "x"));
    y = cpv_layernorm(r->c, x, w, eps);
    backward(r, y, x, none);
}

static void unary(struct room *r)
{
    check(r, cpv_unary(r->c, put(r, "x"), (cpv_unary_kind)whole(r, "kind")), "out");
}

static void softmax(struct room *r)
{
    check(r, cpv_softmax(r->c, put(r, "x")), "out");
}

static void logsumexp(struct room *r)
{
    check(r, cpv_topk(r->c, put(r, "x"), 1).lse, "out");
}

static void l2norm(struct room *r)
{
    check(r, cpv_l2norm(r->c, put(r, "x"), 1e-12F), "out");
}

static void similarity(struct room *r)
{
    check(r, cpv_similarity(r->c, put(r, "a"), put(r, "b"), must(r, "scale")->f[0]),
          "out");
}

static void topk(struct room *r)
{
    struct cpv_top top = cpv_topk(r->c, put(r, "x"), (int)must(r, "ids")->cols);

    check(r, top.ids, "ids");
    check(r, top.values, "values");
}

static void argmax(struct room *r)
{
    check(r, cpv_argmax(r->c, put(r, "x")), "out");
}

static void embed(struct room *r)
{
    cpv_weight *w = weight(r, 0, "w", CPV_USE_TABLE, 0), *places = NULL;

    if (maybe(r, "places"))
        places = weight(r, 1, "places", CPV_USE_TABLE, 0);
    check(r,
          cpv_embed(r->c, put(r, "ids"), w, must(r, "scale")->f[0], places,
                    places ? put(r, "at") : none, whole(r, "offset")),
          "out");
}

static void patches(struct room *r)
{
    const int32_t *shape = must(r, "shape")->i;
    struct cpv_patches p = {.channels = shape[0], .size = shape[1], .patch = shape[2]};

    p.projection = weight(r, 0, "w", CPV_USE_LINEAR, 0);
    p.class_token = weight(r, 1, "first", CPV_USE_TABLE, 0);
    p.positions = weight(r, 2, "places", CPV_USE_TABLE, 0);
    check(r, cpv_patch_embed(r->c, put(r, "x"), &p), "out");
}

static void attention(struct room *r)
{
    const struct record *length = must(r, "length"), *keys = maybe(r, "keys");
    cpv_rows rows = cpv_rows_put(r->c, length->i, (int32_t)length->cols), kv = rows;
    struct cpv_heads heads = {.count = whole(r, "heads"), .causal = whole(r, "causal")};
    cpv_tensor q = put(r, "q"), k = put(r, "k"), v = put(r, "v");

    if (!keys) {
        check(r, cpv_self_attention(r->c, q, k, v, rows, heads), "out");
        return;
    }
    kv = cpv_rows_put(r->c, keys->i, (int32_t)keys->cols);
    check(r, cpv_cross_attention(r->c, q, rows, k, v, kv, none, heads), "out");
}

/* ---- all cases of one ---- */

static const struct kind {
    const char *name;
    void (*run)(struct room *r);
    int cases; /* in the dump */
    cpv_op_kind needs[4];
} kinds[] = {
    {"linear", linear, 7, {CPV_OP_LINEAR, CPV_OP_COUNT}},
    {"linear_add", linear_add, 6, {CPV_OP_LINEAR, CPV_OP_COUNT}},
    {"lora", lora, 3, {CPV_OP_LINEAR, CPV_OP_COUNT}},
    {"layernorm", layernorm, 5, {CPV_OP_LAYERNORM, CPV_OP_COUNT}},
    {"unary", unary, 8, {CPV_OP_UNARY, CPV_OP_COUNT}},
    {"softmax", softmax, 4, {CPV_OP_SOFTMAX, CPV_OP_COUNT}},
    {"logsumexp", logsumexp, 4, {CPV_OP_TOPK, CPV_OP_COUNT}},
    {"l2norm", l2norm, 3, {CPV_OP_L2NORM, CPV_OP_COUNT}},
    {"similarity", similarity, 2, {CPV_OP_SIMILARITY, CPV_OP_COUNT}},
    {"topk", topk, 3, {CPV_OP_TOPK, CPV_OP_COUNT}},
    {"argmax", argmax, 3, {CPV_OP_ARGMAX, CPV_OP_COUNT}},
    {"embed", embed, 2, {CPV_OP_EMBED, CPV_OP_COUNT}},
    {"patches", patches, 3, {CPV_OP_PATCHES, CPV_OP_LINEAR, CPV_OP_TOKENS, CPV_OP_COUNT}},
    {"attention", attention, 5, {CPV_OP_ATTENTION, CPV_OP_COUNT}},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct job {
    const struct kind *kind;
    struct place *place;
    const struct dump *dump;
};

static void run_job(void **state)
{
    const struct job *j = *state;
    struct room r = {.place = j->place, .d = j->dump, .op = j->kind->name};
    struct cpv_err err = {0};

    r.c = place_context(j->place, 0);
    for (; maybe(&r, "x") || maybe(&r, "out"); r.number++) {
        struct cpv_compute_mark mark = cpv_compute_mark(r.c);

        j->kind->run(&r);
        assert_ok(cpv_compute_sync(r.c, &err));
        cpv_tape_clear(r.c);
        cpv_compute_rewind(r.c, mark);
        for (int i = 0; i < 3; i++)
            cpv_weight_close(&r.w[i]);
    }
    assert_int_equal(r.number, j->kind->cases);
}

int main(int argc, char **argv)
{
    static struct dump dump;
    struct CMUnitTest tests[KINDS] = {{0}};
    const char *golden = getenv("CAPIVARA_TEST_GOLDEN");
    struct job jobs[KINDS];
    struct place p;
    char path[512];
    int rc = place_open(&p, argc > 1 ? argv[1] : "ref", place_dtypes[0]), n = 0, failed;

    if (rc != CPV_OK)
        return rc == PLACE_SKIP ? PLACE_SKIP : 1;
    (void)snprintf(path, sizeof path, "%s/compute/torch.bin",
                   golden ? golden : "tests/golden");
    if (!dump_open(&dump, path))
        return 1;
    for (int i = 0; i < KINDS; i++) {
        jobs[n] = (struct job){&kinds[i], &p, &dump};
        tests[n].name = kinds[i].name;
        tests[n].test_func = run_job;
        tests[n].initial_state = &jobs[n];
        if (place_has(&p, kinds[i].needs))
            n++;
        else
            (void)printf("%s %s: skipped, the device does not have it\n", p.text,
                         kinds[i].name);
    }
    failed = n ? _cmocka_run_group_tests(p.text, tests, (size_t)n, NULL, NULL) : 0;
    dump_close(&dump);
    place_close(&p);
    return place_status(failed, KINDS - n, n);
}
