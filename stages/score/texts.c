/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One part of score-L: 64 samples at a time, each of which is kept in a journal, so that
 * a kill costs seconds. A record is
 *
 *     u32 number | u64 texts | u64 distinct | u64 embedded | u64 tokens | u64 us
 *     of each sample: u32 size | JSON
 *
 * and when all are there the shard is written from them in one go. What is in a sample of
 * score is in one of score-L, whatever the columns of captions say.
 */
#include "common/base/clock.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/format/journal.h"
#include "common/format/npy.h"
#include "stages/score/score.h"

enum { UNIT = 64, COUNTS = 5 };

/* of a unit: texts that say something; new to the part; that the model read, their tokens
 * and the time of that */
enum count { TEXTS, DISTINCT, EMBEDDED, TOKENS, US };

struct sample {
    const float *image; /* the stored embedding */
    size_t first, n;    /* its captions in the list */
};

struct job {
    struct scorer *k;
    struct cpv_part *part;
    cpv_shard *in[1 + CAPTION_COLUMNS];
    cpv_journal *journal;
    uint64_t *at; /* of each unit in the journal, plus 1; 0: not done */
    uint32_t n, units;
    cpv_arena *mem; /* of a unit */
    uint64_t counts[COUNTS], resumed;
    double seconds;
};

/* ---- reading ---- */

static int read_image(struct job *j, uint32_t i, struct sample *s, struct cpv_err *err)
{
    const char *key = cpv_shard_key(j->in[0], i);
    struct cpv_sample sample;
    struct cpv_npy a;
    float *values;
    int dim = engine_dim(j->k->engine);
    int rc = cpv_shard_read(j->in[0], i, "clip.npy", j->mem, &sample, err);

    if (!rc)
        rc = cpv_npy_read(sample.members[0].data, key, &a, err);
    if (rc)
        return cpv_err_add(err, "column 'score'");
    if (a.rows < 1 || a.cols != (uint64_t)dim)
        return cpv_fail(err, CPV_E_INPUT,
                        "column 'score': '%s' is an embedding of [%llu, %llu]; the model "
                        "has %d numbers",
                        key, (unsigned long long)a.rows, (unsigned long long)a.cols, dim);
    values = cpv_arena_calloc(j->mem, (size_t)(a.rows * a.cols), sizeof *values);
    if (!values)
        return cpv_fail_memory(err);
    cpv_npy_values(&a, values);
    s->image = values; /* of several views the first */
    return CPV_OK;
}

static int read_captions(struct job *j, uint32_t i, struct cpv_buf *list,
                         struct sample *s, struct cpv_err *err)
{
    const char *key = cpv_shard_key(j->in[0], i);
    struct cpv_bytes json[CAPTION_COLUMNS] = {{NULL, 0}};
    int columns = j->k->n_columns - 1, rc = CPV_OK;

    for (int c = 0; c < columns && !rc; c++) {
        cpv_shard *in = j->in[1 + c];
        struct cpv_sample sample;
        uint32_t at;

        if (!cpv_shard_find(in, key, &at))
            continue; /* it failed there: its reason stands in that column */
        rc = cpv_shard_read(in, at, "json", j->mem, &sample, err);
        if (!rc)
            json[c] = sample.members[0].data;
        else if (rc == CPV_E_ABSENT)
            rc = CPV_OK;
    }
    s->first = list->size / sizeof(struct text);
    if (!rc)
        rc = captions_add(json, columns, key, j->k->run->instance, j->mem, list, err);
    s->n = list->size / sizeof(struct text) - s->first;
    return rc;
}

/* ---- embedding ---- */

/* What is new to the memory, and whose it is. */
struct fresh {
    struct cpv_bytes *text;
    uint32_t *of;
    int32_t *read;
    float *vectors;
    size_t n;
};

static int embed_fresh(struct job *j, struct text *t, struct fresh *f, uint64_t *counts,
                       struct cpv_err *err)
{
    size_t dim = (size_t)engine_dim(j->k->engine);
    int64_t start = cpv_clock_ns();
    int rc = engine_texts(j->k->engine, f->text, f->n, f->vectors, f->read, err);

    for (size_t i = 0; i < f->n && !rc; i++) {
        const float *v = f->read[i] ? f->vectors + i * dim : NULL;

        t[f->of[i]].vector = v;
        counts[EMBEDDED] += v != NULL;
        counts[TOKENS] += (uint64_t)f->read[i];
        rc = memory_add(j->k->memory, f->text[i], v, err);
    }
    counts[US] += (uint64_t)(cpv_clock_ns() - start) / 1000;
    return rc;
}

/* Of each text that comes first the vector: remembered, or to be made. */
static int find_vectors(struct job *j, struct text *t, const uint32_t *first, size_t n,
                        struct fresh *f, uint64_t *counts, struct cpv_err *err)
{
    size_t dim = (size_t)engine_dim(j->k->engine);

    for (size_t i = 0; i < n; i++) {
        bool blank = false, again = false;
        float *v;

        counts[TEXTS] += !t[i].none;
        if (t[i].none || first[i] != i)
            continue;
        v = cpv_arena_alloc(j->mem, dim * sizeof *v);
        if (!v)
            return cpv_fail_memory(err);
        if (memory_find(j->k->memory, t[i].source, v, &blank, &again)) {
            t[i].vector = blank ? NULL : v;
        } else {
            f->text[f->n] = t[i].source;
            f->of[f->n++] = (uint32_t)i;
        }
        counts[DISTINCT] += !again;
    }
    return CPV_OK;
}

static int embed_all(struct job *j, struct text *t, size_t n, uint64_t *counts,
                     struct cpv_err *err)
{
    size_t dim = (size_t)engine_dim(j->k->engine);
    uint32_t *first = cpv_arena_calloc(j->mem, n + 1, sizeof *first);
    struct fresh f = {.text = cpv_arena_calloc(j->mem, n + 1, sizeof *f.text),
                      .of = cpv_arena_calloc(j->mem, n + 1, sizeof *f.of),
                      .read = cpv_arena_calloc(j->mem, n + 1, sizeof *f.read)};
    int rc = first && f.text && f.of && f.read ? CPV_OK : cpv_fail_memory(err);

    if (!rc)
        rc = captions_unite(t, n, first, j->mem, err);
    if (!rc)
        rc = find_vectors(j, t, first, n, &f, counts, err);
    if (!rc)
        f.vectors = cpv_arena_alloc(j->mem, (f.n + 1) * dim * sizeof *f.vectors);
    if (!rc && !f.vectors)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = embed_fresh(j, t, &f, counts, err);
    for (size_t i = 0; i < n && !rc; i++)
        if (!t[i].none)
            t[i].vector = t[first[i]].vector;
    return rc;
}

/* ---- units ---- */

static uint32_t unit_size(const struct job *j, uint32_t unit)
{
    uint32_t left = j->n - unit * UNIT;

    return left < UNIT ? left : UNIT;
}

static int keep_unit(struct job *j, uint32_t unit, const struct text *t,
                     const struct sample *s, const uint64_t *counts, struct cpv_err *err)
{
    struct cpv_buf record = {0}, json = {0};
    struct cpv_bytes piece;
    int rc;

    cpv_buf_u32(&record, unit);
    for (int i = 0; i < COUNTS; i++)
        cpv_buf_u64(&record, counts[i]);
    for (uint32_t i = 0; i < unit_size(j, unit); i++) {
        cpv_buf_clear(&json);
        cosine_json(s[i].image, engine_dim(j->k->engine), t ? t + s[i].first : NULL,
                    s[i].n, j->k->run->instance, &json);
        cpv_buf_u32(&record, (uint32_t)json.size);
        cpv_buf_add(&record, json.data, json.size);
    }
    piece = cpv_buf_view(&record);
    rc = record.failed || json.failed
             ? cpv_fail_memory(err)
             : cpv_journal_add(j->journal, &piece, 1, &j->at[unit], err);
    j->at[unit]++;
    cpv_buf_release(&json);
    cpv_buf_release(&record);
    return rc;
}

static int make_unit(struct job *j, uint32_t unit, struct cpv_err *err)
{
    struct sample *s = cpv_arena_calloc(j->mem, UNIT, sizeof *s);
    uint64_t counts[COUNTS] = {0};
    struct cpv_buf list = {0};
    struct text *t = NULL;
    int rc = s ? CPV_OK : cpv_fail_memory(err);

    for (uint32_t i = 0; i < unit_size(j, unit) && !rc; i++) {
        rc = read_image(j, unit * UNIT + i, &s[i], err);
        if (!rc)
            rc = read_captions(j, unit * UNIT + i, &list, &s[i], err);
    }
    t = (struct text *)(void *)list.data;
    if (!rc && t)
        rc = embed_all(j, t, list.size / sizeof *t, counts, err);
    if (!rc)
        rc = keep_unit(j, unit, t, s, counts, err);
    cpv_buf_release(&list);
    return rc;
}

static int all_units(struct job *j, struct cpv_err *err)
{
    struct cpv_run *run = j->k->run;
    int rc = CPV_OK;

    for (uint32_t u = 0; u < j->units && !rc; u++) {
        if (j->at[u]) {
            j->resumed += unit_size(j, u);
            cpv_progress_skip(run->progress, unit_size(j, u));
            continue;
        }
        if (cpv_stop_requested())
            return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
        rc = cpv_run_check_space(run, err);
        if (!rc)
            rc = score_start(j->k, err);
        if (!rc)
            rc = make_unit(j, u, err);
        cpv_arena_reset(j->mem);
        if (!rc)
            cpv_progress_add(run->progress, unit_size(j, u), 0);
    }
    return rc;
}

/* ---- the shard ---- */

static int put_unit(struct job *j, uint32_t unit, struct cpv_bytes payload,
                    struct cpv_err *err)
{
    struct cpv_cursor c = cpv_cursor_of(payload);

    (void)cpv_get_u32(&c);
    for (int i = 0; i < COUNTS; i++)
        j->counts[i] += cpv_get_u64(&c);
    for (uint32_t i = 0; i < unit_size(j, unit); i++) {
        struct cpv_member m = {.ext = "json"};

        m.data = cpv_get_bytes(&c, cpv_get_u32(&c));
        if (c.failed)
            return cpv_fail(err, CPV_E_CORRUPT, "a journal record is too short");
        cpv_shard_put(j->part->writer, cpv_shard_key(j->in[0], unit * UNIT + i), &m, 1);
    }
    return CPV_OK;
}

/* Whose embedding failed has no similarities. */
static int pass_failures(struct job *j, struct cpv_err *err)
{
    struct cpv_record_input input;
    struct cpv_record r;
    int rc =
        cpv_run_input(j->k->run, "score", j->part->number, j->part->mem, &input, &r, err);

    for (uint64_t i = 0; !rc && i < r.n_failures; i++)
        rc = cpv_part_fail(j->part, r.failures[i].row, r.failures[i].key, "no_embedding",
                           false, r.failures[i].status, err);
    return rc;
}

static int assemble(struct job *j, struct cpv_err *err)
{
    struct cpv_buf payload = {0};
    int rc = cpv_journal_sync(j->journal, err);

    for (uint32_t u = 0; u < j->units && !rc; u++) {
        rc = cpv_journal_read(j->journal, j->at[u] - 1, &payload, err);
        if (!rc)
            rc = put_unit(j, u, cpv_buf_view(&payload), err);
    }
    cpv_buf_release(&payload);
    if (!rc)
        rc = pass_failures(j, err);
    return rc ? rc : cpv_shard_check_writer(j->part->writer, err);
}

/* ---- the part ---- */

static int replay(void *ctx, struct cpv_bytes payload, uint64_t offset,
                  struct cpv_err *err)
{
    struct job *j = ctx;
    struct cpv_cursor c = cpv_cursor_of(payload);
    uint32_t unit = cpv_get_u32(&c);

    (void)err;
    if (!c.failed && unit < j->units)
        j->at[unit] = offset + 1;
    return CPV_OK;
}

static int run_job(struct job *j, struct cpv_err *err)
{
    char *path = cpv_part_journal_path(j->k->run, j->part);
    cpv_arena *mem = j->part->mem;
    uint8_t identity[32];
    int64_t start = cpv_clock_ns();
    int rc = path ? cpv_arena_open(&j->mem, (size_t)1 << 20, err) : cpv_fail_memory(err);

    cpv_part_identity(j->part, identity);
    for (int i = 0; i < j->k->n_columns && !rc; i++)
        rc = cpv_run_open_input(j->k->run, j->k->columns[i], j->part->number, mem,
                                &j->in[i], err);
    if (rc)
        return rc;
    j->n = cpv_shard_count(j->in[0]);
    j->units = (j->n + UNIT - 1) / UNIT;
    j->at = cpv_arena_calloc(mem, (size_t)j->units + 1, sizeof *j->at);
    if (!j->at)
        return cpv_fail_memory(err);
    rc = cpv_journal_open(&j->journal, path, cpv_bytes_of(identity, sizeof identity),
                          replay, j, err);
    if (!rc && j->k->memory)
        memory_begin(j->k->memory);
    if (!rc)
        rc = all_units(j, err);
    j->seconds = (double)(cpv_clock_ns() - start) * 1e-9;
    return rc ? rc : assemble(j, err);
}

static void put_stats(const struct job *j, struct cpv_buf *out)
{
    const uint64_t *n = j->counts;
    double seconds = (double)n[US] * 1e-6;

    cpv_buf_printf(out,
                   "\"samples\":%u,\"resumed\":%llu,\"texts\":%llu,\"distinct\":%llu,"
                   "\"embedded\":%llu,\"tokens\":%llu,\"seconds_text\":%.3f,"
                   "\"seconds\":%.3f,\"texts_per_second\":%.1f",
                   j->n, (unsigned long long)j->resumed, (unsigned long long)n[TEXTS],
                   (unsigned long long)n[DISTINCT], (unsigned long long)n[EMBEDDED],
                   (unsigned long long)n[TOKENS], seconds, j->seconds,
                   seconds > 0 ? (double)n[EMBEDDED] / seconds : 0);
}

int score_texts(struct scorer *k, struct cpv_part **part, struct cpv_err *err)
{
    struct job j = {.k = k, .part = *part};
    struct cpv_buf stats = {0};
    bool committed = false;
    int rc = run_job(&j, err);

    for (int i = 0; i < k->n_columns; i++)
        cpv_shard_close(&j.in[i]);
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
    cpv_arena_close(&j.mem);
    return rc;
}
