/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in the cache: see cache.h. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/model/cache.h"
#include "common/model/files.h"

struct entries {
    struct cpv_cache_entry *at;
    size_t count, room;
    cpv_arena *mem;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names in a folder without those that begin with a dot, sorted; none if it is absent. */
static int read_folder(const char *path, cpv_arena *mem, struct cpv_names *out,
                       struct cpv_err *err)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    size_t room = 0;
    int rc = CPV_OK;

    out->at = NULL;
    out->count = 0;
    if (!dir && (errno == ENOENT || errno == ENOTDIR))
        return CPV_OK;
    if (!dir)
        return cpv_fail_sys(err, errno, "cannot open the folder '%s'", path);
    while (!rc && (e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        if (out->count == room) {
            const char **more = cpv_arena_calloc(mem, room ? room * 2 : 32, sizeof *more);

            if (more && room)
                memcpy(more, out->at, room * sizeof *more);
            rc = more ? CPV_OK : cpv_fail_memory(err);
            room = room ? room * 2 : 32;
            out->at = more ? more : out->at;
        }
        if (!rc &&
            !(out->at[out->count++] = cpv_arena_str(mem, cpv_bytes_str(e->d_name))))
            rc = cpv_fail_memory(err);
    }
    (void)closedir(dir);
    if (!rc && out->count)
        qsort(out->at, out->count, sizeof *out->at, by_name);
    return rc;
}

/* "models--org--name" into "org/name"; NULL if it is none. */
static const char *id_of(const char *folder, cpv_arena *mem)
{
    static const char PREFIX[] = "models--";
    const char *rest, *dashes;
    char *id;

    if (strncmp(folder, PREFIX, sizeof PREFIX - 1) != 0)
        return NULL;
    rest = folder + sizeof PREFIX - 1;
    dashes = strstr(rest, "--");
    id = dashes ? cpv_arena_printf(mem, "%.*s/%s", (int)(dashes - rest), rest, dashes + 2)
                : cpv_arena_str(mem, cpv_bytes_str(rest));
    return id && cpv_model_id_valid(id) ? id : NULL;
}

/* ---- refs ---- */

struct ref {
    const char *name, *commit;
};

struct refs {
    struct ref at[64]; /* more are not named */
    size_t count;
};

static int add_refs(struct refs *r, const char *root, const char *id, const char *folder,
                    const char *below, int depth, cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_names names;
    int rc = read_folder(folder, mem, &names, err);

    for (size_t i = 0; !rc && i < names.count; i++) {
        const char *name =
            cpv_arena_printf(mem, "%s%s%s", below, *below ? "/" : "", names.at[i]);
        const char *path = cpv_arena_printf(mem, "%s/%s", folder, names.at[i]);
        struct cpv_model_name n;
        const char *whole = cpv_arena_printf(mem, "%s@%s", id, name ? name : "");
        const char *commit = NULL;
        struct stat st;

        if (!name || !path || !whole)
            return cpv_fail_memory(err);
        if (cpv_sys.stat(path, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < 4)
            rc = add_refs(r, root, id, path, name, depth + 1, mem, err);
        if (!S_ISREG(st.st_mode) || cpv_model_name_parse(&n, whole, NULL))
            continue;
        rc = cpv_cache_commit(root, &n, mem, &commit, err);
        if (!rc && commit && r->count < sizeof r->at / sizeof *r->at)
            r->at[r->count++] = (struct ref){name, commit};
    }
    return rc;
}

static const char *revisions_of(const struct refs *r, const char *commit, cpv_arena *mem)
{
    const char *all = "";

    for (size_t i = 0; all && i < r->count; i++)
        if (strcmp(r->at[i].commit, commit) == 0)
            all = cpv_arena_printf(mem, "%s%s%s", all, *all ? ", " : "", r->at[i].name);
    return all;
}

/* ---- models ---- */

static struct cpv_cache_entry *add_entry(struct entries *e)
{
    if (e->count == e->room) {
        size_t room = e->room ? e->room * 2 : 16;
        struct cpv_cache_entry *more = cpv_arena_calloc(e->mem, room, sizeof *more);

        if (!more)
            return NULL;
        if (e->count)
            memcpy(more, e->at, e->count * sizeof *more);
        e->at = more;
        e->room = room;
    }
    return &e->at[e->count++];
}

static int count_incomplete(const char *repo, cpv_arena *mem, uint64_t *bytes,
                            struct cpv_err *err)
{
    static const char END[] = ".incomplete";
    const char *folder = cpv_arena_printf(mem, "%s/blobs", repo);
    struct cpv_names names;
    int rc = folder ? read_folder(folder, mem, &names, err) : cpv_fail_memory(err);

    for (size_t i = 0; !rc && i < names.count; i++) {
        size_t n = strlen(names.at[i]);
        const char *path;
        struct stat st;

        if (n < sizeof END || strcmp(names.at[i] + n - (sizeof END - 1), END) != 0)
            continue;
        path = cpv_arena_printf(mem, "%s/%s", folder, names.at[i]);
        if (!path)
            return cpv_fail_memory(err);
        if (cpv_sys.stat(path, &st) == 0)
            *bytes += (uint64_t)st.st_size;
    }
    return rc;
}

static int add_snapshot(struct entries *e, const struct refs *refs, const char *id,
                        const char *folder, const char *commit, struct cpv_err *err)
{
    struct cpv_model_files files;
    struct cpv_cache_entry *entry;
    const char *path = cpv_arena_printf(e->mem, "%s/%s", folder, commit);
    int rc = path ? CPV_OK : cpv_fail_memory(err);

    if (!rc)
        rc = cpv_model_files_look(path, e->mem, &files, err);
    if (rc == CPV_E_INPUT) { /* an index that is none: listed, as not complete */
        files.missing = "a readable index";
        rc = CPV_OK;
    }
    if (rc)
        return rc;
    entry = add_entry(e);
    if (!entry)
        return cpv_fail_memory(err);
    *entry = (struct cpv_cache_entry){
        .id = id,
        .commit = commit,
        .revisions = revisions_of(refs, commit, e->mem),
        .path = path,
        .format = files.weights.format,
        .missing = files.missing,
        .lacks = files.lacks,
        .files = files.names.count,
        .bytes = files.bytes,
    };
    return entry->revisions ? CPV_OK : cpv_fail_memory(err);
}

static int add_model(struct entries *e, const char *root, const char *folder,
                     struct cpv_err *err)
{
    const char *id = id_of(folder, e->mem);
    const char *repo = cpv_arena_printf(e->mem, "%s/%s", root, folder);
    const char *refs_at = repo ? cpv_arena_printf(e->mem, "%s/refs", repo) : NULL;
    const char *at = repo ? cpv_arena_printf(e->mem, "%s/snapshots", repo) : NULL;
    struct refs refs = {.count = 0};
    struct cpv_names commits;
    size_t before = e->count;
    uint64_t incomplete = 0;
    int rc;

    if (!id)
        return CPV_OK;
    if (!at || !refs_at)
        return cpv_fail_memory(err);
    rc = add_refs(&refs, root, id, refs_at, "", 0, e->mem, err);
    if (!rc)
        rc = read_folder(at, e->mem, &commits, err);
    if (!rc)
        rc = count_incomplete(repo, e->mem, &incomplete, err);
    for (size_t i = 0; !rc && i < commits.count; i++)
        if (cpv_model_commit_valid(commits.at[i]))
            rc = add_snapshot(e, &refs, id, at, commits.at[i], err);
    if (!rc && e->count == before && incomplete > 0) {
        struct cpv_cache_entry *entry = add_entry(e);

        if (!entry)
            return cpv_fail_memory(err);
        *entry = (struct cpv_cache_entry){
            .id = id, .revisions = "", .path = repo, .missing = "the weights"};
    }
    if (!rc && e->count > before)
        e->at[before].incomplete = incomplete;
    return rc;
}

int cpv_cache_list(const char *root, cpv_arena *mem, struct cpv_cache_entry **out,
                   size_t *count, struct cpv_err *err)
{
    struct entries e = {.mem = mem};
    struct cpv_names names;
    int rc = read_folder(root, mem, &names, err);

    for (size_t i = 0; !rc && i < names.count; i++)
        rc = add_model(&e, root, names.at[i], err);
    *out = e.at;
    *count = e.count;
    return rc;
}
