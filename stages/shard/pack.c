/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One output shard. Its samples lie all over the corpus; they are read in the order
 * in which they lie, each frame once, into a journal, and put from there in the
 * order in which they are packed. Memory stays small, and a kill costs little.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/merge.h"
#include "common/format/journal.h"
#include "stages/shard/pack.h"

/* A sample that this shard takes. */
struct item {
    uint32_t part, pos;
    uint32_t slot;   /* its place in the shard */
    bool repeated;   /* its key needs the part's number before it */
    uint64_t offset; /* in the journal, plus 1; 0: not there yet */
};

struct packing {
    struct pack *p;
    struct cpv_part *part;
    struct item *items;      /* by slot */
    const struct item **way; /* the same in reading order */
    uint32_t n;
    cpv_journal *journal;
    cpv_arena *mem; /* of one sample */
    cpv_shard *open[PACK_COLUMNS_MAX];
    uint32_t open_part;
    bool any_open;
};

/* ---- the journal's records: u32 slot | str key | u16 members | (str ext, u32) | bytes
 * ---- */

static void put_str(struct cpv_buf *b, const char *s)
{
    cpv_buf_u16(b, (uint16_t)strlen(s));
    cpv_buf_str(b, s);
}

static int write_item(struct packing *k, struct item *item, const char *key,
                      const struct cpv_member *members, size_t n, struct cpv_err *err)
{
    struct cpv_bytes *pieces = cpv_arena_calloc(k->mem, n + 1, sizeof *pieces);
    struct cpv_buf head = {0};
    int rc;

    if (!pieces)
        return cpv_fail_memory(err);
    cpv_buf_u32(&head, item->slot);
    put_str(&head, key);
    cpv_buf_u16(&head, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        put_str(&head, members[i].ext);
        cpv_buf_u32(&head, (uint32_t)members[i].data.size);
        pieces[i + 1] = members[i].data;
    }
    pieces[0] = cpv_buf_view(&head);
    rc = head.failed ? cpv_fail_memory(err)
                     : cpv_journal_add(k->journal, pieces, n + 1, &item->offset, err);
    item->offset++;
    cpv_buf_release(&head);
    return rc;
}

static char *get_str(struct cpv_cursor *c, cpv_arena *mem)
{
    struct cpv_bytes b = cpv_get_bytes(c, cpv_get_u16(c));
    char *s = c->failed ? NULL : cpv_arena_str(mem, b);

    c->failed |= !s;
    return s;
}

static int put_item(struct packing *k, struct cpv_bytes payload, struct cpv_err *err)
{
    struct cpv_cursor c = cpv_cursor_of(payload);
    struct cpv_member *members;
    char *key;
    size_t n;

    (void)cpv_get_u32(&c);
    key = get_str(&c, k->mem);
    n = cpv_get_u16(&c);
    members = cpv_arena_calloc(k->mem, n + 1, sizeof *members);
    if (!key || !members)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        members[i].ext = get_str(&c, k->mem);
        members[i].data.size = cpv_get_u32(&c);
    }
    for (size_t i = 0; i < n; i++)
        members[i].data = cpv_get_bytes(&c, members[i].data.size);
    if (c.failed)
        return cpv_fail(err, CPV_E_CORRUPT, "a journal record is no sample");
    cpv_shard_put(k->part->writer, key, members, n);
    return cpv_shard_check_writer(k->part->writer, err);
}

/* What an earlier run has read already; of the same selection, says the identity. */
static int replay(void *ctx, struct cpv_bytes payload, uint64_t offset,
                  struct cpv_err *err)
{
    struct packing *k = ctx;
    struct cpv_cursor c = cpv_cursor_of(payload);
    uint32_t slot = cpv_get_u32(&c);

    (void)err;
    if (!c.failed && slot < k->n)
        k->items[slot].offset = offset + 1;
    return CPV_OK;
}

/* ---- reading ---- */

static void close_part(struct packing *k)
{
    for (size_t i = 0; i < k->p->n_columns; i++)
        cpv_shard_close(&k->open[i]);
    k->any_open = false;
}

static int open_part(struct packing *k, uint32_t part, struct cpv_err *err)
{
    if (k->any_open && k->open_part == part)
        return CPV_OK;
    close_part(k);
    k->any_open = true;
    k->open_part = part;
    for (size_t i = 0; i < k->p->n_columns; i++) {
        const struct pack_column *c = &k->p->columns[i];
        uint32_t revision = 0;
        char *path;
        int rc;

        (void)cpv_column_find(&c->parts, part, &revision);
        path = cpv_column_path(k->mem, k->p->run->corpus, c->name, part, revision,
                               CPV_FILE_SHARD);
        if (!path)
            return cpv_fail_memory(err);
        if ((rc = cpv_shard_open(&k->open[i], path, err)))
            return rc;
    }
    return CPV_OK;
}

static const char *packed_key(struct packing *k, const struct item *item, const char *key)
{
    return item->repeated ? cpv_arena_printf(k->mem, "%05u-%.73s", item->part, key) : key;
}

/* The survey has taken this sample: the filters leave it. */
static int filter(struct packing *k, const char *key, struct cpv_member *members,
                  size_t n, struct cpv_err *err)
{
    bool keep = true;
    int rc = CPV_OK;

    for (size_t i = 0; i < n && cpv_filter_is_on(&k->p->filter); i++) {
        if (strcmp(members[i].ext, "json") == 0)
            rc =
                cpv_filter_text(&k->p->filter, key, &members[i].data, k->mem, &keep, err);
    }
    if (!rc && !keep)
        rc =
            cpv_fail(err, CPV_E_BUG, "'%s': the survey took it, the filters do not", key);
    return rc;
}

static int read_item(struct packing *k, struct item *item, struct cpv_err *err)
{
    struct cpv_sample samples[PACK_COLUMNS_MAX];
    struct cpv_member *members;
    const char *key = NULL;
    size_t n;
    int rc = open_part(k, item->part, err);

    for (size_t i = 0; i < k->p->n_columns && !rc; i++) {
        uint32_t at = item->pos;

        if (i > 0 && !cpv_shard_find(k->open[i], samples[0].key, &at))
            rc = cpv_fail(err, CPV_E_CORRUPT, "column '%s' part %05u: '%s' is gone",
                          k->p->columns[i].name, item->part, samples[0].key);
        if (!rc)
            rc = cpv_shard_read(k->open[i], at, NULL, k->mem, &samples[i], err);
    }
    if (!rc)
        rc = cpv_merge_samples(samples, k->p->n_columns, k->p->set->images, k->mem,
                               &members, &n, err);
    if (!rc)
        rc = filter(k, samples[0].key, members, n, err);
    if (!rc && !(key = packed_key(k, item, samples[0].key)))
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = write_item(k, item, key, members, n, err);
    return rc;
}

static int compare_way(const void *pa, const void *pb)
{
    const struct item *a = *(const struct item *const *)pa;
    const struct item *b = *(const struct item *const *)pb;

    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    return a->pos < b->pos ? -1 : a->pos > b->pos;
}

static int gather(struct packing *k, struct cpv_err *err)
{
    int rc = CPV_OK;

    qsort(k->way, k->n, sizeof *k->way, compare_way);
    for (uint32_t i = 0; i < k->n && !rc; i++) {
        struct item *item = &k->items[k->way[i]->slot];

        if (item->offset) {
            cpv_progress_skip(k->p->run->progress, 1);
            continue;
        }
        if (i % 64 == 0 && cpv_stop_requested())
            return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
        if (i % 64 == 0 && (rc = cpv_run_check_space(k->p->run, err)))
            return rc;
        rc = read_item(k, item, err);
        cpv_arena_reset(k->mem);
        cpv_progress_add(k->p->run->progress, 1, 0);
    }
    close_part(k);
    return rc;
}

static int assemble(struct packing *k, struct cpv_err *err)
{
    struct cpv_buf payload = {0};
    int rc = cpv_journal_sync(k->journal, err);

    for (uint32_t i = 0; i < k->n && !rc; i++) {
        rc = cpv_journal_read(k->journal, k->items[i].offset - 1, &payload, err);
        if (!rc)
            rc = put_item(k, cpv_buf_view(&payload), err);
        cpv_arena_reset(k->mem);
    }
    cpv_buf_release(&payload);
    return rc;
}

/* ---- one part ---- */

static int choose(struct packing *k, struct cpv_err *err)
{
    uint64_t first = k->part->record.row_begin;

    k->n = (uint32_t)(k->part->record.row_end - first);
    k->items = cpv_arena_calloc(k->part->mem, (size_t)k->n + 1, sizeof *k->items);
    k->way = cpv_arena_calloc(k->part->mem, (size_t)k->n + 1, sizeof *k->way);
    if (!k->items || !k->way)
        return cpv_fail_memory(err);
    for (uint32_t i = 0; i < k->n; i++) {
        const struct pack_entry *e = &k->p->entries[first + i];

        k->items[i] = (struct item){e->part, e->pos & ~PACK_KEY_REPEATED, i,
                                    (e->pos & PACK_KEY_REPEATED) != 0, 0};
        k->way[i] = &k->items[i];
    }
    return CPV_OK;
}

static int run_packing(struct packing *k, struct cpv_err *err)
{
    char *path = cpv_part_journal_path(k->p->run, k->part);
    uint8_t identity[32];
    int rc = path ? cpv_arena_open(&k->mem, (size_t)1 << 20, err) : cpv_fail_memory(err);

    cpv_part_identity(k->part, identity);
    if (!rc)
        rc = choose(k, err);
    if (!rc)
        rc = cpv_journal_open(&k->journal, path, cpv_bytes_of(identity, sizeof identity),
                              replay, k, err);
    if (!rc)
        rc = gather(k, err);
    if (!rc)
        rc = assemble(k, err);
    return rc;
}

/* What the survey left out; the same for all parts of a set. */
static void put_stats(const struct pack_dropped *d, struct cpv_buf *out)
{
    const struct cpv_filter_counts *f = &d->filters;

    cpv_buf_printf(out,
                   "\"dropped\":{\"duplicate_url\":%llu,\"duplicate_content\":%llu,"
                   "\"missing\":%llu,\"below_original\":%llu,\"no_caption\":%llu},"
                   "\"captions_dropped\":{\"flagged\":%llu,\"below\":%llu,"
                   "\"outranked\":%llu}",
                   (unsigned long long)d->url, (unsigned long long)d->content,
                   (unsigned long long)d->missing, (unsigned long long)f->below_original,
                   (unsigned long long)f->no_caption, (unsigned long long)f->flagged,
                   (unsigned long long)f->below, (unsigned long long)f->outranked);
}

int pack_part(struct pack *p, struct cpv_part **part, struct cpv_err *err)
{
    struct packing k = {.p = p, .part = *part};
    struct cpv_buf stats = {0};
    bool committed = false;
    int rc = run_packing(&k, err);

    close_part(&k);
    put_stats(&p->dropped, &stats);
    if (!rc)
        rc = cpv_part_commit(p->run, part, cpv_buf_view(&stats), &committed, err);
    else
        cpv_part_release(p->run, part);
    if (!rc && committed)
        rc = cpv_journal_remove(&k.journal, err);
    cpv_journal_close(&k.journal);
    cpv_buf_release(&stats);
    cpv_arena_close(&k.mem);
    return rc;
}
