/* SPDX-License-Identifier: Apache-2.0 */
/* Class names and templates: lines, or JSON by language. */
#include <string.h>
#include <strings.h>

#include "common/base/file.h"
#include "eval/eval.h"

enum { FILE_MAX = 64 << 20, LABEL_MAX = 10000000 };

static bool is_json(struct cpv_bytes text)
{
    size_t i = 0;

    while (i < text.size && text.data[i] && strchr(" \t\r\n", text.data[i]))
        i++;
    return i < text.size && (text.data[i] == '{' || text.data[i] == '[');
}

/* Of an object the language's value, whatever the case of its key. */
static int pick_lang(json_t *root, const char *name, const char *lang, const json_t **out,
                     struct cpv_err *err)
{
    const char *key;
    json_t *value;

    *out = root;
    if (!json_is_object(root))
        return CPV_OK;
    json_object_foreach(root, key, value) if (strcasecmp(key, lang) == 0)
    {
        *out = value;
        return CPV_OK;
    }
    return cpv_fail(err, CPV_E_INPUT, "'%s': there is no language '%s' in it", name,
                    lang);
}

/* ---- lists of strings ---- */

static int take_strings(const json_t *list, const char *name, cpv_arena *mem,
                        const char ***out, int64_t *n, struct cpv_err *err)
{
    size_t count = json_array_size(list);

    *out = cpv_arena_calloc(mem, count + 1, sizeof **out);
    *n = (int64_t)count;
    if (!*out)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(list, i);

        if (!json_is_string(one))
            return cpv_fail(err, CPV_E_INPUT, "'%s': entry %zu: expected a string", name,
                            i + 1);
        (*out)[i] = cpv_arena_str(mem, cpv_bytes_str(json_string_value(one)));
        if (!(*out)[i])
            return cpv_fail_memory(err);
    }
    return CPV_OK;
}

/* Lines; empty ones at the end are none. */
static int take_lines(struct cpv_bytes text, cpv_arena *mem, const char ***out,
                      int64_t *n, struct cpv_err *err)
{
    struct cpv_buf clean = {0};
    size_t lines = 1;
    int rc = CPV_OK;

    (void)cpv_utf8_clean(&clean, text);
    for (size_t i = 0; i < clean.size; i++)
        lines += clean.data[i] == '\n';
    *out = cpv_arena_calloc(mem, lines + 1, sizeof **out);
    *n = 0;
    if (clean.failed || !*out)
        rc = cpv_fail_memory(err);
    for (size_t at = 0; at < clean.size && !rc;) {
        const uint8_t *line = clean.data + at;
        const uint8_t *end = memchr(line, '\n', clean.size - at);
        size_t size = end ? (size_t)(end - line) : clean.size - at;

        at += size + 1;
        if (size && line[size - 1] == '\r')
            size--;
        (*out)[*n] = cpv_arena_str(mem, cpv_bytes_of(line, size));
        if (!(*out)[(*n)++])
            rc = cpv_fail_memory(err);
    }
    while (!rc && *n && !*(*out)[*n - 1])
        (*n)--;
    cpv_buf_release(&clean);
    return rc;
}

/* ---- class names ---- */

/* Babel-ImageNet: [[ids], [names]]. */
static int take_ids(const json_t *ids, const char *name, cpv_arena *mem,
                    struct eval_classes *out, struct cpv_err *err)
{
    out->label = cpv_arena_calloc(mem, (size_t)out->n + 1, sizeof *out->label);
    if (!out->label)
        return cpv_fail_memory(err);
    if (json_array_size(ids) != (size_t)out->n)
        return cpv_fail(err, CPV_E_INPUT, "'%s': %zu numbers of classes, %lld names",
                        name, json_array_size(ids), (long long)out->n);
    for (int64_t i = 0; i < out->n; i++) {
        const json_t *id = json_array_get(ids, (size_t)i);

        out->label[i] = json_is_integer(id) ? (int64_t)json_integer_value(id) : -1;
        if (out->label[i] < 0 || out->label[i] > LABEL_MAX)
            return cpv_fail(err, CPV_E_INPUT,
                            "'%s': entry %lld: expected the number of a class, from 0",
                            name, (long long)i + 1);
    }
    return CPV_OK;
}

static int take_classes(const json_t *value, const char *name, cpv_arena *mem,
                        struct eval_classes *out, struct cpv_err *err)
{
    const json_t *first = json_array_get(value, 0), *second = json_array_get(value, 1);
    bool pair =
        json_array_size(value) == 2 && json_is_array(first) && json_is_array(second);
    int rc;

    if (!json_is_array(value))
        return cpv_fail(err, CPV_E_INPUT,
                        "'%s': expected a list of names, or [[numbers], [names]]", name);
    rc = take_strings(pair ? second : value, name, mem, &out->name, &out->n, err);
    return rc || !pair ? rc : take_ids(first, name, mem, out, err);
}

int eval_classes_parse(struct cpv_bytes text, const char *name, const char *lang,
                       cpv_arena *mem, struct eval_classes *out, struct cpv_err *err)
{
    const json_t *value = NULL;
    json_t *root = NULL;
    int rc;

    *out = (struct eval_classes){0};
    if (is_json(text)) {
        rc = cpv_json_parse(text, name, &root, err);
        if (!rc)
            rc = pick_lang(root, name, lang, &value, err);
        if (!rc)
            rc = take_classes(value, name, mem, out, err);
        json_decref(root);
    } else {
        rc = take_lines(text, mem, &out->name, &out->n, err);
    }
    if (!rc && out->n == 0)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected names of classes, found none",
                      name);
    for (int64_t i = 0; i < out->n && !rc; i++)
        if (!*out->name[i])
            rc = cpv_fail(err, CPV_E_INPUT, "'%s': class %lld has no name", name,
                          (long long)i);
    return rc;
}

int eval_classes_read(const char *path, const char *lang, cpv_arena *mem,
                      struct eval_classes *out, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = cpv_file_read(path, FILE_MAX, &text, err);

    if (!rc)
        rc = eval_classes_parse(cpv_buf_view(&text), path, lang, mem, out, err);
    cpv_buf_release(&text);
    return rc;
}

/* ---- templates ---- */

static bool begins(struct cpv_bytes text, const char *with)
{
    size_t n = strlen(with);

    return text.size >= n && memcmp(text.data, with, n) == 0;
}

static const char *mark_of(const char *tmpl, size_t *size)
{
    const char *mark = strstr(tmpl, "{c}");

    *size = 3;
    if (!mark) {
        mark = strstr(tmpl, "{}");
        *size = 2;
    }
    return mark;
}

int eval_templates_parse(struct cpv_bytes text, const char *name, const char *lang,
                         cpv_arena *mem, const char ***out, int64_t *n,
                         struct cpv_err *err)
{
    const json_t *value = NULL;
    json_t *root = NULL;
    size_t size;
    int rc;

    *n = 0;
    /* A line may begin with {c}. */
    if (is_json(text) && !begins(text, "{c}") && !begins(text, "{}")) {
        rc = cpv_json_parse(text, name, &root, err);
        if (!rc)
            rc = pick_lang(root, name, lang, &value, err);
        if (!rc && !json_is_array(value))
            rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected a list of templates", name);
        if (!rc)
            rc = take_strings(value, name, mem, out, n, err);
        json_decref(root);
    } else {
        rc = take_lines(text, mem, out, n, err);
    }
    if (!rc && *n == 0)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected templates, found none", name);
    for (int64_t i = 0; i < *n && !rc; i++)
        if (!mark_of((*out)[i], &size))
            rc = cpv_fail(err, CPV_E_INPUT,
                          "'%s': template %lld: expected {c} or {} in '%s'", name,
                          (long long)i + 1, (*out)[i]);
    return rc;
}

char *eval_template_fill(const char *tmpl, const char *name, cpv_arena *mem)
{
    size_t size;
    const char *mark = mark_of(tmpl, &size);

    return cpv_arena_printf(mem, "%.*s%s%s", (int)(mark - tmpl), tmpl, name, mark + size);
}
