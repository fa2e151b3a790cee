/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event, "capivara-fetch: warning: ...\n", to a descriptor or a function.
 *
 * Any thread may use a handle at any time; lines never mix. A live line (progress on a
 * terminal) is cleared before an event's line and drawn again after it. NULL is a valid
 * log that says nothing. What cannot be written is dropped: a log never fails a run.
 */
#ifndef CPV_BASE_LOG_H
#define CPV_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpv_log_level {
    CPV_LOG_ERROR,
    CPV_LOG_WARNING,
    CPV_LOG_INFO, /* what a run usually shows; printed without a word for the level */
    CPV_LOG_DEBUG
} cpv_log_level;

typedef struct cpv_log cpv_log;

/* Gets whole lines with their newline. Called under the log's lock: must not log. */
typedef void cpv_log_sink(void *ctx, cpv_log_level level, const char *line, size_t size);

/* Lines above `level` are dropped. fd stays the caller's. `program` is copied. */
CPV_MUST_CHECK int cpv_log_open(cpv_log **out, const char *program, cpv_log_level level,
                                int fd, struct cpv_err *err);
CPV_MUST_CHECK int cpv_log_open_sink(cpv_log **out, const char *program,
                                     cpv_log_level level, cpv_log_sink *sink, void *ctx,
                                     struct cpv_err *err);
void cpv_log_close(cpv_log **log);

bool cpv_log_shows(const cpv_log *log, cpv_log_level level);

/* Control characters in the text are shown as "\xHH": an event is one line, always. */
void cpv_log_error(cpv_log *log, const char *fmt, ...) CPV_PRINTF(2, 3);
void cpv_log_warning(cpv_log *log, const char *fmt, ...) CPV_PRINTF(2, 3);
void cpv_log_info(cpv_log *log, const char *fmt, ...) CPV_PRINTF(2, 3);
void cpv_log_debug(cpv_log *log, const char *fmt, ...) CPV_PRINTF(2, 3);
/* The text of an error object, as an error. */
void cpv_log_err(cpv_log *log, const struct cpv_err *err);

/* A line as it is, without prefix, whatever the level: for machines. */
void cpv_log_line(cpv_log *log, const char *text);
/* Set the live line, replacing the last; NULL clears it. Terminals only. */
void cpv_log_live(cpv_log *log, const char *text);

#ifdef __cplusplus
}
#endif
#endif
