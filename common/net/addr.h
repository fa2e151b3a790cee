/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internet addresses: numeric hosts in every notation that some parser takes for
 * one, and the list of addresses that a URL from a stranger must not reach.
 */
#ifndef CPV_NET_ADDR_H
#define CPV_NET_ADDR_H

#include <sys/socket.h>

#include "common/net/http.h"

enum { CPV_ADDR_TEXT = 46 }; /* INET6_ADDRSTRLEN */

/* What a host in a URL is. */
typedef enum cpv_host_kind {
    CPV_HOST_NAME,    /* to be looked up */
    CPV_HOST_NUMERIC, /* *out is its address */
    CPV_HOST_BAD      /* would be numeric, but is no address; or no name either */
} cpv_host_kind;

/*
 * `host` without a trailing dot; IPv6 in brackets. IPv4 as inet_aton takes it: one to
 * four parts, each decimal, octal (0...) or hexadecimal (0x...), the last filling what
 * is left. A host whose last part is a number is numeric or bad, never a name.
 */
cpv_host_kind cpv_host_classify(const char *host, struct cpv_http_addr *out);

/* May a stranger's URL lead there? IPv4 inside IPv6 is judged as IPv4. */
bool cpv_addr_public(const struct cpv_http_addr *a);

/* false: neither IPv4 nor IPv6. */
bool cpv_addr_from_sockaddr(struct cpv_http_addr *out, const struct sockaddr *sa);
void cpv_addr_text(const struct cpv_http_addr *a, char out[CPV_ADDR_TEXT]);

#endif
