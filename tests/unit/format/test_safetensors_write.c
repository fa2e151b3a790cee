/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors that we write: to the byte as the reference implementation, and read back.
 */
#include "checkpoint_unit.h"

#include <math.h>

#include "common/base/half.h"
#include "common/base/size.h"
#include "common/format/safetensors_write.h"

#define F32(n) .name = (n), .dtype = CPV_CKPT_F32
#define F16(n) .name = (n), .dtype = CPV_CKPT_F16

static const float six[] = {0, 1, 2, 3, 4, 5};

/* What safetensors 0.8.0 (Python) made of the same: save_file({"b.y": ..., ...},
 * metadata={"format": "pt"}). Values that a half has not are rounded, to subnormals too.
 */
static void bytes_are_the_reference_s(void **state)
{
    static const char expected[] =
        "\0\1\0\0\0\0\0\0{\"__metadata__\":{\"format\":\"pt\"},\"a.c\":{\"dtype\":"
        "\"F32\","
        "\"shape\":[],\"data_offsets\":[0,4]},\"b.y\":{\"dtype\":\"F32\",\"shape\":[2,3],"
        "\"data_offsets\":[4,28]},\"z\":{\"dtype\":\"F32\",\"shape\":[0,3],"
        "\"data_offsets\":[28,28]},\"a\":{\"dtype\":\"F16\",\"shape\":[5],"
        "\"data_offsets\":[28,38]}}"
        "\0\0\0?\0\0\0\0\0\0\x80?\0\0\0@\0\0@@\0\0\x80@\0\0\xa0@\0<\0\xc0\xff{\1\0\2\0";
    static const float halves[] = {1, -2, 65504, 6e-8F, 1e-7F}, one = 0.5F;
    const struct cpv_safetensors_tensor t[] = {
        {F32("b.y"), .rank = 2, .dim = {2, 3}, .values = six},
        {F16("a"), .rank = 1, .dim = {5}, .values = halves},
        {F32("a.c"), .rank = 0, .values = &one},
        {F32("z"), .rank = 2, .dim = {0, 3}},
    };
    struct cpv_err err = {0};
    struct cpv_bytes b;

    (void)state;
    assert_ok(cpv_safetensors_write("reference", t, CPV_COUNT(t), NULL, 0, &err));
    b = load_file("reference");
    assert_int_equal(b.size, sizeof expected - 1);
    assert_memory_equal(b.data, expected, sizeof expected - 1);
    exact_end(&b);
}

/* And of metadata={"format": "pt", "z": "1", "b": ...}: sorted, escaped, padded. */
static void more_metadata_is_sorted_and_padded(void **state)
{
    static const char expected[] =
        "p\0\0\0\0\0\0\0{\"__metadata__\":{\"b\":\"a\\\"\xc3\xa9\\n\",\"format\":\"pt\","
        "\"z\":\"1\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}    "
        " \0\0\0\0\0\0\x80?";
    const struct cpv_safetensors_tensor t = {F32("a"), .rank = 1, .dim = {2},
                                             .values = six};
    const struct cpv_safetensors_pair meta[] = {{"z", "1"}, {"b", "a\"\xc3\xa9\n"}};
    struct cpv_err err = {0};
    struct cpv_bytes b;

    (void)state;
    assert_ok(cpv_safetensors_write("meta", &t, 1, meta, 2, &err));
    b = load_file("meta");
    assert_int_equal(b.size, sizeof expected - 1);
    assert_memory_equal(b.data, expected, sizeof expected - 1);
    exact_end(&b);
}

/* Rows as they are asked for: value = its index; each row once, in order. */
struct asked {
    uint64_t next, calls, most, fail_at;
};

enum { COLS = 96 << 10, ROWS = 7 };

static int give(void *ctx, uint64_t row0, uint64_t n, float *out, struct cpv_err *err)
{
    struct asked *a = ctx;

    assert_int_equal(row0, a->next);
    a->next += n;
    a->calls++;
    a->most = n > a->most ? n : a->most;
    if (a->fail_at && a->next >= a->fail_at)
        return cpv_fail(err, CPV_E_CORRUPT, "no more rows");
    for (uint64_t i = 0; i < n * COLS; i++)
        out[i] = (float)((row0 * COLS + i) % 2039);
    return CPV_OK;
}

static void rows_come_in_pieces_and_are_read_back(void **state)
{
    struct asked a = {0}, b = {0};
    const struct cpv_safetensors_tensor t[] = {
        {F32("w"), .rank = 2, .dim = {ROWS, COLS}, .rows = give, .ctx = &a},
        {F16("h"), .rank = 2, .dim = {ROWS, COLS}, .rows = give, .ctx = &b},
    };
    struct cpv_safetensors_tensor copy = {F32("w"), .rank = 1, .dim = {ROWS * COLS}};
    static float w[ROWS * COLS], h[ROWS * COLS];
    cpv_checkpoint *c = NULL;
    struct cpv_err err = {0};

    (void)state;
    assert_ok(cpv_safetensors_write("rows.safetensors", t, 2, NULL, 0, &err));
    assert_int_equal(a.next, ROWS);
    assert_int_equal(a.most, 2); /* 1 MiB has no third row */
    assert_int_equal(b.calls, 4);
    assert_ok(cpv_checkpoint_open(&c, "rows.safetensors", &err));
    assert_int_equal(cpv_checkpoint_count(c), 2);
    assert_ok(cpv_checkpoint_rows_f32(cpv_checkpoint_find(c, "w"), 0, ROWS, w, &err));
    assert_ok(cpv_checkpoint_rows_f32(cpv_checkpoint_find(c, "h"), 0, ROWS, h, &err));
    for (size_t i = 0; i < CPV_COUNT(w); i++)
        if (!(w[i] == (float)(i % 2039) && h[i] == w[i]))
            fail_msg("value %zu is %g and %g", i, (double)w[i], (double)h[i]);
    /* A copy of a tensor of a checkpoint, of another type and shape: */
    copy.copy = cpv_checkpoint_find(c, "h");
    copy.rank = 2;
    copy.dim[0] = ROWS;
    copy.dim[1] = COLS;
    assert_ok(cpv_safetensors_write("copy.safetensors", &copy, 1, NULL, 0, &err));
    cpv_checkpoint_close(&c);
    assert_ok(cpv_checkpoint_open(&c, "copy.safetensors", &err));
    assert_ok(cpv_checkpoint_rows_f32(cpv_checkpoint_find(c, "w"), 0, ROWS, h, &err));
    assert_memory_equal(w, h, sizeof w);
    cpv_checkpoint_close(&c);
}

/* A file is replaced by a whole one or stays as it was. */
static void a_file_is_replaced_or_stays(void **state)
{
    struct cpv_safetensors_tensor t = {F32("a"), .rank = 1, .dim = {2}, .values = six};
    struct cpv_bytes before, after;
    struct asked a = {.fail_at = 5};
    struct cpv_err err = {0};

    (void)state;
    assert_ok(cpv_safetensors_write("stays", &t, 1, NULL, 0, &err));
    before = load_file("stays");
    t = (struct cpv_safetensors_tensor){F32("a"), .rank = 2, .dim = {ROWS, COLS},
                                        .rows = give, .ctx = &a};
    assert_int_equal(cpv_safetensors_write("stays", &t, 1, NULL, 0, &err), CPV_E_CORRUPT);
    assert_says(&err, "no more rows");
    after = load_file("stays");
    assert_true(cpv_bytes_equal(before, after));
    assert_false(cpv_file_exists(".stays.tmp"));
    exact_end(&after);
    t = (struct cpv_safetensors_tensor){F32("a"), .rank = 1, .dim = {6}, .values = six};
    assert_ok(cpv_safetensors_write("stays", &t, 1, NULL, 0, &err));
    after = load_file("stays");
    assert_int_equal(after.size, before.size + 4 * sizeof(float));
    exact_end(&after);
    exact_end(&before);
    assert_int_equal(cpv_safetensors_write("no/folder", &t, 1, NULL, 0, &err),
                     CPV_E_ABSENT);
}

static void our_mistakes_are_told(void **state)
{
    struct cpv_safetensors_tensor t[] = {
        {F32("a"), .rank = 1, .dim = {2}, .values = six},
        {F32("a"), .rank = 1, .dim = {2}, .values = six},
    };
    struct cpv_err err = {0};

    (void)state;
    assert_int_equal(cpv_safetensors_write("x", t, 2, NULL, 0, &err), CPV_E_BUG);
    assert_says(&err, "tensor 'a': is there twice");
    t[0].dtype = CPV_CKPT_BF16;
    assert_int_equal(cpv_safetensors_write("x", t, 1, NULL, 0, &err), CPV_E_BUG);
    assert_says(&err, "only f32 and f16");
    t[1].values = NULL;
    assert_int_equal(cpv_safetensors_write("x", t + 1, 1, NULL, 0, &err), CPV_E_BUG);
    assert_says(&err, "has no values");
    t[1].values = six;
    t[1].rank = 3;
    t[1].dim[1] = t[1].dim[2] = UINT64_C(1) << 40;
    assert_int_equal(cpv_safetensors_write("x", t + 1, 1, NULL, 0, &err), CPV_E_BUG);
    assert_says(&err, "too large");
    assert_false(cpv_file_exists("x"));
}

static void halves_are_the_nearest(void **state)
{
    static const struct {
        float from;
        uint16_t to;
    } cases[] = {
        {0.0F, 0},
        {-0.0F, 0x8000},
        {1.0F, 0x3c00},
        {65519.996F, 0x7bff},
        {65520.0F, 0x7c00},
        {-1e30F, 0xfc00},
        {0x1p-14F, 0x0400},
        {0x1.ff8p-15F, 0x03ff},
        {0x1.ffcp-15F, 0x0400},
        {0x1p-25F, 0},
        {0x1.8p-24F, 2},
        {0x1.002p0F, 0x3c00},
        {0x1.006p0F, 0x3c02},
    };

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++)
        assert_int_equal(cpv_half_of(cases[i].from), cases[i].to);
    assert_int_equal(cpv_half_of((float)NAN) & 0x7fff, 0x7e00);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_the_reference_s),
        cmocka_unit_test(more_metadata_is_sorted_and_padded),
        cmocka_unit_test(rows_come_in_pieces_and_are_read_back),
        cmocka_unit_test(a_file_is_replaced_or_stays),
        cmocka_unit_test(our_mistakes_are_told),
        cmocka_unit_test(halves_are_the_nearest),
    };

    return cmocka_run_group_tests_name("safetensors_write", tests, enter_scratch,
                                       leave_scratch);
}
