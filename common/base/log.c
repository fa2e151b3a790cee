/* SPDX-License-Identifier: Apache-2.0 */
/* See log.h. Each event is put together first and then written in one call. */
#include "common/base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/sys.h"

enum {
    TEXT_SIZE = 1024, /* of an event, before escapes */
    LINE_SIZE = 4 * TEXT_SIZE + 256,
    LIVE_SIZE = 512
};

struct cpv_log {
    pthread_mutex_t lock;
    char *program;
    cpv_log_level level;
    int fd; /* -1: to the sink */
    cpv_log_sink *sink;
    void *ctx;
    char live[LIVE_SIZE]; /* on the terminal now; empty: none */
};

static int open_log(cpv_log **out, const char *program, cpv_log_level level,
                    struct cpv_err *err)
{
    cpv_log *log = cpv_calloc(1, sizeof *log);
    int rc;

    *out = NULL;
    if (!log || !(log->program = cpv_strdup(program))) {
        cpv_free(log);
        return cpv_fail_memory(err);
    }
    rc = pthread_mutex_init(&log->lock, NULL);
    if (rc) {
        cpv_free(log->program);
        cpv_free(log);
        return cpv_fail_sys(err, rc, "cannot make a lock");
    }
    log->level = level;
    log->fd = -1;
    *out = log;
    return CPV_OK;
}

int cpv_log_open(cpv_log **out, const char *program, cpv_log_level level, int fd,
                 struct cpv_err *err)
{
    int rc = open_log(out, program, level, err);

    if (!rc)
        (*out)->fd = fd;
    return rc;
}

int cpv_log_open_sink(cpv_log **out, const char *program, cpv_log_level level,
                      cpv_log_sink *sink, void *ctx, struct cpv_err *err)
{
    int rc = open_log(out, program, level, err);

    if (!rc) {
        (*out)->sink = sink;
        (*out)->ctx = ctx;
    }
    return rc;
}

void cpv_log_close(cpv_log **logp)
{
    cpv_log *log = *logp;

    *logp = NULL;
    if (!log)
        return;
    cpv_log_live(log, NULL);
    (void)pthread_mutex_destroy(&log->lock);
    cpv_free(log->program);
    cpv_free(log);
}

bool cpv_log_shows(const cpv_log *log, cpv_log_level level)
{
    return log && level <= log->level;
}

/*
 * Not through cpv_sys: a log must work while faults are injected, and lines that
 * depend on time must not shift the count of calls. What does not go out is dropped.
 */
static void put(const cpv_log *log, cpv_log_level level, const char *line, size_t size)
{
    if (log->sink) {
        log->sink(log->ctx, level, line, size);
        return;
    }
    while (size > 0) {
        ssize_t n = write(log->fd, line, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        line += n;
        size -= (size_t)n;
    }
}

#define CLEAR_LINE "\r\033[K"

/* `line` ends with a newline. Around it the live line goes and comes back. */
static void emit(cpv_log *log, cpv_log_level level, const char *line, size_t size)
{
    int saved = errno;

    (void)pthread_mutex_lock(&log->lock);
    if (log->live[0] && size <= LINE_SIZE) {
        char whole[LINE_SIZE + LIVE_SIZE + sizeof CLEAR_LINE];
        int n = snprintf(whole, sizeof whole, CLEAR_LINE "%.*s%s", (int)size, line,
                         log->live);

        put(log, level, whole, (size_t)n);
    } else {
        put(log, level, line, size);
    }
    (void)pthread_mutex_unlock(&log->lock);
    errno = saved;
}

/* Control characters as \xHH. `to` has room for four times `from`. */
static size_t escape(char *to, const char *from)
{
    static const char digit[] = "0123456789abcdef";
    size_t n = 0;

    for (; *from; from++) {
        unsigned char c = (unsigned char)*from;

        if (c >= 0x20 && c != 0x7f) {
            to[n++] = *from;
        } else {
            to[n++] = '\\';
            to[n++] = 'x';
            to[n++] = digit[c >> 4];
            to[n++] = digit[c & 15];
        }
    }
    return n;
}

static void event(cpv_log *log, cpv_log_level level, const char *fmt, va_list ap)
    CPV_PRINTF(3, 0);

static void event(cpv_log *log, cpv_log_level level, const char *fmt, va_list ap)
{
    static const char *const word[] = {"error: ", "warning: ", "", "debug: "};
    char text[TEXT_SIZE], line[LINE_SIZE];
    int n;

    if (!cpv_log_shows(log, level))
        return;
    if (vsnprintf(text, sizeof text, fmt, ap) < 0)
        return;
    n = snprintf(line, sizeof line - 4 * TEXT_SIZE, "%s: %s", log->program, word[level]);
    if (n < 0 || (size_t)n >= sizeof line - 4 * TEXT_SIZE)
        n = 0; /* a name longer than any program's */
    n += (int)escape(line + n, text);
    line[n++] = '\n';
    emit(log, level, line, (size_t)n);
}

#define EVENT(name, level)                                                               \
    void cpv_log_##name(cpv_log *log, const char *fmt, ...)                              \
    {                                                                                    \
        va_list ap;                                                                      \
                                                                                         \
        va_start(ap, fmt);                                                               \
        event(log, level, fmt, ap);                                                      \
        va_end(ap);                                                                      \
    }

EVENT(error, CPV_LOG_ERROR)
EVENT(warning, CPV_LOG_WARNING)
EVENT(info, CPV_LOG_INFO)
EVENT(debug, CPV_LOG_DEBUG)

void cpv_log_err(cpv_log *log, const struct cpv_err *err)
{
    cpv_log_error(log, "%s", err->text);
}

void cpv_log_line(cpv_log *log, const char *text)
{
    char line[LINE_SIZE];
    int n;

    if (!log)
        return;
    n = snprintf(line, sizeof line, "%s\n", text);
    if (n > 0 && (size_t)n < sizeof line)
        emit(log, CPV_LOG_INFO, line, (size_t)n);
}

/* How much of a text fits on one line of the terminal: a wrapped one cannot be cleared.
 */
static int fitting(const cpv_log *log, const char *text)
{
    size_t n = strnlen(text, LIVE_SIZE - 1);
    struct winsize ws;

    if (log->sink || ioctl(log->fd, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0)
        return (int)n;
    if (n >= ws.ws_col)
        n = (size_t)ws.ws_col - 1;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    return (int)n;
}

void cpv_log_live(cpv_log *log, const char *text)
{
    char whole[LIVE_SIZE + sizeof CLEAR_LINE];
    int n;

    if (!log)
        return;
    (void)pthread_mutex_lock(&log->lock);
    if (text || log->live[0]) {
        (void)snprintf(log->live, sizeof log->live, "%.*s", text ? fitting(log, text) : 0,
                       text ? text : "");
        n = snprintf(whole, sizeof whole, CLEAR_LINE "%s", log->live);
        put(log, CPV_LOG_INFO, whole, (size_t)n);
    }
    (void)pthread_mutex_unlock(&log->lock);
}
