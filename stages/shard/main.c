/* SPDX-License-Identifier: Apache-2.0 */
/* capivara-shard: columns of a corpus become a packed training set. */
#include <stddef.h>
#include <string.h>

#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/corpus/flags.h"
#include "stages/shard/pack.h"

#define AT(field) offsetof(struct pack_settings, field)

/* Names of columns, each once. */
static const char *check_columns(const void *value)
{
    _Static_assert(PACK_COLUMNS_MAX == 64, "says the message");
    static const char WANTED[] = "1 to 64 names of columns, each once";
    const struct cpv_texts *names = value;

    if (names->count == 0 || names->count > PACK_COLUMNS_MAX)
        return WANTED;
    for (size_t i = 0; i < names->count; i++) {
        if (!*names->at[i])
            return WANTED;
        for (size_t k = 0; k < i; k++)
            if (strcmp(names->at[k], names->at[i]) == 0)
                return WANTED;
    }
    return NULL;
}

static const char *check_flags(const void *value)
{
    const struct cpv_texts *words = value;

    _Static_assert(CPV_FLAG_COUNT == 6, "says the message");
    for (size_t i = 0; i < words->count; i++)
        if (cpv_flags_find(words->at[i]) < 0)
            return "words out of empty, copied, script, loop, ratio and cut";
    return NULL;
}

static const struct cpv_opt options[] = {
    {.name = "columns",
     .key = "columns",
     .kind = CPV_OPT_LIST,
     .offset = AT(columns),
     .fallback = "fetch",
     .arg = "NAMES",
     .help = "Columns to merge; the first one leads. A sample must be in all of them.",
     .flags = CPV_OPT_PINNED,
     .check = check_columns},
    {.name = "samples-per-shard",
     .key = "samples_per_shard",
     .kind = CPV_OPT_INT,
     .offset = AT(samples_per_shard),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .arg = "N",
     .help = "Samples in each packed shard; the last one holds the rest.",
     .flags = CPV_OPT_PINNED},
    {.name = "shuffle",
     .key = "shuffle",
     .kind = CPV_OPT_FLAG,
     .offset = AT(shuffle),
     .fallback = "true",
     .help = "Put the samples of the whole corpus into an order that the seed names.",
     .flags = CPV_OPT_PINNED},
    {.name = "dedup-url",
     .key = "dedup_url",
     .kind = CPV_OPT_FLAG,
     .offset = AT(dedup_url),
     .fallback = "true",
     .help = "Of samples with the same URL keep the one of the lowest part and row.",
     .flags = CPV_OPT_PINNED},
    {.name = "dedup-content",
     .key = "dedup_content",
     .kind = CPV_OPT_FLAG,
     .offset = AT(dedup_content),
     .fallback = "true",
     .help =
         "Of samples made from the same file keep the one of the lowest part and row.",
     .flags = CPV_OPT_PINNED},
    {.name = "images",
     .key = "images",
     .kind = CPV_OPT_FLAG,
     .offset = AT(images),
     .fallback = "true",
     .help = "Pack the images too; without, captions and embeddings only.",
     .flags = CPV_OPT_PINNED},
    {.name = "drop-flags",
     .key = "drop_flags",
     .kind = CPV_OPT_LIST,
     .offset = AT(drop_flags),
     .fallback = "",
     .arg = "WORDS",
     .help = "Leave out translated captions that have one of these words in flags-LANG: "
             "empty, copied, script, loop, ratio, cut.",
     .flags = CPV_OPT_PINNED,
     .check = check_flags},
    {.kind = CPV_OPT_END},
};

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
    if ((rc = pack_find_columns(p, err)) || (rc = pack_survey(p, err)))
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
    static const struct cpv_stage_group groups[] = {{"Packing", NULL, options}};
    const struct cpv_stage stage = {
        .name = "shard",
        .summary = "columns of a corpus become a packed training set",
        .description =
            "Merges columns, leaves out what came before, shuffles, and packs the rest "
            "into "
            "CORPUS/shards/NAME. Several sets with different settings live side by side.",
        .instance = "name",
        .instance_help = "Name of the set: a section under 'shard' in the configuration, "
                         "and a folder under shards/.",
        .section = "shard.%s",
        .column = "shards/%s",
        .groups = groups,
        .n_groups = 1,
        .settings_size = sizeof(struct pack_settings),
        .uses_seed = true,
        .open = pack_open,
        .inputs = pack_inputs,
        .work = pack_work,
        .close = pack_close,
    };

    return cpv_stage_main(&stage, argc, argv);
}
