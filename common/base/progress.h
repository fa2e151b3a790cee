/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a run is: samples/s, done/total, failed, time left. A live line on a terminal,
 * a JSON line every 30 s otherwise, nothing when quiet. A thread of its own draws it, so
 * whoever counts only adds; all functions may be called from any thread. NULL is a valid
 * progress that shows nothing.
 *
 * The JSON line, without the line breaks:
 *     {"progress":"fetch","done":1200,"total":10000,"failed":31,
 *      "rate":152.4,"elapsed_s":8.1,"eta_s":57.7}
 * total and eta_s are null while they are not known.
 */
#ifndef CPV_BASE_PROGRESS_H
#define CPV_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/log.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpv_progress cpv_progress;

typedef enum cpv_progress_style {
    CPV_PROGRESS_QUIET, /* counts, shows nothing */
    CPV_PROGRESS_LIVE,  /* one line that changes */
    CPV_PROGRESS_JSON
} cpv_progress_style;

struct cpv_progress_params {
    const char *what; /* "fetch", "translate-pt": copied */
    cpv_log *log;     /* where lines go; must outlive the progress */
    cpv_progress_style style;
    bool bytes;             /* what is counted are bytes: shown as "1.2 MB/3.4 MB" */
    int every_ms;           /* between lines; 0: 200 live, 30,000 JSON */
    int64_t (*clock)(void); /* milliseconds; NULL: cpv_clock_ms. For tests */
};

/* What is shown, at one moment. */
struct cpv_progress_now {
    uint64_t done;   /* finished in any way, failed and skipped ones included */
    uint64_t failed; /* of these */
    uint64_t total;  /* 0: not known */
    double rate;     /* samples/s over the last 30 s; skipped ones do not count */
    double elapsed_s;
    double eta_s; /* below 0: not known */
};

/* LIVE if fd is a terminal, else JSON; QUIET if asked for. */
cpv_progress_style cpv_progress_style_of(int fd, bool quiet);

CPV_MUST_CHECK int cpv_progress_open(cpv_progress **out,
                                     const struct cpv_progress_params *params,
                                     struct cpv_err *err);
/* Removes the live line, or writes a last JSON line if anything was done. */
void cpv_progress_close(cpv_progress **p);

void cpv_progress_total(cpv_progress *p, uint64_t total);
/* n more samples are finished, `failed` of them without success. */
void cpv_progress_add(cpv_progress *p, uint64_t n, uint64_t failed);
/* n more samples were found finished already, by an earlier run. */
void cpv_progress_skip(cpv_progress *p, uint64_t n);
/* A few words for the end of the live line ("part 3 of 12"); cut at 63 bytes. */
void cpv_progress_note(cpv_progress *p, const char *fmt, ...) CPV_PRINTF(2, 3);

struct cpv_progress_now cpv_progress_look(cpv_progress *p);
void cpv_progress_live_text(cpv_progress *p, struct cpv_buf *out);
void cpv_progress_json_text(cpv_progress *p, struct cpv_buf *out);

#ifdef __cplusplus
}
#endif
#endif
