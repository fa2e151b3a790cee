/* SPDX-License-Identifier: Apache-2.0 */
/* See hub.h, where the promises are numbered. */
#include "common/net/hub.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/net/hub_impl.h"

enum { HOPS = 8, BACKOFF_MAX_MS = 60000 };

static const char PUBLIC[] = "https://huggingface.co";

void cpv_hub_defaults(struct cpv_hub_params *p)
{
    *p = (struct cpv_hub_params){
        .endpoint = PUBLIC,
        .retries = 5,
        .backoff_ms = 1000,
        .connect_timeout_ms = 10000,
        .stall_ms = 30000,
    };
}

/* ---- origins ---- */

static char *part_of(CURLU *u, CURLUPart part)
{
    char *text = NULL;

    return curl_url_get(u, part, &text, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0)
               ? NULL
               : text;
}

static CURLU *parse(const char *url)
{
    CURLU *u = curl_url();

    if (u && curl_url_set(u, CURLUPART_URL, url, 0)) {
        curl_url_cleanup(u);
        u = NULL;
    }
    return u;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *x = part_of(a, part), *y = part_of(b, part);
    bool same = x && y && curl_strequal(x, y);

    curl_free(x);
    curl_free(y);
    return same;
}

/* Scheme, host and port. Without memory: no. */
static bool same_origin(const char *a, const char *b)
{
    CURLU *x = parse(a), *y = parse(b);
    bool same = x && y && same_part(x, y, CURLUPART_SCHEME) &&
                same_part(x, y, CURLUPART_HOST) && same_part(x, y, CURLUPART_PORT);

    curl_url_cleanup(x);
    curl_url_cleanup(y);
    return same;
}

static bool is_https(const char *url)
{
    return strncmp(url, "https:", 6) == 0;
}

/* ---- open ---- */

static int take_endpoint(cpv_hub *h, const char *endpoint, struct cpv_err *err)
{
    CURLU *u = parse(endpoint);
    char *scheme = u ? part_of(u, CURLUPART_SCHEME) : NULL;
    char *host = u ? part_of(u, CURLUPART_HOST) : NULL;
    char *user = u ? part_of(u, CURLUPART_USER) : NULL, *port = NULL;
    size_t n = strlen(endpoint);
    int rc = CPV_OK;

    if (!scheme || !host || user ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
        endpoint[strcspn(endpoint, "?#")])
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s' is no endpoint: expected http(s)://HOST[:PORT][/PATH]",
                      endpoint);
    if (!rc && curl_url_get(u, CURLUPART_PORT, &port, 0))
        port = NULL;
    if (!rc) {
        (void)snprintf(h->host, sizeof h->host, "%s%s%s", host, port ? ":" : "",
                       port ? port : "");
        h->endpoint = cpv_strdup(endpoint);
        if (!h->endpoint)
            rc = cpv_fail_memory(err);
    }
    while (!rc && n > 0 && h->endpoint[n - 1] == '/')
        h->endpoint[--n] = '\0';
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_free(port);
    curl_url_cleanup(u);
    return rc;
}

static int take_token(cpv_hub *h, const char *token, struct cpv_err *err)
{
    struct cpv_buf line = {0};
    const char *text;

    if (!token || !*token)
        return CPV_OK;
    for (const char *c = token; *c; c++)
        if (*c <= ' ' || *c > '~')
            return cpv_fail(err, CPV_E_INPUT,
                            "the token (HF_TOKEN or its file) holds characters that no "
                            "token has");
    cpv_buf_printf(&line, "Authorization: Bearer %s", token);
    text = cpv_buf_cstr(&line);
    h->auth = text ? curl_slist_append(NULL, text) : NULL;
    cpv_buf_release(&line);
    return h->auth ? CPV_OK : cpv_fail_memory(err);
}

int cpv_hub_open(cpv_hub **out, const struct cpv_hub_params *p, struct cpv_err *err)
{
    cpv_hub *h = cpv_calloc(1, sizeof *h);
    int rc = h ? CPV_OK : cpv_fail_memory(err);

    *out = NULL;
    if (!rc && curl_global_init(CURL_GLOBAL_DEFAULT)) {
        cpv_free(h);
        return cpv_fail(err, CPV_E_IO, "libcurl does not start");
    }
    if (rc)
        return rc;
    h->p = *p;
    h->p.endpoint = h->p.token = h->p.ca_file = NULL; /* the caller's; copied below */
    rc = take_endpoint(h, p->endpoint, err);
    if (!rc)
        rc = take_token(h, p->token, err);
    if (!rc && p->ca_file && !(h->ca_file = cpv_strdup(p->ca_file)))
        rc = cpv_fail_memory(err);
    if (!rc && !(h->easy = curl_easy_init()))
        rc = cpv_fail_memory(err);
    if (rc) {
        cpv_hub_close(&h);
        return rc;
    }
    *out = h;
    return CPV_OK;
}

void cpv_hub_close(cpv_hub **hub)
{
    cpv_hub *h = *hub;

    *hub = NULL;
    if (!h)
        return;
    curl_easy_cleanup(h->easy);
    curl_slist_free_all(h->auth);
    cpv_free(h->endpoint);
    cpv_free(h->ca_file);
    cpv_free(h);
    curl_global_cleanup();
}

const char *cpv_hub_host(const cpv_hub *h)
{
    return h->host;
}

void cpv_hub_escape(struct cpv_buf *out, const char *s, bool keep_slashes)
{
    for (; *s; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                     (*s >= '0' && *s <= '9') || strchr("-._~", *s) ||
                     (*s == '/' && keep_slashes);

        if (plain)
            cpv_buf_byte(out, (uint8_t)*s);
        else
            cpv_buf_printf(out, "%%%02X", (unsigned)(unsigned char)*s);
    }
}

/* ---- verdicts ---- */

static bool may_pass(int status)
{
    return status == 408 || status == 429 || (status >= 500 && status != 501);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 ||
           status == 308;
}

static int fail_denied(const struct hub_xfer *x, struct cpv_err *err)
{
    const char *host = x->h->host, *code = x->answer.error_code;
    int status = x->answer.status;

    if (strcmp(code, "GatedRepo") == 0)
        return cpv_fail(
            err, CPV_E_INPUT, "%s is gated (%d): accept its terms on %s and %s", x->what,
            status, host,
            x->h->auth ? "use a token of that account in HF_TOKEN" : "set HF_TOKEN");
    if (strcmp(code, "RepoNotFound") == 0 || !x->h->auth)
        return cpv_fail(err, CPV_E_INPUT,
                        "%s: %s has none of that name, or it is private or gated (%d): "
                        "check the name%s",
                        x->what, host, status, x->h->auth ? "" : ", or set HF_TOKEN");
    return cpv_fail(err, CPV_E_INPUT,
                    "%s: %s refuses the token in HF_TOKEN, or it may not read this (%d)",
                    x->what, host, status);
}

/* The last answer is neither a redirect nor one that may pass. */
static int judge(const struct hub_xfer *x, struct cpv_err *err)
{
    int status = x->answer.status;

    if (status == 200 || status == 206)
        return CPV_OK;
    if (status == 401 || status == 403)
        return fail_denied(x, err);
    if (status == 404)
        return cpv_fail(err, CPV_E_INPUT,
                        "%s: %s has no such model, revision or file "
                        "(404)",
                        x->what, x->h->host);
    if (status == 0)
        return cpv_fail(err, CPV_E_INPUT, "%s: %s does not speak HTTP", x->what,
                        x->h->host);
    return cpv_fail(err, CPV_E_INPUT, "%s: %s answered %d", x->what, x->h->host, status);
}

/* ---- hops and attempts ---- */

/* Where the last answer points, in *url; the caller frees. */
static int next_hop(struct hub_xfer *x, char **url, struct cpv_err *err)
{
    char *to = NULL, *old = *url;

    (void)curl_easy_getinfo(x->h->easy, CURLINFO_REDIRECT_URL, &to);
    if (!to)
        return cpv_fail(err, CPV_E_INPUT, "%s: %s answered %d without a place to go",
                        x->what, x->h->host, x->answer.status);
    if ((strncmp(to, "http:", 5) != 0 && !is_https(to)) ||
        (is_https(old) && !is_https(to)))
        return cpv_fail(err, CPV_E_INPUT, "%s: %s redirects to '%s', which is refused",
                        x->what, x->h->host, to);
    *url = cpv_strdup(to);
    cpv_free(old);
    return *url ? CPV_OK : cpv_fail_memory(err);
}

/* A HEAD need go no further: the digest is the hub's word, not that of a store. */
static bool told(const struct hub_xfer *x)
{
    return x->sink == HUB_NOTHING && x->answer.linked_etag[0];
}

/* One attempt, over all its hops. */
static int attempt(struct hub_xfer *x, const char *path, struct cpv_err *err)
{
    struct cpv_buf start = {0};
    char *url;
    int rc;

    cpv_buf_printf(&start, "%s%s", x->h->endpoint, path);
    url = cpv_buf_cstr(&start) ? cpv_strdup(cpv_buf_cstr(&start)) : NULL;
    cpv_buf_release(&start);
    if (!url)
        return cpv_fail_memory(err);
    for (int hop = 0;; hop++) {
        rc = hub_transfer(x, url, x->h->auth && same_origin(url, x->h->endpoint), err);
        if (rc || !is_redirect(x->answer.status) || told(x))
            break;
        if (hop == HOPS) {
            rc = cpv_fail(err, CPV_E_INPUT, "%s: %s redirects without end", x->what,
                          x->h->host);
            break;
        }
        rc = next_hop(x, &url, err);
        if (rc)
            break;
    }
    cpv_free(url);
    return rc;
}

/* After a transfer of which nothing was wrong: was the answer what was wanted? */
static int consider(struct hub_xfer *x, struct cpv_err *err)
{
    int status = x->answer.status, rc;

    if (told(x))
        return CPV_OK;
    if (may_pass(status)) {
        (void)snprintf(x->why, sizeof x->why, "it answered %d", status);
        return HUB_AGAIN;
    }
    if (status == 416 && x->sink == HUB_FILE && *x->at > 0) {
        (void)snprintf(x->why, sizeof x->why, "it has no bytes from %llu on",
                       (unsigned long long)*x->at);
        rc = hub_rewind(x, err);
        return rc ? rc : HUB_AGAIN;
    }
    rc = judge(x, err);
    if (!rc && x->sink == HUB_FILE && x->size >= 0 && *x->at < (uint64_t)x->size) {
        (void)snprintf(x->why, sizeof x->why, "it ended after %llu of %lld bytes",
                       (unsigned long long)*x->at, (long long)x->size);
        return HUB_AGAIN;
    }
    return rc;
}

static int64_t wait_before(const struct hub_xfer *x, int tried)
{
    int64_t ms = x->h->p.backoff_ms;

    if (x->answer.retry_after_ms >= 0)
        return x->answer.retry_after_ms;
    for (int i = 1; i < tried && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static int pause_for(struct hub_xfer *x, int64_t ms, struct cpv_err *err)
{
    struct pollfd stop = {.fd = cpv_stop_fd(), .events = POLLIN};
    char text[sizeof x->why + sizeof x->h->host + 64];

    (void)snprintf(text, sizeof text, "%s: %s; trying again in %.1f s", x->h->host,
                   x->why, (double)ms / 1000);
    if (x->h->p.note)
        x->h->p.note(x->h->p.ctx, text);
    (void)poll(&stop, 1, (int)ms);
    if (cpv_stop_requested())
        return cpv_fail(err, CPV_E_STOPPED,
                        "stopped; run the same command again, it goes on from here");
    return CPV_OK;
}

static int ask(struct hub_xfer *x, const char *path, struct cpv_err *err)
{
    for (int tried = 1;; tried++) {
        uint64_t before = x->at ? *x->at : 0;
        int rc = attempt(x, path, err);

        if (!rc)
            rc = consider(x, err);
        if (rc != HUB_AGAIN)
            return rc;
        if (x->at && *x->at > before && *x->at - before >= CPV_HUB_PROGRESS_MIN)
            tried = 1;
        if (tried > x->h->p.retries)
            return cpv_fail(err, CPV_E_STOPPED,
                            "%s: %s: %s; gave up for now: run the same command again, it "
                            "goes on from here",
                            x->what, x->h->host, x->why);
        rc = pause_for(x, wait_before(x, tried), err);
        if (rc)
            return rc;
    }
}

/* ---- the three questions ---- */

int cpv_hub_get(cpv_hub *h, const char *path, const char *what, size_t max,
                struct cpv_buf *out, struct cpv_err *err)
{
    struct cpv_buf body = {0};
    struct hub_xfer x = {
        .h = h, .what = what, .sink = HUB_BUFFER, .body = &body, .max = max};
    int rc = ask(&x, path, err);

    if (!rc)
        cpv_buf_add(out, body.data, body.size);
    cpv_buf_release(&body);
    return rc ? rc : out->failed ? cpv_fail_memory(err) : CPV_OK;
}

/* `"abc"`, `W/"abc"` or `abc`: 40 or 64 hexadecimal digits. */
static bool take_digest(struct cpv_hub_file *out, const char *etag)
{
    uint8_t bytes[32];
    size_t n;

    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    if (*etag == '"')
        etag++;
    n = strcspn(etag, "\"");
    if ((n != 40 && n != 64) || !cpv_unhex(bytes, n / 2, cpv_bytes_of(etag, n)))
        return false;
    out->sha256 = n == 64;
    cpv_hex(out->digest, bytes, n / 2);
    return true;
}

int cpv_hub_head(cpv_hub *h, const char *path, const char *what, struct cpv_hub_file *out,
                 struct cpv_err *err)
{
    struct hub_xfer x = {.h = h, .what = what, .sink = HUB_NOTHING};
    const struct hub_answer *a = &x.answer;
    uint8_t commit[20];
    int rc = ask(&x, path, err);

    memset(out, 0, sizeof *out);
    if (rc)
        return rc;
    if (!take_digest(out, a->linked_etag[0] ? a->linked_etag : a->etag))
        return cpv_fail(err, CPV_E_INPUT,
                        "%s: %s names no digest (ETag '%s'): is it a hub?", what, h->host,
                        a->linked_etag[0] ? a->linked_etag : a->etag);
    if (cpv_unhex(commit, sizeof commit, cpv_bytes_str(a->commit)))
        cpv_hex(out->commit, commit, sizeof commit);
    out->size = a->linked_size >= 0 || a->linked_etag[0] ? a->linked_size : a->length;
    return CPV_OK;
}

int cpv_hub_fetch(cpv_hub *h, const char *path, const char *what, int64_t size, int fd,
                  const char *name, uint64_t *at, struct cpv_err *err)
{
    struct hub_xfer x = {.h = h,
                         .what = what,
                         .sink = HUB_FILE,
                         .fd = fd,
                         .name = name,
                         .at = at,
                         .size = size};

    return ask(&x, path, err);
}
