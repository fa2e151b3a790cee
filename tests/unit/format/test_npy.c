/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of numpy: to the byte what it writes, read as it wrote them, refused by name. */
#include <math.h>

#include "common/format/npy.h"
#include "tests/unit/base/unit.h"

static struct cpv_err err;

/* ---- half ---- */

static float next_after(float v)
{
    return nextafterf(v, INFINITY);
}

/* Every half is itself again; what lies between two goes to the nearer, or the even. */
static void rounds_to_the_nearest(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7C00; h++) {
        float low = cpv_half_value((uint16_t)h), high, middle;

        high = h == 0x7BFF ? 65536.0f : cpv_half_value((uint16_t)(h + 1));
        middle = (float)(((double)low + (double)high) / 2);
        assert_int_equal(cpv_half_of(low), h);
        assert_int_equal(cpv_half_of(-low), h | 0x8000);
        assert_int_equal(cpv_half_of(next_after(low)), h);
        assert_int_equal(cpv_half_of(nextafterf(middle, 0)), h);
        assert_int_equal(cpv_half_of(middle), h + (h & 1));
        assert_int_equal(cpv_half_of(next_after(middle)), h + 1);
        assert_int_equal(cpv_half_of(-next_after(middle)), (h + 1) | 0x8000);
    }
}

static void knows_the_ends(void **state)
{
    float nan = cpv_half_value(0x7C01);

    (void)state;
    assert_true(cpv_half_value(0x0001) == 0x1p-24f);
    assert_true(cpv_half_value(0x7BFF) == 65504.0f);
    assert_true(isinf(cpv_half_value(0x7C00)) && isnan(nan));
    assert_int_equal(cpv_half_of(INFINITY), 0x7C00);
    assert_int_equal(cpv_half_of(-1e30f), 0xFC00);
    assert_int_equal(cpv_half_of(1e-30f), 0);
    assert_int_equal(cpv_half_of(-0.0f), 0x8000);
    assert_int_equal(cpv_half_of(nan) & 0x7E00, 0x7E00);
}

/* ---- files ---- */

/* numpy.save of [[0, 1, -2], [0.5, 65504, 2 ** -24]] as float16 ends so ... */
static const uint8_t numbers[] = {0x00, 0x00, 0x00, 0x3C, 0x00, 0xC0,
                                  0x00, 0x38, 0xFF, 0x7B, 0x01, 0x00};
static const float values[] = {0, 1, -2, 0.5f, 65504, 0x1p-24f};

/* ... and begins so, filled up with blanks to 128 bytes. */
static void put_head(struct cpv_buf *out, const char *text, size_t size)
{
    cpv_buf_add(out, "\x93NUMPY\x01\x00", 8);
    cpv_buf_u16(out, (uint16_t)(size - 10));
    cpv_buf_str(out, text);
    while (out->size < size - 1)
        cpv_buf_byte(out, ' ');
    cpv_buf_byte(out, '\n');
}

static void writes_what_numpy_writes(void **state)
{
    struct cpv_buf want = {0}, got = {0};

    (void)state;
    put_head(&want, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }", 128);
    cpv_buf_add(&want, numbers, sizeof numbers);
    cpv_npy_write_f16(&got, values, 2, 3);
    assert_int_equal(got.size, want.size);
    assert_memory_equal(got.data, want.data, want.size);
    cpv_buf_release(&want);
    cpv_buf_release(&got);
}

/* The header grows with the shape as numpy's does: 118 bytes at 21 places, then more. */
static void heads_are_whole_blocks(void **state)
{
    static const float none = 0;
    static const struct {
        uint64_t rows, cols;
        size_t size;
    } cases[] = {{1, 0, 128},
                 {0, 12345678901234567u, 128},
                 {0, 10000000000000000000u, 128},
                 {1000000000000000000u, 0, 128}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cpv_buf out = {0};
        struct cpv_npy a;

        cpv_npy_write_f16(&out, &none, cases[i].rows, cases[i].cols);
        assert_false(out.failed);
        assert_int_equal(out.size, cases[i].size);
        assert_ok(cpv_npy_read(cpv_buf_view(&out), "n", &a, &err));
        assert_true(a.rows == cases[i].rows && a.cols == cases[i].cols);
        cpv_buf_release(&out);
    }
}

static void reads(const char *text, const void *data, size_t size, int dims,
                  uint64_t rows, uint64_t cols, float *out)
{
    struct cpv_buf file = {0};
    struct cpv_npy a;

    put_head(&file, text, 128);
    cpv_buf_add(&file, data, size);
    assert_ok(cpv_npy_read(cpv_buf_view(&file), "n", &a, &err));
    assert_int_equal(a.dims, dims);
    assert_int_equal(a.rows, rows);
    assert_int_equal(a.cols, cols);
    cpv_npy_values(&a, out);
    cpv_buf_release(&file);
}

static void reads_both_types(void **state)
{
    static const uint8_t singles[] = {0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0};
    float got[6];

    (void)state;
    reads("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }", numbers, 12, 2,
          2, 3, got);
    assert_memory_equal(got, values, sizeof values);
    reads("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"<f4\"}", singles, 8, 1, 1,
          2, got);
    assert_true(got[0] == 1 && got[1] == -2);
    reads("{ 'shape' : ( 0 , 7 , ) , 'descr' : '<f4','fortran_order' : False , } ", "", 0,
          2, 0, 7, got);
}

static void reads_the_longer_length(void **state)
{
    static const char text[] =
        "{'descr': '<f2', 'fortran_order': False, 'shape': (1,), }\n";
    struct cpv_buf file = {0};
    struct cpv_npy a;

    (void)state;
    cpv_buf_add(&file, "\x93NUMPY\x02\x00", 8);
    cpv_buf_u32(&file, sizeof text - 1);
    cpv_buf_str(&file, text);
    cpv_buf_u16(&file, 0x3C00);
    assert_ok(cpv_npy_read(cpv_buf_view(&file), "n", &a, &err));
    assert_int_equal(a.cols, 1);
    file.data[6] = 4;
    assert_int_equal(cpv_npy_read(cpv_buf_view(&file), "n", &a, &err), CPV_E_INPUT);
    assert_non_null(strstr(err.text, "version 4.0"));
    cpv_buf_release(&file);
}

/* Whoever is wrong about one is told about that one. */
static void refuses(const char *text, size_t data, const char *why)
{
    static const uint8_t zeros[64];
    struct cpv_buf file = {0};
    struct cpv_npy a;

    put_head(&file, text, 128);
    cpv_buf_add(&file, zeros, data);
    assert_int_equal(cpv_npy_read(cpv_buf_view(&file), "k.clip.npy", &a, &err),
                     CPV_E_INPUT);
    assert_non_null(strstr(err.text, "'k.clip.npy'"));
    if (!strstr(err.text, why))
        fail_msg("%s: '%s' does not speak of '%s'", text, err.text, why);
    cpv_buf_release(&file);
}

#define ORDER "'fortran_order': False, "

static void refuses_by_name(void **state)
{
    (void)state;
    refuses("{'descr': '<f8', " ORDER "'shape': (2,), }", 16, "array of '<f8'");
    refuses("{'descr': '>f2', " ORDER "'shape': (2,), }", 4, "array of '>f2'");
    refuses("{'descr': '|O', " ORDER "'shape': (2,), }", 4, "array of '|O'");
    refuses("{'descr': [('a', '<f4')], " ORDER "'shape': (2,), }", 8, "fields");
    refuses("{'descr': '<f2', 'fortran_order': True, 'shape': (2, 3), }", 12, "Fortran");
    refuses("{'descr': '<f2', 'fortran_order': 0, 'shape': (2, 3), }", 12, "True or");
    refuses("{'descr': '<f2', " ORDER "'shape': (2, 3), }", 10, "[2, 3] has 12");
    refuses("{'descr': '<f2', " ORDER "'shape': (2, 3), }", 14, "14 bytes");
    refuses("{'descr': '<f2', " ORDER "'shape': (1, 2, 3), }", 12, "two dimensions");
    refuses("{'descr': '<f2', " ORDER "'shape': (), }", 2, "single number");
    refuses("{'descr': '<f2', " ORDER "'shape': (6), }", 12, "(ROWS, COLUMNS)");
    refuses("{'descr': '<f2', " ORDER "'shape': (-1, 2), }", 4, "whole numbers");
    refuses("{'descr': '<f2', " ORDER "'shape': (18446744073709551616, 1), }", 0,
            "whole numbers");
    refuses("{'descr': '<f2', " ORDER "'shape': (9223372036854775808, 4), }", 0,
            "too large");
    refuses("{'descr': '<f2', 'shape': (2,), }", 4, "'fortran_order'");
    refuses("{'descr': '<f2', 'descr': '<f4', " ORDER "'shape': (2,), }", 4, "each once");
    refuses("{'descr': '<f2', " ORDER "'shape': (2,), 'more': 1}", 4, "each once");
    refuses("{'descr': '<f2', " ORDER "'shape': (2,), } 1", 4, "nothing behind");
    refuses("{'descr': '<f2' " ORDER "'shape': (2,), }", 4, "',' or '}'");
    refuses("['descr']", 4, "a dictionary");
}

static void refuses_what_is_cut(void **state)
{
    struct cpv_buf file = {0};
    struct cpv_npy a;

    (void)state;
    cpv_npy_write_f16(&file, values, 2, 3);
    for (size_t n = 0; n < file.size; n++)
        assert_int_equal(cpv_npy_read(cpv_bytes_of(file.data, n), "n", &a, &err),
                         CPV_E_INPUT);
    cpv_buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_to_the_nearest),
        cmocka_unit_test(knows_the_ends),
        cmocka_unit_test(writes_what_numpy_writes),
        cmocka_unit_test(heads_are_whole_blocks),
        cmocka_unit_test(reads_both_types),
        cmocka_unit_test(reads_the_longer_length),
        cmocka_unit_test(refuses_by_name),
        cmocka_unit_test(refuses_what_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
