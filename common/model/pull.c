/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a model, from where, in what order: see pull.h. */
#include "common/model/pull.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/base/file.h"
#include "common/base/stop.h"
#include "common/format/json.h"
#include "common/model/files.h"
#include "common/model/pull_impl.h"

enum {
    JSON_MAX = 64 << 20,
    SIBLINGS_MAX = 100000,
    SPARE = 64 << 20 /* bytes of the disk that are left alone */
};

/* A model on the hub, at a commit. */
struct remote {
    const char *id;
    const char *commit;
    struct cpv_names names;
};

/* ---- the hub's list of files ---- */

static int take_names(struct remote *r, const char *what, const json_t *list,
                      cpv_arena *mem, struct cpv_err *err)
{
    size_t n = json_array_size(list);

    if (!json_is_array(list) || n > SIBLINGS_MAX)
        return cpv_fail(err, CPV_E_INPUT,
                        "%s: the hub's answer has no list 'siblings' of at most %d files",
                        what, SIBLINGS_MAX);
    r->names.count = 0;
    r->names.at = cpv_arena_calloc(mem, n ? n : 1, sizeof *r->names.at);
    if (!r->names.at)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        const char *name =
            json_string_value(json_object_get(json_array_get(list, i), "rfilename"));

        if (!name || !cpv_model_path_valid(name))
            return cpv_fail(err, CPV_E_INPUT,
                            "%s: the hub lists a file '%s', which is no path inside it",
                            what, name ? name : "(no text)");
        r->names.at[r->names.count] = cpv_arena_str(mem, cpv_bytes_str(name));
        if (!r->names.at[r->names.count++])
            return cpv_fail_memory(err);
    }
    return CPV_OK;
}

static int take_remote(struct remote *r, const char *what, struct cpv_bytes text,
                       cpv_arena *mem, struct cpv_err *err)
{
    json_t *root = NULL;
    const char *sha;
    int rc = cpv_json_parse(text, what, &root, err);

    if (rc)
        return rc;
    sha = json_string_value(json_object_get(root, "sha"));
    if (!sha || !cpv_model_commit_valid(sha))
        rc = cpv_fail(err, CPV_E_INPUT,
                      "%s: the hub's answer names no commit ('sha'): is it a hub?", what);
    if (!rc && !(r->commit = cpv_arena_str(mem, cpv_bytes_str(sha))))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = take_names(r, what, json_object_get(root, "siblings"), mem, err);
    json_decref(root);
    return rc;
}

static int ask_hub(struct pull *p, const char *id, const char *revision,
                   struct remote *out, struct cpv_err *err)
{
    bool main = strcmp(revision, "main") == 0;
    const char *what = cpv_arena_printf(p->mem, "model '%s%s%s'", id, main ? "" : "@",
                                        main ? "" : revision);
    struct cpv_buf path = {0}, text = {0};
    int rc = CPV_OK;

    cpv_buf_printf(&path, "/api/models/%s/revision/", id);
    cpv_hub_escape(&path, revision, false);
    if (!what || !cpv_buf_cstr(&path))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_hub_get(p->p->hub, cpv_buf_cstr(&path), what, JSON_MAX, &text, err);
    out->id = id;
    if (!rc)
        rc = take_remote(out, what, cpv_buf_view(&text), p->mem, err);
    cpv_buf_release(&path);
    cpv_buf_release(&text);
    return rc;
}

/* ---- the list of what is to be fetched ---- */

static struct pull_file *new_file(struct pull *p)
{
    if (p->count == p->room) {
        size_t room = p->room ? p->room * 2 : 32;
        struct pull_file *more = cpv_arena_calloc(p->mem, room, sizeof *more);

        if (!more)
            return NULL;
        if (p->count)
            memcpy(more, p->files, p->count * sizeof *more);
        p->files = more;
        p->room = room;
    }
    return &p->files[p->count++];
}

static int add_file(struct pull *p, const struct remote *r, const char *name,
                    const char *folder, struct cpv_err *err)
{
    struct pull_file *f = new_file(p);
    struct cpv_buf url = {0};

    if (!f)
        return cpv_fail_memory(err);
    cpv_buf_printf(&url, "/%s/resolve/%s/", r->id, r->commit);
    cpv_hub_escape(&url, name, true);
    f->name = name;
    f->as = cpv_arena_printf(p->mem, "%s%s", folder, name);
    f->what = cpv_arena_printf(p->mem, "'%s' of '%s'", name, r->id);
    f->url = cpv_buf_cstr(&url) ? cpv_arena_str(p->mem, cpv_buf_view(&url)) : NULL;
    f->commit = r->commit;
    cpv_buf_release(&url);
    return f->as && f->what && f->url ? CPV_OK : cpv_fail_memory(err);
}

static struct pull_file *find_file(struct pull *p, const char *as)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->files[i].as, as) == 0)
            return &p->files[i];
    return NULL;
}

/* ---- one file ---- */

static int ask_file(struct pull *p, struct pull_file *f, struct cpv_err *err)
{
    int rc = f->asked ? CPV_OK : cpv_hub_head(p->p->hub, f->url, f->what, &f->meta, err);

    if (!rc && f->meta.commit[0] && strcmp(f->meta.commit, f->commit) != 0)
        rc = cpv_fail(err, CPV_E_INPUT, "%s: asked for commit %s, the hub answered %s",
                      f->what, f->commit, f->meta.commit);
    f->asked = !rc;
    return rc;
}

/* "../../blobs/DIGEST", one "../" more for each folder below the snapshot. */
static int link_file(struct pull *p, struct pull_file *f, struct cpv_err *err)
{
    const char *up = "../../", *slash = f->as, *target, *path, *folder;
    int rc = CPV_OK;

    while (up && (slash = strchr(slash, '/'))) {
        up = cpv_arena_printf(p->mem, "%s../", up);
        slash++;
    }
    target = cpv_arena_printf(p->mem, "%sblobs/%s", up ? up : "", f->meta.digest);
    path = cpv_arena_printf(p->mem, "%s/%s", p->snapshot, f->as);
    slash = path ? strrchr(path, '/') : NULL;
    folder =
        slash ? cpv_arena_str(p->mem, cpv_bytes_of(path, (size_t)(slash - path))) : NULL;
    if (!up || !target || !path || !folder)
        return cpv_fail_memory(err);
    rc = cpv_folder_make(folder, err);
    if (!rc)
        rc = cpv_file_link(target, path, err);
    if (!rc)
        rc = cpv_folder_sync(folder, err);
    f->here = !rc;
    return rc;
}

static int bring(struct pull *p, struct pull_file *f, struct cpv_err *err)
{
    int rc = f->here ? CPV_OK : ask_file(p, f, err);

    if (!rc && !f->here)
        rc = pull_blob(p, f, err);
    if (!rc && !f->here)
        rc = link_file(p, f, err);
    return rc;
}

/* A small one now, and its bytes. */
static int bring_and_read(struct pull *p, const char *as, struct cpv_buf *to,
                          struct cpv_err *err)
{
    struct pull_file *f = find_file(p, as);
    const char *blob;
    int rc = bring(p, f, err);

    if (rc)
        return rc;
    blob = pull_blob_path(p, f);
    return blob ? cpv_file_read(blob, JSON_MAX, to, err) : cpv_fail_memory(err);
}

/* ---- what some files say about others ---- */

static int add_shards(struct pull *p, const struct remote *r, const char *index,
                      struct cpv_err *err)
{
    struct cpv_buf text = {0};
    struct cpv_names shards = {0};
    int rc = bring_and_read(p, index, &text, err);

    if (!rc)
        rc = cpv_weights_shards(cpv_buf_view(&text), index, p->mem, &shards, err);
    cpv_buf_release(&text);
    for (size_t i = 0; !rc && i < shards.count; i++) {
        if (!cpv_names_have(&r->names, shards.at[i]))
            rc = cpv_fail(err, CPV_E_INPUT,
                          "'%s' of '%s' names '%s', which the model does not have", index,
                          r->id, shards.at[i]);
        else
            rc = add_file(p, r, shards.at[i], "", err);
    }
    return rc;
}

static int add_text_model(struct pull *p, struct cpv_err *err)
{
    static const char CONFIG[] = "open_clip_config.json";
    struct cpv_names names = {0};
    struct cpv_buf text = {0};
    struct remote r = {0};
    const char *id = NULL;
    int rc;

    if (!find_file(p, CONFIG))
        return CPV_OK;
    rc = bring_and_read(p, CONFIG, &text, err);
    if (!rc)
        rc = cpv_open_clip_text(cpv_buf_view(&text), CONFIG, p->mem, &id, err);
    cpv_buf_release(&text);
    if (rc || !id)
        return rc;
    rc = ask_hub(p, id, "main", &r, err);
    if (!rc)
        rc = cpv_files_choose_text(&r.names, p->mem, &names, err);
    for (size_t i = 0; !rc && i < names.count; i++)
        rc = add_file(p, &r, names.at[i], "text/", err);
    return rc;
}

/* Small files, those of the text tower, weights: in this order they come. */
static int plan(struct pull *p, const struct remote *r, struct cpv_err *err)
{
    struct cpv_weights w = cpv_weights_choose(&r->names);
    struct cpv_names names = {0};
    int rc;

    if (!w.file)
        return cpv_fail(err, CPV_E_INPUT,
                        "model '%s' has no weights that can be read: expected "
                        "safetensors, pytorch_model.bin, open_clip_*, adapter_model or "
                        "one .ckpt",
                        r->id);
    rc = cpv_files_choose(&r->names, p->mem, &names, err);
    for (size_t i = 0; !rc && i < names.count; i++)
        if (w.index || strcmp(names.at[i], w.file) != 0)
            rc = add_file(p, r, names.at[i], "", err);
    if (!rc)
        rc = add_text_model(p, err);
    if (rc)
        return rc;
    return w.index ? add_shards(p, r, w.file, err) : add_file(p, r, w.file, "", err);
}

/* ---- all of it ---- */

static int check_room(struct pull *p, struct cpv_err *err)
{
    struct statvfs s;
    uint64_t need = SPARE, free_bytes;

    for (size_t i = 0; i < p->count; i++)
        need += pull_blob_left(p, &p->files[i]);
    if (statvfs(p->repo, &s) < 0 || need == SPARE)
        return CPV_OK; /* the writes will tell */
    free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
    if (free_bytes >= need)
        return CPV_OK;
    return cpv_fail(err, CPV_E_SPACE,
                    "'%s': %.1f GB are to be fetched, and its disk has %.1f GB free",
                    p->repo, (double)need / 1e9, (double)free_bytes / 1e9);
}

static int make_folders(struct pull *p, const struct remote *r, struct cpv_err *err)
{
    const char *blobs = cpv_arena_printf(p->mem, "%s/blobs", p->repo);
    int rc;

    p->snapshot = cpv_arena_printf(p->mem, "%s/snapshots/%s", p->repo, r->commit);
    if (!blobs || !p->snapshot)
        return cpv_fail_memory(err);
    rc = cpv_folder_make(blobs, err);
    if (!rc)
        rc = cpv_folder_make(p->snapshot, err);
    return rc ? rc : cpv_folder_make(p->locks, err);
}

/* As Python's client does: a commit needs none. */
static int write_ref(struct pull *p, const struct remote *r, struct cpv_err *err)
{
    const char *path = cpv_arena_printf(p->mem, "%s/refs/%s", p->repo, p->name->revision);
    char *slash;
    const char *folder;
    int rc;

    if (strcmp(p->name->revision, r->commit) == 0)
        return CPV_OK;
    slash = path ? strrchr(path, '/') : NULL;
    folder =
        slash ? cpv_arena_str(p->mem, cpv_bytes_of(path, (size_t)(slash - path))) : NULL;
    if (!folder)
        return cpv_fail_memory(err);
    rc = cpv_folder_make(folder, err);
    if (!rc)
        rc = cpv_file_replace(path, cpv_bytes_str(r->commit), err);
    /* Another pull that ends just now writes the same. */
    for (int i = 0; rc == CPV_E_BUSY && i < 100; i++) {
        (void)poll(NULL, 0, 50);
        rc = cpv_file_replace(path, cpv_bytes_str(r->commit), err);
    }
    return rc;
}

static int bring_all(struct pull *p, struct cpv_pull_result *out, struct cpv_err *err)
{
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < p->count; i++) {
        rc = ask_file(p, &p->files[i], err);
        out->bytes += p->files[i].meta.size > 0 ? (uint64_t)p->files[i].meta.size : 0;
    }
    cpv_progress_total(p->p->progress, out->bytes);
    if (!rc)
        rc = check_room(p, err);
    for (size_t i = 0; !rc && i < p->count; i++)
        rc = cpv_stop_requested() ? cpv_fail(err, CPV_E_STOPPED,
                                             "stopped; run the same "
                                             "command again, it goes "
                                             "on from here")
                                  : bring(p, &p->files[i], err);
    return rc;
}

int cpv_model_pull(const struct cpv_pull_params *params,
                   const struct cpv_model_name *name, cpv_arena *mem,
                   struct cpv_pull_result *out, struct cpv_err *err)
{
    struct pull p = {.p = params, .name = name, .mem = mem};
    const char *locks = cpv_arena_printf(mem, "%s/.locks", params->root);
    struct remote r = {0};
    int rc;

    memset(out, 0, sizeof *out);
    p.repo = cpv_cache_repo(mem, params->root, name->id);
    p.locks = locks ? cpv_cache_repo(mem, locks, name->id) : NULL;
    if (!p.repo || !p.locks)
        return cpv_fail_memory(err);
    rc = ask_hub(&p, name->id, name->revision, &r, err);
    if (!rc)
        rc = make_folders(&p, &r, err);
    if (!rc)
        rc = plan(&p, &r, err);
    if (!rc)
        rc = bring_all(&p, out, err);
    if (!rc)
        rc = write_ref(&p, &r, err);
    out->path = p.snapshot;
    out->commit = r.commit;
    out->files = p.count;
    out->fetched = p.fetched;
    return rc;
}
