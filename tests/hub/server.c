/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capivara-test-hub: a model hub of ours on 127.0.0.1, and the store on another port that
 * it redirects to for large files, with misbehaviours.
 *
 *     GET  /api/models/ID/revision/REV      the commit and the files of DIR/ID
 *     HEAD /ID/resolve/REV/FILE             digest and size
 *     GET  /ID/resolve/REV/FILE             small files; large ones: 302 to the store
 *     GET  /store/ID/FILE                   on the other port, without a token
 *
 * Revisions are main, v1, refs/pr/1 and the commit: that in DIR/ID/.commit, or 40 ones.
 * A line of the log says what was asked and what went out:
 *
 *     store GET /store/o/m/model.safetensors status=206 from=1000 sent=2000 token=0
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/hash.h"

enum { LARGE = 2000, RULES = 16, EXTRAS = 8, STEP = 16384, PATH_ROOM = 2048 };

static const char ONES[] = "1111111111111111111111111111111111111111";

/* "GET model.bin cut=1000 2": of requests so, the first two are treated so. */
struct rule {
    char method[8], part[256], action[32];
    long value, times; /* times -1: always */
};

struct hub {
    const char *root, *gate, *moved_from, *moved_to;
    const char *extra[EXTRAS];
    int extras, port[2], listener[2];
    struct rule rule[RULES];
    int rules;
    FILE *log;
    pthread_mutex_t lock;
};

struct request {
    struct hub *h;
    int fd;
    bool store;
    char method[8], path[PATH_ROOM];
    long from;
    bool range, token, token_right;
};

struct job {
    struct hub *h;
    bool store;
    int fd;
};

/* ---- rules ---- */

/* Does an action apply now? Its number in *value. */
static bool applies(struct request *r, const char *action, long *value)
{
    bool found = false;

    (void)pthread_mutex_lock(&r->h->lock);
    for (int i = 0; !found && i < r->h->rules; i++) {
        struct rule *rule = &r->h->rule[i];

        if (strcmp(rule->action, action) != 0 || strcmp(rule->method, r->method) != 0 ||
            !strstr(r->path, rule->part) || rule->times == 0)
            continue;
        if (rule->times > 0)
            rule->times--;
        *value = rule->value;
        found = true;
    }
    (void)pthread_mutex_unlock(&r->h->lock);
    return found;
}

static bool add_rule(struct hub *h, const char *text)
{
    struct rule *rule = &h->rule[h->rules];
    char word[4][256] = {"", "", "", ""}, *equals;
    int n = 0;

    for (; n < 4 && *text; n++) {
        size_t size = strcspn(text, " ");

        if (size >= sizeof word[0])
            return false;
        memcpy(word[n], text, size);
        text += size;
        text += strspn(text, " ");
    }
    if (n < 3 || h->rules == RULES)
        return false;
    equals = strchr(word[2], '=');
    rule->value = equals ? strtol(equals + 1, NULL, 10) : 0;
    if (equals)
        *equals = '\0';
    (void)snprintf(rule->method, sizeof rule->method, "%.7s", word[0]);
    (void)snprintf(rule->part, sizeof rule->part, "%s", word[1]);
    (void)snprintf(rule->action, sizeof rule->action, "%.31s", word[2]);
    rule->times = n > 3 ? strtol(word[3], NULL, 10) : -1;
    h->rules++;
    return true;
}

/* ---- answering ---- */

static bool send_all(int fd, const void *data, size_t n, long *sent)
{
    const uint8_t *p = data;

    while (n > 0) {
        ssize_t put = send(fd, p, n, MSG_NOSIGNAL);

        if (put <= 0)
            return false;
        p += put;
        n -= (size_t)put;
        *sent += put;
    }
    return true;
}

static void log_line(struct request *r, int status, long sent)
{
    (void)pthread_mutex_lock(&r->h->lock);
    fprintf(r->h->log, "%s %s %s status=%d from=%ld sent=%ld token=%d\n",
            r->store ? "store" : "hub", r->method, r->path, status, r->from, sent,
            r->token);
    (void)fflush(r->h->log);
    (void)pthread_mutex_unlock(&r->h->lock);
}

static bool answer(struct request *r, int status, const char *headers,
                   struct cpv_bytes body, bool with_body)
{
    struct cpv_buf head = {0};
    long ignored = 0, sent = 0;
    bool ok;

    cpv_buf_printf(&head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n", status,
                   body.size, headers);
    ok = send_all(r->fd, head.data, head.size, &ignored);
    if (ok && with_body)
        ok = send_all(r->fd, body.data, body.size, &sent);
    cpv_buf_release(&head);
    log_line(r, status, sent);
    return ok;
}

static bool refuse(struct request *r, int status, const char *headers)
{
    static const char TEXT[] = "no\n";

    return answer(r, status, headers, cpv_bytes_str(TEXT),
                  strcmp(r->method, "HEAD") != 0);
}

static void commit_of(struct hub *h, const char *id, char out[41])
{
    char path[PATH_ROOM + 64];
    struct cpv_buf text = {0};

    (void)snprintf(path, sizeof path, "%s/%s/.commit", h->root, id);
    (void)snprintf(out, 41, "%s", ONES);
    if (cpv_file_read(path, 1000, &text, NULL) == CPV_OK && text.size >= 40) {
        memcpy(out, text.data, 40);
        out[40] = '\0';
    }
    cpv_buf_release(&text);
}

static bool know_revision(const char *rev, const char *commit)
{
    return strcmp(rev, "main") == 0 || strcmp(rev, "v1") == 0 ||
           strcmp(rev, "refs%2Fpr%2F1") == 0 || strcmp(rev, commit) == 0;
}

/* ---- the list of files ---- */

static bool answer_list(struct request *r, const char *id, const char *rev)
{
    struct cpv_buf json = {0};
    char path[PATH_ROOM + 64], commit[41];
    struct dirent *e;
    DIR *dir;
    bool ok;

    (void)snprintf(path, sizeof path, "%s/%s", r->h->root, id);
    dir = opendir(path);
    if (!dir)
        return refuse(r, r->token ? 404 : 401, "X-Error-Code: RepoNotFound\r\n");
    commit_of(r->h, id, commit);
    if (!know_revision(rev, commit)) {
        (void)closedir(dir);
        return refuse(r, 404, "X-Error-Code: RevisionNotFound\r\n");
    }
    cpv_buf_printf(&json, "{\"id\":\"%s\",\"sha\":\"%s\",\"siblings\":[", id, commit);
    cpv_buf_str(&json, "{\"rfilename\":\".gitattributes\"}");
    while ((e = readdir(dir)))
        if (e->d_name[0] != '.')
            cpv_buf_printf(&json, ",{\"rfilename\":\"%s\"}", e->d_name);
    for (int i = 0; i < r->h->extras; i++)
        cpv_buf_printf(&json, ",{\"rfilename\":\"%s\"}", r->h->extra[i]);
    cpv_buf_str(&json, "]}");
    (void)closedir(dir);
    ok = answer(r, 200, "Content-Type: application/json\r\n", cpv_buf_view(&json), true);
    cpv_buf_release(&json);
    return ok;
}

/* ---- files ---- */

static void etag_of(struct request *r, struct cpv_bytes content, char out[65])
{
    uint8_t digest[32];
    long value;

    if (content.size >= LARGE) {
        cpv_sha256_of(digest, content);
        cpv_hex(out, digest, 32);
    } else {
        cpv_git_blob_of(digest, content);
        cpv_hex(out, digest, 20);
    }
    if (applies(r, "badetag", &value))
        memset(out, 'a', strlen(out));
    if (applies(r, "noetag", &value))
        (void)snprintf(out, 65, "../../x");
}

static bool answer_head(struct request *r, const char *id, const char *file,
                        struct cpv_bytes content)
{
    bool large = content.size >= LARGE;
    struct cpv_buf head = {0};
    char etag[65], commit[41];
    long value, sent = 0;
    bool ok;

    etag_of(r, content, etag);
    commit_of(r->h, id, commit);
    if (applies(r, "badcommit", &value))
        memset(commit, '2', 40);
    cpv_buf_printf(&head, "HTTP/1.1 %d X\r\nX-Repo-Commit: %s\r\n", large ? 302 : 200,
                   commit);
    if (large)
        cpv_buf_printf(&head,
                       "Content-Length: 0\r\nX-Linked-Etag: \"%s\"\r\nX-Linked-Size: "
                       "%zu\r\nLocation: http://127.0.0.1:%d/store/%s/%s\r\n\r\n",
                       etag, content.size, r->h->port[1], id, file);
    else
        cpv_buf_printf(&head, "Content-Length: %zu\r\nETag: W/\"%s\"\r\n\r\n",
                       content.size, etag);
    ok = send_all(r->fd, head.data, head.size, &sent);
    cpv_buf_release(&head);
    log_line(r, large ? 302 : 200, 0);
    return ok;
}

/* The bytes, as badly as the rules want. False closes the connection. */
static bool send_content(struct request *r, struct cpv_bytes content)
{
    long size = (long)content.size, from = r->range ? r->from : 0, value, cut = -1;
    long announced, sent = 0, slow = 0, told, extra = 0;
    struct cpv_buf head = {0};
    uint8_t *copy = malloc(content.size + 1024);
    bool ok = copy != NULL, part = r->range;

    if (applies(r, "norange", &value)) {
        part = false;
        from = 0;
    }
    if (ok && from > size) {
        free(copy);
        return refuse(r, 416, "");
    }
    told = from;
    if (ok) {
        memcpy(copy, content.data, content.size);
        memset(copy + content.size, 'x', 1024);
    }
    if (ok && applies(r, "flip", &value) && size > 0)
        copy[size / 2] ^= 1;
    if (applies(r, "long", &value))
        extra = 1000;
    if (part && applies(r, "badrange", &value))
        told += 7;
    announced = size - from + extra;
    if (applies(r, "short", &value))
        announced /= 2;
    (void)applies(r, "slow", &slow);
    (void)applies(r, "cut", &cut);
    cpv_buf_printf(&head, "HTTP/1.1 %d X\r\nContent-Length: %ld\r\n", part ? 206 : 200,
                   announced);
    if (part)
        cpv_buf_printf(&head, "Content-Range: bytes %ld-%ld/%ld\r\n", told, size - 1,
                       size);
    cpv_buf_str(&head, "\r\n");
    ok = ok && send_all(r->fd, head.data, head.size, &(long){0});
    cpv_buf_release(&head);
    for (long at = 0; ok && at < announced;) {
        long n = announced - at < STEP ? announced - at : STEP;

        if (cut >= 0 && at + n > cut)
            n = cut - at;
        if (n == 0)
            break;
        ok = send_all(r->fd, copy + from + at, (size_t)n, &sent);
        at += n;
        if (slow > 0)
            usleep((useconds_t)(1000000.0 * (double)n / (double)slow));
    }
    free(copy);
    log_line(r, part ? 206 : 200, sent);
    return ok && sent == announced;
}

static bool answer_file(struct request *r, const char *id, const char *file)
{
    char path[2 * PATH_ROOM], place[2 * PATH_ROOM];
    struct cpv_buf content = {0};
    bool ok;

    (void)snprintf(path, sizeof path, "%s/%s/%s", r->h->root, id, file);
    if (strstr(file, "..") || cpv_file_read(path, SIZE_MAX / 2, &content, NULL)) {
        cpv_buf_release(&content);
        return refuse(r, 404, "X-Error-Code: EntryNotFound\r\n");
    }
    (void)snprintf(place, sizeof place, "Location: http://127.0.0.1:%d/store/%s/%s\r\n",
                   r->h->port[1], id, file);
    if (strcmp(r->method, "HEAD") == 0)
        ok = answer_head(r, id, file, cpv_buf_view(&content));
    else if (content.size >= LARGE && !r->store)
        ok = answer(r, 302, place, cpv_bytes_str("elsewhere\n"), true);
    else
        ok = send_content(r, cpv_buf_view(&content));
    cpv_buf_release(&content);
    return ok;
}

/* ---- requests ---- */

/* `path` cut in two at `word`, in place. */
static char *cut_at(char *path, const char *word)
{
    char *at = strstr(path, word);

    if (!at)
        return NULL;
    *at = '\0';
    return at + strlen(word);
}

static bool moved(struct request *r, const char *id, const char *format, ...)
{
    char place[3 * PATH_ROOM], rest[2 * PATH_ROOM];
    va_list ap;

    if (!r->h->moved_from || strcmp(id, r->h->moved_from) != 0)
        return false;
    va_start(ap, format);
    (void)vsnprintf(rest, sizeof rest, format, ap);
    va_end(ap);
    (void)snprintf(place, sizeof place, "Location: %s\r\n", rest);
    (void)refuse(r, 307, place);
    return true;
}

static bool respond(struct request *r)
{
    char path[PATH_ROOM], *rest, *file;
    long value;

    if (r->store && r->token)
        return refuse(r, 400, "X-Test: a token came to the store\r\n");
    if (applies(r, "status", &value))
        return refuse(r, (int)value, value == 429 ? "Retry-After: 0\r\n" : "");
    if (applies(r, "hang", &value))
        return (void)sleep(30), false;
    if (applies(r, "drop", &value))
        return false;
    if (!r->store && r->h->gate && !r->token_right)
        return refuse(r, r->token ? 403 : 401, "X-Error-Code: GatedRepo\r\n");
    (void)snprintf(path, sizeof path, "%s", r->path);
    if (strncmp(path, "/api/models/", 12) == 0 && (rest = cut_at(path, "/revision/")))
        return moved(r, path + 12, "/api/models/%s/revision/%s", r->h->moved_to, rest) ||
               answer_list(r, path + 12, rest);
    if (r->store && strncmp(path, "/store/", 7) == 0 && (file = strrchr(path, '/'))) {
        *file++ = '\0';
        return answer_file(r, path + 7, file);
    }
    if ((rest = cut_at(path, "/resolve/")) && (file = cut_at(rest, "/")))
        return moved(r, path + 1, "/%s/resolve/%s/%s", r->h->moved_to, rest, file) ||
               answer_file(r, path + 1, file);
    return refuse(r, 404, "");
}

static void take_line(struct request *r, const char *line)
{
    static const char BEARER[] = "authorization: bearer ";

    if (strncasecmp(line, "range: bytes=", 13) == 0) {
        r->range = true;
        r->from = strtol(line + 13, NULL, 10);
    }
    if (strncasecmp(line, "authorization:", 14) == 0) {
        r->token = true;
        r->token_right = r->h->gate &&
                         strncasecmp(line, BEARER, sizeof BEARER - 1) == 0 &&
                         strcmp(line + sizeof BEARER - 1, r->h->gate) == 0;
    }
}

/* A request from the connection; false at its end. */
static bool read_request(struct request *r, FILE *in)
{
    char line[PATH_ROOM + 64], *space, *end;

    r->range = r->token = r->token_right = false;
    r->from = 0;
    if (!fgets(line, sizeof line, in) || !(space = strchr(line, ' ')) ||
        !(end = strchr(space + 1, ' ')))
        return false;
    *space = *end = '\0';
    (void)snprintf(r->method, sizeof r->method, "%.7s", line);
    (void)snprintf(r->path, sizeof r->path, "%.2000s", space + 1);
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0])
            return true;
        take_line(r, line);
    }
    return false;
}

static void *serve(void *arg)
{
    struct job *job = arg;
    struct request r = {.h = job->h, .fd = job->fd, .store = job->store};
    FILE *in = fdopen(job->fd, "r");

    if (in) {
        while (read_request(&r, in) && respond(&r))
            ;
        (void)fclose(in);
    }
    free(job);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct job *which = arg;
    int listener = which->h->listener[which->store];

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        struct job *job = fd >= 0 ? malloc(sizeof *job) : NULL;
        pthread_t thread;

        if (!job)
            continue;
        *job = (struct job){which->h, which->store, fd};
        if (pthread_create(&thread, NULL, serve, job) == 0)
            (void)pthread_detach(thread);
    }
    return NULL;
}

/* ---- main ---- */

static int listen_any(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 64) ||
        getsockname(fd, (struct sockaddr *)&a, &size))
        exit(74);
    *port = ntohs(a.sin_port);
    return fd;
}

static void write_port(const char *path, int port)
{
    char temp[PATH_ROOM];
    FILE *f;

    (void)snprintf(temp, sizeof temp, "%s.tmp", path);
    f = fopen(temp, "w");
    if (!f || fprintf(f, "%d\n", port) < 0 || fclose(f) != 0 || rename(temp, path) != 0)
        exit(74);
}

static void parse(struct hub *h, int argc, char **argv, const char **port_file)
{
    static const struct option known[] = {{"root", required_argument, NULL, 'r'},
                                          {"port-file", required_argument, NULL, 'p'},
                                          {"log", required_argument, NULL, 'l'},
                                          {"rule", required_argument, NULL, 'u'},
                                          {"gate", required_argument, NULL, 'g'},
                                          {"list", required_argument, NULL, 'e'},
                                          {"moved", required_argument, NULL, 'm'},
                                          {"to", required_argument, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'r')
            h->root = optarg;
        else if (c == 'p')
            *port_file = optarg;
        else if (c == 'l')
            h->log = fopen(optarg, "a");
        else if (c == 'g')
            h->gate = optarg;
        else if (c == 'm')
            h->moved_from = optarg;
        else if (c == 't')
            h->moved_to = optarg;
        else if (c == 'e' && h->extras < EXTRAS)
            h->extra[h->extras++] = optarg;
        else if (c != 'u' || !add_rule(h, optarg))
            exit(2);
    }
    if (!h->root || !*port_file || !h->log)
        exit(2);
}

int main(int argc, char **argv)
{
    static struct hub h;
    const char *port_file = NULL;
    struct job jobs[2] = {{&h, false, -1}, {&h, true, -1}};
    pthread_t thread;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)pthread_mutex_init(&h.lock, NULL);
    parse(&h, argc, argv, &port_file);
    for (int i = 0; i < 2; i++)
        h.listener[i] = listen_any(&h.port[i]);
    if (pthread_create(&thread, NULL, accept_all, &jobs[1]))
        return 74;
    write_port(port_file, h.port[0]);
    (void)accept_all(&jobs[0]);
    return 0;
}
