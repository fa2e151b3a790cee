/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TSV of translations made elsewhere. Every line is a row, a repeated one, a bad one,
 * or the header; the rows are found again under their own keys, and no text has a tab or
 * an end of a line; a file without rows ends in one line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stages/translate/translate.h"

static uint64_t lines_of(const uint8_t *data, size_t size)
{
    uint64_t n = size && data[size - 1] != '\n';

    for (size_t i = 0; i < size; i++)
        n += data[i] == '\n';
    return n;
}

/* Ask for the key of each line under small indices. */
static void find_rows(const imports *m, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        const uint8_t *line = data + at, *end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;
        const uint8_t *tab = memchr(line, '\t', length);

        at += length + 1;
        for (uint64_t index = 0; tab && index < 4; index++) {
            struct cpv_bytes key = cpv_bytes_of(line, (size_t)(tab - line)), text;

            if (!imports_find(m, key, index, &text))
                continue;
            if (text.size && (memchr(text.data, '\t', text.size) ||
                              memchr(text.data, '\n', text.size)))
                abort();
        }
    }
}

static void check(const imports *m, const uint8_t *data, size_t size)
{
    const struct imports_report *r = imports_report(m);
    uint64_t all = r->rows + r->repeated + r->bad, lines = lines_of(data, size);
    struct cpv_bytes text;

    if (r->rows == 0 || (all != lines && all + 1 != lines))
        abort();
    if ((r->bad > 0) != (r->first_bad > 0) || r->first_bad > lines)
        abort();
    find_rows(m, data, size);
    /* A key has no tab and is not empty. */
    if (imports_find(m, cpv_bytes_of("a\t", 2), 0, &text) ||
        imports_find(m, cpv_bytes_of("", 0), 0, &text))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpv_err err = {0};
    imports *m = NULL;
    char path[40];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd < 0)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data, size) == (ssize_t)size) {
        if (!imports_open(&m, path, &err))
            check(m, data, size);
        else if (m || !err.text[0] || strchr(err.text, '\n'))
            abort();
    }
    imports_close(&m);
    (void)close(fd);
    return 0;
}
