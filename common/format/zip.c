/* SPDX-License-Identifier: Apache-2.0 */
/* See zip.h. */
#include "common/format/zip.h"

#include <stdlib.h>

#include "common/base/size.h"
#include "common/format/show.h"

enum {
    END_SIZE = 22, /* end of central directory */
    COMMENT_MAX = 65535,
    LOCATOR_SIZE = 20,
    END64_SIZE = 56,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    FLAG_ENCRYPTED = 1,
    EXTRA_ZIP64 = 1
};

static const uint32_t sign_local = 0x04034B50, sign_central = 0x02014B50,
                      sign_end = 0x06054B50, sign_end64 = 0x06064B50,
                      sign_locator = 0x07064B50;

/* The central directory, as its end record has it. */
struct directory {
    uint64_t at, size, count;
};

static int bad(struct cpv_err *err, const char *path, uint64_t at, const char *what)
{
    return cpv_fail(err, CPV_E_INPUT, "'%s' byte %llu: %s", path, (unsigned long long)at,
                    what);
}

/* The end record: the last one whose comment reaches exactly to the end of the file. */
static bool find_end(struct cpv_bytes f, size_t *at)
{
    size_t lowest;

    if (f.size < END_SIZE)
        return false;
    lowest = f.size - END_SIZE > COMMENT_MAX ? f.size - END_SIZE - COMMENT_MAX : 0;
    for (size_t i = f.size - END_SIZE + 1; i-- > lowest;) {
        const uint8_t *p = f.data + i;

        if (cpv_load_u32(p) == sign_end &&
            cpv_load_u16(p + 20) == f.size - i - END_SIZE) {
            *at = i;
            return true;
        }
    }
    return false;
}

static int read_end64(struct cpv_bytes f, size_t locator, const char *path,
                      struct directory *d, struct cpv_err *err)
{
    uint64_t at = cpv_load_u64(f.data + locator + 8);
    const uint8_t *p;

    if (!cpv_range_in(at, END64_SIZE, locator) || cpv_load_u32(f.data + at) != sign_end64)
        return bad(err, path, locator, "no ZIP64 end record where its locator says");
    p = f.data + at;
    if (cpv_load_u32(p + 16) != 0 || cpv_load_u32(p + 20) != 0 ||
        cpv_load_u64(p + 24) != cpv_load_u64(p + 32))
        return bad(err, path, at, "an archive in several parts");
    d->count = cpv_load_u64(p + 32);
    d->size = cpv_load_u64(p + 40);
    d->at = cpv_load_u64(p + 48);
    return CPV_OK;
}

static int read_end(struct cpv_bytes f, const char *path, struct directory *d,
                    struct cpv_err *err)
{
    size_t end;
    const uint8_t *p;
    int rc = CPV_OK;

    if (!find_end(f, &end))
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': no end of a ZIP archive, probably cut short", path);
    p = f.data + end;
    if (end >= LOCATOR_SIZE && cpv_load_u32(p - LOCATOR_SIZE) == sign_locator) {
        rc = read_end64(f, end - LOCATOR_SIZE, path, d, err);
    } else {
        if (cpv_load_u16(p + 4) != 0 || cpv_load_u16(p + 6) != 0 ||
            cpv_load_u16(p + 8) != cpv_load_u16(p + 10))
            return bad(err, path, end, "an archive in several parts");
        d->count = cpv_load_u16(p + 10);
        d->size = cpv_load_u32(p + 12);
        d->at = cpv_load_u32(p + 16);
    }
    if (!rc && !cpv_range_in(d->at, d->size, end))
        rc = bad(err, path, end, "the central directory is not inside the file");
    if (!rc && d->count > d->size / CENTRAL_SIZE)
        rc = bad(err, path, end, "more entries than the central directory has room for");
    return rc;
}

/* The sizes and the offset that did not fit 32 bits; false: the field has fewer. */
static bool read_zip64(struct cpv_bytes extra, uint64_t *size, uint64_t *stored,
                       uint64_t *at)
{
    struct cpv_cursor c = cpv_cursor_of(extra);
    bool wanted = *size == UINT32_MAX || *stored == UINT32_MAX || *at == UINT32_MAX;

    while (wanted && c.end - c.at >= 4) {
        uint16_t id = cpv_get_u16(&c), n = cpv_get_u16(&c);
        struct cpv_cursor in = cpv_cursor_of(cpv_get_bytes(&c, n));

        if (c.failed)
            return false;
        if (id != EXTRA_ZIP64)
            continue;
        if (*size == UINT32_MAX)
            *size = cpv_get_u64(&in);
        if (*stored == UINT32_MAX)
            *stored = cpv_get_u64(&in);
        if (*at == UINT32_MAX)
            *at = cpv_get_u64(&in);
        return !in.failed;
    }
    return !wanted;
}

static int bad_entry(struct cpv_err *err, const char *path, const struct cpv_zip_entry *e,
                     const char *what)
{
    return cpv_fail(err, CPV_E_INPUT, "'%s' entry '%s': %s", path, cpv_show(e->name).text,
                    what);
}

/* Where the data is: behind the local header, all of it before the directory. */
static int find_data(struct cpv_bytes f, uint64_t limit, uint64_t size, const char *path,
                     struct cpv_zip_entry *e, struct cpv_err *err)
{
    const uint8_t *p = f.data;
    uint64_t start, name;

    if (!cpv_range_in(e->at, LOCAL_SIZE, limit) || cpv_load_u32(p + e->at) != sign_local)
        return bad_entry(err, path, e, "no local header where the directory says");
    name = cpv_load_u16(p + e->at + 26);
    start = e->at + LOCAL_SIZE + name + cpv_load_u16(p + e->at + 28);
    if (!cpv_range_in(start, size, limit))
        return bad_entry(err, path, e, "its data is not inside the file");
    if (!cpv_bytes_equal(cpv_bytes_of(p + e->at + LOCAL_SIZE, (size_t)name), e->name))
        return bad_entry(err, path, e, "its local header has another name");
    e->data = cpv_bytes_of(p + start, (size_t)size);
    return CPV_OK;
}

/* One record of the central directory at c. */
static int read_entry(struct cpv_bytes f, struct cpv_cursor *c, uint64_t limit,
                      const char *path, struct cpv_zip_entry *e, struct cpv_err *err)
{
    struct cpv_bytes head = cpv_get_bytes(c, CENTRAL_SIZE), extra;
    uint64_t size, stored;
    const uint8_t *p = head.data;

    if (c->failed || cpv_load_u32(p) != sign_central)
        return bad(err, path, (uint64_t)(c->at - f.data), "no entry of the directory");
    e->name = cpv_get_bytes(c, cpv_load_u16(p + 28));
    extra = cpv_get_bytes(c, cpv_load_u16(p + 30));
    (void)cpv_get_bytes(c, cpv_load_u16(p + 32));
    if (c->failed)
        return bad(err, path, (uint64_t)(c->at - f.data), "no entry of the directory");
    stored = cpv_load_u32(p + 20);
    size = cpv_load_u32(p + 24);
    e->at = cpv_load_u32(p + 42);
    if (cpv_load_u16(p + 8) & FLAG_ENCRYPTED)
        return bad_entry(err, path, e, "encrypted");
    if (cpv_load_u16(p + 10) != 0)
        return bad_entry(err, path, e, "compressed, expected stored as PyTorch does");
    if (!read_zip64(extra, &size, &stored, &e->at))
        return bad_entry(err, path, e, "its ZIP64 field is too short");
    if (size != stored)
        return bad_entry(err, path, e, "two different sizes of stored data");
    return find_data(f, limit, size, path, e, err);
}

static int by_place(const void *a, const void *b)
{
    uint64_t x = ((const struct cpv_zip_entry *)a)->at,
             y = ((const struct cpv_zip_entry *)b)->at;

    return (x > y) - (x < y);
}

static int compare_names(struct cpv_bytes a, struct cpv_bytes b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.data, b.data, n) : 0;

    return c ? c : (a.size > b.size) - (a.size < b.size);
}

static int by_name(const void *a, const void *b)
{
    return compare_names(((const struct cpv_zip_entry *)a)->name,
                         ((const struct cpv_zip_entry *)b)->name);
}

/* No two share bytes or a name. Sorted by name afterwards. */
static int judge(struct cpv_zip *z, struct cpv_bytes file, const char *path,
                 struct cpv_err *err)
{
    struct cpv_zip_entry *e = z->entries;

    if (z->count > 0)
        qsort(e, z->count, sizeof *e, by_place);
    for (size_t i = 1; i < z->count; i++)
        if ((uint64_t)(e[i - 1].data.data - file.data) + e[i - 1].data.size > e[i].at)
            return bad_entry(err, path, &e[i], "overlaps the one before it");
    if (z->count > 0)
        qsort(e, z->count, sizeof *e, by_name);
    for (size_t i = 1; i < z->count; i++)
        if (by_name(&e[i - 1], &e[i]) == 0)
            return bad_entry(err, path, &e[i], "the name occurs twice");
    return CPV_OK;
}

int cpv_zip_read(struct cpv_zip *out, struct cpv_bytes file, const char *path,
                 cpv_arena *mem, struct cpv_err *err)
{
    struct directory d = {0};
    struct cpv_cursor c;
    int rc = read_end(file, path, &d, err);

    *out = (struct cpv_zip){0};
    if (rc)
        return rc;
    out->entries = cpv_arena_calloc(mem, (size_t)d.count + 1, sizeof *out->entries);
    if (!out->entries)
        return cpv_fail_memory(err);
    c = cpv_cursor_of(cpv_bytes_of(file.data + d.at, (size_t)d.size));
    while (out->count < d.count) {
        rc = read_entry(file, &c, d.at, path, &out->entries[out->count], err);
        if (rc)
            return rc;
        out->count++;
    }
    return judge(out, file, path, err);
}

const struct cpv_zip_entry *cpv_zip_find(const struct cpv_zip *z, struct cpv_bytes name)
{
    struct cpv_zip_entry key = {.name = name};

    if (z->count == 0)
        return NULL;
    return bsearch(&key, z->entries, z->count, sizeof *z->entries, by_name);
}
