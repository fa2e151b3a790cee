/* SPDX-License-Identifier: Apache-2.0 */
/* json.h: the writer byte by byte, the reader on what others write. */
#include "tests/unit/format/input_unit.h"

#include <math.h>

#include "common/format/json.h"

#define BYTES(literal) cpv_bytes_of(literal, sizeof literal - 1)
#define ROW(literal)                                                                     \
    {                                                                                    \
        (const uint8_t *)literal, sizeof literal - 1                                     \
    } /* in tables */

static void expect_text(struct cpv_buf *b, const char *text)
{
    assert_false(b->failed);
    assert_string_equal(cpv_buf_cstr(b), text);
    cpv_buf_release(b);
}

static void the_writer_is_canonical(void **state)
{
    struct cpv_buf b = {0};
    struct cpv_json j;

    (void)state;
    cpv_json_init(&j, &b);
    cpv_json_begin_object(&j);
    cpv_json_key(&j, "z");
    cpv_json_int(&j, INT64_MIN);
    cpv_json_key(&j, "a");
    cpv_json_begin_array(&j);
    cpv_json_uint(&j, UINT64_MAX);
    cpv_json_bool(&j, true);
    cpv_json_bool(&j, false);
    cpv_json_null(&j);
    cpv_json_string(&j, NULL);
    cpv_json_begin_object(&j);
    cpv_json_end_object(&j);
    cpv_json_begin_array(&j);
    cpv_json_end_array(&j);
    cpv_json_end_array(&j);
    cpv_json_key(&j, "raw");
    cpv_json_raw(&j, BYTES("{\"x\":1}"));
    cpv_json_key(&j, "s");
    cpv_json_string(&j, "maçã");
    cpv_json_end_object(&j);
    expect_text(&b, "{\"z\":-9223372036854775808,\"a\":[18446744073709551615,true,false,"
                    "null,null,{},[]],\"raw\":{\"x\":1},\"s\":\"maçã\"}");
}

static void reals_have_six_decimals(void **state)
{
    static const double values[] = {0.0,      -0.0,      1.0 / 3, -1e-9, -0.0000006,
                                    INFINITY, -INFINITY, NAN,     1e20,  0.0000005};
    struct cpv_buf b = {0};
    struct cpv_json j;

    (void)state;
    cpv_json_init(&j, &b);
    cpv_json_begin_array(&j);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        cpv_json_real6(&j, values[i]);
    cpv_json_end_array(&j);
    expect_text(&b, "[0.000000,0.000000,0.333333,0.000000,-0.000001,null,null,null,"
                    "100000000000000000000.000000,0.000000]");
}

static void strings_are_escaped_and_made_valid(void **state)
{
    static const struct {
        struct cpv_bytes in;
        const char *out;
    } cases[] = {
        {ROW("\"\\/\b\f\n\r\t\x01\x1f\x7f"),
         "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
        {ROW("a\0b"), "\"a\\u0000b\""},
        {ROW("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
         "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        /* Unicode 15, table 3-8 and around: maximal parts */
        {ROW("\xC0\xAF"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {ROW("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {ROW("\xF4\x91\x92\x93\xFF\x41\x80\x42"),
         "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
         "A\xEF\xBF\xBD"
         "B\""},
        {ROW("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"),
         "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
         "A\""},
        {ROW("\xF0\x9F\x98"), "\"\xEF\xBF\xBD\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cpv_buf b = {0};
        struct cpv_json j;

        cpv_json_init(&j, &b);
        cpv_json_bytes(&j, cases[i].in);
        expect_text(&b, cases[i].out);
    }
}

/* Parsed and written again. */
static char *again(struct cpv_bytes text, struct cpv_err *err)
{
    struct cpv_buf b = {0};
    struct cpv_json j;
    json_t *v;
    char *copy;

    if (cpv_json_parse(text, "t", &v, err)) {
        assert_null(v);
        return NULL;
    }
    cpv_json_init(&j, &b);
    cpv_json_write(&j, v);
    json_decref(v);
    copy = strdup(cpv_buf_cstr(&b));
    cpv_buf_release(&b);
    return copy;
}

static void the_reader_takes_what_others_write(void **state)
{
    static const struct {
        struct cpv_bytes in;
        const char *out;
    } cases[] = {
        {ROW(" {\"b\": 1, \"a\" :[1.5,true , null]}\n"),
         "{\"b\":1,\"a\":[1.5,true,null]}"},
        {ROW("[NaN, Infinity,-Infinity,{\"x\":NaN}]"), "[null,null,null,{\"x\":null}]"},
        {ROW("[\"NaN\", \"a\\\"NaN\", \"-Infinity\"]"),
         "[\"NaN\",\"a\\\"NaN\",\"-Infinity\"]"},
        {ROW("\xEF\xBB\xBF[1]"), "[1]"},
        {ROW("[\"a\xFFz\"]"), "[\"a\xEF\xBF\xBDz\"]"},
        {ROW("[\"\\ud83d\\ude00 \\ud83d \\ude00 \\uD83Dx\"]"),
         "[\"\xF0\x9F\x98\x80 \xEF\xBF\xBD \xEF\xBF\xBD \xEF\xBF\xBDx\"]"},
        {ROW("[\"a\\u0000b\"]"), "[\"a\\u0000b\"]"},
        {ROW("{\"k\":1,\"l\":2,\"k\":3}"), "{\"k\":3,\"l\":2}"},
        {ROW("[0.1,1e100,1.0,-2.5e-7,123456789.123456789,3]"),
         "[0.1,1e+100,1.0,-2.5e-07,123456789.12345679,3]"},
        {ROW("\"text\""), "\"text\""},
        {ROW("[\"\\\\\", \"\\/\"]"), "[\"\\\\\",\"/\"]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cpv_err err = {0};
        char *got = again(cases[i].in, &err), *twice;

        if (!got)
            fail_msg("case %zu: %s", i, err.text);
        assert_string_equal(got, cases[i].out);
        twice = again(cpv_bytes_str(got), &err); /* a fixed point */
        assert_string_equal(twice, got);
        free(twice);
        free(got);
    }
}

static void mistakes_have_line_and_column(void **state)
{
    static const struct {
        const char *in, *place;
    } cases[] = {
        {"", "'t' line 1 column 1: "},
        {"{\"a\":1,\n \"b\":x}", "'t' line 2 column 6: "},
        {"[1,\n2,\n  }", "'t' line 3 column 3: "},
        {"[NaN,NaN,x]", "'t' line 1 column 10: "}, /* where it stood, not its stand-in */
        {"[1", "'t' line 1 column 3: "},
        {"{} {}", "'t' line 1 column 4: "},
        {"[\"a\nb\"]", "'t' line 1 column 2: "},
        {"{\"a\" 1}", "'t' line 1 column 6: "},
        {"[1e999]", "'t' line 1 column 2: "},
        {"[\"\xFF\", NaN, xyz]", "'t' line 1 column 12: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cpv_err err = {0};
        char *got = again(cpv_bytes_str(cases[i].in), &err);

        if (got || err.code != CPV_E_INPUT ||
            strncmp(err.text, cases[i].place, strlen(cases[i].place)) != 0)
            fail_msg("case %zu: %s: %s", i, got ? got : "", err.text);
        assert_null(strchr(err.text, '\n'));
    }
}

static void depth_is_limited(void **state)
{
    struct cpv_err err = {0};
    char text[2 * CPV_JSON_DEPTH + 4], *got;

    (void)state;
    memset(text, '[', CPV_JSON_DEPTH);
    memset(text + CPV_JSON_DEPTH, ']', CPV_JSON_DEPTH);
    got = again(cpv_bytes_of(text, 2 * CPV_JSON_DEPTH), &err);
    assert_non_null(got);
    assert_int_equal(strlen(got), 2 * CPV_JSON_DEPTH);
    free(got);
    memset(text, '[', CPV_JSON_DEPTH + 1);
    memset(text + CPV_JSON_DEPTH + 1, ']', CPV_JSON_DEPTH + 1);
    assert_null(again(cpv_bytes_of(text, 2 * CPV_JSON_DEPTH + 2), &err));
    assert_non_null(strstr(err.text, "line 1 column 65"));
}

static void reals_survive_writing(void **state)
{
    uint64_t x = 88172645463325252u;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct cpv_buf b = {0};
        struct cpv_err err = {0};
        struct cpv_json j;
        json_t *v, *back;
        double real;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(&real, &x, sizeof real);
        if (!isfinite(real))
            continue;
        v = json_real(real);
        cpv_json_init(&j, &b);
        cpv_json_write(&j, v);
        assert_ok(cpv_json_parse(cpv_buf_view(&b), "real", &back, &err));
        assert_true(json_is_real(back));
        assert_true(json_real_value(back) == real);
        json_decref(v);
        json_decref(back);
        cpv_buf_release(&b);
    }
}

static void utf8_is_told_from_noise(void **state)
{
    (void)state;
    assert_true(cpv_utf8_valid(BYTES("")));
    assert_true(
        cpv_utf8_valid(BYTES("a\xC2\x80\xE0\xA0\x80\xED\x9F\xBF\xF4\x8F\xBF\xBF")));
    assert_false(cpv_utf8_valid(BYTES("\x80")));
    assert_false(cpv_utf8_valid(BYTES("\xE0\x9F\xBF")));
    assert_false(cpv_utf8_valid(BYTES("\xF4\x90\x80\x80")));
    assert_false(cpv_utf8_valid(BYTES("\xC3")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_writer_is_canonical),
        cmocka_unit_test(reals_have_six_decimals),
        cmocka_unit_test(strings_are_escaped_and_made_valid),
        cmocka_unit_test(the_reader_takes_what_others_write),
        cmocka_unit_test(mistakes_have_line_and_column),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(reals_survive_writing),
        cmocka_unit_test(utf8_is_told_from_noise),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
