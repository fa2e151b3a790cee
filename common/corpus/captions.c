/* SPDX-License-Identifier: Apache-2.0 */
/* See captions.h. */
#include "common/corpus/captions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const cpv_caption_strategies[] = {"none", "first",     "all",
                                              "rank", "threshold", NULL};

/* ---- lists ---- */

static json_t *value_of(const json_t *sample, const char *kind, const char *lang)
{
    char name[CPV_LANGUAGE_MAX + 32];

    if (strlen(lang) > CPV_LANGUAGE_MAX)
        return NULL;
    (void)snprintf(name, sizeof name, "%s-%s", kind, lang);
    return json_object_get(sample, name);
}

bool cpv_captions_has(const json_t *sample, const char *lang)
{
    return json_is_array(value_of(sample, "captions", lang)) ||
           json_is_array(value_of(sample, "generated-captions", lang));
}

static const char *lang_of(const char *name)
{
    static const char *const heads[] = {"captions-", "generated-captions-"};

    for (size_t i = 0; i < 2; i++)
        if (strncmp(name, heads[i], strlen(heads[i])) == 0 &&
            strlen(name) - strlen(heads[i]) <= CPV_LANGUAGE_MAX)
            return name + strlen(heads[i]);
    return NULL;
}

int cpv_captions_languages(const json_t *sample, cpv_arena *mem, const char ***langs,
                           size_t *n, struct cpv_err *err)
{
    json_t *of = (json_t *)(uintptr_t)sample; /* jansson's loop takes no const */
    const char *name, *lang;
    json_t *value;

    *n = 0;
    *langs = cpv_arena_calloc(mem, json_object_size(sample) + 1, sizeof **langs);
    if (!*langs)
        return cpv_fail_memory(err);
    json_object_foreach(of, name, value)
    {
        size_t i = 0;

        lang = json_is_null(value) ? NULL : lang_of(name);
        while (lang && i < *n && strcmp((*langs)[i], lang) != 0)
            i++;
        if (lang && i == *n)
            (*langs)[(*n)++] = lang;
    }
    return CPV_OK;
}

static int list_of(const json_t *sample, const char *kind, const char *lang,
                   const char *key, json_t **out, struct cpv_err *err)
{
    json_t *v = value_of(sample, kind, lang);

    *out = json_is_null(v) ? NULL : v;
    if (*out && !json_is_array(v))
        return cpv_fail(err, CPV_E_CORRUPT, "'%s': '%s-%s' is no list", key, kind, lang);
    return CPV_OK;
}

/* Do the originals end with the generated ones, and the numbers count only those? */
static bool is_extended(const struct cpv_caption_lists *l)
{
    size_t all = json_array_size(l->originals), tail = json_array_size(l->generated);

    if (tail == 0 || all < tail || !l->similarities ||
        json_array_size(l->similarities) != all)
        return false;
    for (size_t i = 0; i < tail; i++)
        if (!json_equal(json_array_get(l->originals, all - tail + i),
                        json_array_get(l->generated, i)))
            return false;
    return true;
}

static int check_length(const json_t *list, const char *kind, const char *of,
                        const char *lang, const char *key, size_t n, struct cpv_err *err)
{
    if (!list || json_array_size(list) == n)
        return CPV_OK;
    return cpv_fail(err, CPV_E_CORRUPT,
                    "'%s': '%s-%s' has not one %s for each of %zu captions", key, kind,
                    lang, of, n);
}

int cpv_captions_find(json_t *sample, const char *lang, const char *key,
                      struct cpv_caption_lists *out, struct cpv_err *err)
{
    size_t n;
    int rc;

    memset(out, 0, sizeof *out);
    if ((rc = list_of(sample, "captions", lang, key, &out->originals, err)) ||
        (rc = list_of(sample, "generated-captions", lang, key, &out->generated, err)) ||
        (rc = list_of(sample, "flags", lang, key, &out->flags, err)) ||
        (rc = list_of(sample, "similarities", lang, key, &out->similarities, err)))
        return rc;
    out->extended = is_extended(out);
    n = json_array_size(out->originals) +
        (out->extended ? 0 : json_array_size(out->generated));
    if (n > UINT32_MAX)
        return cpv_fail(err, CPV_E_CORRUPT, "'%s': too many captions", key);
    out->n_generated = (uint32_t)json_array_size(out->generated);
    out->n_originals = (uint32_t)n - out->n_generated;
    if ((rc = check_length(out->flags, "flags", "string", lang, key, n, err)))
        return rc;
    return check_length(out->similarities, "similarities", "number", lang, key, n, err);
}

struct cpv_bytes cpv_captions_text(const struct cpv_caption_lists *l, uint32_t place)
{
    const json_t *v = place < l->n_originals
                          ? json_array_get(l->originals, place)
                          : json_array_get(l->generated, place - l->n_originals);
    const char *text = json_string_value(v);

    if (!text || strspn(text, " \t\r\n\v\f") == json_string_length(v))
        return cpv_bytes_of(NULL, 0);
    return cpv_bytes_of(text, json_string_length(v));
}

double cpv_captions_similarity(const struct cpv_caption_lists *l, uint32_t place)
{
    const json_t *v = json_array_get(l->similarities, place);

    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* ---- choice ---- */

int cpv_caption_compare(const void *pa, const void *pb)
{
    const struct cpv_caption *a = pa, *b = pb;
    bool has_a = !isnan(a->similarity), has_b = !isnan(b->similarity);

    if (has_a != has_b)
        return has_a ? -1 : 1;
    if (has_a && a->similarity != b->similarity)
        return a->similarity > b->similarity ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static int compare_place(const void *pa, const void *pb)
{
    const struct cpv_caption *a = pa, *b = pb;

    return a->place < b->place ? -1 : a->place > b->place;
}

/* How many of the originals, and of the generated ones, may be chosen. */
static uint32_t originals_of(const struct cpv_caption_lists *l,
                             const struct cpv_caption_choice *c)
{
    return c->originals && c->originals < l->n_originals ? c->originals : l->n_originals;
}

static void add(const struct cpv_caption_lists *l, const struct cpv_caption_choice *c,
                uint32_t place, struct cpv_caption *at, size_t *n)
{
    struct cpv_bytes text = cpv_captions_text(l, place);
    double similarity = cpv_captions_similarity(l, place);

    if (!text.size ||
        (c->strategy == CPV_CAPTIONS_THRESHOLD && !(similarity >= c->threshold)))
        return;
    at[(*n)++] = (struct cpv_caption){text, similarity, place};
}

int cpv_captions_choose(json_t *sample, const char *lang, const char *key,
                        const struct cpv_caption_choice *choice, cpv_arena *mem,
                        struct cpv_caption **at, size_t *n, struct cpv_err *err)
{
    struct cpv_caption_lists l;
    uint32_t originals, generated = UINT32_MAX;
    size_t before;
    int rc = cpv_captions_find(sample, lang, key, &l, err);

    *at = NULL;
    *n = 0;
    if (rc)
        return rc;
    if (choice->strategy >= CPV_CAPTIONS_RANK && !l.similarities &&
        l.n_originals + l.n_generated > 0)
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': it has captions but no 'similarities-%s' to choose by; "
                        "run the score stage and pack its columns",
                        key, lang);
    *at = cpv_arena_calloc(mem, (size_t)l.n_originals + l.n_generated + 1, sizeof **at);
    if (!*at)
        return cpv_fail_memory(err);
    originals = originals_of(&l, choice);
    for (uint32_t i = 0; i < originals; i++)
        add(&l, choice, i, *at, n);
    if (choice->strategy == CPV_CAPTIONS_NONE)
        generated = 0;
    else if (choice->strategy == CPV_CAPTIONS_FIRST)
        generated = choice->keep;
    before = *n;
    for (uint32_t i = 0; i < l.n_generated && *n - before < generated; i++)
        add(&l, choice, l.n_originals + i, *at, n);
    if (choice->strategy == CPV_CAPTIONS_RANK && *n > choice->keep) {
        qsort(*at, *n, sizeof **at, cpv_caption_compare);
        *n = choice->keep;
        qsort(*at, *n, sizeof **at, compare_place);
    }
    return CPV_OK;
}
