/* SPDX-License-Identifier: Apache-2.0 */
/* See cache.h. The list of what there is: cache_list.c. */
#include "common/model/cache.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/model/files.h"

enum { REF_MAX = 4096, TOKEN_MAX = 16384 };

/* ---- the environment ---- */

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static const char *env2(const char *first, const char *second)
{
    const char *value = env(first);

    return value ? value : env(second);
}

/* huggingface_hub's constants.py: 1, ON, YES, TRUE in any case. */
static bool is_true(const char *value)
{
    return value && (strcmp(value, "1") == 0 || strcasecmp(value, "on") == 0 ||
                     strcasecmp(value, "yes") == 0 || strcasecmp(value, "true") == 0);
}

/* "~/x" and "~" as os.path.expanduser has them. */
static const char *expand(const char *path, cpv_arena *mem)
{
    const char *home = env("HOME");

    if (path[0] == '~' && (path[1] == '/' || !path[1]) && home)
        return cpv_arena_printf(mem, "%s%s", home, path + 1);
    return cpv_arena_str(mem, cpv_bytes_str(path));
}

static const char *hf_home(cpv_arena *mem)
{
    const char *set = env("HF_HOME"), *cache = env("XDG_CACHE_HOME");

    if (set)
        return expand(set, mem);
    if (!cache)
        cache = "~/.cache";
    cache = expand(cache, mem);
    return cache ? cpv_arena_printf(mem, "%s/huggingface", cache) : NULL;
}

/* The file's text without white space around it. No file: no token. */
static int read_token(const char *path, cpv_arena *mem, const char **token,
                      struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = cpv_file_read(path, TOKEN_MAX, &text, err);
    size_t from = 0, to = text.size;

    if (rc == CPV_E_ABSENT)
        rc = CPV_OK;
    while (from < to && isspace(text.data[from]))
        from++;
    while (to > from && isspace(text.data[to - 1]))
        to--;
    if (!rc && to > from) {
        *token = cpv_arena_str(mem, cpv_bytes_of(text.data + from, to - from));
        if (!*token)
            rc = cpv_fail_memory(err);
    }
    cpv_buf_release(&text);
    return rc;
}

static int stall_of(const char *seconds)
{
    char *end;
    long n = seconds ? strtol(seconds, &end, 10) : 0;

    return seconds && !*end && n > 0 && n <= 86400 ? (int)n * 1000 : 0;
}

int cpv_hub_env_read(struct cpv_hub_env *out, cpv_arena *mem, struct cpv_err *err)
{
    const char *home = hf_home(mem), *root, *path;

    memset(out, 0, sizeof *out);
    if (!home)
        return cpv_fail_memory(err);
    root = env2("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE");
    out->root = root ? expand(root, mem) : cpv_arena_printf(mem, "%s/hub", home);
    path = env("HF_TOKEN_PATH");
    path = path ? expand(path, mem) : cpv_arena_printf(mem, "%s/token", home);
    if (!out->root || !path)
        return cpv_fail_memory(err);
    out->endpoint = env("HF_ENDPOINT");
    out->ca_file = env2("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE");
    out->stall_ms = stall_of(env("HF_HUB_DOWNLOAD_TIMEOUT"));
    out->offline = is_true(env("HF_HUB_OFFLINE")) || is_true(env("TRANSFORMERS_OFFLINE"));
    out->token = env2("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN");
    return out->token ? CPV_OK : read_token(path, mem, &out->token, err);
}

/* ---- paths ---- */

char *cpv_cache_repo(cpv_arena *mem, const char *root, const char *id)
{
    const char *slash = strchr(id, '/');

    if (!slash)
        return cpv_arena_printf(mem, "%s/models--%s", root, id);
    return cpv_arena_printf(mem, "%s/models--%.*s--%s", root, (int)(slash - id), id,
                            slash + 1);
}

/* What is no commit was not written by a hub's client, so it says nothing. */
static int read_ref(const char *path, cpv_arena *mem, const char **commit,
                    struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = cpv_file_read(path, REF_MAX, &text, err);
    size_t n = text.size;
    char *word = NULL;

    while (n > 0 && isspace(text.data[n - 1]))
        n--;
    if (!rc && !(word = cpv_arena_str(mem, cpv_bytes_of(text.data, n))))
        rc = cpv_fail_memory(err);
    cpv_buf_release(&text);
    if (!rc && cpv_model_commit_valid(word))
        *commit = word;
    return rc == CPV_E_ABSENT ? CPV_OK : rc;
}

int cpv_cache_commit(const char *root, const struct cpv_model_name *name, cpv_arena *mem,
                     const char **commit, struct cpv_err *err)
{
    const char *repo = cpv_cache_repo(mem, root, name->id), *path;

    *commit = NULL;
    if (!repo)
        return cpv_fail_memory(err);
    if (cpv_model_commit_valid(name->revision)) {
        *commit = cpv_arena_str(mem, cpv_bytes_str(name->revision));
        return *commit ? CPV_OK : cpv_fail_memory(err);
    }
    path = cpv_arena_printf(mem, "%s/refs/%s", repo, name->revision);
    return path ? read_ref(path, mem, commit, err) : cpv_fail_memory(err);
}

/* ---- from a name to a folder ---- */

/* 1: it is there; 0: it is not. */
static int find_path(const char *text, const char *base, cpv_arena *mem,
                     struct cpv_model_place *out, struct cpv_err *err)
{
    bool joined = base && *base && text[0] != '/';
    struct stat st;

    out->path = joined ? cpv_arena_printf(mem, "%s/%s", base, text)
                       : cpv_arena_str(mem, cpv_bytes_str(text));
    if (!out->path)
        return cpv_fail_memory(err);
    if (cpv_sys.stat(out->path, &st) < 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)
            return 0;
        return cpv_fail_sys(err, errno, "cannot look at '%s'", out->path);
    }
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return cpv_fail(err, CPV_E_INPUT, "'%s' is neither a folder nor a file",
                        out->path);
    out->is_file = S_ISREG(st.st_mode);
    return 1;
}

static int find_cached(const char *text, const struct cpv_model_name *name,
                       cpv_arena *mem, struct cpv_model_place *out, struct cpv_err *err)
{
    const char *commit = NULL, *repo, *looked = out->path;
    struct cpv_model_files files;
    struct cpv_hub_env e;
    int rc = cpv_hub_env_read(&e, mem, err);

    if (!rc)
        rc = cpv_cache_commit(e.root, name, mem, &commit, err);
    if (rc)
        return rc;
    repo = cpv_cache_repo(mem, e.root, name->id);
    out->path =
        repo && commit ? cpv_arena_printf(mem, "%s/snapshots/%s", repo, commit) : NULL;
    if (!repo || (commit && !out->path))
        return cpv_fail_memory(err);
    if (!commit || !cpv_file_exists(out->path))
        return cpv_fail(err, CPV_E_INPUT,
                        "model '%s' is neither the folder '%s' nor in the cache '%s'; "
                        "fetch it: capivara models pull %s",
                        text, looked, e.root, text);
    rc = cpv_model_files_look(out->path, mem, &files, err);
    if (!rc && files.missing)
        rc = cpv_fail(err, CPV_E_INPUT,
                      "model '%s' is in the cache, but '%s' lacks %s; fetch it: capivara "
                      "models pull %s",
                      text, out->path, files.missing, text);
    out->id = cpv_arena_str(mem, cpv_bytes_str(name->id));
    out->commit = commit;
    return !rc && !out->id ? cpv_fail_memory(err) : rc;
}

int cpv_model_find(const char *text, const char *base, cpv_arena *mem,
                   struct cpv_model_place *out, struct cpv_err *err)
{
    struct cpv_model_name name;
    int rc;

    memset(out, 0, sizeof *out);
    if (!*text)
        return cpv_fail(err, CPV_E_INPUT, "a model's name or folder is empty");
    rc = find_path(text, base, mem, out, err);
    if (rc)
        return rc < 0 ? rc : CPV_OK;
    if (text[0] == '/' || strncmp(text, "./", 2) == 0 || strncmp(text, "../", 3) == 0)
        return cpv_fail(err, CPV_E_INPUT, "model '%s' is not there", out->path);
    if (cpv_model_name_parse(&name, text, NULL))
        return cpv_fail(err, CPV_E_INPUT,
                        "model '%s' is neither a folder ('%s') nor a name as in "
                        "`capivara models pull org/name`",
                        text, out->path);
    return find_cached(text, &name, mem, out, err);
}
