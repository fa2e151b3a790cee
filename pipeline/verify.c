/* SPDX-License-Identifier: Apache-2.0 */
/* See verify.h. */
#include "pipeline/verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "common/corpus/record.h"
#include "common/format/samples.h"
#include "common/format/shard.h"
#include "common/format/shard_check.h"

enum { SETTINGS_MAX = 1 << 20, REVISIONS_MAX = 9999 };

static void problem(struct cpv_verify_job *j, const char *fmt, ...) CPV_PRINTF(2, 3);
static void problem(struct cpv_verify_job *j, const char *fmt, ...)
{
    char line[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    cpv_buf_printf(&j->lines, "%s\n", line);
    j->problems++;
}

static void damaged(void *ctx, const struct cpv_damage *d)
{
    struct cpv_verify_job *j = ctx;

    if (d->member)
        problem(j, "'%s': member '%s' cannot be vouched for: %s", j->path, d->member,
                d->why);
    else
        problem(j, "'%s': %s: %s", j->path, d->where, d->why);
}

/* ---- the shard itself ---- */

/* Not one of ours: it can at least be read to its end. */
static void read_foreign(struct cpv_verify_job *j)
{
    struct cpv_err err = {0};
    cpv_samples *s = NULL;
    struct cpv_sample sample;
    int rc = cpv_samples_open(&s, j->path, NULL, &err);

    while (!rc && (rc = cpv_samples_next(s, &sample, &err)) == 1) {
        j->samples++;
        rc = CPV_OK;
    }
    if (rc < 0)
        problem(j, "%s", err.text);
    cpv_samples_close(&s);
}

/* Everything but the file's own digest comes from its index. */
static int look_quickly(struct cpv_verify_job *j, struct cpv_shard_info *info,
                        struct cpv_err *err)
{
    cpv_shard *s = NULL;
    int rc = cpv_shard_open(&s, j->path, err);

    if (!rc)
        *info = *cpv_shard_info(s);
    cpv_shard_close(&s);
    return rc;
}

/* 0: `info` is what the shard is. */
static int check_shard(struct cpv_verify_job *j, struct cpv_shard_info *info)
{
    struct cpv_err err = {0};
    int rc = j->quick ? look_quickly(j, info, &err)
                      : cpv_shard_verify(j->path, damaged, j, info, &err);

    if (rc == CPV_E_INPUT && !j->record) { /* then what it lacks is no damage */
        cpv_buf_clear(&j->lines);
        j->problems = 0;
        if (!j->quick)
            read_foreign(j);
        return rc;
    }
    if (rc && j->problems == 0)
        problem(j, "%s", err.text);
    j->samples = info->samples;
    return rc;
}

/* Keys in their order, hashed one after the other. */
static void take_keys(struct cpv_verify_job *j)
{
    cpv_shard *s = NULL;

    if (cpv_shard_open(&s, j->path, NULL) != CPV_OK)
        return;
    for (uint32_t i = 0; i < cpv_shard_count(s); i++) {
        const char *key = cpv_shard_key(s, i);

        j->keys = cpv_xxh64(key, strlen(key) + 1, j->keys);
    }
    j->has_keys = true;
    cpv_shard_close(&s);
}

/* ---- the record ---- */

static void compare_digest(struct cpv_verify_job *j, const char *what,
                           const uint8_t is[32], const uint8_t recorded[32])
{
    char a[CPV_SHA256_HEX], b[CPV_SHA256_HEX];

    if (memcmp(is, recorded, 32) == 0)
        return;
    cpv_hex(a, is, 32);
    cpv_hex(b, recorded, 32);
    problem(j, "'%s': %s is %s, its record says %s", j->path, what, a, b);
}

static void compare_count(struct cpv_verify_job *j, const char *what, uint64_t is,
                          uint64_t recorded)
{
    if (is != recorded)
        problem(j, "'%s': it has %llu %s, its record says %llu", j->path,
                (unsigned long long)is, what, (unsigned long long)recorded);
}

static void compare_with_record(struct cpv_verify_job *j,
                                const struct cpv_shard_info *info,
                                const struct cpv_record *r)
{
    compare_count(j, "bytes", info->bytes, r->shard.bytes);
    compare_count(j, "samples", info->samples, r->shard.samples);
    compare_count(j, "members", info->members, r->shard.members);
    compare_count(j, "frames", info->frames, r->shard.frames);
    compare_count(j, "bytes of tar", info->tar_bytes, r->shard.tar_bytes);
    compare_digest(j, "SHA-256 of the tar", info->tar_sha256, r->shard.tar_sha256);
    compare_digest(j, "digest of the settings", info->settings, r->settings);
    if (!j->quick)
        compare_digest(j, "SHA-256", info->sha256, r->shard.sha256);
}

/* Is one of the pinned settings files the one that the part was made with? */
static bool settings_there(struct cpv_verify_job *j, const uint8_t digest[32],
                           cpv_arena *mem)
{
    for (unsigned rev = 0; rev <= REVISIONS_MAX; rev++) {
        const char *path =
            rev ? cpv_arena_printf(mem, "%s/%s/settings.r%u.yaml", j->corpus, j->column,
                                   rev)
                : cpv_arena_printf(mem, "%s/%s/settings.yaml", j->corpus, j->column);
        struct cpv_buf text = {0};
        uint8_t is[32] = {0};
        int rc = path ? cpv_file_read(path, SETTINGS_MAX, &text, NULL) : CPV_E_MEMORY;

        cpv_sha256_of(is, cpv_buf_view(&text));
        cpv_buf_release(&text);
        if (rc)
            return false;
        if (memcmp(is, digest, 32) == 0)
            return true;
    }
    return false;
}

static void check_record(struct cpv_verify_job *j, const struct cpv_record *r,
                         cpv_arena *mem)
{
    if (strcmp(r->stage, j->column) != 0 || r->part != j->part ||
        r->revision != j->revision)
        problem(j, "'%s': is the record of column '%s' part %u revision %u", j->record,
                r->stage, r->part, r->revision);
    if (r->row_begin > r->row_end)
        problem(j, "'%s': its rows end before they begin", j->record);
    if (!settings_there(j, r->settings, mem))
        problem(j,
                "'%s': the settings it was made with are not pinned in '%s/%s' any more",
                j->record, j->corpus, j->column);
    for (uint64_t i = 1; i < r->n_failures; i++) {
        if (r->failures[i].row < r->failures[i - 1].row) {
            problem(j, "'%s': its failures are not in the order of rows", j->record);
            break;
        }
    }
    for (uint32_t i = 0; i < r->n_inputs; i++)
        if (strcmp(r->inputs[i].name, "fetch") == 0)
            memcpy(j->made_from, r->inputs[i].sha256, 32);
}

static void check_part(struct cpv_verify_job *j, cpv_arena *mem)
{
    struct cpv_shard_info info = {0};
    struct cpv_record record;
    struct cpv_err err = {0};
    struct stat st;
    int rc = cpv_record_read(j->record, mem, &record, &err);

    if (rc)
        problem(j, "%s", err.text);
    else
        check_record(j, &record, mem);
    if (cpv_sys.stat(j->path, &st) < 0) {
        if (errno == ENOENT)
            problem(j, "'%s' is not there, but its record is", j->path);
        else
            problem(j, "'%s' cannot be looked at: system error %d", j->path, errno);
        return;
    }
    if (check_shard(j, &info))
        return;
    if (!rc)
        compare_with_record(j, &info, &record);
    memcpy(j->tar, info.tar_sha256, sizeof j->tar);
    take_keys(j);
}

void cpv_verify_shard(struct cpv_verify_job *j)
{
    struct cpv_shard_info info = {0};
    cpv_arena *mem = NULL;
    struct stat st;

    if (cpv_sys.stat(j->path, &st) == 0)
        j->bytes = (uint64_t)st.st_size;
    if (!j->record)
        (void)check_shard(j, &info);
    else if (cpv_arena_open(&mem, 0, NULL))
        problem(j, "'%s': out of memory", j->path);
    else
        check_part(j, mem);
    cpv_arena_close(&mem);
}

/* ---- columns with each other ---- */

static const struct cpv_verify_job *find_fetch(const struct cpv_verify_job *jobs,
                                               size_t n, const struct cpv_verify_job *of)
{
    for (size_t i = 0; i < n; i++)
        if (jobs[i].has_keys && jobs[i].part == of->part &&
            strcmp(jobs[i].corpus, of->corpus) == 0 &&
            strcmp(jobs[i].column, "fetch") == 0)
            return &jobs[i];
    return NULL;
}

/* In the order of fetch: each key is a sample of the column, or the next that failed. */
static bool keys_fit(const cpv_shard *fetch, const cpv_shard *column,
                     const struct cpv_record *r)
{
    uint32_t at = 0;
    uint64_t failed = 0;

    for (uint32_t i = 0; i < cpv_shard_count(fetch); i++) {
        const char *key = cpv_shard_key(fetch, i);

        if (at < cpv_shard_count(column) && strcmp(cpv_shard_key(column, at), key) == 0)
            at++;
        else if (failed < r->n_failures && strcmp(r->failures[failed].key, key) == 0)
            failed++;
        else
            return false;
    }
    return at == cpv_shard_count(column) && failed == r->n_failures;
}

/* A column may lack samples, if its record says that they failed. */
static bool lacks_what_failed(const struct cpv_verify_job *fetch,
                              const struct cpv_verify_job *j)
{
    cpv_shard *a = NULL, *b = NULL;
    cpv_arena *mem = NULL;
    struct cpv_record record;
    bool fit = cpv_arena_open(&mem, 0, NULL) == CPV_OK &&
               cpv_record_read(j->record, mem, &record, NULL) == CPV_OK &&
               cpv_shard_open(&a, fetch->path, NULL) == CPV_OK &&
               cpv_shard_open(&b, j->path, NULL) == CPV_OK && keys_fit(a, b, &record);

    cpv_shard_close(&a);
    cpv_shard_close(&b);
    cpv_arena_close(&mem);
    return fit;
}

void cpv_verify_columns(const struct cpv_verify_job *jobs, size_t n,
                        void (*report)(void *ctx, const char *line), void *ctx)
{
    for (size_t i = 0; i < n; i++) {
        const struct cpv_verify_job *j = &jobs[i], *fetch;
        char line[1024];

        /* Packed sets have an order of their own; a stale part is no mistake. */
        if (!j->has_keys || strcmp(j->column, "fetch") == 0 ||
            strncmp(j->column, "shards/", 7) == 0 || !(fetch = find_fetch(jobs, n, j)) ||
            memcmp(fetch->tar, j->made_from, 32) != 0 || fetch->keys == j->keys ||
            lacks_what_failed(fetch, j))
            continue;
        (void)snprintf(line, sizeof line, "'%s': its keys are not those of '%s'", j->path,
                       fetch->path);
        report(ctx, line);
    }
}
