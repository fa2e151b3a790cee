/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/loop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/progress.h"
#include "common/base/queue.h"
#include "common/base/stop.h"
#include "common/model/cache.h"
#include "trainer/metrics.h"
#include "trainer/state.h"
#include "trainer/validate.h"

struct loop {
    const struct settings *set;
    cpv_log *log;
    cpv_arena *mem;
    int threads;
    cpv_device *device;
    cpv_clip *model;
    data *data;
    step *step;
    validate *validate; /* NULL: none */
    metrics *metrics;
    cpv_progress *progress;
    struct data_draw draw;
    uint64_t steps; /* of the whole training */
    struct state state;
    uint64_t saved;   /* the step of the last checkpoint; UINT64_MAX: none */
    int64_t since_ns; /* the last line of timings */
    uint64_t since_pairs, since_tokens;
    int lock;
};

/* ---- what it is made of ---- */

static int open_model(struct loop *l, struct cpv_err *err)
{
    const struct settings *s = l->set;
    struct cpv_device_params device = {.name = s->run.device};
    struct cpv_clip_params params = {.image = s->data.image == IMAGE_PIXELS,
                                     .text = true,
                                     .tokenizer = s->model.tokenizer,
                                     .adapter = s->model.adapter};
    struct cpv_clip_train train;
    struct cpv_model_place place;
    int rc = settings_train(s, &train, err);

    params.train = &train;
    if (!rc)
        rc = cpv_device_open(&l->device, &device, err);
    if (!rc)
        rc = cpv_model_find(s->model.path, s->run.base, l->mem, &place, err);
    if (!rc)
        rc = cpv_clip_open(&l->model, l->device, place.path, &params, err);
    return rc;
}

static int open_data(struct loop *l, struct cpv_err *err)
{
    const struct settings *s = l->set;
    struct data_params params = {.sets = s->data.train,
                                 .model = l->model,
                                 .languages = s->data.languages,
                                 .pixels = s->data.image == IMAGE_PIXELS,
                                 .threads = l->threads,
                                 .log = l->log};
    struct cpv_progress_params progress = {
        .what = "files",
        .log = l->log,
        .style = cpv_progress_style_of(STDERR_FILENO, s->run.quiet)};
    double *shares = cpv_arena_calloc(l->mem, s->data.languages.count, sizeof *shares);
    const struct data_counts *n;
    int rc = shares ? settings_shares(s, shares, err) : cpv_fail_memory(err);

    params.choice = (struct cpv_caption_choice){
        .strategy = (cpv_caption_strategy)s->data.captions,
        .originals = (uint32_t)s->data.originals,
        .keep = (uint32_t)(s->data.captions == CPV_CAPTIONS_FIRST ? s->data.first
                                                                  : s->data.keep),
        .threshold = s->data.threshold};
    if (!rc)
        rc = cpv_progress_open(&params.progress, &progress, err);
    if (!rc)
        rc = data_open(&l->data, &params, err);
    cpv_progress_close(&params.progress);
    if (rc)
        return rc;
    n = data_count(l->data);
    cpv_log_info(l->log,
                 "%llu samples with %llu captions of %llu tokens; left out: %llu broken, "
                 "%llu without a caption",
                 (unsigned long long)n->samples, (unsigned long long)n->captions,
                 (unsigned long long)n->tokens, (unsigned long long)n->broken,
                 (unsigned long long)n->captionless);
    if (n->samples < 2)
        return cpv_fail(err, CPV_E_INPUT, "'%s': one sample is no batch",
                        s->data.train.at[0]);
    l->draw = (struct data_draw){(uint64_t)s->seed, shares, (uint32_t)s->batch};
    l->steps = s->steps ? (uint64_t)s->steps
                        : (uint64_t)s->epochs * data_batches(l->data, &l->draw);
    return CPV_OK;
}

static int open_step(struct loop *l, struct cpv_err *err)
{
    const struct settings *s = l->set;
    struct step_params params = {.set = s,
                                 .model = l->model,
                                 .data = l->data,
                                 .draw = l->draw,
                                 .steps = l->steps,
                                 .threads = l->threads,
                                 .log = l->log};

    params.schedule =
        (struct schedule){(enum schedule_name)s->optimizer.schedule, s->optimizer.lr,
                          s->optimizer.lr_min, (uint64_t)s->optimizer.warmup, l->steps};
    return step_open(&l->step, &params, err);
}

static int open_validation(struct loop *l, struct cpv_err *err)
{
    struct validate_params params = {
        .set = l->set, .model = l->model, .threads = l->threads, .log = l->log};
    const char *metric = l->set->validation.metric;
    struct validate_result names = {0};
    struct cpv_recall *zero;
    double value;
    int rc;

    if (l->set->validation.sets.count == 0)
        return l->set->validation.patience
                   ? cpv_fail(err, CPV_E_USAGE,
                              "'validation.patience' needs 'validation.sets'")
                   : CPV_OK;
    rc = validate_open(&l->validate, &params, err);
    if (rc)
        return rc;
    /* Is there such a metric? Told before hours of training, not behind them. */
    names.language = l->set->validation.languages.count ? l->set->validation.languages.at
                                                        : l->set->data.languages.at;
    names.n = l->set->validation.languages.count ? l->set->validation.languages.count
                                                 : l->set->data.languages.count;
    zero = cpv_arena_calloc(l->mem, names.n, sizeof *zero);
    if (!zero)
        return cpv_fail_memory(err);
    names.recall = zero;
    if (strcmp(metric, "loss") != 0 && !validate_metric(&names, metric, &value))
        return cpv_fail(err, CPV_E_USAGE,
                        "'validation.metric': expected loss, mean_recall, "
                        "LANG.mean_recall or LANG.text_to_image.r1 (or image_to_text; "
                        "r5, r10, mean_recall) with a language of the validation, got "
                        "'%s'",
                        metric);
    cpv_log_info(l->log, "validation on %u images", validate_images(l->validate));
    return CPV_OK;
}

/* ---- checkpoints ---- */

static int save(struct loop *l, struct cpv_err *err)
{
    int rc;

    if (l->saved == l->state.step)
        return CPV_OK;
    rc = metrics_sync(l->metrics, &l->state.metrics_bytes, err);
    if (!rc)
        rc = state_save(&l->state, l->step, l->set->out, data_digest(l->data),
                        (uint64_t)l->set->checkpoint.keep, err);
    if (!rc)
        l->saved = l->state.step;
    return rc;
}

static int restore(struct loop *l, struct cpv_err *err)
{
    bool found = false;
    int rc = l->set->run.redo ? state_drop(l->set->out, err) : CPV_OK;

    if (!rc)
        rc = state_load(&l->state, l->step, l->set->out, data_digest(l->data), &found,
                        err);
    l->saved = found ? l->state.step : UINT64_MAX;
    if (!rc && found)
        cpv_log_info(l->log, "going on behind step %llu of %llu",
                     (unsigned long long)l->state.step, (unsigned long long)l->steps);
    return rc ? rc : metrics_open(&l->metrics, l->set->out, l->state.metrics_bytes, err);
}

/* ---- what is said on the way ---- */

static int say_metrics(struct loop *l, const struct step_figures *f, struct cpv_err *err)
{
    struct state *s = &l->state;
    double n = s->steps ? (double)s->steps : 1;
    int64_t now = cpv_clock_ns();
    struct metrics_line line = {.step = s->step,
                                .epoch = (double)s->step /
                                         (double)data_batches(l->data, &l->draw),
                                .loss = s->loss / n,
                                .text_accuracy = s->texts / n,
                                .image_accuracy = s->images / n,
                                .lr = f->rate,
                                .logit_scale = f->scale,
                                .pairs = s->all_pairs,
                                .tokens = s->all_tokens,
                                .broken = s->broken};
    struct metrics_timing timing = {.step = s->step,
                                    .seconds = (double)(now - l->since_ns) * 1e-9,
                                    .pairs = l->since_pairs,
                                    .tokens = l->since_tokens};
    int rc = metrics_line(l->metrics, &line, err);

    if (!rc)
        rc = metrics_timing(l->metrics, &timing, err);
    cpv_log_debug(l->log,
                  "step %llu: loss %.4f, texts %.1f %%, images %.1f %%, lr %.3g, scale "
                  "%.2f",
                  (unsigned long long)s->step, line.loss, 100 * line.text_accuracy,
                  100 * line.image_accuracy, line.lr, line.logit_scale);
    cpv_progress_note(l->progress, "loss %.4f, lr %.2g, %.0f tokens/s", line.loss,
                      line.lr,
                      timing.seconds > 0 ? (double)timing.tokens / timing.seconds : 0);
    s->loss = s->texts = s->images = 0;
    s->steps = 0;
    l->since_ns = now;
    l->since_pairs = l->since_tokens = 0;
    return rc;
}

/* Better than the best so far? Counts it. */
static void judge(struct loop *l, const struct validate_result *r, double loss)
{
    struct state *s = &l->state;
    const char *metric = l->set->validation.metric;
    double value = loss, sign = 1;

    if (strcmp(metric, "loss") == 0)
        sign = -1;
    else
        (void)validate_metric(r, metric, &value);
    if (!s->has_best || sign * (value - s->best) > l->set->validation.min_delta) {
        s->has_best = true;
        s->best = value;
        s->best_step = s->step;
        s->worse = 0;
    } else
        s->worse++;
    if (l->set->validation.patience && s->worse >= (uint64_t)l->set->validation.patience)
        s->stopped = true;
}

static int run_validation(struct loop *l, double loss, struct cpv_err *err)
{
    struct validate_result r;
    int rc = validate_run(l->validate, &r, err);

    if (!rc)
        rc = metrics_validation(l->metrics, l->state.step, &r, err);
    if (rc)
        return rc;
    judge(l, &r, loss);
    for (size_t i = 0; i < r.n; i++)
        cpv_log_info(l->log,
                     "step %llu, %s: mean recall %.1f (text to image %.1f, image to text "
                     "%.1f)",
                     (unsigned long long)l->state.step, r.language[i],
                     100 * r.recall[i].mean, 100 * r.recall[i].t2i.mean,
                     100 * r.recall[i].i2t.mean);
    return CPV_OK;
}

/* ---- the loop itself ---- */

static bool due(const struct loop *l, int64_t every)
{
    return l->state.step % (uint64_t)every == 0 || l->state.step == l->steps;
}

static int behind_step(struct loop *l, const struct step_figures *f, struct cpv_err *err)
{
    struct state *s = &l->state;
    uint64_t best = s->best_step;
    bool had = s->has_best, now;
    int rc = CPV_OK;

    s->step++;
    s->steps++;
    s->loss += f->loss;
    s->texts += f->texts;
    s->images += f->images;
    s->all_pairs += f->pairs;
    s->all_tokens += f->tokens;
    s->broken += f->broken;
    l->since_pairs += f->pairs;
    l->since_tokens += f->tokens;
    cpv_progress_add(l->progress, 1, 0);
    if (due(l, l->set->log_every))
        rc = say_metrics(l, f, err);
    if (!rc && l->validate && due(l, l->set->validation.every))
        rc = run_validation(l, f->loss, err);
    now = !had || best != s->best_step;
    if (!rc && ((s->has_best && now && s->best_step == s->step) || s->stopped ||
                due(l, l->set->checkpoint.every)))
        rc = save(l, err);
    return rc;
}

static int train(struct loop *l, struct cpv_err *err)
{
    struct state *s = &l->state;
    uint64_t stop = (uint64_t)l->set->run.stop_after;
    int rc = CPV_OK;

    if (l->validate && s->step == 0 && l->saved == UINT64_MAX)
        rc = run_validation(l, INFINITY, err);
    l->since_ns = cpv_clock_ns();
    while (!rc && s->step < l->steps && !s->stopped) {
        struct step_figures f;

        if (cpv_stop_requested() || (stop && s->step >= stop)) {
            rc = save(l, err);
            return rc ? rc
                      : cpv_fail(err, CPV_E_STOPPED,
                                 "stopped behind step %llu of %llu; the same command "
                                 "goes on",
                                 (unsigned long long)s->step,
                                 (unsigned long long)l->steps);
        }
        rc = step_run(l->step, s->step, &f, err);
        if (!rc)
            rc = behind_step(l, &f, err);
    }
    return rc;
}

/* ---- results ---- */

static int write_results(struct loop *l, struct cpv_err *err)
{
    const struct settings *s = l->set;
    struct state best;
    char *adapter = cpv_arena_printf(l->mem, "%s/adapter", s->out);
    char *merged = cpv_arena_printf(l->mem, "%s/merged", s->out);
    bool from_best = s->checkpoint.best && l->state.has_best && l->state.best_step;
    int rc = adapter && merged ? CPV_OK : cpv_fail_memory(err);

    if (!rc && from_best)
        rc = state_load_step(&best, l->step, s->out, l->state.best_step,
                             data_digest(l->data), err);
    if (!rc && !s->tower.text)
        rc = cpv_folder_make(adapter, err);
    if (!rc && !s->tower.text)
        rc = cpv_clip_save_adapter(l->model, step_compute(l->step), adapter, err);
    if (!rc && (s->checkpoint.merged || s->tower.text))
        rc = cpv_folder_make(merged, err);
    if (!rc && (s->checkpoint.merged || s->tower.text))
        rc = cpv_clip_save_merged(l->model, step_compute(l->step), merged, err);
    if (!rc)
        cpv_log_info(l->log, "%s behind step %llu%s: '%s'",
                     s->tower.text ? "the model" : "the adapter",
                     (unsigned long long)(from_best ? l->state.best_step : l->state.step),
                     l->state.stopped ? ", stopped early" : "",
                     s->tower.text ? merged : adapter);
    return rc;
}

static int say_plan(const struct loop *l, struct cpv_err *err)
{
    struct cpv_buf out = {0};
    int rc = CPV_OK;

    cpv_buf_printf(
        &out,
        "steps: %llu\nbatches_per_epoch: %llu\nlargest_batch_tokens: %lld\n"
        "weights_bytes: %zu\narena_bytes: %zu\n",
        (unsigned long long)l->steps, (unsigned long long)data_batches(l->data, &l->draw),
        (long long)step_tokens(l->step), cpv_clip_bytes(l->model), step_bytes(l->step));
    if (out.failed)
        rc = cpv_fail_memory(err);
    else
        rc = cpv_file_put(STDOUT_FILENO, out.data, out.size, "standard output", err);
    cpv_buf_release(&out);
    return rc;
}

/* ---- life ---- */

static int prepare(struct loop *l, const struct settings_table *table,
                   struct cpv_err *err)
{
    const struct settings *s = l->set;
    int rc = open_model(l, err);

    if (!rc)
        rc = open_data(l, err);
    if (!rc)
        rc = open_step(l, err);
    if (!rc)
        rc = open_validation(l, err);
    if (rc || s->run.dry_run)
        return rc;
    rc = cpv_folder_make(s->out, err);
    if (!rc) {
        const char *path = cpv_arena_printf(l->mem, "%s/.lock", s->out);

        rc = path ? cpv_file_lock(&l->lock, path, err) : cpv_fail_memory(err);
    }
    if (!rc)
        rc = settings_pin(table, s, l->log, err);
    return rc ? rc : restore(l, err);
}

static int run(struct loop *l, const struct settings_table *table, struct cpv_err *err)
{
    const struct settings *s = l->set;
    struct cpv_progress_params progress = {
        .what = "train",
        .log = l->log,
        .style = cpv_progress_style_of(STDERR_FILENO, s->run.quiet)};
    int rc = prepare(l, table, err);

    if (rc)
        return rc;
    if (s->run.dry_run)
        return say_plan(l, err);
    cpv_log_info(l->log, "%llu steps; %.1f MB of weights, %.1f MB to work in",
                 (unsigned long long)l->steps, (double)cpv_clip_bytes(l->model) * 1e-6,
                 (double)step_bytes(l->step) * 1e-6);
    rc = cpv_progress_open(&l->progress, &progress, err);
    cpv_progress_total(l->progress, l->steps);
    cpv_progress_skip(l->progress, l->state.step);
    if (!rc)
        rc = train(l, err);
    cpv_progress_close(&l->progress);
    return rc ? rc : write_results(l, err);
}

int loop_run(const struct settings_table *table, const struct settings *s, cpv_arena *mem,
             cpv_log *log, struct cpv_err *err)
{
    struct loop l = {.set = s, .log = log, .mem = mem, .lock = -1};
    int rc;

    l.threads = s->run.threads ? (int)s->run.threads : cpv_processors();
    rc = run(&l, table, err);
    metrics_close(&l.metrics);
    validate_close(&l.validate);
    step_close(&l.step);
    data_close(&l.data);
    cpv_clip_close(&l.model);
    cpv_device_close(&l.device);
    cpv_file_close(&l.lock);
    return rc;
}
