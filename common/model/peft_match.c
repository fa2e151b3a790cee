/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which modules of the text tower target_modules chooses. As PEFT goes over the modules
 * of the tower, so do we over their names, those too that must not be chosen.
 */
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "common/base/size.h"
#include "common/format/show.h"
#include "common/model/peft_impl.h"

static const char *const MODULES[CPV_PEFT_TARGETS] = {
    "attention.self.query",   "attention.self.key", "attention.self.value",
    "attention.output.dense", "intermediate.dense", "output.dense",
};

/* The other modules of a layer, and of the tower. */
static const char *const LAYER_OTHERS[] = {
    "attention",
    "attention.self",
    "attention.self.dropout",
    "attention.output",
    "attention.output.LayerNorm",
    "attention.output.dropout",
    "intermediate",
    "intermediate.intermediate_act_fn",
    "output",
    "output.LayerNorm",
    "output.dropout",
};
static const char *const OTHERS[] = {
    "transformer",
    "transformer.embeddings",
    "transformer.embeddings.word_embeddings",
    "transformer.embeddings.position_embeddings",
    "transformer.embeddings.token_type_embeddings",
    "transformer.embeddings.LayerNorm",
    "transformer.embeddings.dropout",
    "transformer.encoder",
    "transformer.encoder.layer",
    "pooler",
    "proj",
    "proj.0",
    "proj.1",
    "proj.2",
};

struct matcher {
    const struct cpv_hf_object *o;
    const struct cpv_peft_shape *shape;
    const json_t *list; /* NULL: a regular expression */
    regex_t regex;
    uint64_t used;   /* entries of the list that chose something */
    uint64_t layers; /* that may be chosen; by a whole name all may */
    bool projection; /* proj is saved whole and therefore never chosen */
    uint64_t chosen[CPV_PEFT_TARGETS]; /* layers */
};

const char *cpv_peft_module(int i)
{
    return MODULES[i];
}

/* ---- regular expressions ---- */

/* A set, to its bracket; NULL: not understood. */
static const char *copy_set(const char *s, struct cpv_buf *to)
{
    const char *begin = s++;

    s += *s == '^';
    s += *s == ']';
    while (*s && *s != ']')
        if (*s == '\\' || *s == '[')
            return NULL;
        else
            s++;
    if (*s != ']')
        return NULL;
    cpv_buf_add(to, begin, (size_t)(s + 1 - begin));
    return s + 1;
}

static const char *copy_escape(const char *s, struct cpv_buf *to)
{
    char c = s[1];

    if (c == 'd')
        cpv_buf_str(to, "[0-9]");
    else if (c == 'w')
        cpv_buf_str(to, "[A-Za-z0-9_]");
    else if (c && strchr(".-_/*+?()[]|^$\\", c))
        cpv_buf_printf(to, strchr("-_/", c) ? "%c" : "\\%c", c);
    else
        return NULL;
    return s + 2;
}

/*
 * Python's to POSIX's. Whether a whole text matches does not hang on greed, so `*?` is
 * `*`. What one of the two does not have, or has in another meaning, is refused.
 */
static bool translate(const char *s, struct cpv_buf *to)
{
    bool quantified = true; /* nothing stands before, as behind a quantifier */

    cpv_buf_str(to, "^(");
    while (s && *s) {
        if (*s == '*' || *s == '+' || *s == '?') {
            if (quantified)
                return false;
            cpv_buf_byte(to, (uint8_t)*s++);
            s += *s == '?';
            quantified = true;
            continue;
        }
        quantified = *s == '(' || *s == '|' || *s == '^';
        if (*s == '{' || *s == '}' || ((uint8_t)*s & 0x80))
            return false;
        if (*s == '[') {
            s = copy_set(s, to);
        } else if (*s == '\\') {
            s = copy_escape(s, to);
        } else if (s[0] == '(' && s[1] == '?') {
            if (s[2] != ':')
                return false;
            cpv_buf_byte(to, '(');
            s += 3;
        } else {
            cpv_buf_byte(to, (uint8_t)*s++);
        }
    }
    cpv_buf_str(to, ")$");
    return s != NULL;
}

static bool compile(struct matcher *m, const char *s)
{
    struct cpv_buf text = {0};
    const char *all = NULL;
    bool ok;

    ok = strlen(s) <= 512 && translate(s, &text) && (all = cpv_buf_cstr(&text)) &&
         regcomp(&m->regex, all, REG_EXTENDED | REG_NOSUB) == 0;
    cpv_buf_release(&text);
    return ok;
}

/* ---- matching ---- */

static bool ends_with(const char *key, const char *end)
{
    size_t n = strlen(key), k = strlen(end);

    return n > k && key[n - k - 1] == '.' && strcmp(key + n - k, end) == 0;
}

/* `layer` -1: not in one. */
static bool is_chosen(struct matcher *m, const char *key, int layer)
{
    bool chosen = false;

    if (!m->list)
        return regexec(&m->regex, key, 0, NULL, 0) == 0;
    for (size_t i = 0; i < json_array_size(m->list); i++) {
        const char *entry = json_string_value(json_array_get(m->list, i));

        if (strcmp(key, entry) == 0) {
            m->used |= UINT64_C(1) << i;
            chosen = true;
        } else if (ends_with(key, entry)) {
            m->used |= UINT64_C(1) << i;
            if (m->layers == UINT64_MAX || (layer >= 0 && m->layers >> layer & 1))
                chosen = true;
        }
    }
    return chosen;
}

static void refuse_if_chosen(struct matcher *m, const char *key, int layer)
{
    if (is_chosen(m, key, layer))
        cpv_hf_mistake(m->o, "target_modules",
                       "products of the text tower's layers alone (it names '%s' too)",
                       key);
}

static void go_over_modules(struct matcher *m)
{
    char key[160];

    for (size_t i = 0; i < CPV_COUNT(OTHERS); i++)
        if (!(m->projection && strncmp(OTHERS[i], "proj", 4) == 0))
            refuse_if_chosen(m, OTHERS[i], -1);
    for (int l = 0; l < m->shape->layers; l++) {
        int n = snprintf(key, sizeof key, "transformer.encoder.layer.%d", l);

        refuse_if_chosen(m, key, -1);
        key[n++] = '.';
        for (size_t i = 0; i < CPV_COUNT(LAYER_OTHERS); i++) {
            (void)snprintf(key + n, sizeof key - (size_t)n, "%s", LAYER_OTHERS[i]);
            refuse_if_chosen(m, key, l);
        }
        for (int i = 0; i < CPV_PEFT_TARGETS; i++) {
            (void)snprintf(key + n, sizeof key - (size_t)n, "%s", MODULES[i]);
            if (is_chosen(m, key, l))
                m->chosen[i] |= UINT64_C(1) << l;
        }
    }
}

/* Chosen are some products, each in the same layers. */
static void take(struct matcher *m, struct cpv_peft *out)
{
    for (int i = 0; i < CPV_PEFT_TARGETS; i++) {
        if (!m->chosen[i])
            continue;
        if (out->lora.layers && out->lora.layers != m->chosen[i])
            cpv_hf_mistake(m->o, "target_modules",
                           "all products in the same layers ('%s' is in others)",
                           MODULES[i]);
        out->lora.targets |= 1U << i;
        out->lora.layers = m->chosen[i];
    }
    for (size_t i = 0; m->list && i < json_array_size(m->list); i++)
        if (!(m->used >> i & 1))
            cpv_hf_mistake(
                m->o, "target_modules",
                "names of products of the text tower ('%s' is none)",
                cpv_show(cpv_bytes_str(json_string_value(json_array_get(m->list, i))))
                    .text);
    if (!out->lora.targets)
        cpv_hf_mistake(m->o, "target_modules",
                       "at least one product of the text tower's layers");
}

/* ---- the settings ---- */

/* layers_to_transform: one, a list, or all. */
static uint64_t read_layers(const struct cpv_hf_object *o,
                            const struct cpv_peft_shape *shape)
{
    const json_t *pattern = cpv_hf_json(o, "layers_pattern");
    int64_t number[CPV_PEFT_LAYERS];
    uint64_t layers = 0;
    size_t n = cpv_hf_ints(o, "layers_to_transform", number, CPV_PEFT_LAYERS, 0,
                           shape->layers - 1);

    if (n == 0)
        return UINT64_MAX;
    if (json_is_array(pattern) && json_array_size(pattern) == 1)
        pattern = json_array_get(pattern, 0);
    if (pattern && !(json_is_array(pattern) && json_array_size(pattern) == 0) &&
        !(json_is_string(pattern) &&
          (!*json_string_value(pattern) || !strcmp(json_string_value(pattern), "layer"))))
        cpv_hf_mistake(o, "layers_pattern", "nothing or 'layer'");
    for (size_t i = 0; i < n; i++)
        layers |= UINT64_C(1) << number[i];
    return layers;
}

static bool is_list_of_texts(const json_t *v)
{
    if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > 64)
        return false;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i)))
            return false;
    return true;
}

void cpv_peft_match(struct cpv_peft *out, const struct cpv_hf_object *o,
                    const struct cpv_peft_shape *shape)
{
    const json_t *v = cpv_hf_json(o, "target_modules");
    struct matcher m = {.o = o, .shape = shape, .projection = out->projection};

    m.layers = read_layers(o, shape);
    if (is_list_of_texts(v)) {
        m.list = v;
    } else if (!json_is_string(v)) {
        cpv_hf_mistake(o, "target_modules", "a list of 1 to 64 texts, or a text");
        return;
    } else if (m.layers != UINT64_MAX) {
        cpv_hf_mistake(o, "layers_to_transform",
                       "nothing, as target_modules is a regular expression");
        return;
    } else if (!strcmp(json_string_value(v), "all-linear") ||
               !compile(&m, json_string_value(v))) {
        cpv_hf_mistake(o, "target_modules",
                       "a list, or a regular expression that is understood here, not "
                       "'%s'",
                       cpv_show(cpv_bytes_str(json_string_value(v))).text);
        return;
    }
    go_over_modules(&m);
    take(&m, out);
    if (!m.list)
        regfree(&m.regex);
}
