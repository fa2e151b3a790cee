/* SPDX-License-Identifier: Apache-2.0 */
/* Inside hub: hub.c asks, follows and asks again; hub_xfer.c makes one transfer. */
#ifndef CPV_NET_HUB_IMPL_H
#define CPV_NET_HUB_IMPL_H

#include <curl/curl.h>

#include "common/net/hub.h"

struct cpv_hub {
    struct cpv_hub_params p;
    char *endpoint, *ca_file;
    char host[256]; /* with its port, if the endpoint names one */
    CURL *easy;
    struct curl_slist *auth; /* NULL: no token */
};

/* What a final answer's headers said. */
struct hub_answer {
    int status; /* 0: no answer came */
    char etag[128], linked_etag[128], commit[64], error_code[48];
    int64_t linked_size, length; /* -1: not said */
    int64_t range_at;            /* of a 206; -1 */
    int64_t retry_after_ms;      /* -1 */
};

typedef enum hub_sink { HUB_NOTHING, HUB_BUFFER, HUB_FILE } hub_sink;

/* A request, over all its hops and attempts. */
struct hub_xfer {
    cpv_hub *h;
    const char *what;
    hub_sink sink; /* NOTHING is a HEAD */
    struct cpv_buf *body;
    size_t max;
    int fd;
    const char *name;
    uint64_t *at;
    int64_t size;

    struct hub_answer answer; /* of the last transfer */
    bool begun;               /* its body */
    size_t drained;           /* of a body that nobody wants */
    int rc;                   /* of our own that ended it; 0 */
    struct cpv_err err;
    char why[CURL_ERROR_SIZE + 64]; /* it did not work, when HUB_AGAIN */
};

enum {
    HUB_AGAIN = 1 /* not a code: it may work another time */
};

/* One transfer. CPV_OK: answer is filled; HUB_AGAIN: why is; else err is. */
int hub_transfer(struct hub_xfer *x, const char *url, bool with_token,
                 struct cpv_err *err);
/* Empty the file, for another start. */
int hub_rewind(struct hub_xfer *x, struct cpv_err *err);

#endif
