/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for one sequence against a plain one that looks at the whole vocabulary in
 * every step, and against all sequences there are; on models of a few tokens, whose
 * scores are a hash of the prefix.
 */
#include <math.h>
#include <stdlib.h>

#include "common/base/rng.h"
#include "common/model/beam.h"
#include "tests/unit/base/unit.h"

enum { V = 280, MOST = 12 };

static struct cpv_err err;

/* What follows a prefix. With `coarse` there are many ties, in the sums too. */
struct world {
    uint64_t seed;
    int vocab;
    bool coarse;
    int often; /* a token that often comes, with scores that are not coarse; 0: none */
};

struct prefix {
    int n;
    int32_t token[MOST];
};

static void logits_of(const struct world *w, const struct prefix *p, float *logits,
                      float *lse)
{
    uint64_t h = w->seed;
    struct cpv_rng r;
    double sum = 0;

    for (int i = 0; i < p->n; i++)
        h = h * 0x9e3779b97f4a7c15u + (uint64_t)p->token[i] + 1;
    cpv_rng_init(&r, h, 1, (uint64_t)p->n);
    for (int i = 0; i < w->vocab; i++) {
        logits[i] =
            w->coarse ? (float)cpv_rng_below(&r, 4) / 2 : (float)(2 * cpv_rng_normal(&r));
        if (w->often && i == w->often && !w->coarse)
            logits[i] += 4;
        sum += exp((double)logits[i]);
    }
    *lse = w->coarse ? 2 : (float)log(sum);
}

/* ---- cpv_beam, run on it ---- */

static bool is_before(const float *x, int a, int b)
{
    return x[a] != x[b] ? x[a] > x[b] : a < b;
}

static void best_of(const float *x, int n, int k, int32_t *ids, float *values)
{
    int have = 0;

    for (int i = 0; i < n; i++) {
        int at = have < k ? have++ : k;

        for (; at > 0 && is_before(x, i, ids[at - 1]); at--)
            if (at < k)
                ids[at] = ids[at - 1];
        if (at < k)
            ids[at] = i;
    }
    for (int i = 0; i < k; i++)
        values[i] = x[ids[i]];
}

static void run(cpv_beam *b, const struct cpv_search *s, const struct world *w, int most)
{
    int k = cpv_search_wants(s);
    struct prefix now[CPV_BEAMS_MAX] = {{0}}, next[CPV_BEAMS_MAX];
    static int32_t ids[CPV_BEAMS_MAX * V];
    static float values[CPV_BEAMS_MAX * V];
    float lse[CPV_BEAMS_MAX], all[V];

    k = k < w->vocab ? k : w->vocab;
    cpv_beam_start(b, most, 0);
    for (bool first = true; !cpv_beam_done(b); first = false) {
        int live = cpv_beam_live(b);

        for (int i = 0; i < live; i++) {
            next[i] = now[cpv_beam_parents(b)[i]];
            if (!first)
                next[i].token[next[i].n++] = cpv_beam_tokens(b)[i];
            logits_of(w, &next[i], all, &lse[i]);
            best_of(all, w->vocab, k, ids + i * k, values + i * k);
        }
        memcpy(now, next, sizeof now);
        cpv_beam_advance(b, k, ids, values, lse);
    }
}

/* ---- the plain one ---- */

struct scored {
    float score;
    int beam, came;
    bool there, ends;
    struct prefix p;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->came > y->came) - (x->came < y->came);
}

/* Stable: what is there first goes before its equals. */
static void sort_scored(struct scored *s, int n)
{
    for (int i = 0; i < n; i++)
        s[i].came = i;
    qsort(s, (size_t)n, sizeof *s, by_score);
}

static int all_candidates(const struct cpv_search *s, const struct world *w,
                          const struct scored *live, int n, bool forced,
                          struct scored *to)
{
    int count = 0;

    for (int i = 0; i < n; i++) {
        float x[V], lse;

        logits_of(w, &live[i].p, x, &lse);
        for (int t = 0; t < w->vocab; t++) {
            struct scored c = live[i];
            bool bad = false;

            for (int k = 0; k < s->bad_count; k++)
                bad |= t == s->bad[k];
            if (forced ? t != s->forced_eos : bad)
                continue;
            c.score = forced ? c.score : x[t] - lse + c.score;
            c.p.token[c.p.n++] = t;
            c.ends = t == s->eos;
            to[count++] = c;
        }
    }
    return count;
}

/* As _beam_search: the best 2 n go on or, if among the first n, are finished. */
static void plain(const struct cpv_search *s, const struct world *w, int most,
                  struct scored *finished)
{
    static struct scored cand[CPV_BEAMS_MAX * V], live[CPV_BEAMS_MAX];
    struct scored merged[2 * CPV_BEAMS_MAX];
    int n = 1, keep = s->beams > 1 ? 2 * s->beams : 1;

    memset(live, 0, sizeof live[0]);
    for (int i = 0; i < s->beams; i++)
        finished[i] = (struct scored){.score = -1e9f};
    for (int length = 1; n; length++) {
        bool last = length == most;
        int count = all_candidates(s, w, live, n, last && s->forced_eos >= 0, cand), m,
            full = 1;

        sort_scored(cand, count);
        count = count < keep ? count : keep;
        memcpy(merged, finished, (size_t)s->beams * sizeof *merged);
        m = s->beams;
        n = 0;
        for (int i = 0; i < count; i++) {
            if (!last && !cand[i].ends) {
                if (n < s->beams)
                    live[n++] = cand[i];
            } else if (i < s->beams) {
                merged[m] = cand[i];
                merged[m].there = true;
                merged[m++].score /= powf((float)length, s->length_penalty);
            }
        }
        sort_scored(merged, m);
        memcpy(finished, merged, (size_t)s->beams * sizeof *merged);
        for (int i = 0; i < s->beams; i++)
            full &= finished[i].there;
        if (full && (s->early_stopping ||
                     !(live[0].score / powf((float)length, s->length_penalty) >
                       finished[s->beams - 1].score)))
            break;
    }
}

static void expect_equal(const cpv_beam *b, const struct cpv_search *s,
                         const struct scored *want, int most)
{
    for (int rank = 0; rank < s->beams; rank++) {
        const int32_t *tokens = NULL;
        float score = 0;
        int n = cpv_beam_best(b, rank, &tokens, &score);

        if (!want[rank].there) {
            assert_int_equal(n, -1);
            continue;
        }
        assert_int_equal(n, want[rank].p.n - want[rank].ends);
        assert_memory_equal(tokens, want[rank].p.token, (size_t)n * sizeof *tokens);
        assert_true(score == want[rank].score);
    }
    assert_int_equal(cpv_beam_best(b, s->beams, &(const int32_t *){NULL}, &(float){0}),
                     -1);
    assert_int_equal(cpv_beam_was_cut(b), want[0].there && want[0].p.n >= most);
}

/* Search number i, of so many beams; the rest is drawn. */
static void compare(struct cpv_rng *r, int i, int beams)
{
    static const float penalties[] = {0, 0.6f, 1, 2, -1};
    struct cpv_search s = {
        .beams = beams,
        .length_penalty = penalties[cpv_rng_below(r, 5)],
        .early_stopping = cpv_rng_below(r, 2),
        .forced_eos = cpv_rng_below(r, 2) ? 0 : -1,
        .bad_count = (int)cpv_rng_below(r, 3),
        .bad = {3, 1},
    };
    struct world w = {(uint64_t)i, 0, i % 2 == 1, 0};
    int most = 1 + (int)cpv_rng_below(r, MOST - 1);
    static struct scored want[CPV_BEAMS_MAX];
    cpv_beam *b;

    /* Enough tokens for all beams, and then sometimes just so. */
    w.vocab = cpv_search_wants(&s) + (int)cpv_rng_below(r, 20);
    s.eos = cpv_rng_below(r, 2) ? 0 : w.vocab / 2;
    s.forced_eos = s.forced_eos < 0 ? -1 : s.eos;
    w.often = beams > 6 ? s.eos : 0; /* where there are many others, eos would be rare */
    if (s.bad_count && (s.eos == 3 || s.eos == 1))
        s.bad_count = 0;
    assert_ok(cpv_beam_open(&b, &s, MOST, &err));
    for (int again = 0; again < 2; again++) { /* a search leaves nothing behind */
        w.seed += (uint64_t)again * 100000;
        run(b, &s, &w, most);
        plain(&s, &w, most, want);
        expect_equal(b, &s, want, most);
    }
    cpv_beam_close(&b);
}

static void any_search_is_as_the_plain_one(void **state)
{
    struct cpv_rng r;

    (void)state;
    cpv_rng_init(&r, 1, 2, 3);
    for (int i = 0; i < 3000; i++)
        compare(&r, i, 1 + (int)cpv_rng_below(&r, 6));
}

static void wide_searches_are_as_well(void **state)
{
    static const int beams[] = {40, 100, 17, CPV_BEAMS_MAX};
    struct cpv_rng r;

    (void)state;
    cpv_rng_init(&r, 4, 5, 6);
    for (int i = 0; i < 16; i++)
        compare(&r, i, beams[i / 2 % 4]);
}

/* ---- all there are ---- */

static void look(const struct world *w, const struct cpv_search *s, struct prefix p,
                 double score, int most, double *best)
{
    float x[V], lse;

    logits_of(w, &p, x, &lse);
    for (int t = 0; t < w->vocab; t++) {
        double now = score + (double)x[t] - (double)lse;
        struct prefix more = p;

        more.token[more.n++] = t;
        if (t != s->eos && more.n < most)
            look(w, s, more, now, most, best);
        else
            *best = fmax(*best, now / pow(more.n, (double)s->length_penalty));
    }
}

static void wide_enough_it_finds_the_best_of_all(void **state)
{
    (void)state;
    for (int i = 0; i < 300; i++) {
        bool wide = i % 2;
        struct cpv_search s = {.beams = wide ? 100 : 12,
                               .length_penalty = (float)(i % 3) / 2,
                               .forced_eos = -1};
        struct world w = {(uint64_t)i + 7000, wide ? 5 : 3, false, 0};
        int most = wide ? 4 : 3;
        double best = -INFINITY;
        const int32_t *tokens;
        cpv_beam *b;
        float score;

        assert_ok(cpv_beam_open(&b, &s, most, &err));
        run(b, &s, &w, most);
        look(&w, &s, (struct prefix){0}, 0, most, &best);
        assert_true(cpv_beam_best(b, 0, &tokens, &score) >= 0);
        assert_true(fabs((double)score - best) <= 1e-5);
        cpv_beam_close(&b);
    }
}

/* ---- single rules ---- */

static void equal_scores_prefer_the_lower_beam_then_the_lower_token(void **state)
{
    struct cpv_search s = {.beams = 2, .length_penalty = 1, .eos = 9, .forced_eos = -1};
    static const int32_t first[] = {4, 6, 7, 8}, then[] = {5, 6, 7, 8, 2, 3, 4, 5};
    static const float flat[8] = {0}, lse[2] = {0};
    cpv_beam *b;

    (void)state;
    assert_ok(cpv_beam_open(&b, &s, 5, &err));
    cpv_beam_start(b, 5, 0);
    assert_int_equal(cpv_beam_live(b), 1);
    cpv_beam_advance(b, 4, first, flat, lse);
    assert_int_equal(cpv_beam_live(b), 2);
    assert_int_equal(cpv_beam_tokens(b)[0], 4);
    assert_int_equal(cpv_beam_tokens(b)[1], 6);
    cpv_beam_advance(b, 4, then, flat, lse);
    assert_int_equal(cpv_beam_parents(b)[0], 0);
    assert_int_equal(cpv_beam_parents(b)[1], 0);
    assert_int_equal(cpv_beam_tokens(b)[0], 5);
    assert_int_equal(cpv_beam_tokens(b)[1], 6);
    cpv_beam_close(&b);
}

static void the_last_position_is_eos_where_it_is_forced(void **state)
{
    struct cpv_search s = {.beams = 2, .length_penalty = 1, .eos = 9, .forced_eos = 9};
    static const int32_t ids[] = {4, 6, 7, 8, 4, 6, 7, 8};
    static const float values[] = {-1, -2, -3, -4, -1, -2, -3, -4}, lse[2] = {0};
    const int32_t *tokens;
    float score;
    cpv_beam *b;

    (void)state;
    assert_ok(cpv_beam_open(&b, &s, 5, &err));
    cpv_beam_start(b, 2, 0);
    cpv_beam_advance(b, 4, ids, values, lse);
    assert_false(cpv_beam_done(b));
    cpv_beam_advance(b, 4, ids, values, lse);
    assert_true(cpv_beam_done(b));
    assert_int_equal(cpv_beam_best(b, 0, &tokens, &score), 1);
    assert_int_equal(tokens[0], 4);
    assert_true(score == -0.5f);      /* eos is free */
    assert_true(cpv_beam_was_cut(b)); /* the model did not say it */
    s.forced_eos = -1;
    cpv_beam_close(&b);
    assert_ok(cpv_beam_open(&b, &s, 5, &err));
    cpv_beam_start(b, 1, 0);
    cpv_beam_advance(b, 4, ids, values, lse);
    assert_int_equal(cpv_beam_best(b, 0, &tokens, &score), 1);
    assert_true(cpv_beam_was_cut(b));
    cpv_beam_close(&b);
}

/* A model that gives NaN: the search ends, with what it has. */
/* The likeliest three, each about as often as its probability says, by numbers that the
 * position and the sequence name. */
static void what_is_drawn_follows_the_probabilities(void **state)
{
    struct cpv_search s = {
        .beams = 1,
        .eos = 9,
        .forced_eos = -1,
        .bad = {7},
        .bad_count = 1,
        .sample = {.on = true, .temperature = 1, .top_p = 0.9f, .top_k = 4, .seed = 5}};
    static const int32_t ids[] = {4, 7, 6, 8, 5};
    const float values[] = {logf(5), logf(4), logf(3), logf(1), logf(0.5f)}, lse = 0;
    int drawn[10] = {0}, again = 0;
    cpv_beam *b;

    (void)state;
    assert_int_equal(cpv_search_wants(&s), 5);
    assert_ok(cpv_beam_open(&b, &s, 8, &err));
    for (uint64_t i = 0; i < 9000; i++) {
        int32_t first;

        cpv_beam_start(b, 8, i);
        cpv_beam_advance(b, 5, ids, values, &lse);
        first = cpv_beam_tokens(b)[0];
        drawn[first]++;
        cpv_beam_start(b, 8, i);
        cpv_beam_advance(b, 5, ids, values, &lse);
        again += cpv_beam_tokens(b)[0] == first;
    }
    /* 5 : 3 : 1, for 5 and 3 are less than 0.9 of 9.5; the fourth falls out. */
    assert_in_range(drawn[4], 4800, 5200);
    assert_in_range(drawn[6], 2800, 3200);
    assert_in_range(drawn[8], 850, 1150);
    assert_int_equal(drawn[4] + drawn[6] + drawn[8], 9000);
    assert_int_equal(again, 9000);
    cpv_beam_close(&b);
}

static void nan_ends_it(void **state)
{
    struct cpv_search s = {.beams = 2, .length_penalty = 1, .eos = 9, .forced_eos = -1};
    static const int32_t ids[] = {9, 6, 7, 8, 9, 6, 7, 8},
                         none[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    static const float values[] = {-1, -2, -3, -4, -1, -2, -3, -4}, lse[2] = {0};
    const float not [2] = {NAN, NAN};
    const int32_t *tokens;
    float score;
    cpv_beam *b;

    (void)state;
    assert_ok(cpv_beam_open(&b, &s, 5, &err));
    cpv_beam_start(b, 5, 0);
    cpv_beam_advance(b, 4, none, values, not );
    assert_true(cpv_beam_done(b));
    assert_int_equal(cpv_beam_best(b, 0, &tokens, &score), -1);
    assert_false(cpv_beam_was_cut(b));
    cpv_beam_start(b, 5, 0);
    cpv_beam_advance(b, 4, ids, values, lse);
    assert_false(cpv_beam_done(b));
    cpv_beam_advance(b, 4, ids, values, not );
    assert_true(cpv_beam_done(b));
    assert_int_equal(cpv_beam_best(b, 0, &tokens, &score), 0);
    assert_int_equal(cpv_beam_best(b, 1, &tokens, &score), -1);
    cpv_beam_close(&b);
}

/* Rows of a step stay at what fills a product, whatever the beams. */
static void lanes_shrink_with_beams(void **state)
{
    struct cpv_search s = {.beams = 1};

    (void)state;
    assert_int_equal(cpv_search_lanes(&s), 64);
    for (s.beams = 2; s.beams <= CPV_BEAMS_MAX; s.beams++) {
        int lanes = cpv_search_lanes(&s);

        assert_true(lanes >= 1 && lanes <= 32 && lanes * s.beams <= 256);
        assert_true(lanes == 32 || (lanes + 1) * s.beams > 256);
    }
}

static void sizes_that_make_no_sense_are_refused(void **state)
{
    struct cpv_search s = {.beams = 0, .forced_eos = -1};
    cpv_beam *b;

    (void)state;
    assert_int_equal(cpv_beam_open(&b, &s, 5, &err), CPV_E_USAGE);
    assert_null(b);
    s.beams = CPV_BEAMS_MAX + 1;
    assert_int_equal(cpv_beam_open(&b, &s, 5, &err), CPV_E_USAGE);
    s.beams = 1;
    assert_int_equal(cpv_beam_open(&b, &s, 0, &err), CPV_E_USAGE);
    s.bad_count = CPV_BAD_MAX + 1;
    assert_int_equal(cpv_beam_open(&b, &s, 5, &err), CPV_E_USAGE);
    cpv_beam_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_search_is_as_the_plain_one),
        cmocka_unit_test(wide_searches_are_as_well),
        cmocka_unit_test(lanes_shrink_with_beams),
        cmocka_unit_test(wide_enough_it_finds_the_best_of_all),
        cmocka_unit_test(equal_scores_prefer_the_lower_beam_then_the_lower_token),
        cmocka_unit_test(the_last_position_is_eos_where_it_is_forced),
        cmocka_unit_test(nan_ends_it),
        cmocka_unit_test(what_is_drawn_follows_the_probabilities),
        cmocka_unit_test(sizes_that_make_no_sense_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
