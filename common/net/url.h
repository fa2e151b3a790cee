/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs as the fetcher uses them: parsed once, by libcurl's parser, checked, and
 * written back in the one form that goes on the wire.
 */
#ifndef CPV_NET_URL_H
#define CPV_NET_URL_H

#include "common/net/addr.h"

enum { CPV_URL_MAX = 8192, CPV_URL_HOST_MAX = 254 };

struct cpv_url {
    char *text; /* normalised, without fragment; cpv_free'd by cpv_url_release */
    bool https;
    int port;
    cpv_host_kind kind;        /* never CPV_HOST_BAD */
    struct cpv_http_addr addr; /* if numeric */
    /* Lower case, ASCII (IDN as punycode), no trailing dot; IPv6 in brackets. */
    char host[CPV_URL_HOST_MAX];
};

/*
 * CPV_OK, CPV_E_INPUT if this is no URL that we fetch (other scheme, user data, control
 * characters, port outside 80, 443, 8000-8999 unless any_port), or CPV_E_MEMORY. Blanks
 * round it are dropped, blanks and non-ASCII inside are percent-encoded.
 */
CPV_MUST_CHECK int cpv_url_parse(struct cpv_url *out, const char *text, bool any_port,
                                 struct cpv_err *err);
void cpv_url_release(struct cpv_url *u);

#endif
