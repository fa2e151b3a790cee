/* SPDX-License-Identifier: Apache-2.0 */
/* The words are on disk: neither they nor their order change. */
#include "tests/unit/base/unit.h"

#include "common/corpus/flags.h"

static void words_and_bits_have_one_order(void **state)
{
    static const char *const wanted[] = {"empty", "copied", "script",
                                         "loop",  "ratio",  "cut"};

    (void)state;
    assert_int_equal(CPV_FLAG_COUNT, 6);
    for (int i = 0; i < CPV_FLAG_COUNT; i++)
        assert_string_equal(cpv_flags_word(i), wanted[i]);
    for (int i = 0; i < CPV_FLAG_COUNT; i++)
        assert_int_equal(cpv_flags_find(wanted[i]), i);
    assert_int_equal(cpv_flags_find("loo"), -1);
    assert_int_equal(cpv_flags_find(""), -1);
    assert_int_equal(CPV_FLAG_EMPTY, 1 << 0);
    assert_int_equal(CPV_FLAG_CUT, 1 << 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_bits_have_one_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
