/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline/curves.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/format/json.h"
#include "common/format/lines.h"

/* ---- one curve ---- */

static void halve(struct cpv_curve *c)
{
    for (uint32_t i = 0; i < CPV_CURVE_MOST / 2; i++) {
        c->at[i] = c->at[2 * i];
        if (c->at[2 * i + 1].least.value < c->at[i].least.value)
            c->at[i].least = c->at[2 * i + 1].least;
        if (c->at[2 * i + 1].most.value > c->at[i].most.value)
            c->at[i].most = c->at[2 * i + 1].most;
    }
    c->n = CPV_CURVE_MOST / 2;
    c->each *= 2;
    c->in_last = c->each;
}

void cpv_curve_add(struct cpv_curve *c, double step, double value)
{
    struct cpv_curve_point p = {step, value};

    if (!isfinite(step) || !isfinite(value) || (c->points && step <= c->last.step))
        return;
    if (!c->points) {
        c->first = c->least = c->most = p;
        c->each = c->in_last = 1;
    }
    c->points++;
    c->last = p;
    if (value < c->least.value)
        c->least = p;
    if (value > c->most.value)
        c->most = p;
    if (c->in_last == c->each) {
        if (c->n == CPV_CURVE_MOST)
            halve(c);
        c->at[c->n].least = c->at[c->n].most = p;
        c->n++;
        c->in_last = 1;
        return;
    }
    c->in_last++;
    if (value < c->at[c->n - 1].least.value)
        c->at[c->n - 1].least = p;
    if (value > c->at[c->n - 1].most.value)
        c->at[c->n - 1].most = p;
}

/* ---- lines ---- */

static double number(const json_t *line, const char *key)
{
    const json_t *v = json_object_get(line, key);

    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static void keep(double *to, double v)
{
    if (isfinite(v) && v >= 0)
        *to = v;
}

static struct cpv_curve *curve_of(struct cpv_curves *c, const char *code)
{
    uint32_t i = 0;

    while (i < c->n_langs && strcmp(c->lang[i].code, code) != 0)
        i++;
    if (i == CPV_CURVES_LANGS || strlen(code) >= sizeof c->lang[i].code)
        return NULL;
    if (i == c->n_langs) {
        (void)snprintf(c->lang[i].code, sizeof c->lang[i].code, "%s", code);
        c->n_langs++;
    }
    return &c->lang[i].recall;
}

static void add_validation(struct cpv_curves *c, double step, json_t *validation)
{
    const char *code;
    json_t *v;

    cpv_curve_add(&c->recall, step, number(validation, "mean_recall"));
    json_object_foreach(validation, code, v)
    {
        struct cpv_curve *curve = json_is_object(v) ? curve_of(c, code) : NULL;

        if (curve)
            cpv_curve_add(curve, step, number(v, "mean_recall"));
    }
}

static void add_line(struct cpv_curves *c, json_t *line)
{
    static const char *const KEYS[CPV_CURVES] = {
        "loss",        "text_accuracy", "image_accuracy", "lr",
        "logit_scale", "samples_per_s", "tokens_per_s",   "memory_bytes"};
    double step = number(line, "step"), seconds = number(line, "seconds");
    json_t *validation = json_object_get(line, "validation");

    if (!(step >= 0)) {
        c->unreadable++;
        return;
    }
    if (json_is_object(validation))
        add_validation(c, step, validation);
    for (int i = 0; i < CPV_CURVES; i++)
        cpv_curve_add(&c->of[i], step, number(line, KEYS[i]));
    keep(&c->steps, step);
    keep(&c->epochs, number(line, "epoch"));
    keep(&c->pairs, number(line, "pairs"));
    keep(&c->tokens, number(line, "tokens"));
    keep(&c->broken, number(line, "broken"));
    if (seconds > 0)
        c->seconds += seconds;
}

static int read_lines(struct cpv_curves *c, const char *path, struct cpv_err *err)
{
    struct cpv_lines lines = {.skip_blank = true};
    struct cpv_record record;
    int rc = cpv_lines_open(&lines, path, 1 << 20, err);

    while (!rc && (rc = cpv_lines_next(&lines, &record, err)) == 1) {
        struct cpv_err ours = {0};
        json_t *line = NULL;

        rc = 0;
        if (record.flaw != CPV_RECORD_FINE ||
            cpv_json_parse(cpv_bytes_of(record.data, record.size), path, &line, &ours))
            c->unreadable++;
        else
            add_line(c, line);
        json_decref(line);
    }
    cpv_lines_close(&lines);
    return rc;
}

int cpv_curves_read(struct cpv_curves *out, const char *folder, struct cpv_err *err)
{
    char path[4096];
    int rc;

    memset(out, 0, sizeof *out);
    if (strlen(folder) + 20 > sizeof path)
        return cpv_fail(err, CPV_E_USAGE, "'%s': too long a path", folder);
    (void)snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    if (!cpv_file_exists(path))
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': expected the folder of a training, with metrics.jsonl",
                        folder);
    rc = read_lines(out, path, err);
    (void)snprintf(path, sizeof path, "%s/timings.jsonl", folder);
    out->timed = cpv_file_exists(path);
    if (!rc && out->timed)
        rc = read_lines(out, path, err);
    return rc;
}
