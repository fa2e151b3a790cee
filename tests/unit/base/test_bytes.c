/* SPDX-License-Identifier: Apache-2.0 */
/* bytes.h and size.h: buffers, cursors over truncated bytes, hexadecimal. */
#include "tests/unit/base/unit.h"

#include "common/base/bytes.h"
#include "common/base/size.h"

static void put_all(struct cpv_buf *b)
{
    cpv_buf_byte(b, 0xab);
    cpv_buf_u16(b, 0x1234);
    cpv_buf_u32(b, 0xdeadbeefu);
    cpv_buf_u64(b, 0x0123456789abcdefu);
    cpv_buf_varint(b, 300);
    cpv_buf_varint(b, UINT64_MAX);
    cpv_buf_str(b, "end");
}

static bool get_all(struct cpv_bytes from)
{
    struct cpv_cursor c = cpv_cursor_of(from);
    bool same = cpv_get_u8(&c) == 0xab && cpv_get_u16(&c) == 0x1234 &&
                cpv_get_u32(&c) == 0xdeadbeefu &&
                cpv_get_u64(&c) == 0x0123456789abcdefu && cpv_get_varint(&c) == 300 &&
                cpv_get_varint(&c) == UINT64_MAX &&
                cpv_bytes_equal(cpv_get_bytes(&c, 3), cpv_bytes_str("end"));

    assert_true(same == !c.failed);
    return !c.failed && c.at == c.end;
}

static void integers_come_back_and_no_truncation_passes(void **state)
{
    struct cpv_buf b = {0};

    (void)state;
    put_all(&b);
    assert_false(b.failed);
    assert_int_equal(b.data[1], 0x34);
    assert_true(get_all(cpv_buf_view(&b)));
    for (size_t n = 0; n < b.size; n++) {
        uint8_t *cut = malloc(n ? n : 1); /* so that ASan sees a byte too many */

        assert_non_null(cut);
        memcpy(cut, b.data, n);
        assert_false(get_all(cpv_bytes_of(cut, n)));
        free(cut);
    }
    assert_false(get_all(cpv_bytes_of(NULL, 0)));
    cpv_buf_release(&b);
}

static void a_failed_cursor_stays_failed(void **state)
{
    struct cpv_cursor c = cpv_cursor_of(cpv_bytes_str("abc"));

    (void)state;
    assert_int_equal(cpv_get_u64(&c), 0);
    assert_true(c.failed);
    assert_int_equal(cpv_get_u8(&c), 0);
    assert_true(c.failed);
}

static void varints_of_more_than_64_bits_fail(void **state)
{
    static const uint8_t wide[] = {0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                      0x80, 0x80, 0x80, 0x80, 0x01};
    struct cpv_cursor c = cpv_cursor_of(cpv_bytes_of(wide, sizeof wide));

    (void)state;
    (void)cpv_get_varint(&c);
    assert_true(c.failed);
    c = cpv_cursor_of(cpv_bytes_of(endless, sizeof endless));
    (void)cpv_get_varint(&c);
    assert_true(c.failed);
}

static void buffers_grow_and_print(void **state)
{
    struct cpv_buf b = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        cpv_buf_printf(&b, "%d,", i);
    assert_int_equal(b.size, 10 * 2 + 90 * 3 + 900 * 4);
    assert_string_equal(cpv_buf_cstr(&b) + b.size - 5, ",999,");
    cpv_buf_clear(&b);
    assert_string_equal(cpv_buf_cstr(&b), "");
    cpv_buf_release(&b);
    assert_null(b.data);
}

static void too_much_fails_and_sticks(void **state)
{
    struct cpv_buf b = {0};

    (void)state;
    cpv_buf_str(&b, "x");
    assert_null(cpv_buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    cpv_buf_str(&b, "y");
    assert_int_equal(b.size, 1);
    assert_null(cpv_buf_cstr(&b));
    cpv_buf_release(&b);
}

static void hexadecimal_both_ways(void **state)
{
    static const uint8_t raw[] = {0x00, 0x9f, 0xff};
    char text[7];
    uint8_t back[3];

    (void)state;
    cpv_hex(text, raw, 3);
    assert_string_equal(text, "009fff");
    assert_true(cpv_unhex(back, 3, cpv_bytes_str("009fFF")));
    assert_memory_equal(back, raw, 3);
    assert_false(cpv_unhex(back, 3, cpv_bytes_str("009ff")));
    assert_false(cpv_unhex(back, 3, cpv_bytes_str("009fff00")));
    assert_false(cpv_unhex(back, 3, cpv_bytes_str("009ffg")));
}

static void sizes_are_checked(void **state)
{
    size_t s;

    (void)state;
    assert_true(cpv_size_mul(3, 5, &s) && s == 15);
    assert_false(cpv_size_mul(SIZE_MAX / 2, 3, &s));
    assert_false(cpv_size_add(SIZE_MAX, 1, &s));
    assert_true(cpv_range_in(5, 5, 10));
    assert_false(cpv_range_in(5, 6, 10));
    assert_false(cpv_range_in(UINT64_MAX, 2, 10));
    assert_false(cpv_range_in(2, UINT64_MAX, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_come_back_and_no_truncation_passes),
        cmocka_unit_test(a_failed_cursor_stays_failed),
        cmocka_unit_test(varints_of_more_than_64_bits_fail),
        cmocka_unit_test(buffers_grow_and_print),
        cmocka_unit_test(too_much_fails_and_sticks),
        cmocka_unit_test(hexadecimal_both_ways),
        cmocka_unit_test(sizes_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
