/* SPDX-License-Identifier: Apache-2.0 */
/* X-Robots-Tag, Retry-After, robots.txt, and the heap of timers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/net/headers.h"
#include "common/net/heap.h"
#include "common/net/robots.h"

static void optout_concerns_whom_it_names(void **state)
{
    static const struct {
        const char *value;
        bool no;
    } cases[] = {
        {"noai", true},
        {"NoAI", true},
        {"  noai  ", true},
        {"nofollow, noimageai", true},
        {"noindex", true},
        {"none", true},
        {"noml", true},
        {"all", false},
        {"", false},
        {",,,", false},
        {"nofollow", false},
        {"noairs", false},
        {"otherbot: noai", false},
        {"otherbot: nofollow, noai", false},
        {"otherbot: noai, capivara-fetch: noindex", true},
        {"otherbot: noai, capivara-fetch: nofollow", false},
        {"noai, otherbot: nofollow", true},
        {"capivara-fetch: noai", true},
        {"CAPIVARA-FETCH:noai", true},
        {"*: noai", true},
        {"capivara: noai", false},
        {"unavailable_after: 25 Jun 2010 15:00:00 PST, noai", true},
        {"unavailable_after: Friday, 25-Jun-10 15:00:00 GMT, noai", true},
        {"max-image-preview: large, noindex", true},
        {"max-image-preview: large", false},
        {": noai", false},
        {"noai:", false},
    };

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++)
        if (cpv_optout_says_no(cpv_bytes_str(cases[i].value), "capivara-fetch",
                               cpv_optout_default, CPV_OPTOUT_DEFAULTS) != cases[i].no)
            fail_msg("'%s'", cases[i].value);
}

static void directives_are_what_was_asked_for(void **state)
{
    static const char *const mine[] = {"noarchive"};

    (void)state;
    assert_true(cpv_optout_says_no(cpv_bytes_str("noarchive"), "x", mine, 1));
    assert_false(cpv_optout_says_no(cpv_bytes_str("noai, none"), "x", mine, 1));
}

static void retry_after_has_two_forms(void **state)
{
    static const struct {
        const char *value;
        int64_t ms;
    } cases[] = {
        {"0", 0},
        {"7", 7000},
        {" 7 ", 7000},
        {"600", 600000},
        {"601", 600000},
        {"99999999999999999999999999", 600000},
        {"-1", -1},
        {"", -1},
        {"1.5", -1},
        {"7s", -1},
        {"soon", -1},
        {"Sun, 06 Nov 1994 08:49:47 GMT", 10000},
        {"Sunday, 06-Nov-94 08:49:47 GMT", 10000},
        {"Sun Nov  6 08:49:47 1994", 10000},
        {"Sun, 06 Nov 1994 08:49:07 GMT", 0},
        {"Sun, 06 Nov 2094 08:49:07 GMT", 600000},
        {"Sun, 06 Nov 1994 08:49:47 CET", -1},
        {"Sun, 6 Nov 1994 08:49:47 GMT", -1},
        {"Sun, 06 Nov 1994 24:49:47 GMT", -1},
        {"Sun, 00 Nov 1994 08:49:47 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:47 GMT x", -1},
    };

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        int64_t ms = cpv_retry_after_ms(cpv_bytes_str(cases[i].value), 784111777, 600000);

        if (ms != cases[i].ms)
            fail_msg("'%s': %lld", cases[i].value, (long long)ms);
    }
}

static void dates_count_from_1970(void **state)
{
    int64_t t;

    (void)state;
    assert_true(cpv_http_date(cpv_bytes_str("Thu, 01 Jan 1970 00:00:00 GMT"), &t));
    assert_int_equal(t, 0);
    assert_true(cpv_http_date(cpv_bytes_str("Sun, 06 Nov 1994 08:49:37 GMT"), &t));
    assert_int_equal(t, 784111777);
    assert_true(cpv_http_date(cpv_bytes_str("Tue, 29 Feb 2000 23:59:59 GMT"), &t));
    assert_int_equal(t, 951868799);
    assert_true(cpv_http_date(cpv_bytes_str("Wed, 01 Mar 2000 00:00:00 GMT"), &t));
    assert_int_equal(t, 951868800);
}

static bool allows(const char *file, const char *path)
{
    cpv_robots *r = cpv_robots_parse(cpv_bytes_str(file), "capivara-fetch");
    bool yes;

    assert_non_null(r);
    yes = cpv_robots_allows(r, path);
    cpv_robots_close(&r);
    return yes;
}

static void robots_follows_the_rfc(void **state)
{
    static const struct {
        const char *file, *path;
        bool yes;
    } cases[] = {
        {"", "/a", true},
        {"User-agent: *\nDisallow: /\n", "/a", false},
        {"User-agent: *\nDisallow: /\n", "/robots.txt", true},
        {"User-agent: *\nDisallow:\n", "/a", true},
        {"User-agent: *\nDisallow: /a\n", "/b", true},
        {"User-agent: *\nDisallow: /a\n", "/abc", false},
        {"user-agent:*\r\ndisallow:/a # why\r\n", "/a", false},
        {"\xef\xbb\xbfUser-agent: *\nDisallow: /a\n", "/a", false},
        {"User-agent: other\nDisallow: /\n", "/a", true},
        {"User-agent: Capivara-Fetch/1.0\nDisallow: /\n", "/a", false},
        {"User-agent: capivara\nDisallow: /\n", "/a", true},
        /* our own group replaces the star's */
        {"User-agent: *\nDisallow: /\n\nUser-agent: capivara-fetch\nDisallow: /x\n", "/a",
         true},
        {"User-agent: other\nUser-agent: capivara-fetch\nDisallow: /a\n", "/a", false},
        {"User-agent: capivara-fetch\nDisallow: /a\nUser-agent: other\nDisallow: /b\n",
         "/b", true},
        /* groups of one name are one */
        {"User-agent: *\nDisallow: /a\n\nUser-agent: *\nDisallow: /b\n", "/b", false},
        /* the longest rule decides, allow on a tie */
        {"User-agent: *\nDisallow: /a\nAllow: /a/b\n", "/a/b/c", true},
        {"User-agent: *\nAllow: /a/b\nDisallow: /a\n", "/a/c", false},
        {"User-agent: *\nDisallow: /a\nAllow: /a\n", "/a", true},
        {"User-agent: *\nAllow: /\nDisallow: /a\n", "/a", false},
        /* wildcards */
        {"User-agent: *\nDisallow: /*.jpg$\n", "/x/y.jpg", false},
        {"User-agent: *\nDisallow: /*.jpg$\n", "/x/y.jpg?z", true},
        {"User-agent: *\nDisallow: /a*b*c\n", "/a-b-b-c-d", false},
        {"User-agent: *\nDisallow: /a*b*c\n", "/a-c-b", true},
        {"User-agent: *\nDisallow: /$\n", "/", false},
        {"User-agent: *\nDisallow: /$\n", "/a", true},
        {"User-agent: *\nDisallow: *\n", "/a", false},
        /* both spellings of a byte */
        {"User-agent: *\nDisallow: /%61\n", "/a", false},
        {"User-agent: *\nDisallow: /\xc3\xa9\n", "/%c3%A9", false},
        {"User-agent: *\nDisallow: /a%2Fb\n", "/a/b", true},
        {"User-agent: *\nDisallow: /%2A\n", "/x", true},
        /* what is no rule */
        {"Disallow: /\n", "/a", true},
        {"User-agent: *\nSitemap: http://x/\nDisallow /a\nDisallow: /b", "/a", true},
        {"User-agent: *\nSitemap: http://x/\nDisallow /a\nDisallow: /b", "/b", false},
    };

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++)
        if (allows(cases[i].file, cases[i].path) != cases[i].yes)
            fail_msg("case %zu: '%s' for '%s'", i, cases[i].path, cases[i].file);
}

/* Stars that match nearly everything take quadratic time only up to a bound. */
static void a_hostile_robots_file_says_no(void **state)
{
    enum { RULES = 6000, PATH = 8000 };
    struct cpv_buf file = {0};
    char *path = malloc(PATH);

    (void)state;
    assert_non_null(path);
    memset(path, 'a', PATH - 1);
    path[0] = '/';
    path[PATH - 1] = '\0';
    cpv_buf_str(&file, "User-agent: *\n");
    for (int i = 0; i < RULES; i++)
        cpv_buf_str(&file,
                    "Disallow: /*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n");
    assert_false(allows(cpv_buf_cstr(&file), path));
    cpv_buf_release(&file);
    free(path);
}

static void the_heap_sorts_and_forgets(void **state)
{
    enum { N = 500 };
    static struct cpv_timer t[N];
    struct cpv_heap h = {0};
    struct cpv_timer *first;
    int64_t last = -1;
    size_t out = 0;

    (void)state;
    assert_true(cpv_heap_reserve(&h, N));
    for (int i = 0; i < N; i++)
        cpv_heap_set(&h, &t[i], (int64_t)i * 7919 % 1000);
    for (int i = 0; i < N; i += 3) /* move some, to both sides */
        cpv_heap_set(&h, &t[i], (int64_t)i * 104729 % 1000);
    for (int i = 0; i < N; i += 5)
        cpv_heap_unset(&h, &t[i]);
    cpv_heap_unset(&h, &t[0]);
    while ((first = cpv_heap_first(&h))) {
        assert_true(first->due >= last);
        assert_int_not_equal((first - t) % 5, 0);
        last = first->due;
        cpv_heap_unset(&h, first);
        assert_int_equal(first->slot, 0);
        out++;
    }
    assert_int_equal(out, N - N / 5);
    cpv_heap_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optout_concerns_whom_it_names),
        cmocka_unit_test(directives_are_what_was_asked_for),
        cmocka_unit_test(retry_after_has_two_forms),
        cmocka_unit_test(dates_count_from_1970),
        cmocka_unit_test(robots_follows_the_rfc),
        cmocka_unit_test(a_hostile_robots_file_says_no),
        cmocka_unit_test(the_heap_sorts_and_forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
