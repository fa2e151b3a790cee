/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of a part become jobs: what the journal of an earlier run already has is not
 * done again (passing failures are), URLs that came before are not fetched twice,
 * bad rows end here.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/corpus/column.h"
#include "stages/fetch/fetch.h"

/* Samples of a tar on their way at once: enough for every decoder, little memory. */
enum { TAR_IN_FLIGHT = 256, SAMPLES_MAX = 100000000 };

char *fetch_key(const struct fetch *f, uint32_t part, uint32_t index, cpv_arena *mem)
{
    return cpv_arena_printf(mem, "%05u%0*u", part, f->key_digits, index);
}

char *fetch_foreign_key(const char *key, cpv_arena *mem)
{
    char *copy = cpv_arena_str(mem, cpv_bytes_str(key));

    if (!copy || cpv_shard_key_ok(key))
        return copy;
    for (char *p = copy; *p; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
              (*p >= '0' && *p <= '9') || *p == '-' || *p == '_'))
            *p = '_';
    }
    /* Two keys that differ only in what was replaced must stay two. */
    return cpv_arena_printf(mem, "%.60s_%016llx", copy,
                            (unsigned long long)cpv_xxh64(key, strlen(key), 0));
}

/* ---- opening a part ---- */

static int grow_slots(struct fetch_part *p, uint32_t n, struct cpv_err *err)
{
    uint32_t capacity = p->capacity ? p->capacity : 1024;
    struct fetch_slot *slots;
    size_t bytes;

    if (n <= p->capacity)
        return CPV_OK;
    while (capacity < n)
        capacity *= 2;
    if (!cpv_size_mul(capacity, sizeof *slots, &bytes) ||
        !(slots = cpv_realloc(p->slots, bytes)))
        return cpv_fail_memory(err);
    memset(slots + p->capacity, 0, (capacity - p->capacity) * sizeof *slots);
    p->slots = slots;
    p->capacity = capacity;
    return CPV_OK;
}

int fetch_part_note(struct fetch_part *p, uint32_t index, uint64_t offset, bool transient,
                    struct cpv_err *err)
{
    int rc = grow_slots(p, index + 1, err);

    if (rc)
        return rc;
    if (p->n < index + 1)
        p->n = index + 1;
    p->slots[index].at = offset;
    p->slots[index].state = FETCH_JOURNALED;
    p->slots[index].transient = transient;
    return CPV_OK;
}

/* A record of an earlier run. Of several for one row the last counts. */
static int replay(void *ctx, struct cpv_bytes payload, uint64_t offset,
                  struct cpv_err *err)
{
    struct fetch_part *p = ctx;
    struct cpv_cursor c = cpv_cursor_of(payload);
    uint32_t index = cpv_get_u32(&c);
    uint8_t flags = cpv_get_u8(&c);

    if (c.failed || index >= (p->rows ? p->n : SAMPLES_MAX))
        return CPV_OK; /* of another time: as if it were not there */
    return fetch_part_note(p, index, offset, (flags & 6) == 2, err);
}

bool fetch_refetch_wants(const struct fetch_settings *set, const struct cpv_failure *fail)
{
    const char *want = set->refetch;

    if (!want)
        return false;
    return strcmp(want, "all") == 0 || strcmp(want, fail->status) == 0 ||
           (strcmp(want, "transient") == 0 && fail->transient);
}

/* Put a failure of the earlier revision into the journal, as if it had come now. */
static int keep_failure(struct fetch_part *p, const struct cpv_failure *fail,
                        uint32_t index, struct cpv_err *err)
{
    struct fetch_outcome o = {.index = index,
                              .transient = fail->transient,
                              .kept = true,
                              .status = fail->status,
                              .detail = fail->detail};
    struct cpv_buf payload = {0};
    struct cpv_bytes piece;
    uint64_t offset;
    int rc;

    fetch_outcome_encode(&o, &payload);
    piece = cpv_buf_view(&payload);
    rc = payload.failed ? cpv_fail_memory(err)
                        : cpv_journal_add(p->journal, &piece, 1, &offset, err);
    if (!rc)
        rc = fetch_part_note(p, index, offset, false, err);
    cpv_buf_release(&payload);
    return rc;
}

/*
 * A refetch: what the earlier revision has is copied, its failures that were not
 * asked for are kept, the rest is to do.
 */
static int reuse(struct fetch *f, struct fetch_part *p, struct cpv_err *err)
{
    struct cpv_part *part = p->part;
    struct cpv_record was;
    char *shard = cpv_column_path(p->mem, f->run->corpus, f->run->column, part->number,
                                  (uint32_t)part->previous, CPV_FILE_SHARD);
    char *record = cpv_column_path(p->mem, f->run->corpus, f->run->column, part->number,
                                   (uint32_t)part->previous, CPV_FILE_RECORD);
    int rc = shard && record ? cpv_record_read(record, p->mem, &was, err)
                             : cpv_fail_memory(err);

    if (!rc)
        rc = cpv_shard_open(&p->old, shard, err);
    for (uint32_t i = 0; i < p->n && !rc; i++) {
        const char *key = fetch_key(f, part->number, i, p->mem);
        uint32_t at;

        if (!key)
            rc = cpv_fail_memory(err);
        else if (p->slots[i].state == FETCH_TODO && cpv_shard_find(p->old, key, &at))
            p->slots[i] = (struct fetch_slot){at, FETCH_COPIED, false};
    }
    for (uint64_t i = 0; i < was.n_failures && !rc; i++) {
        uint64_t index = was.failures[i].row - p->first_row;

        if (index < p->n && p->slots[index].state == FETCH_TODO &&
            !fetch_refetch_wants(f->set, &was.failures[i]))
            rc = keep_failure(p, &was.failures[i], (uint32_t)index, err);
    }
    return rc;
}

/* A refetch of other rows is other work. */
static void add_selection(const struct fetch *f, const struct fetch_part *p,
                          uint8_t identity[CPV_SHA256_SIZE])
{
    uint64_t selection;

    if (!p->part->again || !f->set->refetch)
        return;
    selection = cpv_xxh64(f->set->refetch, strlen(f->set->refetch), 0);
    for (int i = 0; i < 8; i++)
        identity[i] ^= (uint8_t)(selection >> (8 * i));
}

static int load(struct fetch *f, struct fetch_part *p, struct cpv_err *err)
{
    char *path = cpv_part_journal_path(f->run, p->part);
    uint8_t identity[CPV_SHA256_SIZE];
    struct cpv_row *rows = NULL;
    int rc = path ? CPV_OK : cpv_fail_memory(err);

    cpv_part_identity(p->part, identity);
    add_selection(f, p, identity);
    if (!rc && !fetch_source_is_tars(f->source)) {
        rc = fetch_source_rows_of(f->source, p->part->number, p->mem, &rows, &p->n, err);
        p->rows = rows;
        if (!rc)
            rc = grow_slots(p, p->n, err);
    } else if (!rc) {
        rc = fetch_source_samples_of(f->source, p->part->number, &p->samples, err);
    }
    if (!rc)
        rc = cpv_journal_open(&p->journal, path, cpv_bytes_of(identity, sizeof identity),
                              replay, p, err);
    if (!rc && p->rows && p->part->again)
        rc = reuse(f, p, err);
    return rc;
}

int fetch_part_open(struct fetch *f, struct cpv_part **part, struct fetch_part **out,
                    struct cpv_err *err)
{
    struct fetch_part *p = cpv_calloc(1, sizeof *p);
    int rc;

    *out = NULL;
    if (!p || cpv_arena_open(&p->mem, (size_t)1 << 20, NULL)) {
        cpv_free(p);
        cpv_part_release(f->run, part);
        return cpv_fail_memory(err);
    }
    p->part = *part;
    *part = NULL;
    p->first_row = p->part->record.row_begin;
    rc = load(f, p, err);
    if (rc)
        fetch_part_close(f, &p);
    *out = p;
    return rc;
}

void fetch_part_close(struct fetch *f, struct fetch_part **pp)
{
    struct fetch_part *p = *pp;

    *pp = NULL;
    if (!p)
        return;
    cpv_samples_close(&p->samples);
    cpv_journal_close(&p->journal);
    cpv_shard_close(&p->old);
    cpv_part_release(f->run, &p->part);
    cpv_free(p->slots);
    cpv_arena_close(&p->mem);
    cpv_free(p);
}

/* ---- rows ---- */

static struct fetch_job *new_job(struct fetch_part *p, uint32_t index)
{
    struct fetch_job *job = cpv_calloc(1, sizeof *job);

    if (job) {
        job->owner = p;
        job->index = index;
        job->row = p->rows ? &p->rows[index] : NULL;
    }
    return job;
}

void fetch_job_free(struct fetch_job **jp)
{
    struct fetch_job *job = *jp;

    *jp = NULL;
    if (!job)
        return;
    cpv_buf_release(&job->body);
    cpv_buf_release(&job->payload);
    cpv_free(job->foreign);
    cpv_free(job);
}

static int send(struct fetch *f, struct fetch_job *job, struct cpv_err *err)
{
    struct fetch_part *p = job->owner;
    const struct cpv_row *row = job->row;
    int rc = CPV_OK;

    if (row && !job->status && !row->file) {
        rc = cpv_http_submit(f->http, row->url, job, err);
    } else {
        job->path = row && !job->status ? row->file : NULL;
        if (!cpv_queue_put(f->todo, job))
            rc = cpv_fail(err, CPV_E_BUG, "the queue of the decoders has ended");
    }
    if (rc) {
        fetch_job_free(&job);
        return rc;
    }
    p->pending++;
    f->in_flight++;
    return CPV_OK;
}

/* An open hash table of URLs: the first row of each. */
struct url_set {
    uint32_t *slot; /* row + 1 */
    size_t mask;
};

/* Is there an earlier row with the same URL? If not, remember this one. */
static bool seen_before(struct url_set *set, const struct cpv_row *rows, uint32_t index)
{
    const char *url = rows[index].url;
    size_t at = (size_t)cpv_xxh64(url, strlen(url), 0) & set->mask;

    for (; set->slot[at]; at = (at + 1) & set->mask)
        if (strcmp(rows[set->slot[at] - 1].url, url) == 0)
            return true;
    set->slot[at] = index + 1;
    return false;
}

static int feed_rows(struct fetch *f, struct fetch_part *p, struct cpv_err *err)
{
    struct url_set set = {NULL, 1};
    uint64_t todo = 0;
    int rc;

    while (set.mask < 2 * (size_t)p->n)
        set.mask = set.mask * 2 + 1;
    set.slot = cpv_calloc(set.mask + 1, sizeof *set.slot);
    rc = set.slot ? CPV_OK : cpv_fail_memory(err);
    for (uint32_t i = 0; i < p->n && !rc; i++) {
        const struct cpv_row *row = &p->rows[i];
        const struct fetch_slot *slot = &p->slots[i];
        bool repeated =
            !row->bad && row->url && !row->file && seen_before(&set, p->rows, i);
        struct fetch_job *job;

        if (slot->state != FETCH_TODO && !slot->transient)
            continue;
        todo++;
        if (!(job = new_job(p, i))) {
            rc = cpv_fail_memory(err);
        } else {
            if (row->bad)
                job->status = "bad_row";
            else if (repeated)
                job->status = "duplicate_url";
            rc = send(f, job, err);
        }
    }
    cpv_free(set.slot);
    cpv_progress_skip(f->run->progress, p->n - todo);
    p->fed = true;
    return rc;
}

/* ---- tars ---- */

/* Append n bytes at *to and step over them; where they are now. */
static char *append(char **to, const void *from, size_t n)
{
    char *at = *to;

    if (n)
        memcpy(at, from, n);
    *to += n;
    return at;
}

/* One block: the struct, the key, then of each member the extension and the bytes. */
static struct fetch_foreign *copy_sample(const struct cpv_sample *s)
{
    size_t size = sizeof(struct fetch_foreign) + strlen(s->key) + 1;
    struct fetch_foreign *out;
    char *at;

    for (size_t i = 0; i < s->n_members; i++) {
        if (!cpv_size_add(size, s->members[i].data.size, &size) ||
            !cpv_size_add(size, strlen(s->members[i].ext) + 1, &size))
            return NULL;
    }
    out = cpv_alloc(size);
    if (!out)
        return NULL;
    at = (char *)(out + 1);
    out->key = append(&at, s->key, strlen(s->key) + 1);
    out->n_members = s->n_members;
    for (size_t i = 0; i < s->n_members; i++) {
        const struct cpv_member *m = &s->members[i];

        out->members[i].ext = append(&at, m->ext, strlen(m->ext) + 1);
        out->members[i].data.data =
            (const uint8_t *)append(&at, m->data.data, m->data.size);
        out->members[i].data.size = m->data.size;
    }
    return out;
}

static int send_sample(struct fetch *f, struct fetch_part *p, const struct cpv_sample *s,
                       struct cpv_err *err)
{
    uint32_t index = (uint32_t)s->number;
    struct fetch_job *job;
    int rc =
        s->number < SAMPLES_MAX
            ? grow_slots(p, index + 1, err)
            : cpv_fail(err, CPV_E_INPUT, "more than %d samples in one tar", SAMPLES_MAX);

    if (rc)
        return rc;
    if (p->n < index + 1)
        p->n = index + 1;
    if (p->slots[index].state != FETCH_TODO && !p->slots[index].transient) {
        cpv_progress_skip(f->run->progress, 1);
        return CPV_OK;
    }
    job = new_job(p, index);
    if (job && s->n_members <= FETCH_MEMBERS_MAX - 2)
        job->foreign = copy_sample(s);
    if (!job)
        return cpv_fail_memory(err);
    if (s->n_members > FETCH_MEMBERS_MAX - 2) {
        struct cpv_sample only = {s->key, NULL, 0, s->number};

        job->status = "too_many_members";
        job->foreign = copy_sample(&only);
    }
    if (!job->foreign) {
        fetch_job_free(&job);
        return cpv_fail_memory(err);
    }
    return send(f, job, err);
}

static int feed_tar(struct fetch *f, struct fetch_part *p, struct cpv_err *err)
{
    const struct cpv_samples_report *report;
    int rc = CPV_OK;

    while (p->pending < TAR_IN_FLIGHT && !rc) {
        struct cpv_sample s;

        rc = cpv_samples_next(p->samples, &s, err);
        if (rc == 0)
            p->fed = true;
        if (rc <= 0)
            break;
        rc = send_sample(f, p, &s, err);
    }
    if (!p->fed)
        return rc;
    report = cpv_samples_report(p->samples);
    if (report->truncated || report->dropped || report->duplicates || report->unclosed)
        cpv_log_warning(f->run->log,
                        "part %05u: its tar%s%s; %llu samples dropped, %llu left out "
                        "because their key came before",
                        p->part->number, report->truncated ? " is cut off" : "",
                        report->unclosed ? " has no end" : "",
                        (unsigned long long)report->dropped,
                        (unsigned long long)report->duplicates);
    p->repeated = report->duplicates;
    p->cut_off = report->dropped + (report->truncated && !report->dropped);
    p->part->record.row_end = p->n + p->repeated + p->cut_off;
    cpv_samples_close(&p->samples);
    return rc;
}

int fetch_part_feed(struct fetch *f, struct fetch_part *p, struct cpv_err *err)
{
    if (p->fed)
        return CPV_OK;
    return p->rows ? feed_rows(f, p, err) : feed_tar(f, p, err);
}
