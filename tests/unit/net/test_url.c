/* SPDX-License-Identifier: Apache-2.0 */
/* URLs, numeric hosts in every notation, and which addresses are public. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/size.h"
#include "common/net/url.h"

static void hosts_are_told_apart(void **state)
{
    static const struct {
        const char *host;
        cpv_host_kind kind;
        const char *addr;
    } cases[] = {
        {"example.org", CPV_HOST_NAME, NULL},
        {"a_b.example", CPV_HOST_NAME, NULL},
        {"1.example", CPV_HOST_NAME, NULL},
        {"0xyz", CPV_HOST_NAME, NULL},
        {"127.0.0.1", CPV_HOST_NUMERIC, "127.0.0.1"},
        {"2130706433", CPV_HOST_NUMERIC, "127.0.0.1"},
        {"017700000001", CPV_HOST_NUMERIC, "127.0.0.1"},
        {"0x7f000001", CPV_HOST_NUMERIC, "127.0.0.1"},
        {"0x7F.1", CPV_HOST_NUMERIC, "127.0.0.1"},
        {"127.1", CPV_HOST_NUMERIC, "127.0.0.1"},
        {"0177.0.0.01", CPV_HOST_NUMERIC, "127.0.0.1"},
        {"127.0.1", CPV_HOST_NUMERIC, "127.0.0.1"},
        {"0", CPV_HOST_NUMERIC, "0.0.0.0"},
        {"0x", CPV_HOST_NUMERIC, "0.0.0.0"},
        {"4294967295", CPV_HOST_NUMERIC, "255.255.255.255"},
        {"[::1]", CPV_HOST_NUMERIC, "::1"},
        {"[::ffff:127.0.0.1]", CPV_HOST_NUMERIC, "::ffff:127.0.0.1"},
        {"[0:0:0:0:0:0:0:1]", CPV_HOST_NUMERIC, "::1"},
        {"[2a00:1450::5e]", CPV_HOST_NUMERIC, "2a00:1450::5e"},
        {"4294967296", CPV_HOST_BAD, NULL},
        {"256.1.1.1", CPV_HOST_BAD, NULL},
        {"1.2.3.4.5", CPV_HOST_BAD, NULL},
        {"1.256.1", CPV_HOST_BAD, NULL},
        {"08.1.1.1", CPV_HOST_BAD, NULL},
        {"example.1", CPV_HOST_BAD, NULL},
        {"1.2.65536", CPV_HOST_BAD, NULL},
        {"[fe80::1%eth0]", CPV_HOST_BAD, NULL},
        {"[::1", CPV_HOST_BAD, NULL},
        {"[127.0.0.1]", CPV_HOST_BAD, NULL},
        {"[]", CPV_HOST_BAD, NULL},
        {"", CPV_HOST_BAD, NULL},
        {".", CPV_HOST_BAD, NULL},
        {"a..b", CPV_HOST_BAD, NULL},
        {".a", CPV_HOST_BAD, NULL},
        {"a b", CPV_HOST_BAD, NULL},
        {"a%2eb", CPV_HOST_BAD, NULL},
    };

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        struct cpv_http_addr a;
        char text[CPV_ADDR_TEXT];
        cpv_host_kind kind = cpv_host_classify(cases[i].host, &a);

        if (kind != cases[i].kind)
            fail_msg("'%s': kind %d", cases[i].host, (int)kind);
        if (kind != CPV_HOST_NUMERIC)
            continue;
        cpv_addr_text(&a, text);
        assert_string_equal(text, cases[i].addr);
    }
}

static bool is_public(const char *text)
{
    struct cpv_http_addr a = {.family = strchr(text, ':') ? 6 : 4};

    assert_int_equal(inet_pton(a.family == 6 ? AF_INET6 : AF_INET, text, a.bytes), 1);
    return cpv_addr_public(&a);
}

static void special_addresses_are_refused(void **state)
{
    /* The first and the last of each block, and their neighbours. */
    static const char *const refused[] = {"0.0.0.0",
                                          "0.255.255.255",
                                          "10.0.0.0",
                                          "10.255.255.255",
                                          "100.64.0.0",
                                          "100.127.255.255",
                                          "127.0.0.1",
                                          "127.255.255.255",
                                          "169.254.0.0",
                                          "169.254.169.254",
                                          "172.16.0.0",
                                          "172.31.255.255",
                                          "192.0.0.1",
                                          "192.0.2.1",
                                          "192.88.99.1",
                                          "192.168.0.1",
                                          "192.168.255.255",
                                          "198.18.0.0",
                                          "198.19.255.255",
                                          "198.51.100.1",
                                          "203.0.113.1",
                                          "224.0.0.1",
                                          "239.255.255.255",
                                          "240.0.0.1",
                                          "255.255.255.255",
                                          "::",
                                          "::1",
                                          "::7f00:1",
                                          "::ffff:127.0.0.1",
                                          "::ffff:10.1.2.3",
                                          "::ffff:0:127.0.0.1",
                                          "64:ff9b::127.0.0.1",
                                          "64:ff9b::a9fe:a9fe",
                                          "64:ff9b:1::1",
                                          "100::1",
                                          "2001::1",
                                          "2001:1ff::1",
                                          "2001:db8::1",
                                          "2002:7f00:1::",
                                          "2002:a00:1::1",
                                          "2002:c0a8:1::1",
                                          "3fff::1",
                                          "5f00::1",
                                          "fc00::1",
                                          "fdff::1",
                                          "fe80::1",
                                          "febf::1",
                                          "fec0::1",
                                          "ff02::1",
                                          "4000::1",
                                          "e000::1"};
    static const char *const allowed[] = {
        "1.1.1.1",          "9.255.255.255",        "11.0.0.0",
        "100.63.255.255",   "100.128.0.0",          "126.255.255.255",
        "128.0.0.0",        "169.253.255.255",      "169.255.0.0",
        "172.15.255.255",   "172.32.0.0",           "192.0.1.1",
        "192.0.3.0",        "192.167.255.255",      "192.169.0.0",
        "198.17.255.255",   "198.20.0.0",           "223.255.255.255",
        "::ffff:8.8.8.8",   "64:ff9b::8.8.8.8",     "2002:808:808::1",
        "2001:200::1",      "2001:4860:4860::8888", "2606:4700::1111",
        "2a00:1450:4001::1"};

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(refused); i++)
        if (is_public(refused[i]))
            fail_msg("%s is taken for public", refused[i]);
    for (size_t i = 0; i < CPV_COUNT(allowed); i++)
        if (!is_public(allowed[i]))
            fail_msg("%s is refused", allowed[i]);
}

static void urls_are_normalised(void **state)
{
    static const struct {
        const char *text, *want, *host;
        int port;
    } cases[] = {
        {"http://example.org/a.jpg", "http://example.org/a.jpg", "example.org", 80},
        {" \thttps://EXAMPLE.org/A.jpg\r\n", "https://example.org/A.jpg", "example.org",
         443},
        {"http://example.org./a", "http://example.org/a", "example.org", 80},
        {"http://example.org:8080/a#frag", "http://example.org:8080/a", "example.org",
         8080},
        {"http://example.org/a b.jpg", "http://example.org/a%20b.jpg", "example.org", 80},
        {"http://example.org/\xc3\xa9?q=\xc3\xa9", "http://example.org/%c3%a9?q=%c3%a9",
         "example.org", 80},
        {"http://example.org/%41%2f?a=b&c=d", "http://example.org/%41%2f?a=b&c=d",
         "example.org", 80},
        {"http://b\xc3\xbc"
         "cher.example/x",
         "http://xn--bcher-kva.example/x", "xn--bcher-kva.example", 80},
        {"http://"
         "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xe6\xb5\x8b\xe8\xaf\x95/",
         "http://xn--e1afmkfd.xn--0zwm56d/", "xn--e1afmkfd.xn--0zwm56d", 80},
        {"http://fa\xc3\x9f.A\xc3\x96.xn--p1ai/", "http://xn--fa-hia.xn--a-1ga.xn--p1ai/",
         "xn--fa-hia.xn--a-1ga.xn--p1ai", 80},
        {"http://127%2e0.0.1/", "http://127.0.0.1/", "127.0.0.1", 80},
        {"http://0x7f.1/", "http://127.0.0.1/", "127.0.0.1", 80},
        {"http://2130706433./", "http://127.0.0.1/", "127.0.0.1", 80},
        {"http://[::FFFF:1.2.3.4]/", "http://[::ffff:1.2.3.4]/", "[::ffff:1.2.3.4]", 80},
        {"HTTP://example.org", "http://example.org/", "example.org", 80},
        {"http://example.org?x", "http://example.org/?x", "example.org", 80},
    };

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(cases); i++) {
        struct cpv_url u;
        struct cpv_err err = {0};

        if (cpv_url_parse(&u, cases[i].text, false, &err))
            fail_msg("'%s': %s", cases[i].text, err.text);
        if (strcasecmp(u.text, cases[i].want) != 0)
            fail_msg("'%s' became '%s'", cases[i].text, u.text);
        assert_string_equal(u.host, cases[i].host);
        assert_int_equal(u.port, cases[i].port);
        cpv_url_release(&u);
    }
}

static void other_urls_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "example.org/a",
                                      "//example.org/a",
                                      "ftp://example.org/",
                                      "file:///etc/passwd",
                                      "data:,x",
                                      "gopher://example.org/",
                                      "http://u@example.org/",
                                      "http://u:p@example.org/",
                                      "http://example.org:22/",
                                      "http://example.org:7999/",
                                      "http://example.org:9000/",
                                      "http://example.org:0/",
                                      "http://example.org:65536/",
                                      "http://example.org:x/",
                                      "http://exa\nmple.org/",
                                      "http://example.org/\x01z",
                                      "http://example.org/\x7f",
                                      "http://exa mple.org/",
                                      "http://[::1%25lo]/",
                                      "http://[::1/",
                                      "http://999.1.1.1/",
                                      "http://a..b/",
                                      "http://\xff\xfe/"};
    char *longest = malloc(CPV_URL_MAX + 100);

    (void)state;
    for (size_t i = 0; i < CPV_COUNT(bad); i++) {
        struct cpv_url u;
        int rc = cpv_url_parse(&u, bad[i], false, NULL);

        if (rc != CPV_E_INPUT)
            fail_msg("'%s': %d, '%s'", bad[i], rc, u.text ? u.text : "");
        assert_null(u.text);
    }
    assert_non_null(longest);
    for (size_t n = CPV_URL_MAX - 5; n < CPV_URL_MAX + 5; n++) {
        struct cpv_url u;
        int rc;

        memset(longest, 'a', n);
        memcpy(longest, "http://example.org/", 19);
        longest[n] = '\0';
        rc = cpv_url_parse(&u, longest, false, NULL);
        assert_int_equal(rc, n > CPV_URL_MAX ? CPV_E_INPUT : CPV_OK);
        cpv_url_release(&u);
    }
    free(longest);
}

static void any_port_is_for_tests(void **state)
{
    struct cpv_url u;

    (void)state;
    assert_int_equal(cpv_url_parse(&u, "http://127.0.0.1:4567/x", true, NULL), 0);
    assert_int_equal(u.port, 4567);
    cpv_url_release(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_told_apart),
        cmocka_unit_test(special_addresses_are_refused),
        cmocka_unit_test(urls_are_normalised),
        cmocka_unit_test(other_urls_are_refused),
        cmocka_unit_test(any_port_is_for_tests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
