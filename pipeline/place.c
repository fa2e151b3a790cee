/* SPDX-License-Identifier: Apache-2.0 */
/* See place.h. */
#include "pipeline/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/corpus/column.h"

/* ---- what a path means ---- */

static bool has(const char *folder, const char *name, cpv_arena *mem)
{
    const char *path = cpv_arena_printf(mem, "%s/%s", folder, name);

    return path && cpv_file_exists(path);
}

/* "C/fetch" and "C/shards/train" into corpus and column. */
static int split_column(struct cpv_place *out, const char *folder, cpv_arena *mem,
                        struct cpv_err *err)
{
    const char *slash = strrchr(folder, '/'), *name = slash ? slash + 1 : folder;
    const char *parent =
        !slash ? "."
        : slash == folder
            ? "/"
            : cpv_arena_str(mem, cpv_bytes_of(folder, (size_t)(slash - folder)));
    const char *last = parent ? strrchr(parent, '/') : NULL;

    if (!parent)
        return cpv_fail_memory(err);
    last = last ? last + 1 : parent;
    if (strcmp(last, "shards") == 0) {
        out->corpus =
            last == parent
                ? "."
                : cpv_arena_str(mem, cpv_bytes_of(parent, (size_t)(last - parent - 1)));
        out->column = cpv_arena_printf(mem, "shards/%s", name);
    } else {
        out->corpus = parent;
        out->column = cpv_arena_str(mem, cpv_bytes_str(name));
    }
    return out->corpus && out->column ? CPV_OK : cpv_fail_memory(err);
}

int cpv_place_find(struct cpv_place *out, const char *path, cpv_arena *mem,
                   struct cpv_err *err)
{
    size_t n = strlen(path);
    const char **names = NULL;
    uint32_t count = 0;
    struct stat st;
    char *folder;
    int rc;

    memset(out, 0, sizeof *out);
    if (cpv_sys.stat(path, &st) < 0)
        return errno == ENOENT ? cpv_fail(err, CPV_E_INPUT, "'%s' is not there", path)
                               : cpv_fail_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return CPV_OK;
    while (n > 1 && path[n - 1] == '/')
        n--;
    folder = cpv_arena_str(mem, cpv_bytes_of(path, n));
    if (!folder)
        return cpv_fail_memory(err);
    if (has(folder, "settings.yaml", mem))
        return split_column(out, folder, mem, err);
    rc = cpv_columns_list(folder, mem, &names, &count, err);
    if (!rc && !count && !has(folder, "config.yaml", mem))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s' is neither a corpus nor a column of one",
                      path);
    out->corpus = folder;
    return rc;
}

int cpv_place_columns(const struct cpv_place *place, cpv_arena *mem, const char ***names,
                      uint32_t *n, struct cpv_err *err)
{
    if (!place->column)
        return cpv_columns_list(place->corpus, mem, names, n, err);
    *names = cpv_arena_calloc(mem, 1, sizeof **names);
    if (!*names)
        return cpv_fail_memory(err);
    (*names)[0] = place->column;
    *n = 1;
    return CPV_OK;
}

/* ---- the files of a column ---- */

static int64_t age_of(const struct stat *st)
{
    int64_t newest = st->st_ctime > st->st_mtime ? st->st_ctime : st->st_mtime;

    return (int64_t)time(NULL) - newest;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

static int add_file(struct cpv_buf *files, const char *folder, const char *name,
                    cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_file f = {.kind = CPV_KIND_OTHER};
    struct stat st;

    f.path = cpv_arena_printf(mem, "%s/%s", folder, name);
    f.name = cpv_arena_str(mem, cpv_bytes_str(name));
    if (!f.path || !f.name)
        return cpv_fail_memory(err);
    if (cpv_sys.stat(f.path, &st) < 0) /* gone meanwhile: renamed, most likely */
        return errno == ENOENT ? CPV_OK
                               : cpv_fail_sys(err, errno, "cannot look at '%s'", f.path);
    if (!S_ISREG(st.st_mode))
        return CPV_OK;
    f.bytes = (uint64_t)st.st_size;
    f.age_s = age_of(&st);
    if (name[0] == '.' && ends_with(name, ".tmp"))
        f.kind = CPV_KIND_DRAFT;
    cpv_buf_add(files, &f, sizeof f);
    return files->failed ? cpv_fail_memory(err) : CPV_OK;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct cpv_file *)a)->name, ((const struct cpv_file *)b)->name);
}

static bool exists(const char *corpus, const char *column, uint32_t part,
                   uint32_t revision, enum cpv_part_file file, cpv_arena *mem)
{
    const char *path = cpv_column_path(mem, corpus, column, part, revision, file);

    return !path || cpv_file_exists(path); /* without memory: leave it alone */
}

/* What a part's file is for, given the revision that counts. */
static void classify(struct cpv_file *f, enum cpv_part_file file, const char *corpus,
                     const char *column, const struct cpv_column *c, cpv_arena *mem)
{
    uint32_t counting = 0;
    bool committed = cpv_column_find_any(c, f->part, &counting);

    if (file == CPV_FILE_JOURNAL)
        f->kind =
            committed && f->revision <= counting ? CPV_KIND_SPENT : CPV_KIND_JOURNAL;
    else if (committed && f->revision < counting)
        f->kind = CPV_KIND_SUPERSEDED;
    else if (!committed || f->revision > counting)
        f->kind = CPV_KIND_ORPHAN;
    else if (!exists(corpus, column, f->part, f->revision, CPV_FILE_SHARD, mem))
        f->kind = CPV_KIND_GONE;
    else
        f->kind = file == CPV_FILE_SHARD    ? CPV_KIND_SHARD
                  : file == CPV_FILE_RECORD ? CPV_KIND_RECORD
                                            : CPV_KIND_STATS;
}

static int list_folder(const char *folder, cpv_arena *mem, struct cpv_buf *files,
                       struct cpv_err *err)
{
    DIR *dir = opendir(folder);
    struct dirent *e;
    int rc = CPV_OK;

    if (!dir)
        return errno == ENOENT
                   ? CPV_OK
                   : cpv_fail_sys(err, errno, "cannot open folder '%s'", folder);
    while (!rc && (e = readdir(dir)))
        rc = add_file(files, folder, e->d_name, mem, err);
    closedir(dir);
    return rc;
}

int cpv_place_files(const char *corpus, const char *column, cpv_arena *mem,
                    struct cpv_file **out, size_t *n, struct cpv_err *err)
{
    const char *folder = cpv_arena_printf(mem, "%s/%s", corpus, column);
    struct cpv_buf files = {0};
    struct cpv_column c;
    int rc = folder ? list_folder(folder, mem, &files, err) : cpv_fail_memory(err);

    /* The column after the folder: a record that came in between makes nothing an
     * orphan that is not. */
    if (!rc)
        rc = cpv_column_scan(corpus, column, mem, &c, err);
    *n = files.size / sizeof **out;
    *out = rc ? NULL : cpv_arena_calloc(mem, *n + 1, sizeof **out);
    if (!rc && !*out)
        rc = cpv_fail_memory(err);
    if (!rc && *n) {
        memcpy(*out, files.data, files.size);
        qsort(*out, *n, sizeof **out, compare_files);
    }
    for (size_t i = 0; !rc && i < *n; i++) {
        struct cpv_file *f = &(*out)[i];
        enum cpv_part_file file;

        if (cpv_column_parse_name(f->name, &f->part, &f->revision, &file))
            classify(f, file, corpus, column, &c, mem);
    }
    cpv_buf_release(&files);
    return rc;
}

bool cpv_file_held(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = cpv_sys.open(path, O_RDWR | O_CLOEXEC, 0);
    bool held = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;

    cpv_file_close(&fd);
    return held;
}
