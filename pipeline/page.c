/* SPDX-License-Identifier: Apache-2.0 */
/* See page.h. */
#include "pipeline/page.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/base/utf8.h"

enum { FULL = 1 << 16 };

struct cpv_page {
    cpv_draft *draft; /* NULL: standard output */
    struct cpv_buf buf;
    uint64_t bytes; /* written, without what is in buf */
    bool stuck;     /* standard output takes no more */
};

/* ---- text ---- */

static const char *reference_for(uint32_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static bool is_forbidden(uint32_t c)
{
    if (c < 0x20)
        return c != '\t' && c != '\n';
    return (c >= 0x7F && c <= 0x9F) || (c >= 0xFDD0 && c <= 0xFDEF) ||
           (c & 0xFFFE) == 0xFFFE;
}

void cpv_page_escape(struct cpv_buf *to, struct cpv_bytes text)
{
    for (size_t i = 0; i < text.size;) {
        const uint8_t *p = text.data + i;
        uint32_t c = 0;
        int n = cpv_utf8_get(p, text.size - i, &c);
        const char *reference = n > 0 ? reference_for(c) : NULL;

        if (reference)
            cpv_buf_str(to, reference);
        else if (n < 0 || is_forbidden(c))
            cpv_buf_str(to, "\xEF\xBF\xBD");
        else
            cpv_buf_add(to, p, (size_t)n);
        i += (size_t)(n < 0 ? -n : n);
    }
}

void cpv_page_encode64(struct cpv_buf *to, struct cpv_bytes data)
{
    static const char DIGIT[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < data.size; i += 3) {
        size_t left = data.size - i;
        uint32_t v = (uint32_t)data.data[i] << 16;
        char four[4];

        if (left > 1)
            v |= (uint32_t)data.data[i + 1] << 8;
        if (left > 2)
            v |= data.data[i + 2];
        four[0] = DIGIT[v >> 18];
        four[1] = DIGIT[v >> 12 & 63];
        four[2] = left > 1 ? DIGIT[v >> 6 & 63] : '=';
        four[3] = left > 2 ? DIGIT[v & 63] : '=';
        cpv_buf_add(to, four, sizeof four);
    }
}

/* ---- the page ---- */

int cpv_page_create(cpv_page **out, const char *path, struct cpv_err *err)
{
    cpv_page *p = NULL;
    struct stat st;
    int rc = CPV_OK;

    *out = NULL;
    if (strcmp(path, "-") != 0 && cpv_sys.stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return cpv_fail(err, CPV_E_USAGE,
                        "'%s' is there and no regular file; '-' is standard output",
                        path);
    p = cpv_calloc(1, sizeof *p);
    if (!p)
        return cpv_fail_memory(err);
    if (strcmp(path, "-") != 0)
        rc = cpv_draft_open(&p->draft, path, err);
    if (rc) {
        cpv_page_discard(&p);
        return rc;
    }
    *out = p;
    return CPV_OK;
}

static void flush(cpv_page *p)
{
    struct cpv_buf *b = &p->buf;

    if (b->failed)
        return;
    if (p->draft)
        cpv_draft_write(p->draft, b->data, b->size);
    else if (!p->stuck && b->size)
        p->stuck = fwrite(b->data, 1, b->size, stdout) != b->size;
    p->bytes += b->size;
    cpv_buf_clear(b);
}

static void flush_if_full(cpv_page *p)
{
    if (p->buf.size >= FULL)
        flush(p);
}

void cpv_page_raw(cpv_page *p, const char *html)
{
    cpv_buf_str(&p->buf, html);
    flush_if_full(p);
}

void cpv_page_printf(cpv_page *p, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    cpv_page_raw(p, text);
}

void cpv_page_text(cpv_page *p, struct cpv_bytes text)
{
    cpv_page_escape(&p->buf, text);
    flush_if_full(p);
}

void cpv_page_str(cpv_page *p, const char *text)
{
    cpv_page_text(p, cpv_bytes_str(text));
}

void cpv_page_base64(cpv_page *p, struct cpv_bytes data)
{
    cpv_page_encode64(&p->buf, data);
    flush_if_full(p);
}

int cpv_page_commit(cpv_page **pp, uint64_t *bytes, struct cpv_err *err)
{
    cpv_page *p = *pp;
    int rc = CPV_OK;

    flush(p);
    if (bytes)
        *bytes = p->bytes;
    if (p->buf.failed)
        rc = cpv_fail_memory(err);
    else if (p->draft)
        rc = cpv_draft_replace(&p->draft, err);
    else if (p->stuck || fflush(stdout) != 0)
        rc = cpv_fail(err, CPV_E_IO, "cannot write to standard output");
    cpv_page_discard(pp);
    return rc;
}

void cpv_page_discard(cpv_page **pp)
{
    cpv_page *p = *pp;

    *pp = NULL;
    if (!p)
        return;
    cpv_draft_discard(&p->draft);
    cpv_buf_release(&p->buf);
    cpv_free(p);
}
