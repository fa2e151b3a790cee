/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translation memory: digests of texts in a table, the translations in a journal
 * (on disk), or beside the table where there is none. A record of the journal is
 * digest 16 | u32 flags | u32 tokens in | u32 tokens out | text.
 *
 * It only ever saves time. A text's translation does not depend on its neighbours, so
 * what is found is what would be computed; deleting the file changes no byte of any
 * column.
 */
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "common/format/journal.h"
#include "stages/translate/translate.h"

enum {
    KEY = 16,
    HEAD = KEY + 12,
    /* 32 bytes each: 1 GiB of table. What comes later is translated each time. */
    ENTRIES_MAX = 1 << 24
};

struct entry {
    uint8_t key[KEY];
    uint64_t at; /* in the journal or in `texts`, plus 1; 0: empty */
};

struct memory {
    struct entry *slot;
    size_t mask, used;
    cpv_journal *journal; /* NULL: texts */
    struct cpv_buf texts; /* u32 size and record */
    struct cpv_buf payload;
    int lock;
};

static void key_of(struct cpv_bytes text, uint8_t key[KEY])
{
    uint8_t digest[CPV_SHA256_SIZE];

    cpv_sha256_of(digest, text);
    memcpy(key, digest, KEY);
}

static struct entry *find(memory *m, const uint8_t key[KEY])
{
    size_t i;

    for (i = (size_t)cpv_load_u64(key) & m->mask; m->slot[i].at; i = (i + 1) & m->mask)
        if (memcmp(m->slot[i].key, key, KEY) == 0)
            break;
    return &m->slot[i];
}

static int grow(memory *m, struct cpv_err *err)
{
    struct entry *old = m->slot;
    size_t n = old ? m->mask + 1 : 0, more = n ? 2 * n : 1024;

    m->slot = cpv_calloc(more, sizeof *m->slot);
    if (!m->slot) {
        m->slot = old;
        return cpv_fail_memory(err);
    }
    m->mask = more - 1;
    for (size_t i = 0; i < n; i++)
        if (old[i].at)
            *find(m, old[i].key) = old[i];
    cpv_free(old);
    return CPV_OK;
}

/* Remember where; of equal keys the first stays. */
static int note(memory *m, const uint8_t key[KEY], uint64_t at, struct cpv_err *err)
{
    struct entry *e;
    int rc = CPV_OK;

    if (m->used >= ENTRIES_MAX)
        return CPV_OK;
    if (!m->slot || m->used >= m->mask / 4 * 3)
        rc = grow(m, err);
    if (rc)
        return rc;
    e = find(m, key);
    if (!e->at) {
        memcpy(e->key, key, KEY);
        e->at = at + 1;
        m->used++;
    }
    return CPV_OK;
}

static int replay(void *ctx, struct cpv_bytes payload, uint64_t offset,
                  struct cpv_err *err)
{
    return payload.size < HEAD ? CPV_OK : note(ctx, payload.data, offset, err);
}

int memory_open(memory **out, const char *path, const uint8_t identity[32],
                struct cpv_err *err)
{
    memory *m = cpv_calloc(1, sizeof *m);
    struct cpv_buf lock = {0};
    int rc = m ? CPV_OK : cpv_fail_memory(err);

    *out = NULL;
    if (!rc) {
        m->lock = -1;
        rc = grow(m, err);
    }
    if (!rc && path) {
        cpv_buf_printf(&lock, "%s.lock", path);
        rc = cpv_buf_cstr(&lock) ? cpv_file_lock(&m->lock, cpv_buf_cstr(&lock), err)
                                 : cpv_fail_memory(err);
        /* Somebody else keeps it: ours is as good, and gone in the end. */
        if (rc == CPV_E_BUSY)
            rc = CPV_OK;
        else if (!rc)
            rc = cpv_journal_open(&m->journal, path, cpv_bytes_of(identity, 32), replay,
                                  m, err);
    }
    cpv_buf_release(&lock);
    if (rc)
        memory_close(&m);
    *out = m;
    return rc;
}

void memory_close(memory **m)
{
    if (!*m)
        return;
    cpv_journal_close(&(*m)->journal);
    if ((*m)->lock >= 0)
        cpv_file_close(&(*m)->lock);
    cpv_buf_release(&(*m)->texts);
    cpv_buf_release(&(*m)->payload);
    cpv_free((*m)->slot);
    cpv_free(*m);
    *m = NULL;
}

static int record_at(memory *m, uint64_t at, struct cpv_bytes *record,
                     struct cpv_err *err)
{
    int rc;

    if (!m->journal) {
        const uint8_t *p = m->texts.data + at;

        *record = cpv_bytes_of(p + 4, cpv_load_u32(p));
        return CPV_OK;
    }
    rc = cpv_journal_read(m->journal, at, &m->payload, err);
    *record = cpv_buf_view(&m->payload);
    return rc;
}

int memory_find(memory *m, struct translation *t, cpv_arena *mem, bool *found,
                struct cpv_err *err)
{
    uint8_t key[KEY];
    const struct entry *e;
    struct cpv_bytes r;
    char *text;
    int rc;

    *found = false;
    key_of(t->source, key);
    e = find(m, key);
    if (!e->at)
        return CPV_OK;
    rc = record_at(m, e->at - 1, &r, err);
    if (rc || r.size < HEAD)
        return rc;
    text = cpv_arena_str(mem, cpv_bytes_of(r.data + HEAD, r.size - HEAD));
    if (!text)
        return cpv_fail_memory(err);
    t->target = cpv_bytes_of(text, r.size - HEAD);
    t->flags = cpv_load_u32(r.data + KEY);
    t->tokens_in = (int)cpv_load_u32(r.data + KEY + 4);
    t->tokens_out = (int)cpv_load_u32(r.data + KEY + 8);
    *found = true;
    return CPV_OK;
}

int memory_add(memory *m, const struct translation *t, struct cpv_err *err)
{
    struct cpv_buf head = {0};
    uint8_t key[KEY];
    uint64_t at = m->texts.size;
    int rc;

    key_of(t->source, key);
    cpv_buf_add(&head, key, KEY);
    cpv_buf_u32(&head, t->flags);
    cpv_buf_u32(&head, (uint32_t)t->tokens_in);
    cpv_buf_u32(&head, (uint32_t)t->tokens_out);
    if (m->journal) {
        struct cpv_bytes pieces[] = {cpv_buf_view(&head), t->target};

        rc = head.failed ? cpv_fail_memory(err)
                         : cpv_journal_add(m->journal, pieces, 2, &at, err);
    } else {
        cpv_buf_u32(&m->texts, (uint32_t)(head.size + t->target.size));
        cpv_buf_add(&m->texts, head.data, head.size);
        cpv_buf_add(&m->texts, t->target.data, t->target.size);
        rc = head.failed || m->texts.failed ? cpv_fail_memory(err) : CPV_OK;
    }
    cpv_buf_release(&head);
    return rc ? rc : note(m, key, at, err);
}
