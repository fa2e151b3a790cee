/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer of the hub's client: what libcurl is told, and what its callbacks do. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/net/hub_impl.h"

enum {
    DRAIN_MAX = 64 * 1024, /* of an answer that is not wanted, to keep the connection */
    HEADER_MAX = 4096      /* a longer value is none that we need */
};

int hub_rewind(struct hub_xfer *x, struct cpv_err *err)
{
    if (cpv_sys.ftruncate(x->fd, 0) < 0 || lseek(x->fd, 0, SEEK_SET) < 0)
        return cpv_fail_sys(err, errno, "cannot empty '%s'", x->name);
    *x->at = 0;
    return CPV_OK;
}

/* ---- headers ---- */

static void copy(char *to, size_t room, const char *value)
{
    (void)snprintf(to, room, "%s", value);
}

/* Digits only, no more than int64_t holds; else -1. */
static int64_t number(const char *s)
{
    int64_t n = 0;

    if (!*s)
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || n > (INT64_MAX - 9) / 10)
            return -1;
        n = n * 10 + (*s - '0');
    }
    return n;
}

/* "120", or an HTTP date. */
static int64_t parse_retry_after(const char *value)
{
    int64_t seconds = number(value);

    if (seconds < 0) {
        time_t at = curl_getdate(value, NULL);

        if (at == (time_t)-1)
            return -1;
        seconds = (int64_t)at - (int64_t)time(NULL);
    }
    if (seconds < 0)
        seconds = 0;
    return seconds > CPV_HUB_RETRY_AFTER_MAX / 1000 ? CPV_HUB_RETRY_AFTER_MAX
                                                    : seconds * 1000;
}

/* "bytes 100-199/200" */
static int64_t parse_range(const char *value)
{
    char first[24];
    size_t n;

    if (strncasecmp(value, "bytes ", 6) != 0)
        return -1;
    value += 6;
    n = strspn(value, "0123456789");
    if (n == 0 || n >= sizeof first || value[n] != '-')
        return -1;
    memcpy(first, value, n);
    first[n] = '\0';
    return number(first);
}

static void take_header(struct hub_answer *a, const char *name, const char *value)
{
    if (strcasecmp(name, "etag") == 0)
        copy(a->etag, sizeof a->etag, value);
    else if (strcasecmp(name, "x-linked-etag") == 0)
        copy(a->linked_etag, sizeof a->linked_etag, value);
    else if (strcasecmp(name, "x-repo-commit") == 0)
        copy(a->commit, sizeof a->commit, value);
    else if (strcasecmp(name, "x-error-code") == 0)
        copy(a->error_code, sizeof a->error_code, value);
    else if (strcasecmp(name, "x-linked-size") == 0)
        a->linked_size = number(value);
    else if (strcasecmp(name, "content-length") == 0)
        a->length = number(value);
    else if (strcasecmp(name, "content-range") == 0)
        a->range_at = parse_range(value);
    else if (strcasecmp(name, "retry-after") == 0)
        a->retry_after_ms = parse_retry_after(value);
}

/* "HTTP/1.1 200 OK": what came before belongs to another answer (100, a proxy's). */
static void begin_answer(struct hub_answer *a, const char *line)
{
    const char *space = strchr(line, ' ');

    memset(a, 0, sizeof *a);
    a->linked_size = a->length = a->range_at = a->retry_after_ms = -1;
    if (space && strlen(space) >= 4)
        for (int i = 1; i <= 3 && space[i] >= '0' && space[i] <= '9'; i++)
            a->status = 10 * a->status + (space[i] - '0');
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct hub_xfer *x = arg;
    size_t n = size * count, used = n;
    char line[HEADER_MAX], *value;

    while (used > 0 && (data[used - 1] == '\r' || data[used - 1] == '\n' ||
                        data[used - 1] == ' ' || data[used - 1] == '\t'))
        used--;
    if (used == 0 || used >= sizeof line)
        return n;
    memcpy(line, data, used);
    line[used] = '\0';
    if (strncasecmp(line, "HTTP/", 5) == 0) {
        begin_answer(&x->answer, line);
        return n;
    }
    value = strchr(line, ':');
    if (!value)
        return n;
    *value++ = '\0';
    take_header(&x->answer, line, value + strspn(value, " \t"));
    return n;
}

/* ---- bodies ---- */

static size_t refuse(struct hub_xfer *x, int rc)
{
    x->rc = rc;
    return 0;
}

/* The first bytes of a file have come: where do they belong? */
static int begin_file(struct hub_xfer *x)
{
    const struct hub_answer *a = &x->answer;

    x->begun = true;
    if (*x->at == 0 || (a->status == 206 && a->range_at == (int64_t)*x->at))
        return CPV_OK;
    if (a->status == 206)
        return cpv_fail(&x->err, CPV_E_CORRUPT,
                        "%s: asked for bytes from %llu on, %s sent others", x->what,
                        (unsigned long long)*x->at, x->h->host);
    return hub_rewind(x, &x->err); /* it knows no ranges */
}

static size_t to_file(struct hub_xfer *x, const char *data, size_t n)
{
    int rc = x->begun ? CPV_OK : begin_file(x);

    if (!rc && x->size >= 0 && !cpv_range_in(*x->at, n, (uint64_t)x->size))
        rc = cpv_fail(&x->err, CPV_E_CORRUPT,
                      "%s: more than the %lld bytes that were announced", x->what,
                      (long long)x->size);
    if (!rc)
        rc = cpv_file_put(x->fd, data, n, x->name, &x->err);
    if (rc)
        return refuse(x, rc);
    *x->at += n;
    if (x->h->p.moved)
        x->h->p.moved(x->h->p.ctx, n);
    return n;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct hub_xfer *x = arg;
    size_t n = size * count;

    if (x->answer.status != 200 && x->answer.status != 206) {
        x->drained += n;
        return x->drained > DRAIN_MAX ? 0 : n;
    }
    if (x->sink == HUB_FILE)
        return to_file(x, data, n);
    if (x->sink == HUB_NOTHING)
        return n;
    if (n > x->max || x->body->size > x->max - n)
        return refuse(x, cpv_fail(&x->err, CPV_E_INPUT,
                                  "%s: %s answered with more than %zu bytes", x->what,
                                  x->h->host, x->max));
    cpv_buf_add(x->body, data, n);
    return x->body->failed ? refuse(x, cpv_fail_memory(&x->err)) : n;
}

static int on_moment(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total,
                     curl_off_t up)
{
    (void)arg, (void)total, (void)now, (void)up_total, (void)up;
    return cpv_stop_requested();
}

/* ---- the transfer ---- */

static void set_up(struct hub_xfer *x, const char *url, bool with_token)
{
    const struct cpv_hub_params *p = &x->h->p;
    CURL *e = x->h->easy;
    char range[32];

    curl_easy_reset(e); /* keeps connections */
    (void)curl_easy_setopt(e, CURLOPT_URL, url);
    (void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(e, CURLOPT_USERAGENT, "capivara/" CPV_VERSION);
    (void)curl_easy_setopt(e, CURLOPT_NOBODY, x->sink == HUB_NOTHING ? 1L : 0L);
    (void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->why);
    (void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
    (void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    (void)curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_moment);
    (void)curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)p->connect_timeout_ms);
    (void)curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)((p->stall_ms + 999) / 1000));
    if (with_token)
        (void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, x->h->auth);
    if (x->h->ca_file)
        (void)curl_easy_setopt(e, CURLOPT_CAINFO, x->h->ca_file);
    if (x->sink == HUB_FILE && *x->at > 0) {
        /* Not RESUME_FROM: that takes a redirect, or a server that cannot resume, for an
         * error. */
        (void)snprintf(range, sizeof range, "%llu-", (unsigned long long)*x->at);
        (void)curl_easy_setopt(e, CURLOPT_RANGE, range);
    }
}

/* What is wrong for good, with a code; 0 for what may pass. */
static int lasting(CURLcode rc)
{
    switch (rc) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ENGINE_NOTFOUND:
        return CPV_E_IO;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
        return CPV_E_INPUT;
    case CURLE_OUT_OF_MEMORY:
        return CPV_E_MEMORY;
    default:
        return 0;
    }
}

int hub_transfer(struct hub_xfer *x, const char *url, bool with_token,
                 struct cpv_err *err)
{
    CURLcode rc;
    int code;

    begin_answer(&x->answer, "");
    x->begun = false;
    x->drained = 0;
    x->rc = 0;
    x->why[0] = '\0';
    if (x->sink == HUB_BUFFER)
        cpv_buf_clear(x->body);
    if (x->sink == HUB_FILE && lseek(x->fd, (off_t)*x->at, SEEK_SET) < 0)
        return cpv_fail_sys(err, errno, "cannot seek in '%s'", x->name);
    set_up(x, url, with_token);
    rc = curl_easy_perform(x->h->easy);
    if (x->rc) {
        if (err)
            *err = x->err;
        return x->rc;
    }
    if (rc == CURLE_OK || x->drained > DRAIN_MAX)
        return CPV_OK;
    if (rc == CURLE_ABORTED_BY_CALLBACK)
        return cpv_fail(err, CPV_E_STOPPED,
                        "stopped; run the same command again, it goes on from here");
    if (!x->why[0])
        copy(x->why, sizeof x->why, curl_easy_strerror(rc));
    code = lasting(rc);
    return code ? cpv_fail(err, code, "%s: %s: %s", x->what, x->h->host, x->why)
                : HUB_AGAIN;
}
