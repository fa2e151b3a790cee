/* SPDX-License-Identifier: Apache-2.0 */
#include "common/corpus/packed.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/corpus/column.h"
#include "common/format/brace.h"

enum { FILES_MAX = 1 << 20 };

static int of_column(const char *set, cpv_arena *mem, struct cpv_packed *out,
                     struct cpv_err *err)
{
    struct cpv_column c = {0};
    int rc = cpv_column_scan(set, ".", mem, &c, err);

    if (rc || c.count == 0)
        return rc;
    out->at = cpv_arena_calloc(mem, c.count, sizeof *out->at);
    if (!out->at)
        return cpv_fail_memory(err);
    for (; out->count < c.count; out->count++) {
        const struct cpv_column_part *p = &c.at[out->count];

        out->at[out->count] =
            cpv_column_path(mem, set, ".", p->part, p->revision, CPV_FILE_SHARD);
        if (!out->at[out->count])
            return cpv_fail_memory(err);
    }
    return CPV_OK;
}

static bool is_tar(const char *name)
{
    static const char *const ends[] = {".tar", ".tar.zst", ".tar.gz", ".tgz"};
    size_t n = strlen(name);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n > strlen(ends[i]) && !strcmp(name + n - strlen(ends[i]), ends[i]))
            return *name != '.';
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int of_folder(const char *set, cpv_arena *mem, struct cpv_packed *out,
                     struct cpv_err *err)
{
    const struct dirent *e;
    size_t room = 0;
    DIR *dir = opendir(set);

    if (!dir)
        return cpv_fail_sys(err, errno, "cannot open '%s'", set);
    while ((e = readdir(dir)))
        room += is_tar(e->d_name);
    rewinddir(dir);
    out->at = cpv_arena_calloc(mem, room + 1, sizeof *out->at);
    while (out->at && out->count < room && (e = readdir(dir))) {
        if (!is_tar(e->d_name))
            continue;
        out->at[out->count] = cpv_arena_printf(mem, "%s/%s", set, e->d_name);
        if (!out->at[out->count])
            break;
        out->count++;
    }
    (void)closedir(dir);
    if (!out->at || (out->count < room && e))
        return cpv_fail_memory(err);
    qsort(out->at, out->count, sizeof *out->at, by_name);
    return CPV_OK;
}

static int of_pattern(const char *set, cpv_arena *mem, struct cpv_packed *out,
                      struct cpv_err *err)
{
    struct cpv_texts names = {0};
    int rc = cpv_brace_expand(set, FILES_MAX, mem, &names, err);

    if (rc)
        return rc;
    out->at = cpv_arena_calloc(mem, names.count + 1, sizeof *out->at);
    if (!out->at)
        return cpv_fail_memory(err);
    for (; out->count < names.count; out->count++) {
        if (!cpv_file_exists(names.at[out->count]))
            return cpv_fail(err, CPV_E_INPUT, "'%s': there is no such file or folder",
                            names.at[out->count]);
        out->at[out->count] = names.at[out->count];
    }
    return CPV_OK;
}

int cpv_packed_folder(const char *folder, cpv_arena *mem, struct cpv_packed *out,
                      struct cpv_err *err)
{
    int rc;

    memset(out, 0, sizeof *out);
    rc = of_column(folder, mem, out, err);
    return rc || out->count ? rc : of_folder(folder, mem, out, err);
}

int cpv_packed_find(const char *set, cpv_arena *mem, struct cpv_packed *out,
                    struct cpv_err *err)
{
    struct stat st;
    int rc;

    memset(out, 0, sizeof *out);
    if (cpv_sys.stat(set, &st) < 0 || !S_ISDIR(st.st_mode))
        rc = of_pattern(set, mem, out, err);
    else
        rc = cpv_packed_folder(set, mem, out, err);
    if (!rc && out->count == 0)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected tars, or a packed set, in there",
                      set);
    return rc;
}
