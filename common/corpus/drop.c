/* SPDX-License-Identifier: Apache-2.0 */
/* See drop.h. */
#include "common/corpus/drop.h"

#include <stdio.h>
#include <string.h>

#include "common/format/json.h"

enum { LANG_MAX = 64 };

/* The lists of one language; NULL and 0 where there is none. */
struct lists {
    json_t *originals, *generated, *flags, *similarities;
    size_t n_originals, n_generated;
};

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

static bool is_flagged(const json_t *flags, size_t at, const struct cpv_texts *words)
{
    const char *text = json_string_value(json_array_get(flags, at));

    return text && has_word(text, words);
}

static json_t *list_of(json_t *root, const char *kind, const char *lang)
{
    char name[LANG_MAX + 32];

    (void)snprintf(name, sizeof name, "%s-%s", kind, lang);
    return json_object_get(root, name);
}

static int find_lists(json_t *root, const char *lang, const char *key, struct lists *l,
                      struct cpv_err *err)
{
    size_t n;

    l->originals = list_of(root, "captions", lang);
    l->generated = list_of(root, "generated-captions", lang);
    l->flags = list_of(root, "flags", lang);
    l->similarities = list_of(root, "similarities", lang);
    l->n_originals = json_array_size(l->originals);
    l->n_generated = json_array_size(l->generated);
    n = l->n_originals + l->n_generated;
    if (!json_is_array(l->flags) || json_array_size(l->flags) != n)
        return cpv_fail(err, CPV_E_CORRUPT,
                        "'%s': 'flags-%s' has not one string for each of %zu captions",
                        key, lang, n);
    if (l->similarities && json_array_size(l->similarities) != n)
        return cpv_fail(err, CPV_E_CORRUPT,
                        "'%s': 'similarities-%s' has not one number for each of %zu "
                        "captions",
                        key, lang, n);
    return CPV_OK;
}

/* From the last to the first, so that places before stay what they are. */
static bool drop(const struct lists *l, const struct cpv_texts *words)
{
    bool any = false;

    for (size_t i = l->n_originals + l->n_generated; i-- > 0;) {
        if (!is_flagged(l->flags, i, words))
            continue;
        if (i < l->n_originals)
            json_array_remove(l->originals, i);
        else
            json_array_remove(l->generated, i - l->n_originals);
        json_array_remove(l->flags, i);
        if (l->similarities)
            json_array_remove(l->similarities, i);
        any = true;
    }
    return any;
}

static int drop_all(json_t *root, const struct cpv_texts *words, const char *key,
                    bool *any, struct cpv_err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach(root, name, value)
    {
        struct lists l;
        int rc;

        if (strncmp(name, "flags-", 6) != 0 || strlen(name + 6) > LANG_MAX)
            continue;
        rc = find_lists(root, name + 6, key, &l, err);
        if (rc)
            return rc;
        *any |= drop(&l, words);
    }
    return CPV_OK;
}

static int write_text(const json_t *root, cpv_arena *mem, struct cpv_bytes *out,
                      struct cpv_err *err)
{
    struct cpv_buf text = {0};
    struct cpv_json j;
    char *copy;

    cpv_json_init(&j, &text);
    cpv_json_write(&j, root);
    copy = text.failed ? NULL : cpv_arena_str(mem, cpv_buf_view(&text));
    if (copy)
        *out = cpv_bytes_of(copy, text.size);
    cpv_buf_release(&text);
    return copy ? CPV_OK : cpv_fail_memory(err);
}

int cpv_drop_flagged(const struct cpv_texts *words, const char *key,
                     struct cpv_bytes *json, cpv_arena *mem, struct cpv_err *err)
{
    json_t *root = NULL;
    bool any = false;
    int rc = cpv_json_parse(*json, key, &root, err);

    if (!rc && !json_is_object(root))
        rc = cpv_fail(err, CPV_E_CORRUPT, "'%s': its JSON is no object", key);
    if (!rc)
        rc = drop_all(root, words, key, &any, err);
    if (!rc && any)
        rc = write_text(root, mem, json, err);
    json_decref(root);
    return rc;
}
