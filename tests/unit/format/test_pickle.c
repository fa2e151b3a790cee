/* SPDX-License-Identifier: Apache-2.0 */
/* Pickles as data: every operation, and what is refused. Bytes as pickletools has them.
 */
#include "checkpoint_unit.h"

#include <math.h>

#include "common/format/pickle.h"

static cpv_arena *mem;
static struct cpv_err err;

static int open_arena(void **state)
{
    (void)state;
    err = (struct cpv_err){0};
    return cpv_arena_open(&mem, 0, &err);
}

static int close_arena(void **state)
{
    (void)state;
    cpv_arena_close(&mem);
    return 0;
}

/* The texts of a tree point into the pickle, so it lives until the test ends. */
static int read_pickle(cpv_pickle_ref *root, const void *data, size_t n, size_t *used)
{
    struct cpv_pickle p = {0};
    uint8_t *copy = cpv_arena_alloc(mem, n ? n : 1);
    size_t at = 0;
    int rc;

    memcpy(copy, data, n);
    rc = cpv_pickle_read(&p, cpv_bytes_of(copy, n), &at, "t", mem, &err);
    if (used)
        *used = at;
    *root = p.root;
    return rc;
}

#define GOOD(root, literal)                                                              \
    assert_ok(read_pickle(&(root), literal, sizeof(literal) - 1, NULL))
#define BAD(literal, says)                                                               \
    do {                                                                                 \
        cpv_pickle_ref none_;                                                            \
        assert_int_equal(read_pickle(&none_, literal, sizeof(literal) - 1, NULL),        \
                         CPV_E_INPUT);                                                   \
        assert_says(&err, says);                                                         \
        assert_says(&err, "'t' pickle byte ");                                           \
    } while (0)

static void assert_int(cpv_pickle_ref v, int64_t want)
{
    assert_int_equal(v->kind, CPV_PICKLE_INT);
    assert_true(v->integer == want);
}

static void numbers_have_their_values(void **state)
{
    cpv_pickle_ref v;

    (void)state;
    GOOD(v, "K\xFF.");
    assert_int(v, 255);
    GOOD(v, "M\xFE\xFF.");
    assert_int(v, 65534);
    GOOD(v, "J\xFE\xFF\xFF\xFF.");
    assert_int(v, -2);
    GOOD(v, "\x8A\0.");
    assert_int(v, 0);
    GOOD(v, "\x8A\x01\x80.");
    assert_int(v, -128);
    GOOD(v, "\x8A\x02\x80\0.");
    assert_int(v, 128);
    GOOD(v, "\x8A\x08\0\0\0\0\0\0\0\x80.");
    assert_int(v, INT64_MIN);
    GOOD(v, "\x8B\x03\0\0\0\1\2\3.");
    assert_int(v, 0x030201);
    GOOD(v, "\x8A\x09\0\0\0\0\0\0\0\x80\0.");
    assert_int_equal(v->kind, CPV_PICKLE_LONG);
    assert_int_equal(v->bytes.size, 9);
    GOOD(v, "I-4294967296\n.");
    assert_int(v, -4294967296);
    GOOD(v, "L77L\n.");
    assert_int(v, 77);
    GOOD(v, "I01\n.");
    assert_int_equal(v->kind, CPV_PICKLE_BOOL);
    assert_int_equal(v->integer, 1);
    GOOD(v, "\x89.");
    assert_int_equal(v->kind, CPV_PICKLE_BOOL);
    assert_int_equal(v->integer, 0);
    GOOD(v, "N.");
    assert_int_equal(v->kind, CPV_PICKLE_NONE);
    GOOD(v, "G\xBF\xF8\0\0\0\0\0\0.");
    assert_int_equal(v->kind, CPV_PICKLE_REAL);
    assert_true(v->real == -1.5);
    BAD("I99999999999999999999\n.", "an integer that is none or too large");
    BAD("I-\n.", "an integer");
    BAD("I1x\n.", "an integer");
    BAD("I12", "a line has no end");
}

static void texts_and_bytes_are_views(void **state)
{
    cpv_pickle_ref v;

    (void)state;
    GOOD(v, "X\3\0\0\0abc.");
    assert_true(cpv_pickle_is_text(v, "abc"));
    assert_false(cpv_pickle_is_text(v, "ab"));
    GOOD(v, "U\2ab.");
    assert_true(cpv_pickle_is_text(v, "ab"));
    GOOD(v, "T\2\0\0\0ab.");
    assert_true(cpv_pickle_is_text(v, "ab"));
    GOOD(v, "\x8C\2ab.");
    assert_true(cpv_pickle_is_text(v, "ab"));
    GOOD(v, "\x8D\2\0\0\0\0\0\0\0ab.");
    assert_true(cpv_pickle_is_text(v, "ab"));
    GOOD(v, "C\2a\0.");
    assert_int_equal(v->kind, CPV_PICKLE_BYTES);
    assert_int_equal(v->bytes.size, 2);
    GOOD(v, "B\1\0\0\0a.");
    assert_int_equal(v->kind, CPV_PICKLE_BYTES);
    GOOD(v, "\x8E\1\0\0\0\0\0\0\0a.");
    assert_int_equal(v->kind, CPV_PICKLE_BYTES);
    GOOD(v, "\x96\1\0\0\0\0\0\0\0a.");
    assert_int_equal(v->kind, CPV_PICKLE_BYTES);
    BAD("X\xFF\xFF\xFF\xFF.", "reaches beyond the end");
    BAD("\x8D\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF.", "reaches beyond the end");
    BAD("X\3\0", "ends within an operation");
}

static void containers_hold_what_was_put_in(void **state)
{
    cpv_pickle_ref v;

    (void)state;
    GOOD(v, ").");
    assert_int_equal(v->kind, CPV_PICKLE_TUPLE);
    assert_int_equal(v->list.count, 0);
    GOOD(v, "K\1K\2K\3\x87.");
    assert_int_equal(v->list.count, 3);
    assert_int(v->list.at[0], 1);
    assert_int(v->list.at[2], 3);
    GOOD(v, "(K\1(K\2K\3tK\4l.");
    assert_int_equal(v->kind, CPV_PICKLE_LIST);
    assert_int_equal(v->list.count, 3);
    assert_int_equal(v->list.at[1]->kind, CPV_PICKLE_TUPLE);
    assert_int(v->list.at[2], 4);
    GOOD(v, "]K\1a(K\2K\3eK\4a.");
    assert_int_equal(v->list.count, 4);
    assert_int(v->list.at[3], 4);
    GOOD(v, "}X\1\0\0\0aK\1s(X\1\0\0\0bK\2X\1\0\0\0aK\3u.");
    assert_int_equal(v->kind, CPV_PICKLE_DICT);
    assert_int_equal(v->list.count, 6);
    assert_int(cpv_pickle_get(v, "a"), 3); /* the last one, as in Python */
    assert_int(cpv_pickle_get(v, "b"), 2);
    assert_null(cpv_pickle_get(v, "c"));
    assert_null(cpv_pickle_get(v->list.at[0], "a"));
    GOOD(v, "\x8F(K\1\x90.");
    assert_int_equal(v->kind, CPV_PICKLE_SET);
    assert_int_equal(v->list.count, 1);
    GOOD(v, "(K\1K\2\x91.");
    assert_int_equal(v->kind, CPV_PICKLE_SET);
    BAD("(K\1d.", "not as many values");
    BAD("}(K\1u.", "a key without a value");
    BAD(")(K\1e.", "nothing that values could be put into");
    BAD("K\1\x86.", "not as many values");
    BAD("(\x85.", "not as many values");
    BAD("(K\1K\2(tl0", "ends before its STOP");
    BAD("t.", "no mark on the stack");
    BAD("(e.", "nothing that values could be put into");
    BAD("a.", "not as many values");
}

static void ordered_dicts_are_dicts(void **state)
{
    cpv_pickle_ref v;

    (void)state;
    GOOD(v, "ccollections\nOrderedDict\n)R(X\1\0\0\0aK\1u}X\1\0\0\0mK\2sb.");
    assert_int_equal(v->kind, CPV_PICKLE_DICT);
    assert_int(cpv_pickle_get(v, "a"), 1);
    assert_null(cpv_pickle_get(v, "m"));
    /* Python 2: OrderedDict([['a', 1]]) */
    GOOD(v, "ccollections\nOrderedDict\n]](U\1aK\1ea\x85R.");
    assert_int(cpv_pickle_get(v, "a"), 1);
    BAD("ccollections\nOrderedDict\n]]a\x85R.", "an OrderedDict of what is no list");
    BAD("ccollections\nOrderedDict\nN\x85R.", "an OrderedDict of what is no list");
}

static void calls_and_globals_are_inert(void **state)
{
    cpv_pickle_ref v;

    (void)state;
    GOOD(v, "cos\nsystem\n.");
    assert_true(cpv_pickle_is_global(v, "os", "system"));
    assert_false(cpv_pickle_is_global(v, "os", "syste"));
    assert_string_equal(cpv_pickle_describe(v).text, "global 'os.system'");
    GOOD(v, "\x80\2cos\nsystem\nX\4\0\0\0exit\x85R}b.");
    assert_int_equal(v->kind, CPV_PICKLE_CALL);
    assert_true(cpv_pickle_is_global(v->call.what, "os", "system"));
    assert_true(cpv_pickle_is_text(v->call.with->list.at[0], "exit"));
    assert_string_equal(cpv_pickle_describe(v).text, "a call of global 'os.system'");
    GOOD(v, "\x8C\2os\x8C\6system\x93.");
    assert_true(cpv_pickle_is_global(v, "os", "system"));
}

/* Each on its own: what the stack holds before them differs. */
static void other_ways_to_make_an_object_are_inert_too(void **state)
{
    cpv_pickle_ref v;

    (void)state;
    GOOD(v, "\x8C\2os\x8C\6system\x93)\x81(K\1eK\1K\2s.");
    assert_int_equal(v->kind, CPV_PICKLE_CALL);
    GOOD(v, "cos\nsystem\n)}\x92.");
    assert_int_equal(v->kind, CPV_PICKLE_CALL);
    GOOD(v, "(cos\nsystem\nK\1o.");
    assert_int_equal(v->kind, CPV_PICKLE_CALL);
    assert_int(v->call.with->list.at[0], 1);
    GOOD(v, "cos\nsystem\n)R)R.");
    assert_string_equal(cpv_pickle_describe(v).text, "a call of what a call made");
    BAD("(o.", "an object without a class");
    BAD("R.", "nothing on the stack");
    BAD("K\1K\2\x93.", "a global whose names are no texts");
    BAD("cos\nsystem", "a line has no end");
    BAD("(ios\nsystem\n.", "operation 0x69 is not supported");
    BAD("\x82\1.", "operation 0x82 is not supported");
}

static void persistent_ids_are_listed(void **state)
{
    static const char text[] = "(X\1\0\0\0aQX\1\0\0\0bQl.";
    struct cpv_pickle p = {0};
    size_t at = 0;

    (void)state;
    assert_ok(
        cpv_pickle_read(&p, cpv_bytes_of(text, sizeof text - 1), &at, "t", mem, &err));
    assert_int_equal(p.persistent.count, 2);
    assert_true(cpv_pickle_is_text(p.persistent.at[1]->id, "b"));
    assert_ptr_equal(p.root->list.at[0], p.persistent.at[0]);
    BAD("Q.", "nothing on the stack");
}

static void the_memo_gives_the_same_value_again(void **state)
{
    cpv_pickle_ref v;

    (void)state;
    GOOD(v, "]q\1h\1h\1\x87.");
    assert_ptr_equal(v->list.at[0], v->list.at[2]);
    GOOD(v, "]r\0\1\0\0j\0\1\0\0\x86.");
    assert_ptr_equal(v->list.at[0], v->list.at[1]);
    GOOD(v, "]\x94K\1\x94h\0h\1\x86\x86\x86.");
    assert_int_equal(v->list.count, 2);
    GOOD(v, "]q\0q\0K\1\x94h\0h\1\x86\x86\x86."); /* as many as there are */
    assert_int(v->list.at[1]->list.at[1]->list.at[1], 1);
    GOOD(v, "]q\0h\0a."); /* a list in itself */
    assert_ptr_equal(v->list.at[0], v);
    GOOD(v, "K\1"
            "2\x86.");
    assert_ptr_equal(v->list.at[0], v->list.at[1]);
    GOOD(v, "K\1K\2"
            "0.");
    assert_int(v, 1);
    GOOD(v, "K\1(K\2K\3"
            "1.");
    assert_int(v, 1);
    BAD("h\0.", "a memo entry that was never made");
    BAD("j\xFF\xFF\xFF\xFF.", "a memo entry that was never made");
    BAD("K\1r\xFF\xFF\xFF\xFF.", "a number larger than is allowed");
    BAD("q\0.", "nothing on the stack");
    BAD("(q\0.", "nothing on the stack");
    BAD("0.", "nothing on the stack");
    BAD("2.", "nothing on the stack");
}

static void the_end_must_be_one_value(void **state)
{
    cpv_pickle_ref v;
    size_t used;

    (void)state;
    assert_ok(read_pickle(&v, "\x80\4\x95\1\0\0\0\0\0\0\0N.rest", 16, &used));
    assert_int_equal(used, 13);
    BAD(".", "not one value at its end");
    BAD("NN.", "not one value at its end");
    BAD("(.", "not one value at its end");
    BAD("", "ends before its STOP");
    BAD("N", "ends before its STOP");
    BAD("\x80\6N.", "a protocol above 5");
    BAD("\x97N.", "operation 0x97 is not supported");
}

/* n times the same operation behind a beginning. */
static int repeated(const char *first, char op, size_t n, const char *last)
{
    struct cpv_buf b = {0};
    struct cpv_pickle p;
    size_t at = 0;
    int rc;

    cpv_buf_str(&b, first);
    assert_non_null(cpv_buf_reserve(&b, n));
    memset(b.data + b.size, op, n);
    b.size += n;
    cpv_buf_str(&b, last);
    rc = cpv_pickle_read(&p, cpv_buf_view(&b), &at, "t", mem, &err);
    cpv_buf_release(&b);
    return rc;
}

static void bombs_are_bounded(void **state)
{
    struct cpv_buf b = {0};
    struct cpv_pickle p;
    size_t at = 0;

    (void)state;
    assert_ok(repeated("N", '\x85', 1000000, ".")); /* a million tuples deep */
    assert_int_equal(repeated("", ']', CPV_PICKLE_VALUES_MAX + 1, ""), CPV_E_INPUT);
    assert_says(&err, "more values than are allowed");
    assert_int_equal(repeated("", '(', CPV_PICKLE_VALUES_MAX + 1, ""), CPV_E_INPUT);
    assert_says(&err, "more values than are allowed");
    assert_int_equal(repeated("N", '2', CPV_PICKLE_VALUES_MAX + 1, ""), CPV_E_INPUT);
    assert_says(&err, "more values than are allowed");
    /* The same million values put into many lists. */
    cpv_buf_str(&b, "]");
    for (int i = 0; i < 16; i++) {
        cpv_buf_str(&b, "(N");
        assert_non_null(cpv_buf_reserve(&b, 1 << 20));
        memset(b.data + b.size, '2', 1 << 20);
        b.size += 1 << 20;
        cpv_buf_str(&b, "ta");
    }
    assert_int_equal(cpv_pickle_read(&p, cpv_buf_view(&b), &at, "t", mem, &err),
                     CPV_E_INPUT);
    assert_says(&err, "more values in lists than are allowed");
    assert_true(cpv_arena_used(mem) < (size_t)400 << 20);
    cpv_buf_release(&b);
}

static void names_in_messages_are_harmless(void **state)
{
    cpv_pickle_ref v;
    struct cpv_buf b = {0};

    (void)state;
    GOOD(v, "co\r\x1B[2Js\n\xFF'\n.");
    assert_string_equal(cpv_pickle_describe(v).text, "global 'o??[2Js.?\?'");
    cpv_buf_str(&b, "cm\nx");
    for (int i = 0; i < 1000; i++)
        cpv_buf_str(&b, "\xC3\xA9"); /* cut between characters */
    cpv_buf_str(&b, "\n.");
    assert_ok(read_pickle(&v, b.data, b.size, NULL));
    assert_non_null(strstr(cpv_pickle_describe(v).text, "\xC3\xA9...'"));
    cpv_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_have_their_values, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(texts_and_bytes_are_views, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(containers_hold_what_was_put_in, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(ordered_dicts_are_dicts, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(calls_and_globals_are_inert, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(other_ways_to_make_an_object_are_inert_too,
                                        open_arena, close_arena),
        cmocka_unit_test_setup_teardown(persistent_ids_are_listed, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(the_memo_gives_the_same_value_again, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(the_end_must_be_one_value, open_arena,
                                        close_arena),
        cmocka_unit_test_setup_teardown(bombs_are_bounded, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(names_in_messages_are_harmless, open_arena,
                                        close_arena),
    };

    return cmocka_run_group_tests_name("pickle", tests, NULL, NULL);
}
