/* SPDX-License-Identifier: Apache-2.0 */
/* The captions of a sample in one language, as a merged sample has them. */
#include <stdio.h>

#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/format/json.h"
#include "stages/score/score.h"

static const char *const kinds[] = {"captions", "generated-captions"};

static void name_key(char name[80], int kind, const char *lang)
{
    (void)snprintf(name, 80, "%s-%.55s", kinds[kind], lang);
}

static int parse(struct cpv_bytes json, const char *key, json_t **root,
                 struct cpv_err *err)
{
    int rc = cpv_json_parse(json, key, root, err);

    if (rc == CPV_E_INPUT || (!rc && !json_is_object(*root)))
        rc = cpv_fail(err, CPV_E_CORRUPT, "'%s': its JSON is no object", key);
    return rc;
}

int captions_have(struct cpv_bytes json, const char *key, const char *lang, bool *have,
                  struct cpv_err *err)
{
    json_t *root = NULL;
    int rc = parse(json, key, &root, err);

    *have = false;
    for (size_t i = 0; !rc && i < CPV_COUNT(kinds); i++) {
        char name[80];

        name_key(name, (int)i, lang);
        *have |= json_is_array(json_object_get(root, name));
    }
    json_decref(root);
    return rc;
}

static bool is_blank(struct cpv_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] > ' ')
            return false;
    return true;
}

static int add_array(const json_t *array, cpv_arena *mem, struct cpv_buf *list,
                     struct cpv_err *err)
{
    size_t n = json_array_size(array); /* 0 of anything else */

    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        struct text t = {.none = true};

        if (json_is_string(item)) {
            struct cpv_bytes s =
                cpv_bytes_of(json_string_value(item), json_string_length(item));
            const char *copy = cpv_arena_str(mem, s);

            if (!copy)
                return cpv_fail_memory(err);
            t.source = cpv_bytes_of(copy, s.size);
            t.none = is_blank(s);
        }
        cpv_buf_add(list, &t, sizeof t);
    }
    return list->failed ? cpv_fail_memory(err) : CPV_OK;
}

int captions_add(const struct cpv_bytes *json, int columns, const char *key,
                 const char *lang, cpv_arena *mem, struct cpv_buf *list,
                 struct cpv_err *err)
{
    json_t *root[CAPTION_COLUMNS] = {0};
    int rc = CPV_OK;

    for (int i = 0; i < columns && !rc; i++)
        if (json[i].data)
            rc = parse(json[i], key, &root[i], err);
    for (int kind = 0; kind < (int)CPV_COUNT(kinds) && !rc; kind++) {
        const json_t *array = NULL;
        char name[80];

        name_key(name, kind, lang);
        for (int i = 0; i < columns; i++) {
            const json_t *later = json_object_get(root[i], name);

            array = later ? later : array;
        }
        rc = add_array(array, mem, list, err);
    }
    for (int i = 0; i < columns; i++)
        json_decref(root[i]);
    return rc;
}

int captions_unite(const struct text *t, size_t n, uint32_t *first, cpv_arena *mem,
                   struct cpv_err *err)
{
    size_t size = 16, mask;
    uint32_t *slot; /* an open hash table of indices, plus 1 */

    while (size < 2 * n)
        size *= 2;
    mask = size - 1;
    slot = cpv_arena_calloc(mem, size, sizeof *slot);
    if (!slot)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        size_t h = (size_t)cpv_xxh64(t[i].source.data, t[i].source.size, 0) & mask;

        for (; slot[h]; h = (h + 1) & mask)
            if (cpv_bytes_equal(t[slot[h] - 1].source, t[i].source))
                break;
        if (!slot[h])
            slot[h] = (uint32_t)i + 1;
        first[i] = slot[h] - 1;
    }
    return CPV_OK;
}
