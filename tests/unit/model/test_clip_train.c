/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Training of the text tower against open_clip, PEFT and torch.optim (f64): embeddings,
 * gradients, 20 steps; tests/fixtures/make_clip_train.py made the files.
 * test_clip_train DEVICE.
 */
#include "tests/unit/model/on_device.h"

#include "common/base/size.h"
#include "common/format/checkpoint.h"
#include "tests/unit/model/clip_steps.h"

enum { BATCH = 8, STEPS = 20, ARENA = 64 << 20 };

static struct texts texts;
static const char *const cases[] = {"lora", "proj", "full"};

/* ---- files ---- */

static cpv_checkpoint *open_file(const char *name)
{
    char path[4096];
    cpv_checkpoint *c = NULL;

    (void)snprintf(path, sizeof path, "%s/clip-train/%s.safetensors", golden, name);
    assert_ok(cpv_checkpoint_open(&c, path, &err));
    return c;
}

static float *floats(const cpv_checkpoint *c, const char *name, uint64_t *n)
{
    const struct cpv_ckpt_tensor *t = cpv_checkpoint_find(c, name);
    float *to;

    if (!t)
        fail_msg("%s has no '%s'", cpv_checkpoint_path(c), name);
    to = some(t->elements, sizeof *to);
    assert_ok(cpv_checkpoint_rows_f32(t, 0, t->rank ? t->dim[0] : 1, to, &err));
    if (n)
        *n = t->elements;
    return to;
}

static int32_t *integers(const cpv_checkpoint *c, const char *name, uint64_t *n)
{
    const struct cpv_ckpt_tensor *t = cpv_checkpoint_find(c, name);
    int32_t *to;

    assert_true(t && t->dtype == CPV_CKPT_I32 && t->contiguous);
    to = some(t->elements, sizeof *to);
    memcpy(to, t->data, t->elements * sizeof *to);
    *n = t->elements;
    return to;
}

static int load_texts(void **state)
{
    cpv_checkpoint *c = open_file("texts");
    uint64_t n;

    (void)state;
    texts.ids = integers(c, "ids", &n);
    texts.length = integers(c, "length", &n);
    texts.count = (int)n;
    texts.image = floats(c, "image", &n);
    texts.dim = (int)n / texts.count;
    texts.first = some((size_t)texts.count, sizeof *texts.first);
    for (int i = 1; i < texts.count; i++)
        texts.first[i] = texts.first[i - 1] + texts.length[i - 1];
    cpv_checkpoint_close(&c);
    return 0;
}

static int drop_texts(void **state)
{
    (void)state;
    texts_release(&texts);
    return 0;
}

/* ---- models ---- */

/* The model of a case, as it is before the first step; to embed only, with `train` off.
 */
static cpv_clip *open_case(const char *name, bool train)
{
    bool full = strcmp(name, "full") == 0;
    const struct cpv_clip_train what = {.lora.rank = full ? 0 : 1,
                                        .text = full,
                                        .projection = strcmp(name, "proj") == 0,
                                        .logit_scale = strcmp(name, "lora") != 0};
    struct cpv_clip_params params = {.text = true, .train = train ? &what : NULL};
    char model[4096], adapter[4200];
    cpv_clip *m = NULL;

    (void)snprintf(model, sizeof model, "%s/clip-train", golden);
    (void)snprintf(adapter, sizeof adapter, "%s/adapter-%s", model, name);
    params.adapter = full ? NULL : adapter;
    assert_ok(cpv_clip_open(&m, device, model, &params, &err));
    return m;
}

static void first_rows(int row[BATCH])
{
    batch_rows(&texts, 0, BATCH, row);
}

/* Apart by more than `tolerance` of the largest, or not a number? */
static void near(const char *what, const float *ours, const float *theirs, uint64_t n,
                 double tolerance, double at_least)
{
    double most = at_least, off = 0;

    for (uint64_t i = 0; i < n; i++) {
        double d = fabs((double)ours[i] - (double)theirs[i]);

        most = fmax(most, fabs((double)theirs[i]));
        if (!(d <= off))
            off = d;
    }
    if (!(off <= tolerance * most))
        fail_msg("%s differ by %g of %g", what, off, most);
}

/* ---- embeddings ---- */

static void embeddings_are_those_of_open_clip(void **state)
{
    static const int pad[] = {0, 77, 80};
    int row[BATCH];
    float ours[BATCH * 64];

    (void)state;
    first_rows(row);
    for (size_t i = 0; i < CPV_COUNT(cases); i++)
        for (int train = 0; train < 2; train++) {
            cpv_checkpoint *c = open_file(cases[i]);
            uint64_t n;
            float *theirs = floats(c, "text", &n);
            struct steps s;
            char what[64];

            assert_int_equal(n, BATCH * texts.dim);
            steps_open(&s, open_case(cases[i], train), device, ARENA, 1);
            for (size_t k = 0; k < CPV_COUNT(pad); k++) {
                struct cpv_clip_how how = {.pad_to = pad[k]};

                cpv_get(s.c, embed_texts(&s, &texts, row, BATCH, &how), ours);
                assert_ok(cpv_compute_sync(s.c, &err));
                (void)snprintf(what, sizeof what, "%s, %s, padded to %d: embeddings",
                               cases[i], train ? "to train" : "to embed", pad[k]);
                near(what, ours, theirs, n, 1e-5, 0);
            }
            for (int k = 0; k < BATCH; k++)
                cpv_get(s.c, embed_texts(&s, &texts, row + k, 1, NULL),
                        ours + k * texts.dim);
            assert_ok(cpv_compute_sync(s.c, &err));
            near("one by one: embeddings", ours, theirs, n, 1e-5, 0);
            free(theirs);
            cpv_checkpoint_close(&c);
            steps_close(&s);
            cpv_clip_close(&s.m);
        }
}

/* ---- gradients ---- */

/* Of the fixture, by our name or open_clip's: "text." for PEFT's "base_model.model.". */
static float *their_gradient(const cpv_checkpoint *c, const struct cpv_clip_param *p)
{
    static const char peft[] = "base_model.model.";
    char name[256];
    uint64_t n;
    float *g;

    (void)snprintf(name, sizeof name, "grad.%s", p->name);
    if (!cpv_checkpoint_find(c, name) && strncmp(p->name, peft, sizeof peft - 1) == 0)
        (void)snprintf(name, sizeof name, "grad.text.%s", p->name + sizeof peft - 1);
    g = floats(c, name, &n);
    if (n != (uint64_t)(p->rows * p->cols))
        fail_msg("'%s' is not [%lld, %lld]", name, (long long)p->rows,
                 (long long)p->cols);
    return g;
}

static size_t gradients_in(const cpv_checkpoint *c, double *most)
{
    size_t n = 0;

    for (size_t i = 0; i < cpv_checkpoint_count(c); i++) {
        const struct cpv_ckpt_tensor *t = cpv_checkpoint_at(c, i);
        uint64_t k;
        float *g;

        if (strncmp(t->name, "grad.", 5) != 0)
            continue;
        g = floats(c, t->name, &k);
        while (k-- > 0)
            *most = fmax(*most, fabs((double)g[k]));
        free(g);
        n++;
    }
    return n;
}

/*
 * Each to 1e-4 of its own largest value. Some are 0 but for rounding (of keys' biases,
 * which shift all scores of a softmax): of these, 1e-4 of a thousandth of the largest of
 * all.
 */
static void expect_gradients(const char *name, const struct steps *s, const char *manner)
{
    cpv_checkpoint *c = open_file(name);
    double most = 0;

    assert_int_equal(gradients_in(c, &most), s->params);
    for (int i = 0; i < s->params; i++) {
        const struct cpv_clip_param *p = &s->param[i];
        size_t n = (size_t)(p->rows * p->cols);
        float *theirs = their_gradient(c, p), *ours = some(n, sizeof *ours);
        char what[400];

        cpv_get(s->c, cpv_weight_grad(p->weight, p->which), ours);
        assert_ok(cpv_compute_sync(s->c, &err));
        (void)snprintf(what, sizeof what, "%s, %s: gradients of %s", name, manner,
                       p->name);
        near(what, ours, theirs, n, 1e-4, 1e-3 * most);
        free(theirs);
        free(ours);
    }
    cpv_checkpoint_close(&c);
}

static const struct {
    const char *name;
    struct manner manner;
} manners[] = {
    {"packed", {0}},
    {"padded to 77", {.how.pad_to = 77}},
    {"checkpointing", {.how.checkpointing = true}},
    {"checkpointing, padded", {.how = {.checkpointing = true, .pad_to = 77}}},
    {"3 at a time", {.micro = 3}},
    {"one at a time, checkpointing", {.micro = 1, .how.checkpointing = true}},
    {"4 at a time, padded", {.micro = 4, .how.pad_to = 77}},
};

static void gradients_are_those_of_pytorch(void **state)
{
    int row[BATCH];

    (void)state;
    first_rows(row);
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        cpv_checkpoint *c = open_file(cases[i]);
        float *loss = floats(c, "loss", NULL);
        struct steps s;

        steps_open(&s, open_case(cases[i], true), device, ARENA, 1);
        for (size_t k = 0; k < CPV_COUNT(manners); k++) {
            float ours = step_gradients(&s, &texts, row, BATCH, &manners[k].manner);

            near("the loss", &ours, loss, 1, 1e-5, 0);
            expect_gradients(cases[i], &s, manners[k].name);
        }
        free(loss);
        cpv_checkpoint_close(&c);
        steps_close(&s);
        cpv_clip_close(&s.m);
    }
}

/* ---- steps ---- */

static void run_steps(struct steps *s, const float *lr, bool decoupled, int n,
                      const struct manner *manner, float *loss)
{
    int row[BATCH];

    for (int i = 0; i < n; i++) {
        struct cpv_adam how = {.lr = (double)lr[i],
                               .beta1 = 0.9,
                               .beta2 = 0.98,
                               .eps = 1e-6,
                               .decay = 0.2,
                               .decoupled = decoupled};

        batch_rows(&texts, i, BATCH, row);
        loss[i] = step_gradients(s, &texts, row, BATCH, manner);
        step_adam(s, how);
    }
}

static void twenty_steps_are_those_of_pytorch(void **state)
{
    static const char *const kinds[] = {"adam", "adamw"};

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++)
        for (size_t k = 0; k < 2; k++)
            for (size_t w = 0; w < CPV_COUNT(manners); w += 4) {
                cpv_checkpoint *c = open_file(cases[i]);
                float *lr, *theirs, *scale, ours[STEPS], factor;
                char name[32];
                struct steps s;

                (void)snprintf(name, sizeof name, "lr.%s", kinds[k]);
                lr = floats(c, name, NULL);
                (void)snprintf(name, sizeof name, "loss.%s", kinds[k]);
                theirs = floats(c, name, NULL);
                (void)snprintf(name, sizeof name, "scale.%s", kinds[k]);
                scale = floats(c, name, NULL);
                steps_open(&s, open_case(cases[i], true), device, ARENA, 1);
                run_steps(&s, lr, k == 1, STEPS, &manners[w].manner, ours);
                (void)snprintf(name, sizeof name, "%s, %s: losses", cases[i], kinds[k]);
                near(name, ours, theirs, STEPS, 1e-4, 0);
                assert_ok(cpv_clip_scale(s.m, &factor, &err));
                if (!(fabs(log((double)factor) - (double)*scale) <= 1e-5))
                    fail_msg("%s: logit_scale is %g, expected %g", name,
                             log((double)factor), (double)*scale);
                free(lr);
                free(theirs);
                free(scale);
                cpv_checkpoint_close(&c);
                steps_close(&s);
                cpv_clip_close(&s.m);
            }
}

/* ---- bits ---- */

/* All gradients or values, one after another. */
static float *gather(const struct steps *s, bool gradients, size_t *n)
{
    float *all;

    *n = 0;
    for (int i = 0; i < s->params; i++)
        *n += (size_t)(s->param[i].rows * s->param[i].cols);
    all = some(*n, sizeof *all);
    *n = 0;
    for (int i = 0; i < s->params; i++) {
        const struct cpv_clip_param *p = &s->param[i];

        cpv_get(s->c,
                (gradients ? cpv_weight_grad : cpv_weight_param)(p->weight, p->which),
                all + *n);
        *n += (size_t)(p->rows * p->cols);
    }
    assert_ok(cpv_compute_sync(s->c, &err));
    return all;
}

/* All parameters after some steps, one after another. */
static float *values_after(const char *name, const struct manner *manner, int threads,
                           float loss[STEPS], size_t *n)
{
    static const float lr[] = {0.002F, 0.01F, 0.02F, 0.015F};
    struct steps s;
    float *all;

    steps_open(&s, open_case(name, true), device, ARENA, threads);
    run_steps(&s, lr, false, CPV_COUNT(lr), manner, loss);
    all = gather(&s, false, n);
    steps_close(&s);
    cpv_clip_close(&s.m);
    return all;
}

static void same_bits(const char *name, const struct manner *a, int threads_a,
                      const struct manner *b, int threads_b)
{
    float loss_a[STEPS] = {0}, loss_b[STEPS] = {0};
    size_t n, m;
    float *x = values_after(name, a, threads_a, loss_a, &n);
    float *y = values_after(name, b, threads_b, loss_b, &m);

    assert_true(n == m && n > 0);
    assert_memory_equal(loss_a, loss_b, sizeof loss_a);
    assert_memory_equal(x, y, n * sizeof *x);
    free(x);
    free(y);
}

static void threads_and_checkpointing_change_no_bit(void **state)
{
    static const int threads[] = {2, 7};
    struct manner plain = {0}, again = {.how.checkpointing = true}, parts = {.micro = 3};

    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        same_bits(cases[i], &plain, 1, &again, 1);
        for (size_t k = 0; k < CPV_COUNT(threads); k++) {
            same_bits(cases[i], &plain, 1, &plain, threads[k]);
            same_bits(cases[i], &parts, 1, &parts, threads[k]);
        }
    }
}

/* ---- dropout ---- */

static const struct cpv_clip_how dropping = {
    .hidden = 0.1F, .attention = 0.1F, .lora = 0.2F, .dice = {.seed = 9, .step = 4}};

/* What is dropped hangs on places, not on how the batch is cut. */
static void dropout_is_the_same_however_a_batch_is_cut(void **state)
{
    struct manner whole = {.how = dropping}, none = {0},
                  others[] = {{.micro = 3, .how = dropping},
                              {.how = dropping},
                              {.micro = 5, .how = dropping}};
    int row[BATCH];
    struct steps s;

    (void)state;
    others[1].how.checkpointing = others[2].how.checkpointing = true;
    others[2].how.pad_to = 77;
    first_rows(row);
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        float loss, *first, *second;
        size_t n;

        steps_open(&s, open_case(cases[i], true), device, ARENA, 1);
        loss = step_gradients(&s, &texts, row, BATCH, &whole);
        first = gather(&s, true, &n);
        for (size_t k = 0; k < CPV_COUNT(others); k++) {
            float other = step_gradients(&s, &texts, row, BATCH, &others[k]);

            second = gather(&s, true, &n);
            near("losses", &other, &loss, 1, 1e-5, 0);
            near("gradients", second, first, n, 1e-4, 0);
            free(second);
        }
        /* Something was dropped. */
        assert_true(fabsf(step_gradients(&s, &texts, row, BATCH, &none) - loss) > 1e-3F);
        free(first);
        steps_close(&s);
        cpv_clip_close(&s.m);
    }
}

/* All parameters at `at` + step * `along`. */
static void move(const struct steps *s, const float *at, const float *along, double step)
{
    for (int i = 0; i < s->params; i++) {
        const struct cpv_clip_param *p = &s->param[i];
        size_t n = (size_t)(p->rows * p->cols);
        float *to = some(n, sizeof *to);

        for (size_t k = 0; k < n; k++)
            to[k] = (float)((double)*at++ + step * (double)*along++);
        cpv_weight_set(s->c, p->weight, p->which, to);
        cpv_weight_refresh(s->c, p->weight);
        free(to);
    }
    assert_ok(cpv_compute_sync(s->c, &err));
}

/* Along its gradient the loss rises as the gradient says, where dropout drops, too. */
static void gradients_with_dropout_are_slopes(void **state)
{
    struct manner manner = {.how = dropping};
    int row[BATCH];
    struct steps s;

    (void)state;
    first_rows(row);
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        float *at, *along, up, down;
        double square = 0, step;
        size_t n;

        steps_open(&s, open_case(cases[i], true), device, ARENA, 1);
        (void)step_gradients(&s, &texts, row, BATCH, &manner);
        along = gather(&s, true, &n);
        at = gather(&s, false, &n);
        for (size_t k = 0; k < n; k++)
            square += (double)along[k] * (double)along[k];
        step = 2e-3 / square; /* either way, in the loss */
        move(&s, at, along, step);
        up = step_gradients(&s, &texts, row, BATCH, &manner);
        move(&s, at, along, -step);
        down = step_gradients(&s, &texts, row, BATCH, &manner);
        if (!(fabs((double)(up - down) / (2 * step * square) - 1) <= 5e-3))
            fail_msg("%s: the slope is %g times the gradient", cases[i],
                     (double)(up - down) / (2 * step * square));
        free(at);
        free(along);
        steps_close(&s);
        cpv_clip_close(&s.m);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(embeddings_are_those_of_open_clip, load_texts,
                                        drop_texts),
        cmocka_unit_test_setup_teardown(gradients_are_those_of_pytorch, load_texts,
                                        drop_texts),
        cmocka_unit_test_setup_teardown(twenty_steps_are_those_of_pytorch, load_texts,
                                        drop_texts),
        cmocka_unit_test_setup_teardown(threads_and_checkpointing_change_no_bit,
                                        load_texts, drop_texts),
        cmocka_unit_test_setup_teardown(dropout_is_the_same_however_a_batch_is_cut,
                                        load_texts, drop_texts),
        cmocka_unit_test_setup_teardown(gradients_with_dropout_are_slopes, load_texts,
                                        drop_texts),
    };

    return run_on_device(argc, argv, tests, CPV_COUNT(tests));
}
