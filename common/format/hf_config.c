/* SPDX-License-Identifier: Apache-2.0 */
/* See hf_config.h. */
#include "common/format/hf_config.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/file.h"
#include "common/base/sys.h"
#include "common/format/json.h"

struct cpv_hf_config {
    char *name;
    json_t *json;
    struct cpv_err first; /* code 0: no mistake so far */
};

/* ---- the file ---- */

int cpv_hf_config_parse(cpv_hf_config **out, struct cpv_bytes text, const char *name,
                        struct cpv_err *err)
{
    cpv_hf_config *c = cpv_calloc(1, sizeof *c);
    int rc = CPV_OK;

    *out = NULL;
    if (!c || !(c->name = cpv_strdup(name)))
        rc = cpv_fail_memory(err);
    else if (text.size > CPV_HF_SIZE_MAX)
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s': %zu bytes of configuration, at most %d "
                      "allowed",
                      name, text.size, CPV_HF_SIZE_MAX);
    else
        rc = cpv_json_parse(text, name, &c->json, err);
    if (!rc && !json_is_object(c->json))
        rc = cpv_fail(err, CPV_E_INPUT, "'%s': expected a JSON object", name);
    if (rc)
        cpv_hf_config_close(&c);
    *out = c;
    return rc;
}

int cpv_hf_config_open(cpv_hf_config **out, const char *path, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = cpv_file_read(path, CPV_HF_SIZE_MAX, &text, err);

    *out = NULL;
    if (!rc)
        rc = cpv_hf_config_parse(out, cpv_buf_view(&text), path, err);
    cpv_buf_release(&text);
    return rc;
}

void cpv_hf_config_close(cpv_hf_config **cp)
{
    cpv_hf_config *c = *cp;

    *cp = NULL;
    if (!c)
        return;
    json_decref(c->json);
    cpv_free(c->name);
    cpv_free(c);
}

int cpv_hf_config_check(const cpv_hf_config *c, struct cpv_err *err)
{
    if (c->first.code && err)
        *err = c->first;
    return c->first.code;
}

const char *cpv_hf_config_name(const cpv_hf_config *c)
{
    return c->name;
}

/* ---- objects and mistakes ---- */

void cpv_hf_mistake(const struct cpv_hf_object *o, const char *key, const char *fmt, ...)
{
    char path[128] = "", what[256];
    size_t at = 0;
    va_list args;

    if (o->config->first.code)
        return;
    for (int i = 0; i < o->depth && at < sizeof path; i++) {
        int n = snprintf(path + at, sizeof path - at, "%s.", o->path[i]);

        at += n > 0 ? (size_t)n : 0;
    }
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    (void)cpv_fail(&o->config->first, CPV_E_INPUT, "'%s' %s%s: expected %s",
                   o->config->name, path, key, what);
}

struct cpv_hf_object cpv_hf_config_root(cpv_hf_config *c)
{
    struct cpv_hf_object o = {.config = c, .json = c->json};

    return o;
}

/* The value; NULL if it is absent or null. */
static json_t *value(const struct cpv_hf_object *o, const char *key)
{
    json_t *v = json_object_get(o->json, key);

    return json_is_null(v) ? NULL : v;
}

struct cpv_hf_object cpv_hf_object(const struct cpv_hf_object *o, const char *key)
{
    struct cpv_hf_object in = *o;
    json_t *v = value(o, key);

    in.json = json_is_object(v) ? v : NULL;
    if (v && !in.json)
        cpv_hf_mistake(o, key, "an object");
    if (in.depth < CPV_HF_DEPTH)
        in.path[in.depth++] = key;
    return in;
}

bool cpv_hf_has(const struct cpv_hf_object *o, const char *key)
{
    return value(o, key) != NULL;
}

const json_t *cpv_hf_json(const struct cpv_hf_object *o, const char *key)
{
    return value(o, key);
}

/* ---- single values ---- */

static bool good_int(const json_t *v, int64_t min, int64_t max)
{
    return json_is_integer(v) && json_integer_value(v) >= min &&
           json_integer_value(v) <= max;
}

static bool good_real(const json_t *v, double min, double max)
{
    return json_is_number(v) && json_number_value(v) >= min &&
           json_number_value(v) <= max;
}

int64_t cpv_hf_int(const struct cpv_hf_object *o, const char *key, int64_t def,
                   int64_t min, int64_t max)
{
    const json_t *v = value(o, key);

    if (good_int(v, min, max))
        return json_integer_value(v);
    if (v || def == CPV_HF_NEEDED)
        cpv_hf_mistake(o, key, "an integer from %lld to %lld", (long long)min,
                       (long long)max);
    return def == CPV_HF_NEEDED ? 0 : def;
}

static double get_real(const struct cpv_hf_object *o, const char *key, const double *def,
                       double min, double max)
{
    const json_t *v = value(o, key);

    if (good_real(v, min, max))
        return json_number_value(v);
    if (v || !def)
        cpv_hf_mistake(o, key, "a number from %g to %g", min, max);
    return def ? *def : 0;
}

double cpv_hf_real(const struct cpv_hf_object *o, const char *key, double def, double min,
                   double max)
{
    return get_real(o, key, &def, min, max);
}

double cpv_hf_real_needed(const struct cpv_hf_object *o, const char *key, double min,
                          double max)
{
    return get_real(o, key, NULL, min, max);
}

bool cpv_hf_bool(const struct cpv_hf_object *o, const char *key, bool def)
{
    const json_t *v = value(o, key);

    if (json_is_boolean(v))
        return json_is_true(v);
    if (v)
        cpv_hf_mistake(o, key, "true or false");
    return def;
}

/* NULL if it is no text, or has a NUL inside. */
static const char *text_of(const json_t *v)
{
    const char *s = json_string_value(v);

    return s && strlen(s) == json_string_length(v) ? s : NULL;
}

const char *cpv_hf_text(const struct cpv_hf_object *o, const char *key, const char *def)
{
    const json_t *v = value(o, key);
    const char *s = text_of(v);

    if (v && !s)
        cpv_hf_mistake(o, key, "a text");
    return s ? s : def;
}

const char *cpv_hf_text_needed(const struct cpv_hf_object *o, const char *key)
{
    if (!cpv_hf_has(o, key))
        cpv_hf_mistake(o, key, "a text");
    return cpv_hf_text(o, key, NULL);
}

int cpv_hf_word(const struct cpv_hf_object *o, const char *key, const char *const *words,
                int def)
{
    const json_t *v = value(o, key);
    const char *s = text_of(v);
    char all[200] = "";
    size_t at = 0;

    for (int i = 0; s && words[i]; i++)
        if (strcmp(s, words[i]) == 0)
            return i;
    if (!v && def >= 0)
        return def;
    for (int i = 0; words[i] && at < sizeof all; i++) {
        int n = snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", words[i]);

        at += n > 0 ? (size_t)n : 0;
    }
    cpv_hf_mistake(o, key, "one of %s", all);
    return def >= 0 ? def : 0;
}

/* ---- lists ---- */

/* How many values there are: those of a list, or one that stands alone. */
static size_t count_of(const json_t *v)
{
    return json_is_array(v) ? json_array_size(v) : v != NULL;
}

static const json_t *item(const json_t *v, size_t i)
{
    return json_is_array(v) ? json_array_get(v, i) : v;
}

size_t cpv_hf_ints(const struct cpv_hf_object *o, const char *key, int64_t *out,
                   size_t room, int64_t min, int64_t max)
{
    const json_t *v = value(o, key);
    size_t n = count_of(v);
    bool good = n <= room;

    for (size_t i = 0; i < n && good; i++) {
        good = good_int(item(v, i), min, max);
        if (good)
            out[i] = json_integer_value(item(v, i));
    }
    if (good)
        return n;
    cpv_hf_mistake(o, key, "at most %zu integers from %lld to %lld", room, (long long)min,
                   (long long)max);
    return 0;
}

size_t cpv_hf_reals(const struct cpv_hf_object *o, const char *key, double *out,
                    size_t room, double min, double max)
{
    const json_t *v = value(o, key);
    size_t n = count_of(v);
    bool good = n <= room;

    for (size_t i = 0; i < n && good; i++) {
        good = good_real(item(v, i), min, max);
        if (good)
            out[i] = json_number_value(item(v, i));
    }
    if (good)
        return n;
    cpv_hf_mistake(o, key, "at most %zu numbers from %g to %g", room, min, max);
    return 0;
}

const char *cpv_hf_list_text(const struct cpv_hf_object *o, const char *key, size_t i)
{
    const json_t *v = value(o, key);
    const char *s;

    if (!v)
        return NULL;
    if (!json_is_array(v)) {
        cpv_hf_mistake(o, key, "a list of texts");
        return NULL;
    }
    if (i >= json_array_size(v))
        return NULL;
    s = text_of(json_array_get(v, i));
    if (!s)
        cpv_hf_mistake(o, key, "a list of texts");
    return s;
}
