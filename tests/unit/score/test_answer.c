/* SPDX-License-Identifier: Apache-2.0 */
/* Answers as records of a journal: there and back, and damage. */
#include "stages/score/score.h"
#include "tests/unit/base/unit.h"

static struct cpv_err err;

static void there_and_back(const struct answer *a, uint32_t index)
{
    struct cpv_buf payload = {0};
    struct answer back;
    uint32_t at;
    cpv_arena *mem;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    answer_encode(a, index, &payload);
    assert_ok(answer_decode(cpv_buf_view(&payload), mem, &back, &at, &err));
    assert_int_equal(at, index);
    assert_int_equal(back.decode_us, a->decode_us);
    assert_int_equal(back.vision_us, a->vision_us);
    assert_true(cpv_bytes_equal(back.array, a->array));
    assert_int_equal(back.status != NULL, a->status != NULL);
    if (a->status) {
        assert_string_equal(back.status, a->status);
        assert_string_equal(back.detail, a->detail);
        cpv_buf_byte(&payload, 0);
        assert_int_equal(answer_decode(cpv_buf_view(&payload), mem, &back, &at, &err),
                         CPV_E_CORRUPT);
    }
    for (size_t n = 0; n < (a->status ? payload.size - 1 : 23); n++)
        assert_int_equal(
            answer_decode(cpv_bytes_of(payload.data, n), mem, &back, &at, &err),
            CPV_E_CORRUPT);
    cpv_buf_release(&payload);
    cpv_arena_close(&mem);
}

static void arrays(void **state)
{
    struct answer a = {
        .array = cpv_bytes_str("the array"), .decode_us = 7, .vision_us = UINT64_MAX};

    (void)state;
    there_and_back(&a, 0);
    there_and_back(&a, UINT32_MAX);
}

static void reasons(void **state)
{
    struct answer a = {.status = "decode", .detail = "cut off", .decode_us = 1};

    (void)state;
    there_and_back(&a, 5);
    a.detail = "";
    there_and_back(&a, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays),
        cmocka_unit_test(reasons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
