/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a model are needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/size.h"
#include "common/model/files.h"

static cpv_arena *mem;

static int open_memory(void **state)
{
    (void)state;
    return cpv_arena_open(&mem, 0, NULL);
}

static int close_memory(void **state)
{
    (void)state;
    cpv_arena_close(&mem);
    return 0;
}

static struct cpv_names names_of(const char *text)
{
    struct cpv_names n = {cpv_arena_calloc(mem, 32, sizeof(char *)), 0};

    while (*text) {
        size_t size = strcspn(text, " ");

        n.at[n.count++] = cpv_arena_str(mem, cpv_bytes_of(text, size));
        text += size;
        text += strspn(text, " ");
    }
    return n;
}

static void weights_are_of_the_first_format_there_is(void **state)
{
    static const struct {
        const char *names, *file, *format;
        bool index;
    } cases[] = {
        {"pytorch_model.bin model.safetensors", "model.safetensors", "safetensors",
         false},
        {"pytorch_model.bin", "pytorch_model.bin", "torch", false},
        {"pytorch_model.bin.index.json model.safetensors.index.json",
         "model.safetensors.index.json", "safetensors", true},
        {"pytorch_model.bin.index.json", "pytorch_model.bin.index.json", "torch", true},
        {"open_clip_config.json model.safetensors open_clip_pytorch_model.bin",
         "open_clip_pytorch_model.bin", "torch", false},
        {"open_clip_config.json open_clip_model.safetensors open_clip_pytorch_model.bin",
         "open_clip_model.safetensors", "safetensors", false},
        {"open_clip_config.json pytorch_model.bin", "pytorch_model.bin", "torch", false},
        {"adapter_config.json adapter_model.bin adapter_model.safetensors",
         "adapter_model.safetensors", "adapter", false},
        {"2kmj76gi.ckpt README.md", "2kmj76gi.ckpt", "checkpoint", false},
        {"a.ckpt b.ckpt", NULL, NULL, false},
        {"x/a.ckpt", NULL, NULL, false},
        {".ckpt", NULL, NULL, false},
        {"flax_model.msgpack tf_model.h5", NULL, NULL, false},
        {"", NULL, NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        struct cpv_names n = names_of(cases[i].names);
        struct cpv_weights w = cpv_weights_choose(&n);

        if (!cases[i].file) {
            assert_null(w.file);
            continue;
        }
        assert_string_equal(w.file, cases[i].file);
        assert_string_equal(w.format, cases[i].format);
        assert_int_equal(w.index, cases[i].index);
    }
}

static void expect(const struct cpv_names *n, const char *text)
{
    struct cpv_names wanted = names_of(text);

    assert_int_equal(n->count, wanted.count);
    for (size_t i = 0; i < n->count; i++)
        assert_string_equal(n->at[i], wanted.at[i]);
}

static void only_what_is_needed_is_chosen_and_the_weights_are_last(void **state)
{
    struct cpv_names n = names_of("README.md rust_model.ot model.safetensors vocab.json "
                                  "pytorch_model.bin config.json target.spm source.spm "
                                  "tf_model.h5 generation_config.json");
    struct cpv_names out;

    (void)state;
    assert_int_equal(cpv_files_choose(&n, mem, &out, NULL), CPV_OK);
    expect(&out, "config.json generation_config.json vocab.json source.spm target.spm "
                 "model.safetensors");
    n = names_of("config.json tokenizer.json sentencepiece.bpe.model model.safetensors");
    assert_int_equal(cpv_files_choose_text(&n, mem, &out, NULL), CPV_OK);
    expect(&out, "config.json sentencepiece.bpe.model");
    n = names_of("config.json tokenizer.json vocab.txt model.safetensors");
    assert_int_equal(cpv_files_choose_text(&n, mem, &out, NULL), CPV_OK);
    expect(&out, "config.json tokenizer.json vocab.txt");
}

static void shards_are_named_once_and_lie_beside_the_index(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"weight_map\":[]}",
        "{\"weight_map\":{}}",
        "{\"weight_map\":{\"a\":1}}",
        "{\"weight_map\":{\"a\":\"../x\"}}",
        "{\"weight_map\":{\"a\":\"/x\"}}",
        "{\"weight_map\":{\"a\":\"x/y\"}}",
        "{\"weight_map\":{\"a\":\"\"}}",
    };
    struct cpv_names out;

    (void)state;
    assert_int_equal(
        cpv_weights_shards(cpv_bytes_str("{\"weight_map\":{\"a\":\"2\",\"b\":"
                                         "\"1\",\"c\":\"2\",\"d\":\"1\"}}"),
                           "i", mem, &out, NULL),
        CPV_OK);
    expect(&out, "1 2");
    for (size_t i = 0; i < CPV_COUNT(bad); i++)
        assert_int_equal(cpv_weights_shards(cpv_bytes_str(bad[i]), "i", mem, &out, NULL),
                         CPV_E_INPUT);
}

static void the_text_tower_is_named_or_open_clips_own(void **state)
{
    const char *id = "";

    (void)state;
    assert_int_equal(
        cpv_open_clip_text(cpv_bytes_str("{\"model_cfg\":{\"text_cfg\":{"
                                         "\"hf_model_name\":\"xlm-roberta-base\"}}}"),
                           "c", mem, &id, NULL),
        CPV_OK);
    assert_string_equal(id, "xlm-roberta-base");
    assert_int_equal(cpv_open_clip_text(
                         cpv_bytes_str("{\"model_cfg\":{\"text_cfg\":{\"width\":512}}}"),
                         "c", mem, &id, NULL),
                     CPV_OK);
    assert_null(id);
    assert_int_equal(cpv_open_clip_text(cpv_bytes_str("{\"model_cfg\":{\"text_cfg\":{"
                                                      "\"hf_model_name\":\"../../x\"}}}"),
                                        "c", mem, &id, NULL),
                     CPV_E_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_of_the_first_format_there_is),
        cmocka_unit_test(only_what_is_needed_is_chosen_and_the_weights_are_last),
        cmocka_unit_test(shards_are_named_once_and_lie_beside_the_index),
        cmocka_unit_test(the_text_tower_is_named_or_open_clips_own),
    };

    return cmocka_run_group_tests(tests, open_memory, close_memory);
}
