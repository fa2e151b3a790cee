/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences for the generator: sorted by length, encoded a good number at once. */
#include <stdlib.h>
#include <string.h>

#include "common/base/sys.h"
#include "common/model/generate.h"
#include "common/model/marian_impl.h"

enum {
    ENCODED = 1024, /* source tokens that are encoded together, at least one sentence */
};

struct cpv_marian_worker {
    const cpv_marian *m;
    struct cpv_search search;
    struct cpv_marian_limits limits;
    cpv_generator *generator;
    struct cpv_prompt start;
    int32_t *lengths; /* of an admission */
    /* For a call. */
    const struct cpv_sentence *sentence;
    int *order, sentences, next;
    cpv_marian_emit *emit;
    void *arg;
};

/* ---- what the generator asks of a model ---- */

static cpv_tensor decode(cpv_compute *c, const void *self, cpv_tensor ids, cpv_rows rows,
                         cpv_kv *history, cpv_slots slots, const cpv_kv *memory,
                         cpv_slots memories)
{
    return marian_decode(c, self, ids, rows, history, slots, memory, memories);
}

static cpv_tensor logits(cpv_compute *c, const void *self, cpv_tensor x)
{
    return cpv_logits(c, x, ((const cpv_marian *)self)->head);
}

static struct cpv_generate_model model_of(const cpv_marian *m)
{
    struct cpv_generate_model model = {.self = m,
                                       .layers = m->config.decoder_layers,
                                       .width = m->config.d_model,
                                       .vocab = m->config.target_vocab,
                                       .decode = decode,
                                       .logits = logits};

    return model;
}

/* Put a batch of sources into their slots of the memory. */
static void encode(cpv_compute *c, const cpv_marian *m, cpv_kv *memory,
                   const int32_t *ids, const int32_t *lengths, const int32_t *slot, int n)
{
    cpv_rows rows = cpv_rows_put(c, lengths, n);
    cpv_tensor x = marian_encode(c, m, cpv_put_i32(c, rows.total, 1, ids), rows);

    cpv_kv_extend(c, memory, rows, cpv_slots_put(c, slot, n));
    marian_remember(c, m, x, memory);
}

/* ---- the worst case, on shapes alone ---- */

struct rehearsal {
    const cpv_marian *dry;
    const struct cpv_marian_limits *limits;
    int32_t *lengths;
};

/* The most tokens that are taken at once, in sentences as long as they may be. */
static void encode_most(void *arg, cpv_compute *c, cpv_kv *memory)
{
    const struct rehearsal *r = arg;
    const struct cpv_marian_limits *l = r->limits;
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    int left = l->source > ENCODED ? l->source : ENCODED, n = 0;
    int32_t *slot = r->lengths + l->lanes;

    for (; n < l->lanes && left > 0; n++) {
        slot[n] = n;
        r->lengths[n] = left < l->source ? left : l->source;
        left -= r->lengths[n];
    }
    encode(c, r->dry, memory, NULL, r->lengths, slot, n);
    cpv_compute_rewind(c, mark);
}

static struct cpv_generate_limits limits_of(const cpv_marian_worker *w)
{
    const struct cpv_marian_limits *l = &w->limits;
    struct cpv_generate_limits limits = {.sources = l->lanes,
                                         .admitted = l->lanes,
                                         .sequences = 1,
                                         .memory = l->source,
                                         .prompt = 1,
                                         .target = l->target,
                                         .threads = l->threads};

    return limits;
}

static int measure(const cpv_marian_worker *w, size_t *bytes, struct cpv_err *err)
{
    struct cpv_generate_limits limits = limits_of(w);
    struct rehearsal r = {.limits = &w->limits};
    struct cpv_generate_model model;
    cpv_device *device = NULL;
    cpv_marian *dry = NULL;
    int rc = cpv_dry_twin(&device, w->m->device, err);

    if (!rc)
        rc = cpv_marian_open(&dry, device, w->m->folder, err);
    r.lengths = cpv_calloc(2 * (size_t)w->limits.lanes, sizeof *r.lengths);
    if (!rc && !r.lengths)
        rc = cpv_fail_memory(err);
    if (!rc) {
        r.dry = dry;
        model = model_of(dry);
        rc = cpv_generator_measure(&model, device, &w->search, &limits, encode_most, &r,
                                   bytes, err);
    }
    cpv_free(r.lengths);
    cpv_marian_close(&dry);
    cpv_device_close(&device);
    return rc;
}

/* ---- life ---- */

static int set_limits(cpv_marian_worker *w, const struct cpv_marian_limits *l,
                      struct cpv_err *err)
{
    int most = w->m->config.max_length - 1; /* without the start */

    w->limits = *l;
    if (!l->lanes)
        w->limits.lanes = cpv_search_lanes(&w->search);
    if (!l->threads)
        w->limits.threads = 1;
    if (!l->target || l->target > most)
        w->limits.target = most;
    if (!l->source || l->source > w->m->config.positions)
        w->limits.source = w->m->config.positions;
    if (w->limits.lanes < 1 || w->limits.lanes > 4096 || w->limits.source < 1 ||
        w->limits.target < 1 || l->target_per < 0 || l->target_more < 0)
        return cpv_fail(err, CPV_E_USAGE, "limits of a translation below 1");
    return CPV_OK;
}

static int open_generator(cpv_marian_worker *w, struct cpv_err *err)
{
    struct cpv_generate_model model = model_of(w->m);
    struct cpv_generate_limits limits = limits_of(w);
    size_t arena;
    int rc = measure(w, &arena, err);

    return rc ? rc
              : cpv_generator_open(&w->generator, &model, w->m->device, &w->search,
                                   &limits, arena, err);
}

int cpv_marian_worker_open(cpv_marian_worker **out, const cpv_marian *m,
                           const struct cpv_search *search,
                           const struct cpv_marian_limits *limits, struct cpv_err *err)
{
    cpv_marian_worker *w = cpv_calloc(1, sizeof *w);
    int rc;

    *out = NULL;
    if (!w)
        return cpv_fail_memory(err);
    w->m = m;
    w->search = *search;
    w->start = (struct cpv_prompt){&m->config.decoder_start, 1};
    rc = set_limits(w, limits, err);
    if (!rc && cpv_search_wants(search) > m->config.target_vocab)
        rc = cpv_fail(err, CPV_E_USAGE, "%d beams with a vocabulary of %d", search->beams,
                      m->config.target_vocab);
    w->lengths = cpv_calloc(rc ? 1 : (size_t)w->limits.lanes, sizeof *w->lengths);
    if (!rc && !w->lengths)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = open_generator(w, err);
    if (rc)
        cpv_marian_worker_close(&w);
    *out = w;
    return rc;
}

void cpv_marian_worker_close(cpv_marian_worker **w)
{
    if (!*w)
        return;
    cpv_generator_close(&(*w)->generator);
    cpv_free((*w)->lengths);
    cpv_free(*w);
    *w = NULL;
}

/* ---- a call ---- */

struct ranked {
    int n, sentence;
};

/* Longest first; as they came among equals. */
static int by_length(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    return x->n != y->n ? (x->n < y->n) - (x->n > y->n)
                        : (x->sentence > y->sentence) - (x->sentence < y->sentence);
}

static int sort(cpv_marian_worker *w, struct cpv_err *err)
{
    struct ranked *r = cpv_calloc((size_t)w->sentences, sizeof *r);

    if (!r || !(w->order = cpv_calloc((size_t)w->sentences, sizeof *w->order))) {
        cpv_free(r);
        return cpv_fail_memory(err);
    }
    for (int i = 0; i < w->sentences; i++)
        r[i] = (struct ranked){w->sentence[i].n, i};
    qsort(r, (size_t)w->sentences, sizeof *r, by_length);
    for (int i = 0; i < w->sentences; i++)
        w->order[i] = r[i].sentence;
    cpv_free(r);
    return CPV_OK;
}

static int check(const cpv_marian_worker *w, struct cpv_err *err)
{
    for (int i = 0; i < w->sentences; i++) {
        const struct cpv_sentence *s = &w->sentence[i];

        if (s->n < 1 || s->n > w->limits.source)
            return cpv_fail(err, CPV_E_BUG, "sentence %d has %d tokens, expected 1 to %d",
                            i, s->n, w->limits.source);
        for (int k = 0; k < s->n; k++)
            if (s->ids[k] < 0 || s->ids[k] >= w->m->config.vocab)
                return cpv_fail(err, CPV_E_BUG, "sentence %d: no token %d in %d", i,
                                s->ids[k], w->m->config.vocab);
    }
    return CPV_OK;
}

/* How many tokens a translation may have. */
static int most_for(const cpv_marian_worker *w, int source)
{
    const struct cpv_marian_limits *l = &w->limits;
    double most = l->target_per * source + l->target_more;

    return most >= 1 && most < l->target ? (int)most : l->target;
}

/* What its random numbers are drawn by, where any are: the sentence itself. */
static uint64_t number_of(const struct cpv_sentence *s)
{
    uint64_t h = 14695981039346656037u;

    for (int i = 0; i < s->n; i++)
        h = (h ^ (uint32_t)s->ids[i]) * 1099511628211u;
    return h ^ h >> 32;
}

/* The next sentences, as many as may be encoded together, when half of the lanes are
 * free: a good number at once. */
static int take(void *arg, int used, int room, struct cpv_source_text *out, int *n,
                bool *over, struct cpv_err *err)
{
    cpv_marian_worker *w = arg;
    int tokens = 0;

    (void)err;
    *over = w->next == w->sentences;
    if (2 * used > w->limits.lanes)
        return CPV_OK;
    for (; w->next < w->sentences && *n < room; w->next++, ++*n) {
        int at = w->order[w->next];
        const struct cpv_sentence *s = &w->sentence[at];

        tokens += s->n;
        if (*n && tokens > ENCODED)
            break;
        out[*n] = (struct cpv_source_text){.id = (uint64_t)at,
                                           .number = number_of(s),
                                           .most = most_for(w, s->n),
                                           .prompt = &w->start,
                                           .sequences = 1};
    }
    return CPV_OK;
}

/* Those that take gave last: the n before w->next. */
static void encode_taken(void *arg, cpv_compute *c, cpv_kv *memory, const int32_t *slot,
                         int n)
{
    const cpv_marian_worker *w = arg;
    const int *at = w->order + w->next - n;
    int32_t *ids, tokens = 0;

    for (int i = 0; i < n; i++)
        tokens += w->lengths[i] = w->sentence[at[i]].n;
    ids = cpv_calloc((size_t)tokens, sizeof *ids);
    if (!ids) {
        cpv_compute_fail(c, CPV_E_MEMORY, "out of memory");
        return;
    }
    for (int i = 0, to = 0; i < n; to += w->lengths[i++])
        memcpy(ids + to, w->sentence[at[i]].ids, (size_t)w->lengths[i] * sizeof *ids);
    encode(c, w->m, memory, ids, w->lengths, slot, n);
    cpv_free(ids);
}

static int give(void *arg, uint64_t id, const cpv_beam *const *beam, int n,
                struct cpv_err *err)
{
    const cpv_marian_worker *w = arg;

    (void)n;
    (void)err;
    return w->emit(w->arg, (int)id, beam[0]);
}

int cpv_marian_translate(cpv_marian_worker *w, const struct cpv_sentence *sentence, int n,
                         cpv_marian_emit *emit, void *arg, struct cpv_err *err)
{
    struct cpv_generate_feed feed = {
        .arg = w, .take = take, .encode = encode_taken, .emit = give};
    int rc;

    if (n < 1)
        return CPV_OK;
    w->sentence = sentence;
    w->sentences = n;
    w->next = 0;
    w->emit = emit;
    w->arg = arg;
    rc = check(w, err);
    if (!rc)
        rc = sort(w, err);
    if (!rc)
        rc = cpv_generate(w->generator, &feed, err);
    cpv_free(w->order);
    w->order = NULL;
    return rc;
}
