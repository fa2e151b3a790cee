/* SPDX-License-Identifier: Apache-2.0 */
/* Class names and templates, as the files of others have them. */
#include "eval/eval.h"
#include "tests/unit/base/unit.h"

static struct cpv_err err;
static cpv_arena *mem;

static int open_mem(void **state)
{
    (void)state;
    return cpv_arena_open(&mem, 0, &err);
}

static int close_mem(void **state)
{
    (void)state;
    cpv_arena_close(&mem);
    return 0;
}

static int classes(const char *text, const char *lang, struct eval_classes *out)
{
    err = (struct cpv_err){0};
    return eval_classes_parse(cpv_bytes_str(text), "c", lang, mem, out, &err);
}

static int templates(const char *text, const char ***out, int64_t *n)
{
    err = (struct cpv_err){0};
    return eval_templates_parse(cpv_bytes_str(text), "t", "pt", mem, out, n, &err);
}

static void test_lines(void **state)
{
    struct eval_classes c;

    (void)state;
    assert_ok(classes("cat\nhot dog\r\nrei [de] {c}\n\n", "en", &c));
    assert_int_equal(c.n, 3);
    assert_string_equal(c.name[1], "hot dog");
    assert_string_equal(c.name[2], "rei [de] {c}");
    assert_null(c.label);
    assert_ok(classes("no end", "en", &c));
    assert_string_equal(c.name[0], "no end");
}

static void test_json_by_language(void **state)
{
    static const char text[] = "{\"EN\": [\"cat\"], \"PT\": [[7, 3], [\"gato\", \"c\xc3"
                               "\xa3o\"]], \"two\": [\"a\", \"b\"]}";
    struct eval_classes c;

    (void)state;
    assert_ok(classes(text, "pt", &c));
    assert_int_equal(c.n, 2);
    assert_int_equal(c.label[0], 7);
    assert_int_equal(c.label[1], 3);
    assert_string_equal(c.name[1], "c\xc3\xa3o");
    assert_ok(classes(text, "en", &c));
    assert_int_equal(c.n, 1);
    assert_null(c.label);
    assert_ok(classes(text, "two", &c)); /* two names are no [[ids], [names]] */
    assert_int_equal(c.n, 2);
    assert_ok(classes(" [\"a\", \"b\", \"c\"]", "xh", &c));
    assert_int_equal(c.n, 3);
}

static void test_what_is_wrong_with_classes(void **state)
{
    static const char *const bad[][2] = {
        {"", "'c': expected names of classes, found none"},
        {"\n\n", "'c': expected names of classes, found none"},
        {"a\n\nb", "'c': class 1 has no name"},
        {"{\"pt\": [\"a\"]}", "'c': there is no language 'en' in it"},
        {"{\"en\": 3}", "'c': expected a list of names, or [[numbers], [names]]"},
        {"[\"a\", 3]", "'c': entry 2: expected a string"},
        {"[[1], [\"a\", \"b\"]]", "'c': 1 numbers of classes, 2 names"},
        {"[[1, -1], [\"a\", \"b\"]]",
         "'c': entry 2: expected the number of a class, from 0"},
        {"[[1, 2.5], [\"a\", \"b\"]]",
         "'c': entry 2: expected the number of a class, from 0"},
    };
    struct eval_classes c;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(classes(bad[i][0], "en", &c), CPV_E_INPUT);
        assert_string_equal(err.text, bad[i][1]);
    }
    assert_int_equal(classes("[\"a\"", "en", &c), CPV_E_INPUT);
}

static void test_templates(void **state)
{
    const char **t;
    int64_t n;

    (void)state;
    assert_ok(templates("{c} alone\na photo of {}, big\n{} first {c}\n", &t, &n));
    assert_int_equal(n, 3);
    assert_string_equal(eval_template_fill(t[0], "x", mem), "x alone");
    assert_string_equal(eval_template_fill(t[1], "x{c}", mem), "a photo of x{c}, big");
    assert_string_equal(eval_template_fill(t[2], "x", mem), "{} first x");
    assert_ok(templates("{} alone", &t, &n));
    assert_int_equal(n, 1);
    assert_ok(templates("{\"pt\": [\"uma {}\", \"{c}\"]}", &t, &n));
    assert_int_equal(n, 2);
    assert_string_equal(eval_template_fill(t[0], "x", mem), "uma x");
    assert_int_equal(templates("", &t, &n), CPV_E_INPUT);
    assert_int_equal(templates("{c}\nnone\n", &t, &n), CPV_E_INPUT);
    assert_string_equal(err.text, "'t': template 2: expected {c} or {} in 'none'");
    assert_int_equal(templates("[3]", &t, &n), CPV_E_INPUT);
    assert_int_equal(templates("{\"pt\": \"{c}\"}", &t, &n), CPV_E_INPUT);
    assert_string_equal(err.text, "'t': expected a list of templates");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, open_mem, close_mem),
        cmocka_unit_test_setup_teardown(test_json_by_language, open_mem, close_mem),
        cmocka_unit_test_setup_teardown(test_what_is_wrong_with_classes, open_mem,
                                        close_mem),
        cmocka_unit_test_setup_teardown(test_templates, open_mem, close_mem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
