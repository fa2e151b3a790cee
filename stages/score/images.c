/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One part of score: its pictures go out in row order, in batches, and come back in any;
 * each answer is kept in a journal at once, so that a kill costs the batches that are in
 * work. When all are there the shard is written from them in row order.
 */
#include "common/base/clock.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/merge.h"
#include "common/format/journal.h"
#include "common/format/npy.h"
#include "stages/score/score.h"

enum { TICK_MS = 100, CHECK_EVERY = 256 };

struct counts {
    uint64_t images, failed;
    uint64_t decode_us, vision_us;
    uint64_t run_images; /* of this run alone; the rest was in the journal */
    double run_seconds;
};

struct job {
    struct scorer *k;
    struct cpv_part *part;
    cpv_shard *in;
    cpv_journal *journal;
    uint32_t n, next, left; /* samples; looked at; to be fed */
    int in_work;            /* batches */
    uint64_t *at;           /* of each sample's answer in the journal, plus 1 */
    uint64_t *rows;
    cpv_arena *mem; /* of a sample */
    struct cpv_buf payload, array;
    struct counts counts;
};

/* ---- out ---- */

static int read_picture(struct job *j, uint32_t i, struct picture *p, struct cpv_err *err)
{
    const char *ext = cpv_image_ext(cpv_shard_entry(j->in, i));
    struct cpv_sample s;
    int rc;

    p->index = i;
    if (!ext) {
        p->status = "no_image";
        return CPV_OK;
    }
    rc = cpv_shard_read(j->in, i, ext, j->mem, &s, err);
    if (!rc)
        cpv_buf_add(&p->file, s.members[0].data.data, s.members[0].data.size);
    cpv_arena_reset(j->mem);
    return !rc && p->file.failed ? cpv_fail_memory(err) : rc;
}

/* The next pictures that have no answer yet. */
static int feed_one(struct job *j, struct cpv_err *err)
{
    int want = engine_share(j->k->engine, j->left), rc;
    struct batch *b = cpv_calloc(1, sizeof *b);

    if (b)
        b->at = cpv_calloc((size_t)want, sizeof *b->at);
    rc = b && b->at ? cpv_run_check_space(j->k->run, err) : cpv_fail_memory(err);
    while (!rc && b->n < want) {
        while (j->at[j->next])
            j->next++;
        rc = read_picture(j, j->next++, &b->at[b->n++], err);
    }
    if (rc) {
        batch_free(&b);
        return rc;
    }
    j->left -= (uint32_t)want;
    rc = engine_put(j->k->engine, b, err);
    j->in_work += !rc;
    return rc;
}

/* ---- back ---- */

static int keep(struct job *j, const struct picture *p, struct cpv_err *err)
{
    struct answer a = {.status = p->status,
                       .detail = p->detail,
                       .decode_us = p->decode_us,
                       .vision_us = p->vision_us};
    struct cpv_bytes piece;
    int rc;

    cpv_buf_clear(&j->array);
    cpv_buf_clear(&j->payload);
    if (!p->status)
        cpv_npy_write_f16(&j->array, p->vector, 1, (uint64_t)engine_dim(j->k->engine));
    a.array = cpv_buf_view(&j->array);
    answer_encode(&a, p->index, &j->payload);
    if (j->payload.failed || j->array.failed)
        return cpv_fail_memory(err);
    piece = cpv_buf_view(&j->payload);
    rc = cpv_journal_add(j->journal, &piece, 1, &j->at[p->index], err);
    if (rc)
        return rc;
    j->at[p->index]++;
    j->counts.run_images++;
    cpv_progress_add(j->k->run->progress, 1, p->status != NULL);
    return CPV_OK;
}

static int keep_one(struct job *j, struct cpv_err *err)
{
    struct batch *b = engine_take(j->k->engine, TICK_MS);
    int rc = CPV_OK;

    if (!b)
        return CPV_OK;
    j->in_work--;
    for (int i = 0; i < b->n && !b->undone && !rc; i++)
        rc = keep(j, &b->at[i], err);
    if (!rc && b->undone)
        rc = engine_trouble(j->k->engine, err);
    batch_free(&b);
    return rc;
}

/* After an error or a signal: what is done is done, whatever else is wrong. */
static void call_back(struct job *j)
{
    int rc = CPV_OK;

    engine_cancel(j->k->engine);
    while (j->in_work && !rc)
        rc = keep_one(j, NULL);
    while (j->in_work) {
        struct batch *b = engine_take(j->k->engine, TICK_MS);

        j->in_work -= b != NULL;
        batch_free(&b);
    }
}

static int embed_all(struct job *j, struct cpv_err *err)
{
    int rc = j->left ? score_start(j->k, err) : CPV_OK;

    if (rc)
        return rc;
    while (!rc && (j->left || j->in_work)) {
        while (!rc && j->left && j->in_work < engine_room(j->k->engine))
            rc = feed_one(j, err);
        if (!rc)
            rc = keep_one(j, err);
        if (!rc && cpv_stop_requested())
            rc = cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    }
    if (rc)
        call_back(j);
    return rc;
}

/* ---- the shard ---- */

static int put_sample(struct job *j, uint32_t i, const struct answer *a,
                      struct cpv_err *err)
{
    const char *key = cpv_shard_key(j->in, i);
    struct cpv_member m = {.ext = "clip.npy", .data = a->array};

    j->counts.decode_us += a->decode_us;
    j->counts.vision_us += a->vision_us;
    if (a->status) {
        j->counts.failed++;
        return cpv_part_fail(j->part, j->rows[i], key, a->status, false, a->detail, err);
    }
    j->counts.images++;
    cpv_shard_put(j->part->writer, key, &m, 1);
    return CPV_OK;
}

static int assemble(struct job *j, struct cpv_err *err)
{
    int rc = cpv_journal_sync(j->journal, err);

    for (uint32_t i = 0; i < j->n && !rc; i++) {
        struct answer a;
        uint32_t index;

        if (i % CHECK_EVERY == 0 && cpv_stop_requested())
            return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
        if (i % CHECK_EVERY == 0)
            rc = cpv_run_check_space(j->k->run, err);
        if (!rc)
            rc = cpv_journal_read(j->journal, j->at[i] - 1, &j->payload, err);
        if (!rc)
            rc = answer_decode(cpv_buf_view(&j->payload), j->mem, &a, &index, err);
        if (!rc)
            rc = put_sample(j, i, &a, err);
        cpv_arena_reset(j->mem);
    }
    return rc ? rc : cpv_shard_check_writer(j->part->writer, err);
}

/* ---- the part ---- */

static int replay(void *ctx, struct cpv_bytes payload, uint64_t offset,
                  struct cpv_err *err)
{
    struct job *j = ctx;
    struct cpv_cursor c = cpv_cursor_of(payload);
    uint32_t index = cpv_get_u32(&c);

    (void)err;
    if (!c.failed && index < j->n) {
        j->left -= j->at[index] == 0;
        j->at[index] = offset + 1;
    }
    return CPV_OK;
}

static int open_input(struct job *j, struct cpv_err *err)
{
    struct cpv_run *run = j->k->run;
    cpv_arena *mem = j->part->mem;
    struct cpv_record_input input;
    struct cpv_record record;
    int rc = cpv_run_open_input(run, "fetch", j->part->number, mem, &j->in, err);

    if (!rc)
        rc = cpv_run_input(run, "fetch", j->part->number, mem, &input, &record, err);
    if (rc)
        return rc;
    j->n = j->left = cpv_shard_count(j->in);
    j->at = cpv_arena_calloc(mem, (size_t)j->n + 1, sizeof *j->at);
    j->rows = cpv_arena_calloc(mem, (size_t)j->n + 1, sizeof *j->rows);
    if (!j->at || !j->rows)
        return cpv_fail_memory(err);
    cpv_record_rows(&record, j->rows, j->n);
    return CPV_OK;
}

static int run_job(struct job *j, struct cpv_err *err)
{
    char *path = cpv_part_journal_path(j->k->run, j->part);
    uint8_t identity[32];
    int64_t start = cpv_clock_ns();
    int rc = path ? cpv_arena_open(&j->mem, (size_t)1 << 20, err) : cpv_fail_memory(err);

    cpv_part_identity(j->part, identity);
    if (!rc)
        rc = open_input(j, err);
    if (!rc)
        rc = cpv_journal_open(&j->journal, path, cpv_bytes_of(identity, sizeof identity),
                              replay, j, err);
    if (!rc)
        cpv_progress_skip(j->k->run->progress, j->n - j->left);
    if (!rc)
        rc = embed_all(j, err);
    j->counts.run_seconds = (double)(cpv_clock_ns() - start) * 1e-9;
    return rc ? rc : assemble(j, err);
}

static void put_stats(const struct job *j, struct cpv_buf *out)
{
    const struct counts *n = &j->counts;
    double seconds = n->run_seconds;

    cpv_buf_printf(out,
                   "\"images\":%llu,\"unreadable\":%llu,\"resumed\":%llu,"
                   "\"seconds_decode\":%.3f,\"seconds_vision\":%.3f,\"seconds\":%.3f,"
                   "\"images_per_second\":%.2f",
                   (unsigned long long)n->images, (unsigned long long)n->failed,
                   (unsigned long long)(n->images + n->failed - n->run_images),
                   (double)n->decode_us * 1e-6, (double)n->vision_us * 1e-6, seconds,
                   seconds > 0 ? (double)n->run_images / seconds : 0);
}

int score_images(struct scorer *k, struct cpv_part **part, struct cpv_err *err)
{
    struct job j = {.k = k, .part = *part};
    struct cpv_buf stats = {0};
    bool committed = false;
    int rc = run_job(&j, err);

    cpv_shard_close(&j.in);
    put_stats(&j, &stats);
    if (!rc && stats.failed)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = cpv_part_commit(k->run, part, cpv_buf_view(&stats), &committed, err);
    else
        cpv_part_release(k->run, part);
    if (!rc && committed)
        rc = cpv_journal_remove(&j.journal, err);
    cpv_journal_close(&j.journal);
    cpv_buf_release(&stats);
    cpv_buf_release(&j.payload);
    cpv_buf_release(&j.array);
    cpv_arena_close(&j.mem);
    return rc;
}
