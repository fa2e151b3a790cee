/* SPDX-License-Identifier: Apache-2.0 */
/* capivara models list: what is in the cache, as a table or as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/format/json.h"
#include "common/model/cache.h"
#include "pipeline/models.h"
#include "pipeline/text.h"

static const char *revision_of(const struct cpv_cache_entry *e)
{
    return *e->revisions ? e->revisions : e->commit ? "-" : "?";
}

static void add_state(struct cpv_table *t, const struct cpv_cache_entry *e)
{
    char bytes[32];

    cpv_text_bytes(bytes, sizeof bytes, e->incomplete);
    if (e->missing && e->incomplete)
        cpv_table_add(t, "lacks %s (%s half-way)", e->missing, bytes);
    else if (e->missing)
        cpv_table_add(t, "lacks %s", e->missing);
    else if (e->lacks)
        cpv_table_add(t, "lacks %s", e->lacks);
    else
        cpv_table_add(t, "complete");
}

static int print_table(const struct cpv_cache_entry *at, size_t n, struct cpv_err *err)
{
    static const char *const HEAD[] = {"model", "revision", "commit", "files",
                                       "size",  "format",   "state"};
    struct cpv_table t = {.columns = sizeof HEAD / sizeof *HEAD};
    const char *no_color = getenv("NO_COLOR");
    bool bold = isatty(STDOUT_FILENO) && !(no_color && *no_color);

    for (size_t i = 0; i < t.columns; i++)
        cpv_table_add(&t, "%s", HEAD[i]);
    for (size_t i = 0; i < n; i++) {
        char bytes[32];

        cpv_text_bytes(bytes, sizeof bytes, at[i].bytes);
        cpv_table_add(&t, "%s", at[i].id);
        cpv_table_add(&t, "%s", revision_of(&at[i]));
        cpv_table_add(&t, "%.12s", at[i].commit ? at[i].commit : "-");
        cpv_table_add(&t, "%llu", (unsigned long long)at[i].files);
        cpv_table_add(&t, "%s", bytes);
        cpv_table_add(&t, "%s", at[i].format ? at[i].format : "-");
        add_state(&t, &at[i]);
    }
    return cpv_table_print(&t, bold, stdout, err);
}

static void put(struct cpv_json *j, const char *key, const char *value)
{
    cpv_json_key(j, key);
    cpv_json_string(j, value);
}

static void put_entry(struct cpv_json *j, const struct cpv_cache_entry *e)
{
    cpv_json_begin_object(j);
    put(j, "model", e->id);
    put(j, "revisions", e->revisions);
    put(j, "commit", e->commit);
    put(j, "path", e->path);
    put(j, "format", e->format);
    cpv_json_key(j, "files");
    cpv_json_uint(j, e->files);
    cpv_json_key(j, "bytes");
    cpv_json_uint(j, e->bytes);
    cpv_json_key(j, "incomplete_bytes");
    cpv_json_uint(j, e->incomplete);
    cpv_json_key(j, "complete");
    cpv_json_bool(j, !e->missing);
    put(j, "missing", e->missing ? e->missing : e->lacks);
    cpv_json_end_object(j);
}

static int print_json(const struct cpv_cache_entry *at, size_t n, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    struct cpv_json j;
    int rc;

    cpv_json_init(&j, &text);
    cpv_json_begin_array(&j);
    for (size_t i = 0; i < n; i++)
        put_entry(&j, &at[i]);
    cpv_json_end_array(&j);
    rc = cpv_buf_cstr(&text) ? CPV_OK : cpv_fail_memory(err);
    if (!rc)
        printf("%s\n", cpv_buf_cstr(&text));
    cpv_buf_release(&text);
    return rc;
}

int cpv_models_list(struct cpv_call *call, struct cpv_err *err)
{
    const struct cpv_models_options *opt = call->options;
    struct cpv_cache_entry *at = NULL;
    struct cpv_hub_env env;
    size_t n = 0;
    int rc = cpv_hub_env_read(&env, call->mem, err);

    if (!rc)
        rc = cpv_cache_list(env.root, call->mem, &at, &n, err);
    if (rc)
        return rc;
    if (opt->format == CPV_MODELS_JSON)
        return print_json(at, n, err);
    if (n)
        return print_table(at, n, err);
    printf("no models in '%s'\n", env.root);
    return CPV_OK;
}
