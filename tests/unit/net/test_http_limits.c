/* SPDX-License-Identifier: Apache-2.0 */
/* Many URLs at once: politeness, memory, stopping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "tests/unit/net/net_testing.h"

static struct net_server server;

static int start(void **state)
{
    (void)state;
    net_server_start(&server, 2);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    net_server_stop(&server);
    return 0;
}

/* --- politeness
 * ---------------------------------------------------------------------------------- */

static void a_host_gets_few_connections(void **state)
{
    struct cpv_http_params p;
    struct net_server mine;
    struct net_run r;
    char url[100];

    (void)state;
    net_server_start(&mine, 1);
    net_params(&p);
    p.per_host = 3;
    net_run_open(&r, &p, 60);
    for (size_t i = 0; i < 60; i++) {
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/delay/10/small.txt?%zu",
                       mine.port, i);
        net_submit(&r, i, url);
    }
    net_wait(&r, 60, 5000);
    net_expect_all(&r, 0, 60, CPV_HTTP_OK);
    net_run_close(&r);
    assert_int_equal(net_stat(&mine, "active_peak"), 3);
    /* and these are kept: the asking adds one */
    assert_in_range(net_stat(&mine, "accepted"), 4, 6);
    net_server_stop(&mine);
}

static void a_host_gets_few_requests_a_second(void **state)
{
    struct cpv_http_params p;
    struct net_run r;
    int64_t begun = cpv_clock_ms(), took;

    (void)state;
    net_params(&p);
    p.per_host_rate = 50;
    net_run_open(&r, &p, 40);
    net_fetch_all(&r, &server, "127.0.0.1", "/small.txt", 40, 3000);
    took = cpv_clock_ms() - begun;
    net_expect_all(&r, 0, 40, CPV_HTTP_OK);
    assert_in_range(took, 39 * 1000 / 50 - 20, 39 * 1000 / 50 + 500);
    net_run_close(&r);
}

/* Another URL of the host waits too; one of another host does not. */
static void retry_after_is_obeyed(void **state)
{
    struct net_names names = {0};
    struct cpv_http_params p;
    struct net_run r;
    int64_t begun = cpv_clock_ms();
    char url[160];

    (void)state;
    net_params(&p);
    p.resolve = net_resolve;
    p.resolve_ctx = &names;
    p.per_host = 1;
    net_run_open(&r, &p, 3);
    (void)snprintf(url, sizeof url,
                   "http://a.ok:%d/flaky/1/small.txt?status=429&retry_after=1",
                   server.port);
    net_submit(&r, 0, url);
    (void)snprintf(url, sizeof url, "http://a.ok:%d/small.txt", server.port);
    net_submit(&r, 1, url);
    (void)snprintf(url, sizeof url, "http://b.ok:%d/small.txt", server.port);
    net_submit(&r, 2, url);
    net_wait(&r, 3, 4000);
    net_expect_all(&r, 0, 3, CPV_HTTP_OK);
    assert_in_range(r.answers[0].at - begun, 1000, 1600);
    assert_in_range(r.answers[1].at - begun, 1000, 1600);
    assert_in_range(r.answers[2].at - begun, 0, 500);
    net_run_close(&r);
}

static void retry_after_is_cut(void **state)
{
    struct cpv_http_params p;
    int64_t begun = cpv_clock_ms();

    (void)state;
    net_params(&p);
    p.retry_after_max_ms = 50;
    assert_int_equal(
        net_get(&server, &p, "/flaky/1/small.txt?status=503&retry_after=86400").status,
        CPV_HTTP_OK);
    assert_in_range(cpv_clock_ms() - begun, 50, 500);
}

static void a_dead_host_is_put_off(void **state)
{
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;
    size_t down = 0;

    (void)state;
    net_params(&p);
    p.per_host = 2;
    p.host_down_after = 10;
    net_run_open(&r, &p, 100);
    net_fetch_all(&r, &server, "127.0.0.1", "/reset", 100, 4000);
    for (size_t i = 0; i < 100; i++) {
        assert_true(r.answers[i].status == CPV_HTTP_CONNECT ||
                    r.answers[i].status == CPV_HTTP_HOST_DOWN);
        assert_int_equal(r.answers[i].status == CPV_HTTP_HOST_DOWN,
                         r.answers[i].attempts == 0);
        assert_true(r.answers[i].transient);
        down += r.answers[i].status == CPV_HTTP_HOST_DOWN;
    }
    assert_in_range(down, 80, 99);
    cpv_http_stats(r.http, &stats);
    assert_int_equal(stats.hosts_parked, 1);
    assert_in_range(stats.requests, 10, 12);
    net_run_close(&r);
}

/* A server that always says "in a minute" gets that minute once, not for each URL. */
static void endless_waits_end(void **state)
{
    struct cpv_http_params p;
    struct net_run r;
    int64_t begun = cpv_clock_ms(), took;

    (void)state;
    net_params(&p);
    p.per_host = 1;
    p.host_down_after = 1000;
    p.retry_after_max_ms = 100;
    net_run_open(&r, &p, 200);
    net_fetch_all(&r, &server, "127.0.0.1", "/status/503?retry_after=60", 200, 3000);
    took = cpv_clock_ms() - begun;
    if (took < 100 || took > 1500)
        fail_msg("%lld ms", (long long)took);
    for (size_t i = 0; i < 200; i++)
        assert_true(r.answers[i].transient);
    net_run_close(&r);
}

/* After a while one URL may try, and its success opens the host again. */
static void a_host_that_recovers_is_used_again(void **state)
{
    struct cpv_http_params p;
    struct net_run r;
    char url[100];

    (void)state;
    net_params(&p);
    p.retries = 0;
    p.host_down_after = 2;
    p.host_down_ms = 100;
    net_run_open(&r, &p, 20);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/reset", server.port);
        net_submit(&r, i, url);
        net_wait(&r, i + 1, 2000);
    }
    assert_int_equal(r.answers[2].status, CPV_HTTP_HOST_DOWN);
    usleep(120000);
    for (size_t i = 3; i < 20; i++) {
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/small.txt", server.port);
        net_submit(&r, i, url);
    }
    net_wait(&r, 20, 2000);
    net_expect_all(&r, 3, 20, CPV_HTTP_OK);
    net_run_close(&r);
}

static void robots_txt_is_obeyed(void **state)
{
    static const char rules[] = "User-agent: *\nDisallow: /redirect\nDisallow: /large\n";
    struct net_names names = {0};
    struct cpv_http_params p;
    struct net_server mine;
    struct net_run r;
    char url[100];

    (void)state;
    net_server_start(&mine, 1);
    net_file(&mine, "robots.txt", rules, sizeof rules - 1);
    net_params(&p);
    p.robots = true;
    p.resolve = net_resolve;
    p.resolve_ctx = &names;
    net_run_open(&r, &p, 40);
    for (size_t i = 0; i < 40; i++) {
        (void)snprintf(url, sizeof url, "http://a.ok:%d/%s", mine.port,
                       i % 2 ? "large.bin" : "small.txt");
        net_submit(&r, i, url);
    }
    net_wait(&r, 40, 3000);
    for (size_t i = 0; i < 40; i++)
        net_expect_all(&r, i, i + 1, i % 2 ? CPV_HTTP_ROBOTS : CPV_HTTP_OK);
    net_run_close(&r);
    assert_int_equal(net_stat(&mine, "requests"), 20 + 1 + 1); /* robots.txt once */
    /* A server without one allows everything, one that is not there is not `robots`. */
    assert_int_equal(net_get(&server, &p, "/small.txt").status, CPV_HTTP_OK);
    assert_int_equal(net_fetch(&p, "http://127.0.0.1:1/x").status, CPV_HTTP_CONNECT);
    /* Redirects are asked for as well. */
    (void)snprintf(url, sizeof url, "/redirect-to?url=http://127.0.0.1:%d/large.bin",
                   mine.port);
    assert_int_equal(net_get(&server, &p, url).status, CPV_HTTP_ROBOTS);
    net_server_stop(&mine);
}

/* --- memory
 * ------------------------------------------------------------------------------------------
 */

/* 40 bodies of 1 MB through 3 MB, each kept for a while after it came. */
static void bodies_stay_within_the_budget(void **state)
{
    enum { BODY = 1000000, BUDGET = 3 * BODY };
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;

    (void)state;
    net_params(&p);
    p.memory_budget = BUDGET;
    net_run_open(&r, &p, 40);
    r.hold_ms = 10;
    net_fetch_all(&r, &server, "127.0.0.1", "/big/1000000", 40, 8000);
    net_expect_all(&r, 0, 40, CPV_HTTP_OK);
    cpv_http_stats(r.http, &stats);
    assert_in_range(stats.memory_peak, BODY, BUDGET + BODY);
    assert_true(r.held_most <= BUDGET + BODY);
    net_run_close(&r);
}

/* One body may be larger than the whole budget: it still gets through. */
static void a_small_budget_is_no_deadlock(void **state)
{
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;

    (void)state;
    net_params(&p);
    p.memory_budget = 50000;
    net_run_open(&r, &p, 20);
    r.hold_ms = 3;
    net_fetch_all(&r, &server, "127.0.0.1", "/large.bin", 20, 8000);
    net_expect_all(&r, 0, 20, CPV_HTTP_OK);
    cpv_http_stats(r.http, &stats);
    assert_true(stats.memory_peak <= 50000 + 300000);
    net_run_close(&r);
}

/* Waiting for memory is not the server's slowness. */
static void a_pause_for_memory_is_no_timeout(void **state)
{
    struct cpv_http_params p;
    struct net_run r;

    (void)state;
    net_params(&p);
    p.memory_budget = 9000000;
    p.retries = 0;
    p.timeout_ms = 800;
    p.low_speed_ms = 600;
    net_run_open(&r, &p, 8);
    r.hold_ms = 250;
    net_fetch_all(&r, &server, "127.0.0.1", "/big/8000000", 8, 8000);
    net_expect_all(&r, 0, 8, CPV_HTTP_OK);
    net_run_close(&r);
}

static void endless_bodies_are_bounded(void **state)
{
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;

    (void)state;
    net_params(&p);
    p.max_bytes = 1000000;
    p.memory_budget = 4000000;
    net_run_open(&r, &p, 50);
    net_fetch_all(&r, &server, "127.0.0.1", "/endless", 50, 8000);
    net_expect_all(&r, 0, 50, CPV_HTTP_TOO_BIG);
    cpv_http_stats(r.http, &stats);
    assert_true(stats.memory_peak <= 5000000);
    net_run_close(&r);
}

/* --- many, and stopping
 * --------------------------------------------------------------------------------- */

static void a_thousand_at_once(void **state)
{
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;

    (void)state;
    net_params(&p);
    p.connections = 1000;
    p.connect_timeout_ms = p.timeout_ms = 10000;
    p.low_speed_bytes = 0;
    net_run_open(&r, &p, 1000);
    net_fetch_all(&r, &server, "127.0.0.1", "/delay/700/small.txt", 1000, 15000);
    net_expect_all(&r, 0, 1000, CPV_HTTP_OK);
    cpv_http_stats(r.http, &stats);
    assert_int_equal(stats.in_flight_peak, 1000);
    for (int i = 0; i < 100 && stats.in_flight > 0; i++) {
        usleep(10000); /* the counts are those of the loop's last turn */
        cpv_http_stats(r.http, &stats);
    }
    assert_int_equal(stats.in_flight, 0);
    net_run_close(&r);
}

static void stopping_answers_everything(void **state)
{
    static const char *const paths[] = {"/hang",
                                        "/small.txt",
                                        "/endless",
                                        "/status/503",
                                        "/drip/10/100/large.bin",
                                        "/delay/5000/small.txt"};
    struct cpv_http_params p;
    struct net_run r;
    int64_t begun;
    char url[100];

    (void)state;
    net_params(&p);
    p.connections = 20;
    p.max_bytes = INT64_C(1) << 40;
    p.memory_budget = 1000000;
    p.timeout_ms = 60000;
    p.low_speed_bytes = 0;
    p.backoff_ms = 10000;
    p.robots = true;
    net_run_open(&r, &p, 400);
    for (size_t i = 0; i < 300; i++) {
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server.port,
                       paths[i % CPV_COUNT(paths)]);
        net_submit(&r, i, url);
    }
    usleep(200000);
    for (size_t i = 300; i < 400; i++)
        net_submit(&r, i, url);
    begun = cpv_clock_ms();
    cpv_http_stop(r.http);
    net_wait(&r, 400, 1000);
    assert_in_range(cpv_clock_ms() - begun, 0, 500);
    assert_int_equal(cpv_http_submit(r.http, url, NULL, NULL), CPV_E_STOPPED);
    for (size_t i = 300; i < 400; i++)
        assert_int_equal(r.answers[i].status, CPV_HTTP_STOPPED);
    net_run_close(&r);
}

static void a_run_without_urls_ends(void **state)
{
    struct cpv_http_params p;
    struct net_run r;

    (void)state;
    net_params(&p);
    net_run_open(&r, &p, 1);
    net_run_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_gets_few_connections),
        cmocka_unit_test(a_host_gets_few_requests_a_second),
        cmocka_unit_test(retry_after_is_obeyed),
        cmocka_unit_test(retry_after_is_cut),
        cmocka_unit_test(a_dead_host_is_put_off),
        cmocka_unit_test(endless_waits_end),
        cmocka_unit_test(a_host_that_recovers_is_used_again),
        cmocka_unit_test(robots_txt_is_obeyed),
        cmocka_unit_test(bodies_stay_within_the_budget),
        cmocka_unit_test(a_small_budget_is_no_deadlock),
        cmocka_unit_test(a_pause_for_memory_is_no_timeout),
        cmocka_unit_test(endless_bodies_are_bounded),
        cmocka_unit_test(a_thousand_at_once),
        cmocka_unit_test(stopping_answers_everything),
        cmocka_unit_test(a_run_without_urls_ends),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
