/* SPDX-License-Identifier: Apache-2.0 */
/* See progress.h. Counters are atomic; a thread wakes now and then and draws. */
#include "common/base/progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/queue.h"
#include "common/base/sys.h"

enum {
    WINDOW_MS = 30000, /* of the rate */
    STEP_MS = 1000,    /* between the points of the window */
    POINTS = WINDOW_MS / STEP_MS + 1,
    LIVE_EVERY_MS = 200,
    JSON_EVERY_MS = 30000,
    NOTE_SIZE = 64
};

struct point {
    int64_t at_ms;
    uint64_t worked;
};

struct cpv_progress {
    atomic_ullong worked, failed, skipped, total;
    char what[NOTE_SIZE];
    cpv_log *log;
    cpv_progress_style style;
    bool bytes;
    int every_ms;
    int64_t (*clock)(void);
    int64_t started_ms;

    pthread_mutex_t lock; /* over all that follows */
    pthread_cond_t wake;
    bool closing;
    char note[NOTE_SIZE];
    struct point point[POINTS]; /* a ring, the oldest first */
    int first, count;
    cpv_pool *thread; /* of one */
};

cpv_progress_style cpv_progress_style_of(int fd, bool quiet)
{
    if (quiet)
        return CPV_PROGRESS_QUIET;
    return isatty(fd) ? CPV_PROGRESS_LIVE : CPV_PROGRESS_JSON;
}

/* ---- counting ---- */

void cpv_progress_total(cpv_progress *p, uint64_t total)
{
    if (p)
        atomic_store(&p->total, total);
}

void cpv_progress_add(cpv_progress *p, uint64_t n, uint64_t failed)
{
    if (!p)
        return;
    (void)atomic_fetch_add(&p->worked, n);
    if (failed)
        (void)atomic_fetch_add(&p->failed, failed);
}

void cpv_progress_skip(cpv_progress *p, uint64_t n)
{
    if (p)
        (void)atomic_fetch_add(&p->skipped, n);
}

void cpv_progress_note(cpv_progress *p, const char *fmt, ...)
{
    va_list ap;

    if (!p)
        return;
    (void)pthread_mutex_lock(&p->lock);
    va_start(ap, fmt);
    if (vsnprintf(p->note, sizeof p->note, fmt, ap) < 0)
        p->note[0] = '\0';
    va_end(ap);
    (void)pthread_mutex_unlock(&p->lock);
}

/* ---- looking ---- */

/* A point at least every STEP_MS, none older than needed to span WINDOW_MS. */
static void add_point(cpv_progress *p, int64_t now, uint64_t worked)
{
    struct point *last = &p->point[(p->first + p->count - 1) % POINTS];

    if (now - last->at_ms < STEP_MS)
        return;
    if (p->count == POINTS) {
        p->first = (p->first + 1) % POINTS;
        p->count--;
    }
    p->point[(p->first + p->count++) % POINTS] = (struct point){now, worked};
    while (p->count > 2 && now - p->point[(p->first + 1) % POINTS].at_ms >= WINDOW_MS) {
        p->first = (p->first + 1) % POINTS;
        p->count--;
    }
}

struct cpv_progress_now cpv_progress_look(cpv_progress *p)
{
    struct cpv_progress_now now = {.eta_s = -1};
    uint64_t worked;
    struct point oldest;
    int64_t at;

    if (!p)
        return now;
    now.failed = atomic_load(&p->failed); /* before `worked`: never more than done */
    (void)pthread_mutex_lock(&p->lock);
    at = p->clock();
    worked = atomic_load(&p->worked);
    oldest = p->point[p->first];
    add_point(p, at, worked);
    (void)pthread_mutex_unlock(&p->lock);

    now.done = worked + atomic_load(&p->skipped);
    now.total = atomic_load(&p->total);
    now.elapsed_s = (double)(at - p->started_ms) / 1000;
    if (at > oldest.at_ms)
        now.rate = (double)(worked - oldest.worked) * 1000 / (double)(at - oldest.at_ms);
    if (now.total > 0 && now.done >= now.total)
        now.eta_s = 0;
    else if (now.total > 0 && now.rate > 0)
        now.eta_s = (double)(now.total - now.done) / now.rate;
    return now;
}

static void add_time(struct cpv_buf *out, double seconds)
{
    uint64_t s = seconds < 1e9 ? (uint64_t)(seconds + 0.5) : 1000000000;
    unsigned h = (unsigned)(s / 3600), m = (unsigned)(s / 60 % 60);

    if (s >= 86400)
        cpv_buf_printf(out, "%ud %02uh", h / 24, h % 24);
    else if (s >= 3600)
        cpv_buf_printf(out, "%uh %02um", h, m);
    else
        cpv_buf_printf(out, "%u:%02u", m, (unsigned)(s % 60));
}

/* fetch  1200/10000 (12%)  31 failed  152.4/s  0:58 left  part 3 of 12 */
/* Powers of 1000, as networks and hubs count: "12.3 MB", "466 MB". */
static void add_bytes(struct cpv_buf *out, double bytes)
{
    static const char *const UNIT[] = {"B", "kB", "MB", "GB", "TB"};
    size_t u = 0;

    for (; bytes >= 999.5 && u < 4; u++)
        bytes /= 1000;
    cpv_buf_printf(out, u && bytes < 99.95 ? "%.1f %s" : "%.0f %s", bytes, UNIT[u]);
}

static void add_amount(struct cpv_buf *out, const cpv_progress *p, uint64_t n)
{
    if (p->bytes)
        add_bytes(out, (double)n);
    else
        cpv_buf_printf(out, "%llu", (unsigned long long)n);
}

static void add_rate(struct cpv_buf *out, const cpv_progress *p, double rate)
{
    cpv_buf_str(out, "  ");
    if (p->bytes)
        add_bytes(out, rate);
    else
        cpv_buf_printf(out, rate < 1000 ? "%.1f" : "%.0f", rate);
    cpv_buf_str(out, "/s");
}

void cpv_progress_live_text(cpv_progress *p, struct cpv_buf *out)
{
    struct cpv_progress_now now = cpv_progress_look(p);
    char note[NOTE_SIZE];

    if (!p)
        return;
    cpv_buf_printf(out, "%s  ", p->what);
    add_amount(out, p, now.done);
    if (now.total) {
        cpv_buf_byte(out, '/');
        add_amount(out, p, now.total);
        cpv_buf_printf(out, " (%d%%)",
                       now.done >= now.total
                           ? 100
                           : (int)(100 * (double)now.done / (double)now.total));
    }
    if (now.failed)
        cpv_buf_printf(out, "  %llu failed", (unsigned long long)now.failed);
    add_rate(out, p, now.rate);
    if (now.eta_s >= 0) {
        cpv_buf_str(out, "  ");
        add_time(out, now.eta_s);
        cpv_buf_str(out, " left");
    }
    (void)pthread_mutex_lock(&p->lock);
    memcpy(note, p->note, sizeof note);
    (void)pthread_mutex_unlock(&p->lock);
    if (note[0])
        cpv_buf_printf(out, "  %s", note);
}

static void add_json_string(struct cpv_buf *out, const char *s)
{
    cpv_buf_byte(out, '"');
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20)
            cpv_buf_printf(out, "\\u%04x", (unsigned)(unsigned char)*s);
        else if (*s == '"' || *s == '\\')
            cpv_buf_printf(out, "\\%c", *s);
        else
            cpv_buf_byte(out, (uint8_t)*s);
    }
    cpv_buf_byte(out, '"');
}

void cpv_progress_json_text(cpv_progress *p, struct cpv_buf *out)
{
    struct cpv_progress_now now = cpv_progress_look(p);

    if (!p)
        return;
    cpv_buf_str(out, "{\"progress\":");
    add_json_string(out, p->what);
    cpv_buf_printf(out, ",\"done\":%llu,\"total\":", (unsigned long long)now.done);
    if (now.total)
        cpv_buf_printf(out, "%llu", (unsigned long long)now.total);
    else
        cpv_buf_str(out, "null");
    cpv_buf_printf(out, ",\"failed\":%llu,\"rate\":%.1f,\"elapsed_s\":%.1f,\"eta_s\":",
                   (unsigned long long)now.failed, now.rate, now.elapsed_s);
    if (now.eta_s >= 0)
        cpv_buf_printf(out, "%.1f}", now.eta_s);
    else
        cpv_buf_str(out, "null}");
}

/* ---- drawing ---- */

static void draw(cpv_progress *p)
{
    struct cpv_buf text = {0};
    const char *s;

    if (p->style == CPV_PROGRESS_LIVE)
        cpv_progress_live_text(p, &text);
    else
        cpv_progress_json_text(p, &text);
    s = cpv_buf_cstr(&text);
    if (s && p->style == CPV_PROGRESS_LIVE)
        cpv_log_live(p->log, s);
    else if (s)
        cpv_log_line(p->log, s);
    cpv_buf_release(&text);
}

/* Wakes at least every STEP_MS, so that the window has its points. */
static void run(void *arg, int worker)
{
    cpv_progress *p = arg;
    int step = p->every_ms < STEP_MS ? p->every_ms : STEP_MS;
    int64_t next_ms = cpv_clock_ms() + p->every_ms;
    struct timespec until;

    (void)worker;
    (void)pthread_mutex_lock(&p->lock);
    while (!p->closing) {
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long)step * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&p->wake, &p->lock, &until);
        if (p->closing)
            break;
        (void)pthread_mutex_unlock(&p->lock);
        if (cpv_clock_ms() >= next_ms) {
            draw(p);
            next_ms = cpv_clock_ms() + p->every_ms;
        } else {
            (void)cpv_progress_look(p);
        }
        (void)pthread_mutex_lock(&p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
}

static int init_sync(cpv_progress *p)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc)
        return rc;
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_cond_init(&p->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (rc)
        return rc;
    rc = pthread_mutex_init(&p->lock, NULL);
    if (rc)
        (void)pthread_cond_destroy(&p->wake);
    return rc;
}

static void free_progress(cpv_progress *p)
{
    (void)pthread_mutex_destroy(&p->lock);
    (void)pthread_cond_destroy(&p->wake);
    cpv_free(p);
}

int cpv_progress_open(cpv_progress **out, const struct cpv_progress_params *params,
                      struct cpv_err *err)
{
    cpv_progress *p = cpv_calloc(1, sizeof *p);
    int rc;

    *out = NULL;
    if (!p)
        return cpv_fail_memory(err);
    (void)snprintf(p->what, sizeof p->what, "%s", params->what);
    p->log = params->log;
    p->style = params->style;
    p->bytes = params->bytes;
    p->every_ms = params->every_ms                     ? params->every_ms
                  : params->style == CPV_PROGRESS_LIVE ? LIVE_EVERY_MS
                                                       : JSON_EVERY_MS;
    p->clock = params->clock ? params->clock : cpv_clock_ms;
    p->started_ms = p->clock();
    p->point[0].at_ms = p->started_ms;
    p->count = 1;
    if ((rc = init_sync(p))) {
        cpv_free(p);
        return cpv_fail_sys(err, rc, "cannot make a lock");
    }
    if (p->style != CPV_PROGRESS_QUIET) {
        rc = cpv_pool_open(&p->thread, "progress", 1, 0, run, p, err);
        if (rc) {
            free_progress(p);
            return rc;
        }
    }
    *out = p;
    return CPV_OK;
}

void cpv_progress_close(cpv_progress **pp)
{
    cpv_progress *p = *pp;

    *pp = NULL;
    if (!p)
        return;
    if (p->style != CPV_PROGRESS_QUIET) {
        (void)pthread_mutex_lock(&p->lock);
        p->closing = true;
        (void)pthread_cond_signal(&p->wake);
        (void)pthread_mutex_unlock(&p->lock);
        cpv_pool_close(&p->thread);
        if (p->style == CPV_PROGRESS_LIVE)
            cpv_log_live(p->log, NULL);
        else if (cpv_progress_look(p).done > 0)
            draw(p);
    }
    free_progress(p);
}
