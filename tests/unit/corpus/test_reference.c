/* SPDX-License-Identifier: Apache-2.0 */
/* A sample's JSON as the trainer of the reference wants it. */
#include "tests/unit/base/unit.h"

#include "common/corpus/reference.h"

static void gives(const char *json, const char *wanted)
{
    struct cpv_bytes text;
    struct cpv_err err = {0};
    cpv_arena *mem;
    json_t *root;

    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_json_parse(cpv_bytes_str(json), "k", &root, &err));
    assert_ok(cpv_reference_json(root, "k", mem, &err));
    assert_ok(cpv_json_text(root, mem, &text, &err));
    if (!cpv_bytes_equal(text, cpv_bytes_str(wanted)))
        fail_msg("'%.*s', expected '%s'", (int)text.size,
                 (const char *)(const void *)text.data, wanted);
    json_decref(root);
    cpv_arena_close(&mem);
}

static void extends(void **state)
{
    static const char once[] = "{\"key\":\"k\",\"captions-pt\":[\"a\",\"b\",\"c\",\"d\"],"
                               "\"generated-captions-pt\":[\"c\",\"d\"],"
                               "\"similarities-pt\":[0.1,0.2,0.3,0.4]}";

    (void)state;
    gives("{\"key\":\"k\",\"captions-pt\":[\"a\",\"b\"],"
          "\"generated-captions-pt\":[\"c\",\"d\"],\"flags-pt\":[\"\",\"cut\",\"\",\"\"],"
          "\"similarities-pt\":[0.1,0.2,0.3,0.4]}",
          once);
    /* What is extended already stays as it is. */
    gives(once, once);
    /* A language with generated captions alone. */
    gives("{\"generated-captions-en\":[\"c\"],\"similarities-en\":[0.5]}",
          "{\"generated-captions-en\":[\"c\"],\"similarities-en\":[0.5],"
          "\"captions-en\":[\"c\"]}");
}

/* Before its score stage: nothing to extend for. */
static void not_scored(void **state)
{
    static const char plain[] = "{\"captions-xh\":[\"a\"],\"generated-captions-xh\":"
                                "[\"b\"],\"generated-captions-en\":[\"c\"]}";

    (void)state;
    gives(plain, plain);
}

/* null would end its run. */
static void nothing_said(void **state)
{
    (void)state;
    gives("{\"captions-hi\":[null,\"b\",\"c\"],\"generated-captions-hi\":[\" \",\"e\"],"
          "\"similarities-hi\":[null,0.2,null,null,0.3]}",
          "{\"captions-hi\":[\"b\",\"c\",\"e\"],\"generated-captions-hi\":[\"e\"],"
          "\"similarities-hi\":[0.2,-1.0,0.3]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extends),
        cmocka_unit_test(not_scored),
        cmocka_unit_test(nothing_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
