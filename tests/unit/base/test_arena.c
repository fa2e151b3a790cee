/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h: alignment, mark and rewind, reuse. Red zones show under ASan only. */
#include "tests/unit/base/unit.h"

#include "common/base/arena.h"

static int open_small(void **state)
{
    return cpv_arena_open((cpv_arena **)state, 256, NULL);
}

static int close_it(void **state)
{
    cpv_arena_close((cpv_arena **)state);
    return *state != NULL;
}

static void objects_are_aligned_and_apart(void **state)
{
    uint8_t *at[200];

    for (size_t i = 0; i < 200; i++) {
        at[i] = cpv_arena_alloc(*state, i);
        assert_non_null(at[i]);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        memset(at[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(at[i][k], i);
}

static void rewind_goes_back_to_the_mark(void **state)
{
    char *kept = cpv_arena_printf(*state, "kept %d", 1), *again;
    struct cpv_arena_mark mark = cpv_arena_mark(*state);
    char *first = cpv_arena_alloc(*state, 40);
    size_t held;

    assert_non_null(first);
    assert_non_null(cpv_arena_alloc(*state, 5000));
    held = cpv_arena_used(*state);
    cpv_arena_rewind(*state, mark);
    again = cpv_arena_alloc(*state, 40);
    assert_ptr_equal(again, first);
    memset(again, 0, 40);
    assert_string_equal(kept, "kept 1");
    assert_non_null(cpv_arena_alloc(*state, 5000)); /* from the block that was kept */
    assert_int_equal(cpv_arena_used(*state), held);
}

static void reset_keeps_one_block(void **state)
{
    size_t held;

    for (int i = 0; i < 100; i++)
        assert_non_null(cpv_arena_alloc(*state, 100));
    cpv_arena_reset(*state);
    held = cpv_arena_used(*state);
    assert_int_equal(held, 256);
    for (int i = 0; i < 1000; i++) {
        cpv_arena_reset(*state);
        assert_non_null(cpv_arena_alloc(*state, 100));
    }
    assert_int_equal(cpv_arena_used(*state), held);
}

static void a_mark_of_an_empty_arena_empties_it(void **state)
{
    struct cpv_arena_mark mark = cpv_arena_mark(*state);
    void *first = cpv_arena_alloc(*state, 8);

    cpv_arena_rewind(*state, mark);
    assert_ptr_equal(cpv_arena_alloc(*state, 8), first);
}

static void impossible_sizes_are_refused(void **state)
{
    assert_null(cpv_arena_alloc(*state, SIZE_MAX));
    assert_null(cpv_arena_alloc(*state, SIZE_MAX - 40));
    assert_null(cpv_arena_calloc(*state, SIZE_MAX / 2, 3));
}

static void strings_and_zeros(void **state)
{
    uint8_t *zeros;

    assert_string_equal(cpv_arena_str(*state, cpv_bytes_of("abcdef", 3)), "abc");
    assert_string_equal(cpv_arena_str(*state, cpv_bytes_of(NULL, 0)), "");
    memset(cpv_arena_alloc(*state, 64), 0xff, 64);
    cpv_arena_reset(*state);
    zeros = cpv_arena_calloc(*state, 8, 8);
    for (int i = 0; i < 64; i++)
        assert_int_equal(zeros[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objects_are_aligned_and_apart, open_small,
                                        close_it),
        cmocka_unit_test_setup_teardown(rewind_goes_back_to_the_mark, open_small,
                                        close_it),
        cmocka_unit_test_setup_teardown(reset_keeps_one_block, open_small, close_it),
        cmocka_unit_test_setup_teardown(a_mark_of_an_empty_arena_empties_it, open_small,
                                        close_it),
        cmocka_unit_test_setup_teardown(impossible_sizes_are_refused, open_small,
                                        close_it),
        cmocka_unit_test_setup_teardown(strings_and_zeros, open_small, close_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
