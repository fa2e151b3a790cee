/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and words of the report, as they are read. */
#include "tests/unit/base/unit.h"

#include <math.h>

#include "common/base/size.h"
#include "pipeline/report.h"

static void shares_never_round_to_none_or_all(void **state)
{
    (void)state;
    assert_string_equal(cpv_words_share(0, 0).text, "0 %");
    assert_string_equal(cpv_words_share(0, 9).text, "0 %");
    assert_string_equal(cpv_words_share(9, 9).text, "100 %");
    assert_string_equal(cpv_words_share(1, 3).text, "33.3 %");
    assert_string_equal(cpv_words_share(1, 100000).text, "<0.1 %");
    assert_string_equal(cpv_words_share(99999, 100000).text, ">99.9 %");
}

static void numbers_have_the_digits_that_matter(void **state)
{
    static const struct {
        double v;
        const char *real, *seconds;
    } table[] = {{0, "0", "0 s"},
                 {0.0412, "0.0412", "42 ms"},
                 {1, "1", "1.00 s"},
                 {9.994, "9.99", "9.99 s"},
                 {12.46, "12.5", "12.5 s"},
                 {59.97, "60", "1 min 0 s"},
                 {785, "785", "13 min 5 s"},
                 {1562.4, "1,562", "26 min 2 s"},
                 {123456789, "123,456,789", "1428 d 21 h"},
                 {1e300, "1.000e+300", NULL},
                 {-2.5, "-2.5", NULL}};

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        assert_string_equal(cpv_words_real(table[i].v).text, table[i].real);
        if (table[i].seconds)
            assert_string_equal(cpv_words_seconds(table[i].v).text, table[i].seconds);
    }
    assert_string_equal(cpv_words_count(UINT64_MAX).text, "18,446,744,073,709,551,615");
}

static void languages_have_names(void **state)
{
    static const char *const table[][2] = {
        {"en", "English"},      {"pt", "Portuguese"},         {"xh", "Xhosa"},
        {"hi", "Hindi"},        {"pt-BR", "Portuguese (BR)"}, {"zz", "zz"},
        {"zz-Latn", "zz-Latn"}, {"abcdefgh", "abcdefgh"}};
    struct cpv_err err = {0};
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    for (size_t i = 0; i < CPV_COUNT(table); i++)
        assert_string_equal(cpv_words_lang(table[i][0], mem), table[i][1]);
    assert_string_equal(cpv_words_column("translate-xh", mem),
                        "captions translated into Xhosa");
    assert_string_equal(cpv_words_column("score-pt", mem),
                        "similarity of images and Portuguese captions");
    assert_string_equal(cpv_words_column("own", mem), "");
    cpv_arena_close(&mem);
}

static void statistics_have_labels_and_units(void **state)
{
    static const struct {
        const char *key, *label;
        enum cpv_words_unit unit;
    } table[] = {
        {"new_tokens", "Tokens written", CPV_UNIT_COUNT},
        {"duplicates", "Captions equal to an earlier one of their part", CPV_UNIT_COUNT},
        {"downloaded_bytes", "Downloaded", CPV_UNIT_BYTES},
        {"duration", "Time of all parts together", CPV_UNIT_SECONDS},
        {"duplicate_share", "Share of such duplicates", CPV_UNIT_RATE},
        {"seconds", "Time of the work itself", CPV_UNIT_SECONDS},
        {"seconds_vision_tower", "Time: vision tower", CPV_UNIT_SECONDS},
        {"tokens_per_second", "Tokens per second", CPV_UNIT_RATE},
        {"flags.loop", "Flags: loop", CPV_UNIT_COUNT},
        {"status_dict.http_4xx", "Outcome: http 4xx", CPV_UNIT_COUNT},
        {"dropped.duplicate_url", "Dropped: duplicate url", CPV_UNIT_COUNT},
        {"what_is_new", "What is new", CPV_UNIT_COUNT},
        {"start_time", NULL, CPV_UNIT_COUNT},
        {"column", NULL, CPV_UNIT_COUNT}};
    struct cpv_err err = {0};
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        const char *label = cpv_words_stat(table[i].key, mem);

        if (table[i].label) {
            assert_non_null(label);
            assert_string_equal(label, table[i].label);
        } else {
            assert_null(label);
        }
        assert_int_equal(cpv_words_unit(table[i].key), table[i].unit);
    }
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_never_round_to_none_or_all),
        cmocka_unit_test(numbers_have_the_digits_that_matter),
        cmocka_unit_test(languages_have_names),
        cmocka_unit_test(statistics_have_labels_and_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
