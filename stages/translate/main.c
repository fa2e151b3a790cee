/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-translate: captions of a corpus, or lines, into another language. */
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/stage/model.h"
#include "stages/translate/translate.h"

/* ---- what the output depends on ---- */

static int find_model(struct cpv_run *run, const char **folder, struct cpv_err *err)
{
    const struct translate_settings *set = run->settings;
    char *key = cpv_arena_printf(run->mem, "translate.%s.model", run->instance);

    return key ? cpv_stage_model_find(run, set->model, key, folder, err)
               : cpv_fail_memory(err);
}

static int settle(struct cpv_run *run, struct cpv_err *err)
{
    struct translate_settings *set = run->settings;
    uint8_t digest[CPV_SHA256_SIZE];
    char hex[CPV_SHA256_HEX];
    const char *folder = NULL;
    int rc;

    if (!set->import) {
        set->backend = cpv_stage_backend(run->device);
        rc = find_model(run, &folder, err);
        return rc ? rc
                  : cpv_stage_model_digest(folder, run->mem, &set->model_sha256, err);
    }
    set->backend = "import";
    rc = cpv_file_sha256(set->import, digest, err);
    if (rc)
        return rc;
    cpv_hex(hex, digest, sizeof digest);
    set->model_sha256 = cpv_arena_str(run->mem, cpv_bytes_str(hex));
    return set->model_sha256 ? CPV_OK : cpv_fail_memory(err);
}

/* ---- the stage ---- */

static int open_memory(struct translate *t, struct cpv_err *err)
{
    char *folder = cpv_arena_printf(t->run->mem, "%s/%s", t->run->corpus, t->run->column);
    char *path = cpv_arena_printf(t->run->mem, "%s/.memory", folder ? folder : "");
    bool kept = t->set->memory && !t->run->dry_run;
    int rc = folder && path ? CPV_OK : cpv_fail_memory(err);

    if (!rc && kept)
        rc = cpv_folder_make(folder, err);
    return rc ? rc
              : memory_open(&t->memory, kept ? path : NULL, t->run->settings_digest, err);
}

static int open_imports(struct translate *t, struct cpv_err *err)
{
    const struct imports_report *r;
    int rc = imports_open(&t->imports, t->set->import, err);

    if (rc)
        return rc;
    r = imports_report(t->imports);
    if (r->bad)
        cpv_log_warning(
            t->run->log,
            "'%s': %llu lines are not key, index and text, parted by tabs; the "
            "first is line %llu",
            t->set->import, (unsigned long long)r->bad, (unsigned long long)r->first_bad);
    if (r->repeated)
        cpv_log_warning(t->run->log, "'%s': %llu rows are for a caption that had one",
                        t->set->import, (unsigned long long)r->repeated);
    return CPV_OK;
}

static int translate_open(struct cpv_run *run, struct cpv_err *err)
{
    struct translate *t = cpv_arena_calloc(run->mem, 1, sizeof *t);
    int rc = CPV_OK;

    if (!t)
        return cpv_fail_memory(err);
    run->self = t;
    t->run = run;
    t->set = run->settings;
    if (!t->set->import)
        rc = find_model(run, &t->folder, err);
    return rc ? rc : cpv_run_follow(run, "fetch", err);
}

static int translate_inputs(struct cpv_run *run, uint32_t part, cpv_arena *mem,
                            struct cpv_record *out, struct cpv_err *err)
{
    static const char *const columns[] = {"fetch", "caption"};
    const struct translate_settings *set = run->settings;

    return cpv_run_inputs(run, columns, set->generated ? 2 : 1, part, mem, out, err);
}

static int translate_work(struct cpv_run *run, struct cpv_err *err)
{
    struct translate *t = run->self;
    int rc = t->set->import ? open_imports(t, err) : open_memory(t, err);

    while (!rc) {
        struct cpv_part *part = NULL;

        rc = cpv_run_next(run, &part, err);
        if (rc != 1)
            break;
        rc = translate_part(t, &part, err);
    }
    return rc;
}

static void translate_close(struct cpv_run *run)
{
    struct translate *t = run->self;

    if (!t)
        return;
    engine_close(&t->engine);
    memory_close(&t->memory);
    imports_close(&t->imports);
}

/* Without a corpus it is a filter; whoever asks for help wants the stage's. */
static bool is_filter(int argc, char **argv)
{
    bool model = false;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--corpus", 8) == 0 || strncmp(argv[i], "--help", 6) == 0 ||
            strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--man") == 0 ||
            strcmp(argv[i], "--completion") == 0 || strcmp(argv[i], "--version") == 0)
            return false;
        model |= strncmp(argv[i], "--model", 7) == 0;
    }
    return model;
}

int main(int argc, char **argv)
{
    static const struct cpv_stage_group groups[] = {
        {"Translation", NULL, translate_options}};
    const struct cpv_stage stage = {
        .name = "translate",
        .summary = "English captions into another language, by a Marian model",
        .description =
            "Translates captions-en of column fetch and, with --generated, "
            "generated-captions-en of column caption into CORPUS/translate-LANG: "
            "captions-LANG, generated-captions-LANG and flags-LANG, what looks wrong "
            "about "
            "each.\n\n"
            "With --model and without --corpus it is a filter: lines in, lines out "
            "(capivara-translate --model FOLDER --lang pt < captions.txt).",
        .instance = "lang",
        .instance_help =
            "Language: a section under 'translate' in the configuration, and "
            "a column translate-LANG.",
        .section = "translate.%s",
        .column = "translate-%s",
        .groups = groups,
        .n_groups = 1,
        .settings_size = sizeof(struct translate_settings),
        .uses_seed = true,
        .settle = settle,
        .open = translate_open,
        .inputs = translate_inputs,
        .work = translate_work,
        .close = translate_close,
    };

    return is_filter(argc, argv) ? translate_filter(argc, argv)
                                 : cpv_stage_main(&stage, argc, argv);
}
