/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input lists. The first byte chooses format and options, the rest is the file. Rows are
 * valid UTF-8 and the same read in one go and part by part; damage ends in one line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/format/json.h"
#include "common/format/plan.h"

static void check_text(const char *s)
{
    if (s && !cpv_utf8_valid(cpv_bytes_str(s)))
        abort();
}

static void add_row(cpv_sha256 *sha, const struct cpv_row *row)
{
    char head[80];
    int n = snprintf(head, sizeof head, "%llu %llu %d %zu %zu\n",
                     (unsigned long long)row->number, (unsigned long long)row->line,
                     row->bad != NULL, row->captions.count, row->n_extra);

    cpv_sha256_add(sha, head, (size_t)n);
    check_text(row->bad);
    check_text(row->url);
    if (!row->bad && !row->url && !row->file)
        abort();
    if (row->bad)
        cpv_sha256_add(sha, row->bad, strlen(row->bad));
    if (row->url)
        cpv_sha256_add(sha, row->url, strlen(row->url));
    for (size_t i = 0; i < row->captions.count; i++) {
        check_text(row->captions.at[i]);
        cpv_sha256_add(sha, row->captions.at[i], strlen(row->captions.at[i]));
    }
    for (size_t i = 0; i < row->n_extra; i++) {
        check_text(row->extra[i].value);
        cpv_sha256_add(sha, row->extra[i].value, strlen(row->extra[i].value));
    }
}

/* The code that it ended with. */
static int drain(cpv_rows *r, cpv_sha256 *sha, cpv_arena *mem, uint64_t *n)
{
    struct cpv_err err = {0};
    struct cpv_row row;
    int rc;

    while ((rc = cpv_rows_next(r, mem, &row, &err)) == 1) {
        add_row(sha, &row);
        ++*n;
        cpv_arena_reset(mem);
    }
    if (rc && (!err.text[0] || strchr(err.text, '\n')))
        abort();
    return rc;
}

static void compare(const struct cpv_rows_params *p, uint64_t per_part, cpv_sha256 *sha,
                    cpv_arena *mem)
{
    uint8_t whole[CPV_SHA256_SIZE], parts[CPV_SHA256_SIZE];
    struct cpv_err err = {0};
    struct cpv_plan *plan;
    uint64_t n = 0, again = 0;
    cpv_rows *r;
    int rc;

    if (cpv_rows_open(&r, p, &err)) {
        if (r || !err.text[0] || strchr(err.text, '\n'))
            abort();
        return;
    }
    rc = drain(r, sha, mem, &n);
    cpv_rows_close(&r);
    cpv_sha256_take(sha, whole);
    if ((cpv_plan_make(&plan, p, per_part, NULL, &err) != 0) != (rc != 0))
        abort();
    if (rc)
        return;
    if (plan->rows != n)
        abort();
    for (uint32_t i = 0; i < plan->n_parts; i++) {
        if (r ? cpv_rows_move_part(r, plan, i, &err)
              : cpv_rows_open_part(&r, p, plan, i, &err))
            abort();
        if (drain(r, sha, mem, &again))
            abort();
    }
    cpv_rows_close(&r);
    cpv_plan_close(&plan);
    cpv_sha256_take(sha, parts);
    if (memcmp(whole, parts, sizeof whole) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const cpv_rows_format formats[] = {
        CPV_ROWS_TSV,  CPV_ROWS_CSV,  CPV_ROWS_TXT, CPV_ROWS_JSONL,
        CPV_ROWS_COCO, CPV_ROWS_CC3M, CPV_ROWS_CSV, CPV_ROWS_TSV};
    static const char *const captions[] = {"caption"}, *const second[] = {"2"},
                             *const all[] = {"all"};
    struct cpv_rows_params p = {.extra = {all, 1}, .captions = {captions, 1}};
    cpv_sha256 *sha = NULL;
    cpv_arena *mem = NULL;
    char path[40];
    int fd;

    if (size < 1 || (fd = memfd_create("fuzz", MFD_CLOEXEC)) < 0)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    p.path = path;
    p.format = formats[data[0] & 7];
    if ((data[0] & 7) >= 6) { /* numbered columns */
        p.url = "1";
        p.captions.at = second;
    }
    p.root = data[0] & 8 ? "." : NULL;
    p.max_line = data[0] & 16 ? 32 : 0;
    if (write(fd, data + 1, size - 1) == (ssize_t)(size - 1) &&
        !cpv_sha256_open(&sha, NULL) && !cpv_arena_open(&mem, 0, NULL))
        compare(&p, 1 + (data[0] >> 5), sha, mem);
    cpv_sha256_close(&sha);
    cpv_arena_close(&mem);
    (void)close(fd);
    return 0;
}
