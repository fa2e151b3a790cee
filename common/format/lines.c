/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See lines.h. A window of the stream in one buffer; a record is handed out where
 * it stands. Hashing waits for runs of records that are hashed as they stand, so
 * that SHA-256 is fed megabytes, not lines.
 */
#include "common/format/lines.h"

#include "common/base/size.h"
#include "common/base/sys.h"

enum { STEP = 1 << 20 }; /* what a read asks for, at least */

/* ---- digest ---- */

static void flush_run(struct cpv_lines *l)
{
    if (l->run_end > l->run)
        cpv_sha256_add(l->digest, l->run, (size_t)(l->run_end - l->run));
    l->run = l->run_end = NULL;
}

/* data[size] is LF where `lf` says so. */
static void hash_record(struct cpv_lines *l, const uint8_t *data, size_t size, bool lf)
{
    if (!l->digest)
        return;
    if (l->run_end != data)
        flush_run(l);
    if (!l->run)
        l->run = data;
    l->run_end = data + size + (lf ? 1 : 0);
    if (!lf) {
        flush_run(l);
        cpv_sha256_add(l->digest, "\n", 1);
    }
}

void cpv_lines_digest(struct cpv_lines *l, uint8_t out[CPV_SHA256_SIZE])
{
    flush_run(l);
    cpv_sha256_take(l->digest, out);
}

/* ---- window ---- */

/* As much as fits behind what is left, which moves to the front. */
static int refill(struct cpv_lines *l, struct cpv_err *err)
{
    ssize_t got;

    flush_run(l);
    if (l->at) {
        memmove(l->buf, l->buf + l->at, l->end - l->at);
        l->base += l->at;
        l->end -= l->at;
        l->at = 0;
    }
    got = cpv_stream_read(l->stream, l->buf + l->end, l->capacity - l->end, err);
    if (got < 0)
        return (int)got;
    l->end += (size_t)got;
    l->eof = got == 0;
    return CPV_OK;
}

/* Enough to see the end of any record that is not too long: max_line, CR, LF. */
static int fill(struct cpv_lines *l, struct cpv_err *err)
{
    int rc = CPV_OK;

    while (!rc && !l->eof && l->end - l->at < l->max_line + 2)
        rc = refill(l, err);
    return rc;
}

int cpv_lines_open(struct cpv_lines *l, const char *path, size_t max_line,
                   struct cpv_err *err)
{
    int rc;

    *l = (struct cpv_lines){.path = path, .max_line = max_line, .line = 1};
    if (!cpv_size_add(max_line, 2 + STEP, &l->capacity))
        return cpv_fail(err, CPV_E_USAGE, "lines of %zu bytes are too long", max_line);
    if ((rc = cpv_stream_open(&l->stream, path, err)))
        return rc;
    if (!(l->buf = cpv_alloc(l->capacity)))
        rc = cpv_fail_memory(err);
    else if (!(rc = fill(l, err)) && l->end >= 3 && !memcmp(l->buf, "\xEF\xBB\xBF", 3))
        l->at = 3;
    if (rc)
        cpv_lines_close(l);
    return rc;
}

int cpv_lines_seek(struct cpv_lines *l, uint64_t offset, uint64_t line,
                   struct cpv_err *err)
{
    int rc;

    flush_run(l);
    l->line = line;
    if (offset >= l->base && offset - l->base <= l->end) {
        l->at = (size_t)(offset - l->base);
        return CPV_OK;
    }
    if ((rc = cpv_stream_seek(l->stream, offset, err)))
        return rc;
    l->base = offset;
    l->at = l->end = 0;
    l->eof = false;
    return CPV_OK;
}

void cpv_lines_close(struct cpv_lines *l)
{
    cpv_stream_close(&l->stream);
    cpv_free(l->buf);
    *l = (struct cpv_lines){0};
}

/* ---- cutting ---- */

/* Bytes without a CR at their end. */
static size_t without_cr(const uint8_t *p, size_t n)
{
    return n && p[n - 1] == '\r' ? n - 1 : n;
}

static bool blank(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
            return false;
    return true;
}

/*
 * A CSV record in data[0, n): the index of the LF behind it, or n where it goes on
 * to the end of the data. *flaw says OPEN or QUOTE; *breaks counts line ends
 * inside quotes. Strict, so that quotation marks alternate: a line read again after
 * a flaw cannot open what was open, and reading stays linear in the worst case.
 */
static size_t csv_end(const uint8_t *data, size_t n, cpv_record_flaw *flaw,
                      uint64_t *breaks)
{
    size_t i = 0;

    *flaw = CPV_RECORD_FINE;
    *breaks = 0;
    for (;;) { /* at the beginning of a field */
        if (i < n && data[i] == '"') {
            bool closed = false;

            for (i++; i < n && !closed; i++) {
                *breaks += data[i] == '\n';
                if (data[i] != '"')
                    continue;
                if (i + 1 < n && data[i + 1] == '"')
                    i++;
                else
                    closed = true;
            }
            if (!closed) {
                *flaw = CPV_RECORD_OPEN;
                return n;
            }
            if (i + 1 < n && data[i] == '\r' && data[i + 1] == '\n')
                i++;
            else if (i + 1 == n && data[i] == '\r')
                return n;
        } else {
            while (i < n && data[i] != ',' && data[i] != '\n' && data[i] != '"')
                i++;
        }
        if (i < n && data[i] != ',' && data[i] != '\n') {
            *flaw = CPV_RECORD_QUOTE;
            return i;
        }
        if (i >= n || data[i] == '\n')
            return i;
        i++;
    }
}

/* The rest of a line that is longer than the window, up to and with its LF. */
static int skip_long(struct cpv_lines *l, struct cpv_err *err)
{
    for (;;) {
        const uint8_t *p = l->buf + l->at;
        size_t n = l->end - l->at, take;
        const uint8_t *lf = n ? memchr(p, '\n', n) : NULL;
        int rc;

        if (lf || l->eof) {
            take = lf ? (size_t)(lf - p) : n;
            if (l->digest) {
                cpv_sha256_add(l->digest, p, without_cr(p, take));
                cpv_sha256_add(l->digest, "\n", 1);
            }
            l->at += take + (lf ? 1 : 0);
            return CPV_OK;
        }
        take = n ? n - 1 : 0; /* the last byte may be the CR of the line's end */
        if (l->digest && take)
            cpv_sha256_add(l->digest, p, take);
        l->at += take;
        if ((rc = refill(l, err)))
            return rc;
    }
}

/* Find the end of the record at `at`: `size` without terminator, `lf` or not. */
static int cut(struct cpv_lines *l, struct cpv_record *r, size_t *step, bool *lf,
               uint64_t *breaks, struct cpv_err *err)
{
    const uint8_t *p = l->buf + l->at, *nl;
    size_t n = l->end - l->at, i;
    int rc;

    nl = n ? memchr(p, '\n', n) : NULL;
    if (!nl || (l->csv && memchr(p, '"', (size_t)(nl - p)))) {
        if ((rc = fill(l, err)))
            return rc;
        p = l->buf + l->at;
        n = l->end - l->at;
        nl = n ? memchr(p, '\n', n) : NULL;
    }
    i = nl ? (size_t)(nl - p) : n;
    r->flaw = CPV_RECORD_FINE;
    *breaks = 0;
    if (l->csv && memchr(p, '"', i)) {
        size_t reach = n < l->max_line + 2 ? n : l->max_line + 2;
        size_t end = csv_end(p, reach, &r->flaw, breaks);

        if (!r->flaw && without_cr(p, end) > l->max_line && end > i)
            r->flaw = CPV_RECORD_OPEN;
        if (!r->flaw)
            i = end;
        else
            *breaks = 0;
    }
    *lf = i < n;
    *step = i + (*lf ? 1 : 0);
    r->data = p;
    r->size = without_cr(p, i);
    if (r->size > l->max_line)
        r->flaw = CPV_RECORD_LONG;
    else if (!r->flaw && memchr(p, 0, r->size))
        r->flaw = CPV_RECORD_NUL;
    return CPV_OK;
}

int cpv_lines_next(struct cpv_lines *l, struct cpv_record *out, struct cpv_err *err)
{
    for (;;) {
        size_t step;
        uint64_t breaks;
        bool lf;
        int rc;

        if (l->at == l->end && !l->eof && (rc = refill(l, err)))
            return rc;
        if (l->at == l->end && l->eof)
            return 0;
        if ((rc = cut(l, out, &step, &lf, &breaks, err)))
            return rc;
        out->offset = l->base + l->at;
        out->line = l->line;
        l->line += 1 + breaks;
        if (out->flaw == CPV_RECORD_LONG) {
            flush_run(l);
            out->size = 0; /* the window moves on */
            return (rc = skip_long(l, err)) ? rc : 1;
        }
        l->at += step;
        if (l->skip_blank && blank(out->data, out->size))
            continue;
        hash_record(l, out->data, out->size, lf && out->size + 1 == step);
        return 1;
    }
}
