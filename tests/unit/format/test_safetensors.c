/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors that the test writes itself: all types, and each thing that may be wrong.
 */
#include "checkpoint_unit.h"

#include "common/format/safetensors.h"

struct result {
    cpv_arena *mem;
    struct cpv_ckpt_list list;
    struct cpv_bytes file;
    struct cpv_err err;
    int rc;
};

static void finish(struct result *r)
{
    cpv_ckpt_list_release(&r->list);
    cpv_arena_close(&r->mem);
    exact_end(&r->file);
}

/* A header that says it has `head` bytes, and n bytes of data: 0, 1, 2, ... */
static void read_with(struct result *r, uint64_t head, const char *json, size_t n)
{
    struct cpv_buf b = {0};
    struct cpv_err err = {0};

    *r = (struct result){0};
    cpv_buf_u64(&b, head);
    cpv_buf_str(&b, json);
    for (size_t i = 0; i < n; i++)
        cpv_buf_byte(&b, (uint8_t)i);
    r->file = exact(b.data, b.size);
    cpv_buf_release(&b);
    assert_ok(cpv_arena_open(&r->mem, 0, &err));
    r->list.mem = r->mem;
    r->rc = cpv_safetensors_read(&r->list, r->file, "t", &r->err);
}

static void refused(const char *json, size_t n, const char *says)
{
    struct result r;

    read_with(&r, strlen(json), json, n);
    assert_int_equal(r.rc, CPV_E_INPUT);
    assert_says(&r.err, says);
    assert_says(&r.err, "'t'");
    finish(&r);
}

static void every_type_is_read(void **state)
{
    static const char json[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"l\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
        "\"k\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[8,12]},"
        "\"j\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[12,14]},"
        "\"i\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[14,22]},"
        "\"h\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[22,30]},"
        "\"g\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[30,34]},"
        "\"f\":{\"dtype\":\"I16\",\"shape\":[1],\"data_offsets\":[34,36]},"
        "\"e\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[36,38]},"
        "\"d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[38,39]},"
        "\"c\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[39,40]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[40,40]}}   ";
    struct result r;
    struct cpv_err err = {0};

    (void)state;
    read_with(&r, strlen(json), json, 40);
    if (r.rc)
        fail_msg("%s", r.err.text);
    assert_ok(cpv_ckpt_list_sort(&r.list, "t", &err));
    assert_int_equal(r.list.count, 11);
    for (size_t i = 0; i < r.list.count; i++)
        assert_true(r.list.at[i].contiguous);
    assert_int_equal(cpv_ckpt_list_find(&r.list, "h")->data[0], 22);
    assert_int_equal(cpv_ckpt_list_find(&r.list, "i")->rank, 0);
    assert_int_equal(cpv_ckpt_list_find(&r.list, "b")->elements, 0);
    assert_int_equal(cpv_ckpt_list_find(&r.list, "l")->stride[0], 2);
    finish(&r);
}

#define T(fields) "{\"a\":{" fields "}}"
#define OK_TYPE   "\"dtype\":\"F32\","
#define OK_SHAPE  "\"shape\":[2],"
#define OK_PLACE  "\"data_offsets\":[0,8]"

static void a_wrong_tensor_is_refused_by_name(void **state)
{
    struct result r;

    (void)state;
    read_with(&r, strlen(T(OK_TYPE OK_SHAPE OK_PLACE)), T(OK_TYPE OK_SHAPE OK_PLACE), 8);
    assert_int_equal(r.rc, CPV_OK); /* what the others differ from */
    finish(&r);
    refused("{\"a\":1}", 0, "tensor 'a': expected dtype, shape and two data_offsets");
    refused(T(OK_TYPE OK_PLACE), 8, "expected dtype, shape");
    refused(T(OK_TYPE OK_SHAPE "\"data_offsets\":[0]"), 8, "two data_offsets");
    refused(T(OK_TYPE OK_SHAPE "\"data_offsets\":[0,8.0]"), 8, "two data_offsets");
    refused(T(OK_TYPE OK_SHAPE "\"data_offsets\":[-1,8]"), 8, "two data_offsets");
    refused(T(OK_SHAPE OK_PLACE), 8, "its type '' is not supported");
    refused(T("\"dtype\":\"F8_E4M3\"," OK_SHAPE OK_PLACE), 8,
            "tensor 'a': its type 'F8_E4M3' is not supported");
    refused(T(OK_TYPE "\"shape\":[-2]," OK_PLACE), 8, "a dimension that is no count");
    refused(T(OK_TYPE "\"shape\":[2.0]," OK_PLACE), 8, "a dimension that is no count");
    refused(T(OK_TYPE "\"shape\":[1,1,1,1,1,1,1,1,2]," OK_PLACE), 8, "more than 8");
    refused(T(OK_TYPE "\"shape\":[3]," OK_PLACE), 8, "reaches beyond its storage");
    refused(T(OK_TYPE "\"shape\":[1]," OK_PLACE), 8, "do not agree");
    refused(T(OK_TYPE "\"shape\":[9223372036854775807,4]," OK_PLACE), 8,
            "reaches beyond its storage");
    refused(T(OK_TYPE "\"shape\":[4294967296,4294967296]," OK_PLACE), 8,
            "reaches beyond its storage");
    refused(T(OK_TYPE OK_SHAPE "\"data_offsets\":[8,0]"), 8, "are not inside the file");
    refused(T(OK_TYPE OK_SHAPE OK_PLACE), 7, "are not inside the file");
    refused(T(OK_TYPE OK_SHAPE OK_PLACE), 9,
            "tensors end at data offset 8, the file at 9");
    refused(T(OK_TYPE OK_SHAPE "\"data_offsets\":[1,9]"), 9,
            "leave a gap at data offset 0");
    refused("{\"\":{" OK_TYPE OK_SHAPE OK_PLACE "}}", 8, "is no text of 1 to 512 bytes");
    refused("{\"a\\n\":{" OK_TYPE OK_SHAPE OK_PLACE "}}", 8, "'a?' is no text");
}

static void tensors_cover_the_file(void **state)
{
    static const char same[] =
        "{\"a\":{" OK_TYPE OK_SHAPE OK_PLACE "},\"b\":{" OK_TYPE OK_SHAPE OK_PLACE "}}";
    static const char over[] = "{\"a\":{" OK_TYPE OK_SHAPE OK_PLACE
                               "},\"b\":{" OK_TYPE OK_SHAPE "\"data_offsets\":[4,12]}}";
    static const char gap[] = "{\"a\":{" OK_TYPE OK_SHAPE OK_PLACE
                              "},\"b\":{" OK_TYPE OK_SHAPE "\"data_offsets\":[12,20]}}";

    (void)state;
    refused(same, 8, "tensors overlap or leave a gap at data offset 8");
    refused(over, 12, "tensors overlap or leave a gap at data offset 8");
    refused(gap, 20, "tensors overlap or leave a gap at data offset 8");
}

static void the_header_must_fit(void **state)
{
    struct result r;

    (void)state;
    read_with(&r, 1000, "{}", 0);
    assert_says(&r.err, "10 bytes end before its header of 1000 does");
    finish(&r);
    read_with(&r, UINT64_MAX, "{}", 0);
    assert_says(&r.err, "a header of 18446744073709551615 bytes, at most 16777216");
    finish(&r);
    refused("[]", 0, "its header is no JSON object");
    refused("{\"a\"", 0, "not JSON");
    refused("{}", 1, "tensors end at data offset 0, the file at 1");
    read_with(&r, 2, "{}", 0);
    assert_int_equal(r.rc, CPV_OK);
    finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(a_wrong_tensor_is_refused_by_name),
        cmocka_unit_test(tensors_cover_the_file),
        cmocka_unit_test(the_header_must_fit),
    };

    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
