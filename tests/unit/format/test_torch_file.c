/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State dicts in archives that the test writes itself: what a tensor may be made of, and
 * each way in which it may be wrong. The operations are written as pickletools has them.
 */
#include "checkpoint_unit.h"

#include "common/format/torch_file.h"

#define STORAGE(type, key, count)                                                        \
    "(X\7\0\0\0storagectorch\n" type "\nX\1\0\0\0" key "X\3\0\0\0cpu" count "tQ"
#define REBUILD "ctorch._utils\n_rebuild_tensor_v2\n("
#define HOOKS                                                                            \
    "\x89"                                                                               \
    "ccollections\nOrderedDict\n)R"
#define TENSOR(storage, offset, sizes, strides)                                          \
    REBUILD storage offset sizes strides HOOKS "tR"
#define NAME(one) "X\1\0\0\0" one
#define BEGIN     "\x80\2}("
#define END       "u."

static const float values[] = {0, 1, 2, 3, 4, 5};

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

static void read_entries(struct result *r, const struct zip_entry *e, size_t n,
                         bool zip64)
{
    struct cpv_buf b = {0};
    struct cpv_err err = {0};

    *r = (struct result){0};
    make_zip(&b, e, n, zip64);
    r->file = exact(b.data, b.size);
    cpv_buf_release(&b);
    assert_ok(cpv_arena_open(&r->mem, 0, &err));
    r->list.mem = r->mem;
    r->rc = cpv_torch_read(&r->list, r->file, "t", &r->err);
    if (!r->rc)
        assert_ok(cpv_ckpt_list_sort(&r->list, "t", &err));
}

/* An archive with this pickle, and storage 0 of six floats. */
static void read_pickle(struct result *r, const void *pickle, size_t n)
{
    const struct zip_entry e[] = {{"x/data.pkl", pickle, n, 3},
                                  {"x/byteorder", "little", 6, 5},
                                  {"x/data/0", values, sizeof values, 29}};

    read_entries(r, e, 3, n % 2 == 0);
}

#define READ(r, literal) read_pickle(r, literal, sizeof(literal) - 1)
#define BAD(literal, says)                                                               \
    do {                                                                                 \
        struct result r_;                                                                \
        READ(&r_, literal);                                                              \
        assert_int_equal(r_.rc, CPV_E_INPUT);                                            \
        assert_says(&r_.err, says);                                                      \
        assert_says(&r_.err, "'t'");                                                     \
        finish(&r_);                                                                     \
    } while (0)

#define SIX  STORAGE("FloatStorage", "0", "K\6")
#define GOOD TENSOR(SIX, "K\0", "K\2K\3\x86", "K\3K\1\x86")

static void tensors_share_a_storage(void **state)
{
    struct result r;
    const struct cpv_ckpt_tensor *a, *b, *c;
    float got[4];
    struct cpv_err err = {0};

    (void)state;
    READ(&r, BEGIN NAME("b") TENSOR(SIX, "K\1", "K\2K\2\x86", "K\1K\3\x86") NAME("a")
                 GOOD NAME("c") GOOD END);
    if (r.rc)
        fail_msg("%s", r.err.text);
    assert_int_equal(r.list.count, 3);
    a = cpv_ckpt_list_find(&r.list, "a");
    b = cpv_ckpt_list_find(&r.list, "b");
    c = cpv_ckpt_list_find(&r.list, "c");
    assert_true(cpv_checkpoint_tied(a, c) && !cpv_checkpoint_tied(a, b));
    assert_ptr_equal(a->storage, b->storage);
    assert_true(a->contiguous && !b->contiguous);
    assert_int_equal(a->bytes, 24);
    assert_int_equal(b->bytes, 20);
    assert_ok(cpv_checkpoint_rows_f32(b, 0, 2, got, &err));
    assert_true(got[0] == 1 && got[1] == 4 && got[2] == 2 && got[3] == 5);
    finish(&r);
    READ(&r, BEGIN NAME("a") TENSOR(SIX, "K\0", ")", ")") NAME("b")
                 TENSOR(SIX, "K\1", ")", ")") END);
    assert_int_equal(r.list.count, 2);
    assert_false(cpv_checkpoint_tied(&r.list.at[0], &r.list.at[1]));
    finish(&r);
}

static void parameters_and_old_forms_are_looked_through(void **state)
{
    struct result r;

    (void)state;
    READ(&r, BEGIN NAME("a") "ctorch._utils\n_rebuild_parameter\n(" GOOD HOOKS "tR" END);
    assert_int_equal(r.rc, CPV_OK);
    assert_int_equal(r.list.count, 1);
    finish(&r);
    READ(&r, BEGIN NAME("a") "ctorch._utils\n_rebuild_tensor\n(" SIX
                             "K\0K\6\x85K\1\x85tR" END);
    assert_int_equal(r.rc, CPV_OK);
    finish(&r);
    READ(&r, BEGIN NAME("a") "ctorch._tensor\n_rebuild_from_type_v2\n("
                             "ctorch._utils\n_rebuild_tensor_v2\ncsome\nTensor\n(" SIX
                             "K\0K\6\x85K\1\x85" HOOKS "t}tR" END);
    assert_int_equal(r.rc, CPV_OK);
    assert_int_equal(r.list.count, 1);
    finish(&r);
}

static void what_is_no_tensor_is_passed_over(void **state)
{
    struct result r;

    (void)state;
    READ(&r, BEGIN NAME("a") GOOD NAME("n") "K\1" NAME("s") NAME("t") "K\1N" END);
    assert_int_equal(r.rc, CPV_OK);
    assert_int_equal(r.list.count, 1);
    finish(&r);
    READ(&r, "\x80\2}.");
    assert_int_equal(r.rc, CPV_OK);
    assert_int_equal(r.list.count, 0);
    finish(&r);
    BAD(BEGIN NAME("n") "K\1" END, "a dict without a single tensor");
}

/* Beside a state dict anything may stand; in it nothing that would have to be made. */
static void an_unlisted_global_matters_only_where_it_is_needed(void **state)
{
    struct result r;

    (void)state;
    READ(&r, "\x80\2}(X\12\0\0\0state_dict}(" NAME("a") GOOD
         "u" NAME("x") "cos\nsystem\nX\4\0\0\0exit\x85R" END);
    assert_int_equal(r.rc, CPV_OK);
    assert_int_equal(r.list.count, 1);
    finish(&r);
    BAD(BEGIN NAME("a") GOOD NAME("x") "cos\nsystem\nX\4\0\0\0exit\x85R" END,
        "tensor 'x' would have to be made by global 'os.system', which is not allowed");
    BAD("\x80\2cos\nsystem\nX\4\0\0\0exit\x85R.",
        "expected a dict of tensors, found a call of global 'os.system'");
    BAD("\x80\2}(X\12\0\0\0state_dictcmy\nDict\n)R" END,
        "expected a dict of tensors under 'state_dict', found a call of global "
        "'my.Dict'");
    BAD("\x80\2N.", "expected a dict of tensors, found None");
    BAD(BEGIN NAME("a") "ctorch._utils\n_rebuild_parameter\n(cos\nsystem\n)RtR" END,
        "would have to be made by global 'os.system'");
    BAD(BEGIN NAME("a") "cmy\nwrap\n(" GOOD HOOKS "tR" END,
        "tensor 'a' would have to be made by global 'my.wrap'");
    BAD(BEGIN NAME("a") "cmy\nwrap\n(ctorch._utils\n_rebuild_tensor_v2\nN(" SIX
                        "K\0K\6\x85K\1\x85" HOOKS "t}tR" END,
        "tensor 'a' would have to be made by global 'my.wrap'");
    BAD(BEGIN NAME("a") "ctorch._utils\n_rebuild_parameter\n(NtR" END,
        "would have to be made by global 'torch._utils._rebuild_parameter'");
    BAD(BEGIN NAME("a") "ctorch._utils\n_rebuild_tensor_v3\n(" SIX "tR" END,
        "made by global 'torch._utils._rebuild_tensor_v3'");
    BAD(BEGIN NAME("a") TENSOR(STORAGE("system", "0", "K\6"), "K\0", "K\6\x85", "K\1\x85")
            END,
        "tensor 'a': its type, global 'torch.system', is not supported");
    BAD(BEGIN "K\1" GOOD END, "the key of a tensor is an integer, expected a text");
}

static void a_tensor_stays_in_its_storage(void **state)
{
    (void)state;
#define AT(offset, sizes, strides) BEGIN NAME("a") TENSOR(SIX, offset, sizes, strides) END
    BAD(AT("K\1", "K\2K\3\x86", "K\3K\1\x86"),
        "of shape [2, 3] reaches beyond its storage");
    BAD(AT("K\7", ")", ")"), "of shape [] reaches beyond its storage of 6");
    BAD(AT("K\6", ")", ")"), "reaches beyond its storage of 6");
    BAD(AT("K\0", "K\2\x85", "K\6\x85"), "reaches beyond its storage");
    BAD(AT("K\0", "\x8A\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x85", "K\2\x85"),
        "reaches beyond its storage");
    BAD(AT("K\0", "\x8A\x08\0\0\0\0\0\0\0\x40K\4\x86", "K\4K\1\x86"),
        "reaches beyond its storage");
    BAD(AT("K\0", "K\7\x85", "K\0\x85"),
        "repeats a storage of 6, which is not supported");
    BAD(AT("K\0", "\x8A\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x85", "K\0\x85"),
        "repeats a storage of 6");
#define MADE "not made of a storage"
    BAD(AT("J\xFF\xFF\xFF\xFF", "K\1\x85", "K\1\x85"), MADE);
    BAD(AT("K\0", "K\1\x85", "J\xFF\xFF\xFF\xFF\x85"), MADE);
    BAD(AT("K\0", "K\1\x85", ")"), MADE);
    BAD(AT("K\0", "NK\1\x86", "K\1K\1\x86"), MADE);
    BAD(AT("K\0", "K\1", "K\1"), MADE);
    BAD(AT("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"),
        MADE);
    BAD(BEGIN NAME("a") REBUILD "K\1K\0))tR" END, MADE);
    BAD(BEGIN NAME("a") REBUILD SIX "tR" END, MADE);
}

static void a_storage_is_what_its_id_says(void **state)
{
    static const char many[] =
        BEGIN NAME("a") TENSOR(STORAGE("FloatStorage", "1", "K\6"), "K\0", ")", ")") END;

    (void)state;
    BAD(many, "the archive has no storage 'data/1'");
#define WITH(storage) BEGIN NAME("a") TENSOR(storage, "K\0", ")", ")") END
    BAD(WITH(STORAGE("FloatStorage", "0", "K\7")),
        "its storage has 24 bytes, expected 7");
    BAD(WITH(STORAGE("FloatStorage", "0", "K\5")),
        "its storage has 24 bytes, expected 5");
    BAD(WITH(STORAGE("DoubleStorage", "0", "K\6")),
        "its storage has 24 bytes, expected 6");
    BAD(WITH("NQ"), "its storage is not ('storage', type, key, device, count)");
    BAD(WITH("(X\7\0\0\0storagectorch\nFloatStorage\nK\1NK\6tQ"), "its storage is not");
    BAD(WITH("(X\6\0\0\0modulectorch\nFloatStorage\nX\1\0\0\0"
             "0NK\6tQ"),
        "its storage is not");
    BAD(WITH("(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
             "0NJ\xFF\xFF\xFF\xFFtQ"),
        "its storage is not");
    BAD(WITH("(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
             "0NK\6X\1\0\0\0vK\1K\6\x87tQ"),
        "the view of its storage is not inside it");
}

static void names_are_texts(void **state)
{
    (void)state;
    BAD(BEGIN "X\0\0\0\0" GOOD END, "is no text of 1 to 512 bytes");
    BAD(BEGIN NAME("\n") GOOD END, "name '?' is no text of 1 to 512 bytes");
    BAD(BEGIN NAME("\xFF") GOOD END, "is no text");
    BAD(BEGIN NAME("\0") GOOD END, "is no text");
}

static void an_archive_must_be_torchs(void **state)
{
    static const char pickle[] = BEGIN NAME("a") GOOD END;
    const size_t n = sizeof pickle - 1;
    const struct zip_entry none[] = {{"x/y", "", 0, 0}};
    const struct zip_entry two[] = {{"x/data.pkl", pickle, n, 0},
                                    {"y/data.pkl", pickle, n, 0}};
    const struct zip_entry big[] = {{"x/data.pkl", pickle, n, 0},
                                    {"x/byteorder", "big", 3, 0},
                                    {"x/data/0", values, sizeof values, 0}};
    const struct zip_entry other[] = {{"x/data.pkl", pickle, n, 0},
                                      {"y/data/0", values, sizeof values, 0}};
    struct result r;

    (void)state;
    read_entries(&r, none, 1, false);
    assert_says(&r.err, "a ZIP archive, but not PyTorch's");
    finish(&r);
    read_entries(&r, two, 2, false);
    assert_says(&r.err, "two entries that end in '/data.pkl'");
    finish(&r);
    read_entries(&r, big, 3, true);
    assert_says(&r.err, "byte order 'big', expected 'little'");
    finish(&r);
    read_entries(&r, other, 2, true);
    assert_says(&r.err, "the archive has no storage 'data/0'");
    finish(&r);
}

/* ---- the legacy form ---- */

#define MAGIC   "\x80\2\x8A\12\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19."
#define VERSION "\x80\2M\xE9\3."
#define MACHINE "\x80\2}X\15\0\0\0little_endian\x88s."
#define KEYS                                                                             \
    "\x80\2]X\1\0\0\0"                                                                   \
    "0a."

static void read_legacy(struct result *r, const void *head, size_t n, uint64_t count,
                        size_t bytes)
{
    struct cpv_buf b = {0};
    struct cpv_err err = {0};

    *r = (struct result){0};
    cpv_buf_add(&b, head, n);
    cpv_buf_u64(&b, count);
    cpv_buf_add(&b, values, bytes);
    r->file = exact(b.data, b.size);
    cpv_buf_release(&b);
    assert_ok(cpv_arena_open(&r->mem, 0, &err));
    r->list.mem = r->mem;
    r->rc = cpv_torch_read(&r->list, r->file, "t", &r->err);
}

#define LEGACY(r, head, count, bytes) read_legacy(r, head, sizeof(head) - 1, count, bytes)
#define BAD_LEGACY(head, count, bytes, says)                                             \
    do {                                                                                 \
        struct result r_;                                                                \
        LEGACY(&r_, head, count, bytes);                                                 \
        assert_int_equal(r_.rc, CPV_E_INPUT);                                            \
        assert_says(&r_.err, says);                                                      \
        finish(&r_);                                                                     \
    } while (0)

/* With the sixth member of the persistent id. */
#define OLD(view)                                                                        \
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"                                   \
    "0X\3\0\0\0cpuK\6" view "tQ"
#define DICT(view) BEGIN NAME("a") TENSOR(OLD(view), "K\1", "K\2\x85", "K\1\x85") END

static void the_legacy_form_and_its_views_are_read(void **state)
{
    struct result r;
    struct cpv_err err = {0};
    float got[2];

    (void)state;
    LEGACY(&r, MAGIC VERSION MACHINE DICT("N") KEYS, 6, sizeof values);
    if (r.rc)
        fail_msg("%s", r.err.text);
    assert_ok(cpv_checkpoint_rows_f32(&r.list.at[0], 0, 2, got, &err));
    assert_true(got[0] == 1 && got[1] == 2);
    finish(&r);
    LEGACY(&r, MAGIC VERSION MACHINE DICT("X\1\0\0\0vK\2K\3\x87") KEYS, 6, sizeof values);
    assert_int_equal(r.rc, CPV_OK);
    assert_ok(cpv_checkpoint_rows_f32(&r.list.at[0], 0, 2, got, &err));
    assert_true(got[0] == 3 && got[1] == 4);
    finish(&r);
}

static void a_wrong_legacy_file_is_refused(void **state)
{
    (void)state;
#define PREAMBLE MAGIC VERSION MACHINE
    BAD_LEGACY(PREAMBLE DICT("X\1\0\0\0vK\2K\5\x87") KEYS, 6, 24, "is not inside it");
    BAD_LEGACY(PREAMBLE DICT("X\1\0\0\0vK\2K\2\x87") KEYS, 6, 24, "reaches beyond");
    BAD_LEGACY(PREAMBLE DICT("N") KEYS, 5, 24, "expected storage '0' of 6 elements");
    BAD_LEGACY(PREAMBLE DICT("N") KEYS, 6, 23, "expected storage '0' of 6 elements");
    BAD_LEGACY(PREAMBLE DICT("N") "\x80\2].", 6, 24, "its storage is not in the file");
    BAD_LEGACY(PREAMBLE DICT("N") "\x80\2]X\1\0\0\0"
                                  "1a.",
               6, 24, "storage key 0 is unknown");
    BAD_LEGACY(PREAMBLE DICT("N") "\x80\2]K\1a.", 6, 24, "storage key 0 is unknown");
    BAD_LEGACY(PREAMBLE DICT("N") "N.", 6, 24,
               "expected a list of storage keys, found None");
    BAD_LEGACY(PREAMBLE BEGIN NAME("a") TENSOR(OLD("N"), "K\1", ")", ")") NAME("b")
                   TENSOR(STORAGE("FloatStorage", "0", "K\5"), "K\1", ")", ")") END KEYS,
               6, 24, "storage '0' has two different types or sizes");
    BAD_LEGACY(PREAMBLE DICT("N") "\x80\2]X\1\0\0\0"
                                  "0aX\1\0\0\0"
                                  "0a.",
               6, 24, "storage key 1 is unknown or there twice");
    BAD_LEGACY(MAGIC "\x80\2M\xEA\3." MACHINE, 6, 24, "other than 1001");
    BAD_LEGACY(MAGIC VERSION "\x80\2}X\15\0\0\0little_endian\x89s.", 6, 24,
               "not written on a little-endian machine");
    BAD_LEGACY(MAGIC VERSION "\x80\2}.", 6, 24, "not written on a little-endian machine");
    BAD_LEGACY("\x80\2K\1.", 6, 24, "no PyTorch file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_share_a_storage),
        cmocka_unit_test(parameters_and_old_forms_are_looked_through),
        cmocka_unit_test(what_is_no_tensor_is_passed_over),
        cmocka_unit_test(an_unlisted_global_matters_only_where_it_is_needed),
        cmocka_unit_test(a_tensor_stays_in_its_storage),
        cmocka_unit_test(a_storage_is_what_its_id_says),
        cmocka_unit_test(names_are_texts),
        cmocka_unit_test(an_archive_must_be_torchs),
        cmocka_unit_test(the_legacy_form_and_its_views_are_read),
        cmocka_unit_test(a_wrong_legacy_file_is_refused),
    };

    return cmocka_run_group_tests_name("torch_file", tests, NULL, NULL);
}
