/* SPDX-License-Identifier: Apache-2.0 */
/* See record.h. The writer and the reader stand side by side, key by key. */
#include "common/corpus/record.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/format/json.h"

static const char FORMAT[] = "capivara.record.v1";
enum { RECORD_MAX = 256 << 20 };

/* ---- writing ---- */

static void put_digest(struct cpv_json *j, const char *key, const uint8_t sha256[32])
{
    char hex[CPV_SHA256_HEX];

    cpv_hex(hex, sha256, CPV_SHA256_SIZE);
    cpv_json_key(j, key);
    cpv_json_string(j, hex);
}

static void put_uint(struct cpv_json *j, const char *key, uint64_t v)
{
    cpv_json_key(j, key);
    cpv_json_uint(j, v);
}

static void put_text(struct cpv_json *j, const char *key, const char *s)
{
    cpv_json_key(j, key);
    cpv_json_string(j, s);
}

static void put_shard(struct cpv_json *j, const struct cpv_shard_info *s)
{
    cpv_json_key(j, "shard");
    cpv_json_begin_object(j);
    put_uint(j, "bytes", s->bytes);
    put_digest(j, "sha256", s->sha256);
    put_uint(j, "tar_bytes", s->tar_bytes);
    put_digest(j, "tar_sha256", s->tar_sha256);
    put_uint(j, "samples", s->samples);
    put_uint(j, "members", s->members);
    put_uint(j, "frames", s->frames);
    cpv_json_end_object(j);
}

static void put_inputs(struct cpv_json *j, const struct cpv_record *r)
{
    cpv_json_key(j, "inputs");
    cpv_json_begin_array(j);
    for (uint32_t i = 0; i < r->n_inputs; i++) {
        cpv_json_begin_object(j);
        put_text(j, "name", r->inputs[i].name);
        put_digest(j, "sha256", r->inputs[i].sha256);
        cpv_json_end_object(j);
    }
    cpv_json_end_array(j);
}

static void put_failures(struct cpv_json *j, const struct cpv_record *r)
{
    cpv_json_key(j, "failed");
    cpv_json_begin_array(j);
    for (uint64_t i = 0; i < r->n_failures; i++) {
        const struct cpv_failure *f = &r->failures[i];

        cpv_json_begin_object(j);
        put_uint(j, "row", f->row);
        put_text(j, "key", f->key);
        put_text(j, "status", f->status);
        if (f->transient) {
            cpv_json_key(j, "transient");
            cpv_json_bool(j, true);
        }
        if (*f->detail)
            put_text(j, "detail", f->detail);
        cpv_json_end_object(j);
    }
    cpv_json_end_array(j);
}

static int put_counts(struct cpv_json *j, const struct cpv_record *r, struct cpv_err *err)
{
    struct cpv_status_count *counts = NULL;
    cpv_arena *mem = NULL;
    uint32_t n = 0;
    int rc = cpv_arena_open(&mem, 0, err);

    if (!rc)
        rc = cpv_record_statuses(r, mem, &counts, &n, err);
    if (!rc) {
        cpv_json_key(j, "statuses");
        cpv_json_begin_object(j);
        for (uint32_t i = 0; i < n; i++)
            put_uint(j, counts[i].status, counts[i].count);
        cpv_json_end_object(j);
    }
    cpv_arena_close(&mem);
    return rc;
}

int cpv_record_encode(const struct cpv_record *r, struct cpv_buf *out,
                      struct cpv_err *err)
{
    struct cpv_json j;
    int rc;

    cpv_json_init(&j, out);
    cpv_json_begin_object(&j);
    put_text(&j, "format", FORMAT);
    put_text(&j, "column", r->stage);
    put_uint(&j, "part", r->part);
    put_uint(&j, "revision", r->revision);
    put_digest(&j, "settings", r->settings);
    put_uint(&j, "row_begin", r->row_begin);
    put_uint(&j, "row_end", r->row_end);
    put_inputs(&j, r);
    put_shard(&j, &r->shard);
    put_uint(&j, "failures", r->n_failures);
    rc = put_counts(&j, r, err);
    put_failures(&j, r);
    cpv_json_end_object(&j);
    cpv_buf_byte(out, '\n');
    if (rc)
        return rc;
    return out->failed ? cpv_fail_memory(err) : CPV_OK;
}

int cpv_record_commit(const char *path, const struct cpv_record *r, bool *existed,
                      struct cpv_err *err)
{
    struct cpv_buf text = {0};
    cpv_draft *draft = NULL;
    int rc = cpv_record_encode(r, &text, err);

    if (!rc)
        rc = cpv_draft_open(&draft, path, err);
    if (!rc) {
        cpv_draft_write(draft, text.data, text.size);
        rc = cpv_draft_commit(&draft, existed, err);
    }
    cpv_buf_release(&text);
    return rc;
}

/* ---- reading ---- */

/* What the decoder is at; the first fault is kept in err. */
struct decoder {
    const char *name;
    cpv_arena *mem;
    struct cpv_err *err;
    int rc;
};

static void wrong(struct decoder *d, const char *key, const char *expected)
{
    if (!d->rc)
        d->rc = cpv_fail(d->err, CPV_E_CORRUPT, "'%s': key '%s': expected %s", d->name,
                         key, expected);
}

static const char *get_text(struct decoder *d, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    char *copy;

    if (!json_is_string(v)) {
        wrong(d, key, "a string");
        return "";
    }
    copy =
        cpv_arena_str(d->mem, cpv_bytes_of(json_string_value(v), json_string_length(v)));
    if (!copy && !d->rc)
        d->rc = cpv_fail_memory(d->err);
    return copy ? copy : "";
}

static uint64_t get_uint(struct decoder *d, const json_t *o, const char *key,
                         uint64_t max)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0 ||
        (uint64_t)json_integer_value(v) > max) {
        wrong(d, key, "a whole number in range");
        return 0;
    }
    return (uint64_t)json_integer_value(v);
}

static void get_digest(struct decoder *d, const json_t *o, const char *key,
                       uint8_t out[32])
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_string(v) ||
        !cpv_unhex(out, 32, cpv_bytes_of(json_string_value(v), json_string_length(v))))
        wrong(d, key, "64 hexadecimal digits");
}

static const json_t *get_list(struct decoder *d, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_array(v))
        wrong(d, key, "a list");
    return v;
}

static void get_inputs(struct decoder *d, const json_t *root, struct cpv_record *out)
{
    const json_t *list = get_list(d, root, "inputs");
    size_t n = json_array_size(list);

    out->inputs = cpv_arena_calloc(d->mem, n + 1, sizeof *out->inputs);
    if (!out->inputs) {
        if (!d->rc)
            d->rc = cpv_fail_memory(d->err);
        return;
    }
    for (size_t i = 0; i < n && !d->rc; i++) {
        const json_t *o = json_array_get(list, i);

        out->inputs[i].name = get_text(d, o, "name");
        get_digest(d, o, "sha256", out->inputs[i].sha256);
    }
    out->n_inputs = (uint32_t)n;
}

static void get_shard(struct decoder *d, const json_t *root, struct cpv_shard_info *s)
{
    const json_t *o = json_object_get(root, "shard");

    s->bytes = get_uint(d, o, "bytes", INT64_MAX);
    get_digest(d, o, "sha256", s->sha256);
    s->tar_bytes = get_uint(d, o, "tar_bytes", INT64_MAX);
    get_digest(d, o, "tar_sha256", s->tar_sha256);
    s->samples = (uint32_t)get_uint(d, o, "samples", UINT32_MAX);
    s->members = (uint32_t)get_uint(d, o, "members", UINT32_MAX);
    s->frames = (uint32_t)get_uint(d, o, "frames", UINT32_MAX);
}

static void get_failures(struct decoder *d, const json_t *root, struct cpv_record *out)
{
    const json_t *list = get_list(d, root, "failed");
    size_t n = json_array_size(list);

    out->failures = cpv_arena_calloc(d->mem, n + 1, sizeof *out->failures);
    if (!out->failures) {
        if (!d->rc)
            d->rc = cpv_fail_memory(d->err);
        return;
    }
    for (size_t i = 0; i < n && !d->rc; i++) {
        const json_t *o = json_array_get(list, i);
        struct cpv_failure *f = &out->failures[i];

        f->row = get_uint(d, o, "row", INT64_MAX);
        f->key = get_text(d, o, "key");
        f->status = get_text(d, o, "status");
        f->transient = json_is_true(json_object_get(o, "transient"));
        f->detail = json_object_get(o, "detail") ? get_text(d, o, "detail") : "";
    }
    out->n_failures = n;
}

static void get_record(struct decoder *d, const json_t *root, struct cpv_record *out)
{
    if (strcmp(get_text(d, root, "format"), FORMAT) != 0)
        wrong(d, "format", "'capivara.record.v1'");
    out->stage = get_text(d, root, "column");
    out->part = (uint32_t)get_uint(d, root, "part", UINT32_MAX);
    out->revision = (uint32_t)get_uint(d, root, "revision", UINT32_MAX);
    get_digest(d, root, "settings", out->settings);
    out->row_begin = get_uint(d, root, "row_begin", INT64_MAX);
    out->row_end = get_uint(d, root, "row_end", INT64_MAX);
    get_inputs(d, root, out);
    get_shard(d, root, &out->shard);
    memcpy(out->shard.settings, out->settings, sizeof out->settings);
    get_failures(d, root, out);
}

int cpv_record_decode(struct cpv_bytes text, const char *name, cpv_arena *mem,
                      struct cpv_record *out, struct cpv_err *err)
{
    struct decoder d = {name, mem, err, CPV_OK};
    json_t *root = NULL;
    int rc = cpv_json_parse(text, name, &root, err);

    memset(out, 0, sizeof *out);
    if (rc)
        return rc;
    get_record(&d, root, out);
    json_decref(root);
    return d.rc;
}

int cpv_record_read(const char *path, cpv_arena *mem, struct cpv_record *out,
                    struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = cpv_file_read(path, RECORD_MAX, &text, err);

    if (!rc)
        rc = cpv_record_decode(cpv_buf_view(&text), path, mem, out, err);
    cpv_buf_release(&text);
    return rc;
}

/* ---- counting ---- */

static int compare_status(const void *a, const void *b)
{
    return strcmp(((const struct cpv_status_count *)a)->status,
                  ((const struct cpv_status_count *)b)->status);
}

int cpv_record_statuses(const struct cpv_record *r, cpv_arena *mem,
                        struct cpv_status_count **out, uint32_t *n, struct cpv_err *err)
{
    struct cpv_buf found = {0};
    uint32_t count = 0;

    for (uint64_t i = 0; i < r->n_failures && !found.failed; i++) {
        const struct cpv_failure *f = &r->failures[i];
        struct cpv_status_count *c = (struct cpv_status_count *)(void *)found.data;
        uint32_t at = 0;

        while (at < count && strcmp(c[at].status, f->status) != 0)
            at++;
        if (at == count) {
            struct cpv_status_count fresh = {f->status, 0, 0};

            cpv_buf_add(&found, &fresh, sizeof fresh);
            if (found.failed)
                break;
            c = (struct cpv_status_count *)(void *)found.data;
            count++;
        }
        c[at].count++;
        c[at].transient += f->transient;
    }
    *n = count;
    *out = found.failed ? NULL : cpv_arena_calloc(mem, count + 1u, sizeof **out);
    if (*out && count) {
        memcpy(*out, found.data, count * sizeof **out);
        qsort(*out, count, sizeof **out, compare_status);
    }
    cpv_buf_release(&found);
    return *out ? CPV_OK : cpv_fail_memory(err);
}

void cpv_record_rows(const struct cpv_record *r, uint64_t *rows, uint32_t n)
{
    uint64_t row = r->row_begin, f = 0;

    for (uint32_t i = 0; i < n; i++, row++) {
        while (f < r->n_failures && r->failures[f].row <= row) {
            row += r->failures[f].row == row;
            f++;
        }
        rows[i] = row;
    }
}
