/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over all pairs, in tiles; what is kept of a score is whether it beats the
 * positive of its text and that of its image. Threads own texts, and count for images
 * apart; counts are whole numbers, so that adding them up has no order.
 */
#include "common/model/recall.h"

#include <math.h>
#include <string.h>

#include "common/base/queue.h"
#include "common/base/size.h"
#include "common/base/sys.h"

enum {
    LANES = 4,
    TILE = 2,   /* texts of a tile, */
    ACROSS = 4, /* and images: 8 sums in work */
    BLOCK = 64  /* images that are kept near while all texts of a block pass */
};

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

const int cpv_recall_k[CPV_RECALL_KS] = {1, 5, 10};

struct work {
    const struct cpv_recall_set *set;
    float *best;        /* [n_images]: of the texts of an image */
    int64_t *best_text; /* [n_images]: which one; -1: it has none */
    float *own;         /* [n_texts]: the score of a text with its image */
    int64_t *text_rank; /* [n_texts]: counts until the end */
    int64_t *counts;    /* [threads, n_images] */
    int threads;
};

/* ---- scores ---- */

static lanes load(const float *p)
{
    lanes v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* The end of a sum: its lanes, then the places that fill no vector. */
static float finish(lanes s, const float *a, const float *b, int64_t from, int64_t dim)
{
    float sum = (s[0] + s[1]) + (s[2] + s[3]);

    for (int64_t k = from; k < dim; k++)
        sum += a[k] * b[k];
    return sum;
}

float cpv_recall_score(const float *a, const float *b, int64_t dim)
{
    lanes s = {0};
    int64_t k;

    for (k = 0; k + LANES <= dim; k += LANES)
        s += load(a + k) * load(b + k);
    return finish(s, a, b, k, dim);
}

/* The same sums in the same order, eight at a time. */
static void score_tile(const float *const t[TILE], const float *const i[ACROSS],
                       int64_t dim, float out[TILE][ACROSS])
{
    lanes s[TILE][ACROSS] = {{{0}}};
    int64_t k;

    for (k = 0; k + LANES <= dim; k += LANES) {
        lanes t0 = load(t[0] + k), t1 = load(t[1] + k);

        for (int x = 0; x < ACROSS; x++) {
            lanes v = load(i[x] + k);

            s[0][x] += t0 * v;
            s[1][x] += t1 * v;
        }
    }
    for (int y = 0; y < TILE; y++)
        for (int x = 0; x < ACROSS; x++)
            out[y][x] = finish(s[y][x], t[y], i[x], k, dim);
}

/* ---- what is beaten ---- */

/* Does a candidate stand before the positive? NaN: yes, whichever of the two it is. */
static bool before(const struct cpv_recall_set *set, float score, int64_t at,
                   float positive, int64_t positive_at)
{
    if (set->by_index && score == positive)
        return at < positive_at;
    return !(score <= positive);
}

static void count_tile(struct work *w, int64_t *counts, int64_t text, int64_t texts,
                       int64_t image, int64_t images)
{
    const struct cpv_recall_set *set = w->set;
    const float *t[TILE], *i[ACROSS];
    float score[TILE][ACROSS];

    /* A tile that is not full is filled up with what is there. */
    for (int y = 0; y < TILE; y++)
        t[y] = set->texts + (text + (y < texts ? y : 0)) * set->dim;
    for (int x = 0; x < ACROSS; x++)
        i[x] = set->images + (image + (x < images ? x : 0)) * set->dim;
    score_tile(t, i, set->dim, score);
    for (int64_t y = 0; y < texts && y < TILE; y++)
        for (int64_t x = 0; x < images && x < ACROSS; x++) {
            int64_t p = text + y, q = image + x;

            if (q != set->owner[p])
                w->text_rank[p] += before(set, score[y][x], q, w->own[p], set->owner[p]);
            if (p != w->best_text[q])
                counts[q] += before(set, score[y][x], p, w->best[q], w->best_text[q]);
        }
}

static void count(void *arg, int worker)
{
    struct work *w = arg;
    const struct cpv_recall_set *set = w->set;
    int64_t *counts = w->counts + worker * set->n_images;

    for (int64_t text = (int64_t)worker * BLOCK; text < set->n_texts;
         text += (int64_t)w->threads * BLOCK) {
        int64_t texts = set->n_texts - text < BLOCK ? set->n_texts - text : BLOCK;

        for (int64_t image = 0; image < set->n_images; image += BLOCK) {
            int64_t end = set->n_images - image < BLOCK ? set->n_images : image + BLOCK;

            for (int64_t y = 0; y < texts; y += TILE)
                for (int64_t x = image; x < end; x += ACROSS)
                    count_tile(w, counts, text + y, texts - y, x, end - x);
        }
    }
}

/* ---- both directions ---- */

static int find_positives(struct work *w, struct cpv_err *err)
{
    const struct cpv_recall_set *set = w->set;

    for (int64_t i = 0; i < set->n_images; i++)
        w->best_text[i] = -1;
    for (int64_t t = 0; t < set->n_texts; t++) {
        int64_t i = set->owner[t];

        if (i < 0 || i >= set->n_images)
            return cpv_fail(err, CPV_E_BUG, "text %lld is of image %lld of %lld",
                            (long long)t, (long long)i, (long long)set->n_images);
        w->own[t] = cpv_recall_score(set->texts + t * set->dim,
                                     set->images + i * set->dim, set->dim);
        if (w->best_text[i] < 0 || w->own[t] > w->best[i] ||
            (isnan(w->best[i]) && !isnan(w->own[t]))) {
            w->best[i] = w->own[t];
            w->best_text[i] = t;
        }
        w->text_rank[t] = 1;
    }
    return CPV_OK;
}

static void add_up(const struct work *w, int64_t *image_rank)
{
    int64_t n = w->set->n_images;

    for (int64_t i = 0; i < n; i++) {
        image_rank[i] = w->best_text[i] >= 0;
        for (int k = 0; k < w->threads && w->best_text[i] >= 0; k++)
            image_rank[i] += w->counts[k * n + i];
    }
}

static int run(struct work *w, struct cpv_err *err)
{
    cpv_pool *pool = NULL;
    int rc;

    if (w->threads == 1) {
        count(w, 0);
        return CPV_OK;
    }
    rc = cpv_pool_open(&pool, "recall", w->threads, 0, count, w, err);
    cpv_pool_close(&pool);
    return rc;
}

int cpv_recall_ranks(const struct cpv_recall_set *set, int64_t *text_rank,
                     int64_t *image_rank, struct cpv_err *err)
{
    int64_t blocks = (set->n_texts + BLOCK - 1) / BLOCK;
    size_t images = (size_t)set->n_images + 1, all;
    struct work w = {.set = set, .text_rank = text_rank, .threads = set->threads};
    int rc = CPV_OK;

    if (w.threads > blocks)
        w.threads = (int)blocks;
    if (w.threads < 1)
        w.threads = 1;
    if (!cpv_size_mul(images, (size_t)w.threads, &all))
        return cpv_fail_memory(err);
    w.best = cpv_calloc(images, sizeof *w.best);
    w.best_text = cpv_calloc(images, sizeof *w.best_text);
    w.own = cpv_calloc((size_t)set->n_texts + 1, sizeof *w.own);
    w.counts = cpv_calloc(all, sizeof *w.counts);
    if (!w.best || !w.best_text || !w.own || !w.counts)
        rc = cpv_fail_memory(err);
    if (!rc)
        rc = find_positives(&w, err);
    if (!rc)
        rc = run(&w, err);
    if (!rc)
        add_up(&w, image_rank);
    cpv_free(w.best);
    cpv_free(w.best_text);
    cpv_free(w.own);
    cpv_free(w.counts);
    return rc;
}

/* ---- recall ---- */

void cpv_recall_of(const int64_t *rank, int64_t n, struct cpv_recall_side *out)
{
    int64_t hits[CPV_RECALL_KS] = {0};

    *out = (struct cpv_recall_side){0};
    for (int64_t i = 0; i < n; i++) {
        out->queries += rank[i] > 0;
        for (int k = 0; k < CPV_RECALL_KS; k++)
            hits[k] += rank[i] > 0 && rank[i] <= cpv_recall_k[k];
    }
    for (int k = 0; k < CPV_RECALL_KS && out->queries; k++) {
        out->at[k] = (double)hits[k] / (double)out->queries;
        out->mean += out->at[k] / CPV_RECALL_KS;
    }
}

int cpv_recall_both(const struct cpv_recall_set *set, struct cpv_recall *out,
                    struct cpv_err *err)
{
    int64_t *text = cpv_calloc((size_t)set->n_texts + 1, sizeof *text);
    int64_t *image = cpv_calloc((size_t)set->n_images + 1, sizeof *image);
    int rc =
        text && image ? cpv_recall_ranks(set, text, image, err) : cpv_fail_memory(err);

    if (!rc) {
        cpv_recall_of(text, set->n_texts, &out->t2i);
        cpv_recall_of(image, set->n_images, &out->i2t);
        out->mean = (out->t2i.mean + out->i2t.mean) / 2;
    }
    cpv_free(text);
    cpv_free(image);
    return rc;
}
