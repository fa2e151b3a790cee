/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name look-ups on threads that nobody has to wait for.
 *
 *     open, ask ..., next when the descriptor is readable ..., close
 *
 * getaddrinfo cannot be interrupted. The threads are detached and share the state by
 * counted reference: close returns at once, and a thread that is stuck frees its
 * share when, if ever, it comes back. Threads are made as they are needed.
 */
#ifndef CPV_NET_RESOLVER_H
#define CPV_NET_RESOLVER_H

#include "common/net/url.h"

typedef struct cpv_resolver cpv_resolver;

struct cpv_lookup {
    char host[CPV_URL_HOST_MAX];
    uint64_t id; /* as given to ask */
    int result;  /* number of addresses, or EAI_* */
    struct cpv_http_addr addrs[CPV_HTTP_ADDRS];
};

/* resolve NULL: getaddrinfo. ctx must outlive even calls that are stuck. */
CPV_MUST_CHECK int cpv_resolver_open(cpv_resolver **out, int threads,
                                     cpv_http_resolve *resolve, void *ctx,
                                     struct cpv_err *err);
int cpv_resolver_fd(const cpv_resolver *r); /* readable when there are results */

/* The host without brackets. Answered once; never waits. One thread asks and reads. */
CPV_MUST_CHECK int cpv_resolver_ask(cpv_resolver *r, const char *host, uint64_t id,
                                    struct cpv_err *err);
/* Look-ups asked and not yet answered, stuck ones included. */
int cpv_resolver_busy(const cpv_resolver *r);
/* false: no more results for now. */
CPV_MUST_CHECK bool cpv_resolver_next(cpv_resolver *r, struct cpv_lookup *out);
void cpv_resolver_close(cpv_resolver **r);

#endif
