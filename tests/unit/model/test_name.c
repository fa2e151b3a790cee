/* SPDX-License-Identifier: Apache-2.0 */
/* Names of models, revisions and files: what passes, and why the rest does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/size.h"
#include "common/model/name.h"

static void names_and_revisions_are_split(void **state)
{
    static const struct {
        const char *text, *id, *revision;
    } good[] = {
        {"org/name", "org/name", "main"},
        {"Helsinki-NLP/opus-mt-tc-big-en-pt@9f2863d", "Helsinki-NLP/opus-mt-tc-big-en-pt",
         "9f2863d"},
        {"xlm-roberta-base", "xlm-roberta-base", "main"},
        {"a/b@refs/pr/38", "a/b", "refs/pr/38"},
        {"a/b@v1.0_x", "a/b", "v1.0_x"},
        {"_a_/b.c-d_e", "_a_/b.c-d_e", "main"},
    };
    struct cpv_model_name n;

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(good); i++) {
        assert_int_equal(cpv_model_name_parse(&n, good[i].text, NULL), CPV_OK);
        assert_string_equal(n.id, good[i].id);
        assert_string_equal(n.revision, good[i].revision);
    }
}

static void what_could_be_another_path_is_refused(void **state)
{
    static const char *const bad[] = {
        "",         "/",       "a/",       "/b",     "a/b/c",  "../b",
        "a/..",     "a/.b",    "a/b.",     "-a/b",   "a/b-",   "a--b/c",
        "a/b--c",   "a/b..c",  "a b/c",    "a/b\n",  "a\\b",   "a/b@",
        "a/b@/x",   "a/b@x/",  "a/b@x//y", "a/b@..", "a/b@.x", "a/b@x/../y",
        "a/b@x/.y", "a/b@x y", "a/b@x@y",  "~/a",    "a:b/c",  "a/b@x..y",
    };
    char longer[200];
    struct cpv_model_name n;
    struct cpv_err err;

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(bad); i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(cpv_model_name_parse(&n, bad[i], &err), CPV_E_INPUT);
        assert_non_null(strstr(err.text, "is no model's name"));
    }
    memset(longer, 'a', sizeof longer);
    longer[97] = '\0';
    assert_int_equal(cpv_model_name_parse(&n, longer, NULL), CPV_E_INPUT);
    longer[96] = '\0';
    assert_int_equal(cpv_model_name_parse(&n, longer, NULL), CPV_OK);
    memset(longer, 'a', sizeof longer);
    longer[1] = '@';
    longer[131] = '\0';
    assert_int_equal(cpv_model_name_parse(&n, longer, NULL), CPV_E_INPUT);
    longer[130] = '\0';
    assert_int_equal(cpv_model_name_parse(&n, longer, NULL), CPV_OK);
}

static void files_stay_inside_their_model(void **state)
{
    static const char *const good[] = {
        "a",   "a/b",     "..a", "a..", ".gitattributes", "1_Pooling/config.json",
        "a b", "\xc3\xa9"};
    static const char *const bad[] = {"",
                                      "/",
                                      "/a",
                                      "a/",
                                      "a//b",
                                      ".",
                                      "..",
                                      "a/..",
                                      "../a",
                                      "./a",
                                      "a/./b",
                                      "a\\b",
                                      "a\n",
                                      "a\x7f",
                                      "a/../../b",
                                      "\x01",
                                      "1/2/3/4/5/6/7/8/9"};
    char longer[600];

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(good); i++)
        assert_true(cpv_model_path_valid(good[i]));
    for (size_t i = 0; i < CPV_COUNT(bad); i++)
        assert_false(cpv_model_path_valid(bad[i]));
    memset(longer, 'a', sizeof longer);
    longer[513] = '\0';
    assert_false(cpv_model_path_valid(longer));
    longer[512] = '\0';
    assert_true(cpv_model_path_valid(longer));
}

static void a_commit_is_forty_lower_case_digits(void **state)
{
    (void)state;
    assert_true(cpv_model_commit_valid("0123456789abcdef0123456789abcdef01234567"));
    assert_false(cpv_model_commit_valid("0123456789ABCDEF0123456789abcdef01234567"));
    assert_false(cpv_model_commit_valid("0123456789abcdef0123456789abcdef0123456"));
    assert_false(cpv_model_commit_valid("0123456789abcdef0123456789abcdef012345678"));
    assert_false(cpv_model_commit_valid(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_revisions_are_split),
        cmocka_unit_test(what_could_be_another_path_is_refused),
        cmocka_unit_test(files_stay_inside_their_model),
        cmocka_unit_test(a_commit_is_forty_lower_case_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
