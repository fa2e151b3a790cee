/* SPDX-License-Identifier: Apache-2.0 */
/* Records: exact bytes, the way back, and damage. */
#include "tests/unit/base/unit.h"

#include "common/corpus/record.h"

static struct cpv_record_input inputs[] = {{"rows", {1, 2, 3}}};
static struct cpv_failure failures[] = {
    {10, "000000010", "http_4xx", false, "HTTP 404"},
    {12, "000000012", "timeout", true, ""},
    {13, "000000013", "http_4xx", false, "HTTP 403 \"no\""},
};

static struct cpv_record example(void)
{
    struct cpv_record r = {
        .stage = "fetch",
        .part = 3,
        .revision = 1,
        .row_begin = 10,
        .row_end = 14,
        .inputs = inputs,
        .n_inputs = 1,
        .failures = failures,
        .n_failures = 3,
        .shard =
            {.bytes = 900, .tar_bytes = 2048, .samples = 1, .members = 2, .frames = 1},
    };

    r.settings[0] = 0xab;
    r.shard.sha256[31] = 0xcd;
    return r;
}

#define ZEROS "0000000000000000000000000000"
#define Z62   ZEROS ZEROS "000000"
static const char BYTES[] =
    "{\"format\":\"capivara.record.v1\",\"column\":\"fetch\",\"part\":3,\"revision\":1,"
    "\"settings\":\"ab" Z62 "\",\"row_begin\":10,\"row_end\":14,"
    "\"inputs\":[{\"name\":\"rows\",\"sha256\":\"010203" ZEROS ZEROS "00\"}],"
    "\"shard\":{\"bytes\":900,\"sha256\":\"" Z62 "cd\",\"tar_bytes\":2048,"
    "\"tar_sha256\":\"" Z62 "00\",\"samples\":1,\"members\":2,\"frames\":1},"
    "\"failures\":3,\"statuses\":{\"http_4xx\":2,\"timeout\":1},\"failed\":["
    "{\"row\":10,\"key\":\"000000010\",\"status\":\"http_4xx\",\"detail\":\"HTTP 404\"},"
    "{\"row\":12,\"key\":\"000000012\",\"status\":\"timeout\",\"transient\":true},"
    "{\"row\":13,\"key\":\"000000013\",\"status\":\"http_4xx\","
    "\"detail\":\"HTTP 403 \\\"no\\\"\"}]}\n";

static void bytes_are_canonical(void **state)
{
    struct cpv_record r = example();
    struct cpv_buf out = {0};
    struct cpv_err err = {0};

    (void)state;
    assert_ok(cpv_record_encode(&r, &out, &err));
    assert_string_equal(cpv_buf_cstr(&out), BYTES);
    cpv_buf_release(&out);
}

static void decoding_gives_it_back(void **state)
{
    struct cpv_record r;
    struct cpv_buf out = {0};
    struct cpv_err err = {0};
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_record_decode(cpv_bytes_str(BYTES), "r.json", mem, &r, &err));
    assert_int_equal(r.part, 3);
    assert_int_equal(r.n_failures, 3);
    assert_true(r.failures[1].transient);
    assert_string_equal(r.failures[2].detail, "HTTP 403 \"no\"");
    assert_ok(cpv_record_encode(&r, &out, &err));
    assert_string_equal(cpv_buf_cstr(&out), BYTES);
    cpv_buf_release(&out);
    cpv_arena_close(&mem);
}

/* Cut anywhere, it is an error that names the file; never a crash. */
static void every_cut_is_noticed(void **state)
{
    cpv_arena *mem;
    struct cpv_err err = {0};

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    for (size_t n = 0; n < sizeof BYTES - 2; n++) {
        struct cpv_record r;

        assert_int_not_equal(
            cpv_record_decode(cpv_bytes_of(BYTES, n), "r.json", mem, &r, &err), CPV_OK);
        assert_non_null(strstr(err.text, "r.json"));
        cpv_arena_reset(mem);
    }
    cpv_arena_close(&mem);
}

static void wrong_types_are_named(void **state)
{
    static const char text[] = "{\"format\":\"capivara.record.v1\",\"column\":\"fetch\","
                               "\"part\":-1}";
    struct cpv_record r;
    cpv_arena *mem;
    struct cpv_err err = {0};

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_int_equal(cpv_record_decode(cpv_bytes_str(text), "r.json", mem, &r, &err),
                     CPV_E_CORRUPT);
    assert_string_equal(err.text,
                        "'r.json': key 'part': expected a whole number in range");
    cpv_arena_close(&mem);
}

static void an_existing_record_stays(void **state)
{
    struct cpv_record r = example(), back;
    struct cpv_err err = {0};
    bool existed = true;
    cpv_arena *mem;

    (void)state;
    assert_ok(cpv_arena_open(&mem, 0, &err));
    assert_ok(cpv_record_commit("a.json", &r, &existed, &err));
    assert_false(existed);
    r.part = 9;
    assert_ok(cpv_record_commit("a.json", &r, &existed, &err));
    assert_true(existed);
    assert_ok(cpv_record_read("a.json", mem, &back, &err));
    assert_int_equal(back.part, 3);
    assert_int_equal(cpv_record_read("b.json", mem, &back, &err), CPV_E_ABSENT);
    cpv_arena_close(&mem);
}

static void failed_rows_are_passed_over(void **state)
{
    struct cpv_failure f[] = {
        {.row = 100}, {.row = 101}, {.row = 103}, {.row = 107}, {.row = 107}};
    struct cpv_record r = {.row_begin = 100,
                           .row_end = 108,
                           .failures = f,
                           .n_failures = sizeof f / sizeof *f};
    uint64_t rows[6];
    static const uint64_t wanted[] = {102, 104, 105, 106, 108, 109};

    (void)state;
    cpv_record_rows(&r, rows, 6);
    for (int i = 0; i < 6; i++)
        assert_true(rows[i] == wanted[i]);
    r.n_failures = 0;
    cpv_record_rows(&r, rows, 6);
    for (int i = 0; i < 6; i++)
        assert_true(rows[i] == 100 + (uint64_t)i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_canonical),
        cmocka_unit_test(decoding_gives_it_back),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(failed_rows_are_passed_over),
        cmocka_unit_test_setup_teardown(an_existing_record_stays, enter_scratch,
                                        leave_scratch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
