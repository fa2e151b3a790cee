/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens: where they cut a text, and whose the blanks are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/size.h"
#include "common/text/added.h"

static const struct cpv_added_token TOKENS[] = {
    {{(const uint8_t *)"<x>", 3}, 1, true, false, false},
    {{(const uint8_t *)"<x>y", 4}, 2, true, false, false},
    {{(const uint8_t *)"<x", 2}, 3, true, false, false},
    {{(const uint8_t *)"<m>", 3}, 4, true, true, false},
    {{(const uint8_t *)"<r>", 3}, 5, true, false, true},
};

/* Segments in brackets, tokens by their ids. */
static void check(const struct cpv_added *a, const char *text, const char *expected)
{
    struct cpv_added_walk w = cpv_added_walk(a, cpv_bytes_str(text));
    struct cpv_buf out = {0};
    enum cpv_added_what what;

    while ((what = cpv_added_next(&w)) != CPV_ADDED_END) {
        if (what == CPV_ADDED_TOKEN)
            cpv_buf_printf(&out, "%d", w.token->id);
        else
            cpv_buf_printf(&out, "[%.*s]", (int)w.segment.size,
                           (const char *)w.segment.data);
    }
    if (!cpv_bytes_equal(cpv_buf_view(&out), cpv_bytes_str(expected)))
        fail_msg("'%s': expected '%s', found '%s'", text, expected, cpv_buf_cstr(&out));
    cpv_buf_release(&out);
}

static void open_list(struct cpv_added *a)
{
    *a = (struct cpv_added){0};
    for (size_t i = 0; i < CPV_COUNT(TOKENS); i++)
        assert_int_equal(cpv_added_add(a, TOKENS + i, NULL), CPV_OK);
}

static void the_first_and_longest_is_taken(void **state)
{
    struct cpv_added a;

    (void)state;
    open_list(&a);
    check(&a, "", "");
    check(&a, "abc", "[abc]");
    check(&a, "a<x>b", "[a]1[b]");
    check(&a, "a<x>yb", "[a]2[b]");
    check(&a, "<xz<x<x>", "3[z]31");
    check(&a, "<x><x>y", "12");
    check(&a, "<", "[<]");
    check(&a, "<<x", "[<]3");
    cpv_added_release(&a);
}

static void blanks_belong_to_tokens_that_say_so(void **state)
{
    struct cpv_added a;

    (void)state;
    open_list(&a);
    check(&a, "a  <x>  b", "[a  ]1[  b]");
    check(&a, "a  <m>  b", "[a]4[  b]");
    check(&a, "a  <r>\xC2\xA0 b", "[a  ]5[b]");
    check(&a, "  <m> <m>",
          "4"
          "4");
    check(&a, "<r>  ", "5");
    check(&a, "<r>  <x> b", "51[ b]");
    check(&a, "<r><x> b", "51[ b]");
    cpv_added_release(&a);
}

static void a_token_is_found_by_text_and_id(void **state)
{
    struct cpv_added_token again = TOKENS[0], empty = {.id = 8};
    struct cpv_added a;

    (void)state;
    open_list(&a);
    again.id = 77;
    assert_int_equal(cpv_added_add(&a, &again, NULL), CPV_OK);
    assert_int_equal(cpv_added_add(&a, &empty, NULL), CPV_OK);
    assert_int_equal(a.count, CPV_COUNT(TOKENS));
    assert_int_equal(cpv_added_by_text(&a, TOKENS[0].text)->id, 77);
    assert_null(cpv_added_by_text(&a, cpv_bytes_str("<")));
    assert_int_equal(cpv_added_by_id(&a, 4)->text.size, 3);
    assert_null(cpv_added_by_id(&a, 1));
    cpv_added_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_and_longest_is_taken),
        cmocka_unit_test(blanks_belong_to_tokens_that_say_so),
        cmocka_unit_test(a_token_is_found_by_text_and_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
