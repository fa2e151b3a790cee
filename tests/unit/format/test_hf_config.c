/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of Hugging Face: values, defaults, and one line for what is wrong. */
#include "checkpoint_unit.h"

#include "common/format/hf_config.h"

static const char text[] =
    "{\"d_model\": 512, \"eps\": 1e-12, \"one\": 1, \"tie\": true, \"off\": false,\n"
    " \"activation_function\": \"swish\", \"none\": null, \"big\": Infinity, \"nan\": "
    "NaN,\n"
    " \"eos\": [0, 2], \"eos1\": 7, \"mean\": [0.5, 0.25, 1], \"architectures\": [\"M\", "
    "2],\n"
    " \"real\": 12.0, \"nul\": \"a\\u0000b\", \"id2label\": {\"0\": \"L\"},\n"
    " \"text_config\": {\"hidden_size\": 768, \"bad\": \"x\", \"deep\": {\"k\": 3}}}\n";

static cpv_hf_config *open_text(const char *json)
{
    struct cpv_err err = {0};
    cpv_hf_config *c;

    assert_ok(cpv_hf_config_parse(&c, cpv_bytes_str(json), "c.json", &err));
    return c;
}

/* The handle has exactly this mistake, and is closed. */
static void assert_mistake(cpv_hf_config *c, const char *what)
{
    struct cpv_err err = {0};

    if (what) {
        assert_int_equal(cpv_hf_config_check(c, &err), CPV_E_INPUT);
        assert_string_equal(err.text, what);
        assert_int_equal(err.code, CPV_E_INPUT);
    } else {
        assert_ok(cpv_hf_config_check(c, &err));
    }
    cpv_hf_config_close(&c);
}

static void values_are_what_stands_there(void **state)
{
    static const char *const words[] = {"relu", "swish", "gelu", NULL};
    cpv_hf_config *c = open_text(text);
    struct cpv_hf_object o = cpv_hf_config_root(c), in, none;
    int64_t ids[3];
    double mean[3];

    (void)state;
    assert_string_equal(cpv_hf_config_name(c), "c.json");
    assert_int_equal(cpv_hf_int(&o, "d_model", CPV_HF_NEEDED, 512, 512), 512);
    assert_true(cpv_hf_real(&o, "eps", 1, 0, 1) == 1e-12);
    assert_true(cpv_hf_real_needed(&o, "one", 0, 1) == 1);
    assert_true(cpv_hf_bool(&o, "tie", false));
    assert_false(cpv_hf_bool(&o, "off", true));
    assert_string_equal(cpv_hf_text(&o, "activation_function", "x"), "swish");
    assert_string_equal(cpv_hf_text_needed(&o, "activation_function"), "swish");
    assert_int_equal(cpv_hf_word(&o, "activation_function", words, -1), 1);
    assert_int_equal(cpv_hf_ints(&o, "eos", ids, 3, 0, 10), 2);
    assert_true(ids[0] == 0 && ids[1] == 2);
    assert_int_equal(cpv_hf_ints(&o, "eos1", ids, 3, 0, 10), 1);
    assert_int_equal(ids[0], 7);
    assert_int_equal(cpv_hf_reals(&o, "mean", mean, 3, 0, 1), 3);
    assert_true(mean[0] == 0.5 && mean[1] == 0.25 && mean[2] == 1);
    assert_string_equal(cpv_hf_list_text(&o, "architectures", 0), "M");
    assert_null(cpv_hf_list_text(&o, "architectures", 2));
    in = cpv_hf_object(&o, "text_config");
    assert_int_equal(cpv_hf_int(&in, "hidden_size", 1, 0, 1000), 768);
    in = cpv_hf_object(&in, "deep");
    assert_int_equal(cpv_hf_int(&in, "k", 1, 0, 1000), 3);
    none = cpv_hf_object(&o, "vision_config");
    assert_int_equal(cpv_hf_int(&none, "hidden_size", 5, 0, 1000), 5);
    none = cpv_hf_object(&none, "deeper");
    assert_false(cpv_hf_has(&none, "k"));
    assert_true(json_is_object(cpv_hf_json(&o, "id2label")));
    assert_mistake(c, NULL);
}

/* null, Infinity and NaN are as if they were not there. */
static void absent_keys_have_their_default(void **state)
{
    static const char *const absent[] = {"none", "big", "nan", "gone"};
    static const char *const words[] = {"relu", NULL};
    cpv_hf_config *c = open_text(text);
    struct cpv_hf_object o = cpv_hf_config_root(c);

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        int64_t n = 9;
        double x = 9;

        assert_false(cpv_hf_has(&o, absent[i]));
        assert_int_equal(cpv_hf_int(&o, absent[i], -1, 0, 5), -1);
        assert_true(cpv_hf_real(&o, absent[i], 0.5, 0, 1) == 0.5);
        assert_true(cpv_hf_bool(&o, absent[i], true));
        assert_null(cpv_hf_text(&o, absent[i], NULL));
        assert_int_equal(cpv_hf_word(&o, absent[i], words, 0), 0);
        assert_int_equal(cpv_hf_ints(&o, absent[i], &n, 1, 0, 9), 0);
        assert_int_equal(cpv_hf_reals(&o, absent[i], &x, 1, 0, 9), 0);
        assert_null(cpv_hf_list_text(&o, absent[i], 0));
        assert_null(cpv_hf_json(&o, absent[i]));
    }
    assert_mistake(c, NULL);
}

#define MISTAKE(what, call)                                                              \
    do {                                                                                 \
        cpv_hf_config *c_ = open_text(text);                                             \
        struct cpv_hf_object o = cpv_hf_config_root(c_);                                 \
        (void)(call);                                                                    \
        assert_mistake(c_, "'c.json' " what);                                            \
    } while (0)

static struct cpv_hf_object inner(const struct cpv_hf_object *o)
{
    return cpv_hf_object(o, "text_config");
}

static void a_mistake_names_file_key_and_what_was_expected(void **state)
{
    static const char *const words[] = {"relu", "gelu", NULL};
    int64_t ids[3];
    double x[3];
    struct cpv_hf_object in;

    (void)state;
    MISTAKE("d_model: expected an integer from 1 to 511",
            cpv_hf_int(&o, "d_model", CPV_HF_NEEDED, 1, 511));
    MISTAKE("gone: expected an integer from 1 to 2",
            cpv_hf_int(&o, "gone", CPV_HF_NEEDED, 1, 2));
    MISTAKE("none: expected an integer from 1 to 2",
            cpv_hf_int(&o, "none", CPV_HF_NEEDED, 1, 2));
    MISTAKE("real: expected an integer from 1 to 20", cpv_hf_int(&o, "real", 1, 1, 20));
    MISTAKE("tie: expected an integer from 0 to 1", cpv_hf_int(&o, "tie", 0, 0, 1));
    MISTAKE("one: expected a number from 0 to 0.5",
            (int)cpv_hf_real(&o, "one", 0, 0, 0.5));
    MISTAKE("big: expected a number from 0 to 1",
            (int)cpv_hf_real_needed(&o, "big", 0, 1));
    MISTAKE("tie: expected a number from 0 to 1", (int)cpv_hf_real(&o, "tie", 0, 0, 1));
    MISTAKE("one: expected true or false", cpv_hf_bool(&o, "one", false));
    MISTAKE("one: expected a text", cpv_hf_text(&o, "one", ""));
    MISTAKE("nul: expected a text", cpv_hf_text(&o, "nul", ""));
    MISTAKE("none: expected a text", cpv_hf_text_needed(&o, "none"));
    MISTAKE("activation_function: expected one of relu, gelu",
            cpv_hf_word(&o, "activation_function", words, 0));
    MISTAKE("gone: expected one of relu, gelu", cpv_hf_word(&o, "gone", words, -1));
    MISTAKE("eos: expected at most 1 integers from 0 to 9",
            cpv_hf_ints(&o, "eos", ids, 1, 0, 9));
    MISTAKE("eos: expected at most 3 integers from 1 to 9",
            cpv_hf_ints(&o, "eos", ids, 3, 1, 9));
    MISTAKE("mean: expected at most 3 integers from 0 to 9",
            cpv_hf_ints(&o, "mean", ids, 3, 0, 9));
    MISTAKE("mean: expected at most 2 numbers from 0 to 1",
            cpv_hf_reals(&o, "mean", x, 2, 0, 1));
    MISTAKE("tie: expected at most 2 numbers from 0 to 1",
            cpv_hf_reals(&o, "tie", x, 2, 0, 1));
    MISTAKE("architectures: expected a list of texts",
            cpv_hf_list_text(&o, "architectures", 1));
    MISTAKE("one: expected a list of texts", cpv_hf_list_text(&o, "one", 0));
    MISTAKE("one: expected an object", cpv_hf_object(&o, "one").json != NULL);
    MISTAKE("text_config.bad: expected an integer from 0 to 1",
            (in = inner(&o), cpv_hf_int(&in, "bad", 0, 0, 1)));
    MISTAKE("text_config.gone: expected 3 of them",
            (in = inner(&o), cpv_hf_mistake(&in, "gone", "%d of them", 3), 0));
}

static void the_first_mistake_is_kept(void **state)
{
    cpv_hf_config *c = open_text("{\"a\": 1, \"b\": 2}");
    struct cpv_hf_object o = cpv_hf_config_root(c);

    (void)state;
    assert_null(cpv_hf_text_needed(&o, "b"));
    assert_null(cpv_hf_text_needed(&o, "a"));
    assert_mistake(c, "'c.json' b: expected a text");
}

static void files_that_are_none_are_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "'f.json' line 1 column 1: not JSON: empty"},
        {"[1]", "'f.json': expected a JSON object"},
        {"{\"a\": 1", "'f.json' line 1 column 8: not JSON"},
        {"{\"a\": 1e999}", "not JSON"},
        {"{\"a\": 99999999999999999999}", "not JSON"},
    };
    struct cpv_err err = {0};
    cpv_hf_config *c;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(cpv_hf_config_open(&c, make_text("f.json", bad[i].text), &err),
                         CPV_E_INPUT);
        assert_null(c);
        assert_says(&err, bad[i].says);
    }
    assert_int_equal(cpv_hf_config_open(&c, "gone.json", &err), CPV_E_ABSENT);
    assert_says(&err, "gone.json");
    assert_ok(cpv_hf_config_open(&c, make_text("f.json", "\xEF\xBB\xBF{}"), &err));
    cpv_hf_config_close(&c);
    cpv_hf_config_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_what_stands_there),
        cmocka_unit_test(absent_keys_have_their_default),
        cmocka_unit_test(a_mistake_names_file_key_and_what_was_expected),
        cmocka_unit_test(the_first_mistake_is_kept),
        cmocka_unit_test(files_that_are_none_are_refused),
    };

    return cmocka_run_group_tests_name("hf_config", tests, enter_scratch, leave_scratch);
}
