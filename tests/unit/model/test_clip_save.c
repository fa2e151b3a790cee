/* SPDX-License-Identifier: Apache-2.0 */
/* What is trained of OpenCLIP, saved and opened again: test_clip_save DEVICE. The models
 * are those of tests/golden/clip-train (tests/fixtures/make_clip_train.py). */
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/format/checkpoint.h"
#include "common/model/clip.h"
#include "common/compute/train.h"
#include "tests/unit/model/on_device.h"

enum { TEXTS = 3, DIM = 16, CASES = 2, ARENA = 16 << 20 };

static const char *const cases[CASES] = {"lora", "proj"};
static char base[4096], adapter[CASES][4200];

static const int32_t ids[] = {0, 20, 2, 0, 45, 64, 34, 23, 13, 2, 0, 8, 99, 2};
static const int32_t lengths[TEXTS] = {3, 7, 4};

static int find_golden(void **state)
{
    (void)state;
    (void)snprintf(base, sizeof base, "%s/clip-train", golden);
    for (int i = 0; i < CASES; i++)
        (void)snprintf(adapter[i], sizeof adapter[i], "%s/adapter-%s", base, cases[i]);
    return 0;
}

static cpv_clip *open_model(const char *path, const char *with,
                            const struct cpv_clip_train *train)
{
    struct cpv_clip_params params = {.text = true, .adapter = with, .train = train};
    cpv_clip *m = NULL;

    assert_ok(cpv_clip_open(&m, device, path, &params, &err));
    assert_int_equal(cpv_clip_config(m)->dim, DIM);
    return m;
}

static void embed(const cpv_clip *m, float out[TEXTS * DIM])
{
    struct cpv_clip_limits limits = {0};
    cpv_clip_worker *w;

    assert_ok(cpv_clip_worker_open(&w, m, &limits, &err));
    assert_ok(cpv_clip_worker_texts(w, ids, lengths, TEXTS, out, &err));
    cpv_clip_worker_close(&w);
}

static double apart(const float *a, const float *b)
{
    double most = 0;

    for (int i = 0; i < TEXTS * DIM; i++)
        if (!(fabs((double)(a[i] - b[i])) <= most))
            most = fabs((double)(a[i] - b[i]));
    return most;
}

static cpv_compute *context(void)
{
    struct cpv_compute_params params = {.arena = ARENA};
    cpv_compute *c;

    assert_ok(cpv_compute_open(&c, device, &params, &err));
    return c;
}

/* As if it had been trained: every parameter moves a little. */
static void move(const cpv_clip *m, cpv_compute *c)
{
    const struct cpv_clip_param *p;
    int n = cpv_clip_trained(m, &p);

    for (int i = 0; i < n; i++) {
        size_t size = (size_t)(p[i].rows * p[i].cols);
        float *x = calloc(size, sizeof *x);

        assert_non_null(x);
        assert_true(cpv_get(c, cpv_weight_param(p[i].weight, p[i].which), x));
        for (size_t k = 0; k < size; k++)
            x[k] += 0.01F * (float)((int)(k * 7 + (size_t)i) % 11 - 5);
        cpv_weight_set(c, p[i].weight, p[i].which, x);
        free(x);
    }
    for (int i = 0; i < n; i++)
        cpv_weight_refresh(c, p[i].weight);
    assert_ok(cpv_compute_sync(c, &err));
}

static void same_file(const char *a, const char *b)
{
    struct cpv_buf x = {0}, y = {0};

    assert_ok(cpv_file_read(a, 1 << 20, &x, &err));
    assert_ok(cpv_file_read(b, 1 << 20, &y, &err));
    if (!cpv_bytes_equal(cpv_buf_view(&x), cpv_buf_view(&y)))
        fail_msg("%s and %s differ", a, b);
    cpv_buf_release(&x);
    cpv_buf_release(&y);
}

/* Every tensor of a, with the same values in b, and no other. */
static void same_tensors(const char *a, const char *b)
{
    cpv_checkpoint *x, *y;

    assert_ok(cpv_checkpoint_open(&x, a, &err));
    assert_ok(cpv_checkpoint_open(&y, b, &err));
    assert_int_equal(cpv_checkpoint_count(x), cpv_checkpoint_count(y));
    for (size_t i = 0; i < cpv_checkpoint_count(x); i++) {
        const struct cpv_ckpt_tensor *t = cpv_checkpoint_at(x, i), *u;

        u = cpv_checkpoint_find(y, t->name);
        if (!u || u->bytes != t->bytes || memcmp(u->data, t->data, t->bytes) != 0)
            fail_msg("'%s' differs", t->name);
    }
    cpv_checkpoint_close(&x);
    cpv_checkpoint_close(&y);
}

/* ---- adapters ---- */

static void an_adapter_that_is_not_trained_is_saved_as_it_was(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++)
        for (int projection = 0; projection <= i; projection++) {
            struct cpv_clip_train train = {.projection = projection};
            cpv_compute *c = context();
            cpv_clip *m = open_model(base, adapter[i], &train);
            char path[9000];

            assert_ok(cpv_clip_save_adapter(m, c, "out", &err));
            (void)snprintf(path, sizeof path, "%s/adapter_model.safetensors", adapter[i]);
            same_file("out/adapter_model.safetensors", path);
            assert_int_equal(access("out/capivara.json", F_OK), -1);
            cpv_clip_close(&m);
            cpv_compute_close(&c);
        }
}

static void what_is_trained_comes_back(void **state)
{
    static const struct cpv_clip_train how[] = {
        {.lora = {.rank = 3, .alpha = 6, .targets = 63, .layers = 3}},
        {.lora = {.rank = 2, .alpha = 1, .targets = CPV_CLIP_VALUE, .layers = 2},
         .projection = true,
         .logit_scale = true,
         .seed = 5},
        {.lora = {.rank = 1,
                  .alpha = 1,
                  .targets = CPV_CLIP_FFN_OUT | CPV_CLIP_ATTN_OUT,
                  .layers = 1},
         .logit_scale = true}};

    (void)state;
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        float before[TEXTS * DIM], moved[TEXTS * DIM], again[TEXTS * DIM], a, b;
        cpv_clip *plain = open_model(base, NULL, NULL), *other;
        cpv_clip *m = open_model(base, NULL, &how[i]);
        cpv_compute *c = context();

        embed(plain, before);
        embed(m, again);
        assert_true(apart(before, again) <= 1e-6); /* B is 0 */
        move(m, c);
        embed(m, moved);
        assert_true(apart(before, moved) > 1e-3);
        assert_int_equal(shell("rm -rf out"), 0);
        assert_ok(cpv_clip_save_adapter(m, c, "out", &err));
        assert_int_equal(access("out/capivara.json", F_OK), how[i].logit_scale ? 0 : -1);
        other = open_model(base, "out", NULL);
        embed(other, again);
        assert_true(apart(moved, again) <= 2e-6);
        assert_ok(cpv_clip_scale(m, &a, &err));
        assert_ok(cpv_clip_scale(other, &b, &err));
        assert_true(fabsf(a - b) <= 1e-6F * a);
        cpv_clip_close(&other);
        other = open_model(base, "out", &how[i]); /* to go on, pairs as they are */
        embed(other, again);
        assert_memory_equal(moved, again, sizeof moved);
        assert_ok(cpv_clip_save_adapter(other, c, "again", &err));
        same_file("out/adapter_model.safetensors", "again/adapter_model.safetensors");
        same_file("out/adapter_config.json", "again/adapter_config.json");
        cpv_clip_close(&other);
        cpv_clip_close(&m);
        cpv_clip_close(&plain);
        cpv_compute_close(&c);
    }
}

/* ---- whole models ---- */

static void a_model_that_is_not_trained_is_saved_as_it_was(void **state)
{
    cpv_compute *c = context();
    cpv_clip *m = open_model(base, NULL, NULL);
    float a[TEXTS * DIM], b[TEXTS * DIM];
    char path[9000];

    (void)state;
    assert_ok(cpv_clip_save_merged(m, c, "whole", &err));
    (void)snprintf(path, sizeof path, "%s/open_clip_model.safetensors", base);
    same_tensors(path, "whole/open_clip_model.safetensors");
    (void)snprintf(path, sizeof path, "%s/open_clip_config.json", base);
    same_file(path, "whole/open_clip_config.json");
    (void)snprintf(path, sizeof path, "%s/text/config.json", base);
    same_file(path, "whole/text/config.json");
    (void)snprintf(path, sizeof path, "%s/text/sentencepiece.bpe.model", base);
    same_file(path, "whole/text/sentencepiece.bpe.model");
    embed(m, a);
    cpv_clip_close(&m);
    m = open_model("whole", NULL, NULL);
    embed(m, b);
    assert_memory_equal(a, b, sizeof a);
    cpv_clip_close(&m);
    cpv_compute_close(&c);
}

static void pairs_are_added_to_their_matrices(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        float embedded[TEXTS * DIM], trained[TEXTS * DIM], merged[TEXTS * DIM];
        static const struct cpv_clip_train none = {0};
        cpv_compute *c = context();
        cpv_clip *m;

        for (int train = 0; train < 2; train++) {
            m = open_model(base, adapter[i], train ? &none : NULL);
            embed(m, train ? trained : embedded);
            assert_ok(cpv_clip_save_merged(m, c, train ? "trained" : "merged", &err));
            cpv_clip_close(&m);
        }
        assert_true(apart(embedded, trained) <= 1e-6);
        same_tensors("trained", "merged");
        m = open_model("merged", NULL, NULL);
        embed(m, merged);
        assert_memory_equal(embedded, merged, sizeof merged);
        cpv_clip_close(&m);
        cpv_compute_close(&c);
    }
}

static void all_of_the_text_tower_comes_back(void **state)
{
    static const struct cpv_clip_train all = {.text = true, .logit_scale = true};
    static const char *const with[] = {NULL, adapter[1]};

    (void)state;
    for (int i = 0; i < 2; i++) {
        float before[TEXTS * DIM], moved[TEXTS * DIM], again[TEXTS * DIM], a, b;
        const struct cpv_clip_param *p;
        cpv_compute *c = context();
        cpv_clip *m = open_model(base, with[i], NULL);

        embed(m, before);
        cpv_clip_close(&m);
        m = open_model(base, with[i], &all);
        embed(m, again);
        assert_true(apart(before, again) <= 2e-6);
        /* All that open_clip's text tower has: 5 tables and norms, 16 a layer, 2, and
         * logit_scale. */
        assert_int_equal(cpv_clip_trained(m, &p),
                         5 + 16 * cpv_clip_config(m)->text.layers + 3);
        assert_int_equal(cpv_clip_save_adapter(m, c, "none", &err), CPV_E_USAGE);
        move(m, c);
        embed(m, moved);
        assert_true(apart(before, moved) > 1e-3);
        assert_ok(cpv_clip_save_merged(m, c, "full", &err));
        assert_ok(cpv_clip_scale(m, &a, &err));
        cpv_clip_close(&m);
        m = open_model("full", NULL, NULL);
        embed(m, again);
        assert_true(apart(moved, again) <= 2e-6);
        assert_ok(cpv_clip_scale(m, &b, &err));
        assert_true(fabsf(a - b) <= 1e-6F * a);
        cpv_clip_close(&m);
        cpv_compute_close(&c);
    }
}

/* ---- pairs and their numbers ---- */

static void new_pairs_depend_on_seed_and_place_alone(void **state)
{
    static const struct cpv_clip_train how[] = {
        {.lora = {.rank = 2, .alpha = 2, .targets = 63, .layers = 3}, .seed = 8},
        {.lora = {.rank = 2, .alpha = 2, .targets = CPV_CLIP_KEY, .layers = 2},
         .seed = 8},
        {.lora = {.rank = 2, .alpha = 2, .targets = CPV_CLIP_KEY, .layers = 2},
         .seed = 9}};
    static const char NAME[] = "base_model.model.transformer.encoder.layer.1.attention."
                               "self.key.lora_A.weight";
    float x[3][64];
    int64_t n = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        cpv_clip *m = open_model(base, NULL, &how[i]);
        const struct cpv_clip_param *p;
        int count = cpv_clip_trained(m, &p), found = 0;
        cpv_compute *c = context();

        assert_int_equal(count, i ? 2 : 24);
        for (int k = 0; k < count; k++)
            if (strcmp(p[k].name, NAME) == 0) {
                n = p[k].rows * p[k].cols;
                assert_true(p[k].rows == 2 && n <= 64);
                assert_true(cpv_get(c, cpv_weight_param(p[k].weight, p[k].which), x[i]));
                found++;
                for (int64_t j = 0; j < n; j++)
                    assert_true(fabs((double)x[i][j]) <= 1 / sqrt((double)p[k].cols));
            }
        assert_int_equal(found, 1);
        cpv_clip_close(&m);
        cpv_compute_close(&c);
    }
    assert_memory_equal(x[0], x[1], (size_t)n * sizeof **x);
    assert_memory_not_equal(x[1], x[2], (size_t)n * sizeof **x);
}

static void what_does_not_go_together_is_refused(void **state)
{
    struct cpv_clip_train both = {.text = true, .lora = {.rank = 1}};
    struct cpv_clip_params params = {.text = true, .train = &both};
    cpv_compute *c = context();
    cpv_clip *m;

    (void)state;
    assert_int_equal(cpv_clip_open(&m, device, base, &params, &err), CPV_E_USAGE);
    assert_null(m);
    assert_non_null(strstr(err.text, "LoRA"));
    both.text = false;
    assert_int_equal(cpv_clip_open(&m, device, base, &params, &err), CPV_E_USAGE);
    assert_non_null(strstr(err.text, "without a product"));
    both.lora.targets = CPV_CLIP_QUERY;
    both.lora.layers = 4; /* there are 2 */
    assert_int_equal(cpv_clip_open(&m, device, base, &params, &err), CPV_E_USAGE);
    assert_non_null(strstr(err.text, "without a layer"));
    both.lora.layers = 1;
    both.lora.rank = -1;
    assert_int_equal(cpv_clip_open(&m, device, base, &params, &err), CPV_E_USAGE);
    assert_non_null(strstr(err.text, "rank"));
    both.lora.rank = 1;
    both.lora.dropout = 1;
    assert_int_equal(cpv_clip_open(&m, device, base, &params, &err), CPV_E_USAGE);
    assert_non_null(strstr(err.text, "dropout"));
    params.text = false;
    both = (struct cpv_clip_train){.text = true};
    assert_int_equal(cpv_clip_open(&m, device, base, &params, &err), CPV_E_BUG);
    m = open_model(base, NULL, NULL);
    assert_int_equal(cpv_clip_save_adapter(m, c, "none", &err), CPV_E_USAGE);
    assert_int_equal(access("none", F_OK), -1);
    cpv_clip_close(&m);
    params = (struct cpv_clip_params){.text = true, .adapter = "nowhere"};
    assert_int_not_equal(cpv_clip_open(&m, device, base, &params, &err), 0);
    assert_non_null(strstr(err.text, "nowhere"));
    cpv_compute_close(&c);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_adapter_that_is_not_trained_is_saved_as_it_was,
                               find_golden),
        cmocka_unit_test_setup(what_is_trained_comes_back, find_golden),
        cmocka_unit_test_setup(a_model_that_is_not_trained_is_saved_as_it_was,
                               find_golden),
        cmocka_unit_test_setup(pairs_are_added_to_their_matrices, find_golden),
        cmocka_unit_test_setup(all_of_the_text_tower_comes_back, find_golden),
        cmocka_unit_test_setup(new_pairs_depend_on_seed_and_place_alone, find_golden),
        cmocka_unit_test_setup(what_does_not_go_together_is_refused, find_golden),
    };

    return run_on_device(argc, argv, tests, sizeof tests / sizeof *tests);
}
