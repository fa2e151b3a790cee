/* SPDX-License-Identifier: Apache-2.0 */
#include "common/corpus/captions.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct lists {
    const json_t *original, *generated, *similarity;
};

static const json_t *list_of(const json_t *sample, const char *what, const char *lang)
{
    char key[128];
    const json_t *v;

    (void)snprintf(key, sizeof key, "%s-%s", what, lang);
    v = json_object_get(sample, key);
    return json_is_array(v) ? v : NULL;
}

static double similarity_at(const struct lists *l, size_t index)
{
    const json_t *v = json_array_get(l->similarity, index);

    return json_is_number(v) ? json_number_value(v) : NAN;
}

/* At most `most` of `list`, behind the n that are there. */
static size_t add(const struct lists *l, const json_t *list, size_t base, size_t most,
                  struct cpv_caption *to, size_t n)
{
    size_t count = json_array_size(list);

    for (size_t i = 0; i < count && i < most; i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (text && *text)
            to[n++] = (struct cpv_caption){text, base + i, similarity_at(l, base + i)};
    }
    return n;
}

/* Is a more similar than b? A number before none, the earlier place before the later. */
static bool better(const struct cpv_caption *a, const struct cpv_caption *b)
{
    if (isnan(a->similarity) != isnan(b->similarity))
        return isnan(b->similarity);
    if (!isnan(a->similarity) &&
        (a->similarity > b->similarity || a->similarity < b->similarity))
        return a->similarity > b->similarity;
    return a->index < b->index;
}

static size_t keep_best(struct cpv_caption *c, size_t n, size_t keep, bool *stays)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++) {
        size_t before = 0;

        for (size_t j = 0; j < n; j++)
            before += j != i && better(&c[j], &c[i]);
        stays[i] = before < keep;
    }
    for (size_t i = 0; i < n; i++)
        if (stays[i])
            c[left++] = c[i];
    return left;
}

static size_t keep_above(struct cpv_caption *c, size_t n, double threshold)
{
    size_t left = 0;

    for (size_t i = 0; i < n; i++)
        if (c[i].similarity >= threshold)
            c[left++] = c[i];
    return left;
}

int cpv_captions_choose(const json_t *sample, const char *lang,
                        const struct cpv_captions_how *how, cpv_arena *mem,
                        struct cpv_caption **out, size_t *n, const char **why,
                        struct cpv_err *err)
{
    struct lists l = {list_of(sample, "captions", lang),
                      list_of(sample, "generated-captions", lang),
                      list_of(sample, "similarities", lang)};
    size_t originals = json_array_size(l.original);
    size_t room = originals + json_array_size(l.generated);
    size_t most = how->kind == CPV_CAPTIONS_ORIGINAL ? 0
                  : how->kind == CPV_CAPTIONS_FIRST  ? how->first
                                                     : room;
    bool *stays = cpv_arena_calloc(mem, room + 1, sizeof *stays);

    *n = 0;
    *why = "it has no caption in this language";
    *out = cpv_arena_calloc(mem, room + 1, sizeof **out);
    if (!*out || !stays)
        return cpv_fail_memory(err);
    *n = add(&l, l.original, 0, how->originals ? how->originals : originals, *out, 0);
    *n = add(&l, l.generated, originals, most, *out, *n);
    if (*n == 0)
        return CPV_OK;
    *why = "its captions have no similarities";
    if (how->kind >= CPV_CAPTIONS_RANK && !l.similarity)
        *n = 0;
    else if (how->kind == CPV_CAPTIONS_RANK)
        *n = keep_best(*out, *n, how->keep, stays);
    else if (how->kind == CPV_CAPTIONS_THRESHOLD) {
        *why = "none of its captions is similar enough";
        *n = keep_above(*out, *n, how->threshold);
    }
    return CPV_OK;
}
