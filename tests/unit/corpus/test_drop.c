/* SPDX-License-Identifier: Apache-2.0 */
/* Captions that look wrong, left out of all the lists that speak of them. */
#include "tests/unit/base/unit.h"

#include "common/corpus/drop.h"

static const char *const WORDS[] = {"loop", "empty"};
static const struct cpv_texts DROP = {WORDS, 2};

static void gives(const char *json, const char *wanted)
{
    struct cpv_bytes text = cpv_bytes_str(json);
    struct cpv_err err = {0};
    cpv_arena *mem;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_drop_flagged(&DROP, "k", &text, mem, &err));
    if (!cpv_bytes_equal(text, cpv_bytes_str(wanted)))
        fail_msg("'%.*s', expected '%s'", (int)text.size,
                 (const char *)(const void *)text.data, wanted);
    cpv_arena_close(&mem);
}

static void fails(const char *json, const char *wanted)
{
    struct cpv_bytes text = cpv_bytes_str(json);
    struct cpv_err err = {0};
    cpv_arena *mem;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_int_equal(cpv_drop_flagged(&DROP, "k", &text, mem, &err), CPV_E_CORRUPT);
    assert_non_null(strstr(err.text, wanted));
    cpv_arena_close(&mem);
}

static void all_lists(void **state)
{
    (void)state;
    gives("{\"captions-en\":[\"x\",\"y\",\"z\"],\"captions-pt\":[\"a\",\"b\",\"c\"],"
          "\"generated-captions-pt\":[\"d\",\"e\"],"
          "\"flags-pt\":[\"\",\"copied loop\",\"ratio\",\"empty\",\"cut\"],"
          "\"similarities-pt\":[1,2,3,4,5],\"n\":1}",
          "{\"captions-en\":[\"x\",\"y\",\"z\"],\"captions-pt\":[\"a\",\"c\"],"
          "\"generated-captions-pt\":[\"e\"],\"flags-pt\":[\"\",\"ratio\",\"cut\"],"
          "\"similarities-pt\":[1,3,5],\"n\":1}");
    /* Each language by its own flags. */
    gives("{\"captions-pt\":[\"a\"],\"flags-pt\":[\"loop\"],\"captions-xh\":[\"b\"],"
          "\"flags-xh\":[\"cut\"]}",
          "{\"captions-pt\":[],\"flags-pt\":[],\"captions-xh\":[\"b\"],"
          "\"flags-xh\":[\"cut\"]}");
}

/* Not even the spaces change. */
static void nothing_to_drop(void **state)
{
    static const char near[] = "{ \"captions-pt\": [\"a\", \"b\"], "
                               "\"flags-pt\": [\"\", \"loops loo emptyish e cut\"] }";

    (void)state;
    gives(near, near);
    gives("{ \"captions-en\" : [\"a\"] }", "{ \"captions-en\" : [\"a\"] }");
    gives("{ }", "{ }");
}

static void lengths(void **state)
{
    (void)state;
    fails("{\"captions-pt\":[\"a\"],\"flags-pt\":[]}",
          "'flags-pt' has not one string for each of 1 captions");
    fails("{\"captions-pt\":[\"a\"],\"flags-pt\":\"loop\"}", "'flags-pt'");
    fails("{\"captions-pt\":[\"a\"],\"flags-pt\":[\"\"],\"similarities-pt\":[1,2]}",
          "'similarities-pt' has not one number for each of 1 captions");
    fails("[]", "its JSON is no object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lists),
        cmocka_unit_test(nothing_to_drop),
        cmocka_unit_test(lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
