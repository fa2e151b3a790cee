/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows from tables: TSV, CSV and lists of one column. What a header or the first
 * line says about the columns is settled when the file is opened.
 */
#include "common/base/size.h"
#include "common/format/rows_internal.h"

enum { NAMES_SHOWN = 200 }; /* bytes of column names in a message */

struct table {
    char delimiter; /* 0: one column */
    bool csv;
    bool header;
    size_t n;                 /* columns */
    struct cpv_bytes *fields; /* [n] of the row at hand */
    const char **names;       /* [n] and NULL; without a header all are "column_N" */
    size_t url, file, hash;   /* from 1; 0: none */
    size_t *captions;         /* [n_captions] from 1 */
    size_t n_captions;
    struct cpv_bytes *texts; /* [n_captions] of the row at hand */
    size_t *extra;           /* [n_extra] from 1 */
    size_t n_extra;
};

/* ---- fields ---- */

/* The end of the field that begins at p: its delimiter, or `end`. */
static const uint8_t *field_end(const struct table *t, const uint8_t *p,
                                const uint8_t *end)
{
    const uint8_t *at;

    if (!t->delimiter)
        return end;
    if (t->csv && p < end && *p == '"') {
        for (p++; p < end; p++)
            if (*p == '"' && (p + 1 == end || *++p != '"'))
                break;
    }
    at = p < end ? memchr(p, t->delimiter, (size_t)(end - p)) : NULL;
    return at ? at : end;
}

/* `"a ""b"" c"` -> `a "b" c`: in place of a copy only where there is one to unescape. */
static int unquote(struct cpv_bytes *f, cpv_arena *mem, struct cpv_err *err)
{
    uint8_t *to;
    size_t n = 0;

    if (f->size < 2 || f->data[0] != '"')
        return CPV_OK;
    *f = cpv_bytes_of(f->data + 1, f->size - 2);
    if (!f->size || !memchr(f->data, '"', f->size))
        return CPV_OK;
    if (!(to = cpv_arena_alloc(mem, f->size)))
        return cpv_fail_memory(err);
    for (size_t i = 0; i < f->size; i++) {
        to[n++] = f->data[i];
        i += f->data[i] == '"';
    }
    *f = cpv_bytes_of(to, n);
    return CPV_OK;
}

/* How many fields there are; the first `room` of them, still quoted, in `out`. */
static size_t split(const struct table *t, struct cpv_bytes record, struct cpv_bytes *out,
                    size_t room)
{
    const uint8_t *p = record.data, *end = record.data + record.size;
    size_t n = 0;

    for (;;) {
        const uint8_t *stop = field_end(t, p, end);

        if (n < room)
            out[n] = cpv_bytes_of(p, (size_t)(stop - p));
        n++;
        if (stop == end)
            return n;
        p = stop + 1;
    }
}

static bool torn(const cpv_rows *r, const struct cpv_record *record)
{
    const struct table *t = r->state;

    return split(t, cpv_bytes_of(record->data, record->size), NULL, 0) != t->n;
}

/* ---- columns ---- */

static int no_column(const cpv_rows *r, const struct table *t, const char *column,
                     struct cpv_err *err)
{
    struct cpv_buf names = {0};
    const char *near = cpv_opts_nearest_word(column, t->names);
    const char *list;
    int rc;

    for (size_t i = 0; i < t->n && names.size < NAMES_SHOWN; i++)
        cpv_buf_printf(&names, "%s'%.60s'", i ? ", " : "", t->names[i]);
    if (names.size >= NAMES_SHOWN)
        cpv_buf_str(&names, " ...");
    list = cpv_buf_cstr(&names);
    rc = !list  ? cpv_fail_memory(err)
         : near ? cpv_fail(err, CPV_E_INPUT,
                           "'%s': no column '%s'; did you mean '%s'? there are: %s",
                           r->p.path, column, near, list)
                : cpv_fail(err, CPV_E_INPUT, "'%s': no column '%s'; there are: %s",
                           r->p.path, column, list);
    cpv_buf_release(&names);
    return rc;
}

/* The number of a column; NULL is none, 0. */
static int resolve(const cpv_rows *r, const struct table *t, const char *column,
                   size_t *out, struct cpv_err *err)
{
    size_t number = column ? cpv_rows_number(column) : 0;

    *out = 0;
    if (!column)
        return CPV_OK;
    if (number) {
        if (number > t->n)
            return cpv_fail(err, CPV_E_INPUT, "'%s': no column %zu, there are %zu",
                            r->p.path, number, t->n);
        *out = number;
        return CPV_OK;
    }
    if (!t->header)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': column '%s' is a name, but there is no header; expected "
                        "a number from 1 to %zu",
                        r->p.path, column, t->n);
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->names[i], column) != 0)
            continue;
        if (*out)
            return cpv_fail(err, CPV_E_INPUT,
                            "'%s': two columns are called '%s'; expected a number",
                            r->p.path, column);
        *out = i + 1;
    }
    return *out ? CPV_OK : no_column(r, t, column, err);
}

static bool used(const struct table *t, size_t column)
{
    if (column == t->url || column == t->file || column == t->hash)
        return true;
    for (size_t i = 0; i < t->n_captions; i++)
        if (t->captions[i] == column)
            return true;
    return false;
}

static int resolve_extra(cpv_rows *r, struct table *t, struct cpv_err *err)
{
    bool all = cpv_rows_listed(&r->p.extra, "all");
    size_t room = all ? t->n : r->p.extra.count;
    int rc;

    if (room && !(t->extra = cpv_arena_calloc(r->own, room, sizeof *t->extra)))
        return cpv_fail_memory(err);
    if (!all) {
        for (; t->n_extra < room; t->n_extra++)
            if ((rc = resolve(r, t, r->p.extra.at[t->n_extra], &t->extra[t->n_extra],
                              err)))
                return rc;
        return CPV_OK;
    }
    for (size_t i = 1; i <= t->n; i++)
        if (!used(t, i))
            t->extra[t->n_extra++] = i;
    return CPV_OK;
}

static int resolve_all(cpv_rows *r, struct table *t, struct cpv_err *err)
{
    size_t n = r->p.captions.count;
    int rc;

    if ((rc = resolve(r, t, r->p.url, &t->url, err)) ||
        (rc = resolve(r, t, r->p.file, &t->file, err)) ||
        (rc = resolve(r, t, r->p.hash_column, &t->hash, err)))
        return rc;
    t->captions = cpv_arena_calloc(r->own, n + 1, sizeof *t->captions);
    t->texts = cpv_arena_calloc(r->own, n + 1, sizeof *t->texts);
    if (!t->captions || !t->texts)
        return cpv_fail_memory(err);
    for (; t->n_captions < n; t->n_captions++)
        if ((rc = resolve(r, t, r->p.captions.at[t->n_captions],
                          &t->captions[t->n_captions], err)))
            return rc;
    return resolve_extra(r, t, err);
}

static bool any_named(const struct cpv_rows_params *p)
{
    const char *single[] = {p->url, p->file, p->hash_column};

    for (size_t i = 0; i < CPV_COUNT(single); i++)
        if (single[i] && !cpv_rows_number(single[i]))
            return true;
    for (size_t i = 0; i < p->captions.count; i++)
        if (!cpv_rows_number(p->captions.at[i]))
            return true;
    for (size_t i = 0; i < p->extra.count; i++)
        if (!cpv_rows_number(p->extra.at[i]) && strcmp(p->extra.at[i], "all") != 0)
            return true;
    return false;
}

/* See enum cpv_rows_header; `fields` are those of the first line. */
static bool has_header(const struct cpv_rows_params *p, const struct table *t)
{
    size_t url = p->url ? cpv_rows_number(p->url) : 0;

    if (p->header != CPV_ROWS_HEADER_AUTO)
        return p->header == CPV_ROWS_HEADER_YES;
    if (any_named(p))
        return true;
    return url && url <= t->n &&
           !memmem(t->fields[url - 1].data, t->fields[url - 1].size, "://", 3);
}

/* Names from the first line, or made up. */
static int name_columns(cpv_rows *r, struct table *t, struct cpv_err *err)
{
    int rc;

    for (size_t i = 0; i < t->n; i++) {
        if (t->header && (rc = unquote(&t->fields[i], r->own, err)))
            return rc;
        t->names[i] = t->header ? cpv_row_text(r, r->own, t->fields[i], true)
                                : cpv_arena_printf(r->own, "column_%zu", i + 1);
        if (!t->names[i])
            return cpv_fail_memory(err);
    }
    return CPV_OK;
}

/* The first line that can be taken apart says how many columns there are. */
static int look_at_columns(cpv_rows *r, struct table *t, struct cpv_err *err)
{
    uint64_t begin = r->lines.base + r->lines.at;
    struct cpv_record first = {0};
    struct cpv_bytes record;
    int rc;

    do {
        if ((rc = cpv_lines_next(&r->lines, &first, err)) < 0)
            return rc;
    } while (rc == 1 && first.flaw);
    if (rc == 0) {
        if (any_named(&r->p) && r->p.header != CPV_ROWS_HEADER_NO)
            return cpv_fail(err, CPV_E_INPUT, "'%s': %s; expected a header line",
                            r->p.path, first.flaw ? "no line is readable" : "empty");
        t->n = 0; /* no rows, or bad ones only */
        return cpv_lines_seek(&r->lines, begin, 1, err);
    }
    record = cpv_bytes_of(first.data, first.size);
    t->n = split(t, record, NULL, 0);
    t->fields = cpv_arena_calloc(r->own, t->n, sizeof *t->fields);
    t->names = cpv_arena_calloc(r->own, t->n + 1, sizeof *t->names);
    if (!t->fields || !t->names)
        return cpv_fail_memory(err);
    (void)split(t, record, t->fields, t->n);
    t->header = has_header(&r->p, t);
    if (t->header && first.offset != begin)
        return cpv_fail(err, CPV_E_INPUT, "'%s' line 1: unreadable; expected a header",
                        r->p.path);
    if ((rc = name_columns(r, t, err)) || (rc = resolve_all(r, t, err)))
        return rc;
    return t->header ? CPV_OK : cpv_lines_seek(&r->lines, begin, 1, err);
}

/* One column and no header: a URL in each line, or a path. */
static int open_txt(cpv_rows *r, struct table *t, struct cpv_err *err)
{
    t->n = 1;
    t->fields = cpv_arena_calloc(r->own, 1, sizeof *t->fields);
    t->url = r->p.url ? 1 : 0;
    t->file = r->p.url ? 0 : 1;
    r->p.hash_column = NULL;
    r->p.file = r->p.url ? NULL : r->p.file;
    r->lines.skip_blank = true;
    return t->fields ? CPV_OK : cpv_fail_memory(err);
}

static int open_table(cpv_rows *r, struct cpv_err *err)
{
    struct table *t = cpv_arena_calloc(r->own, 1, sizeof *t);

    if (!t)
        return cpv_fail_memory(err);
    r->state = t;
    if (r->format == CPV_ROWS_TXT)
        return open_txt(r, t, err);
    t->csv = r->lines.csv = r->format == CPV_ROWS_CSV;
    t->delimiter = t->csv ? ',' : '\t';
    return look_at_columns(r, t, err);
}

/* ---- rows ---- */

static int take_extra(cpv_rows *r, const struct table *t, cpv_arena *mem,
                      struct cpv_row *out, struct cpv_err *err)
{
    struct cpv_row_extra *e = cpv_arena_calloc(mem, t->n_extra, sizeof *e);

    if (!e)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < t->n_extra; i++) {
        e[i].name = t->names[t->extra[i] - 1];
        e[i].value = cpv_row_kept(r, mem, t->fields[t->extra[i] - 1]);
        if (!e[i].value)
            return cpv_fail_memory(err);
    }
    out->extra = e;
    out->n_extra = t->n_extra;
    return CPV_OK;
}

static struct cpv_bytes field(const struct table *t, size_t column)
{
    return column ? t->fields[column - 1] : cpv_bytes_of(NULL, 0);
}

static int next_row(cpv_rows *r, cpv_arena *mem, struct cpv_row *out, struct cpv_err *err)
{
    struct table *t = r->state;
    struct cpv_record record;
    struct cpv_row_parts parts;
    size_t n;
    int rc = cpv_lines_next(&r->lines, &record, err);

    if (rc != 1)
        return rc;
    out->line = record.line;
    if (record.flaw)
        return (rc = cpv_row_flaw(r, mem, &record, out, err)) ? rc : 1;
    n = split(t, cpv_bytes_of(record.data, record.size), t->fields, t->n);
    if (n != t->n) {
        rc = cpv_row_bad(mem, out, err, "expected %zu column%s, found %zu", t->n,
                         t->n == 1 ? "" : "s", n);
        return rc ? rc : 1;
    }
    for (size_t i = 0; t->csv && i < n; i++)
        if ((rc = unquote(&t->fields[i], mem, err)))
            return rc;
    for (size_t i = 0; i < t->n_captions; i++)
        t->texts[i] = field(t, t->captions[i]);
    parts = (struct cpv_row_parts){field(t, t->url), field(t, t->file), field(t, t->hash),
                                   t->texts, t->n_captions};
    if ((rc = cpv_row_finish(r, mem, &parts, out, err)))
        return rc;
    if (!out->bad && t->n_extra && (rc = take_extra(r, t, mem, out, err)))
        return rc;
    return 1;
}

const struct cpv_rows_ops cpv_rows_table = {
    .text = true, .open = open_table, .next = next_row, .torn = torn};
