/* SPDX-License-Identifier: Apache-2.0 */
/* BLIP where something is too much, wrong or stopped: test_blip_limits DEVICE [int8]. */
#include "tests/unit/model/blip_case.h"

static void a_call_that_is_stopped_leaves_nothing_behind(void **state)
{
    static struct stream all, cut, again;
    struct cpv_prompt prompt[PROMPTS];
    struct cpv_search search;
    cpv_blip_worker *w;

    (void)state;
    open_model("base");
    fill_prompts(prompt);
    search = search_of(&want.search[1]);
    w = worker(&search, NEW, 3, 1);
    all = stream_of(IMAGES);
    run_all(w, &all);
    for (int k = 0; k < 10; k++) {
        bool broken = k >= 5;

        cut = stream_of(12);
        cut.prompts = PROMPTS;
        *(broken ? &cut.fails_at : &cut.stops_at) = broken ? 2 * (k - 5) : 1 + k;
        assert_int_equal(cpv_blip_caption(w, prompt, PROMPTS, next, emit, &cut, &err),
                         broken ? CPV_E_IO : 12345);
        if (broken)
            assert_string_equal(err.text, "the camera is broken");
        else
            assert_int_equal(cut.done, cut.stops_at);
        again = stream_of(IMAGES);
        run_all(w, &again);
        if (cpv_device_keeps_rows(device))
            expect_same_stream(&all, &again);
    }
    again = stream_of(0);
    run_all(w, &again); /* no images at all */
    cpv_blip_worker_close(&w);
    cpv_blip_close(&model);
}

/* ---- limits ---- */

static void what_does_not_fit_is_refused(void **state)
{
    struct cpv_blip_limits limits = {.prompts = 2, .prompt = 4, .target = 3};
    int32_t ids[] = {3, 5, 6, 7, 8}, strange[] = {3, 9999}, below[] = {-1};
    struct cpv_prompt good = {ids, 4};
    struct cpv_prompt bad[] = {{ids, 5}, {ids, 0}, {strange, 2}, {below, 1}};
    struct cpv_prompt many[] = {good, good, good};
    struct cpv_search search;
    cpv_blip_worker *w;

    (void)state;
    open_model("base");
    search = cpv_blip_search(model);
    assert_ok(cpv_blip_worker_open(&w, model, &search, &limits, &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cpv_prompt two[] = {good, bad[i]};
        struct stream s = stream_of(2);

        s.prompts = 2;
        assert_int_equal(cpv_blip_caption(w, two, 2, next, emit, &s, &err), CPV_E_BUG);
        assert_non_null(strstr(err.text, "prompt 1"));
        assert_int_equal(s.at, 0);
    }
    for (int n = 0; n <= 3; n += 3) {
        struct stream s = stream_of(2);

        assert_int_equal(cpv_blip_caption(w, many, n, next, emit, &s, &err), CPV_E_BUG);
        assert_non_null(strstr(err.text, "prompts, expected 1 to 2"));
    }
    for (int n = 1; n <= 2; n++) {
        struct stream s = stream_of(2);

        s.prompts = n;
        assert_ok(cpv_blip_caption(w, many, n, next, emit, &s, &err));
        assert_int_equal(s.done, 2);
    }
    cpv_blip_worker_close(&w);
    limits.prompt = 13;
    limits.target = 12; /* 24 positions: the last new token has none */
    assert_ok(cpv_blip_worker_open(&w, model, &search, &limits, &err));
    cpv_blip_worker_close(&w);
    limits.target = 13;
    assert_int_equal(cpv_blip_worker_open(&w, model, &search, &limits, &err),
                     CPV_E_USAGE);
    assert_non_null(strstr(err.text, "24"));
    assert_null(w);
    limits.target = -1;
    assert_int_equal(cpv_blip_worker_open(&w, model, &search, &limits, &err),
                     CPV_E_USAGE);
    limits.target = 3;
    for (int i = 0; i < 2; i++) {
        search.beams = i ? CPV_BEAMS_MAX + 1 : 30; /* 60 of 55 words */
        assert_int_not_equal(cpv_blip_worker_open(&w, model, &search, &limits, &err), 0);
        assert_null(w);
    }
    cpv_blip_close(&model);
}

/* As many and as long sequences as a worker was made for, and short ones. */
static void a_worker_has_the_memory_that_it_needs(void **state)
{
    static const struct cpv_blip_limits limits[] = {
        {.images = 1, .prompts = 1, .prompt = 1, .target = 1},
        {.images = 1, .prompts = 1, .prompt = 24, .target = 1},
        {.images = 1, .prompts = 1, .prompt = 1, .target = 24},
        {.images = 2, .prompts = 10, .prompt = 12, .target = 13},
        {.images = 40, .prompts = 1, .prompt = 2, .target = 2},
        {.images = 1, .prompts = 200, .prompt = 20, .target = 5},
        {.images = 7, .prompts = 3, .prompt = 23, .target = 2, .threads = 2},
        {.images = 16, .prompts = 10, .prompt = 7, .target = 6, .threads = 3},
    };
    static struct cpv_prompt prompt[200];
    int32_t ids[24];

    (void)state;
    for (int i = 0; i < 24; i++)
        ids[i] = 5 + i;
    for (size_t i = 0; i < 2 * sizeof limits / sizeof *limits; i++) {
        const struct cpv_blip_limits *l = &limits[i / 2];

        open_model(i % 2 ? "deep" : "narrow");
        for (int beams = 1; beams < 6; beams += 4) {
            struct cpv_search search = cpv_blip_search(model);
            cpv_blip_worker *w;

            search.beams = beams;
            search.eos = beams == 1 ? 0 : search.eos; /* hardly ever */
            assert_ok(cpv_blip_worker_open(&w, model, &search, l, &err));
            for (int kind = 0; kind < 3; kind++) {
                struct stream s = stream_of(l->images + 3 > 16 ? 16 : l->images + 3);

                s.prompts = l->prompts;
                for (int k = 0; k < l->prompts; k++) {
                    int n = kind == 0 ? l->prompt : kind == 1 ? 1 : 1 + k % l->prompt;

                    prompt[k] = (struct cpv_prompt){ids, n};
                }
                if (l->prompts > PROMPTS)
                    s.prompts = PROMPTS; /* what emit has room for */
                assert_ok(cpv_blip_caption(w, prompt, s.prompts, next, emit, &s, &err));
                assert_int_equal(s.done, s.n);
            }
            cpv_blip_worker_close(&w);
        }
        cpv_blip_close(&model);
    }
}

/* A picture of nonsense ends like any other, and harms none beside it. */
static void a_picture_of_nan_harms_only_itself(void **state)
{
    static struct stream good, s;
    struct cpv_search search;
    cpv_blip_worker *w;

    (void)state;
    if (!cpv_device_keeps_rows(device))
        skip();
    open_model("base");
    for (int k = 0; k < 2; k++) {
        static const float nonsense[] = {NAN, INFINITY, -INFINITY, 3e38F};

        search = search_of(&want.search[k]);
        w = worker(&search, NEW, 3, 1);
        good = stream_of(IMAGES);
        run_all(w, &good);
        for (size_t n = 0; n < sizeof nonsense / sizeof *nonsense; n++) {
            for (int i = 0; i < 3 * 12 * 12; i++)
                pixels[1][i] = nonsense[n];
            s = stream_of(IMAGES);
            run_all(w, &s);
            for (int i = 0; i < IMAGES * PROMPTS; i++)
                if (i / PROMPTS != 1)
                    expect_same(&good.got[i / PROMPTS][i % PROMPTS],
                                &s.got[i / PROMPTS][i % PROMPTS]);
        }
        read_images("base");
        s = stream_of(IMAGES);
        run_all(w, &s);
        expect_same_stream(&good, &s);
        cpv_blip_worker_close(&w);
    }
    cpv_blip_close(&model);
}

/* ---- folders of our own making ---- */

/* `name` with one of its files changed by sed, in the scratch folder. */
static void altered(const char *name, const char *file, const char *sed)
{
    char command[9000];

    (void)snprintf(command, sizeof command,
                   "rm -rf m && mkdir m && for f in '%s/blip/%s'/*; do ln -s \"$f\" m/; "
                   "done && rm m/%s && sed '%s' '%s/blip/%s/%s' >m/%s",
                   golden, name, file, sed, golden, name, file, file);
    assert_int_equal(shell(command), 0);
}

static void a_folder_that_does_not_fit_is_named(void **state)
{
    static const struct {
        const char *model, *file, *sed, *says[3];
    } bad[] = {
        {"base",
         "config.json",
         "s/\"hidden_size\": 24/\"hidden_size\": 27/",
         {"word_embeddings", "[55, 24]", "expected [55, 27]"}},
        {"base",
         "config.json",
         "s/\"hidden_size\": 20/\"hidden_size\": 24/",
         {"patch_embedding", "[20, 3, 4, 4]", "[24, 3, 4, 4]"}},
        {"base",
         "config.json",
         "s/\"num_hidden_layers\": 2/\"num_hidden_layers\": 3/",
         {"layers.2.", "vision_model", "m"}},
        {"base",
         "config.json",
         "s/\"vocab_size\": [0-9]*/\"vocab_size\": 90/",
         {"word_embeddings", "[55, 24]", "expected [90, 24]"}},
        {"base",
         "config.json",
         "s/\"num_attention_heads\": 3/\"num_attention_heads\": 5/",
         {"num_attention_heads", "24", "config.json"}},
        {"base",
         "config.json",
         "s/\"num_attention_heads\": 4/\"num_attention_heads\": 3/",
         {"num_attention_heads", "20", "vision_config"}},
        {"base",
         "config.json",
         "s/\"patch_size\": 4/\"patch_size\": 5/",
         {"image_size", "patch_size", "5"}},
        {"base",
         "config.json",
         "s/\"image_size\": 12/\"image_size\": 16/",
         {"size", "16", "12"}},
        {"base",
         "config.json",
         "s/\"bos_token_id\": [0-9]*/\"bos_token_id\": 400/",
         {"text_config.bos_token_id", "vocabulary", "config.json"}},
        {"base",
         "config.json",
         "s/\"sep_token_id\": 3/\"sep_token_id\": -1/",
         {"text_config.sep_token_id", "config.json", "m"}},
        {"base",
         "config.json",
         "s/\"hidden_size\": 24/\"hidden_size\": 24, \"hidden_act\": \"mish\"/",
         {"hidden_act", "gelu", "config.json"}},
        {"base",
         "preprocessor_config.json",
         "s/\"height\": 12/\"height\": 13/",
         {"preprocessor_config.json", "13", "size"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        altered(bad[i].model, bad[i].file, bad[i].sed);
        assert_int_equal(cpv_blip_open(&model, device, "m", &err), CPV_E_INPUT);
        assert_null(model);
        for (int k = 0; k < 3; k++)
            if (!strstr(err.text, bad[i].says[k]))
                fail_msg("%s: '%s' is not in: %s", bad[i].sed, bad[i].says[k], err.text);
        err = (struct cpv_err){0};
    }
}

static void a_folder_that_lacks_a_file_is_named(void **state)
{
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.txt"};
    char command[256];

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        altered("base", "config.json", "");
        (void)snprintf(command, sizeof command, "rm m/%s", files[i]);
        assert_int_equal(shell(command), 0);
        assert_int_not_equal(cpv_blip_open(&model, device, "m", &err), 0);
        assert_null(model);
        if (!strstr(err.text, i == 1 ? "m" : files[i]))
            fail_msg("%s: %s", files[i], err.text);
        err = (struct cpv_err){0};
    }
    assert_int_not_equal(cpv_blip_open(&model, device, "nowhere", &err), 0);
    assert_non_null(strstr(err.text, "nowhere"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_is_stopped_leaves_nothing_behind),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_worker_has_the_memory_that_it_needs),
        cmocka_unit_test(a_picture_of_nan_harms_only_itself),
        cmocka_unit_test(a_folder_that_does_not_fit_is_named),
        cmocka_unit_test(a_folder_that_lacks_a_file_is_named),
    };

    return run_on_device(argc, argv, tests, sizeof tests / sizeof *tests);
}
