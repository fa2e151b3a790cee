/* SPDX-License-Identifier: Apache-2.0 */
/* Every way in which a server can behave, one URL at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/unit/net/net_testing.h"

static struct net_server server;

static int start(void **state)
{
    (void)state;
    net_server_start(&server, 1);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    net_server_stop(&server);
    return 0;
}

static const struct {
    const char *path;
    cpv_http_status status;
    int http, attempts;
    size_t size;
    bool transient;
} cases[] = {
    {"/small.txt", CPV_HTTP_OK, 200, 1, 1000, false},
    {"/large.bin", CPV_HTTP_OK, 200, 1, 300000, false},
    {"/chunked/large.bin", CPV_HTTP_OK, 200, 1, 300000, false},
    {"/drip/300/5/small.txt", CPV_HTTP_OK, 200, 1, 1000, false},
    {"/gzip/small.txt", CPV_HTTP_OK, 200, 1, 1000, false},
    {"/noai-other/small.txt", CPV_HTTP_OK, 200, 1, 1000, false},
    {"/redirect/5/small.txt", CPV_HTTP_OK, 200, 1, 1000, false},
    {"/flaky/2/small.txt", CPV_HTTP_OK, 200, 3, 1000, false},
    {"/flaky/3/small.txt?status=429&retry_after=0", CPV_HTTP_OK, 200, 4, 1000, false},
    {"/flaky/1/large.bin?status=425", CPV_HTTP_OK, 200, 2, 300000, false},
    {"/html.jpg", CPV_HTTP_OK, 200, 1, 46, false},           /* a decoder's matter */
    {"/long/large.bin", CPV_HTTP_OK, 200, 1, 150000, false}, /* what was announced */

    {"/missing", CPV_HTTP_4XX, 404, 1, 0, false},
    {"/status/400", CPV_HTTP_4XX, 400, 1, 0, false},
    {"/status/401", CPV_HTTP_4XX, 401, 1, 0, false},
    {"/status/403", CPV_HTTP_4XX, 403, 1, 0, false},
    {"/status/451", CPV_HTTP_4XX, 451, 1, 0, false},
    {"/status/410", CPV_HTTP_410, 410, 1, 0, false},
    {"/status/408", CPV_HTTP_4XX, 408, 4, 0, true},
    {"/status/425", CPV_HTTP_4XX, 425, 4, 0, true},
    {"/status/429", CPV_HTTP_429, 429, 4, 0, true},
    {"/status/500", CPV_HTTP_5XX, 500, 4, 0, true},
    {"/status/501", CPV_HTTP_5XX, 501, 1, 0, false},
    {"/status/502", CPV_HTTP_5XX, 502, 4, 0, true},
    {"/status/503", CPV_HTTP_5XX, 503, 4, 0, true},
    {"/status/522", CPV_HTTP_5XX, 522, 4, 0, true},
    {"/status/204", CPV_HTTP_EMPTY, 204, 1, 0, false},
    {"/status/206", CPV_HTTP_PROTOCOL, 206, 1, 0, false},
    {"/status/304", CPV_HTTP_REDIRECT, 304, 1, 0, false},
    {"/empty", CPV_HTTP_EMPTY, 200, 1, 0, false},
    {"/noai/small.txt", CPV_HTTP_OPTOUT, 200, 1, 0, false},
    {"/noai-us/small.txt", CPV_HTTP_OPTOUT, 200, 1, 0, false},
    {"/redirect/1/noai/small.txt", CPV_HTTP_OPTOUT, 200, 1, 0, false},
    {"/redirect/6/small.txt", CPV_HTTP_REDIRECT, 302, 1, 0, false},
    {"/redirect-loop", CPV_HTTP_REDIRECT, 302, 1, 0, false},
    {"/redirect-to?url=ftp://example.org/a", CPV_HTTP_REDIRECT, 302, 1, 0, false},
    {"/redirect-to?url=file:///etc/passwd", CPV_HTTP_REDIRECT, 302, 1, 0, false},
    {"/redirect-to?url=http://u:p@127.0.0.1/", CPV_HTTP_REDIRECT, 302, 1, 0, false},
    {"/short/small.txt", CPV_HTTP_PROTOCOL, 200, 4, 0, false},
    {"/close-early/small.txt", CPV_HTTP_PROTOCOL, 200, 4, 0, false},
    {"/garbage", CPV_HTTP_PROTOCOL, 0, 1, 0, false},
    {"/huge-header", CPV_HTTP_PROTOCOL, 200, 1, 0, false},
    {"/many-headers", CPV_HTTP_PROTOCOL, 200, 1, 0, false},
    {"/reset", CPV_HTTP_CONNECT, 0, 4, 0, true},
    {"/endless", CPV_HTTP_TOO_BIG, 200, 1, 0, false},
    {"/big/1000001", CPV_HTTP_TOO_BIG, 200, 1, 0, false},
    {"/announce/9000000000000", CPV_HTTP_TOO_BIG, 200, 1, 0, false},
};

static void each_misbehaviour_has_its_status(void **state)
{
    struct cpv_http_params p;

    (void)state;
    net_params(&p);
    p.max_bytes = 1000000;
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        struct net_answer a = net_get(&server, &p, cases[i].path);

        if (a.status != cases[i].status || a.http != cases[i].http ||
            a.attempts != cases[i].attempts || a.size != cases[i].size ||
            a.transient != cases[i].transient)
            fail_msg("%s: %s, HTTP %d, %d attempts, %zu bytes, transient %d",
                     cases[i].path, cpv_http_status_name(a.status), a.http, a.attempts,
                     a.size, a.transient);
    }
}

static void slow_servers_run_into_a_limit(void **state)
{
    static const char *const paths[] = {"/hang", "/slow-header", "/drip/1/100/small.txt",
                                        "/announce/1000"};
    struct cpv_http_params p;

    (void)state;
    net_params(&p);
    p.retries = 1;
    for (size_t i = 0; i < CPV_COUNT(paths); i++) {
        int64_t begun = cpv_clock_ms();
        struct net_answer a = net_get(&server, &p, paths[i]);

        assert_int_equal(a.status, CPV_HTTP_TIMEOUT);
        assert_int_equal(a.attempts, 2);
        assert_true(a.transient);
        assert_in_range(cpv_clock_ms() - begun, 2 * p.low_speed_ms,
                        2 * p.low_speed_ms + 500);
    }
}

/* Fast enough for the lowest speed, too slow for the whole: the other limit. */
static void a_transfer_has_a_deadline(void **state)
{
    struct cpv_http_params p;
    struct net_answer a;
    int64_t begun = cpv_clock_ms();

    (void)state;
    net_params(&p);
    p.retries = 0;
    p.timeout_ms = 600;
    p.low_speed_ms = 200;
    a = net_get(&server, &p, "/drip/400/20/large.bin");
    assert_int_equal(a.status, CPV_HTTP_TIMEOUT);
    assert_in_range(cpv_clock_ms() - begun, 600, 1000);
}

static void tls_that_is_none_is_said_so(void **state)
{
    struct cpv_http_params p;
    struct net_answer a;
    char url[64];

    (void)state;
    net_params(&p);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%d/small.txt", server.port);
    a = net_fetch(&p, url);
    assert_int_equal(a.status, CPV_HTTP_TLS);
    assert_int_equal(a.attempts, 1);
    assert_false(a.transient);
}

static void nobody_listens(void **state)
{
    struct cpv_http_params p;
    struct net_answer a;

    (void)state;
    net_params(&p);
    a = net_fetch(&p, "http://127.0.0.1:1/x");
    assert_int_equal(a.status, CPV_HTTP_CONNECT);
    assert_int_equal(a.attempts, 4);
}

static void the_reply_says_where_and_what(void **state)
{
    struct cpv_http_params p;
    struct net_answer a;
    char want[64];

    (void)state;
    net_params(&p);
    a = net_get(&server, &p, "/redirect/2/small.txt#part");
    (void)snprintf(want, sizeof want, "http://127.0.0.1:%d/small.txt", server.port);
    assert_string_equal(a.final_url, want);
    assert_string_equal(a.type, "text/plain");
}

static void optout_can_be_ignored(void **state)
{
    struct cpv_http_params p;

    (void)state;
    net_params(&p);
    p.respect_optout = false;
    assert_int_equal(net_get(&server, &p, "/noai/small.txt").status, CPV_HTTP_OK);
}

/* A body of which nothing was wanted costs no more than what was on its way. */
static void optout_ends_before_the_body(void **state)
{
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;
    char url[64];

    (void)state;
    net_params(&p);
    net_run_open(&r, &p, 1);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/noai/endless", server.port);
    net_submit(&r, 0, url);
    net_wait(&r, 1, 2000);
    assert_int_equal(r.answers[0].status, CPV_HTTP_OPTOUT);
    usleep(20000);
    cpv_http_stats(r.http, &stats);
    assert_int_equal(stats.body_bytes, 0);
    net_run_close(&r);
}

static void a_proxy_of_the_environment_is_not_used(void **state)
{
    struct cpv_http_params p;

    (void)state;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    net_params(&p);
    assert_int_equal(net_get(&server, &p, "/small.txt").status, CPV_HTTP_OK);
    assert_int_equal(unsetenv("http_proxy"), 0);
}

static void bad_urls_are_answered_too(void **state)
{
    static const char *const urls[] = {"",
                                       " ",
                                       "x",
                                       "/a.jpg",
                                       "file:///etc/passwd",
                                       "ftp://a/b",
                                       "data:image/png;base64,AAAA",
                                       "http://",
                                       "http://%/",
                                       "http://a b/",
                                       "http://user@127.0.0.1/",
                                       "http://256.1.1.1/",
                                       "http://a..b/",
                                       "http://127.0.0.1:0/",
                                       "http://127.0.0.1:99999/",
                                       "javascript:alert(1)"};
    struct cpv_http_params p;

    (void)state;
    net_params(&p);
    for (size_t i = 0; i < CPV_COUNT(urls); i++) {
        struct net_answer a = net_fetch(&p, urls[i]);

        if (a.status != CPV_HTTP_BAD_URL || a.attempts != 0)
            fail_msg("'%s': %s", urls[i], cpv_http_status_name(a.status));
    }
}

static void statuses_have_names(void **state)
{
    (void)state;
    for (int s = 0; s < CPV_HTTP_N_STATUS; s++)
        assert_true(strlen(cpv_http_status_name((cpv_http_status)s)) > 1);
    assert_string_equal(cpv_http_status_name(CPV_HTTP_410), "http_410");
    assert_true(cpv_http_status_transient(CPV_HTTP_DNS_TEMP));
    assert_false(cpv_http_status_transient(CPV_HTTP_DNS_NXDOMAIN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_misbehaviour_has_its_status),
        cmocka_unit_test(slow_servers_run_into_a_limit),
        cmocka_unit_test(a_transfer_has_a_deadline),
        cmocka_unit_test(tls_that_is_none_is_said_so),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(the_reply_says_where_and_what),
        cmocka_unit_test(optout_can_be_ignored),
        cmocka_unit_test(optout_ends_before_the_body),
        cmocka_unit_test(a_proxy_of_the_environment_is_not_used),
        cmocka_unit_test(bad_urls_are_answered_too),
        cmocka_unit_test(statuses_have_names),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
