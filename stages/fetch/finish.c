/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outcomes of a part, in row order, become its shard and record. Whatever
 * depends on more than one row is decided here, where the order is that of the
 * rows and not that of the network: of equal files the first row's is kept.
 */
#include <string.h>

#include "common/base/hash.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/format/json.h"
#include "stages/fetch/fetch.h"

/* Digests of the files kept so far: an open hash table. */
struct seen {
    uint8_t (*digest)[CPV_SHA256_SIZE];
    bool *used;
    size_t mask;
};

struct finish {
    struct fetch *f;
    struct fetch_part *p;
    cpv_arena *mem; /* of one row */
    struct cpv_buf payload;
    struct seen seen;
    uint64_t downloads_failed, resizes_failed, failed, transient;
};

static bool seen_before(struct seen *s, const uint8_t digest[CPV_SHA256_SIZE])
{
    size_t at = (size_t)cpv_load_u64(digest) & s->mask;

    for (; s->used[at]; at = (at + 1) & s->mask)
        if (memcmp(s->digest[at], digest, CPV_SHA256_SIZE) == 0)
            return true;
    s->used[at] = true;
    memcpy(s->digest[at], digest, CPV_SHA256_SIZE);
    return false;
}

/* img2dataset counts what failed after the download apart from the rest. */
static bool is_image_fault(const char *status)
{
    static const char *const names[] = {
        "empty",    "not_image", "unsupported_format", "decode",
        "bomb",     "too_small", "too_large_area",     "aspect",
        "bad_json", "no_image",  "truncated",          "duplicate_key",
        NULL};

    for (size_t i = 0; names[i]; i++)
        if (strcmp(status, names[i]) == 0)
            return true;
    return false;
}

static int fail_row(struct finish *w, uint64_t index, const char *key, const char *status,
                    bool transient, const char *detail, struct cpv_err *err)
{
    w->failed++;
    w->transient += transient;
    if (is_image_fault(status))
        w->resizes_failed++;
    else
        w->downloads_failed++;
    return cpv_part_fail(w->p->part, w->p->first_row + index, key, status, transient,
                         detail, err);
}

/* The digest of the original, which a copied sample says in its JSON. */
static bool digest_of_copy(const struct cpv_sample *s, uint8_t out[CPV_SHA256_SIZE])
{
    const struct cpv_member *json = cpv_sample_member(s, "json");
    const json_t *v;
    json_t *root = NULL;
    bool ok;

    if (!json || cpv_json_parse(json->data, s->key, &root, NULL))
        return false;
    v = json_object_get(root, "sha256");
    ok = json_is_string(v) &&
         cpv_unhex(out, CPV_SHA256_SIZE,
                   cpv_bytes_of(json_string_value(v), json_string_length(v)));
    json_decref(root);
    return ok;
}

static int copy_row(struct finish *w, uint32_t index, const char *key, uint32_t at,
                    struct cpv_err *err)
{
    uint8_t digest[CPV_SHA256_SIZE];
    struct cpv_sample s;
    int rc = cpv_shard_read(w->p->old, at, NULL, w->mem, &s, err);

    if (rc)
        return rc;
    if (digest_of_copy(&s, digest) && seen_before(&w->seen, digest))
        return fail_row(w, index, key, "duplicate_content", false, "", err);
    cpv_shard_put(w->p->part->writer, key, s.members, s.n_members);
    return cpv_shard_check_writer(w->p->part->writer, err);
}

static int finish_row(struct finish *w, uint32_t index, struct cpv_err *err)
{
    const struct fetch_slot *slot = &w->p->slots[index];
    const char *key = fetch_key(w->f, w->p->part->number, index, w->mem);
    struct fetch_outcome o;
    int rc;

    if (!key)
        return cpv_fail_memory(err);
    if (slot->state == FETCH_TODO)
        return cpv_fail(err, CPV_E_BUG, "part %05u: row %u has no outcome",
                        w->p->part->number, index);
    if (slot->state == FETCH_COPIED)
        return copy_row(w, index, key, (uint32_t)slot->at, err);
    if ((rc = cpv_journal_read(w->p->journal, slot->at, &w->payload, err)) ||
        (rc = fetch_outcome_decode(cpv_buf_view(&w->payload), w->mem, &o, err)))
        return rc;
    if (o.key)
        key = o.key;
    if (!o.ok)
        return fail_row(w, index, key, o.status, o.transient, o.detail, err);
    if (seen_before(&w->seen, o.sha256))
        return fail_row(w, index, key, "duplicate_content", false, "", err);
    cpv_shard_put(w->p->part->writer, key, o.members, o.n_members);
    return cpv_shard_check_writer(w->p->part->writer, err);
}

static int open_seen(struct seen *s, uint32_t n, struct cpv_err *err)
{
    s->mask = 1;
    while (s->mask < 2 * (size_t)n)
        s->mask = s->mask * 2 + 1;
    s->digest = cpv_calloc(s->mask + 1, CPV_SHA256_SIZE);
    s->used = cpv_calloc(s->mask + 1, 1);
    return s->digest && s->used ? CPV_OK : cpv_fail_memory(err);
}

/* The inside of the stats object: img2dataset's keys and ours. */
static void put_stats(const struct finish *w, struct cpv_buf *out)
{
    struct cpv_status_count *counts = NULL;
    struct cpv_record r = w->p->part->record;
    uint32_t n = 0;

    cpv_buf_printf(
        out,
        "\"failed_to_download\":%llu,\"failed_to_resize\":%llu,"
        "\"downloaded_bytes\":%llu,\"status_dict\":{\"success\":%llu",
        (unsigned long long)w->downloads_failed, (unsigned long long)w->resizes_failed,
        (unsigned long long)w->p->body_bytes,
        (unsigned long long)(w->p->n + w->p->repeated + w->p->cut_off - w->failed));
    cpv_part_failures(w->p->part, &r);
    if (cpv_record_statuses(&r, w->mem, &counts, &n, NULL) == CPV_OK)
        for (uint32_t i = 0; i < n; i++)
            cpv_buf_printf(out, ",\"%s\":%llu", counts[i].status,
                           (unsigned long long)counts[i].count);
    cpv_buf_byte(out, '}');
}

static int write_part(struct finish *w, struct cpv_err *err)
{
    struct fetch_part *p = w->p;
    int rc = cpv_journal_sync(p->journal, err);

    for (uint32_t i = 0; i < p->n && !rc; i++) {
        if (i % 256 == 0 && cpv_stop_requested())
            return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
        rc = i % 256 == 0 ? cpv_run_check_space(w->f->run, err) : CPV_OK;
        if (!rc)
            rc = finish_row(w, i, err);
        cpv_arena_reset(w->mem);
    }
    /* What a tar held besides: known by number only, and accounted for. */
    for (uint64_t i = 0; i < p->repeated + p->cut_off && !rc; i++)
        rc = fail_row(w, p->n + i, "", i < p->repeated ? "duplicate_key" : "truncated",
                      false, "", err);
    return rc;
}

static int finish_part(struct fetch *f, struct fetch_part *p, struct cpv_err *err)
{
    struct finish w = {.f = f, .p = p};
    struct cpv_buf stats = {0};
    uint64_t transient = 0;
    bool committed = false;
    int rc = cpv_arena_open(&w.mem, (size_t)1 << 20, err);

    for (uint32_t i = 0; i < p->n; i++)
        transient += p->slots[i].transient;
    if (!rc && cpv_run_holds(f->run, p->n, transient)) {
        /* Not worth a shard: let commit say so and keep the journal. */
        for (uint32_t i = 0; i < p->n && !rc; i++)
            if (p->slots[i].transient)
                rc = cpv_part_fail(p->part, p->first_row + i, "", "", true, "", err);
    } else if (!rc) {
        rc = open_seen(&w.seen, p->n, err);
        if (!rc)
            rc = write_part(&w, err);
    }
    if (!rc)
        put_stats(&w, &stats);
    if (!rc)
        rc = cpv_part_commit(f->run, &p->part, cpv_buf_view(&stats), &committed, err);
    if (!rc && committed)
        rc = cpv_journal_remove(&p->journal, err);
    cpv_buf_release(&stats);
    cpv_buf_release(&w.payload);
    cpv_free(w.seen.digest);
    cpv_free(w.seen.used);
    cpv_arena_close(&w.mem);
    return rc;
}

void fetch_finish_main(void *arg, int worker)
{
    struct fetch *f = arg;
    void *item;

    (void)worker;
    while (cpv_queue_get(f->finish, &item)) {
        struct fetch_job *job = item;
        struct cpv_err err = {0};

        if (finish_part(f, job->owner, &err)) {
            pthread_mutex_lock(&f->lock);
            if (!f->finish_err.code)
                f->finish_err = err;
            pthread_mutex_unlock(&f->lock);
        }
        if (!cpv_queue_put(f->done, job))
            fetch_job_free(&job);
    }
}
