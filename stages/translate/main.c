/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-translate: captions of a corpus, or lines, into another language. */
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/compute/gpu.h"
#include "common/corpus/column.h"
#include "common/model/cache.h"
#include "common/model/files.h"
#include "stages/translate/translate.h"

/* ---- what the output depends on ---- */

/* A folder relative to the configuration or, from a command line, to where one is. */
static int find_model(struct translate *t, struct cpv_model_place *at,
                      struct cpv_err *err)
{
    struct cpv_err here = {0};
    int rc;

    if (!t->set->model || !*t->set->model)
        return cpv_fail(err, CPV_E_USAGE,
                        "'translate.%s.model': which model? A folder, or org/name",
                        t->run->instance);
    rc = cpv_model_find(t->set->model, t->run->base, t->run->mem, at, err);
    if (rc && t->run->base &&
        !cpv_model_find(t->set->model, NULL, t->run->mem, at, &here))
        rc = CPV_OK;
    if (!rc && at->is_file)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected a model's folder", at->path);
    return rc;
}

/* "NAME DIGEST\n" of every file that matters. */
static int digest_model(struct translate *t, char hex[65], struct cpv_err *err)
{
    struct cpv_model_files files;
    struct cpv_names needed;
    struct cpv_buf list = {0};
    uint8_t digest[CPV_SHA256_SIZE];
    int rc = cpv_model_files_look(t->folder, t->run->mem, &files, err);

    if (!rc)
        rc = cpv_files_choose(&files.names, t->run->mem, &needed, err);
    for (size_t i = 0; i < needed.count && !rc; i++) {
        char *path = cpv_arena_printf(t->run->mem, "%s/%s", t->folder, needed.at[i]);

        rc = path ? cpv_file_sha256(path, digest, err) : cpv_fail_memory(err);
        cpv_hex(hex, digest, sizeof digest);
        cpv_buf_printf(&list, "%s %s\n", needed.at[i], hex);
    }
    if (!rc && list.failed)
        rc = cpv_fail_memory(err);
    if (!rc)
        cpv_sha256_of(digest, cpv_buf_view(&list));
    cpv_hex(hex, digest, sizeof digest);
    cpv_buf_release(&list);
    return rc;
}

static const char *backend_of(const char *device)
{
    if (strncmp(device, "cuda", 4) == 0)
        return "cuda";
    return strcmp(device, "auto") == 0 && cpv_gpu_count() > 0 ? "cuda" : "cpu";
}

static int settle(struct cpv_run *run, struct cpv_err *err)
{
    struct translate t = {.run = run, .set = run->settings};
    struct translate_settings *set = run->settings;
    struct cpv_model_place at;
    uint8_t digest[CPV_SHA256_SIZE];
    char hex[65];
    int rc;

    if (set->import) {
        rc = cpv_file_sha256(set->import, digest, err);
        cpv_hex(hex, digest, sizeof digest);
        set->backend = "import";
    } else {
        rc = find_model(&t, &at, err);
        t.folder = at.path;
        if (!rc)
            rc = digest_model(&t, hex, err);
        set->backend = backend_of(run->device);
    }
    if (rc)
        return rc;
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
    struct cpv_model_place at = {0};
    struct cpv_column fetch;
    int rc = CPV_OK;

    if (!t)
        return cpv_fail_memory(err);
    run->self = t;
    t->run = run;
    t->set = run->settings;
    if (!t->set->import)
        rc = find_model(t, &at, err);
    if (rc)
        return rc;
    t->folder = at.path;
    rc = cpv_column_scan(run->corpus, "fetch", run->mem, &fetch, err);
    if (rc)
        return rc;
    if (fetch.count == 0)
        return cpv_fail(err, CPV_E_BUSY,
                        "column 'fetch' has no finished parts yet; run that stage first");
    run->n_parts =
        fetch.parts == UINT32_MAX ? fetch.at[fetch.count - 1].part + 1 : fetch.parts;
    return CPV_OK;
}

/* The tar digest of the part that counts; and its number of samples. */
static int input_of(struct cpv_run *run, const char *column, uint32_t part,
                    cpv_arena *mem, struct cpv_record_input *input,
                    struct cpv_record *record, struct cpv_err *err)
{
    struct cpv_column parts;
    uint32_t revision;
    char *path;
    int rc = cpv_column_scan(run->corpus, column, mem, &parts, err);

    if (rc)
        return rc;
    if (!cpv_column_find(&parts, part, &revision))
        return cpv_fail(err, CPV_E_ABSENT, "column '%s' has no part %05u yet", column,
                        part);
    path = cpv_column_path(mem, run->corpus, column, part, revision, CPV_FILE_RECORD);
    rc = path ? cpv_record_read(path, mem, record, err) : cpv_fail_memory(err);
    if (rc)
        return rc;
    input->name = column;
    memcpy(input->sha256, record->shard.tar_sha256, sizeof input->sha256);
    return CPV_OK;
}

static int translate_inputs(struct cpv_run *run, uint32_t part, cpv_arena *mem,
                            struct cpv_record *out, struct cpv_err *err)
{
    const struct translate_settings *set = run->settings;
    struct cpv_record record;
    int rc;

    out->inputs = cpv_arena_calloc(mem, 2, sizeof *out->inputs);
    if (!out->inputs)
        return cpv_fail_memory(err);
    rc = input_of(run, "fetch", part, mem, &out->inputs[0], &record, err);
    if (rc)
        return rc;
    out->n_inputs = 1;
    out->row_begin = record.row_begin;
    out->row_end = record.row_end;
    if (set->generated) {
        rc = input_of(run, "caption", part, mem, &out->inputs[1], &record, err);
        out->n_inputs = 2;
    }
    return rc;
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
