/* SPDX-License-Identifier: Apache-2.0 */
/* capivara report: one page about a corpus, to look at and to pass on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/command.h"
#include "pipeline/report.h"
#include "pipeline/text.h"

enum { SAMPLES_MAX = 1000 };

struct options {
    const char *output, *parts;
    struct cpv_texts trainings;
    int64_t samples, seed;
};

static const struct cpv_opt OPTIONS[] = {
    {.name = "output",
     .aliases = "o out",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct options, output),
     .fallback = "report.html",
     .arg = "FILE",
     .help = "The page to write; - is standard output. What is there is replaced."},
    {.name = "samples",
     .kind = CPV_OPT_INT,
     .offset = offsetof(struct options, samples),
     .fallback = "24",
     .max = SAMPLES_MAX,
     .arg = "N",
     .help = "How many samples to show, drawn evenly over the corpus."},
    {.name = "seed",
     .kind = CPV_OPT_INT,
     .offset = offsetof(struct options, seed),
     .fallback = "0",
     .max = 9007199254740992.0,
     .arg = "N",
     .help = "Another seed draws other samples."},
    {.name = "parts",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct options, parts),
     .fallback = "all",
     .arg = "LIST",
     .help =
         "Only these parts, as 3,7,9-12: for a quick look at a large corpus, of which "
         "otherwise every byte is read."},
    {.name = "training",
     .kind = CPV_OPT_LIST,
     .offset = offsetof(struct options, trainings),
     .arg = "DIR",
     .help = "Show this training, too: a folder of capivara-train. May be repeated.",
     .flags = CPV_OPT_REPEAT},
    {.kind = CPV_OPT_END},
};

/* ---- which parts ---- */

static int parse_parts(struct cpv_report *r, const char *text, struct cpv_buf *ranges,
                       struct cpv_err *err)
{
    if (strcmp(text, "all") == 0)
        return CPV_OK;
    if (!cpv_part_list_parse(text, ranges))
        return ranges->failed
                   ? cpv_fail_memory(err)
                   : cpv_fail(err, CPV_E_USAGE,
                              "'--parts': expected all or a list such as 3,7,9-12, got "
                              "'%s'",
                              text);
    r->ranges = (const struct cpv_part_range *)(const void *)ranges->data;
    r->n_ranges = ranges->size / sizeof *r->ranges;
    return CPV_OK;
}

/* ---- what it is called ---- */

/* The last name of the folder, also where it was called "." */
static int find_name(struct cpv_report *r, struct cpv_err *err)
{
    char *whole = realpath(r->place.corpus, NULL), *slash;
    const char *last;

    if (!whole)
        return cpv_fail(err, CPV_E_IO, "cannot find the folder '%s'", r->place.corpus);
    slash = strrchr(whole, '/');
    last = slash && slash[1] ? slash + 1 : "corpus";
    r->name = r->place.column ? cpv_arena_printf(r->mem, "%s/%s", last, r->place.column)
                              : cpv_arena_str(r->mem, cpv_bytes_str(last));
    free(whole); /* lint: allow free: the C library's memory */
    return r->name ? CPV_OK : cpv_fail_memory(err);
}

static int find_corpus(struct cpv_report *r, const char *path, struct cpv_err *err)
{
    int rc = cpv_place_find(&r->place, path, r->mem, err);

    if (!rc && !r->place.corpus)
        rc = cpv_fail(err, CPV_E_USAGE, "'%s': expected the folder of a corpus", path);
    return rc ? rc : find_name(r, err);
}

/* ---- */

static int write_page(struct cpv_report *r, struct cpv_call *call, struct cpv_err *err)
{
    const struct options *o = call->options;
    uint64_t bytes = 0;
    uint32_t cards = 0;
    cpv_page *page = NULL;
    int rc = cpv_report_trainings(r, &o->trainings, err);

    if (!rc)
        rc = cpv_page_create(&page, o->output, err);
    if (!rc)
        rc = cpv_report_columns(r, err);
    if (!rc)
        rc = cpv_report_census(r, err);
    if (!rc)
        rc = cpv_report_write(r, page, &cards, err);
    if (!rc)
        rc = cpv_page_commit(&page, &bytes, err);
    cpv_page_discard(&page);
    if (!rc && !call->quiet && strcmp(o->output, "-") != 0)
        printf("%s: %u samples shown of %s, %s\n", o->output, cards,
               cpv_words_count(r->base ? r->base->samples : 0).text,
               cpv_words_bytes(bytes).text);
    return rc;
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    const struct options *o = call->options;
    struct cpv_report r = {.mem = call->mem, .log = call->log};
    struct cpv_buf ranges = {0};
    int rc = parse_parts(&r, o->parts, &ranges, err);

    r.samples_wanted = (uint32_t)o->samples;
    r.seed = (uint64_t)o->seed;
    r.live = !call->quiet && isatty(STDERR_FILENO);
    if (!rc && !*o->output)
        rc = cpv_fail(err, CPV_E_USAGE, "'--output': expected the name of a file");
    if (!rc)
        rc = cpv_arena_open(&r.scratch, 0, err);
    if (!rc)
        rc = find_corpus(&r, call->names[0], err);
    if (!rc)
        rc = write_page(&r, call, err);
    cpv_arena_close(&r.scratch);
    cpv_buf_release(&ranges);
    return rc;
}

const struct cpv_command cpv_command_report = {
    .name = "report",
    .summary = "write a page of samples, numbers and histograms about a corpus",
    .usage = "CORPUS[/COLUMN] [--output FILE] [--samples N] [--seed N] [--parts LIST] "
             "[--training DIR]...",
    .description =
        "One HTML file that needs nothing else: what each column holds, why rows failed, "
        "sizes of images, lengths of captions by language, flags of translations, some "
        "samples with their thumbnails and all their captions, and the statistics of the "
        "runs; with --training the curves of trainings, too. A corpus that is not "
        "finished is reported as far as it goes.\n\n"
        "The same corpus and options give the same bytes. The page holds neither dates "
        "nor "
        "folders of this machine, but the addresses and captions of the samples shown, "
        "and "
        "their pictures: think before you publish it.",
    .options = OPTIONS,
    .options_size = sizeof(struct options),
    .least = 1,
    .most = 1,
    .run = run,
};
