/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One part: groups of 256 samples, each translated as a whole and kept in a journal, so
 * that a kill costs one group. A record of the journal is u32 group | (u32 size | JSON)
 * ... for its samples; when all groups are there the shard is written from them in one
 * go.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/stop.h"
#include "common/base/sys.h"
#include "common/format/journal.h"
#include "common/format/json.h"
#include "stages/translate/translate.h"

enum { GROUP = CPV_SHARD_GROUP, COLUMNS = 2 };

/* The texts of a sample: where its originals and its generated ones stand in `t`. */
struct texts {
    size_t first[COLUMNS], n[COLUMNS];
    bool has[COLUMNS];
};

struct job {
    struct translate *t;
    struct cpv_part *part;
    cpv_shard *in[COLUMNS]; /* fetch, caption */
    int columns;
    cpv_journal *journal;
    uint64_t *group_at; /* of each group, plus 1; 0: not done */
    uint32_t groups;
    cpv_arena *mem; /* of a group */
    struct translate_counts counts;
};

/* ---- reading ---- */

static int open_column(struct job *k, int i, const char *column, struct cpv_err *err)
{
    return cpv_run_open_input(k->t->run, column, k->part->number, k->part->mem, &k->in[i],
                              err);
}

/* The strings of one key, appended to the list of what is to be translated. */
static int add_texts(struct job *k, const json_t *root, const char *key,
                     struct cpv_buf *list, struct texts *s, int column,
                     struct cpv_err *err)
{
    const json_t *array = json_object_get(root, key);
    size_t n = json_is_array(array) ? json_array_size(array) : 0;

    s->first[column] = list->size / sizeof(struct translation);
    s->has[column] = json_is_array(array);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        const char *text = json_is_string(item) ? json_string_value(item) : "";
        size_t size = json_is_string(item) ? json_string_length(item) : 0;
        char *copy = cpv_arena_str(k->mem, cpv_bytes_of(text, size));
        struct translation t = {.source = cpv_bytes_of(copy, size)};

        if (!copy)
            return cpv_fail_memory(err);
        cpv_buf_add(list, &t, sizeof t);
    }
    s->n[column] = n;
    return list->failed ? cpv_fail_memory(err) : CPV_OK;
}

static int read_sample(struct job *k, uint32_t at, struct cpv_buf *list, struct texts *s,
                       struct cpv_err *err)
{
    static const char *const prefix[COLUMNS] = {"captions", "generated-captions"};
    const char *key = cpv_shard_key(k->in[0], at);
    int rc = CPV_OK;

    for (int i = 0; i < k->columns && !rc; i++) {
        uint32_t pos = at;
        struct cpv_sample sample;
        json_t *root = NULL;
        char name[80];

        snprintf(name, sizeof name, "%s-%.40s", prefix[i], k->t->set->from);
        if (i > 0 && !cpv_shard_find(k->in[i], key, &pos))
            continue; /* no caption was made of it: its reason stands in that column */
        rc = cpv_shard_read(k->in[i], pos, "json", k->mem, &sample, err);
        if (!rc)
            rc = cpv_json_parse(sample.members[0].data, key, &root, err);
        if (!rc)
            rc = add_texts(k, root, name, list, s, i, err);
        json_decref(root);
    }
    return rc;
}

/* ---- translating ---- */

/* Texts that are the same are one; an open hash table of indices into t. */
static int unite(const struct translation *t, size_t n, uint32_t *first, cpv_arena *mem,
                 struct cpv_err *err)
{
    size_t size = 16, mask;
    uint32_t *slot;

    while (size < 2 * n)
        size *= 2;
    mask = size - 1;
    slot = cpv_arena_calloc(mem, size, sizeof *slot);
    if (!slot)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        size_t h = 14695981039346656037u & SIZE_MAX;

        for (size_t b = 0; b < t[i].source.size; b++)
            h = (h ^ t[i].source.data[b]) * (1099511628211u & SIZE_MAX);
        for (h &= mask; slot[h]; h = (h + 1) & mask)
            if (cpv_bytes_equal(t[slot[h] - 1].source, t[i].source))
                break;
        if (!slot[h])
            slot[h] = (uint32_t)i + 1;
        first[i] = slot[h] - 1;
    }
    return CPV_OK;
}

static int start_engine(struct translate *t, struct cpv_err *err)
{
    struct engine_params p = {.set = t->set,
                              .model = t->folder,
                              .device = t->run->device,
                              .lang = t->run->instance,
                              .threads = t->run->threads,
                              .seed = t->run->seed};

    return t->engine ? CPV_OK : engine_open(&t->engine, &p, err);
}

/* At once, so that a kill in the middle of a long group costs seconds too. */
static int remember(void *arg, const struct translation *t, struct cpv_err *err)
{
    return memory_add(arg, t, err);
}

/* Those that nobody has translated yet. */
static int translate_new(struct job *k, struct translation *t, const uint32_t *first,
                         size_t n, struct cpv_err *err)
{
    struct translation *fresh = cpv_arena_calloc(k->mem, n + 1, sizeof *fresh);
    size_t *of = cpv_arena_calloc(k->mem, n + 1, sizeof *of), m = 0;
    int rc = CPV_OK;

    if (!fresh || !of)
        return cpv_fail_memory(err);
    for (size_t i = 0; i < n && !rc; i++) {
        bool found = false;

        if (first[i] != i)
            continue;
        k->counts.distinct++;
        rc = memory_find(k->t->memory, &t[i], k->mem, &found, err);
        k->counts.hits += found;
        if (!rc && !found) {
            of[m] = i;
            fresh[m++] = t[i];
        }
    }
    if (!rc && m)
        rc = start_engine(k->t, err);
    if (!rc && m)
        rc = engine_run(k->t->engine, fresh, m, remember, k->t->memory, err);
    for (size_t i = 0; i < m && !rc; i++) {
        t[of[i]] = fresh[i];
        k->counts.tokens_in += (uint64_t)fresh[i].tokens_in;
        k->counts.tokens_out += (uint64_t)fresh[i].tokens_out;
    }
    return rc;
}

static int translate_all(struct job *k, struct translation *t, size_t n,
                         struct cpv_err *err)
{
    uint32_t *first = cpv_arena_calloc(k->mem, n + 1, sizeof *first);
    int rc = first ? unite(t, n, first, k->mem, err) : cpv_fail_memory(err);

    if (!rc)
        rc = translate_new(k, t, first, n, err);
    for (size_t i = 0; i < n && !rc; i++) {
        struct cpv_bytes source = t[i].source;

        t[i] = t[first[i]];
        t[i].source = source;
        k->counts.sentences++;
        for (int f = 0; f < CPV_FLAG_COUNT; f++)
            k->counts.flags[f] += (t[i].flags >> f) & 1;
    }
    return rc;
}

/* What was translated elsewhere; indices run over all columns of a sample. */
static void take_imports(struct job *k, uint32_t at, struct translation *t,
                         const struct texts *s)
{
    struct cpv_bytes key = cpv_bytes_str(cpv_shard_key(k->in[0], at));
    uint64_t index = 0;

    for (int i = 0; i < k->columns; i++)
        for (size_t j = 0; j < s->n[i]; j++, index++) {
            struct translation *one = &t[s->first[i] + j];

            one->target = cpv_bytes_of("", 0);
            (void)imports_find(k->t->imports, key, index, &one->target);
            one->flags = translate_flags(one->source, one->target, k->t->run->instance);
            k->counts.sentences++;
            for (int f = 0; f < CPV_FLAG_COUNT; f++)
                k->counts.flags[f] += (one->flags >> f) & 1;
        }
}

/* ---- writing ---- */

static void put_flags(struct cpv_json *j, unsigned flags)
{
    char words[80] = "";

    for (int i = 0; i < CPV_FLAG_COUNT; i++)
        if (flags >> i & 1) {
            size_t n = strlen(words);

            snprintf(words + n, sizeof words - n, "%s%s", n ? " " : "",
                     cpv_flags_word(i));
        }
    cpv_json_string(j, words);
}

static void put_sample(struct cpv_buf *out, const struct translation *t,
                       const struct texts *s, int columns, const char *lang)
{
    static const char *const prefix[COLUMNS] = {"captions", "generated-captions"};
    struct cpv_json j;
    char key[80];

    cpv_json_init(&j, out);
    cpv_json_begin_object(&j);
    for (int i = 0; i < columns; i++) {
        snprintf(key, sizeof key, "%s-%.40s", prefix[i], lang);
        cpv_json_key(&j, key);
        cpv_json_begin_array(&j);
        for (size_t k = 0; k < s->n[i]; k++)
            cpv_json_bytes(&j, t[s->first[i] + k].target);
        cpv_json_end_array(&j);
    }
    snprintf(key, sizeof key, "flags-%.40s", lang);
    cpv_json_key(&j, key);
    cpv_json_begin_array(&j);
    for (int i = 0; i < columns; i++)
        for (size_t k = 0; k < s->n[i]; k++)
            put_flags(&j, t[s->first[i] + k].flags);
    cpv_json_end_array(&j);
    cpv_json_end_object(&j);
}

static int keep_group(struct job *k, uint32_t group, const struct translation *t,
                      const struct texts *s, uint32_t n, struct cpv_err *err)
{
    struct cpv_buf record = {0}, json = {0};
    struct cpv_bytes piece;
    int rc;

    cpv_buf_u32(&record, group);
    for (uint32_t i = 0; i < n; i++) {
        cpv_buf_clear(&json);
        put_sample(&json, t, &s[i], k->columns, k->t->run->instance);
        cpv_buf_u32(&record, (uint32_t)json.size);
        cpv_buf_add(&record, json.data, json.size);
    }
    piece = cpv_buf_view(&record);
    rc = record.failed || json.failed
             ? cpv_fail_memory(err)
             : cpv_journal_add(k->journal, &piece, 1, &k->group_at[group], err);
    k->group_at[group]++;
    cpv_buf_release(&json);
    cpv_buf_release(&record);
    return rc;
}

/* ---- groups ---- */

static uint32_t group_size(const struct job *k, uint32_t group)
{
    uint32_t left = cpv_shard_count(k->in[0]) - group * GROUP;

    return left < GROUP ? left : GROUP;
}

static int make_group(struct job *k, uint32_t group, struct cpv_err *err)
{
    uint32_t n = group_size(k, group);
    struct texts *s = cpv_arena_calloc(k->mem, GROUP, sizeof *s);
    struct cpv_buf list = {0};
    int64_t start = cpv_clock_ns();
    struct translation *t;
    int rc = s ? CPV_OK : cpv_fail_memory(err);

    for (uint32_t i = 0; i < n && !rc; i++)
        rc = read_sample(k, group * GROUP + i, &list, &s[i], err);
    t = (struct translation *)(void *)list.data;
    for (uint32_t i = 0; i < n && !rc && k->t->imports; i++)
        take_imports(k, group * GROUP + i, t, &s[i]);
    if (!rc && t && !k->t->imports)
        rc = translate_all(k, t, list.size / sizeof *t, err);
    if (!rc)
        rc = keep_group(k, group, t, s, n, err);
    k->counts.seconds += (double)(cpv_clock_ns() - start) * 1e-9;
    cpv_buf_release(&list);
    return rc;
}

static int all_groups(struct job *k, struct cpv_err *err)
{
    int rc = CPV_OK;

    for (uint32_t g = 0; g < k->groups && !rc; g++) {
        if (k->group_at[g]) {
            cpv_progress_skip(k->t->run->progress, group_size(k, g));
            continue;
        }
        if (cpv_stop_requested())
            return cpv_fail(err, CPV_E_STOPPED, "stopped; run again to go on");
        rc = cpv_run_check_space(k->t->run, err);
        if (!rc)
            rc = make_group(k, g, err);
        cpv_arena_reset(k->mem);
        cpv_progress_add(k->t->run->progress, group_size(k, g), 0);
    }
    return rc;
}

static int replay(void *ctx, struct cpv_bytes payload, uint64_t offset,
                  struct cpv_err *err)
{
    struct job *k = ctx;
    struct cpv_cursor c = cpv_cursor_of(payload);
    uint32_t group = cpv_get_u32(&c);

    (void)err;
    if (!c.failed && group < k->groups)
        k->group_at[group] = offset + 1;
    return CPV_OK;
}

static int assemble(struct job *k, struct cpv_err *err)
{
    struct cpv_buf payload = {0};
    int rc = cpv_journal_sync(k->journal, err);

    for (uint32_t g = 0; g < k->groups && !rc; g++) {
        struct cpv_cursor c;

        rc = cpv_journal_read(k->journal, k->group_at[g] - 1, &payload, err);
        c = cpv_cursor_of(cpv_buf_view(&payload));
        (void)cpv_get_u32(&c);
        for (uint32_t i = 0; i < group_size(k, g) && !rc; i++) {
            struct cpv_member m = {.ext = "json"};

            m.data = cpv_get_bytes(&c, cpv_get_u32(&c));
            if (c.failed)
                rc = cpv_fail(err, CPV_E_CORRUPT, "a journal record is too short");
            else
                cpv_shard_put(k->part->writer, cpv_shard_key(k->in[0], g * GROUP + i), &m,
                              1);
        }
    }
    cpv_buf_release(&payload);
    return rc ? rc : cpv_shard_check_writer(k->part->writer, err);
}

/* ---- the part ---- */

static int run_job(struct job *k, struct cpv_err *err)
{
    char *path = cpv_part_journal_path(k->t->run, k->part);
    uint8_t identity[32];
    int rc = path ? cpv_arena_open(&k->mem, (size_t)1 << 20, err) : cpv_fail_memory(err);

    cpv_part_identity(k->part, identity);
    k->columns = k->t->set->generated ? 2 : 1;
    if (!rc)
        rc = open_column(k, 0, "fetch", err);
    if (!rc && k->columns > 1)
        rc = open_column(k, 1, "caption", err);
    if (rc)
        return rc;
    k->groups = (cpv_shard_count(k->in[0]) + GROUP - 1) / GROUP;
    k->group_at =
        cpv_arena_calloc(k->part->mem, (size_t)k->groups + 1, sizeof *k->group_at);
    if (!k->group_at)
        return cpv_fail_memory(err);
    rc = cpv_journal_open(&k->journal, path, cpv_bytes_of(identity, sizeof identity),
                          replay, k, err);
    if (!rc)
        rc = all_groups(k, err);
    return rc ? rc : assemble(k, err);
}

static void put_stats(const struct job *k, struct cpv_buf *out)
{
    const struct translate_counts *n = &k->counts;

    cpv_buf_printf(out,
                   "\"sentences\":%llu,\"distinct\":%llu,\"memory_hits\":%llu,"
                   "\"tokens_in\":%llu,\"tokens_out\":%llu,\"seconds\":%.3f,"
                   "\"tokens_per_second\":%.1f,\"flags\":{",
                   (unsigned long long)n->sentences, (unsigned long long)n->distinct,
                   (unsigned long long)n->hits, (unsigned long long)n->tokens_in,
                   (unsigned long long)n->tokens_out, n->seconds,
                   n->seconds > 0 ? (double)n->tokens_out / n->seconds : 0);
    for (int i = 0; i < CPV_FLAG_COUNT; i++)
        cpv_buf_printf(out, "%s\"%s\":%llu", i ? "," : "", cpv_flags_word(i),
                       (unsigned long long)n->flags[i]);
    cpv_buf_byte(out, '}');
}

int translate_part(struct translate *t, struct cpv_part **part, struct cpv_err *err)
{
    struct job k = {.t = t, .part = *part};
    struct cpv_buf stats = {0};
    bool committed = false;
    int rc = run_job(&k, err);

    for (int i = 0; i < COLUMNS; i++)
        cpv_shard_close(&k.in[i]);
    put_stats(&k, &stats);
    if (!rc)
        rc = cpv_part_commit(t->run, part, cpv_buf_view(&stats), &committed, err);
    else
        cpv_part_release(t->run, part);
    if (!rc && committed)
        rc = cpv_journal_remove(&k.journal, err);
    cpv_journal_close(&k.journal);
    cpv_buf_release(&stats);
    cpv_arena_close(&k.mem);
    return rc;
}
