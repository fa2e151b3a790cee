/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a part of a column out of lines, for tests that need a column whose stage they do
 * not want to run:
 *
 *     report-column [--image FILE] [--npy FILE] [--stats FILE] CORPUS COLUMN PART <lines
 *
 * A line is KEY, a tab and the bytes of the sample's json member, taken as they are. With
 * --image each sample has that file as its jpg member, with --npy as its clip.npy. The
 * stats file is copied. Settings are pinned if there are none: its file is empty but for
 * one line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/corpus/column.h"
#include "common/corpus/record.h"
#include "common/format/shard.h"

struct job {
    const char *corpus, *column, *image, *npy, *stats;
    uint32_t part;
    cpv_arena *mem;
    struct cpv_buf jpg, embedding;
    struct cpv_record record;
};

static int put_line(cpv_shard_writer *w, struct job *j, char *line, size_t n,
                    struct cpv_err *err)
{
    struct cpv_member m[3];
    size_t members = 0;
    char *tab = memchr(line, '\t', n);

    if (!tab)
        return cpv_fail(err, CPV_E_INPUT, "expected KEY, a tab and JSON");
    *tab = '\0';
    m[members++] =
        (struct cpv_member){"json", cpv_bytes_of(tab + 1, n - (size_t)(tab + 1 - line))};
    if (j->image)
        m[members++] = (struct cpv_member){"jpg", cpv_buf_view(&j->jpg)};
    if (j->npy)
        m[members++] = (struct cpv_member){"clip.npy", cpv_buf_view(&j->embedding)};
    cpv_shard_put(w, line, m, members);
    j->record.row_end++;
    return CPV_OK;
}

static int put_lines(cpv_shard_writer *w, struct job *j, struct cpv_err *err)
{
    struct cpv_buf all = {0};
    char *at, *end;
    int rc = CPV_OK, c;

    while ((c = getchar()) != EOF)
        cpv_buf_byte(&all, (uint8_t)c);
    at = (char *)all.data;
    end = at + all.size;
    while (!rc && at < end) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);

        rc = put_line(w, j, at, n, err);
        at += n + 1;
    }
    cpv_buf_release(&all);
    return rc;
}

static int pin(struct job *j, struct cpv_err *err)
{
    const char *path =
        cpv_arena_printf(j->mem, "%s/%s/settings.yaml", j->corpus, j->column);

    if (!path)
        return cpv_fail_memory(err);
    return cpv_file_exists(path)
               ? CPV_OK
               : cpv_file_replace(path, cpv_bytes_str("made.by: a test\n"), err);
}

static int copy_stats(struct job *j, struct cpv_err *err)
{
    const char *path =
        cpv_column_path(j->mem, j->corpus, j->column, j->part, 0, CPV_FILE_STATS);
    struct cpv_buf text = {0};
    int rc = path ? cpv_file_read(j->stats, 1 << 20, &text, err) : cpv_fail_memory(err);

    if (!rc)
        rc = cpv_file_replace(path, cpv_buf_view(&text), err);
    cpv_buf_release(&text);
    return rc;
}

static int make(struct job *j, struct cpv_err *err)
{
    const char *folder = cpv_arena_printf(j->mem, "%s/%s", j->corpus, j->column);
    const char *shard =
        cpv_column_path(j->mem, j->corpus, j->column, j->part, 0, CPV_FILE_SHARD);
    const char *record =
        cpv_column_path(j->mem, j->corpus, j->column, j->part, 0, CPV_FILE_RECORD);
    cpv_shard_writer *w = NULL;
    bool existed;
    int rc =
        folder && shard && record ? cpv_folder_make(folder, err) : cpv_fail_memory(err);

    if (!rc)
        rc = pin(j, err);
    if (!rc && j->image)
        rc = cpv_file_read(j->image, 1 << 26, &j->jpg, err);
    if (!rc && j->npy)
        rc = cpv_file_read(j->npy, 1 << 26, &j->embedding, err);
    if (!rc)
        rc = cpv_shard_create(&w, shard, NULL, err);
    if (!rc)
        rc = put_lines(w, j, err);
    if (!rc)
        rc = cpv_shard_commit(&w, &j->record.shard, &existed, err);
    cpv_shard_discard(&w);
    j->record.stage = j->column;
    j->record.part = j->part;
    if (!rc)
        rc = cpv_record_commit(record, &j->record, &existed, err);
    if (!rc && j->stats)
        rc = copy_stats(j, err);
    cpv_buf_release(&j->jpg);
    cpv_buf_release(&j->embedding);
    return rc;
}

int main(int argc, char **argv)
{
    struct job j = {0};
    struct cpv_err err = {0};
    int at = 1;

    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--image") == 0)
            j.image = argv[at + 1];
        else if (strcmp(argv[at], "--npy") == 0)
            j.npy = argv[at + 1];
        else if (strcmp(argv[at], "--stats") == 0)
            j.stats = argv[at + 1];
    }
    if (argc - at != 3) {
        fprintf(stderr,
                "usage: report-column [--image FILE] [--npy FILE] [--stats FILE] CORPUS "
                "COLUMN PART <lines\n");
        return 2;
    }
    j.corpus = argv[at];
    j.column = argv[at + 1];
    j.part = (uint32_t)strtoul(argv[at + 2], NULL, 10);
    if (cpv_arena_open(&j.mem, 0, &err) || make(&j, &err)) {
        fprintf(stderr, "report-column: %s\n", err.text);
        return 1;
    }
    cpv_arena_close(&j.mem);
    return 0;
}
