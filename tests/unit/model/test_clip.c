/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCLIP on one device against open_clip, and against itself in other company:
 * test_clip DEVICE [int8]. */
#include "tests/unit/model/clip_case.h"

enum { MANY = 97 };

static const int in_order[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Unit vectors: a difference is relative to what they are. Of int8 only what it is on
 * average. */
static void compare(const char *what, const float *ours, const float *theirs)
{
    double wrong = 0, most = 0, length = 0;

    for (int i = 0; i < dim; i++) {
        double d = (double)(ours[i] - theirs[i]);

        wrong += d * d;
        length += (double)(ours[i] * ours[i]);
        if (!(fabs(d) <= most))
            most = fabs(d);
    }
    if (!(fabs(length - 1) <= 1e-5) || !(int8 ? sqrt(wrong) <= 0.3 : most <= 1e-5))
        fail_msg("%s differs by %g at most, %g in all; its length is %g", what, most,
                 sqrt(wrong), sqrt(length));
}

static void embeddings_are_those_of_open_clip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cpv_clip_worker *w;
        float *text, *image, factor;
        char what[64];

        open_model(names[i]);
        w = worker(3, 100, 1);
        assert_int_equal(captions, 16);
        text = texts(w, in_order, captions);
        image = images(w, in_order, IMAGES);
        for (int k = 0; k < captions + IMAGES; k++) {
            int is = k < captions;
            int at = is ? k : k - captions;

            (void)snprintf(what, sizeof what, "%s: %s %d", names[i],
                           is ? "text" : "image", at);
            compare(what, (is ? text : image) + at * dim,
                    is ? text_want[at] : image_want[at]);
        }
        assert_ok(cpv_clip_scale(model, &factor, &err));
        assert_true(fabsf(factor - scale) <= 1e-5F * scale);
        free(text);
        free(image);
        cpv_clip_worker_close(&w);
        cpv_clip_close(&model);
    }
}

static void captions_have_the_tokens_of_open_clip(void **state)
{
    struct cpv_ids ids = {0};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        open_model(names[i]);
        for (int k = 0; k < captions; k++) {
            const struct caption *t = &caption[k];

            cpv_ids_clear(&ids);
            cpv_ids_add(&ids, CPV_XLMR_PAD); /* what is there stays */
            assert_ok(cpv_clip_encode(model, cpv_bytes_str(t->text), &ids, &err));
            if (ids.count != (size_t)t->n + 1 || ids.data[0] != CPV_XLMR_PAD ||
                memcmp(ids.data + 1, t->id, (size_t)t->n * sizeof *t->id) != 0)
                fail_msg("%s: other ids of '%s'", names[i], t->text);
        }
        cpv_clip_close(&model);
    }
    cpv_ids_release(&ids);
}

/* MANY texts and images in some order, each compared with what it is by itself. */
static void expect_rows(const float *text, const float *image, int seed, int batch,
                        int tokens, int threads)
{
    cpv_clip_worker *w = worker(batch, tokens, threads);
    int which[MANY], some[MANY];
    float *t, *p;

    for (int i = 0; i < MANY; i++) {
        which[i] = (i * 7 + seed * (i / 3)) % captions;
        some[i] = (i * 3 + seed) % IMAGES;
    }
    t = texts(w, which, MANY);
    p = images(w, some, MANY);
    for (int i = 0; i < MANY; i++) {
        if (memcmp(t + i * dim, text + which[i] * dim, (size_t)dim * sizeof *t) != 0)
            fail_msg("text %d of %d tokens a batch differs", i, tokens);
        if (memcmp(p + i * dim, image + some[i] * dim, (size_t)dim * sizeof *p) != 0)
            fail_msg("image %d of %d a batch differs", i, batch);
    }
    free(t);
    free(p);
    cpv_clip_worker_close(&w);
}

static void company_order_and_threads_change_no_bit(void **state)
{
    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        float text[TEXTS * DIM], image[IMAGES * DIM];
        cpv_clip_worker *w;

        open_model(names[i]);
        w = worker(1, TOKENS, 1);
        for (int k = 0; k < captions; k++) {
            float *x = texts(w, &in_order[k], 1);

            memcpy(text + k * dim, x, (size_t)dim * sizeof *x);
            free(x);
        }
        for (int k = 0; k < IMAGES; k++) {
            float *x = images(w, &in_order[k], 1);

            memcpy(image + k * dim, x, (size_t)dim * sizeof *x);
            free(x);
        }
        cpv_clip_worker_close(&w);
        expect_rows(text, image, 1, 1, TOKENS, 1);
        expect_rows(text, image, 2, 2, 100, 2);
        expect_rows(text, image, 3, 13, 333, 1);
        expect_rows(text, image, 4, 8, 0, 3);
        expect_rows(text, image, 5, 100, 5000, 2);
        cpv_clip_close(&model);
    }
}

/* Padding within a text, as a tokenizer may give it, is no part of it. */
static void padding_changes_no_bit(void **state)
{
    static const int32_t plain[] = {0, 45, 64, 34, 2},
                         padded[] = {0, 45, 1, 64, 1, 1, 34, 2, 1, 1};
    static const int32_t lengths[] = {5, 10};
    cpv_clip_worker *w;
    float a[DIM], b[2 * DIM];

    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    open_model("base");
    w = worker(1, TOKENS, 1);
    assert_ok(cpv_clip_worker_texts(w, plain, lengths, 1, a, &err));
    assert_ok(cpv_clip_worker_texts(w, padded, lengths + 1, 1, b, &err));
    assert_memory_equal(a, b, (size_t)dim * sizeof *a);
    cpv_clip_worker_close(&w);
    cpv_clip_close(&model);
}

/* As many and as long texts as a worker was made for. */
static void a_worker_has_the_memory_that_it_needs(void **state)
{
    static const int tokens[] = {77, 78, 155, 154, 400, 1024};
    int32_t *ids = calloc(2048 * TOKENS, sizeof *ids), length[2048];
    float *out = calloc(2048 * DIM, sizeof *out);

    (void)state;
    assert_true(ids && out);
    for (size_t i = 0; i < 3 * sizeof tokens / sizeof *tokens; i++) {
        int n = tokens[i / 3];
        cpv_clip_worker *w;

        open_model(names[i % 3]);
        w = worker(1 + n / 50, n, 1 + n % 3);
        for (int k = 0; k < 4; k++) {
            int context = cpv_clip_config(model)->context;

            for (int j = 0; j < n; j++)
                length[j] = k == 0 ? 1 : k == 1 ? context : 1 + j * (k + 1) % context;
            assert_ok(cpv_clip_worker_texts(w, ids, length, n, out, &err));
        }
        cpv_clip_worker_close(&w);
        cpv_clip_close(&model);
    }
    free(ids);
    free(out);
}

static void what_does_not_fit_is_refused(void **state)
{
    static const struct {
        int32_t ids[3], length;
        const char *says;
    } bad[] = {{{0, 5, 2}, 0, "0 tokens"},        {{0, 5, 2}, -1, "-1 tokens"},
               {{0, 5, 2}, 78, "78 tokens"},      {{0, -1, 2}, 3, "no token -1"},
               {{0, 90000, 2}, 3, "token 90000"}, {{1, 1, 1}, 3, "nothing but padding"}};
    struct cpv_clip_limits limits = {.tokens = TOKENS - 1};
    cpv_clip_worker *w;
    float out[DIM];

    (void)state;
    open_model("base");
    assert_int_equal(cpv_clip_worker_open(&w, model, &limits, &err), CPV_E_USAGE);
    assert_non_null(strstr(err.text, "expected 77"));
    assert_null(w);
    limits = (struct cpv_clip_limits){.images = -1};
    assert_int_equal(cpv_clip_worker_open(&w, model, &limits, &err), CPV_E_USAGE);
    w = worker(0, 0, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(
            cpv_clip_worker_texts(w, bad[i].ids, &bad[i].length, 1, out, &err),
            CPV_E_BUG);
        if (!strstr(err.text, bad[i].says))
            fail_msg("'%s' is not in: %s", bad[i].says, err.text);
    }
    assert_ok(cpv_clip_worker_texts(w, NULL, NULL, 0, out, &err));
    assert_ok(cpv_clip_worker_images(w, NULL, 0, out, &err));
    cpv_clip_worker_close(&w);
    cpv_clip_close(&model);
}

/* ---- folders ---- */

static void one_tower_can_be_had_alone(void **state)
{
    cpv_clip *both;
    char path[4096];

    (void)state;
    open_model("base");
    both = model;
    (void)snprintf(path, sizeof path, "%s/clip/base", golden);
    for (int k = 0; k < 2; k++) {
        struct cpv_clip_params params = {.image = k == 0, .text = k == 1};
        cpv_clip_worker *w, *whole = worker(2, TOKENS, 1);
        float *a, *b, none[DIM];

        assert_ok(cpv_clip_open(&model, device, path, &params, &err));
        assert_true(cpv_clip_bytes(model) < cpv_clip_bytes(both));
        w = worker(2, TOKENS, 1);
        a = k ? texts(w, in_order, 3) : images(w, in_order, 3);
        b = k ? texts(whole, in_order, 3) : images(whole, in_order, 3);
        assert_memory_equal(a, b, (size_t)(3 * dim) * sizeof *a);
        assert_int_equal(k ? cpv_clip_worker_images(w, pixels[0], 1, none, &err)
                           : cpv_clip_worker_texts(w, NULL, NULL, 0, none, &err),
                         CPV_E_BUG);
        free(a);
        free(b);
        cpv_clip_worker_close(&w);
        cpv_clip_worker_close(&whole);
        cpv_clip_close(&model);
        model = both;
    }
    cpv_clip_close(&both);
}

/* The model `base` with one of its files changed by sed, in the scratch folder. */
static void altered(const char *file, const char *sed)
{
    char command[9000];

    (void)snprintf(command, sizeof command,
                   "rm -rf m && cp -r '%s/clip/base' m && chmod -R u+w m && "
                   "sed -i '%s' m/%s",
                   golden, sed, file);
    assert_int_equal(shell(command), 0);
}

static const char CLIP[] = "open_clip_config.json", TEXT[] = "text/config.json";
static const struct {
    const char *file, *sed, *says[3];
} bad[] = {
    {TEXT,
     "s/\"hidden_size\": 12/\"hidden_size\": 15/",
     {"word_embeddings", "[174, 12]", "expected [174, 15]"}},
    {TEXT,
     "s/\"num_hidden_layers\": 2/\"num_hidden_layers\": 3/",
     {"encoder.layer.2.", "open_clip_model.safetensors", "no tensor"}},
    {TEXT,
     "s/\"vocab_size\": 174/\"vocab_size\": 100/",
     {"sentencepiece.bpe.model", "174 tokens", "100"}},
    {TEXT,
     "s/\"num_attention_heads\": 3/\"num_attention_heads\": 5/",
     {TEXT, "num_attention_heads", "12"}},
    {TEXT, "s/\"pad_token_id\": 1/\"pad_token_id\": 0/", {TEXT, "pad_token_id", "1"}},
    {TEXT,
     "s/\"hidden_act\": \"gelu\"/\"hidden_act\": \"mish\"/",
     {TEXT, "hidden_act", "gelu"}},
    {TEXT, "s/xlm-roberta/bert/", {TEXT, "model_type", "'xlm-roberta'"}},
    {CLIP,
     "s/\"width\": 16/\"width\": 20/",
     {"visual.", "16", "open_clip_model.safetensors"}},
    {CLIP,
     "s/\"patch_size\": 4/\"patch_size\": 5/",
     {CLIP, "image_size", "multiple of patch_size"}},
    {CLIP, "s/\"layers\": 2/\"layers\": 3/", {"resblocks.2.", "no tensor", "m/"}},
    {CLIP, "s/\"embed_dim\": 12/\"embed_dim\": 14/", {"expected", "14", "m/"}},
    {CLIP, "s/\"mean_pooler\"/\"cls_pooler\"/", {CLIP, "pooler_type", "mean_pooler"}},
    {CLIP,
     "s/\"width\"/\"attentional_pool\": true, \"width\"/",
     {CLIP, "vision_cfg.attentional_pool", "without"}},
    {CLIP,
     "s/\"width\"/\"ls_init_value\": 0.1, \"width\"/",
     {CLIP, "vision_cfg.ls_init_value", "without"}},
    {CLIP,
     "s/\"width\"/\"pool_type\": \"avg\", \"width\"/",
     {CLIP, "vision_cfg.pool_type", "tok"}},
    {CLIP,
     "s/\"proj\"/\"context_length\": 78, \"proj\"/",
     {CLIP, "context_length", "at most 77"}},
    {CLIP,
     "s/\"mean\"/\"resize_mode\": \"longest\", \"mean\"/",
     {CLIP, "preprocess_cfg.resize_mode", "shortest"}},
    {CLIP,
     "s/\"mean\"/\"interpolation\": \"bilinear\", \"mean\"/",
     {CLIP, "preprocess_cfg.interpolation", "bicubic"}},
    {CLIP,
     "s/\"mean\"/\"size\": [12, 14], \"mean\"/",
     {CLIP, "preprocess_cfg.size", "12"}},
    {CLIP, "s/\"mean\"/\"mode\": \"L\", \"mean\"/", {CLIP, "mode", "RGB"}},
    {"open_clip_model.safetensors",
     "s/visual.ln_post.bias/visual.ln_POST.bias/",
     {"open_clip_model.safetensors", "visual.ln_post.bias", "no tensor"}},
    {"open_clip_model.safetensors",
     "s/\"logit_scale\"/\"logit_SCALE\"/",
     {"open_clip_model.safetensors", "logit_scale", "no tensor"}},
};

static void a_folder_that_does_not_fit_is_named(void **state)
{
    struct cpv_clip_params params = {.image = true, .text = true};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        altered(bad[i].file, bad[i].sed);
        assert_int_equal(cpv_clip_open(&model, device, "m", &params, &err), CPV_E_INPUT);
        assert_null(model);
        for (int k = 0; k < 3; k++)
            if (!strstr(err.text, bad[i].says[k]))
                fail_msg("%s: '%s' is not in: %s", bad[i].sed, bad[i].says[k], err.text);
        err = (struct cpv_err){0};
    }
}

static void a_folder_that_lacks_a_file_is_named(void **state)
{
    static const struct {
        const char *file, *says;
    } lack[] = {{"open_clip_config.json", "open_clip_config.json"},
                {"open_clip_model.safetensors", "no weights"},
                {"text/config.json", "text/config.json"},
                {"text/sentencepiece.bpe.model", "sentencepiece.bpe.model"}};
    struct cpv_clip_params params = {.image = true, .text = true};
    char command[256];

    (void)state;
    for (size_t i = 0; i < sizeof lack / sizeof *lack; i++) {
        altered("text/config.json", "");
        (void)snprintf(command, sizeof command, "rm m/%s", lack[i].file);
        assert_int_equal(shell(command), 0);
        assert_int_not_equal(cpv_clip_open(&model, device, "m", &params, &err), 0);
        assert_null(model);
        if (!strstr(err.text, lack[i].says))
            fail_msg("%s: %s", lack[i].file, err.text);
        err = (struct cpv_err){0};
    }
    /* At the folder's root it is found, too, and by a path of its own. */
    altered("text/config.json", "");
    assert_int_equal(shell("mv m/text/sentencepiece.bpe.model m/"), 0);
    assert_ok(cpv_clip_open(&model, device, "m", &params, &err));
    cpv_clip_close(&model);
    assert_int_equal(shell("mv m/sentencepiece.bpe.model words"), 0);
    params.tokenizer = "words";
    assert_ok(cpv_clip_open(&model, device, "m", &params, &err));
    cpv_clip_close(&model);
    /* A checkpoint by itself is of the preset's shapes. */
    assert_int_not_equal(
        cpv_clip_open(&model, device, "m/open_clip_model.safetensors", &params, &err), 0);
    assert_non_null(strstr(err.text, "768"));
    err = (struct cpv_err){0};
    assert_int_not_equal(cpv_clip_open(&model, device, "nowhere", &params, &err), 0);
    assert_non_null(strstr(err.text, "nowhere"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings_are_those_of_open_clip),
        cmocka_unit_test(captions_have_the_tokens_of_open_clip),
        cmocka_unit_test(company_order_and_threads_change_no_bit),
        cmocka_unit_test(padding_changes_no_bit),
        cmocka_unit_test(a_worker_has_the_memory_that_it_needs),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(one_tower_can_be_had_alone),
        cmocka_unit_test(a_folder_that_does_not_fit_is_named),
        cmocka_unit_test(a_folder_that_lacks_a_file_is_named),
    };

    return run_on_device(argc, argv, tests, sizeof tests / sizeof *tests);
}
