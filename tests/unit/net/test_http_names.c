/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are connected to, and how names are looked up. */
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
    net_expect_all(&r, 0, CPV_COUNT(hosts), CPV_HTTP_BLOCKED_IP);
    assert_true(r.answers[CPV_COUNT(hosts)].status == CPV_HTTP_BAD_URL ||
                r.answers[CPV_COUNT(hosts)].status == CPV_HTTP_BLOCKED_IP);
    cpv_http_stats(r.http, &stats);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.requests, 0);
    net_run_close(&r);
    /* Asking for the count is a connection itself. */
    assert_int_equal(net_stat(&server, "accepted"), before + 1);
}

/* The first hop is allowed here because a proxy makes it; the second is refused. */
static void redirects_to_private_addresses_are_not_followed(void **state)
{
    static const char *const targets[] = {"http://127.0.0.1:8080/small.txt",
                                          "http://2130706433:8080/",
                                          "//0x7f.1:8080/small.txt",
                                          "http://[::ffff:127.0.0.1]:8080/",
                                          "http://169.254.169.254/latest/meta-data/",
                                          "http://[::1]:8080/"};
    struct cpv_http_params p;
    char url[300], proxy[64];

    (void)state;
    net_params(&p);
    p.allow_private = false;
    (void)snprintf(proxy, sizeof proxy, "http://127.0.0.1:%d", server.port);
    p.proxy = proxy;
    assert_int_equal(net_fetch(&p, "http://public.test/small.txt").status, CPV_HTTP_OK);
    for (size_t i = 0; i < CPV_COUNT(targets); i++) {
        long before = net_stat(&server, "requests");
        struct net_answer a;

        (void)snprintf(url, sizeof url, "http://public.test/redirect-to?url=%s",
                       targets[i]);
        a = net_fetch(&p, url);
        if (a.status != CPV_HTTP_BLOCKED_IP)
            fail_msg("%s: %s", targets[i], cpv_http_status_name(a.status));
        assert_int_equal(net_stat(&server, "requests"), before + 2);
    }
}

/* --- names
 * -------------------------------------------------------------------------------------
 */

static void names_are_looked_up_once(void **state)
{
    struct net_names names = {0};
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;

    (void)state;
    net_params(&p);
    p.resolve = net_resolve;
    p.resolve_ctx = &names;
    atomic_store(&names.delay_ms, 20);
    net_run_open(&r, &p, 300);
    net_fetch_all(&r, &server, "one.ok", "/small.txt", 100, 3000);
    net_expect_all(&r, 0, 100, CPV_HTTP_OK);
    assert_int_equal(atomic_load(&names.calls), 1);
    r.answered = 0;
    memset(r.answers, 0, r.n * sizeof *r.answers);
    net_fetch_all(&r, &server, "x.none", "/small.txt", 100, 3000);
    net_expect_all(&r, 0, 100, CPV_HTTP_DNS_NXDOMAIN);
    assert_false(r.answers[0].transient);
    assert_int_equal(atomic_load(&names.calls), 2);
    cpv_http_stats(r.http, &stats);
    assert_int_equal(stats.dns_lookups, 2);
    net_run_close(&r);
}

static void look_ups_are_tried_again(void **state)
{
    struct net_names names = {0};
    struct cpv_http_params p;
    struct net_run r;

    (void)state;
    net_params(&p);
    p.resolve = net_resolve;
    p.resolve_ctx = &names;
    net_run_open(&r, &p, 10);
    net_fetch_all(&r, &server, "a.flaky", "/small.txt", 10, 3000);
    net_expect_all(&r, 0, 10, CPV_HTTP_OK);
    assert_int_equal(atomic_load(&names.calls), 3);
    net_run_close(&r);
    atomic_store(&names.calls, 0);
    net_run_open(&r, &p, 10);
    net_fetch_all(&r, &server, "a.temp", "/small.txt", 10, 3000);
    net_expect_all(&r, 0, 10, CPV_HTTP_DNS_TEMP);
    assert_true(r.answers[0].transient);
    assert_int_equal(atomic_load(&names.calls), 1 + p.retries);
    net_run_close(&r);
}

/* 200 hosts while nothing resolves: nobody fails, and all come through afterwards. */
static void a_dead_name_service_is_waited_for(void **state)
{
    struct net_names names = {0};
    struct cpv_http_params p;
    struct cpv_http_stats stats;
    struct net_run r;
    char url[100];

    (void)state;
    net_params(&p);
    p.resolve = net_resolve;
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
    net_expect_all(&r, 0, 200, CPV_HTTP_OK);
    assert_non_null(strstr(r.notes, "name service gave no answer"));
    assert_non_null(strstr(r.notes, "answers again"));
    net_run_close(&r);
}

static void waiting_for_names_has_an_end(void **state)
{
    struct net_names names = {0};
    struct cpv_http_params p;
    struct net_run r;
    char url[100];

    (void)state;
    net_params(&p);
    p.resolve = net_resolve;
    p.resolve_ctx = &names;
    p.dns_pause_max_ms = 200;
    atomic_store(&names.broken, 1);
    net_run_open(&r, &p, 100);
    for (size_t i = 0; i < 100; i++) {
        (void)snprintf(url, sizeof url, "http://h%zu.ok:%d/small.txt", i, server.port);
        net_submit(&r, i, url);
    }
    net_wait(&r, 100, 4000);
    net_expect_all(&r, 0, 100, CPV_HTTP_DNS_TEMP);
    net_run_close(&r);
}

/* The end does not wait for a look-up that hangs. */
static void a_stuck_look_up_holds_nothing(void **state)
{
    static struct net_names names; /* outlives its threads */
    struct cpv_http_params p;
    struct net_run r;
    int64_t begun = cpv_clock_ms();

    (void)state;
    net_params(&p);
    p.resolve = net_resolve;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_addresses_are_never_connected_to),
        cmocka_unit_test(redirects_to_private_addresses_are_not_followed),
        cmocka_unit_test(names_are_looked_up_once),
        cmocka_unit_test(look_ups_are_tried_again),
        cmocka_unit_test(a_dead_name_service_is_waited_for),
        cmocka_unit_test(waiting_for_names_has_an_end),
        cmocka_unit_test(a_stuck_look_up_holds_nothing),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
