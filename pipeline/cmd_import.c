/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capivara import: translations made elsewhere as a column like any other. The work is
 * the translate stage's, which takes them in the place of a model's.
 */
#include <string.h>

#include "common/base/file.h"
#include "pipeline/command.h"
#include "pipeline/spawn.h"

struct options {
    const char *corpus, *lang, *from;
    bool generated, redo;
};

static const struct cpv_opt OPTIONS[] = {
    {.name = "corpus",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct options, corpus),
     .fallback = ".",
     .arg = "DIR",
     .help = "Folder of the corpus. Default: the current one."},
    {.name = "lang",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct options, lang),
     .arg = "LANG",
     .help = "Language: the column is translate-LANG."},
    {.name = "from",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct options, from),
     .fallback = "en",
     .arg = "LANG",
     .help = "Language of the captions that were translated."},
    {.name = "generated",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct options, generated),
     .help = "Of generated captions, too: their indices follow those of the originals."},
    {.name = "redo",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct options, redo),
     .help = "Replace what the column was made of before."},
    {.kind = CPV_OPT_END},
};

static int import_run(struct cpv_call *call, struct cpv_err *err)
{
    const struct options *o = call->options;
    const char *argv[20];
    char *program = cpv_program_find("capivara-translate", call->mem);
    size_t n = 0;

    if (!o->lang)
        return cpv_fail(err, CPV_E_USAGE, "'--lang' is needed; see --help");
    if (!program)
        return cpv_fail(err, CPV_E_ABSENT, "cannot find 'capivara-translate'");
    argv[n++] = "capivara-translate";
    argv[n++] = "--corpus";
    argv[n++] = o->corpus;
    argv[n++] = "--lang";
    argv[n++] = o->lang;
    argv[n++] = "--from";
    argv[n++] = o->from;
    argv[n++] = "--import";
    argv[n++] = call->names[0];
    if (o->generated)
        argv[n++] = "--generated";
    if (o->redo)
        argv[n++] = "--redo";
    if (call->quiet)
        argv[n++] = "--quiet";
    if (call->verbose)
        argv[n++] = "--verbose";
    argv[n] = NULL;
    return cpv_program_become(program, (char *const *)(uintptr_t)argv, err);
}

const struct cpv_command cpv_command_import = {
    .name = "import",
    .summary = "translations made elsewhere become a column",
    .usage = "--lang LANG [--corpus DIR] FILE.tsv",
    .description =
        "Reads rows of key, index and text, parted by tabs (a header of these words may "
        "stand first), and makes column translate-LANG of them, as a model would have. "
        "The "
        "index counts a sample's original captions from 0 and, with --generated, then "
        "its "
        "generated ones. Captions without a row are empty and flagged so.",
    .options = OPTIONS,
    .options_size = sizeof(struct options),
    .least = 1,
    .most = 1,
    .run = import_run,
};
