/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a part: examined, claimed under a lock, filled, committed.
 *
 * Order on disk: shard, record, statistics. Whatever is interrupted in between is
 * done again by the next run and, being a pure function of its inputs, gives the
 * same bytes:
 *
 *   no shard, no record     new
 *   shard, no record        the commit was cut off: made again; equal bytes are
 *                           adopted, others give way (nobody can have used them)
 *   shard and record        done, if settings and inputs are those of today;
 *                           otherwise the next revision is made beside it
 */
#include "common/stage/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/column.h"
#include "common/format/json.h"

const char *cpv_part_need_name(enum cpv_part_need need)
{
    static const char *const names[] = {
        [CPV_NEED_NOTHING] = "done",
        [CPV_NEED_NEW] = "new",
        [CPV_NEED_SETTINGS] = "made with other settings",
        [CPV_NEED_INPUT] = "its input has changed",
        [CPV_NEED_FORCED] = "asked for again",
        [CPV_NEED_WAITS] = "its input is not there yet",
    };

    return names[need];
}

/* One more of something; parts are committed by other threads than claim them. */
static void count(struct cpv_run *run, uint64_t *what)
{
    pthread_mutex_lock(&run->state->lock);
    (*what)++;
    pthread_mutex_unlock(&run->state->lock);
}

/* ---- examining ---- */

static bool same_inputs(const struct cpv_record *a, const struct cpv_record *b)
{
    if (a->n_inputs != b->n_inputs)
        return false;
    for (uint32_t i = 0; i < a->n_inputs; i++) {
        if (strcmp(a->inputs[i].name, b->inputs[i].name) != 0 ||
            memcmp(a->inputs[i].sha256, b->inputs[i].sha256, CPV_SHA256_SIZE) != 0)
            return false;
    }
    return true;
}

/* The highest revision with a record, from where the scan at the start saw it. */
static int find_revision(struct cpv_run *run, uint32_t number, cpv_arena *mem,
                         int *revision, struct cpv_err *err)
{
    uint32_t known;
    int at = cpv_column_find_any(&run->state->column, number, &known) ? (int)known : -1;

    for (;; at++) {
        const char *path = cpv_column_path(mem, run->corpus, run->column, number,
                                           (uint32_t)(at + 1), CPV_FILE_RECORD);

        if (!path)
            return cpv_fail_memory(err);
        if (!cpv_file_exists(path))
            break;
    }
    *revision = at;
    return CPV_OK;
}

static enum cpv_part_need compare(struct cpv_run *run, const struct cpv_record *now,
                                  const struct cpv_record *was)
{
    if (memcmp(was->settings, run->settings_digest, sizeof was->settings) != 0)
        return CPV_NEED_SETTINGS;
    if (!same_inputs(now, was))
        return CPV_NEED_INPUT;
    if (run->stage->wants_again && run->stage->wants_again(run, was))
        return CPV_NEED_FORCED;
    return CPV_NEED_NOTHING;
}

int cpv_part_examine(struct cpv_run *run, uint32_t number, cpv_arena *mem,
                     struct cpv_record *record, int *previous, enum cpv_part_need *need,
                     struct cpv_err *err)
{
    struct cpv_record was;
    const char *path;
    int rc;

    memset(record, 0, sizeof *record);
    record->stage = run->column;
    record->part = number;
    memcpy(record->settings, run->settings_digest, sizeof record->settings);
    if ((rc = find_revision(run, number, mem, previous, err)))
        return rc;
    rc = run->stage->inputs(run, number, mem, record, err);
    if (rc == CPV_E_ABSENT) {
        *need = CPV_NEED_WAITS;
        return CPV_OK;
    }
    if (rc)
        return rc;
    record->revision = (uint32_t)(*previous + 1);
    if (*previous < 0) {
        *need = CPV_NEED_NEW;
        return CPV_OK;
    }
    path = cpv_column_path(mem, run->corpus, run->column, number, (uint32_t)*previous,
                           CPV_FILE_RECORD);
    if (!path)
        return cpv_fail_memory(err);
    rc = cpv_record_read(path, mem, &was, err);
    if (rc == CPV_E_CORRUPT || rc == CPV_E_INPUT)
        (void)cpv_err_add(err, "a damaged record; delete it, and its part is made again");
    if (rc)
        return rc;
    *need = compare(run, record, &was);
    if (*need == CPV_NEED_NOTHING) {
        record->shard = was.shard;
        record->n_failures = was.n_failures;
    }
    return CPV_OK;
}

/* ---- the disk guard ---- */

int cpv_run_check_space(struct cpv_run *run, struct cpv_err *err)
{
    struct cpv_run_state *s = run->state;
    int64_t now = cpv_clock_ms();
    struct statvfs vfs;
    uint64_t free_bytes;
    bool lately;

    pthread_mutex_lock(&s->lock);
    lately = now - s->space_checked_ms < 1000;
    if (!lately)
        s->space_checked_ms = now;
    pthread_mutex_unlock(&s->lock);
    if (s->shared.min_free == 0 || lately)
        return CPV_OK;
    if (statvfs(run->corpus, &vfs) < 0)
        return CPV_OK; /* writing will say what is wrong */
    free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    if (free_bytes >= (uint64_t)s->shared.min_free)
        return CPV_OK;
    return cpv_fail(err, CPV_E_SPACE,
                    "'%s': %llu MiB are free, fewer than --min-free allows (%lld MiB); "
                    "make room and run again",
                    run->corpus, (unsigned long long)(free_bytes >> 20),
                    (long long)(s->shared.min_free >> 20));
}

/* ---- claiming ---- */

static double seconds_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void free_part(struct cpv_part **pp)
{
    struct cpv_part *part = *pp;

    *pp = NULL;
    if (!part)
        return;
    cpv_shard_discard(&part->writer);
    if (part->state)
        cpv_buf_release(&part->state->failures);
    cpv_free(part->state);
    cpv_arena_close(&part->mem);
    cpv_free(part);
}

static int new_part(struct cpv_part **out, uint32_t number, struct cpv_err *err)
{
    struct cpv_part *part = cpv_calloc(1, sizeof *part);

    *out = part;
    if (!part)
        return cpv_fail_memory(err);
    part->number = number;
    part->state = cpv_calloc(1, sizeof *part->state);
    if (!part->state || cpv_arena_open(&part->mem, (size_t)1 << 20, NULL)) {
        free_part(out);
        return cpv_fail_memory(err);
    }
    part->state->started = seconds_now();
    return CPV_OK;
}

static int name_files(struct cpv_run *run, struct cpv_part *part, struct cpv_err *err)
{
    struct cpv_part_state *s = part->state;

    s->shard_path = cpv_column_path(part->mem, run->corpus, run->column, part->number,
                                    part->revision, CPV_FILE_SHARD);
    s->record_path = cpv_column_path(part->mem, run->corpus, run->column, part->number,
                                     part->revision, CPV_FILE_RECORD);
    s->stats_path = cpv_column_path(part->mem, run->corpus, run->column, part->number,
                                    part->revision, CPV_FILE_STATS);
    return s->shard_path && s->record_path && s->stats_path ? CPV_OK
                                                            : cpv_fail_memory(err);
}

/*
 * Take the lock. 1: ours; 0: another process has it, or finished it just now.
 */
static int claim(struct cpv_run *run, struct cpv_part *part, struct cpv_err *err)
{
    struct cpv_shard_params params = {0};
    int rc = name_files(run, part, err);

    memcpy(params.settings, run->settings_digest, sizeof params.settings);
    if (!rc)
        rc = cpv_shard_create(&part->writer, part->state->shard_path, &params, err);
    if (rc == CPV_E_BUSY) {
        cpv_log_info(run->log, "part %05u is being written by another process; skipped",
                     part->number);
        count(run, &run->state->busy);
        return 0;
    }
    if (rc)
        return rc;
    if (cpv_file_exists(part->state->record_path)) {
        count(run, &run->state->done_before);
        return 0;
    }
    return 1;
}

static int consider(struct cpv_run *run, uint32_t number, struct cpv_part **out,
                    struct cpv_err *err)
{
    enum cpv_part_need need = CPV_NEED_NEW;
    struct cpv_part *part;
    int rc = new_part(&part, number, err);

    if (rc)
        return rc;
    rc = cpv_part_examine(run, number, part->mem, &part->record, &part->previous, &need,
                          err);
    part->revision = part->record.revision;
    part->again = need == CPV_NEED_FORCED;
    if (!rc && need == CPV_NEED_NOTHING) {
        count(run, &run->state->done_before);
        pthread_mutex_lock(&run->state->lock);
        run->state->samples_before += part->record.shard.samples;
        run->state->failed_before += part->record.n_failures;
        pthread_mutex_unlock(&run->state->lock);
        cpv_progress_skip(run->progress, part->record.row_end - part->record.row_begin);
    } else if (!rc && need == CPV_NEED_WAITS) {
        count(run, &run->state->waiting);
    } else if (!rc) {
        cpv_log_debug(run->log, "part %05u revision %u: %s", number, part->revision,
                      cpv_part_need_name(need));
        rc = claim(run, part, err);
    }
    if (rc == 1)
        *out = part;
    else
        free_part(&part);
    return rc;
}

int cpv_run_next(struct cpv_run *run, struct cpv_part **out, struct cpv_err *err)
{
    uint32_t number;
    int rc;

    *out = NULL;
    for (;;) {
        if (cpv_stop_requested())
            return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
        if ((rc = cpv_run_check_space(run, err)))
            return rc;
        if ((rc = cpv_select_next(run->state->select, run->n_parts, &number, err)) <= 0)
            return rc;
        if (run->state->taken[number])
            continue; /* named twice */
        run->state->taken[number] = 1;
        if ((rc = consider(run, number, out, err)))
            return rc;
    }
}

bool cpv_run_ready(const struct cpv_run *run)
{
    return cpv_select_ready(run->state->select);
}

/* ---- filling ---- */

int cpv_part_fail(struct cpv_part *part, uint64_t row, const char *key,
                  const char *status, bool transient, const char *detail,
                  struct cpv_err *err)
{
    struct cpv_failure f = {row, NULL, NULL, transient, NULL};

    f.key = cpv_arena_str(part->mem, cpv_bytes_str(key));
    f.status = cpv_arena_str(part->mem, cpv_bytes_str(status));
    f.detail = detail ? cpv_arena_str(part->mem, cpv_bytes_str(detail)) : "";
    cpv_buf_add(&part->state->failures, &f, sizeof f);
    if (!f.key || !f.status || !f.detail || part->state->failures.failed)
        return cpv_fail_memory(err);
    return CPV_OK;
}

void cpv_part_failures(const struct cpv_part *part, struct cpv_record *out)
{
    out->failures = (struct cpv_failure *)(void *)part->state->failures.data;
    out->n_failures = part->state->failures.size / sizeof *out->failures;
}

char *cpv_part_journal_path(const struct cpv_run *run, const struct cpv_part *part)
{
    return cpv_column_path(part->mem, run->corpus, run->column, part->number,
                           part->revision, CPV_FILE_JOURNAL);
}

/* One more link of a chain of digests. */
static void add_link(uint8_t chain[CPV_SHA256_SIZE],
                     const uint8_t digest[CPV_SHA256_SIZE])
{
    uint8_t both[2 * CPV_SHA256_SIZE];

    memcpy(both, chain, CPV_SHA256_SIZE);
    memcpy(both + CPV_SHA256_SIZE, digest, CPV_SHA256_SIZE);
    cpv_sha256_of(chain, cpv_bytes_of(both, sizeof both));
}

void cpv_part_identity(const struct cpv_part *part, uint8_t out[32])
{
    const struct cpv_record *r = &part->record;

    /* A chain: each step digests the last one and one more thing. A journal of another
     * version of the program is not gone on with. */
    cpv_sha256_of(out, cpv_bytes_str("capivara " CPV_VERSION));
    add_link(out, r->settings);
    for (uint32_t i = 0; i < r->n_inputs; i++)
        add_link(out, r->inputs[i].sha256);
}

/* ---- committing ---- */

bool cpv_run_holds(const struct cpv_run *run, uint64_t rows, uint64_t transient)
{
    const struct cpv_shared *shared = &run->state->shared;

    return !shared->accept_transient &&
           (double)transient > shared->max_transient * (double)rows;
}

static uint64_t count_transient(const struct cpv_record *r)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < r->n_failures; i++)
        n += r->failures[i].transient;
    return n;
}

/*
 * A shard of that name was there when ours was to take it. 1: it has the same bytes,
 * go on; 0: it wins, or it was a stray that is now gone; either way ours is dropped.
 */
static int meet_existing(struct cpv_run *run, struct cpv_part *part, struct cpv_err *err)
{
    struct cpv_part_state *s = part->state;
    uint8_t digest[CPV_SHA256_SIZE];
    struct stat st;
    int rc = cpv_file_sha256(s->shard_path, digest, err);

    if (rc)
        return rc;
    if (memcmp(digest, part->record.shard.sha256, sizeof digest) == 0)
        return 1;
    if (cpv_sys.stat(s->record_path, &st) == 0) {
        cpv_log_warning(run->log,
                        "part %05u: another process committed it with other bytes; "
                        "that one stays, this one is discarded",
                        part->number);
        return 0;
    }
    if (errno != ENOENT) /* not knowing is no reason to remove what may be committed */
        return cpv_fail_sys(err, errno, "cannot look at '%s'", s->record_path);
    cpv_log_warning(run->log,
                    "part %05u: removed a shard without a record, left by a run that was "
                    "cut off, with other bytes; run again",
                    part->number);
    count(run, &run->state->busy);
    if (cpv_sys.unlink(s->shard_path) < 0)
        return cpv_fail_sys(err, errno, "cannot remove '%s'", s->shard_path);
    return 0;
}

static void put_stats(struct cpv_buf *out, const struct cpv_part *part,
                      struct cpv_bytes extra)
{
    const struct cpv_record *r = &part->record;
    double now = seconds_now();

    cpv_buf_printf(out,
                   "{\"column\":\"%s\",\"part\":%u,\"revision\":%u,\"count\":%llu,"
                   "\"successes\":%u,\"failures\":%llu,\"start_time\":%.3f,"
                   "\"end_time\":%.3f,\"duration\":%.3f",
                   r->stage, r->part, r->revision,
                   (unsigned long long)(r->row_end - r->row_begin), r->shard.samples,
                   (unsigned long long)r->n_failures, part->state->started, now,
                   now - part->state->started);
    if (extra.size) {
        cpv_buf_byte(out, ',');
        cpv_buf_add(out, extra.data, extra.size);
    }
    cpv_buf_str(out, "}\n");
}

/* Statistics are never needed: a failure to write them is only a warning. */
static void write_stats(struct cpv_run *run, const struct cpv_part *part,
                        struct cpv_bytes extra)
{
    struct cpv_buf text = {0};
    struct cpv_err err = {0};

    put_stats(&text, part, extra);
    if (text.failed ||
        cpv_file_replace(part->state->stats_path, cpv_buf_view(&text), &err))
        cpv_log_warning(run->log, "statistics of part %05u not written: %s", part->number,
                        err.text);
    cpv_buf_release(&text);
}

static int commit_record(cpv_draft **draft, const struct cpv_record *r,
                         struct cpv_err *err)
{
    struct cpv_buf text = {0};
    int rc = cpv_record_encode(r, &text, err);

    if (!rc) {
        cpv_draft_write(*draft, text.data, text.size);
        rc = cpv_draft_commit(draft, NULL, err); /* one that is there is the same */
    }
    cpv_buf_release(&text);
    return rc;
}

/*
 * The record's draft is opened first: its lock spans both renames. So who finds a shard
 * without a record, and holds this lock, knows that nobody is about to write one.
 */
static int publish(struct cpv_run *run, struct cpv_part *part, struct cpv_bytes stats,
                   bool *committed, struct cpv_err *err)
{
    cpv_draft *draft = NULL;
    bool existed = false;
    int rc = cpv_draft_open(&draft, part->state->record_path, err), go_on = 1;

    if (rc == CPV_E_BUSY) {
        cpv_log_info(run->log, "part %05u is being committed by another process; skipped",
                     part->number);
        count(run, &run->state->busy);
        return CPV_OK;
    }
    if (!rc)
        rc = cpv_shard_commit(&part->writer, &part->record.shard, &existed, err);
    if (!rc && existed)
        go_on = meet_existing(run, part, err);
    if (!rc && go_on > 0)
        rc = commit_record(&draft, &part->record, err);
    cpv_draft_discard(&draft);
    if (rc || go_on <= 0)
        return rc ? rc : go_on;
    write_stats(run, part, stats);
    *committed = true;
    return CPV_OK;
}

static void count_commit(struct cpv_run *run, const struct cpv_part *part)
{
    struct cpv_run_state *s = run->state;

    pthread_mutex_lock(&s->lock);
    s->committed++;
    s->samples += part->record.shard.samples;
    s->failed += part->record.n_failures;
    pthread_mutex_unlock(&s->lock);
    cpv_log_info(run->log, "part %05u: %u samples, %llu failed", part->number,
                 part->record.shard.samples, (unsigned long long)part->record.n_failures);
}

int cpv_part_commit(struct cpv_run *run, struct cpv_part **pp, struct cpv_bytes stats,
                    bool *committed, struct cpv_err *err)
{
    struct cpv_part *part = *pp;
    struct cpv_record *r = &part->record;
    uint64_t rows = r->row_end - r->row_begin, transient;
    int rc = CPV_OK;

    *committed = false;
    cpv_part_failures(part, r);
    transient = count_transient(r);
    if (cpv_run_holds(run, rows, transient)) {
        count(run, &run->state->held);
        cpv_log_warning(run->log,
                        "part %05u: %llu of %llu rows failed for passing reasons; not "
                        "committed, run again or give --accept-transient",
                        part->number, (unsigned long long)transient,
                        (unsigned long long)rows);
    } else {
        rc = publish(run, part, stats, committed, err);
        if (*committed)
            count_commit(run, part);
    }
    *pp = NULL;
    free_part(&part);
    return rc;
}

void cpv_part_release(struct cpv_run *run, struct cpv_part **part)
{
    (void)run;
    free_part(part);
}
