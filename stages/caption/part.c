/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One part: its pictures go out in row order and come back in any; each answer is kept
 * in a journal at once, so that a kill costs the pictures that are in work. When all are
 * there the shard is written from them in row order.
 */
#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/merge.h"
#include "common/format/journal.h"
#include "stages/caption/caption.h"

struct caption_part {
    struct cpv_run *run;
    struct cpv_part *part;
    cpv_shard *in;
    cpv_journal *journal;
    uint32_t n, fed, left, pending; /* samples; looked at; to be fed; in work */
    uint64_t *at;   /* of each sample's answer in the journal, plus 1; 0: not there */
    bool *fresh;    /* answered in this run */
    uint64_t *rows; /* of each sample */
    int64_t start;
    cpv_arena *mem; /* of one sample */
    struct cpv_buf payload, json;
};

/* ---- beginning ---- */

static int replay(void *ctx, struct cpv_bytes payload, uint64_t offset,
                  struct cpv_err *err)
{
    caption_part *p = ctx;
    struct cpv_cursor c = cpv_cursor_of(payload);
    uint32_t index = cpv_get_u32(&c);

    (void)err;
    if (!c.failed && index < p->n) {
        p->left -= p->at[index] == 0;
        p->at[index] = offset + 1;
    }
    return CPV_OK;
}

static int read_input(caption_part *p, struct cpv_err *err)
{
    cpv_arena *mem = p->part->mem;
    struct cpv_record_input input;
    struct cpv_record record;
    uint32_t number = p->part->number;
    int rc = cpv_run_open_input(p->run, "fetch", number, mem, &p->in, err);

    if (!rc)
        rc = cpv_run_input(p->run, "fetch", number, mem, &input, &record, err);
    if (rc)
        return rc;
    p->n = p->left = cpv_shard_count(p->in);
    p->at = cpv_arena_calloc(mem, (size_t)p->n + 1, sizeof *p->at);
    p->rows = cpv_arena_calloc(mem, (size_t)p->n + 1, sizeof *p->rows);
    p->fresh = cpv_arena_calloc(mem, (size_t)p->n + 1, sizeof *p->fresh);
    if (!p->at || !p->rows || !p->fresh)
        return cpv_fail_memory(err);
    cpv_record_rows(&record, p->rows, p->n);
    return CPV_OK;
}

int part_open(caption_part **out, struct captioner *k, struct cpv_part **part,
              struct cpv_err *err)
{
    caption_part *p = cpv_calloc(1, sizeof *p);
    uint8_t identity[32];
    char *path;
    int rc;

    *out = NULL;
    if (!p) {
        cpv_part_release(k->run, part);
        return cpv_fail_memory(err);
    }
    p->run = k->run;
    p->part = *part;
    p->start = cpv_clock_ns();
    *part = NULL;
    cpv_part_identity(p->part, identity);
    path = cpv_part_journal_path(p->run, p->part);
    rc = path ? cpv_arena_open(&p->mem, (size_t)1 << 20, err) : cpv_fail_memory(err);
    if (!rc)
        rc = read_input(p, err);
    if (!rc)
        rc = cpv_journal_open(&p->journal, path, cpv_bytes_of(identity, sizeof identity),
                              replay, p, err);
    if (rc)
        part_close(k, &p);
    else
        cpv_progress_skip(p->run->progress, p->n - p->left);
    *out = p;
    return rc;
}

void part_close(struct captioner *k, caption_part **p)
{
    caption_part *o = *p;

    if (!o)
        return;
    cpv_shard_close(&o->in);
    cpv_journal_close(&o->journal);
    if (o->part)
        cpv_part_release(k->run, &o->part);
    cpv_buf_release(&o->payload);
    cpv_buf_release(&o->json);
    cpv_arena_close(&o->mem);
    cpv_free(o);
    *p = NULL;
}

uint32_t part_left(const caption_part *p)
{
    return p->left;
}

bool part_done(const caption_part *p)
{
    return p->left == 0 && p->pending == 0;
}

/* ---- feeding ---- */

/* The image's bytes into the picture; without one it has a status already. */
static int read_picture(caption_part *p, uint32_t i, struct picture *one,
                        struct cpv_err *err)
{
    const char *ext = cpv_image_ext(cpv_shard_entry(p->in, i));
    struct cpv_sample s;
    int rc;

    if (!ext) {
        one->status = "no_image";
        return CPV_OK;
    }
    rc = cpv_shard_read(p->in, i, ext, p->mem, &s, err);
    if (!rc)
        cpv_buf_add(&one->file, s.members[0].data.data, s.members[0].data.size);
    cpv_arena_reset(p->mem);
    return !rc && one->file.failed ? cpv_fail_memory(err) : rc;
}

int part_next(caption_part *p, struct picture **out, struct cpv_err *err)
{
    struct picture *one = cpv_calloc(1, sizeof *one);
    const char *key;
    int rc;

    *out = NULL;
    if (!one)
        return cpv_fail_memory(err);
    while (p->at[p->fed])
        p->fed++;
    key = cpv_shard_key(p->in, p->fed);
    one->owner = p;
    one->index = p->fed;
    one->number = cpv_xxh64(key, strlen(key), 0);
    rc = read_picture(p, p->fed, one, err);
    if (rc) {
        picture_free(&one);
        return rc;
    }
    p->fed++;
    p->left--;
    p->pending++;
    *out = one;
    return CPV_OK;
}

int part_keep(caption_part *p, const struct picture *one, struct cpv_err *err)
{
    struct answer a = picture_answer(one);
    struct cpv_bytes piece;
    uint64_t offset;
    int rc;

    p->pending--;
    cpv_buf_clear(&p->payload);
    answer_encode(&a, one->index, &p->payload);
    if (p->payload.failed)
        return cpv_fail_memory(err);
    piece = cpv_buf_view(&p->payload);
    rc = cpv_journal_add(p->journal, &piece, 1, &offset, err);
    if (rc)
        return rc;
    p->at[one->index] = offset + 1;
    p->fresh[one->index] = true;
    cpv_progress_add(p->run->progress, 1, a.status != NULL);
    return CPV_OK;
}

/* ---- ending ---- */

static int put_sample(caption_part *p, uint32_t i, const struct answer *a,
                      struct cpv_err *err)
{
    const char *key = cpv_shard_key(p->in, i);
    struct cpv_member m = {.ext = "json"};

    if (a->status)
        return cpv_part_fail(p->part, p->rows[i], key, a->status, false, a->detail, err);
    cpv_buf_clear(&p->json);
    answer_json(a, &p->json);
    if (p->json.failed)
        return cpv_fail_memory(err);
    m.data = cpv_buf_view(&p->json);
    cpv_shard_put(p->part->writer, key, &m, 1);
    return CPV_OK;
}

static int assemble(struct captioner *k, caption_part *p, struct caption_counts *counts,
                    struct cpv_err *err)
{
    int rc = cpv_journal_sync(p->journal, err);

    for (uint32_t i = 0; i < p->n && !rc; i++) {
        struct answer a;
        uint32_t index;

        if (i % 256 == 0 && cpv_stop_requested())
            return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
        if (i % 256 == 0)
            rc = cpv_run_check_space(p->run, err);
        if (!rc)
            rc = cpv_journal_read(p->journal, p->at[i] - 1, &p->payload, err);
        if (!rc)
            rc = answer_decode(cpv_buf_view(&p->payload), p->mem, &a, &index, err);
        if (!rc && a.n && a.n != k->set->prompts.count)
            rc = cpv_fail(err, CPV_E_CORRUPT, "a journal record has %u captions", a.n);
        if (!rc) {
            counts_add(counts, &a, p->fresh[i]);
            rc = put_sample(p, i, &a, err);
        }
        cpv_arena_reset(p->mem);
    }
    return rc ? rc : cpv_shard_check_writer(p->part->writer, err);
}

int part_finish(struct captioner *k, caption_part *p, struct cpv_err *err)
{
    struct caption_counts counts = {0};
    struct cpv_buf stats = {0};
    bool committed = false;
    int rc = counts_init(&counts, (uint64_t)p->n * k->set->prompts.count, err);

    if (!rc)
        rc = assemble(k, p, &counts, err);
    counts.run_seconds = (double)(cpv_clock_ns() - p->start) * 1e-9;
    counts_put(&counts, &stats);
    if (!rc && stats.failed)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_part_commit(p->run, &p->part, cpv_buf_view(&stats), &committed, err);
    if (!rc && committed)
        rc = cpv_journal_remove(&p->journal, err);
    cpv_buf_release(&stats);
    counts_release(&counts);
    return rc;
}
