/* SPDX-License-Identifier: Apache-2.0 */
/* What golden lines cannot hold: captions of several lines; blanks; characters one by
 * one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/size.h"
#include "common/text/clean.h"
#include "common/text/html.h"
#include "common/text/unicode.h"

static void lines_are_cleaned_one_by_one(void **state)
{
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"&EACUTE;\n&EACUTE;", "\xC3\x89 \xC3\x89"},
        /* From the first "<" on it is HTML, where that name means nothing. */
        {"&EACUTE;\n<b>&EACUTE;\n&EACUTE;", "\xC3\x89 <b>&EACUTE; &EACUTE;"},
        {"&EACUTE;\nx\n<", "\xC3\x89 x <"},
        {"a\r\nb\rc\n\n d ", "a b c d"},
        {"\n", ""},
        {"e\n\xCC\x81", "e \xCC\x81"}, /* no normal form across lines */
        {"e\xCC\x81\n", "\xC3\xA9"},
        {"\xC3\x83\xC2\xA9", "\xC3\x83\xC2\xA9"}, /* no guess at wrong encodings */
    };
    struct cpv_buf out = {0};

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        cpv_buf_clear(&out);
        assert_int_equal(cpv_clean_caption(cpv_bytes_str(cases[i].text), &out, NULL),
                         CPV_OK);
        if (!cpv_bytes_equal(cpv_buf_view(&out), cpv_bytes_str(cases[i].clean)))
            fail_msg("%zu: '%s'", i, cpv_buf_cstr(&out));
    }
    cpv_buf_release(&out);
}

static void every_name_of_html_is_found(void **state)
{
    struct cpv_buf text = {0}, out = {0}, expected = {0};

    (void)state;
    for (size_t i = 0; i < cpv_html_entities_count; i++) {
        const struct cpv_html_entity *e = cpv_html_entities + i;
        uint32_t second = (uint32_t)(e->code >> CPV_HTML_SECOND & CPV_HTML_CHAR);

        if (i > 0)
            assert_true(strcmp(e[-1].name, e->name) < 0);
        cpv_buf_printf(&text, "&%s;", e->name);
        cpv_unicode_put(&expected, (uint32_t)(e->code & CPV_HTML_CHAR));
        if (second)
            cpv_unicode_put(&expected, second);
    }
    assert_int_equal(cpv_html_entities_count, 2125);
    cpv_html_unescape(cpv_buf_view(&text), &out);
    assert_true(cpv_bytes_equal(cpv_buf_view(&out), cpv_buf_view(&expected)));
    cpv_buf_release(&text);
    cpv_buf_release(&out);
    cpv_buf_release(&expected);
}

static void characters_go_round(void **state)
{
    struct cpv_buf text = {0}, room = {0};
    struct cpv_bytes same;
    size_t at = 0;

    (void)state;
    for (uint32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
        if (c < 0xD800 || c > 0xDFFF)
            cpv_unicode_put(&text, c);
    }
    assert_false(text.failed);
    same = cpv_unicode_replace(cpv_buf_view(&text), &room);
    assert_ptr_equal(same.data, text.data);
    for (uint32_t c = 0; c < 0x110000; c += c < 0x3000 ? 1 : 97) {
        if (c < 0xD800 || c > 0xDFFF)
            assert_int_equal(cpv_unicode_next(same, &at), c);
    }
    assert_int_equal(at, text.size);
    cpv_buf_release(&text);
    cpv_buf_release(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cleaned_one_by_one),
        cmocka_unit_test(every_name_of_html_is_found),
        cmocka_unit_test(characters_go_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
