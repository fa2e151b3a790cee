/* SPDX-License-Identifier: Apache-2.0 */
/* capivara export: shards as other programs want them. */
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/stop.h"
#include "common/corpus/column.h"
#include "common/corpus/reference.h"
#include "common/format/brace.h"
#include "pipeline/command.h"
#include "pipeline/place.h"
#include "pipeline/text.h"

enum { PATHS_MAX = 100000 };

struct options {
    bool plain, reference;
    const char *output;
    struct cpv_texts langs;
};

static const struct cpv_opt OPTIONS[] = {
    {.name = "plain",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct options, plain),
     .help = "Plain tars with sizes.json (open_clip), .idx (DALI) and wids.json."},
    {.name = "reference-layout",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct options, reference),
     .help =
         "Plain tars as the trainer of the reference (CAPIVARA) reads them: image and "
         "JSON, captions-L extended by the generated ones where there are "
         "similarities; named 00000.tar, 00001.tar and so on."},
    {.name = "lang",
     .kind = CPV_OPT_LIST,
     .offset = offsetof(struct options, langs),
     .arg = "LANGS",
     .help = "With --reference-layout: leave out samples without a caption in one of "
             "these languages, where that trainer would stop."},
    {.name = "output",
     .aliases = "o out",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct options, output),
     .arg = "DIR",
     .help = "Folder to write to; made if it is not there."},
    {.kind = CPV_OPT_END},
};

/* The shards that go to one folder. */
struct set {
    struct cpv_call *call;
    const char *folder, *name;
    struct cpv_buf paths;    /* const char * */
    struct cpv_buf exported; /* struct cpv_exported */
    uint64_t samples, bytes, left_out;
};

static int add_column(struct set *s, const char *corpus, const char *column,
                      struct cpv_err *err)
{
    cpv_arena *mem = s->call->mem;
    struct cpv_column c;
    int rc = cpv_column_scan(corpus, column, mem, &c, err);

    for (uint32_t i = 0; !rc && i < c.count; i++) {
        char *path = cpv_column_path(mem, corpus, column, c.at[i].part, c.at[i].revision,
                                     CPV_FILE_SHARD);

        s->paths.failed |= !path;
        cpv_buf_add(&s->paths, &path, sizeof path);
    }
    return !rc && s->paths.failed ? cpv_fail_memory(err) : rc;
}

static int export_one(struct set *s, const char *path, struct cpv_err *err)
{
    const struct options *o = s->call->options;
    struct cpv_exported done;
    int rc;

    if (cpv_stop_requested())
        return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    if (o->reference)
        rc = cpv_reference_export(path, s->folder,
                                  (uint32_t)(s->exported.size / sizeof done), &o->langs,
                                  &done, &s->left_out, err);
    else
        rc = cpv_shard_export_plain(path, s->folder, &done, err);
    if (rc)
        return rc;
    cpv_log_debug(s->call->log, "'%s/%s': %u samples", s->folder, done.name,
                  done.samples);
    s->samples += done.samples;
    s->bytes += done.bytes;
    cpv_buf_add(&s->exported, &done, sizeof done);
    return s->exported.failed ? cpv_fail_memory(err) : CPV_OK;
}

static int write_set(struct set *s, struct cpv_err *err)
{
    const char **path = (const char **)(void *)s->paths.data;
    size_t n = s->paths.size / sizeof *path;
    char samples[32], bytes[32];
    int rc = cpv_folder_make(s->folder, err);

    for (size_t i = 0; !rc && i < n; i++)
        rc = export_one(s, path[i], err);
    if (!rc)
        rc = cpv_shard_export_lists(
            s->folder, s->name, (struct cpv_exported *)(void *)s->exported.data, n, err);
    cpv_text_count(samples, sizeof samples, s->samples);
    cpv_text_bytes(bytes, sizeof bytes, s->bytes);
    if (!rc && !s->call->quiet)
        printf("%s: %zu tars, %s samples, %s\n", s->folder, n, samples, bytes);
    if (!rc && s->left_out)
        cpv_log_warning(s->call->log,
                        "%llu samples have no caption in a language of --lang; left out",
                        (unsigned long long)s->left_out);
    cpv_buf_release(&s->paths);
    cpv_buf_release(&s->exported);
    return rc;
}

/* A corpus: each column to a folder of its own. */
static int export_corpus(struct cpv_call *call, const char *corpus, const char *output,
                         struct cpv_err *err)
{
    const char **names = NULL;
    uint32_t n = 0;
    int rc = cpv_columns_list(corpus, call->mem, &names, &n, err);

    for (uint32_t i = 0; !rc && i < n; i++) {
        struct set s = {.call = call, .name = names[i]};

        s.folder = cpv_arena_printf(call->mem, "%s/%s", output, names[i]);
        rc = s.folder ? add_column(&s, corpus, names[i], err) : cpv_fail_memory(err);
        if (!rc)
            rc = write_set(&s, err);
        cpv_buf_release(&s.paths);
    }
    return rc;
}

static int add_operand(struct set *s, const char *name, struct cpv_err *err)
{
    struct cpv_texts paths;
    int rc = cpv_brace_expand(name, PATHS_MAX, s->call->mem, &paths, err);

    for (size_t i = 0; !rc && i < paths.count; i++) {
        struct cpv_place place;

        rc = cpv_place_find(&place, paths.at[i], s->call->mem, err);
        if (!rc && place.corpus && !place.column)
            rc = cpv_fail(err, CPV_E_USAGE,
                          "'%s' is a corpus; export it on its own, or name a column",
                          paths.at[i]);
        if (!rc && place.column) {
            rc = add_column(s, place.corpus, place.column, err);
            s->name = place.column;
        } else if (!rc) {
            cpv_buf_add(&s->paths, &paths.at[i], sizeof paths.at[i]);
        }
    }
    return !rc && s->paths.failed ? cpv_fail_memory(err) : rc;
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    const struct options *o = call->options;
    struct set s = {.call = call, .folder = o->output};
    struct cpv_place place = {0};
    int rc = CPV_OK;

    if (o->plain == o->reference)
        return cpv_fail(err, CPV_E_USAGE,
                        "expected one of '--plain' and '--reference-layout'");
    if (o->langs.count && !o->reference)
        return cpv_fail(err, CPV_E_USAGE, "'--lang' goes with '--reference-layout'");
    if (!o->output || !*o->output)
        return cpv_fail(err, CPV_E_USAGE, "'--output' is needed; see --help");
    if (call->n_names == 1 && !strchr(call->names[0], '{'))
        rc = cpv_place_find(&place, call->names[0], call->mem, err);
    if (!rc && place.corpus && !place.column && o->reference)
        return cpv_fail(err, CPV_E_USAGE,
                        "'%s' is a corpus; name a set, such as '%s/shards/train'",
                        call->names[0], place.corpus);
    if (!rc && place.corpus && !place.column)
        return export_corpus(call, place.corpus, o->output, err);
    for (size_t i = 0; !rc && i < call->n_names; i++)
        rc = add_operand(&s, call->names[i], err);
    if (!rc)
        rc = write_set(&s, err);
    cpv_buf_release(&s.paths);
    return rc;
}

const struct cpv_command cpv_command_export = {
    .name = "export",
    .summary = "write shards as plain tars, for programs that read nothing else",
    .usage = "--plain|--reference-layout --output DIR SHARD... | CORPUS[/COLUMN]",
    .description =
        "--plain writes the same tar bytes uncompressed, an .idx beside each (DALI), and "
        "sizes.json (open_clip) and wids.json (wids) for the set. Shards and a column go "
        "to DIR itself, the columns of a corpus to DIR/COLUMN. Tars that are there "
        "already "
        "and equal are kept, so an interrupted export is simply run again.",
    .options = OPTIONS,
    .options_size = sizeof(struct options),
    .least = 1,
    .most = PATHS_MAX,
    .run = run,
};
