/* SPDX-License-Identifier: Apache-2.0 */
/* See checkpoint.h: which files, and what they hold together. */
#include "common/format/checkpoint.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/checkpoint_internal.h"
#include "common/format/json.h"
#include "common/format/safetensors.h"
#include "common/format/show.h"
#include "common/format/torch_file.h"

static const char *const folder_names[] = {
    "model.safetensors",           "model.safetensors.index.json",
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors",
    "pytorch_model.bin",           "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin"};

struct shard {
    const char *path;
    struct cpv_bytes map;
};

struct cpv_checkpoint {
    cpv_arena *mem;
    const char *path, *format;
    struct cpv_ckpt_list list;
    struct shard *shards;
    size_t n_shards;
};

/* ---- one file ---- */

static int unknown(const struct shard *s, struct cpv_err *err)
{
    static const char lfs[] = "version https://git-lfs";

    if (s->map.size >= sizeof lfs - 1 && memcmp(s->map.data, lfs, sizeof lfs - 1) == 0)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': a Git LFS pointer, expected the weights themselves",
                        s->path);
    return cpv_fail(err, CPV_E_INPUT,
                    "'%s': neither safetensors nor PyTorch's zip or legacy form",
                    s->path);
}

/* Map shard i and add its tensors. */
static int read_shard(cpv_checkpoint *c, size_t i, struct cpv_err *err)
{
    struct shard *s = &c->shards[i];
    const char *format = "safetensors";
    int rc = cpv_file_map(&s->map, s->path, err);

    if (rc)
        return rc;
    c->list.file = (uint32_t)i;
    switch (cpv_torch_form_of(s->map)) {
    case CPV_TORCH_ZIP:
        format = "torch zip";
        rc = cpv_torch_read(&c->list, s->map, s->path, err);
        break;
    case CPV_TORCH_LEGACY:
        format = "torch legacy";
        rc = cpv_torch_read(&c->list, s->map, s->path, err);
        break;
    default:
        rc = cpv_safetensors_is(s->map)
                 ? cpv_safetensors_read(&c->list, s->map, s->path, err)
                 : unknown(s, err);
    }
    if (!c->format)
        c->format = format;
    return rc;
}

static int make_shards(cpv_checkpoint *c, size_t n, struct cpv_err *err)
{
    c->shards = cpv_arena_calloc(c->mem, n, sizeof *c->shards);
    if (!c->shards)
        return cpv_fail_memory(err);
    c->n_shards = n;
    return CPV_OK;
}

static int open_single(cpv_checkpoint *c, struct cpv_err *err)
{
    int rc = make_shards(c, 1, err);

    if (rc)
        return rc;
    c->shards[0].path = c->path;
    rc = read_shard(c, 0, err);
    return rc ? rc : cpv_ckpt_list_sort(&c->list, c->path, err);
}

/* ---- an index of shards ---- */

/* Each name of a file once, sorted. They stay in the JSON tree. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int collect_names(json_t *map, const char *path, const char **names, size_t *n,
                         struct cpv_err *err)
{
    const char *key;
    size_t all = 0;
    json_t *v;

    json_object_foreach(map, key, v)
    {
        const char *file = json_string_value(v);

        /* Beside the index, as transformers has it; never elsewhere. */
        if (!file || !*file || strchr(file, '/') || strlen(file) != json_string_length(v))
            return cpv_fail(
                err, CPV_E_INPUT,
                "'%s': weight_map '%s': expected the name of a file beside it", path,
                cpv_show(cpv_bytes_str(key)).text);
        names[all++] = file;
    }
    if (all > 1)
        qsort(names, all, sizeof *names, by_text);
    *n = 0;
    for (size_t i = 0; i < all; i++)
        if (i == 0 || strcmp(names[i], names[*n - 1]) != 0)
            names[(*n)++] = names[i];
    if (*n == 0)
        return cpv_fail(err, CPV_E_INPUT, "'%s': its weight_map is empty", path);
    return CPV_OK;
}

/* Each tensor that the index names is in the shard that it names. */
static int judge_index(const cpv_checkpoint *c, json_t *map, size_t folder,
                       struct cpv_err *err)
{
    const char *key;
    json_t *v;

    json_object_foreach(map, key, v)
    {
        const struct cpv_ckpt_tensor *t = cpv_ckpt_list_find(&c->list, key);
        const char *file = json_string_value(v);

        if (!t || strcmp(c->shards[t->file].path + folder, file) != 0)
            return cpv_fail(err, CPV_E_INPUT,
                            "'%s': tensor '%s' should be in '%s', which lacks it",
                            c->path, cpv_show(cpv_bytes_str(key)).text,
                            cpv_show(cpv_bytes_str(file)).text);
    }
    return CPV_OK;
}

static int read_all(cpv_checkpoint *c, json_t *map, const char **names,
                    struct cpv_err *err)
{
    const char *slash = strrchr(c->path, '/');
    size_t folder = slash ? (size_t)(slash - c->path) + 1 : 0, n = 0;
    int rc = collect_names(map, c->path, names, &n, err);

    if (!rc)
        rc = make_shards(c, n, err);
    for (size_t i = 0; i < n && !rc; i++) {
        c->shards[i].path =
            cpv_arena_printf(c->mem, "%.*s%s", (int)folder, c->path, names[i]);
        rc = c->shards[i].path ? read_shard(c, i, err) : cpv_fail_memory(err);
    }
    if (!rc)
        rc = cpv_ckpt_list_sort(&c->list, c->path, err);
    return rc ? rc : judge_index(c, map, folder, err);
}

static int open_index(cpv_checkpoint *c, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    const char **names = NULL;
    json_t *index = NULL, *map;
    int rc = cpv_file_read(c->path, CPV_CKPT_JSON_MAX, &text, err);

    if (!rc)
        rc = cpv_json_parse(cpv_buf_view(&text), c->path, &index, err);
    cpv_buf_release(&text);
    if (rc)
        return rc;
    map = json_object_get(index, "weight_map");
    if (!json_is_object(map))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected an object 'weight_map'", c->path);
    else if (!(names = cpv_calloc(json_object_size(map) + 1, sizeof *names)))
        rc = cpv_fail_memory(err);
    else
        rc = read_all(c, map, names, err);
    cpv_free(names);
    json_decref(index);
    return rc;
}

/* ---- open and close ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + (n - m), end) == 0;
}

/*
 * 1: there, 0: not there. A disk that fails is neither, or another of the folder's files
 * would be taken in silence.
 */
static int look(const char *path, bool *folder, struct cpv_err *err)
{
    struct stat st;

    if (cpv_sys.stat(path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : cpv_fail_sys(err, errno, "cannot look at '%s'", path);
    *folder = S_ISDIR(st.st_mode);
    return 1;
}

/* Which file: that named, or the first of those that a folder may have. */
static int choose(cpv_checkpoint *c, const char *path, struct cpv_err *err)
{
    bool folder = false, inside;
    int there = look(path, &folder, err);

    if (there < 0)
        return there;
    for (size_t i = 0; folder && i < CPV_COUNT(folder_names); i++) {
        c->path = cpv_arena_printf(c->mem, "%s/%s", path, folder_names[i]);
        if (!c->path)
            return cpv_fail_memory(err);
        there = look(c->path, &inside, err);
        if (there)
            return there < 0 ? there : CPV_OK;
    }
    if (folder)
        return cpv_fail(err, CPV_E_ABSENT,
                        "'%s': no checkpoint in this folder, expected model.safetensors, "
                        "pytorch_model.bin, or one of their index.json",
                        path);
    c->path = cpv_arena_str(c->mem, cpv_bytes_str(path));
    return c->path ? CPV_OK : cpv_fail_memory(err);
}

int cpv_checkpoint_open(cpv_checkpoint **out, const char *path, struct cpv_err *err)
{
    cpv_checkpoint *c = cpv_calloc(1, sizeof *c);
    int rc = c ? cpv_arena_open(&c->mem, 0, err) : cpv_fail_memory(err);

    *out = NULL;
    if (!rc) {
        c->list.mem = c->mem;
        rc = choose(c, path, err);
    }
    if (!rc)
        rc = ends_with(c->path, ".json") ? open_index(c, err) : open_single(c, err);
    if (rc)
        cpv_checkpoint_close(&c);
    *out = c;
    return rc;
}

void cpv_checkpoint_close(cpv_checkpoint **cp)
{
    cpv_checkpoint *c = *cp;

    *cp = NULL;
    if (!c)
        return;
    for (size_t i = 0; i < c->n_shards; i++)
        cpv_file_unmap(&c->shards[i].map);
    cpv_ckpt_list_release(&c->list);
    cpv_arena_close(&c->mem);
    cpv_free(c);
}

/* ---- questions ---- */

const char *cpv_checkpoint_path(const cpv_checkpoint *c)
{
    return c->path;
}

size_t cpv_checkpoint_files(const cpv_checkpoint *c)
{
    return c->n_shards;
}

const char *cpv_checkpoint_file(const cpv_checkpoint *c, size_t i)
{
    return c->shards[i].path;
}

const char *cpv_checkpoint_format(const cpv_checkpoint *c)
{
    return c->format;
}

size_t cpv_checkpoint_count(const cpv_checkpoint *c)
{
    return c->list.count;
}

const struct cpv_ckpt_tensor *cpv_checkpoint_at(const cpv_checkpoint *c, size_t i)
{
    return &c->list.at[i];
}

const struct cpv_ckpt_tensor *cpv_checkpoint_find(const cpv_checkpoint *c,
                                                  const char *name)
{
    return cpv_ckpt_list_find(&c->list, name);
}

int cpv_checkpoint_need(const cpv_checkpoint *c, const char *name, uint32_t rank,
                        const uint64_t *dim, const struct cpv_ckpt_tensor **out,
                        struct cpv_err *err)
{
    const struct cpv_ckpt_tensor *t = cpv_checkpoint_find(c, name);
    char has[128], want[128];
    bool same;

    *out = NULL;
    (void)cpv_ckpt_shape(want, sizeof want, rank, dim);
    if (!t)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': no tensor '%s', expected one of shape %s", c->path, name,
                        want);
    same = t->rank == rank;
    for (uint32_t i = 0; same && i < rank; i++)
        same = dim[i] == CPV_CKPT_ANY || dim[i] == t->dim[i];
    if (!same)
        return cpv_fail(err, CPV_E_INPUT, "'%s': tensor '%s' has shape %s, expected %s",
                        c->shards[t->file].path, name,
                        cpv_ckpt_shape(has, sizeof has, t->rank, t->dim), want);
    *out = t;
    return CPV_OK;
}

void cpv_checkpoint_release(const cpv_checkpoint *c, const struct cpv_ckpt_tensor *t)
{
    (void)c;
    cpv_file_map_drop(cpv_bytes_of(t->data, (size_t)t->bytes));
}
