/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs and the address filter. Beyond not crashing: what was accepted is accepted again
 * unchanged, and no host that the C library takes for an address passes as a name.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Is it an address to getaddrinfo, and which? */
static bool libc_address(const char *host, struct cpv_http_addr *out)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool ok = getaddrinfo(host, NULL, &hints, &found) == 0;

    if (ok)
        ok = cpv_addr_from_sockaddr(out, found->ai_addr);
    if (found)
        freeaddrinfo(found);
    return ok;
}

static void check_host(const char *host)
{
    struct cpv_http_addr ours, theirs;
    cpv_host_kind kind = cpv_host_classify(host, &ours);
    char bare[CPV_URL_HOST_MAX + 1];

    if (strlen(host) >= sizeof bare)
        return;
    (void)snprintf(bare, sizeof bare, "%s", host[0] == '[' ? host + 1 : host);
    if (host[0] == '[' && strlen(bare) > 0)
        bare[strlen(bare) - 1] = '\0';
    if (!libc_address(bare, &theirs))
        return;
    check(kind != CPV_HOST_NAME);
    if (kind == CPV_HOST_NUMERIC) {
        check(ours.family == theirs.family);
        check(memcmp(ours.bytes, theirs.bytes, sizeof ours.bytes) == 0);
        check(cpv_addr_public(&ours) == cpv_addr_public(&theirs));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_url u, again;
    char *text;
    bool any_port;

    if (size < 1 || size > 20000)
        return 0;
    any_port = data[0] & 1;
    text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    check_host(text);
    if (cpv_url_parse(&u, text, any_port, NULL) == 0) {
        check(strncmp(u.text, "http", 4) == 0);
        check(u.kind != CPV_HOST_BAD);
        check_host(u.host);
        if (strlen(u.text) <= CPV_URL_MAX) {
            check(cpv_url_parse(&again, u.text, any_port, NULL) == 0);
            check(strcmp(u.text, again.text) == 0);
            check(strcmp(u.host, again.host) == 0 && u.port == again.port);
            cpv_url_release(&again);
        }
    }
    cpv_url_release(&u);
    free(text);
    return 0;
}
