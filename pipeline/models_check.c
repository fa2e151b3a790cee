/* SPDX-License-Identifier: Apache-2.0 */
/* capivara models check: what a model holds against what its configuration says. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/sys.h"
#include "common/format/json.h"
#include "common/model/arch.h"
#include "common/model/cache.h"
#include "common/model/files.h"
#include "pipeline/models.h"
#include "pipeline/text.h"

enum { SHOWN = 20 }; /* lines of a list; --verbose shows all */

struct found {
    struct cpv_model_place place;
    struct cpv_arch_model model;
    struct cpv_arch_report report;
    cpv_checkpoint *checkpoint;
    uint64_t bytes; /* of its files */
};

/* ---- for people ---- */

static void print_lines(const char *what, const struct cpv_arch_lines *l, size_t most)
{
    for (size_t i = 0; i < l->count && i < most; i++)
        printf("%s: %s: %s\n", what, l->at[i].name, l->at[i].text);
    if (l->count > most)
        printf("%s: ... and %zu more; --verbose shows all\n", what, l->count - most);
}

static void print_types(const struct cpv_arch_report *r)
{
    bool first = true;

    printf("tensors      %llu (", (unsigned long long)r->tensors);
    for (int i = 0; i < CPV_ARCH_TYPES; i++) {
        if (!r->by_type[i])
            continue;
        printf("%s%llu %s", first ? "" : ", ", (unsigned long long)r->by_type[i],
               cpv_ckpt_dtype_name((cpv_ckpt_dtype)i));
        first = false;
    }
    printf(")\n");
}

static void print_report(const struct found *f, bool all)
{
    const struct cpv_arch_report *r = &f->report;
    size_t most = all ? SIZE_MAX : SHOWN, files = cpv_checkpoint_files(f->checkpoint);
    char bytes[32], parameters[32];

    cpv_text_bytes(bytes, sizeof bytes, f->bytes);
    cpv_text_count(parameters, sizeof parameters, r->parameters);
    printf("architecture %s (%s)\n", f->model.arch->name, f->model.arch->what);
    printf("config       %s\n", f->model.config);
    printf("weights      %s\n", cpv_checkpoint_path(f->checkpoint));
    printf("size         %s in %zu %s, %s\n", bytes, files, files == 1 ? "file" : "files",
           cpv_checkpoint_format(f->checkpoint));
    print_types(r);
    printf("parameters   %s\n", parameters);
    if (f->model.prefix[0])
        printf("prefix       %s\n", f->model.prefix);
    if (f->place.commit)
        printf("commit       %s\n", f->place.commit);
    print_lines("missing", &r->missing, most);
    print_lines("wrong", &r->wrong, most);
    print_lines("not used", &r->unused, most);
    print_lines("note", &r->notes, most);
    if (!r->missing.count && !r->wrong.count)
        printf("every tensor that is needed is there\n");
}

/* ---- for programs ---- */

static void put(struct cpv_json *j, const char *key, const char *value)
{
    cpv_json_key(j, key);
    cpv_json_string(j, value);
}

static void put_lines(struct cpv_json *j, const char *key, const struct cpv_arch_lines *l)
{
    cpv_json_key(j, key);
    cpv_json_begin_array(j);
    for (size_t i = 0; i < l->count; i++) {
        cpv_json_begin_object(j);
        put(j, "tensor", l->at[i].name);
        put(j, "text", l->at[i].text);
        cpv_json_end_object(j);
    }
    cpv_json_end_array(j);
}

static void put_types(struct cpv_json *j, const struct cpv_arch_report *r)
{
    cpv_json_key(j, "types");
    cpv_json_begin_object(j);
    for (int i = 0; i < CPV_ARCH_TYPES; i++)
        if (r->by_type[i]) {
            cpv_json_key(j, cpv_ckpt_dtype_name((cpv_ckpt_dtype)i));
            cpv_json_uint(j, r->by_type[i]);
        }
    cpv_json_end_object(j);
}

static int print_json(const struct found *f, struct cpv_err *err)
{
    const struct cpv_arch_report *r = &f->report;
    struct cpv_buf text = {0};
    struct cpv_json j;
    int rc;

    cpv_json_init(&j, &text);
    cpv_json_begin_object(&j);
    put(&j, "path", f->place.path);
    put(&j, "model", f->place.id);
    put(&j, "commit", f->place.commit);
    put(&j, "architecture", f->model.arch->name);
    put(&j, "config", f->model.config);
    put(&j, "weights", cpv_checkpoint_path(f->checkpoint));
    put(&j, "format", cpv_checkpoint_format(f->checkpoint));
    put(&j, "prefix", f->model.prefix);
    cpv_json_key(&j, "bytes");
    cpv_json_uint(&j, f->bytes);
    cpv_json_key(&j, "tensors");
    cpv_json_uint(&j, r->tensors);
    put_types(&j, r);
    cpv_json_key(&j, "parameters");
    cpv_json_uint(&j, r->parameters);
    put_lines(&j, "missing", &r->missing);
    put_lines(&j, "wrong", &r->wrong);
    put_lines(&j, "unused", &r->unused);
    put_lines(&j, "notes", &r->notes);
    cpv_json_key(&j, "usable");
    cpv_json_bool(&j, !r->missing.count && !r->wrong.count);
    cpv_json_end_object(&j);
    rc = cpv_buf_cstr(&text) ? CPV_OK : cpv_fail_memory(err);
    if (!rc)
        printf("%s\n", cpv_buf_cstr(&text));
    cpv_buf_release(&text);
    return rc;
}

/* ---- the command ---- */

static int look(struct found *f, struct cpv_call *call, const char *name,
                struct cpv_err *err)
{
    const char *weights = NULL;
    int rc = cpv_model_find(name, NULL, call->mem, &f->place, err);

    if (!rc)
        rc = cpv_model_weights(f->place.path, call->mem, &weights, err);
    if (!rc)
        rc = cpv_arch_open(&f->model, f->place.path, call->mem, err);
    if (!rc)
        rc = cpv_checkpoint_open(&f->checkpoint, weights, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < cpv_checkpoint_files(f->checkpoint); i++) {
        struct stat st;

        if (cpv_sys.stat(cpv_checkpoint_file(f->checkpoint, i), &st) == 0)
            f->bytes += (uint64_t)st.st_size;
    }
    cpv_arch_prefix(&f->model, f->checkpoint);
    return cpv_arch_check(&f->model, f->checkpoint, call->mem, &f->report, err);
}

int cpv_models_check(struct cpv_call *call, const char *name, struct cpv_err *err)
{
    const struct cpv_models_options *opt = call->options;
    struct found f = {.checkpoint = NULL};
    int rc = look(&f, call, name, err);

    if (!rc && opt->format == CPV_MODELS_JSON)
        rc = print_json(&f, err);
    else if (!rc)
        print_report(&f, call->verbose);
    if (!rc && (f.report.missing.count || f.report.wrong.count))
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s' cannot be used: %zu tensors are missing, %zu are of another "
                      "type or shape than '%s' says",
                      f.place.path, f.report.missing.count, f.report.wrong.count,
                      f.model.config);
    cpv_checkpoint_close(&f.checkpoint);
    return rc;
}
