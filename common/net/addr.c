/* SPDX-License-Identifier: Apache-2.0 */
/* See addr.h. */
#include "common/net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/size.h"

/* --- numeric hosts ----------------------------------------------------------- */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

static bool is_hex_number(const char *s, size_t n)
{
    return n >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
}

/* All digits, or 0x and hexadecimal digits (as few as none, as browsers take it). */
static bool looks_numeric(const char *s, size_t n)
{
    bool hex = is_hex_number(s, n);

    for (size_t i = hex ? 2 : 0; i < n; i++)
        if (digit_value(s[i]) >= (hex ? 16 : 10))
            return false;
    return n > 0;
}

/* One part of an IPv4 address; false if it has a digit that its base has not. */
static bool parse_part(const char *s, size_t n, uint64_t *out)
{
    unsigned base = 10;
    uint64_t v = 0;

    if (is_hex_number(s, n)) {
        base = 16;
        s += 2, n -= 2;
    } else if (n > 1 && s[0] == '0') {
        base = 8;
        s++, n--;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)digit_value(s[i]);

        if (d >= base)
            return false;
        v = v * base + d;
        if (v > UINT32_MAX)
            return false;
    }
    *out = v;
    return true;
}

/* One to four parts; the last one fills the bytes that are left. */
static bool parse_v4(const char *host, struct cpv_http_addr *out)
{
    uint64_t part[4], v = 0;
    size_t count = 0;

    for (const char *at = host;;) {
        const char *dot = strchr(at, '.');
        size_t n = dot ? (size_t)(dot - at) : strlen(at);

        if (count == 4 || n == 0 || !parse_part(at, n, &part[count]))
            return false;
        count++;
        if (!dot)
            break;
        at = dot + 1;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        if (part[i] > 255)
            return false;
        v |= part[i] << (24 - 8 * i);
    }
    if (part[count - 1] >> (8 * (5 - count)))
        return false;
    v |= part[count - 1];
    memset(out, 0, sizeof *out);
    out->family = 4;
    for (size_t i = 0; i < 4; i++)
        out->bytes[i] = (uint8_t)(v >> (24 - 8 * i));
    return true;
}

static bool parse_v6(const char *host, struct cpv_http_addr *out)
{
    char text[CPV_ADDR_TEXT];
    size_t n = strlen(host);
    struct in6_addr in6;

    if (n < 4 || host[n - 1] != ']' || n - 2 >= sizeof text)
        return false;
    memcpy(text, host + 1, n - 2);
    text[n - 2] = '\0';
    if (inet_pton(AF_INET6, text, &in6) != 1)
        return false; /* a zone (fe80::1%eth0) is refused here too */
    out->family = 6;
    memcpy(out->bytes, in6.s6_addr, 16);
    return true;
}

/* Letters, digits, '-', '_' in labels of 1 to 63 bytes, 253 in all. */
static bool is_name(const char *host)
{
    size_t label = 0, n = 0;

    for (; host[n]; n++) {
        char c = host[n];

        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
            continue;
        }
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '-' || c == '_') ||
            ++label > 63)
            return false;
    }
    return label > 0 && n <= 253;
}

cpv_host_kind cpv_host_classify(const char *host, struct cpv_http_addr *out)
{
    const char *last;

    memset(out, 0, sizeof *out);
    if (host[0] == '[')
        return parse_v6(host, out) ? CPV_HOST_NUMERIC : CPV_HOST_BAD;
    if (!is_name(host))
        return CPV_HOST_BAD;
    last = strrchr(host, '.');
    last = last ? last + 1 : host;
    if (!looks_numeric(last, strlen(last)))
        return CPV_HOST_NAME;
    return parse_v4(host, out) ? CPV_HOST_NUMERIC : CPV_HOST_BAD;
}

/* --- which addresses are public ------------------------------------------------ */

struct prefix {
    uint8_t bytes[16];
    uint8_t bits;
};

/* IANA's special-purpose registry, and multicast. */
static const struct prefix refused_v4[] = {
    {{0}, 8},
    {{10}, 8},
    {{100, 64}, 10}, /* carriers' NAT */
    {{127}, 8},
    {{169, 254}, 16}, /* link-local, clouds' metadata */
    {{172, 16}, 12},
    {{192, 0, 0}, 24},
    {{192, 0, 2}, 24},   /* documentation */
    {{192, 88, 99}, 24}, /* 6to4 relays, retired */
    {{192, 168}, 16},
    {{198, 18}, 15},      /* benchmarks */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 4},           /* multicast */
    {{240}, 4},           /* reserved, broadcast */
};

static const struct prefix refused_v6[] = {
    {{0}, 96},                            /* ::, ::1, IPv4-compatible */
    {{0x00, 0x64, 0xff, 0x9b, 0, 1}, 48}, /* local NAT64 */
    {{0x01, 0x00}, 64},                   /* discard */
    {{0x20, 0x01, 0x00}, 23},             /* protocols: Teredo, ORCHID */
    {{0x20, 0x01, 0x0d, 0xb8}, 32},       /* documentation */
    {{0x3f, 0xff, 0x00}, 20},             /* documentation */
    {{0x5f, 0x00}, 16},                   /* segment routing */
    {{0xfc}, 7},                          /* unique local */
    {{0xfe, 0x80}, 10},                   /* link-local */
    {{0xfe, 0xc0}, 10},                   /* site-local, retired */
    {{0xff}, 8},                          /* multicast */
};

/* IPv6 that carries an IPv4 address, and where in it. */
static const struct {
    struct prefix prefix;
    uint8_t at;
} carries_v4[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12}, /* mapped */
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12},       /* translated (SIIT) */
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},                   /* NAT64 */
    {{{0x20, 0x02}, 16}, 2},                                /* 6to4 */
};

static bool in_prefix(const uint8_t *bytes, const struct prefix *p)
{
    size_t whole = p->bits / 8;
    uint8_t mask = (uint8_t)(0xff00u >> (p->bits % 8));

    return memcmp(bytes, p->bytes, whole) == 0 &&
           (p->bits % 8 == 0 || ((bytes[whole] ^ p->bytes[whole]) & mask) == 0);
}

static bool public_v4(const uint8_t *bytes)
{
    for (size_t i = 0; i < CPV_COUNT(refused_v4); i++)
        if (in_prefix(bytes, &refused_v4[i]))
            return false;
    return true;
}

bool cpv_addr_public(const struct cpv_http_addr *a)
{
    if (a->family == 4)
        return public_v4(a->bytes);
    if (a->family != 6)
        return false;
    for (size_t i = 0; i < CPV_COUNT(carries_v4); i++)
        if (in_prefix(a->bytes, &carries_v4[i].prefix))
            return public_v4(a->bytes + carries_v4[i].at);
    for (size_t i = 0; i < CPV_COUNT(refused_v6); i++)
        if (in_prefix(a->bytes, &refused_v6[i]))
            return false;
    /* What IANA has not given out as global unicast (2000::/3) is nobody's. */
    return (a->bytes[0] & 0xe0) == 0x20;
}

/* --- conversions ----------------------------------------------------------------- */

bool cpv_addr_from_sockaddr(struct cpv_http_addr *out, const struct sockaddr *sa)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;

    memset(out, 0, sizeof *out);
    if (sa->sa_family == AF_INET) {
        memcpy(&in4, sa, sizeof in4);
        out->family = 4;
        memcpy(out->bytes, &in4.sin_addr, 4);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        memcpy(&in6, sa, sizeof in6);
        out->family = 6;
        memcpy(out->bytes, &in6.sin6_addr, 16);
        return true;
    }
    return false;
}

void cpv_addr_text(const struct cpv_http_addr *a, char out[CPV_ADDR_TEXT])
{
    if (!inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, out, CPV_ADDR_TEXT))
        out[0] = '\0';
}
