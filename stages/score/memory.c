/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What texts have been embedded. A ring of entries, the oldest of which makes way, and a
 * table of chains into it; vectors lie in blocks that are made as they are needed.
 */
#include "common/base/hash.h"
#include "common/base/sys.h"
#include "stages/score/score.h"

enum {
    KEY = 16,
    BLOCK = 1024,          /* entries whose vectors lie together */
    ENTRIES_MAX = 1 << 26, /* whatever the bytes */
    OF_ENTRY = 48          /* bytes besides the vector, the table's included */
};

struct entry {
    uint8_t key[KEY];
    uint32_t next; /* in the chain, plus 1 */
    uint32_t part; /* that it came in last */
    bool blank;
};

struct memory {
    int dim;
    uint32_t room, used, oldest; /* entries: at most; there; to be given up next */
    uint32_t part;
    struct entry *entry;
    uint32_t have;   /* entries that there is memory for */
    float **block;   /* room / BLOCK of them */
    uint32_t *chain; /* first of each, plus 1 */
    uint32_t mask;
};

static float *vector_of(const memory *m, uint32_t i)
{
    return m->block[i / BLOCK] + (size_t)(i % BLOCK) * (size_t)m->dim;
}

static void key_of(struct cpv_bytes text, uint8_t key[KEY])
{
    uint8_t digest[CPV_SHA256_SIZE];

    cpv_sha256_of(digest, text);
    memcpy(key, digest, KEY);
}

static uint32_t *chain_of(const memory *m, const uint8_t key[KEY])
{
    return &m->chain[cpv_load_u32(key) & m->mask];
}

int memory_open(memory **out, int dim, int64_t bytes, struct cpv_err *err)
{
    memory *m = cpv_calloc(1, sizeof *m);
    uint64_t room = (uint64_t)bytes / ((uint64_t)dim * sizeof(float) + OF_ENTRY);
    uint32_t chains = 1024;

    *out = m;
    if (!m)
        return cpv_fail_memory(err);
    m->dim = dim;
    m->room = room < ENTRIES_MAX ? (uint32_t)room : ENTRIES_MAX;
    while (chains < m->room)
        chains *= 2;
    m->mask = chains - 1;
    m->chain = cpv_calloc(chains, sizeof *m->chain);
    m->block = cpv_calloc((size_t)m->room / BLOCK + 1, sizeof *m->block);
    if (!m->chain || !m->block) {
        memory_close(out);
        return cpv_fail_memory(err);
    }
    return CPV_OK;
}

void memory_close(memory **m)
{
    if (!*m)
        return;
    for (uint32_t i = 0; (*m)->block && i <= (*m)->room / BLOCK; i++)
        cpv_free((*m)->block[i]);
    cpv_free((*m)->block);
    cpv_free((*m)->chain);
    cpv_free((*m)->entry);
    cpv_free(*m);
    *m = NULL;
}

void memory_begin(memory *m)
{
    m->part++;
}

bool memory_find(memory *m, struct cpv_bytes text, float *vector, bool *blank,
                 bool *again)
{
    uint8_t key[KEY];
    uint32_t at;

    key_of(text, key);
    for (at = *chain_of(m, key); at; at = m->entry[at - 1].next)
        if (memcmp(m->entry[at - 1].key, key, KEY) == 0)
            break;
    if (!at)
        return false;
    *blank = m->entry[at - 1].blank;
    *again = m->entry[at - 1].part == m->part;
    m->entry[at - 1].part = m->part;
    if (!*blank)
        memcpy(vector, vector_of(m, at - 1), (size_t)m->dim * sizeof *vector);
    return true;
}

/* Memory for one more entry and its vector. */
static int make_room(memory *m, struct cpv_err *err)
{
    float **block = &m->block[m->used / BLOCK];

    if (m->used == m->have) {
        uint32_t more = m->have ? 2 * m->have : BLOCK;
        struct entry *e = cpv_realloc(m->entry, (size_t)more * sizeof *e);

        if (!e)
            return cpv_fail_memory(err);
        m->entry = e;
        m->have = more;
    }
    if (!*block)
        *block = cpv_calloc((size_t)BLOCK * (size_t)m->dim, sizeof **block);
    return *block ? CPV_OK : cpv_fail_memory(err);
}

static void forget(memory *m, uint32_t i)
{
    uint32_t *at = chain_of(m, m->entry[i].key);

    while (*at != i + 1)
        at = &m->entry[*at - 1].next;
    *at = m->entry[i].next;
}

int memory_add(memory *m, struct cpv_bytes text, const float *vector, struct cpv_err *err)
{
    struct entry *e;
    uint32_t i, *chain;
    int rc;

    if (!m->room)
        return CPV_OK;
    if (m->used < m->room) {
        rc = make_room(m, err);
        if (rc)
            return rc;
        i = m->used++;
    } else {
        i = m->oldest;
        m->oldest = (m->oldest + 1) % m->room;
        forget(m, i);
    }
    e = &m->entry[i];
    key_of(text, e->key);
    chain = chain_of(m, e->key);
    e->next = *chain;
    e->part = m->part;
    e->blank = !vector;
    *chain = i + 1;
    if (vector)
        memcpy(vector_of(m, i), vector, (size_t)m->dim * sizeof *vector);
    return CPV_OK;
}
