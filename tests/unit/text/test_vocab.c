/* SPDX-License-Identifier: Apache-2.0 */
/* Vocabularies, settings of tokenizers, and folders that lack something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/text/marian_text.h"
#include "common/text/settings.h"
#include "common/text/vocab.h"

static void json_is_found_both_ways(void **state)
{
    static const char json[] = "{\"</s>\": 0, \"\\u2581dog\": 7, \"a\": 3, \"b\": 3}";
    cpv_vocab *v;

    (void)state;
    assert_int_equal(cpv_vocab_read_json(&v, cpv_bytes_str(json), "v", NULL), CPV_OK);
    assert_int_equal(cpv_vocab_id(v, cpv_bytes_str("\xE2\x96\x81"
                                                   "dog")),
                     7);
    assert_int_equal(cpv_vocab_id(v, cpv_bytes_str("dog")), -1);
    assert_int_equal(cpv_vocab_id(v, cpv_bytes_str("")), -1);
    assert_int_equal(cpv_vocab_id(v, cpv_bytes_str("a")), 3);
    assert_int_equal(cpv_vocab_id(v, cpv_bytes_str("b")), 3);
    assert_memory_equal(cpv_vocab_text(v, 3).data, "b", 1);
    assert_null(cpv_vocab_text(v, 5).data);
    assert_null(cpv_vocab_text(v, 8).data);
    assert_int_equal(cpv_vocab_end(v), 8);
    assert_int_equal(cpv_vocab_count(v), 4);
    cpv_vocab_close(&v);
}

static void many_tokens_are_kept_apart(void **state)
{
    struct cpv_buf text = {0};
    char token[32];
    cpv_vocab *v;

    (void)state;
    for (int i = 0; i < 50000; i++)
        cpv_buf_printf(&text, "t%d\n", i * 7);
    assert_int_equal(cpv_vocab_read_lines(&v, cpv_buf_view(&text), "v", NULL), CPV_OK);
    for (int i = 0; i < 50000; i++) {
        snprintf(token, sizeof token, "t%d", i * 7);
        assert_int_equal(cpv_vocab_id(v, cpv_bytes_str(token)), i);
    }
    assert_int_equal(cpv_vocab_id(v, cpv_bytes_str("t1")), -1);
    cpv_vocab_close(&v);
    cpv_buf_release(&text);
}

static void bad_vocabularies_are_one_line(void **state)
{
    static const struct {
        const char *json, *why;
    } bad[] = {
        {"", "'v' line 1"},
        {"[1]", "expected an object"},
        {"{}", "expected tokens, found none"},
        {"{\"a\": -1}", "the id of 'a' is no number from 0 to 4194303"},
        {"{\"a\": 4194304}", "the id of 'a'"},
        {"{\"a\": \"1\"}", "the id of 'a'"},
        {"{\"a\": 1.5}", "the id of 'a'"},
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"a\": 1,\n\"\xFF\": 2}", "line 2"},
    };
    struct cpv_err err;
    cpv_vocab *v;

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(bad); i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(cpv_vocab_read_json(&v, cpv_bytes_str(bad[i].json), "v", &err),
                         CPV_E_INPUT);
        if (!strstr(err.text, bad[i].why) || v)
            fail_msg("%s: %s", bad[i].json, err.text);
    }
    assert_int_equal(cpv_vocab_read_lines(&v, cpv_bytes_str(""), "v", &err), CPV_E_INPUT);
}

/* ---- settings ---- */

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[600];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(cpv_file_replace(path, cpv_bytes_str(text), NULL), CPV_OK);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"source.spm", "special_tokens_map.json",
                                        "added_tokens.json", "tokenizer_config.json"};
    char path[600];

    for (size_t i = 0; i < CPV_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static const char *const NAMES[CPV_TOKEN_ROLES] = {
    [CPV_TOKEN_EOS] = "</s>", [CPV_TOKEN_UNK] = "<unk>", [CPV_TOKEN_PAD] = "<pad>"};

static void check_settings(const char *folder, const char *config, const char *why)
{
    struct cpv_text_settings s;
    struct cpv_err err = {0};

    put_file(folder, "tokenizer_config.json", config);
    assert_int_equal(cpv_text_settings_read(&s, folder, NAMES, &err), CPV_E_INPUT);
    if (!strstr(err.text, why) || !strstr(err.text, "tokenizer_config.json"))
        fail_msg("%s: %s", config, err.text);
}

static void settings_say_which_tokens_there_are(void **state)
{
    char folder[] = "text-XXXXXX";
    struct cpv_text_settings s;
    struct cpv_err err = {0};

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(cpv_text_settings_read(&s, folder, NAMES, NULL), CPV_OK);
    assert_false(s.clean_up || s.has_clean_up || s.separate_vocabs);
    assert_true(s.lower);
    assert_string_equal((const char *)s.named[CPV_TOKEN_PAD].text.data, "<pad>");
    assert_null(s.named[CPV_TOKEN_BOS].text.data);
    cpv_text_settings_release(&s);

    put_file(folder, "special_tokens_map.json", "{\"eos_token\": \"<end>\"}");
    put_file(folder, "added_tokens.json", "{\"<x>\": 9}");
    assert_int_equal(cpv_text_settings_read(&s, folder, NAMES, NULL), CPV_OK);
    assert_string_equal((const char *)s.named[CPV_TOKEN_EOS].text.data, "<end>");
    assert_int_equal(s.added.count, 1);
    cpv_text_settings_release(&s);

    /* These do not count beside added_tokens_decoder. */
    put_file(
        folder, "tokenizer_config.json",
        "{\"added_tokens_decoder\": {\"5\": {\"content\": \"<y>\", \"lstrip\": true}},"
        "\"clean_up_tokenization_spaces\": true, \"do_lower_case\": false}");
    assert_int_equal(cpv_text_settings_read(&s, folder, NAMES, &err), CPV_OK);
    assert_string_equal((const char *)s.named[CPV_TOKEN_EOS].text.data, "</s>");
    assert_int_equal(s.added.count, 1);
    assert_int_equal(s.added.list[0].id, 5);
    assert_true(s.added.list[0].lstrip && s.clean_up && s.has_clean_up && !s.lower);
    cpv_text_settings_release(&s);

    check_settings(folder, "{", "line 1");
    check_settings(folder, "[]", "expected an object");
    check_settings(folder, "{\"eos_token\": 5}", "expected 'eos_token' to be a token");
    check_settings(folder, "{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}",
                   "the id of 'y' is no number");
    check_settings(folder, "{\"eos_token\": {\"content\": \"y\", \"single_word\": true}}",
                   "whole words only");
    remove_folder(folder);
}

static void a_folder_without_a_model_is_one_line(void **state)
{
    char folder[] = "text-XXXXXX";
    struct cpv_err err = {0};
    cpv_marian_text *t;

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(cpv_marian_text_open(&t, folder, &err), CPV_E_ABSENT);
    assert_non_null(strstr(err.text, "source.spm"));
    assert_null(t);
    put_file(folder, "source.spm", "no model");
    assert_int_equal(cpv_marian_text_open(&t, folder, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, "source.spm"));
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_found_both_ways),
        cmocka_unit_test(many_tokens_are_kept_apart),
        cmocka_unit_test(bad_vocabularies_are_one_line),
        cmocka_unit_test(settings_say_which_tokens_there_are),
        cmocka_unit_test(a_folder_without_a_model_is_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
