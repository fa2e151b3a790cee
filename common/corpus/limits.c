/* SPDX-License-Identifier: Apache-2.0 */
/* See limits.h. */
#include "common/corpus/limits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/corpus/captions.h"

/* The language's bytes; 0 if none is named. */
static size_t lang_size(const char *word)
{
    const char *mark = strchr(word, '=');

    return mark ? (size_t)(mark - word) : 0;
}

static bool parse(const char *word, double *value)
{
    const char *mark = strchr(word, '='), *number = mark ? mark + 1 : word;
    char *end;

    if (mark && (mark == word || mark - word > CPV_LANGUAGE_MAX))
        return false;
    /* strtod alone would take blanks, hexadecimal and "inf". */
    if (!*number || strspn(number, "0123456789+-.eE") != strlen(number))
        return false;
    *value = strtod(number, &end);
    return !*end && isfinite(*value);
}

bool cpv_limit_ok(const char *word)
{
    double value;

    return parse(word, &value);
}

static bool same(const struct cpv_limit *l, const char *lang)
{
    return lang && l->lang ? strcmp(l->lang, lang) == 0 : !lang && !l->lang;
}

int cpv_limits_parse(const struct cpv_texts *words, cpv_arena *mem,
                     struct cpv_limits *out, struct cpv_err *err)
{
    out->count = 0;
    out->at = cpv_arena_calloc(mem, words->count + 1, sizeof *out->at);
    if (!out->at)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < words->count; i++) {
        struct cpv_limit *l = &out->at[i];
        size_t n = lang_size(words->at[i]);

        if (!parse(words->at[i], &l->value))
            return cpv_fail(err, CPV_E_USAGE, "expected NUMBER or LANG=NUMBER, got '%s'",
                            words->at[i]);
        l->lang = n ? cpv_arena_str(mem, cpv_bytes_of(words->at[i], n)) : NULL;
        if (n && !l->lang)
            return cpv_fail_memory(err);
        for (size_t k = 0; k < i; k++)
            if (same(&out->at[k], l->lang))
                return cpv_fail(err, CPV_E_USAGE,
                                "expected one number for each language, got '%s' and "
                                "'%s'",
                                words->at[k], words->at[i]);
        out->count++;
    }
    return CPV_OK;
}

const struct cpv_limit *cpv_limits_find(const struct cpv_limits *l, const char *lang)
{
    const struct cpv_limit *others = NULL;

    for (size_t i = 0; i < l->count; i++) {
        if (!l->at[i].lang)
            others = &l->at[i];
        else if (strcmp(l->at[i].lang, lang) == 0)
            return &l->at[i];
    }
    return others;
}
