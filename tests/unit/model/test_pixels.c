/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels against transformers' BlipImageProcessor and open_clip's image_transform:
 * tests/golden/pixels, made by tests/fixtures/make_pixels.py. */
#include "common/base/file.h"
#include "common/model/pixels.h"
#include "tests/unit/base/unit.h"

enum { MAX_PIXELS = 1000 * 1000 };

static const char *golden;
static struct cpv_err err;

/* In the order of the fixtures. */
static const char *const pictures[] = {
    "jpeg-444.jpg",           "jpeg-420.jpg",  "jpeg-progressive.jpg",
    "jpeg-gray.jpg",          "jpeg-cmyk.jpg", "jpeg-orientation-3.jpg",
    "jpeg-orientation-6.jpg", "png-rgba.png",  "webp-lossless.webp"};

static struct cpv_buf load(const char *folder, const char *name, const char *ext)
{
    struct cpv_buf b = {0};
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/%s/%s%s", golden, folder, name, ext);
    assert_ok(cpv_file_read(path, 1 << 20, &b, &err));
    return b;
}

/* ./preprocessor_config.json */
static int config_of(struct cpv_bytes text, struct cpv_pixels_config *k)
{
    FILE *f = fopen("preprocessor_config.json", "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text.data, 1, text.size, f), text.size);
    assert_int_equal(fclose(f), 0);
    err = (struct cpv_err){0};
    return cpv_pixels_config_read(k, ".", &err);
}

/* An open_clip_config.json, of a tower that takes `image` pixels; 0: what it says. */
static int clip_config_of(struct cpv_bytes text, int image, struct cpv_pixels_config *k)
{
    struct cpv_hf_object root, model, vision, how;
    cpv_hf_config *c;
    int rc;

    err = (struct cpv_err){0};
    assert_ok(cpv_hf_config_parse(&c, text, "open_clip_config.json", &err));
    root = cpv_hf_config_root(c);
    model = cpv_hf_object(&root, "model_cfg");
    vision = cpv_hf_object(&model, "vision_cfg");
    how = cpv_hf_object(&root, "preprocess_cfg");
    if (!image)
        image = (int)cpv_hf_int(&vision, "image_size", CPV_HF_NEEDED, 1, 1000);
    cpv_pixels_config_clip(k, &how, image);
    rc = cpv_hf_config_check(c, &err);
    cpv_hf_config_close(&c);
    return rc;
}

static enum cpv_image_status make(cpv_pixels_maker *m, struct cpv_bytes file,
                                  int64_t max_pixels, float *out, const char **detail)
{
    enum cpv_image_status status;

    assert_ok(cpv_pixels_make(m, file, max_pixels, out, &status, detail, &err));
    return status;
}

static void compare(const char *name, int count)
{
    struct cpv_buf json = load("pixels", name, ".json"),
                   want = load("pixels", name, ".bin");
    struct cpv_pixels_config k;
    cpv_pixels_maker *m;
    size_t bytes;
    float *out;

    if (strncmp(name, "clip-", 5) == 0)
        assert_ok(clip_config_of(cpv_buf_view(&json), 0, &k));
    else
        assert_ok(config_of(cpv_buf_view(&json), &k));
    bytes = 3 * (size_t)k.size * (size_t)k.size * sizeof *out;
    assert_int_equal(want.size, bytes * (size_t)count);
    out = calloc(1, bytes);
    assert_non_null(out);
    assert_ok(cpv_pixels_open(&m, &k, &err));
    for (int i = 0; i < count; i++) {
        struct cpv_buf file = load("images", pictures[i], "");
        const char *detail;
        enum cpv_image_status status =
            make(m, cpv_buf_view(&file), MAX_PIXELS, out, &detail);

        cpv_buf_release(&file);
        if (status == CPV_IMAGE_UNSUPPORTED && i >= 7)
            continue; /* built without PNG or WebP */
        assert_int_equal(status, CPV_IMAGE_OK);
        assert_string_equal(detail, "");
        if (memcmp(out, want.data + (size_t)i * bytes, bytes) != 0)
            fail_msg("%s: %s differs", name, pictures[i]);
    }
    cpv_pixels_close(&m);
    free(out);
    cpv_buf_release(&json);
    cpv_buf_release(&want);
}

static void pixels_are_those_of_transformers_to_the_bit(void **state)
{
    (void)state;
    compare("published", 9);
    compare("same-height", 3);
    compare("larger", 1);
    compare("columns-first", 9);
    compare("lanczos", 9);
    compare("factor", 9);
    compare("not-rescaled", 9);
    compare("not-normalized", 9);
}

static void pixels_are_those_of_open_clip_to_the_bit(void **state)
{
    (void)state;
    compare("clip-published", 9);
    compare("clip-odd", 9);
    compare("clip-same-height", 3);
    compare("clip-larger", 1);
    compare("clip-squash", 9);
}

static void expect_defaults(const struct cpv_pixels_config *k)
{
    assert_int_equal(k->size, 384);
    assert_int_equal(k->filter, CPV_IMAGE_BICUBIC);
    assert_true(k->rescale >= 1.0 / 255 && k->rescale <= 1.0 / 255);
    assert_true(k->mean[0] >= 0.48145466F && k->mean[0] <= 0.48145466F);
    assert_true(k->std[2] >= 0.27577711F && k->std[2] <= 0.27577711F);
}

static void what_is_not_said_is_as_the_class_has_it(void **state)
{
    struct cpv_pixels_config k;

    (void)state;
    (void)unlink("preprocessor_config.json");
    assert_ok(cpv_pixels_config_read(&k, ".", &err));
    expect_defaults(&k);
    assert_ok(config_of(cpv_bytes_str("{}"), &k));
    expect_defaults(&k);
    assert_ok(config_of(cpv_bytes_str("{\"size\": null, \"image_mean\": null, "
                                      "\"do_center_crop\": true, \"resample\": null}"),
                        &k));
    expect_defaults(&k);
}

static void what_cannot_be_done_is_named(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"{\"do_resize\": false}", "do_resize: expected true"},
        {"{\"size\": {\"height\": 384, \"width\": 512}}", "size.width: expected the"},
        {"{\"size\": {\"shortest_edge\": 224}}", "size.height: expected an integer"},
        {"{\"size\": 0}", "size: expected an integer from 1"},
        {"{\"size\": {\"height\": 384}}", "size.width: expected an integer"},
        {"{\"size\": \"384\"}", "size: expected an object"},
        {"{\"resample\": 2}", "resample: expected 3 (bicubic)"},
        {"{\"resample\": \"bicubic\"}", "resample: expected an integer"},
        {"{\"image_mean\": [0.5, 0.5]}", "image_mean: expected three"},
        {"{\"image_mean\": [0.5]}", "image_mean: expected three"},
        {"{\"image_mean\": []}", "image_mean: expected three"},
        {"{\"image_std\": [0.5, 0.5, 0]}", "image_std: expected at most 3 numbers"},
        {"{\"image_std\": [0.5, 0.5, 0.5, 0.5]}", "image_std: expected at most 3"},
        {"{\"rescale_factor\": true}", "rescale_factor: expected a number"},
        {"{\"image_processor_type\": \"CLIPImageProcessor\"}",
         "image_processor_type: expected BlipImageProcessor"},
        {"{\"do_normalize\": 1}", "do_normalize: expected true or false"},
        {"[384]", "expected a JSON object"},
        {"{\"size\": ", "line 1"},
    };
    struct cpv_pixels_config k;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(config_of(cpv_bytes_str(bad[i].text), &k), CPV_E_INPUT);
        if (!strstr(err.text, bad[i].says) ||
            !strstr(err.text, "preprocessor_config.json"))
            fail_msg("%s: '%s' is not in: %s", bad[i].text, bad[i].says, err.text);
    }
}

static void what_open_clip_can_and_we_cannot_is_named(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"\"resize_mode\": \"longest\"", "resize_mode: expected one of shortest, squash"},
        {"\"interpolation\": \"bilinear\"", "interpolation: expected one of bicubic"},
        {"\"mode\": \"L\"", "mode: expected RGB"},
        {"\"size\": 13", "size: expected 14"},
        {"\"size\": [14, 13]", "size: expected 14"},
        {"\"size\": \"14\"", "size: expected "},
        {"\"std\": [0.5, 0, 0.5]", "std: expected "},
        {"\"mean\": [0.5]", "mean: expected three"},
    };
    struct cpv_pixels_config k;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];

        (void)snprintf(text, sizeof text, "{\"preprocess_cfg\": {%s}}", bad[i].text);
        assert_int_equal(clip_config_of(cpv_bytes_str(text), 14, &k), CPV_E_INPUT);
        if (!strstr(err.text, bad[i].says) ||
            !strstr(err.text, "'open_clip_config.json' preprocess_cfg."))
            fail_msg("%s: '%s' is not in: %s", bad[i].text, bad[i].says, err.text);
    }
    assert_ok(clip_config_of(cpv_bytes_str("{}"), 14, &k));
    assert_true(k.crop && k.size == 14 && k.std[2] >= 0.27577711F);
    assert_ok(clip_config_of(
        cpv_bytes_str("{\"preprocess_cfg\": {\"interpolation\": \"random\", "
                      "\"mean\": 0.5, \"std\": 0.25, \"size\": [14, 14]}}"),
        14, &k));
    assert_true(k.mean[1] >= 0.5F && k.std[2] <= 0.25F);
}

/* 37 x 23 pixels, to squares of 14 and of so many that the longer side is too long. */
static void a_picture_too_narrow_is_no_error(void **state)
{
    struct cpv_pixels_config k = {.size = 14,
                                  .crop = true,
                                  .filter = CPV_IMAGE_BICUBIC,
                                  .std = {1, 1, 1},
                                  .rescale = 1};
    struct cpv_buf good = load("images", "jpeg-444.jpg", "");
    float *out = calloc(3 * 14 * 14, sizeof *out);
    cpv_pixels_maker *m;
    const char *detail;

    (void)state;
    assert_non_null(out);
    assert_ok(cpv_pixels_open(&m, &k, &err));
    assert_int_equal(make(m, cpv_buf_view(&good), MAX_PIXELS, out, &detail), 0);
    cpv_pixels_close(&m);
    k.size = 50000;
    assert_ok(cpv_pixels_open(&m, &k, &err));
    assert_int_equal(make(m, cpv_buf_view(&good), MAX_PIXELS, out, &detail),
                     CPV_IMAGE_ASPECT);
    assert_non_null(strstr(detail, "37 x 23"));
    cpv_pixels_close(&m);
    cpv_buf_release(&good);
    free(out);
}

/* Nothing is written, and the next picture is as good as ever. */
static void a_picture_that_cannot_be_read_is_no_error(void **state)
{
    struct cpv_pixels_config k = {
        .size = 8, .filter = CPV_IMAGE_BICUBIC, .std = {1, 1, 1}, .rescale = 1};
    struct cpv_buf good = load("images", "jpeg-444.jpg", "");
    struct cpv_bytes cut = {good.data, good.size / 2}, page = cpv_bytes_str("<html>");
    float out[3 * 8 * 8], first[3 * 8 * 8];
    cpv_pixels_maker *m;
    const char *detail;

    (void)state;
    assert_ok(cpv_pixels_open(&m, &k, &err));
    assert_int_equal(make(m, cpv_buf_view(&good), MAX_PIXELS, first, &detail), 0);
    memset(out, 0x5A, sizeof out);
    assert_int_equal(make(m, cut, MAX_PIXELS, out, &detail), CPV_IMAGE_BROKEN);
    assert_true(strlen(detail) > 0);
    assert_int_equal(make(m, page, MAX_PIXELS, out, &detail), CPV_IMAGE_NOT_IMAGE);
    assert_int_equal(make(m, (struct cpv_bytes){0}, MAX_PIXELS, out, &detail),
                     CPV_IMAGE_EMPTY);
    assert_int_equal(make(m, cpv_buf_view(&good), 37 * 23 - 1, out, &detail),
                     CPV_IMAGE_BOMB);
    for (size_t i = 0; i < sizeof out; i++)
        assert_int_equal(((unsigned char *)out)[i], 0x5A);
    assert_int_equal(make(m, cpv_buf_view(&good), 37 * 23, out, &detail), 0);
    assert_memory_equal(out, first, sizeof out);
    cpv_pixels_close(&m);
    cpv_pixels_close(&m);
    cpv_buf_release(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_those_of_transformers_to_the_bit),
        cmocka_unit_test(pixels_are_those_of_open_clip_to_the_bit),
        cmocka_unit_test(what_open_clip_can_and_we_cannot_is_named),
        cmocka_unit_test(a_picture_too_narrow_is_no_error),
        cmocka_unit_test(what_is_not_said_is_as_the_class_has_it),
        cmocka_unit_test(what_cannot_be_done_is_named),
        cmocka_unit_test(a_picture_that_cannot_be_read_is_no_error),
    };

    golden = getenv("CAPIVARA_TEST_GOLDEN");
    if (!golden)
        golden = "tests/golden";
    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
