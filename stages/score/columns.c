/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What score-L is made from. Captions of a language are in translate-L, where there is
 * one, else in fetch; those that a model made in English are in caption. A column is
 * there if the configuration has its stage, or the corpus has it already.
 */
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/corpus/column.h"
#include "common/corpus/settings.h"
#include "common/format/config.h"
#include "stages/score/score.h"

enum { LOOK_AT = 256, SETTINGS_MAX = 1 << 20 };

static int is_there(struct scorer *k, const cpv_config *config, const char *section,
                    const char *column, bool *there, struct cpv_err *err)
{
    const char *path = NULL;
    unsigned revision;
    int rc = CPV_OK;

    *there = config && cpv_config_find(config, section);
    if (!*there)
        rc =
            cpv_settings_find(k->run->corpus, column, k->run->mem, &path, &revision, err);
    *there |= path != NULL;
    return rc;
}

static int choose(struct scorer *k, const cpv_config *config, struct cpv_err *err)
{
    const char *lang = k->run->instance;
    char *section = cpv_arena_printf(k->run->mem, "translate.%s", lang);
    char *column = cpv_arena_printf(k->run->mem, "translate-%s", lang);
    bool translated = false, captioned = false;
    int rc = section && column ? CPV_OK : cpv_fail_memory(err);

    if (!rc)
        rc = is_there(k, config, section, column, &translated, err);
    if (!rc && strcmp(lang, "en") == 0)
        rc = is_there(k, config, "caption", "caption", &captioned, err);
    k->columns[k->n_columns++] = "score";
    k->columns[k->n_columns++] = translated ? column : "fetch";
    if (captioned)
        k->columns[k->n_columns++] = "caption";
    return rc;
}

/* Do the first samples have captions in a language that nothing speaks of? */
static int look(struct scorer *k, cpv_arena *mem, bool *have, struct cpv_err *err)
{
    struct cpv_column parts;
    cpv_shard *in = NULL;
    int rc = cpv_column_scan(k->run->corpus, "fetch", mem, &parts, err);

    *have = false;
    if (rc || parts.count == 0)
        return rc;
    rc = cpv_run_open_input(k->run, "fetch", parts.at[0].part, mem, &in, err);
    for (uint32_t i = 0; !rc && !*have && i < cpv_shard_count(in) && i < LOOK_AT; i++) {
        struct cpv_sample s;

        rc = cpv_shard_read(in, i, "json", mem, &s, err);
        if (!rc)
            rc = captions_have(s.members[0].data, s.key, k->run->instance, have, err);
    }
    cpv_shard_close(&in);
    return rc;
}

/* A language that is misspelt is to make no column. */
static int check_lang(struct scorer *k, struct cpv_err *err)
{
    const char *lang = k->run->instance;
    cpv_arena *mem = NULL;
    bool have = true;
    int rc = CPV_OK;

    if (strcmp(lang, "en") == 0 || strcmp(k->columns[1], "fetch") != 0)
        return CPV_OK;
    rc = cpv_arena_open(&mem, 0, err);
    if (!rc)
        rc = look(k, mem, &have, err);
    cpv_arena_close(&mem);
    if (!rc && !have)
        rc = cpv_fail(err, CPV_E_USAGE,
                      "'--lang': there is no 'translate.%s' in the configuration, no "
                      "column 'translate-%s', and column 'fetch' has no captions-%s",
                      lang, lang, lang);
    return rc;
}

/* Embeddings of another model are no neighbours of our texts. */
static int check_model(struct scorer *k, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    const char *path = NULL, *pinned;
    unsigned revision;
    int rc =
        cpv_settings_find(k->run->corpus, "score", k->run->mem, &path, &revision, err);

    if (!rc && !path)
        rc = cpv_fail(err, CPV_E_CORRUPT, "column 'score' has no settings");
    if (!rc)
        rc = cpv_file_read(path, SETTINGS_MAX, &text, err);
    cpv_sha256_of(k->score_settings, cpv_buf_view(&text));
    pinned = cpv_buf_cstr(&text);
    if (!rc && !pinned)
        rc = cpv_fail_memory(err);
    if (!rc && !strstr(pinned, k->set->model_sha256))
        rc = cpv_fail(err, CPV_E_SETTINGS,
                      "column 'score' was made with another model; `capivara score "
                      "--redo` makes it with this one");
    cpv_buf_release(&text);
    return rc;
}

int columns_open(struct scorer *k, struct cpv_err *err)
{
    cpv_config *config = NULL;
    int rc = cpv_run_follow(k->run, "score", err);

    if (!rc && k->run->config)
        rc = cpv_config_open(&config, k->run->config, err);
    if (!rc)
        rc = choose(k, config, err);
    cpv_config_close(&config);
    if (!rc)
        rc = check_lang(k, err);
    return rc ? rc : check_model(k, err);
}

int columns_inputs(struct scorer *k, uint32_t part, cpv_arena *mem,
                   struct cpv_record *out, struct cpv_err *err)
{
    struct cpv_record_input input;
    struct cpv_record score;
    int rc =
        cpv_run_inputs(k->run, k->columns, (uint32_t)k->n_columns, part, mem, out, err);

    if (!rc)
        rc = cpv_run_input(k->run, "score", part, mem, &input, &score, err);
    if (!rc && memcmp(score.settings, k->score_settings, sizeof score.settings) != 0)
        rc = cpv_fail(err, CPV_E_ABSENT, "part %05u of column 'score' is to be made anew",
                      part);
    return rc;
}
