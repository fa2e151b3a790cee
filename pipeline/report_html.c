/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of the page, the overview and the tables of columns. The page loads nothing
 * and its policy allows nothing but its own style and script, named by their digests: a
 * caption that found a way round the escaping would still be dead text.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/hash.h"
#include "pipeline/report.h"

static const char *const STYLE[] = {
#include "report_css.h"
    NULL};
static const char *const SCRIPT[] = {
#include "report_js.h"
    NULL};

void cpv_report_open_section(cpv_page *page, const char *id, const char *more,
                             const char *title)
{
    cpv_page_printf(page,
                    "<section id=\"%s\"%s aria-labelledby=\"h-%s\"><h2 id=\"h-%s\">%s"
                    "</h2>\n",
                    id, more, id, id, title);
}

/* ---- head ---- */

static int put_digest(cpv_page *page, const char *const *lines, struct cpv_err *err)
{
    uint8_t digest[CPV_SHA256_SIZE];
    cpv_sha256 *h = NULL;
    int rc = cpv_sha256_open(&h, err);

    if (rc)
        return rc;
    for (; *lines; lines++)
        cpv_sha256_add(h, *lines, strlen(*lines));
    cpv_sha256_take(h, digest);
    cpv_sha256_close(&h);
    cpv_page_raw(page, "'sha256-");
    cpv_page_base64(page, cpv_bytes_of(digest, sizeof digest));
    cpv_page_raw(page, "'");
    return CPV_OK;
}

static void put_lines(cpv_page *page, const char *const *lines)
{
    for (; *lines; lines++)
        cpv_page_raw(page, *lines);
}

/* A capybara's head, more or less. */
#define ICON                                                                             \
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'"   \
    "%3E%3Cpath fill='%239a5b22' d='M2 9c0-3 2-5 5-5l1-2 2 2c3 0 4 2 4 5s-1 5-6 "        \
    "5-6-2-6-"                                                                           \
    "5z'/%3E%3Ccircle cx='9' cy='7' r='1' fill='%23fff'/%3E%3C/svg%3E"

static int put_head(struct cpv_report *r, cpv_page *page, struct cpv_err *err)
{
    int rc;

    cpv_page_raw(page, "<!doctype html>\n<html lang=\"en\">\n<head>\n"
                       "<meta charset=\"utf-8\">\n"
                       "<meta http-equiv=\"Content-Security-Policy\" "
                       "content=\"default-src 'none'; img-src data:; style-src ");
    rc = put_digest(page, STYLE, err);
    cpv_page_raw(page, "; script-src ");
    if (!rc)
        rc = put_digest(page, SCRIPT, err);
    cpv_page_raw(page, "; base-uri 'none'; form-action 'none'\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, "
                       "initial-scale=1\">\n"
                       "<meta name=\"color-scheme\" content=\"light dark\">\n"
                       "<meta name=\"referrer\" content=\"no-referrer\">\n"
                       "<meta name=\"robots\" content=\"noindex\">\n"
                       "<meta name=\"generator\" content=\"capivara " CPV_VERSION "\">\n"
                       "<link rel=\"icon\" href=\"" ICON "\">\n<title>");
    cpv_page_str(page, r->name);
    cpv_page_raw(page, " · Capivara report</title>\n<style>");
    put_lines(page, STYLE);
    cpv_page_raw(page, "</style>\n</head>\n");
    return rc;
}

/* ---- what there is ---- */

static const struct cpv_report_column *rows_of(const struct cpv_report *r)
{
    return r->base ? r->base : &r->columns[0];
}

static uint64_t all_bytes(const struct cpv_report *r)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < r->n; i++)
        bytes += r->columns[i].bytes;
    return bytes;
}

static bool has_stats(const struct cpv_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->columns[i].n_stats)
            return true;
    return false;
}

static const char *plural(uint64_t n, const char *one, const char *many)
{
    return n == 1 ? one : many;
}

static void put_lead(struct cpv_report *r, cpv_page *page)
{
    const struct cpv_report_column *c = rows_of(r);
    size_t with = 0, i;

    cpv_page_printf(page, "<p class=\"lead\">%s %s", cpv_words_count(c->samples).text,
                    plural(c->samples, "sample", "samples"));
    for (i = 0; i < r->n_langs; i++)
        with += r->langs[i].kind[0].texts || r->langs[i].kind[1].texts;
    if (with)
        cpv_page_raw(page, " with captions in ");
    if (with > 8)
        cpv_page_printf(page, "%zu languages", with);
    for (i = 0; with <= 8 && i < r->n_langs; i++) {
        if (!r->langs[i].kind[0].texts && !r->langs[i].kind[1].texts)
            continue;
        cpv_page_str(page, r->langs[i].name);
        cpv_page_raw(page, --with == 0 ? "" : with == 1 ? " and " : ", ");
    }
    if (!r->alone && c->failed)
        cpv_page_printf(page, "; %s of %s rows failed (%s)",
                        cpv_words_count(c->failed).text, cpv_words_count(c->rows).text,
                        cpv_words_share(c->failed, c->rows).text);
    cpv_page_raw(page, ".</p>\n");
}

static void put_link(cpv_page *page, bool there, const char *id, const char *text)
{
    if (there)
        cpv_page_printf(page, "<li><a href=\"#%s\">%s</a></li>", id, text);
}

static void put_header(struct cpv_report *r, cpv_page *page)
{
    cpv_page_raw(page, "<body>\n<a class=\"skip\" href=\"#samples\">To the samples</a>\n"
                       "<header>\n<p class=\"brand\">Capivara report</p>\n<h1>");
    cpv_page_str(page, r->name);
    cpv_page_raw(page, "</h1>\n");
    put_lead(r, page);
    cpv_page_raw(page, "<nav aria-label=\"Sections\"><ul>");
    put_link(page, true, "overview", "Overview");
    put_link(page, true, "columns", "Columns");
    put_link(page, r->longest.n || r->image_kib.n, "images", "Images");
    put_link(page, cpv_report_has_texts(r), "captions", "Captions");
    put_link(page, cpv_report_has_flags(r), "flags", "Flags");
    put_link(page, cpv_report_has_similarities(r), "similarities", "Similarity");
    put_link(page, r->n_trainings, "training", "Training");
    put_link(page, true, "samples", "Samples");
    put_link(page, has_stats(r), "statistics", "Run statistics");
    cpv_page_raw(page, "</ul></nav>\n</header>\n<main>\n");
}

/* ---- overview ---- */

static void put_tile(cpv_page *page, const char *what, const char *value,
                     const char *note)
{
    cpv_page_printf(page, "<div><dt>%s</dt><dd><b>%s</b> <span>%s</span></dd></div>\n",
                    what, value, note);
}

static void put_tiles(struct cpv_report *r, cpv_page *page)
{
    const struct cpv_report_column *c = rows_of(r);
    uint64_t texts = 0, judged = 0, flagged = 0;
    char note[160];

    for (size_t i = 0; i < r->n_langs; i++) {
        texts += r->langs[i].kind[0].texts + r->langs[i].kind[1].texts;
        judged += r->langs[i].judged;
        flagged += r->langs[i].flagged;
    }
    cpv_page_raw(page, "<dl class=\"tiles\">\n");
    (void)snprintf(note, sizeof note, "of %s %s", cpv_words_count(c->rows).text,
                   plural(c->rows, "row", "rows"));
    put_tile(page, "Samples", cpv_words_count(c->samples).text, note);
    (void)snprintf(note, sizeof note, "%s of the rows",
                   cpv_words_share(c->failed, c->rows).text);
    put_tile(page, "Failed", cpv_words_count(c->failed).text, note);
    if (texts) {
        (void)snprintf(note, sizeof note, "in %zu %s", r->n_langs,
                       plural(r->n_langs, "language", "languages"));
        put_tile(page, "Captions", cpv_words_count(texts).text, note);
    }
    if (judged) {
        (void)snprintf(note, sizeof note, "of %s translations",
                       cpv_words_count(judged).text);
        put_tile(page, "Flagged", cpv_words_share(flagged, judged).text, note);
    }
    (void)snprintf(note, sizeof note, "in %zu %s", r->n,
                   plural(r->n, "column", "columns"));
    put_tile(page, "On disk", cpv_words_bytes(all_bytes(r)).text, note);
    cpv_page_raw(page, "</dl>\n");
}

/* Each thing that makes the numbers other than they seem. */
static void put_column_notes(const struct cpv_report_column *c, cpv_page *page)
{
    if (c->said != UINT32_MAX && c->count < c->said) {
        cpv_page_raw(page, "<li><b>");
        cpv_page_str(page, c->name);
        cpv_page_printf(page, "</b>: %u of %u parts are done so far.</li>\n", c->count,
                        c->said);
    }
    if (c->stale) {
        cpv_page_raw(page, "<li><b>");
        cpv_page_str(page, c->name);
        cpv_page_printf(page,
                        "</b>: %u %s made from what has changed since; "
                        "<code>capivara run</code> makes them anew.</li>\n",
                        c->stale, plural(c->stale, "part was", "parts were"));
    }
    if (c->gone) {
        cpv_page_raw(page, "<li><b>");
        cpv_page_str(page, c->name);
        cpv_page_printf(
            page,
            "</b>: the %s not there any more; what was in them is counted "
            "from their records and not shown.</li>\n",
            plural(c->gone, "shard of one part is", "shards of some parts are"));
    }
}

static bool has_notes(const struct cpv_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->columns[i].stale || r->columns[i].gone ||
            (!r->n_ranges && r->columns[i].said != UINT32_MAX &&
             r->columns[i].count < r->columns[i].said))
            return true;
    return r->n_ranges || r->langs_left_out || r->unreadable;
}

static void put_notes(struct cpv_report *r, cpv_page *page)
{
    if (!has_notes(r))
        return;
    cpv_page_raw(page, "<ul class=\"notes\">\n");
    if (r->n_ranges)
        cpv_page_raw(page,
                     "<li>Only the parts that were asked for (<code>--parts</code>) "
                     "are in here.</li>\n");
    for (size_t i = 0; i < r->n; i++) {
        struct cpv_report_column c = r->columns[i];

        if (r->n_ranges)
            c.said = UINT32_MAX;
        put_column_notes(&c, page);
    }
    if (r->langs_left_out)
        cpv_page_printf(page, "<li>Languages beyond the first %d are left out.</li>\n",
                        CPV_REPORT_LANGS);
    if (r->unreadable)
        cpv_page_printf(page, "<li>The JSON of %s %s cannot be read.</li>\n",
                        cpv_words_count(r->unreadable).text,
                        plural(r->unreadable, "sample", "samples"));
    cpv_page_raw(page, "</ul>\n");
}

static void put_overview(struct cpv_report *r, cpv_page *page)
{
    cpv_report_open_section(page, "overview", "", "Overview");
    put_tiles(r, page);
    put_notes(r, page);
    cpv_page_raw(page, "</section>\n");
}

/* ---- columns ---- */

static void put_parts(struct cpv_report *r, const struct cpv_report_column *c,
                      cpv_page *page)
{
    cpv_page_printf(page, "<td data-h=\"Parts\">%u", c->count);
    if (!r->n_ranges && c->said != UINT32_MAX)
        cpv_page_printf(page, " of %u", c->said);
    cpv_page_raw(page, "</td>");
}

static void put_columns_table(struct cpv_report *r, cpv_page *page)
{
    cpv_page_raw(page, "<table class=\"stack\"><thead><tr><th scope=\"col\">Column</th>"
                       "<th scope=\"col\">Parts</th><th scope=\"col\">Samples</th>"
                       "<th scope=\"col\">Failed</th><th scope=\"col\">Size</th>"
                       "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n; i++) {
        const struct cpv_report_column *c = &r->columns[i];

        cpv_page_printf(page, "<tr><th scope=\"row\"><a href=\"#column-%zu\">", i);
        cpv_page_str(page, c->name);
        cpv_page_raw(page, "</a></th>");
        put_parts(r, c, page);
        cpv_page_printf(page, "<td data-h=\"Samples\">%s</td>",
                        cpv_words_count(c->samples).text);
        cpv_page_printf(page, "<td data-h=\"Failed\">%s",
                        cpv_words_count(c->failed).text);
        if (c->failed)
            cpv_page_printf(page, " <span class=\"muted\">%s</span>",
                            cpv_words_share(c->failed, c->rows).text);
        cpv_page_printf(page, "</td><td data-h=\"Size\">%s</td></tr>\n",
                        cpv_words_bytes(c->bytes).text);
    }
    cpv_page_raw(page, "</tbody></table>\n");
}

static void put_reason(const struct cpv_report_column *c,
                       const struct cpv_report_reason *reason, cpv_page *page)
{
    const char *means = cpv_words_reason(reason->status);

    cpv_page_raw(page, "<tr><th scope=\"row\"><code>");
    cpv_page_str(page, reason->status);
    cpv_page_printf(page, "</code> <span class=\"muted\">%s</span></th>",
                    means ? means : "");
    cpv_page_printf(page,
                    "<td data-h=\"Rows\">%s</td><td data-h=\"Share\">"
                    "<span class=\"share\">",
                    cpv_words_count(reason->count).text);
    cpv_report_put_bar(page, (double)reason->count / (double)c->failed);
    cpv_page_printf(
        page, "<span>%s</span></span></td><td data-h=\"The first\" class=\"first\">",
        cpv_words_share(reason->count, c->rows).text);
    cpv_page_raw(page, "<code>");
    cpv_page_str(page, reason->key);
    cpv_page_raw(page, "</code> ");
    cpv_page_str(page, reason->detail);
    cpv_page_raw(page, "</td></tr>\n");
}

static void put_reasons(const struct cpv_report_column *c, cpv_page *page)
{
    if (!c->n_reasons) {
        cpv_page_raw(page, "<p class=\"muted\">No row failed.</p>\n");
        return;
    }
    cpv_page_raw(page, "<table class=\"stack\"><thead><tr><th scope=\"col\">Why rows "
                       "failed</th><th scope=\"col\">Rows</th><th scope=\"col\">Share of "
                       "rows</th><th scope=\"col\" class=\"first\">The first</th></tr>"
                       "</thead><tbody>\n");
    for (size_t i = 0; i < c->n_reasons; i++)
        put_reason(c, &c->reasons[i], page);
    cpv_page_raw(page, "</tbody></table>\n");
    if (c->transient)
        cpv_page_printf(
            page,
            "<p class=\"muted\">%s of them failed for passing reasons and may "
            "succeed another time.</p>\n",
            cpv_words_count(c->transient).text);
}

static void put_settings(const struct cpv_report_column *c, cpv_page *page)
{
    if (!c->n_settings)
        return;
    cpv_page_printf(page, "<details><summary>%zu pinned %s", c->n_settings,
                    plural(c->n_settings, "setting", "settings"));
    if (c->settings_revision)
        cpv_page_printf(page, ", revision %u", c->settings_revision);
    cpv_page_raw(page, "</summary><dl class=\"settings\">\n");
    for (size_t i = 0; i < c->n_settings; i++) {
        cpv_page_raw(page, "<div><dt>");
        cpv_page_str(page, c->settings[i].key);
        cpv_page_raw(page, "</dt><dd>");
        cpv_page_str(page, c->settings[i].value);
        cpv_page_raw(page, "</dd></div>\n");
    }
    cpv_page_raw(page, "</dl></details>\n");
}

static int put_column(struct cpv_report *r, size_t i, cpv_page *page, struct cpv_err *err)
{
    const struct cpv_report_column *c = &r->columns[i];
    const char *what = cpv_words_column(c->name, r->scratch);

    if (!what)
        return cpv_fail_memory(err);
    cpv_page_printf(page, "<article class=\"column%s\" id=\"column-%zu\"><h3>",
                    c->n_reasons ? " failed" : "", i);
    cpv_page_str(page, c->name);
    cpv_page_raw(page, " <span class=\"muted\">");
    cpv_page_str(page, what);
    cpv_page_raw(page, "</span></h3>\n");
    if (c->model || c->digest) {
        cpv_page_raw(page, "<p>Model <b>");
        cpv_page_str(page, c->model ? c->model : "");
        cpv_page_raw(page, "</b>");
        if (c->digest) {
            cpv_page_raw(page, " <span class=\"muted\">sha256</span> <code>");
            cpv_page_str(page, c->digest);
            cpv_page_raw(page, "…</code>");
        }
        cpv_page_raw(page, "</p>\n");
    }
    put_reasons(c, page);
    put_settings(c, page);
    cpv_page_raw(page, "</article>\n");
    return CPV_OK;
}

static int put_columns(struct cpv_report *r, cpv_page *page, struct cpv_err *err)
{
    int rc = CPV_OK;

    cpv_report_open_section(page, "columns", "", "Columns");
    put_columns_table(r, page);
    cpv_page_raw(page, "<div class=\"columns\">\n");
    for (size_t i = 0; !rc && i < r->n; i++)
        rc = put_column(r, i, page, err);
    cpv_page_raw(page, "</div></section>\n");
    return rc;
}

/* ---- run statistics ---- */

static struct cpv_words in_unit(enum cpv_words_unit unit, double v)
{
    switch (unit) {
    case CPV_UNIT_BYTES:
        return cpv_words_bytes(v > 0 ? (uint64_t)v : 0);
    case CPV_UNIT_SECONDS:
        return cpv_words_seconds(v);
    default:
        return cpv_words_real(v);
    }
}

static void put_stat(struct cpv_report *r, const struct cpv_report_stat *s,
                     cpv_page *page)
{
    const char *label = cpv_words_stat(s->key, r->scratch);
    enum cpv_words_unit unit = cpv_words_unit(s->key);
    double value = unit == CPV_UNIT_RATE ? s->sum / (double)s->parts : s->sum;

    if (!label)
        return;
    cpv_page_raw(page, "<tr><th scope=\"row\">");
    cpv_page_str(page, label);
    cpv_page_printf(page,
                    "%s</th><td data-h=\"%s\">%s</td><td data-h=\"By part\" "
                    "class=\"muted\">",
                    unit == CPV_UNIT_RATE && s->parts > 1 ? ", mean" : "",
                    unit == CPV_UNIT_RATE ? "Mean" : "Total", in_unit(unit, value).text);
    if (s->parts > 1 && s->least < s->most)
        cpv_page_printf(page, "%s – %s", in_unit(unit, s->least).text,
                        in_unit(unit, s->most).text);
    else if (s->parts > 1)
        cpv_page_printf(page, "%s each", in_unit(unit, s->least).text);
    cpv_page_raw(page, "</td></tr>\n");
}

static void put_pace(const struct cpv_report_column *c, cpv_page *page)
{
    if (c->busy <= 0)
        return;
    cpv_page_printf(page, "<p>Worked for <b>%s</b>", cpv_words_seconds(c->busy).text);
    if (c->samples)
        cpv_page_printf(page, ", <b>%s</b> samples a second",
                        cpv_words_real((double)c->samples / c->busy).text);
    cpv_page_raw(page, ".</p>\n");
}

static void put_statistics(struct cpv_report *r, cpv_page *page)
{
    if (!has_stats(r))
        return;
    cpv_report_open_section(page, "statistics", " class=\"apart\"", "Run statistics");
    cpv_page_raw(page,
                 "<p class=\"muted\">What the runs wrote beside the parts. "
                 "It depends on machine, network and load, changes when a part is made "
                 "again, and no byte of the corpus depends on it.</p>\n"
                 "<div class=\"pair\">\n");
    for (size_t i = 0; i < r->n; i++) {
        const struct cpv_report_column *c = &r->columns[i];

        if (!c->n_stats)
            continue;
        cpv_page_raw(page, "<article><h3>");
        cpv_page_str(page, c->name);
        cpv_page_raw(page, "</h3>\n");
        put_pace(c, page);
        cpv_page_raw(page,
                     "<table><thead><tr><th scope=\"col\">What</th>"
                     "<th scope=\"col\">Total</th><th scope=\"col\">By part</th></tr>"
                     "</thead><tbody>\n");
        for (size_t s = 0; s < c->n_stats; s++)
            put_stat(r, &c->stats[s], page);
        cpv_page_raw(page, "</tbody></table></article>\n");
    }
    cpv_page_raw(page, "</div></section>\n");
}

/* ---- all of it ---- */

static void put_footer(struct cpv_report *r, uint32_t n_cards, cpv_page *page)
{
    cpv_page_printf(page,
                    "</main>\n<footer><p>Made by <code>capivara report</code> "
                    "" CPV_VERSION " with %u %s drawn by seed %llu. The same corpus and "
                    "options give the same page, to the byte.</p></footer>\n<script>",
                    n_cards, plural(n_cards, "sample", "samples"),
                    (unsigned long long)r->seed);
    put_lines(page, SCRIPT);
    cpv_page_raw(page, "</script>\n</body>\n</html>\n");
}

int cpv_report_write(struct cpv_report *r, cpv_page *page, uint32_t *n_cards,
                     struct cpv_err *err)
{
    int rc = put_head(r, page, err);

    *n_cards = 0;
    if (rc)
        return rc;
    put_header(r, page);
    put_overview(r, page);
    rc = put_columns(r, page, err);
    cpv_report_put_images(r, page);
    cpv_report_put_captions(r, page);
    cpv_report_put_flags(r, page);
    cpv_report_put_similarities(r, page);
    cpv_report_put_trainings(r, page);
    if (!rc)
        rc = cpv_report_put_cards(r, page, n_cards, err);
    put_statistics(r, page);
    put_footer(r, *n_cards, page);
    return rc;
}
