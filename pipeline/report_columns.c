/* SPDX-License-Identifier: Apache-2.0 */
/* What records, statistics and settings of the columns say. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/stop.h"
#include "common/corpus/record.h"
#include "common/corpus/settings.h"
#include "common/format/config.h"
#include "pipeline/report.h"

enum { SETTINGS_MAX = 1 << 20, STATS_MAX = 1 << 20, SETTINGS_SHOWN = 200, DIGEST = 12 };

/* ---- which parts ---- */

/* Parts of a training set are numbered by themselves: those asked for are the corpus's,
 * unless there is nothing else. */
static bool is_asked_by_part(const struct cpv_report *r,
                             const struct cpv_report_column *c)
{
    bool others = false;

    for (size_t i = 0; i < r->n; i++)
        others |= !r->columns[i].packed;
    return r->n_ranges && (!c->packed || !others);
}

static bool is_wanted(const struct cpv_report *r, const struct cpv_report_column *c,
                      uint32_t part)
{
    if (!is_asked_by_part(r, c))
        return true;
    for (size_t i = 0; i < r->n_ranges; i++)
        if (part >= r->ranges[i].first && part <= r->ranges[i].last)
            return true;
    return false;
}

static int list_parts(struct cpv_report *r, struct cpv_report_column *c,
                      struct cpv_err *err)
{
    struct cpv_column column;
    int rc = cpv_column_scan(r->place.corpus, c->name, r->scratch, &column, err);

    if (rc)
        return rc;
    c->said = column.parts;
    c->at = cpv_arena_calloc(r->mem, (size_t)column.count + 1, sizeof *c->at);
    if (!c->at)
        return cpv_fail_memory(err);
    for (uint32_t i = 0; i < column.count; i++) {
        if (!is_wanted(r, c, column.at[i].part))
            continue;
        c->at[c->count].part = column.at[i].part;
        c->at[c->count++].revision = column.at[i].revision;
    }
    return CPV_OK;
}

/* ---- records ---- */

static struct cpv_report_reason *find_reason(struct cpv_report *r,
                                             struct cpv_report_column *c,
                                             const struct cpv_failure *f)
{
    bool room = c->n_reasons + 1 < CPV_REPORT_REASONS;
    const char *status = room ? f->status : "other";
    struct cpv_report_reason *new;

    for (size_t i = 0; i < c->n_reasons; i++)
        if (strcmp(c->reasons[i].status, f->status) == 0 ||
            strcmp(c->reasons[i].status, status) == 0)
            return &c->reasons[i];
    new = &c->reasons[c->n_reasons];
    new->status = cpv_arena_str(r->mem, cpv_bytes_str(status));
    new->key = cpv_arena_str(r->mem, cpv_bytes_str(f->key));
    new->detail = cpv_arena_str(r->mem, cpv_bytes_str(f->detail ? f->detail : ""));
    if (!new->status || !new->key || !new->detail)
        return NULL;
    c->n_reasons++;
    return new;
}

static int add_failures(struct cpv_report *r, struct cpv_report_column *c,
                        const struct cpv_record *record, struct cpv_err *err)
{
    for (uint64_t i = 0; i < record->n_failures; i++) {
        struct cpv_report_reason *reason = find_reason(r, c, &record->failures[i]);

        if (!reason)
            return cpv_fail_memory(err);
        reason->count++;
        reason->transient += record->failures[i].transient;
        c->transient += record->failures[i].transient;
    }
    return CPV_OK;
}

static const struct cpv_report_part *find_part(const struct cpv_report *r,
                                               const char *column, uint32_t part)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct cpv_report_column *c = &r->columns[i];
        uint32_t low = 0, high = c->count;

        if (strcmp(c->name, column) != 0)
            continue;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;

            if (c->at[middle].part < part)
                low = middle + 1;
            else
                high = middle;
        }
        return low < c->count && c->at[low].part == part ? &c->at[low] : NULL;
    }
    return NULL;
}

/* Columns come in the order of a run, so what a part was made from has been read. */
static bool is_stale(const struct cpv_report *r, const struct cpv_report_column *c,
                     const struct cpv_record *record)
{
    for (uint32_t i = 0; !c->packed && i < record->n_inputs; i++) {
        const struct cpv_report_part *p =
            find_part(r, record->inputs[i].name, record->part);

        if (p && memcmp(p->tar_sha256, record->inputs[i].sha256, 32) != 0)
            return true;
    }
    return false;
}

static int read_record(struct cpv_report *r, struct cpv_report_column *c,
                       struct cpv_report_part *p, struct cpv_err *err)
{
    const char *corpus = r->place.corpus;
    const char *path = cpv_column_path(r->scratch, corpus, c->name, p->part, p->revision,
                                       CPV_FILE_RECORD);
    const char *shard = cpv_column_path(r->scratch, corpus, c->name, p->part, p->revision,
                                        CPV_FILE_SHARD);
    struct cpv_record record;
    int rc = path && shard ? cpv_record_read(path, r->scratch, &record, err)
                           : cpv_fail_memory(err);

    if (rc)
        return rc;
    p->samples = record.shard.samples;
    p->there = cpv_file_exists(shard);
    memcpy(p->tar_sha256, record.shard.tar_sha256, sizeof p->tar_sha256);
    c->rows += record.row_end - record.row_begin;
    c->samples += record.shard.samples;
    c->failed += record.n_failures;
    c->bytes += p->there ? record.shard.bytes : 0;
    c->gone += !p->there;
    c->stale += is_stale(r, c, &record);
    return add_failures(r, c, &record, err);
}

/* ---- statistics ---- */

struct span {
    double start, end;
};

static int add_stat(struct cpv_report *r, struct cpv_report_column *c, const char *outer,
                    const char *key, double v, struct cpv_err *err)
{
    const char *full = outer ? cpv_arena_printf(r->scratch, "%s.%s", outer, key) : key;
    struct cpv_report_stat *s;
    size_t i = 0;

    if (!full)
        return cpv_fail_memory(err);
    while (i < c->n_stats && strcmp(c->stats[i].key, full) != 0)
        i++;
    if (i == CPV_REPORT_STATS || !isfinite(v))
        return CPV_OK;
    s = &c->stats[i];
    if (i == c->n_stats) {
        s->key = cpv_arena_str(r->mem, cpv_bytes_str(full));
        s->least = s->most = v;
        c->n_stats++;
    }
    s->sum += v;
    s->least = v < s->least ? v : s->least;
    s->most = v > s->most ? v : s->most;
    s->parts++;
    return s->key ? CPV_OK : cpv_fail_memory(err);
}

static int add_stats(struct cpv_report *r, struct cpv_report_column *c, const json_t *o,
                     struct cpv_err *err)
{
    const char *key, *inner;
    json_t *value, *number;
    int rc = CPV_OK;

    json_object_foreach((json_t *)(uintptr_t)o, key, value)
    {
        if (!rc && json_is_number(value))
            rc = add_stat(r, c, NULL, key, json_number_value(value), err);
        json_object_foreach(value, inner, number)
        {
            if (!rc && json_is_number(number))
                rc = add_stat(r, c, key, inner, json_number_value(number), err);
        }
    }
    return rc;
}

/* Of what is not needed, only that the system refuses it is worth an error. */
static bool is_refusal(int rc)
{
    return rc == CPV_E_IO || rc == CPV_E_MEMORY;
}

/* Nothing needs statistics: what is not there, or no JSON, is passed over. */
static int parse_stats(const char *path, struct cpv_buf *text, json_t **out,
                       struct cpv_err *err)
{
    int rc = cpv_file_read(path, STATS_MAX, text, err);

    if (!rc)
        rc = cpv_json_parse(cpv_buf_view(text), "statistics", out, err);
    return is_refusal(rc) ? rc : CPV_OK;
}

static int read_stats(struct cpv_report *r, struct cpv_report_column *c,
                      const struct cpv_report_part *p, struct cpv_buf *spans,
                      struct cpv_err *err)
{
    const char *path = cpv_column_path(r->scratch, r->place.corpus, c->name, p->part,
                                       p->revision, CPV_FILE_STATS);
    struct cpv_buf text = {0};
    json_t *o = NULL;
    int rc = path ? parse_stats(path, &text, &o, err) : cpv_fail_memory(err);

    if (!rc && o) {
        struct span s = {json_number_value(json_object_get(o, "start_time")),
                         json_number_value(json_object_get(o, "end_time"))};

        if (s.end > s.start)
            cpv_buf_add(spans, &s, sizeof s);
        rc = spans->failed ? cpv_fail_memory(err) : add_stats(r, c, o, err);
    }
    json_decref(o);
    cpv_buf_release(&text);
    return rc;
}

static int by_start(const void *a, const void *b)
{
    double x = ((const struct span *)a)->start, y = ((const struct span *)b)->start;

    return (x > y) - (x < y);
}

/* Parts overlap, and between two runs nothing happens. */
static double busy_of(struct cpv_buf *spans)
{
    struct span *s = (struct span *)(void *)spans->data;
    size_t n = spans->size / sizeof *s;
    double busy = 0, reached = -INFINITY;

    if (n == 0)
        return 0;
    qsort(s, n, sizeof *s, by_start);
    for (size_t i = 0; i < n; i++) {
        double start = s[i].start > reached ? s[i].start : reached;

        if (s[i].end > start)
            busy += s[i].end - start;
        reached = s[i].end > reached ? s[i].end : reached;
    }
    return busy;
}

/* ---- settings ---- */

/* A path of this machine is nobody's business: its last name is enough. */
static const char *without_folder(const char *value)
{
    const char *at = value + (*value == '"' || *value == '\''), *slash;

    if (*at != '/' && *at != '~' && !strstr(at, "../"))
        return value;
    slash = strrchr(value, '/');
    return slash ? slash + 1 : value;
}

static int add_setting(struct cpv_report *r, struct cpv_report_column *c,
                       struct cpv_bytes line, struct cpv_err *err)
{
    char *text = cpv_arena_str(r->mem, line), *colon;
    const char *value;

    if (!text)
        return cpv_fail_memory(err);
    colon = strstr(text, ": ");
    if (!colon || *text == '#' || c->n_settings == SETTINGS_SHOWN)
        return CPV_OK;
    *colon = '\0';
    value = without_folder(colon + 2);
    c->settings[c->n_settings++] = (struct cpv_report_setting){text, value};
    if (strlen(text) >= 12 && strcmp(text + strlen(text) - 12, "model_sha256") == 0) {
        value += *value == '"';
        c->digest = strncmp(value, "null", 4) == 0
                        ? NULL
                        : cpv_arena_printf(r->mem, "%.*s", DIGEST, value);
    }
    return CPV_OK;
}

static int split_settings(struct cpv_report *r, struct cpv_report_column *c,
                          struct cpv_bytes text, struct cpv_err *err)
{
    int rc = CPV_OK;

    c->settings = cpv_arena_calloc(r->mem, SETTINGS_SHOWN, sizeof *c->settings);
    if (!c->settings)
        return cpv_fail_memory(err);
    while (!rc && text.size) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t n = end ? (size_t)(end - text.data) : text.size;

        rc = add_setting(r, c, cpv_bytes_of(text.data, n), err);
        n += end != NULL;
        text = cpv_bytes_of(text.data + n, text.size - n);
    }
    return rc;
}

static int read_settings(struct cpv_report *r, struct cpv_report_column *c,
                         struct cpv_err *err)
{
    struct cpv_buf text = {0};
    const char *path;
    int rc = cpv_settings_find(r->place.corpus, c->name, r->scratch, &path,
                               &c->settings_revision, err);

    if (!rc && path)
        rc = cpv_file_read(path, SETTINGS_MAX, &text, err);
    if (!rc)
        rc = split_settings(r, c, cpv_buf_view(&text), err);
    cpv_buf_release(&text);
    return rc;
}

/* "translate-pt" is made by what "translate.pt.model" names, "score-pt" by "score.model".
 */
static int find_model(struct cpv_report *r, struct cpv_report_column *c,
                      const cpv_config *config, struct cpv_err *err)
{
    bool scores = strncmp(c->name, "score", 5) == 0;
    char *path = cpv_arena_printf(r->scratch, "%s.model", scores ? "score" : c->name);
    const char *text;
    char *dash;

    if (!path)
        return cpv_fail_memory(err);
    if ((dash = strchr(path, '-')))
        *dash = '.';
    text = config && !c->packed ? cpv_config_text(config, path) : NULL;
    if (!text || !*text)
        return CPV_OK;
    c->model = cpv_arena_str(r->mem, cpv_bytes_str(without_folder(text)));
    return c->model ? CPV_OK : cpv_fail_memory(err);
}

/* ---- a column ---- */

static int most_first(const void *a, const void *b)
{
    const struct cpv_report_reason *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return strcmp(x->status, y->status);
}

static int read_parts(struct cpv_report *r, struct cpv_report_column *c,
                      struct cpv_err *err)
{
    struct cpv_buf spans = {0};
    int rc = CPV_OK;

    for (uint32_t i = 0; !rc && i < c->count; i++) {
        struct cpv_arena_mark mark = cpv_arena_mark(r->scratch);

        if (cpv_stop_requested())
            rc = cpv_fail(err, CPV_E_STOPPED, "stopped; nothing was written");
        if (!rc)
            rc = read_record(r, c, &c->at[i], err);
        if (!rc)
            rc = read_stats(r, c, &c->at[i], &spans, err);
        cpv_arena_rewind(r->scratch, mark);
    }
    c->busy = rc ? 0 : busy_of(&spans);
    cpv_buf_release(&spans);
    qsort(c->reasons, c->n_reasons, sizeof *c->reasons, most_first);
    return rc;
}

static int read_column(struct cpv_report *r, struct cpv_report_column *c,
                       const cpv_config *config, struct cpv_err *err)
{
    int rc;

    c->reasons = cpv_arena_calloc(r->mem, CPV_REPORT_REASONS, sizeof *c->reasons);
    c->stats = cpv_arena_calloc(r->mem, CPV_REPORT_STATS, sizeof *c->stats);
    if (!c->reasons || !c->stats)
        return cpv_fail_memory(err);
    rc = list_parts(r, c, err);
    if (!rc)
        rc = read_parts(r, c, err);
    if (!rc)
        rc = read_settings(r, c, err);
    if (!rc)
        rc = find_model(r, c, config, err);
    cpv_arena_reset(r->scratch);
    return rc;
}

/* ---- all of them ---- */

static int rank_of(const char *column)
{
    static const char *const ORDER[] = {"fetch", "caption", "translate-", "score"};
    int n = (int)(sizeof ORDER / sizeof *ORDER);

    for (int i = 0; i < n; i++)
        if (strncmp(column, ORDER[i], strlen(ORDER[i])) == 0)
            return i;
    return strncmp(column, "shards/", 7) == 0 ? n + 1 : n;
}

static int in_order_of_a_run(const void *a, const void *b)
{
    const char *x = ((const struct cpv_report_column *)a)->name;
    const char *y = ((const struct cpv_report_column *)b)->name;
    int by = rank_of(x) - rank_of(y);

    return by ? by : strcmp(x, y);
}

/* Samples of the corpus are those that were fetched; of one that came as a training set
 * alone, those of that. */
static void choose_base(struct cpv_report *r)
{
    for (int packed = 0; packed < 2 && !r->base; packed++)
        for (size_t i = 0; i < r->n && !r->base; i++)
            if (r->columns[i].packed == packed && r->columns[i].samples)
                r->base = &r->columns[i];
    r->alone = r->base && r->base->packed;
}

static int nothing_done(const struct cpv_report *r, struct cpv_err *err)
{
    return cpv_fail(err, CPV_E_INPUT,
                    "'%s%s%s': no part %s is finished yet, so there is nothing to report",
                    r->place.corpus, r->place.column ? "/" : "",
                    r->place.column ? r->place.column : "",
                    r->n_ranges ? "of those asked for" : "of it");
}

int cpv_report_columns(struct cpv_report *r, struct cpv_err *err)
{
    char *path = cpv_arena_printf(r->mem, "%s/config.yaml", r->place.corpus);
    cpv_config *config = NULL;
    const char **names = NULL;
    uint32_t n = 0, parts = 0;
    int rc = path ? cpv_place_columns(&r->place, r->mem, &names, &n, err)
                  : cpv_fail_memory(err);

    if (!rc) {
        r->columns = cpv_arena_calloc(r->mem, (size_t)n + 1, sizeof *r->columns);
        rc = r->columns ? CPV_OK : cpv_fail_memory(err);
    }
    if (rc)
        return rc;
    for (r->n = 0; r->n < n; r->n++) {
        r->columns[r->n].name = names[r->n];
        r->columns[r->n].packed = strncmp(names[r->n], "shards/", 7) == 0;
    }
    qsort(r->columns, r->n, sizeof *r->columns, in_order_of_a_run);
    /* Only for the names of models: without it they have digests. */
    if (cpv_file_exists(path)) {
        rc = cpv_config_open(&config, path, err);
        rc = is_refusal(rc) ? rc : CPV_OK;
    }
    for (size_t i = 0; !rc && i < r->n; i++) {
        rc = read_column(r, &r->columns[i], config, err);
        if (!r->n_ranges || is_asked_by_part(r, &r->columns[i]))
            parts += r->columns[i].count;
    }
    cpv_config_close(&config);
    if (!rc && parts == 0)
        rc = nothing_done(r, err);
    choose_base(r);
    return rc;
}
