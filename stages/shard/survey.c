/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which samples go into the set, and in what order. Reads the leading column once,
 * from end to end, for URLs and digests, and beside it the JSON of the others where
 * filters judge it; 24 bytes a sample stay in memory. What came
 * of it is cached beside the set: the cache is believed only if it was made from the
 * same columns with the same settings, and deleting it costs only time.
 */
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/rng.h"
#include "common/base/size.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/corpus/merge.h"
#include "common/format/json.h"
#include "common/format/samples.h"
#include "stages/shard/pack.h"

enum { STREAM_SHUFFLE = 0x73687566 /* "shuf" */, CACHE_MAX = 1 << 30 };
static const char CACHE_MAGIC[8] = "CPVSRV2";

/* ---- duplicates ---- */

/* An open hash table of 64-bit digests that grows; 0 stands for empty. */
struct digests {
    uint64_t *slot;
    size_t mask, used;
};

static void insert(struct digests *d, uint64_t v)
{
    size_t at = (size_t)v & d->mask;

    while (d->slot[at])
        at = (at + 1) & d->mask;
    d->slot[at] = v;
    d->used++;
}

static int grow(struct digests *d, struct cpv_err *err)
{
    struct digests wider = {.mask = d->slot ? d->mask * 2 + 1 : 4095};

    wider.slot = cpv_calloc(wider.mask + 1, sizeof *wider.slot);
    if (!wider.slot)
        return cpv_fail_memory(err);
    for (size_t i = 0; d->slot && i <= d->mask; i++)
        if (d->slot[i])
            insert(&wider, d->slot[i]);
    cpv_free(d->slot);
    *d = wider;
    return CPV_OK;
}

/* 1 if it was there, 0 if it is new and now remembered. */
static int seen_before(struct digests *d, uint64_t v, struct cpv_err *err)
{
    v += v == 0;
    if (!d->slot || 2 * d->used > d->mask) {
        int rc = grow(d, err);

        if (rc)
            return rc;
    }
    for (size_t at = (size_t)v & d->mask; d->slot[at]; at = (at + 1) & d->mask)
        if (d->slot[at] == v)
            return 1;
    insert(d, v);
    return 0;
}

/* ---- the pass over the leading column ---- */

struct survey {
    struct pack *p;
    struct cpv_buf entries; /* struct pack_entry */
    struct digests urls, contents, keys;
    cpv_arena *mem; /* of one part */
    cpv_arena *one; /* of one sample */
    cpv_shard *others[PACK_COLUMNS_MAX];
};

/* URL and digest of the original, as the fetch stage wrote them. */
static int look(struct survey *s, const struct cpv_sample *sample, uint64_t *url,
                uint64_t *content, struct cpv_err *err)
{
    const struct cpv_member *m = cpv_sample_member(sample, "json");
    const json_t *v;
    json_t *root = NULL;
    int rc = m ? cpv_json_parse(m->data, sample->key, &root, err) : CPV_OK;
    uint8_t digest[CPV_SHA256_SIZE];

    (void)s;
    *url = *content = 0;
    if (rc)
        return rc;
    v = json_object_get(root, "url");
    if (json_is_string(v))
        *url = cpv_xxh64(json_string_value(v), json_string_length(v), 0);
    v = json_object_get(root, "sha256");
    if (json_is_string(v) &&
        cpv_unhex(digest, sizeof digest,
                  cpv_bytes_of(json_string_value(v), json_string_length(v))))
        *content = cpv_load_u64(digest);
    json_decref(root);
    return CPV_OK;
}

/* The merged JSON of a sample that is in every column, through the filters. 1: it stays.
 * 0: dropped, and counted. */
static int filter(struct survey *s, const struct cpv_sample *sample, struct cpv_err *err)
{
    struct cpv_sample samples[PACK_COLUMNS_MAX] = {*sample};
    bool keep = true, changed;
    json_t *root = NULL;
    uint32_t at = 0;
    int rc = CPV_OK;

    for (size_t i = 1; i < s->p->n_columns && !rc; i++) {
        (void)cpv_shard_find(s->others[i], sample->key, &at);
        rc = cpv_shard_read(s->others[i], at, "json", s->one, &samples[i], err);
        if (rc == CPV_E_ABSENT)
            rc = CPV_OK; /* such a column has nothing to say about captions */
    }
    if (!rc)
        rc = cpv_merge_json(samples, s->p->n_columns, &root, err);
    if (!rc)
        rc = cpv_filter_sample(&s->p->filter, root, sample->key, s->one, &keep, &changed,
                               &s->p->dropped.filters, err);
    json_decref(root);
    cpv_arena_reset(s->one);
    return rc ? rc : keep;
}

/* Is it in every column, and do the filters leave it? */
static int passes(struct survey *s, const struct cpv_sample *sample, struct cpv_err *err)
{
    uint32_t at;

    for (size_t i = 1; i < s->p->n_columns; i++) {
        if (!cpv_shard_find(s->others[i], sample->key, &at)) {
            s->p->dropped.missing++;
            return 0;
        }
    }
    return cpv_filter_is_on(&s->p->filter) ? filter(s, sample, err) : 1;
}

/*
 * 1: keep it. 0: dropped, and counted. Filters come before duplicates: of two rows with
 * one image the first that passes stays.
 */
static int judge(struct survey *s, const struct cpv_sample *sample, struct cpv_err *err)
{
    const struct pack_settings *set = s->p->set;
    uint64_t url = 0, content = 0;
    int rc = passes(s, sample, err);

    if (rc != 1)
        return rc;
    rc = CPV_OK;
    if (set->dedup_url || set->dedup_content)
        rc = look(s, sample, &url, &content, err);
    if (!rc && set->dedup_url && url && (rc = seen_before(&s->urls, url, err)) == 1) {
        s->p->dropped.url++;
        return 0;
    }
    if (!rc && set->dedup_content && content &&
        (rc = seen_before(&s->contents, content, err)) == 1) {
        s->p->dropped.content++;
        return 0;
    }
    return rc < 0 ? rc : 1;
}

/* Tars of different makers use the same keys: the second one gets its part's number. */
static int keep(struct survey *s, uint32_t part, uint32_t pos, const char *key,
                struct cpv_err *err)
{
    int repeated = seen_before(&s->keys, cpv_xxh64(key, strlen(key), 1), err);
    struct pack_entry entry = {part, pos | (repeated == 1 ? PACK_KEY_REPEATED : 0)};

    if (repeated < 0)
        return repeated;
    cpv_buf_add(&s->entries, &entry, sizeof entry);
    return s->entries.failed ? cpv_fail_memory(err) : CPV_OK;
}

/* The same part of every other column; 0 if one of them has not got it. */
static int open_others(struct survey *s, uint32_t part, struct cpv_err *err)
{
    for (size_t i = 1; i < s->p->n_columns; i++) {
        const struct pack_column *c = &s->p->columns[i];
        uint32_t revision;
        char *path;
        int rc;

        if (!cpv_column_find(&c->parts, part, &revision))
            return 0;
        path = cpv_column_path(s->mem, s->p->run->corpus, c->name, part, revision,
                               CPV_FILE_SHARD);
        if (!path)
            return cpv_fail_memory(err);
        if ((rc = cpv_shard_open(&s->others[i], path, err)))
            return rc;
    }
    return 1;
}

static int read_part(struct survey *s, const struct cpv_column_part *at, const char *path,
                     struct cpv_err *err)
{
    struct cpv_samples_params params = {.read_ahead = 2};
    uint32_t pos = 0;
    cpv_samples *samples = NULL;
    struct cpv_sample sample;
    int rc = cpv_samples_open(&samples, path, &params, err);

    while (!rc && (rc = cpv_samples_next(samples, &sample, err)) > 0) {
        rc = judge(s, &sample, err);
        if (rc == 1)
            rc = keep(s, at->part, pos, sample.key, err);
        pos++;
    }
    /* A foreign tar may lack its end; one of ours that does was cut off. */
    if (!rc && cpv_samples_report(samples)->unclosed)
        rc = cpv_fail(err, CPV_E_CORRUPT, "'%s': ends too early", path);
    cpv_samples_close(&samples);
    return rc;
}

static int survey_part(struct survey *s, const struct cpv_column_part *at,
                       struct cpv_err *err)
{
    char *path = cpv_column_path(s->mem, s->p->run->corpus, s->p->columns[0].name,
                                 at->part, at->revision, CPV_FILE_SHARD);
    int rc = path ? open_others(s, at->part, err) : cpv_fail_memory(err);

    if (cpv_stop_requested())
        rc = cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
    if (rc == 1)
        rc = read_part(s, at, path, err);
    else if (rc == 0)
        cpv_log_warning(s->p->run->log, "part %05u is not in every column yet; left out",
                        at->part);
    for (size_t i = 1; i < s->p->n_columns; i++)
        cpv_shard_close(&s->others[i]);
    cpv_arena_reset(s->mem);
    return rc;
}

/* ---- order ---- */

static int put_in_order(struct pack *p, const struct pack_entry *found, uint32_t n,
                        struct cpv_err *err)
{
    uint32_t *order;

    p->n_entries = n;
    p->entries = cpv_calloc((size_t)n + 1, sizeof *p->entries);
    order = p->set->shuffle ? cpv_calloc((size_t)n + 1, sizeof *order) : NULL;
    if (!p->entries || (p->set->shuffle && !order)) {
        cpv_free(order);
        return cpv_fail_memory(err);
    }
    if (order)
        cpv_rng_permutation(order, n, (uint64_t)p->run->seed, STREAM_SHUFFLE, 0);
    for (uint32_t i = 0; i < n; i++)
        p->entries[i] = found[order ? order[i] : i];
    cpv_free(order);
    return CPV_OK;
}

/* ---- the cache ---- */

static void put_identity(const struct pack *p, struct cpv_buf *out)
{
    cpv_buf_add(out, CACHE_MAGIC, sizeof CACHE_MAGIC);
    cpv_buf_add(out, p->run->settings_digest, sizeof p->run->settings_digest);
    for (size_t i = 0; i < p->n_columns; i++)
        cpv_buf_add(out, p->columns[i].digest, sizeof p->columns[i].digest);
}

static void put_dropped(const struct pack_dropped *d, struct cpv_buf *out)
{
    cpv_buf_u64(out, d->url);
    cpv_buf_u64(out, d->content);
    cpv_buf_u64(out, d->missing);
    cpv_buf_u64(out, d->filters.below_original);
    cpv_buf_u64(out, d->filters.no_caption);
    cpv_buf_u64(out, d->filters.flagged);
    cpv_buf_u64(out, d->filters.below);
    cpv_buf_u64(out, d->filters.outranked);
}

static void get_dropped(struct pack_dropped *d, struct cpv_cursor *c)
{
    d->url = cpv_get_u64(c);
    d->content = cpv_get_u64(c);
    d->missing = cpv_get_u64(c);
    d->filters.below_original = cpv_get_u64(c);
    d->filters.no_caption = cpv_get_u64(c);
    d->filters.flagged = cpv_get_u64(c);
    d->filters.below = cpv_get_u64(c);
    d->filters.outranked = cpv_get_u64(c);
}

/* Never an error: without a cache the next run reads the columns again. */
static void save(const struct pack *p, const char *path, const struct cpv_buf *entries)
{
    struct cpv_buf out = {0};
    struct cpv_err ignored;

    put_identity(p, &out);
    put_dropped(&p->dropped, &out);
    cpv_buf_u32(&out, (uint32_t)(entries->size / sizeof(struct pack_entry)));
    for (size_t i = 0; i < entries->size; i += 4) {
        uint32_t v;

        memcpy(&v, entries->data + i, sizeof v);
        cpv_buf_u32(&out, v);
    }
    cpv_buf_u32(&out, cpv_crc32c(0, out.data, out.size));
    if (!out.failed && cpv_file_replace(path, cpv_buf_view(&out), &ignored))
        cpv_log_debug(p->run->log, "the survey was not kept: %s", ignored.text);
    cpv_buf_release(&out);
}

static bool parse_cache(struct pack *p, struct cpv_bytes file, struct cpv_buf *entries)
{
    struct cpv_buf identity = {0};
    struct cpv_cursor c = cpv_cursor_of(file);
    struct cpv_bytes head;
    uint32_t n;
    bool same;

    put_identity(p, &identity);
    head = cpv_get_bytes(&c, identity.size);
    same = !c.failed && !identity.failed &&
           cpv_bytes_equal(head, cpv_buf_view(&identity)) &&
           file.size >= identity.size + 4 &&
           cpv_crc32c(0, file.data, file.size - 4) ==
               cpv_load_u32(file.data + file.size - 4);
    cpv_buf_release(&identity);
    if (!same)
        return false;
    get_dropped(&p->dropped, &c);
    n = cpv_get_u32(&c);
    for (uint64_t i = 0; i < n && !c.failed; i++) {
        struct pack_entry e;

        e.part = cpv_get_u32(&c);
        e.pos = cpv_get_u32(&c);
        cpv_buf_add(entries, &e, sizeof e);
    }
    return !c.failed && !entries->failed;
}

static bool load(struct pack *p, const char *path, struct cpv_buf *entries)
{
    struct cpv_buf file = {0};
    struct cpv_err ignored;
    bool good = cpv_file_read(path, CACHE_MAX, &file, &ignored) == CPV_OK &&
                parse_cache(p, cpv_buf_view(&file), entries);

    if (!good) {
        cpv_buf_clear(entries);
        memset(&p->dropped, 0, sizeof p->dropped);
    }
    cpv_buf_release(&file);
    return good;
}

/* ---- all of it ---- */

static int read_all(struct survey *s, struct cpv_err *err)
{
    const struct cpv_column *lead = &s->p->columns[0].parts;
    int rc = cpv_arena_open(&s->mem, 0, err);

    if (!rc)
        rc = cpv_arena_open(&s->one, 0, err);
    for (uint32_t i = 0; i < lead->count && !rc; i++) {
        cpv_progress_note(s->p->run->progress, "looking through part %u of %u", i + 1,
                          lead->count);
        rc = survey_part(s, &lead->at[i], err);
    }
    cpv_arena_close(&s->mem);
    cpv_arena_close(&s->one);
    cpv_free(s->urls.slot);
    cpv_free(s->contents.slot);
    cpv_free(s->keys.slot);
    return rc;
}

int pack_survey(struct pack *p, struct cpv_err *err)
{
    struct survey s = {.p = p};
    char *path =
        cpv_arena_printf(p->run->mem, "%s/%s/.survey", p->run->corpus, p->run->column);
    int rc = path ? CPV_OK : cpv_fail_memory(err);

    if (!rc && !load(p, path, &s.entries)) {
        rc = read_all(&s, err);
        if (!rc && !p->run->dry_run)
            save(p, path, &s.entries);
    }
    if (!rc)
        rc = put_in_order(p, (const struct pack_entry *)(const void *)s.entries.data,
                          (uint32_t)(s.entries.size / sizeof(struct pack_entry)), err);
    cpv_buf_release(&s.entries);
    return rc;
}
