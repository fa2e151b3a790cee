/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a set: each file by one thread into a chunk of its own, then the chunks one
 * behind the other, so that the order is the files' whoever read them.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/sys.h"
#include "common/corpus/merge.h"
#include "common/corpus/packed.h"
#include "common/format/half.h"
#include "common/format/json.h"
#include "common/format/npy.h"
#include "common/format/samples.h"
#include "common/format/shard.h"
#include "trainer/data_impl.h"

enum { KEPT_WORDS = 3 }; /* of broken samples, per file, that are said in words */

struct loader {
    data *d;
    const struct data_params *p;
    struct chunk *chunk; /* a file each */
    size_t next;
    pthread_mutex_t lock;
    struct cpv_err err;
};

/* ---- growing ---- */

static bool room(void **at, size_t *have, size_t want, size_t size)
{
    size_t more = *have ? *have : 256;
    void *grown;

    if (want <= *have)
        return true;
    while (more < want)
        more *= 2;
    grown = cpv_realloc(*at, more * size);
    if (!grown)
        return false;
    *at = grown;
    *have = more;
    return true;
}

#define ROOM(c, field, have, want)                                                       \
    room((void **)(void *)&(c)->field, &(c)->have, want, sizeof *(c)->field)

/* ---- one sample ---- */

static uint16_t half_at(const struct cpv_npy *a, size_t i)
{
    uint32_t bits;
    float value;

    if (a->type == CPV_NPY_F16)
        return cpv_load_u16(a->data.data + 2 * i);
    bits = cpv_load_u32(a->data.data + 4 * i);
    memcpy(&value, &bits, sizeof value);
    return cpv_half_of(value);
}

/* Why it is left out; NULL: it is not. */
static const char *take_embedding(struct chunk *c, const data *d,
                                  const struct cpv_sample *s, struct cpv_err *err)
{
    const struct cpv_member *m = cpv_sample_member(s, "clip.npy");
    struct cpv_npy a;
    uint16_t *to;

    if (!m)
        return "it has no clip.npy";
    if (cpv_npy_read(m->data, s->key, &a, err))
        return err->text;
    if (a.rows < 1 || a.cols != (uint64_t)d->dim)
        return "its clip.npy is of another width than the model's embeddings";
    if (!ROOM(c, embedding, embedding_room, (c->n + 1) * (size_t)d->dim)) {
        (void)cpv_fail_memory(err);
        return err->text;
    }
    to = c->embedding + c->n * (size_t)d->dim;
    for (int i = 0; i < d->dim; i++)
        to[i] = half_at(&a, (size_t)i);
    for (int i = 0; i < d->dim; i++)
        if ((to[i] & 0x7C00) == 0x7C00)
            return "its clip.npy has a value that is no number";
    return NULL;
}

static const char *take_place(struct chunk *c, const struct cpv_sample *s)
{
    struct place p = {.sample = (uint32_t)s->number};
    size_t i = 0;

    while (i < s->n_members && !cpv_ext_is_image(s->members[i].ext))
        i++;
    if (i == s->n_members)
        return "it has no image";
    if (!ROOM(c, place, place_room, c->n + 1))
        return "out of memory";
    (void)snprintf(p.ext, sizeof p.ext, "%s", s->members[i].ext);
    p.offset = cpv_samples_at(c->in, i);
    p.size = s->members[i].data.size;
    c->place[c->n] = p;
    return NULL;
}

static int add_caption(struct loader *l, struct chunk *c, struct cpv_bytes text,
                       struct cpv_err *err)
{
    int rc = cpv_clip_encode(l->p->model, text, &c->ids, err);

    if (!rc && !ROOM(c, caption_end, caption_room, c->captions + 1))
        rc = cpv_fail_memory(err);
    if (!rc)
        c->caption_end[c->captions++] = c->ids.count;
    return rc;
}

/* Of all languages; *why says what was wrong, or lacking in all of them. */
static int take_captions(struct loader *l, struct chunk *c, const char *key, json_t *json,
                         cpv_arena *mem, const char **why, struct cpv_err *small,
                         struct cpv_err *err)
{
    size_t langs = l->p->languages.count, before = c->captions;
    int rc = CPV_OK;

    if (!ROOM(c, lang_end, lang_room, (c->n + 1) * langs))
        return cpv_fail_memory(err);
    *why = "it has no caption to choose in any of the languages";
    for (size_t i = 0; i < langs && !rc; i++) {
        struct cpv_caption *chosen = NULL;
        size_t n = 0;

        if (cpv_captions_choose(json, l->p->languages.at[i], key, &l->p->choice, mem,
                                &chosen, &n, small)) {
            *why = small->text;
            rc = small->code == CPV_E_MEMORY ? cpv_fail_memory(err) : CPV_OK;
            n = 0;
        }
        for (size_t k = 0; k < n && !rc; k++)
            rc = add_caption(l, c, chosen[k].text, err);
        c->lang_end[c->n * langs + i] = (uint32_t)c->captions;
    }
    if (!rc && c->captions > before)
        *why = NULL;
    return rc;
}

static void say(struct loader *l, struct chunk *c, const char *key, const char *why,
                uint64_t *count)
{
    if (c->broken + c->captionless < KEPT_WORDS)
        cpv_log_warning(l->p->log, "'%s': sample '%s' is left out: %s", c->path, key,
                        why);
    ++*count;
}

static int take_sample(struct loader *l, struct chunk *c, const struct cpv_sample *s,
                       cpv_arena *mem, struct cpv_err *err)
{
    const struct cpv_member *m = cpv_sample_member(s, "json");
    struct cpv_err small = {0};
    const char *why = NULL;
    json_t *json = NULL;
    int rc = CPV_OK;

    if (!m)
        why = "it has no json";
    else if (cpv_json_parse(m->data, s->key, &json, &small))
        why = small.text;
    else
        why = l->p->pixels ? take_place(c, s) : take_embedding(c, l->d, s, &small);
    if (small.code == CPV_E_MEMORY)
        rc = cpv_fail_memory(err);
    else if (why)
        say(l, c, s->key, why, &c->broken);
    else {
        rc = take_captions(l, c, s->key, json, mem, &why, &small, err);
        if (!rc && why)
            say(l, c, s->key, why, &c->captionless);
        else if (!rc && !ROOM(c, key, key_room, c->n + 1))
            rc = cpv_fail_memory(err);
        else if (!rc) {
            c->key[c->n] = cpv_arena_str(c->mem, cpv_bytes_str(s->key));
            rc = c->key[c->n++] ? CPV_OK : cpv_fail_memory(err);
        }
    }
    json_decref(json);
    return rc;
}

/* ---- one file ---- */

/* Pictures are read again later: from one of our shards, or where they lie in a tar. */
static int find_pictures(struct chunk *c, struct cpv_err *err)
{
    struct cpv_err not_ours = {0};
    cpv_shard *shard = NULL;
    uint8_t head[4] = {0};
    int rc;

    if (cpv_shard_open(&shard, c->path, &not_ours) == CPV_OK) {
        cpv_shard_close(&shard);
        return cpv_samples_open(&c->in, c->path, NULL, err);
    }
    rc = not_ours.code == CPV_E_INPUT ? cpv_file_map(&c->map, c->path, err)
                                      : cpv_fail(err, not_ours.code, "%s", not_ours.text);
    if (!rc && c->map.size >= sizeof head)
        memcpy(head, c->map.data, sizeof head);
    if (!rc &&
        ((head[0] == 0x1F && head[1] == 0x8B) || cpv_load_u32(head) == 0xFD2FB528U))
        rc = cpv_fail(err, CPV_E_INPUT,
                      "'%s': pixels are read at random, from plain tars and our own "
                      "shards; this one is compressed by others",
                      c->path);
    return rc ? rc : cpv_samples_open_bytes(&c->in, c->map, c->path, NULL, err);
}

static int load_file(struct loader *l, struct chunk *c, struct cpv_err *err)
{
    struct cpv_sample sample;
    cpv_arena *mem = NULL;
    int rc = cpv_arena_open(&c->mem, 0, err);

    if (!rc)
        rc = cpv_arena_open(&mem, 0, err);
    if (!rc)
        rc = l->p->pixels ? find_pictures(c, err)
                          : cpv_samples_open(&c->in, c->path, NULL, err);
    while (!rc && (rc = cpv_samples_next(c->in, &sample, err)) == 1) {
        rc = take_sample(l, c, &sample, mem, err);
        cpv_arena_reset(mem);
        if (!rc && c->ids.failed)
            rc = cpv_fail_memory(err);
    }
    cpv_samples_close(&c->in);
    cpv_arena_close(&mem);
    return rc;
}

static void load_files(void *arg, int who)
{
    struct loader *l = arg;
    struct cpv_err err = {0};

    (void)who;
    for (;;) {
        size_t i;
        bool go;

        pthread_mutex_lock(&l->lock);
        i = l->next++;
        go = i < l->d->files && !l->err.code;
        pthread_mutex_unlock(&l->lock);
        if (!go)
            return;
        if (load_file(l, &l->chunk[i], &err)) {
            pthread_mutex_lock(&l->lock);
            if (!l->err.code)
                l->err = err;
            pthread_mutex_unlock(&l->lock);
            return;
        }
        cpv_progress_add(l->p->progress, 1, 0);
    }
}

static void chunk_free(struct chunk *c)
{
    cpv_free(c->embedding);
    cpv_free(c->place);
    cpv_free(c->lang_end);
    cpv_free(c->caption_end);
    cpv_free((void *)(uintptr_t)c->key);
    cpv_ids_release(&c->ids);
    cpv_arena_close(&c->mem);
}

/* ---- all of them, one behind the other ---- */

static int sum_up(struct loader *l, uint64_t *samples, struct cpv_err *err)
{
    data *d = l->d;
    uint64_t captions = 0, tokens = 0;

    for (size_t i = 0; i < d->files; i++) {
        const struct chunk *c = &l->chunk[i];

        d->counts.samples += c->n;
        captions += c->captions;
        tokens += c->ids.count;
        d->counts.broken += c->broken;
        d->counts.captionless += c->captionless;
    }
    if (l->p->most && d->counts.samples > l->p->most)
        d->counts.samples = l->p->most;
    *samples = d->counts.samples;
    if (*samples == 0)
        return cpv_fail(
            err, CPV_E_INPUT,
            "'%s': no sample can be used: %llu broken, %llu without a caption",
            l->p->sets.at[0], (unsigned long long)d->counts.broken,
            (unsigned long long)d->counts.captionless);
    if (*samples > UINT32_MAX || captions > UINT32_MAX)
        return cpv_fail(err, CPV_E_INPUT, "'%s': more than 2^32 captions",
                        l->p->sets.at[0]);
    d->lang_end = cpv_calloc((size_t)*samples * d->langs, sizeof *d->lang_end);
    d->caption_end = cpv_calloc((size_t)captions + 1, sizeof *d->caption_end);
    d->tokens = cpv_calloc((size_t)tokens + 1, sizeof *d->tokens);
    d->key = cpv_calloc((size_t)*samples, sizeof *d->key);
    if (l->p->pixels)
        d->place = cpv_calloc((size_t)*samples, sizeof *d->place);
    else
        d->embedding =
            cpv_calloc((size_t)*samples * (size_t)d->dim, sizeof *d->embedding);
    return d->lang_end && d->caption_end && d->tokens && d->key &&
                   (d->place || d->embedding)
               ? CPV_OK
               : cpv_fail_memory(err);
}

/* Append n samples of a chunk, and all captions. */
static void append(data *d, struct chunk *c, uint32_t file, size_t n)
{
    size_t at = d->n, dim = (size_t)d->dim;
    uint32_t captions = (uint32_t)d->counts.captions;
    uint64_t tokens = d->counts.tokens;

    for (size_t i = 0; i < n * d->langs; i++)
        d->lang_end[at * d->langs + i] = captions + c->lang_end[i];
    for (size_t i = 0; i < c->captions; i++)
        d->caption_end[captions + i] = tokens + c->caption_end[i];
    if (c->ids.count)
        memcpy(d->tokens + tokens, c->ids.data, c->ids.count * sizeof *d->tokens);
    for (size_t i = 0; i < n; i++) {
        d->key[at + i] = cpv_arena_str(d->mem, cpv_bytes_str(c->key[i]));
        if (d->place) {
            d->place[at + i] = c->place[i];
            d->place[at + i].file = file;
        }
    }
    if (d->embedding)
        memcpy(d->embedding + at * dim, c->embedding, n * dim * sizeof *d->embedding);
    d->n += (uint32_t)n;
    d->counts.captions += c->captions;
    d->counts.tokens += c->ids.count;
}

static int join(struct loader *l, struct cpv_err *err)
{
    data *d = l->d;
    uint64_t samples = 0;
    int rc = sum_up(l, &samples, err);

    for (size_t i = 0; i < d->files && !rc; i++) {
        struct chunk *c = &l->chunk[i];
        size_t n = c->n < samples - d->n ? c->n : (size_t)(samples - d->n);

        append(d, c, (uint32_t)i, n);
        d->map[i] = c->map;
        c->map = (struct cpv_bytes){0};
        chunk_free(c);
        memset(c, 0, sizeof *c);
    }
    for (uint32_t i = 0; i < d->n && !rc; i++)
        if (!d->key[i])
            rc = cpv_fail_memory(err);
    return rc;
}

/* Of what training sees: a set that was packed anew with the same content is the same. */
static int take_digest(data *d, struct cpv_err *err)
{
    cpv_sha256 *h = NULL;
    int rc = cpv_sha256_open(&h, err);

    if (rc)
        return rc;
    cpv_sha256_add(h, d->lang_end, (size_t)d->n * d->langs * sizeof *d->lang_end);
    cpv_sha256_add(h, d->caption_end,
                   (size_t)d->counts.captions * sizeof *d->caption_end);
    cpv_sha256_add(h, d->tokens, (size_t)d->counts.tokens * sizeof *d->tokens);
    if (d->embedding)
        cpv_sha256_add(h, d->embedding,
                       (size_t)d->n * (size_t)d->dim * sizeof *d->embedding);
    for (uint32_t i = 0; d->place && i < d->n; i++)
        cpv_sha256_add(h, d->key[i], strlen(d->key[i]) + 1);
    cpv_sha256_take(h, d->digest);
    cpv_sha256_close(&h);
    return CPV_OK;
}

static int find_files(data *d, const struct data_params *p, struct cpv_err *err)
{
    struct cpv_packed set[64];
    size_t n = 0;
    int rc = CPV_OK;

    if (p->sets.count > CPV_COUNT(set))
        return cpv_fail(err, CPV_E_USAGE, "more than %d sets", (int)CPV_COUNT(set));
    for (size_t i = 0; i < p->sets.count && !rc; i++) {
        rc = cpv_packed_find(p->sets.at[i], d->mem, &set[i], err);
        d->files += rc ? 0 : set[i].count;
    }
    d->file = rc ? NULL : cpv_arena_calloc(d->mem, d->files, sizeof *d->file);
    d->map = rc ? NULL : cpv_arena_calloc(d->mem, d->files, sizeof *d->map);
    if (!rc && (!d->file || !d->map))
        rc = cpv_fail_memory(err);
    for (size_t i = 0; i < p->sets.count && !rc; i++)
        for (size_t k = 0; k < set[i].count; k++)
            d->file[n++] = set[i].at[k];
    return rc;
}

static int load(struct loader *l, struct cpv_err *err)
{
    data *d = l->d;
    size_t threads = (size_t)l->p->threads < d->files ? (size_t)l->p->threads : d->files;
    cpv_pool *pool = NULL;
    int rc;

    cpv_progress_total(l->p->progress, d->files);
    for (size_t i = 0; i < d->files; i++)
        l->chunk[i].path = d->file[i];
    rc = cpv_pool_open(&pool, "read", threads ? (int)threads : 1, 0, load_files, l, err);
    cpv_pool_close(&pool);
    if (!rc && l->err.code) {
        *err = l->err;
        rc = err->code;
    }
    return rc ? rc : join(l, err);
}

int data_open(data **out, const struct data_params *params, struct cpv_err *err)
{
    struct loader l = {.p = params};
    data *d = l.d = cpv_calloc(1, sizeof *d);
    int rc = d ? CPV_OK : cpv_fail_memory(err);

    *out = NULL;
    if (rc)
        return rc;
    pthread_mutex_init(&l.lock, NULL);
    d->dim = cpv_clip_config(params->model)->dim;
    d->langs = params->languages.count;
    rc = cpv_arena_open(&d->mem, 0, err);
    if (!rc)
        rc = find_files(d, params, err);
    l.chunk = rc ? NULL : cpv_calloc(d->files, sizeof *l.chunk);
    if (!rc && !l.chunk)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = load(&l, err);
    for (size_t i = 0; l.chunk && i < d->files; i++) {
        cpv_file_unmap(&l.chunk[i].map);
        chunk_free(&l.chunk[i]);
    }
    cpv_free(l.chunk);
    pthread_mutex_destroy(&l.lock);
    if (!rc)
        rc = take_digest(d, err);
    if (rc)
        data_close(&d);
    *out = d;
    return rc;
}

void data_close(data **dp)
{
    data *d = *dp;

    if (!d)
        return;
    for (size_t i = 0; d->map && i < d->files; i++)
        cpv_file_unmap(&d->map[i]);
    cpv_free(d->embedding);
    cpv_free(d->place);
    cpv_free(d->lang_end);
    cpv_free(d->caption_end);
    cpv_free(d->tokens);
    cpv_free((void *)(uintptr_t)d->key);
    cpv_arena_close(&d->mem);
    cpv_free(d);
    *dp = NULL;
}
