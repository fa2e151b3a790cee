/* SPDX-License-Identifier: Apache-2.0 */
/* See filter.h. */
#include "common/corpus/filter.h"

#include <stdlib.h>
#include <string.h>

/* Why a caption goes, by place; 0: it stays. */
enum { STAYS, FLAGGED, BELOW, OUTRANKED };

/* One sample under the filter. */
struct work {
    const struct cpv_filter *f;
    json_t *sample;
    const char *key;
    cpv_arena *mem;
    const char **langs; /* that have captions, in the order of the sample's keys */
    size_t n_langs;
    bool scored; /* at least one of them has similarities */
    struct cpv_filter_counts counts;
    bool left; /* some language has a caption left */
};

bool cpv_filter_is_on(const struct cpv_filter *f)
{
    return f->drop_flags.count || f->require.count || f->min_original.count ||
           f->min_similarity.count || f->keep_top.count;
}

/* ---- languages ---- */

static bool has_lang(const struct work *w, const char *lang)
{
    for (size_t i = 0; i < w->n_langs; i++)
        if (strcmp(w->langs[i], lang) == 0)
            return true;
    return false;
}

static int find_langs(struct work *w, struct cpv_err *err)
{
    struct cpv_caption_lists l;
    int rc = cpv_captions_languages(w->sample, w->mem, &w->langs, &w->n_langs, err);

    for (size_t i = 0; i < w->n_langs && !rc; i++) {
        rc = cpv_captions_find(w->sample, w->langs[i], w->key, &l, err);
        w->scored |= !rc && l.similarities != NULL;
    }
    return rc;
}

/*
 * The limit of a language whose captions may be judged; NULL if there is none. A limit
 * for all passes over languages that were not scored, but not over all of them: that
 * would be a filter that does nothing.
 */
static int limit_of(const struct work *w, const struct cpv_limits *limits,
                    const char *lang, const struct cpv_caption_lists *l,
                    const struct cpv_limit **out, struct cpv_err *err)
{
    *out = cpv_limits_find(limits, lang);
    if (!*out || l->similarities || l->n_originals + l->n_generated == 0)
        return CPV_OK;
    if ((*out)->lang || !w->scored)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': no 'similarities-%s' to filter by; run the score stage, "
                        "and name 'score-%s' among the columns",
                        w->key, lang, lang);
    *out = NULL;
    return CPV_OK;
}

/* ---- the sample's originals ---- */

static bool reaches(const struct cpv_caption_lists *l, double limit)
{
    return l->n_originals > 0 && cpv_captions_similarity(l, 0) >= limit;
}

static int judge_originals(const struct work *w, bool *keep, struct cpv_err *err)
{
    const struct cpv_limits *limits = &w->f->min_original;
    const struct cpv_limit *limit;
    struct cpv_caption_lists l;
    int rc;

    for (size_t i = 0; i < limits->count; i++) {
        const char *lang = limits->at[i].lang;

        if (lang && !has_lang(w, lang))
            *keep = false;
    }
    for (size_t i = 0; i < w->n_langs && limits->count; i++) {
        if ((rc = cpv_captions_find(w->sample, w->langs[i], w->key, &l, err)) ||
            (rc = limit_of(w, limits, w->langs[i], &l, &limit, err)))
            return rc;
        /* A language in which there are generated ones only has none to judge. */
        if (limit && (limit->lang || l.n_originals) && !reaches(&l, limit->value))
            *keep = false;
    }
    return CPV_OK;
}

/* ---- captions of one language ---- */

static bool has_word(const char *flags, const struct cpv_texts *words)
{
    for (const char *p = flags; *p;) {
        size_t n = strcspn(p, " ");

        for (size_t i = 0; i < words->count; i++)
            if (strlen(words->at[i]) == n && memcmp(words->at[i], p, n) == 0)
                return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

static void mark_flagged(const struct cpv_texts *words, const struct cpv_caption_lists *l,
                         uint8_t *mark)
{
    for (size_t i = 0; i < json_array_size(l->flags); i++) {
        const char *text = json_string_value(json_array_get(l->flags, i));

        if (text && has_word(text, words))
            mark[i] = FLAGGED;
    }
}

static int mark_outranked(struct work *w, const struct cpv_caption_lists *l,
                          uint32_t from, double keep, uint8_t *mark, struct cpv_err *err)
{
    uint32_t end = l->n_originals + l->n_generated;
    struct cpv_caption *at = cpv_arena_calloc(w->mem, (size_t)end + 1, sizeof *at);
    size_t n = 0;

    if (!at)
        return cpv_fail_memory(err);
    for (uint32_t i = from; i < end; i++) {
        if (mark[i] == STAYS && cpv_captions_text(l, i).size)
            at[n++] = (struct cpv_caption){.similarity = cpv_captions_similarity(l, i),
                                           .place = i};
        else if (mark[i] == STAYS)
            mark[i] = OUTRANKED;
    }
    qsort(at, n, sizeof *at, cpv_caption_compare);
    for (size_t i = 0; i < n; i++)
        if ((double)i >= keep)
            mark[at[i].place] = OUTRANKED;
    return CPV_OK;
}

/* From the last to the first, so that places before stay what they are. */
static void drop(struct work *w, const struct cpv_caption_lists *l, const uint8_t *mark)
{
    for (uint32_t i = l->n_originals + l->n_generated; i-- > 0;) {
        if (mark[i] == STAYS) {
            w->left |= cpv_captions_text(l, i).size > 0;
            continue;
        }
        if (i < l->n_originals || l->extended)
            json_array_remove(l->originals, i);
        if (i >= l->n_originals)
            json_array_remove(l->generated, i - l->n_originals);
        if (l->flags)
            json_array_remove(l->flags, i);
        if (l->similarities)
            json_array_remove(l->similarities, i);
        w->counts.flagged += mark[i] == FLAGGED;
        w->counts.below += mark[i] == BELOW;
        w->counts.outranked += mark[i] == OUTRANKED;
    }
}

static int filter_lang(struct work *w, const char *lang, struct cpv_err *err)
{
    const struct cpv_limit *least, *top;
    struct cpv_caption_lists l;
    uint32_t from, end;
    uint8_t *mark;
    int rc;

    if ((rc = cpv_captions_find(w->sample, lang, w->key, &l, err)) ||
        (rc = limit_of(w, &w->f->min_similarity, lang, &l, &least, err)) ||
        (rc = limit_of(w, &w->f->keep_top, lang, &l, &top, err)))
        return rc;
    end = l.n_originals + l.n_generated;
    from = w->f->originals ? 0 : l.n_originals;
    mark = cpv_arena_calloc(w->mem, (size_t)end + 1, 1);
    if (!mark)
        return cpv_fail_memory(err);
    mark_flagged(&w->f->drop_flags, &l, mark);
    for (uint32_t i = from; least && i < end; i++)
        if (mark[i] == STAYS && !(cpv_captions_similarity(&l, i) >= least->value))
            mark[i] = BELOW;
    if (top && (rc = mark_outranked(w, &l, from, top->value, mark, err)))
        return rc;
    drop(w, &l, mark);
    return CPV_OK;
}

/* ---- the whole of it ---- */

static int has_caption(const struct work *w, const char *lang, bool *has,
                       struct cpv_err *err)
{
    struct cpv_caption_lists l;
    int rc = cpv_captions_find(w->sample, lang, w->key, &l, err);

    *has = false;
    for (uint32_t i = 0; !rc && i < l.n_originals + l.n_generated; i++)
        *has |= cpv_captions_text(&l, i).size > 0;
    return rc;
}

static bool dropped_any(const struct work *w)
{
    return w->counts.flagged || w->counts.below || w->counts.outranked;
}

static int filter(struct work *w, bool *keep, struct cpv_err *err)
{
    int rc = find_langs(w, err);

    if (!rc)
        rc = judge_originals(w, keep, err);
    if (!rc && !*keep)
        w->counts.below_original = 1;
    for (size_t i = 0; !rc && *keep && i < w->n_langs; i++)
        rc = filter_lang(w, w->langs[i], err);
    if (rc || !*keep)
        return rc;
    if (dropped_any(w) && !w->left)
        *keep = false;
    for (size_t i = 0; !rc && *keep && i < w->f->require.count; i++)
        rc = has_caption(w, w->f->require.at[i], keep, err);
    w->counts.no_caption = !*keep;
    return rc;
}

int cpv_filter_sample(const struct cpv_filter *f, json_t *sample, const char *key,
                      cpv_arena *mem, bool *keep, bool *changed,
                      struct cpv_filter_counts *counts, struct cpv_err *err)
{
    struct work w = {.f = f, .sample = sample, .key = key, .mem = mem};
    int rc;

    *keep = true;
    *changed = false;
    if (!json_is_object(sample))
        return cpv_fail(err, CPV_E_CORRUPT, "'%s': its JSON is no object", key);
    if ((rc = filter(&w, keep, err)))
        return rc;
    *changed = dropped_any(&w);
    if (!counts)
        return CPV_OK;
    counts->below_original += w.counts.below_original;
    counts->no_caption += w.counts.no_caption;
    if (*keep) {
        counts->flagged += w.counts.flagged;
        counts->below += w.counts.below;
        counts->outranked += w.counts.outranked;
    }
    return CPV_OK;
}

int cpv_filter_text(const struct cpv_filter *f, const char *key, struct cpv_bytes *json,
                    cpv_arena *mem, bool *keep, struct cpv_err *err)
{
    json_t *root = NULL;
    bool changed = false;
    int rc = cpv_json_parse(*json, key, &root, err);

    *keep = true;
    if (!rc)
        rc = cpv_filter_sample(f, root, key, mem, keep, &changed, NULL, err);
    if (!rc && *keep && changed)
        rc = cpv_json_text(root, mem, json, err);
    json_decref(root);
    return rc;
}
