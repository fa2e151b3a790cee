/* SPDX-License-Identifier: Apache-2.0 */
/* capivara verify: is everything still what was committed? Shards are checked by several
 * threads (verify.c has one shard's checks); lines come out in the order of the parts. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <pthread.h>

#include "common/base/queue.h"
#include "common/base/stop.h"
#include "common/corpus/column.h"
#include "common/corpus/index.h"
#include "common/format/brace.h"
#include "pipeline/command.h"
#include "pipeline/place.h"
#include "pipeline/text.h"
#include "pipeline/verify.h"

enum { PATHS_MAX = 100000 };

struct options {
    int64_t threads;
    bool quick;
};

static const struct cpv_opt OPTIONS[] = {
    {.name = "quick",
     .kind = CPV_OPT_FLAG,
     .offset = offsetof(struct options, quick),
     .help = "Only sizes, indexes and records; no image or text is read."},
    {.name = "threads",
     .kind = CPV_OPT_INT,
     .offset = offsetof(struct options, threads),
     .fallback = "0",
     .min = 0,
     .max = 4096,
     .arg = "N",
     .help = "Threads; 0: one for each processor."},
    {.kind = CPV_OPT_END},
};

struct verify {
    struct cpv_call *call;
    const struct options *opt;
    struct cpv_buf jobs; /* struct cpv_verify_job, until the threads start */
    struct cpv_verify_job *job;
    size_t n_jobs;
    const char **corpora; /* to look at as a whole, behind the shards */
    size_t n_corpora;
    atomic_size_t next;
    pthread_mutex_t lock; /* guards what follows, and standard output */
    size_t printed;
    uint64_t problems, bad_files, samples, bytes;
};

/* ---- what there is to check ---- */

static int add_job(struct verify *v, const struct cpv_verify_job *job,
                   struct cpv_err *err)
{
    cpv_buf_add(&v->jobs, job, sizeof *job);
    return v->jobs.failed ? cpv_fail_memory(err) : CPV_OK;
}

static int add_column(struct verify *v, const char *corpus, const char *column,
                      struct cpv_err *err)
{
    struct cpv_verify_job job = {.column = column, .quick = v->opt->quick};
    cpv_arena *mem = v->call->mem;
    struct cpv_column c;
    int rc = cpv_column_scan(corpus, column, mem, &c, err);

    for (uint32_t i = 0; !rc && i < c.count; i++) {
        job.part = c.at[i].part;
        job.revision = c.at[i].revision;
        job.corpus = corpus;
        job.path =
            cpv_column_path(mem, corpus, column, job.part, job.revision, CPV_FILE_SHARD);
        job.record =
            cpv_column_path(mem, corpus, column, job.part, job.revision, CPV_FILE_RECORD);
        rc = job.path && job.record ? add_job(v, &job, err) : cpv_fail_memory(err);
    }
    if (!rc && c.orphans)
        cpv_log_info(
            v->call->log,
            "'%s/%s': %u shards without a record were not looked at: commits that "
            "were cut short",
            corpus, column, c.orphans);
    return rc;
}

static int add_path(struct verify *v, const char *path, struct cpv_err *err)
{
    struct cpv_verify_job job = {.path = path, .quick = v->opt->quick};
    struct cpv_place place;
    const char **names = NULL;
    uint32_t n = 0;
    int rc = cpv_place_find(&place, path, v->call->mem, err);

    if (!rc && !place.corpus)
        return add_job(v, &job, err);
    if (!rc)
        rc = cpv_place_columns(&place, v->call->mem, &names, &n, err);
    for (uint32_t i = 0; !rc && i < n; i++)
        rc = add_column(v, place.corpus, names[i], err);
    if (!rc && !place.column)
        v->corpora[v->n_corpora++] = place.corpus;
    return rc;
}

static int add_operand(struct verify *v, const char *name, struct cpv_err *err)
{
    struct cpv_texts paths;
    int rc = cpv_brace_expand(name, PATHS_MAX, v->call->mem, &paths, err);

    for (size_t i = 0; !rc && i < paths.count; i++)
        rc = add_path(v, paths.at[i], err);
    return rc;
}

/* ---- the threads ---- */

/* Under the lock: every job that is finished and whose predecessors are, too. */
static void print_finished(struct verify *v)
{
    for (; v->printed < v->n_jobs && v->job[v->printed].done; v->printed++) {
        struct cpv_verify_job *j = &v->job[v->printed];

        if (j->lines.size)
            (void)fwrite(j->lines.data, 1, j->lines.size, stdout);
        v->problems += j->problems + j->lines.failed;
        v->bad_files += j->problems > 0;
        v->samples += j->samples;
        v->bytes += j->bytes;
        cpv_buf_release(&j->lines);
    }
}

static void work(void *arg, int worker)
{
    struct verify *v = arg;
    size_t i;

    (void)worker;
    while (!cpv_stop_requested() && (i = atomic_fetch_add(&v->next, 1)) < v->n_jobs) {
        cpv_verify_shard(&v->job[i]);
        pthread_mutex_lock(&v->lock);
        v->job[i].done = true;
        print_finished(v);
        pthread_mutex_unlock(&v->lock);
    }
}

static int run_jobs(struct verify *v, struct cpv_err *err)
{
    int64_t threads = v->opt->threads ? v->opt->threads : cpv_processors();
    cpv_pool *pool = NULL;
    int rc;

    v->job = (struct cpv_verify_job *)(void *)v->jobs.data;
    v->n_jobs = v->jobs.size / sizeof *v->job;
    if ((uint64_t)threads > v->n_jobs)
        threads = v->n_jobs ? (int64_t)v->n_jobs : 1;
    rc = cpv_pool_open(&pool, "verify", (int)threads, (size_t)8 << 20, work, v, err);
    cpv_pool_close(&pool);
    if (!rc && cpv_stop_requested())
        rc = cpv_fail(err, CPV_E_STOPPED, "stopped after %zu of %zu shards", v->printed,
                      v->n_jobs);
    return rc;
}

/* ---- the corpus as a whole ---- */

static void print_problem(void *ctx, const char *line)
{
    struct verify *v = ctx;

    printf("%s\n", line);
    v->problems++;
}

static int check_index(struct verify *v, const char *corpus, struct cpv_err *err)
{
    struct cpv_err why = {0};
    cpv_index *index = NULL;
    uint32_t behind = 0;
    int rc = cpv_index_open_read(&index, corpus, &why);

    if (rc == CPV_E_ABSENT)
        return CPV_OK;
    if (!rc)
        rc = cpv_index_check(index, print_problem, v, &behind, &why);
    cpv_index_close(&index);
    if (rc == CPV_E_CORRUPT) {
        print_problem(v, why.text);
        rc = CPV_OK;
    } else if (rc && err) {
        *err = why;
    }
    if (behind)
        cpv_log_info(v->call->log,
                     "'%s': the index is behind by %u parts; `capivara index update`",
                     corpus, behind);
    return rc;
}

static int run(struct cpv_call *call, struct cpv_err *err)
{
    struct verify v = {.call = call, .opt = call->options};
    char samples[32], bytes[32];
    int rc = CPV_OK;

    pthread_mutex_init(&v.lock, NULL);
    v.corpora = cpv_arena_calloc(call->mem, PATHS_MAX, sizeof *v.corpora);
    if (!v.corpora)
        rc = cpv_fail_memory(err);
    for (size_t i = 0; !rc && i < call->n_names; i++)
        rc = add_operand(&v, call->names[i], err);
    if (!rc)
        rc = run_jobs(&v, err);
    if (!rc)
        cpv_verify_columns(v.job, v.n_jobs, print_problem, &v);
    for (size_t i = 0; !rc && i < v.n_corpora; i++)
        rc = check_index(&v, v.corpora[i], err);
    for (size_t i = 0; i < v.n_jobs; i++)
        cpv_buf_release(&v.job[i].lines);
    cpv_buf_release(&v.jobs);
    pthread_mutex_destroy(&v.lock);
    if (rc)
        return rc;
    cpv_text_count(samples, sizeof samples, v.samples);
    cpv_text_bytes(bytes, sizeof bytes, v.bytes);
    if (!call->quiet)
        printf("%zu shards, %s samples, %s%s: %s\n", v.n_jobs, samples, bytes,
               v.opt->quick ? " (not read)" : "",
               v.problems ? "NOT all well" : "all is well");
    if (v.problems)
        return cpv_fail(err, CPV_E_CORRUPT, "%llu problems, %llu of %zu shards are hit",
                        (unsigned long long)v.problems, (unsigned long long)v.bad_files,
                        v.n_jobs);
    return CPV_OK;
}

const struct cpv_command cpv_command_verify = {
    .name = "verify",
    .summary = "check shards, records and the index against each other",
    .usage = "PATH... [--quick] [--threads N]",
    .description =
        "A path is a corpus, a column of one, or a shard; braces are expanded "
        "({00000..00009}). Everything is read: seek table, sample index, frames, "
        "members, "
        "digests; of a corpus also each record against its shard, the pinned settings, "
        "the "
        "keys of the columns, and index.sqlite against the shards.\n\n"
        "Each problem is a line: the structure that was hit, or the member that can no "
        "longer be vouched for. The exit status is then 65.",
    .options = OPTIONS,
    .options_size = sizeof(struct options),
    .least = 1,
    .most = PATHS_MAX,
    .run = run,
};
