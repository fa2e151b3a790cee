/* SPDX-License-Identifier: Apache-2.0 */
/* See url.h. */
#include "common/net/url.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/sys.h"
#include "common/net/punycode.h"

static int refuse(CURLUcode code, struct cpv_err *err)
{
    if (code == CURLUE_OUT_OF_MEMORY)
        return cpv_fail_memory(err);
    return cpv_fail(err, CPV_E_INPUT, "not a URL: %s", curl_url_strerror(code));
}

/* The URL without blanks at its ends, in `to`; no other control characters. */
static int trim(char to[CPV_URL_MAX + 1], const char *text, struct cpv_err *err)
{
    size_t n;

    while (*text && (unsigned char)*text <= ' ')
        text++;
    n = strlen(text);
    while (n > 0 && (unsigned char)text[n - 1] <= ' ')
        n--;
    if (n > CPV_URL_MAX)
        return cpv_fail(err, CPV_E_INPUT, "a URL of %zu bytes, the limit is %d", n,
                        CPV_URL_MAX);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return cpv_fail(err, CPV_E_INPUT, "a control character in the URL");
    memcpy(to, text, n);
    to[n] = '\0';
    return CPV_OK;
}

/* Lower case, without the dot of the root, as the parser understood it. */
static int take_host(CURLU *u, struct cpv_url *out, struct cpv_err *err)
{
    char *host = NULL;
    CURLUcode code = curl_url_get(u, CURLUPART_HOST, &host, 0);
    size_t n;
    bool fits;

    if (code)
        return refuse(code, err);
    n = strlen(host);
    if (n > 0 && host[n - 1] == '.')
        host[--n] = '\0';
    fits = n > 0 && cpv_punycode_host(out->host, sizeof out->host, host);
    curl_free(host);
    if (!fits)
        return cpv_fail(err, CPV_E_INPUT,
                        "a host name that is empty, too long or no text");
    out->kind = cpv_host_classify(out->host, &out->addr);
    if (out->kind == CPV_HOST_BAD)
        return cpv_fail(err, CPV_E_INPUT, "'%s' is no host", out->host);
    /* One spelling per address, whatever the notation was. */
    if (out->kind == CPV_HOST_NUMERIC) {
        char addr[CPV_ADDR_TEXT];

        cpv_addr_text(&out->addr, addr);
        n = strlen(addr);
        if (out->addr.family == 4) {
            memcpy(out->host, addr, n + 1);
        } else {
            out->host[0] = '[';
            memcpy(out->host + 1, addr, n);
            memcpy(out->host + 1 + n, "]", 2);
        }
    }
    return CPV_OK;
}

static int take_scheme(CURLU *u, struct cpv_url *out, struct cpv_err *err)
{
    char *scheme = NULL, *part = NULL;
    CURLUcode code = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    bool http;

    if (code)
        return refuse(code, err);
    out->https = strcasecmp(scheme, "https") == 0;
    http = out->https || strcasecmp(scheme, "http") == 0;
    curl_free(scheme);
    if (!http)
        return cpv_fail(err, CPV_E_INPUT, "not http or https");
    code = curl_url_get(u, CURLUPART_USER, &part, 0);
    curl_free(part);
    if (code == CURLUE_OK)
        return cpv_fail(err, CPV_E_INPUT, "a URL with a user name");
    part = NULL;
    code = curl_url_get(u, CURLUPART_ZONEID, &part, 0);
    curl_free(part);
    if (code == CURLUE_OK)
        return cpv_fail(err, CPV_E_INPUT, "an address with a zone");
    return CPV_OK;
}

static int take_port(CURLU *u, struct cpv_url *out, bool any_port, struct cpv_err *err)
{
    char *text = NULL, *end;
    CURLUcode code = curl_url_get(u, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT);
    long port;

    if (code)
        return refuse(code, err);
    port = strtol(text, &end, 10);
    if (*end)
        port = 0;
    curl_free(text);
    if (port < 1 || port > 65535)
        return cpv_fail(err, CPV_E_INPUT, "a bad port");
    if (!any_port && port != 80 && port != 443 && (port < 8000 || port > 8999))
        return cpv_fail(err, CPV_E_INPUT, "port %ld is none of 80, 443, 8000-8999", port);
    out->port = (int)port;
    return CPV_OK;
}

static int take_text(CURLU *u, struct cpv_url *out, struct cpv_err *err)
{
    char *text = NULL;
    CURLUcode code = curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);

    if (!code)
        code = curl_url_set(u, CURLUPART_HOST, out->host, 0);
    if (!code)
        code = curl_url_get(u, CURLUPART_URL, &text, 0);
    if (code)
        return refuse(code, err);
    out->text = strlen(text) <= 3 * (size_t)CPV_URL_MAX ? cpv_strdup(text) : NULL;
    curl_free(text);
    return out->text ? CPV_OK : cpv_fail_memory(err);
}

int cpv_url_parse(struct cpv_url *out, const char *text, bool any_port,
                  struct cpv_err *err)
{
    char clean[CPV_URL_MAX + 1];
    CURLUcode code;
    CURLU *u;
    int rc;

    memset(out, 0, sizeof *out);
    rc = trim(clean, text, err);
    if (rc)
        return rc;
    /* A fresh handle: an old one would take a relative URL as relative to its last. */
    u = curl_url();
    if (!u)
        return cpv_fail_memory(err);
    code =
        curl_url_set(u, CURLUPART_URL, clean, CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME);
    rc = code ? refuse(code, err) : take_scheme(u, out, err);
    if (!rc)
        rc = take_host(u, out, err);
    if (!rc)
        rc = take_port(u, out, any_port, err);
    if (!rc)
        rc = take_text(u, out, err);
    curl_url_cleanup(u);
    return rc;
}

void cpv_url_release(struct cpv_url *u)
{
    cpv_free(u->text);
    u->text = NULL;
}
