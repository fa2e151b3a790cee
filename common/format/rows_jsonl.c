/* SPDX-License-Identifier: Apache-2.0 */
/* Rows from JSON lines: an object in each line, columns are its keys. */
#include <stdio.h>

#include "common/base/size.h"
#include "common/format/json.h"
#include "common/format/rows_internal.h"

static int open_jsonl(cpv_rows *r, struct cpv_err *err)
{
    const char *single[] = {r->p.url, r->p.file, r->p.hash_column};

    r->lines.skip_blank = true;
    for (size_t i = 0; i < CPV_COUNT(single); i++)
        if (single[i] && cpv_rows_number(single[i]))
            return cpv_fail(err, CPV_E_INPUT,
                            "'%s': column %s; JSON has keys, not numbered columns",
                            r->p.path, single[i]);
    return CPV_OK;
}

/* A key's string. Absent and null are nothing; anything else is a bad row. */
static int take_text(const json_t *object, const char *key, struct cpv_bytes *to,
                     cpv_arena *mem, struct cpv_row *out, struct cpv_err *err)
{
    const json_t *v = key ? json_object_get(object, key) : NULL;

    *to = cpv_bytes_of(NULL, 0);
    if (json_is_string(v))
        *to = cpv_bytes_of(json_string_value(v), json_string_length(v));
    else if (v && !json_is_null(v))
        return cpv_row_bad(mem, out, err, "'%.60s': expected a string", key);
    return CPV_OK;
}

/* A caption column: a string, or a list of strings. */
static int take_captions(const cpv_rows *r, const json_t *object,
                         struct cpv_row_parts *parts, cpv_arena *mem, struct cpv_row *out,
                         struct cpv_err *err)
{
    size_t room = 0;

    for (size_t i = 0; i < r->p.captions.count; i++) {
        size_t n = json_array_size(json_object_get(object, r->p.captions.at[i]));

        room += n ? n : 1;
    }
    if (room &&
        !(parts->captions = cpv_arena_calloc(mem, room, sizeof(struct cpv_bytes))))
        return cpv_fail_memory(err);
    for (size_t i = 0; i < r->p.captions.count; i++) {
        const char *key = r->p.captions.at[i];
        const json_t *list = json_object_get(object, key);
        int rc;

        if (!json_is_array(list)) {
            rc = take_text(object, key, &parts->captions[parts->n_captions++], mem, out,
                           err);
            if (rc || out->bad)
                return rc;
            continue;
        }
        for (size_t k = 0; k < json_array_size(list); k++) {
            const json_t *v = json_array_get(list, k);

            if (json_is_string(v))
                parts->captions[parts->n_captions++] =
                    cpv_bytes_of(json_string_value(v), json_string_length(v));
            else if (!json_is_null(v))
                return cpv_row_bad(mem, out, err, "'%.60s': expected strings", key);
        }
    }
    return CPV_OK;
}

static bool is_used(const cpv_rows *r, const char *key)
{
    const char *single[] = {r->p.url, r->p.file, r->p.hash_column};

    for (size_t i = 0; i < CPV_COUNT(single); i++)
        if (single[i] && !strcmp(single[i], key))
            return true;
    return cpv_rows_listed(&r->p.captions, key);
}

static int add_extra(struct cpv_row_extra *e, const char *name, const json_t *v,
                     cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    struct cpv_json j;

    cpv_json_init(&j, &text);
    cpv_json_write(&j, v);
    e->name = cpv_arena_str(mem, cpv_bytes_str(name));
    e->value = text.failed ? NULL : cpv_arena_str(mem, cpv_buf_view(&text));
    e->json = true;
    cpv_buf_release(&text);
    return e->name && e->value ? CPV_OK : cpv_fail_memory(err);
}

static int take_extra(const cpv_rows *r, json_t *object, cpv_arena *mem,
                      struct cpv_row *out, struct cpv_err *err)
{
    bool all = cpv_rows_listed(&r->p.extra, "all");
    size_t n = all ? json_object_size(object) : r->p.extra.count;
    struct cpv_row_extra *e = n ? cpv_arena_calloc(mem, n, sizeof *e) : NULL;
    const char *key;
    json_t *v;
    int rc;

    if (n && !e)
        return cpv_fail_memory(err);
    out->extra = e;
    if (all) {
        json_object_foreach(object, key, v) if (!is_used(r, key) &&
                                                (rc = add_extra(&e[out->n_extra++], key,
                                                                v, mem, err))) return rc;
        return CPV_OK;
    }
    for (size_t i = 0; i < n; i++) {
        v = json_object_get(object, r->p.extra.at[i]);
        if (v && (rc = add_extra(&e[out->n_extra++], r->p.extra.at[i], v, mem, err)))
            return rc;
    }
    return CPV_OK;
}

static int take_object(cpv_rows *r, json_t *object, cpv_arena *mem, struct cpv_row *out,
                       struct cpv_err *err)
{
    struct cpv_row_parts parts = {0};
    int rc;

    if (!json_is_object(object))
        return cpv_row_bad(mem, out, err, "expected a JSON object");
    if ((rc = take_text(object, r->p.url, &parts.url, mem, out, err)) || out->bad ||
        (rc = take_text(object, r->p.file, &parts.file, mem, out, err)) || out->bad ||
        (rc = take_text(object, r->p.hash_column, &parts.hash, mem, out, err)) ||
        out->bad || (rc = take_captions(r, object, &parts, mem, out, err)) || out->bad ||
        (rc = cpv_row_finish(r, mem, &parts, out, err)) || out->bad)
        return rc;
    return take_extra(r, object, mem, out, err);
}

static int next_row(cpv_rows *r, cpv_arena *mem, struct cpv_row *out, struct cpv_err *err)
{
    struct cpv_err why = {0};
    struct cpv_record record;
    json_t *object;
    const char *at;
    int rc = cpv_lines_next(&r->lines, &record, err);

    if (rc != 1)
        return rc;
    out->line = record.line;
    if (record.flaw)
        return (rc = cpv_row_flaw(r, mem, &record, out, err)) ? rc : 1;
    rc = cpv_json_parse(cpv_bytes_of(record.data, record.size), "", &object, &why);
    if (rc == CPV_E_MEMORY)
        return cpv_fail_memory(err);
    if (rc) { /* "'' line 1 column 7: ...": the row says its line itself */
        at = strstr(why.text, "column");
        rc = cpv_row_bad(mem, out, err, "%s", at ? at : why.text);
        return rc ? rc : 1;
    }
    rc = take_object(r, object, mem, out, err);
    json_decref(object);
    return rc ? rc : 1;
}

const struct cpv_rows_ops cpv_rows_jsonl = {
    .text = true, .open = open_jsonl, .next = next_row};
