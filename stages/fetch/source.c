/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input as parts: ranges of rows of a list (by a plan, which is cached), or one
 * tar each.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/column.h"
#include "common/format/brace.h"
#include "stages/fetch/fetch.h"

enum { TARS_MAX = CPV_PARTS_MAX };

struct fetch_source {
    struct cpv_rows_params params;
    struct cpv_plan *plan; /* lists and folders */
    struct cpv_texts tars; /* webdataset */
    struct fetch_tars *digests;
    char *cache; /* of the digests */
    bool keep_cache;
    cpv_rows *rows; /* at the part that was read last */
    bool salvage;
};

/* ---- opening ---- */

/* A column and a kind, or nothing: the option's check has seen to it. */
static void take_hash(fetch_source *s, const struct fetch_settings *set)
{
    if (set->hash.count == 0)
        return;
    s->params.hash_column = set->hash.at[0];
    s->params.hash_kind =
        strcmp(set->hash.at[1], "sha256") == 0 ? CPV_ROWS_HASH_SHA256 : CPV_ROWS_HASH_MD5;
}

static bool plan_goes_on(void *payload, uint64_t rows, uint64_t bytes)
{
    struct cpv_run *run = payload;

    (void)bytes;
    cpv_progress_note(run->progress, "reading the input: %llu rows",
                      (unsigned long long)rows);
    return !cpv_stop_requested();
}

static int make_plan(fetch_source *s, struct cpv_run *run, struct cpv_err *err)
{
    const struct fetch_settings *set = run->settings;
    uint64_t rows_per_part = (uint64_t)set->rows_per_part;
    struct cpv_plan_watch watch = {plan_goes_on, run};
    char *cache = cpv_arena_printf(run->mem, "%s/fetch/.plan", run->corpus);
    struct cpv_err ignored;
    int rc;

    if (!cache)
        return cpv_fail_memory(err);
    rc = cpv_plan_load(&s->plan, cache, &s->params, rows_per_part, err);
    if (rc)
        return rc < 0 ? rc : CPV_OK;
    rc = cpv_plan_make(&s->plan, &s->params, rows_per_part, &watch, err);
    if (rc)
        return rc;
    cpv_progress_note(run->progress, " ");
    if (!run->dry_run && cpv_file_exists(run->corpus) &&
        cpv_plan_save(s->plan, cache, &s->params, rows_per_part, &ignored))
        cpv_log_debug(run->log, "the plan was not kept: %s", ignored.text);
    return CPV_OK;
}

static bool is_tar_name(const char *name)
{
    static const char *const ends[] = {".tar", ".tar.zst", ".tar.gz", ".tgz"};
    size_t n = strlen(name);

    for (size_t i = 0; i < CPV_COUNT(ends); i++) {
        size_t m = strlen(ends[i]);

        if (n > m && name[0] != '.' && strcmp(name + n - m, ends[i]) == 0)
            return true;
    }
    return false;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every tar of a folder, by name. */
static int list_tars(struct cpv_run *run, const char *path, struct cpv_texts *out,
                     struct cpv_err *err)
{
    struct cpv_buf found = {0};
    DIR *dir = opendir(path);
    struct dirent *e;
    const char **at = NULL;

    if (!dir)
        return cpv_fail_sys(err, errno, "cannot open folder '%s'", path);
    while ((e = readdir(dir)) && !found.failed) {
        char *name = is_tar_name(e->d_name)
                         ? cpv_arena_printf(run->mem, "%s/%s", path, e->d_name)
                         : NULL;

        if (name)
            cpv_buf_add(&found, &name, sizeof name);
    }
    closedir(dir);
    out->count = found.size / sizeof(char *);
    if (!found.failed)
        at = cpv_arena_calloc(run->mem, out->count + 1, sizeof *at);
    if (at && out->count) {
        memcpy(at, found.data, found.size);
        qsort(at, out->count, sizeof *at, compare_paths);
    }
    cpv_buf_release(&found);
    out->at = at;
    return at ? CPV_OK : cpv_fail_memory(err);
}

static int open_tars(fetch_source *s, struct cpv_run *run, struct cpv_err *err)
{
    const struct fetch_settings *set = run->settings;
    struct stat st;
    int rc;

    if (cpv_sys.stat(set->path, &st) == 0 && S_ISDIR(st.st_mode))
        rc = list_tars(run, set->path, &s->tars, err);
    else
        rc = cpv_brace_expand(set->path, TARS_MAX, run->mem, &s->tars, err);
    s->keep_cache = !run->dry_run;
    s->cache = cpv_arena_printf(run->mem, "%s/fetch/.tars", run->corpus);
    if (!rc && !s->cache)
        rc = cpv_fail_memory(err);
    if (!rc && s->tars.count == 0)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': no tars there", set->path);
    for (size_t i = 0; i < s->tars.count && !rc; i++)
        if (!cpv_file_exists(s->tars.at[i]))
            rc = cpv_fail_sys(err, ENOENT, "cannot open '%s'", s->tars.at[i]);
    return rc;
}

/* By name; of a pattern, by the first name that it stands for. */
static int guess(struct cpv_run *run, const char *path, int *out, struct cpv_err *err)
{
    struct cpv_texts names = {0};
    int rc = strchr(path, '{') ? cpv_brace_expand(path, TARS_MAX, run->mem, &names, err)
                               : CPV_OK;

    *out =
        rc ? (int)CPV_ROWS_AUTO : (int)cpv_rows_guess(names.count ? names.at[0] : path);
    return rc;
}

/* By name, or a folder; asked once, so that all who need it are of one opinion. */
int fetch_settle(struct cpv_run *run, struct cpv_err *err)
{
    struct fetch_settings *set = run->settings;
    struct stat st;
    bool there;

    if (!set->path || !*set->path)
        return cpv_fail(err, CPV_E_USAGE, "'--input' (input.path) is needed; see --help");
    if (set->format != CPV_ROWS_AUTO)
        return CPV_OK;
    there = cpv_sys.stat(set->path, &st) == 0;
    if (!there && errno != ENOENT) /* which may be a pattern for tars */
        return cpv_fail_sys(err, errno, "cannot look at '%s'", set->path);
    if (!there)
        return guess(run, set->path, &set->format, err);
    set->format =
        S_ISDIR(st.st_mode) ? (int)CPV_ROWS_FOLDER : (int)cpv_rows_guess(set->path);
    return CPV_OK;
}

int fetch_source_open(fetch_source **out, struct cpv_run *run, struct cpv_err *err)
{
    const struct fetch_settings *set = run->settings;
    fetch_source *s = cpv_calloc(1, sizeof *s);
    int rc;

    *out = NULL;
    if (!s)
        return cpv_fail_memory(err);
    s->salvage = set->salvage;
    s->params = (struct cpv_rows_params){
        .path = set->path,
        .format = (cpv_rows_format)set->format,
        .url = set->url,
        .file = set->file,
        .root = set->root,
        .captions = set->captions,
        .extra = set->extra,
        .header = (cpv_rows_header)set->header,
    };
    take_hash(s, set);
    rc = s->params.format == CPV_ROWS_WEBDATASET ? open_tars(s, run, err)
                                                 : make_plan(s, run, err);
    if (rc)
        fetch_source_close(&s);
    *out = s;
    return rc;
}

void fetch_source_close(fetch_source **sp)
{
    fetch_source *s = *sp;

    *sp = NULL;
    if (!s)
        return;
    cpv_rows_close(&s->rows);
    cpv_plan_close(&s->plan);
    fetch_tars_close(&s->digests);
    cpv_free(s);
}

uint32_t fetch_source_parts(const fetch_source *s)
{
    return s->plan ? s->plan->n_parts : (uint32_t)s->tars.count;
}

uint64_t fetch_source_rows(const fetch_source *s)
{
    return s->plan ? s->plan->rows : 0;
}

bool fetch_source_is_tars(const fetch_source *s)
{
    return !s->plan;
}

/* ---- parts ---- */

static int digest_tar(fetch_source *s, uint32_t part, uint8_t out[CPV_SHA256_SIZE],
                      struct cpv_err *err)
{
    int rc = s->digests ? CPV_OK : fetch_tars_open(&s->digests, s->cache, err);

    if (!rc)
        rc = fetch_tars_digest(s->digests, s->tars.at[part], out, err);
    if (!rc && s->keep_cache)
        fetch_tars_save(s->digests, s->cache);
    return rc;
}

int fetch_source_describe(fetch_source *s, uint32_t part, cpv_arena *mem,
                          struct cpv_record *out, struct cpv_err *err)
{
    out->inputs = cpv_arena_calloc(mem, 1, sizeof *out->inputs);
    if (!out->inputs)
        return cpv_fail_memory(err);
    out->n_inputs = 1;
    if (!s->plan) {
        out->inputs[0].name = "tar";
        return digest_tar(s, part, out->inputs[0].sha256, err);
    }
    out->inputs[0].name = "rows";
    memcpy(out->inputs[0].sha256, s->plan->parts[part].sha256, CPV_SHA256_SIZE);
    out->row_begin = s->plan->parts[part].row_begin;
    out->row_end = s->plan->parts[part].row_end;
    return CPV_OK;
}

int fetch_source_rows_of(fetch_source *s, uint32_t part, cpv_arena *mem,
                         struct cpv_row **rows, uint32_t *n, struct cpv_err *err)
{
    const struct cpv_plan_part *p = &s->plan->parts[part];
    uint64_t want = p->row_end - p->row_begin;
    int rc = s->rows ? cpv_rows_move_part(s->rows, s->plan, part, err)
                     : cpv_rows_open_part(&s->rows, &s->params, s->plan, part, err);

    *n = 0;
    *rows = cpv_arena_calloc(mem, (size_t)want + 1, sizeof **rows);
    if (!rc && !*rows)
        rc = cpv_fail_memory(err);
    while (!rc) {
        struct cpv_row row;

        rc = cpv_rows_next(s->rows, mem, &row, err);
        if (rc <= 0)
            break;
        rc = *n < want ? CPV_OK
                       : cpv_fail(err, CPV_E_INPUT,
                                  "'%s': more rows in part %05u than "
                                  "planned: the file has changed",
                                  s->params.path, part);
        if (!rc)
            (*rows)[(*n)++] = row;
    }
    return rc;
}

int fetch_source_samples_of(fetch_source *s, uint32_t part, cpv_samples **out,
                            struct cpv_err *err)
{
    struct cpv_samples_params params = {
        .salvage = s->salvage, .repeats = true, .read_ahead = 2};

    return cpv_samples_open(out, s->tars.at[part], &params, err);
}
