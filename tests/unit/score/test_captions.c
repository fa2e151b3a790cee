/* SPDX-License-Identifier: Apache-2.0 */
/* The captions of a sample: order, what says nothing, which are the same. */
#include "stages/score/score.h"
#include "tests/unit/base/unit.h"

static struct cpv_err err;

/* The captions of two columns' JSON as "text|text|-|"; NULL: that column has none. */
static void gives(const char *one, const char *two, const char *expected)
{
    struct cpv_bytes json[2] = {one ? cpv_bytes_str(one) : (struct cpv_bytes){NULL, 0},
                                two ? cpv_bytes_str(two) : (struct cpv_bytes){NULL, 0}};
    struct cpv_buf list = {0}, got = {0};
    const struct text *t;
    cpv_arena *mem;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(captions_add(json, 2, "k", "pt", mem, &list, &err));
    t = (const struct text *)(const void *)list.data;
    for (size_t i = 0; i < list.size / sizeof *t; i++) {
        assert_null(t[i].vector);
        if (!t[i].none)
            cpv_buf_add(&got, t[i].source.data, t[i].source.size);
        cpv_buf_str(&got, t[i].none ? "-|" : "|");
    }
    assert_string_equal(cpv_buf_cstr(&got), expected);
    cpv_buf_release(&list);
    cpv_buf_release(&got);
    cpv_arena_close(&mem);
}

static void originals_come_first(void **state)
{
    (void)state;
    gives("{\"generated-captions-pt\":[\"g\",\"h\"],\"captions-pt\":[\"a\",\"b\"]}", NULL,
          "a|b|g|h|");
    gives("{\"captions-pt\":[\"a\"]}", "{\"generated-captions-pt\":[\"g\"]}", "a|g|");
    gives("{\"generated-captions-pt\":[\"g\"]}", "{\"captions-pt\":[\"a\"]}", "a|g|");
    gives("{\"captions-en\":[\"a\"],\"captions-p\":[\"b\"]}", "{}", "");
    gives(NULL, NULL, "");
}

static void the_later_column_counts(void **state)
{
    (void)state;
    gives("{\"captions-pt\":[\"a\",\"b\"]}", "{\"captions-pt\":[\"c\"]}", "c|");
    gives("{\"captions-pt\":[\"a\"]}", "{\"captions-pt\":null}", "");
    gives("{\"captions-pt\":[\"a\"]}", NULL, "a|");
}

static void nothing_is_said(void **state)
{
    (void)state;
    gives("{\"captions-pt\":[null,\"\",\" \\t\\n\",7,\"a\",[]]}", NULL, "-|-|-|-|a|-|");
    gives("{\"captions-pt\":\"a\"}", NULL, "");
}

static void refuses(const char *json)
{
    struct cpv_bytes one = cpv_bytes_str(json);
    struct cpv_buf list = {0};
    cpv_arena *mem;
    bool have;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_int_equal(captions_add(&one, 1, "k7", "pt", mem, &list, &err), CPV_E_CORRUPT);
    assert_non_null(strstr(err.text, "'k7'"));
    assert_int_equal(captions_have(one, "k7", "pt", &have, &err), CPV_E_CORRUPT);
    cpv_buf_release(&list);
    cpv_arena_close(&mem);
}

static void other_things_are_refused(void **state)
{
    (void)state;
    refuses("[]");
    refuses("{");
    refuses("");
}

static void there_or_not(void **state)
{
    bool have;

    (void)state;
    assert_ok(
        captions_have(cpv_bytes_str("{\"captions-pt\":[]}"), "k", "pt", &have, &err));
    assert_true(have);
    assert_ok(captions_have(cpv_bytes_str("{\"generated-captions-pt\":[]}"), "k", "pt",
                            &have, &err));
    assert_true(have);
    assert_ok(captions_have(cpv_bytes_str("{\"captions-pt\":1,\"captions-xh\":[]}"), "k",
                            "pt", &have, &err));
    assert_false(have);
}

static void the_same_is_one(void **state)
{
    static const char *const words[] = {"a", "b", "a", "", "ab", "b", "", "a"};
    static const uint32_t wanted[] = {0, 1, 0, 3, 4, 1, 3, 0};
    struct text t[8] = {0};
    uint32_t first[8];
    cpv_arena *mem;

    (void)state;
    for (int i = 0; i < 8; i++)
        t[i].source = cpv_bytes_str(words[i]);
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(captions_unite(t, 8, first, mem, &err));
    assert_memory_equal(first, wanted, sizeof wanted);
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(originals_come_first),
        cmocka_unit_test(the_later_column_counts),
        cmocka_unit_test(nothing_is_said),
        cmocka_unit_test(other_things_are_refused),
        cmocka_unit_test(there_or_not),
        cmocka_unit_test(the_same_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
