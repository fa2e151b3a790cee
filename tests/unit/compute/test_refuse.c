/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front door refuses, and how errors stick: test_refuse DEVICE. Every message is
 * one line with the operation and all shapes; what comes after the first mistake does
 * nothing; it is reported once.
 */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/compute/tape.h"
#include "tests/unit/compute/place.h"

struct room {
    cpv_compute *c;
    cpv_weight *fc, *table, *norm; /* 'fc' [3, 4], 'table' [5, 4], 'norm' [1, 4] */
    cpv_tensor x, y, ids;          /* [2, 4], [2, 3], i32 [2, 1] */
    cpv_rows two;                  /* two sequences of one row */
};

static const cpv_tensor none;

static void make_weight(cpv_weight **w, cpv_device *d, const char *name, int64_t out,
                        unsigned use)
{
    static const float values[20] = {1, 2, 3, 4, 5};
    struct cpv_weight_params p = {.name = name, .out = out, .in = 4, .use = use};
    struct cpv_err err = {0};

    p.matrix.plain = values;
    assert_ok(cpv_weight_create(w, d, &p, &err));
}

static void fill(struct room *r)
{
    static const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    r->x = cpv_put(r->c, 2, 4, values);
    r->y = cpv_put(r->c, 2, 3, values);
    r->ids = cpv_put_i32(r->c, 2, 1, (int32_t[]){0, 1});
    r->two = cpv_rows_equal(r->c, 1, 2);
}

static void enter(struct room *r, struct place *p)
{
    *r = (struct room){.c = place_context(p, 0)};
    make_weight(&r->fc, p->device, "fc", 3, CPV_USE_LINEAR);
    make_weight(&r->table, p->device, "table", 5, CPV_USE_TABLE);
    make_weight(&r->norm, p->device, "norm", 1, CPV_USE_NORM);
    fill(r);
}

static void leave(struct room *r)
{
    cpv_weight_close(&r->fc);
    cpv_weight_close(&r->table);
    cpv_weight_close(&r->norm);
}

/* ---- mistakes ---- */

static void linear_width(struct room *r)
{
    (void)cpv_linear(r->c, r->y, r->fc, CPV_IDENTITY);
}

static void linear_use(struct room *r)
{
    (void)cpv_linear(r->c, r->x, r->table, CPV_IDENTITY);
}

static void linear_missing(struct room *r)
{
    (void)cpv_linear(r->c, none, r->fc, CPV_IDENTITY);
}

static void linear_no_weight(struct room *r)
{
    (void)cpv_linear(r->c, r->x, NULL, CPV_IDENTITY);
}

static void linear_dtype(struct room *r)
{
    (void)cpv_linear(r->c, r->ids, r->fc, CPV_IDENTITY);
}

static void linear_residual(struct room *r)
{
    (void)cpv_linear_add(r->c, r->x, r->fc, r->x);
}

static void linear_no_residual(struct room *r)
{
    (void)cpv_linear_add(r->c, r->x, r->fc, none);
}

static void norm_width(struct room *r)
{
    (void)cpv_layernorm(r->c, r->y, r->norm, 1e-5F);
}

static void norm_use(struct room *r)
{
    (void)cpv_layernorm(r->c, r->x, r->fc, 1e-5F);
}

static void add_shapes(struct room *r)
{
    (void)cpv_add(r->c, r->x, r->y);
}

static void add_missing(struct room *r)
{
    (void)cpv_add(r->c, r->x, none);
}

static void unary_dtype(struct room *r)
{
    (void)cpv_unary(r->c, r->ids, CPV_RELU);
}

static void softmax_missing(struct room *r)
{
    (void)cpv_softmax(r->c, none);
}

static void l2norm_dtype(struct room *r)
{
    (void)cpv_l2norm(r->c, r->ids, 1e-12F);
}

static void similarity_widths(struct room *r)
{
    (void)cpv_similarity(r->c, r->x, r->y, 1);
}

static void gather_index(struct room *r)
{
    (void)cpv_gather(r->c, r->x, r->y);
}

static void gather_columns(struct room *r)
{
    (void)cpv_gather(r->c, r->x, cpv_put_i32(r->c, 1, 2, (int32_t[]){0, 1}));
}

static void embed_ids(struct room *r)
{
    (void)cpv_embed(r->c, r->x, r->table, 1, NULL, none, 0);
}

static void embed_at(struct room *r)
{
    (void)cpv_embed(r->c, r->ids, r->table, 1, r->table, cpv_row_range(r->ids, 0, 1), 0);
}

static void embed_use(struct room *r)
{
    (void)cpv_embed(r->c, r->ids, r->fc, 1, NULL, none, 0);
}

static void argmax_dtype(struct room *r)
{
    (void)cpv_argmax(r->c, r->ids);
}

static void topk_k(struct room *r)
{
    (void)cpv_topk(r->c, r->x, 5);
}

static void topk_many(struct room *r)
{
    (void)cpv_topk(r->c, cpv_put(r->c, 1, 300, (float[300]){0}), CPV_TOPK_MAX + 1);
}

static void topk_none(struct room *r)
{
    (void)cpv_topk(r->c, r->x, 0);
}

static void attention_heads(struct room *r)
{
    (void)cpv_self_attention(r->c, r->x, r->x, r->x, r->two,
                             (struct cpv_heads){.count = 3});
}

static void attention_rows(struct room *r)
{
    (void)cpv_self_attention(r->c, r->x, r->x, r->x, cpv_rows_equal(r->c, 1, 3),
                             (struct cpv_heads){.count = 2});
}

static void attention_widths(struct room *r)
{
    (void)cpv_cross_attention(r->c, r->x, r->two, r->y, r->y, r->two, none,
                              (struct cpv_heads){.count = 1});
}

static void attention_values(struct room *r)
{
    (void)cpv_self_attention(r->c, r->x, r->x, r->y, r->two,
                             (struct cpv_heads){.count = 1});
}

static void attention_sequences(struct room *r)
{
    (void)cpv_cross_attention(r->c, r->x, r->two, r->x, r->x, cpv_rows_equal(r->c, 2, 1),
                              none, (struct cpv_heads){.count = 1});
}

static void attention_source(struct room *r)
{
    (void)cpv_cross_attention(r->c, r->x, r->two, r->x, r->x, r->two, r->x,
                              (struct cpv_heads){.count = 1});
}

static void patches_pixels(struct room *r)
{
    struct cpv_patches p = {.channels = 1, .size = 4, .patch = 2, .projection = r->fc};

    (void)cpv_patch_embed(r->c, r->x, &p);
}

static void patches_grid(struct room *r)
{
    struct cpv_patches p = {.channels = 1, .size = 2, .patch = 3, .projection = r->fc};

    (void)cpv_patch_embed(r->c, r->x, &p);
}

static void patches_positions(struct room *r)
{
    struct cpv_patches p = {
        .channels = 1, .size = 2, .patch = 2, .projection = r->fc, .positions = r->table};

    (void)cpv_patch_embed(r->c, r->x, &p);
}

/* What the message begins with, and all that it must hold besides. */
static const struct mistake {
    void (*make)(struct room *r);
    const char *op, *holds[3];
} mistakes[] = {
    {linear_width, "linear", {"x [2, 3]", "'fc' [3, 4]"}},
    {linear_use, "linear", {"x [2, 4]", "'table' [5, 4]", "use"}},
    {linear_missing, "linear", {"'fc' [3, 4]", "x"}},
    {linear_no_weight, "linear", {"x [2, 4]", "weight is missing"}},
    {linear_dtype, "linear", {"x [2, 1] i32", "'fc' [3, 4]"}},
    {linear_residual, "linear", {"x [2, 4]", "residual [2, 4]", "'fc' [3, 4]"}},
    {linear_no_residual, "linear", {"x [2, 4]", "residual", "'fc' [3, 4]"}},
    {norm_width, "layernorm", {"x [2, 3]", "'norm' [1, 4]"}},
    {norm_use, "layernorm", {"x [2, 4]", "'fc' [3, 4]"}},
    {add_shapes, "add", {"a [2, 4]", "b [2, 3]"}},
    {add_missing, "add", {"a [2, 4]", "missing"}},
    {unary_dtype, "unary", {"x [2, 1] i32"}},
    {softmax_missing, "softmax", {"missing"}},
    {l2norm_dtype, "l2norm", {"x [2, 1] i32"}},
    {similarity_widths, "similarity", {"a [2, 4]", "b [2, 3]"}},
    {gather_index, "gather", {"x [2, 4]", "index [2, 3]"}},
    {gather_columns, "gather", {"x [2, 4]", "index [1, 2] i32"}},
    {embed_ids, "embed", {"ids [2, 4]", "'table' [5, 4]"}},
    {embed_at, "embed", {"ids [2, 1] i32", "at [1, 1] i32", "'table' [5, 4]"}},
    {embed_use, "embed", {"ids [2, 1] i32", "'fc' [3, 4]"}},
    {argmax_dtype, "argmax", {"x [2, 1] i32"}},
    {topk_k, "topk", {"x [2, 4]", "5"}},
    {topk_many, "topk", {"x [1, 300]", "257", "1 to 256"}},
    {topk_none, "topk", {"x [2, 4]", "0"}},
    {attention_heads, "attention", {"q [2, 4]", "3 heads"}},
    {attention_rows, "attention", {"q [2, 4]", "k [2, 4]", "3"}},
    {attention_widths, "attention", {"q [2, 4]", "k [2, 3]", "v [2, 3]"}},
    {attention_values, "attention", {"q [2, 4]", "k [2, 4]", "v [2, 3]"}},
    {attention_sequences, "attention", {"q [2, 4]", "2 sequences", "1"}},
    {attention_source, "attention", {"q [2, 4]", "source"}},
    {patches_pixels, "patches", {"x [2, 4]", "4 x 4", "2"}},
    {patches_grid, "patches", {"x [2, 4]", "2 x 2", "3"}},
    {patches_positions, "tokens", {"x [2, 3]", "'table' [5, 4]"}},
};

static void check_text(const struct mistake *m, const struct cpv_err *err)
{
    size_t n = strlen(m->op);
    bool good = strncmp(err->text, m->op, n) == 0 && err->text[n] == ':' &&
                !strchr(err->text, '\n');

    for (int i = 0; i < 3 && m->holds[i]; i++)
        good = good && strstr(err->text, m->holds[i]);
    if (!good)
        fail_msg("expected '%s: %s %s %s', got '%s'", m->op, m->holds[0],
                 m->holds[1] ? m->holds[1] : "", m->holds[2] ? m->holds[2] : "",
                 err->text);
}

static void mistakes_are_named_with_all_shapes(void **state)
{
    struct room r;

    enter(&r, *state);
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct cpv_err err = {0};

        assert_false(cpv_compute_failed(r.c));
        mistakes[i].make(&r);
        if (!cpv_compute_failed(r.c))
            fail_msg("mistake %zu of %s was not noticed", i, mistakes[i].op);
        assert_int_equal(cpv_compute_sync(r.c, &err), CPV_E_INPUT);
        check_text(&mistakes[i], &err);
    }
    leave(&r);
}

static void the_first_mistake_sticks(void **state)
{
    struct room r;
    struct cpv_err err = {0};
    float before[8], got[8] = {7, 7, 7, 7, 7, 7, 7, 7};
    int32_t ids[2] = {-5, -5};
    struct cpv_compute_mark mark;
    struct cpv_top top;

    enter(&r, *state);
    assert_true(cpv_get(r.c, r.x, before));
    mark = cpv_compute_mark(r.c);
    add_shapes(&r);
    norm_width(&r);
    cpv_compute_fail(r.c, CPV_E_INPUT, "a caller's own");
    assert_true(cpv_compute_failed(r.c));
    /* From here on nothing happens, and nothing is given out. */
    assert_false(cpv_is(cpv_put(r.c, 1, 1, before)));
    assert_false(cpv_is(cpv_put_i32(r.c, 1, 1, ids)));
    assert_int_equal(cpv_rows_equal(r.c, 1, 2).count, 0);
    assert_false(cpv_is(cpv_linear(r.c, r.x, r.fc, CPV_RELU)));
    assert_false(cpv_is(cpv_linear_add(r.c, r.x, r.fc, r.y)));
    assert_false(cpv_is(cpv_logits(r.c, r.x, r.fc)));
    assert_false(cpv_is(cpv_layernorm(r.c, r.x, r.norm, 1e-5F)));
    assert_false(cpv_is(cpv_unary(r.c, r.x, CPV_RELU)));
    assert_false(cpv_is(cpv_add(r.c, r.x, r.x)));
    assert_false(cpv_is(cpv_softmax(r.c, r.x)));
    assert_false(cpv_is(cpv_l2norm(r.c, r.x, 1e-12F)));
    assert_false(cpv_is(cpv_similarity(r.c, r.x, r.x, 1)));
    assert_false(cpv_is(cpv_gather(r.c, r.x, r.ids)));
    assert_false(cpv_is(cpv_embed(r.c, r.ids, r.table, 1, NULL, none, 0)));
    assert_false(cpv_is(cpv_positions(r.c, r.two)));
    assert_false(cpv_is(
        cpv_self_attention(r.c, r.x, r.x, r.x, r.two, (struct cpv_heads){.count = 1})));
    assert_false(cpv_is(cpv_argmax(r.c, r.x)));
    top = cpv_topk(r.c, r.x, 1);
    assert_false(cpv_is(top.ids) || cpv_is(top.values) || cpv_is(top.lse));
    assert_false(cpv_get(r.c, r.x, got));
    assert_true(got[0] == 7);
    assert_false(cpv_get_i32(r.c, r.ids, ids));
    assert_int_equal(ids[0], -5);
    assert_int_equal(cpv_compute_mark(r.c).used, mark.used);

    assert_int_equal(cpv_compute_sync(r.c, &err), CPV_E_INPUT);
    assert_int_equal(strncmp(err.text, "add: ", 5), 0);
    /* Once: afterwards the context works as before, and old tensors are there. */
    assert_false(cpv_compute_failed(r.c));
    assert_ok(cpv_compute_sync(r.c, &err));
    assert_true(cpv_get(r.c, r.x, got));
    assert_memory_equal(got, before, sizeof got);
    leave(&r);
}

static void callers_may_fail_a_context(void **state)
{
    struct room r;
    struct cpv_err err = {0};

    enter(&r, *state);
    cpv_compute_fail(r.c, CPV_E_CORRUPT, "'%s': %d", "caption", 3);
    add_shapes(&r);
    assert_int_equal(cpv_compute_sync(r.c, &err), CPV_E_CORRUPT);
    assert_string_equal(err.text, "'caption': 3");
    leave(&r);
}

static void dtypes_of_getting_are_checked(void **state)
{
    struct room r;
    struct cpv_err err = {0};
    float f[8];
    int32_t i[8];

    enter(&r, *state);
    assert_false(cpv_get(r.c, r.ids, f));
    assert_int_not_equal(cpv_compute_sync(r.c, &err), CPV_OK);
    assert_false(cpv_get_i32(r.c, r.x, i));
    assert_int_not_equal(cpv_compute_sync(r.c, &err), CPV_OK);
    assert_false(cpv_get(r.c, none, f));
    assert_int_not_equal(cpv_compute_sync(r.c, &err), CPV_OK);
    leave(&r);
}

static void a_full_arena_says_how_much_is_missing(void **state)
{
    struct place *p = *state;
    struct cpv_compute_params params = {.arena = (size_t)4 * CPV_ALIGN, .threads = 1};
    struct cpv_err err = {0};
    cpv_compute *c;
    float values[80] = {0};

    assert_ok(cpv_compute_open(&c, p->device, &params, &err));
    assert_true(cpv_is(cpv_put_i32(c, 1, 64, (int32_t *)(void *)values)));
    assert_true(cpv_is(cpv_put_i32(c, 1, 65, (int32_t *)(void *)values)));
    assert_int_equal(cpv_compute_mark(c).used, 3 * CPV_ALIGN);
    assert_false(cpv_is(cpv_put_i32(c, 1, 65, (int32_t *)(void *)values)));
    assert_int_equal(cpv_compute_sync(c, &err), CPV_E_MEMORY);
    assert_non_null(strstr(err.text, "1024 bytes"));
    assert_non_null(strstr(err.text, "260"));
    assert_non_null(strstr(err.text, "768"));
    /* Not what did not fit, but what did is still there, and exactly fills it. */
    assert_true(cpv_is(cpv_put_i32(c, 1, 64, (int32_t *)(void *)values)));
    assert_int_equal(cpv_compute_peak(c), params.arena);
    cpv_compute_close(&c);
}

static void a_tape_refuses_what_it_did_not_see(void **state)
{
    struct room r;
    struct cpv_err err = {0};

    enter(&r, *state);
    cpv_backward(r.c, r.x, r.x);
    assert_int_not_equal(cpv_compute_sync(r.c, &err), CPV_OK);
    assert_non_null(strstr(err.text, "backward"));
    assert_false(cpv_is(cpv_grad(r.c, r.x)));
    cpv_tape_start(r.c);
    (void)cpv_watch(r.c, r.x);
    cpv_tape_stop(r.c);
    cpv_backward(r.c, r.y, r.y);
    assert_int_not_equal(cpv_compute_sync(r.c, &err), CPV_OK);
    cpv_tape_clear(r.c);
    leave(&r);
}

/* ---- devices and weights ---- */

static void devices_that_are_not(void **state)
{
    static const struct {
        struct cpv_device_params p;
        int code;
        const char *says;
    } table[] = {
        {{.name = "gpu"}, CPV_E_USAGE, "'gpu'"},
        {{.name = "cpu:1"}, CPV_E_USAGE, "'cpu:1'"},
        {{.name = ""}, CPV_E_USAGE, "''"},
        {{.name = "ref", .weights = CPV_BF16}, CPV_E_USAGE, "bf16"},
        {{.name = "ref", .values = CPV_F16}, CPV_E_USAGE, "f16"},
        {{.name = "ref", .values = CPV_I8}, CPV_E_USAGE, "i8"},
        {{.name = "ref", .values = CPV_I32}, CPV_E_USAGE, "i32"},
        {{.name = "dry", .like = "nothing"}, CPV_E_USAGE, "'nothing'"},
    };
    cpv_device *d = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct cpv_err err = {0};

        assert_int_equal(cpv_device_open(&d, &table[i].p, &err), table[i].code);
        assert_null(d);
        if (!strstr(err.text, table[i].says) || strchr(err.text, '\n'))
            fail_msg("%zu: '%s'", i, err.text);
    }
}

static int torn(void *arg, int64_t first, int64_t n, float *to, struct cpv_err *err)
{
    (void)arg;
    (void)n;
    (void)to;
    return cpv_fail(err, CPV_E_CORRUPT, "row %d is torn", (int)first);
}

static void weights_that_are_not(void **state)
{
    static const float v[16];
    const struct cpv_source plain = {.plain = v};
    const struct cpv_weight_params table[] = {
        {.name = "w", .out = 0, .in = 4, .use = CPV_USE_LINEAR, .matrix = plain},
        {.name = "w", .out = 4, .in = -1, .use = CPV_USE_LINEAR, .matrix = plain},
        {.name = "w", .out = INT64_MAX, .in = 4, .use = CPV_USE_LINEAR, .matrix = plain},
        {.name = "w", .out = 4, .in = 4, .use = 0, .matrix = plain},
        {.name = "w", .out = 4, .in = 4, .use = CPV_USE_LINEAR},
        {.name = "w", .out = 4, .in = 4, .use = CPV_USE_NORM, .matrix = plain},
        {.name = "w",
         .out = 4,
         .in = 4,
         .use = CPV_USE_TABLE,
         .matrix = plain,
         .lora = {1, 1, v, v}},
        {.name = "w",
         .out = 4,
         .in = 4,
         .use = CPV_USE_LINEAR,
         .matrix = plain,
         .lora = {-1, 1, v, v}},
    };
    struct place *p = *state;
    cpv_weight *w = NULL;
    struct cpv_err err = {0};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_not_equal(cpv_weight_create(&w, p->device, &table[i], &err), CPV_OK);
        assert_null(w);
        assert_non_null(strstr(err.text, "'w'"));
    }
    for (unsigned use = 1; use <= 4; use *= 2) {
        struct cpv_weight_params q = {
            .name = "w", .out = use == 4 ? 1 : 4, .in = 4, .use = use};

        q.matrix.rows = torn;
        assert_int_equal(cpv_weight_create(&w, p->device, &q, &err), CPV_E_CORRUPT);
        assert_null(w);
        assert_non_null(strstr(err.text, "torn"));
    }
}

int main(int argc, char **argv)
{
    struct place p;
    int rc = place_open(&p, argc > 1 ? argv[1] : "ref", place_dtypes[0]), failed;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(mistakes_are_named_with_all_shapes, &p),
        cmocka_unit_test_prestate(the_first_mistake_sticks, &p),
        cmocka_unit_test_prestate(callers_may_fail_a_context, &p),
        cmocka_unit_test_prestate(dtypes_of_getting_are_checked, &p),
        cmocka_unit_test_prestate(a_full_arena_says_how_much_is_missing, &p),
        cmocka_unit_test_prestate(a_tape_refuses_what_it_did_not_see, &p),
        cmocka_unit_test_prestate(devices_that_are_not, &p),
        cmocka_unit_test_prestate(weights_that_are_not, &p),
    };

    if (rc == PLACE_SKIP || rc != CPV_OK)
        return rc == PLACE_SKIP ? PLACE_SKIP : 1;
    failed = cmocka_run_group_tests_name(p.text, tests, NULL, NULL);
    place_close(&p);
    return place_status(failed, 0, 1);
}
