/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See rows.h. What all formats have in common: which one it is, numbers, cleaning
 * of texts, the checks that make a row bad, and parts.
 */
#include "common/format/rows.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/json.h"
#include "common/format/rows_internal.h"

enum { MAX_LINE = 1 << 20, MAX_LINE_MAX = 256 << 20 };

/* ---- formats ---- */

static const char *const format_names[CPV_ROWS_FORMATS + 1] = {
    "auto",   "tsv",        "csv",  "txt",   "jsonl", "coco",
    "folder", "webdataset", "cc3m", "cc12m", NULL};

const char *cpv_rows_format_name(cpv_rows_format f)
{
    return (unsigned)f < CPV_ROWS_FORMATS ? format_names[f] : NULL;
}

bool cpv_rows_format_parse(const char *name, cpv_rows_format *out)
{
    for (unsigned i = 0; i < CPV_ROWS_FORMATS; i++)
        if (!strcmp(name, format_names[i])) {
            *out = (cpv_rows_format)i;
            return true;
        }
    return false;
}

static bool ends_with(struct cpv_bytes s, const char *end)
{
    size_t n = strlen(end);

    return s.size >= n && !memcmp(s.data + s.size - n, end, n);
}

static struct cpv_bytes without(struct cpv_bytes s, const char *end)
{
    if (ends_with(s, end))
        s.size -= strlen(end);
    return s;
}

/* *sys: errno if it could not be looked at, which names may do without. */
static cpv_rows_format guess(const char *path, int *sys)
{
    static const struct {
        const char *end;
        cpv_rows_format format;
    } known[] = {{".tsv", CPV_ROWS_TSV},       {".csv", CPV_ROWS_CSV},
                 {".txt", CPV_ROWS_TXT},       {".jsonl", CPV_ROWS_JSONL},
                 {".ndjson", CPV_ROWS_JSONL},  {".json", CPV_ROWS_COCO},
                 {".tar", CPV_ROWS_WEBDATASET}};
    struct cpv_bytes name = cpv_bytes_str(path);
    struct stat st;

    *sys = cpv_sys.stat(path, &st) < 0 ? errno : 0;
    if (!*sys && S_ISDIR(st.st_mode))
        return CPV_ROWS_FOLDER;
    if (ends_with(name, ".tgz"))
        return CPV_ROWS_WEBDATASET;
    name = without(without(name, ".gz"), ".zst");
    for (size_t i = 0; i < CPV_COUNT(known); i++)
        if (ends_with(name, known[i].end))
            return known[i].format;
    return CPV_ROWS_AUTO;
}

cpv_rows_format cpv_rows_guess(const char *path)
{
    int sys;

    return guess(path, &sys);
}

bool cpv_rows_listed(const struct cpv_texts *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->at[i], word))
            return true;
    return false;
}

size_t cpv_rows_number(const char *column)
{
    size_t n = 0;

    for (const char *p = column; *p; p++) {
        if (*p < '0' || *p > '9' || p - column > 5)
            return 0;
        n = n * 10 + (size_t)(*p - '0');
    }
    return n;
}

/* ---- texts ---- */

/* The length of the white space (Unicode's White_Space, and NUL, which a C string
 * cannot hold) at p[0, n), or 0. */
static size_t space_at(const uint8_t *p, size_t n)
{
    if (p[0] == ' ' || p[0] == 0 || (p[0] >= '\t' && p[0] <= '\r'))
        return 1;
    if (n >= 2 && p[0] == 0xC2 && (p[1] == 0x85 || p[1] == 0xA0))
        return 2;
    if (n < 3 || p[0] < 0xE1 || p[0] > 0xE3)
        return 0;
    if (!memcmp(p, "\xE1\x9A\x80", 3) || !memcmp(p, "\xE3\x80\x80", 3) ||
        !memcmp(p, "\xE2\x81\x9F", 3))
        return 3;
    if (p[0] == 0xE2 && p[1] == 0x80 &&
        ((p[2] >= 0x80 && p[2] <= 0x8A) || p[2] == 0xA8 || p[2] == 0xA9 || p[2] == 0xAF))
        return 3;
    return 0;
}

const char *cpv_row_text(cpv_rows *r, cpv_arena *mem, struct cpv_bytes s, bool one_line)
{
    size_t end = 0; /* of what has been kept, without white space behind it */
    size_t i = 0, begin;
    char *text;

    cpv_buf_clear(&r->scratch);
    (void)cpv_utf8_clean(&r->scratch, s);
    if (r->scratch.failed || !(text = cpv_arena_str(mem, cpv_buf_view(&r->scratch))))
        return NULL;
    s = cpv_buf_view(&r->scratch);
    while (i < s.size) {
        begin = i;
        while (i < s.size && space_at(s.data + i, s.size - i))
            i += space_at(s.data + i, s.size - i);
        if (i == s.size)
            break;
        if (i > begin && end) {
            if (one_line) {
                text[end++] = ' ';
            } else {
                memcpy(text + end, s.data + begin, i - begin);
                end += i - begin;
            }
        }
        while (i < s.size && !space_at(s.data + i, s.size - i))
            text[end++] = (char)s.data[i++];
    }
    text[end] = '\0';
    return text;
}

const char *cpv_row_kept(cpv_rows *r, cpv_arena *mem, struct cpv_bytes s)
{
    cpv_buf_clear(&r->scratch);
    (void)cpv_utf8_clean(&r->scratch, s);
    return r->scratch.failed ? NULL : cpv_arena_str(mem, cpv_buf_view(&r->scratch));
}

int cpv_row_bad(cpv_arena *mem, struct cpv_row *out, struct cpv_err *err, const char *fmt,
                ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    *out = (struct cpv_row){.line = out->line};
    out->bad = out->line ? cpv_arena_printf(mem, "line %llu: %s",
                                            (unsigned long long)out->line, text)
                         : cpv_arena_str(mem, cpv_bytes_str(text));
    return out->bad ? CPV_OK : cpv_fail_memory(err);
}

int cpv_row_flaw(const cpv_rows *r, cpv_arena *mem, const struct cpv_record *record,
                 struct cpv_row *out, struct cpv_err *err)
{
    switch (record->flaw) {
    case CPV_RECORD_LONG:
        return cpv_row_bad(mem, out, err, "longer than %zu bytes", r->p.max_line);
    case CPV_RECORD_NUL:
        return cpv_row_bad(mem, out, err, "a NUL byte in it");
    case CPV_RECORD_OPEN:
        return cpv_row_bad(mem, out, err,
                           "a quotation mark that is not closed within %zu bytes",
                           r->p.max_line);
    case CPV_RECORD_QUOTE:
        return cpv_row_bad(mem, out, err, "a quotation mark inside a field");
    case CPV_RECORD_FINE:
        break;
    }
    return CPV_OK;
}

int cpv_row_captions(cpv_rows *r, cpv_arena *mem, const struct cpv_bytes *s, size_t n,
                     struct cpv_row *out, struct cpv_err *err)
{
    const char **at = n ? cpv_arena_calloc(mem, n, sizeof *at) : NULL;

    if (n && !at)
        return cpv_fail_memory(err);
    out->captions = (struct cpv_texts){at, 0};
    for (size_t i = 0; i < n; i++) {
        const char *text;

        if (!s[i].size)
            continue;
        if (!(text = cpv_row_text(r, mem, s[i], true)))
            return cpv_fail_memory(err);
        if (*text)
            at[out->captions.count++] = text;
    }
    return CPV_OK;
}

/* Inside `root`, as far as the name can tell: relative, and never upwards. */
static bool stays_below(const char *path)
{
    if (*path == '/')
        return false;
    for (const char *p = path; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2]))
            return false;
    }
    return true;
}

static struct cpv_bytes trim(struct cpv_bytes s)
{
    while (s.size && space_at(s.data, s.size) == 1) {
        s.data++;
        s.size--;
    }
    while (s.size && space_at(s.data + s.size - 1, 1))
        s.size--;
    return s;
}

static bool has_nul(struct cpv_bytes s)
{
    return s.size && memchr(s.data, 0, s.size);
}

/* Lower-case digits in out->hash, or a bad row. */
static int take_hash(cpv_rows *r, cpv_arena *mem, struct cpv_bytes s, struct cpv_row *out,
                     struct cpv_err *err)
{
    size_t n = r->p.hash_kind == CPV_ROWS_HASH_MD5 ? 16 : CPV_SHA256_SIZE;
    uint8_t raw[CPV_SHA256_SIZE];
    char *text;

    if (!cpv_unhex(raw, n, trim(s)))
        return cpv_row_bad(mem, out, err, "expected a hash of %zu hexadecimal digits",
                           2 * n);
    if (!(text = cpv_arena_alloc(mem, 2 * n + 1)))
        return cpv_fail_memory(err);
    cpv_hex(text, raw, n);
    out->hash = text;
    return CPV_OK;
}

int cpv_row_finish(cpv_rows *r, cpv_arena *mem, const struct cpv_row_parts *parts,
                   struct cpv_row *out, struct cpv_err *err)
{
    struct cpv_bytes file = trim(parts->file);
    int rc;

    if (has_nul(parts->url) || has_nul(parts->file))
        return cpv_row_bad(mem, out, err, "a NUL byte in the %s",
                           has_nul(parts->url) ? "url" : "file name");
    if (parts->url.size && !(out->url = cpv_row_text(r, mem, parts->url, false)))
        return cpv_fail_memory(err);
    if (out->url && !*out->url)
        out->url = NULL;
    if (file.size && !(out->file = cpv_arena_str(mem, file)))
        return cpv_fail_memory(err);
    if (out->file && !stays_below(out->file))
        return cpv_row_bad(mem, out, err, "'%.200s': not a path below the root",
                           cpv_row_text(r, mem, cpv_bytes_str(out->file), true));
    if (!out->url && !out->file)
        return cpv_row_bad(mem, out, err,
                           r->p.file && r->p.url ? "neither url nor file"
                           : r->p.file           ? "no file"
                                                 : "no url");
    if (r->p.hash_column && (rc = take_hash(r, mem, parts->hash, out, err)))
        return rc;
    if (out->bad)
        return CPV_OK;
    return cpv_row_captions(r, mem, parts->captions, parts->n_captions, out, err);
}

/* ---- digest of rows that have no bytes of their own ---- */

static void digest_text(cpv_sha256 *sha, const char *s)
{
    uint8_t head[9] = {s != NULL};
    size_t n = s ? strlen(s) : 0;

    for (int i = 0; i < 8; i++)
        head[1 + i] = (uint8_t)((uint64_t)n >> (8 * i));
    cpv_sha256_add(sha, head, sizeof head);
    cpv_sha256_add(sha, s ? s : "", n);
}

static void digest_count(cpv_sha256 *sha, size_t n)
{
    uint8_t raw[8];

    for (int i = 0; i < 8; i++)
        raw[i] = (uint8_t)((uint64_t)n >> (8 * i));
    cpv_sha256_add(sha, raw, sizeof raw);
}

void cpv_row_digest(cpv_sha256 *sha, const struct cpv_row *row)
{
    digest_text(sha, row->bad);
    digest_text(sha, row->url);
    digest_text(sha, row->file);
    digest_text(sha, row->hash);
    digest_count(sha, row->captions.count);
    for (size_t i = 0; i < row->captions.count; i++)
        digest_text(sha, row->captions.at[i]);
    digest_count(sha, row->n_extra);
    for (size_t i = 0; i < row->n_extra; i++) {
        digest_text(sha, row->extra[i].name);
        digest_text(sha, row->extra[i].value);
        digest_count(sha, row->extra[i].json);
    }
}

/* ---- the reader ---- */

static const struct cpv_rows_ops *ops_of(cpv_rows_format f)
{
    switch (f) {
    case CPV_ROWS_TSV:
    case CPV_ROWS_CSV:
    case CPV_ROWS_TXT:
        return &cpv_rows_table;
    case CPV_ROWS_JSONL:
        return &cpv_rows_jsonl;
    case CPV_ROWS_COCO:
        return &cpv_rows_coco;
    case CPV_ROWS_FOLDER:
        return &cpv_rows_folder;
    default:
        return NULL;
    }
}

/* The presets and AUTO become plain formats with columns. */
static int settle(cpv_rows *r, struct cpv_err *err)
{
    static const char *const first[] = {"1"}, *const second[] = {"2"};
    struct cpv_rows_params *p = &r->p;
    int sys = 0;

    r->format = p->format ? p->format : guess(p->path, &sys);
    if (r->format == CPV_ROWS_CC3M || r->format == CPV_ROWS_CC12M) {
        bool caption_first = r->format == CPV_ROWS_CC3M;

        p->url = caption_first ? "2" : "1";
        p->file = NULL;
        p->hash_column = NULL;
        p->captions = (struct cpv_texts){caption_first ? first : second, 1};
        p->extra = (struct cpv_texts){NULL, 0};
        p->header = CPV_ROWS_HEADER_NO;
        r->format = CPV_ROWS_TSV;
    }
    if (!p->url && !p->file)
        p->url = "url";
    if (!p->max_line)
        p->max_line = MAX_LINE;
    if (p->max_line > MAX_LINE_MAX)
        return cpv_fail(err, CPV_E_USAGE, "'%s': lines of more than %d bytes", p->path,
                        MAX_LINE_MAX);
    if (sys && (r->format == CPV_ROWS_AUTO || (sys != ENOENT && sys != ENOTDIR)))
        return cpv_fail_sys(err, sys, "cannot look at '%s'", p->path);
    if (r->format == CPV_ROWS_AUTO)
        return cpv_fail(err, CPV_E_USAGE,
                        "'%s': its name does not tell the format; expected one of tsv, "
                        "csv, txt, jsonl, coco, folder, webdataset, cc3m, cc12m",
                        p->path);
    if (!(r->ops = ops_of(r->format)))
        return cpv_fail(err, CPV_E_USAGE, "'%s': %s is not a list of rows", p->path,
                        cpv_rows_format_name(r->format));
    return CPV_OK;
}

int cpv_rows_prepare(cpv_rows **out, const struct cpv_rows_params *params,
                     struct cpv_err *err)
{
    cpv_rows *r = cpv_calloc(1, sizeof *r);
    int rc;

    *out = NULL;
    if (!r)
        return cpv_fail_memory(err);
    r->p = *params;
    r->end = UINT64_MAX;
    if (!(rc = settle(r, err)) && !(rc = cpv_arena_open(&r->own, 0, err)))
        rc = r->ops->text ? cpv_lines_open(&r->lines, r->p.path, r->p.max_line, err)
                          : CPV_OK;
    if (!rc)
        rc = r->ops->open(r, err);
    if (rc)
        cpv_rows_close(&r);
    *out = r;
    return rc;
}

int cpv_rows_open(cpv_rows **out, const struct cpv_rows_params *params,
                  struct cpv_err *err)
{
    return cpv_rows_prepare(out, params, err);
}

/* The last row of a part has been read: is it what was planned? */
static int check_part(cpv_rows *r, struct cpv_err *err)
{
    uint8_t found[CPV_SHA256_SIZE];

    if (!r->sha)
        return CPV_OK;
    if (r->ops->text)
        cpv_lines_digest(&r->lines, found);
    else
        cpv_sha256_take(r->sha, found);
    r->lines.digest = NULL;
    cpv_sha256_close(&r->sha);
    if (memcmp(found, r->expected, sizeof found) != 0)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': rows before row %llu have changed since "
                        "the input was planned",
                        r->p.path, (unsigned long long)r->end);
    return CPV_OK;
}

int cpv_rows_next(cpv_rows *r, cpv_arena *mem, struct cpv_row *out, struct cpv_err *err)
{
    int rc;

    *out = (struct cpv_row){0};
    if (r->number >= r->end)
        return check_part(r, err);
    rc = r->ops->next(r, mem, out, err);
    if (rc == 0 && r->end != UINT64_MAX)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': ends before row %llu, so it has changed "
                        "since it was planned",
                        r->p.path, (unsigned long long)r->end);
    if (rc != 1)
        return rc;
    if (r->sha && !r->ops->text)
        cpv_row_digest(r->sha, out);
    out->number = r->number++;
    return 1;
}

void cpv_rows_close(cpv_rows **r)
{
    if (!*r)
        return;
    if ((*r)->ops && (*r)->ops->close && (*r)->state)
        (*r)->ops->close(*r);
    cpv_lines_close(&(*r)->lines);
    cpv_sha256_close(&(*r)->sha);
    cpv_buf_release(&(*r)->scratch);
    cpv_arena_close(&(*r)->own);
    cpv_free(*r);
    *r = NULL;
}

cpv_rows_format cpv_rows_kind(const cpv_rows *r)
{
    return r->format;
}

/* ---- parts ---- */

int cpv_rows_open_part(cpv_rows **out, const struct cpv_rows_params *params,
                       const struct cpv_plan *plan, uint32_t part, struct cpv_err *err)
{
    int rc = cpv_rows_prepare(out, params, err);

    if (!rc && (rc = cpv_rows_move_part(*out, plan, part, err)))
        cpv_rows_close(out);
    return rc;
}

int cpv_rows_move_part(cpv_rows *r, const struct cpv_plan *plan, uint32_t part,
                       struct cpv_err *err)
{
    const struct cpv_plan_part *p;
    int rc;

    if (part >= plan->n_parts)
        return cpv_fail(err, CPV_E_USAGE, "'%s': no part %u, there are %u", r->p.path,
                        part, plan->n_parts);
    p = &plan->parts[part];
    r->lines.digest = NULL;
    cpv_sha256_close(&r->sha);
    if (r->ops->text && (rc = cpv_lines_seek(&r->lines, p->offset, p->line, err)))
        return rc;
    if ((rc = cpv_sha256_open(&r->sha, err)))
        return rc;
    if (r->ops->text)
        r->lines.digest = r->sha;
    memcpy(r->expected, p->sha256, sizeof r->expected);
    r->number = p->row_begin;
    r->end = p->row_end;
    return CPV_OK;
}
