/* SPDX-License-Identifier: Apache-2.0 */
/* Trainings on the page: a table of each, and its curves. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/size.h"
#include "common/base/sys.h"
#include "pipeline/curves.h"
#include "pipeline/report.h"

struct cpv_report_training {
    const char *name; /* the folder's own: no path */
    struct cpv_curves *curves;
};

/* ---- reading ---- */

static const char *name_of(const char *folder, cpv_arena *mem)
{
    size_t n = strlen(folder), first;

    while (n > 1 && folder[n - 1] == '/')
        n--;
    first = n;
    while (first > 0 && folder[first - 1] != '/')
        first--;
    return cpv_arena_str(mem, cpv_bytes_of(folder + first, n - first));
}

int cpv_report_trainings(struct cpv_report *r, const struct cpv_texts *folders,
                         struct cpv_err *err)
{
    int rc = CPV_OK;

    r->trainings = cpv_arena_calloc(r->mem, folders->count + 1, sizeof *r->trainings);
    if (!r->trainings)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < folders->count && !rc; i++) {
        struct cpv_report_training *t = &r->trainings[i];

        t->name = name_of(folders->at[i], r->mem);
        t->curves = cpv_arena_calloc(r->mem, 1, sizeof *t->curves);
        rc = t->name && t->curves ? cpv_curves_read(t->curves, folders->at[i], err)
                                  : cpv_fail_memory(err);
        r->n_trainings++;
    }
    return rc;
}

/* A number of somebody's file: what is no count is 0. */
static uint64_t whole(double n)
{
    return n > 0 && n < 9e15 ? (uint64_t)n : 0;
}

static struct cpv_words count(double n)
{
    return cpv_words_count(whole(n));
}

/* ---- one chart ---- */

/* Of the drawing, as histograms have it, with room for "4.03e-06" at its left. */
enum { WIDTH = 320, HEIGHT = 136, LEFT = 56, RIGHT = 304, TOP = 14, FLOOR = 112 };

struct line {
    const char *name;
    const struct cpv_curve *c;
    unsigned colour;
};

struct axes {
    double steps, low, high;
};

static struct axes axes_of(const struct line *lines, size_t n)
{
    struct axes a = {1, INFINITY, -INFINITY};

    for (size_t i = 0; i < n; i++) {
        a.steps = fmax(a.steps, lines[i].c->last.step);
        a.low = fmin(a.low, lines[i].c->least.value);
        a.high = fmax(a.high, lines[i].c->most.value);
    }
    if (!(a.high > a.low)) { /* a flat line lies in the middle */
        double by = fabs(a.high) > 0 ? 0.5 * fabs(a.high) : 1;

        a.low -= by;
        a.high += by;
    }
    return a;
}

static void put_point(cpv_page *page, const struct axes *a, struct cpv_curve_point p)
{
    cpv_page_printf(page, "%.1f,%.1f ", LEFT + (RIGHT - LEFT) * p.step / a->steps,
                    FLOOR - (FLOOR - TOP) * (p.value - a->low) / (a->high - a->low));
}

static void put_line(cpv_page *page, const struct axes *a, const struct line *l)
{
    cpv_page_printf(page, "<polyline class=\"k%u\" points=\"", l->colour);
    for (uint32_t i = 0; i < l->c->n; i++) {
        struct cpv_curve_point p = l->c->at[i].least, q = l->c->at[i].most;

        put_point(page, a, p.step <= q.step ? p : q);
        if (p.step < q.step || p.step > q.step)
            put_point(page, a, p.step <= q.step ? q : p);
    }
    cpv_page_raw(page, "\"/>");
}

static struct cpv_words words_of(double v, bool bytes)
{
    return bytes ? cpv_words_bytes(whole(v)) : cpv_words_real(v);
}

static void put_axes(cpv_page *page, const struct axes *a, bool bytes)
{
    for (int i = 0; i < 2; i++) {
        double y = i ? TOP : FLOOR;

        cpv_page_printf(page,
                        "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.0f\" "
                        "y2=\"%.0f\"/><text x=\"%d\" y=\"%.1f\" "
                        "text-anchor=\"end\">%s</text>",
                        i ? "grid" : "floor", LEFT, RIGHT, y, y, LEFT - 5, y + 3.5,
                        words_of(i ? a->high : a->low, bytes).text);
    }
    cpv_page_printf(page,
                    "<text x=\"%d\" y=\"%d\">0</text><text x=\"%d\" y=\"%d\" "
                    "text-anchor=\"end\">step %s</text>",
                    LEFT, FLOOR + 16, RIGHT, FLOOR + 16, count(a->steps).text);
}

/* What the lines say, in words: for all, and for those who do not see them. */
static void put_keys(cpv_page *page, const struct line *lines, size_t n, bool high,
                     bool bytes)
{
    cpv_page_raw(page, "<ul class=\"keys\">");
    for (size_t i = 0; i < n; i++) {
        const struct cpv_curve *c = lines[i].c;
        struct cpv_curve_point best = high ? c->most : c->least;

        cpv_page_printf(page, "<li class=\"k%u\">", lines[i].colour);
        cpv_page_str(page, lines[i].name);
        cpv_page_printf(page, ": first %s, last %s, %s %s at step %s</li>",
                        words_of(c->first.value, bytes).text,
                        words_of(c->last.value, bytes).text, high ? "highest" : "lowest",
                        words_of(best.value, bytes).text, count(best.step).text);
    }
    cpv_page_raw(page, "</ul>");
}

static void put_chart(cpv_page *page, const char *title, const struct line *all,
                      size_t n_all, bool high, bool bytes)
{
    struct line lines[CPV_CURVES_LANGS];
    struct axes a;
    size_t n = 0;

    for (size_t i = 0; i < n_all && n < CPV_COUNT(lines); i++)
        if (all[i].c->points)
            lines[n++] = all[i];
    if (!n)
        return;
    a = axes_of(lines, n);
    cpv_page_printf(page,
                    "<figure class=\"chart\"><figcaption><b>%s</b></figcaption><svg "
                    "viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s over steps\">",
                    title, WIDTH, HEIGHT, title);
    put_axes(page, &a, bytes);
    for (size_t i = 0; i < n; i++)
        put_line(page, &a, &lines[i]);
    cpv_page_raw(page, "</svg>");
    put_keys(page, lines, n, high, bytes);
    cpv_page_raw(page, "</figure>\n");
}

/* ---- one training ---- */

static void put_recall(struct cpv_report *r, cpv_page *page, const struct cpv_curves *c)
{
    struct line lines[CPV_CURVES_LANGS];

    for (uint32_t i = 0; i < c->n_langs; i++) {
        const char *name = cpv_words_lang(c->lang[i].code, r->mem);

        lines[i] =
            (struct line){name ? name : c->lang[i].code, &c->lang[i].recall, i % 8};
    }
    put_chart(page, "Mean recall of the validation", lines, c->n_langs, true, false);
}

static void put_curves(struct cpv_report *r, cpv_page *page, const struct cpv_curves *c)
{
    const struct line loss = {"Loss", &c->of[CPV_CURVE_LOSS], 0};
    const struct line hits[] = {
        {"Texts that find their image", &c->of[CPV_CURVE_TEXT_ACCURACY], 0},
        {"Images that find their text", &c->of[CPV_CURVE_IMAGE_ACCURACY], 1}};
    const struct line rate = {"Learning rate", &c->of[CPV_CURVE_LR], 0};
    const struct line scale = {"Logit scale", &c->of[CPV_CURVE_LOGIT_SCALE], 0};
    const struct line speed[] = {{"Samples a second", &c->of[CPV_CURVE_SAMPLES], 0},
                                 {"Tokens a second", &c->of[CPV_CURVE_TOKENS], 1}};
    const struct line memory = {"Memory", &c->of[CPV_CURVE_MEMORY], 0};

    cpv_page_raw(page, "<div class=\"charts\">\n");
    put_chart(page, "Loss", &loss, 1, false, false);
    put_chart(page, "Accuracy within the batch", hits, CPV_COUNT(hits), true, false);
    put_recall(r, page, c);
    put_chart(page, "Learning rate", &rate, 1, true, false);
    put_chart(page, "Logit scale", &scale, 1, true, false);
    put_chart(page, "Samples a second", &speed[0], 1, true, false);
    put_chart(page, "Real tokens a second", &speed[1], 1, true, false);
    put_chart(page, "Memory", &memory, 1, true, true);
    cpv_page_raw(page, "</div>\n");
}

static void put_row(cpv_page *page, const char *what, const char *value)
{
    cpv_page_printf(page, "<div><dt>%s</dt><dd><b>%s</b></dd></div>\n", what, value);
}

static void put_numbers(cpv_page *page, const struct cpv_curves *c)
{
    const struct cpv_curve *loss = &c->of[CPV_CURVE_LOSS];
    char text[160];

    cpv_page_raw(page, "<dl class=\"tiles\">\n");
    put_row(page, "Steps", count(c->steps).text);
    put_row(page, "Epochs", cpv_words_real(c->epochs).text);
    put_row(page, "Pairs", count(c->pairs).text);
    put_row(page, "Tokens", count(c->tokens).text);
    if (c->broken > 0)
        put_row(page, "Broken samples", count(c->broken).text);
    if (loss->points) {
        (void)snprintf(text, sizeof text, "%s to %s",
                       cpv_words_real(loss->first.value).text,
                       cpv_words_real(loss->last.value).text);
        put_row(page, "Loss", text);
    }
    if (c->recall.points) {
        (void)snprintf(text, sizeof text, "%s, step %s",
                       cpv_words_real(c->recall.most.value).text,
                       count(c->recall.most.step).text);
        put_row(page, "Best mean recall", text);
    }
    if (c->timed && c->seconds > 0) {
        put_row(page, "Time", cpv_words_seconds(c->seconds).text);
        put_row(page, "Samples a second", cpv_words_real(c->pairs / c->seconds).text);
    }
    if (c->of[CPV_CURVE_MEMORY].points)
        put_row(page, "Most memory",
                cpv_words_bytes(whole(c->of[CPV_CURVE_MEMORY].most.value)).text);
    cpv_page_raw(page, "</dl>\n");
    if (c->unreadable)
        cpv_page_printf(page,
                        "<p class=\"muted\">Lines that could not be read: %s.</p>\n",
                        cpv_words_count(c->unreadable).text);
}

void cpv_report_put_trainings(struct cpv_report *r, cpv_page *page)
{
    if (!r->n_trainings)
        return;
    cpv_report_open_section(page, "training", "", "Training");
    for (size_t i = 0; i < r->n_trainings; i++) {
        cpv_page_raw(page, "<h3>");
        cpv_page_str(page, r->trainings[i].name);
        cpv_page_raw(page, "</h3>\n");
        put_numbers(page, r->trainings[i].curves);
        put_curves(r, page, r->trainings[i].curves);
    }
    cpv_page_raw(page, "</section>\n");
}
