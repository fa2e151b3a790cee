/* SPDX-License-Identifier: Apache-2.0 */
/* Which columns go into the set: those that the settings name, or, by default, those that
 * the configuration makes; and what they hold. */
#include <string.h>

#include "common/base/hash.h"
#include "common/base/sys.h"
#include "common/format/config.h"
#include "stages/shard/pack.h"

/* ---- auto ---- */

/* Names gathered, each once. */
struct names {
    const char *at[PACK_COLUMNS_MAX];
    size_t n;
    cpv_arena *mem;
};

static int add(struct names *names, const char *head, const char *lang,
               struct cpv_err *err)
{
    char *name = cpv_arena_printf(names->mem, "%s%s", head, lang);

    if (!name)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->at[i], name) == 0)
            return CPV_OK;
    if (names->n == PACK_COLUMNS_MAX)
        return cpv_fail(err, CPV_E_USAGE,
                        "the configuration makes more than %d columns; name some under "
                        "'columns'",
                        PACK_COLUMNS_MAX);
    names->at[names->n++] = name;
    return CPV_OK;
}

/* HEAD-L for every key of `translate`. */
static int add_translations(struct names *names, const cpv_config *config,
                            const char *head, struct cpv_err *err)
{
    const struct cpv_node *node = cpv_config_find(config, "translate");
    int rc = CPV_OK;

    for (size_t i = 0; node && node->kind == CPV_NODE_MAP && i < node->n && !rc; i++)
        rc = add(names, head, node->keys[i], err);
    return rc;
}

/* The score stage scores English, the language of the input, and every translation. */
static int add_scores(struct names *names, const cpv_config *config, struct cpv_err *err)
{
    const char *input = cpv_config_text(config, "input.language");
    int rc = add(names, "score", "", err);

    if (!rc)
        rc = add(names, "score-", "en", err);
    if (!rc && input && cpv_column_name_is_plain(input))
        rc = add(names, "score-", input, err);
    return rc ? rc : add_translations(names, config, "score-", err);
}

static int gather(struct names *names, const char *path, struct cpv_err *err)
{
    cpv_config *config = NULL;
    int rc = add(names, "fetch", "", err);

    if (!rc && path)
        rc = cpv_config_open(&config, path, err);
    if (!rc && config && cpv_config_find(config, "caption"))
        rc = add(names, "caption", "", err);
    if (!rc && config)
        rc = add_translations(names, config, "translate-", err);
    if (!rc && config && cpv_config_find(config, "score"))
        rc = add_scores(names, config, err);
    cpv_config_close(&config);
    return rc;
}

int pack_settle_columns(struct cpv_run *run, struct cpv_err *err)
{
    struct pack_settings *set = run->settings;
    struct names names = {.mem = run->mem};
    const char **at;
    int rc;

    if (set->columns.count != 1 || strcmp(set->columns.at[0], "auto") != 0)
        return CPV_OK;
    if ((rc = gather(&names, run->config, err)))
        return rc;
    at = cpv_arena_calloc(run->mem, names.n, sizeof *at);
    if (!at)
        return cpv_fail_memory(err);
    memcpy(at, names.at, names.n * sizeof *at);
    set->columns = (struct cpv_texts){at, names.n};
    return CPV_OK;
}

/* ---- columns ---- */

/* The record's digest of each part, folded into one. */
static int digest_column(struct pack *p, struct pack_column *c, struct cpv_err *err)
{
    cpv_arena *mem = NULL;
    cpv_sha256 *hash = NULL;
    int rc = cpv_arena_open(&mem, 0, err);

    if (!rc)
        rc = cpv_sha256_open(&hash, err);
    for (uint32_t i = 0; i < c->parts.count && !rc; i++) {
        const struct cpv_column_part *at = &c->parts.at[i];
        char *path = cpv_column_path(mem, p->run->corpus, c->name, at->part, at->revision,
                                     CPV_FILE_RECORD);
        struct cpv_record r;
        uint8_t number[4];

        rc = path ? cpv_record_read(path, mem, &r, err) : cpv_fail_memory(err);
        if (rc)
            break;
        for (int b = 0; b < 4; b++)
            number[b] = (uint8_t)(at->part >> (8 * b));
        cpv_sha256_add(hash, number, sizeof number);
        cpv_sha256_add(hash, r.shard.tar_sha256, sizeof r.shard.tar_sha256);
        cpv_arena_reset(mem);
    }
    if (!rc)
        cpv_sha256_take(hash, c->digest);
    cpv_sha256_close(&hash);
    cpv_arena_close(&mem);
    return rc;
}

int pack_find_columns(struct pack *p, struct cpv_err *err)
{
    const struct cpv_texts *names = &p->set->columns;

    p->columns = cpv_arena_calloc(p->run->mem, names->count, sizeof *p->columns);
    if (!p->columns)
        return cpv_fail_memory(err);
    p->n_columns = names->count;
    for (size_t i = 0; i < p->n_columns; i++) {
        struct pack_column *c = &p->columns[i];
        int rc;

        c->name = names->at[i];
        rc = cpv_column_scan(p->run->corpus, c->name, p->run->mem, &c->parts, err);
        if (!rc && c->parts.count == 0)
            rc = cpv_fail(err, CPV_E_BUSY,
                          "column '%s' has no finished parts yet; run that stage first",
                          c->name);
        if (!rc)
            rc = digest_column(p, c, err);
        if (rc)
            return rc;
    }
    return CPV_OK;
}
