/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-fetch: URL lists, folders or tars become image parts. */
#include <malloc.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "stages/fetch/fetch.h"

static void describe_image(struct fetch *f)
{
    const struct fetch_settings *s = f->set;

    cpv_image_params_default(&f->image);
    f->image.mode = (enum cpv_image_mode)s->resize_mode;
    f->image.size = (int)s->image_size;
    f->image.only_if_bigger = s->only_if_bigger;
    f->image.downscale = (enum cpv_image_filter)s->downscale;
    f->image.upscale = (enum cpv_image_filter)s->upscale;
    f->image.quality = (int)s->quality;
    f->image.skip_reencode = s->skip_reencode;
    f->image.pass_through = s->pass_through;
    f->image.min_size = s->min_size;
    f->image.max_area = s->max_area;
    f->image.max_aspect = s->max_aspect;
    f->image.max_pixels = s->max_pixels;
    f->image.accept_truncated = s->accept_truncated;
}

/* img2dataset's ceil(log10(rows per part)): 4 for 10,000. */
static int digits_for(int64_t rows_per_part)
{
    int digits = 0;

    for (int64_t n = 1; n < rows_per_part; n *= 10)
        digits++;
    return digits > 0 ? digits : 1;
}

/* A word that a record may hold, or one of the two for several. */
static bool refetch_is_one(const char *word)
{
    static const char *const more[] = {"transient",  "all",           "bad_row",
                                       "bad_path",   "missing_file",  "not_a_file",
                                       "read_error", "hash_mismatch", "bad_json",
                                       "no_image",   "duplicate_url", "duplicate_content",
                                       "truncated",  "duplicate_key"};

    if (!word)
        return true;
    for (size_t i = 0; i < CPV_COUNT(more); i++)
        if (strcmp(word, more[i]) == 0)
            return true;
    /* Out of memory and stopped, the last two, end a run and are never recorded. */
    for (int i = CPV_HTTP_OK + 1; i < CPV_HTTP_MEMORY; i++)
        if (strcmp(word, cpv_http_status_name((cpv_http_status)i)) == 0)
            return true;
    for (int i = CPV_IMAGE_OK + 1; i <= CPV_IMAGE_ASPECT; i++)
        if (strcmp(word, cpv_image_status_name((enum cpv_image_status)i)) == 0)
            return true;
    return false;
}

/* What a pasted command line of img2dataset asks for and does not get. */
static void say_what_is_ignored(const struct fetch *f)
{
    if (f->set->wandb)
        cpv_log_warning(f->run->log, "--enable_wandb has no effect: statistics are in "
                                     "the corpus, fetch/*.stats.json");
    if (f->set->exif)
        cpv_log_warning(f->run->log, "--extract_exif has no effect: the orientation is "
                                     "applied, other tags are not kept");
}

static int fetch_open(struct cpv_run *run, struct cpv_err *err)
{
    struct fetch *f = cpv_arena_calloc(run->mem, 1, sizeof *f);
    int rc;

    if (!f)
        return cpv_fail_memory(err);
    run->self = f;
    f->run = run;
    f->set = run->settings;
    pthread_mutex_init(&f->lock, NULL);
    atomic_init(&f->cancel, false);
    if (!refetch_is_one(f->set->refetch))
        return cpv_fail(err, CPV_E_USAGE,
                        "'--refetch': expected transient, all or a status of a failure, "
                        "got '%s'",
                        f->set->refetch);
    say_what_is_ignored(f);
    describe_image(f);
    f->key_digits = digits_for(f->set->rows_per_part);
    rc = fetch_source_open(&f->source, run, err);
    if (rc)
        return rc;
    run->n_parts = fetch_source_parts(f->source);
    if (run->n_parts == 0)
        return cpv_fail(err, CPV_E_INPUT,
                        f->set->format == CPV_ROWS_FOLDER
                            ? "'%s': no images in it; of tars the format is webdataset"
                            : "'%s': no rows in it",
                        f->set->path);
    cpv_progress_total(run->progress, fetch_source_rows(f->source));
    return CPV_OK;
}

static int fetch_inputs(struct cpv_run *run, uint32_t part, cpv_arena *mem,
                        struct cpv_record *out, struct cpv_err *err)
{
    struct fetch *f = run->self;

    return fetch_source_describe(f->source, part, mem, out, err);
}

/* A refetch: does a committed part hold a failure that is asked for? */
static bool fetch_wants_again(struct cpv_run *run, const struct cpv_record *r)
{
    for (uint64_t i = 0; i < r->n_failures; i++)
        if (fetch_refetch_wants(run->settings, &r->failures[i]))
            return true;
    return false;
}

static int fetch_run(struct cpv_run *run, struct cpv_err *err)
{
    return fetch_work(run->self, err);
}

static void fetch_close(struct cpv_run *run)
{
    struct fetch *f = run->self;

    if (!f)
        return;
    cpv_http_close(&f->http);
    if (f->todo)
        cpv_queue_end(f->todo);
    cpv_pool_close(&f->decoders);
    if (f->finish)
        cpv_queue_end(f->finish);
    cpv_pool_close(&f->finisher);
    cpv_queue_close(&f->todo);
    cpv_queue_close(&f->done);
    cpv_queue_close(&f->finish);
    fetch_source_close(&f->source);
    pthread_mutex_destroy(&f->lock);
}

int main(int argc, char **argv)
{
    const struct cpv_stage stage = {
        .name = "fetch",
        .summary = "URL lists, folders or tars become image parts",
        .description =
            "Downloads (or reads) the images of a list, checks and resizes them, and "
            "writes "
            "them with their captions as parts of the column 'fetch' of a corpus.\n\n"
            "Every row is accounted for: it is a sample, or a failure with a reason in "
            "the "
            "part's record. A run may be killed at any moment; the next one goes on.",
        .section = "fetch",
        .column = "fetch",
        .groups = fetch_groups,
        .n_groups = fetch_n_groups,
        .settings_size = sizeof(struct fetch_settings),
        .settle = fetch_settle,
        .open = fetch_open,
        .inputs = fetch_inputs,
        .wants_again = fetch_wants_again,
        .work = fetch_run,
        .close = fetch_close,
    };

#ifdef M_MMAP_THRESHOLD
    /* Bodies under way are reserved in full and filled as they come. From the heap, which
     * glibc moves to with time, such a block is pages that others have touched: 1,000
     * downloads then held twice the memory budget. Fixed at where it begins, 128 KiB. */
    (void)mallopt(M_MMAP_THRESHOLD, 128 << 10);
#endif
    return cpv_stage_main(&stage, argc, argv);
}
