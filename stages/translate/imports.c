/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translations made elsewhere: a TSV of key, index, text. The index counts a sample's
 * originals, then its generated captions, from 0: as flags and similarities do. The file
 * is mapped; a table of 16 bytes a row says where each text is.
 *
 * A header "key\tindex\ttext" may stand first. A line that is no such row is counted and
 * passed over; of rows for the same caption the first counts. A caption without a row is
 * empty, and flagged so.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "stages/translate/translate.h"

struct row {
    uint64_t name; /* of key and index; 0: empty */
    uint64_t at;   /* of its text, in the file */
};

struct imports {
    struct cpv_bytes file;
    struct row *row;
    size_t mask, used;
    struct imports_report report;
};

/* 0 never comes out: it means an empty place. Equal names of unequal rows would need 2^32
 * captions to be likely; each is compared with its key again. */
static uint64_t name_of(struct cpv_bytes key, uint64_t index)
{
    uint64_t h = 14695981039346656037u ^ (index + 1) * 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i < key.size; i++)
        h = (h ^ key.data[i]) * 1099511628211u;
    h ^= h >> 29;
    return h ? h : 1;
}

/* The row of a line: three fields; the last may hold anything but a tab. */
static bool parse(struct cpv_bytes line, struct cpv_bytes *key, uint64_t *index,
                  struct cpv_bytes *text)
{
    const uint8_t *end = line.data + line.size;
    const uint8_t *a = memchr(line.data, '\t', line.size), *b, *p;

    if (!a || a == line.data)
        return false;
    b = memchr(a + 1, '\t', (size_t)(end - a - 1));
    if (!b || b == a + 1 || b - a > 8 || memchr(b + 1, '\t', (size_t)(end - b - 1)))
        return false;
    *index = 0;
    for (p = a + 1; p < b; p++) {
        if (*p < '0' || *p > '9')
            return false;
        *index = *index * 10 + (uint64_t)(*p - '0');
    }
    *key = cpv_bytes_of(line.data, (size_t)(a - line.data));
    *text = cpv_bytes_of(b + 1, (size_t)(end - b - 1));
    return true;
}

/* The line at `at`, without its end; *next is where the one after it begins. */
static struct cpv_bytes line_at(struct cpv_bytes file, size_t at, size_t *next)
{
    const uint8_t *from = file.data + at, *end = memchr(from, '\n', file.size - at);
    size_t size = end ? (size_t)(end - from) : file.size - at;

    *next = at + size + (end ? 1 : 0);
    if (size && from[size - 1] == '\r')
        size--;
    return cpv_bytes_of(from, size);
}

static struct row *place(const struct imports *m, uint64_t name)
{
    size_t i = (size_t)name & m->mask;

    while (m->row[i].name && m->row[i].name != name)
        i = (i + 1) & m->mask;
    return &m->row[i];
}

static int make_table(struct imports *m, struct cpv_err *err)
{
    size_t lines = 1, size = 1024;

    for (size_t at = 0; at < m->file.size; lines++)
        (void)line_at(m->file, at, &at);
    while (size < lines * 2)
        size *= 2;
    m->row = cpv_calloc(size, sizeof *m->row);
    m->mask = size - 1;
    return m->row ? CPV_OK : cpv_fail_memory(err);
}

static bool is_header(struct cpv_bytes line)
{
    return cpv_bytes_equal(line, cpv_bytes_str("key\tindex\ttext"));
}

static void read_rows(struct imports *m)
{
    uint64_t number = 0;

    for (size_t at = 0, next; at < m->file.size; at = next) {
        struct cpv_bytes line = line_at(m->file, at, &next), key, text;
        uint64_t index;
        struct row *r;

        number++;
        if (number == 1 && is_header(line))
            continue;
        if (!parse(line, &key, &index, &text)) {
            m->report.bad++;
            if (!m->report.first_bad)
                m->report.first_bad = number;
            continue;
        }
        r = place(m, name_of(key, index));
        if (r->name) {
            m->report.repeated++;
            continue;
        }
        r->name = name_of(key, index);
        r->at = (uint64_t)at;
        m->report.rows++;
    }
}

int imports_open(imports **out, const char *path, struct cpv_err *err)
{
    imports *m = cpv_calloc(1, sizeof *m);
    int rc = m ? cpv_file_map(&m->file, path, err) : cpv_fail_memory(err);

    if (!rc)
        rc = make_table(m, err);
    if (!rc) {
        read_rows(m);
        if (m->report.rows == 0)
            rc = cpv_fail(err, CPV_E_INPUT,
                          "'%s' line 1: expected key, index and text, parted by tabs",
                          path);
    }
    if (rc)
        imports_close(&m);
    *out = m;
    return rc;
}

void imports_close(imports **m)
{
    if (!*m)
        return;
    cpv_file_unmap(&(*m)->file);
    cpv_free((*m)->row);
    cpv_free(*m);
    *m = NULL;
}

const struct imports_report *imports_report(const imports *m)
{
    return &m->report;
}

bool imports_find(const imports *m, struct cpv_bytes key, uint64_t index,
                  struct cpv_bytes *text)
{
    const struct row *r = place(m, name_of(key, index));
    struct cpv_bytes its;
    uint64_t number;
    size_t next;

    if (!r->name)
        return false;
    return parse(line_at(m->file, (size_t)r->at, &next), &its, &number, text) &&
           number == index && cpv_bytes_equal(its, key);
}
