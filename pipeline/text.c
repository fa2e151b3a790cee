/* SPDX-License-Identifier: Apache-2.0 */
/* See text.h. */
#include "pipeline/text.h"

#include <stdarg.h>
#include <string.h>

#include "common/base/size.h"
#include "common/base/sys.h"

void cpv_text_bytes(char *out, size_t size, uint64_t bytes)
{
    static const char *const UNIT[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)bytes;
    size_t u = 0;

    while (v >= 1023.5 && u + 1 < CPV_COUNT(UNIT)) {
        v /= 1024;
        u++;
    }
    (void)snprintf(out, size, u && v < 99.95 ? "%.1f %s" : "%.0f %s", v, UNIT[u]);
}

void cpv_text_count(char *out, size_t size, uint64_t n)
{
    char plain[24];
    size_t len = (size_t)snprintf(plain, sizeof plain, "%llu", (unsigned long long)n);
    size_t k = 0;

    for (size_t i = 0; i < len && k + 2 < size; i++) {
        if (i && (len - i) % 3 == 0)
            out[k++] = ',';
        out[k++] = plain[i];
    }
    out[k] = '\0';
}

void cpv_text_time(char *out, size_t size, double seconds)
{
    long long s = seconds < 0 ? 0 : (long long)(seconds + 0.5);

    if (s < 60)
        (void)snprintf(out, size, "%lld s", s);
    else if (s < 3600)
        (void)snprintf(out, size, "%lld min %lld s", s / 60, s % 60);
    else if (s < 48 * 3600)
        (void)snprintf(out, size, "%lld h %lld min", s / 3600, s % 3600 / 60);
    else
        (void)snprintf(out, size, "%lld d %lld h", s / 86400, s % 86400 / 3600);
}

/* ---- tables ---- */

static bool grow(struct cpv_table *t)
{
    size_t wanted = t->capacity ? t->capacity * 2 : 64, bytes;
    char(*more)[CPV_TABLE_CELL];

    if (!cpv_size_mul(wanted, sizeof *more, &bytes))
        return false;
    more = cpv_realloc(t->cells, bytes);
    if (!more)
        return false;
    t->cells = more;
    t->capacity = wanted;
    return true;
}

void cpv_table_add(struct cpv_table *t, const char *fmt, ...)
{
    va_list args;

    t->failed = t->failed || (t->n == t->capacity && !grow(t));
    if (t->failed)
        return;
    va_start(args, fmt);
    (void)vsnprintf(t->cells[t->n++], CPV_TABLE_CELL, fmt, args);
    va_end(args);
}

static void measure(const struct cpv_table *t, int width[CPV_TABLE_COLUMNS])
{
    for (size_t i = 0; i < t->n; i++) {
        int n = (int)strlen(t->cells[i]), *w = &width[i % t->columns];

        *w = n > *w ? n : *w;
    }
}

int cpv_table_print(struct cpv_table *t, bool bold, FILE *to, struct cpv_err *err)
{
    int width[CPV_TABLE_COLUMNS] = {0}, rc = t->failed ? cpv_fail_memory(err) : CPV_OK;

    measure(t, width);
    for (size_t i = 0; !rc && i < t->n; i++) {
        size_t column = i % t->columns;
        bool heading = bold && i < t->columns;

        fprintf(to, "%s%s%*s%s", column ? "  " : "", heading ? "\033[1m" : "",
                column ? width[column] : -width[column], t->cells[i],
                heading ? "\033[0m" : "");
        if (column + 1 == t->columns)
            fputc('\n', to);
    }
    cpv_free(t->cells);
    memset(t, 0, sizeof *t);
    return rc;
}
