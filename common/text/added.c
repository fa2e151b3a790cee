/* SPDX-License-Identifier: Apache-2.0 */
/* See added.h. */
#include "common/text/added.h"

#include "common/base/sys.h"
#include "common/text/unicode.h"

int cpv_added_add(struct cpv_added *a, const struct cpv_added_token *token,
                  struct cpv_err *err)
{
    struct cpv_added_token *there =
        (struct cpv_added_token *)cpv_added_by_text(a, token->text);

    if (token->text.size == 0)
        return CPV_OK;
    if (there) {
        *there = *token;
        return CPV_OK;
    }
    if (a->count == CPV_ADDED_MAX)
        return cpv_fail(err, CPV_E_INPUT, "more than %d added tokens", CPV_ADDED_MAX);
    if (a->count == a->capacity) {
        size_t capacity = a->capacity ? a->capacity * 2 : 8;
        struct cpv_added_token *list = cpv_realloc(a->list, capacity * sizeof *list);

        if (!list)
            return cpv_fail_memory(err);
        a->list = list;
        a->capacity = capacity;
    }
    a->list[a->count++] = *token;
    a->first[token->text.data[0]] = true;
    return CPV_OK;
}

void cpv_added_release(struct cpv_added *a)
{
    cpv_free(a->list);
    *a = (struct cpv_added){0};
}

const struct cpv_added_token *cpv_added_by_text(const struct cpv_added *a,
                                                struct cpv_bytes text)
{
    for (size_t i = 0; i < a->count; i++) {
        if (cpv_bytes_equal(a->list[i].text, text))
            return a->list + i;
    }
    return NULL;
}

const struct cpv_added_token *cpv_added_by_id(const struct cpv_added *a, int32_t id)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->list[i].id == id)
            return a->list + i;
    }
    return NULL;
}

struct cpv_added_walk cpv_added_walk(const struct cpv_added *a, struct cpv_bytes text)
{
    return (struct cpv_added_walk){.added = a, .text = text};
}

static const struct cpv_added_token *token_at(const struct cpv_added_walk *w, size_t at)
{
    const struct cpv_added_token *best = NULL;

    for (size_t i = 0; i < w->added->count; i++) {
        const struct cpv_added_token *t = w->added->list + i;

        if (t->text.size <= w->text.size - at &&
            (!best || t->text.size > best->text.size) &&
            memcmp(t->text.data, w->text.data + at, t->text.size) == 0)
            best = t;
    }
    return best;
}

enum cpv_added_what cpv_added_next(struct cpv_added_walk *w)
{
    while (!w->pending && w->at < w->text.size) {
        size_t i = w->at;

        for (; i < w->text.size; i++) {
            if (w->added->first[w->text.data[i]] && (w->pending = token_at(w, i)))
                break;
        }
        w->segment = cpv_bytes_of(w->text.data + w->at, i - w->at);
        w->at = i + (w->pending ? w->pending->text.size : 0);
        if (w->strip)
            w->segment = cpv_unicode_strip_left(w->segment);
        w->strip = false;
        if (w->pending && w->pending->lstrip)
            w->segment = cpv_unicode_strip_right(w->segment);
        if (w->segment.size > 0)
            return CPV_ADDED_SEGMENT;
    }
    if (!w->pending)
        return CPV_ADDED_END;
    w->token = w->pending;
    w->strip = w->token->rstrip;
    w->pending = NULL;
    return CPV_ADDED_TOKEN;
}
