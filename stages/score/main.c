/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-score: embeddings of images; similarities of captions and images. */
#include "common/base/file.h"
#include "common/base/hash.h"
#include "stages/score/score.h"

/* ---- what the output depends on ---- */

static int find_model(struct cpv_run *run, const char **path, struct cpv_err *err)
{
    const struct score_settings *set = run->settings;
    struct cpv_model_place at;
    int rc = cpv_stage_model_place(run, set->model, "score.model", &at, err);

    *path = rc ? NULL : at.path;
    return rc;
}

/* A file, or where a folder has it. */
static int find_tokenizer(struct cpv_run *run, const char **path, struct cpv_err *err)
{
    static const char *const names[] = {"sentencepiece.bpe.model",
                                        "text/sentencepiece.bpe.model"};
    const struct score_settings *set = run->settings;
    struct cpv_model_place at;
    int rc;

    *path = NULL;
    if (!set->tokenizer || !*set->tokenizer)
        return CPV_OK;
    rc = cpv_stage_model_place(run, set->tokenizer, "score.tokenizer", &at, err);
    if (rc || at.is_file) {
        *path = rc ? NULL : at.path;
        return rc;
    }
    for (int i = 0; i < 2; i++) {
        *path = cpv_arena_printf(run->mem, "%s/%s", at.path, names[i]);
        if (!*path)
            return cpv_fail_memory(err);
        if (cpv_file_exists(*path))
            return CPV_OK;
    }
    return cpv_fail(err, CPV_E_INPUT, "'%s': there is no %s in it", at.path, names[0]);
}

static int settle_tokenizer(struct cpv_run *run, struct cpv_err *err)
{
    struct score_settings *set = run->settings;
    const char *path;
    int rc = find_tokenizer(run, &path, err);

    if (rc || !path) {
        set->tokenizer_sha256 = "model";
        return rc;
    }
    return cpv_stage_model_digest(path, run->mem, &set->tokenizer_sha256, err);
}

static int settle_images(struct cpv_run *run, struct cpv_err *err)
{
    struct score_settings *set = run->settings;
    const char *path;
    int rc = find_model(run, &path, err);

    set->backend = cpv_stage_backend(run->device);
    return rc ? rc : cpv_stage_model_digest(path, run->mem, &set->model_sha256, err);
}

static int settle_texts(struct cpv_run *run, struct cpv_err *err)
{
    int rc = settle_images(run, err);

    return rc ? rc : settle_tokenizer(run, err);
}

/* ---- the stage ---- */

static int open_scorer(struct cpv_run *run, bool texts, struct cpv_err *err)
{
    struct scorer *k = cpv_arena_calloc(run->mem, 1, sizeof *k);
    int rc;

    if (!k)
        return cpv_fail_memory(err);
    run->self = k;
    k->run = run;
    k->set = run->settings;
    k->params = (struct engine_params){
        .set = k->set, .device = run->device, .threads = run->threads, .texts = texts};
    rc = find_model(run, &k->params.model, err);
    if (!rc && texts)
        rc = find_tokenizer(run, &k->params.tokenizer, err);
    return rc;
}

static int open_images(struct cpv_run *run, struct cpv_err *err)
{
    int rc = open_scorer(run, false, err);

    if (!rc)
        rc = cpv_run_follow(run, "fetch", err);
    /* Before the settings are pinned: what cannot work is not to be remembered. */
    return rc ? rc : engine_check(&((struct scorer *)run->self)->params, err);
}

static int open_texts(struct cpv_run *run, struct cpv_err *err)
{
    int rc = open_scorer(run, true, err);

    if (!rc)
        rc = columns_open(run->self, err);
    return rc ? rc : engine_check(&((struct scorer *)run->self)->params, err);
}

static int image_inputs(struct cpv_run *run, uint32_t part, cpv_arena *mem,
                        struct cpv_record *out, struct cpv_err *err)
{
    static const char *const columns[] = {"fetch"};

    return cpv_run_inputs(run, columns, 1, part, mem, out, err);
}

static int text_inputs(struct cpv_run *run, uint32_t part, cpv_arena *mem,
                       struct cpv_record *out, struct cpv_err *err)
{
    return columns_inputs(run->self, part, mem, out, err);
}

int score_start(struct scorer *k, struct cpv_err *err)
{
    int rc = k->engine ? CPV_OK : engine_open(&k->engine, &k->params, err);

    if (!rc && k->params.texts && !k->memory)
        rc = memory_open(&k->memory, engine_dim(k->engine), k->set->memory, err);
    return rc;
}

static int work(struct cpv_run *run, struct cpv_err *err)
{
    struct scorer *k = run->self;
    struct cpv_part *part;
    int rc;

    while ((rc = cpv_run_next(run, &part, err)) == 1) {
        rc = k->params.texts ? score_texts(k, &part, err) : score_images(k, &part, err);
        if (rc)
            break;
    }
    return rc;
}

static void close_scorer(struct cpv_run *run)
{
    struct scorer *k = run->self;

    if (!k)
        return;
    engine_close(&k->engine);
    memory_close(&k->memory);
}

/* ---- which of the two ---- */

/* Whoever asks for help sees the options of both: those of score-L. */
static bool is_texts(int argc, char **argv)
{
    static const char *const words[] = {"--lang", "--help", "--man", "--completion"};

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-h") == 0)
            return true;
        for (int w = 0; w < 4; w++)
            if (strncmp(argv[i], words[w], strlen(words[w])) == 0)
                return true;
    }
    return false;
}

#define ABOUT                                                                            \
    "Without --lang: the images of column fetch into CORPUS/score, one embedding each "  \
    "(KEY.clip.npy, float16). With --lang L: CORPUS/score-L, the cosine of that "        \
    "embedding and each of the sample's captions in that language, originals first, "    \
    "then generated ones (similarities-L). Captions are those of column translate-L "    \
    "or, without one, of fetch; and in English those of column caption, too. No image "  \
    "is opened for a further language."

int main(int argc, char **argv)
{
    static const struct cpv_stage_group image_groups[] = {
        {"Scores", NULL, score_image_options}};
    static const struct cpv_stage_group text_groups[] = {
        {"Scores", NULL, score_text_options}};
    const struct cpv_stage images = {
        .name = "score",
        .summary = "image embeddings, similarity of image and caption",
        .description = ABOUT,
        .section = "score",
        .column = "score",
        .groups = image_groups,
        .n_groups = 1,
        .settings_size = sizeof(struct score_settings),
        .settle = settle_images,
        .open = open_images,
        .inputs = image_inputs,
        .work = work,
        .close = close_scorer,
    };
    struct cpv_stage texts = images;

    texts.instance = "lang";
    texts.instance_help = "Language of the captions to compare with the embeddings; "
                          "without: make the embeddings.";
    texts.column = "score-%s";
    texts.groups = text_groups;
    texts.settle = settle_texts;
    texts.open = open_texts;
    texts.inputs = text_inputs;
    return cpv_stage_main(is_texts(argc, argv) ? &texts : &images, argc, argv);
}
