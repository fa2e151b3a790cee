/* SPDX-License-Identifier: Apache-2.0 */
/* What a URL of the test server does: `help` below is the list. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "tests/server/server.h"

static const char help[] =
    "  /PATH                   a file below the root\n"
    "  /hang/...               takes the request and never answers\n"
    "  /delay/MS/URL           answers as URL does, MS milliseconds later\n"
    "  /drip/BYTES/MS/URL      sends BYTES bytes every MS milliseconds, headers too\n"
    "  /slow-header/...        a header without end, one byte every 50 ms\n"
    "  /redirect/N/URL         N redirects, then URL\n"
    "  /redirect-loop          redirects to itself\n"
    "  /redirect-to?url=U      redirects to U (percent-decoded)\n"
    "  /short/PATH             announces twice what it sends, and closes\n"
    "  /long/PATH              announces half of what it sends\n"
    "  /close-early/PATH       sends half and closes\n"
    "  /endless                a body without length and without end\n"
    "  /big/BYTES              a body of that many bytes\n"
    "  /announce/BYTES         announces that many and sends none\n"
    "  /status/CODE?retry_after=X   that status, with a Retry-After if given\n"
    "  /flaky/N/URL?status=C&retry_after=X   N times C (503), then URL; counted per URL\n"
    "  /noai/URL               with X-Robots-Tag: noai\n"
    "  /noai-other/URL         with X-Robots-Tag: otherbot: noai\n"
    "  /noai-us/URL            with X-Robots-Tag: capivara-fetch: noai\n"
    "  /huge-header            one header of 1 MiB\n"
    "  /many-headers           10,000 headers\n"
    "  /html.jpg               HTML that says it is a JPEG\n"
    "  /reset                  closes with RST\n"
    "  /garbage                no HTTP at all\n"
    "  /empty                  200 and no body\n"
    "  /gzip/PATH              says Content-Encoding: gzip, sends the file as it is\n"
    "  /chunked/PATH           the file as chunks\n"
    "  /bad-chunk/PATH         chunks that are not\n"
    "  /chaos/SEED/PATH        one of these, picked by a hash of seed and path; 7 of 8\n"
    "                          are served as they should be\n"
    "  /stats                  counts of connections and requests, as JSON\n";

void behave_help(void)
{
    fputs(help, stdout);
}

static void serve(struct server *s, struct answer *a, const char *url,
                  const char *headers);

/* --- pieces
 * ------------------------------------------------------------------------------ */

static const char *reason(int code)
{
    return code == 200   ? "OK"
           : code == 302 ? "Found"
           : code == 404 ? "Not Found"
                         : "As Asked";
}

/* Status line and headers; length < 0: none is announced. */
static void head(struct answer *a, int code, const char *type, int64_t length,
                 const char *headers)
{
    cpv_buf_printf(&a->head, "HTTP/1.1 %d %s\r\nServer: capivara-test\r\n%s", code,
                   reason(code), headers);
    if (type)
        cpv_buf_printf(&a->head, "Content-Type: %s\r\n", type);
    if (length >= 0)
        cpv_buf_printf(&a->head, "Content-Length: %lld\r\n", (long long)length);
    else
        a->after = AFTER_CLOSE;
    cpv_buf_str(&a->head, "\r\n");
}

static void text(struct answer *a, int code, const char *type, const char *body,
                 const char *headers)
{
    head(a, code, type, (int64_t)strlen(body), headers);
    cpv_buf_str(&a->head, body);
}

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {
        {".jpg", "image/jpeg"},  {".jpeg", "image/jpeg"},      {".png", "image/png"},
        {".webp", "image/webp"}, {".gif", "image/gif"},        {".html", "text/html"},
        {".txt", "text/plain"},  {".json", "application/json"}};
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot && i < CPV_COUNT(types); i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Percent-decoded up to a stop character. */
static void decode(char *to, size_t room, const char *from, const char *stop)
{
    size_t n = 0;

    while (*from && !strchr(stop, *from) && n + 1 < room) {
        if (*from == '%' && hex(from[1]) >= 0 && hex(from[2]) >= 0) {
            to[n++] = (char)(hex(from[1]) * 16 + hex(from[2]));
            from += 3;
        } else {
            to[n++] = *from++;
        }
    }
    to[n] = '\0';
}

/* The value of a query parameter, or false. */
static bool query(const char *url, const char *name, char *to, size_t room)
{
    const char *at = strchr(url, '?');
    size_t n = strlen(name);

    while (at) {
        at++;
        if (strncmp(at, name, n) == 0 && at[n] == '=') {
            decode(to, room, at + n + 1, "&");
            return true;
        }
        at = strchr(at, '&');
    }
    return false;
}

/* Opens the file below the root; no "..". */
static bool open_file(struct server *s, struct answer *a, const char *url)
{
    char path[4096], name[2048];
    struct stat st;

    decode(name, sizeof name, url, "?#");
    if (strstr(name, "..") || !s->root)
        return false;
    if (snprintf(path, sizeof path, "%s%s", s->root, name) >= (int)sizeof path)
        return false;
    a->file = open(path, O_RDONLY | O_CLOEXEC);
    if (a->file < 0)
        return false;
    if (fstat(a->file, &st) || !S_ISREG(st.st_mode)) {
        (void)close(a->file);
        a->file = -1;
        return false;
    }
    a->left = st.st_size;
    return true;
}

/* The file, with its announced length multiplied by num/den and its own by part. */
static void file(struct server *s, struct answer *a, const char *url, const char *headers,
                 int64_t num, int64_t den)
{
    if (!open_file(s, a, url)) {
        text(a, 404, "text/plain", "no such file\n", headers);
        return;
    }
    head(a, 200, type_of(url), a->left * num / den, headers);
}

/* --- behaviours with a rest: /name/ARGUMENTS/URL
 * ------------------------------------------ */

/* "12/rest" -> 12 and "/rest"; the rest may be absent. */
static int64_t take_number(const char **at)
{
    char *end;
    long long v = strtoll(*at, &end, 10);

    *at = end;
    return v;
}

static void redirect(struct answer *a, const char *to, const char *headers)
{
    struct cpv_buf h = {0};
    const char *all;

    cpv_buf_printf(&h, "%sLocation: %s\r\n", headers, to);
    all = cpv_buf_cstr(&h);
    text(a, 302, "text/html", "<a>moved</a>\n", all ? all : "");
    cpv_buf_release(&h);
}

static void do_redirect(struct server *s, struct answer *a, const char *rest,
                        const char *headers)
{
    int64_t n = take_number(&rest);
    char to[4096];

    if (n <= 0) {
        serve(s, a, rest, headers);
        return;
    }
    (void)snprintf(to, sizeof to, "/redirect/%lld%s", (long long)n - 1, rest);
    redirect(a, n == 1 ? rest : to, headers);
}

static void do_redirect_to(struct server *s, struct answer *a, const char *rest,
                           const char *headers)
{
    char to[4096];

    (void)s;
    redirect(a, query(rest, "url", to, sizeof to) ? to : "/", headers);
}

static void do_loop(struct server *s, struct answer *a, const char *rest,
                    const char *headers)
{
    (void)s, (void)rest;
    redirect(a, "/redirect-loop", headers);
}

static void do_hang(struct server *s, struct answer *a, const char *rest,
                    const char *headers)
{
    (void)s, (void)rest, (void)headers;
    a->after = AFTER_HANG;
}

static void do_delay(struct server *s, struct answer *a, const char *rest,
                     const char *headers)
{
    a->delay_ms = take_number(&rest);
    serve(s, a, rest, headers);
}

static void do_drip(struct server *s, struct answer *a, const char *rest,
                    const char *headers)
{
    a->drip_bytes = take_number(&rest);
    if (*rest == '/')
        rest++;
    a->drip_ms = take_number(&rest);
    serve(s, a, rest, headers);
}

static void do_slow_header(struct server *s, struct answer *a, const char *rest,
                           const char *headers)
{
    (void)s, (void)rest, (void)headers;
    a->drip_bytes = 1;
    a->drip_ms = 50;
    cpv_buf_str(&a->head, "HTTP/1.1 200 OK\r\nX-Slow: ");
    a->left = INT64_MAX;
}

static void do_short(struct server *s, struct answer *a, const char *rest,
                     const char *headers)
{
    file(s, a, rest, headers, 2, 1);
    a->after = AFTER_CLOSE;
}

static void do_long(struct server *s, struct answer *a, const char *rest,
                    const char *headers)
{
    file(s, a, rest, headers, 1, 2);
    a->after = AFTER_CLOSE;
}

static void do_close_early(struct server *s, struct answer *a, const char *rest,
                           const char *headers)
{
    file(s, a, rest, headers, 1, 1);
    a->left /= 2;
    a->after = AFTER_CLOSE;
}

static void do_endless(struct server *s, struct answer *a, const char *rest,
                       const char *headers)
{
    (void)s, (void)rest;
    head(a, 200, "image/jpeg", -1, headers);
    a->left = INT64_MAX;
}

static void do_big(struct server *s, struct answer *a, const char *rest,
                   const char *headers)
{
    (void)s;
    a->left = take_number(&rest);
    head(a, 200, "image/jpeg", a->left, headers);
}

static void do_announce(struct server *s, struct answer *a, const char *rest,
                        const char *headers)
{
    (void)s;
    head(a, 200, "image/jpeg", take_number(&rest), headers);
    a->after = AFTER_HANG;
}

static void refuse(struct answer *a, int code, const char *url, const char *headers)
{
    char after[64];
    struct cpv_buf h = {0};
    const char *all;

    cpv_buf_str(&h, headers);
    if (query(url, "retry_after", after, sizeof after))
        cpv_buf_printf(&h, "Retry-After: %s\r\n", after);
    all = cpv_buf_cstr(&h);
    text(a, code, "text/html", "<h1>no</h1>\n", all ? all : "");
    cpv_buf_release(&h);
}

static void do_status(struct server *s, struct answer *a, const char *rest,
                      const char *headers)
{
    int code = (int)take_number(&rest);

    (void)s;
    refuse(a, code, rest, headers);
}

/* Has this URL failed often enough? If not, it does once more. */
static bool fails_again(struct server *s, const char *url, int64_t times)
{
    struct flaky **at = &s->flaky[cpv_xxh64(url, strlen(url), 0) % CPV_COUNT(s->flaky)];
    size_t n = strlen(url) + 1;
    bool again = false;

    pthread_mutex_lock(&s->lock);
    while (*at && strcmp((*at)->url, url) != 0)
        at = &(*at)->next;
    if (!*at) {
        *at = cpv_calloc(1, sizeof **at + n);
        if (*at)
            memcpy((*at)->url, url, n);
    }
    if (*at && (*at)->failed < times) {
        (*at)->failed++;
        again = true;
    }
    pthread_mutex_unlock(&s->lock);
    return again;
}

static void do_flaky(struct server *s, struct answer *a, const char *rest,
                     const char *headers)
{
    const char *url = rest;
    int64_t times = take_number(&rest);
    char code[16] = "503";

    (void)query(url, "status", code, sizeof code);
    if (fails_again(s, url, times))
        refuse(a, (int)strtol(code, NULL, 10), url, headers);
    else
        serve(s, a, rest, headers);
}

static void do_noai(struct server *s, struct answer *a, const char *rest,
                    const char *headers)
{
    (void)headers;
    serve(s, a, rest, "X-Robots-Tag: noai\r\n");
}

static void do_noai_other(struct server *s, struct answer *a, const char *rest,
                          const char *headers)
{
    (void)headers;
    serve(s, a, rest, "X-Robots-Tag: otherbot: noai, noimageai\r\n");
}

static void do_noai_us(struct server *s, struct answer *a, const char *rest,
                       const char *headers)
{
    (void)headers;
    serve(s, a, rest, "X-Robots-Tag: Capivara-Fetch: noai\r\n");
}

static void do_huge_header(struct server *s, struct answer *a, const char *rest,
                           const char *headers)
{
    char filler[1024];

    (void)s, (void)rest, (void)headers;
    memset(filler, 'x', sizeof filler);
    cpv_buf_str(&a->head, "HTTP/1.1 200 OK\r\nX-Huge: ");
    for (int i = 0; i < 1024; i++)
        cpv_buf_add(&a->head, filler, sizeof filler);
    cpv_buf_str(&a->head, "\r\nContent-Length: 0\r\n\r\n");
}

static void do_many_headers(struct server *s, struct answer *a, const char *rest,
                            const char *headers)
{
    (void)s, (void)rest, (void)headers;
    cpv_buf_str(&a->head, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 10000; i++)
        cpv_buf_printf(&a->head, "X-Header-%d: %d\r\n", i, i);
    cpv_buf_str(&a->head, "Content-Length: 0\r\n\r\n");
}

static void do_html(struct server *s, struct answer *a, const char *rest,
                    const char *headers)
{
    (void)s, (void)rest;
    text(a, 200, "image/jpeg", "<!DOCTYPE html><html><body>gone</body></html>\n",
         headers);
}

static void do_reset(struct server *s, struct answer *a, const char *rest,
                     const char *headers)
{
    (void)s, (void)rest, (void)headers;
    a->after = AFTER_RESET;
}

static void do_garbage(struct server *s, struct answer *a, const char *rest,
                       const char *headers)
{
    (void)s, (void)rest, (void)headers;
    cpv_buf_str(&a->head, "\x01\x02 220 this is no web server \xff\xfe\r\n\r\n");
    a->after = AFTER_CLOSE;
}

static void do_empty(struct server *s, struct answer *a, const char *rest,
                     const char *headers)
{
    (void)s, (void)rest;
    head(a, 200, "image/jpeg", 0, headers);
}

static void do_gzip(struct server *s, struct answer *a, const char *rest,
                    const char *headers)
{
    (void)headers;
    file(s, a, rest, "Content-Encoding: gzip\r\n", 1, 1);
}

/* The whole file in memory, as chunks of 1,000 bytes; `bad`: of bytes that are no size.
 */
static void chunks(struct server *s, struct answer *a, const char *rest, bool bad)
{
    char block[1000];
    ssize_t n;

    if (!open_file(s, a, rest)) {
        text(a, 404, "text/plain", "no such file\n", "");
        return;
    }
    cpv_buf_printf(&a->head,
                   "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n",
                   type_of(rest));
    while ((n = read(a->file, block, sizeof block)) > 0) {
        cpv_buf_printf(&a->head, bad ? "what? %zd\r\n" : "%zx\r\n", n);
        cpv_buf_add(&a->head, block, (size_t)n);
        cpv_buf_str(&a->head, "\r\n");
    }
    cpv_buf_str(&a->head, "0\r\n\r\n");
    (void)close(a->file);
    a->file = -1;
    a->left = 0;
}

static void do_chunked(struct server *s, struct answer *a, const char *rest,
                       const char *headers)
{
    (void)headers;
    chunks(s, a, rest, false);
}

static void do_bad_chunk(struct server *s, struct answer *a, const char *rest,
                         const char *headers)
{
    (void)headers;
    chunks(s, a, rest, true);
    a->after = AFTER_CLOSE;
}

static void do_stats(struct server *s, struct answer *a, const char *rest,
                     const char *headers)
{
    char body[300];

    (void)rest;
    (void)snprintf(body, sizeof body,
                   "{\"accepted\":%ld,\"open_peak\":%ld,\"requests\":%ld,"
                   "\"active_peak\":%ld}\n",
                   atomic_load(&s->accepted), atomic_load(&s->open_peak),
                   atomic_load(&s->requests), atomic_load(&s->active_peak));
    text(a, 200, "application/json", body, headers);
}

/* --- chaos
 * ------------------------------------------------------------------------------------ */

/* Of a thousand; what is left is served as it should be. */
static const struct {
    int weight;
    const char *prefix;
} moods[] = {
    {20, "/flaky/1"},      {20, "/redirect/2"},    {15, "/status/404"},
    {10, "/noai"},         {10, "/drip/20000/20"}, {8, "/html.jpg"},
    {5, "/status/410"},    {5, "/noai-other"},     {5, "/short"},
    {4, "/status/503"},    {3, "/close-early"},    {3, "/reset"},
    {3, "/garbage"},       {3, "/empty"},          {3, "/gzip"},
    {3, "/redirect-loop"}, {2, "/status/429"},     {2, "/hang"},
    {2, "/endless"},       {2, "/huge-header"},
};

static void do_chaos(struct server *s, struct answer *a, const char *rest,
                     const char *headers)
{
    int64_t seed = take_number(&rest);
    int pick = (int)(cpv_xxh64(rest, strlen(rest), (uint64_t)seed) % 1000);
    char url[4096];

    for (size_t i = 0; i < CPV_COUNT(moods); i++) {
        if (pick < moods[i].weight) {
            (void)snprintf(url, sizeof url, "%s%s", moods[i].prefix, rest);
            serve(s, a, url, headers);
            return;
        }
        pick -= moods[i].weight;
    }
    serve(s, a, rest, headers);
}

/* --- which one
 * ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*act)(struct server *, struct answer *, const char *rest, const char *headers);
} behaviours[] = {
    {"hang", do_hang},
    {"delay", do_delay},
    {"drip", do_drip},
    {"slow-header", do_slow_header},
    {"redirect", do_redirect},
    {"redirect-loop", do_loop},
    {"redirect-to", do_redirect_to},
    {"short", do_short},
    {"long", do_long},
    {"close-early", do_close_early},
    {"endless", do_endless},
    {"big", do_big},
    {"announce", do_announce},
    {"status", do_status},
    {"flaky", do_flaky},
    {"noai", do_noai},
    {"noai-other", do_noai_other},
    {"noai-us", do_noai_us},
    {"huge-header", do_huge_header},
    {"many-headers", do_many_headers},
    {"html.jpg", do_html},
    {"reset", do_reset},
    {"garbage", do_garbage},
    {"empty", do_empty},
    {"gzip", do_gzip},
    {"chunked", do_chunked},
    {"bad-chunk", do_bad_chunk},
    {"chaos", do_chaos},
    {"stats", do_stats},
};

/* Those whose rest begins with a number, not with a path. */
static bool takes_number(const char *name)
{
    static const char *const names[] = {"delay",    "drip",   "redirect", "big",
                                        "announce", "status", "flaky",    "chaos"};

    for (size_t i = 0; i < CPV_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void serve(struct server *s, struct answer *a, const char *url,
                  const char *headers)
{
    size_t n = url[0] == '/' ? strcspn(url + 1, "/?") : 0;

    for (size_t i = 0; i < CPV_COUNT(behaviours); i++) {
        const char *name = behaviours[i].name, *rest = url + 1 + n;

        if (n != strlen(name) || strncmp(url + 1, name, n) != 0)
            continue;
        if (takes_number(name) && *rest == '/')
            rest++;
        behaviours[i].act(s, a, rest, headers);
        return;
    }
    file(s, a, url, headers, 1, 1);
}

void behave(struct server *s, struct answer *a, const char *url)
{
    a->file = -1;
    serve(s, a, url, "");
}
