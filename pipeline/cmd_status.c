/* SPDX-License-Identifier: Apache-2.0 */
/* capivara status: how far a corpus is, as a table, as JSON, or as the list of parts
 * that a scheduler's array wants. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/format/json.h"
#include "pipeline/command.h"
#include "pipeline/place.h"
#include "pipeline/status.h"
#include "pipeline/text.h"

enum { TEXT, JSON, SLURM_ARRAY };
enum { REASONS_SHOWN = 6 };

struct options {
    const char *corpus, *stage;
    int format;
};

static const char *const FORMATS[] = {"text", "json", "slurm-array", NULL};

static const struct cpv_opt OPTIONS[] = {
    {.name = "corpus",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct options, corpus),
     .arg = "DIR",
     .help = "The corpus, instead of naming it as operand."},
    {.name = "format",
     .kind = CPV_OPT_CHOICE,
     .offset = offsetof(struct options, format),
     .fallback = "text",
     .choices = FORMATS,
     .help = "slurm-array: the parts of --stage that still need work, as 1-2,5,9."},
    {.name = "stage",
     .kind = CPV_OPT_TEXT,
     .offset = offsetof(struct options, stage),
     .arg = "NAME",
     .help = "Only this stage or column (fetch, shards/train)."},
    {.kind = CPV_OPT_END},
};

/* ---- the table ---- */

static void add_parts(struct cpv_table *t, const struct cpv_status_column *c)
{
    uint64_t done = c->planned ? c->parts - c->n_left : c->done.parts;

    if (c->planned || c->said)
        cpv_table_add(t, "%llu/%llu", (unsigned long long)done,
                      (unsigned long long)(c->planned ? c->parts : c->said));
    else
        cpv_table_add(t, "%llu/?", (unsigned long long)done);
}

static void add_failed(struct cpv_table *t, const struct cpv_status_column *c)
{
    uint64_t rows = c->done.samples + c->done.failed;
    char count[32];

    cpv_text_count(count, sizeof count, c->done.failed);
    if (c->done.failed)
        cpv_table_add(t, "%s (%.1f%%)", count,
                      100.0 * (double)c->done.failed / (double)rows);
    else
        cpv_table_add(t, "%s", count);
}

/* Rows still to do; where the stage could not be asked, as many for each part that is
 * left as those that are there have on average. Below 0: not known. */
static double rows_left(const struct cpv_status_column *c)
{
    if (c->planned)
        return c->parts ? (double)c->rows_left : -1;
    if (c->said && c->done.parts >= c->said)
        return 0;
    if (!c->said || !c->done.parts)
        return -1;
    return (double)(c->said - c->done.parts) *
           ((double)(c->done.samples + c->done.failed) / (double)c->done.parts);
}

static void add_time_left(struct cpv_table *t, const struct cpv_status_column *c)
{
    double rows = rows_left(c);
    char text[32];

    if (c->planned ? c->parts && !c->n_left : rows == 0)
        cpv_table_add(t, "done");
    else if (rows >= 0 && c->rate > 0) {
        cpv_text_time(text, sizeof text, rows / c->rate);
        cpv_table_add(t, "%s", text);
    } else
        cpv_table_add(t, "?");
}

static void add_row(struct cpv_table *t, const struct cpv_status_column *c)
{
    char text[32];

    cpv_table_add(t, "%s", c->name);
    add_parts(t, c);
    cpv_text_count(text, sizeof text, c->done.samples);
    cpv_table_add(t, "%s", text);
    add_failed(t, c);
    cpv_text_bytes(text, sizeof text, c->done.bytes);
    cpv_table_add(t, "%s", text);
    if (c->rate > 0)
        cpv_table_add(t, c->rate < 10 ? "%.1f/s" : "%.0f/s", c->rate);
    else
        cpv_table_add(t, "-");
    add_time_left(t, c);
}

static int print_table(const struct cpv_status *s, struct cpv_err *err)
{
    static const char *const HEAD[] = {"stage", "parts", "samples", "failed",
                                       "size",  "rate",  "left"};
    struct cpv_table t = {.columns = sizeof HEAD / sizeof *HEAD};
    const char *no_color = getenv("NO_COLOR");
    bool bold = isatty(STDOUT_FILENO) && !(no_color && *no_color);

    for (size_t i = 0; i < t.columns; i++)
        cpv_table_add(&t, "%s", HEAD[i]);
    for (size_t i = 0; i < s->n; i++)
        add_row(&t, &s->at[i]);
    return cpv_table_print(&t, bold, stdout, err);
}

/* ---- what there is to know besides ---- */

static void print_reasons(const struct cpv_status_column *c)
{
    uint64_t rest = 0;

    if (!c->n_reasons)
        return;
    printf("%s: failed:", c->name);
    for (uint32_t i = 0; i < c->n_reasons; i++) {
        char count[32];

        if (i >= REASONS_SHOWN) {
            rest += c->reasons[i].count;
            continue;
        }
        cpv_text_count(count, sizeof count, c->reasons[i].count);
        printf("%s %s %s%s", i ? "," : "", count, c->reasons[i].status,
               c->reasons[i].transient ? " (may pass)" : "");
    }
    if (rest)
        printf(", %llu for other reasons", (unsigned long long)rest);
    printf("\n");
}

static void print_plan(const struct cpv_status_column *c)
{
    if (c->stale)
        printf("%s: %llu parts are stale and will be made anew\n", c->name,
               (unsigned long long)c->stale);
    if (c->waiting)
        printf("%s: %llu parts wait for their input\n", c->name,
               (unsigned long long)c->waiting);
    if (c->plan_status == 78)
        printf(
            "%s: the settings differ from the pinned ones; `capivara run --dry-run` says "
            "which\n",
            c->name);
    else if (c->plan_status == 127)
        printf("%s: '%s' is not installed, so its parts are not known\n", c->name,
               c->step->stage->program);
    else if (c->plan_status)
        printf("%s: `%s --dry-run` ended with status %d, so its parts are not known\n",
               c->name, c->step->stage->program, c->plan_status);
}

static void print_files(const struct cpv_status_column *c, const char *what,
                        struct cpv_count_bytes n, const char *advice)
{
    char bytes[32];

    if (!n.files)
        return;
    cpv_text_bytes(bytes, sizeof bytes, n.bytes);
    printf("%s: %llu %s, %s%s\n", c->name, (unsigned long long)n.files, what, bytes,
           advice);
}

static void print_leftovers(const struct cpv_status_column *c)
{
    static const char GC[] = "; `capivara gc` frees them";

    if (c->held)
        printf("%s: %llu files are being written now\n", c->name,
               (unsigned long long)c->held);
    print_files(c, "journals of unfinished parts", c->journals,
                "; `capivara run` goes on");
    print_files(c, "shards without a record", c->orphans, GC);
    print_files(c, "temporary files of dead processes", c->drafts, GC);
    print_files(c, "journals of committed parts", c->spent, GC);
    print_files(c, "files of superseded revisions", c->superseded, GC);
    print_files(c, "files of archived parts", c->gone, "");
}

static int print_text(const struct cpv_status *s, struct cpv_err *err)
{
    char bytes[32], room[32];
    int rc;

    cpv_text_bytes(bytes, sizeof bytes, s->bytes);
    cpv_text_bytes(room, sizeof room, s->disk_free);
    printf("%s: %s, %s free on its disk\n\n", s->corpus, bytes, room);
    rc = print_table(s, err);
    if (rc)
        return rc;
    printf("\n");
    for (size_t i = 0; i < s->n; i++) {
        print_reasons(&s->at[i]);
        print_plan(&s->at[i]);
        print_leftovers(&s->at[i]);
    }
    return CPV_OK;
}

/* ---- JSON ---- */

static void put_uint(struct cpv_json *j, const char *key, uint64_t v)
{
    cpv_json_key(j, key);
    cpv_json_uint(j, v);
}

/* null where it is not known */
static void put_planned(struct cpv_json *j, const char *key,
                        const struct cpv_status_column *c, uint64_t v)
{
    cpv_json_key(j, key);
    if (c->planned)
        cpv_json_uint(j, v);
    else
        cpv_json_null(j);
}

static void put_real(struct cpv_json *j, const char *key, double v)
{
    cpv_json_key(j, key);
    if (v > 0)
        cpv_json_real6(j, v);
    else
        cpv_json_null(j);
}

static void put_files(struct cpv_json *j, const char *key, struct cpv_count_bytes n)
{
    cpv_json_key(j, key);
    cpv_json_begin_object(j);
    put_uint(j, "files", n.files);
    put_uint(j, "bytes", n.bytes);
    cpv_json_end_object(j);
}

static void put_column(struct cpv_json *j, const struct cpv_status_column *c)
{
    cpv_json_begin_object(j);
    cpv_json_key(j, "column");
    cpv_json_string(j, c->name);
    put_uint(j, "parts_committed", c->done.parts);
    cpv_json_key(j, "parts");
    if (c->planned || c->said)
        cpv_json_uint(j, c->planned ? c->parts : c->said);
    else
        cpv_json_null(j);
    put_planned(j, "parts_left", c, c->n_left);
    put_planned(j, "parts_stale", c, c->stale);
    put_planned(j, "parts_waiting", c, c->waiting);
    put_planned(j, "rows_left", c, c->rows_left);
    put_uint(j, "plan_status", (uint64_t)c->plan_status);
    put_uint(j, "samples", c->done.samples);
    put_uint(j, "failed", c->done.failed);
    put_uint(j, "transient", c->done.transient);
    cpv_json_key(j, "reasons");
    cpv_json_begin_object(j);
    for (uint32_t i = 0; i < c->n_reasons; i++)
        put_uint(j, c->reasons[i].status, c->reasons[i].count);
    cpv_json_end_object(j);
    put_uint(j, "bytes", c->done.bytes);
    put_real(j, "rate", c->rate);
    put_real(j, "eta_s", c->rate > 0 ? rows_left(c) / c->rate : 0);
    put_uint(j, "being_written", c->held);
    put_files(j, "journals", c->journals);
    put_files(j, "orphans", c->orphans);
    put_files(j, "drafts", c->drafts);
    put_files(j, "spent_journals", c->spent);
    put_files(j, "superseded", c->superseded);
    put_files(j, "archived", c->gone);
    cpv_json_end_object(j);
}

static int print_json(const struct cpv_status *s, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    struct cpv_json j;
    bool failed;

    cpv_json_init(&j, &text);
    cpv_json_begin_object(&j);
    cpv_json_key(&j, "corpus");
    cpv_json_string(&j, s->corpus);
    put_uint(&j, "bytes", s->bytes);
    put_uint(&j, "disk_free", s->disk_free);
    cpv_json_key(&j, "columns");
    cpv_json_begin_array(&j);
    for (size_t i = 0; i < s->n; i++)
        put_column(&j, &s->at[i]);
    cpv_json_end_array(&j);
    cpv_json_end_object(&j);
    cpv_buf_byte(&text, '\n');
    failed = text.failed;
    if (!failed)
        (void)fwrite(text.data, 1, text.size, stdout);
    cpv_buf_release(&text);
    return failed ? cpv_fail_memory(err) : CPV_OK;
}

/* ---- for schedulers ---- */

static int print_array(const struct cpv_status *s, struct cpv_err *err)
{
    const struct cpv_status_column *c = &s->at[0];

    if (s->n != 1)
        return cpv_fail(err, CPV_E_USAGE, "'--format slurm-array' needs '--stage'");
    if (!c->planned)
        return cpv_fail(
            err, CPV_E_INPUT,
            "the parts of '%s' are not known; `capivara run --dry-run` says why",
            c->name);
    for (size_t i = 0, k; i < c->n_left; i = k) {
        for (k = i + 1; k < c->n_left && c->left[k] == c->left[k - 1] + 1; k++)
            ;
        printf("%s%u", i ? "," : "", c->left[i]);
        if (k > i + 1)
            printf("-%u", c->left[k - 1]);
    }
    printf("\n");
    return CPV_OK;
}

/* ---- */

/* "shard" means its only instance, "shards/train" exactly that. */
static bool is_meant(const struct cpv_status_column *c, const char *stage)
{
    return strcmp(c->name, stage) == 0 ||
           (c->step && strcmp(c->step->stage->name, stage) == 0);
}

static int keep_stage(struct cpv_status *s, const char *stage, struct cpv_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        if (is_meant(&s->at[i], stage))
            s->at[n++] = s->at[i];
    s->n = n;
    return n ? CPV_OK
             : cpv_fail(err, CPV_E_USAGE, "'--stage': '%s' has no '%s'", s->corpus,
                        stage);
}

/* A corpus's own configuration is of use, but not needed. */
static int open_setup(struct cpv_setup *setup, const char *corpus, struct cpv_call *call,
                      struct cpv_err *err)
{
    const char *copy = cpv_arena_printf(call->mem, "%s/config.yaml", corpus);

    memset(setup, 0, sizeof *setup);
    if (!copy)
        return cpv_fail_memory(err);
    if (!cpv_file_exists(copy))
        return CPV_OK;
    return cpv_setup_open(setup, NULL, corpus, call->mem, err);
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    const struct options *o = call->options;
    const char *corpus = o->corpus ? o->corpus : call->n_names ? call->names[0] : NULL;
    struct cpv_setup setup = {0};
    struct cpv_status s;
    struct cpv_place place;
    int rc;

    if (!corpus)
        return cpv_fail(err, CPV_E_USAGE, "a corpus is needed; see --help");
    rc = cpv_place_find(&place, corpus, call->mem, err);
    if (!rc && (!place.corpus || place.column))
        rc = cpv_fail(err, CPV_E_USAGE, "'%s': expected the folder of a corpus", corpus);
    if (!rc)
        rc = open_setup(&setup, place.corpus, call, err);
    if (!rc)
        rc = cpv_status_gather(&s, place.corpus, &setup, call->mem, call->log, err);
    if (!rc && o->stage)
        rc = keep_stage(&s, o->stage, err);
    if (!rc)
        rc = o->format == JSON   ? print_json(&s, err)
             : o->format == TEXT ? print_text(&s, err)
                                 : print_array(&s, err);
    cpv_setup_close(&setup);
    return rc;
}

const struct cpv_command cpv_command_status = {
    .name = "status",
    .summary = "show how far a corpus is, what failed, and what is left",
    .usage = "CORPUS [--format text|json|slurm-array] [--stage NAME]",
    .description =
        "For each stage: parts done of all, samples, failures by reason, size, and from "
        "the "
        "statistics of the last parts the rate and the time left. Which parts there are "
        "and "
        "which are stale is asked of the stages themselves (--dry-run), with the "
        "configuration in the corpus.",
    .options = OPTIONS,
    .options_size = sizeof(struct options),
    .most = 1,
    .run = run,
};
