/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a picture, in the journal and as a sample's JSON. */
#include "tests/unit/base/unit.h"

#include "stages/caption/caption.h"

static struct caption caption_of(const char *text, uint32_t prompt, uint32_t tokens,
                                 bool cut)
{
    return (struct caption){cpv_bytes_str(text), prompt, tokens, cut};
}

static void captions_come_back(void **state)
{
    struct caption in[3] = {caption_of("a photo of a dog", 4, 2, false),
                            caption_of("", 1, 0, false),
                            caption_of("x\"\\\n\xc3\xa9", 1, 50, true)};
    struct answer a = {.captions = in,
                       .n = 3,
                       .prepare_us = 7,
                       .model_us = 1ull << 40,
                       .vision_us = 1ull << 33};
    struct answer got;
    struct cpv_buf b = {0}, json = {0};
    struct cpv_err err = {0};
    cpv_arena *mem;
    uint32_t index;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    answer_encode(&a, 123456, &b);
    assert_ok(answer_decode(cpv_buf_view(&b), mem, &got, &index, &err));
    assert_int_equal(index, 123456);
    assert_null(got.status);
    assert_int_equal(got.n, 3);
    assert_true(got.prepare_us == 7 && got.model_us == 1ull << 40 &&
                got.vision_us == 1ull << 33);
    for (int i = 0; i < 3; i++) {
        assert_true(cpv_bytes_equal(got.captions[i].text, in[i].text));
        assert_int_equal(got.captions[i].prompt, in[i].prompt);
        assert_int_equal(got.captions[i].tokens, in[i].tokens);
        assert_int_equal(got.captions[i].cut, in[i].cut);
    }
    answer_json(&got, &json);
    assert_string_equal(cpv_buf_cstr(&json),
                        "{\"generated-captions-en\":[\"a photo of a dog\",\"\","
                        "\"x\\\"\\\\\\n\xc3\xa9\"]}");
    cpv_buf_release(&json);
    cpv_buf_release(&b);
    cpv_arena_close(&mem);
}

static void a_failure_comes_back(void **state)
{
    struct answer a = {.status = "decode", .detail = "premature end", .prepare_us = 9};
    struct answer got;
    struct cpv_buf b = {0};
    struct cpv_err err = {0};
    cpv_arena *mem;
    uint32_t index;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    answer_encode(&a, 0, &b);
    assert_ok(answer_decode(cpv_buf_view(&b), mem, &got, &index, &err));
    assert_int_equal(index, 0);
    assert_string_equal(got.status, "decode");
    assert_string_equal(got.detail, "premature end");
    assert_int_equal(got.n, 0);
    cpv_buf_release(&b);
    cpv_arena_close(&mem);
}

static void what_is_cut_short_is_no_answer(void **state)
{
    struct caption in[2] = {caption_of("one", 1, 2, false),
                            caption_of("two", 1, 2, false)};
    struct answer good = {.captions = in, .n = 2};
    struct answer bad = {.status = "decode", .detail = ""};
    struct cpv_err err = {0};
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    for (int k = 0; k < 2; k++) {
        struct cpv_buf b = {0};
        struct answer got;
        uint32_t index;

        answer_encode(k ? &bad : &good, 5, &b);
        for (size_t n = 0; n < b.size; n++)
            assert_int_equal(
                answer_decode(cpv_bytes_of(b.data, n), mem, &got, &index, &err),
                CPV_E_CORRUPT);
        cpv_buf_byte(&b, 0);
        assert_int_equal(answer_decode(cpv_buf_view(&b), mem, &got, &index, &err),
                         CPV_E_CORRUPT);
        cpv_buf_release(&b);
    }
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captions_come_back),
        cmocka_unit_test(a_failure_comes_back),
        cmocka_unit_test(what_is_cut_short_is_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
