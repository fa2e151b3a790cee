/* SPDX-License-Identifier: Apache-2.0 */
/* What --set names: tars, or a folder of pictures. */
#include <string.h>
#include <sys/stat.h>

#include "common/base/sys.h"
#include "common/corpus/packed.h"
#include "eval/eval.h"

static bool is_folder(const char *path)
{
    struct stat st;

    return cpv_sys.stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int add(struct cpv_buf *list, const char *path, struct cpv_err *err)
{
    if (!path)
        return cpv_fail_memory(err);
    cpv_buf_add(list, &path, sizeof path);
    return list->failed ? cpv_fail_memory(err) : CPV_OK;
}

static int add_tars(const char *folder, cpv_arena *mem, struct cpv_buf *list,
                    struct cpv_err *err)
{
    struct cpv_packed packed;
    int rc = cpv_packed_folder(folder, mem, &packed, err);

    for (size_t i = 0; i < packed.count && !rc; i++)
        rc = add(list, packed.at[i], err);
    return rc;
}

/* Ours, else tars in the folder, else in its `test`. */
static int add_folder(const char *folder, cpv_arena *mem, struct cpv_buf *list,
                      struct cpv_err *err)
{
    size_t before = list->size;
    char *test = cpv_arena_printf(mem, "%s/test", folder);
    int rc = test ? add_tars(folder, mem, list, err) : cpv_fail_memory(err);

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
