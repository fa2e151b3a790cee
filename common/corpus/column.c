/* SPDX-License-Identifier: Apache-2.0 */
/* See column.h. */
#include "common/corpus/column.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/json.h"

static const char *const SUFFIX[] = {
    [CPV_FILE_SHARD] = ".tar.zst",
    [CPV_FILE_RECORD] = ".json",
    [CPV_FILE_STATS] = ".stats.json",
    [CPV_FILE_JOURNAL] = ".journal",
};

char *cpv_column_path(cpv_arena *mem, const char *corpus, const char *column,
                      uint32_t part, uint32_t revision, enum cpv_part_file file)
{
    /* A journal is hidden: it is never part of what a column holds. */
    const char *dot = file == CPV_FILE_JOURNAL ? "." : "";

    if (revision == 0)
        return cpv_arena_printf(mem, "%s/%s/%s%05u%s", corpus, column, dot, part,
                                SUFFIX[file]);
    return cpv_arena_printf(mem, "%s/%s/%s%05u.r%u%s", corpus, column, dot, part,
                            revision, SUFFIX[file]);
}

/* At least `least` digits at *s as a number up to max; moves *s. */
static bool read_number(const char **s, int least, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;
    int digits = 0;

    for (; **s >= '0' && **s <= '9'; (*s)++, digits++) {
        v = v * 10 + (uint64_t)(**s - '0');
        if (v > max)
            return false;
    }
    *out = (uint32_t)v;
    return digits >= least;
}

bool cpv_column_parse_name(const char *name, uint32_t *part, uint32_t *revision,
                           enum cpv_part_file *file)
{
    bool hidden = name[0] == '.';

    name += hidden;
    *revision = 0;
    if (!read_number(&name, 5, CPV_PARTS_MAX, part))
        return false;
    if (strncmp(name, ".r", 2) == 0) {
        name += 2;
        if (!read_number(&name, 1, CPV_REVISIONS_MAX, revision) || *revision == 0)
            return false;
    }
    for (unsigned i = 0; i < CPV_COUNT(SUFFIX); i++) {
        if (strcmp(name, SUFFIX[i]) == 0 && hidden == (i == CPV_FILE_JOURNAL)) {
            *file = (enum cpv_part_file)i;
            return true;
        }
    }
    return false;
}

/* ---- scanning ---- */

struct found {
    uint32_t part, revision;
    enum cpv_part_file file;
};

static int compare_found(const void *pa, const void *pb)
{
    const struct found *a = pa, *b = pb;

    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    if (a->revision != b->revision)
        return a->revision < b->revision ? -1 : 1;
    return (int)a->file - (int)b->file;
}

/* Shards and records of a folder, unsorted, into buf as struct found. */
static int list_folder(const char *path, struct cpv_buf *buf, struct cpv_err *err)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    if (!dir && errno == ENOENT)
        return CPV_OK;
    if (!dir)
        return cpv_fail_sys(err, errno, "cannot open folder '%s'", path);
    for (errno = 0; (e = readdir(dir)); errno = 0) {
        struct found f;

        if (cpv_column_parse_name(e->d_name, &f.part, &f.revision, &f.file) &&
            (f.file == CPV_FILE_SHARD || f.file == CPV_FILE_RECORD))
            cpv_buf_add(buf, &f, sizeof f);
    }
    if (errno) {
        int rc = cpv_fail_sys(err, errno, "cannot read folder '%s'", path);

        closedir(dir);
        return rc;
    }
    closedir(dir);
    return buf->failed ? cpv_fail_memory(err) : CPV_OK;
}

/* Sorted entries into parts: the last revision of a part that has a record counts. */
static int gather(const struct found *f, size_t n, uint32_t limit, cpv_arena *mem,
                  struct cpv_column *out, struct cpv_err *err)
{
    out->at = cpv_arena_calloc(mem, n ? n : 1, sizeof *out->at);
    if (!out->at)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        struct cpv_column_part *last = out->count ? &out->at[out->count - 1] : NULL;
        bool has_record = i + 1 < n && f[i].file == CPV_FILE_SHARD &&
                          f[i + 1].file == CPV_FILE_RECORD &&
                          f[i + 1].part == f[i].part &&
                          f[i + 1].revision == f[i].revision;

        if (f[i].file == CPV_FILE_SHARD && !has_record)
            out->orphans++;
        if (f[i].file != CPV_FILE_RECORD)
            continue;
        if (last && last->part == f[i].part) {
            last->revision = f[i].revision;
            out->superseded++;
        } else {
            out->at[out->count].part = f[i].part;
            out->at[out->count].revision = f[i].revision;
            out->count++;
        }
    }
    while (out->count && out->at[out->count - 1].part >= limit) {
        out->count--;
        out->beyond++;
    }
    return CPV_OK;
}

/* ---- how many parts ---- */

enum { COLUMN_JSON_MAX = 4096 };

int cpv_column_set_parts(const char *corpus, const char *column, uint32_t n_parts,
                         struct cpv_err *err)
{
    struct cpv_buf path = {0}, text = {0}, old = {0};
    int rc;

    cpv_buf_printf(&path, "%s/%s/column.json", corpus, column);
    cpv_buf_printf(&text, "{\"format\":\"capivara.column.v1\",\"parts\":%u}\n", n_parts);
    if (!cpv_buf_cstr(&path) || text.failed) {
        rc = cpv_fail_memory(err);
    } else {
        rc = cpv_file_read((const char *)path.data, COLUMN_JSON_MAX, &old, err);
        if (rc == CPV_E_ABSENT || rc == CPV_E_INPUT ||
            (!rc && !cpv_bytes_equal(cpv_buf_view(&old), cpv_buf_view(&text))))
            rc = cpv_file_replace((const char *)path.data, cpv_buf_view(&text), err);
    }
    if (rc == CPV_E_BUSY) /* another process of this run is writing the same */
        rc = CPV_OK;
    cpv_buf_release(&path);
    cpv_buf_release(&text);
    cpv_buf_release(&old);
    return rc;
}

/* As it was said; all of them where nothing was. */
static int read_parts(const char *folder, uint32_t *limit, struct cpv_err *err)
{
    struct cpv_buf path = {0}, text = {0};
    json_t *root = NULL;
    int rc;

    *limit = UINT32_MAX;
    cpv_buf_printf(&path, "%s/column.json", folder);
    rc = cpv_buf_cstr(&path)
             ? cpv_file_read((const char *)path.data, COLUMN_JSON_MAX, &text, err)
             : cpv_fail_memory(err);
    if (!rc)
        rc = cpv_json_parse(cpv_buf_view(&text), (const char *)path.data, &root, err);
    if (!rc && json_is_integer(json_object_get(root, "parts")) &&
        json_integer_value(json_object_get(root, "parts")) >= 0 &&
        json_integer_value(json_object_get(root, "parts")) <= CPV_PARTS_MAX)
        *limit = (uint32_t)json_integer_value(json_object_get(root, "parts"));
    else if (!rc)
        rc = cpv_fail(err, CPV_E_CORRUPT, "'%s': key 'parts': expected a number of parts",
                      (const char *)path.data);
    json_decref(root);
    cpv_buf_release(&path);
    cpv_buf_release(&text);
    return rc == CPV_E_ABSENT ? CPV_OK : rc;
}

int cpv_column_scan(const char *corpus, const char *column, cpv_arena *mem,
                    struct cpv_column *out, struct cpv_err *err)
{
    char *path = cpv_arena_printf(mem, "%s/%s", corpus, column);
    struct cpv_buf buf = {0};
    uint32_t limit = UINT32_MAX;
    int rc;

    memset(out, 0, sizeof *out);
    rc = path ? list_folder(path, &buf, err) : cpv_fail_memory(err);
    if (!rc)
        rc = read_parts(path, &limit, err);
    out->parts = limit;
    if (!rc) {
        size_t n = buf.size / sizeof(struct found);

        if (n)
            qsort(buf.data, n, sizeof(struct found), compare_found);
        rc =
            gather((const struct found *)(const void *)buf.data, n, limit, mem, out, err);
    }
    cpv_buf_release(&buf);
    return rc;
}

static bool find(const struct cpv_column_part *at, uint32_t n, uint32_t part,
                 uint32_t *revision)
{
    uint32_t low = 0, high = n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (at[mid].part < part)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == n || at[low].part != part)
        return false;
    *revision = at[low].revision;
    return true;
}

bool cpv_column_name_is_plain(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "0123456789_-");

    return n > 0 && n <= 64 && name[n] == '\0';
}

bool cpv_column_find(const struct cpv_column *c, uint32_t part, uint32_t *revision)
{
    return find(c->at, c->count, part, revision);
}

bool cpv_column_find_any(const struct cpv_column *c, uint32_t part, uint32_t *revision)
{
    return find(c->at, c->count + c->beyond, part, revision);
}

/* ---- sweeping ---- */

/* A writer locks its temporary file before it believes in it: see cpv_file_lock. */
static void sweep_draft(const char *path)
{
    int fd;

    if (cpv_file_lock(&fd, path, NULL))
        return;
    (void)cpv_sys.unlink(path);
    cpv_file_close(&fd);
}

static void sweep_one(const char *corpus, const char *column, const char *name,
                      cpv_arena *mem)
{
    static const char TMP[] = ".tmp";
    char *path = cpv_arena_printf(mem, "%s/%s/%s", corpus, column, name), *record;
    size_t n = strlen(name);
    struct found f;

    if (path && name[0] == '.' && n > sizeof TMP && strcmp(name + n - 4, TMP) == 0)
        sweep_draft(path);
    if (!path || !cpv_column_parse_name(name, &f.part, &f.revision, &f.file) ||
        f.file != CPV_FILE_JOURNAL)
        return;
    record = cpv_column_path(mem, corpus, column, f.part, f.revision, CPV_FILE_RECORD);
    if (record && cpv_file_exists(record))
        (void)cpv_sys.unlink(path);
}

void cpv_column_sweep(const char *corpus, const char *column)
{
    cpv_arena *mem = NULL;
    struct dirent *e;
    char *path;
    DIR *dir;

    if (cpv_arena_open(&mem, 0, NULL))
        return;
    path = cpv_arena_printf(mem, "%s/%s", corpus, column);
    dir = path ? opendir(path) : NULL;
    while (dir && (e = readdir(dir)))
        if (e->d_name[0] == '.')
            sweep_one(corpus, column, e->d_name, mem);
    if (dir)
        closedir(dir);
    cpv_arena_close(&mem);
}

/* ---- which columns are there ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Add every sub-folder of CORPUS/PREFIX that holds a settings file. */
static int add_columns(const char *corpus, const char *prefix, cpv_arena *mem,
                       struct cpv_buf *names, struct cpv_err *err)
{
    char *path = cpv_arena_printf(mem, "%s/%s", corpus, prefix);
    struct dirent *e;
    DIR *dir;

    if (!path)
        return cpv_fail_memory(err);
    dir = opendir(path);
    if (!dir)
        return errno == ENOENT
                   ? CPV_OK
                   : cpv_fail_sys(err, errno, "cannot open folder '%s'", path);
    while ((e = readdir(dir))) {
        char *name, *settings;

        if (e->d_name[0] == '.')
            continue;
        name = cpv_arena_printf(mem, "%s%s", prefix, e->d_name);
        settings =
            name ? cpv_arena_printf(mem, "%s/%s/settings.yaml", corpus, name) : NULL;
        if (!settings) {
            names->failed = true;
            break;
        }
        if (cpv_file_exists(settings))
            cpv_buf_add(names, &name, sizeof name);
    }
    closedir(dir);
    return names->failed ? cpv_fail_memory(err) : CPV_OK;
}

int cpv_columns_list(const char *corpus, cpv_arena *mem, const char ***names,
                     uint32_t *count, struct cpv_err *err)
{
    struct cpv_buf buf = {0};
    int rc = add_columns(corpus, "", mem, &buf, err);

    if (!rc)
        rc = add_columns(corpus, "shards/", mem, &buf, err);
    if (!rc) {
        *count = (uint32_t)(buf.size / sizeof(char *));
        *names = cpv_arena_calloc(mem, *count + 1u, sizeof(char *));
        if (!*names)
            rc = cpv_fail_memory(err);
        else if (buf.size)
            memcpy(*names, buf.data, buf.size);
    }
    cpv_buf_release(&buf);
    if (!rc && *count)
        qsort(*names, *count, sizeof(char *), compare_names);
    return rc;
}
