/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Some samples, drawn evenly over the corpus: picture and captions, each translation
 * beside its source, with what is flagged about it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/base/stop.h"
#include "common/corpus/merge.h"
#include "common/format/shard.h"
#include "common/image/image.h"
#include "pipeline/report.h"

enum { SIDE = 320, QUALITY = 82, STREAM = 0x72657074 };
enum { LISTED = 64 };                /* captions of one kind that a card shows */
enum { SHORT = 500, WHOLE = 20000 }; /* characters shown at once, at all */
static const int64_t PIXELS_MAX = 200000000;

struct cards {
    struct cpv_report *r;
    cpv_page *page;
    cpv_image_worker *worker;
    cpv_shard **shards; /* of the part at hand, by column; NULL: not there */
    const json_t *sample;
    uint32_t put;
};

/* ---- drawing ---- */

struct pick {
    uint32_t at, pos; /* at: index into the base column's parts */
};

static uint64_t samples_there(const struct cpv_report_column *c)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < c->count; i++)
        n += c->at[i].there ? c->at[i].samples : 0;
    return n;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* n different numbers below `of`, ascending (Floyd). */
static void draw(uint64_t *out, uint64_t n, uint64_t of, uint64_t seed)
{
    struct cpv_rng rng;

    cpv_rng_init(&rng, seed, STREAM, 0);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t top = of - n + i, v = cpv_rng_below(&rng, top + 1);

        for (uint64_t k = 0; k < i; k++)
            if (out[k] == v) {
                v = top;
                break;
            }
        out[i] = v;
    }
    qsort(out, n, sizeof *out, ascending);
}

static int draw_picks(struct cpv_report *r, struct pick **out, uint32_t *n,
                      struct cpv_err *err)
{
    const struct cpv_report_column *c = r->base;
    uint64_t of = c ? samples_there(c) : 0, before = 0;
    uint64_t *numbers;
    uint32_t at = 0;

    *n = of < r->samples_wanted ? (uint32_t)of : r->samples_wanted;
    numbers = cpv_arena_calloc(r->mem, (size_t)*n + 1, sizeof *numbers);
    *out = cpv_arena_calloc(r->mem, (size_t)*n + 1, sizeof **out);
    if (!numbers || !*out)
        return cpv_fail_memory(err);
    draw(numbers, *n, of, r->seed);
    for (uint32_t i = 0; i < *n; i++) {
        while (!c->at[at].there || numbers[i] - before >= c->at[at].samples) {
            before += c->at[at].there ? c->at[at].samples : 0;
            at++;
        }
        (*out)[i] = (struct pick){at, (uint32_t)(numbers[i] - before)};
    }
    return CPV_OK;
}

/* ---- texts ---- */

/* The first n characters of valid UTF-8; *rest: how many follow. */
static struct cpv_bytes first_characters(struct cpv_bytes text, uint64_t n,
                                         uint64_t *rest)
{
    struct cpv_bytes head = text;

    for (size_t i = 0; i < text.size; i++)
        if ((text.data[i] & 0xC0) != 0x80 && n-- == 0) {
            head.size = i;
            break;
        }
    *rest =
        cpv_report_characters(cpv_bytes_of(text.data + head.size, text.size - head.size));
    return head;
}

static void put_paragraph(cpv_page *page, const char *lang, struct cpv_bytes text,
                          uint64_t more)
{
    cpv_page_printf(page, "<p lang=\"%s\" dir=\"auto\">", lang);
    cpv_page_text(page, text);
    cpv_page_raw(page, more ? " …</p>" : "</p>");
}

static void put_text(cpv_page *page, const char *lang, struct cpv_bytes text)
{
    uint64_t more, beyond;
    struct cpv_bytes head = first_characters(text, SHORT, &more);

    if (!cpv_report_characters(text)) {
        cpv_page_raw(page, "<p class=\"muted\">(empty)</p>");
        return;
    }
    put_paragraph(page, lang, head, more);
    if (!more)
        return;
    head = first_characters(text, WHOLE, &beyond);
    cpv_page_printf(page, "<details><summary>all %s characters</summary>",
                    cpv_words_count(SHORT + more).text);
    put_paragraph(page, lang, head, beyond);
    if (beyond)
        cpv_page_printf(page, "<p class=\"muted\">%s more are left out.</p>",
                        cpv_words_count(beyond).text);
    cpv_page_raw(page, "</details>");
}

/* Words of one flags string, parted by blanks; what is too long for one is none. */
static void put_flag_words(cpv_page *page, struct cpv_bytes text)
{
    const char *s = (const char *)text.data, *end = s + text.size;

    while (s < end) {
        const char *first;
        char word[25] = "";

        while (s < end && *s == ' ')
            s++;
        for (first = s; s < end && *s != ' ';)
            s++;
        if (s > first && (size_t)(s - first) < sizeof word) {
            const char *means;

            memcpy(word, first, (size_t)(s - first));
            means = cpv_words_flag(word);
            cpv_page_raw(page, "<span class=\"flag\"");
            if (means) {
                cpv_page_raw(page, " title=\"");
                cpv_page_str(page, means);
                cpv_page_raw(page, "\"");
            }
            cpv_page_raw(page, ">");
            cpv_page_str(page, word);
            cpv_page_raw(page, "</span> ");
        }
    }
}

/* ---- captions of one sample ---- */

static const json_t *value_of(const struct cards *c, const char *head, const char *lang)
{
    char key[64];

    (void)snprintf(key, sizeof key, "%s%s", head, lang);
    return json_object_get(c->sample, key);
}

static const json_t *texts_of(const struct cards *c, int kind, const char *lang)
{
    return value_of(c, kind == CPV_REPORT_ORIGINAL ? "captions-" : "generated-captions-",
                    lang);
}

static void put_caption(struct cards *c, const struct cpv_report_lang *l, int kind,
                        size_t i)
{
    const json_t *texts = texts_of(c, kind, l->code), *similarity;
    size_t before = kind == CPV_REPORT_ORIGINAL
                        ? 0
                        : cpv_report_length(texts_of(c, CPV_REPORT_ORIGINAL, l->code));
    const json_t *flags = value_of(c, "flags-", l->code);

    cpv_page_printf(c->page,
                    "<div class=\"caption k%u\" data-lang=\"%s\"><span class=\"tag\">"
                    "<span aria-hidden=\"true\">%s</span><span class=\"vh\">",
                    cpv_report_colour(c->r, l), l->code, l->code);
    cpv_page_str(c->page, l->name);
    cpv_page_raw(c->page, ":</span></span><div>");
    put_text(c->page, l->code, cpv_report_string(cpv_report_item(texts, i)));
    put_flag_words(c->page, cpv_report_string(cpv_report_item(flags, before + i)));
    similarity = json_array_get(value_of(c, "similarities-", l->code), before + i);
    if (json_is_number(similarity) && fabs(json_number_value(similarity)) <= 1)
        cpv_page_printf(c->page,
                        "<span class=\"similarity\"><span class=\"vh\">similarity "
                        "</span>%.3f</span>",
                        json_number_value(similarity));
    cpv_page_raw(c->page, "</div></div>");
}

static size_t most_texts(const struct cards *c, int kind)
{
    size_t most = 0;

    for (size_t i = 0; i < c->r->n_langs; i++) {
        size_t n = cpv_report_length(texts_of(c, kind, c->r->langs[i].code));

        most = n > most ? n : most;
    }
    return most;
}

static void put_list(struct cards *c, int kind, size_t n)
{
    cpv_page_raw(c->page, "<ol class=\"texts\">\n");
    for (size_t k = 0; k < n && k < LISTED; k++) {
        cpv_page_raw(c->page, "<li>");
        for (size_t i = 0; i < c->r->n_langs; i++)
            if (k < cpv_report_length(texts_of(c, kind, c->r->langs[i].code)))
                put_caption(c, &c->r->langs[i], kind, k);
        cpv_page_raw(c->page, "</li>\n");
    }
    cpv_page_raw(c->page, "</ol>\n");
    if (n > LISTED)
        cpv_page_printf(c->page, "<p class=\"muted\">%zu more are left out.</p>\n",
                        n - LISTED);
}

/* A part that a translation has not reached yet. */
static void put_missing(struct cards *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->r->n_langs; i++) {
        const struct cpv_report_lang *l = &c->r->langs[i];

        if (texts_of(c, 0, l->code) || texts_of(c, 1, l->code) ||
            (!l->kind[0].texts && !l->kind[1].texts))
            continue;
        cpv_page_raw(c->page, n++ ? ", " : "<p class=\"muted missing\">Not yet in ");
        cpv_page_str(c->page, l->name);
    }
    if (n)
        cpv_page_raw(c->page, ".</p>\n");
}

static void put_captions(struct cards *c)
{
    size_t originals = most_texts(c, CPV_REPORT_ORIGINAL);
    size_t generated = most_texts(c, CPV_REPORT_GENERATED);

    if (originals)
        put_list(c, CPV_REPORT_ORIGINAL, originals);
    else if (!generated)
        cpv_page_raw(c->page, "<p class=\"muted\">No captions.</p>\n");
    if (generated) {
        cpv_page_printf(c->page,
                        "<details open class=\"generated\"><summary>%zu generated "
                        "%s</summary>\n",
                        generated, generated == 1 ? "caption" : "captions");
        put_list(c, CPV_REPORT_GENERATED, generated);
        cpv_page_raw(c->page, "</details>\n");
    }
    put_missing(c);
}

/* ---- the picture ---- */

static void put_alt(struct cards *c, const char *key)
{
    for (int kind = 0; kind < CPV_REPORT_KINDS; kind++)
        for (size_t i = 0; i < c->r->n_langs; i++) {
            const char *lang = c->r->langs[i].code;
            struct cpv_bytes text =
                cpv_report_string(cpv_report_item(texts_of(c, kind, lang), 0));
            uint64_t more;

            if (!cpv_report_characters(text))
                continue;
            cpv_page_printf(c->page, " lang=\"%s\" alt=\"", lang);
            cpv_page_text(c->page, first_characters(text, 120, &more));
            cpv_page_raw(c->page, more ? "…\"" : "\"");
            return;
        }
    cpv_page_raw(c->page, " alt=\"Picture of sample ");
    cpv_page_str(c->page, key);
    cpv_page_raw(c->page, "\"");
}

static int put_picture(struct cards *c, const char *key, const struct cpv_member *m,
                       struct cpv_err *err)
{
    struct cpv_image_params params;
    struct cpv_image_result result = {.status = CPV_IMAGE_EMPTY};
    int rc = CPV_OK;

    cpv_image_params_default(&params);
    params.mode = CPV_IMAGE_MODE_KEEP_RATIO_LARGEST;
    params.size = SIDE;
    params.only_if_bigger = true;
    params.quality = QUALITY;
    params.max_pixels = PIXELS_MAX;
    params.accept_truncated = true;
    if (m)
        rc = cpv_image_process(c->worker, m->data, &params, &result, err);
    if (rc)
        return rc;
    if (!m || result.status != CPV_IMAGE_OK || strcmp(result.ext, "jpg") != 0) {
        cpv_page_raw(c->page, "<div class=\"picture none\"><p class=\"muted\">");
        cpv_page_str(c->page, !m                              ? "no image"
                              : result.status == CPV_IMAGE_OK ? "not shown"
                                                              : result.detail);
        cpv_page_raw(c->page, "</p></div>\n");
        return CPV_OK;
    }
    cpv_page_printf(c->page, "<div class=\"picture\"><img width=\"%u\" height=\"%u\"",
                    result.width, result.height);
    put_alt(c, key);
    cpv_page_raw(c->page, " src=\"data:image/jpeg;base64,");
    cpv_page_base64(c->page, result.data);
    cpv_page_raw(c->page, "\"></div>\n");
    return CPV_OK;
}

/* ---- a card ---- */

static json_int_t pixels_of(const struct cards *c, const char *key)
{
    return json_integer_value(json_object_get(c->sample, key));
}

static void put_facts(struct cards *c, const char *key)
{
    json_int_t w = pixels_of(c, "width"), h = pixels_of(c, "height");
    json_int_t ow = pixels_of(c, "original_width"), oh = pixels_of(c, "original_height");
    const json_t *url = json_object_get(c->sample, "url");
    struct cpv_bytes where =
        cpv_report_string(url ? url : json_object_get(c->sample, "file"));
    uint64_t more;

    cpv_page_raw(c->page, "<h3>");
    cpv_page_str(c->page, key);
    cpv_page_raw(c->page, "</h3>\n<p class=\"facts\">");
    if (w > 0 && h > 0)
        cpv_page_printf(c->page, "%lld × %lld", (long long)w, (long long)h);
    if (ow > 0 && oh > 0 && (ow != w || oh != h))
        cpv_page_printf(c->page, ", originally %lld × %lld", (long long)ow,
                        (long long)oh);
    cpv_page_raw(c->page, "</p>\n");
    if (where.size) {
        cpv_page_raw(c->page, "<p class=\"url\" dir=\"ltr\">");
        cpv_page_text(c->page, first_characters(where, 300, &more));
        cpv_page_raw(c->page, more ? "…</p>\n" : "</p>\n");
    }
}

static int put_card(struct cards *c, const struct cpv_member *members, size_t n,
                    const char *key, struct cpv_err *err)
{
    const struct cpv_member *image = NULL, *text = NULL;
    json_t *o = NULL;
    int rc = CPV_OK;

    for (size_t i = 0; i < n; i++) {
        if (!image && cpv_ext_is_image(members[i].ext))
            image = &members[i];
        if (strcmp(members[i].ext, "json") == 0)
            text = &members[i];
    }
    if (text)
        rc = cpv_json_parse(text->data, key, &o, err);
    if (rc == CPV_E_MEMORY)
        return rc;
    c->sample = o;
    cpv_page_raw(c->page,
                 "<article class=\"card\"><div class=\"side\"><div class=\"stay\">\n");
    rc = put_picture(c, key, image, err);
    cpv_page_raw(c->page, "<div class=\"about\">");
    put_facts(c, key);
    cpv_page_raw(c->page, "</div></div></div>\n<div class=\"captions\">\n");
    put_captions(c);
    cpv_page_raw(c->page, "</div>\n</article>\n");
    c->sample = NULL;
    json_decref(o);
    c->put++;
    return rc;
}

/* ---- samples of one part ---- */

static const struct cpv_report_part *same_part(const struct cpv_report_column *c,
                                               uint32_t part)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->at[i].part == part)
            return c->at[i].there ? &c->at[i] : NULL;
    return NULL;
}

static void close_part(struct cards *c)
{
    for (size_t i = 0; i < c->r->n; i++)
        cpv_shard_close(&c->shards[i]);
}

static int open_part(struct cards *c, uint32_t part, struct cpv_err *err)
{
    struct cpv_report *r = c->r;
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < r->n; i++) {
        const struct cpv_report_column *column = &r->columns[i];
        const struct cpv_report_part *p =
            column == r->base || (!r->alone && !column->packed) ? same_part(column, part)
                                                                : NULL;
        const char *path = !p ? NULL
                              : cpv_column_path(r->scratch, r->place.corpus, column->name,
                                                part, p->revision, CPV_FILE_SHARD);

        if (p)
            rc = path ? cpv_shard_open(&c->shards[i], path, err) : cpv_fail_memory(err);
    }
    return rc;
}

/* The base column first: its image and its keys lead. */
static int read_sample(struct cards *c, uint32_t pos, struct cpv_sample *samples,
                       size_t *n, struct cpv_err *err)
{
    struct cpv_report *r = c->r;
    cpv_shard *base = c->shards[r->base - r->columns];
    int rc;

    *n = 1;
    if (pos >= cpv_shard_count(base))
        return cpv_fail(err, CPV_E_CORRUPT,
                        "'%s': a shard has fewer samples than its record says; `capivara "
                        "verify` names it",
                        r->base->name);
    rc = cpv_shard_read(base, pos, NULL, r->scratch, &samples[0], err);
    for (size_t i = 0; !rc && i < r->n; i++) {
        uint32_t k;

        if (!c->shards[i] || c->shards[i] == base ||
            !cpv_shard_find(c->shards[i], samples[0].key, &k))
            continue;
        rc = cpv_shard_read(c->shards[i], k, "json", r->scratch, &samples[*n], err);
        if (!rc)
            (*n)++;
        else if (rc == CPV_E_ABSENT)
            rc = CPV_OK;
    }
    return rc;
}

static int put_pick(struct cards *c, uint32_t pos, struct cpv_err *err)
{
    struct cpv_report *r = c->r;
    struct cpv_sample *samples = cpv_arena_calloc(r->scratch, r->n + 1, sizeof *samples);
    struct cpv_member *members = NULL;
    size_t n = 0, n_members = 0;
    int rc = samples ? read_sample(c, pos, samples, &n, err) : cpv_fail_memory(err);

    if (!rc && cpv_stop_requested())
        rc = cpv_fail(err, CPV_E_STOPPED, "stopped; nothing was written");
    if (!rc)
        rc = cpv_merge_samples(samples, n, true, r->scratch, &members, &n_members, err);
    return rc ? rc : put_card(c, members, n_members, samples[0].key, err);
}

static int put_all(struct cards *c, const struct pick *picks, uint32_t n,
                   struct cpv_err *err)
{
    int rc = CPV_OK;

    for (uint32_t i = 0; !rc && i < n; i++) {
        struct cpv_arena_mark mark = cpv_arena_mark(c->r->scratch);

        if (i == 0 || picks[i].at != picks[i - 1].at) {
            close_part(c);
            rc = open_part(c, c->r->base->at[picks[i].at].part, err);
        }
        if (!rc)
            rc = put_pick(c, picks[i].pos, err);
        cpv_arena_rewind(c->r->scratch, mark);
    }
    close_part(c);
    return rc;
}

/* ---- the section ---- */

/* Shown by the script, which alone makes it work. */
static void put_tools(struct cpv_report *r, cpv_page *page)
{
    cpv_page_raw(
        page, "<div id=\"tools\" class=\"tools\" role=\"search\" "
              "aria-label=\"Samples\" hidden>\n<label class=\"find\"><span>Filter"
              "</span> <input type=\"search\" id=\"find\" autocomplete=\"off\" "
              "spellcheck=\"false\" placeholder=\"key, address or caption\"></label>\n");
    if (cpv_report_has_flags(r))
        cpv_page_raw(page, "<label><input type=\"checkbox\" id=\"flagged\"> only with "
                           "flags</label>\n");
    if (r->n_langs > 1) {
        cpv_page_raw(page, "<fieldset><legend class=\"vh\">Languages</legend>");
        for (size_t i = 0; i < r->n_langs; i++) {
            cpv_page_printf(page,
                            "<label class=\"k%u\"><input type=\"checkbox\" checked "
                            "data-show=\"%s\"> ",
                            cpv_report_colour(r, &r->langs[i]), r->langs[i].code);
            cpv_page_str(page, r->langs[i].name);
            cpv_page_raw(page, "</label> ");
        }
        cpv_page_raw(page, "</fieldset>\n");
    }
    cpv_page_raw(page, "<output id=\"shown\" aria-live=\"polite\"></output>\n</div>\n");
}

int cpv_report_put_cards(struct cpv_report *r, cpv_page *page, uint32_t *n_cards,
                         struct cpv_err *err)
{
    struct cards c = {.r = r, .page = page};
    bool many = r->n_langs > 1;
    struct pick *picks = NULL;
    uint32_t n = 0;
    int rc = draw_picks(r, &picks, &n, err);

    c.shards = cpv_arena_calloc(r->mem, r->n + 1, sizeof(cpv_shard *));
    if (!rc && !c.shards)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_image_worker_open(&c.worker, err);
    for (size_t i = 0; i < r->n_langs; i++)
        many |= r->langs[i].kind[CPV_REPORT_GENERATED].texts > 0;
    cpv_report_open_section(page, "samples", "", "Samples");
    if (n)
        cpv_page_printf(page,
                        "<p class=\"muted\">%u of %s, drawn evenly over the corpus, in "
                        "its order.</p>\n",
                        n, cpv_words_count(r->base->samples).text);
    else
        cpv_page_raw(page, "<p class=\"muted\">None is shown.</p>\n");
    if (n)
        put_tools(r, page);
    cpv_page_printf(page, "<div class=\"cards%s\">\n", many ? " rows" : "");
    if (!rc)
        rc = put_all(&c, picks, n, err);
    cpv_page_raw(page, "</div></section>\n");
    cpv_image_worker_close(&c.worker);
    *n_cards = c.put;
    return rc;
}
