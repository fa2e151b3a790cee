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
     .column = "translate-%s",
     .takes_if = "generated",
     .takes = "caption"},
    {.name = "score",
     .program = "capivara-score",
     .summary = "image embeddings, similarity of image and caption",
     .section = "score",
     .column = "score"},
    {.name = "score",
     .program = "capivara-score",
     .summary = "similarity of image and caption in a language",
     .section = "score",
     .instance = "lang",
     .column = "score-%s",
     .langs = "translate"},
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

const struct cpv_tool_entry cpv_tools[] = {
    {.name = "train",
     .program = "capivara-train",
     .summary = "LiT and LoRA training of a multilingual CLIP on packed captions"},
    {.name = "eval",
     .program = "capivara-eval",
     .summary = "zero-shot retrieval and classification in any language"},
    {.name = NULL},
};

/* Top-level keys that every stage takes (common/stage/options.c). */
static const char *const TOP[] = {"corpus",     "base",     "seed",
                                  "max_failed", "min_free", "max_transient"};

const struct cpv_stage_entry *cpv_stage_after(const struct cpv_stage_entry *stage)
{
    const struct cpv_stage_entry *next = stage + 1;

    while (next->name && strcmp(next->name, stage->name) == 0)
        next++;
    return next;
}

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
    return !stage->instance || stage->langs || !instance || below(rest, instance, &rest);
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

static bool has_step(const struct cpv_buf *steps, const struct cpv_stage_entry *stage,
                     const char *instance)
{
    const struct cpv_step *s = (const struct cpv_step *)(const void *)steps->data;

    for (size_t i = 0; i < steps->size / sizeof *s; i++)
        if (s[i].stage == stage && strcmp(s[i].instance, instance) == 0)
            return true;
    return false;
}

/* One for each language that captions are in. What is wrong about the sections that say
 * so is for their own stages to say. */
static int add_langs(struct cpv_buf *steps, const struct cpv_stage_entry *stage,
                     const cpv_config *config, cpv_arena *mem, struct cpv_err *err)
{
    const struct cpv_node *node = cpv_config_find(config, stage->langs);
    const char *input = cpv_config_text(config, "input.language");
    int rc = add_step(steps, stage, "en", mem, err);

    if (!rc && input && cpv_column_name_is_plain(input) && !has_step(steps, stage, input))
        rc = add_step(steps, stage, input, mem, err);
    for (size_t i = 0; node && node->kind == CPV_NODE_MAP && !rc && i < node->n; i++)
        if (!has_step(steps, stage, node->keys[i]))
            rc = add_step(steps, stage, node->keys[i], mem, err);
    return rc;
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
    if (stage->langs)
        return node ? add_langs(steps, stage, config, mem, err) : CPV_OK;
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

static int check_one(const cpv_config *config, const struct cpv_node *at,
                     const char *column, const char *corpus, const struct cpv_step *steps,
                     size_t n, cpv_arena *mem, struct cpv_err *err)
{
    const char *folder = cpv_arena_printf(mem, "%s/%s", corpus, column);

    if (!folder)
        return cpv_fail_memory(err);
    if (is_made(column, steps, n) || cpv_file_exists(folder))
        return CPV_OK;
    return cpv_config_fail(config, at, err,
                           "no stage of this configuration makes a column '%s', "
                           "and the corpus has none",
                           column);
}

/* The value of a key of this step's section; *node NULL: it does not stand there. */
static int find_value(const cpv_config *config, const struct cpv_step *step,
                      const char *key, cpv_arena *mem, const struct cpv_node **node,
                      struct cpv_err *err)
{
    const char *path =
        step->instance
            ? cpv_arena_printf(mem, "%s.%s.%s", step->stage->section, step->instance, key)
            : cpv_arena_printf(mem, "%s.%s", step->stage->section, key);

    *node = path ? cpv_config_find(config, path) : NULL;
    return path ? CPV_OK : cpv_fail_memory(err);
}

/* A list of columns that are for the stage to find, or no list at all. */
static bool is_auto(const struct cpv_node *node)
{
    return node->kind != CPV_NODE_LIST ||
           (node->n == 1 && node->items[0]->kind == CPV_NODE_SCALAR &&
            strcmp(node->items[0]->text, "auto") == 0);
}

static int check_step(const cpv_config *config, const struct cpv_step *step,
                      const char *corpus, const struct cpv_step *steps, size_t n,
                      cpv_arena *mem, struct cpv_err *err)
{
    const struct cpv_stage_entry *stage = step->stage;
    const struct cpv_node *node = NULL;
    int rc = CPV_OK;

    if (stage->merges)
        rc = find_value(config, step, stage->merges, mem, &node, err);
    /* One name alone, or nothing, is for the stage to judge; so is [auto]. */
    for (size_t i = 0; !rc && node && !is_auto(node) && i < node->n; i++)
        rc = check_one(config, node->items[i], node->items[i]->text, corpus, steps, n,
                       mem, err);
    node = NULL;
    if (!rc && stage->takes_if)
        rc = find_value(config, step, stage->takes_if, mem, &node, err);
    if (!rc && node && node->kind == CPV_NODE_SCALAR && strcmp(node->text, "true") == 0)
        rc = check_one(config, node, stage->takes, corpus, steps, n, mem, err);
    return rc;
}

int cpv_steps_check_columns(const cpv_config *config, const char *corpus,
                            const struct cpv_step *steps, size_t n, cpv_arena *mem,
                            struct cpv_err *err)
{
    int rc = CPV_OK;

    for (size_t i = 0; config && !rc && i < n; i++)
        rc = check_step(config, &steps[i], corpus, steps, n, mem, err);
    return rc;
}
