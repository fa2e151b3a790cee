/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from files stays text, whatever it is; a page has its name once it is whole.
 */
#include "tests/unit/base/unit.h"

#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/base/size.h"
#include "common/base/utf8.h"
#include "pipeline/page.h"

static void escaped_is(const char *in, size_t n, const char *wanted)
{
    struct cpv_buf b = {0};

    cpv_page_escape(&b, cpv_bytes_of(in, n));
    assert_string_equal(cpv_buf_cstr(&b), wanted);
    cpv_buf_release(&b);
}

#define ESCAPED(in, wanted) escaped_is(in, sizeof in - 1, wanted)
#define BAD                 "\xEF\xBF\xBD"

static void markup_becomes_text(void **state)
{
    (void)state;
    ESCAPED("", "");
    ESCAPED("a dog", "a dog");
    ESCAPED("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
    ESCAPED("\"'&<>", "&quot;&#39;&amp;&lt;&gt;");
    ESCAPED("&lt;", "&amp;lt;");
    ESCAPED("two\nlines\tand", "two\nlines\tand");
    ESCAPED("um c\xC3\xA3o, \xE0\xA4\x95\xE0\xA5\x81",
            "um c\xC3\xA3o, \xE0\xA4\x95\xE0\xA5\x81");
    ESCAPED("\xF0\x9F\x90\xBE", "\xF0\x9F\x90\xBE");
}

static void what_html_forbids_is_replaced(void **state)
{
    (void)state;
    ESCAPED("a\0b", "a" BAD "b");
    ESCAPED("\x01\x1b\x7f\r", BAD BAD BAD BAD);
    ESCAPED("\xC2\x80\xC2\x9F\xC2\xA0", BAD BAD "\xC2\xA0");
    /* Noncharacters: U+FFFE, U+FDD0, U+1FFFF. */
    ESCAPED("\xEF\xBF\xBE\xEF\xB7\x90\xF0\x9F\xBF\xBF", BAD BAD BAD);
    /* Alone, overlong, a surrogate, cut short at the end. */
    ESCAPED("\xff<", BAD "&lt;");
    ESCAPED("\xC0\xAF", BAD BAD);
    ESCAPED("\xED\xA0\x80", BAD BAD BAD);
    ESCAPED("\xE2\x82", BAD);
}

/* Of any bytes: valid UTF-8 without a control character or a sign of markup. */
static void any_bytes_come_out_harmless(void **state)
{
    struct cpv_rng rng;

    (void)state;
    cpv_rng_init(&rng, 7, 1, 0);
    for (int round = 0; round < 2000; round++) {
        static const uint8_t DRAWN[] = "<>&\"'\0\x1b\xff\xc3\xa9\xe2\x80\xae a\n";
        struct cpv_buf in = {0}, out = {0};

        for (uint64_t n = cpv_rng_below(&rng, 40); n; n--)
            cpv_buf_byte(&in, cpv_rng_below(&rng, 2)
                                  ? DRAWN[cpv_rng_below(&rng, sizeof DRAWN - 1)]
                                  : (uint8_t)cpv_rng_below(&rng, 256));
        cpv_page_escape(&out, cpv_buf_view(&in));
        for (size_t i = 0; i < out.size;) {
            uint32_t c;
            int n = cpv_utf8_get(out.data + i, out.size - i, &c);

            assert_true(n > 0);
            assert_null(c < 0x80 && c ? strchr("<>\"'", (int)c) : NULL);
            assert_true(c >= 0x20 || c == '\t' || c == '\n');
            if (c == '&')
                assert_non_null(
                    memchr(out.data + i, ';', out.size - i < 7 ? out.size - i : 7));
            i += (size_t)n;
        }
        cpv_buf_release(&in);
        cpv_buf_release(&out);
    }
}

static void base64_is_that_of_rfc_4648(void **state)
{
    static const char *const table[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    struct cpv_buf b = {0};

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(table); i++) {
        cpv_buf_clear(&b);
        cpv_page_encode64(&b, cpv_bytes_str(table[i][0]));
        assert_string_equal(cpv_buf_cstr(&b), table[i][1]);
    }
    cpv_buf_clear(&b);
    cpv_page_encode64(&b, cpv_bytes_of("\xfb\xff\xfe", 3));
    assert_string_equal(cpv_buf_cstr(&b), "+//+");
    cpv_buf_release(&b);
}

static void a_page_has_its_name_once_it_is_whole(void **state)
{
    struct cpv_err err = {0};
    struct cpv_buf b = {0};
    uint64_t bytes = 0;
    cpv_page *page;

    (void)state;
    assert_int_equal(shell("printf old > page.html"), 0);
    assert_ok(cpv_page_create(&page, "page.html", &err));
    for (int i = 0; i < 20000; i++) {
        cpv_page_raw(page, "<b>");
        cpv_page_str(page, "<");
        cpv_page_printf(page, "%05d", i);
        cpv_page_base64(page, cpv_bytes_of("foo", 3));
    }
    assert_ok(cpv_file_read("page.html", 100, &b, &err));
    assert_string_equal(cpv_buf_cstr(&b), "old");
    assert_ok(cpv_page_commit(&page, &bytes, &err));
    assert_null(page);
    assert_int_equal(bytes, 20000 * 16);
    cpv_buf_clear(&b);
    assert_ok(cpv_file_read("page.html", 1 << 20, &b, &err));
    assert_int_equal(b.size, bytes);
    assert_memory_equal(b.data + b.size - 16, "<b>&lt;19999Zm9v", 16);
    assert_false(cpv_file_exists(".page.html.tmp"));
    cpv_buf_release(&b);
}

static void a_discarded_page_leaves_the_old_one(void **state)
{
    struct cpv_err err = {0};
    cpv_page *page;

    (void)state;
    assert_int_equal(shell("printf old > kept.html"), 0);
    assert_ok(cpv_page_create(&page, "kept.html", &err));
    cpv_page_raw(page, "new");
    cpv_page_discard(&page);
    assert_null(page);
    assert_int_equal(shell("test $(cat kept.html) = old && test ! -e .kept.html.tmp"), 0);
    cpv_page_discard(&page);
    assert_int_equal(cpv_page_create(&page, "none/x.html", &err), CPV_E_ABSENT);
    assert_null(page);
    assert_int_equal(shell("mkdir folder"), 0);
    assert_int_equal(cpv_page_create(&page, "folder", &err), CPV_E_USAGE);
    assert_int_equal(cpv_page_create(&page, "/dev/null", &err), CPV_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markup_becomes_text),
        cmocka_unit_test(what_html_forbids_is_replaced),
        cmocka_unit_test(any_bytes_come_out_harmless),
        cmocka_unit_test(base64_is_that_of_rfc_4648),
        cmocka_unit_test(a_page_has_its_name_once_it_is_whole),
        cmocka_unit_test(a_discarded_page_leaves_the_old_one),
    };

    return cmocka_run_group_tests(tests, enter_scratch, leave_scratch);
}
