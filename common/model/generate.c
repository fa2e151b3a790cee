/* SPDX-License-Identifier: Apache-2.0 */
#include "common/model/generate.h"

#include <stdio.h>
#include <string.h>

#include "common/base/sys.h"

struct lane {
    const struct cpv_prompt
        *prompt;  /* not seen yet; NULL: its next rows are one a beam */
    bool writing; /* a sequence that is not done */
    cpv_beam *beam;
};

struct place {
    uint64_t id;
    int sequences; /* 0: free */
};

struct cpv_generator {
    struct cpv_generate_model model;
    struct cpv_search search;
    struct cpv_generate_limits limits;
    size_t arena;
    cpv_compute *c;
    cpv_kv *history, *memory;
    struct place *place;           /* one for each slot of the memory */
    struct lane *lane;             /* limits.sequences for each place */
    struct cpv_source_text *taken; /* of one admission */
    int used;                      /* places with a source */
    /* For a step: one for each sequence of the batch; ids: for each row. */
    int32_t *ids, *lengths, *slots, *memories, *parents, *last;
    int32_t *top_ids;
    float *top_values, *lse;
    int wants;
};

static int lanes_of(const struct cpv_generate_limits *l)
{
    return l->sources * l->sequences;
}

/* Sequences of a step, at most. */
static int most_sequences(const struct cpv_generate_limits *l, int beams)
{
    return lanes_of(l) * beams;
}

/* Rows of a step, at most: those who come bring their prompts. */
static size_t most_rows(const struct cpv_generate_limits *l, int beams)
{
    return (size_t)most_sequences(l, beams) +
           (size_t)l->admitted * (size_t)l->sequences * (size_t)(l->prompt - 1);
}

/* ---- one step ---- */

struct batch {
    const int32_t *ids, *lengths, *slots, *memories;
    int32_t *last; /* room for the last row of each sequence */
    int sequences, rows;
};

/* The tokens of each sequence, and the k best that may follow its last. */
static struct cpv_top step(cpv_compute *c, const struct cpv_generate_model *m,
                           cpv_kv *history, const cpv_kv *memory, const struct batch *b,
                           int k)
{
    int n = b->sequences;
    cpv_rows rows =
        b->rows == n ? cpv_rows_equal(c, 1, n) : cpv_rows_put(c, b->lengths, n);
    cpv_tensor x = m->decode(c, m->self, cpv_put_i32(c, b->rows, 1, b->ids), rows,
                             history, cpv_slots_put(c, b->slots, n), memory,
                             cpv_slots_put(c, b->memories, n));

    if (b->rows != n) {
        for (int i = 0, row = 0; i < n; i++)
            b->last[i] = (row += b->lengths[i]) - 1;
        x = cpv_gather(c, x, cpv_put_i32(c, n, 1, b->last));
    }
    return cpv_topk(c, m->logits(c, m->self, x), k);
}

/* ---- the worst case, on shapes alone ---- */

struct rehearsal {
    const struct cpv_generate_model *model;
    const struct cpv_generate_limits *limits;
    int beams, wants;
    cpv_kv *history, *memory;
    cpv_compute *before, *now; /* `now` is the one that is measured */
    int32_t *ids, *lengths, *slots, *memories, *last;
};

/* All histories as long as they get but for `fresh` sequences, which begin. */
static void rehearse_step(struct rehearsal *r, int fresh)
{
    const struct cpv_generate_limits *l = r->limits;
    int n = most_sequences(l, r->beams), old = n - fresh;
    int long_one = l->prompt + l->target - 2;
    struct batch b = {r->ids, r->lengths, r->slots, r->memories, r->last, n, 0};

    for (int i = 0; i < n; i++) {
        r->slots[i] = i;
        r->memories[i] = i % l->sources;
        r->lengths[i] = i < old ? 1 : l->prompt;
        b.rows += r->lengths[i];
    }
    cpv_kv_clear(r->before, r->history, cpv_slots_put(r->before, r->slots, n));
    if (old && long_one)
        cpv_kv_extend(r->before, r->history, cpv_rows_equal(r->before, long_one, old),
                      cpv_slots_put(r->before, r->slots, old));
    step(r->now, r->model, r->history, r->memory, &b, r->wants);
}

static void rehearse(struct rehearsal *r,
                     void (*encode)(void *arg, cpv_compute *c, cpv_kv *memory), void *arg)
{
    const struct cpv_generate_limits *l = r->limits;
    cpv_slots all;

    for (int i = 0; i < l->sources; i++)
        r->slots[i] = i;
    all = cpv_slots_put(r->before, r->slots, l->sources);
    encode(arg, r->now, r->memory);
    cpv_kv_clear(r->before, r->memory, all);
    cpv_kv_extend(r->before, r->memory, cpv_rows_equal(r->before, l->memory, l->sources),
                  all);
    rehearse_step(r, 0);
    rehearse_step(r, l->admitted * l->sequences);
}

static int open_caches(cpv_kv **history, cpv_kv **memory, cpv_device *device,
                       const struct cpv_generate_model *m,
                       const struct cpv_generate_limits *l, int beams,
                       struct cpv_err *err)
{
    struct cpv_kv_params kept = {.layers = m->layers,
                                 .slots = most_sequences(l, beams),
                                 .capacity = l->prompt + l->target - 1,
                                 .width = m->width};
    int rc = cpv_kv_open(history, device, &kept, err);

    kept.slots = l->sources;
    kept.capacity = l->memory;
    kept.fixed = true;
    return rc ? rc : cpv_kv_open(memory, device, &kept, err);
}

int cpv_generator_measure(const struct cpv_generate_model *model, cpv_device *dry,
                          const struct cpv_search *search,
                          const struct cpv_generate_limits *limits,
                          void (*encode)(void *arg, cpv_compute *c, cpv_kv *memory),
                          void *arg, size_t *bytes, struct cpv_err *err)
{
    size_t n = (size_t)most_sequences(limits, search->beams);
    size_t rows = most_rows(limits, search->beams);
    struct cpv_compute_params params = {.threads = limits->threads};
    struct rehearsal r = {.model = model,
                          .limits = limits,
                          .beams = search->beams,
                          .wants = cpv_search_wants(search)};
    int rc = open_caches(&r.history, &r.memory, dry, model, limits, search->beams, err);

    if (!rc)
        rc = cpv_compute_open(&r.before, dry, &params, err);
    if (!rc)
        rc = cpv_compute_open(&r.now, dry, &params, err);
    r.ids = cpv_calloc(rows + 4 * n, sizeof *r.ids);
    if (!rc && !r.ids)
        rc = cpv_fail_memory(err);
    if (!rc) {
        r.lengths = r.ids + rows, r.slots = r.lengths + n;
        r.memories = r.slots + n, r.last = r.memories + n;
        rehearse(&r, encode, arg);
        rc = cpv_compute_sync(r.before, err);
    }
    if (!rc)
        rc = cpv_compute_sync(r.now, err);
    if (!rc) /* forks, and what alignment takes when batches are cut otherwise */
        *bytes = cpv_compute_peak(r.now) + n * 64 + (1u << 16);
    cpv_free(r.ids);
    cpv_kv_close(&r.memory);
    cpv_kv_close(&r.history);
    cpv_compute_close(&r.now);
    cpv_compute_close(&r.before);
    return rc;
}

int cpv_dry_twin(cpv_device **out, const cpv_device *device, struct cpv_err *err)
{
    char like[32];
    struct cpv_device_params params = {.name = "dry", .like = like};

    cpv_device_traits(device, &params.weights, &params.values);
    snprintf(like, sizeof like, "%s", cpv_device_name(device));
    return cpv_device_open(out, &params, err);
}

/* ---- life ---- */

static int open_arrays(cpv_generator *g, struct cpv_err *err)
{
    const struct cpv_generate_limits *l = &g->limits;
    size_t n = (size_t)most_sequences(l, g->search.beams), k;
    int rc = CPV_OK;

    g->wants = cpv_search_wants(&g->search);
    k = (size_t)g->wants;
    g->place = cpv_calloc((size_t)l->sources, sizeof *g->place);
    g->taken = cpv_calloc((size_t)l->admitted, sizeof *g->taken);
    g->lane = cpv_calloc((size_t)lanes_of(l), sizeof *g->lane);
    g->ids = cpv_calloc(most_rows(l, g->search.beams), sizeof *g->ids);
    g->lengths = cpv_calloc(n, sizeof *g->lengths);
    g->slots = cpv_calloc(n, sizeof *g->slots);
    g->memories = cpv_calloc(n, sizeof *g->memories);
    g->parents = cpv_calloc(n, sizeof *g->parents);
    g->last = cpv_calloc(n, sizeof *g->last);
    g->top_ids = cpv_calloc(n * k, sizeof *g->top_ids);
    g->top_values = cpv_calloc(n * k, sizeof *g->top_values);
    g->lse = cpv_calloc(n, sizeof *g->lse);
    if (!g->place || !g->taken || !g->lane || !g->ids || !g->lengths || !g->slots ||
        !g->memories || !g->parents || !g->last || !g->top_ids || !g->top_values ||
        !g->lse)
        return cpv_fail_memory(err);
    for (int i = 0; i < lanes_of(l) && !rc; i++)
        rc = cpv_beam_open(&g->lane[i].beam, &g->search, l->target, err);
    return rc;
}

static int check_limits(const struct cpv_generate_model *m,
                        const struct cpv_generate_limits *l,
                        const struct cpv_search *search, struct cpv_err *err)
{
    if (l->sources < 1 || l->sources > 4096 || l->admitted < 1 ||
        l->admitted > l->sources || l->sequences < 1 || l->sequences > 4096 ||
        l->memory < 1 || l->prompt < 1 || l->target < 1)
        return cpv_fail(err, CPV_E_USAGE, "limits of text generation below 1");
    if (cpv_search_wants(search) > m->vocab)
        return cpv_fail(err, CPV_E_USAGE, "%d beams with a vocabulary of %d",
                        search->beams, m->vocab);
    return CPV_OK;
}

int cpv_generator_open(cpv_generator **out, const struct cpv_generate_model *model,
                       cpv_device *device, const struct cpv_search *search,
                       const struct cpv_generate_limits *limits, size_t arena,
                       struct cpv_err *err)
{
    struct cpv_compute_params params = {.arena = arena, .threads = limits->threads};
    cpv_generator *g = cpv_calloc(1, sizeof *g);
    int rc;

    *out = NULL;
    if (!g)
        return cpv_fail_memory(err);
    g->model = *model;
    g->search = *search;
    g->limits = *limits;
    g->arena = arena;
    rc = check_limits(model, limits, search, err);
    if (!rc)
        rc = open_arrays(g, err);
    if (!rc)
        rc = cpv_compute_open(&g->c, device, &params, err);
    if (!rc)
        rc = open_caches(&g->history, &g->memory, device, model, limits, search->beams,
                         err);
    if (rc)
        cpv_generator_close(&g);
    *out = g;
    return rc;
}

void cpv_generator_close(cpv_generator **g)
{
    cpv_generator *o = *g;

    if (!o)
        return;
    cpv_kv_close(&o->history);
    cpv_kv_close(&o->memory);
    cpv_compute_close(&o->c);
    for (int i = 0; o->lane && i < lanes_of(&o->limits); i++)
        cpv_beam_close(&o->lane[i].beam);
    cpv_free(o->place);
    cpv_free(o->taken);
    cpv_free(o->lane);
    cpv_free(o->ids);
    cpv_free(o->lengths);
    cpv_free(o->slots);
    cpv_free(o->memories);
    cpv_free(o->parents);
    cpv_free(o->last);
    cpv_free(o->top_ids);
    cpv_free(o->top_values);
    cpv_free(o->lse);
    cpv_free(o);
    *g = NULL;
}

size_t cpv_generator_bytes(const cpv_generator *g)
{
    return g->arena + cpv_kv_bytes(g->history) + cpv_kv_bytes(g->memory);
}

/* ---- a call ---- */

static struct lane *lane_of(cpv_generator *g, int place, int sequence)
{
    return &g->lane[place * g->limits.sequences + sequence];
}

static int check_taken(const cpv_generator *g, const struct cpv_source_text *s,
                       struct cpv_err *err)
{
    if (s->sequences < 1 || s->sequences > g->limits.sequences)
        return cpv_fail(err, CPV_E_BUG, "%d sequences of a source, expected 1 to %d",
                        s->sequences, g->limits.sequences);
    for (int i = 0; i < s->sequences; i++)
        if (s->prompt[i].n < 1 || s->prompt[i].n > g->limits.prompt)
            return cpv_fail(err, CPV_E_BUG, "a prompt of %d tokens, expected 1 to %d",
                            s->prompt[i].n, g->limits.prompt);
    return CPV_OK;
}

/* What sequence i of a source draws its random numbers by. */
static uint64_t number_of(uint64_t source, int i)
{
    return source + (uint64_t)i * 0x9e3779b97f4a7c15u;
}

static void begin(cpv_generator *g, int place, const struct cpv_source_text *s)
{
    g->place[place] = (struct place){s->id, s->sequences};
    g->used++;
    for (int i = 0; i < s->sequences; i++) {
        struct lane *l = lane_of(g, place, i);

        l->prompt = &s->prompt[i];
        l->writing = true;
        cpv_beam_start(l->beam, s->most, number_of(s->number, i));
    }
}

/* Take the next sources into free places. */
static int admit(cpv_generator *g, const struct cpv_generate_feed *feed, bool *over,
                 struct cpv_err *err)
{
    int room = g->limits.sources - g->used, n = 0, place = 0, rc;
    struct cpv_compute_mark mark;

    if (room > g->limits.admitted)
        room = g->limits.admitted;
    if (room < 1)
        return CPV_OK;
    rc = feed->take(feed->arg, g->used, room, g->taken, &n, over, err);
    for (int i = 0; i < n && !rc; i++)
        rc = check_taken(g, &g->taken[i], err);
    if (rc || n == 0)
        return rc;
    for (int i = 0; i < n; i++, place++) {
        while (g->place[place].sequences)
            place++;
        begin(g, place, &g->taken[i]);
        g->memories[i] = place;
    }
    mark = cpv_compute_mark(g->c);
    cpv_kv_clear(g->c, g->memory, cpv_slots_put(g->c, g->memories, n));
    cpv_compute_rewind(g->c, mark);
    feed->encode(feed->arg, g->c, g->memory, g->memories, n);
    cpv_compute_rewind(g->c, mark);
    return cpv_compute_failed(g->c) ? cpv_compute_sync(g->c, err) : CPV_OK;
}

static void gather_lane(cpv_generator *g, int place, int lane, struct batch *b,
                        int *forks)
{
    struct lane *l = &g->lane[lane];
    int first = lane * g->search.beams;

    for (int i = 0; i < cpv_beam_live(l->beam); i++) {
        int n = b->sequences++;

        g->slots[n] = first + i;
        g->memories[n] = place;
        g->lengths[n] = l->prompt ? l->prompt->n : 1;
        g->parents[n] = l->prompt ? first + i : first + cpv_beam_parents(l->beam)[i];
        *forks += g->parents[n] != g->slots[n];
        if (l->prompt)
            memcpy(g->ids + b->rows, l->prompt->ids,
                   (size_t)l->prompt->n * sizeof *g->ids);
        else
            g->ids[b->rows] = cpv_beam_tokens(l->beam)[i];
        b->rows += g->lengths[n];
    }
    l->prompt = NULL;
}

/* The sequences of this step; and which slots take over from which, since the last. */
static struct batch gather(cpv_generator *g, int *forks)
{
    struct batch b = {g->ids, g->lengths, g->slots, g->memories, g->last, 0, 0};

    *forks = 0;
    for (int p = 0; p < g->limits.sources; p++)
        for (int i = 0; i < g->place[p].sequences; i++)
            if (lane_of(g, p, i)->writing)
                gather_lane(g, p, p * g->limits.sequences + i, &b, forks);
    return b;
}

static int advance(cpv_generator *g, struct cpv_err *err)
{
    struct cpv_compute_mark mark = cpv_compute_mark(g->c);
    int forks, row = 0, k = g->wants;
    struct batch b = gather(g, &forks);
    struct cpv_top top;

    if (forks)
        cpv_kv_fork(g->c, g->history, cpv_slots_put(g->c, g->slots, b.sequences),
                    cpv_slots_put(g->c, g->parents, b.sequences));
    top = step(g->c, &g->model, g->history, g->memory, &b, k);
    cpv_get_i32(g->c, top.ids, g->top_ids);
    cpv_get(g->c, top.values, g->top_values);
    cpv_get(g->c, top.lse, g->lse);
    cpv_compute_rewind(g->c, mark);
    if (cpv_compute_failed(g->c))
        return cpv_compute_sync(g->c, err);
    for (int i = 0; i < lanes_of(&g->limits); i++) {
        struct lane *l = &g->lane[i];
        int live = cpv_beam_live(l->beam);

        if (!l->writing)
            continue;
        cpv_beam_advance(l->beam, k, g->top_ids + row * k, g->top_values + row * k,
                         g->lse + row);
        row += live;
        l->writing = !cpv_beam_done(l->beam);
    }
    return CPV_OK;
}

/* Forget what the first n of slots hold. */
static void clear(cpv_generator *g, cpv_kv *kv, int n)
{
    struct cpv_compute_mark mark = cpv_compute_mark(g->c);

    if (n)
        cpv_kv_clear(g->c, kv, cpv_slots_put(g->c, g->slots, n));
    cpv_compute_rewind(g->c, mark);
}

static int emit(cpv_generator *g, const struct cpv_generate_feed *feed, int place,
                struct cpv_err *err)
{
    const cpv_beam **beam = cpv_calloc((size_t)g->limits.sequences, sizeof *beam);
    int n = g->place[place].sequences, rc;

    if (!beam)
        return cpv_fail_memory(err);
    for (int i = 0; i < n; i++)
        beam[i] = lane_of(g, place, i)->beam;
    rc = feed->emit(feed->arg, g->place[place].id, beam, n, err);
    cpv_free(beam);
    return rc;
}

/* Give the sources that are done away, and free their places. */
static int retire(cpv_generator *g, const struct cpv_generate_feed *feed,
                  struct cpv_err *err)
{
    int each = g->limits.sequences * g->search.beams, n = 0, rc = CPV_OK;

    for (int p = 0; p < g->limits.sources && !rc; p++) {
        bool writing = g->place[p].sequences == 0;

        for (int i = 0; i < g->place[p].sequences && !writing; i++)
            writing = lane_of(g, p, i)->writing;
        if (writing)
            continue;
        rc = emit(g, feed, p, err);
        g->place[p].sequences = 0;
        g->used--;
        for (int i = 0; i < each; i++)
            g->slots[n++] = p * each + i;
    }
    clear(g, g->history, n);
    return rc;
}

/* After a call that did not come to its end: nothing is in work, nothing remembered. */
static void abandon(cpv_generator *g)
{
    int n = most_sequences(&g->limits, g->search.beams);

    for (int p = 0; p < g->limits.sources; p++)
        g->place[p].sequences = 0;
    for (int i = 0; i < lanes_of(&g->limits); i++)
        g->lane[i].writing = false;
    g->used = 0;
    for (int i = 0; i < n; i++)
        g->slots[i] = i;
    clear(g, g->history, n);
}

int cpv_generate(cpv_generator *g, const struct cpv_generate_feed *feed,
                 struct cpv_err *err)
{
    bool over = false;
    int rc = CPV_OK;

    while (!rc && (g->used || !over)) {
        if (!over)
            rc = admit(g, feed, &over, err);
        if (!rc && g->used)
            rc = advance(g, err);
        if (!rc)
            rc = retire(g, feed, err);
    }
    if (rc)
        abandon(g);
    return rc;
}
