/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --parts: all, an explicit list, the scheduler's array variable, or numbers on
 * standard input, taken as they come, so that one process with a loaded model
 * serves many parts.
 */
#include "common/stage/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/part_list.h"

struct cpv_select {
    bool all, from_input;
    struct cpv_buf ranges; /* struct cpv_part_range */
    size_t range;          /* the one we are in */
    uint64_t next;         /* the next number of it, or of all */
    bool inside;
    struct cpv_buf input; /* of standard input, what has not been taken yet */
    bool input_ended;
};

static const char EXPECTED[] =
    "'--parts': expected all, env, - or a list such as 3,7,9-12, got '%s'";

static int parse_list(cpv_select *s, const char *text, struct cpv_err *err)
{
    if (cpv_part_list_parse(text, &s->ranges))
        return CPV_OK;
    return s->ranges.failed ? cpv_fail_memory(err)
                            : cpv_fail(err, CPV_E_USAGE, EXPECTED, text);
}

static int parse_env(cpv_select *s, struct cpv_err *err)
{
    static const char *const names[] = {"SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"};

    for (size_t i = 0; i < 2; i++) {
        const char *value = getenv(names[i]);

        if (value && parse_list(s, value, err) == CPV_OK)
            return CPV_OK;
        if (value)
            return cpv_fail(err, CPV_E_USAGE, "'%s': expected a part number, got '%s'",
                            names[i], value);
    }
    return cpv_fail(err, CPV_E_USAGE,
                    "'--parts env': neither SLURM_ARRAY_TASK_ID nor "
                    "JOB_COMPLETION_INDEX is set");
}

int cpv_select_open(cpv_select **out, const char *text, struct cpv_err *err)
{
    cpv_select *s = cpv_calloc(1, sizeof *s);
    int rc = CPV_OK;

    *out = NULL;
    if (!s)
        return cpv_fail_memory(err);
    if (strcmp(text, "all") == 0)
        s->all = true;
    else if (strcmp(text, "-") == 0)
        s->from_input = true;
    else if (strcmp(text, "env") == 0)
        rc = parse_env(s, err);
    else
        rc = parse_list(s, text, err);
    if (rc)
        cpv_select_close(&s);
    *out = s;
    return rc;
}

void cpv_select_close(cpv_select **sp)
{
    cpv_select *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    cpv_buf_release(&s->ranges);
    cpv_buf_release(&s->input);
    cpv_free(s);
}

/* Read what is there, waiting if there is nothing. */
static int fill_input(cpv_select *s, struct cpv_err *err)
{
    enum { STEP = 4096 };
    uint8_t *to = cpv_buf_reserve(&s->input, STEP);
    ssize_t got;

    if (!to)
        return cpv_fail_memory(err);
    do
        got = cpv_sys.read(STDIN_FILENO, to, STEP);
    while (got < 0 && errno == EINTR && !cpv_stop_requested());
    if (got < 0 && errno == EINTR)
        return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    if (got < 0)
        return cpv_fail_sys(err, errno, "cannot read standard input");
    s->input.size += (size_t)got;
    s->input_ended = got == 0;
    return CPV_OK;
}

/* A whole line in `input`, or its unended rest at the end: its length, else -1. */
static ssize_t find_line(const cpv_select *s)
{
    const uint8_t *end =
        s->input.size ? memchr(s->input.data, '\n', s->input.size) : NULL;

    if (end)
        return end - s->input.data;
    return s->input_ended && s->input.size ? (ssize_t)s->input.size : -1;
}

static int take_line(cpv_select *s, size_t n, struct cpv_err *err)
{
    char line[256];
    size_t used = n < s->input.size ? n + 1 : n,
           m = n < sizeof line ? n : sizeof line - 1;

    memcpy(line, s->input.data, m);
    line[m] = '\0';
    line[strcspn(line, "\r")] = '\0';
    memmove(s->input.data, s->input.data + used, s->input.size - used);
    s->input.size -= used;
    if (!*line)
        return CPV_OK;
    cpv_buf_clear(&s->ranges);
    s->range = 0;
    if (n >= sizeof line || parse_list(s, line, err))
        return cpv_fail(err, CPV_E_USAGE,
                        "standard input: expected a part number, got '%s'", line);
    return 1;
}

/* The next line of standard input: a number or a list, in place of the ranges. */
static int read_more(cpv_select *s, struct cpv_err *err)
{
    for (;;) {
        ssize_t n = find_line(s);
        int rc;

        if (n >= 0 && (rc = take_line(s, (size_t)n, err)))
            return rc;
        if (n >= 0)
            continue;
        if (s->input_ended)
            return 0;
        if ((rc = fill_input(s, err)))
            return rc;
    }
}

bool cpv_select_ready(const cpv_select *s)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};

    if (!s->from_input || s->range < s->ranges.size / sizeof(struct cpv_part_range))
        return true;
    return s->input_ended || find_line(s) >= 0 || poll(&fd, 1, 0) > 0;
}

int cpv_select_next(cpv_select *s, uint32_t n_parts, uint32_t *part, struct cpv_err *err)
{
    if (s->all) {
        *part = (uint32_t)s->next;
        return s->next++ < n_parts;
    }
    for (;;) {
        const struct cpv_part_range *r =
            (const struct cpv_part_range *)(const void *)s->ranges.data;
        size_t n = s->ranges.size / sizeof *r;

        if (s->range == n) {
            int got = s->from_input ? read_more(s, err) : 0;

            if (got <= 0)
                return got;
            continue;
        }
        if (!s->inside)
            s->next = r[s->range].first;
        s->inside = s->next < r[s->range].last;
        *part = (uint32_t)s->next++;
        if (!s->inside)
            s->range++;
        if (*part >= n_parts)
            return cpv_fail(err, CPV_E_USAGE,
                            "part %u does not exist: there are %u parts", *part, n_parts);
        return 1;
    }
}
