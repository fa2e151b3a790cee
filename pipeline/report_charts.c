/* SPDX-License-Identifier: Apache-2.0 */
/* Histograms as pictures that need nothing but the page, and the tables beside them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/size.h"
#include "pipeline/report.h"

/* ---- one histogram ---- */

/* Bins lie between edges; tick: what stands below an edge, NULL: nothing. */
struct edge {
    uint32_t at;
    const char *tick;
    bool middle; /* of the bin that begins here */
};

struct chart {
    const struct cpv_tally *t;
    const struct edge *edges;
    size_t n; /* edges: one more than bins */
    const char *unit;
    double scale, zero; /* what an edge means is (at - zero) / scale */
    double top;         /* the share of a bar of full height */
};

/* Of the drawing: it is shown at about this size, so that its text is legible. */
enum { WIDTH = 320, HEIGHT = 136, LEFT = 40, RIGHT = 304, TOP = 14, FLOOR = 112 };

static double value_of(const struct chart *c, uint32_t at)
{
    return (at - c->zero) / c->scale;
}

static double share_of(const struct chart *c, size_t i)
{
    uint64_t n = cpv_tally_between(c->t, c->edges[i].at, c->edges[i + 1].at);

    return c->t->n ? (double)n / (double)c->t->n : 0;
}

static double highest(const struct chart *c)
{
    double top = 0;

    for (size_t i = 0; i + 1 < c->n; i++)
        top = fmax(top, share_of(c, i));
    return top;
}

/* "256 to 383 pixels", "0.80 to 0.95", "4,096 pixels or more" */
static void name_bin(const struct chart *c, size_t i, char *out, size_t size)
{
    double first = value_of(c, c->edges[i].at), end = value_of(c, c->edges[i + 1].at);
    const char *gap = *c->unit ? " " : "";

    if (c->edges[i + 1].at == CPV_TALLY_END)
        (void)snprintf(out, size, "%s%s%s or more", cpv_words_real(first).text, gap,
                       c->unit);
    else if (c->scale > 1)
        (void)snprintf(out, size, "%.2f to %.2f", first, end);
    else
        (void)snprintf(out, size, "%s to %s%s%s", cpv_words_real(first).text,
                       cpv_words_real(end - 1).text, gap, c->unit);
}

static void put_grid(cpv_page *page, double top)
{
    for (int half = 1; half <= 2; half++) {
        double y = FLOOR - (FLOOR - TOP) * half / 2.0;

        cpv_page_printf(page,
                        "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" "
                        "y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" "
                        "text-anchor=\"end\">%.*f %%</text>",
                        LEFT, RIGHT, y, y, LEFT - 6, y + 3.5, top * half < 0.2 ? 1 : 0,
                        100 * top * half / 2);
    }
    cpv_page_printf(page,
                    "<line class=\"floor\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>",
                    LEFT, RIGHT, FLOOR, FLOOR);
}

static void put_bars(cpv_page *page, const struct chart *c)
{
    double step = (double)(RIGHT - LEFT) / (double)(c->n - 1);
    char name[128];

    for (size_t i = 0; i < c->n; i++) {
        double x = LEFT + step * (double)i, share = i + 1 < c->n ? share_of(c, i) : 0;
        double height = c->top > 0 ? (FLOOR - TOP) * share / c->top : 0;

        if (share > 0) {
            name_bin(c, i, name, sizeof name);
            height = fmax(height, 1);
            cpv_page_printf(page,
                            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                            "rx=\"1.5\"><title>%s: %.1f %%</title></rect>",
                            x + 1, FLOOR - height, step - 2, height, name, 100 * share);
        }
        if (c->edges[i].tick)
            cpv_page_printf(
                page, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>",
                c->edges[i].middle ? x + step / 2 : x, FLOOR + 16, c->edges[i].tick);
    }
}

/* The same for those who do not see it. */
static void put_numbers(cpv_page *page, const struct chart *c)
{
    char name[128];

    cpv_page_raw(page, "<div class=\"vh\"><table><tbody>");
    for (size_t i = 0; i + 1 < c->n; i++) {
        uint64_t n = cpv_tally_between(c->t, c->edges[i].at, c->edges[i + 1].at);

        name_bin(c, i, name, sizeof name);
        cpv_page_printf(page, "<tr><th scope=\"row\">%s</th><td>%s</td><td>%s</td></tr>",
                        name, cpv_words_count(n).text, cpv_words_share(n, c->t->n).text);
    }
    cpv_page_raw(page, "</tbody></table></div>");
}

static void put_chart(cpv_page *page, const struct chart *c, const char *title,
                      const char *note, unsigned colour)
{
    cpv_page_printf(page, "<figure class=\"chart k%u\"><figcaption><b>", colour);
    cpv_page_str(page, title);
    cpv_page_raw(page, "</b> ");
    cpv_page_str(page, note);
    cpv_page_printf(page,
                    "</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\" "
                    "aria-label=\"Histogram. ",
                    WIDTH, HEIGHT);
    cpv_page_str(page, title);
    cpv_page_raw(page, ": ");
    cpv_page_str(page, note);
    cpv_page_raw(page, "\">");
    put_grid(page, c->top);
    put_bars(page, c);
    cpv_page_raw(page, "</svg>");
    put_numbers(page, c);
    cpv_page_raw(page, "</figure>\n");
}

void cpv_report_put_bar(cpv_page *page, double share)
{
    cpv_page_printf(
        page,
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" "
        "aria-hidden=\"true\"><rect width=\"%.2f\" height=\"8\"/></svg>",
        share > 0 ? fmax(100 * share, 1) : 0);
}

/* ---- images ---- */

/* Without empty bins at both ends, as long as some are left to tell a shape from. */
static struct chart trimmed(struct chart c)
{
    enum { LEAST = 7 };

    while (c.n > LEAST && share_of(&c, c.n - 2) <= 0)
        c.n--;
    while (c.n > LEAST && share_of(&c, 0) <= 0) {
        c.edges++;
        c.n--;
    }
    c.top = highest(&c);
    return c;
}

static void put_sides(struct cpv_report *r, cpv_page *page)
{
    static const struct edge SMALL[] = {
        {0, "0", 0},     {32, NULL, 0},           {64, "64", 0},   {96, NULL, 0},
        {128, "128", 0}, {160, NULL, 0},          {192, "192", 0}, {224, NULL, 0},
        {256, "256", 0}, {320, NULL, 0},          {384, "384", 0}, {448, NULL, 0},
        {512, "512", 0}, {CPV_TALLY_END, NULL, 0}};
    static const struct edge LARGE[] = {
        {0, "0", 0},       {128, "128", 0}, {256, "256", 0},   {384, "384", 0},
        {512, "512", 0},   {768, "768", 0}, {1024, "1024", 0}, {1536, NULL, 0},
        {2048, "2048", 0}, {3072, NULL, 0}, {4096, "4096", 0}, {CPV_TALLY_END, NULL, 0}};
    bool small = cpv_tally_quantile(&r->longest, 0.95) < 512;
    struct chart c = {&r->longest,
                      small ? SMALL : LARGE,
                      small ? CPV_COUNT(SMALL) : CPV_COUNT(LARGE),
                      "pixels",
                      1,
                      0,
                      0};
    char note[192];

    c = trimmed(c);
    (void)snprintf(note, sizeof note, "median %s pixels, from %s to %s",
                   cpv_words_count(cpv_tally_quantile(&r->longest, 0.5)).text,
                   cpv_words_count(r->longest.least).text,
                   cpv_words_count(r->longest.most).text);
    put_chart(page, &c, "Longest side of the original", note, 0);
}

static void put_aspects(struct cpv_report *r, cpv_page *page)
{
    static const struct edge EDGES[] = {
        {0, NULL, 0},   {50, "1:2", 0},  {67, "2:3", 0},          {80, NULL, 0},
        {95, "1:1", 1}, {105, NULL, 0},  {125, NULL, 0},          {150, "3:2", 0},
        {178, NULL, 0}, {200, "2:1", 0}, {CPV_TALLY_END, NULL, 0}};
    struct chart c = {&r->aspect, EDGES, CPV_COUNT(EDGES), "", 100, 0, 0};
    uint64_t n = r->aspect.n;
    char note[192];

    c.top = highest(&c);
    (void)snprintf(note, sizeof note, "%s wide, %s square, %s tall",
                   cpv_words_share(r->landscape, n).text,
                   cpv_words_share(r->square, n).text,
                   cpv_words_share(r->portrait, n).text);
    put_chart(page, &c, "Width to height", note, 0);
}

static void put_sizes(struct cpv_report *r, cpv_page *page)
{
    static const struct edge EDGES[] = {{0, "0", 0},     {1, "1", 0},
                                        {2, "2", 0},     {4, "4", 0},
                                        {8, "8", 0},     {16, "16", 0},
                                        {32, "32", 0},   {64, "64", 0},
                                        {128, "128", 0}, {256, "256", 0},
                                        {512, "512", 0}, {1024, "1k", 0},
                                        {2048, "2k", 0}, {CPV_TALLY_END, NULL, 0}};
    struct chart c = {&r->image_kib, EDGES, CPV_COUNT(EDGES), "KiB", 1, 0, 0};
    char note[192];

    c = trimmed(c);
    (void)snprintf(note, sizeof note, "median %s KiB, the largest %s KiB",
                   cpv_words_count(cpv_tally_quantile(&r->image_kib, 0.5)).text,
                   cpv_words_count(r->image_kib.most).text);
    put_chart(page, &c, "Stored image, in KiB", note, 0);
}

void cpv_report_put_images(struct cpv_report *r, cpv_page *page)
{
    if (!r->longest.n && !r->image_kib.n)
        return;
    cpv_report_open_section(page, "images", "", "Images");
    cpv_page_raw(page, "<div class=\"charts\">\n");
    if (r->longest.n) {
        put_sides(r, page);
        put_aspects(r, page);
    }
    if (r->image_kib.n)
        put_sizes(r, page);
    cpv_page_raw(page, "</div></section>\n");
}

/* ---- captions ---- */

static const char *const KINDS[] = {"original", "generated"};

bool cpv_report_has_texts(const struct cpv_report *r)
{
    for (size_t i = 0; i < r->n_langs; i++)
        if (r->langs[i].kind[0].texts || r->langs[i].kind[1].texts)
            return true;
    return false;
}

unsigned cpv_report_colour(const struct cpv_report *r, const struct cpv_report_lang *l)
{
    return (unsigned)(l - r->langs) % 8;
}

static void put_cell(cpv_page *page, const char *heading, const char *text)
{
    cpv_page_printf(page, "<td data-h=\"%s\">%s</td>", heading, text);
}

static void put_lang_heading(struct cpv_report *r, cpv_page *page,
                             const struct cpv_report_lang *l, const char *more)
{
    cpv_page_printf(page, "<th scope=\"row\"><i class=\"dot k%u\"></i>",
                    cpv_report_colour(r, l));
    cpv_page_str(page, l->name);
    cpv_page_printf(page, " <span class=\"muted\">%s</span></th>", more);
}

static void put_texts_row(struct cpv_report *r, cpv_page *page,
                          const struct cpv_report_lang *l, int k)
{
    const struct cpv_report_texts *t = &l->kind[k];
    uint64_t q95 = cpv_tally_quantile(&t->characters, 0.95);
    char most[48];

    cpv_page_raw(page, "<tr>");
    put_lang_heading(r, page, l, KINDS[k]);
    put_cell(page, "Samples", cpv_words_count(t->samples).text);
    put_cell(page, "Captions", cpv_words_count(t->texts).text);
    put_cell(page, "Empty", cpv_words_count(t->empty).text);
    put_cell(page, "Words, median",
             cpv_words_count(cpv_tally_quantile(&t->words, 0.5)).text);
    put_cell(page, "Characters, median",
             cpv_words_count(cpv_tally_quantile(&t->characters, 0.5)).text);
    (void)snprintf(most, sizeof most, "%s%s", cpv_words_count(q95).text,
                   q95 == t->characters.limit ? "+" : "");
    put_cell(page, "95 % have at most", most);
    put_cell(page, "Longest", cpv_words_count(t->characters.most).text);
    cpv_page_raw(page, "</tr>\n");
}

static void put_texts_table(struct cpv_report *r, cpv_page *page)
{
    cpv_page_raw(page, "<table class=\"stack\"><thead><tr><th scope=\"col\">Language</th>"
                       "<th scope=\"col\">Samples</th><th scope=\"col\">Captions</th>"
                       "<th scope=\"col\">Empty</th><th scope=\"col\">Words, median</th>"
                       "<th scope=\"col\">Characters, median</th>"
                       "<th scope=\"col\">95 % have at most</th>"
                       "<th scope=\"col\">Longest</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_langs; i++)
        for (int k = 0; k < CPV_REPORT_KINDS; k++)
            if (r->langs[i].kind[k].texts)
                put_texts_row(r, page, &r->langs[i], k);
    cpv_page_raw(page, "</tbody></table>\n");
}

static const struct edge CHARACTERS[] = {
    {0, "0", 0},     {20, NULL, 0},  {40, "40", 0},    {60, NULL, 0},
    {80, "80", 0},   {100, NULL, 0}, {120, "120", 0},  {140, NULL, 0},
    {160, "160", 0}, {180, NULL, 0}, {200, "200+", 1}, {CPV_TALLY_END, NULL, 0}};

static struct chart chart_of(const struct cpv_report_texts *t)
{
    struct chart c = {.t = &t->characters,
                      .edges = CHARACTERS,
                      .n = CPV_COUNT(CHARACTERS),
                      .unit = "characters",
                      .scale = 1};

    c.top = highest(&c);
    return c;
}

void cpv_report_put_captions(struct cpv_report *r, cpv_page *page)
{
    if (!cpv_report_has_texts(r))
        return;
    cpv_report_open_section(page, "captions", "", "Captions");
    put_texts_table(r, page);
    cpv_page_raw(page, "<h3>Length in characters</h3>\n<div class=\"charts\">\n");
    for (size_t i = 0; i < r->n_langs; i++)
        for (int k = 0; k < CPV_REPORT_KINDS; k++) {
            const struct cpv_report_texts *t = &r->langs[i].kind[k];
            struct chart c = chart_of(t);
            char note[160];

            (void)snprintf(note, sizeof note, "%s, %s %s", KINDS[k],
                           cpv_words_count(t->texts).text,
                           t->texts == 1 ? "caption" : "captions");
            if (t->texts)
                put_chart(page, &c, r->langs[i].name, note,
                          cpv_report_colour(r, &r->langs[i]));
        }
    cpv_page_raw(page, "</div></section>\n");
}

/* ---- flags ---- */

bool cpv_report_has_flags(const struct cpv_report *r)
{
    for (size_t i = 0; i < r->n_langs; i++)
        if (r->langs[i].judged)
            return true;
    return false;
}

/* 0: none, 1: below 1 %, 2: below 5 %, 3: below 20 %, 4: more. */
static int heat_of(uint64_t n, uint64_t of)
{
    double share = of ? (double)n / (double)of : 0;

    return !n ? 0 : share < 0.01 ? 1 : share < 0.05 ? 2 : share < 0.2 ? 3 : 4;
}

static void put_heat(cpv_page *page, const char *heading, uint64_t n, uint64_t of)
{
    cpv_page_printf(page, "<td class=\"h%d\" data-h=\"%s\">", heat_of(n, of), heading);
    if (n)
        cpv_page_printf(page, "%s <span class=\"muted\">%s</span></td>",
                        cpv_words_count(n).text, cpv_words_share(n, of).text);
    else
        cpv_page_raw(page, "<span class=\"muted\">0</span></td>");
}

static void put_flag_words(struct cpv_report *r, cpv_page *page)
{
    cpv_page_raw(page, "<dl class=\"words\">");
    for (size_t f = 0; f < r->n_flags; f++) {
        const char *means = cpv_words_flag(r->flags[f]);

        if (means)
            cpv_page_printf(page, "<div><dt><code>%s</code></dt><dd>%s</dd></div>",
                            r->flags[f], means);
    }
    cpv_page_raw(page, "</dl>\n");
}

static void put_no_flags(struct cpv_report *r, cpv_page *page)
{
    uint64_t n = 0;

    for (size_t i = 0; i < r->n_langs; i++)
        n += r->langs[i].judged;
    cpv_page_printf(page, "<p>None of %s translations is flagged.</p></section>\n",
                    cpv_words_count(n).text);
}

void cpv_report_put_flags(struct cpv_report *r, cpv_page *page)
{
    if (!cpv_report_has_flags(r))
        return;
    cpv_report_open_section(page, "flags", "", "Flags of translations");
    if (!r->n_flags) {
        put_no_flags(r, page);
        return;
    }
    cpv_page_raw(page, "<p class=\"muted\">What rules see of how machine translation "
                       "fails; a caption may have several flags.</p>\n"
                       "<table class=\"stack\"><thead><tr><th scope=\"col\">Language</th>"
                       "<th scope=\"col\">Captions</th><th scope=\"col\">Any flag</th>");
    for (size_t f = 0; f < r->n_flags; f++)
        cpv_page_printf(page, "<th scope=\"col\"><code>%s</code></th>", r->flags[f]);
    cpv_page_raw(page, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_langs; i++) {
        const struct cpv_report_lang *l = &r->langs[i];

        if (!l->judged)
            continue;
        cpv_page_raw(page, "<tr>");
        put_lang_heading(r, page, l, "");
        put_cell(page, "Captions", cpv_words_count(l->judged).text);
        put_heat(page, "Any flag", l->flagged, l->judged);
        for (size_t f = 0; f < r->n_flags; f++)
            put_heat(page, r->flags[f], l->flags[f], l->judged);
        cpv_page_raw(page, "</tr>\n");
    }
    cpv_page_raw(page, "</tbody></table>\n");
    put_flag_words(r, page);
    cpv_page_raw(page, "</section>\n");
}

/* ---- similarities ---- */

bool cpv_report_has_similarities(const struct cpv_report *r)
{
    for (size_t i = 0; i < r->n_langs; i++)
        if (r->langs[i].similarities.n)
            return true;
    return false;
}

void cpv_report_put_similarities(struct cpv_report *r, cpv_page *page)
{
    static const struct edge EDGES[] = {{0, NULL, 0},
                                        {950, NULL, 0},
                                        {1000, "0", 0},
                                        {1050, NULL, 0},
                                        {1100, "0.1", 0},
                                        {1150, NULL, 0},
                                        {1200, "0.2", 0},
                                        {1250, NULL, 0},
                                        {1300, "0.3", 0},
                                        {1350, NULL, 0},
                                        {1400, "0.4", 0},
                                        {1450, NULL, 0},
                                        {CPV_TALLY_END, NULL, 0}};

    if (!cpv_report_has_similarities(r))
        return;
    cpv_report_open_section(page, "similarities", "", "Similarity of image and caption");
    cpv_page_raw(page, "<p class=\"muted\">Cosine of the two embeddings, originals and "
                       "generated captions together.</p>\n<div class=\"charts\">\n");
    for (size_t i = 0; i < r->n_langs; i++) {
        const struct cpv_tally *t = &r->langs[i].similarities;
        struct chart c = {t, EDGES, CPV_COUNT(EDGES), "", 1000, 1000, 0};
        char note[160];

        c.top = highest(&c);
        (void)snprintf(note, sizeof note, "median %.3f, mean %.3f, %s %s",
                       ((double)cpv_tally_quantile(t, 0.5) - 1000) / 1000,
                       (cpv_tally_mean(t) - 1000) / 1000, cpv_words_count(t->n).text,
                       t->n == 1 ? "caption" : "captions");
        if (t->n)
            put_chart(page, &c, r->langs[i].name, note,
                      cpv_report_colour(r, &r->langs[i]));
    }
    cpv_page_raw(page, "</div></section>\n");
}
