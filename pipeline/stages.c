/* SPDX-License-Identifier: Apache-2.0 */
/* See stages.h. A new stage is a new line of this table. */
#include "pipeline/stages.h"

#include <string.h>

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/corpus/column.h"

const struct cpv_stage_entry cpv_stages[] = {
    {.name = "fetch",
     .program = "capivara-fetch",
     .summary = "URL lists, folders or existing tars into image shards",
     .section = "fetch",
     .always = true,
     .reads = "input",
     .column = "fetch"},
    {.name = "caption",
     .program = "capivara-caption",
     .summary = "images into English captions, by a BLIP model",
     .section = "caption",
     .column = "caption"},
    {.name = "translate",
     .program = "capivara-translate",
     .summary = "English captions into another language, by a Marian model",
     .section = "translate",
     .instance = "lang",
     .column = "translate-%s"},
    {.name = "shard",
     .program = "capivara-shard",
     .summary = "merge the columns, filter, shuffle, pack a training set",
     .section = "shard",
     .instance = "name",
     .column = "shards/%s",
     .merges = "columns",
     .whole = true},
    {.name = NULL},
};

/* Top-level keys that every stage takes (common/stage/options.c). */
static const char *const TOP[] = {"corpus",     "base",     "seed",
                                  "max_failed", "min_free", "max_transient"};

/* ---- the configuration's top level ---- */

int cpv_steps_check(const cpv_config *config, struct cpv_err *err)
{
    const char *known[64];
    size_t n = 0;

    for (size_t i = 0; i < CPV_COUNT(TOP); i++)
        known[n++] = TOP[i];
    for (const struct cpv_stage_entry *s = cpv_stages; s->name; s++) {
        known[n++] = s->section;
        if (s->reads)
            known[n++] = s->reads;
    }
    return cpv_config_sections_check(config, known, n, err);
}

static bool is_top(const char *key)
{
    for (size_t i = 0; i < CPV_COUNT(TOP); i++)
        if (strcmp(key, TOP[i]) == 0)
            return true;
    return false;
}

/* Is `key` below the section? `rest`: what follows the dot. */
static bool below(const char *key, const char *section, const char **rest)
{
    size_t n = strlen(section);

    if (strncmp(key, section, n) != 0 || key[n] != '.')
        return false;
    *rest = key + n + 1;
    return true;
}

static bool stage_reads(const struct cpv_stage_entry *stage, const char *instance,
                        const char *key)
{
    const char *rest;

    if (is_top(key) || (stage->reads && below(key, stage->reads, &rest)))
        return true;
    if (!below(key, stage->section, &rest))
        return false;
    return !stage->instance || !instance || below(rest, instance, &rest);
}

bool cpv_step_reads(const struct cpv_step *step, const char *key)
{
    return stage_reads(step->stage, step->instance, key);
}

bool cpv_stages_read(const char *key)
{
    for (const struct cpv_stage_entry *s = cpv_stages; s->name; s++)
        if (stage_reads(s, NULL, key))
            return true;
    return false;
}

/* ---- steps ---- */

static int add_step(struct cpv_buf *steps, const struct cpv_stage_entry *stage,
                    const char *instance, cpv_arena *mem, struct cpv_err *err)
{
    const char *mark = strstr(stage->column, "%s");
    struct cpv_step step = {stage, NULL, stage->column};

    if (instance) {
        step.instance = cpv_arena_str(mem, cpv_bytes_str(instance));
        step.column = cpv_arena_printf(mem, "%.*s%s%s", (int)(mark - stage->column),
                                       stage->column, instance, mark + 2);
        if (!step.instance || !step.column)
            return cpv_fail_memory(err);
    }
    cpv_buf_add(steps, &step, sizeof step);
    return steps->failed ? cpv_fail_memory(err) : CPV_OK;
}

static int add_stage(struct cpv_buf *steps, const struct cpv_stage_entry *stage,
                     const cpv_config *config, cpv_arena *mem, struct cpv_err *err)
{
    const struct cpv_node *node = config ? cpv_config_find(config, stage->section) : NULL;
    int rc = CPV_OK;

    if (!node && !stage->always)
        return CPV_OK;
    if (!stage->instance)
        return add_step(steps, stage, NULL, mem, err);
    if (node && node->kind != CPV_NODE_MAP)
        return cpv_config_fail(config, node, err, "'%s': expected a mapping of names",
                               stage->section);
    for (size_t i = 0; node && !rc && i < node->n; i++) {
        if (!cpv_column_name_is_plain(node->keys[i]))
            return cpv_config_fail(
                config, node->key_nodes[i], err,
                "'%s': expected a name of up to 64 letters, digits, - and _, got '%s'",
                stage->section, node->keys[i]);
        rc = add_step(steps, stage, node->keys[i], mem, err);
    }
    return rc;
}

int cpv_steps_list(const cpv_config *config, cpv_arena *mem, struct cpv_step **out,
                   size_t *n, struct cpv_err *err)
{
    struct cpv_buf steps = {0};
    int rc = CPV_OK;

    for (const struct cpv_stage_entry *s = cpv_stages; !rc && s->name; s++)
        rc = add_stage(&steps, s, config, mem, err);
    *n = steps.size / sizeof **out;
    *out = rc ? NULL : cpv_arena_calloc(mem, *n + 1, sizeof **out);
    if (!rc && !*out)
        rc = cpv_fail_memory(err);
    if (!rc && *n)
        memcpy(*out, steps.data, steps.size);
    cpv_buf_release(&steps);
    return rc;
}

/* ---- columns that steps read ---- */

static bool is_made(const char *column, const struct cpv_step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(steps[i].column, column) == 0)
            return true;
    return false;
}

static int check_listed(const cpv_config *config, const struct cpv_node *list,
                        const char *corpus, const struct cpv_step *steps, size_t n,
                        cpv_arena *mem, struct cpv_err *err)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct cpv_node *item = list->items[i];
        const char *folder = cpv_arena_printf(mem, "%s/%s", corpus, item->text);

        if (!folder)
            return cpv_fail_memory(err);
        if (!is_made(item->text, steps, n) && !cpv_file_exists(folder))
            return cpv_config_fail(config, item, err,
                                   "no stage of this configuration makes a column '%s', "
                                   "and the corpus has none",
                                   item->text);
    }
    return CPV_OK;
}

int cpv_steps_check_columns(const cpv_config *config, const char *corpus,
                            const struct cpv_step *steps, size_t n, cpv_arena *mem,
                            struct cpv_err *err)
{
    int rc = CPV_OK;

    for (size_t i = 0; config && !rc && i < n; i++) {
        const struct cpv_stage_entry *stage = steps[i].stage;
        const struct cpv_node *list;
        const char *path;

        if (!stage->merges)
            continue;
        path = steps[i].instance
                   ? cpv_arena_printf(mem, "%s.%s.%s", stage->section, steps[i].instance,
                                      stage->merges)
                   : cpv_arena_printf(mem, "%s.%s", stage->section, stage->merges);
        if (!path)
            return cpv_fail_memory(err);
        list = cpv_config_find(config, path);
        /* One name alone, or nothing, is for the stage to judge. */
        if (list && list->kind == CPV_NODE_LIST)
            rc = check_listed(config, list, corpus, steps, n, mem, err);
    }
    return rc;
}
