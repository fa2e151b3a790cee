/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints that PyTorch and safetensors wrote, in tests/golden/checkpoints, against
 * what tests/fixtures/make_checkpoints.py wrote beside them; and the handle as a whole.
 */
#include "checkpoint_unit.h"

#include <math.h>
#include <sys/stat.h>

#include "common/format/safetensors.h"
#include "common/format/torch_file.h"

static const char *folder;

static const char *golden(const char *name)
{
    static char path[600];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The next word of a line, terminated; NULL at its end. */
static char *word(char **at)
{
    char *w = *at, *end;

    if (!w || !*w)
        return NULL;
    end = strchr(w, ' ');
    if (end)
        *end = '\0';
    *at = end ? end + 1 : NULL;
    return w;
}

/* Integers as they lie there; index in row-major order. */
static int64_t integer_at(const struct cpv_ckpt_tensor *t, uint64_t i)
{
    const uint8_t *p = t->data;
    uint64_t v = 0;
    size_t size = cpv_ckpt_dtype_size(t->dtype);
    unsigned unused = 64 - 8 * (unsigned)size;

    for (uint32_t k = t->rank; k-- > 0; i /= t->dim[k])
        p += i % t->dim[k] * t->stride[k] * size;
    memcpy(&v, p, size);
    if (t->dtype == CPV_CKPT_U8 || t->dtype == CPV_CKPT_BOOL)
        return (int64_t)v;
    return (int64_t)(v << unused) >> unused;
}

static void assert_values(const struct cpv_ckpt_tensor *t, char **at)
{
    bool floating = t->dtype <= CPV_CKPT_F64;
    float *v = cpv_calloc(t->elements + 1, sizeof *v);
    struct cpv_err err = {0};
    uint64_t rows = t->rank ? t->dim[0] : 1;

    assert_non_null(v);
    v[t->elements] = 12345; /* guard */
    if (floating)
        assert_ok(cpv_checkpoint_rows_f32(t, 0, rows, v, &err));
    else
        assert_int_equal(cpv_checkpoint_rows_f32(t, 0, rows, v, &err), CPV_E_INPUT);
    for (uint64_t i = 0; i < t->elements; i++) {
        const char *w = word(at);

        assert_non_null(w);
        if (!floating) {
            assert_true(integer_at(t, i) == strtoll(w, NULL, 10));
        } else if (strcmp(w, "nan") == 0) {
            assert_true(isnan(v[i]));
        } else {
            float want = (float)strtod(w, NULL);

            if (!(v[i] == want && !signbit(v[i]) == !signbit(want)))
                fail_msg("%s[%llu]: %a, expected %s", t->name, (unsigned long long)i,
                         (double)v[i], w);
        }
    }
    assert_null(word(at));
    assert_true(v[t->elements] == 12345);
    cpv_free(v);
}

/* One line of NAME.txt against tensor i. */
static void assert_tensor(const cpv_checkpoint *c, size_t i, char *line)
{
    const struct cpv_ckpt_tensor *t = cpv_checkpoint_at(c, i), *first = NULL;
    char shape[128], packed[128];
    char *at = line, *tied;
    size_t n = 0;

    assert_string_equal(t->name, word(&at));
    assert_string_equal(cpv_ckpt_dtype_name(t->dtype), word(&at));
    (void)cpv_ckpt_shape(shape, sizeof shape, t->rank, t->dim);
    for (const char *s = shape; *s; s++)
        if (*s != ' ')
            packed[n++] = *s;
    packed[n] = '\0';
    assert_string_equal(packed, word(&at));
    tied = word(&at);
    for (size_t k = 0; k < i && !first; k++)
        if (cpv_checkpoint_tied(cpv_checkpoint_at(c, k), t))
            first = cpv_checkpoint_at(c, k);
    assert_string_equal(first ? first->name : "-", tied);
    assert_ptr_equal(cpv_checkpoint_find(c, t->name), t);
    assert_values(t, &at);
}

static void assert_golden(const char *name, const char *format)
{
    char expected[700];
    struct cpv_err err = {0};
    cpv_checkpoint *c;
    struct cpv_buf text = {0};
    char *at, *end;
    size_t i = 0;

    assert_ok(cpv_checkpoint_open(&c, golden(name), &err));
    assert_string_equal(cpv_checkpoint_format(c), format);
    (void)snprintf(expected, sizeof expected, "%s.txt", golden(name));
    assert_ok(cpv_file_read(expected, 1 << 20, &text, &err));
    at = (char *)(uintptr_t)cpv_buf_cstr(&text);
    for (; (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        assert_true(i < cpv_checkpoint_count(c));
        assert_tensor(c, i++, at);
    }
    assert_int_equal(i, cpv_checkpoint_count(c));
    assert_true(i > 0);
    cpv_buf_release(&text);
    cpv_checkpoint_close(&c);
    assert_null(c);
}

static void what_others_wrote_is_read_as_it_was_meant(void **state)
{
    (void)state;
    assert_golden("zip.bin", "torch zip");
    assert_golden("legacy.bin", "torch legacy");
    assert_golden("protocol4.bin", "torch zip");
    assert_golden("lightning.ckpt", "torch zip");
    assert_golden("lightning-legacy.ckpt", "torch legacy");
    assert_golden("f32.safetensors", "safetensors");
    assert_golden("f16.safetensors", "safetensors");
    assert_golden("bf16.safetensors", "safetensors");
    assert_golden("all.safetensors", "safetensors");
    assert_golden("sharded", "safetensors");
    assert_golden("sharded-bin", "torch zip");
}

static void rows_are_those_of_the_whole(void **state)
{
    static const char *const names[] = {"permuted", "part",   "transposed",
                                        "column",   "bfloat", "half"};
    struct cpv_err err = {0};
    cpv_checkpoint *c;
    float all[64], some[64];

    (void)state;
    assert_ok(cpv_checkpoint_open(&c, golden("zip.bin"), &err));
    for (size_t k = 0; k < 6; k++) {
        const struct cpv_ckpt_tensor *t = cpv_checkpoint_find(c, names[k]);
        uint64_t row = t->elements / t->dim[0];

        assert_ok(cpv_checkpoint_rows_f32(t, 0, t->dim[0], all, &err));
        for (uint64_t at = 0; at <= t->dim[0]; at++)
            for (uint64_t n = 0; at + n <= t->dim[0]; n++) {
                some[n * row] = 12345;
                assert_ok(cpv_checkpoint_rows_f32(t, at, n, some, &err));
                assert_memory_equal(some, all + at * row, n * row * sizeof *all);
                assert_true(some[n * row] == 12345);
            }
        assert_int_equal(cpv_checkpoint_rows_f32(t, 1, t->dim[0], some, &err), CPV_E_BUG);
    }
    cpv_checkpoint_close(&c);
}

/* Five dimensions, none of which stands where the file has it. */
static void any_strides_are_honoured(void **state)
{
    float all[2 * 3 * 4 * 2 * 3], got[2 * 3 * 4 * 2 * 3], *to = got;
    struct cpv_ckpt_tensor t = {.name = "s",
                                .dtype = CPV_CKPT_F32,
                                .rank = 5,
                                .dim = {2, 3, 4, 2, 3},
                                .stride = {3, 24, 6, 72, 1},
                                .elements = 144,
                                .data = (const uint8_t *)all};
    struct cpv_err err = {0};
    uint64_t i[5];

    (void)state;
    for (int k = 0; k < 144; k++)
        all[k] = (float)k;
    for (int last = 0; last < 2; last++) {
        assert_ok(cpv_checkpoint_rows_f32(&t, 0, 2, got, &err));
        for (to = got, i[0] = 0; i[0] < t.dim[0]; i[0]++)
            for (i[1] = 0; i[1] < t.dim[1]; i[1]++)
                for (i[2] = 0; i[2] < t.dim[2]; i[2]++)
                    for (i[3] = 0; i[3] < t.dim[3]; i[3]++)
                        for (i[4] = 0; i[4] < t.dim[4]; i[4]++) {
                            uint64_t at = 0;

                            for (int k = 0; k < 5; k++)
                                at += i[k] * t.stride[k];
                            assert_true(*to++ == all[at]);
                        }
        t.stride[0] = 1; /* and with gaps in the last one */
        t.stride[4] = 2;
    }
}

/* All 65,536 halves, against arithmetic in double, at an odd address. */
static void every_half_is_widened_exactly(void **state)
{
    enum { N = 65536 };
    uint8_t *raw = cpv_alloc(2 * N + 1);
    float *got = cpv_calloc(N, sizeof *got);
    struct cpv_ckpt_tensor t = {.name = "h",
                                .dtype = CPV_CKPT_F16,
                                .rank = 1,
                                .dim = {N},
                                .stride = {1},
                                .contiguous = true,
                                .elements = N,
                                .data = raw + 1};
    struct cpv_err err = {0};

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        raw[1 + 2 * i] = (uint8_t)i;
        raw[2 + 2 * i] = (uint8_t)(i >> 8);
    }
    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        if (one_by_one)
            for (uint32_t i = 0; i < N; i++) /* too few for the wide instructions */
                assert_ok(cpv_checkpoint_rows_f32(&t, i, 1, got + i, &err));
        else
            assert_ok(cpv_checkpoint_rows_f32(&t, 0, N, got, &err));
        for (uint32_t i = 0; i < N; i++) {
            int e = (int)(i >> 10 & 31), f = (int)(i & 1023);
            double want = e ? ldexp(1024 + f, e - 25) : ldexp(f, -24);
            uint32_t bits;

            memcpy(&bits, &got[i], sizeof bits);
            assert_int_equal(bits >> 31, i >> 15);
            if (e == 31 && f)
                assert_int_equal(bits & 0x7FFFFFFF, 0x7FC00000 | f << 13);
            else if (e == 31)
                assert_true(isinf(got[i]));
            else
                assert_true(fabs((double)got[i]) == want);
        }
    }
    cpv_free(raw);
    cpv_free(got);
}

static void what_the_state_dict_needs_is_refused_by_name(void **state)
{
    static const struct {
        const char *name, *says;
    } bad[] = {
        {"refused-call.ckpt", "tensor 'model.run' would have to be made by global "
                              "'posix.system'"},
        {"refused-dict.ckpt", "expected a dict of tensors under 'state_dict', found a "
                              "call of global 'somebodys.code.Odd'"},
        {"refused-complex.bin",
         "tensor 'w': its type, global 'torch.ComplexFloatStorage'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cpv_err err = {0};
        cpv_checkpoint *c;

        assert_int_equal(cpv_checkpoint_open(&c, golden(bad[i].name), &err), CPV_E_INPUT);
        assert_null(c);
        assert_says(&err, bad[i].says);
        assert_says(&err, bad[i].name);
    }
}

static int read_any(struct cpv_ckpt_list *list, struct cpv_bytes b, struct cpv_err *err)
{
    return cpv_torch_form_of(b) != CPV_TORCH_NONE
               ? cpv_torch_read(list, b, "t", err)
               : cpv_safetensors_read(list, b, "t", err);
}

/* Whatever was taken can be read to its last byte. */
static void touch_all(const struct cpv_ckpt_list *list)
{
    struct cpv_err err = {0};

    for (size_t i = 0; i < list->count; i++) {
        const struct cpv_ckpt_tensor *t = &list->at[i];
        float *v = cpv_alloc((t->elements + 1) * sizeof *v);
        int rc = cpv_checkpoint_rows_f32(t, 0, t->rank ? t->dim[0] : 1, v, &err);

        assert_true(rc == CPV_OK || rc == CPV_E_INPUT);
        cpv_free(v);
    }
}

static const char *const whole[] = {
    "zip.bin",         "legacy.bin",      "lightning.ckpt", "lightning-legacy.ckpt",
    "f32.safetensors", "all.safetensors", "protocol4.bin"};

static void a_file_cut_anywhere_is_one_clear_line(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof whole / sizeof whole[0]; k++) {
        struct cpv_bytes all = load_file(golden(whole[k]));

        for (size_t n = 0; n < all.size; n++) {
            struct cpv_bytes cut = exact(all.data, n);
            struct cpv_err err = {0};
            struct cpv_ckpt_list list = {0};

            assert_ok(cpv_arena_open(&list.mem, 0, &err));
            if (read_any(&list, cut, &err) != CPV_E_INPUT)
                fail_msg("%s cut at %zu: %s", whole[k], n, err.text);
            assert_true(err.text[0] && !strpbrk(err.text, "\n\r\t"));
            cpv_ckpt_list_release(&list);
            cpv_arena_close(&list.mem);
            exact_end(&cut);
        }
        exact_end(&all);
    }
}

static void a_changed_byte_is_an_error_or_harmless(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof whole / sizeof whole[0]; k++) {
        struct cpv_bytes all = load_file(golden(whole[k]));
        uint8_t *own = (uint8_t *)(uintptr_t)all.data;

        for (size_t n = 0; n < 3 * all.size; n++) {
            static const uint8_t bits[] = {0xFF, 0x01, 0x80};
            struct cpv_err err = {0};
            struct cpv_ckpt_list list = {0};
            uint8_t *at = own + n / 3;
            int rc;

            *at ^= bits[n % 3];
            assert_ok(cpv_arena_open(&list.mem, 0, &err));
            rc = read_any(&list, all, &err);
            assert_true(rc == CPV_OK || rc == CPV_E_INPUT);
            assert_true(rc == CPV_OK || (err.text[0] && !strpbrk(err.text, "\n\r\t")));
            if (!rc)
                touch_all(&list);
            *at ^= bits[n % 3];
            cpv_ckpt_list_release(&list);
            cpv_arena_close(&list.mem);
        }
        exact_end(&all);
    }
}

/* ---- folders, indices, shapes ---- */

static void copy_to(const char *from, const char *to)
{
    struct cpv_bytes b = load_file(golden(from));

    (void)make_file(to, b.data, b.size);
    exact_end(&b);
}

static void assert_taken(const char *path, const char *taken)
{
    struct cpv_err err = {0};
    cpv_checkpoint *c;

    assert_ok(cpv_checkpoint_open(&c, path, &err));
    assert_string_equal(cpv_checkpoint_path(c), taken);
    assert_int_equal(cpv_checkpoint_files(c), 1);
    assert_string_equal(cpv_checkpoint_file(c, 0), taken);
    cpv_checkpoint_close(&c);
}

static void assert_refused(const char *path, int code, const char *says)
{
    struct cpv_err err = {0};
    cpv_checkpoint *c;

    assert_int_equal(cpv_checkpoint_open(&c, path, &err), code);
    assert_null(c);
    assert_says(&err, says);
}

static void a_folder_gives_safetensors_before_pickles(void **state)
{
    (void)state;
    assert_int_equal(mkdir("m", 0700), 0);
    assert_refused("m", CPV_E_ABSENT, "'m': no checkpoint in this folder");
    copy_to("zip.bin", "m/open_clip_pytorch_model.bin");
    assert_taken("m", "m/open_clip_pytorch_model.bin");
    copy_to("zip.bin", "m/pytorch_model.bin");
    assert_taken("m", "m/pytorch_model.bin");
    copy_to("f16.safetensors", "m/model.safetensors");
    assert_taken("m", "m/model.safetensors");
    assert_taken("m/pytorch_model.bin", "m/pytorch_model.bin");
}

static void files_that_are_none_are_said_to_be(void **state)
{
    (void)state;
    assert_refused("absent.bin", CPV_E_ABSENT, "absent.bin");
    assert_refused(make_text("e.bin", ""), CPV_E_INPUT, "'e.bin': neither");
    assert_refused(make_text("t.bin", "hello, world"), CPV_E_INPUT, "neither");
    assert_refused(make_text("l.bin", "version https://git-lfs.github.com/spec/v1\n"),
                   CPV_E_INPUT, "a Git LFS pointer");
    assert_refused("/dev/null", CPV_E_INPUT, "not a regular file");
}

static void a_bad_index_is_named(void **state)
{
    static const char name[] = "i/model.safetensors.index.json";

    (void)state;
    assert_int_equal(mkdir("i", 0700), 0);
    copy_to("f32.safetensors", "i/one");
    copy_to("f16.safetensors", "i/two");
    (void)make_text(name,
                    "{\"weight_map\": {\"a.bias\": \"one\", \"b.weight\": \"one\"}}");
    assert_true(cpv_file_exists("i/one"));
    {
        struct cpv_err err = {0};
        cpv_checkpoint *c;

        assert_ok(cpv_checkpoint_open(&c, "i", &err));
        assert_string_equal(cpv_checkpoint_file(c, 0), "i/one");
        cpv_checkpoint_close(&c);
    }
    (void)make_text(name,
                    "{\"weight_map\": {\"a.bias\": \"one\", \"b.weight\": \"two\"}}");
    assert_refused("i", CPV_E_INPUT, "two tensors are named 'a.bias'");
    (void)make_text(name, "{\"weight_map\": {\"a.bias\": \"one\", \"c\": \"one\"}}");
    assert_refused("i", CPV_E_INPUT, "tensor 'c' should be in 'one', which lacks it");
    copy_to("all.safetensors", "i/three");
    (void)make_text(name, "{\"weight_map\": {\"a.bias\": \"three\", \"half\": \"one\"}}");
    assert_refused("i", CPV_E_INPUT, "tensor 'a.bias' should be in 'three', which lacks");
    (void)make_text(name, "{\"weight_map\": {\"a\": \"../i/one\"}}");
    assert_refused("i", CPV_E_INPUT,
                   "weight_map 'a': expected the name of a file beside");
    (void)make_text(name, "{\"weight_map\": {\"a\": 1}}");
    assert_refused("i", CPV_E_INPUT,
                   "weight_map 'a': expected the name of a file beside");
    (void)make_text(name, "{\"weight_map\": {}}");
    assert_refused("i", CPV_E_INPUT, "its weight_map is empty");
    (void)make_text(name, "{\"weight_map\": []}");
    assert_refused("i", CPV_E_INPUT, "expected an object 'weight_map'");
    (void)make_text(name, "{\"weight_map\": {\"a\": \"gone\"}}");
    assert_refused("i", CPV_E_ABSENT, "i/gone");
    (void)make_text(name, "{\"weight_map\"");
    assert_refused("i", CPV_E_INPUT, "not JSON");
}

static void a_wrong_shape_is_named_with_both(void **state)
{
    static const uint64_t good[] = {3, 4}, any[] = {CPV_CKPT_ANY, 4}, bad[] = {4, 4};
    const struct cpv_ckpt_tensor *t;
    struct cpv_err err = {0};
    cpv_checkpoint *c;

    (void)state;
    assert_ok(cpv_checkpoint_open(&c, golden("f16.safetensors"), &err));
    assert_ok(cpv_checkpoint_need(c, "b.weight", 2, good, &t, &err));
    assert_string_equal(t->name, "b.weight");
    assert_ok(cpv_checkpoint_need(c, "b.weight", 2, any, &t, &err));
    assert_int_equal(cpv_checkpoint_need(c, "b.weight", 2, bad, &t, &err), CPV_E_INPUT);
    assert_null(t);
    assert_says(&err, "tensor 'b.weight' has shape [3, 4], expected [4, 4]");
    assert_int_equal(cpv_checkpoint_need(c, "b.weight", 1, good, &t, &err), CPV_E_INPUT);
    assert_says(&err, "has shape [3, 4], expected [3]");
    assert_int_equal(cpv_checkpoint_need(c, "b", 0, good, &t, &err), CPV_E_INPUT);
    assert_says(&err, "no tensor 'b', expected one of shape []");
    cpv_checkpoint_close(&c);
}

/* kB of mapped files that this process holds; -1 where the system does not say. */
static long resident_files(void)
{
    struct cpv_buf b = {0};
    const char *at = NULL;
    long kb = -1;

    if (!cpv_file_read("/proc/self/status", 1 << 16, &b, NULL))
        at = strstr(cpv_buf_cstr(&b), "RssFile:");
    if (at)
        kb = strtol(at + strlen("RssFile:"), NULL, 10);
    cpv_buf_release(&b);
    return kb;
}

/* Released pages come back with the same bytes, and are gone meanwhile. */
static void a_released_tensor_can_still_be_read(void **state)
{
    enum { N = 1 << 20 };
    char head[200];
    struct cpv_buf b = {0};
    struct cpv_err err = {0};
    cpv_checkpoint *c;
    const struct cpv_ckpt_tensor *t;
    float row[64];
    long before;

    (void)state;
    (void)snprintf(
        head, sizeof head,
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[%d,64],\"data_offsets\":[0,%d]}}", N / 256,
        N);
    cpv_buf_u64(&b, strlen(head));
    cpv_buf_str(&b, head);
    for (uint32_t i = 0; i < N / 4; i++)
        cpv_buf_u32(&b, (i & 63) << 23);
    (void)make_file("big.safetensors", b.data, b.size);
    assert_ok(cpv_checkpoint_open(&c, "big.safetensors", &err));
    t = cpv_checkpoint_find(c, "w");
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < t->dim[0]; i++) {
            assert_ok(cpv_checkpoint_rows_f32(t, i, 1, row, &err));
            assert_memory_equal(row, b.data + 8 + strlen(head) + i * 256, 256);
        }
        before = resident_files();
        cpv_checkpoint_release(c, t);
        if (before >= 0)
            assert_true(resident_files() <= before - N / 1024 / 2);
    }
    cpv_checkpoint_close(&c);
    cpv_buf_release(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_wrote_is_read_as_it_was_meant),
        cmocka_unit_test(rows_are_those_of_the_whole),
        cmocka_unit_test(any_strides_are_honoured),
        cmocka_unit_test(every_half_is_widened_exactly),
        cmocka_unit_test(what_the_state_dict_needs_is_refused_by_name),
        cmocka_unit_test(a_file_cut_anywhere_is_one_clear_line),
        cmocka_unit_test(a_changed_byte_is_an_error_or_harmless),
        cmocka_unit_test(a_folder_gives_safetensors_before_pickles),
        cmocka_unit_test(files_that_are_none_are_said_to_be),
        cmocka_unit_test(a_bad_index_is_named),
        cmocka_unit_test(a_wrong_shape_is_named_with_both),
        cmocka_unit_test(a_released_tensor_can_still_be_read),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    return cmocka_run_group_tests_name("checkpoint", tests, enter_scratch, leave_scratch);
}
