/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of a packed set. */
#include <stddef.h>
#include <string.h>

#include "common/corpus/flags.h"
#include "stages/shard/pack.h"

#define AT(field) offsetof(struct pack_settings, field)

/* Names of columns, each once. */
static const char *check_columns(const void *value)
{
    _Static_assert(PACK_COLUMNS_MAX == 64, "says the message");
    static const char WANTED[] = "1 to 64 names of columns, each once";
    const struct cpv_texts *names = value;

    if (names->count == 0 || names->count > PACK_COLUMNS_MAX)
        return WANTED;
    for (size_t i = 0; i < names->count; i++) {
        if (!*names->at[i])
            return WANTED;
        for (size_t k = 0; k < i; k++)
            if (strcmp(names->at[k], names->at[i]) == 0)
                return WANTED;
    }
    return NULL;
}

static const char *check_flags(const void *value)
{
    const struct cpv_texts *words = value;

    _Static_assert(CPV_FLAG_COUNT == 6, "says the message");
    for (size_t i = 0; i < words->count; i++)
        if (cpv_flags_find(words->at[i]) < 0)
            return "words out of empty, copied, script, loop, ratio and cut";
    return NULL;
}

static const char *check_limits(const void *value)
{
    const struct cpv_texts *words = value;

    for (size_t i = 0; i < words->count; i++)
        if (!cpv_limit_ok(words->at[i]))
            return "numbers, or LANG=NUMBER, such as 0.2 or pt=0.2";
    return NULL;
}

static const char *check_tops(const void *value)
{
    const struct cpv_texts *words = value;

    for (size_t i = 0; i < words->count; i++) {
        const char *mark = strchr(words->at[i], '='), *n = mark ? mark + 1 : words->at[i];

        if (!cpv_limit_ok(words->at[i]) || *n == '0' || strlen(n) > 6 ||
            strspn(n, "0123456789") != strlen(n))
            return "whole numbers from 1, or LANG=NUMBER, such as 5 or pt=5";
    }
    return NULL;
}

static const char *check_langs(const void *value)
{
    const struct cpv_texts *words = value;

    for (size_t i = 0; i < words->count; i++)
        if (!*words->at[i] || strlen(words->at[i]) > CPV_LANGUAGE_MAX)
            return "languages, such as en or pt-BR";
    return NULL;
}

const struct cpv_opt pack_options[] = {
    {.name = "columns",
     .key = "columns",
     .kind = CPV_OPT_LIST,
     .offset = AT(columns),
     .fallback = "auto",
     .arg = "NAMES",
     .help = "Columns to merge; the first one leads. A sample must be in all of them. "
             "auto: fetch and whatever else the configuration makes: caption, "
             "translations, score, similarities.",
     .flags = CPV_OPT_PINNED,
     .check = check_columns},
    {.name = "samples-per-shard",
     .key = "samples_per_shard",
     .kind = CPV_OPT_INT,
     .offset = AT(samples_per_shard),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .arg = "N",
     .help = "Samples in each packed shard; the last one holds the rest.",
     .flags = CPV_OPT_PINNED},
    {.name = "shuffle",
     .key = "shuffle",
     .kind = CPV_OPT_FLAG,
     .offset = AT(shuffle),
     .fallback = "true",
     .help = "Put the samples of the whole corpus into an order that the seed names.",
     .flags = CPV_OPT_PINNED},
    {.name = "dedup-url",
     .key = "dedup_url",
     .kind = CPV_OPT_FLAG,
     .offset = AT(dedup_url),
     .fallback = "true",
     .help = "Of samples with the same URL keep the one of the lowest part and row.",
     .flags = CPV_OPT_PINNED},
    {.name = "dedup-content",
     .key = "dedup_content",
     .kind = CPV_OPT_FLAG,
     .offset = AT(dedup_content),
     .fallback = "true",
     .help =
         "Of samples made from the same file keep the one of the lowest part and row.",
     .flags = CPV_OPT_PINNED},
    {.name = "images",
     .key = "images",
     .kind = CPV_OPT_FLAG,
     .offset = AT(images),
     .fallback = "true",
     .help = "Pack the images too; without, captions and embeddings only.",
     .flags = CPV_OPT_PINNED},
    {.kind = CPV_OPT_END},
};

const struct cpv_opt pack_filters[] = {
    {.name = "drop-flags",
     .key = "drop_flags",
     .kind = CPV_OPT_LIST,
     .offset = AT(drop_flags),
     .fallback = "",
     .arg = "WORDS",
     .help = "Leave out translated captions that have one of these words in flags-LANG: "
             "empty, copied, script, loop, ratio, cut.",
     .flags = CPV_OPT_PINNED,
     .check = check_flags},
    {.name = "min-original",
     .key = "min_original",
     .kind = CPV_OPT_LIST,
     .offset = AT(min_original),
     .fallback = "",
     .arg = "[LANG=]X,...",
     .help =
         "Leave out samples whose first original caption in LANG has a similarity "
         "below X; without LANG, in any language that has similarities. CC3M-filtered "
         "is pt=0.2.",
     .flags = CPV_OPT_PINNED,
     .check = check_limits},
    {.name = "min-similarity",
     .key = "min_similarity",
     .kind = CPV_OPT_LIST,
     .offset = AT(min_similarity),
     .fallback = "",
     .arg = "[LANG=]X,...",
     .help = "Leave out captions in LANG of a similarity below X; without LANG, in every "
             "language that has similarities.",
     .flags = CPV_OPT_PINNED,
     .check = check_limits},
    {.name = "keep-top",
     .key = "keep_top",
     .kind = CPV_OPT_LIST,
     .offset = AT(keep_top),
     .fallback = "",
     .arg = "[LANG=]N,...",
     .help = "Of each image's captions in LANG keep the N of highest similarity; without "
             "LANG, in every language that has similarities.",
     .flags = CPV_OPT_PINNED,
     .check = check_tops},
    {.name = "filter-originals",
     .key = "filter_originals",
     .kind = CPV_OPT_FLAG,
     .offset = AT(filter_originals),
     .fallback = "true",
     .help = "min_similarity and keep_top judge originals and generated captions "
             "together; without, only the generated ones, and originals stay.",
     .flags = CPV_OPT_PINNED},
    {.name = "require",
     .key = "require",
     .kind = CPV_OPT_LIST,
     .offset = AT(require),
     .fallback = "",
     .arg = "LANGS",
     .help = "Leave out samples without a caption in one of these languages. One that "
             "filters leave without any caption goes anyway.",
     .flags = CPV_OPT_PINNED,
     .check = check_langs},
    {.kind = CPV_OPT_END},
};
