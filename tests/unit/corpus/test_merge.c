/* SPDX-License-Identifier: Apache-2.0 */
/* One sample out of several columns. */
#include "tests/unit/base/unit.h"

#include "common/corpus/merge.h"

static struct cpv_member member(const char *ext, const char *data)
{
    return (struct cpv_member){ext, cpv_bytes_str(data)};
}

static void one_column_is_kept_to_the_byte(void **state)
{
    struct cpv_member in[] = {member("jpg", "J"), member("json", "{\"b\": 1 , \"a\":2}")};
    struct cpv_sample s = {"k", in, 2, 0};
    struct cpv_member *out;
    struct cpv_err err = {0};
    cpv_arena *mem;
    size_t n;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_merge_samples(&s, 1, true, mem, &out, &n, &err));
    assert_int_equal(n, 2);
    assert_true(cpv_bytes_equal(out[1].data, in[1].data));
    assert_ok(cpv_merge_samples(&s, 1, false, mem, &out, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(out[0].ext, "json");
    cpv_arena_close(&mem);
}

static void later_columns_add_and_replace_keys(void **state)
{
    struct cpv_member a[] = {
        member("jpg", "first"),
        member("json", "{\"key\":\"k\",\"n\":1,\"captions-en\":[\"x\"]}")};
    struct cpv_member b[] = {member("jpg", "second"), member("clip.npy", "E"),
                             member("json", "{\"captions-pt\":[\"é\"],\"n\":2}")};
    struct cpv_sample s[] = {{"k", a, 2, 0}, {"k", b, 3, 0}};
    struct cpv_member *out;
    struct cpv_err err = {0};
    cpv_arena *mem;
    size_t n;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_merge_samples(s, 2, true, mem, &out, &n, &err));
    assert_int_equal(n, 3);
    assert_true(cpv_bytes_equal(out[0].data, cpv_bytes_str("first")));
    assert_true(cpv_bytes_equal(
        out[1].data, cpv_bytes_str("{\"key\":\"k\",\"n\":2,\"captions-en\":[\"x\"],"
                                   "\"captions-pt\":[\"é\"]}")));
    assert_string_equal(out[2].ext, "clip.npy");
    cpv_arena_close(&mem);
}

static void a_list_is_no_sample_json(void **state)
{
    struct cpv_member a[] = {member("json", "{}")}, b[] = {member("json", "[1]")};
    struct cpv_sample s[] = {{"k", a, 1, 0}, {"k", b, 1, 0}};
    struct cpv_member *out;
    struct cpv_err err = {0};
    cpv_arena *mem;
    size_t n;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_int_equal(cpv_merge_samples(s, 2, true, mem, &out, &n, &err), CPV_E_CORRUPT);
    assert_string_equal(err.text, "'k': its JSON is no object");
    cpv_arena_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_column_is_kept_to_the_byte),
        cmocka_unit_test(later_columns_add_and_replace_keys),
        cmocka_unit_test(a_list_is_no_sample_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
