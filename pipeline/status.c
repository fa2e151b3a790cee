/* SPDX-License-Identifier: Apache-2.0 */
/* See status.h. */
#include "pipeline/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/corpus/column.h"
#include "common/format/json.h"
#include "pipeline/place.h"
#include "pipeline/spawn.h"

struct gather {
    struct cpv_status *out;
    const struct cpv_setup *setup;
    cpv_arena *mem;
    cpv_log *log;
    cpv_index *index;
};

/* ---- which columns ---- */

static int add_column(struct cpv_buf *columns, const char *name,
                      const struct cpv_step *step)
{
    struct cpv_status_column c = {.name = name, .step = step};
    const struct cpv_status_column *at = (const void *)columns->data;

    for (size_t i = 0; i < columns->size / sizeof c; i++)
        if (strcmp(at[i].name, name) == 0)
            return CPV_OK;
    cpv_buf_add(columns, &c, sizeof c);
    return columns->failed ? CPV_E_MEMORY : CPV_OK;
}

/* Steps in the order of a run, then what else lies there. */
static int list_columns(struct gather *g, struct cpv_err *err)
{
    struct cpv_status *s = g->out;
    struct cpv_buf columns = {0};
    struct cpv_step *steps = NULL;
    const char **names = NULL;
    size_t n_steps = 0;
    uint32_t n = 0;
    int rc = CPV_OK;

    if (g->setup->config)
        rc = cpv_steps_list(g->setup->config, g->mem, &steps, &n_steps, err);
    if (!rc)
        rc = cpv_columns_list(s->corpus, g->mem, &names, &n, err);
    for (size_t i = 0; !rc && i < n_steps; i++)
        rc = add_column(&columns, steps[i].column, &steps[i]);
    for (uint32_t i = 0; !rc && i < n; i++)
        rc = add_column(&columns, names[i], NULL);
    s->n = columns.size / sizeof *s->at;
    s->at = rc ? NULL : cpv_arena_calloc(g->mem, s->n + 1, sizeof *s->at);
    if (!rc && !s->at)
        rc = cpv_fail_memory(err);
    if (!rc && s->n)
        memcpy(s->at, columns.data, columns.size);
    cpv_buf_release(&columns);
    return rc;
}

/* ---- plans ---- */

/* A number behind `mark` in a line; moves *at behind it. */
static bool number_after(const char **at, const char *mark, uint64_t *out)
{
    const char *p = strstr(*at, mark);

    if (!p)
        return false;
    p += strlen(mark);
    if (*p < '0' || *p > '9')
        return false;
    for (*out = 0; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, (uint64_t)(*p - '0'), out))
            return false;
    *at = p;
    return true;
}

/* "fetch part 00003 rows 30000-40000: new" */
static bool parse_line(const char *line, uint32_t *part, uint64_t *rows,
                       const char **need)
{
    uint64_t number, begin, end;

    if (!number_after(&line, " part ", &number) || number >= CPV_PARTS_MAX ||
        !number_after(&line, " rows ", &begin) || !number_after(&line, "-", &end) ||
        end < begin || strncmp(line, ": ", 2) != 0)
        return false;
    *part = (uint32_t)number;
    *rows = end - begin;
    *need = line + 2;
    return true;
}

static void count_line(struct cpv_status_column *c, const char *line,
                       struct cpv_buf *left)
{
    const char *need;
    uint32_t part;
    uint64_t rows;

    if (!parse_line(line, &part, &rows, &need))
        return;
    c->parts++;
    if (strcmp(need, "done") == 0)
        return;
    if (strcmp(need, "new") == 0)
        c->fresh++;
    else if (strcmp(need, "its input is not there yet") == 0)
        c->waiting++;
    else
        c->stale++;
    c->rows_left += rows;
    cpv_buf_add(left, &part, sizeof part);
}

static int count_lines(struct gather *g, struct cpv_status_column *c,
                       struct cpv_buf *text, struct cpv_err *err)
{
    char *line = (char *)(uintptr_t)cpv_buf_cstr(text), *end;
    struct cpv_buf left = {0};

    for (; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        count_line(c, line, &left);
    }
    c->n_left = left.size / sizeof *c->left;
    c->left =
        left.failed ? NULL : cpv_arena_calloc(g->mem, c->n_left + 1, sizeof *c->left);
    if (c->left && c->n_left)
        memcpy(c->left, left.data, left.size);
    cpv_buf_release(&left);
    c->planned = true;
    return c->left ? CPV_OK : cpv_fail_memory(err);
}

/* Nobody but the stage knows its parts: ask it. */
static int ask_stage(struct gather *g, struct cpv_status_column *c, struct cpv_err *err)
{
    const struct cpv_stage_entry *stage = c->step->stage;
    struct cpv_buf text = {0};
    char *words[8] = {0};
    struct cpv_spawn spawn = {.argv = words, .out = &text, .silent = true};
    size_t n = 0;
    int rc, sig = 0;

    spawn.path = cpv_program_find(stage->program, g->mem);
    if (!spawn.path) {
        c->plan_status = 127;
        return CPV_OK;
    }
    words[n++] = cpv_arena_printf(g->mem, "%s", stage->program);
    words[n++] = cpv_arena_printf(g->mem, "--config=%s", g->setup->path);
    words[n++] = cpv_arena_printf(g->mem, "--corpus=%s", g->out->corpus);
    words[n++] = cpv_arena_printf(g->mem, "--dry-run");
    if (c->step->instance)
        words[n++] =
            cpv_arena_printf(g->mem, "--%s=%s", stage->instance, c->step->instance);
    for (size_t i = 0; i < n; i++)
        if (!words[i])
            return cpv_fail_memory(err);
    rc = cpv_program_run(&spawn, &c->plan_status, &sig, err);
    if (!rc && !c->plan_status)
        rc = count_lines(g, c, &text, err);
    cpv_buf_release(&text);
    return rc;
}

/* ---- rates ---- */

struct span {
    double start, end, rows;
};

static void take_span(void *ctx, uint32_t part, struct cpv_bytes text)
{
    struct cpv_buf *spans = ctx;
    json_t *o = NULL;

    (void)part;
    if (cpv_json_parse(text, "statistics", &o, NULL) == CPV_OK) {
        struct span s = {json_number_value(json_object_get(o, "start_time")),
                         json_number_value(json_object_get(o, "end_time")),
                         json_number_value(json_object_get(o, "count"))};

        if (s.end > s.start)
            cpv_buf_add(spans, &s, sizeof s);
        json_decref(o);
    }
}

static int newest_first(const void *a, const void *b)
{
    double ea = ((const struct span *)a)->end, eb = ((const struct span *)b)->end;

    return (ea < eb) - (ea > eb);
}

/* Rows of the newest parts over the time in which at least one of them was worked on:
 * parts overlap, and between two runs nothing happens. */
static double rate_of(struct span *s, size_t n)
{
    enum { NEWEST = 16 };
    double rows = 0, busy = 0, reached = 0;

    if (n == 0)
        return 0;
    qsort(s, n, sizeof *s, newest_first);
    reached = s[0].end;
    for (size_t i = 0; i < n && i < NEWEST; i++) {
        double end = s[i].end < reached ? s[i].end : reached;

        rows += s[i].rows;
        if (s[i].start < end) {
            busy += end - s[i].start;
            reached = s[i].start;
        }
    }
    return busy > 0 ? rows / busy : 0;
}

static int find_rate(struct gather *g, struct cpv_status_column *c, struct cpv_err *err)
{
    struct cpv_buf spans = {0};
    int rc = cpv_index_stats(g->index, c->name, take_span, &spans, err);

    if (!rc && spans.failed)
        rc = cpv_fail_memory(err);
    if (!rc)
        c->rate =
            rate_of((struct span *)(void *)spans.data, spans.size / sizeof(struct span));
    cpv_buf_release(&spans);
    return rc;
}

/* ---- folders ---- */

static void count_file(struct cpv_status_column *c, const struct cpv_file *f)
{
    struct cpv_count_bytes *to = NULL;

    switch (f->kind) {
    case CPV_KIND_SUPERSEDED:
        to = &c->superseded;
        break;
    case CPV_KIND_ORPHAN:
        to = &c->orphans;
        break;
    case CPV_KIND_DRAFT:
        if (cpv_file_held(f->path))
            c->held++;
        else
            to = &c->drafts;
        break;
    case CPV_KIND_JOURNAL:
        to = &c->journals;
        break;
    case CPV_KIND_SPENT:
        to = &c->spent;
        break;
    case CPV_KIND_GONE:
        to = &c->gone;
        break;
    default:
        break;
    }
    if (to) {
        to->files++;
        to->bytes += f->bytes;
    }
}

static int look_at_files(struct gather *g, struct cpv_status_column *c,
                         struct cpv_err *err)
{
    struct cpv_file *files = NULL;
    size_t n = 0;
    int rc = cpv_place_files(g->out->corpus, c->name, g->mem, &files, &n, err);

    for (size_t i = 0; !rc && i < n; i++) {
        g->out->bytes += files[i].bytes;
        count_file(c, &files[i]);
    }
    return rc;
}

/* ---- all of it ---- */

/* The index, brought up to date if that is possible here, else one in memory. */
static int open_index(struct gather *g, struct cpv_err *err)
{
    const char *corpus = g->out->corpus;
    struct cpv_index_counts counts;
    struct cpv_err why = {0};
    int rc = cpv_index_open_write(&g->index, corpus, false, 0, g->log, &why);

    if (rc == CPV_E_BUSY && cpv_index_open_read(&g->index, corpus, NULL) == CPV_OK)
        return CPV_OK; /* somebody is at it */
    if (!rc)
        rc = cpv_index_update(g->index, &counts, &why);
    if (!rc || rc == CPV_E_STOPPED) {
        if (rc && err)
            *err = why;
        return rc;
    }
    cpv_log_debug(g->log, "%s; looking at the records themselves", why.text);
    cpv_index_close(&g->index);
    rc = cpv_index_open_memory(&g->index, corpus, g->log, err);
    return rc ? rc : cpv_index_update(g->index, &counts, err);
}

/* Without a configuration there is nobody to ask: what the stage said when it ran. */
static int recall_parts(struct gather *g, struct cpv_status_column *c,
                        struct cpv_err *err)
{
    struct cpv_column column;
    int rc = cpv_column_scan(g->out->corpus, c->name, g->mem, &column, err);

    if (!rc && column.parts != UINT32_MAX)
        c->said = column.parts;
    return rc;
}

static int gather_column(struct gather *g, struct cpv_status_column *c,
                         struct cpv_err *err)
{
    int rc = cpv_index_totals(g->index, c->name, &c->done, err);

    if (!rc)
        rc =
            cpv_index_reasons(g->index, c->name, g->mem, &c->reasons, &c->n_reasons, err);
    if (!rc)
        rc = find_rate(g, c, err);
    if (!rc)
        rc = look_at_files(g, c, err);
    if (!rc)
        rc = c->step ? ask_stage(g, c, err) : recall_parts(g, c, err);
    return rc;
}

int cpv_status_gather(struct cpv_status *out, const char *corpus,
                      const struct cpv_setup *setup, cpv_arena *mem, cpv_log *log,
                      struct cpv_err *err)
{
    struct gather g = {.out = out, .setup = setup, .mem = mem, .log = log};
    struct statvfs vfs;
    int rc;

    memset(out, 0, sizeof *out);
    out->corpus = corpus;
    rc = list_columns(&g, err);
    if (!rc)
        rc = open_index(&g, err);
    for (size_t i = 0; !rc && i < out->n; i++)
        rc = gather_column(&g, &out->at[i], err);
    if (statvfs(corpus, &vfs) == 0)
        out->disk_free = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    cpv_index_close(&g.index);
    return rc;
}
