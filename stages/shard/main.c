/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-shard: columns of a corpus become a packed training set. */
#include <string.h>

#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "stages/shard/pack.h"

static int set_limits(struct pack *p, const char *name, const struct cpv_texts *words,
                      struct cpv_limits *out, struct cpv_err *err)
{
    return cpv_limits_parse(words, p->run->mem, out, err) ? cpv_err_add(err, "'%s'", name)
                                                          : CPV_OK;
}

static int set_filter(struct pack *p, struct cpv_err *err)
{
    const struct pack_settings *set = p->set;
    struct cpv_filter *f = &p->filter;
    int rc;

    f->drop_flags = set->drop_flags;
    f->require = set->require;
    f->originals = set->filter_originals;
    rc = set_limits(p, "min_original", &set->min_original, &f->min_original, err);
    if (!rc)
        rc = set_limits(p, "min_similarity", &set->min_similarity, &f->min_similarity,
                        err);
    if (!rc)
        rc = set_limits(p, "keep_top", &set->keep_top, &f->keep_top, err);
    return rc;
}

static void log_filters(const struct pack *p)
{
    const struct cpv_filter_counts *n = &p->dropped.filters;

    if (cpv_filter_is_on(&p->filter))
        cpv_log_info(
            p->run->log,
            "filters left out %llu samples by their original caption and %llu "
            "without a caption; of the others %llu captions flagged, %llu below, "
            "%llu outranked",
            (unsigned long long)n->below_original, (unsigned long long)n->no_caption,
            (unsigned long long)n->flagged, (unsigned long long)n->below,
            (unsigned long long)n->outranked);
}

static int pack_open(struct cpv_run *run, struct cpv_err *err)
{
    struct pack *p = cpv_arena_calloc(run->mem, 1, sizeof *p);
    uint64_t per;
    int rc;

    if (!p)
        return cpv_fail_memory(err);
    run->self = p;
    p->run = run;
    p->set = run->settings;
    pthread_mutex_init(&p->lock, NULL);
    if ((rc = set_filter(p, err)) || (rc = pack_find_columns(p, err)) ||
        (rc = pack_survey(p, err)))
        return rc;
    per = (uint64_t)p->set->samples_per_shard;
    run->n_parts = (uint32_t)((p->n_entries + per - 1) / per);
    cpv_progress_total(run->progress, p->n_entries);
    cpv_log_info(run->log,
                 "%u samples; left out: %llu with a URL and %llu with a file that came "
                 "before, %llu not in every column",
                 p->n_entries, (unsigned long long)p->dropped.url,
                 (unsigned long long)p->dropped.content,
                 (unsigned long long)p->dropped.missing);
    log_filters(p);
    return CPV_OK;
}

static int pack_inputs(struct cpv_run *run, uint32_t part, cpv_arena *mem,
                       struct cpv_record *out, struct cpv_err *err)
{
    const struct pack *p = run->self;
    uint64_t per = (uint64_t)p->set->samples_per_shard;

    out->inputs = cpv_arena_calloc(mem, p->n_columns, sizeof *out->inputs);
    if (!out->inputs)
        return cpv_fail_memory(err);
    out->n_inputs = (uint32_t)p->n_columns;
    for (size_t i = 0; i < p->n_columns; i++) {
        out->inputs[i].name = p->columns[i].name;
        memcpy(out->inputs[i].sha256, p->columns[i].digest, sizeof p->columns[i].digest);
    }
    out->row_begin = part * per;
    out->row_end =
        out->row_begin + per < p->n_entries ? out->row_begin + per : p->n_entries;
    return CPV_OK;
}

/* Each thread takes the next part until there are none or something is wrong. */
static void pack_thread(void *arg, int worker)
{
    struct pack *p = arg;
    int rc;

    (void)worker;
    do {
        struct cpv_part *part = NULL;
        struct cpv_err err = {0};

        pthread_mutex_lock(&p->lock);
        rc = p->first_err.code ? 0 : cpv_run_next(p->run, &part, &err);
        pthread_mutex_unlock(&p->lock);
        if (rc == 1)
            rc = pack_part(p, &part, &err) ? -1 : 1;
        if (rc < 0) {
            pthread_mutex_lock(&p->lock);
            if (!p->first_err.code)
                p->first_err = err;
            pthread_mutex_unlock(&p->lock);
        }
    } while (rc == 1);
}

static int pack_work(struct cpv_run *run, struct cpv_err *err)
{
    struct pack *p = run->self;
    cpv_pool *pool = NULL;
    int rc = cpv_pool_open(&pool, "pack", run->threads, 0, pack_thread, p, err);

    if (rc)
        return rc;
    cpv_pool_close(&pool); /* waits for all of them */
    if (p->first_err.code)
        *err = p->first_err;
    return p->first_err.code;
}

static void pack_close(struct cpv_run *run)
{
    struct pack *p = run->self;

    if (!p)
        return;
    cpv_free(p->entries);
    pthread_mutex_destroy(&p->lock);
}

int main(int argc, char **argv)
{
    static const struct cpv_stage_group groups[] = {{"Packing", NULL, pack_options},
                                                    {"Filters", NULL, pack_filters}};
    const struct cpv_stage stage = {
        .name = "shard",
        .summary = "columns of a corpus become a packed training set",
        .description =
            "Merges columns, leaves out what the filters say and what came before, "
            "shuffles, and packs the rest "
            "into "
            "CORPUS/shards/NAME. Several sets with different settings live side by side.",
        .instance = "name",
        .instance_help = "Name of the set: a section under 'shard' in the configuration, "
                         "and a folder under shards/.",
        .section = "shard.%s",
        .column = "shards/%s",
        .groups = groups,
        .n_groups = 2,
        .settings_size = sizeof(struct pack_settings),
        .uses_seed = true,
        .settle = pack_settle_columns,
        .open = pack_open,
        .inputs = pack_inputs,
        .work = pack_work,
        .close = pack_close,
    };

    return cpv_stage_main(&stage, argc, argv);
}
