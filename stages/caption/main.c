/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-caption: images of a corpus, or files, into English captions. */
#include <string.h>

#include "common/stage/model.h"
#include "stages/caption/caption.h"

static int settle(struct cpv_run *run, struct cpv_err *err)
{
    struct caption_settings *set = run->settings;
    const char *folder = NULL;
    int rc = cpv_stage_model_find(run, set->model, "caption.model", &folder, err);

    if (set->beams == 0)
        set->beams = 1; /* two spellings of one setting */
    set->backend = cpv_stage_backend(run->device);
    return rc ? rc : cpv_stage_model_digest(folder, run->mem, &set->model_sha256, err);
}

static int open_stage(struct cpv_run *run, struct cpv_err *err)
{
    struct captioner *k = cpv_arena_calloc(run->mem, 1, sizeof *k);
    int rc;

    if (!k)
        return cpv_fail_memory(err);
    run->self = k;
    k->run = run;
    k->set = run->settings;
    rc = cpv_stage_model_find(run, k->set->model, "caption.model", &k->folder, err);
    if (!rc)
        rc = cpv_run_follow(run, "fetch", err);
    /* Before the settings are pinned: what cannot work is not to be remembered. */
    return rc ? rc : model_check(k->set, k->folder, err);
}

static int inputs(struct cpv_run *run, uint32_t part, cpv_arena *mem,
                  struct cpv_record *out, struct cpv_err *err)
{
    static const char *const columns[] = {"fetch"};

    return cpv_run_inputs(run, columns, 1, part, mem, out, err);
}

static int work(struct cpv_run *run, struct cpv_err *err)
{
    return caption_work(run->self, err);
}

static void close_stage(struct cpv_run *run)
{
    struct captioner *k = run->self;

    if (k)
        engine_close(&k->engine);
}

/* Without a corpus it is a tool; whoever asks for help alone wants the stage's. */
static bool is_tool(int argc, char **argv)
{
    bool model = false;

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--corpus", 8) == 0)
            return false;
        model |= strncmp(argv[i], "--model", 7) == 0;
    }
    return model;
}

int main(int argc, char **argv)
{
    static const struct cpv_stage_group groups[] = {{"Captions", NULL, caption_options}};
    const struct cpv_stage stage = {
        .name = "caption",
        .summary = "images into English captions, by a BLIP model",
        .description =
            "Describes the images of column fetch, once for each prompt, into "
            "CORPUS/caption: generated-captions-en.\n\n"
            "With --model and without --corpus it describes files (capivara-caption "
            "--model FOLDER photo.jpg ...); capivara-caption --model FOLDER --help has "
            "the options of that.",
        .section = "caption",
        .column = "caption",
        .groups = groups,
        .n_groups = 1,
        .settings_size = sizeof(struct caption_settings),
        .uses_seed = true,
        .settle = settle,
        .open = open_stage,
        .inputs = inputs,
        .work = work,
        .close = close_stage,
    };

    return is_tool(argc, argv) ? caption_tool(argc, argv)
                               : cpv_stage_main(&stage, argc, argv);
}
