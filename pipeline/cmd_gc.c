/* SPDX-License-Identifier: Apache-2.0 */
/* capivara gc: removes what nobody needs any more. Nothing that counts is ever touched;
 * what a live process is writing is left alone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/column.h"
#include "pipeline/command.h"
#include "pipeline/place.h"
#include "pipeline/text.h"

struct options {
    bool dry_run, archived;
    int64_t min_age;
};

static const struct cpv_opt OPTIONS[] = {
    {.name = "dry-run",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct options, dry_run),
     .help = "Say what would be removed, remove nothing."},
    {.name = "archived",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct options, archived),
     .help =
         "Also forget parts whose shard was moved away: their records go, and a later "
         "run makes them anew."},
    {.name = "min-age",
     .kind = CPV_OPT_INT,
     .offset = offsetof(struct options, min_age),
     .fallback = "600",
     .min = 0,
     .max = 1e9,
     .arg = "SECONDS",
     .help = "Leave shards without a record alone for so long: a process that commits "
             "writes the record a moment after the shard."},
    {.kind = CPV_OPT_END},
};

struct gc {
    struct cpv_call *call;
    const struct options *opt;
    const char *corpus, *column;
    uint64_t files, bytes;
};

static const char *reason(cpv_file_kind kind)
{
    switch (kind) {
    case CPV_KIND_SUPERSEDED:
        return "superseded";
    case CPV_KIND_ORPHAN:
        return "unfinished commit";
    case CPV_KIND_DRAFT:
        return "left by a dead process";
    case CPV_KIND_SPENT:
        return "journal of a committed part";
    case CPV_KIND_GONE:
        return "archived";
    default:
        return NULL;
    }
}

static int remove_file(struct gc *g, const struct cpv_file *f, struct cpv_err *err)
{
    char size[32];

    if (!g->opt->dry_run && cpv_sys.unlink(f->path) < 0) {
        if (errno == ENOENT)
            return CPV_OK;
        return cpv_fail_sys(err, errno, "cannot remove '%s'", f->path);
    }
    g->files++;
    g->bytes += f->bytes;
    cpv_text_bytes(size, sizeof size, f->bytes);
    printf("%s %s (%s, %s)\n", g->opt->dry_run ? "would remove" : "removed", f->path,
           reason(f->kind), size);
    return CPV_OK;
}

/* Whoever could turn an orphan into a part writes its record next, and for that locks the
 * record's temporary file: we hold that lock while we look again and remove. Its age
 * keeps us from the moment before that. */
static int remove_orphan(struct gc *g, const struct cpv_file *f, struct cpv_err *err)
{
    const char *record = cpv_column_path(g->call->mem, g->corpus, g->column, f->part,
                                         f->revision, CPV_FILE_RECORD);
    cpv_draft *draft = NULL;
    int rc;

    if (f->age_s < g->opt->min_age)
        return CPV_OK;
    if (g->opt->dry_run)
        return remove_file(g, f, err);
    rc = record ? cpv_draft_open(&draft, record, err) : cpv_fail_memory(err);
    if (rc == CPV_E_BUSY)
        return CPV_OK;
    if (!rc && !cpv_file_exists(record))
        rc = remove_file(g, f, err);
    cpv_draft_discard(&draft);
    return rc;
}

static int remove_draft(struct gc *g, const struct cpv_file *f, struct cpv_err *err)
{
    int fd = -1, rc;

    if (g->opt->dry_run)
        return cpv_file_held(f->path) ? CPV_OK : remove_file(g, f, err);
    if (cpv_file_held(f->path)) /* without making it anew, as locking would */
        return CPV_OK;
    rc = cpv_file_lock(&fd, f->path, err);
    if (rc == CPV_E_BUSY)
        return CPV_OK;
    if (!rc)
        rc = remove_file(g, f, err);
    cpv_file_close(&fd);
    return rc;
}

static int consider(struct gc *g, const struct cpv_file *f, struct cpv_err *err)
{
    switch (f->kind) {
    case CPV_KIND_SUPERSEDED:
    case CPV_KIND_SPENT:
        return remove_file(g, f, err);
    case CPV_KIND_GONE:
        return g->opt->archived ? remove_file(g, f, err) : CPV_OK;
    case CPV_KIND_ORPHAN:
        return remove_orphan(g, f, err);
    case CPV_KIND_DRAFT:
        return remove_draft(g, f, err);
    default:
        return CPV_OK;
    }
}

static int clean_column(struct gc *g, struct cpv_err *err)
{
    struct cpv_file *files = NULL;
    uint64_t before = g->files;
    size_t n = 0;
    int rc = cpv_place_files(g->corpus, g->column, g->call->mem, &files, &n, err);

    for (size_t i = 0; !rc && i < n; i++) {
        if (cpv_stop_requested())
            rc = cpv_fail(err, CPV_E_STOPPED, "stopped; what was removed is removed");
        else
            rc = consider(g, &files[i], err);
    }
    if (!rc && g->files > before && !g->opt->dry_run) {
        const char *folder =
            cpv_arena_printf(g->call->mem, "%s/%s", g->corpus, g->column);

        rc = folder ? cpv_folder_sync(folder, err) : cpv_fail_memory(err);
    }
    return rc;
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    struct gc g = {.call = call, .opt = call->options};
    struct cpv_place place;
    const char **names = NULL;
    char size[32];
    uint32_t n = 0;
    int rc = cpv_place_find(&place, call->names[0], call->mem, err);

    if (!rc && !place.corpus)
        rc = cpv_fail(err, CPV_E_USAGE, "'%s': expected a corpus, not a file",
                      call->names[0]);
    if (!rc)
        rc = cpv_place_columns(&place, call->mem, &names, &n, err);
    g.corpus = place.corpus;
    for (uint32_t i = 0; !rc && i < n; i++) {
        g.column = names[i];
        rc = clean_column(&g, err);
    }
    if (rc)
        return rc;
    cpv_text_bytes(size, sizeof size, g.bytes);
    printf("%s %s in %llu files\n", g.opt->dry_run ? "would free" : "freed", size,
           (unsigned long long)g.files);
    return CPV_OK;
}

const struct cpv_command cpv_command_gc = {
    .name = "gc",
    .summary = "remove superseded revisions and what dead processes left",
    .usage = "CORPUS [--dry-run] [--archived]",
    .description =
        "Removes revisions that a newer one has replaced, shards whose commit was cut "
        "short, journals of committed parts, and temporary files whose writer is dead. "
        "Parts that count, journals of parts that do not yet, and files in use stay.\n\n"
        "An archived part is one whose shard you moved away and whose record is still "
        "there: it counts as done until --archived forgets it.",
    .options = OPTIONS,
    .options_size = sizeof(struct options),
    .least = 1,
    .most = 1,
    .run = run,
};
