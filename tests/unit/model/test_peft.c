/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters: settings of PEFT's, names, and tensors that are there or not. */
#include "tests/unit/base/unit.h"

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/model/peft.h"

#define QV  (CPV_CLIP_QUERY | CPV_CLIP_VALUE)
#define ALL (2 * CPV_CLIP_FFN_OUT - 1)

static const struct cpv_peft_shape tower = {
    .layers = 12, .width = 4, .ffn = 8, .hidden = 6, .dim = 5};

static void says(const struct cpv_err *err, const char *part)
{
    if (!strstr(err->text, part) || strpbrk(err->text, "\n\r\t"))
        fail_msg("'%s' does not say '%s' in one line", err->text, part);
}

/* ---- settings ---- */

/* What PEFT 0.5.0 writes for the paper's adapter. */
static void settings_are_written_as_peft_does(void **state)
{
    static const char expected[] = "{\n"
                                   "  \"auto_mapping\": {\n"
                                   "    \"base_model_class\": \"HFTextEncoder\",\n"
                                   "    \"parent_library\": \"open_clip.hf_model\"\n"
                                   "  },\n"
                                   "  \"base_model_name_or_path\": null,\n"
                                   "  \"bias\": \"none\",\n"
                                   "  \"fan_in_fan_out\": false,\n"
                                   "  \"inference_mode\": true,\n"
                                   "  \"init_lora_weights\": true,\n"
                                   "  \"layers_pattern\": null,\n"
                                   "  \"layers_to_transform\": null,\n"
                                   "  \"lora_alpha\": 8,\n"
                                   "  \"lora_dropout\": 0.0,\n"
                                   "  \"modules_to_save\": [\n"
                                   "    \"proj\"\n"
                                   "  ],\n"
                                   "  \"peft_type\": \"LORA\",\n"
                                   "  \"r\": 8,\n"
                                   "  \"revision\": null,\n"
                                   "  \"target_modules\": [\n"
                                   "    \"query\",\n"
                                   "    \"value\"\n"
                                   "  ],\n"
                                   "  \"task_type\": null\n"
                                   "}";
    const struct cpv_peft p = {
        .lora = {.rank = 8, .alpha = 8, .targets = QV, .layers = UINT64_MAX},
        .projection = true};
    struct cpv_buf b = {0};

    (void)state;
    cpv_peft_config_text(&p, &tower, &b);
    assert_string_equal(cpv_buf_cstr(&b), expected);
    cpv_buf_release(&b);
}

static void written_settings_are_read_back(void **state)
{
    struct cpv_peft p = {.lora = {.rank = 3, .alpha = 2.5, .dropout = 0.05}}, q;
    static const uint64_t layers[] = {0xfff, 1, 0x802, 0x7ff};
    struct cpv_err err = {0};

    (void)state;
    for (unsigned targets = 1; targets <= ALL; targets++)
        for (size_t i = 0; i < CPV_COUNT(layers); i++) {
            struct cpv_buf b = {0};

            p.lora.targets = targets;
            p.lora.layers = layers[i];
            p.projection = targets % 2;
            cpv_peft_config_text(&p, &tower, &b);
            assert_ok(cpv_peft_config_read(&q, cpv_buf_view(&b), "f", &tower, &err));
            /* "output.dense" alone would be the attention's, too */
            if (q.lora.targets != targets || q.lora.layers != layers[i])
                fail_msg("%s\n%x %llx", cpv_buf_cstr(&b), q.lora.targets,
                         (unsigned long long)q.lora.layers);
            assert_int_equal(q.lora.rank, 3);
            assert_true(q.lora.alpha == 2.5 && q.lora.dropout == 0.05);
            assert_int_equal(q.projection, p.projection);
            cpv_buf_release(&b);
        }
}

static int read_text(struct cpv_peft *p, const char *text, struct cpv_err *err)
{
    return cpv_peft_config_read(p, cpv_bytes_str(text), "f", &tower, err);
}

/* What 0.21.2 writes of itself, for target_modules {query, value} (a set: any order). */
static void settings_of_a_newer_peft_are_read(void **state)
{
    static const char text[] =
        "{\"alora_invocation_tokens\": null, \"alpha_pattern\": {}, \"arrow_config\": "
        "null, \"auto_mapping\": {\"base_model_class\": \"HFTextEncoder\", "
        "\"parent_library\": \"open_clip.hf_model\"}, \"base_model_name_or_path\": null, "
        "\"bias\": \"none\", \"corda_config\": null, \"ensure_weight_tying\": false, "
        "\"eva_config\": null, \"exclude_modules\": null, \"fan_in_fan_out\": false, "
        "\"inference_mode\": true, \"init_lora_weights\": true, \"kasa_config\": null, "
        "\"layer_replication\": null, \"layers_pattern\": null, "
        "\"layers_to_transform\": null, \"loftq_config\": {}, \"lora_alpha\": 16, "
        "\"lora_bias\": false, \"lora_dropout\": 0.1, \"lora_ga_config\": null, "
        "\"megatron_config\": null, \"megatron_core\": \"megatron.core\", "
        "\"modules_to_save\": null, \"monteclora_config\": null, \"peft_type\": "
        "\"LORA\", \"peft_version\": \"0.21.2\", \"qalora_group_size\": 16, \"r\": 4, "
        "\"rank_pattern\": {}, \"revision\": null, \"target_modules\": [\"value\", "
        "\"query\"], \"target_parameters\": null, \"task_type\": null, "
        "\"trainable_token_indices\": null, \"use_bdlora\": null, \"use_dora\": false, "
        "\"use_qalora\": false, \"use_rslora\": true, \"velora_config\": null}";
    struct cpv_peft p;
    struct cpv_err err = {0};

    (void)state;
    assert_ok(read_text(&p, text, &err));
    assert_int_equal(p.lora.rank, 4);
    assert_true(p.lora.alpha == 32); /* use_rslora: 16 / sqrt 4 = 32 / 4 */
    assert_int_equal(p.lora.targets, QV);
    assert_int_equal(p.lora.layers, 0xfff);
    assert_false(p.projection);
}

#define CONFIG(rest) "{\"peft_type\":\"LORA\",\"r\":4" rest "}"
#define TARGETS(t)   CONFIG(",\"target_modules\":" t)

static void targets_are_chosen_as_by_peft(void **state)
{
    static const struct {
        const char *text;
        unsigned targets;
        uint64_t layers;
    } cases[] = {
        {TARGETS("[\"query\"]"), CPV_CLIP_QUERY, 0xfff},
        {TARGETS("[\"self.key\",\"query\"]"), CPV_CLIP_KEY | CPV_CLIP_QUERY, 0xfff},
        {TARGETS("[\"dense\"]"), CPV_CLIP_ATTN_OUT | CPV_CLIP_FFN_IN | CPV_CLIP_FFN_OUT,
         0xfff},
        {TARGETS("[\"output.dense\"]"), CPV_CLIP_ATTN_OUT | CPV_CLIP_FFN_OUT, 0xfff},
        {TARGETS("[\"1.output.dense\"]"), CPV_CLIP_FFN_OUT, 2},
        {TARGETS("[\"transformer.encoder.layer.3.attention.self.value\"]"),
         CPV_CLIP_VALUE, 8},
        {TARGETS("[\"value\"],\"layers_to_transform\":[2,11]"), CPV_CLIP_VALUE, 0x804},
        {TARGETS("[\"value\"],\"layers_to_transform\":7,\"layers_pattern\":\"layer\""),
         CPV_CLIP_VALUE, 0x80},
        {TARGETS("[\"value\"],\"layers_to_transform\":[],\"layers_pattern\":[]"),
         CPV_CLIP_VALUE, 0xfff},
        {TARGETS("\".*\\\\.(query|value)\""), QV, 0xfff},
        {TARGETS("\".*?layer\\\\.(?:[02]|1\\\\d)\\\\.attention\\\\.self\\\\.\\\\w+\""), 0,
         0}, /* self.dropout, too */
        {TARGETS("\".*?layer\\\\.(?:[02]|1\\\\d)\\\\..*self.(query|key)$\""),
         CPV_CLIP_QUERY | CPV_CLIP_KEY, 0xc05},
        {TARGETS("\".*layer[.][^1].*[.]intermediate[.]dense\""), CPV_CLIP_FFN_IN, 0x3fd},
        {TARGETS("\"query\""), 0, 0}, /* the whole name must match */
    };
    struct cpv_peft p;

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        struct cpv_err err = {0};
        int rc = read_text(&p, cases[i].text, &err);

        if (rc != (cases[i].targets ? CPV_OK : CPV_E_INPUT))
            fail_msg("%s: %d: %s", cases[i].text, rc, err.text);
        if (rc == CPV_OK &&
            (p.lora.targets != cases[i].targets || p.lora.layers != cases[i].layers))
            fail_msg("%s: %x, %llx", cases[i].text, p.lora.targets,
                     (unsigned long long)p.lora.layers);
    }
}

#define GOOD ",\"target_modules\":[\"query\"]"

static void what_is_not_understood_is_refused_by_name(void **state)
{
    static const struct {
        const char *text, *what;
    } cases[] = {
        {"{}", "'f' peft_type: expected"},
        {"{\"peft_type\":\"IA3\"}", "'f' peft_type: expected one of"},
        {CONFIG(""), "target_modules: expected a list of 1 to 64 texts"},
        {TARGETS("[]"), "target_modules"},
        {TARGETS("[3]"), "target_modules"},
        {TARGETS("[\"q_proj\"]"), "('q_proj' is none)"},
        {TARGETS("[\"query\",\"q\"]"), "('q' is none)"},
        {TARGETS("[\"query\",\"proj.0\"]"), "(it names 'proj.0' too)"},
        {TARGETS("[\"query\",\"2\"]"), "(it names 'proj.2' too)"},
        {TARGETS("[\"word_embeddings\"]"), "word_embeddings' too)"},
        {TARGETS("[\"self\"]"), "layer.0.attention.self' too)"},
        {TARGETS("[\"query\",\"0.attention.self.key\"]"), "in the same layers"},
        {TARGETS("\"all-linear\""), "not 'all-linear'"},
        {TARGETS("\".*(?=query)\""), "understood here"},
        {TARGETS("\".*(query\""), "understood here"},
        {TARGETS("\".*\\\\bquery\""), "understood here"},
        {TARGETS("\".*{2}query\""), "understood here"},
        {TARGETS("\".*[\\\\d]query\""), "understood here"},
        {TARGETS("\"x*+query\""), "understood here"},
        {TARGETS("\".*(query|value)\",\"layers_to_transform\":[1]"),
         "layers_to_transform: expected nothing"},
        {CONFIG(GOOD ",\"layers_to_transform\":[12]"), "layers_to_transform"},
        {CONFIG(GOOD ",\"layers_to_transform\":1,\"layers_pattern\":\"h\""),
         "layers_pattern: expected nothing or 'layer'"},
        {CONFIG(GOOD ",\"modules_to_save\":[\"pooler\"]"), "null or [\"proj\"]"},
        {CONFIG(GOOD ",\"modules_to_save\":[\"proj\",\"x\"]"), "modules_to_save"},
        {CONFIG(GOOD ",\"bias\":\"lora_only\""), "bias"},
        {CONFIG(GOOD ",\"fan_in_fan_out\":true"), "fan_in_fan_out: expected false"},
        {CONFIG(GOOD ",\"use_dora\":true"), "use_dora: expected null, false or nothing"},
        {CONFIG(GOOD ",\"rank_pattern\":{\"query\":2}"), "rank_pattern"},
        {CONFIG(GOOD ",\"alpha_pattern\":{\"query\":2}"), "alpha_pattern"},
        {CONFIG(GOOD ",\"lora_bias\":true"), "lora_bias"},
        {CONFIG(GOOD ",\"exclude_modules\":[\"key\"]"), "exclude_modules"},
        {CONFIG(GOOD ",\"of_tomorrow\":1"), "of_tomorrow"},
        {CONFIG(GOOD ",\"init_lora_weights\":\"pissa\""), "init_lora_weights"},
        {CONFIG(GOOD ",\"lora_dropout\":1"), "lora_dropout"},
        {CONFIG(GOOD ",\"lora_alpha\":\"8\""), "lora_alpha"},
        {"{\"peft_type\":\"LORA\",\"r\":0" GOOD "}", "'f' r: expected an integer"},
        {"[1]", "'f'"},
        {"{\"r\":", "'f'"},
    };
    struct cpv_peft p;

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        struct cpv_err err = {0};

        if (read_text(&p, cases[i].text, &err) != CPV_E_INPUT)
            fail_msg("taken: %s", cases[i].text);
        says(&err, cases[i].what);
    }
}

/* ---- tensors ---- */

enum { MOST = 16 };

static const struct cpv_peft_shape small = {
    .layers = 2, .width = 4, .ffn = 8, .hidden = 6, .dim = 5};

/* An adapter of `value` in layer 1 and the projection; values are their index. */
struct sample {
    struct cpv_peft p;
    struct cpv_safetensors_tensor t[MOST];
    size_t n;
    char name[MOST][CPV_PEFT_NAME];
    float values[64];
};

static void add(struct sample *s, const char *name, uint64_t rows, uint64_t cols)
{
    struct cpv_safetensors_tensor *t = &s->t[s->n];

    (void)snprintf(s->name[s->n], CPV_PEFT_NAME, "%s", name);
    *t = (struct cpv_safetensors_tensor){.name = s->name[s->n],
                                         .rank = 2,
                                         .dtype = CPV_CKPT_F32,
                                         .dim = {rows, cols},
                                         .values = s->values};
    s->n++;
}

static void make(struct sample *s)
{
    char name[CPV_PEFT_NAME];

    *s = (struct sample){
        .p = {.lora = {.rank = 3, .alpha = 6, .targets = CPV_CLIP_VALUE, .layers = 2},
              .projection = true}};
    for (size_t i = 0; i < CPV_COUNT(s->values); i++)
        s->values[i] = (float)i;
    add(s, cpv_peft_pair_name(name, CPV_CLIP_VALUE, 1, false), 3, 4);
    add(s, cpv_peft_pair_name(name, CPV_CLIP_VALUE, 1, true), 4, 3);
    add(s, cpv_peft_projection_name(name, &small, 0), 6, 4);
    add(s, cpv_peft_projection_name(name, &small, 1), 5, 6);
}

static void an_adapter_is_written_and_read_back(void **state)
{
    struct sample s;
    cpv_peft_file *f = NULL;
    struct cpv_err err = {0};
    const struct cpv_ckpt_tensor *t;
    float got[12];

    (void)state;
    make(&s);
    assert_ok(cpv_peft_write("new/adapter", &s.p, &small, s.t, s.n, &err));
    assert_ok(cpv_peft_open(&f, "new/adapter", &small, &err));
    assert_int_equal(cpv_peft_settings(f)->lora.rank, 3);
    assert_int_equal(cpv_peft_settings(f)->lora.layers, 2);
    assert_int_equal(cpv_checkpoint_count(cpv_peft_checkpoint(f)), 4);
    t = cpv_peft_pair(f, CPV_CLIP_VALUE, 1, true);
    assert_non_null(t);
    assert_string_equal(t->name, "base_model.model.transformer.encoder.layer.1.attention."
                                 "self.value.lora_B.weight");
    assert_ok(cpv_checkpoint_rows_f32(t, 0, 4, got, &err));
    assert_memory_equal(got, s.values, sizeof got);
    assert_null(cpv_peft_pair(f, CPV_CLIP_VALUE, 0, true));
    assert_null(cpv_peft_pair(f, CPV_CLIP_QUERY, 1, true));
    assert_string_equal(cpv_peft_projection(f, 1)->name,
                        "base_model.model.proj.2.weight");
    cpv_peft_close(&f);
    assert_null(f);
    s.n--;
    assert_int_equal(cpv_peft_write("new/adapter", &s.p, &small, s.t, s.n, &err),
                     CPV_E_BUG);
    says(&err, "proj.2.weight' [5, 6]");
    s.n++;
    add(&s, "base_model.model.proj.3.weight", 5, 6);
    assert_int_equal(cpv_peft_write("new/adapter", &s.p, &small, s.t, s.n, &err),
                     CPV_E_BUG);
    says(&err, "an adapter of 4 tensors, given 5");
}

/* [rank, in] and [out, rank] of each product: ffn is 8, width 4. */
static void each_product_has_its_sizes(void **state)
{
    struct sample s = {.p = {.lora = {.rank = 1, .targets = ALL, .layers = 1}}};
    char name[CPV_PEFT_NAME];
    cpv_peft_file *f = NULL;
    struct cpv_err err = {0};

    (void)state;
    for (unsigned t = 1; t <= CPV_CLIP_FFN_OUT; t <<= 1) {
        add(&s, cpv_peft_pair_name(name, t, 0, false), 1, t == CPV_CLIP_FFN_OUT ? 8 : 4);
        add(&s, cpv_peft_pair_name(name, t, 0, true), t == CPV_CLIP_FFN_IN ? 8 : 4, 1);
    }
    assert_ok(cpv_peft_write("all", &s.p, &small, s.t, s.n, &err));
    assert_ok(cpv_peft_open(&f, "all", &small, &err));
    assert_string_equal(cpv_peft_pair(f, CPV_CLIP_FFN_IN, 0, true)->name,
                        "base_model.model.transformer.encoder.layer.0.intermediate.dense."
                        "lora_B.weight");
    cpv_peft_close(&f);
}

static int write_sample(const struct sample *s, const char *folder, struct cpv_err *err)
{
    struct cpv_buf b = {0};
    char path[64];
    int rc;

    if ((rc = cpv_folder_make(folder, err)))
        return rc;
    (void)snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    if ((rc = cpv_safetensors_write(path, s->t, s->n, NULL, 0, err)))
        return rc;
    cpv_peft_config_text(&s->p, &small, &b);
    (void)snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    rc = cpv_file_replace(path, cpv_buf_view(&b), err);
    cpv_buf_release(&b);
    return rc;
}

static void refused(const struct sample *s, const char *what)
{
    cpv_peft_file *f = NULL;
    struct cpv_err err = {0};

    assert_ok(write_sample(s, "bad", &err));
    if (cpv_peft_open(&f, "bad", &small, &err) != CPV_E_INPUT)
        fail_msg("taken, expected '%s'", what);
    assert_null(f);
    says(&err, what);
}

#define IN_1 "base_model.model.transformer.encoder.layer.1.attention.self."

static void tensors_must_be_those_of_the_settings(void **state)
{
    struct sample s;

    (void)state;
    make(&s);
    s.n = 3;
    refused(&s, "adapter_model.safetensors': tensor 'base_model.model.proj.2.weight' is "
                "missing, expected [5, 6]");
    make(&s);
    s.t[1].name = IN_1 "value.lora_b.weight"; /* PEFT would train B from 0 */
    refused(&s, "lora_b.weight' is none that adapter_config.json names");
    s.t[1].name = "transformer.encoder.layer.1.attention.self.value.lora_B.weight";
    refused(&s, "is none that");
    make(&s);
    add(&s, IN_1 "query.lora_A.weight", 3, 4);
    refused(&s, "query.lora_A.weight' is none that");
    make(&s);
    add(&s,
        "base_model.model.transformer.encoder.layer.0.attention.self.value.lora_A."
        "weight",
        3, 4);
    refused(&s, "layer.0.attention.self.value.lora_A.weight' is none that");
    make(&s);
    s.p.projection = false; /* PEFT would overwrite the base model's */
    refused(&s, "tensor 'base_model.model.proj.0.weight' is none that");
    make(&s);
    s.t[0].dim[0] = 2;
    refused(&s, "value.lora_A.weight' is [2, 4], expected [3, 4]");
    make(&s);
    add(&s, IN_1 "value.lora_A.default.weight", 3, 4);
    refused(&s, "are the same one");
    make(&s);
    s.p.lora.targets = QV;
    refused(&s, "query.lora_A.weight' is missing, expected [3, 4]");
}

static void folders_must_be_whole(void **state)
{
    struct sample s;
    cpv_peft_file *f = NULL;
    struct cpv_err err = {0};

    (void)state;
    make(&s);
    assert_int_equal(cpv_peft_open(&f, "nowhere", &small, &err), CPV_E_INPUT);
    says(&err, "'nowhere': expected a folder with adapter_config.json");
    assert_ok(write_sample(&s, "half", &err));
    assert_int_equal(rename("half/adapter_config.json", "half/x"), 0);
    assert_int_equal(cpv_peft_open(&f, "half", &small, &err), CPV_E_ABSENT);
    says(&err, "half/adapter_config.json");
    assert_int_equal(rename("half/x", "half/adapter_config.json"), 0);
    assert_int_equal(rename("half/adapter_model.safetensors", "half/x"), 0);
    assert_int_equal(cpv_peft_open(&f, "half", &small, &err), CPV_E_INPUT);
    says(&err, "'half': neither adapter_model.safetensors nor adapter_model.bin");
    /* What a file is, is told by its first bytes: */
    assert_int_equal(rename("half/x", "half/adapter_model.bin"), 0);
    assert_ok(cpv_peft_open(&f, "half", &small, &err));
    cpv_peft_close(&f);
}

/* The state of a wrapped model, as the reference's Lightning keeps it. */
static void a_state_is_read_by_its_longer_names(void **state)
{
#define RUN "model.model.text.base_model.model."
    static const char *const names[] = {
        RUN "transformer.encoder.layer.1.attention.self.value.lora_A.default.weight",
        RUN "transformer.encoder.layer.1.attention.self.value.lora_B.default.weight",
        RUN "proj.modules_to_save.default.0.weight",
        RUN "proj.modules_to_save.default.2.weight",
    };
    struct sample s;
    cpv_peft_file *f = NULL;
    struct cpv_err err = {0};

    (void)state;
    make(&s);
    for (size_t i = 0; i < CPV_COUNT(names); i++)
        s.t[i].name = names[i];
    add(&s, RUN "proj.original_module.0.weight", 6, 4);
    add(&s, RUN "transformer.encoder.layer.1.attention.self.value.base_layer.weight", 4,
        4);
    add(&s, "model.model.logit_scale", 1, 1);
    assert_ok(write_sample(&s, "run", &err));
    assert_int_equal(cpv_peft_open(&f, "run", &small, &err), CPV_E_INPUT);
    says(&err, "is none that"); /* an adapter's own file holds nothing else */
    assert_int_equal(rename("run/adapter_model.safetensors", "run/last.ckpt"), 0);
    assert_ok(cpv_peft_open(&f, "run/last.ckpt", &small, &err));
    assert_string_equal(cpv_peft_pair(f, CPV_CLIP_VALUE, 1, false)->name, names[0]);
    assert_string_equal(cpv_peft_projection(f, 1)->name, names[3]);
    cpv_peft_close(&f);
}

static void base_names_of_a_state(void **state)
{
    static const char query[] = "text.transformer.encoder.layer.0.attention.self.query."
                                "weight";
    char to[256];

    (void)state;
    assert_string_equal(cpv_peft_base_name(to, query, 0),
                        "text.base_model.model.transformer.encoder.layer.0.attention."
                        "self.query.weight");
    assert_string_equal(cpv_peft_base_name(to, query, 1),
                        "text.base_model.model.transformer.encoder.layer.0.attention."
                        "self.query.base_layer.weight");
    assert_null(cpv_peft_base_name(to, query, 2));
    assert_string_equal(cpv_peft_base_name(to, "text.proj.2.weight", 0),
                        "text.base_model.model.proj.original_module.2.weight");
    assert_string_equal(cpv_peft_base_name(to, "text.proj.2.weight", 1),
                        "text.base_model.model.proj.2.weight");
    assert_null(cpv_peft_base_name(to, "text.proj.2.weight", 2));
    assert_null(cpv_peft_base_name(to, "visual.proj", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_written_as_peft_does),
        cmocka_unit_test(written_settings_are_read_back),
        cmocka_unit_test(settings_of_a_newer_peft_are_read),
        cmocka_unit_test(targets_are_chosen_as_by_peft),
        cmocka_unit_test(what_is_not_understood_is_refused_by_name),
        cmocka_unit_test(an_adapter_is_written_and_read_back),
        cmocka_unit_test(each_product_has_its_sizes),
        cmocka_unit_test(tensors_must_be_those_of_the_settings),
        cmocka_unit_test(folders_must_be_whole),
        cmocka_unit_test(a_state_is_read_by_its_longer_names),
        cmocka_unit_test(base_names_of_a_state),
    };

    return cmocka_run_group_tests_name("peft", tests, enter_scratch, leave_scratch);
}
