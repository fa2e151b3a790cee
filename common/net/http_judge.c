/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer, or its absence, means: status, whether to retry, whose fault. */
#include <errno.h>

#include "common/net/http_impl.h"

static bool server_error_passes(int http)
{
    return http == 500 || http == 502 || http == 503 || http == 504 ||
           (http >= 520 && http <= 529);
}

/* An answer came, whole or as much of it as we wanted. */
static void judge_answer(const struct xfer *x, struct outcome *o)
{
    int http = x->http;

    if (http_success(http)) {
        o->status = http == 206 ? CPV_HTTP_PROTOCOL /* nobody asked for a range */
                    : http == 204 || http == 205 || x->body.size == 0 ? CPV_HTTP_EMPTY
                                                                      : CPV_HTTP_OK;
    } else if (http >= 300 && http < 400) {
        o->status = CPV_HTTP_REDIRECT;
    } else if (http == 429) {
        o->status = CPV_HTTP_429;
        o->retry = o->transient = o->host_failed = true;
    } else if (http >= 400 && http < 500) {
        o->status = http == 410 ? CPV_HTTP_410 : CPV_HTTP_4XX;
        o->retry = o->transient = http == 408 || http == 425;
    } else if (http >= 500 && http < 600) {
        o->status = CPV_HTTP_5XX;
        o->retry = o->transient = o->host_failed = server_error_passes(http);
    } else {
        o->status = CPV_HTTP_PROTOCOL;
    }
}

/* No answer, or half of one. */
static void judge_failure(const struct xfer *x, CURLcode rc, struct outcome *o)
{
    long sys = 0;

    switch (rc) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        o->status = CPV_HTTP_CONNECT;
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
        o->status = CPV_HTTP_DNS_TEMP;
        break;
    case CURLE_OPERATION_TIMEDOUT:
        o->status = CPV_HTTP_TIMEOUT;
        break;
    case CURLE_SSL_CONNECT_ERROR:
        (void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &sys);
        o->status = sys == ECONNRESET || sys == EPIPE ? CPV_HTTP_CONNECT : CPV_HTTP_TLS;
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
        o->status = CPV_HTTP_TLS;
        break;
    case CURLE_OUT_OF_MEMORY:
        /* libcurl says so of a header line over 100 KB as well. */
        o->status = x->asked && !x->headers ? CPV_HTTP_PROTOCOL : CPV_HTTP_MEMORY;
        break;
    case CURLE_URL_MALFORMAT:
        o->status = CPV_HTTP_BAD_URL;
        break;
    default:
        o->status = CPV_HTTP_PROTOCOL;
    }
    o->transient = cpv_http_status_transient(o->status);
    o->host_failed = o->status == CPV_HTTP_CONNECT || o->status == CPV_HTTP_TIMEOUT;
    /* Less than announced may have been a broken line; a liar says it every time. */
    o->retry =
        o->host_failed || o->status == CPV_HTTP_DNS_TEMP || rc == CURLE_PARTIAL_FILE;
}

struct outcome xfer_judge(const struct xfer *x, CURLcode rc)
{
    struct outcome o = {.status = x->verdict, .retry_after = x->retry_after};

    if (x->verdict)
        o.transient = cpv_http_status_transient(x->verdict);
    else if (x->headers && (rc == CURLE_OK || x->drain || x->enough))
        judge_answer(x, &o);
    else
        judge_failure(x, rc ? rc : CURLE_WEIRD_SERVER_REPLY, &o);
    return o;
}
