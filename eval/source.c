/* SPDX-License-Identifier: Apache-2.0 */
/* What --set names: tars, or a folder of pictures. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/sys.h"
#include "common/corpus/column.h"
#include "eval/eval.h"

static bool is_folder(const char *path)
{
    struct stat st;

    return cpv_sys.stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);

    return n > k && strcmp(name + n - k, end) == 0;
}

static bool is_tar(const char *name)
{
    return *name != '.' && (ends_with(name, ".tar") || ends_with(name, ".tar.zst") ||
                            ends_with(name, ".tar.gz") || ends_with(name, ".tgz"));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add(struct cpv_buf *list, const char *path, struct cpv_err *err)
{
    if (!path)
        return cpv_fail_memory(err);
    cpv_buf_add(list, &path, sizeof path);
    return list->failed ? cpv_fail_memory(err) : CPV_OK;
}

/* A column of ours: of each part the revision that counts. */
static int add_parts(const char *folder, cpv_arena *mem, struct cpv_buf *list,
                     struct cpv_err *err)
{
    struct cpv_column column = {0};
    int rc = cpv_column_scan(folder, ".", mem, &column, err);

    for (uint32_t i = 0; i < column.count && !rc; i++)
        rc = add(list,
                 cpv_column_path(mem, folder, ".", column.at[i].part,
                                 column.at[i].revision, CPV_FILE_SHARD),
                 err);
    return rc;
}

/* Tars that lie in a folder, sorted bytewise. */
static int add_tars(const char *folder, cpv_arena *mem, struct cpv_buf *list,
                    struct cpv_err *err)
{
    size_t before = list->size;
    struct dirent *entry;
    DIR *dir = opendir(folder);
    int rc = CPV_OK;

    if (!dir)
        return cpv_fail_sys(err, errno, "'%s': cannot read the folder", folder);
    while (!rc && (entry = readdir(dir)))
        if (is_tar(entry->d_name))
            rc = add(list, cpv_arena_printf(mem, "%s/%s", folder, entry->d_name), err);
    (void)closedir(dir);
    if (!rc && list->size > before)
        qsort(list->data + before, (list->size - before) / sizeof(char *), sizeof(char *),
              by_name);
    return rc;
}

/* Ours, else tars in the folder, else in its `test`. */
static int add_folder(const char *folder, cpv_arena *mem, struct cpv_buf *list,
                      struct cpv_err *err)
{
    size_t before = list->size;
    char *test = cpv_arena_printf(mem, "%s/test", folder);
    int rc = test ? add_parts(folder, mem, list, err) : cpv_fail_memory(err);

    if (!rc && list->size == before)
        rc = add_tars(folder, mem, list, err);
    if (!rc && list->size == before && is_folder(test))
        rc = add_tars(test, mem, list, err);
    return rc;
}

static int add_one(const struct eval_settings *how, const char *path, cpv_arena *mem,
                   struct cpv_buf *list, struct eval_source *out, struct cpv_err *err)
{
    size_t before = list->size;
    char *test;
    int rc;

    if (!is_folder(path))
        return add(list, path, err);
    out->root = path;
    rc = add_folder(path, mem, list, err);
    if (rc || list->size > before)
        return rc;
    if (how->set.count > 1)
        return cpv_fail(err, CPV_E_INPUT, "'%s': expected tars in it, or in its 'test'",
                        path);
    test = cpv_arena_printf(mem, "%s/test", path);
    if (!test)
        return cpv_fail_memory(err);
    out->folder = is_folder(test) ? test : path;
    return CPV_OK;
}

int eval_source_find(const struct eval_settings *how, cpv_arena *mem,
                     struct eval_source *out, struct cpv_err *err)
{
    struct cpv_buf list = {0};
    int rc = CPV_OK;

    *out = (struct eval_source){0};
    for (size_t i = 0; i < how->set.count && !rc; i++)
        rc = add_one(how, how->set.at[i], mem, &list, out, err);
    if (!rc && list.size) {
        out->n_tars = list.size / sizeof(char *);
        out->tars = cpv_arena_alloc(mem, list.size);
        if (out->tars)
            memcpy(out->tars, list.data, list.size);
        else
            rc = cpv_fail_memory(err);
    }
    cpv_buf_release(&list);
    return rc;
}
