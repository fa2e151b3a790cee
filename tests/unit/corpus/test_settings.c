/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: pinned once, compared field by field, pinned anew on request. */
#include "tests/unit/base/unit.h"

#include <sys/stat.h>

#include "common/base/file.h"
#include "common/corpus/settings.h"

struct values {
    int64_t size;
    bool flag;
    const char *word;
};

static const struct cpv_opt options[] = {
    {.name = "size",
     .key = "size",
     .kind = CPV_OPT_INT,
     .offset = offsetof(struct values, size),
     .flags = CPV_OPT_PINNED},
    {.name = "threads",
     .key = "threads",
     .kind = CPV_OPT_INT,
     .offset = offsetof(struct values, size)},
    {.name = "flag",
     .key = "flag",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct values, flag),
     .flags = CPV_OPT_PINNED},
    {.name = "word",
     .key = "word",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct values, word),
     .flags = CPV_OPT_PINNED},
    {.kind = CPV_OPT_END},
};

static void only_pinned_options_are_in_the_text(void **state)
{
    struct values v = {256, true, "a: b"};
    struct cpv_opt_group g = {"", "fetch", options, &v};
    struct cpv_buf out = {0};
    struct cpv_err err = {0};

    (void)state;
    assert_ok(cpv_settings_text(&g, 1, &out, &err));
    assert_string_equal(cpv_buf_cstr(&out),
                        "fetch.size: 256\nfetch.flag: true\nfetch.word: \"a: b\"\n");
    cpv_buf_release(&out);
}

static int pin(const char *text, bool redo, uint8_t digest[32], struct cpv_buf *diff,
               struct cpv_err *err)
{
    cpv_buf_clear(diff);
    return cpv_settings_pin(".", "fetch", cpv_bytes_str(text), redo, false, digest, diff,
                            err);
}

static void changes_are_refused_with_a_diff(void **state)
{
    uint8_t first[32], again[32], later[32];
    struct cpv_buf diff = {0};
    struct cpv_err err = {0};

    (void)state;
    assert_int_equal(mkdir("fetch", 0777), 0);
    assert_ok(pin("a: 1\nb: 2\nc: 3\n", false, first, &diff, &err));
    assert_ok(pin("a: 1\nb: 2\nc: 3\n", false, again, &diff, &err));
    assert_memory_equal(first, again, 32);
    assert_int_equal(pin("a: 1\nb: 5\nd: 4\n", false, later, &diff, &err),
                     CPV_E_SETTINGS);
    assert_string_equal(cpv_buf_cstr(&diff),
                        "b: 2 -> 5\nc: 3 -> (absent)\nd: (absent) -> 4\n");
    assert_false(cpv_file_exists("fetch/settings.r1.yaml"));
    /* Asked for, it is pinned beside the old one and is then what counts. */
    assert_ok(pin("a: 1\nb: 5\nd: 4\n", true, later, &diff, &err));
    assert_true(cpv_file_exists("fetch/settings.r1.yaml"));
    assert_ok(pin("a: 1\nb: 5\nd: 4\n", false, again, &diff, &err));
    assert_memory_equal(later, again, 32);
    assert_memory_not_equal(later, first, 32);
    assert_int_equal(pin("a: 1\nb: 2\nc: 3\n", false, again, &diff, &err),
                     CPV_E_SETTINGS);
    cpv_buf_release(&diff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_pinned_options_are_in_the_text),
        cmocka_unit_test_setup_teardown(changes_are_refused_with_a_diff, enter_scratch,
                                        leave_scratch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
