/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-eval: the command line, the model, and the order of things. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/model/cache.h"
#include "common/stage/model.h"
#include "eval/eval.h"

struct program {
    struct eval_settings set;
    struct eval_run run;
    struct cpv_model_place place;
    cpv_arena *mem;
    cpv_log *log;
    cpv_progress *progress;
};

/* ---- what is asked for ---- */

/* Commas part languages, too. */
static int split_languages(struct program *p, struct cpv_err *err)
{
    static const char *const english[] = {"en"};
    const struct cpv_texts given =
        p->set.lang.count ? p->set.lang : (struct cpv_texts){english, 1};
    struct cpv_buf list = {0};
    const char **langs;
    bool failed;

    for (size_t i = 0; i < given.count; i++)
        for (const char *at = given.at[i]; *at;) {
            size_t n = strcspn(at, ",");
            const char *one = cpv_arena_str(p->mem, cpv_bytes_of(at, n));

            list.failed |= !one;
            if (one && *one)
                cpv_buf_add(&list, &one, sizeof one);
            at += n + (at[n] == ',');
        }
    p->run.set.n_lang = list.size / sizeof(char *);
    langs = cpv_arena_alloc(p->mem, list.size + 1);
    failed = list.failed || !langs;
    if (!failed && list.size)
        memcpy(langs, list.data, list.size);
    p->run.set.lang = langs;
    cpv_buf_release(&list);
    if (failed)
        return cpv_fail_memory(err);
    if (!p->run.set.n_lang)
        return cpv_fail(err, CPV_E_USAGE, "'--lang': which language?");
    for (size_t i = 0; i < p->run.set.n_lang; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(p->run.set.lang[i], p->run.set.lang[k]) == 0)
                return cpv_fail(err, CPV_E_USAGE, "'--lang': '%s' twice",
                                p->run.set.lang[i]);
    return CPV_OK;
}

static int check(const struct program *p, const struct cpv_cli *cli, struct cpv_err *err)
{
    const struct eval_settings *s = &p->set;
    bool list = s->list || s->images;

    if (cli->n_rest)
        return cpv_fail(err, CPV_E_USAGE, "unexpected '%s'; see --help", cli->rest[0]);
    if (!s->model)
        return cpv_fail(err, CPV_E_USAGE, "which model? See --model");
    if (!s->set.count && !list)
        return cpv_fail(err, CPV_E_USAGE, "which images? See --set, --images and --list");
    if (s->set.count && list)
        return cpv_fail(err, CPV_E_USAGE, "either '--set', or '--images' and '--list'");
    if (list && s->embeddings)
        return cpv_fail(err, CPV_E_USAGE,
                        "'--embeddings': only the tars of --set have any");
    if (s->query && s->task)
        return cpv_fail(err, CPV_E_USAGE, "either '--query' or '--task'");
    return CPV_OK;
}

static int choose_task(struct program *p, struct cpv_err *err)
{
    const struct eval_settings *s = &p->set;
    const char *root = p->run.source.root;
    char *names = cpv_arena_printf(p->mem, "%s/classnames.txt", root ? root : ".");

    if (!names)
        return cpv_fail_memory(err);
    p->run.task = (enum eval_task)s->task;
    if (s->query)
        p->run.task = EVAL_QUERY;
    else if (s->task == EVAL_AUTO)
        p->run.task = s->classnames || (root && cpv_file_exists(names))
                          ? EVAL_CLASSIFICATION
                          : EVAL_RETRIEVAL;
    if (p->run.task == EVAL_CLASSIFICATION && s->list)
        return cpv_fail(err, CPV_E_USAGE, "'--list': a list has no classes; see --set");
    if (p->run.task != EVAL_CLASSIFICATION && s->parity)
        return cpv_fail(err, CPV_E_USAGE, "'--parity' is for classification");
    return CPV_OK;
}

/* ---- the run ---- */

static int open_model(struct program *p, struct cpv_err *err)
{
    struct embedder_params params = {.set = &p->set,
                                     .threads = (int)p->set.threads,
                                     .images = !p->set.embeddings,
                                     .progress = p->progress};
    int rc = cpv_model_find(p->set.model, NULL, p->mem, &p->place, err);

    if (rc)
        return rc;
    p->run.model = params.model = p->place.path;
    if (p->set.json)
        rc = cpv_stage_model_digest(p->place.path, p->mem, &p->run.model_sha256, err);
    if (!rc && p->set.json && p->set.adapter)
        rc = cpv_stage_model_digest(p->set.adapter, p->mem, &p->run.adapter_sha256, err);
    return rc ? rc : embedder_open(&p->run.e, &params, err);
}

static int read_all(struct program *p, struct cpv_err *err)
{
    struct eval_set *s = &p->run.set;
    const struct eval_source *from = &p->run.source;
    bool labels = p->run.task == EVAL_CLASSIFICATION;
    int rc;

    if (p->set.list)
        rc = eval_read_list(s, p->run.e, err);
    else if (from->n_tars)
        rc = eval_read_tars(s, from, labels, p->run.e, err);
    else if (p->set.embeddings)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected tars in it", from->folder);
    else
        rc = eval_read_folder(s, from->folder ? from->folder : p->set.images, labels,
                              p->run.e, err);
    if (!rc && s->unnamed && s->n_lang > 1 && p->run.task == EVAL_RETRIEVAL)
        rc = cpv_fail(err, CPV_E_USAGE,
                      "the captions of the set name no language: expected one --lang");
    if (!rc)
        rc = eval_slice_all(s, err);
    return rc;
}

/* One picture at least must be there. */
static int check_images(const struct eval_run *r, struct cpv_err *err)
{
    int64_t all = eval_images(&r->set);

    for (int64_t i = 0; i < all; i++)
        if (embedder_image(r->e, i))
            return CPV_OK;
    if (all == 0)
        return cpv_fail(err, CPV_E_INPUT, "there are no images in the set");
    return cpv_fail(err, CPV_E_INPUT, "none of %lld images can be used; '%s': %s",
                    (long long)all, eval_image(&r->set, 0)->key, embedder_why(r->e, 0));
}

static int evaluate(struct program *p, struct cpv_err *err)
{
    int rc = open_model(p, err);

    if (!rc)
        rc = read_all(p, err);
    if (!rc)
        rc = embedder_finish(p->run.e, err);
    cpv_progress_close(&p->progress);
    if (!rc)
        rc = check_images(&p->run, err);
    if (rc)
        return rc;
    eval_json_begin(&p->run);
    if (p->run.task == EVAL_QUERY)
        rc = eval_query(&p->run, err);
    else if (p->run.task == EVAL_CLASSIFICATION)
        rc = eval_classification(&p->run, err);
    else
        rc = eval_retrieval(&p->run, err);
    if (rc)
        return rc;
    eval_json_end(&p->run);
    return eval_put_out(&p->run, err);
}

static int prepare(struct program *p, const struct cpv_cli *cli, struct cpv_err *err)
{
    struct eval_run *r = &p->run;
    struct cpv_progress_params progress = {
        .what = "eval", .style = cpv_progress_style_of(STDERR_FILENO, p->set.quiet)};
    int rc = check(p, cli, err);

    if (!rc)
        rc = split_languages(p, err);
    if (!rc)
        rc = eval_slice_parse(&p->set, &r->set.slice, err);
    if (!rc)
        rc = eval_source_find(&p->set, p->mem, &r->source, err);
    if (!rc)
        rc = choose_task(p, err);
    if (!rc)
        rc = cpv_log_open(&p->log, "capivara-eval",
                          p->set.quiet     ? CPV_LOG_WARNING
                          : p->set.verbose ? CPV_LOG_DEBUG
                                           : CPV_LOG_INFO,
                          STDERR_FILENO, err);
    progress.log = p->log;
    if (!rc)
        rc = cpv_progress_open(&p->progress, &progress, err);
    if (!p->set.threads)
        p->set.threads = cpv_processors();
    r->how = r->set.how = &p->set;
    r->mem = r->set.mem = p->mem;
    r->set.log = p->log;
    if (!rc) {
        r->set.captions =
            cpv_arena_calloc(p->mem, r->set.n_lang, sizeof *r->set.captions);
        if (!r->set.captions)
            rc = cpv_fail_memory(err);
    }
    return rc;
}

static void release(struct program *p)
{
    struct eval_run *r = &p->run;

    embedder_close(&r->e);
    cpv_progress_close(&p->progress);
    cpv_buf_release(&r->set.images);
    for (size_t i = 0; r->set.captions && i < r->set.n_lang; i++)
        cpv_buf_release(&r->set.captions[i]);
    cpv_buf_release(&r->table);
    cpv_buf_release(&r->json_text);
    cpv_buf_release(&r->ranks);
    cpv_log_close(&p->log);
    cpv_arena_close(&p->mem);
}

static int run(struct program *p, const struct cpv_program *program, int argc,
               char **argv, enum cpv_cli_ask *ask, struct cpv_err *err)
{
    struct cpv_cli cli = {0};
    int rc = cpv_arena_open(&p->mem, 0, err);

    if (!rc)
        rc = cpv_opts_defaults(program, p->mem, err);
    if (!rc)
        rc = cpv_cli_parse(program, argc, argv, p->mem, &cli, err);
    *ask = cli.ask;
    if (rc || cli.ask != CPV_ASK_NOTHING)
        return rc;
    rc = cpv_cli_apply(&cli, p->mem, err);
    if (!rc)
        rc = cpv_stop_install(err);
    if (!rc)
        rc = prepare(p, &cli, err);
    return rc ? rc : evaluate(p, err);
}

int main(int argc, char **argv)
{
    struct program p = {0};
    const struct cpv_opt_group groups[] = {
        {"Model", NULL, eval_model_options, &p.set},
        {"Test set", NULL, eval_set_options, &p.set},
        {"Classification", NULL, eval_class_options, &p.set},
        {"Query", NULL, eval_query_options, &p.set},
        {"Output", NULL, eval_out_options, &p.set}};
    const struct cpv_program program = {
        .name = "capivara-eval",
        .version = CPV_VERSION,
        .summary = "zero-shot retrieval and classification in any language",
        .usage = "--model FOLDER [--adapter DIR] --set DIR|--images DIR [--list FILE] "
                 "[options]",
        .description =
            "Retrieval: R@1, R@5 and R@10 from text to image and from image to text, "
            "their means, and the mean of both. Classification: top-1, top-5 and mean "
            "per class. A query: the images of a set that are nearest to a text.\n\n"
            "Images that cannot be read are counted, named by --json, and left out with "
            "their captions. docs/evaluation.md has examples.",
        .groups = groups,
        .n_groups = CPV_COUNT(groups)};
    struct cpv_err err = {0};
    enum cpv_cli_ask ask = CPV_ASK_NOTHING;
    int rc = run(&p, &program, argc, argv, &ask, &err);
    int status = rc ? cpv_exit_status(rc) : 0;

    if (rc) {
        cpv_progress_close(&p.progress);
        fprintf(stderr, "capivara-eval: error: %s\n", err.text);
    } else if (ask != CPV_ASK_NOTHING) {
        status = cpv_program_print(&program, ask);
    }
    release(&p);
    return status;
}
