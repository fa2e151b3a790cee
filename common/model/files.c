/* SPDX-License-Identifier: Apache-2.0 */
/* See files.h. */
#include "common/model/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/format/json.h"
#include "common/model/name.h"

enum { JSON_MAX = 64 << 20, DEPTH = 8, FILES_MAX = 100000 };

/* Configurations and tokenizers, in the order in which they are fetched. */
static const char *const SMALL[] = {
    "config.json",
    "open_clip_config.json",
    "adapter_config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "source.spm",
    "target.spm",
    "target_vocab.json",
    "sentencepiece.bpe.model",
    NULL,
};

static const char *const TEXT[] = {
    "config.json",
    "sentencepiece.bpe.model",
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    NULL,
};

static const struct {
    const char *file, *format;
    bool index, open_clip;
} KNOWN[] = {
    {"model.safetensors", "safetensors", false, false},
    {"model.safetensors.index.json", "safetensors", true, false},
    {"open_clip_model.safetensors", "safetensors", false, true},
    {"open_clip_pytorch_model.safetensors", "safetensors", false, true},
    {"pytorch_model.bin", "torch", false, false},
    {"pytorch_model.bin.index.json", "torch", true, false},
    {"open_clip_pytorch_model.bin", "torch", false, true},
    {"adapter_model.safetensors", "adapter", false, false},
    {"adapter_model.bin", "adapter", false, false},
};

bool cpv_names_have(const struct cpv_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i], name) == 0)
            return true;
    return false;
}

/* ---- weights ---- */

static const char *only_ckpt(const struct cpv_names *names)
{
    const char *found = NULL;

    for (size_t i = 0; i < names->count; i++) {
        size_t n = strlen(names->at[i]);

        if (n < 6 || strcmp(names->at[i] + n - 5, ".ckpt") != 0 ||
            strchr(names->at[i], '/'))
            continue;
        if (found)
            return NULL;
        found = names->at[i];
    }
    return found;
}

static bool take(const struct cpv_names *names, bool open_clip, struct cpv_weights *out)
{
    for (size_t i = 0; i < CPV_COUNT(KNOWN); i++) {
        if ((open_clip && !KNOWN[i].open_clip) || !cpv_names_have(names, KNOWN[i].file))
            continue;
        *out = (struct cpv_weights){KNOWN[i].file, KNOWN[i].format, KNOWN[i].index};
        return true;
    }
    return false;
}

struct cpv_weights cpv_weights_choose(const struct cpv_names *names)
{
    struct cpv_weights w = {NULL, NULL, false};

    if (cpv_names_have(names, "open_clip_config.json") && take(names, true, &w))
        return w;
    if (take(names, false, &w))
        return w;
    w.file = only_ckpt(names);
    w.format = w.file ? "checkpoint" : NULL;
    return w;
}

static int choose(const struct cpv_names *names, const char *const *wanted,
                  const char *last, cpv_arena *mem, struct cpv_names *out,
                  struct cpv_err *err)
{
    size_t n = 1;

    while (wanted[n - 1])
        n++;
    out->count = 0;
    out->at = cpv_arena_calloc(mem, n, sizeof *out->at);
    if (!out->at)
        return cpv_fail_memory(err);
    for (; *wanted; wanted++)
        if (cpv_names_have(names, *wanted))
            out->at[out->count++] = *wanted;
    if (last)
        out->at[out->count++] = last;
    return CPV_OK;
}

int cpv_files_choose(const struct cpv_names *names, cpv_arena *mem, struct cpv_names *out,
                     struct cpv_err *err)
{
    return choose(names, SMALL, cpv_weights_choose(names).file, mem, out, err);
}

int cpv_files_choose_text(const struct cpv_names *names, cpv_arena *mem,
                          struct cpv_names *out, struct cpv_err *err)
{
    int rc = choose(names, TEXT, NULL, mem, out, err);

    /* The sentence piece model says all that the others would say again. */
    if (!rc && cpv_names_have(out, "config.json") &&
        cpv_names_have(out, "sentencepiece.bpe.model"))
        out->count = 2;
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_shard(const char *file, const char *name, cpv_arena *mem,
                     struct cpv_names *out, struct cpv_err *err)
{
    if (!file || !cpv_model_path_valid(file) || strchr(file, '/'))
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': 'weight_map' names '%s', expected a file beside the index",
                        name, file ? file : "(no text)");
    if (out->count > 0 && strcmp(out->at[out->count - 1], file) == 0)
        return CPV_OK;
    out->at[out->count] = cpv_arena_str(mem, cpv_bytes_str(file));
    return out->at[out->count++] ? CPV_OK : cpv_fail_memory(err);
}

int cpv_weights_shards(struct cpv_bytes index, const char *name, cpv_arena *mem,
                       struct cpv_names *out, struct cpv_err *err)
{
    json_t *root = NULL, *map, *value;
    const char *key;
    size_t kept = 0;
    int rc = cpv_json_parse(index, name, &root, err);

    out->count = 0;
    out->at = NULL;
    if (rc)
        return rc;
    map = json_object_get(root, "weight_map");
    if (json_object_size(map) == 0)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': has no object 'weight_map'", name);
    else if (!(out->at = cpv_arena_calloc(mem, json_object_size(map), sizeof *out->at)))
        rc = cpv_fail_memory(err);
    if (!rc)
        json_object_foreach(map, key, value)
        {
            rc = add_shard(json_string_value(value), name, mem, out, err);
            if (rc)
                break;
        }
    json_decref(root);
    if (rc)
        return rc;
    qsort(out->at, out->count, sizeof *out->at, by_name);
    for (size_t i = 0; i < out->count; i++)
        if (kept == 0 || strcmp(out->at[kept - 1], out->at[i]) != 0)
            out->at[kept++] = out->at[i];
    out->count = kept;
    return CPV_OK;
}

int cpv_open_clip_text(struct cpv_bytes config, const char *name, cpv_arena *mem,
                       const char **out, struct cpv_err *err)
{
    json_t *root = NULL;
    const char *model;
    int rc = cpv_json_parse(config, name, &root, err);

    *out = NULL;
    if (rc)
        return rc;
    model = json_string_value(
        json_object_get(json_object_get(json_object_get(root, "model_cfg"), "text_cfg"),
                        "hf_model_name"));
    if (model && !cpv_model_id_valid(model))
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s': 'hf_model_name' is '%s', which is no model's name", name,
                      model);
    else if (model && !(*out = cpv_arena_str(mem, cpv_bytes_str(model))))
        rc = cpv_fail_memory(err);
    json_decref(root);
    return rc;
}

/* ---- a folder ---- */

struct walk {
    const char *folder;
    cpv_arena *mem;
    struct cpv_model_files *out;
    size_t room;
};

static int add_name(struct walk *w, const char *name, uint64_t bytes, struct cpv_err *err)
{
    struct cpv_names *n = &w->out->names;

    if (n->count == FILES_MAX)
        return cpv_fail(err, CPV_E_INPUT, "'%s' holds more than %d files", w->folder,
                        FILES_MAX);
    if (n->count == w->room) {
        size_t room = w->room ? w->room * 2 : 32;
        const char **more = cpv_arena_calloc(w->mem, room, sizeof *more);

        if (!more)
            return cpv_fail_memory(err);
        if (n->count)
            memcpy(more, n->at, n->count * sizeof *more);
        n->at = more;
        w->room = room;
    }
    n->at[n->count++] = name;
    w->out->bytes += bytes;
    return CPV_OK;
}

static int walk(struct walk *w, const char *below, int depth, struct cpv_err *err);

static int visit(struct walk *w, const char *below, const char *entry, int depth,
                 struct cpv_err *err)
{
    const char *name =
        cpv_arena_printf(w->mem, "%s%s%s", below, *below ? "/" : "", entry);
    const char *path = name ? cpv_arena_printf(w->mem, "%s/%s", w->folder, name) : NULL;
    struct stat st;

    if (!path)
        return cpv_fail_memory(err);
    /* A link to what is not there (yet), or is not ours to see, is no file of the model;
     * not knowing is an error, lest a model seem to be another. */
    if (cpv_sys.stat(path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES
                   ? CPV_OK
                   : cpv_fail_sys(err, errno, "cannot look at '%s'", path);
    if (S_ISDIR(st.st_mode))
        return depth < DEPTH ? walk(w, name, depth + 1, err) : CPV_OK;
    return S_ISREG(st.st_mode) ? add_name(w, name, (uint64_t)st.st_size, err) : CPV_OK;
}

static int walk(struct walk *w, const char *below, int depth, struct cpv_err *err)
{
    const char *path = cpv_arena_printf(w->mem, "%s/%s", w->folder, below);
    DIR *dir = path ? opendir(path) : NULL;
    struct dirent *e;
    int rc = CPV_OK;

    if (!path)
        return cpv_fail_memory(err);
    if (!dir)
        return cpv_fail_sys(err, errno, "cannot open the folder '%s'", path);
    while (!rc && (e = readdir(dir)))
        if (e->d_name[0] != '.')
            rc = visit(w, below, e->d_name, depth, err);
    (void)closedir(dir);
    return rc;
}

static int read_in(const char *folder, const char *name, cpv_arena *mem,
                   const char **path, struct cpv_buf *to, struct cpv_err *err)
{
    *path = cpv_arena_printf(mem, "%s/%s", folder, name);
    return *path ? cpv_file_read(*path, JSON_MAX, to, err) : cpv_fail_memory(err);
}

static int look_for_shards(const char *folder, cpv_arena *mem, struct cpv_model_files *f,
                           struct cpv_err *err)
{
    struct cpv_buf text = {0};
    struct cpv_names shards = {0};
    const char *path = NULL;
    int rc = read_in(folder, f->weights.file, mem, &path, &text, err);

    if (!rc)
        rc = cpv_weights_shards(cpv_buf_view(&text), path, mem, &shards, err);
    cpv_buf_release(&text);
    for (size_t i = 0; !rc && !f->missing && i < shards.count; i++)
        if (!cpv_names_have(&f->names, shards.at[i]))
            f->missing = shards.at[i];
    return rc;
}

static int look_for_text(const char *folder, cpv_arena *mem, struct cpv_model_files *f,
                         struct cpv_err *err)
{
    struct cpv_buf text = {0};
    const char *path = NULL, *model = NULL;
    int rc = read_in(folder, "open_clip_config.json", mem, &path, &text, err);

    if (!rc)
        rc = cpv_open_clip_text(cpv_buf_view(&text), path, mem, &model, err);
    cpv_buf_release(&text);
    if (!rc && model && !cpv_names_have(&f->names, "text/config.json"))
        f->lacks = "text/config.json";
    return rc;
}

int cpv_model_files_look(const char *folder, cpv_arena *mem, struct cpv_model_files *out,
                         struct cpv_err *err)
{
    struct walk w = {folder, mem, out, 0};
    int rc;

    memset(out, 0, sizeof *out);
    rc = walk(&w, "", 0, err);
    if (rc)
        return rc;
    if (out->names.count)
        qsort(out->names.at, out->names.count, sizeof *out->names.at, by_name);
    out->weights = cpv_weights_choose(&out->names);
    if (!out->weights.file)
        out->missing = "the weights";
    else if (!cpv_names_have(&out->names, "config.json") &&
             !cpv_names_have(&out->names, "open_clip_config.json") &&
             !cpv_names_have(&out->names, "adapter_config.json") &&
             strcmp(out->weights.format, "checkpoint") != 0)
        out->missing = "config.json";
    if (out->weights.index && !out->missing)
        rc = look_for_shards(folder, mem, out, err);
    if (!rc && cpv_names_have(&out->names, "open_clip_config.json"))
        rc = look_for_text(folder, mem, out, err);
    return rc;
}

int cpv_model_weights(const char *path, cpv_arena *mem, const char **out,
                      struct cpv_err *err)
{
    struct cpv_model_files files;
    struct stat st;
    int rc;

    *out = path;
    if (cpv_sys.stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return CPV_OK;
    rc = cpv_model_files_look(path, mem, &files, err);
    if (rc)
        return rc;
    if (!files.weights.file)
        return cpv_fail(err, CPV_E_INPUT, "'%s' holds no weights that can be read", path);
    *out = cpv_arena_printf(mem, "%s/%s", path, files.weights.file);
    return *out ? CPV_OK : cpv_fail_memory(err);
}
