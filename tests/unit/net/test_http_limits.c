/* SPDX-License-Identifier: Apache-2.0 */
/* Many URLs at once: addresses, names, politeness, memory, stopping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netdb.h>
#include <stdatomic.h>
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
    net_server_start(&server, 2);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    net_server_stop(&server);
    return 0;
}

/* n times the same path, answered; per-URL results stay in r until it is closed. */
static void fetch_all(struct net_run *r, const char *host, const char *path, size_t n,
                      int ms)
{
    char url[300];

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(url, sizeof url, "http://%s:%d%s?i=%zu", host, server.port, path,
                       i);
        net_submit(r, i, url);
    }
    net_wait(r, n, ms);
}

static void expect_all(const struct net_run *r, size_t from, size_t to,
                       cpv_http_status want)
{
    for (size_t i = from; i < to; i++)
        if (r->answers[i].count != 1 || r->answers[i].status != want)
            fail_msg("URL %zu: %d times %s", i, r->answers[i].count,
                     cpv_http_status_name(r->answers[i].status));
}

/* --- addresses
 * ------------------------------------------------------------------------------ */

/* Names of a hostile zone. A rebinding one is public first, private from then on. */
static int hostile_names(void *ctx, const char *host,
                         struct cpv_http_addr out[CPV_HTTP_ADDRS])
{
    static const struct {
        const char *name;
        struct cpv_http_addr addr;
    } zone[] = {
        {"loopback.test", {4, {127, 0, 0, 1}}},
        {"localhost", {4, {127, 0, 0, 1}}},
        {"metadata.test", {4, {169, 254, 169, 254}}},
        {"six.test", {6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}},
        {"mapped.test", {6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}}},
    };

    (void)ctx;
    for (size_t i = 0; i < CPV_COUNT(zone); i++)
        if (strcmp(host, zone[i].name) == 0) {
            out[0] = zone[i].addr;
            return 1;
        }
    return EAI_NONAME;
}

static void private_addresses_are_never_connected_to(void **state)
{
    static const char *const hosts[] = {"127.0.0.1",
                                        "127.1",
                                        "2130706433",
                                        "0x7f000001",
                                        "0x7f.0.0.1",
                                        "017700000001",
                                        "0177.0.0.1",
                                        "127.0.0.1.",
                                        "127%2e0.0.1",
                                        "0",
                                        "0.0.0.0",
                                        "[::1]",
                                        "[::]",
                                        "[::ffff:127.0.0.1]",
                                        "[::ffff:7f00:1]",
                                        "[64:ff9b::127.0.0.1]",
                                        "[2002:7f00:1::]",
                                        "[0:0::1]",
                                        "localhost",
                                        "LOCALHOST.",
                                        "loopback.test",
                                        "six.test",
                                        "mapped.test",
                                        "metadata.test",
                                        "169.254.169.254",
                                        "10.0.0.1"};
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;
    long before = net_stat(&server, "accepted");
    char url[200];

    (void)state;
    /* Such a server listens on a port of the list. */
    net_params(&p);
    p.allow_private = false;
    p.resolve = hostile_names;
    net_run_open(&r, &p, CPV_COUNT(hosts) + 1);
    for (size_t i = 0; i < CPV_COUNT(hosts); i++) {
        (void)snprintf(url, sizeof url, "http://%s:8080/small.txt", hosts[i]);
        net_submit(&r, i, url);
    }
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/small.txt", server.port);
    net_submit(&r, CPV_COUNT(hosts), url);
    net_wait(&r, CPV_COUNT(hosts) + 1, 3000);
    expect_all(&r, 0, CPV_COUNT(hosts), CPV_HTTP_BLOCKED_IP);
    assert_true(r.answers[CPV_COUNT(hosts)].status == CPV_HTTP_BAD_URL ||
                r.answers[CPV_COUNT(hosts)].status == CPV_HTTP_BLOCKED_IP);
    cpv_http_stats(r.http, &stats);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.requests, 0);
    net_run_close(&r);
    /* Asking for the count is a connection itself. */
    assert_int_equal(net_stat(&server, "accepted"), before + 1);
}

/* --- names
 * -------------------------------------------------------------------------------------
 */

struct names {
    atomic_int calls, failures, broken, delay_ms;
};

/* *.ok is the server, *.flaky after two failures, *.temp never; others do not exist. */
static int test_names(void *ctx, const char *host,
                      struct cpv_http_addr out[CPV_HTTP_ADDRS])
{
    struct names *n = ctx;
    const char *dot = strrchr(host, '.');

    atomic_fetch_add(&n->calls, 1);
    usleep((unsigned)atomic_load(&n->delay_ms) * 1000);
    if (atomic_load(&n->broken) || (dot && strcmp(dot, ".temp") == 0))
        return EAI_AGAIN;
    if (dot && strcmp(dot, ".flaky") == 0 && atomic_fetch_add(&n->failures, 1) < 2)
        return EAI_AGAIN;
    if (!dot || strcmp(dot, ".none") == 0)
        return EAI_NONAME;
    out[0] = (struct cpv_http_addr){4, {127, 0, 0, 1}};
    return 1;
}

static void names_are_looked_up_once(void **state)
{
    struct names names = {0};
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;

    (void)state;
    net_params(&p);
    p.resolve = test_names;
    p.resolve_ctx = &names;
    atomic_store(&names.delay_ms, 20);
    net_run_open(&r, &p, 300);
    fetch_all(&r, "one.ok", "/small.txt", 100, 3000);
    expect_all(&r, 0, 100, CPV_HTTP_OK);
    assert_int_equal(atomic_load(&names.calls), 1);
    r.answered = 0;
    memset(r.answers, 0, r.n * sizeof *r.answers);
    fetch_all(&r, "x.none", "/small.txt", 100, 3000);
    expect_all(&r, 0, 100, CPV_HTTP_DNS_NXDOMAIN);
    assert_false(r.answers[0].transient);
    assert_int_equal(atomic_load(&names.calls), 2);
    cpv_http_stats(r.http, &stats);
    assert_int_equal(stats.dns_lookups, 2);
    net_run_close(&r);
}

static void look_ups_are_tried_again(void **state)
{
    struct names names = {0};
    struct cpv_http_params p;
    struct net_run r;

    (void)state;
    net_params(&p);
    p.resolve = test_names;
    p.resolve_ctx = &names;
    net_run_open(&r, &p, 10);
    fetch_all(&r, "a.flaky", "/small.txt", 10, 3000);
    expect_all(&r, 0, 10, CPV_HTTP_OK);
    assert_int_equal(atomic_load(&names.calls), 3);
    net_run_close(&r);
    atomic_store(&names.calls, 0);
    net_run_open(&r, &p, 10);
    fetch_all(&r, "a.temp", "/small.txt", 10, 3000);
    expect_all(&r, 0, 10, CPV_HTTP_DNS_TEMP);
    assert_true(r.answers[0].transient);
    assert_int_equal(atomic_load(&names.calls), 1 + p.retries);
    net_run_close(&r);
}

/* 200 hosts while nothing resolves: nobody fails, and all come through afterwards. */
static void a_dead_name_service_is_waited_for(void **state)
{
    struct names names = {0};
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;
    char url[100];

    (void)state;
    net_params(&p);
    p.resolve = test_names;
    p.resolve_ctx = &names;
    p.backoff_ms = 20;
    atomic_store(&names.broken, 1);
    net_run_open(&r, &p, 200);
    for (size_t i = 0; i < 200; i++) {
        (void)snprintf(url, sizeof url, "http://h%zu.ok:%d/small.txt", i, server.port);
        net_submit(&r, i, url);
    }
    usleep(600000);
    cpv_http_stats(r.http, &stats);
    assert_int_equal(stats.pauses, 1);
    assert_true(stats.paused);
    assert_int_equal(stats.answered, 0);
    assert_in_range(atomic_load(&names.calls), 32, 80); /* not hammered */
    atomic_store(&names.broken, 0);
    net_wait(&r, 200, 4000);
    expect_all(&r, 0, 200, CPV_HTTP_OK);
    assert_non_null(strstr(r.notes, "name service gave no answer"));
    assert_non_null(strstr(r.notes, "answers again"));
    net_run_close(&r);
}

static void waiting_for_names_has_an_end(void **state)
{
    struct names names = {0};
    struct cpv_http_params p;
    struct net_run r;
    char url[100];

    (void)state;
    net_params(&p);
    p.resolve = test_names;
    p.resolve_ctx = &names;
    p.dns_pause_max_ms = 200;
    atomic_store(&names.broken, 1);
    net_run_open(&r, &p, 100);
    for (size_t i = 0; i < 100; i++) {
        (void)snprintf(url, sizeof url, "http://h%zu.ok:%d/small.txt", i, server.port);
        net_submit(&r, i, url);
    }
    net_wait(&r, 100, 4000);
    expect_all(&r, 0, 100, CPV_HTTP_DNS_TEMP);
    net_run_close(&r);
}

/* The end does not wait for a look-up that hangs. */
static void a_stuck_look_up_holds_nothing(void **state)
{
    static struct names names; /* outlives its threads */
    struct cpv_http_params p;
    struct net_run r;
    int64_t begun = cpv_clock_ms();

    (void)state;
    net_params(&p);
    p.resolve = test_names;
    p.resolve_ctx = &names;
    p.dns_timeout_ms = 50;
    p.retries = 1;
    p.resolver_threads = 2;
    atomic_store(&names.delay_ms, 600);
    net_run_open(&r, &p, 2);
    net_submit(&r, 0, "http://a.ok/x");
    net_submit(&r, 1, "http://b.ok/x");
    usleep(100000);
    net_run_close(&r);
    assert_in_range(cpv_clock_ms() - begun, 100, 500);
    usleep(700000); /* the threads come back and free what they share */
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
    expect_all(&r, 0, 60, CPV_HTTP_OK);
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
    fetch_all(&r, "127.0.0.1", "/small.txt", 40, 3000);
    took = cpv_clock_ms() - begun;
    expect_all(&r, 0, 40, CPV_HTTP_OK);
    assert_in_range(took, 39 * 1000 / 50 - 20, 39 * 1000 / 50 + 500);
    net_run_close(&r);
}

/* Another URL of the host waits too; one of another host does not. */
static void retry_after_is_obeyed(void **state)
{
    struct names names = {0};
    struct cpv_http_params p;
    struct net_run r;
    int64_t begun = cpv_clock_ms();
    char url[160];

    (void)state;
    net_params(&p);
    p.resolve = test_names;
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
    expect_all(&r, 0, 3, CPV_HTTP_OK);
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
    fetch_all(&r, "127.0.0.1", "/reset", 100, 4000);
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
    expect_all(&r, 3, 20, CPV_HTTP_OK);
    net_run_close(&r);
}

static void robots_txt_is_obeyed(void **state)
{
    static const char rules[] = "User-agent: *\nDisallow: /redirect\nDisallow: /large\n";
    struct names names = {0};
    struct cpv_http_params p;
    struct net_server mine;
    struct net_run r;
    char url[100];

    (void)state;
    net_server_start(&mine, 1);
    net_file(&mine, "robots.txt", rules, sizeof rules - 1);
    net_params(&p);
    p.robots = true;
    p.resolve = test_names;
    p.resolve_ctx = &names;
    net_run_open(&r, &p, 40);
    for (size_t i = 0; i < 40; i++) {
        (void)snprintf(url, sizeof url, "http://a.ok:%d/%s", mine.port,
                       i % 2 ? "large.bin" : "small.txt");
        net_submit(&r, i, url);
    }
    net_wait(&r, 40, 3000);
    for (size_t i = 0; i < 40; i++)
        expect_all(&r, i, i + 1, i % 2 ? CPV_HTTP_ROBOTS : CPV_HTTP_OK);
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
    fetch_all(&r, "127.0.0.1", "/big/1000000", 40, 8000);
    expect_all(&r, 0, 40, CPV_HTTP_OK);
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
    fetch_all(&r, "127.0.0.1", "/large.bin", 20, 8000);
    expect_all(&r, 0, 20, CPV_HTTP_OK);
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
    p.memory_budget = 400000;
    p.retries = 0;
    p.timeout_ms = 300;
    p.low_speed_ms = 150;
    net_run_open(&r, &p, 8);
    r.hold_ms = 200;
    fetch_all(&r, "127.0.0.1", "/large.bin", 8, 8000);
    expect_all(&r, 0, 8, CPV_HTTP_OK);
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
    fetch_all(&r, "127.0.0.1", "/endless", 50, 8000);
    expect_all(&r, 0, 50, CPV_HTTP_TOO_BIG);
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
    fetch_all(&r, "127.0.0.1", "/delay/700/small.txt", 1000, 15000);
    expect_all(&r, 0, 1000, CPV_HTTP_OK);
    cpv_http_stats(r.http, &stats);
    assert_int_equal(stats.in_flight_peak, 1000);
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
        cmocka_unit_test(private_addresses_are_never_connected_to),
        cmocka_unit_test(names_are_looked_up_once),
        cmocka_unit_test(look_ups_are_tried_again),
        cmocka_unit_test(a_dead_name_service_is_waited_for),
        cmocka_unit_test(waiting_for_names_has_an_end),
        cmocka_unit_test(a_stuck_look_up_holds_nothing),
        cmocka_unit_test(a_host_gets_few_connections),
        cmocka_unit_test(a_host_gets_few_requests_a_second),
        cmocka_unit_test(retry_after_is_obeyed),
        cmocka_unit_test(retry_after_is_cut),
        cmocka_unit_test(a_dead_host_is_put_off),
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
