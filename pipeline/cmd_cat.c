/* SPDX-License-Identifier: Apache-2.0 */
/* capivara cat: a tar, a sample or a member to standard output. */
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/corpus/column.h"
#include "common/corpus/index.h"
#include "common/format/samples.h"
#include "common/format/shard.h"
#include "common/format/stream.h"
#include "common/format/tar.h"
#include "pipeline/command.h"
#include "pipeline/place.h"

/* What is wanted of a shard. */
struct want {
    const char *key;
    const char *ext; /* NULL: the whole sample, as a tar */
};

static int put(const void *data, size_t n, struct cpv_err *err)
{
    if (n && fwrite(data, 1, n, stdout) != n)
        return cpv_fail(err, CPV_E_IO, "cannot write to standard output");
    return CPV_OK;
}

/* ---- a whole file ---- */

static int cat_file(const char *path, cpv_arena *mem, struct cpv_err *err)
{
    enum { STEP = 1 << 18 };
    uint8_t *buffer = cpv_arena_alloc(mem, STEP);
    cpv_stream *s = NULL;
    ssize_t got = 0;
    int rc = buffer ? cpv_stream_open(&s, path, err) : cpv_fail_memory(err);

    while (!rc && (got = cpv_stream_read(s, buffer, STEP, err)) > 0)
        rc = put(buffer, (size_t)got, err);
    if (!rc && got < 0)
        rc = (int)got;
    cpv_stream_close(&s);
    return rc;
}

/* ---- a sample ---- */

static int put_tar(const struct cpv_sample *s, struct cpv_err *err)
{
    static const uint8_t ZERO[CPV_TAR_END];
    uint8_t head[CPV_TAR_BLOCK];
    int rc = CPV_OK;

    for (size_t i = 0; !rc && i < s->n_members; i++) {
        struct cpv_bytes data = s->members[i].data;

        if (strlen(s->key) + strlen(s->members[i].ext) + 1 > 99)
            return cpv_fail(
                err, CPV_E_INPUT,
                "'%s.%s': the name is too long for a tar of ours; ask for the "
                "member",
                s->key, s->members[i].ext);
        cpv_tar_write(head, s->key, s->members[i].ext, data.size);
        rc = put(head, sizeof head, err);
        if (!rc)
            rc = put(data.data, data.size, err);
        if (!rc)
            rc = put(ZERO, (size_t)(cpv_tar_padded(data.size) - data.size), err);
    }
    return rc ? rc : put(ZERO, sizeof ZERO, err);
}

static int put_wanted(const struct cpv_sample *s, const struct want *w, const char *path,
                      struct cpv_err *err)
{
    const struct cpv_member *m;

    if (!w->ext)
        return put_tar(s, err);
    m = cpv_sample_member(s, w->ext);
    if (!m)
        return cpv_fail(err, CPV_E_INPUT, "'%s': sample '%s' has no member '%s'", path,
                        w->key, w->ext);
    return put(m->data.data, m->data.size, err);
}

/* CPV_E_ABSENT: no such sample, or it lacks the member. */
static int cat_from(cpv_shard *shard, const char *path, const struct want *w,
                    cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_sample s;
    uint32_t i;
    int rc;

    if (!cpv_shard_find(shard, w->key, &i))
        return cpv_fail(err, CPV_E_ABSENT, "'%s' has no sample '%s'", path, w->key);
    rc = cpv_shard_read(shard, i, w->ext, mem, &s, err);
    return rc ? rc : put_wanted(&s, w, path, err);
}

static int scan_foreign(const char *path, const struct want *w, struct cpv_err *err)
{
    cpv_samples *samples = NULL;
    struct cpv_sample s;
    bool found = false;
    int rc = cpv_samples_open(&samples, path, NULL, err);

    while (!rc && !found && (rc = cpv_samples_next(samples, &s, err)) == 1) {
        found = strcmp(s.key, w->key) == 0;
        rc = found ? put_wanted(&s, w, path, err) : CPV_OK;
    }
    if (rc == CPV_OK && !found)
        rc = cpv_fail(err, CPV_E_ABSENT, "'%s' has no sample '%s'", path, w->key);
    cpv_samples_close(&samples);
    return rc;
}

static int cat_sample(const char *path, const struct want *w, cpv_arena *mem,
                      struct cpv_err *err)
{
    cpv_shard *shard = NULL;
    int rc = cpv_shard_open(&shard, path, err);

    if (rc == CPV_E_INPUT) /* not one of ours */
        rc = scan_foreign(path, w, err);
    else if (!rc)
        rc = cat_from(shard, path, w, mem, err);
    cpv_shard_close(&shard);
    return rc;
}

/* ---- a sample of a corpus ---- */

static int cat_at(const char *corpus, const char *column, uint32_t part,
                  uint32_t revision, const struct want *w, cpv_arena *mem,
                  struct cpv_err *err)
{
    const char *path =
        cpv_column_path(mem, corpus, column, part, revision, CPV_FILE_SHARD);
    cpv_shard *shard = NULL;
    int rc = path ? cpv_shard_open(&shard, path, err) : cpv_fail_memory(err);

    if (!rc)
        rc = cat_from(shard, path, w, mem, err);
    cpv_shard_close(&shard);
    return rc;
}

/* The index is a hint: whatever is wrong with it, the shards know. 1: done; 0: not. */
static int cat_by_index(const struct cpv_place *place, const struct want *w,
                        cpv_arena *mem, struct cpv_err *err)
{
    struct cpv_index_place *at = NULL;
    cpv_index *index = NULL;
    uint32_t n = 0;
    int rc = 0;

    if (cpv_index_open_read(&index, place->corpus, NULL) == CPV_OK &&
        cpv_index_find(index, w->key, mem, &at, &n, NULL) != CPV_OK)
        n = 0;
    for (uint32_t i = 0; !rc && i < n; i++) {
        int got;

        if (place->column && strcmp(place->column, at[i].column) != 0)
            continue;
        got =
            cat_at(place->corpus, at[i].column, at[i].part, at[i].revision, w, mem, err);
        rc = got == CPV_OK ? 1 : got == CPV_E_IO ? got : 0;
    }
    cpv_index_close(&index);
    return rc;
}

static int cat_by_scan(const struct cpv_place *place, const struct want *w,
                       cpv_arena *mem, struct cpv_err *err)
{
    const char **names = NULL;
    uint32_t n = 0;
    int rc = cpv_place_columns(place, mem, &names, &n, err);

    for (uint32_t i = 0; !rc && i < n; i++) {
        struct cpv_column c;

        rc = cpv_column_scan(place->corpus, names[i], mem, &c, err);
        for (uint32_t p = 0; !rc && p < c.count; p++) {
            int got = cat_at(place->corpus, names[i], c.at[p].part, c.at[p].revision, w,
                             mem, err);

            if (got != CPV_E_ABSENT)
                return got;
        }
    }
    if (rc)
        return rc;
    return cpv_fail(err, CPV_E_INPUT, "'%s%s%s' has no sample '%s'%s%s%s", place->corpus,
                    place->column ? "/" : "", place->column ? place->column : "", w->key,
                    w->ext ? " with a member '" : "", w->ext ? w->ext : "",
                    w->ext ? "'" : "");
}

/* ---- what is asked for ---- */

/* "a/b.seg.png": at the first dot of the basename, as in a tar. */
static int parse_want(struct want *w, const char *text, cpv_arena *mem,
                      struct cpv_err *err)
{
    const char *slash = strrchr(text, '/');
    const char *dot = strchr(slash ? slash : text, '.');

    w->ext = dot ? dot + 1 : NULL;
    w->key = dot ? cpv_arena_str(mem, cpv_bytes_of(text, (size_t)(dot - text))) : text;
    if (!w->key)
        return cpv_fail_memory(err);
    if (!*w->key || (w->ext && !*w->ext))
        return cpv_fail(err, CPV_E_USAGE, "expected KEY or KEY.EXT, got '%s'", text);
    return CPV_OK;
}

static int cat_corpus(const char *path, const char *text, cpv_arena *mem,
                      struct cpv_err *err)
{
    struct cpv_place place;
    struct want w;
    int rc = cpv_place_find(&place, path, mem, err);

    if (!rc)
        rc = parse_want(&w, text, mem, err);
    if (rc)
        return rc;
    if (!place.corpus)
        return cat_sample(path, &w, mem, err);
    rc = cat_by_index(&place, &w, mem, err);
    if (rc)
        return rc < 0 ? rc : CPV_OK;
    return cat_by_scan(&place, &w, mem, err);
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    const char *name = call->names[0], *colon = strrchr(name, ':'), *path;
    struct want w;
    int rc;

    if (call->n_names == 2) {
        rc = cat_corpus(name, call->names[1], call->mem, err);
    } else if (!colon || cpv_file_exists(name)) {
        rc = cat_file(name, call->mem, err);
    } else {
        path = cpv_arena_str(call->mem, cpv_bytes_of(name, (size_t)(colon - name)));
        rc = path ? parse_want(&w, colon + 1, call->mem, err) : cpv_fail_memory(err);
        if (!rc)
            rc = cat_sample(path, &w, call->mem, err);
    }
    /* What is not there is a matter of the input here, not of the system. */
    if (rc == CPV_E_ABSENT && err)
        rc = err->code = CPV_E_INPUT;
    return rc;
}

const struct cpv_command cpv_command_cat = {
    .name = "cat",
    .summary = "write a shard's tar, a sample or one member to standard output",
    .usage = "SHARD[:KEY[.EXT]] | CORPUS[/COLUMN] KEY[.EXT]",
    .description =
        "SHARD alone is decompressed as `zstd -dc` would. With KEY one sample comes out, "
        "as a small tar; with KEY.EXT the bytes of one member.\n\n"
        "In a corpus the sample is found through index.sqlite or, without it, through "
        "the "
        "shards' own indexes; of several columns the first one that has it, in "
        "alphabetical "
        "order, unless one is named.",
    .least = 1,
    .most = 2,
    .run = run,
};
