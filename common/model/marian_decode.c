/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many sentences at once: lanes that are filled again as sentences are finished.
 *
 * Lane i has slot i of the memory (keys and values of its source) and the slots
 * i * beams ... of the history. A step runs one row for each live beam of each lane in
 * use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/sys.h"
#include "common/model/marian_impl.h"

enum {
    ENCODED = 1024, /* source tokens that are encoded together, at least one sentence */
};

struct lane {
    int sentence; /* -1: free */
    bool fresh;   /* its first row is decoder_start */
    cpv_beam *beam;
};

struct cpv_marian_worker {
    const cpv_marian *m;
    struct cpv_search search;
    struct cpv_marian_limits limits;
    cpv_compute *c;
    cpv_kv *history, *memory;
    struct lane *lane;
    int used; /* lanes with a sentence */
    /* For a step: one for each row. */
    int32_t *ids, *slots, *memories, *sources;
    int32_t *top_ids;
    float *top_values, *lse;
    int wants;
    /* For a call. */
    const struct cpv_sentence *sentence;
    int *order, sentences, next;
};

/* ---- one step ---- */

static int rows_of(const cpv_marian_worker *w)
{
    return w->limits.lanes * w->search.beams;
}

/* Put a batch of sources into the memories of their lanes. */
static void encode(cpv_compute *c, const cpv_marian *m, cpv_kv *memory,
                   const int32_t *ids, const int32_t *lengths, const int32_t *lanes,
                   int n)
{
    struct cpv_compute_mark mark = cpv_compute_mark(c);
    cpv_rows rows = cpv_rows_put(c, lengths, n);
    cpv_slots slots = cpv_slots_put(c, lanes, n);
    cpv_tensor x;

    cpv_kv_clear(c, memory, slots);
    x = marian_encode(c, m, cpv_put_i32(c, rows.total, 1, ids), rows);
    cpv_kv_extend(c, memory, rows, slots);
    marian_remember(c, m, x, memory);
    cpv_compute_rewind(c, mark);
}

/* One token for each of n beams, and the best that may follow. */
static struct cpv_top step(cpv_compute *c, const cpv_marian *m, cpv_kv *history,
                           const cpv_kv *memory, const int32_t *ids, const int32_t *slots,
                           const int32_t *memories, int n, int k)
{
    cpv_rows rows = cpv_rows_equal(c, 1, n);
    cpv_tensor x =
        marian_decode(c, m, cpv_put_i32(c, n, 1, ids), rows, history,
                      cpv_slots_put(c, slots, n), memory, cpv_slots_put(c, memories, n));

    return cpv_topk(c, cpv_logits(c, x, m->head), k);
}

/* ---- the worst case, on shapes alone ---- */

/* The most tokens that admit takes at once, in sentences as long as they may be. */
static int most_sources(const cpv_marian_worker *w)
{
    const struct cpv_marian_limits *l = &w->limits;
    int left = l->source > ENCODED ? l->source : ENCODED, n = 0;

    for (; n < l->lanes && left > 0; n++) {
        w->sources[n] = left < l->source ? left : l->source;
        left -= w->sources[n];
    }
    return n;
}

static int measure(const cpv_marian_worker *w, const cpv_marian *dry, size_t *bytes,
                   struct cpv_err *err)
{
    const struct cpv_marian_limits *l = &w->limits;
    int32_t n;
    struct cpv_compute_params params = {.threads = l->threads};
    struct cpv_kv_params kept = {.layers = dry->config.decoder_layers,
                                 .slots = rows_of(w),
                                 .capacity = l->target,
                                 .width = dry->config.d_model};
    cpv_kv *history = NULL, *memory = NULL;
    cpv_compute *a = NULL, *b = NULL;
    int rc = cpv_kv_open(&history, dry->device, &kept, err);

    kept.slots = l->lanes;
    kept.capacity = l->source;
    kept.fixed = true;
    if (!rc)
        rc = cpv_kv_open(&memory, dry->device, &kept, err);
    if (!rc)
        rc = cpv_compute_open(&a, dry->device, &params, err);
    if (!rc)
        rc = cpv_compute_open(&b, dry->device, &params, err);
    if (rc)
        goto done;
    for (int i = 0; i < rows_of(w); i++) {
        w->slots[i] = i;
        w->memories[i] = i % l->lanes;
        w->ids[i] = l->target - 1;
    }
    /* As long as can be: histories of all but one position, in a context of their own. */
    cpv_kv_extend(a, memory, cpv_rows_equal(a, l->source, l->lanes),
                  cpv_slots_put(a, w->slots, l->lanes));
    if (l->target > 1)
        cpv_kv_extend(a, history, cpv_rows_equal(a, l->target - 1, rows_of(w)),
                      cpv_slots_put(a, w->slots, rows_of(w)));
    n = most_sources(w);
    encode(b, dry, memory, NULL, w->sources, w->slots, n);
    cpv_kv_clear(a, memory, cpv_slots_put(a, w->slots, n));
    cpv_kv_extend(a, memory, cpv_rows_equal(a, l->source, n),
                  cpv_slots_put(a, w->slots, n));
    /* Many short ones take more offsets than few long ones. */
    step(b, dry, history, memory, w->ids, w->slots, w->memories, rows_of(w), w->wants);
    *bytes = cpv_compute_peak(b) + (size_t)rows_of(w) * 64 + (1u << 16);
    rc = cpv_compute_sync(a, err);
    if (!rc)
        rc = cpv_compute_sync(b, err);
done:
    cpv_kv_close(&memory);
    cpv_kv_close(&history);
    cpv_compute_close(&b);
    cpv_compute_close(&a);
    return rc;
}

static int plan(const cpv_marian_worker *w, size_t *bytes, struct cpv_err *err)
{
    char like[32];
    struct cpv_device_params params = {.name = "dry", .like = like};
    cpv_device *device = NULL;
    cpv_marian *dry = NULL;
    int rc;

    cpv_device_traits(w->m->device, &params.weights, &params.values);
    snprintf(like, sizeof like, "%s", cpv_device_name(w->m->device));
    rc = cpv_device_open(&device, &params, err);
    if (!rc)
        rc = cpv_marian_open(&dry, device, w->m->folder, err);
    if (!rc)
        rc = measure(w, dry, bytes, err);
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

static int open_arrays(cpv_marian_worker *w, struct cpv_err *err)
{
    size_t rows = (size_t)rows_of(w), k;
    int rc = CPV_OK;

    w->wants = cpv_search_wants(&w->search);
    k = (size_t)w->wants;
    w->lane = cpv_calloc((size_t)w->limits.lanes, sizeof *w->lane);
    w->ids = cpv_calloc(rows, sizeof *w->ids);
    w->slots = cpv_calloc(rows, sizeof *w->slots);
    w->memories = cpv_calloc(rows, sizeof *w->memories);
    w->sources = cpv_calloc(rows, sizeof *w->sources);
    w->top_ids = cpv_calloc(rows * k, sizeof *w->top_ids);
    w->top_values = cpv_calloc(rows * k, sizeof *w->top_values);
    w->lse = cpv_calloc(rows, sizeof *w->lse);
    if (!w->lane || !w->ids || !w->slots || !w->memories || !w->sources || !w->top_ids ||
        !w->top_values || !w->lse)
        return cpv_fail_memory(err);
    for (int i = 0; i < w->limits.lanes && !rc; i++) {
        w->lane[i].sentence = -1;
        rc = cpv_beam_open(&w->lane[i].beam, &w->search, w->limits.target, err);
    }
    return rc;
}

static int open_device(cpv_marian_worker *w, struct cpv_err *err)
{
    const struct cpv_marian_config *k = &w->m->config;
    struct cpv_kv_params kept = {.layers = k->decoder_layers,
                                 .slots = rows_of(w),
                                 .capacity = w->limits.target,
                                 .width = k->d_model};
    struct cpv_compute_params params = {.threads = w->limits.threads};
    int rc = plan(w, &params.arena, err);

    if (!rc)
        rc = cpv_compute_open(&w->c, w->m->device, &params, err);
    if (!rc)
        rc = cpv_kv_open(&w->history, w->m->device, &kept, err);
    kept.slots = w->limits.lanes;
    kept.capacity = w->limits.source;
    kept.fixed = true;
    if (!rc)
        rc = cpv_kv_open(&w->memory, w->m->device, &kept, err);
    return rc;
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
    rc = set_limits(w, limits, err);
    if (!rc && cpv_search_wants(search) > m->config.target_vocab)
        rc = cpv_fail(err, CPV_E_USAGE, "%d beams with a vocabulary of %d", search->beams,
                      m->config.target_vocab);
    if (!rc)
        rc = open_arrays(w, err);
    if (!rc)
        rc = open_device(w, err);
    if (rc)
        cpv_marian_worker_close(&w);
    *out = w;
    return rc;
}

void cpv_marian_worker_close(cpv_marian_worker **w)
{
    cpv_marian_worker *o = *w;

    if (!o)
        return;
    cpv_kv_close(&o->history);
    cpv_kv_close(&o->memory);
    cpv_compute_close(&o->c);
    for (int i = 0; o->lane && i < o->limits.lanes; i++)
        cpv_beam_close(&o->lane[i].beam);
    cpv_free(o->lane);
    cpv_free(o->ids);
    cpv_free(o->slots);
    cpv_free(o->memories);
    cpv_free(o->sources);
    cpv_free(o->top_ids);
    cpv_free(o->top_values);
    cpv_free(o->lse);
    cpv_free(o);
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

/* Take the next sentences into free lanes, as many as may be encoded together. */
static int admit(cpv_marian_worker *w, struct cpv_err *err)
{
    int32_t *ids = NULL;
    int n = 0, tokens = 0, lane = 0;

    for (int i = w->next; i < w->sentences; i++) {
        tokens += w->sentence[w->order[i]].n;
        if (n == w->limits.lanes - w->used || (n && tokens > ENCODED))
            break;
        n++;
    }
    ids = cpv_calloc((size_t)tokens, sizeof *ids);
    if (!ids)
        return cpv_fail_memory(err);
    tokens = 0;
    for (int i = 0; i < n; i++, lane++) {
        int at = w->order[w->next + i];
        const struct cpv_sentence *s = &w->sentence[at];

        while (w->lane[lane].sentence >= 0)
            lane++;
        w->lane[lane].sentence = at;
        w->lane[lane].fresh = true;
        cpv_beam_start(w->lane[lane].beam, most_for(w, s->n), number_of(s));
        memcpy(ids + tokens, s->ids, (size_t)s->n * sizeof *ids);
        tokens += s->n;
        w->sources[i] = s->n;
        w->memories[i] = lane;
    }
    encode(w->c, w->m, w->memory, ids, w->sources, w->memories, n);
    cpv_free(ids);
    w->next += n;
    w->used += n;
    return CPV_OK;
}

/* Rows of this step; and which slots take over from which, since the last one. */
static int gather(cpv_marian_worker *w, int *forks)
{
    int n = 0, beams = w->search.beams;

    *forks = 0;
    for (int i = 0; i < w->limits.lanes; i++) {
        struct lane *l = &w->lane[i];

        if (l->sentence < 0)
            continue;
        for (int b = 0; b < cpv_beam_live(l->beam); b++, n++) {
            w->slots[n] = i * beams + b;
            w->memories[n] = i;
            w->ids[n] =
                l->fresh ? w->m->config.decoder_start : cpv_beam_tokens(l->beam)[b];
            w->sources[n] =
                l->fresh ? w->slots[n] : i * beams + cpv_beam_parents(l->beam)[b];
            *forks += w->sources[n] != w->slots[n];
        }
        l->fresh = false;
    }
    return n;
}

/* Give the sentences that are done away, and free their lanes. */
static int retire(cpv_marian_worker *w, cpv_marian_emit *emit, void *arg)
{
    int beams = w->search.beams, n = 0, rc = 0;

    for (int i = 0; i < w->limits.lanes && !rc; i++) {
        struct lane *l = &w->lane[i];

        if (l->sentence < 0 || !cpv_beam_done(l->beam))
            continue;
        rc = emit(arg, l->sentence, l->beam);
        l->sentence = -1;
        w->used--;
        for (int b = 0; b < beams; b++)
            w->slots[n++] = i * beams + b;
    }
    if (n) {
        struct cpv_compute_mark mark = cpv_compute_mark(w->c);

        cpv_kv_clear(w->c, w->history, cpv_slots_put(w->c, w->slots, n));
        cpv_compute_rewind(w->c, mark);
    }
    return rc;
}

static int advance(cpv_marian_worker *w, struct cpv_err *err)
{
    struct cpv_compute_mark mark = cpv_compute_mark(w->c);
    int forks, n = gather(w, &forks), row = 0, k = w->wants;
    struct cpv_top top;

    if (forks)
        cpv_kv_fork(w->c, w->history, cpv_slots_put(w->c, w->slots, n),
                    cpv_slots_put(w->c, w->sources, n));
    top = step(w->c, w->m, w->history, w->memory, w->ids, w->slots, w->memories, n, k);
    cpv_get_i32(w->c, top.ids, w->top_ids);
    cpv_get(w->c, top.values, w->top_values);
    cpv_get(w->c, top.lse, w->lse);
    cpv_compute_rewind(w->c, mark);
    if (cpv_compute_failed(w->c))
        return cpv_compute_sync(w->c, err);
    for (int i = 0; i < w->limits.lanes; i++) {
        cpv_beam *b = w->lane[i].beam;
        int live = cpv_beam_live(b);

        if (w->lane[i].sentence < 0)
            continue;
        cpv_beam_advance(b, k, w->top_ids + row * k, w->top_values + row * k,
                         w->lse + row);
        row += live;
    }
    return CPV_OK;
}

/* After a call that did not come to its end: no lane is in use, nothing is remembered. */
static void abandon(cpv_marian_worker *w)
{
    struct cpv_compute_mark mark = cpv_compute_mark(w->c);

    for (int i = 0; i < w->limits.lanes; i++)
        w->lane[i].sentence = -1;
    w->used = 0;
    for (int i = 0; i < rows_of(w); i++)
        w->slots[i] = i;
    cpv_kv_clear(w->c, w->history, cpv_slots_put(w->c, w->slots, rows_of(w)));
    cpv_compute_rewind(w->c, mark);
}

int cpv_marian_translate(cpv_marian_worker *w, const struct cpv_sentence *sentence, int n,
                         cpv_marian_emit *emit, void *arg, struct cpv_err *err)
{
    int rc;

    if (n < 1)
        return CPV_OK;
    w->sentence = sentence;
    w->sentences = n;
    w->next = 0;
    rc = check(w, err);
    if (!rc)
        rc = sort(w, err);
    while (!rc && (w->used || w->next < n)) {
        /* Encode a good number at once: when half of the lanes are free. */
        if (w->next < n && 2 * w->used <= w->limits.lanes)
            rc = admit(w, err);
        if (!rc)
            rc = advance(w, err);
        if (!rc)
            rc = retire(w, emit, arg);
    }
    if (rc)
        abandon(w);
    cpv_free(w->order);
    w->order = NULL;
    return rc;
}
