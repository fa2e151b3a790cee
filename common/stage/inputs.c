/* SPDX-License-Identifier: Apache-2.0 */
/* What stages need that make a column out of other columns, part by part. */
#include <string.h>

#include "common/corpus/column.h"
#include "common/stage/stage.h"

/* How many samples there are, for the progress line. */
static int count_samples(struct cpv_run *run, const struct cpv_column *column,
                         const char *name, struct cpv_err *err)
{
    cpv_arena *mem = NULL;
    uint64_t samples = 0;
    int rc = cpv_arena_open(&mem, 0, err);

    for (uint32_t i = 0; i < column->count && !rc; i++) {
        struct cpv_record r;
        char *path = cpv_column_path(mem, run->corpus, name, column->at[i].part,
                                     column->at[i].revision, CPV_FILE_RECORD);

        rc = path ? cpv_record_read(path, mem, &r, err) : cpv_fail_memory(err);
        samples += rc ? 0 : r.shard.samples;
        cpv_arena_reset(mem);
    }
    cpv_arena_close(&mem);
    if (!rc && run->progress)
        cpv_progress_total(run->progress, samples);
    return rc;
}

int cpv_run_follow(struct cpv_run *run, const char *column, struct cpv_err *err)
{
    struct cpv_column c;
    int rc = cpv_column_scan(run->corpus, column, run->mem, &c, err);

    if (rc)
        return rc;
    if (c.count == 0)
        return cpv_fail(err, CPV_E_BUSY,
                        "column '%s' has no finished parts yet; run that stage first",
                        column);
    run->n_parts = c.parts == UINT32_MAX ? c.at[c.count - 1].part + 1 : c.parts;
    return count_samples(run, &c, column, err);
}

int cpv_run_input(struct cpv_run *run, const char *column, uint32_t part, cpv_arena *mem,
                  struct cpv_record_input *input, struct cpv_record *record,
                  struct cpv_err *err)
{
    struct cpv_column parts;
    uint32_t revision;
    char *path;
    int rc = cpv_column_scan(run->corpus, column, mem, &parts, err);

    if (rc)
        return rc;
    if (!cpv_column_find(&parts, part, &revision))
        return cpv_fail(err, CPV_E_ABSENT, "column '%s' has no part %05u yet", column,
                        part);
    path = cpv_column_path(mem, run->corpus, column, part, revision, CPV_FILE_RECORD);
    rc = path ? cpv_record_read(path, mem, record, err) : cpv_fail_memory(err);
    if (rc)
        return rc;
    input->name = column;
    memcpy(input->sha256, record->shard.tar_sha256, sizeof input->sha256);
    return CPV_OK;
}

int cpv_run_inputs(struct cpv_run *run, const char *const *columns, uint32_t n,
                   uint32_t part, cpv_arena *mem, struct cpv_record *out,
                   struct cpv_err *err)
{
    int rc = CPV_OK;

    out->inputs = cpv_arena_calloc(mem, n, sizeof *out->inputs);
    if (!out->inputs)
        return cpv_fail_memory(err);
    for (out->n_inputs = 0; !rc && out->n_inputs < n; out->n_inputs++) {
        struct cpv_record record;
        uint32_t i = out->n_inputs;

        rc = cpv_run_input(run, columns[i], part, mem, &out->inputs[i], &record, err);
        if (!rc && i == 0) {
            out->row_begin = record.row_begin;
            out->row_end = record.row_end;
        }
    }
    return rc;
}

int cpv_run_open_input(struct cpv_run *run, const char *column, uint32_t part,
                       cpv_arena *mem, cpv_shard **out, struct cpv_err *err)
{
    struct cpv_column parts;
    uint32_t revision = 0;
    char *path;
    int rc = cpv_column_scan(run->corpus, column, mem, &parts, err);

    if (rc)
        return rc;
    (void)cpv_column_find(&parts, part, &revision);
    path = cpv_column_path(mem, run->corpus, column, part, revision, CPV_FILE_SHARD);
    return path ? cpv_shard_open(out, path, err) : cpv_fail_memory(err);
}
