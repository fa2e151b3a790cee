/* SPDX-License-Identifier: Apache-2.0 */
/* capivara inspect: what a shard, a record or a corpus is, without reading more than it
 * must. Of shards that others wrote everything has to be read. */
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "common/corpus/column.h"
#include "common/corpus/record.h"
#include "common/format/brace.h"
#include "common/format/json.h"
#include "common/format/samples.h"
#include "common/format/shard.h"
#include "common/format/tar.h"
#include "pipeline/command.h"
#include "pipeline/place.h"
#include "pipeline/text.h"

enum { PATHS_MAX = 100000, EXTS_MAX = 255, KEYS_SHOWN = 3 };

struct options {
    int format; /* 0 text, 1 json */
};

static const char *const FORMATS[] = {"text", "json", NULL};

static const struct cpv_opt OPTIONS[] = {
    {.name = "format",
     .kind = CPV_OPT_CHOICE,
     .offset = offsetof(struct options, format),
     .fallback = "text",
     .choices = FORMATS,
     .help = "json: one object a line for each path."},
    {.kind = CPV_OPT_END},
};

/* ---- a shard ---- */

struct ext_count {
    const char *ext;
    uint64_t members, bytes;
};

struct view {
    const char *path;
    bool ours;
    struct cpv_shard_info info;
    uint64_t samples, members, bytes, tar_bytes;
    struct ext_count ext[EXTS_MAX];
    size_t n_ext;
    const char *key[KEYS_SHOWN], *last;
    struct cpv_samples_report report; /* of a foreign one */
};

static void count_member(struct view *v, const char *ext, uint64_t bytes, cpv_arena *mem)
{
    size_t i = 0;

    while (i < v->n_ext && strcmp(v->ext[i].ext, ext) != 0)
        i++;
    if (i == EXTS_MAX)
        return;
    if (i == v->n_ext) {
        v->ext[i].ext = cpv_arena_str(mem, cpv_bytes_str(ext));
        if (!v->ext[i].ext)
            return;
        v->n_ext++;
    }
    v->ext[i].members++;
    v->ext[i].bytes += bytes;
    v->members++;
}

static void count_sample(struct view *v, const char *key, cpv_arena *mem)
{
    if (v->samples < KEYS_SHOWN)
        v->key[v->samples] = cpv_arena_str(mem, cpv_bytes_str(key));
    v->samples++;
}

static int view_ours(struct view *v, cpv_shard *s, cpv_arena *mem, struct cpv_err *err)
{
    v->ours = true;
    v->info = *cpv_shard_info(s);
    v->bytes = v->info.bytes;
    v->tar_bytes = v->info.tar_bytes;
    for (uint32_t i = 0; i < cpv_shard_count(s); i++) {
        const struct cpv_sample_entry *e = cpv_shard_entry(s, i);

        count_sample(v, e->key, mem);
        for (uint32_t m = 0; m < e->n_members; m++)
            count_member(v, e->members[m].ext, e->members[m].size, mem);
    }
    if (v->samples) {
        v->last =
            cpv_arena_str(mem, cpv_bytes_str(cpv_shard_key(s, cpv_shard_count(s) - 1)));
        if (!v->last)
            return cpv_fail_memory(err);
    }
    return CPV_OK;
}

static int view_foreign(struct view *v, cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_samples_params params = {
        .salvage = true, .repeats = true, .read_ahead = 4};
    cpv_samples *samples = NULL;
    struct cpv_buf last = {0};
    struct cpv_sample s;
    struct stat st;
    int rc = cpv_samples_open(&samples, v->path, &params, err);

    while (!rc && (rc = cpv_samples_next(samples, &s, err)) == 1) {
        rc = CPV_OK;
        count_sample(v, s.key, mem);
        cpv_buf_clear(&last);
        cpv_buf_str(&last, s.key);
        for (size_t i = 0; i < s.n_members; i++)
            count_member(v, s.members[i].ext, s.members[i].data.size, mem);
    }
    if (!rc) {
        v->report = *cpv_samples_report(samples);
        v->tar_bytes = v->report.tar_bytes;
        v->bytes = cpv_sys.stat(v->path, &st) == 0 ? (uint64_t)st.st_size : 0;
        v->last = last.size ? cpv_arena_str(mem, cpv_buf_view(&last)) : NULL;
    }
    if (!rc && v->report.truncated && v->report.truncated_at < CPV_TAR_BLOCK)
        rc = cpv_fail(err, CPV_E_INPUT, "'%s' is neither a shard, a tar nor a record",
                      v->path);
    cpv_samples_close(&samples);
    cpv_buf_release(&last);
    return rc;
}

static void print_number(const char *label, uint64_t n)
{
    char text[32];

    cpv_text_count(text, sizeof text, n);
    printf("  %-11s %s\n", label, text);
}

static void print_digest(const char *label, const uint8_t sha256[32])
{
    char hex[CPV_SHA256_HEX];

    cpv_hex(hex, sha256, 32);
    printf("  %-11s %s\n", label, hex);
}

static void print_notes(const struct cpv_samples_report *r)
{
    if (r->skipped)
        print_number("skipped", r->skipped);
    if (r->duplicates)
        print_number("key twice", r->duplicates);
    if (r->truncated)
        printf("  note        cut off at byte %llu of the tar; %llu samples dropped\n",
               (unsigned long long)r->truncated_at, (unsigned long long)r->dropped);
    if (r->unclosed)
        printf("  note        the end blocks are missing\n");
    if (r->trailing)
        printf("  note        something follows the end, at byte %llu\n",
               (unsigned long long)r->trailing_at);
}

static void print_view(const struct view *v)
{
    char bytes[32];

    printf("%s: %s\n", v->path,
           v->ours ? "capivara shard" : "tar written by another program");
    print_number("samples", v->samples);
    for (size_t i = 0; i < v->n_ext; i++) {
        cpv_text_bytes(bytes, sizeof bytes, v->ext[i].bytes);
        printf("  %-11s %llu of .%s, %s\n", i ? "" : "members",
               (unsigned long long)v->ext[i].members, v->ext[i].ext, bytes);
    }
    printf("  %-11s", "keys");
    for (size_t i = 0; i < KEYS_SHOWN && v->key[i]; i++)
        printf("%s %s", i ? "," : "", v->key[i]);
    printf("%s%s\n", v->samples > KEYS_SHOWN ? " ... " : "",
           v->samples > KEYS_SHOWN && v->last ? v->last : "");
    print_number("bytes", v->bytes);
    print_number("as tar", v->tar_bytes);
    if (v->ours) {
        print_number("frames", v->info.frames);
        print_digest("tar sha256", v->info.tar_sha256);
        print_digest("settings", v->info.settings);
    }
    print_notes(&v->report);
}

/* ---- as JSON ---- */

static void put_uint(struct cpv_json *j, const char *key, uint64_t v)
{
    cpv_json_key(j, key);
    cpv_json_uint(j, v);
}

static void put_text(struct cpv_json *j, const char *key, const char *v)
{
    cpv_json_key(j, key);
    cpv_json_string(j, v);
}

static void put_digest(struct cpv_json *j, const char *key, const uint8_t sha256[32])
{
    char hex[CPV_SHA256_HEX];

    cpv_hex(hex, sha256, 32);
    put_text(j, key, hex);
}

static void put_view(struct cpv_json *j, const struct view *v)
{
    put_text(j, "kind", v->ours ? "shard" : "foreign");
    put_uint(j, "samples", v->samples);
    put_uint(j, "members", v->members);
    cpv_json_key(j, "extensions");
    cpv_json_begin_object(j);
    for (size_t i = 0; i < v->n_ext; i++) {
        cpv_json_key(j, v->ext[i].ext);
        cpv_json_begin_object(j);
        put_uint(j, "members", v->ext[i].members);
        put_uint(j, "bytes", v->ext[i].bytes);
        cpv_json_end_object(j);
    }
    cpv_json_end_object(j);
    put_text(j, "first_key", v->key[0]);
    put_text(j, "last_key", v->last);
    put_uint(j, "bytes", v->bytes);
    put_uint(j, "tar_bytes", v->tar_bytes);
    if (v->ours) {
        put_uint(j, "frames", v->info.frames);
        put_digest(j, "tar_sha256", v->info.tar_sha256);
        put_digest(j, "settings", v->info.settings);
        return;
    }
    put_uint(j, "skipped", v->report.skipped);
    put_uint(j, "duplicates", v->report.duplicates);
    put_uint(j, "dropped", v->report.dropped);
    cpv_json_key(j, "truncated");
    cpv_json_bool(j, v->report.truncated);
    cpv_json_key(j, "unclosed");
    cpv_json_bool(j, v->report.unclosed);
    cpv_json_key(j, "trailing");
    cpv_json_bool(j, v->report.trailing);
}

/* One line: {"path":...,<what the callback adds>}. */
static int print_object(const char *path, void (*put)(struct cpv_json *, const void *),
                        const void *what, struct cpv_err *err)
{
    struct cpv_buf text = {0};
    struct cpv_json j;
    bool failed;

    cpv_json_init(&j, &text);
    cpv_json_begin_object(&j);
    put_text(&j, "path", path);
    put(&j, what);
    cpv_json_end_object(&j);
    cpv_buf_byte(&text, '\n');
    failed = text.failed;
    if (!failed)
        (void)fwrite(text.data, 1, text.size, stdout);
    cpv_buf_release(&text);
    return failed ? cpv_fail_memory(err) : CPV_OK;
}

static void put_view_of(struct cpv_json *j, const void *what)
{
    put_view(j, what);
}

static int inspect_shard(const char *path, bool json, cpv_arena *mem, struct cpv_err *err)
{
    struct view *v = cpv_arena_calloc(mem, 1, sizeof *v);
    cpv_shard *s = NULL;
    int rc;

    if (!v)
        return cpv_fail_memory(err);
    v->path = path;
    rc = cpv_shard_open(&s, path, err);
    if (!rc)
        rc = view_ours(v, s, mem, err);
    else if (rc == CPV_E_INPUT)
        rc = view_foreign(v, mem, err);
    cpv_shard_close(&s);
    if (rc)
        return rc;
    if (json)
        return print_object(path, put_view_of, v, err);
    print_view(v);
    return CPV_OK;
}

/* ---- a record ---- */

struct record_view {
    struct cpv_record r;
    struct cpv_status_count *reasons;
    uint32_t n_reasons;
};

static void put_record(struct cpv_json *j, const void *what)
{
    const struct record_view *v = what;

    put_text(j, "kind", "record");
    put_text(j, "column", v->r.stage);
    put_uint(j, "part", v->r.part);
    put_uint(j, "revision", v->r.revision);
    put_uint(j, "row_begin", v->r.row_begin);
    put_uint(j, "row_end", v->r.row_end);
    put_uint(j, "samples", v->r.shard.samples);
    put_uint(j, "bytes", v->r.shard.bytes);
    put_uint(j, "failed", v->r.n_failures);
    cpv_json_key(j, "reasons");
    cpv_json_begin_object(j);
    for (uint32_t i = 0; i < v->n_reasons; i++)
        put_uint(j, v->reasons[i].status, v->reasons[i].count);
    cpv_json_end_object(j);
    put_digest(j, "sha256", v->r.shard.sha256);
    put_digest(j, "tar_sha256", v->r.shard.tar_sha256);
    put_digest(j, "settings", v->r.settings);
    cpv_json_key(j, "inputs");
    cpv_json_begin_object(j);
    for (uint32_t i = 0; i < v->r.n_inputs; i++)
        put_digest(j, v->r.inputs[i].name, v->r.inputs[i].sha256);
    cpv_json_end_object(j);
}

static void print_record(const char *path, const struct record_view *v)
{
    const struct cpv_record *r = &v->r;

    printf("%s: commit record of column '%s' part %u revision %u\n", path, r->stage,
           r->part, r->revision);
    printf("  %-11s %llu to %llu of the input\n", "rows",
           (unsigned long long)r->row_begin, (unsigned long long)r->row_end);
    print_number("samples", r->shard.samples);
    print_number("failed", r->n_failures);
    for (uint32_t i = 0; i < v->n_reasons; i++)
        printf("  %-11s %llu %s\n", "", (unsigned long long)v->reasons[i].count,
               v->reasons[i].status);
    print_number("bytes", r->shard.bytes);
    print_digest("sha256", r->shard.sha256);
    print_digest("tar sha256", r->shard.tar_sha256);
    print_digest("settings", r->settings);
    for (uint32_t i = 0; i < r->n_inputs; i++) {
        char label[64];

        (void)snprintf(label, sizeof label, "from %s", r->inputs[i].name);
        print_digest(label, r->inputs[i].sha256);
    }
}

static int inspect_record(const char *path, bool json, cpv_arena *mem,
                          struct cpv_err *err)
{
    struct record_view v = {.n_reasons = 0};
    int rc = cpv_record_read(path, mem, &v.r, err);

    if (!rc)
        rc = cpv_record_statuses(&v.r, mem, &v.reasons, &v.n_reasons, err);
    if (rc)
        return rc;
    if (json)
        return print_object(path, put_record, &v, err);
    print_record(path, &v);
    return CPV_OK;
}

/* ---- a corpus or a column ---- */

struct column_view {
    const char *name;
    uint64_t parts, superseded, orphans, samples, failed, bytes;
};

struct corpus_view {
    struct column_view *at;
    uint32_t n;
};

static int view_column(struct column_view *v, const char *corpus, const char *name,
                       cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_column c;
    int rc = cpv_column_scan(corpus, name, mem, &c, err);

    v->name = name;
    v->parts = c.count;
    v->superseded = c.superseded;
    v->orphans = c.orphans;
    for (uint32_t i = 0; !rc && i < c.count; i++) {
        struct cpv_arena_mark mark = cpv_arena_mark(mem);
        struct cpv_record r;
        const char *path = cpv_column_path(mem, corpus, name, c.at[i].part,
                                           c.at[i].revision, CPV_FILE_RECORD);

        rc = path ? cpv_record_read(path, mem, &r, err) : cpv_fail_memory(err);
        if (!rc) {
            v->samples += r.shard.samples;
            v->failed += r.n_failures;
            v->bytes += r.shard.bytes;
        }
        cpv_arena_rewind(mem, mark);
    }
    return rc;
}

static void put_corpus(struct cpv_json *j, const void *what)
{
    const struct corpus_view *v = what;

    put_text(j, "kind", "corpus");
    cpv_json_key(j, "columns");
    cpv_json_begin_array(j);
    for (uint32_t i = 0; i < v->n; i++) {
        cpv_json_begin_object(j);
        put_text(j, "column", v->at[i].name);
        put_uint(j, "parts", v->at[i].parts);
        put_uint(j, "samples", v->at[i].samples);
        put_uint(j, "failed", v->at[i].failed);
        put_uint(j, "bytes", v->at[i].bytes);
        put_uint(j, "superseded", v->at[i].superseded);
        put_uint(j, "orphans", v->at[i].orphans);
        cpv_json_end_object(j);
    }
    cpv_json_end_array(j);
}

static int print_corpus(const char *path, const struct corpus_view *v,
                        struct cpv_err *err)
{
    struct cpv_table t = {.columns = 5};

    printf("%s: corpus\n", path);
    cpv_table_add(&t, "column");
    cpv_table_add(&t, "parts");
    cpv_table_add(&t, "samples");
    cpv_table_add(&t, "failed");
    cpv_table_add(&t, "size");
    for (uint32_t i = 0; i < v->n; i++) {
        char text[32];

        cpv_table_add(&t, "%s", v->at[i].name);
        cpv_text_count(text, sizeof text, v->at[i].parts);
        cpv_table_add(&t, "%s", text);
        cpv_text_count(text, sizeof text, v->at[i].samples);
        cpv_table_add(&t, "%s", text);
        cpv_text_count(text, sizeof text, v->at[i].failed);
        cpv_table_add(&t, "%s", text);
        cpv_text_bytes(text, sizeof text, v->at[i].bytes);
        cpv_table_add(&t, "%s", text);
    }
    return cpv_table_print(&t, false, stdout, err);
}

static int inspect_corpus(const char *path, const struct cpv_place *place, bool json,
                          cpv_arena *mem, struct cpv_err *err)
{
    const char **names = NULL;
    struct corpus_view v = {0};
    int rc = cpv_place_columns(place, mem, &names, &v.n, err);

    if (!rc && !(v.at = cpv_arena_calloc(mem, v.n + 1u, sizeof *v.at)))
        rc = cpv_fail_memory(err);
    for (uint32_t i = 0; !rc && i < v.n; i++)
        rc = view_column(&v.at[i], place->corpus, names[i], mem, err);
    if (rc)
        return rc;
    return json ? print_object(path, put_corpus, &v, err) : print_corpus(path, &v, err);
}

/* ---- whichever it is ---- */

static bool is_json(const char *path)
{
    size_t n = strlen(path);

    return n > 5 && strcmp(path + n - 5, ".json") == 0;
}

static int inspect(const char *path, bool json, cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_place place;
    int rc = cpv_place_find(&place, path, mem, err);

    if (rc)
        return rc;
    if (place.corpus)
        return inspect_corpus(path, &place, json, mem, err);
    return is_json(path) ? inspect_record(path, json, mem, err)
                         : inspect_shard(path, json, mem, err);
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    const struct options *o = call->options;
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < call->n_names; i++) {
        struct cpv_texts paths;

        rc = cpv_brace_expand(call->names[i], PATHS_MAX, call->mem, &paths, err);
        for (size_t k = 0; !rc && k < paths.count; k++)
            rc = inspect(paths.at[k], o->format == 1, call->mem, err);
    }
    return rc;
}

const struct cpv_command cpv_command_inspect = {
    .name = "inspect",
    .summary = "say what a shard, a commit record or a corpus holds",
    .usage = "PATH... [--format text|json]",
    .description =
        "A path is a shard of ours, a tar that another program wrote (plain, .gz or "
        ".zst; "
        "it is read whole), a commit record, a column or a corpus; braces are expanded. "
        "Nothing is verified beyond what had to be read: see `capivara verify`.",
    .options = OPTIONS,
    .options_size = sizeof(struct options),
    .least = 1,
    .most = PATHS_MAX,
    .run = run,
};
