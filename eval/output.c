/* SPDX-License-Identifier: Apache-2.0 */
/* What is known in the end: a table, JSON, ranks. */
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/stage/model.h"
#include "eval/eval.h"

static const char *const task_name[] = {"", "retrieval", "classification", "query"};

static void put_string(struct cpv_json *j, const char *key, const char *value)
{
    cpv_json_key(j, key);
    cpv_json_string(j, value);
}

static void put_bool(struct cpv_json *j, const char *key, bool value)
{
    cpv_json_key(j, key);
    cpv_json_bool(j, value);
}

static void put_model(struct cpv_json *j, const char *key, const char *path,
                      const char *sha256)
{
    cpv_json_key(j, key);
    if (!path) {
        cpv_json_null(j);
        return;
    }
    cpv_json_begin_object(j);
    put_string(j, "path", path);
    put_string(j, "sha256", sha256);
    cpv_json_end_object(j);
}

static void put_settings(struct cpv_json *j, const struct eval_settings *how)
{
    static const char *const weights[] = CPV_MODEL_WEIGHTS;

    cpv_json_key(j, "settings");
    cpv_json_begin_object(j);
    cpv_json_key(j, "set");
    cpv_json_begin_array(j);
    for (size_t i = 0; i < how->set.count; i++)
        cpv_json_string(j, how->set.at[i]);
    cpv_json_end_array(j);
    put_string(j, "images", how->images);
    put_string(j, "list", how->list);
    put_string(j, "captions", how->captions);
    cpv_json_key(j, "originals");
    cpv_json_int(j, how->originals);
    put_string(j, "pick", how->pick);
    put_bool(j, "embeddings", how->embeddings);
    put_string(j, "classnames", how->classnames);
    put_string(j, "templates", how->templates);
    put_bool(j, "parity", how->parity);
    put_string(j, "query", how->query);
    put_string(j, "tokenizer", how->tokenizer);
    put_string(j, "weights", weights[how->weights]);
    put_string(j, "backend", cpv_stage_backend(how->device));
    cpv_json_end_object(j);
}

static int64_t put_skipped(struct eval_run *r)
{
    struct cpv_json *j = &r->json;
    int64_t skipped = 0;

    cpv_json_key(j, "skipped");
    cpv_json_begin_array(j);
    for (int64_t i = 0; i < eval_images(&r->set); i++) {
        if (embedder_image(r->e, i))
            continue;
        skipped++;
        cpv_json_begin_object(j);
        put_string(j, "key", eval_image(&r->set, i)->key);
        put_string(j, "why", embedder_why(r->e, i));
        cpv_json_end_object(j);
        if (r->how->verbose)
            cpv_log_info(r->set.log, "skipped '%s': %s", eval_image(&r->set, i)->key,
                         embedder_why(r->e, i));
    }
    cpv_json_end_array(j);
    return skipped;
}

void eval_json_begin(struct eval_run *r)
{
    struct cpv_json *j = &r->json;
    int64_t skipped, all = eval_images(&r->set);

    cpv_json_init(j, &r->json_text);
    cpv_json_begin_object(j);
    put_string(j, "task", task_name[r->task]);
    put_string(j, "version", CPV_VERSION);
    put_model(j, "model", r->model, r->model_sha256);
    put_model(j, "adapter", r->how->adapter, r->adapter_sha256);
    put_settings(j, r->how);
    skipped = put_skipped(r);
    cpv_json_key(j, "images");
    cpv_json_int(j, all - skipped);
    cpv_json_key(j, r->task == EVAL_QUERY ? "hits" : "languages");
    if (r->task == EVAL_QUERY)
        cpv_json_begin_array(j);
    else
        cpv_json_begin_object(j);
    if (r->how->ranks)
        cpv_buf_str(&r->ranks, "language\tdirection\tquery\trank\n");
    if (r->task != EVAL_QUERY)
        cpv_buf_printf(&r->table, "%s, %lld images", task_name[r->task],
                       (long long)(all - skipped));
    if (r->task != EVAL_QUERY && skipped)
        cpv_buf_printf(&r->table, ", %lld skipped", (long long)skipped);
    if (r->task != EVAL_QUERY)
        cpv_buf_printf(&r->table, "; percent\n");
    if (skipped)
        cpv_log_warning(r->set.log,
                        "%lld of %lld images are skipped; --verbose or "
                        "--json names them",
                        (long long)skipped, (long long)all);
}

void eval_json_end(struct eval_run *r)
{
    if (r->task == EVAL_QUERY)
        cpv_json_end_array(&r->json);
    else
        cpv_json_end_object(&r->json);
    cpv_json_end_object(&r->json);
    cpv_buf_byte(&r->json_text, '\n');
}

/* Made anew each time, whole or not at all. */
static int put_file(const char *path, const struct cpv_buf *text, struct cpv_err *err)
{
    cpv_draft *draft = NULL;
    int rc = cpv_draft_open(&draft, path, err);

    if (!rc)
        cpv_draft_write(draft, text->data, text->size);
    return rc ? rc : cpv_draft_replace(&draft, err);
}

int eval_put_out(struct eval_run *r, struct cpv_err *err)
{
    bool to_stdout = r->how->json && strcmp(r->how->json, "-") == 0;
    const struct cpv_buf *text = to_stdout ? &r->json_text : &r->table;
    int rc = CPV_OK;

    if (r->json_text.failed || r->table.failed || r->ranks.failed)
        return cpv_fail_memory(err);
    if (r->how->ranks)
        rc = put_file(r->how->ranks, &r->ranks, err);
    if (!rc && r->how->json && !to_stdout)
        rc = put_file(r->how->json, &r->json_text, err);
    if (!rc)
        rc = cpv_file_put(STDOUT_FILENO, text->data, text->size, "standard output", err);
    return rc;
}
