/* SPDX-License-Identifier: Apache-2.0 */
#include "common/model/beam.h"

#include <math.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/base/sys.h"

static const float WORST = -1e9f; /* as there: an empty place */

/* A sequence that is finished. */
struct finished {
    float score;
    bool there;
    int n;
    bool cut;       /* by its length, not by eos */
    int32_t *token; /* [most] */
};

struct candidate {
    float score;
    int beam;
    int32_t token;
};

struct cpv_beam {
    struct cpv_search s;
    int room, most; /* tokens: of the arrays, of this sequence */
    int length;     /* tokens so far */
    uint64_t number;
    int live;
    bool done;
    float *score; /* [beams], like the three that follow */
    int32_t *token, *parent;
    struct finished *end;
    int32_t *history[2];    /* [beams, room], in turn */
    struct candidate *cand; /* [2 * beams] */
    int cands;
};

static bool makes_sense(const struct cpv_search *s)
{
    if (s->beams < 1 || s->beams > CPV_BEAMS_MAX || s->bad_count > CPV_BAD_MAX)
        return false;
    return !s->sample.on ||
           (s->beams == 1 && s->sample.top_k >= 1 && s->sample.top_k <= CPV_SAMPLE_MAX &&
            s->sample.temperature > 0);
}

static bool take_memory(cpv_beam *b)
{
    size_t n = (size_t)b->s.beams, room = (size_t)b->room;
    bool ok;

    b->score = cpv_calloc(n, sizeof *b->score);
    b->token = cpv_calloc(n, sizeof *b->token);
    b->parent = cpv_calloc(n, sizeof *b->parent);
    b->end = cpv_calloc(n, sizeof *b->end);
    b->cand = cpv_calloc(2 * n, sizeof *b->cand);
    ok = b->score && b->token && b->parent && b->end && b->cand;
    for (int i = 0; i < 2; i++)
        ok &= (b->history[i] = cpv_calloc(n * room, sizeof **b->history)) != NULL;
    for (size_t i = 0; i < n && ok; i++)
        ok = (b->end[i].token = cpv_calloc(room, sizeof *b->end->token)) != NULL;
    return ok;
}

int cpv_beam_open(cpv_beam **out, const struct cpv_search *search, int most,
                  struct cpv_err *err)
{
    cpv_beam *b;

    *out = NULL;
    if (!makes_sense(search) || most < 1)
        return cpv_fail(err, CPV_E_USAGE, "%d beams of %d tokens: expected 1 to %d of 1",
                        search->beams, most, (int)CPV_BEAMS_MAX);
    b = cpv_calloc(1, sizeof *b);
    if (!b)
        return cpv_fail_memory(err);
    b->s = *search;
    b->room = most;
    if (!take_memory(b)) {
        cpv_beam_close(&b);
        return cpv_fail_memory(err);
    }
    *out = b;
    return CPV_OK;
}

void cpv_beam_close(cpv_beam **b)
{
    cpv_beam *o = *b;

    if (!o)
        return;
    for (int i = 0; i < 2; i++)
        cpv_free(o->history[i]);
    for (int i = 0; o->end && i < o->s.beams; i++)
        cpv_free(o->end[i].token);
    cpv_free(o->score);
    cpv_free(o->token);
    cpv_free(o->parent);
    cpv_free(o->end);
    cpv_free(o->cand);
    cpv_free(o);
    *b = NULL;
}

void cpv_beam_start(cpv_beam *b, int most, uint64_t number)
{
    b->number = number;
    b->most = most < b->room ? most : b->room;
    b->length = 0;
    b->live = 1;
    b->done = false;
    b->score[0] = 0;
    b->parent[0] = 0;
    for (int i = 0; i < b->s.beams; i++) {
        b->end[i].there = false;
        b->end[i].score = WORST;
        b->end[i].n = 0;
        b->end[i].cut = false;
    }
}

int cpv_search_wants(const struct cpv_search *s)
{
    if (s->sample.on)
        return s->sample.top_k + s->bad_count;
    return (s->beams > 1 ? 2 * s->beams : 1) + s->bad_count;
}

int cpv_search_lanes(const struct cpv_search *s)
{
    enum { GREEDY = 64, SEARCHES = 32, ROWS = 256 };

    if (s->beams <= 1)
        return GREEDY;
    return s->beams * SEARCHES <= ROWS ? SEARCHES : ROWS / s->beams;
}

int cpv_beam_live(const cpv_beam *b)
{
    return b->live;
}

const int32_t *cpv_beam_tokens(const cpv_beam *b)
{
    return b->token;
}

const int32_t *cpv_beam_parents(const cpv_beam *b)
{
    return b->parent;
}

bool cpv_beam_done(const cpv_beam *b)
{
    return b->done;
}

/* ---- a step ---- */

static bool is_bad(const struct cpv_search *s, int32_t token)
{
    for (int i = 0; i < s->bad_count; i++)
        if (s->bad[i] == token)
            return true;
    return false;
}

static bool is_last(const cpv_beam *b)
{
    return b->length + 1 >= b->most;
}

/* Before: a better score; a lower beam; a lower token. */
static bool before(const struct candidate *a, const struct candidate *b)
{
    if (a->score != b->score)
        return a->score > b->score;
    return a->beam != b->beam ? a->beam < b->beam : a->token < b->token;
}

/* Into the best 2 * beams, in order. */
static void add_candidate(cpv_beam *b, struct candidate c)
{
    int most = b->s.beams > 1 ? 2 * b->s.beams : 1, at = b->cands;

    if (isnan(c.score))
        return;
    while (at > 0 && before(&c, &b->cand[at - 1]))
        at--;
    if (at == most)
        return;
    b->cands += b->cands < most;
    memmove(b->cand + at + 1, b->cand + at, (size_t)(b->cands - 1 - at) * sizeof c);
    b->cand[at] = c;
}

enum { STREAM_SAMPLE = 0x64726177 /* "draw" */ };

/* The chance of token j, but for a factor that all share. */
static double chance(const cpv_beam *b, const float *x, int j)
{
    return exp(((double)x[j] - (double)x[0]) / (double)b->s.sample.temperature);
}

/* The one candidate: drawn among the likeliest. Its score is its log-probability. */
static void draw(cpv_beam *b, int k, const int32_t *ids, const float *x, float lse)
{
    int of[CPV_SAMPLE_MAX + CPV_BAD_MAX], n = 0;
    double all = 0, sum = 0, at;
    struct cpv_rng rng;

    for (int j = 0; j < k && n < b->s.sample.top_k; j++)
        if (ids[j] >= 0 && !is_bad(&b->s, ids[j]))
            of[n++] = j;
    for (int i = 0; i < n; i++)
        all += chance(b, x, of[i]);
    for (int i = 0; i < n; i++) {
        sum += chance(b, x, of[i]);
        if (sum >= (double)b->s.sample.top_p * all)
            n = i + 1;
    }
    cpv_rng_init(&rng, b->s.sample.seed, STREAM_SAMPLE + (uint32_t)b->length, b->number);
    at = cpv_rng_unit(&rng) * sum;
    for (int i = 0; i < n; i++) {
        at -= chance(b, x, of[i]);
        if (at < 0 || i == n - 1) {
            add_candidate(
                b, (struct candidate){x[of[i]] - lse + b->score[0], 0, ids[of[i]]});
            return;
        }
    }
}

static void collect(cpv_beam *b, int k, const int32_t *ids, const float *logits,
                    const float *lse)
{
    b->cands = 0;
    for (int i = 0; i < b->live; i++) {
        const int32_t *id = ids + i * k;
        const float *x = logits + i * k;

        if (is_last(b) && b->s.forced_eos >= 0) {
            add_candidate(b, (struct candidate){b->score[i], i, b->s.forced_eos});
            continue;
        }
        if (b->s.sample.on) {
            draw(b, k, id, x, lse[i]);
            return;
        }
        for (int j = 0; j < k; j++)
            if (id[j] >= 0 && !is_bad(&b->s, id[j]))
                add_candidate(b,
                              (struct candidate){x[j] - lse[i] + b->score[i], i, id[j]});
    }
}

static const int32_t *past(const cpv_beam *b, int beam)
{
    return b->history[b->length & 1] + (size_t)beam * (size_t)b->room;
}

/* Keep a finished sequence among the best `beams`; of equals what was there first stays.
 */
static void finish(cpv_beam *b, const struct candidate *c)
{
    bool eos = c->token == b->s.eos;
    float score = c->score / powf((float)(b->length + 1), b->s.length_penalty);
    int at = b->s.beams;
    struct finished last;

    while (at > 0 && score > b->end[at - 1].score)
        at--;
    if (at == b->s.beams)
        return;
    last = b->end[b->s.beams - 1];
    memmove(b->end + at + 1, b->end + at, (size_t)(b->s.beams - 1 - at) * sizeof last);
    memcpy(last.token, past(b, c->beam), (size_t)b->length * sizeof *last.token);
    last.n = b->length;
    if (!eos)
        last.token[last.n++] = c->token;
    last.score = score;
    last.there = true;
    last.cut = is_last(b);
    b->end[at] = last;
}

static bool all_finished(const cpv_beam *b)
{
    for (int i = 0; i < b->s.beams; i++)
        if (!b->end[i].there)
            return false;
    return true;
}

/* The candidates that do not end go on, the best of them. */
static void go_on(cpv_beam *b)
{
    int32_t *next = b->history[(b->length + 1) & 1];
    int live = 0;

    for (int i = 0; i < b->cands && live < b->s.beams; i++) {
        const struct candidate *c = &b->cand[i];
        int32_t *to = next + (size_t)live * (size_t)b->room;

        if (c->token == b->s.eos)
            continue;
        memcpy(to, past(b, c->beam), (size_t)b->length * sizeof *to);
        to[b->length] = c->token;
        b->score[live] = c->score;
        b->parent[live] = c->beam;
        b->token[live++] = c->token;
    }
    b->live = live;
}

void cpv_beam_advance(cpv_beam *b, int k, const int32_t *ids, const float *logits,
                      const float *lse)
{
    bool last = is_last(b);

    collect(b, k, ids, logits, lse);
    for (int i = 0; i < b->cands && i < b->s.beams; i++)
        if (last || b->cand[i].token == b->s.eos)
            finish(b, &b->cand[i]);
    if (last || !b->cands) {
        b->done = true;
        return;
    }
    go_on(b);
    b->length++;
    if (!b->live)
        b->done = true;
    else if (all_finished(b))
        b->done = b->s.early_stopping ||
                  !(b->score[0] / powf((float)b->length, b->s.length_penalty) >
                    b->end[b->s.beams - 1].score);
}

int cpv_beam_best(const cpv_beam *b, int rank, const int32_t **tokens, float *score)
{
    if (rank < 0 || rank >= b->s.beams || !b->end[rank].there)
        return -1;
    *tokens = b->end[rank].token;
    *score = b->end[rank].score;
    return b->end[rank].n;
}

bool cpv_beam_was_cut(const cpv_beam *b)
{
    return b->end[0].there && b->end[0].cut;
}
