/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/settings.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/size.h"
#include "common/corpus/settings.h"
#include "common/format/config.h"

/* ---- reading ---- */

/* `path` from the configuration's folder. */
static const char *relative(const char *path, const char *config, cpv_arena *mem)
{
    const char *slash = strrchr(config, '/');

    if (!path || !*path || *path == '/' || !slash)
        return path;
    return cpv_arena_printf(mem, "%.*s/%s", (int)(slash - config), config, path);
}

static int relative_list(struct cpv_texts *list, const char *config, cpv_arena *mem,
                         struct cpv_err *err)
{
    const char **at = cpv_arena_calloc(mem, list->count + 1, sizeof *at);

    if (!at)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < list->count; i++) {
        at[i] = relative(list->at[i], config, mem);
        if (!at[i])
            return cpv_fail_memory(err);
    }
    list->at = at;
    return CPV_OK;
}

static const char *folder_of(const char *config, cpv_arena *mem)
{
    const char *slash = strrchr(config, '/');

    return slash ? cpv_arena_printf(mem, "%.*s", (int)(slash - config) + 1, config) : ".";
}

static int settle_paths(struct settings_table *t, struct settings *s, cpv_arena *mem,
                        struct cpv_err *err)
{
    const char *config = s->run.config;
    int rc;

    for (size_t g = 0; g < t->program.n_groups; g++) {
        for (const struct cpv_opt *o = t->groups[g].opts; o->kind != CPV_OPT_END; o++) {
            const char **field = (const char **)(void *)((char *)s + o->offset);

            if (!(o->flags & CPV_OPT_PATH) || !*field)
                continue;
            *field = relative(*field, config, mem);
            if (!*field)
                return cpv_fail_memory(err);
        }
    }
    rc = relative_list(&s->data.train, config, mem, err);
    return rc ? rc : relative_list(&s->validation.sets, config, mem, err);
}

static int read_config(struct settings_table *t, struct settings *s, cpv_arena *mem,
                       struct cpv_err *err)
{
    const char *known[32];
    cpv_config *config = NULL;
    size_t n = 0;
    int rc = cpv_config_open(&config, s->run.config, err);

    for (size_t i = 0; i < t->n_sections; i++)
        known[n++] = t->sections[i];
    for (const struct cpv_opt *o = t->groups[0].opts; o->kind != CPV_OPT_END; o++)
        known[n++] = o->key;
    if (!rc)
        rc = cpv_config_sections_check(config, known, n, err);
    if (!rc)
        rc = cpv_config_apply(config, &t->program, t->sections, t->n_sections, mem, err);
    cpv_config_close(&config);
    return rc;
}

static int check(const struct settings *s, struct cpv_err *err)
{
    struct cpv_clip_train train;
    double shares[64];
    int rc;

    if (!s->out || !*s->out)
        return cpv_fail(err, CPV_E_USAGE, "'--out' is needed; see --help");
    if (!s->model.path)
        return cpv_fail(err, CPV_E_USAGE, "'--model' is needed; see --help");
    if (s->data.train.count == 0)
        return cpv_fail(err, CPV_E_USAGE, "'--train' is needed; see --help");
    if (s->data.languages.count == 0)
        return cpv_fail(err, CPV_E_USAGE, "'--lang' is needed; see --help");
    if (s->data.languages.count > CPV_COUNT(shares))
        return cpv_fail(err, CPV_E_USAGE, "'data.languages': more than %d",
                        (int)CPV_COUNT(shares));
    if (s->steps == 0 && s->epochs == 0)
        return cpv_fail(err, CPV_E_USAGE, "how long? '--steps' or '--epochs' is needed");
    if (s->steps && s->epochs)
        return cpv_fail(err, CPV_E_USAGE, "steps or epochs, not both");
    if (s->optimizer.lr_min > s->optimizer.lr)
        return cpv_fail(err, CPV_E_USAGE, "'optimizer.lr_min' is above 'optimizer.lr'");
    rc = settings_shares(s, shares, err);
    return rc ? rc : settings_train(s, &train, err);
}

int settings_read(struct settings_table *t, struct settings *s, int argc, char **argv,
                  cpv_arena *mem, enum cpv_cli_ask *ask, struct cpv_err *err)
{
    struct cpv_cli cli = {0};
    struct cpv_texts set;
    int rc = cpv_cli_parse(&t->program, argc, argv, mem, &cli, err);

    *ask = cli.ask;
    if (rc || cli.ask != CPV_ASK_NOTHING)
        return rc;
    /* Once to find the configuration, once more behind it. */
    rc = cpv_opts_defaults(&t->program, mem, err);
    if (!rc)
        rc = cpv_cli_apply(&cli, mem, err);
    if (!rc && cli.n_rest > (s->run.config ? 0u : 1u))
        rc = cpv_fail(err, CPV_E_USAGE, "unexpected '%s'; see --help",
                      cli.rest[cli.n_rest - 1]);
    if (!rc && cli.n_rest)
        s->run.config = cli.rest[0];
    if (!rc && s->run.config) {
        const char *config = s->run.config;

        set = s->run.set;
        rc = cpv_opts_defaults(&t->program, mem, err);
        s->run.config = config;
        if (!rc)
            rc = read_config(t, s, mem, err);
        for (size_t i = 0; !rc && i < set.count; i++)
            rc = cpv_config_set_one(&t->program, set.at[i], mem, err);
        if (!rc)
            rc = settle_paths(t, s, mem, err);
        if (!rc)
            rc = cpv_cli_apply(&cli, mem, err);
        s->run.config = config;
        s->run.base = folder_of(config, mem);
        if (!rc && !s->run.base)
            rc = cpv_fail_memory(err);
    } else {
        set = s->run.set;
        for (size_t i = 0; !rc && i < set.count; i++)
            rc = cpv_config_set_one(&t->program, set.at[i], mem, err);
    }
    if (!rc && !s->run.print_config)
        rc = check(s, err);
    return rc;
}

void settings_print(const struct settings_table *t, struct cpv_buf *out)
{
    for (size_t g = 0; g < t->program.n_groups; g++) {
        const struct cpv_opt_group *group = &t->groups[g];
        bool nested = group->section && *group->section;

        if (!group->section)
            continue;
        if (nested)
            cpv_buf_printf(out, "%s:\n", group->section);
        for (const struct cpv_opt *o = group->opts; o->kind != CPV_OPT_END; o++) {
            cpv_buf_printf(out, "%s%s: ", nested ? "  " : "", o->key);
            cpv_opts_value(group, o, out);
            cpv_buf_byte(out, '\n');
        }
    }
}

/* ---- what must not change between the runs of one training ---- */

int settings_pin(const struct settings_table *t, const struct settings *s, cpv_log *log,
                 struct cpv_err *err)
{
    struct cpv_buf text = {0}, diff = {0};
    uint8_t digest[32];
    int rc = cpv_settings_text(t->groups, t->program.n_groups - 1, &text, err);

    if (!rc)
        rc = cpv_settings_pin(s->out, ".", cpv_buf_view(&text), s->run.redo,
                              s->run.dry_run, digest, &diff, err);
    if (rc == CPV_E_SETTINGS) {
        char *line = (char *)(uintptr_t)cpv_buf_cstr(&diff), *end;

        for (; line && (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            cpv_log_error(log, "%s", line);
        }
    }
    cpv_buf_release(&text);
    cpv_buf_release(&diff);
    return rc;
}

/* ---- what they mean ---- */

static const struct {
    const char *word;
    unsigned bit;
} TARGETS[] = {
    {"query", CPV_CLIP_QUERY},
    {"key", CPV_CLIP_KEY},
    {"value", CPV_CLIP_VALUE},
    {"attention.output.dense", CPV_CLIP_ATTN_OUT},
    {"intermediate.dense", CPV_CLIP_FFN_IN},
    {"output.dense", CPV_CLIP_FFN_OUT | CPV_CLIP_ATTN_OUT}, /* as PEFT reads it */
};

static int read_targets(const struct settings *s, unsigned *out, struct cpv_err *err)
{
    for (size_t i = 0; i < s->lora.targets.count; i++) {
        const char *word = s->lora.targets.at[i];
        size_t k = 0;

        while (k < CPV_COUNT(TARGETS) && strcmp(word, TARGETS[k].word) != 0)
            k++;
        if (k == CPV_COUNT(TARGETS))
            return cpv_fail(err, CPV_E_USAGE,
                            "'lora.targets': '%s' is none of query, key, value, "
                            "attention.output.dense, intermediate.dense, output.dense",
                            word);
        *out |= TARGETS[k].bit;
    }
    return CPV_OK;
}

static int read_layers(const struct settings *s, uint64_t *out, struct cpv_err *err)
{
    *out = s->lora.layers.count ? 0 : UINT64_MAX;
    for (size_t i = 0; i < s->lora.layers.count; i++) {
        const char *word = s->lora.layers.at[i];
        char *end;
        long layer = strtol(word, &end, 10);

        if (end == word || *end || layer < 0 || layer > 63)
            return cpv_fail(err, CPV_E_USAGE,
                            "'lora.layers': expected numbers from 0 to 63, got '%s'",
                            word);
        *out |= UINT64_C(1) << layer;
    }
    return CPV_OK;
}

int settings_train(const struct settings *s, struct cpv_clip_train *out,
                   struct cpv_err *err)
{
    int rc;

    memset(out, 0, sizeof *out);
    out->text = s->tower.text;
    out->projection = s->tower.projection || s->tower.text;
    out->logit_scale = s->tower.logit_scale;
    out->seed = (uint64_t)s->seed;
    if (s->tower.text)
        return CPV_OK;
    out->lora.rank = (int)s->lora.r;
    out->lora.alpha = s->lora.alpha;
    out->lora.dropout = s->lora.dropout;
    rc = read_targets(s, &out->lora.targets, err);
    if (!rc)
        rc = read_layers(s, &out->lora.layers, err);
    if (!rc && s->lora.r && !out->lora.targets)
        rc =
            cpv_fail(err, CPV_E_USAGE, "'lora.targets' is empty; lora.r 0 means no LoRA");
    return rc;
}

int settings_shares(const struct settings *s, double *to, struct cpv_err *err)
{
    size_t n = s->data.languages.count;
    double sum = 0;

    if (s->data.shares.count && s->data.shares.count != n)
        return cpv_fail(err, CPV_E_USAGE,
                        "'data.shares' has %zu numbers for %zu languages",
                        s->data.shares.count, n);
    for (size_t i = 0; i < n; i++) {
        const char *word = s->data.shares.count ? s->data.shares.at[i] : "1";
        char *end;

        to[i] = strtod(word, &end);
        if (end == word || *end || !(to[i] > 0 && to[i] < 1e9))
            return cpv_fail(err, CPV_E_USAGE,
                            "'data.shares': expected numbers above 0, got '%s'", word);
        sum += to[i];
    }
    for (size_t i = 0; i < n; i++)
        to[i] /= sum;
    return CPV_OK;
}
